"""Events into a file, with a model of their own or one that is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowtuple.api.inputs import EVERYTHING, Selection, Tolerance, check_request, read, refuse_rows
from flowtuple.data.memory import MEMORY
from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.io.root_writer import root_outlook
from flowtuple.io.source import Source
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import Written, write_events


@dataclass(frozen=True)
class Compressed:
    """What compressing came to; all sizes in bytes.

    Attributes:
        path: The file written.
        events: Events over all tables.
        values: Values over all columns.
        raw_bytes: The columns at their own types.
        input_bytes: The input on disk, 0 where it has none.
        file_bytes: The file written: chunks, model, index, header and carried objects.
        model_bytes: The model within it.
        warnings: What a person should know.
        left_out: Parts of the input that the file does not hold, because `Selection.drop` allowed it.
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

    @property
    def bits_per_value(self) -> float:
        return 8 * self.file_bytes / self.values if self.values else 0.0


def compress(
    source: Source,
    path: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    model: str | os.PathLike[str] | None = None,
    refer: bool = False,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    memory: int = MEMORY,
    progress: Progress = silent,
) -> Compressed:
    """Write events as one self-contained file in which every value keeps its bound.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        path: Where the file goes, by custom ending in `.ftup`; it appears whole or not at all.
        tolerance: Bound by column name or glob (`{"Jet_*": "rel:1e-3"}`); the last match wins, no match is lossless.
        selection: Part of the input to take.
        given: Names or globs of columns that are not stored, only their hashes: whoever reads the file supplies them.
        effort: `fast`, `default` or `best`: training time for bytes.
        model: A model from `train`, which is embedded; without one a model is trained on this input.
        refer: Keep the hash of `model` only: whoever reads the file needs the model, too.
        seed: The same input, options and seed give the same file on one machine.
        checkpoint: A folder that keeps finished parts of the training; a second run takes up from there, to the same file.
        workers: Threads; `None` for one per core. The file does not depend on it.
        memory: Bytes to keep within; a long input is trained on in part, large events are cut into smaller chunks.
        progress: Told of each stage.

    Raises:
        InvalidArgument: A name, bound or path is not what it should be.
        BoundViolated: A value did not come back within its bound; nothing is written.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
        >>> result = compress({"x": [1.125, 2.75, -999.0]}, path, tolerance={"x": "abs:0.25"})
        >>> ft.decompress(path)["x"].tolist()
        [1.0, 2.75, -999.0]
    """
    check_request(path, effort, seed)
    given = tuple(given)
    if model is None and refer:
        raise InvalidArgument(f"{path}: has no model to refer to; name one with --model")
    if model is not None:
        refuse_rows(model)
    if model is not None and given:
        raise InvalidArgument(
            f"{model}: fixes which columns are given; leave --given to flowtuple train"
        )
    dataset, obstacles = _with_outlook(read(source, selection, given))
    models: dict[str, str] | None = None
    with create(path) as writer:
        if model is None:
            prepared = with_flows(
                resolve_tables(dataset, tolerance or {}, progress, given, memory),
                effort,
                seed,
                progress,
                checkpoint,
                workers,
                memory,
            )
        else:
            with File(model) as trained:
                prepared = resolve_tables(
                    dataset, tolerance or {}, progress, memory=memory, model=trained
                )
                models = (
                    {
                        t.name: t.model_hash
                        for t in trained.tables.values()
                        if t.name in dataset.tables
                    }
                    if refer
                    else None
                )
        origin = provenance(effort, seed, source)
        written = write_events(
            writer,
            prepared,
            dataset,
            origin,
            models=models,
            workers=workers,
            memory=memory,
            progress=progress,
        )
    return compressed(path, dataset, prepared, written, obstacles)


def compressed(
    path: str | os.PathLike[str],
    dataset: Dataset,
    prepared: list[ResolvedTable],
    written: Written,
    warnings: Iterable[str] = (),
) -> Compressed:
    """The outcome of a data set that was written."""
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
    )


def _with_outlook(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The data set, and sentences on the columns of a ROOT input that will not come back to ROOT as they were."""
    return root_outlook(dataset) if dataset.format == ".root" else (dataset, ())
