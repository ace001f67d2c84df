"""Events compressed, compressed again to wider bounds, or only moved onto their lattices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flowtuple.api.bounds_on_events import decide_bounds
from flowtuple.api.inputs import (
    EVERYTHING,
    FilePath,
    Selection,
    Tolerance,
    check_request,
    left_out_notes,
    on_tree_of,
    read,
    refuse_rows,
    resolved,
)
from flowtuple.comparison.momentum_shifts import (
    MassShift,
    MomentumShift,
    momentum_shifts,
)
from flowtuple.comparison.verification import Promise, first_bounds
from flowtuple.data.awkward_tables import tables_to_awkward
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.resources import Resources
from flowtuple.data.schema import bit_patterns
from flowtuple.data.table import Dataset, LeftOut, Table, concatenate, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.table import StoredTable
from flowtuple.file.writer import create
from flowtuple.io.root_writer import root_outlook
from flowtuple.io.source import Source, open_dataset
from flowtuple.lattice.lattice import Lattice
from flowtuple.reporting.page import format_bytes, format_number
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import (
    SCAN_STEP,
    ResolvedTable,
    resolve_tables,
)
from flowtuple.training.write_events import Written, write_events


@dataclass(frozen=True, repr=False)
class Compressed(Shown):
    """Sizes of a compressed file in bytes, with warnings.

    Attributes:
        path: The file written.
        events: Number of events in all tables.
        values: Number of values in all columns.
        raw_bytes: Size of the columns at their own types.
        input_bytes: Size of the input file, or of all of them; 0 where it is unknown, and for
            events in memory.
        file_bytes: Size of the file: chunks, model, index, header and carried objects.
        model_bytes: Size of the model's sections in the file, as `info` has it.
        warnings: Warnings for the user, one sentence each.
        left_out: Parts of the input that the file lacks, because `Selection.drop` allowed it.
        entries: Number of events by table.
        input_files: Number of input files, 0 for events in memory.
        is_part: True where the input holds more than was taken: other tables, columns, events or
            objects, or given columns.
        notes: What a preset or a file of bounds left as it was, one sentence each.
        shifts: Masses and momenta that the bounds move by more than they look, with numbers from
            at most 5,000 events; `warnings` has a sentence on each.

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
    input_files: int = 1
    is_part: bool = False
    notes: tuple[str, ...] = ()
    shifts: tuple[MassShift | MomentumShift, ...] = ()

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
            **({"input": format_bytes(self.input_bytes)} if self.input_bytes else {}),
            "raw": format_bytes(self.raw_bytes),
            "bits per value": format_number(self.bits_per_value),
            "left out": len(self.left_out),
            "warnings": len(self.warnings),
        }


@accepts_old(model_ref="refer", resources=Resources)
def compress(
    source: Source,
    output: FilePath,
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    model: FilePath | None = None,
    model_ref: bool = False,
    seed: int = 0,
    resources: Resources = Resources(),
) -> Compressed:
    """Write events as one self-contained file in which every value keeps its bound.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        output: The file to write, usually `NAME.ftup`; it appears whole or not at all.
        tolerance: Bound by column name or glob (`{"Jet_*": "rel:1e-3"}`), or one bound for all
            columns. The last match wins, no match is lossless. `read_bounds` gives those of a file
            and `bounds_preset` those of an experiment; `|` puts others after them.
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
        raise InvalidArgument(
            f"{output}: has no model to refer to; name one with `model=`"
        )
    if model is not None:
        refuse_rows(model)
    if model is not None and given:
        raise InvalidArgument(
            f"{model}: fixes which columns are given; leave `given=` to `train()`"
        )
    dataset = read(source, selection, given)
    if model is not None:
        model, dataset = on_tree_of(model, dataset)
    dataset, obstacles = _with_outlook(dataset)
    decided = decide_bounds(tolerance, dataset, source, selection, given, resources)
    models: dict[str, str] | None = None
    with create(output) as writer:
        prepared = resolved(
            dataset, decided.by_pattern, given, model, resources, decided.rounded
        )
        if model is None:
            prepared = with_flows(prepared, effort, seed, resources)
        elif model_ref:
            with File(model) as trained:
                hashes = {
                    name: table.model_hash for name, table in trained.tables.items()
                }
            models = {name: hashes[name] for name in hashes if name in dataset.tables}
        origin = provenance(effort, seed, source)
        written = write_events(
            writer, prepared, dataset, origin, models=models, resources=resources
        )
    is_part = dataset.is_part or any(p.coding.external for p in prepared)
    dataset = replace(dataset, is_part=is_part)
    done = _compressed(output, dataset, prepared, written, _shifts(prepared), obstacles)
    return replace(done, notes=decided.notes)


def _compressed(
    path: FilePath,
    dataset: Dataset,
    prepared: list[ResolvedTable],
    written: Written,
    shifts: Sequence[MassShift | MomentumShift],
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
        warnings=(
            *warnings,
            *(w for p in prepared for w in p.warnings),
            *map(str, shifts),
        ),
        left_out=dataset.left_out,
        entries={p.source.name: p.source.num_entries for p in prepared},
        input_files=dataset.files,
        is_part=dataset.is_part,
        shifts=tuple(shifts),
    )


def _shifts(prepared: Sequence[ResolvedTable]) -> list[MassShift | MomentumShift]:
    """Return what the bounds of all tables do to masses; their events have to be open."""
    return [
        shift
        for table in prepared
        for shift in momentum_shifts(table.source, table.coding.lattices)
    ]


def _with_outlook(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """Return the data set, with notes on columns that change on the way back to ROOT."""
    return root_outlook(dataset) if dataset.format == ".root" else (dataset, ())


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
    path: FilePath,
    output: FilePath,
    *,
    tolerance: Tolerance | None = None,
    effort: str = "default",
    given: Source | None = None,
    model: FilePath | None = None,
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
        decided = decide_bounds(
            tolerance, dataset, given=_given_names(file), resources=resources
        )
        requested = decided.by_pattern
        new = requested_bounds(
            {n: t.columns for n, t in dataset.tables.items()}, requested
        )
        _check_given(file, requested)
        _check_wider(file, new)
        bounds: dict[str, Bound] = {}
        external: list[str] = []
        for name, table in file.tables.items():
            external += [f"{name}/{column}" for column in table.external]
            bounds |= {
                f"{name}/{c}": bound for c, bound in _bounds(table, new[name]).items()
            }
        _check_resolutions(file, bounds)
        prepared = resolve_tables(
            dataset,
            bounds,
            resources.progress,
            external,
            resources.memory,
            rounded=decided.rounded,
        )
        prepared = [_with_same(p, file.tables[p.source.name], bounds) for p in prepared]
        prepared = with_flows(prepared, effort, seed, resources)
        before, moved = _first_bounds(file, prepared)
        origin = provenance(effort, seed, {}) | {
            "recompressed": file.meta.get("provenance", {}),
            "bounds": before | moved,
        }
        written = write_events(writer, prepared, dataset, origin, resources=resources)
        shifts = _shifts(prepared)
    done = _compressed(output, dataset, prepared, written, shifts)
    return Recompressed(replace(done, notes=decided.notes), moved)


def _given_names(file: File) -> list[str]:
    """Return the external columns of a file by `TABLE/COLUMN`."""
    return [f"{n}/{c}" for n, table in file.tables.items() for c in table.external]


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
    """Raise for a bound or a cut that the file's values have lost: coding again restores none."""
    for name, bounds in requested.items():
        for column, new in bounds.items():
            old = file.tables[name].lattices[column].bound
            finer = (
                new.amount > old.amount if new.kind == "bits" else new.amount < old.amount
            )
            if new.kind == old.kind != "lossless" and finer:
                raise InvalidArgument(
                    f"{file.path}: column {column!r} is within {old} of its original, "
                    f"{new} cannot bring it nearer; compress the original"
                )
            lost = [cut for cut in new.cuts if cut not in old.cuts]
            if lost and old.kind != "lossless":
                raise InvalidArgument(
                    f"{file.path}: column {column!r} is within {old} of its original, which may "
                    f"have crossed cut:{lost[0]:g}; compress the original"
                )


def _check_resolutions(file: File, bounds: Mapping[str, Bound]) -> None:
    """Raise for another bound of a column that values count in: what they obeyed would be lost."""
    said = first_bounds(file.meta.get("provenance"))
    for name, table in file.tables.items():
        for column, lattice in table.lattices.items():
            words = said.get(f"{name}/{column}", "")
            promised = Promise.parse(words).resolutions if "sigma:" in words else set()
            for resolution in {lattice.resolution, *promised} - {""}:
                before = table.lattices[resolution].bound
                if bounds.get(f"{name}/{resolution}", before) != before:
                    raise InvalidArgument(
                        f"{file.path}: column {column!r} is bounded by the values of {resolution!r}"
                        ", which cannot move any more; leave it as it is, or compress the original"
                    )


def _bounds(table: StoredTable, requested: Mapping[str, Bound]) -> dict[str, Bound]:
    """Return each column's new bound; its present one where none is requested, or the same."""
    bounds = {}
    for name, lattice in table.lattices.items():
        old, new = lattice.bound, requested.get(name, Bound())
        same = new.kind == "lossless" or str(new) in (table.requested.get(name), str(old))
        if name not in table.external:
            bounds[name] = old if same else new
    return bounds


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
    moved = ends
    if not lattice.resolution:  # without which an end may lie on the grid of a row or not
        moved = ends[bit_patterns(lattice.snap(ends)) != bit_patterns(ends)]
    return replace(
        lattice, atoms=tuple(sorted({*lattice.atoms, *bit_patterns(moved).tolist()}))
    )


def _first_bounds(
    file: File, prepared: Sequence[ResolvedTable]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return bounds with respect to the originals: of the file's columns, and those that are new.

    A file that was compressed again states the first in its provenance; otherwise they are the
    bounds of the file.
    """
    known = first_bounds(file.meta.get("provenance"))
    old = _by_column({name: table.lattices for name, table in file.tables.items()})
    new = _by_column({table.source.name: table.coding.lattices for table in prepared})
    before = {
        column: known.get(column, str(bound))
        for column, bound in old.items()
        if column in known or bound.kind != "lossless"
    }
    moved = {
        column: bound.after(before.get(column, "lossless"))
        for column, bound in new.items()
        if bound.kind != "lossless" and bound != old[column]
    }
    return before, moved


def _by_column(tables: Mapping[str, Mapping[str, Lattice]]) -> dict[str, Bound]:
    """Return the bounds of lattices by `TABLE/COLUMN`."""
    return {
        f"{name}/{column}": lattice.bound
        for name, lattices in tables.items()
        for column, lattice in lattices.items()
    }


@accepts_old(resources=Resources)
def snap(
    source: Source,
    tolerance: Tolerance | None = None,
    *,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    model: FilePath | None = None,
    resources: Resources = Resources(),
) -> ak.Array | dict[str, ak.Array]:
    """Return the values that a file would give back, bit for bit, without writing one.

    Values move onto the lattices that `compress` chooses, with the same statistics, ranges, exact
    repeated values and grids shared under `std`. They do not depend on effort or seed.

    Snapping or compressing snapped events again at the same `abs`, `rel` or `bits` bounds, or
    lossless, changes nothing. The standard deviation of the snapped values differs slightly, so
    `std:S` means another bound the second time and may move values again. The equivalent `abs`
    bound, which `ft.info` shows for a file, moves nothing.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        tolerance: Bound by column name or glob, or one for all, as in `compress`.
        selection: Part of the input to take.
        given: Names or globs of external columns, which stay as they are.
        model: A model from `train`, whose lattices are used, as in `compress`. Events in memory are
            its only table, or that of `PATH:TREE`.
        resources: Its `progress` is called during the scan.

    Returns:
        An awkward record array, or a dict of them by table name where there are several, as from
        `decompress`.

    Raises:
        InvalidArgument: A name, bound or path is wrong.
        Unsupported: A part of the source cannot be carried.

    Example:
        >>> import flowtuple as ft
        >>> ft.snap({"x": [1.125, 2.75, -999.0]}, {"x": "abs:0.25"})["x"].tolist()
        [1.0, 2.75, -999.0]
    """
    given = tuple(given)
    if model is not None:
        refuse_rows(model)
    dataset = read(source, selection, given)
    if model is not None:
        model, dataset = on_tree_of(model, dataset)
    for note in left_out_notes(dataset):
        warnings.warn(f"{dataset.description}: {note}", stacklevel=2)
    decided = decide_bounds(tolerance, dataset, source, selection, given, resources)
    prepared = resolved(
        dataset, decided.by_pattern, given, model, resources, decided.rounded
    )
    return tables_to_awkward({table.source.name: _snapped(table) for table in prepared})


def _snapped(table: ResolvedTable) -> Table:
    """Return all events of a table on its lattices."""
    names = [c.name for c in table.source.columns]
    steps = list(ranges(table.source.num_entries, SCAN_STEP)) or [(0, 0)]
    parts = []
    for start, stop in steps:
        events = table.source.read(names, start, stop)
        lattices = table.coding.lattices
        moved = table.coding.snap({name: events.data[name] for name in lattices})
        parts.append(replace(events, data={**events.data, **moved}))
    return concatenate(parts)
