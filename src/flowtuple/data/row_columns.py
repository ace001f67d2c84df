"""Which columns of a data set rows are made of, those of one collection or of the events themselves; rows as columns again."""

from __future__ import annotations

import glob
from collections.abc import Sequence

from flowtuple.data.globs import matches
from flowtuple.data.schema import Column, infer_role
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import InvalidArgument, nearest

_NOT_COMPARED = ("id", "weight")


def choose_columns(
    dataset: Dataset,
    columns: Sequence[str],
    weights: str | None,
    exactly: Sequence[str],
    given: Sequence[str] = (),
) -> tuple[TableSource, tuple[Column, ...], Column | None, tuple[Column, ...]]:
    """The table, the columns whose values become rows, the column of weights, and columns that are given with the rows.

    Args:
        dataset: With one table, or with one that the globs leave.
        columns: Names or globs; none means all numbers but ids and weights.
        weights: Name of the column of weights, one for each event or for each object.
        exactly: Names of the columns to take, whatever their roles, places in arrays as `x[0]`; in place of `columns`.
        given: Names or globs of columns of the same objects, or of their events.

    Raises:
        InvalidArgument: A name or glob matches nothing, or several tables or collections are left.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> events = open_dataset({"Jet_pt": [[50.0, 20.0], []], "Jet_w": [[1.0, 0.5], []]})
        >>> [column.name for column in choose_columns(events, ["Jet_*"], "Jet_w", ())[1]]
        ['Jet_pt']
    """
    sources = list(dict.fromkeys(name.partition("[")[0] for name in exactly))
    kept = select(dataset, escaped(exactly) if exactly else columns)
    if len(kept.tables) != 1:
        raise InvalidArgument(
            f"{dataset.description}: choose one of its trees, such as FILE:{next(iter(kept.tables), 'Events')}"
        )
    (name, source), described = next(iter(kept.tables.items())), dataset.description
    whole = dataset.table(name)
    beside = given_columns(whole, given, described)
    apart = {c.name for c in beside}
    taken = [
        c for c in source.columns if c.name in sources or (not exactly and _is_compared(c, weights))
    ]
    chosen = tuple(_one_collection([c for c in taken if c.name not in apart], described))
    check_given(beside, chosen[0].counter, described)
    weight = (
        None if weights is None else _weight_column(whole, weights, chosen[0].counter, described)
    )
    return whole, chosen, weight, tuple(beside)


def escaped(names: Sequence[str]) -> list[str]:
    """Patterns that match columns of these names and no others; places of an array are one column."""
    return [glob.escape(name) for name in dict.fromkeys(name.partition("[")[0] for name in names)]


def given_columns(source: TableSource, patterns: Sequence[str], described: str) -> list[Column]:
    """The columns that names or globs match, once each.

    Raises:
        InvalidArgument: One matches nothing.
    """
    visible = {source.name: [c for c in source.columns if not c.is_opaque]}
    try:
        return list(
            {c.name: c for pattern in patterns for _, c in matches(pattern, visible)}.values()
        )
    except InvalidArgument as error:
        raise InvalidArgument(f"{described}: {error}") from None


def check_given(columns: Sequence[Column], counter: str | None, described: str) -> None:
    """Given columns are those of the rows' own collection, or of events.

    Raises:
        InvalidArgument: One is of other objects.
    """
    for column in columns:
        if column.counter not in (None, counter):
            raise InvalidArgument(
                f"{described}: column {column.name!r} is none of the same objects and cannot be given with them; "
                "to learn some objects from others, name those with --target"
            )


def columns_of_rows(
    names: Sequence[str], dtypes: Sequence[str], counter: str | None = None
) -> tuple[Column, ...]:
    """Columns of a table for rows that come from a file or a flow, with the roles that their names tell.

    Args:
        names: Of the rows' columns.
        dtypes: NumPy names of their types.
        counter: What counts the objects of an event; `None` where rows are events.

    Example:
        >>> [column.role for column in columns_of_rows(["Jet_phi", "Jet_pt"], ["float32", "float32"])]
        ['angle', 'value']
    """
    return tuple(
        Column(name, dtype, infer_role(name, dtype), counter=counter)
        for name, dtype in zip(names, dtypes, strict=True)
    )


def _is_compared(column: Column, weights: str | None) -> bool:
    return not (
        column.hidden or column.is_opaque or column.role in _NOT_COMPARED or column.name == weights
    )


def _one_collection(columns: list[Column], described: str) -> list[Column]:
    """The columns without the counters of their objects.

    Raises:
        InvalidArgument: None are left, or they belong to different collections.
    """
    counters = {c.counter for c in columns if c.counter is not None}
    columns = [c for c in columns if c.name not in counters]
    if not columns:
        raise InvalidArgument(
            f"{described}: holds no number that could be looked at: widen --columns"
        )
    if len({c.counter for c in columns}) > 1:
        collection = next(c.name.partition("_")[0] for c in columns if c.counter is not None)
        what = f"one collection at a time, such as --columns '{collection}_*'"
        raise InvalidArgument(
            f"{described}: holds numbers of events and of their objects: take {what}"
        )
    return columns


def _weight_column(source: TableSource, name: str, counter: str | None, described: str) -> Column:
    for column in source.columns:
        if (
            column.name == name
            and not column.is_opaque
            and column.counter in (None, counter)
            and not column.shape
        ):
            return column
    numbers = [
        c.name
        for c in source.columns
        if c.counter in (None, counter) and not c.is_opaque and not c.hidden
    ]
    raise InvalidArgument(
        f"{described}: no column of weights {name!r} for these rows; {nearest(name, numbers)}"
    )
