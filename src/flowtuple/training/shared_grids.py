"""Shared grids for columns that often hold the same value: copies then leave no residuals.

Only statistical bounds, such as `std`, change, because only they depend on the data. A bound
becomes tighter and never wider.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import TableSource
from flowtuple.lattice.context import collection_of

_ROWS = 2048
_EVENTS = 4096
_SHARE = 0.3  # of a column's nonzero rows that must equal those of the other
_WIDEST = 2.0  # largest ratio of bounds at which the tighter one is worth its bits


def tie(source: TableSource, bounds: Mapping[str, Bound]) -> dict[str, Bound]:
    """Return tighter `abs` bounds for some of the columns, by name.

    Args:
        source: The table; its first events are compared.
        bounds: `abs` bounds resolved from statistical ones, by column name.
    """
    by_collection = defaultdict[str, list[Column]](list)
    for column in source.columns:
        if column.name in bounds and column.is_float:
            by_collection[collection_of(column)].append(column)
    groups = [
        [c.name for c in columns]
        for columns in by_collection.values()
        if len(columns) > 1
    ]
    if not groups:
        return {}
    table = source.read([name for names in groups for name in names], 0, _EVENTS)
    tied: dict[str, Bound] = {}
    for names in groups:
        with np.errstate(invalid="ignore"):  # signalling NaNs
            rows = np.stack(
                [
                    table.data[name].reshape(-1)[:_ROWS].astype(np.float64)
                    for name in names
                ]
            )
        tied |= _tie_rows(names, rows, bounds)
    return tied


def _tie_rows(
    names: list[str], rows: Array, bounds: Mapping[str, Bound]
) -> dict[str, Bound]:
    """Tie the columns of one collection, whose values have shape (columns, rows)."""
    tied: dict[str, Bound] = {}
    amounts = [bounds[name].amount for name in names]
    # The tightest bound comes first, so that a chain of copies ends on one grid.
    for k in np.argsort(amounts, kind="stable"):
        own = tied.get(names[k], bounds[names[k]])
        nonzero = max(1, int(np.count_nonzero(rows[k])))
        shared = ((rows == rows[k]) & (rows[k] != 0)).sum(axis=1) >= max(
            _SHARE * nonzero, 1
        )
        for other in np.flatnonzero(shared):
            wider = own.amount < amounts[other] <= _WIDEST * own.amount
            if other != k and names[other] not in tied and wider:
                tied[names[other]] = replace(bounds[names[other]], amount=own.amount)
    return tied
