"""A ROOT file with LZMA at level 9, the smallest of ROOT's own codecs; every byte of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.table_codec import TableCodec, TableLayout
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.io.root import open_dataset
from flowtuple.io.root_writer import write_dataset
from flowtuple.io.source import ReadOptions, WriteOptions

_BASKET = 2**20  # few large baskets, which favours it


@dataclass(frozen=True)
class RootLzma(TableCodec):
    """TTrees as uproot writes them with LZMA, level 9; lossless."""

    def encode(
        self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
    ) -> None:
        """Write one TTree for each table."""
        dataset = Dataset("bench", {table.name: table for table in tables})
        write_dataset(dataset, path, WriteOptions(compression="LZMA:9", step=_BASKET))

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read the TTrees; hidden counters get their old names."""
        dataset = open_dataset(str(path), ReadOptions())
        return [_like(read_all(dataset.table(layout.name)), layout) for layout in layouts]


def _like(stored: Table, layout: TableLayout) -> Table:
    data = {}
    for column in layout.columns:
        counted = next((c.name for c in layout.columns if c.counter == column.name), None)
        name = stored.column(counted).counter if column.hidden and counted else None
        values = np.asarray(stored.data[name or column.name])
        data[column.name] = values.astype(column.dtype, copy=False)
    return layout.table(data)


ROOT_LZMA = RootLzma("root-lzma-9", "lossless", suffix=".root")
