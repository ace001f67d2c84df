"""A file coded again to other bounds, and what these come to on top of the ones it had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from flowtuple.assemble import write_events
from flowtuple.budget import MEMORY
from flowtuple.container.file import File
from flowtuple.container.stored import StoredTable
from flowtuple.container.writer import create
from flowtuple.errors import InvalidArgument
from flowtuple.events.source import Source, open_dataset
from flowtuple.fitting import with_flows
from flowtuple.prepare import prepare
from flowtuple.progress import Progress, silent
from flowtuple.provenance import provenance
from flowtuple.schema import Bound, asked_bounds
from flowtuple.workflow.compressing import Compressed, compressed
from flowtuple.workflow.request import Tolerance, check_request


@dataclass(frozen=True)
class Recompressed:
    """What coding a file again came to.

    Attributes:
        result: Sizes and warnings.
        bounds: For each column that moved once more, as `TABLE/COLUMN`, how far it may now lie from its original.
    """

    result: Compressed
    bounds: dict[str, str]


def recompress(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    effort: str = "default",
    given: Source | None = None,
    model: str | os.PathLike[str] | None = None,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    memory: int = MEMORY,
    progress: Progress = silent,
) -> Recompressed:
    """Compress a file's events again; a new bound adds to the one that its values already kept.

    Columns that no pattern matches, or whose bound is asked for as before, keep their values bit for bit.

    Args:
        path: A flowtuple file or URL.
        output: The file to write.
        tolerance: Bound by column name or glob; the last match wins.
        effort: `fast`, `default` or `best`.
        given: Has the columns that were given when the file was compressed, if any were; they stay given.
        model: The model that the file refers to, if it does.
        seed: The same input, options and seed give the same file on one machine.
        checkpoint: A folder that keeps finished parts of the training.
        workers: Threads; `None` for one per core. The file does not depend on it.
        memory: Bytes to keep within.
        progress: Told of each stage.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> first = ft.compress({"x": [1.1, 2.7, 3.2]}, folder / "fine.ftup", tolerance={"x": "abs:0.125"})
        >>> ft.recompress(folder / "fine.ftup", folder / "coarse.ftup", tolerance={"x": "abs:0.25"}).bounds
        {'events/x': 'abs:0.375'}
    """
    check_request(output, effort, seed)
    with (
        File(path, workers, given=None if given is None else open_dataset(given), model=model) as file,
        create(output) as writer,
    ):
        if file.is_model:
            raise InvalidArgument(f"{file.path}: is a model and holds no events to compress again")
        dataset = file.dataset()
        asked = asked_bounds({name: t.columns for name, t in dataset.tables.items()}, tolerance or {})
        bounds = {f"{n}/{c}": b for n, t in file.tables.items() for c, b in _bounds(t, asked[n]).items()}
        supplied = [f"{name}/{column}" for name, table in file.tables.items() for column in table.given]
        prepared = prepare(dataset, bounds, progress, supplied, memory)
        prepared = with_flows(prepared, effort, seed, progress, checkpoint, workers, memory)
        moved = _moved(file, {t.source.name: {n: k.bound for n, k in t.coding.lattices.items()} for t in prepared})
        origin = provenance(effort, seed, {}) | {"recompressed": file.meta.get("provenance", {}), "bounds": moved}
        written = write_events(writer, prepared, dataset.carried, origin, workers=workers, memory=memory, progress=progress)
    return Recompressed(compressed(output, dataset, prepared, written), moved)


def _bounds(table: StoredTable, asked: Mapping[str, Bound]) -> dict[str, Bound]:
    """For each column the bound asked for, or the one that it has where that is the same or nothing is asked."""
    bounds = {}
    for name, lattice in table.lattices.items():
        new = asked.get(name, Bound())
        same = new.kind == "lossless" or str(new) in (table.asked.get(name), str(lattice.bound))
        bounds[name] = lattice.bound if same else new
    return {name: bound for name, bound in bounds.items() if name not in table.given}


def _moved(file: File, bounds: Mapping[str, Mapping[str, Bound]]) -> dict[str, str]:
    return {
        f"{name}/{column}": bound.after(file.tables[name].lattices[column].bound)
        for name, columns in bounds.items()
        for column, bound in columns.items()
        if bound.kind != "lossless" and bound != file.tables[name].lattices[column].bound
    }
