"""An observable of each event of a sample, with the events' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.events.event_sample import has_collections, read_events
from flowtuple.data.event_weights import check_column, check_finite, check_sum
from flowtuple.data.expressions import calculate, cut_columns
from flowtuple.data.schema import Array
from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import InvalidArgument, nearest

_FEATURE = "limits_observable"


@dataclass(frozen=True, eq=False)
class Observable:
    """A number of each event in one sample.

    Attributes:
        source: Name of the sample in messages.
        values: float64, shape (n,); NaN where it is not defined.
        weights: float64, shape (n,); `None` for weights of 1.

    Example:
        >>> Observable("b.root", np.array([1.0, 2.0])).total
        2.0
    """

    source: str
    values: Array
    weights: Array | None = None

    @property
    def weight(self) -> Array:
        """Weight of each event, 1 where there are none."""
        return np.ones(len(self.values)) if self.weights is None else self.weights

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.weight.sum())

    def some(self, chosen: Array) -> Observable:
        """Return some of the events, by their numbers or by a mask."""
        weights = None if self.weights is None else self.weights[chosen]
        return replace(self, values=self.values[chosen], weights=weights)


def read_observable(
    dataset: Dataset, expression: str, weight: str | None = None
) -> Observable:
    """Read an observable.

    Args:
        dataset: With one table.
        expression: Columns of events, or numbers of events made of collections, as in
            `read_events`; with numbers, `+ - * /` and functions, as in `calculate`.
        weight: Name of the event column of weights.

    Raises:
        InvalidArgument: The expression cannot be read, names nothing or names objects, or the
            weights cannot be used.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> jets = open_dataset({"Jet_pt": [[50.0, 20.0], [30.0]], "w": [1.0, 2.0]})
        >>> read_observable(jets, "Jet1_pt / 10", "w").values.tolist()
        [5.0, 3.0]
    """
    where, table = dataset.description, dataset.only_table()
    if weight is not None:
        check_column(where, weight, table.columns)
    names = cut_columns(expression)
    numbers = {c.name for c in table.columns if c.is_event_number}
    if names <= numbers or not has_collections(dataset):
        read = _columns(table, sorted(names & numbers))
        offered = dict.fromkeys(sorted(numbers), np.empty(0)) | read
        values = calculate(expression, offered, where)
    else:
        values = _of_objects(dataset, expression)
    weights = None
    if weight is not None:
        weights = check_finite(_columns(table, [weight])[weight], where, weight)
        check_sum(weights, where, weight)
    return Observable(where, values, weights)


def _columns(table: TableSource, names: Sequence[str]) -> dict[str, Array]:
    data = table.read(list(names), 0, table.num_entries).data if names else {}
    return {name: np.asarray(data[name], np.float64) for name in names}


def _of_objects(dataset: Dataset, expression: str) -> Array:
    """Return a number of events that is made of the objects of collections."""
    rows = read_events(dataset, features=[f"{_FEATURE}={expression}"]).rows
    if _FEATURE in rows.columns:
        return np.asarray(rows.values[:, rows.columns.index(_FEATURE)])
    first = next(iter(sorted(cut_columns(expression))))
    raise InvalidArgument(
        f"{dataset.description}: the observable {expression!r} has a number for each object; "
        f"take one for each event; {nearest(first, rows.columns)}"
    )
