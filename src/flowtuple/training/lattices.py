"""Before coding: one pass for statistics, the bound of every column resolved to a lattice, or both taken from a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from flowtuple.codec.column import TableCoding
from flowtuple.data.memory import BLOCK, entries_within
from flowtuple.data.schema import Bound, Column, bit_patterns, matches, requested_bounds
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, TableSource, ranges
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.file.file import File
from flowtuple.file.table import StoredTable
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.lattice import Lattice, resolve, resolve_std
from flowtuple.lattice.statistics import Statistics
from flowtuple.runtime.progress import Progress
from flowtuple.runtime.resources import MEMORY
from flowtuple.training.shared_grids import tie

SCAN_STEP = 65536


@dataclass(frozen=True)
class ResolvedTables:
    """One table ready to be coded.

    Attributes:
        source: Its events.
        coding: Schema, lattices and flow; the flow is empty where one is still to be trained.
        asked: The bound that was asked for each column that has one.
        warnings: What a person should know before trusting these bounds.
        event_bytes: Of the columns of numbers, on average.
    """

    source: TableSource
    coding: TableCoding
    asked: Mapping[str, Bound]
    warnings: tuple[str, ...] = field(default=())
    event_bytes: float = 0.0


def survey(source: TableSource, progress: Progress, memory: int = MEMORY) -> dict[str, Statistics]:
    """Statistics of every column of numbers, in one pass over the table."""
    statistics = {c.name: Statistics(c.dtype) for c in source.columns if not c.is_opaque}
    names = list(statistics)
    for start, stop in ranges(
        source.num_entries, entries_within(source, names, memory // BLOCK, SCAN_STEP)
    ):
        table = source.read(names, start, stop)
        for name in names:
            statistics[name].update(table.data[name].reshape(-1))
        progress(f"scan {source.name}", stop / source.num_entries, "")
    return statistics


def resolve_tables(
    dataset: Dataset,
    tolerance: Mapping[str, str | Bound],
    progress: Progress,
    given: Iterable[str] = (),
    memory: int = MEMORY,
) -> list[ResolvedTables]:
    """Every table of a data set with the bounds that were asked for and no flow yet.

    Args:
        dataset: The events.
        tolerance: Bound by column name or glob.
        progress: Told of the scan.
        given: Names or globs of columns that whoever reads will supply.
        memory: Bytes to keep within.

    Raises:
        InvalidArgument: A name, glob or bound is not what it should be.
    """
    bounds, supplied = _asked(dataset, tolerance), _given(dataset, given)
    prepared = []
    for name, source in dataset.tables.items():
        statistics = survey(source, progress, memory)
        _check_given_bounds(dataset, tolerance, supplied[name])
        asked = {c: b for c, b in bounds[name].items() if c not in supplied[name]}
        spreads = {c: resolve_std(b, statistics[c]) for c, b in asked.items() if b.kind == "std"}
        known = asked | tie(source, {c: b for c, b in spreads.items() if b.kind == "abs"})
        lattices = {
            c.name: resolve(c, known.get(c.name, Bound()), statistics[c.name])
            for c in source.columns
            if not c.is_opaque
        }
        coding = TableCoding(source.columns, lattices, LatticeFlow(), supplied[name])
        named = {column: bound for column, bound in asked.items() if bound.kind != "lossless"}
        warned = [_warning(column, bound, statistics[column]) for column, bound in named.items()]
        warnings = tuple(w for w in warned if w)
        prepared.append(
            ResolvedTables(source, coding, named, warnings, _event_bytes(statistics, source))
        )
    return prepared


def _event_bytes(statistics: Mapping[str, Statistics], source: TableSource) -> float:
    return sum(s.count * np.dtype(s.dtype).itemsize for s in statistics.values()) / max(
        1, source.num_entries
    )


def _asked(dataset: Dataset, tolerance: Mapping[str, str | Bound]) -> dict[str, dict[str, Bound]]:
    with prefix_errors(dataset.description):
        return requested_bounds({name: t.columns for name, t in dataset.tables.items()}, tolerance)


def _given(dataset: Dataset, patterns: Iterable[str]) -> dict[str, frozenset[str]]:
    """Given columns of each table, with their counters."""
    columns = {name: t.columns for name, t in dataset.tables.items()}
    found: dict[str, set[str]] = {name: set() for name in columns}
    for pattern in patterns:
        with prefix_errors(dataset.description):
            for table, column in matches(pattern, columns):
                if column.is_opaque:
                    raise InvalidArgument(
                        f"column {column.name!r} is carried as it is and cannot be given; leave it out"
                    )
                found[table] |= {column.name, column.counter or column.name}
    return {name: frozenset(names) for name, names in found.items()}


def _check_given_bounds(
    dataset: Dataset, tolerance: Mapping[str, str | Bound], given: frozenset[str]
) -> None:
    """A bound on a given column means nothing: globs pass over it, a full name is a mistake."""
    for pattern, bound in tolerance.items():
        if pattern.rpartition("/")[2] in given and str(bound) != "lossless":
            raise InvalidArgument(
                f"{dataset.description}: column {pattern!r} is given, so it cannot be bounded by {bound}"
            )


def _warning(column: str, bound: Bound, statistics: Statistics) -> str | None:
    """`std` measures the wrong thing where a sentinel makes the spread."""
    spread = std_without_sentinels(statistics)
    if bound.kind != "std" or spread is None:
        return None
    advice = f"{bound} is wide, write abs:{bound.amount * spread:.3g} or rel:R"
    return f"column {column!r}: {sentinel_spread_in_words(statistics, spread)}; {advice}"


def std_without_sentinels(statistics: Statistics) -> float | None:
    """The standard deviation without repeated values, where these carry most of the variance; `None` elsewhere."""
    sample = statistics.sample
    patterns = np.array(statistics.sentinels(), dtype=f"u{sample.dtype.itemsize}")
    others = sample[~np.isin(bit_patterns(sample), patterns)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(others.std()) if len(others) else 0.0
    carried = (
        len(patterns) > 0 and math.isfinite(statistics.std) and statistics.std**2 > 2 * spread**2
    )
    return spread if carried else None


def sentinel_spread_in_words(statistics: Statistics, spread: float) -> str:
    """One half-sentence: which repeated values make the standard deviation, and what it is without them."""
    patterns = np.array(statistics.sentinels(), dtype=f"u{statistics.sample.dtype.itemsize}")
    values = ", ".join(f"{value:g}" for value in patterns.view(statistics.sample.dtype).tolist())
    return f"the repeated value {values} carries most of the standard deviation ({statistics.std:.4g}, without it {spread:.4g})"


def prepare_with_model(
    dataset: Dataset,
    model: File,
    tolerance: Mapping[str, str | Bound],
    progress: Progress,
    memory: int = MEMORY,
) -> list[ResolvedTables]:
    """Every table of a data set with the lattices and flow of a model; tables that it does not know are lossless.

    Raises:
        InvalidArgument: No table fits the model, a column of the model is missing or of another type, or a bound
            asked for is not the model's.
    """
    if not set(model.tables) & set(dataset.tables):
        raise InvalidArgument(
            f"{model.path}: was trained on {', '.join(model.tables)}, none of which {dataset.description} holds "
            f"({', '.join(dataset.tables)}); train a model on this input"
        )
    bounds = _asked(dataset, tolerance)
    prepared = []
    for name, source in dataset.tables.items():
        statistics, known = survey(source, progress, memory), model.tables.get(name)
        if known is not None:
            _check_fit(source, known, bounds[name], model.path)
        lattices = {
            c.name: _lattice(c, statistics[c.name], bounds[name].get(c.name, Bound()), known)
            for c in source.columns
            if not c.is_opaque
        }
        flow = known.flow if known else LatticeFlow()
        asked = {c: b for c, b in bounds[name].items() if b.kind != "lossless"}
        if known:
            asked |= {c: Bound.parse(text) for c, text in known.asked.items() if c in lattices}
        coding = TableCoding(source.columns, lattices, flow, known.given if known else frozenset())
        prepared.append(
            ResolvedTables(source, coding, asked, event_bytes=_event_bytes(statistics, source))
        )
    return prepared


def _lattice(
    column: Column, statistics: Statistics, bound: Bound, known: StoredTable | None
) -> Lattice:
    if known is not None and column.name in known.lattices:
        return known.lattices[column.name].with_range(statistics)
    return resolve(column, bound, statistics)


def _check_fit(
    source: TableSource, known: StoredTable, bounds: Mapping[str, Bound], path: str
) -> None:
    columns = {c.name: c for c in source.columns}
    for trained in known.columns:
        found = columns.get(trained.name)
        if found is None:
            raise InvalidArgument(
                f"{path}: reads column {trained.name!r}, which table {source.name!r} lacks ({nearest(trained.name, columns)}); "
                "train a model on this input"
            )
        if (found.dtype, found.counter, found.shape) != (
            trained.dtype,
            trained.counter,
            trained.shape,
        ):
            raise InvalidArgument(
                f"{path}: column {trained.name!r} was {trained.dtype} when the model was trained and is {found.dtype} "
                f"in table {source.name!r}; train a model on this input"
            )
        fixed = Bound.parse(known.asked.get(trained.name, "lossless"))
        bound = bounds.get(trained.name, fixed)
        if bound != fixed:
            raise InvalidArgument(
                f"{path}: fixes {fixed} for column {trained.name!r}, not {bound}; leave out --tolerance or train with it"
            )
