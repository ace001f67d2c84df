"""A ROOT file with LZMA at level 9, the smallest that ROOT itself offers; every byte of the file counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.rival import Promise, TableLayout
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.io.root import open_dataset
from flowtuple.io.root_writer import write_dataset
from flowtuple.io.source import ReadOptions, WriteOptions

_BASKET = 2**20  # few large baskets, which is what favours it


@dataclass(frozen=True)
class RootLzma:
    """TTrees as uproot writes them with LZMA, level 9; lossless."""

    name: str = "root-lzma-9"
    promise: Promise = "lossless"
    suffix: str = ".root"
    requires: tuple[str, str] | None = None

    def load(self) -> None:
        """Nothing is loaded late."""

    def encode(self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path) -> None:
        """One TTree a table."""
        dataset = Dataset("bench", {table.name: table for table in tables})
        write_dataset(dataset, path, WriteOptions(compression="LZMA:9", step=_BASKET))

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """TTrees as they were before; hidden counters under their old names."""
        dataset = open_dataset(str(path), ReadOptions())
        return [_like(read_all(dataset.table(layout.name)), layout) for layout in layouts]

    def overhead(self, path: Path) -> tuple[int, int]:
        return 0, 0


def _like(found: Table, layout: TableLayout) -> Table:
    data = {}
    for column in layout.columns:
        counted = next((c.name for c in layout.columns if c.counter == column.name), None)
        name = found.column(counted).counter if column.hidden and counted else None
        data[column.name] = np.asarray(found.data[name or column.name]).astype(
            column.dtype, copy=False
        )
    return Table(layout.name, layout.columns, layout.num_entries, data)


RIVAL = RootLzma()
