"""The codec beside others, and the whole of the main job on the embedded sample."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtuple.api.checking import verify
from flowtuple.api.compressing import Compressed, compress
from flowtuple.api.inputs import (
    EVERYTHING,
    Selection,
    Tolerance,
    check_request,
    left_out_notes,
    read,
)
from flowtuple.api.reading import decompress
from flowtuple.benchmark.pages import write_bench
from flowtuple.benchmark.published.options import check_unit
from flowtuple.benchmark.registry import choose
from flowtuple.benchmark.result import Bench
from flowtuple.benchmark.run import run
from flowtuple.benchmark.settings import Settings
from flowtuple.data.bounds import Bound
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.source import Source, open_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.plots import require_plots
from flowtuple.reporting.report import summary_rows, totals, write_report
from flowtuple.runtime.atomic import new_folder
from flowtuple.runtime.progress import Progress, silent
from flowtuple.samples import sample_path


def bench(
    source: Source,
    *,
    tolerance: Tolerance | None = None,
    scan: Iterable[str | Bound] = (),
    selection: Selection = EVERYTHING,
    codecs: Iterable[str] | None = None,
    effort: str = "default",
    threads: int = 1,
    unit: str = "GeV",
    folder: str | os.PathLike[str] | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Bench:
    """Measure flowtuple and other codecs on the same events at the same bounds, each in fresh processes.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        tolerance: Bound by column name or glob, as in `compress`.
        scan: Bounds for `*`, each measured in turn; the patterns of `tolerance` come after and win.
        selection: Part of the input to take.
        codecs: Names of codecs; `None` for all that are installed but the reference methods.
        effort: Of flowtuple's training.
        threads: That each codec may use where it can use several.
        unit: Of energies, for the reference methods: GeV or MeV.
        folder: Where `bench.json`, `bench.md` and `rate_distortion.png` go, if anywhere.
        command: The command line that asks, for the record.
        progress: Told of each stage.

    Returns:
        Bytes, errors, speeds and memory of each codec at each bound.

    Raises:
        InvalidArgument: A name, bound or path is not what it should be.
        MissingExtra: A codec asked for is not installed, or `folder` is given without the extra 'plots'.
    """
    check_request("", effort, 0)
    if threads < 1:
        raise InvalidArgument(f"{threads} threads cannot work; give 1 or more")
    check_unit(unit)
    chosen, notes = choose(None if codecs is None else list(codecs))
    asked = tolerance or {}
    bounds = [bound if isinstance(bound, Bound) else Bound.parse(bound) for bound in scan]
    points: dict[str, Tolerance] = {str(bound): {"*": bound, **asked} for bound in bounds} or {
        _in_words(asked): asked
    }
    if folder is not None:
        require_plots()
    settings = Settings(effort, threads, unit, progress=progress)
    with contextlib.nullcontext() if folder is None else new_folder(Path(folder)):
        dataset = read(source, selection)
        found = run(dataset, points, chosen, settings, command)
        found = replace(found, notes=(*notes, *left_out_notes(dataset), *found.notes))
        if folder is not None:
            write_bench(found, Path(folder))
        return found


def _in_words(tolerance: Tolerance) -> str:
    """A tolerance as a heading: the bound where one pattern means all columns."""
    if set(tolerance) == {"*"}:
        return str(tolerance["*"])
    return ", ".join(f"{pattern}={bound}" for pattern, bound in tolerance.items()) or str(Bound())


DEMO_TOLERANCE = {
    "Jet_*": "rel:1e-3",
    "Jet_eta": "abs:1e-3",
    "Jet_phi": "abs:1e-3",
    "MET_*": "rel:1e-3",
    "MET_phi": "abs:1e-3",
}


@dataclass(frozen=True)
class Demonstration:
    """What the demo made: where, how large, values outside their bound, and row by row what became of each column."""

    compressed: Compressed
    decompressed: Path
    report: Path
    violations: int
    rows: list[dict[str, Any]]
    totals: dict[str, Any]


def demo(
    folder: str | os.PathLike[str], *, effort: str = "default", progress: Progress = silent
) -> Demonstration:
    """The main job on the embedded sample: train, compress, decompress, verify, report."""
    target = Path(folder)
    check_request(target / "jets.ftup", effort, 0)
    with new_folder(target):
        return _demonstrate(target, effort, progress)


def _demonstrate(target: Path, effort: str, progress: Progress) -> Demonstration:
    sample, packed, unpacked = sample_path(), target / "jets.ftup", target / "jets.root"
    compressed = compress(
        sample, packed, tolerance=DEMO_TOLERANCE, effort=effort, progress=progress
    )
    decompress(packed, unpacked)
    found = verify(sample, packed, progress=progress)
    with File(packed) as file:
        about = report_input(open_dataset(sample), file, "The flowtuple demo: jets in events")
    page = write_report(about, target, lambda what: progress("report", 0.0, what))
    violations = sum(column.violations for column in found)
    return Demonstration(compressed, unpacked, page, violations, summary_rows(about), totals(about))
