"""Bounds that an analysis allows, and files checked against an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowtuple.advice.checks import DemandCheck, check_events
from flowtuple.advice.choosing import Chooser
from flowtuple.analysis.demands import Analysis, read_analysis
from flowtuple.analysis.evaluation import evaluate
from flowtuple.api.comparing import write_json
from flowtuple.api.inputs import FilePath
from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_file import write_bounds
from flowtuple.data.bounds_presets import BoundsPreset, bounds_preset
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset, Table, TableSource
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.source import Source, open_dataset
from flowtuple.runtime.atomic import new_folder
from flowtuple.runtime.notebook import Shown

_MOST_EVENTS = 60_000


@dataclass(frozen=True, repr=False)
class Advice(Shown):
    """Bounds that an analysis allows.

    Attributes:
        bounds: Bound by column, for the columns that the analysis reads.
        reasons: Reason of each bound.
        bits: Bits a value by column under quantise+pcodec: lossless, and at the bound.
        chosen: Checks on the events that the bounds were chosen with.
        confirmed: Checks on other events.
        floor: Preset that no bound is coarser than; empty for none.

    Example:
        >>> import flowtuple as ft
        >>> ft.Advice({"x": ft.Bound.parse("abs:0.1")}, {}, {}, (), (), "").failed
        False
    """

    bounds: Mapping[str, Bound]
    reasons: Mapping[str, str]
    bits: Mapping[str, tuple[float, float]]
    chosen: tuple[DemandCheck, ...]
    confirmed: tuple[DemandCheck, ...]
    floor: str

    @property
    def failed(self) -> bool:
        """True where a demand is not met on events that the bounds were not chosen with."""
        return any(check.failed for check in self.confirmed)

    def facts(self) -> dict[str, object]:
        """Return the bounds."""
        return {name: str(bound) for name, bound in self.bounds.items()}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain text and numbers."""
        return {
            "bounds": {name: str(bound) for name, bound in self.bounds.items()},
            "reasons": dict(self.reasons),
            "bits": {n: list(pair) for n, pair in self.bits.items()},
            "chosen_on": [check.to_json() for check in self.chosen],
            "others": [check.to_json() for check in self.confirmed],
            "floor": self.floor,
            "failed": self.failed,
        }


def advise(
    source: Source,
    analysis: FilePath | Analysis,
    folder: FilePath | None = None,
    *,
    seed: int = 0,
    resources: Resources = Resources(),
) -> Advice:
    r"""Return the widest bounds at which an analysis survives.

    Sensitivities are finite differences of each quantity; bits go to columns by a convex problem
    (reverse water-filling). Bounds have two digits, are tried on one half of the events, tightened
    until every demand holds, and confirmed on the other half.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        analysis: A TOML file with quantities, resolutions, cuts and floor.
        folder: Folder for `bounds.toml` and `evidence.json`; `None` writes none.
        seed: Seed of the finite differences.
        resources: Its `progress` is called at each stage.

    Returns:
        Bounds of the columns that the analysis reads, and checks.

    Raises:
        InvalidArgument: The analysis names nothing in the events, or a demand cannot be met.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "analysis.toml"
        >>> _ = path.write_text('[quantity.x]\nexpression = "x"\nmax = "abs:0.1"')
        >>> events = {"x": np.random.default_rng(1).normal(size=4000)}
        >>> str(ft.advise(events, path).bounds["x"])
        'abs:0.097'
    """
    wanted = analysis if isinstance(analysis, Analysis) else read_analysis(analysis)
    dataset = open_dataset(source)
    table = _main_table(dataset)
    names = _read_by(wanted, table)
    events = min(table.num_entries, _MOST_EVENTS)
    if events < 200:
        raise InvalidArgument(
            f"{dataset.description}: {events} events are too few for advice; name 200 or more"
        )
    resources.progress("advise", 0.0, "reading")
    parts = [
        table.read(names, 0, events // 2),
        table.read(names, events // 2, events),
    ]
    floor = _floor(wanted, table)
    resources.progress("advise", 0.2, "choosing")
    chosen = Chooser(wanted, parts[0], parts[1], floor, seed).choose()
    advice = Advice(
        chosen.bounds,
        chosen.reasons,
        chosen.bits,
        chosen.chosen,
        chosen.confirmed,
        floor.text if floor else "",
    )
    if folder is not None:
        with new_folder(Path(folder)):
            title = (
                f"Advised for {wanted.origin}; columns that are not named stay lossless"
            )
            write_bounds(
                Path(folder) / "bounds.toml", advice.bounds, advice.reasons, title
            )
            write_json(advice.to_json(), Path(folder) / "evidence.json")
    return advice


def check_analysis(
    original: Source,
    path: FilePath,
    analysis: FilePath | Analysis,
    *,
    resources: Resources = Resources(),
) -> list[DemandCheck]:
    r"""Return what the values of a file do to the quantities and cuts of an analysis.

    Args:
        original: The input that the file was made from.
        path: A flowtuple file or URL.
        analysis: A TOML file as for `advise`.
        resources: Its `memory` is for the file, its `progress` is called at the start.

    Returns:
        A check of each quantity, resolution and cut.

    Raises:
        InvalidArgument: The analysis names nothing in the events, or the file lacks a column.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.toml").write_text('[quantity.x]\nexpression = "x"\nrms = "abs:1"')
        >>> done = ft.compress({"x": [1.25, 2.5]}, folder / "x.ftup")
        >>> ft.check_analysis({"x": [1.25, 2.5]}, folder / "x.ftup", folder / "a.toml")[0].value
        0.0
    """
    wanted = analysis if isinstance(analysis, Analysis) else read_analysis(analysis)
    dataset = open_dataset(original)
    resources.progress("check", 0.0, "reading")
    with File(path, given=dataset, resources=resources) as file:
        source = _main_table(dataset)
        stored = next(
            (t for n, t in file.tables.items() if n == source.name),
            next(iter(file.tables.values())),
        )
        if stored.num_entries != source.num_entries:
            raise InvalidArgument(
                f"{dataset.description}: has {source.num_entries:,} events, {file.path} "
                f"{stored.num_entries:,}; name the original"
            )
        names = _read_by(wanted, source)
        there = {c.name for c in stored.columns}
        missing = [n for n in names if n not in there]
        if missing:
            raise InvalidArgument(
                f"{file.path}: lacks column {missing[0]!r}, which the analysis reads"
            )
        before = source.read(names, 0, source.num_entries)
        after = stored.read(names, 0, stored.num_entries)
        return check_events(wanted, before, {**before.data, **after.data})


def _main_table(dataset: Dataset) -> TableSource:
    """Return the table with the most events."""
    if not dataset.tables:
        return dataset.only_table()
    return max(dataset.tables.values(), key=lambda table: table.num_entries)


def _read_by(analysis: Analysis, table: TableSource) -> list[str]:
    """Return the names of the columns that an analysis reads, tried on two events."""
    every = [c.name for c in table.columns]
    few: Table = table.read(every, 0, 2)
    read: set[str] = set()
    for demand in analysis.demands:
        where = f"{analysis.origin}: [{demand.name}]"
        for expression in filter(None, (demand.expression, demand.unit)):
            read |= evaluate(expression, few, few.data, where)[1]
    for cut in analysis.cuts:
        where = f"{analysis.origin}: [cut.{cut.name}]"
        read |= evaluate(cut.expression, few, few.data, where)[1]
        for column in few.columns:
            if column.name in read and column.role == "id":
                raise InvalidArgument(
                    f"{where}: {column.name!r} is an id, and ids stay exact"
                )
    return [name for name in every if name in read]


def _floor(analysis: Analysis, table: TableSource) -> BoundsPreset | None:
    if analysis.floor == "none":
        return None
    names = {c.name for c in table.columns}
    preset = bounds_preset(analysis.floor or "nanoaod").for_columns(names)
    return preset if any(preset.of(name) for name in names) else None
