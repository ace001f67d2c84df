"""How many events to hold at a time: enough to be fast, few enough for the memory at hand."""

from __future__ import annotations

from collections.abc import Sequence

from flowtuple.table import TableSource, column_bytes

MEMORY = 2**31  # bytes that compressing and decompressing keep within, however long the input is
BLOCK = 16  # part of it for the events read at a time; decoding and statistics take several times as much
TRAINING = 32  # part of it for the events that a model is trained on, which training holds in many forms
ROWS = 4  # part of it for rows that stay in memory through a training; more of them lie in a file
CHUNK = 64  # part of it for the events of a chunk; each worker holds two, and what coding them takes
LARGEST_CHUNK = 2**27  # bytes of its events, whatever the memory: a chunk of the format holds at most 2^28 values
_PROBED = 512


def entries_within(source: TableSource, columns: Sequence[str], nbytes: int, most: int) -> int:
    """How many events of some columns take about so many bytes, at most `most` and at least 1.

    Small tables are not looked at: they fit. Of others some events at the beginning and in the middle are read.
    """
    if source.num_entries <= 8 * _PROBED:
        return most
    middle = source.num_entries // 2
    parts = [source.read(columns, start, start + _PROBED) for start in (0, middle)]
    largest = max(column_bytes(part, part.columns) for part in parts) / _PROBED
    return int(max(1, min(most, nbytes // max(largest, 1.0))))
