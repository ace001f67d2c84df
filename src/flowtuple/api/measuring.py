"""A look into an input, codecs measured on it, and a demonstration on the embedded sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtuple.api.bounds_on_events import decide_bounds
from flowtuple.api.checking import verify
from flowtuple.api.compressing import compress
from flowtuple.api.inputs import (
    EVERYTHING,
    FilePath,
    Selection,
    Tolerance,
    check_request,
    column_globs,
    left_out_notes,
    pages,
    read,
    selected_refusals,
)
from flowtuple.api.reading import decompress
from flowtuple.baseline.sizes import PCODEC, baseline_bytes
from flowtuple.benchmark.codecs.table_codec import Settings
from flowtuple.benchmark.pages import write_bench
from flowtuple.benchmark.published.options import check_unit
from flowtuple.benchmark.registry import choose
from flowtuple.benchmark.result import Bench
from flowtuple.benchmark.run import run
from flowtuple.codec.chunk import encode_chunk
from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_file import Bounds
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Array
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.model import pack_flow
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.lattice.lattice import resolve_statistics
from flowtuple.lattice.statistics import Statistics
from flowtuple.reporting.describe import inspect_dataset, report_input
from flowtuple.reporting.report import summary_rows, totals, write_report
from flowtuple.runtime.atomic import new_folder
from flowtuple.runtime.old_names import accepts_old
from flowtuple.runtime.progress import Progress, silent
from flowtuple.samples import sample_path
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import chunks


def inspect(
    source: Source,
    *,
    columns: Iterable[str] = (),
    exclude: Iterable[str] = (),
    names: tuple[str, ...] | None = None,
    tolerance: Tolerance | None = None,
    gain: bool = False,
    resources: Resources = Resources(),
) -> dict[str, Any]:
    """Return types, roles, ranges, special values and lattices of the columns of an input.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        columns: Names or globs of the columns to inspect; none means all.
        exclude: Names or globs of columns and of parts to leave out.
        names: Column names for inputs that have none.
        tolerance: Bound by column name or glob, or one for all, for the predicted sizes.
        gain: Predict sizes in bytes from a short training.
        resources: Its `progress` is called at each stage.

    Returns:
        Plain numbers and text: `tables` with their `columns`, `carried` objects, `refused` parts
            with the reason, and `gain`, where wanted.

    Raises:
        InvalidArgument: A name, bound or path is wrong, or bounds come without `gain`.

    Example:
        >>> import flowtuple as ft
        >>> [column["high"] for column in ft.inspect({"x": [0.5, 2.0]})["tables"][0]["columns"]]
        [2.0]
    """
    if tolerance and not gain:
        raise InvalidArgument(
            "`tolerance=` says nothing to inspect without `gain=`; add `gain=` or leave it out"
        )
    columns, exclude = tuple(columns), tuple(exclude)
    dataset = open_dataset(source, ReadOptions(names=names))
    refused = selected_refusals(dataset, columns, exclude)
    dataset = select(dataset, columns, column_globs(dataset, exclude))
    dataset = replace(dataset, refused=refused)
    decided = decide_bounds(
        tolerance, dataset, source, Selection(names=names), (), resources
    )
    bounds = decided.by_pattern
    content = inspect_dataset(dataset, resources.progress, bounds)
    if decided.notes:
        content["notes"] = list(decided.notes)
    if gain:
        predicted = forecast(dataset, bounds, resources.progress)
        content["gain"] = [table.to_json() for table in predicted]
    return content


SAMPLE_VALUES = 2_000_000  # about a minute of training at effort fast on two cores
LEAST_EVENTS = 200
_TEST_SHARE = 0.25


@dataclass(frozen=True)
class Forecast:
    """Predicted bytes of one table.

    Attributes:
        table: Name of the table.
        events: Number of events in the table.
        trained_on: Number of events of the short training.
        judged_on: Number of other events that the sizes are measured on.
        flowtuple: Bytes predicted for the whole table, model included.
        rival: Bytes predicted for quantise+pcodec.
    """

    table: str
    events: int
    trained_on: int
    judged_on: int
    flowtuple: float
    rival: float

    @property
    def ratio(self) -> float:
        """Predicted size over the predicted size of quantise+pcodec."""
        return self.flowtuple / self.rival if self.rival else 1.0

    def to_json(self) -> dict[str, Any]:
        """Return all figures, the ratio among them."""
        return vars(self) | {"ratio": self.ratio}


def forecast(
    dataset: Dataset, tolerance: Mapping[str, str | Bound], progress: Progress = silent
) -> list[Forecast]:
    """Return the forecast for every table with enough events for a training and a test sample.

    Args:
        dataset: The events.
        tolerance: Bound by column name or glob.
        progress: Called at each stage.

    Raises:
        InvalidArgument: A name, glob or bound is wrong.
        MissingExtra: PyTorch is not installed.
    """
    tables = resolve_tables(dataset, tolerance, progress)
    return [
        _forecast(table, progress)
        for table in tables
        if table.source.num_entries >= LEAST_EVENTS
    ]


def _forecast(table: ResolvedTable, progress: Progress) -> Forecast:
    names, events = [c.name for c in table.source.columns], table.source.num_entries
    count = min(events, max(LEAST_EVENTS, _events_of(table, SAMPLE_VALUES)))
    edge = count - int(count * _TEST_SHARE)
    sample = table.source.read(names, 0, edge)
    test = table.source.read(names, edge, count)
    resources = Resources(progress=progress)
    trained = with_flows([replace(table, source=sample)], "fast", 0, resources)[0].coding
    scale = events / test.num_entries
    model = len(pack_flow(trained.flow, trained.columns)) if trained.flow.columns else 0
    rival = baseline_bytes(
        test,
        {name: _absolute(bound, test.data[name]) for name, bound in table.bounds.items()},
    )
    return Forecast(
        table=table.source.name,
        events=events,
        trained_on=edge,
        judged_on=test.num_entries,
        flowtuple=model
        + sum(len(encode_chunk(chunk, trained)) for chunk in chunks(test)) * scale,
        rival=sum(sizes[PCODEC] for sizes in rival.values()) * scale,
    )


def _absolute(bound: Bound, values: Array) -> Bound:
    """Return a bound resolved on the values; the rival has no grids that columns share."""
    statistics = Statistics(values.dtype.name)
    statistics.update(values.reshape(-1))
    return resolve_statistics(bound, statistics)


def _events_of(table: ResolvedTable, values: int) -> int:
    """Return the number of events that hold about so many values, estimated from the first 1000."""
    names = [c.name for c in table.source.columns if not c.is_opaque]
    first = table.source.read(names, 0, 1000)
    per_event = sum(first.data[n].size for n in names) / max(1, first.num_entries)
    return int(values / max(1.0, per_event))


@accepts_old(workers="threads", resources=Resources)
def bench(
    source: Source,
    *,
    tolerance: Tolerance | None = None,
    scan: Iterable[str | Bound] = (),
    selection: Selection = EVERYTHING,
    codecs: Iterable[str] | None = None,
    effort: str = "default",
    unit: str = "GeV",
    folder: FilePath | None = None,
    command: str = "",
    resources: Resources = Resources(),
) -> Bench:
    """Measure codecs on the same events at the same bounds, each in fresh processes.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        tolerance: Bound by column name or glob, or one for all, as in `compress`.
        scan: Bounds for `*`, each measured in turn; the patterns of `tolerance` come after and win.
        selection: Part of the input to take.
        codecs: Names of codecs; `None` for all that are installed but the reference methods.
        effort: Training effort of flowtuple.
        unit: Unit of energies for the reference methods: GeV or MeV.
        folder: Folder for `bench.json`, `bench.md` and `rate_distortion.png`; `None` writes none.
        command: Command line to record in the results.
        resources: Progress, and the threads that each codec may use: here `None` means one.

    Returns:
        Bytes, errors, speeds (MB of raw columns per second) and memory (bytes) of each codec at
        each bound.

    Raises:
        InvalidArgument: A name, bound or path is wrong.
        MissingExtra: A named codec is not installed, or `folder` is given without the extra
            'plots'.

    Example:
        >>> import flowtuple as ft
        >>> events = {"x": [0.1 * k for k in range(500)]}
        >>> result = ft.bench(events, tolerance="abs:0.01", codecs=["quantise+pcodec"])
        >>> [(row.codec, row.violations) for row in result.rows]
        [('quantise+pcodec', 0)]
    """
    check_request("", effort, 0)
    workers = 1 if resources.workers is None else resources.workers
    if workers < 1:
        raise InvalidArgument(f"{workers} threads cannot work; give 1 or more")
    check_unit(unit)
    chosen, notes = choose(None if codecs is None else list(codecs))
    bounds = [bound if isinstance(bound, Bound) else Bound.parse(bound) for bound in scan]
    settings = Settings(effort, workers, unit, progress=resources.progress)
    with pages(folder) as target:
        dataset = read(source, selection)
        decided = decide_bounds(tolerance, dataset, source, selection, (), resources)
        usual = decided.by_pattern
        points = {str(bound): {"*": bound, **usual} for bound in bounds}
        points = points or {_in_words(tolerance, usual): dict(usual)}
        result = run(dataset, points, chosen, settings, command)
        notes = [*notes, *left_out_notes(dataset), *decided.notes, *result.notes]
        result = replace(result, notes=tuple(notes))
        if target is not None:
            write_bench(result, target)
        return result


def _in_words(requested: Tolerance | None, tolerance: Mapping[str, str | Bound]) -> str:
    """Return bounds as a heading: the bound alone where one pattern means all columns."""
    if isinstance(requested, Bounds):
        return requested.origin + " and others" * bool(requested.overrides)
    if set(tolerance) == {"*"}:
        return str(tolerance["*"])
    return ", ".join(f"{pattern}={bound}" for pattern, bound in tolerance.items()) or str(
        Bound()
    )


DEMO_TOLERANCE = {
    "Jet_*": "rel:1e-3",
    "Jet_eta": "abs:1e-3",
    "Jet_phi": "abs:1e-3",
    "MET_*": "rel:1e-3",
    "MET_phi": "abs:1e-3",
}


@dataclass(frozen=True)
class Demonstration:
    """Page of the demonstration, violated bounds, and figures of each column and of the whole."""

    report: Path
    violations: int
    rows: list[dict[str, Any]]
    totals: dict[str, Any]


def demo(
    folder: FilePath,
    *,
    effort: str = "default",
    resources: Resources = Resources(),
) -> Demonstration:
    """Train, compress, decompress, verify and report on the embedded sample of jets."""
    target = Path(folder)
    check_request(target / "jets.ftup", effort, 0)
    with new_folder(target):
        return _demonstrate(target, effort, resources)


def _demonstrate(target: Path, effort: str, resources: Resources) -> Demonstration:
    sample, packed = sample_path(), target / "jets.ftup"
    compress(sample, packed, tolerance=DEMO_TOLERANCE, effort=effort, resources=resources)
    decompress(packed, target / "jets.root")
    verified = verify(sample, packed, resources=resources)
    with File(packed) as file:
        about = report_input(
            open_dataset(sample), file, "The flowtuple demo: jets in events"
        )
    page = write_report(
        about, target, lambda what: resources.progress("report", 0.0, what)
    )
    return Demonstration(page, verified.violations, summary_rows(about), totals(about))
