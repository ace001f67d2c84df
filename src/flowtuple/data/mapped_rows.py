"""All rows of a sample, column by column: in memory, or in a mapped file if they are too large."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowtuple.data.memory import BLOCK, ROWS, entries_within
from flowtuple.data.row_source import RowSource
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.atomic import make_folder

_MOST = 2**18  # events read at a time
_NARROW = 2  # bytes of a whole number up to which float32 represents it


def gather_rows(source: RowSource, memory: int, folder: Path | None = None) -> Rows:
    """Read the rows of all events, a range of events at a time, whatever the number of files.

    The values are float32 if that represents every column exactly. Values that take too much memory
    lie in a file without a name, which is gone with the process, however that ends.

    Args:
        source: Source of the rows.
        memory: Memory limit in bytes.
        folder: Folder of the file; `None` for the system's folder of temporary files.

    Raises:
        InvalidArgument: There is no room for the file.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> from flowtuple.data.row_source import row_source
        >>> jets = open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]]})
        >>> rows = gather_rows(row_source(jets), 2**30)
        >>> rows.values[:, 0].tolist(), rows.event.tolist(), rows.events
        ([50.0, 20.0, 30.0], [0, 0, 2], 3)
    """
    events = source.table.num_entries
    names = [c.name for c in (*source.columns, *source.conditions)]
    step = entries_within(source.table, names, memory // BLOCK, _MOST)
    parts = list(ranges(events, step))
    most = events
    if source.counter is not None:
        most = sum(_objects(source, start, stop) for start, stop in parts)
    none = source.read(0, 0)
    given = none.conditions
    learned, weighted = len(none.columns), none.weights is not None
    dtypes = none.dtypes if given is None else none.dtypes + given.dtypes
    values = _matrix(most, dtypes, memory // ROWS, folder)
    event = np.empty(most, np.int64)
    weights = np.ones(most if weighted else 0)
    count = dropped = 0
    for start, stop in parts:
        part = source.read(start, stop)
        place = slice(count, count + len(part))
        values[place, :learned] = part.values
        values[place, learned:] = part.context
        event[place] = part.event + start
        if part.weights is not None:
            weights[place] = part.weights
        count += len(part)
        dropped += part.dropped

    def filled(rows: Rows, values: Array) -> Rows:
        return replace(rows, values=values[:count], event=event[:count], events=events)

    return replace(
        filled(none, values[:, :learned]),
        weights=weights[:count] if weighted else None,
        dropped=dropped,
        conditions=None if given is None else filled(given, values[:, learned:]),
    )


def _objects(source: RowSource, start: int, stop: int) -> int:
    table = source.table.read([source.columns[0].name], start, stop)
    return int(np.asarray(table.data[source.counter or ""]).sum())


def _matrix(rows: int, dtypes: Sequence[str], nbytes: int, folder: Path | None) -> Array:
    """Return room for values of shape (rows, d), each column in one piece."""
    shape = (len(dtypes), rows)
    dtype = _dtype(dtypes)
    needed = rows * len(dtypes) * dtype.itemsize
    if needed <= nbytes:
        return np.empty(shape, dtype).T
    if folder is not None:
        make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                # a disk that fills up later would end the process
                os.posix_fallocate(file.fileno(), 0, needed)
            return np.asarray(np.memmap(file, dtype, "w+", shape=shape)).T
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise InvalidArgument(
            f"{where}: no room for {needed / 1e9:.1f} GB of rows ({error.strerror}); "
            "name another folder with `checkpoint=`, or allow more `memory=`"
        ) from None


def _dtype(dtypes: Sequence[str]) -> np.dtype[np.floating]:
    kinds = [np.dtype(name) for name in dtypes]
    narrow = all(kind.itemsize <= (4 if kind.kind == "f" else _NARROW) for kind in kinds)
    return np.dtype(np.float32 if narrow else np.float64)
