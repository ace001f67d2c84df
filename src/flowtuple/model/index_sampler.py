"""How an index is chosen from a distribution: at random, or as a latent row says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import TableSource
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.context import RowSet
from flowtuple.model.draw import column_key, draw, locate


@dataclass(frozen=True, eq=False)
class Distribution:
    """What a conditioner says of some rows: see `flowtuple.model.draw.draw`."""

    logits: Array
    starts: Array
    spans: Array
    banned: Array


Pick: TypeAlias = Callable[[str, Distribution, RowSet, slice, int], Array]
"""Indices of some rows, from the column, their distributions, all rows of its collection, which of them, and the number of
the first event."""


def at_random(seed: int, table: str) -> Pick:
    """The same for a seed and a table's name, whatever events are drawn together.

    Args:
        seed: From 0 to 2^63 - 1.
        table: Its name; a seed gives other events under another one.
    """

    def pick(column: str, found: Distribution, rows: RowSet, part: slice, first: int) -> Array:
        key, event = column_key(seed, table, column), rows.event[part] + first
        return draw(
            found.logits, found.starts, found.spans, found.banned, key, event, rows.number[part]
        )

    return pick


def from_latent(latent: TableSource) -> Pick:
    """Those whose place in their distributions a latent table tells.

    Args:
        latent: Columns of numbers from 0 to 1, with the counters and as many events.

    Raises:
        InvalidArgument: Where it is called: a number is not from 0 to 1.
    """

    def pick(column: str, found: Distribution, rows: RowSet, part: slice, first: int) -> Array:
        events = latent.read([column], first, first + len(rows.counts))
        u = rows.sort(np.asarray(events.data[column], np.float64).reshape(-1))[part]
        if not ((u >= 0) & (u < 1)).all():
            raise InvalidArgument(
                f"column {column!r}: a latent value is not from 0 to 1, as of a value off the model's lattice"
            )
        return locate(found.logits, found.starts, found.spans, found.banned, u)

    return pick
