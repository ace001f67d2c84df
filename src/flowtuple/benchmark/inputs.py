"""The events of a contest as they travel to the processes that are measured: arrays in npy files, layouts as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.rival import TableLayout
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.schema import Column
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.lattice import resolve_std
from flowtuple.lattice.statistics import Statistics
from flowtuple.runtime.progress import Progress
from flowtuple.training.lattices import survey


def numeric_tables(dataset: Dataset) -> tuple[list[Table], list[str]]:
    """The tables of a data set in memory without their opaque columns, and a note on all that is left out.

    Raises:
        InvalidArgument: No column of numbers is left.
    """
    tables, notes = [], [f"{name} is left out: it is no table" for name in dataset.carried]
    for name, source in dataset.tables.items():
        columns = tuple(c for c in source.columns if not c.is_opaque)
        notes += [
            f"{name}/{c.name} is left out: it holds no plain numbers"
            for c in source.columns
            if c.is_opaque
        ]
        if columns:
            table = read_all(source, [c.name for c in columns])
            tables.append(
                Table(
                    name, columns, table.num_entries, {c.name: table.data[c.name] for c in columns}
                )
            )
    if not any(c for table in tables for c in table.columns if table.data[c.name].size):
        raise InvalidArgument(
            f"{dataset.description}: holds no numbers to compare codecs on; name a file with events"
        )
    return tables, notes


def surveys(tables: Sequence[Table], progress: Progress) -> dict[str, dict[str, Statistics]]:
    """Statistics of every column by table, which the bounds of all codecs are resolved with."""
    return {table.name: survey(table, progress) for table in tables}


def layouts(
    tables: Sequence[Table],
    statistics: Mapping[str, Mapping[str, Statistics]],
    tolerance: Mapping[str, str | Bound],
    description: str,
) -> list[TableLayout]:
    """What codecs are told of each table: its schema, and every bound resolved as `compress` resolves it.

    Raises:
        InvalidArgument: A pattern matches nothing, or a bound is impossible for a column named in full.
    """
    with prefix_errors(description):
        asked = requested_bounds({table.name: table.columns for table in tables}, tolerance)
    found = []
    for table in tables:
        resolved = {
            c: resolve_std(bound, statistics[table.name][c])
            for c, bound in asked[table.name].items()
        }
        bounds = {c: bound for c, bound in resolved.items() if bound.kind != "lossless"}
        found.append(TableLayout(table.name, table.columns, table.num_entries, bounds))
    return found


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """One npy file a column, uncompressed, so that reading it back takes no more memory than it holds."""
    for t, table in enumerate(tables):
        for c, column in enumerate(table.columns):
            np.save(
                folder / f"t{t}c{c}.npy",
                np.ascontiguousarray(table.data[column.name]),
                allow_pickle=False,
            )


def read_tables(found: Sequence[TableLayout], folder: Path) -> list[Table]:
    """The tables that `write_tables` wrote."""
    return [
        Table(
            layout.name,
            layout.columns,
            layout.num_entries,
            {
                column.name: np.load(folder / f"t{t}c{c}.npy", allow_pickle=False)
                for c, column in enumerate(layout.columns)
            },
        )
        for t, layout in enumerate(found)
    ]


def write_layouts(found: Sequence[TableLayout], path: Path) -> None:
    """Layouts as JSON."""
    content = [
        {
            "name": layout.name,
            "columns": [c.to_json() for c in layout.columns],
            "events": layout.num_entries,
            "bounds": {name: str(bound) for name, bound in layout.bounds.items()},
        }
        for layout in found
    ]
    path.write_text(json.dumps(content), encoding="utf-8")


def read_layouts(path: Path) -> list[TableLayout]:
    """The inverse of `write_layouts`."""
    return [
        TableLayout(
            entry["name"],
            tuple(Column.from_json(c) for c in entry["columns"]),
            entry["events"],
            {name: Bound.parse(text) for name, text in entry["bounds"].items()},
        )
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]
