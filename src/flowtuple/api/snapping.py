"""Events as they will be read back, without a file: an analysis may run on them before anything is stored."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping

import awkward as ak

from flowtuple.api.inputs import EVERYTHING, Selection, Tolerance, left_out_notes, read
from flowtuple.data.awkward_tables import tables_to_awkward
from flowtuple.data.table import Table, concatenate, ranges
from flowtuple.file.file import File
from flowtuple.io.source import Source
from flowtuple.lattice.lattice import Lattice
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.lattices import (
    SCAN_STEP,
    ResolvedTable,
    resolve_tables,
)


def snap(
    source: Source,
    tolerance: Tolerance | None = None,
    *,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    model: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> ak.Array | dict[str, ak.Array]:
    """The very values that compressing events and reading them back gives, bit for bit, without training or a file.

    Values move onto the lattices that `compress` chooses: the same statistics, ranges, repeated values kept exactly, and
    grids shared under `std`. They do not depend on effort or seed.

    Snapped events stay where they are: to snap or compress them again at the same `abs`, `rel` or `bits` bounds, or
    lossless, moves nothing. The spread of the new values differs a little from that of the old, so `std:S` stands for
    another bound the second time and may move values again. What holds is: nothing moves at the `abs` bound that it
    stood for, the one that `ft.info` shows for a file and `ft.File` has in its lattices.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        tolerance: Bound by column name or glob, as in `compress`.
        selection: Part of the input to take.
        given: Names or globs of columns that are not stored, and so stay as they are.
        model: A model from `train`, whose lattices are taken, as in `compress`.
        progress: Told of the scan.

    Returns:
        What `decompress` returns: an awkward record array, or a dict of them by table name where there are several.

    Raises:
        InvalidArgument: A name, bound or path is not what it should be.
        Unsupported: The source holds something that cannot be carried.

    Example:
        >>> snap({"x": [1.125, 2.75, -999.0]}, {"x": "abs:0.25"})["x"].tolist()
        [1.0, 2.75, -999.0]
    """
    given = tuple(given)
    dataset = read(source, selection, given)
    for note in left_out_notes(dataset):
        warnings.warn(f"{dataset.description}: {note}", stacklevel=2)
    if model is None:
        prepared = resolve_tables(dataset, tolerance or {}, progress, given)
    else:
        with File(model) as trained:
            prepared = resolve_tables(dataset, tolerance or {}, progress, model=trained)
    return tables_to_awkward({table.source.name: _snapped(table) for table in prepared})


def _snapped(table: ResolvedTable) -> Table:
    """All events of a table, read a step at a time."""
    names = [c.name for c in table.source.columns]
    steps = list(ranges(table.source.num_entries, SCAN_STEP)) or [(0, 0)]
    return concatenate(
        [_on_lattices(table.source.read(names, *step), table.coding.lattices) for step in steps]
    )


def _on_lattices(events: Table, lattices: Mapping[str, Lattice]) -> Table:
    moved = {name: lattice.snap(events.data[name]) for name, lattice in lattices.items()}
    return Table(events.name, events.columns, events.num_entries, {**events.data, **moved})
