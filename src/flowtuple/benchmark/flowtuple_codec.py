"""flowtuple itself as one of the codecs: training, model, index and all."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.table_codec import (
    Promise,
    Settings,
    TableCodec,
    TableLayout,
)
from flowtuple.codec import coder
from flowtuple.codec.frequencies import intervals
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Context, Parent
from flowtuple.lattice.network import probe
from flowtuple.lattice.rows import RowSet
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.write_events import write_events

NAME = "flowtuple"


@dataclass(frozen=True)
class Flowtuple(TableCodec):
    """`compress` and `decompress` of tables in memory, with a model trained or taken."""

    name: str = NAME
    promise: Promise = "bounded"
    suffix: str = field(default=".ftup", kw_only=True)
    requires: tuple[str, str] | None = field(default=("torch", "train"), kw_only=True)
    settings: Settings = field(default_factory=Settings, kw_only=True)

    def load(self) -> None:
        """Import the trainer and run the compiled kernels once, which loads or compiles them."""
        if self.settings.model is None:
            importlib.import_module("flowtuple.training.train")
            # which the first optimiser of a process imports
            importlib.import_module("torch._dynamo")
        probe()
        logits, bins = np.zeros((4, 2), np.int16), Bins(np.array([0]), np.array([7]))
        symbols, levels = bins.symbol(np.arange(4)), bins.level(np.arange(4))
        coded = coder.encode(
            np.arange(4), symbols, *intervals(logits, symbols), bins.starts, bins.spans
        )
        coder.Decoder(coded).take(logits, bins.starts, bins.spans)
        context = Context(lambda key: RowSet(np.array([4])), {"x": "#n"}, {"x": levels})
        context.gather([Parent("previous", "x")], "#n", slice(0, 4))

    def encode(
        self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
    ) -> None:
        """Write one file; every value is checked against its bound before."""
        settings, progress = self.settings, self.settings.progress
        tolerance = {
            f"{layout.name}/{column}": bound
            for layout in layouts
            for column, bound in layout.bounds.items()
        }
        dataset = Dataset("bench", {table.name: table for table in tables})
        resources = Resources(settings.threads, progress=progress)
        with create(path) as writer:
            if settings.model is None:
                resolved = resolve_tables(dataset, tolerance, progress)
                prepared = with_flows(resolved, settings.effort, 0, resources)
            else:
                with File(settings.model) as trained:
                    prepared = resolve_tables(dataset, tolerance, progress, model=trained)
            origin = provenance(settings.effort, 0, {})
            write_events(writer, prepared, dataset, origin, resources=resources)

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read every event of every table."""
        with File(path, resources=Resources(self.settings.threads)) as file:
            return [read_all(file.tables[layout.name]) for layout in layouts]

    def overhead(self, path: Path) -> tuple[int, int]:
        with File(path) as file:
            return sum(
                table.model_bytes for table in file.tables.values()
            ), file.index_size
