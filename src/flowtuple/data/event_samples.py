"""Small samples of the events of a table, from several places of it."""

from __future__ import annotations

from collections.abc import Sequence

from flowtuple.data.table import Table, TableSource, concatenate

EVENTS = 5000
_BLOCKS = 5


def sample_events(
    source: TableSource, columns: Sequence[str], events: int = EVENTS
) -> Table:
    """Return events of some columns, in blocks that are spread over the table.

    Args:
        source: The table.
        columns: Names of the columns; their counters come with them.
        events: Largest number of events.

    Example:
        >>> import numpy as np
        >>> from flowtuple.data.schema import Column
        >>> table = Table("t", (Column("x", "int64"),), 100, {"x": np.arange(100)})
        >>> sample_events(table, ["x"], 10)["x"].tolist()
        [0, 1, 24, 25, 49, 50, 73, 74, 98, 99]
    """
    total = source.num_entries
    if total <= events:
        return source.read(columns, 0, total)
    step = max(1, events // _BLOCKS)
    starts = [k * (total - step) // (_BLOCKS - 1) for k in range(_BLOCKS)]
    return concatenate([source.read(columns, start, start + step) for start in starts])
