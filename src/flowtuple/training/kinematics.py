"""Relations of kinematics, proposed by the names of branches: p_x from p_T and phi, E from p_T, eta and m."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from flowtuple.data.schema import Column
from flowtuple.lattice.context import Parent, collection_of
from flowtuple.lattice.prediction import Term

_QUANTITIES = {
    "pt": "pt", "eta": "eta", "phi": "phi", "mass": "m", "m": "m",
    "e": "e", "en": "e", "energy": "e", "px": "px", "py": "py", "pz": "pz", "p": "p",
}  # fmt: skip
_NAME = re.compile(
    r"^(?P<stem>.*?)(?P<quantity>pt|eta|phi|mass|energy|en|px|py|pz|p|m|e)(?P<number>_?\d*)$",
    re.IGNORECASE,
)

_RELATIONS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "e": (
        ("energy", ("pt", "eta", "m")),
        ("hypot3", ("px", "py", "pz")),
        ("pt cosh eta", ("pt", "eta")),
    ),
    "p": (("pt cosh eta", ("pt", "eta")), ("hypot3", ("px", "py", "pz"))),
    "px": (("pt cos phi", ("pt", "phi")),),
    "py": (("pt sin phi", ("pt", "phi")),),
    "pz": (("pt sinh eta", ("pt", "eta")),),
    "pt": (("hypot", ("px", "py")),),
    "eta": (("pseudorapidity", ("pt", "pz")),),
    "phi": (("angle", ("px", "py")),),
}

_matched = lru_cache(2**16)(_NAME.match)  # of a wide table each name is looked at very often

Family = dict[str, Column]


def families(columns: Sequence[Column]) -> dict[tuple[str, str, str], Family]:
    """Float columns that describe one object, by collection, stem and number: pt1, eta1 and phi1; Jet_pt and Jet_eta."""
    found: dict[tuple[str, str, str], Family] = {}
    for column in columns:
        match = _matched(column.name)
        if (
            match
            and column.is_float
            and (not match["stem"] or match["stem"][-1] in "_.]" or match["stem"][-1].islower())
        ):
            key = (collection_of(column), match["stem"], match["number"])
            found.setdefault(key, {}).setdefault(_QUANTITIES[match["quantity"].lower()], column)
    return found


def kinematic_terms(columns: Sequence[Column]) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """Proposals: a column, and the relation that its name suggests."""
    found = families(columns)
    for family in found.values():
        for target, column in family.items():
            for function, inputs in _RELATIONS.get(target, ()):
                if all(i in family for i in inputs):
                    yield column, (_term(function, [family[i] for i in inputs]),)
    yield from _pair_masses(found)


def energies(columns: Sequence[Column]) -> Iterator[Term]:
    """The energy of every object that has p_T, eta and m: what its parts add up to."""
    for family in families(columns).values():
        if all(i in family for i in ("pt", "eta", "m")):
            yield _term("energy", [family[i] for i in ("pt", "eta", "m")])


def _pair_masses(
    found: Mapping[tuple[str, str, str], Family],
) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """The mass of the objects numbered 1 and 2, for every mass without a number."""
    needed = ("pt", "eta", "phi")
    masses = [
        family["m"] for (_, _, number), family in found.items() if not number and "m" in family
    ]
    for (key, stem, number), first in found.items():
        second = found.get((key, stem, number.replace("1", "2")), {})
        if number.endswith("1") and all(i in first and i in second for i in needed):
            pair = _term("pair mass", [first[i] for i in needed] + [second[i] for i in needed])
            yield from ((mass, (pair,)) for mass in masses if collection_of(mass) == key)


def _term(function: str, columns: Sequence[Column]) -> Term:
    return Term(1.0, function, tuple(Parent("row", c.name) for c in columns))
