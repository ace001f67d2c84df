"""Which columns a closure reads: reconstructed collections, the generated ones they point to, numbers of the event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowtuple.comparison.folds import FOLD
from flowtuple.data.collections import Collection, find_collections, find_links
from flowtuple.data.globs import matches
from flowtuple.data.schema import Column, reference_target
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import TableSource
from flowtuple.errors import InvalidArgument, nearest

_APART = ("id", "weight", "counter", "label")
_FLAVOUR = ("flavour", "flavor", "pdgid")


@dataclass(frozen=True)
class Link:
    """Reconstructed objects and the generated ones that they point to.

    Attributes:
        objects: The reconstructed ones.
        through: Their column with the number of the partner in the event, -1 for none.
        partners: The generated ones.
        flavours: Columns of the generated ones that tell kinds apart: whole numbers called flavour or pdgId.
    """

    objects: Collection
    through: str
    partners: Collection
    flavours: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClosureLayout:
    """What is read of each sample.

    Attributes:
        links: Collections with their partners; at least one.
        event: Given columns with one number an event.
        against: Those among them that figures are drawn against.
        weights: Column of weights; empty where events count alike.
    """

    links: tuple[Link, ...]
    event: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    weights: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, each once."""
        ragged = [n for link in self.links for n in (*link.objects.columns, *link.partners.columns)]
        return tuple(
            dict.fromkeys([*ragged, *self.event, *([self.weights] if self.weights else [])])
        )


def find_layout(
    table: TableSource,
    given: Sequence[str],
    match: Iterable[str] = (),
    against: Iterable[str] = (),
    weights: str | None = None,
) -> ClosureLayout:
    """The layout of a table of the reference.

    Args:
        table: With a counter of its own for each collection, as `OwnCounters` gives.
        given: Names or globs of generated columns.
        match: Columns that point from reconstructed to generated objects, as `COL` or `COL=COLLECTION`; none means those
            whose names say so.
        against: Event columns that figures are drawn against; none means the given whole numbers of the event.
        weights: Event column of weights.

    Raises:
        InvalidArgument: A name matches nothing, nothing points to given objects, or objects lack p_T, eta or phi.
    """
    columns = {c.name: c for c in table.columns}
    known = {c.name for pattern in given for _, c in matches(pattern, {table.name: table.columns})}
    counters = {c.counter for c in table.columns if c.counter is not None}
    plain = [
        c
        for c in table.columns
        if not c.is_opaque and not c.shape and c.role != "id" and c.name not in counters
    ]
    partners = find_collections(c for c in plain if c.name in known)
    pointing = _pointing([c for c in plain if c.name not in known], partners, tuple(match))
    links = find_links(match, pointing, partners)
    if not links:
        raise InvalidArgument(_no_link(plain, partners))
    numbers = [c for c in plain if c.counter is None and c.role not in _APART and c.name != FOLD]
    drawn = tuple(_event_column(name, numbers) for name in against)
    whole = tuple(c.name for c in numbers if c.name in known and c.is_integer and c.role == "value")
    event = [c.name for c in numbers if c.name in known and c.name not in drawn]
    found = [
        _link(next(c for c in pointing if c.name == name), *link, partners, columns)
        for name, link in links.items()
    ]
    weight = (
        "" if weights is None else _event_column(weights, [c for c in plain if c.counter is None])
    )
    return ClosureLayout(tuple(found), (*event, *drawn), drawn or whole, weight)


def _pointing(
    columns: Sequence[Column], partners: Sequence[Collection], match: Sequence[str]
) -> list[Collection]:
    """Collections with a column that points to partners; where columns are named, all, so that the nearest can be told."""
    stems = {c.name.lower() for c in partners}
    counters = {
        c.counter
        for c in columns
        if match or ("Idx" in c.name and reference_target(c.name) in stems)
    }
    return find_collections(c for c in columns if c.counter in counters)


def _no_link(columns: Sequence[Column], partners: Sequence[Collection]) -> str:
    if not partners:
        return "--given names no collection of generated objects; name one, such as 'GenJet_*'"
    names = ", ".join(c.name for c in partners)
    wanted = f"{partners[0].name[:1].lower()}{partners[0].name[1:]}Idx"
    close = nearest(wanted, [c.name for c in columns if c.counter is not None and c.is_integer])
    return f"no column of references points to {names}; {close}; name one with --match COL or --match COL=COLLECTION"


def _link(
    objects: Collection,
    through: str,
    partners: str,
    given: Sequence[Collection],
    columns: dict[str, Column],
) -> Link:
    theirs = next(c for c in given if c.name == partners)
    for collection in (objects, theirs):
        if not collection.axes:
            needed = ", ".join(f"{collection.name}_{axis}" for axis in ("pt", "eta", "phi"))
            raise InvalidArgument(
                f"{collection.name!r} lacks one of {needed}; widen --given, or name other objects with --match"
            )
    flavours = tuple(
        n for n in theirs.columns if columns[n].is_integer and n.lower().endswith(_FLAVOUR)
    )
    return Link(objects, through, theirs, flavours)


def _event_column(name: str, numbers: Sequence[Column]) -> str:
    names = [c.name for c in numbers]
    if name not in names:
        raise InvalidArgument(
            f"there is no column {name!r} with one number an event; {nearest(name, names)}"
        )
    return name


def check_layout(table: TableSource, layout: ClosureLayout, described: str, like: str) -> None:
    """Refuse a table that lacks a column of the layout, or keeps lists where the reference has single numbers.

    Raises:
        InvalidArgument: It does; the nearest name is told.
    """
    columns = {c.name: c for c in table.columns}
    ragged = {n for link in layout.links for n in (*link.objects.columns, *link.partners.columns)}
    with prefix_errors(described):
        for name in layout.names:
            if name not in columns:
                raise InvalidArgument(
                    f"it lacks column {name!r} of {like}; {nearest(name, columns)}"
                )
            if (columns[name].counter is None) == (name in ragged) or columns[name].is_opaque:
                raise InvalidArgument(
                    f"column {name!r} holds lists in one and single values in the other, {like}"
                )
