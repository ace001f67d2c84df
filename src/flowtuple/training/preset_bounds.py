"""Bounds of a preset, decided for each column by its values.

A column that is already rounded as the preset says stays lossless, since nothing would change. In a
preset of files that production rounds, so does a column that is finer than its table: another
version of production has rounded it, or it is a column of somebody else. Columns of full precision
that the table names are bounded. Systematic variations keep their distance from the nominal column.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_presets import UNITS, BoundsPreset
from flowtuple.data.event_samples import sample_events
from flowtuple.data.globs import fits_name, is_glob
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Column
from flowtuple.data.selection import SelectedTable
from flowtuple.data.table import Dataset, TableSource
from flowtuple.data.variations import median_shift, nominal_columns
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.grid import MANTISSA_BITS
from flowtuple.lattice.lattice import resolve
from flowtuple.lattice.statistics import Statistics
from flowtuple.training.lattices import survey

SHARE_OF_SHIFT = 0.05
"""Largest error of a variation, as a share of its median distance from the nominal column."""

_FULL = 20  # mantissa bits above which no production has rounded a column
_NAMED = 5  # columns that a note names
_LEAST_VALUES = 10  # that show a unit


@dataclass
class _Outcome:
    """Decisions on the columns of a preset.

    Attributes:
        bounds: Bound by `TABLE/COLUMN`, of the columns that change.
        exact: Number of columns that are already rounded as the preset says.
        finer: Columns that are finer than the preset and stay lossless, in words.
        variations: Bounds of variations, in words.
        without: Columns whose resolution is not among the events, in words; they stay lossless.
    """

    bounds: dict[str, str | Bound] = field(default_factory=dict)
    exact: int = 0
    finer: list[str] = field(default_factory=list)
    variations: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def preset_bounds(
    preset: BoundsPreset,
    dataset: Dataset,
    external: Collection[tuple[str, str]] = (),
    resources: Resources = Resources(),
) -> tuple[dict[str, str | Bound], tuple[str, ...]]:
    """Return the bounds of a preset on the columns of a data set, with notes.

    Args:
        preset: The preset; the columns choose its version.
        dataset: The events, which are read once.
        external: Tables and names of external columns, which get no bound.
        resources: Progress and memory of the scan.

    Returns:
        Bounds by `TABLE/COLUMN` of the columns that change, then those that override the preset;
        and one sentence each on what changes and what does not.

    Raises:
        InvalidArgument: The preset has no column of the data set, or another unit.
    """
    names = {c.name for table in dataset.tables.values() for c in table.columns}
    preset = preset.for_columns(names)
    outcome = _Outcome()
    floats = listed = 0
    for name, table in dataset.tables.items():
        columns = [
            c for c in table.columns if c.is_float and (name, c.name) not in external
        ]
        floats += len(columns)
        bounds, without = _with_resolutions(columns, _listed_bounds(preset, columns))
        outcome.without += without
        listed += len(bounds) + len(without)
        if bounds:
            _check_units(preset, table, dataset.description)
            wanted = [c for c in columns if c.name in bounds]
            read = bounds.keys() | {b.resolution for b in bounds.values()}
            scanned = [c for c in columns if c.name in read]
            view = SelectedTable(table, _with_counters(table, scanned))
            statistics = survey(view, resources.progress, resources.memory)
            _decide(preset, table, wanted, bounds, statistics, outcome)
    if not listed:
        usual = (*preset.magnitudes.columns, *preset.by_pattern)
        example = next((name for name in usual if not is_glob(name)), usual[0])
        raise InvalidArgument(
            f"{dataset.description}: has no column of {preset.origin}, such as {example!r}; "
            "choose another one, or name bounds with `tolerance=`"
        )
    notes = _notes(preset, outcome, floats - listed)
    return {**outcome.bounds, **preset.overrides}, tuple(notes)


def _with_counters(table: TableSource, columns: Iterable[Column]) -> tuple[Column, ...]:
    """Return columns and their counters, in the order of the table."""
    chosen = tuple(columns)
    names = {c.name for c in chosen} | {c.counter for c in chosen}
    return tuple(c for c in table.columns if c.name in names)


def _listed_bounds(preset: BoundsPreset, columns: Iterable[Column]) -> dict[str, Bound]:
    """Return the bound of each column that a preset lists, and of variations of such columns."""
    columns = tuple(columns)
    bounds = {}
    for column in columns:
        bound = preset.of(column.name)
        by_glob = not preset.names(column.name)
        if bound is None or (by_glob and column.role in ("id", "weight")):
            continue
        bounds[column.name] = bound
    by_name = {c.name: c for c in columns}
    for name, nominal in nominal_columns(columns).items():
        if by_name[name].role not in ("id", "weight") and nominal in bounds:
            bounds.setdefault(name, bounds[nominal])
    return {name: bound for name, bound in bounds.items() if bound.kind != "lossless"}


def _with_resolutions(
    columns: Iterable[Column], bounds: Mapping[str, Bound]
) -> tuple[dict[str, Bound], list[str]]:
    """Return the bounds whose resolutions are there, and the other columns in words."""
    names = {c.name for c in columns}
    without = [n for n, b in bounds.items() if b.resolution and b.resolution not in names]
    usable = {name: bound for name, bound in bounds.items() if name not in without}
    return usable, [f"{name} (no {bounds[name].resolution})" for name in without]


def _check_units(preset: BoundsPreset, table: TableSource, description: str) -> None:
    """Raise where energies are a thousand times what they are in the unit of a preset."""
    about = preset.magnitudes
    names = [
        c.name
        for c in table.columns
        if c.is_float and any(fits_name(pattern, c.name) for pattern in about.columns)
    ]
    if not names:
        return
    sample = sample_events(table, names)
    for name in names:
        size = np.abs(sample[name].reshape(-1).astype(np.float64))
        size = size[np.isfinite(size) & (size > 0)]
        # the low end of a spectrum follows from thresholds, not from the process
        low = float(np.quantile(size, 0.1)) if len(size) >= _LEAST_VALUES else None
        if low is None or about.least <= low <= about.most:
            continue
        scale = UNITS[preset.energy] * (1e-3 if low > about.most else 1e3)
        unit = next(u for u, size in UNITS.items() if abs(size / scale - 1) < 1e-6)
        raise InvalidArgument(
            f"{description}: column {name!r} has a 10 % quantile of {low:.3g}, but "
            f"{preset.origin} is for {preset.energy}; the file seems to be in {unit}: "
            "choose another preset, or name bounds with `tolerance=`"
        )


def _decide(
    preset: BoundsPreset,
    table: TableSource,
    columns: Iterable[Column],
    bounds: Mapping[str, Bound],
    statistics: Mapping[str, Statistics],
    outcome: _Outcome,
) -> None:
    """Add the decisions on the columns of one table to the outcome."""
    nominal = nominal_columns(table.columns)
    for column in columns:
        name, bound = column.name, bounds[column.name]
        known = statistics[name]
        if _is_on_lattice(column, bound, known, statistics.get(bound.resolution)):
            outcome.exact += 1
            continue
        needed = MANTISSA_BITS[column.dtype] - known.trailing_zeros
        if name in nominal:
            shifted = _bound_of_variation(table, column, nominal[name], bound)
            outcome.variations.append(
                f"{name} {shifted}, from its distance to {nominal[name]}"
            )
            bound = shifted
        elif preset.rounded and not (preset.names(name) and needed > _FULL):
            table_has = f"the table has {bound.amount:.0f}"
            outcome.finer.append(f"{name} ({needed} bits, {table_has})")
            continue
        if bound.kind != "lossless":
            outcome.bounds[f"{table.name}/{name}"] = bound


def _is_on_lattice(
    column: Column, bound: Bound, known: Statistics, resolution: Statistics | None
) -> bool:
    """Return whether all values of a column are already as coarse as a bound makes them."""
    if not known.finite:
        return True
    if bound.kind == "bits":
        return MANTISSA_BITS[column.dtype] - known.trailing_zeros <= bound.amount
    return resolve(column, bound, known, resolution).bound.kind == "lossless"


def _bound_of_variation(
    table: TableSource, column: Column, nominal: str, listed: Bound
) -> Bound:
    """Return a bound that keeps the distance of a variation from its nominal column.

    The error is at most `SHARE_OF_SHIFT` of the median distance; the listed bound stays where it
    is finer than that.
    """
    sample = sample_events(table, [column.name, nominal])
    varied = sample[column.name].reshape(-1)
    shift = median_shift(varied, sample[nominal].reshape(-1), column.role == "angle")
    largest = two_digits_down(SHARE_OF_SHIFT * shift)
    if not largest > 0:
        return Bound()
    finite = varied[np.isfinite(varied)]
    plain = not listed.is_statistical and not listed.resolution
    if listed.kind != "lossless" and plain:
        moves = listed.largest_difference(finite)
        if len(moves) and float(moves.max()) <= largest:
            return listed
    return Bound("abs", largest)


def two_digits_down(number: float) -> float:
    """Return a positive number with two significant digits, never larger than it.

    Example:
        >>> two_digits_down(0.0129), two_digits_down(3.0), two_digits_down(0.0)
        (0.012, 3.0, 0.0)
    """
    if not np.isfinite(number) or number <= 0:
        return 0.0
    digits, _, exponent = f"{number:.15e}".partition("e")
    rounded = float(f"{digits[:3]}e{exponent}")
    return rounded if rounded <= number else float(np.nextafter(number, 0))


def _notes(preset: BoundsPreset, outcome: _Outcome, others: int) -> Iterator[str]:
    """Yield sentences on the decisions."""
    are = "is" if outcome.exact == 1 else "are"
    exact = f"{_count(outcome.exact)} {are} already rounded as it says"
    if outcome.bounds:
        names = list_names([name.rpartition("/")[2] for name in outcome.bounds])
        yield f"{preset.origin}: bounds {_count(len(outcome.bounds))}: {names}; {exact}"
    else:
        yield (
            f"{preset.origin}: 0 values changed: {exact}, "
            f"and {_count(others, 'other column')} of floats {'is' if others == 1 else 'are'} "
            "not in it"
        )
    if outcome.finer:
        yield (
            f"{preset.origin}: finer than its table, and lossless: "
            f"{list_names(outcome.finer)}; to round them, name them with `tolerance=`"
        )
    if outcome.without:
        yield (
            f"{preset.origin}: lossless without the columns that they count in: "
            f"{list_names(outcome.without)}; select these as well"
        )
    if outcome.variations:
        yield f"{preset.origin}: variations: {list_names(outcome.variations)}"


def _count(number: int, what: str = "column") -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and how many there are.

    Example:
        >>> list_names(["a", "b"]), list_names("abcdefg")
        ('a, b', 'a, b, c, d, e, ... 7 in all')
    """
    more = f", ... {len(names)} in all" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
