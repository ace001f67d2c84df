"""Events compressed into a file, with a model of their own or a given one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowtuple.api.inputs import (
    EVERYTHING,
    Selection,
    Tolerance,
    bounds_by_glob,
    check_request,
    read,
    refuse_rows,
)
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.io.root_writer import root_outlook
from flowtuple.io.source import Source
from flowtuple.reporting.page import format_bytes, format_number
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import Written, write_events


@dataclass(frozen=True, repr=False)
class Compressed(Shown):
    """Sizes of a compressed file in bytes, with warnings.

    Attributes:
        path: The file written.
        events: Number of events in all tables.
        values: Number of values in all columns.
        raw_bytes: Size of the columns at their own types.
        input_bytes: Size of the input on disk, 0 where it has none.
        file_bytes: Size of the file: chunks, model, index, header and carried objects.
        model_bytes: Size of the model in the file.
        warnings: Notes for the user, one sentence each.
        left_out: Parts of the input that the file lacks, because `Selection.drop` allowed it.
        entries: Number of events by table.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> ft.compress({"x": [1.0, 2.0]}, pathlib.Path(tempfile.mkdtemp()) / "x.ftup").events
        2
    """

    path: str
    events: int
    values: int
    raw_bytes: int
    input_bytes: int
    file_bytes: int
    model_bytes: int
    warnings: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    entries: Mapping[str, int] = field(default_factory=dict)

    @property
    def bits_per_value(self) -> float:
        """Size of the file over the number of values, in bits."""
        return 8 * self.file_bytes / self.values if self.values else 0.0

    @property
    def events_in_words(self) -> str:
        """Events of the largest tree, and entries of the others where there are some."""
        largest = max(self.entries, key=self.entries.__getitem__, default="")
        events = self.entries.get(largest, 0)
        others = f" of {largest} ({self.events - events} of other trees)"
        return f"{events} events{others if len(self.entries) > 1 else ''}"

    def facts(self) -> dict[str, object]:
        """Return path, number of events and sizes."""
        by_table = ", ".join(f"{name}: {n:,}" for name, n in self.entries.items())
        return {
            "path": self.path,
            "events": by_table if len(self.entries) > 1 else f"{self.events:,}",
            "size": format_bytes(self.file_bytes),
            "raw": format_bytes(self.raw_bytes),
            "bits per value": format_number(self.bits_per_value),
            "left out": len(self.left_out),
            "warnings": len(self.warnings),
        }


@accepts_old(model_ref="refer", resources=Resources)
def compress(
    source: Source,
    output: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    model: str | os.PathLike[str] | None = None,
    model_ref: bool = False,
    seed: int = 0,
    resources: Resources = Resources(),
) -> Compressed:
    """Write events as one self-contained file in which every value keeps its bound.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        output: The file to write, usually `NAME.ftup`; it appears whole or not at all.
        tolerance: Bound by column name or glob (`{"Jet_*": "rel:1e-3"}`), or one bound for all
            columns. The last match wins, no match is lossless.
        selection: Part of the input to take.
        given: Names or globs of external columns. The file stores only their hash, and readers
            supply them.
        effort: `fast`, `default` or `best`: training time for bytes.
        model: A model from `train`, which is embedded; without one a model is trained on this
            input.
        model_ref: Store only the hash of `model`. Readers then need the model as well.
        seed: The same input, options and seed give the same file on one machine.
        resources: Threads, memory, progress, and a checkpoint folder to resume from. In a small
            memory a long input is learned in part, and large events are cut into smaller chunks.

    Returns:
        Sizes of the file in bytes, and warnings.

    Raises:
        InvalidArgument: A name, bound or path is wrong.
        BoundViolated: A value did not come back within its bound; nothing is written.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
        >>> result = ft.compress({"x": [1.125, 2.75, -999.0]}, path, tolerance={"x": "abs:0.25"})
        >>> ft.decompress(path)["x"].tolist()
        [1.0, 2.75, -999.0]
    """
    check_request(output, effort, seed)
    given = tuple(given)
    if model is None and model_ref:
        raise InvalidArgument(f"{output}: has no model to refer to; name one with `model=`")
    if model is not None:
        refuse_rows(model)
    if model is not None and given:
        raise InvalidArgument(
            f"{model}: fixes which columns are given; leave `given=` to `train()`"
        )
    bounds = bounds_by_glob(tolerance)
    dataset, obstacles = _with_outlook(read(source, selection, given))
    models: dict[str, str] | None = None
    with create(output) as writer:
        if model is None:
            prepared = with_flows(
                resolve_tables(dataset, bounds, resources.progress, given, resources.memory),
                effort,
                seed,
                resources,
            )
        else:
            with File(model) as trained:
                prepared = resolve_tables(
                    dataset,
                    bounds,
                    resources.progress,
                    memory=resources.memory,
                    model=trained,
                )
                hashes = {name: table.model_hash for name, table in trained.tables.items()}
            if model_ref:
                models = {name: hashes[name] for name in hashes if name in dataset.tables}
        origin = provenance(effort, seed, source)
        written = write_events(
            writer,
            prepared,
            dataset,
            origin,
            models=models,
            resources=resources,
        )
    return compressed(output, dataset, prepared, written, obstacles)


def compressed(
    path: str | os.PathLike[str],
    dataset: Dataset,
    prepared: list[ResolvedTable],
    written: Written,
    warnings: Iterable[str] = (),
) -> Compressed:
    """Return the sizes of a data set that was written."""
    return Compressed(
        path=os.fspath(path),
        events=sum(p.source.num_entries for p in prepared),
        values=written.values,
        raw_bytes=written.raw_bytes,
        input_bytes=dataset.nbytes,
        file_bytes=Path(path).stat().st_size,
        model_bytes=written.model_bytes,
        warnings=(*warnings, *(w for p in prepared for w in p.warnings)),
        left_out=dataset.left_out,
        entries={p.source.name: p.source.num_entries for p in prepared},
    )


def _with_outlook(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """Return the data set, with notes on columns that change on the way back to ROOT."""
    return root_outlook(dataset) if dataset.format == ".root" else (dataset, ())
