"""Files of reference methods as an input format: one table of the decoded rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtuple.data.rows import columns_of_rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import size_of
from flowtuple.runtime.extras import require_torch

if TYPE_CHECKING:
    from flowtuple.benchmark.published.stored import Decoded

ROWS = "rows"
"""Name of the table."""


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """Decode the file of a reference method, as a data set with one table.

    Args:
        path: A local path.
        options: Without effect, since the file names its columns.

    Raises:
        InvalidArgument, Corrupt, Truncated, TooNew, Unsupported: As `stored.read` does.
        MissingExtra: PyTorch is not installed.
    """
    require_torch(f"decoding {path}")
    from flowtuple.benchmark.published.stored import read

    table = rows_table(read(path))
    return Dataset(path, {ROWS: table}, nbytes=size_of(path))


def rows_table(decoded: Decoded) -> Table:
    """Return decoded rows in the columns' own types; objects come with their counter."""
    data: dict[str, Array] = {}
    columns = columns_of_rows(decoded.columns, decoded.dtypes, decoded.counter)
    entries = len(decoded.values)
    if decoded.counter is not None:
        is_hidden = decoded.counter.startswith("n(")
        columns = (Column(decoded.counter, "int64", "counter", hidden=is_hidden), *columns)
        data[decoded.counter] = decoded.counts
        entries = len(decoded.counts)
    for k, name in enumerate(decoded.columns):
        data[name] = decoded.values[:, k].astype(decoded.dtypes[k])
    return Table(ROWS, columns, entries, data)
