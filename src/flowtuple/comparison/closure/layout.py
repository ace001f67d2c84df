"""The columns that a closure reads: reconstructed objects, their partners, numbers of the event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flowtuple.comparison.folds import FOLD
from flowtuple.data.collections import (
    Collection,
    find_collections,
    find_links,
    plain_columns,
)
from flowtuple.data.event_weights import check_column
from flowtuple.data.globs import matches
from flowtuple.data.schema import Column, reference_target
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import TableSource
from flowtuple.errors import InvalidArgument, nearest

_NO_NUMBER = (
    "id",
    "weight",
    "counter",
    "label",
)  # roles of columns that are no quantities
_FLAVOUR = ("flavour", "flavor", "pdgid")


@dataclass(frozen=True)
class Link:
    """Reconstructed objects and the generated ones that they point to.

    Attributes:
        objects: The reconstructed objects.
        through: Column with the number of each object's partner in the event, -1 for none.
        partners: The generated objects.
        flavours: Columns of the generated objects that separate kinds: whole numbers named flavour
            or pdgId.
    """

    objects: Collection
    through: str
    partners: Collection
    flavours: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the reconstructed and of the generated objects."""
        return (*self.objects.columns, *self.partners.columns)


@dataclass(frozen=True)
class ClosureLayout:
    """The columns that are read of each sample.

    Attributes:
        links: Collections with their partners; at least one.
        event: Generated columns with one number an event.
        against: Columns among `event` that figures are binned in.
        weights: Column of weights; empty where events count alike.
    """

    links: tuple[Link, ...]
    event: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    weights: str = ""

    @property
    def ragged(self) -> tuple[str, ...]:
        """Columns of objects."""
        return tuple(name for link in self.links for name in link.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, each once."""
        weights = (self.weights,) if self.weights else ()
        return tuple(dict.fromkeys((*self.ragged, *self.event, *weights)))


def find_layout(
    table: TableSource,
    generated: Sequence[str],
    match: Iterable[str] = (),
    against: Iterable[str] = (),
    weights: str | None = None,
) -> ClosureLayout:
    """Return the layout of a table of the reference.

    Args:
        table: A table with a counter of its own for each collection, as `OwnCounters` gives.
        generated: Names or globs of generated columns.
        match: Columns that point from reconstructed to generated objects, as `COL` or
            `COL=COLLECTION`; without any, columns whose names say so.
        against: Event columns that figures are binned in; without any, the generated whole numbers
            of the event.
        weights: Event column of weights.

    Raises:
        InvalidArgument: A name matches nothing, nothing points to generated objects, or objects
            lack p_T, eta or phi.
    """
    tables = {table.name: table.columns}
    known = {
        column.name for pattern in generated for _, column in matches(pattern, tables)
    }
    plain = plain_columns(table.columns)
    partners = find_collections(c for c in plain if c.name in known)
    pointing = _pointing(
        [c for c in plain if c.name not in known], partners, tuple(match)
    )
    links = find_links(match, pointing, partners)
    if not links:
        raise InvalidArgument(_no_link(plain, partners))
    collections = {c.name: c for c in (*pointing, *partners)}
    columns = {c.name: c for c in plain}
    pairs = [
        _link(collections[name], through, collections[other], columns)
        for name, (through, other) in links.items()
    ]
    single = [c for c in plain if c.counter is None]
    numbers = [c for c in single if c.role not in _NO_NUMBER and c.name != FOLD]
    chosen = tuple(_event_column(name, numbers) for name in against)
    whole = (
        c.name for c in numbers if c.name in known and c.is_integer and c.role == "value"
    )
    event = [c.name for c in numbers if c.name in known and c.name not in chosen]
    return ClosureLayout(
        tuple(pairs),
        (*event, *chosen),
        chosen or tuple(whole),
        "" if weights is None else _event_column(weights, single),
    )


def _pointing(
    columns: Sequence[Column], partners: Sequence[Collection], match: Sequence[str]
) -> list[Collection]:
    """Return the collections with a column that points to partners; with `match`, all collections.

    All of them are candidates for the nearest name in a message.
    """
    stems = {c.name.lower() for c in partners}
    counters = {
        c.counter
        for c in columns
        if match or ("Idx" in c.name and reference_target(c.name) in stems)
    }
    return find_collections(c for c in columns if c.counter in counters)


def _no_link(columns: Sequence[Column], partners: Sequence[Collection]) -> str:
    if not partners:
        return "`given=` names no collection of generated objects; name one, such as 'GenJet_*'"
    names = ", ".join(c.name for c in partners)
    wanted = f"{partners[0].name[:1].lower()}{partners[0].name[1:]}Idx"
    close = nearest(
        wanted, [c.name for c in columns if c.counter is not None and c.is_integer]
    )
    return (
        f"no column of references points to {names}; {close}; "
        "name one in `match=`, as COL or COL=COLLECTION"
    )


def _link(
    objects: Collection, through: str, partners: Collection, columns: Mapping[str, Column]
) -> Link:
    for collection in (objects, partners):
        if not collection.axes:
            needed = ", ".join(
                f"{collection.name}_{axis}" for axis in ("pt", "eta", "phi")
            )
            raise InvalidArgument(
                f"{collection.name!r} lacks one of {needed}; "
                "widen `given=`, or name other objects in `match=`"
            )
    whole = (name for name in partners.columns if columns[name].is_integer)
    flavours = tuple(name for name in whole if name.lower().endswith(_FLAVOUR))
    return Link(objects, through, partners, flavours)


def _event_column(name: str, numbers: Sequence[Column]) -> str:
    names = [c.name for c in numbers]
    if name not in names:
        raise InvalidArgument(
            f"there is no column {name!r} with one number an event; {nearest(name, names)}"
        )
    return name


def check_layout(
    table: TableSource, layout: ClosureLayout, described: str, like: str
) -> None:
    """Raise if a table does not have the columns of a layout.

    Args:
        table: The table of a sample.
        layout: From the reference.
        described: Name of the sample.
        like: Name of the reference.

    Raises:
        InvalidArgument: A column is missing, or holds lists in one and single numbers in the other.
    """
    columns = {c.name: c for c in table.columns}
    ragged = set(layout.ragged)
    if layout.weights:
        check_column(described, layout.weights, table.columns)
    with prefix_errors(described):
        for name in layout.names:
            column = columns.get(name)
            if column is None:
                raise InvalidArgument(
                    f"it lacks column {name!r} of {like}; {nearest(name, columns)}"
                )
            if column.is_opaque or (column.counter is not None) != (name in ragged):
                raise InvalidArgument(
                    f"column {name!r} holds lists in one and single values in the other, {like}"
                )
