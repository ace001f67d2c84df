"""Shares of the memory limit, and numbers of events that fit into them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from flowtuple.data.table import TableSource, column_bytes, with_counters
from flowtuple.errors import TooLarge

MEMORY = 2**31  # default limit in bytes, however long the input is

# Each share of the limit is 1 part in this many.
BLOCK = 16  # events read at a time; decoding and statistics take several times as much
TRAINING = 32  # events that a model is trained on, which training has in many forms
ROWS = 4  # rows that stay in memory through a training; more of them lie in a file
CHUNK = 64  # events of a chunk; each worker has two, and the arrays of coding them
DESCRIBED = 64  # the description of a file, whose objects take many times its text
MODEL = 16  # the models of a file, whose networks take some times their bytes

# bytes of its events: a chunk of the format has at most 2^28 values
LARGEST_CHUNK = 2**27
_PROBED = 512


def entries_within(
    source: TableSource, columns: Sequence[str], nbytes: int, most: int
) -> int:
    """Return the number of events, from 1 to `most`, of which some columns take about `nbytes`.

    The schema and the counters tell it for small tables, the schema alone for tables whose events
    have equal sizes. Of others, some events at the beginning and in the middle are read.
    """
    chosen = with_counters(source.columns, columns)
    is_flat = not any(c.is_opaque or c.counter is not None for c in chosen)
    if is_flat or source.num_entries <= 8 * _PROBED:
        least = max(_least_bytes(source, columns), 1)
        return max(1, min(most, nbytes * max(source.num_entries, 1) // least))
    middle = source.num_entries // 2
    parts = [source.read(columns, start, start + _PROBED) for start in (0, middle)]
    largest = max(column_bytes(part, part.columns) for part in parts) / _PROBED
    return int(max(1, min(most, nbytes // max(largest, 1.0))))


def _least_bytes(source: TableSource, columns: Sequence[str]) -> int:
    """Return the bytes of all events of some columns, opaque columns left out."""
    numbers = [c for c in with_counters(source.columns, columns) if not c.is_opaque]
    counters = list(dict.fromkeys(c.counter for c in numbers if c.counter is not None))
    objects = {}
    if counters:
        table = source.read(counters, 0, source.num_entries)
        objects = {name: int(table.data[name].sum(dtype="int64")) for name in counters}
    total = 0
    for column in numbers:
        values = source.num_entries * math.prod(column.shape)
        if column.counter is not None:
            values = objects[column.counter]
        total += values * np.dtype(column.dtype).itemsize
    return total


def in_words(nbytes: int) -> str:
    """Return a number of bytes as a person writes it for `--memory`.

    Example:
        >>> in_words(2**31), in_words(3 * 10**8)
        ('2.1GB', '300MB')
    """
    return f"{nbytes / 1e9:.1f}GB" if nbytes >= 10**9 else f"{-(-nbytes // 10**6)}MB"


class Gate:
    """Memory that threads share: each takes its part before it allocates, and waits for room.

    Attributes:
        limit: Bytes of all threads together.

    Example:
        >>> gate = Gate(100)
        >>> with gate.share() as take:
        ...     take(60)
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._changed = threading.Condition()

    def check(self, nbytes: int) -> None:
        """Raise if so many bytes are more than the limit.

        Raises:
            TooLarge: They are more.
        """
        if nbytes > self.limit:
            raise TooLarge(
                f"takes {in_words(nbytes)} once it is decoded, "
                f"more than the memory limit of {in_words(self.limit)}; read less of it at a time, "
                "or allow more with `memory=` if you trust the file"
            )

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes, called at most once; the block's end frees them."""
        taken = 0

        def take(nbytes: int) -> None:
            nonlocal taken
            self.check(nbytes)
            with self._changed:
                self._changed.wait_for(lambda: self._free >= nbytes)
                self._free -= nbytes
                taken = nbytes

        try:
            yield take
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()
