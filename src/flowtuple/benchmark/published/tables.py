"""Files of reference methods as an input format: one table of the decoded rows."""

from __future__ import annotations

import numpy as np

from flowtuple.benchmark.published.layout import read_parts
from flowtuple.data.rows import Rows, columns_of_rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import size_of
from flowtuple.runtime.extras import require_torch

ROWS = "rows"
"""Name of the table."""


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """Decode the file of a reference method, as a data set with one table.

    Args:
        path: A local path.
        options: Without effect, since the file names its columns.

    Raises:
        InvalidArgument, Corrupt, Truncated, TooNew: As `read_parts` does.
        Unsupported: It has residuals, and this machine's arithmetic is not the writer's.
        MissingExtra: PyTorch is not installed.
    """
    require_torch(f"decoding {path}")
    from flowtuple.benchmark.published.stored import decode

    table = rows_table(decode(read_parts(path)))
    return Dataset(path, {ROWS: table}, nbytes=size_of(path))


def rows_table(rows: Rows) -> Table:
    """Return rows in the columns' own types; objects come with their counter."""
    data: dict[str, Array] = {}
    columns = columns_of_rows(rows.columns, rows.dtypes, rows.counter)
    if rows.counter is not None:
        is_hidden = rows.counter.startswith("n(")
        columns = (Column(rows.counter, "int64", "counter", hidden=is_hidden), *columns)
        data[rows.counter] = np.bincount(rows.event, minlength=rows.events)
    for name, values, dtype in zip(rows.columns, rows.values.T, rows.dtypes, strict=True):
        data[name] = values.astype(dtype)
    return Table(ROWS, columns, rows.events, data)
