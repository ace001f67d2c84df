"""From globs to a spec: the collections, their partners, and how each column is learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowtuple.data.collections import (
    Collection,
    find_collections,
    find_links,
    plain_columns,
)
from flowtuple.data.globs import matches
from flowtuple.data.schema import Column, reference_target
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.simulation.response import Response
from flowtuple.simulation.spec import Recoil, SimulationSpec, Target

NONE = "none"  # a column that is learned as it is
NO_CONDITION = (
    "id",
    "weight",
    "counter",
    "angle",
)  # roles of columns that densities do not read


def build_spec(
    table: str,
    columns: Sequence[Column],
    target: Iterable[str],
    generated: Iterable[str],
    match: Iterable[str] = (),
    derived: Mapping[str, str] | None = None,
) -> SimulationSpec:
    """Return the spec of a simulation as far as the schema decides; `fit_spec` adds the rest.

    Args:
        table: Name of the table.
        columns: Schema of the table.
        target: Names or globs of the columns to simulate.
        generated: Names or globs of the columns of generated events.
        match: Columns of references from simulated to generated objects, as `COL` or
            `COL=COLLECTION`; without any, columns whose names say so, such as `Jet_genJetIdx`.
        derived: By column, how it is learned: `ratio`, `difference`, `turn` or `none`; other
            columns by their names.

    Raises:
        InvalidArgument: A name matches nothing, a column is both generated and simulated, or a
            match does not lead from a simulated to a generated collection.
    """
    derived = derived or {}
    wanted, known = (
        {c.name for pattern in patterns for _, c in matches(pattern, {table: columns})}
        for patterns in (target, generated)
    )
    for column in columns:
        if column.name in wanted and column.name in known:
            raise InvalidArgument(
                f"column {column.name!r} is both given and to be simulated; narrow one of the globs"
            )
    plain = plain_columns(columns)
    simulated = find_collections(c for c in plain if c.name in wanted)
    partners = find_collections(c for c in plain if c.name in known)
    clash = {c.counter for c in simulated} & {c.counter for c in partners}
    if clash:
        raise InvalidArgument(
            f"some columns counted by {clash.pop()!r} are given and others are not; "
            "take all of one kind"
        )
    collections = [*simulated, *partners]
    links = find_links(match, simulated, partners)
    targets = [
        _target(c, *links.get(c.name, ("", "")), collections, columns, derived)
        for c in simulated
    ]
    _check_derived(derived, targets)
    numbers = [c for c in plain if c.counter is None]
    event = [c.name for c in numbers if c.name in wanted]
    conditions = [
        c.name for c in numbers if c.name in known and c.role not in NO_CONDITION
    ]
    if not partners and not conditions:
        raise InvalidArgument(
            f"table {table!r}: `given=` names nothing that could be read of an event; widen it"
        )
    if not targets and not event:
        raise InvalidArgument(
            f"table {table!r}: `target=` names no column that could be simulated"
        )
    recoils = _recoils(numbers, wanted, known)
    vectors = {name for r in recoils for name in (r.pt, r.phi)}
    counters = {c.counter for c in columns}
    used = known.union(event, *((c.counter, *c.columns) for c in collections))
    return SimulationSpec(
        table,
        tuple(c for c in columns if c.name in used and not c.is_opaque),
        tuple(partners),
        tuple(conditions),
        tuple(targets),
        tuple(name for name in event if name not in vectors),
        recoils,
        tuple(
            c.name
            for c in columns
            if c.name in wanted and c.name not in counters and c not in plain
        ),
    )


def _target(
    objects: Collection,
    through: str,
    partners: str,
    collections: Sequence[Collection],
    columns: Sequence[Column],
    derived: Mapping[str, str],
) -> Target:
    others = {
        c.name.lower(): c.name for c in collections if c.axes and c.name != objects.name
    }
    references = {
        c.name: others[reference_target(c.name)]
        for c in columns
        if objects.axes
        and c.name in objects.columns
        and c.role == "reference"
        and c.name != through
        and reference_target(c.name) in others
    }
    if not through:
        return Target(objects, references=references, ordered=True)
    partner = next(c for c in collections if c.name == partners)
    responses = (_response(name, objects, partner, derived) for name in objects.columns)
    return Target(
        objects,
        through,
        partners,
        tuple(filter(None, responses)),
        references,
        ordered=True,
    )


def _response(
    name: str, objects: Collection, partners: Collection, derived: Mapping[str, str]
) -> Response | None:
    """Return how a column is learned relative to the partner's column of the same quantity.

    Without a word in `derived` only p_T, eta and phi have a response.
    """
    usual = dict(zip(objects.axes, ("ratio", "difference", "turn"), strict=False))
    kind = derived.get(name, usual.get(name, NONE))
    if kind == NONE:
        return None
    quantity = name.rpartition("_")[2]
    partner = next(
        (n for n in partners.columns if n.rpartition("_")[2] == quantity), None
    )
    if partner is not None:
        return Response(name, partner, kind)  # type: ignore[arg-type]
    if name in derived:
        raise InvalidArgument(
            f"column {name!r} cannot be learned as a {kind}: {partners.name} has no such quantity"
        )
    return None


def _check_derived(derived: Mapping[str, str], targets: Sequence[Target]) -> None:
    names = [n for t in targets if t.through for n in t.objects.columns]
    for name in derived:
        if name not in names:
            raise InvalidArgument(
                f"the derived column {name!r} belongs to no simulated object with a partner; "
                f"{nearest(name, names)}"
            )


def _recoils(
    numbers: Sequence[Column], wanted: set[str], known: set[str]
) -> tuple[Recoil, ...]:
    """Return the simulated transverse vectors of the event, each with the generated one."""
    floats = {c.name for c in numbers if c.is_float}
    recoils = []
    for pt in (c.name for c in numbers if c.name.endswith("_pt")):
        phi = f"{pt.removesuffix('_pt')}_phi"
        if pt != "_pt" and {pt, phi} <= wanted & floats:
            generated = (f"Gen{pt}", f"Gen{phi}")
            there = (known & floats).issuperset(generated)
            recoils.append(Recoil(pt, phi, generated if there else (), ()))
    return tuple(recoils)
