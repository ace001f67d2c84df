"""Events as they will be read back from a file, without writing one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping

import awkward as ak

from flowtuple.api.inputs import (
    EVERYTHING,
    Selection,
    Tolerance,
    bounds_by_glob,
    left_out_notes,
    read,
)
from flowtuple.data.awkward_tables import tables_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.table import Table, concatenate, ranges
from flowtuple.file.file import File
from flowtuple.io.source import Source
from flowtuple.lattice.lattice import Lattice
from flowtuple.runtime.old_names import accepts_old
from flowtuple.training.lattices import (
    SCAN_STEP,
    ResolvedTable,
    resolve_tables,
)


@accepts_old(resources=Resources)
def snap(
    source: Source,
    tolerance: Tolerance | None = None,
    *,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    model: str | os.PathLike[str] | None = None,
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
        model: A model from `train`, whose lattices are used, as in `compress`.
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
    given, bounds = tuple(given), bounds_by_glob(tolerance)
    dataset = read(source, selection, given)
    for note in left_out_notes(dataset):
        warnings.warn(f"{dataset.description}: {note}", stacklevel=2)
    if model is None:
        prepared = resolve_tables(dataset, bounds, resources.progress, given)
    else:
        with File(model) as trained:
            prepared = resolve_tables(dataset, bounds, resources.progress, model=trained)
    return tables_to_awkward({table.source.name: _snapped(table) for table in prepared})


def _snapped(table: ResolvedTable) -> Table:
    """Return all events of a table on its lattices."""
    names = [c.name for c in table.source.columns]
    steps = list(ranges(table.source.num_entries, SCAN_STEP)) or [(0, 0)]
    return concatenate(
        [
            _on_lattices(table.source.read(names, *step), table.coding.lattices)
            for step in steps
        ]
    )


def _on_lattices(events: Table, lattices: Mapping[str, Lattice]) -> Table:
    moved = {name: lattice.snap(events.data[name]) for name, lattice in lattices.items()}
    return Table(events.name, events.columns, events.num_entries, {**events.data, **moved})
