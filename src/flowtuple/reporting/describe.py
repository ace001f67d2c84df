"""Contents of inputs and files as plain numbers: `inspect`, `info` and the input of the report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import KINDS, Bound, requested_bounds
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import read_like, schema_diff
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, Table, TableSource, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.layout import SectionKind
from flowtuple.file.ledger import Ledger
from flowtuple.file.quantization import column_promises, quantization
from flowtuple.file.table import StoredTable
from flowtuple.io.root_changes import root_changes, root_renamed
from flowtuple.lattice.context import Parent
from flowtuple.lattice.event_features import KINDS as FEATURE_KINDS
from flowtuple.lattice.event_features import EventFeature
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import Decimal, Grid, Integers, Mantissas, Ordered
from flowtuple.lattice.lattice import resolve_statistics
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.statistics import Statistics
from flowtuple.runtime.old_names import accepts_old
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.lattices import dominant_sentinels, survey

if TYPE_CHECKING:
    from flowtuple.reporting.report import ReportInput

_NEXT = "compare with the file that was compressed"


def inspect_dataset(
    dataset: Dataset,
    progress: Progress = silent,
    tolerance: Mapping[str, str | Bound] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return columns, types, roles, ranges, special values and exact grids of an input's tables.

    Columns that `tolerance` bounds by `std` have a warning if repeated values dominate their
    standard deviation.
    """
    schema = {name: source.columns for name, source in dataset.tables.items()}
    with prefix_errors(dataset.description):
        bounds = requested_bounds(schema, tolerance)
    tables = []
    for name, source in dataset.tables.items():
        statistics = survey(source, progress)
        columns = [
            _inspect_column(c, statistics.get(c.name), bounds[name].get(c.name, Bound()))
            for c in source.columns
        ]
        tables.append({"name": name, "events": source.num_entries, "columns": columns})
    return {
        "input": dataset.description,
        "tables": tables,
        "carried": list(dataset.carried),
        "refused": dict(dataset.refused),
    }


def _inspect_column(
    column: Column, statistics: Statistics | None, bound: Bound
) -> dict[str, Any]:
    out = column.to_json() | {"role": column.role}
    if statistics is None:
        return out | {"lattice": "carried as it is"}
    unsigned = f"u{np.dtype(column.dtype).itemsize}"

    def values_of(patterns: Iterable[int]) -> list[Any]:
        values: list[Any] = np.array([*patterns], unsigned).view(column.dtype).tolist()
        return values

    patterns = sorted(statistics.specials)
    specials: Counter[str] = Counter()
    for pattern, value in zip(patterns, values_of(patterns), strict=True):
        specials[str(value)] += statistics.specials[pattern]
    if column.is_float and bound.is_statistical:
        dominant = dominant_sentinels(statistics)
        if dominant is not None:
            advice = f"bound it with abs:E or rel:R, not {KINDS[bound.kind].form}"
            out["warning"] = f"{dominant[1]}: {advice}"
    constant = statistics.count and statistics.low == statistics.high and not specials
    return out | {
        "values": statistics.count,
        "low": statistics.low,
        "high": statistics.high,
        "std": statistics.std if statistics.finite else None,
        "special": dict(specials),
        "repeated": values_of(statistics.sentinels()) if column.is_float else [],
        "lattice": "constant" if constant else grid_in_words(statistics.exact_grid()),
    }


def grid_in_words(grid: Grid) -> str:
    """Describe a grid in words.

    Example:
        >>> grid_in_words(Decimal("float32", 0)), grid_in_words(Ordered("float32", 13))
        ('integers stored as float32', 'float32 cut to 10 mantissa bits')
    """
    if isinstance(grid, Integers):
        return "integers" if grid.width == 1 else f"integers in cells of {grid.width}"
    if isinstance(grid, Decimal):
        digits = f"decimals of {grid.digits} digits"
        return digits if grid.digits else f"integers stored as {grid.dtype}"
    if isinstance(grid, Ordered) and grid.shift:
        bits = {"float16": 10, "float32": 23, "float64": 52}[grid.dtype] - grid.shift
        return f"{grid.dtype} cut to {bits} mantissa bits"
    if isinstance(grid, Ordered):
        return f"full {grid.dtype}"
    if isinstance(grid, Mantissas):
        return f"{grid.bits} mantissa bits"
    cells = {"uniform": "equal cells", "steps": "cells in proportion to the resolution"}
    return cells.get(grid.kind, "cells in proportion to the value")


@accepts_old(resources=Resources)
def info(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    *,
    resources: Resources = Resources(),
) -> dict[str, Any]:
    """Return schema, bounds, sizes, model, checksums and provenance of a file.

    Args:
        path: A flowtuple file or URL.
        model: The model that the file refers to, if it does; without it the flow is left out.
        resources: Memory limit; a description or a model that takes a large part of it is refused.

    Returns:
        Plain numbers and text; sizes in bytes. `rows` (table, name, kind, bytes) add up to the
        `bytes` of the file, and so do the `parts` that they are summed in. Columns that share a
        compressed frame, of a chunk or of the model, have shares of it in proportion to their
        contents.

    Raises:
        InvalidArgument: There is no such file.
        Corrupt: The file is damaged.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ftup"
        >>> done = ft.compress({"x": [1.0, 2.0]}, path)
        >>> [table["name"] for table in ft.info(path)["tables"]]
        ['events']
    """
    with File(path, model=model, resources=resources) as file:
        storage, ledger = file.storage, Ledger.of(file)
        sections = Counter({kind.name.lower(): 0 for kind in SectionKind})
        for section in file.sections:
            sections[section.kind.name.lower()] += section.length
        return {
            "path": file.path,
            "bytes": file.size,
            "format": file.version,
            "sections": dict(sections) | {"index": file.index_size},
            "parts": ledger.parts,
            "rows": [asdict(row) for row in ledger.rows],
            "checksums": [
                {
                    "section": s.kind.name.lower(),
                    "offset": s.offset,
                    "bytes": s.length,
                    "xxh3": f"{s.checksum:016x}",
                }
                for s in file.sections
            ],
            "provenance": file.meta.get("provenance", {}),
            "carried": file.meta.get("carried", []),
            **_simulation_info(file.meta),
            "left_out": [part.to_json() for part in file.left_out],
            "tables": [
                _table_info(
                    t,
                    storage.get(t.name, {}),
                    ledger,
                    quantization(file.meta, t.name, t.lattices),
                    known=model is not None,
                )
                for t in file.tables.values()
            ],
        }


def _simulation_info(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules that simulated events obey, of a model that simulates."""
    spec = meta.get("simulation")
    if spec is None:
        return {}
    zero = {k: v for t in spec["targets"] for k, v in t.get("counts", {}).items()}
    flags = [rule["text"] for rule in spec.get("rules", ())]
    none = [f"{part} = 0 exactly where {count} = 0" for part, count in zero.items()]
    return {"simulation": {"rules": flags + none}}


def _table_info(
    table: StoredTable,
    storage: Mapping[str, Any],
    ledger: Ledger,
    moved: Mapping[str, Mapping[str, Any]],
    *,
    known: bool,
) -> dict[str, Any]:
    flow = table.flow if known or not table.model_reference else LatticeFlow()
    columns = []
    for column in table.columns:
        name, lattice = column.name, table.lattices.get(column.name)
        key = table.name, name
        about = {
            "role": column.role,
            "asked": table.requested.get(name, "lossless"),
            "bound": str(lattice.bound) if lattice else "lossless",
            "lattice": grid_in_words(lattice.grid) if lattice else "carried as it is",
            "bytes": ledger.columns[key],
            "model_bytes": ledger.column_models.get(key, 0),
            "methods": dict(ledger.methods[key]),
            **({"quantization": moved[name]} if name in moved else {}),
        }
        columns.append(column.to_json() | about | _flow_info(flow.columns.get(name)))
    return {
        "name": table.name,
        "events": table.num_entries,
        "chunks": len(table.chunks),
        "model_bytes": table.model_bytes,
        "model_reference": table.model_reference,
        "rules": [str(rule) for rule in flow.rules],
        "acceptance": str(flow.acceptance) if flow.acceptance else None,
        "root_changes": root_changes(table.columns, storage),
        "root_renamed": root_renamed(table.name, table.columns, storage),
        "columns": columns,
    }


def _flow_info(flow: ColumnFlow | None) -> dict[str, Any]:
    if flow is None:
        return {"parents": [], "prediction": "", "parameters": 0}
    return {
        "parents": [parent_in_words(p) for p in flow.parents],
        "prediction": prediction_in_words(flow.prediction) if flow.prediction else "",
        "parameters": flow.network.parameters if flow.network else 0,
    }


_FEATURES = {
    "sum": "sum of {0}",
    "rest": "what is left of {0}",
    "mean": "mean {1} by {0}",
    "length": "vector sum of {vectors}",
    "balance": "balance of {vectors}",
    "turn of the first": "{0} of the first from the balance of {vectors}",
    "turn of the last": "{0} of the last from the balance of {vectors}",
    "distance": "distance to the nearest in {2}, {3}",
    "nearest": "{0} of the nearest in {3}, {4}",
    "relative length": "vector sum of {vectors} over {0}",
    "opening": "opening of {0} and the vector sum of {vectors}",
    "needed": "{0} needed to balance the first",
    "size": "size of {0}",
    "energy": "energy of {0}, {1}, {2}",
    "left": "share of the energy left by {group}",
    "mass": "mass with the first by {0}",
    "back to back": "largest mass with the first by {0} and {1}",
    "place": "place of {0}",
    "place of size": "place of |{0}|",
}
"""Features of the event so far in words, by their kind."""


def feature_in_words(feature: EventFeature) -> str:
    """Return a feature of the event so far in words, vectors by their p_T.

    Example:
        >>> feature_in_words(EventFeature("balance", ("Jet_pt", "Jet_phi", "MET_pt", "MET_phi")))
        'balance of Jet_pt + MET_pt'
    """
    own, size = FEATURE_KINDS[feature.kind]
    group = feature.columns[own :: size or 1]
    words = _FEATURES.get(feature.kind, f"{feature.kind} of {', '.join(feature.columns)}")
    return words.format(
        *feature.columns, vectors=" + ".join(group), group=", ".join(group)
    )


def parent_in_words(parent: Parent) -> str:
    """Return the column, and the relation where it is not the row or the event."""
    if parent.feature is not None:
        return feature_in_words(parent.feature)
    if parent.relation in ("row", "event"):
        return parent.column
    through = f" by {parent.through}" if parent.through else ""
    return f"{parent.relation} {parent.column}".strip() + through


def prediction_in_words(prediction: Prediction) -> str:
    """Return a prediction as a formula.

    Example:
        >>> from flowtuple.lattice.prediction import Term
        >>> pair = (Parent("row", "b"), Parent("row", "c"))
        >>> terms = (Term(1.0, "x", (Parent("row", "a"),)), Term(-2.0, "hypot", pair))
        >>> prediction_in_words(Prediction(terms))
        'a - 2 hypot(b, c)'
    """
    words = ""
    for term in prediction.terms:
        inputs = ", ".join(parent_in_words(p) for p in term.inputs)
        value = inputs if term.function == "x" else f"{term.function}({inputs})"
        size = f"{abs(term.coefficient):g} " if abs(term.coefficient) != 1 else ""
        sign = "-" if term.coefficient < 0 else "+"
        words += (
            f" {sign} {size}{value}"
            if words
            else ("-" if sign == "-" else "") + size + value
        )
    return words


def report_input(original: Dataset, file: File, title: str) -> ReportInput:
    """Return the input of the report: original and decoded tables with bounds and sizes."""
    from flowtuple.reporting.report import ReportInput  # info and inspect wait for none

    pairs: list[tuple[Table, Table]] = []
    bounds: dict[str, dict[str, Bound | Promise]] = {}
    requested: dict[str, dict[str, Bound]] = {}
    for name, stored in file.tables.items():
        source, decoded = original.table(name), read_all(stored)
        files = f"{original.description} against {file.path}"
        check_comparable(source, stored, files)
        whole = read_like(source, stored.columns, 0, stored.num_entries)
        check_comparable(whole, decoded, files)
        shown = tuple(c for c in decoded.columns if c.name not in stored.external)
        pairs.append((replace(whole, columns=shown), replace(decoded, columns=shown)))
        said = promises(file, name)
        bounds[name] = {c.name: said[c.name] for c in shown if c.name in said}
        requested[name] = _requested_bounds(pairs[-1][0], stored)
    return ReportInput(
        title=title,
        original_path=Path(original.description).name,
        compressed_path=Path(file.path).name,
        input_bytes=original.nbytes,
        input_is_part=_holds_more(original, file),
        ledger=Ledger.of(file),
        tables=pairs,
        bounds=bounds,
        requested_bounds=requested,
    )


def _holds_more(original: Dataset, file: File) -> bool:
    """Return whether an input holds tables, columns or objects that the file has not stored."""
    columns = {
        (n, c.name) for n, t in original.tables.items() for c in t.columns if not c.hidden
    }
    stored = {
        (n, c)
        for n, t in file.tables.items()
        for c in file.keys(n)
        if c not in t.external
    }
    lacks = columns - stored or original.carried.keys() - set(file.meta["carried"])
    return bool(original.is_part or original.refused or file.left_out or lacks)


def promises(file: File, table: str) -> dict[str, Bound | Promise]:
    """Return the promise of each column of numbers, to the first original after recompression."""
    return column_promises(file.meta, table, file.tables[table].lattices)


def _requested_bounds(original: Table, stored: StoredTable) -> dict[str, Bound]:
    """Return the requested bounds, resolved on the original, without shared grids."""
    bounds = {}
    for column in original.columns:
        if column.name in stored.lattices:
            bound = Bound.parse(stored.requested.get(column.name, "lossless"))
            if bound.is_statistical:
                statistics = Statistics(column.dtype)
                statistics.update(original.data[column.name].reshape(-1))
                bound = resolve_statistics(bound, statistics)
            bounds[column.name] = bound
    return bounds


def check_comparable(original: TableSource, decoded: TableSource, files: str) -> None:
    """Refuse a decoded table of another original; in memory, the numbers of values have to agree.

    Raises:
        InvalidArgument: Events, columns, types or numbers of values differ.
    """
    if original.num_entries != decoded.num_entries:
        raise InvalidArgument(
            f"{files}: table {decoded.name!r} has {original.num_entries} events "
            f"against {decoded.num_entries}; {_NEXT}"
        )
    # Another format may give hidden counters other names; the columns that they count are compared.
    visible = [c for c in decoded.columns if not c.hidden]
    for name, words in schema_diff(visible, original.columns):
        raise InvalidArgument(
            f"{files}: in the original, column {name!r} {words}; {_NEXT}"
        )
    if isinstance(original, Table) and isinstance(decoded, Table):
        for column in visible:
            sizes = len(original.data[column.name]), len(decoded.data[column.name])
            if sizes[0] != sizes[1]:
                raise InvalidArgument(
                    f"{files}: column {column.name!r} has {sizes[0]} values "
                    f"against {sizes[1]}; {_NEXT}"
                )
