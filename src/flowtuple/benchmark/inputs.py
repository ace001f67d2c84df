"""Events for the measured processes: arrays in npz files, layouts as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from flowtuple.benchmark.codecs.table_codec import TableLayout
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.schema import Column
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.lattice import resolve_statistics
from flowtuple.runtime.progress import Progress
from flowtuple.training.lattices import survey


def numeric_tables(dataset: Dataset) -> tuple[list[Table], list[str]]:
    """Read the tables of a data set without opaque columns, with a note on each part left out.

    Raises:
        InvalidArgument: No column of numbers is left.
    """
    tables, notes = (
        [],
        [f"{name} is left out: it is no table" for name in dataset.carried],
    )
    for name, source in dataset.tables.items():
        numbers = [c.name for c in source.columns if not c.is_opaque]
        opaque = [c.name for c in source.columns if c.is_opaque]
        notes += [
            f"{name}/{column} is left out: it holds no plain numbers" for column in opaque
        ]
        if numbers:
            tables.append(read_all(source, numbers))
    if not any(values.size for table in tables for values in table.data.values()):
        raise InvalidArgument(
            f"{dataset.description}: holds no numbers to compare codecs on; name a file with events"
        )
    return tables, notes


def layouts(
    tables: Sequence[Table],
    tolerances: Iterable[Mapping[str, str | Bound]],
    description: str,
    progress: Progress,
) -> list[list[TableLayout]]:
    """Return for each tolerance the layout of each table, bounds resolved as `compress` does.

    Raises:
        InvalidArgument: A pattern matches nothing, or a bound is impossible for a named column.
    """
    statistics = {table.name: survey(table, progress) for table in tables}
    columns = {table.name: table.columns for table in tables}

    def layout(table: Table, requested: Mapping[str, Bound]) -> TableLayout:
        bounds = {
            name: resolve_statistics(bound, statistics[table.name][name])
            for name, bound in requested.items()
        }
        bounds = {
            name: bound for name, bound in bounds.items() if bound.kind != "lossless"
        }
        return TableLayout(table.name, table.columns, table.num_entries, bounds)

    with prefix_errors(description):
        requests = [requested_bounds(columns, tolerance) for tolerance in tolerances]
    return [
        [layout(table, request[table.name]) for table in tables] for request in requests
    ]


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write one file a table, uncompressed, so that reading takes no memory beyond its arrays."""
    for number, table in enumerate(tables):
        np.savez(folder / f"{number}.npz", *(table.data[c.name] for c in table.columns))


def read_tables(layouts: Sequence[TableLayout], folder: Path) -> list[Table]:
    """Read the tables that `write_tables` wrote."""
    tables = []
    for number, layout in enumerate(layouts):
        with np.load(folder / f"{number}.npz") as arrays:
            values = [arrays[f"arr_{k}"] for k in range(len(layout.columns))]
        names = (column.name for column in layout.columns)
        tables.append(layout.table(dict(zip(names, values, strict=True))))
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
