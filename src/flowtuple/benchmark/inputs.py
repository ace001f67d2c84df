"""Events for the measured processes: arrays in npy files, layouts as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.table_codec import TableLayout
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.schema import Column
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.lattice import resolve_statistics
from flowtuple.lattice.statistics import Statistics
from flowtuple.runtime.progress import Progress
from flowtuple.training.lattices import survey


def numeric_tables(dataset: Dataset) -> tuple[list[Table], list[str]]:
    """Read the tables of a data set without opaque columns, with a note on each part left out.

    Raises:
        InvalidArgument: No column of numbers is left.
    """
    tables, notes = [], [f"{name} is left out: it is no table" for name in dataset.carried]
    for name, source in dataset.tables.items():
        columns = tuple(c for c in source.columns if not c.is_opaque)
        opaque = (c.name for c in source.columns if c.is_opaque)
        notes += [
            f"{name}/{column} is left out: it holds no plain numbers" for column in opaque
        ]
        if columns:
            table = read_all(source, [c.name for c in columns])
            data = {c.name: table.data[c.name] for c in columns}
            tables.append(Table(name, columns, table.num_entries, data))
    if not any(c for table in tables for c in table.columns if table.data[c.name].size):
        raise InvalidArgument(
            f"{dataset.description}: holds no numbers to compare codecs on; name a file with events"
        )
    return tables, notes


def surveys(tables: Sequence[Table], progress: Progress) -> dict[str, dict[str, Statistics]]:
    """Return statistics of every column by table, which resolve the bounds of all codecs."""
    return {table.name: survey(table, progress) for table in tables}


def layouts(
    tables: Sequence[Table],
    statistics: Mapping[str, Mapping[str, Statistics]],
    tolerance: Mapping[str, str | Bound],
    description: str,
) -> list[TableLayout]:
    """Return the layout of each table: its schema, and bounds resolved as `compress` does.

    Raises:
        InvalidArgument: A pattern matches nothing, or a bound is impossible for a named column.
    """
    with prefix_errors(description):
        requested = requested_bounds(
            {table.name: table.columns for table in tables}, tolerance
        )
    result = []
    for table in tables:
        bounds = {}
        for name, bound in requested[table.name].items():
            resolved = resolve_statistics(bound, statistics[table.name][name])
            if resolved.kind != "lossless":
                bounds[name] = resolved
        result.append(TableLayout(table.name, table.columns, table.num_entries, bounds))
    return result


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write one npy file a column, uncompressed, so that reading takes no memory beyond it."""
    for t, table in enumerate(tables):
        for c, column in enumerate(table.columns):
            values = np.ascontiguousarray(table.data[column.name])
            np.save(folder / f"t{t}c{c}.npy", values, allow_pickle=False)


def read_tables(layouts: Sequence[TableLayout], folder: Path) -> list[Table]:
    """Read the tables that `write_tables` wrote."""
    tables = []
    for t, layout in enumerate(layouts):
        data = {
            column.name: np.load(folder / f"t{t}c{c}.npy", allow_pickle=False)
            for c, column in enumerate(layout.columns)
        }
        tables.append(Table(layout.name, layout.columns, layout.num_entries, data))
    return tables


def write_layouts(layouts: Sequence[TableLayout], path: Path) -> None:
    """Write layouts as JSON."""
    content = [
        {
            "name": layout.name,
            "columns": [c.to_json() for c in layout.columns],
            "events": layout.num_entries,
            "bounds": {name: str(bound) for name, bound in layout.bounds.items()},
        }
        for layout in layouts
    ]
    path.write_text(json.dumps(content), encoding="utf-8")


def read_layouts(path: Path) -> list[TableLayout]:
    """Read the layouts that `write_layouts` wrote."""
    return [
        TableLayout(
            entry["name"],
            tuple(map(Column.from_json, entry["columns"])),
            entry["events"],
            {name: Bound.parse(text) for name, text in entry["bounds"].items()},
        )
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]
