"""Lattices of all columns before coding, from statistics and requested bounds or from a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.globs import matches
from flowtuple.data.memory import BLOCK, MEMORY, entries_within
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.data.schema_diff import schema_diff
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, TableSource, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.table import StoredTable
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.lattice import resolve, resolve_statistics
from flowtuple.lattice.statistics import Statistics
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.progress import Progress
from flowtuple.training.shared_grids import tie

SCAN_STEP = 65536  # events


@dataclass(frozen=True)
class ResolvedTable:
    """One table ready to be coded.

    Attributes:
        source: Its events.
        coding: Schema, lattices and flow; the flow is empty until one is trained.
        bounds: The requested bound of each column that has one.
        warnings: One sentence for each bound that is wider than its column suggests.
        event_bytes: Mean bytes of an event's numbers.
    """

    source: TableSource
    coding: TableCoding
    bounds: Mapping[str, Bound]
    warnings: tuple[str, ...] = ()
    event_bytes: float = 0.0


def survey(
    source: TableSource, progress: Progress, memory: int = MEMORY
) -> dict[str, Statistics]:
    """Compute the statistics of every column of numbers in one pass over the table."""
    statistics = {c.name: Statistics(c.dtype) for c in source.columns if not c.is_opaque}
    names = list(statistics)
    step = entries_within(source, names, memory // BLOCK, SCAN_STEP)
    for start, stop in ranges(source.num_entries, step):
        table = source.read(names, start, stop)
        for name in names:
            statistics[name].update(table.data[name].reshape(-1))
        progress(f"scan {source.name}", stop / source.num_entries, "")
    return statistics


def resolve_tables(
    dataset: Dataset,
    tolerance: Mapping[str, str | Bound],
    progress: Progress,
    external: Iterable[str] = (),
    memory: int = MEMORY,
    *,
    model: File | None = None,
    rounded: Collection[str] = (),
) -> list[ResolvedTable]:
    """Resolve the bound of every column to a lattice.

    Args:
        dataset: The events.
        tolerance: Bound by column name or glob.
        progress: Called during the scan for statistics.
        external: Names or globs of columns whose values the reader will supply.
        memory: Bytes to stay within.
        model: A model whose lattices and flows the tables take over. Tables that it does not
            contain get no flow.
        rounded: Columns, as `TABLE/COLUMN`, whose range is rounded at `bits`, too.

    Returns:
        One entry for each table. Without a model its flow is empty.

    Raises:
        InvalidArgument: A name, glob or bound is invalid, or the data set does not fit the model.
    """
    if model is not None and not set(model.tables) & set(dataset.tables):
        raise InvalidArgument(
            f"{model.path}: was trained on {', '.join(model.tables)}, none of which "
            f"{dataset.description} holds ({', '.join(dataset.tables)}); "
            "train a model on this input"
        )
    schema = {name: table.columns for name, table in dataset.tables.items()}
    with prefix_errors(dataset.description):
        bounds = requested_bounds(schema, tolerance)
        supplied = _external_columns(schema, external)
    resolved = []
    for name, source in dataset.tables.items():
        statistics = survey(source, progress, memory)
        if model is None:
            _check_external_bounds(dataset, tolerance, supplied[name])
            resolved.append(
                _resolve(source, statistics, bounds[name], supplied[name], rounded)
            )
        else:
            known = model.tables.get(name)
            if known is not None:
                _check_fit(source, known, bounds[name], model.path)
            resolved.append(
                _with_lattices(source, statistics, bounds[name], known, rounded)
            )
    return resolved


def _resolve(
    source: TableSource,
    statistics: Mapping[str, Statistics],
    requested: Mapping[str, Bound],
    external: frozenset[str],
    rounded: Collection[str],
) -> ResolvedTable:
    """Resolve a table without a model."""
    requested = {c: bound for c, bound in requested.items() if c not in external}
    spreads = {
        c: resolve_statistics(b, statistics[c])
        for c, b in requested.items()
        if b.is_statistical
    }
    shared = tie(source, {c: b for c, b in spreads.items() if b.kind == "abs"})
    table = _with_lattices(source, statistics, {**requested, **shared}, None, rounded)
    bounds = _lossy(requested)
    warnings = (
        _statistic_warning(c, bound, statistics[c]) for c, bound in bounds.items()
    )
    return replace(
        table,
        coding=replace(table.coding, external=external),
        bounds=bounds,
        warnings=tuple(filter(None, warnings)),
    )


def _with_lattices(
    source: TableSource,
    statistics: Mapping[str, Statistics],
    requested: Mapping[str, Bound],
    known: StoredTable | None,
    rounded: Collection[str],
) -> ResolvedTable:
    """Resolve a table by its bounds, or with lattices and flow where a model has them."""
    stored = {} if known is None else known.lattices
    lattices = {}
    for c in source.columns:
        if c.is_opaque:
            continue
        name, known_values = c.name, statistics[c.name]
        is_rounded = f"{source.name}/{name}" in rounded
        lattices[name] = (
            stored[name].with_range(known_values, round_ends=is_rounded)
            if name in stored
            else resolve(
                c,
                requested.get(name, Bound()),
                known_values,
                statistics.get(requested.get(name, Bound()).resolution),
                round_ends=is_rounded,
            )
        )
    coding = TableCoding(source.columns, lattices, LatticeFlow())
    bounds = _lossy(requested)
    if known is not None:
        coding = replace(coding, flow=known.flow, external=known.external)
        bounds |= {
            c: Bound.parse(text) for c, text in known.requested.items() if c in lattices
        }
    total = sum(s.count * np.dtype(s.dtype).itemsize for s in statistics.values())
    return ResolvedTable(source, coding, bounds, (), total / max(1, source.num_entries))


def _lossy(bounds: Mapping[str, Bound]) -> dict[str, Bound]:
    return {column: bound for column, bound in bounds.items() if bound.kind != "lossless"}


def _external_columns(
    columns: Mapping[str, Sequence[Column]], patterns: Iterable[str]
) -> dict[str, frozenset[str]]:
    """Return the external columns of each table, with their counters."""
    external: dict[str, set[str]] = {name: set() for name in columns}
    for pattern in patterns:
        for table, column in matches(pattern, columns):
            if column.is_opaque:
                raise InvalidArgument(
                    f"column {column.name!r} is carried as it is and cannot be given; leave it out"
                )
            external[table] |= {column.name, column.counter or column.name}
    return {name: frozenset(names) for name, names in external.items()}


def _check_external_bounds(
    dataset: Dataset, tolerance: Mapping[str, str | Bound], external: frozenset[str]
) -> None:
    """Refuse a bound that names an external column; globs may match one."""
    for pattern, bound in tolerance.items():
        if pattern.rpartition("/")[2] in external and str(bound) != "lossless":
            raise InvalidArgument(
                f"{dataset.description}: column {pattern!r} is given, so it cannot be bounded "
                f"by {bound}"
            )


def _statistic_warning(column: str, bound: Bound, statistics: Statistics) -> str | None:
    """Warn of a statistical bound that sentinels make wide."""
    dominant = dominant_sentinels(statistics) if bound.is_statistical else None
    if dominant is None:
        return None
    others, description = dominant
    rest = Statistics(statistics.dtype)
    rest.update(others)
    narrow = resolve_statistics(bound, rest)
    if resolve_statistics(bound, statistics).amount <= math.sqrt(2) * narrow.amount:
        return None
    advice = f"{bound} is wide, write abs:{narrow.amount:.3g} or rel:R"
    return f"column {column!r}: {description}; {advice}"


def dominant_sentinels(statistics: Statistics) -> tuple[Array, str] | None:
    """Describe repeated values that carry most of a column's variance.

    Returns:
        A sample without the repeated values, and half a sentence about them; `None` if they
        carry less than half of the variance.
    """
    sample = statistics.sample
    sentinels = np.array(statistics.sentinels(), dtype=f"u{sample.dtype.itemsize}")
    others = sample[~np.isin(bit_patterns(sample), sentinels)]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(others.astype(np.float64).std()) if len(others) else 0.0
    if not (
        len(sentinels)
        and math.isfinite(statistics.std)
        and statistics.std**2 > 2 * spread**2
    ):
        return None
    values = ", ".join(f"{value:g}" for value in sentinels.view(sample.dtype).tolist())
    return others, (
        f"the repeated value {values} carries most of the standard deviation "
        f"({statistics.std:.4g}, without it {spread:.4g})"
    )


def _check_fit(
    source: TableSource, known: StoredTable, bounds: Mapping[str, Bound], path: str
) -> None:
    """Refuse a table whose columns or bounds differ from those of a model."""
    for name, words in schema_diff(
        known.columns, source.columns, counters=True, hidden=True
    ):
        raise InvalidArgument(
            f"{path}: does not fit table {source.name!r}, whose column {name!r} {words}; "
            "train a model on this input"
        )
    for name in (column.name for column in known.columns):
        fixed = Bound.parse(known.requested.get(name, "lossless"))
        bound = bounds.get(name, fixed)
        if bound != fixed:
            raise InvalidArgument(
                f"{path}: fixes {fixed} for column {name!r}, not {bound}; "
                "leave out `tolerance=` or train with it"
            )
