"""What files of reference methods hold, as tables.

One such file is input wherever `open_input` is: compress, train, snap, bench, verify, report, reference encode. Whatever opens
its input with `open_dataset` (inspect, compare, score, simulate, what is given, lists of files) refuses it and names the way.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flowtuple.api.engines import needs_torch
from flowtuple.benchmark.published.signature import is_reference
from flowtuple.data.row_columns import columns_of_rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table
from flowtuple.io.source import ReadOptions, Source, open_dataset

if TYPE_CHECKING:
    from flowtuple.benchmark.published.stored import Decoded

ROWS = "rows"
"""What the table is called."""


def open_input(source: Source, options: ReadOptions) -> Dataset:
    """As `flowtuple.io.source.open_dataset`, or the file of a reference method."""
    if isinstance(source, (str, os.PathLike)) and is_reference(source):
        return decoded(source)
    return open_dataset(source, options)


def decoded(path: str | os.PathLike[str]) -> Dataset:
    """What a file of a reference method holds, as one table; raises as `decode_rows` does."""
    with needs_torch(f"decoding {os.fspath(path)}"):
        from flowtuple.benchmark.published.stored import read as read_file
    return Dataset(
        os.fspath(path), {ROWS: rows_table(read_file(path))}, nbytes=Path(path).stat().st_size
    )


def rows_table(found: Decoded) -> Table:
    """The rows in the columns' types; objects with the counter that they had."""
    data: dict[str, Array] = {}
    columns = columns_of_rows(found.columns, found.dtypes, found.counter)
    if found.counter is not None:
        data[found.counter] = found.counts
        columns = (
            Column(found.counter, "int64", "counter", hidden=found.counter.startswith("n(")),
            *columns,
        )
    data |= {
        name: found.values[:, k].astype(found.dtypes[k]) for k, name in enumerate(found.columns)
    }
    entries = len(found.values) if found.counter is None else len(found.counts)
    return Table(ROWS, columns, entries, data)
