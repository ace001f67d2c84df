"""From globs to a recipe: which collections there are, which are partners, what is learned in place of what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set

from flowtuple.data.collections import Collection, find_collections, find_links
from flowtuple.data.globs import matches
from flowtuple.data.schema import Column, reference_target
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.simulation.response import Response
from flowtuple.simulation.spec import Recoil, SimulationSpec, Target

NONE = "none"  # a column that is learned as it is
APART = ("id", "weight", "counter")


def build_spec(
    table: str,
    columns: Sequence[Column],
    target: Iterable[str],
    given: Iterable[str],
    match: Iterable[str] = (),
    derived: Mapping[str, str] | None = None,
) -> SimulationSpec:
    """What is to be simulated, from the schema alone; `fitted_recipe` adds what only events tell.

    Args:
        table: Name of the table.
        columns: Its schema.
        target: Names or globs of what is to be simulated.
        given: Names or globs of what will be known.
        match: Columns of references from simulated to given objects, as `COL` or `COL=COLLECTION`; none means those whose
            names say so.
        derived: By column, how it is learned: `ratio`, `difference`, `turn` or `none`; others by name.

    Raises:
        InvalidArgument: A name matches nothing, a column is both, or a match does not lead from one to the other.
    """
    wanted, known = _matched(target, table, columns), _matched(given, table, columns)
    both = [c.name for c in columns if c.name in wanted and c.name in known]
    if both:
        raise InvalidArgument(
            f"column {both[0]!r} is both given and to be simulated; narrow one of the globs"
        )
    counters = {c.counter for c in columns if c.counter is not None}
    plain = [
        c
        for c in columns
        if not c.is_opaque and not c.shape and c.role != "id" and c.name not in counters
    ]
    simulated = find_collections([c for c in plain if c.name in wanted])
    partners = find_collections([c for c in plain if c.name in known])
    clash = {c.counter for c in simulated} & {c.counter for c in partners}
    if clash:
        raise InvalidArgument(
            f"some columns counted by {clash.pop()!r} are given and others are not; take all of one kind"
        )
    links = find_links(match, simulated, partners)
    targets = [
        _target(c, links.get(c.name, ("", "")), [*simulated, *partners], columns, derived or {})
        for c in simulated
    ]
    _check_derived(derived or {}, targets)
    alone = [c for c in plain if c.counter is None and c.name in wanted]
    recoils = _recoils(alone, [c for c in plain if c.counter is None and c.name in known])
    vectors = {name for r in recoils for name in (r.pt, r.phi)}
    if not partners and not _conditions(plain, known):
        raise InvalidArgument(
            f"table {table!r}: --given names nothing that could be read of an event; widen it"
        )
    if not targets and not alone:
        raise InvalidArgument(f"table {table!r}: --target names no column that could be simulated")
    kept = {c.name for c in columns if c.name in known} | {
        n for c in (*partners, *simulated) for n in (c.counter, *c.columns)
    }
    kept |= {c.name for c in alone}
    return SimulationSpec(
        table,
        tuple(c for c in columns if c.name in kept and not c.is_opaque),
        tuple(partners),
        _conditions(plain, known),
        tuple(targets),
        tuple(c.name for c in alone if c.name not in vectors),
        recoils,
        left_out=tuple(
            c.name
            for c in columns
            if c.name in wanted and c not in plain and c.name not in counters
        ),
    )


def _conditions(plain: Sequence[Column], known: Set[str]) -> tuple[str, ...]:
    """Numbers of the event that densities may read."""
    return tuple(
        c.name
        for c in plain
        if c.counter is None and c.name in known and c.role not in (*APART, "angle")
    )


def _matched(patterns: Iterable[str], table: str, columns: Sequence[Column]) -> set[str]:
    return {column.name for pattern in patterns for _, column in matches(pattern, {table: columns})}


def _target(
    objects: Collection,
    link: tuple[str, str],
    collections: Sequence[Collection],
    columns: Sequence[Column],
    derived: Mapping[str, str],
) -> Target:
    through, partners = link
    by_stem = {c.name.lower(): c for c in collections if c.axes and c.name != objects.name}
    references = {}
    for column in columns:
        if column.name in objects.columns and column.role == "reference" and column.name != through:
            other = by_stem.get(reference_target(column.name))
            if other is not None and objects.axes:
                references[column.name] = other.name
    responses: list[Response] = []
    if through:
        there = next(c for c in collections if c.name == partners)
        responses = [
            r
            for name in objects.columns
            if (r := _response(name, objects, there, derived)) is not None
        ]
    return Target(objects, through, partners, tuple(responses), references)


def _response(
    name: str, objects: Collection, partners: Collection, derived: Mapping[str, str]
) -> Response | None:
    """How a column is learned relative to the partner's of the same quantity: by what is asked, else axes alone."""
    usual = (
        dict(zip(objects.axes, ("ratio", "difference", "turn"), strict=True))
        if objects.axes
        else {}
    )
    kind = derived.get(name, usual.get(name, NONE))
    partner = next(
        (n for n in partners.columns if n.rpartition("_")[2] == name.rpartition("_")[2]), None
    )
    if kind == NONE or (partner is None and name not in derived):
        return None
    if partner is None:
        raise InvalidArgument(
            f"column {name!r} cannot be learned as a {kind}: {partners.name} has no such quantity"
        )
    return Response(name, partner, kind)  # type: ignore[arg-type]


def _check_derived(derived: Mapping[str, str], targets: Sequence[Target]) -> None:
    names = [n for t in targets if t.through for n in t.objects.columns]
    for name in derived:
        if name not in names:
            close = nearest(name, names)
            raise InvalidArgument(
                f"the derived column {name!r} belongs to no simulated object with a partner; {close}"
            )


def _recoils(columns: Sequence[Column], given: Sequence[Column]) -> tuple[Recoil, ...]:
    """Transverse vectors among simulated columns of the event, each with the given one of a like name."""
    names, known = {c.name for c in columns if c.is_float}, {c.name for c in given if c.is_float}
    found = []
    for name in [c.name for c in columns if c.name in names]:
        stem = re.fullmatch(r"(.+)_pt", name)
        if stem and f"{stem[1]}_phi" in names:
            pair = (f"Gen{stem[1]}_pt", f"Gen{stem[1]}_phi")
            found.append(Recoil(name, f"{stem[1]}_phi", pair if set(pair) <= known else (), ()))
    return tuple(found)
