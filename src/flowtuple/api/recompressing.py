"""A file coded again to other bounds, and what these come to on top of the ones it had."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.api.compressing import Compressed, compressed
from flowtuple.api.inputs import Tolerance, check_request
from flowtuple.comparison.verification import first_bounds
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.memory import MEMORY
from flowtuple.data.schema import bit_patterns
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.table import StoredTable
from flowtuple.file.writer import create
from flowtuple.io.source import Source, open_dataset
from flowtuple.lattice.lattice import Lattice
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import write_events


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

    Columns that no pattern matches, or whose bound is asked for as before, keep their values bit for bit. The provenance of
    the new file tells of every column how far it may now lie from its original, and so does that of a file made from it.

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
        File(
            path,
            workers,
            given=None if given is None else open_dataset(given),
            model=model,
            memory=memory,
        ) as file,
        create(output) as writer,
    ):
        if file.is_model:
            raise InvalidArgument(f"{file.path}: is a model and holds no events to compress again")
        dataset = file.dataset()
        asked = requested_bounds(
            {name: t.columns for name, t in dataset.tables.items()}, tolerance or {}
        )
        _check_given(file, tolerance or {})
        _check_wider(file, asked)
        bounds = {
            f"{n}/{c}": b for n, t in file.tables.items() for c, b in _bounds(t, asked[n]).items()
        }
        supplied = [
            f"{name}/{column}" for name, table in file.tables.items() for column in table.external
        ]
        prepared = resolve_tables(dataset, bounds, progress, supplied, memory)
        prepared = [_with_kept(p, file.tables[p.source.name], bounds) for p in prepared]
        prepared = with_flows(prepared, effort, seed, progress, checkpoint, workers, memory)
        before, moved = _distances(file), _moved(file, prepared)
        origin = provenance(effort, seed, {}) | {
            "recompressed": file.meta.get("provenance", {}),
            "bounds": before | moved,
        }
        written = write_events(
            writer, prepared, dataset, origin, workers=workers, memory=memory, progress=progress
        )
    return Recompressed(compressed(output, dataset, prepared, written), moved)


def _check_given(file: File, tolerance: Tolerance) -> None:
    """A bound on a given column means nothing: globs pass over it, a full name is a mistake."""
    given = {
        name for n, table in file.tables.items() for c in table.external for name in (c, f"{n}/{c}")
    }
    for pattern, bound in tolerance.items():
        if pattern in given and str(bound) != "lossless":
            raise InvalidArgument(
                f"{file.path}: column {pattern!r} is given, so it cannot be bounded by {bound}"
            )


def _check_wider(file: File, asked: Mapping[str, Mapping[str, Bound]]) -> None:
    """What was lost does not come back: a tighter bound of the same kind would promise what is not so."""
    for name, bounds in asked.items():
        for column, new in bounds.items():
            old = file.tables[name].lattices[column].bound
            finer = new.amount > old.amount if new.kind == "bits" else new.amount < old.amount
            if new.kind == old.kind != "lossless" and finer:
                raise InvalidArgument(
                    f"{file.path}: column {column!r} is within {old} of its original, {new} cannot bring it nearer; "
                    "compress the original"
                )


def _bounds(table: StoredTable, asked: Mapping[str, Bound]) -> dict[str, Bound]:
    """For each column the bound asked for, or the one that it has where that is the same or nothing is asked."""
    bounds = {}
    for name, lattice in table.lattices.items():
        new = asked.get(name, Bound())
        same = new.kind == "lossless" or str(new) in (table.requested.get(name), str(lattice.bound))
        bounds[name] = lattice.bound if same else new
    return {name: bound for name, bound in bounds.items() if name not in table.external}


def _with_kept(
    prepared: ResolvedTable, table: StoredTable, bounds: Mapping[str, Bound]
) -> ResolvedTable:
    """The lattices of the file where the bound stays: other data may have made other atoms or another range of them."""
    lattices, asked = dict(prepared.coding.lattices), dict(prepared.bounds)
    for name, lattice in table.lattices.items():
        if lattice.bound.kind != "lossless" and bounds.get(f"{table.name}/{name}") == lattice.bound:
            lattices[name] = _with_ends(lattice, [part.lattices[name] for part in table.parts])
            asked[name] = Bound.parse(table.requested.get(name, str(lattice.bound)))
    return replace(prepared, coding=replace(prepared.coding, lattices=lattices), bounds=asked)


def _with_ends(lattice: Lattice, parts: Sequence[Lattice]) -> Lattice:
    """A lattice that holds the values to which parts of a merged file were clipped, wherever these lie."""
    ends = np.array(
        [end for part in parts for end in (part.low, part.high) if end is not None], lattice.dtype
    )
    moved = ends[bit_patterns(lattice.snap(ends)) != bit_patterns(ends)]
    return replace(lattice, atoms=tuple(sorted({*lattice.atoms, *bit_patterns(moved).tolist()})))


def _distances(file: File) -> dict[str, str]:
    """How far columns may lie from their originals: as the file says that was compressed again, else by their bounds."""
    known = first_bounds(file.meta.get("provenance"))
    columns = [
        (f"{name}/{column}", k.bound)
        for name, table in file.tables.items()
        for column, k in table.lattices.items()
    ]
    return {
        c: known.get(c, str(bound))
        for c, bound in columns
        if c in known or bound.kind != "lossless"
    }


def _moved(file: File, prepared: Sequence[ResolvedTable]) -> dict[str, str]:
    """For the columns whose bound is a new one, how far they may lie from their originals."""
    before, moved = _distances(file), {}
    for table in prepared:
        known = file.tables[table.source.name].lattices
        for name, lattice in table.coding.lattices.items():
            column = f"{table.source.name}/{name}"
            if lattice.bound.kind != "lossless" and lattice.bound != known[name].bound:
                moved[column] = lattice.bound.after(before.get(column, "lossless"))
    return moved
