"""Columns that often hold the same value, brought onto one grid: a copy on another grid would leave residuals.

Only `std` bounds are tied, since only they depend on the data; a tied bound is tighter than the one asked for, never wider.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import TableSource
from flowtuple.lattice.context import collection_of

_ROWS = 2048
_EVENTS = 4096
_SHARE = 0.3  # of the rows where it is not zero, that a column has to share with the other
_WIDEST = 2.0  # ratio of bounds up to which a tighter one is worth it


def tie(source: TableSource, bounds: Mapping[str, Bound]) -> dict[str, Bound]:
    """Tighter `abs` bounds for some of the columns, by name.

    Args:
        source: The table; its first events are looked at.
        bounds: The `abs` bounds that `std` bounds came to, by column name.
    """
    groups: dict[str, list[Column]] = {}
    for column in source.columns:
        if column.name in bounds and column.is_float:
            groups.setdefault(collection_of(column), []).append(column)
    groups = {key: columns for key, columns in groups.items() if len(columns) > 1}
    if not groups:
        return {}
    table = source.read([c.name for columns in groups.values() for c in columns], 0, _EVENTS)
    tied: dict[str, Bound] = {}
    for columns in groups.values():
        with np.errstate(invalid="ignore"):  # signalling NaNs
            rows = np.stack(
                [table.data[c.name].reshape(-1)[:_ROWS].astype(np.float64) for c in columns]
            )
        tied |= _tie_rows([c.name for c in columns], rows, bounds)
    return tied


def _tie_rows(names: list[str], rows: Array, bounds: Mapping[str, Bound]) -> dict[str, Bound]:
    """From the tightest bound upwards, so that chains of copies end on one grid."""
    tied: dict[str, Bound] = {}
    amounts = [bounds[name].amount for name in names]
    for k in np.argsort(amounts, kind="stable"):
        nonzero = max(1, int(np.count_nonzero(rows[k])))
        shared = ((rows == rows[k]) & (rows[k] != 0)).sum(axis=1) >= max(_SHARE * nonzero, 1)
        for other in np.flatnonzero(shared):
            own = tied.get(names[k], bounds[names[k]])
            if (
                other != k
                and names[other] not in tied
                and own.amount < amounts[other] <= _WIDEST * own.amount
            ):
                tied[names[other]] = own
    return tied
