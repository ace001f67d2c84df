"""How many events to hold at a time: enough to be fast, few enough for the memory at hand."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from flowtuple.data.table import TableSource, column_bytes, with_counters
from flowtuple.errors import TooLarge

BLOCK = 16  # part of it for the events read at a time; decoding and statistics take several times as much
TRAINING = (
    32  # part of it for the events that a model is trained on, which training holds in many forms
)
ROWS = 4  # part of it for rows that stay in memory through a training; more of them lie in a file
CHUNK = (
    64  # part of it for the events of a chunk; each worker holds two, and what coding them takes
)
LARGEST_CHUNK = (
    2**27
)  # bytes of its events, whatever the memory: a chunk of the format holds at most 2^28 values
DESCRIBED = 64  # part of it for the description of a file, whose objects take many times its text
MODEL = 16  # part of it for the models of a file, whose networks take some times their bytes
_PROBED = 512


def entries_within(source: TableSource, columns: Sequence[str], nbytes: int, most: int) -> int:
    """How many events of some columns take about so many bytes, at most `most` and at least 1.

    Of small tables the schema and the counters are looked at alone. Of others some events at the beginning and in the middle
    are read.
    """
    if source.num_entries <= 8 * _PROBED:
        return int(
            max(
                1,
                min(
                    most,
                    nbytes * max(source.num_entries, 1) // max(_least_bytes(source, columns), 1),
                ),
            )
        )
    middle = source.num_entries // 2
    parts = [source.read(columns, start, start + _PROBED) for start in (0, middle)]
    largest = max(column_bytes(part, part.columns) for part in parts) / _PROBED
    return int(max(1, min(most, nbytes // max(largest, 1.0))))


def _least_bytes(source: TableSource, columns: Sequence[str]) -> int:
    """Bytes of all events of some columns, without those of opaque ones."""
    numbers = [c for c in with_counters(source.columns, columns) if not c.is_opaque]
    counted = [c for c in numbers if c.counter is not None]
    table = source.read(
        list(dict.fromkeys(c.counter for c in counted if c.counter)), 0, source.num_entries
    )
    objects = {
        name: int(table.data[name].sum(dtype="int64"))
        for name in {c.counter for c in counted if c.counter}
    }
    return sum(
        np.dtype(c.dtype).itemsize
        * (objects[c.counter] if c.counter else source.num_entries * math.prod(c.shape))
        for c in numbers
    )


def in_words(nbytes: int) -> str:
    """Bytes as a person writes them for `--memory`.

    Example:
        >>> in_words(2**31), in_words(3 * 10**8)
        ('2.1GB', '300MB')
    """
    return f"{nbytes / 1e9:.1f}GB" if nbytes >= 10**9 else f"{-(-nbytes // 10**6)}MB"


class Gate:
    """Memory that threads share: each takes its part before it allocates, and waits until there is room.

    Attributes:
        limit: Bytes of all together.

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
        """Refuse what all of the memory has no room for.

        Raises:
            TooLarge: It is more.
        """
        if nbytes > self.limit:
            raise TooLarge(
                f"takes {in_words(nbytes)} once it is decoded, more than the {in_words(self.limit)} that memory is kept "
                "within; read less of it at a time, or allow more with --memory (memory=) if you trust the file"
            )

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """A function that takes so many bytes, called at most once; they are given back in the end."""
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
