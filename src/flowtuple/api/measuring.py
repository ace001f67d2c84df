"""Codecs measured on the same events, and a demonstration on the embedded sample."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtuple.api.checking import verify
from flowtuple.api.compressing import Compressed, compress
from flowtuple.api.inputs import (
    EVERYTHING,
    Selection,
    Tolerance,
    bounds_by_glob,
    check_request,
    left_out_notes,
    read,
)
from flowtuple.api.reading import decompress
from flowtuple.benchmark.codecs.table_codec import Settings
from flowtuple.benchmark.pages import write_bench
from flowtuple.benchmark.published.options import check_unit
from flowtuple.benchmark.registry import choose
from flowtuple.benchmark.result import Bench
from flowtuple.benchmark.run import run
from flowtuple.data.bounds import Bound
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.source import Source, open_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.plots import require_plots
from flowtuple.reporting.report import summary_rows, totals, write_report
from flowtuple.runtime.atomic import new_folder
from flowtuple.runtime.old_names import accepts_old
from flowtuple.samples import sample_path


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
    folder: str | os.PathLike[str] | None = None,
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
    usual = bounds_by_glob(tolerance)
    bounds = [bound if isinstance(bound, Bound) else Bound.parse(bound) for bound in scan]
    points = {str(bound): {"*": bound, **usual} for bound in bounds}
    points = points or {_in_words(usual): dict(usual)}
    if folder is not None:
        require_plots()
    settings = Settings(effort, workers, unit, progress=resources.progress)
    with contextlib.nullcontext() if folder is None else new_folder(Path(folder)):
        dataset = read(source, selection)
        result = run(dataset, points, chosen, settings, command)
        result = replace(result, notes=(*notes, *left_out_notes(dataset), *result.notes))
        if folder is not None:
            write_bench(result, Path(folder))
        return result


def _in_words(tolerance: Mapping[str, str | Bound]) -> str:
    """Return bounds as a heading: the bound alone where one pattern means all columns."""
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
    """Files of the demonstration, violated bounds, and figures of each column and of the whole."""

    compressed: Compressed
    decompressed: Path
    report: Path
    violations: int
    rows: list[dict[str, Any]]
    totals: dict[str, Any]


def demo(
    folder: str | os.PathLike[str],
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
    sample, packed, unpacked = sample_path(), target / "jets.ftup", target / "jets.root"
    compressed = compress(
        sample, packed, tolerance=DEMO_TOLERANCE, effort=effort, resources=resources
    )
    decompress(packed, unpacked)
    verified = verify(sample, packed, resources=resources)
    with File(packed) as file:
        about = report_input(open_dataset(sample), file, "The flowtuple demo: jets in events")
    page = write_report(about, target, lambda what: resources.progress("report", 0.0, what))
    return Demonstration(
        compressed, unpacked, page, verified.violations, summary_rows(about), totals(about)
    )
