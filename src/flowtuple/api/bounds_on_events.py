"""Bounds of files and presets, decided for the events that they are to bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from flowtuple.api.inputs import EVERYTHING, Selection, Tolerance, bounds_by_glob
from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_file import Bounds
from flowtuple.data.bounds_presets import BoundsPreset
from flowtuple.data.globs import NamedColumns, fits_name, matches
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.training.preset_bounds import list_names, preset_bounds


@dataclass(frozen=True)
class DecidedBounds:
    """Bounds for the events at hand.

    Attributes:
        by_pattern: Bounds by name or glob; each of them matches a column.
        notes: One sentence each on what was left out, or not changed.
        rounded: Columns of a preset, as `TABLE/COLUMN`: at `bits` the ends of their ranges are
            rounded, too, so that no decoded value has more bits.
    """

    by_pattern: Mapping[str, str | Bound]
    notes: tuple[str, ...] = ()
    rounded: frozenset[str] = frozenset()


def decide_bounds(
    tolerance: Tolerance | None,
    dataset: Dataset,
    source: Source | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    resources: Resources = Resources(),
) -> DecidedBounds:
    """Return the bounds of a tolerance for the events of a data set.

    Bounds of a file for columns that are not selected are left out, with a note. Those of a preset
    depend on the values: a column that is already rounded as the preset says stays lossless.

    Args:
        tolerance: Bounds by pattern, one for all columns, those of a file, or a preset.
        dataset: The selected events.
        source: The input that they are a part of; `None` where the data set is the whole.
        selection: Names of columns of an input that has none.
        given: Names or globs of external columns.
        resources: Progress and memory of a scan for presets.

    Raises:
        InvalidArgument: A pattern of a file matches nothing in the whole input, or a preset does
            not fit the events.
    """
    if isinstance(tolerance, BoundsPreset):
        external = _external(dataset, tuple(given))
        bounds, notes = preset_bounds(tolerance, dataset, external, resources)
        return DecidedBounds(bounds, notes, frozenset(bounds))
    if isinstance(tolerance, Bounds):
        return _of_file(tolerance, dataset, source, selection, tuple(given))
    return DecidedBounds(bounds_by_glob(tolerance))


def _of_file(
    bounds: Bounds,
    dataset: Dataset,
    source: Source | None,
    selection: Selection,
    given: tuple[str, ...],
) -> DecidedBounds:
    """Return the bounds of a file that match columns, with a note on the others."""
    schema = {name: table.columns for name, table in dataset.tables.items()}
    named = NamedColumns(schema)
    external = _external(dataset, given)
    stay: dict[str, str | Bound] = {}
    ignored: list[str] = []
    for pattern, bound in bounds.by_pattern.items():
        if pattern in bounds.overrides:
            continue
        hits = []
        with suppress(InvalidArgument):
            hits = named.matching(pattern)
        if not hits or (
            pattern in named and all((t, c.name) in external for t, c in hits)
        ):
            ignored.append(pattern)
        else:
            stay[pattern] = bound
    notes: tuple[str, ...] = ()
    if ignored:
        _check_in_whole(bounds.origin, ignored, dataset, source, selection)
        columns = list_names(ignored)
        notes = (f"{bounds.origin}: ignored for columns that are left out: {columns}",)
    return DecidedBounds({**stay, **bounds.overrides}, notes)


def _external(dataset: Dataset, given: tuple[str, ...]) -> set[tuple[str, str]]:
    schema = {name: table.columns for name, table in dataset.tables.items()}
    return {(t, c.name) for pattern in given for t, c in matches(pattern, schema)}


def _check_in_whole(
    origin: str,
    patterns: Iterable[str],
    dataset: Dataset,
    source: Source | None,
    selection: Selection,
) -> None:
    """Raise for a pattern that matches no column of the whole input either."""
    whole = dataset
    if source is not None:
        whole = open_dataset(source, ReadOptions(names=selection.names))
    named = NamedColumns({name: table.columns for name, table in whole.tables.items()})
    for pattern in patterns:
        if any(fits_name(pattern, part) for part in whole.refused):
            continue
        try:
            named.matching(pattern)
        except InvalidArgument as error:
            raise InvalidArgument(f"{origin}: in {dataset.description} {error}") from None
