"""A file coded again to wider bounds, which add to the bounds that it had."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.api.compressing import Compressed, compressed
from flowtuple.api.inputs import Tolerance, bounds_by_glob, check_request
from flowtuple.comparison.verification import first_bounds
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.resources import Resources
from flowtuple.data.schema import bit_patterns
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.table import StoredTable
from flowtuple.file.writer import create
from flowtuple.io.source import Source, open_dataset
from flowtuple.lattice.lattice import Lattice
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import write_events


@dataclass(frozen=True, repr=False)
class Recompressed(Shown):
    """Sizes of a file that was compressed again, with the bounds that now hold.

    Attributes:
        result: Sizes and warnings.
        bounds: Bound with respect to the original, by `TABLE/COLUMN`, for each column that was
            coded again.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> first = ft.compress({"x": [1.1, 2.7]}, folder / "fine.ftup")
        >>> ft.recompress(folder / "fine.ftup", folder / "same.ftup").bounds
        {}
    """

    result: Compressed
    bounds: dict[str, str]

    def facts(self) -> dict[str, object]:
        """Return the sizes, and the new bound of each column."""
        return self.result.facts() | self.bounds


@accepts_old(resources=Resources)
def recompress(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    effort: str = "default",
    given: Source | None = None,
    model: str | os.PathLike[str] | None = None,
    seed: int = 0,
    resources: Resources = Resources(),
) -> Recompressed:
    """Compress a file's events again; a new bound adds to the bound that the values already have.

    Columns that no pattern matches, or whose bound stays the same, come back bit for bit. The
    provenance of the new file states the bound of every column with respect to its original, and so
    does that of a file made from it.

    Args:
        path: A flowtuple file or URL.
        output: The file to write.
        tolerance: Bound by column name or glob, or one for all columns; the last match wins.
        effort: `fast`, `default` or `best`.
        given: Events with the external columns of the file, if it has some; they stay external.
        model: The model that the file refers to, if it does.
        seed: The same input, options and seed give the same file on one machine.
        resources: Threads, memory, progress, and a checkpoint folder to resume from.

    Returns:
        Sizes in bytes, warnings, and the bounds of columns that were coded again.

    Raises:
        InvalidArgument: A name or path is wrong, a bound is narrower than the one of the file, or
            the file is a model.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> fine, coarse = folder / "fine.ftup", folder / "coarse.ftup"
        >>> first = ft.compress({"x": [1.1, 2.7, 3.2]}, fine, tolerance="abs:0.125")
        >>> ft.recompress(fine, coarse, tolerance="abs:0.25").bounds
        {'events/x': 'abs:0.375'}
    """
    check_request(output, effort, seed)
    with (
        File(
            path,
            given=None if given is None else open_dataset(given),
            model=model,
            resources=resources,
        ) as file,
        create(output) as writer,
    ):
        if file.is_model:
            raise InvalidArgument(
                f"{file.path}: is a model and holds no events to compress again"
            )
        dataset = file.dataset()
        requested = bounds_by_glob(tolerance)
        new = requested_bounds({n: t.columns for n, t in dataset.tables.items()}, requested)
        _check_given(file, requested)
        _check_wider(file, new)
        bounds = {
            f"{n}/{c}": b
            for n, t in file.tables.items()
            for c, b in _bounds(t, new[n]).items()
        }
        supplied = [
            f"{name}/{column}"
            for name, table in file.tables.items()
            for column in table.external
        ]
        prepared = resolve_tables(
            dataset, bounds, resources.progress, supplied, resources.memory
        )
        prepared = [_with_same(p, file.tables[p.source.name], bounds) for p in prepared]
        prepared = with_flows(prepared, effort, seed, resources)
        before, moved = _distances(file), _moved(file, prepared)
        origin = provenance(effort, seed, {}) | {
            "recompressed": file.meta.get("provenance", {}),
            "bounds": before | moved,
        }
        written = write_events(writer, prepared, dataset, origin, resources=resources)
    return Recompressed(compressed(output, dataset, prepared, written), moved)


def _check_given(file: File, tolerance: Mapping[str, str | Bound]) -> None:
    """Raise for a bound on the full name of an external column; globs pass over such columns."""
    given = {
        name
        for n, table in file.tables.items()
        for c in table.external
        for name in (c, f"{n}/{c}")
    }
    for pattern, bound in tolerance.items():
        if pattern in given and str(bound) != "lossless":
            raise InvalidArgument(
                f"{file.path}: column {pattern!r} is given, so it cannot be bounded by {bound}"
            )


def _check_wider(file: File, requested: Mapping[str, Mapping[str, Bound]]) -> None:
    """Raise for a bound narrower than the file's: coding again cannot restore lost digits."""
    for name, bounds in requested.items():
        for column, new in bounds.items():
            old = file.tables[name].lattices[column].bound
            finer = new.amount > old.amount if new.kind == "bits" else new.amount < old.amount
            if new.kind == old.kind != "lossless" and finer:
                raise InvalidArgument(
                    f"{file.path}: column {column!r} is within {old} of its original, "
                    f"{new} cannot bring it nearer; compress the original"
                )


def _bounds(table: StoredTable, requested: Mapping[str, Bound]) -> dict[str, Bound]:
    """Return each column's new bound; its present one where none is requested, or the same."""
    bounds = {}
    for name, lattice in table.lattices.items():
        new = requested.get(name, Bound())
        same = new.kind == "lossless" or str(new) in (
            table.requested.get(name),
            str(lattice.bound),
        )
        bounds[name] = lattice.bound if same else new
    return {name: bound for name, bound in bounds.items() if name not in table.external}


def _with_same(
    prepared: ResolvedTable, table: StoredTable, bounds: Mapping[str, Bound]
) -> ResolvedTable:
    """Return tables with the file's lattices where the bound stays.

    Lattices resolved anew from decoded values could differ in their atoms and range.
    """
    lattices, stored = dict(prepared.coding.lattices), dict(prepared.bounds)
    for name, lattice in table.lattices.items():
        if (
            lattice.bound.kind != "lossless"
            and bounds.get(f"{table.name}/{name}") == lattice.bound
        ):
            lattices[name] = _with_ends(
                lattice, [part.lattices[name] for part in table.parts]
            )
            stored[name] = Bound.parse(table.requested.get(name, str(lattice.bound)))
    return replace(
        prepared, coding=replace(prepared.coding, lattices=lattices), bounds=stored
    )


def _with_ends(lattice: Lattice, parts: Sequence[Lattice]) -> Lattice:
    """Return a lattice with the values to which parts of a merged file were clipped as atoms."""
    ends = np.array(
        [end for part in parts for end in (part.low, part.high) if end is not None],
        lattice.dtype,
    )
    moved = ends[bit_patterns(lattice.snap(ends)) != bit_patterns(ends)]
    return replace(
        lattice, atoms=tuple(sorted({*lattice.atoms, *bit_patterns(moved).tolist()}))
    )


def _distances(file: File) -> dict[str, str]:
    """Return each column's bound with respect to its original.

    A file that was compressed again states it in its provenance; otherwise it is the bound of the
    file.
    """
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
    """Return the bounds with respect to the originals of columns whose bound is new."""
    before, moved = _distances(file), {}
    for table in prepared:
        known = file.tables[table.source.name].lattices
        for name, lattice in table.coding.lattices.items():
            column = f"{table.source.name}/{name}"
            if lattice.bound.kind != "lossless" and lattice.bound != known[name].bound:
                moved[column] = lattice.bound.after(before.get(column, "lossless"))
    return moved
