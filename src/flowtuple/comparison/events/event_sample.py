"""A sample whose rows are events, read from a data set: features of events, and objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.events.features import event_features
from flowtuple.comparison.events.objects import Objects
from flowtuple.data.collections import find_collections
from flowtuple.data.event_weights import check_column, check_finite
from flowtuple.data.expressions import calculate, cut_columns
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, Table
from flowtuple.errors import InvalidArgument

MOST_FEATURES = 600
_LEFT_OUT = ("id", "weight")
_ABSENT = (
    0.5  # of the width of a column: how far below it the value of absent objects lies
)


@dataclass(frozen=True, eq=False)
class EventSample:
    """Events of one sample.

    Attributes:
        rows: One row an event, its numbers as columns, NaN where an event has too few objects.
        objects: Objects of each collection.
        columns: Columns of events that are no features, by name.
        left_out: Features beyond the first 600, which are not compared.
    """

    rows: Rows
    objects: tuple[Objects, ...]
    columns: Mapping[str, Array]
    left_out: int = 0


def has_collections(dataset: Dataset, columns: Sequence[str] = ()) -> bool:
    """Return whether the globs leave columns of objects in a data set of one table.

    Raises:
        InvalidArgument: A name or glob matches nothing, or several tables are left.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> has_collections(open_dataset({"Jet_pt": [[50.0], []]}))
        True
    """
    table = select(dataset, columns).only_table()
    return any(c.counter is not None and not c.is_opaque for c in table.columns)


def read_events(
    dataset: Dataset,
    columns: Sequence[str] = (),
    weights: str | None = None,
    features: Sequence[str] = (),
) -> EventSample:
    """Read events as rows of numbers, as `features.event_features` defines them.

    Args:
        dataset: With one table, or with one that the globs leave.
        columns: Names or globs of the columns that the numbers are made of; none means all.
        weights: Name of the event column of weights.
        features: Further numbers as `NAME=EXPRESSION`. An expression of the columns of one
            collection is another column of its objects; any other is a number of events.

    Raises:
        InvalidArgument: A name or glob matches nothing, several tables are left, or an expression
            cannot be read.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> jets = open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]]})
        >>> sample = read_events(jets, features=["Jet_share=Jet_pt / 100", "n2=nJet * nJet"])
        >>> sample.rows.columns[:4]
        ('nJet', 'Jet1_pt', 'Jet1_share', 'Jet2_pt')
        >>> float(sample.rows.values[0, -1])
        4.0
    """
    source = select(dataset, columns).only_table()
    whole = dataset.tables[source.name]
    wanted = [c for c in source.columns if _is_number(c, weights)]
    if weights is not None:
        check_column(dataset.description, weights, whole.columns)
    read = [c.name for c in wanted] + ([] if weights is None else [weights])
    table = whole.read(list(dict.fromkeys(read)), 0, whole.num_entries)
    where = dataset.description
    of_events, of_objects = _split_features(features, wanted, where)
    objects = _objects(wanted, table, of_objects, where)
    scalars = _scalars(wanted, table)
    whole_events = event_features(scalars, objects)
    for name, expression in of_events.items():
        whole_events[name] = calculate(expression, whole_events, where)
    if not whole_events:
        raise InvalidArgument(
            f"{where}: holds no number that could be looked at: widen `columns=`"
        )
    own = {name: whole_events.pop(name) for name in of_events}
    kept = dict(list(whole_events.items())[: MOST_FEATURES - len(own)]) | own
    left_out = len(whole_events) + len(own) - len(kept)
    values = np.stack(list(kept.values()), axis=1)
    rows = Rows(
        where,
        tuple(kept),
        np.where(np.isfinite(values), values, np.nan),
        np.arange(len(values)),
        len(values),
        _weights(table, weights, where),
        dtypes=("float64",) * len(kept),
    )
    return EventSample(rows, tuple(objects), scalars, left_out)


def fill_absent(samples: Sequence[Rows]) -> list[Rows]:
    """Return samples with a number for absent objects, the same in all.

    It lies below all others of its column by half the width of the central 98 %, so that tests of
    numbers see how often objects are absent.

    Example:
        >>> a = Rows("a", ("x",), np.array([[1.0], [np.nan], [3.0]]), np.arange(3), 3)
        >>> [bool(rows.values[1, 0] < 1) for rows in fill_absent([a, a])]
        [True, True]
    """
    pooled = np.concatenate([sample.values for sample in samples])
    fill = np.zeros(pooled.shape[1])
    for k, column in enumerate(pooled.T):
        there = column[np.isfinite(column)]
        if len(there):
            low, high = np.quantile(there, [0.01, 0.99])
            fill[k] = there.min() - (_ABSENT * (high - low) or 1.0)
    return [
        replace(s, values=np.where(np.isfinite(s.values), s.values, fill))
        for s in samples
    ]


def _is_number(column: Column, weights: str | None) -> bool:
    if column.is_opaque or column.role in _LEFT_OUT or column.name == weights:
        return False
    return not (column.shape and column.counter is not None)


def _split_features(
    features: Sequence[str], columns: Sequence[Column], where: str
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return expressions by name: those of events, and by counter those of objects.

    Raises:
        InvalidArgument: A feature is not written as `NAME=EXPRESSION`.
    """
    counters = {c.name: c.counter for c in columns if c.counter is not None}
    of_events: dict[str, str] = {}
    of_objects: dict[str, dict[str, str]] = {}
    for feature in features:
        name, equals, expression = (part.strip() for part in feature.partition("="))
        if not equals or not name.isidentifier() or expression.startswith("="):
            raise InvalidArgument(
                f"{where}: the feature {feature!r} is not NAME=EXPRESSION, "
                "such as 'Jet_share=Jet_mass / Jet_pt'"
            )
        used = {counters.get(column) for column in cut_columns(expression)}
        if len(used) == 1 and (counter := used.pop()) is not None:
            of_objects.setdefault(counter, {})[name] = expression
        else:
            of_events[name] = expression
    return of_events, of_objects


def _objects(
    columns: Sequence[Column],
    table: Table,
    expressions: Mapping[str, Mapping[str, str]],
    where: str,
) -> list[Objects]:
    out = []
    for collection in find_collections(c for c in columns if not c.shape):
        objects = Objects.of(collection, table)
        values, roles = dict(objects.columns), dict(objects.roles)
        for name, expression in expressions.get(collection.counter, {}).items():
            values[name], roles[name] = calculate(expression, values, where), "value"
        out.append(replace(objects, columns=values, roles=roles))
    return out


def _scalars(columns: Sequence[Column], table: Table) -> dict[str, Array]:
    """Return the numbers of events as float64; a fixed array is as many as it has places."""
    counters = {c.counter for c in columns}
    out = {}
    for column in columns:
        if column.counter is not None or column.name in counters or column.hidden:
            continue
        content = np.asarray(table.data[column.name], np.float64)
        if not column.shape:
            out[column.name] = content
            continue
        for k, values in enumerate(content.reshape(len(content), -1).T):
            out[f"{column.name}[{k}]"] = values
    return out


def _weights(table: Table, name: str | None, where: str) -> Array | None:
    if name is None:
        return None
    return check_finite(np.asarray(table.data[name], np.float64), where, name)
