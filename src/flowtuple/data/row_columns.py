"""Choice of the columns of rows: those of one collection, or of the events themselves."""

from __future__ import annotations

import glob
from collections.abc import Sequence

from flowtuple.data.globs import matches
from flowtuple.data.schema import Column, infer_role
from flowtuple.data.selection import prefix_errors, select
from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import InvalidArgument, nearest


def choose_columns(
    dataset: Dataset,
    columns: Sequence[str],
    weights: str | None,
    exactly: Sequence[str],
    conditions: Sequence[str] = (),
) -> tuple[TableSource, tuple[Column, ...], tuple[Column, ...]]:
    """Return the table, the columns whose values become rows, and the conditioning columns.

    Args:
        dataset: With one table, or with one that the globs leave.
        columns: Names or globs; none means all numbers but ids and weights.
        weights: Name of the column of weights, which is left out.
        exactly: Names of the columns to take, whatever their roles, places in arrays as `x[0]`; in
            place of `columns`.
        conditions: Names or globs of columns of the same objects, or of their events.

    Raises:
        InvalidArgument: A name or glob matches nothing, or several tables or collections are left.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> events = open_dataset({"Jet_pt": [[50.0, 20.0], []], "Jet_w": [[1.0, 0.5], []]})
        >>> [column.name for column in choose_columns(events, ["Jet_*"], "Jet_w", ())[1]]
        ['Jet_pt']
    """
    selected = select(dataset, escaped(exactly) if exactly else columns)
    candidates = selected.only_table().columns
    table = dataset.tables[next(iter(selected.tables))]
    conditioning = conditioning_columns(table, conditions, dataset.description)
    if exactly:
        names = {name.partition("[")[0] for name in exactly}
        taken = [c for c in candidates if c.name in names]
    else:
        taken = [c for c in candidates if _is_compared(c, weights)]
    taken = [c for c in taken if c not in conditioning]
    chosen = _one_collection(taken, dataset.description)
    check_conditioning(conditioning, chosen[0].counter, dataset.description)
    return table, chosen, conditioning


def escaped(names: Sequence[str]) -> list[str]:
    """Return patterns that match columns of these names only; places of an array are one column."""
    return [
        glob.escape(name) for name in dict.fromkeys(name.partition("[")[0] for name in names)
    ]


def conditioning_columns(
    source: TableSource, patterns: Sequence[str], description: str
) -> tuple[Column, ...]:
    """Return the columns that names or globs match, once each.

    Raises:
        InvalidArgument: One matches nothing.
    """
    visible = {source.name: [c for c in source.columns if not c.is_opaque]}
    with prefix_errors(description):
        hits = [column for pattern in patterns for _, column in matches(pattern, visible)]
    return tuple({column.name: column for column in hits}.values())


def check_conditioning(
    columns: Sequence[Column], counter: str | None, description: str
) -> None:
    """Raise if a conditioning column belongs neither to the rows' own collection nor to events.

    Raises:
        InvalidArgument: One belongs to other objects.
    """
    for column in columns:
        if column.counter not in (None, counter):
            raise InvalidArgument(
                f"{description}: column {column.name!r} is none of the same objects and cannot be "
                "given with them; to learn some objects from others, use `train_simulation()`"
            )


def columns_of_rows(
    names: Sequence[str], dtypes: Sequence[str], counter: str | None = None
) -> tuple[Column, ...]:
    """Return columns of a table for rows of a file or a flow, with the roles that names suggest.

    Args:
        names: Names of the rows' columns.
        dtypes: NumPy names of their types.
        counter: Name of the counter of the objects of an event; `None` where rows are events.

    Example:
        >>> columns = columns_of_rows(["Jet_phi", "Jet_pt"], ["float32", "float32"])
        >>> [column.role for column in columns]
        ['angle', 'value']
    """
    return tuple(
        Column(name, dtype, infer_role(name, dtype), counter=counter)
        for name, dtype in zip(names, dtypes, strict=True)
    )


def _is_compared(column: Column, weights: str | None) -> bool:
    if column.hidden or column.is_opaque or column.role in ("id", "weight"):
        return False
    return column.name != weights


def _one_collection(columns: list[Column], description: str) -> tuple[Column, ...]:
    """Return the columns without the counters of their objects.

    Raises:
        InvalidArgument: None are left, or they belong to different collections.
    """
    counters = {c.counter for c in columns if c.counter is not None}
    columns = [c for c in columns if c.name not in counters]
    if not columns:
        raise InvalidArgument(
            f"{description}: holds no number that could be looked at: widen `columns=`"
        )
    if len({c.counter for c in columns}) > 1:
        collection = next(c.name.partition("_")[0] for c in columns if c.counter is not None)
        raise InvalidArgument(
            f"{description}: holds numbers of events and of their objects: "
            f"take one collection at a time, such as `columns=` '{collection}_*'"
        )
    return tuple(columns)


def weight_column(
    source: TableSource, name: str, counter: str | None, description: str
) -> Column:
    """Return the column of weights of rows: one number for each of them, or for each event.

    Raises:
        InvalidArgument: There is no such column.
    """
    numbers = [c for c in source.columns if c.counter in (None, counter) and not c.is_opaque]
    for column in numbers:
        if column.name == name and not column.shape:
            return column
    names = [c.name for c in numbers if not c.hidden]
    raise InvalidArgument(
        f"{description}: no column of weights {name!r} for these rows; {nearest(name, names)}"
    )
