"""flowtuple itself as one of the codecs: training, model, index and all."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.rival import Promise, TableLayout
from flowtuple.codec import coder
from flowtuple.codec.frequencies import intervals
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Context, Parent, RowSet
from flowtuple.lattice.network import probe
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.write_events import write_events

NAME = "flowtuple"


@dataclass(frozen=True)
class Flowtuple:
    """What `compress` and `decompress` do to tables in memory.

    Attributes:
        effort: Of the training.
        threads: Of training and coding.
        model: A compressed file or a model whose flow is taken instead of training one.
        progress: Told of each stage.
    """

    effort: str = "default"
    threads: int = 1
    model: Path | None = None
    progress: Progress = silent
    name: str = NAME
    promise: Promise = "bounded"
    suffix: str = ".ftup"
    requires: tuple[str, str] | None = ("torch", "train")

    def load(self) -> None:
        """Import the trainer and run the compiled kernels once, which loads them or, the first time, compiles them."""
        if self.model is None:
            importlib.import_module("flowtuple.training.train")
            importlib.import_module(
                "torch._dynamo"
            )  # which the first optimiser of a process imports
        probe()
        logits, bins = np.zeros((4, 2), np.int16), Bins(np.array([0]), np.array([7]))
        symbols, levels = bins.symbol(np.arange(4)), bins.level(np.arange(4))
        coded = coder.encode(
            np.arange(4), symbols, *intervals(logits, symbols), bins.starts, bins.spans
        )
        coder.Decoder(coded).take(logits, bins.starts, bins.spans)
        context = Context(lambda key: RowSet(np.array([4])), {"x": "#n"}, {"x": levels})
        context.gather([Parent("previous", "x")], "#n", slice(0, 4))

    def encode(self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path) -> None:
        """One file, every value checked against its bound before it is written."""
        tolerance = {
            f"{layout.name}/{column}": bound
            for layout in layouts
            for column, bound in layout.bounds.items()
        }
        dataset = Dataset("bench", {table.name: table for table in tables})
        with create(path) as writer:
            if self.model is None:
                prepared = with_flows(
                    resolve_tables(dataset, tolerance, self.progress),
                    self.effort,
                    0,
                    self.progress,
                    workers=self.threads,
                )
            else:
                with File(self.model) as trained:
                    prepared = resolve_tables(dataset, tolerance, self.progress, model=trained)
            origin = provenance(self.effort, 0, {})
            write_events(
                writer, prepared, dataset, origin, workers=self.threads, progress=self.progress
            )

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Every event of every table."""
        with File(path, self.threads) as file:
            return [read_all(file.tables[layout.name]) for layout in layouts]

    def overhead(self, path: Path) -> tuple[int, int]:
        with File(path) as file:
            return sum(table.model_bytes for table in file.tables.values()), file.index_size
