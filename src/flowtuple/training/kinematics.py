"""Kinematic relations proposed by branch names: p_x from p_T and phi, E from p_T, eta and m."""

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

# a wide table matches each of its names very often
_match = lru_cache(2**16)(_NAME.match)

Family = dict[str, Column]
"""The columns that describe one object, by quantity."""


def families(columns: Sequence[Column]) -> dict[tuple[str, str, str], Family]:
    """Group the float columns that describe one object.

    Returns:
        Families by collection, stem and number: pt1, eta1 and phi1; Jet_pt and Jet_eta.
    """
    grouped: dict[tuple[str, str, str], Family] = {}
    for column in columns:
        match = _match(column.name)
        if match is None or not column.is_float:
            continue
        stem = match["stem"]
        if not stem or stem[-1] in "_.]" or stem[-1].islower():
            family = grouped.setdefault(
                (collection_of(column), stem, match["number"]), {}
            )
            family.setdefault(_QUANTITIES[match["quantity"].lower()], column)
    return grouped


def kinematic_terms(
    columns: Sequence[Column],
) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """Propose the relations that column names suggest, each with the column that it predicts."""
    grouped = families(columns)
    for family in grouped.values():
        for target, column in family.items():
            for function, inputs in _RELATIONS.get(target, ()):
                if family.keys() >= set(inputs):
                    yield column, (_term(function, [family[i] for i in inputs]),)
    yield from _pair_masses(grouped)


def energies(columns: Sequence[Column]) -> Iterator[Term]:
    """Return the energy of every object that has p_T, eta and m, as a summand."""
    for family in families(columns).values():
        if family.keys() >= {"pt", "eta", "m"}:
            yield _term("energy", [family[i] for i in ("pt", "eta", "m")])


def value_of(parent: Parent) -> Term:
    """Return the term that repeats the value of a parent."""
    return Term(1.0, "x", (parent,))


def _pair_masses(
    grouped: Mapping[tuple[str, str, str], Family],
) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """Propose the mass of objects 1 and 2 for every mass without a number."""
    inputs = ("pt", "eta", "phi")
    masses = [
        family["m"]
        for (_, _, number), family in grouped.items()
        if not number and "m" in family
    ]
    for (key, stem, number), first in grouped.items():
        second = grouped.get((key, stem, number.replace("1", "2")), {})
        if number.endswith("1") and first.keys() & second.keys() >= set(inputs):
            pair = _term("pair mass", [one[i] for one in (first, second) for i in inputs])
            yield from ((mass, (pair,)) for mass in masses if collection_of(mass) == key)


def _term(function: str, columns: Sequence[Column]) -> Term:
    return Term(1.0, function, tuple(Parent("row", c.name) for c in columns))
