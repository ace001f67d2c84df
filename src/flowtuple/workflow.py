"""The whole project on one page: train, compress, decompress, verify, report, bench, demo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak

from flowtuple.assemble import add_chunks, add_models, description, provenance, with_flows
from flowtuple.atomic import make_folder
from flowtuple.codec.packing import zstd
from flowtuple.container.file import File, create
from flowtuple.container.layout import SectionKind
from flowtuple.contest.codecs import choose
from flowtuple.contest.pages import write_bench
from flowtuple.contest.result import Bench
from flowtuple.contest.run import run
from flowtuple.describe import check_comparable, report_input
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.evaluate.metrics import ColumnFidelity, compare_tables, merge_columns
from flowtuple.evaluate.plots import require_plots
from flowtuple.evaluate.report import summary_rows, totals, write_report
from flowtuple.events.location import split_tree
from flowtuple.events.source import FORMATS, STORED, ReadOptions, Source, WriteOptions, open_dataset, write_dataset
from flowtuple.prepare import SCAN_STEP, prepare, prepare_with_model
from flowtuple.progress import Progress, silent
from flowtuple.samples import sample_path
from flowtuple.schema import Bound
from flowtuple.selection import select, with_roles
from flowtuple.table import Dataset, ranges, read_all, read_like, table_to_awkward

Tolerance = Mapping[str, "str | Bound"]


@dataclass(frozen=True)
class Selection:
    """What part of an input to take, and how to understand it.

    Attributes:
        columns: Globs of which a column must match one; none means all.
        exclude: Globs of which a column may match none.
        roles: Role by glob, where the name suggests the wrong one.
        names: Column names for inputs that carry none.
        drop: Leave out what cannot be carried instead of refusing.
    """

    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    roles: Mapping[str, str] | None = None
    names: tuple[str, ...] | None = None
    drop: bool = False


@dataclass(frozen=True)
class Compressed:
    """What compressing came to; all sizes in bytes.

    Attributes:
        path: The file written.
        events: Events over all tables.
        values: Values over all columns.
        raw_bytes: The columns at their own types.
        input_bytes: The input on disk, 0 where it has none.
        file_bytes: The file written: chunks, model, index, header and carried objects.
        model_bytes: The model within it.
        warnings: What a person should know.
    """

    path: str
    events: int
    values: int
    raw_bytes: int
    input_bytes: int
    file_bytes: int
    model_bytes: int
    warnings: tuple[str, ...]

    @property
    def bits_per_value(self) -> float:
        return 8 * self.file_bytes / self.values if self.values else 0.0


def read(source: Source, selection: Selection, given: tuple[str, ...] = ()) -> Dataset:
    """The selected part of a source, given columns in any case.

    Raises:
        Unsupported: It holds something that cannot be carried, and `drop` is off.
    """
    dataset = open_dataset(source, ReadOptions(names=selection.names))
    if dataset.refused and not selection.drop:
        name, reason = next(iter(dataset.refused.items()))
        more = f" (and {len(dataset.refused) - 1} more)" if len(dataset.refused) > 1 else ""
        raise Unsupported(f"{dataset.description}: cannot carry {name}: {reason}{more}; leave it out with --drop")
    columns = (*selection.columns, *given) if selection.columns else ()
    dataset = select(dataset, columns, selection.exclude)
    return with_roles(dataset, selection.roles) if selection.roles else dataset


_EVERYTHING = Selection()


def train(
    source: Source,
    path: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = _EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> None:
    """Fit a model to events and write it alone, to be shared by many files.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        path: Where the model goes, by custom ending in `.flow`.
        tolerance: Bound by column name or glob, as in `compress`; the model fixes it.
        selection: Part of the input to take.
        given: Names or globs of columns that are not stored: whoever reads a file of this model supplies them.
        effort: `fast`, `default` or `best`.
        seed: The same input, options and seed give the same model on one machine.
        checkpoint: A folder that keeps finished parts of the training; a second run takes up from there, to the same model.
        progress: Told of each stage.
    """
    _check_request(path, effort, seed)
    given = tuple(given)
    dataset = read(source, selection, given)
    with create(path) as writer:
        prepared = with_flows(prepare(dataset, tolerance or {}, progress, given), effort, seed, progress, checkpoint)
        add_models(writer, prepared)
        writer.finish(description(prepared, [], provenance(effort, seed, source), entries=False))


def compress(
    source: Source,
    path: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = _EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    model: str | os.PathLike[str] | None = None,
    refer: bool = False,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Compressed:
    """Write events as one self-contained file in which every value keeps its bound.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        path: Where the file goes, by custom ending in `.ftup`; it appears whole or not at all.
        tolerance: Bound by column name or glob (`{"Jet_*": "rel:1e-3"}`); the last match wins, no match is lossless.
        selection: Part of the input to take.
        given: Names or globs of columns that are not stored, only their hashes: whoever reads the file supplies them.
        effort: `fast`, `default` or `best`: training time for bytes.
        model: A model from `train`, which is embedded; without one a model is trained on this input.
        refer: Keep the hash of `model` only: whoever reads the file needs the model, too.
        seed: The same input, options and seed give the same file on one machine.
        checkpoint: A folder that keeps finished parts of the training; a second run takes up from there, to the same file.
        workers: Threads; `None` for one per core. The file does not depend on it.
        progress: Told of each stage.

    Raises:
        InvalidArgument: A name, bound or path is not what it should be.
        BoundViolated: A value did not come back within its bound; nothing is written.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
        >>> result = compress({"x": [1.125, 2.75, -999.0]}, path, tolerance={"x": "abs:0.25"})
        >>> decompress(path)["x"].tolist()
        [1.0, 2.75, -999.0]
    """
    _check_request(path, effort, seed)
    given = tuple(given)
    if model is None and refer:
        raise InvalidArgument(f"{path}: has no model to refer to; name one with --model")
    if model is not None and given:
        raise InvalidArgument(f"{model}: fixes which columns are given; leave --given to flowtuple train")
    dataset = read(source, selection, given)
    models: dict[str, str] = {}
    with create(path) as writer:
        if model is None:
            prepared = with_flows(
                prepare(dataset, tolerance or {}, progress, given), effort, seed, progress, checkpoint, workers
            )
        else:
            with File(model) as trained:
                prepared = prepare_with_model(dataset, trained, tolerance or {}, progress)
                models = {t.name: t.model_hash for t in trained.tables.values() if t.name in dataset.tables} if refer else {}
        model_bytes = 0 if refer else add_models(writer, prepared)
        raw_bytes, values = add_chunks(writer, prepared, workers, progress)
        for number, content in enumerate(dataset.carried.values()):
            writer.add(SectionKind.CARRIED, number, zstd(content))
        origin = provenance(effort, seed, source)
        writer.finish(description(prepared, list(dataset.carried), origin, entries=True, models=models))
    return Compressed(
        path=os.fspath(path),
        events=sum(p.source.num_entries for p in prepared),
        values=values,
        raw_bytes=raw_bytes,
        input_bytes=dataset.nbytes,
        file_bytes=Path(path).stat().st_size,
        model_bytes=model_bytes,
        warnings=tuple(w for p in prepared for w in p.warnings),
    )


def _check_request(path: str | os.PathLike[str], effort: str, seed: int) -> None:
    """What can be refused before anything is read."""
    from flowtuple.training.plan import check_effort

    check_effort(effort)
    if not 0 <= seed < 2**63:
        raise InvalidArgument(f"the seed {seed} is not a whole number from 0 to 2^63 - 1")
    if os.fspath(path).lower().endswith(tuple(FORMATS)):
        raise InvalidArgument(f"{path}: has the suffix of another format; end it in .ftup, or in .flow for a model alone")


def decompress(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    columns: Iterable[str] = (),
    entries: tuple[int | None, int | None] = (None, None),
    given: Source | None = None,
    model: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    options: WriteOptions | None = None,
) -> ak.Array | dict[str, ak.Array] | None:
    """Read a file back, into memory or into another file.

    Args:
        path: A flowtuple file or URL, with `:TREE` for one of its tables.
        output: A path whose suffix names the format; `None` to return the events.
        columns: Globs of the columns to decode; none means all.
        entries: First event and event after the last, of each table.
        given: Has the columns that were given when the file was compressed, if any were.
        model: The model that the file refers to, if it does.
        workers: Threads; `None` for one per core. The result does not depend on it.
        options: For the output.

    Returns:
        An awkward record array, or a dict of them by table name where there are several; nothing with an `output`.
    """
    name, tree = split_tree(os.fspath(path), STORED)
    with File(name, workers, given=None if given is None else open_dataset(given), model=model) as file:
        if file.is_model:
            raise InvalidArgument(
                f"{name}: is a model and holds no events; use it with: flowtuple compress FILE --model {name}"
            )
        dataset = file.dataset() if tree is None else file.dataset().only(tree)
        dataset = select(dataset, columns, (), entries)
        if output is not None:
            write_dataset(dataset, output, options or WriteOptions())
            return None
        arrays = {name: table_to_awkward(read_all(table)) for name, table in dataset.tables.items()}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def verify(
    original: Source,
    path: str | os.PathLike[str],
    *,
    names: tuple[str, ...] | None = None,
    model: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> list[ColumnFidelity]:
    """Compare every value of a file with its original, column by column; given columns are taken from the original.

    Raises:
        InvalidArgument: The original lacks a table or column of the file, or has another number of events.
    """
    dataset = open_dataset(original, ReadOptions(names=names))
    found: list[ColumnFidelity] = []
    with File(path, workers, given=dataset, model=model) as file:
        for name, stored in file.tables.items():
            source, files = dataset.table(name), f"{dataset.description} against {file.path}"
            check_comparable(source, stored, files)
            bounds = {c: lattice.bound for c, lattice in stored.lattices.items()}
            columns = [c.name for c in stored.columns]
            chunks = []
            for start, stop in list(ranges(stored.num_entries, SCAN_STEP)) or [(0, 0)]:
                pair = read_like(source, stored.columns, start, stop), stored.read(columns, start, stop)
                check_comparable(*pair, files)
                chunks.append(compare_tables(*pair, bounds))
                progress(f"verify {name}", stop / max(1, stored.num_entries), "")
            found += merge_columns(chunks)
        found += [_compare_carried(name, dataset.carried.get(name), content) for name, content in file.carried.items()]
    return found


def _compare_carried(name: str, original: bytes | None, content: bytes) -> ColumnFidelity:
    """A carried object is the same bytes or it is not: equal objects give equal bytes."""
    same = int(original == content)
    return ColumnFidelity("carried", name, "lossless", 1, exact=same, violations=1 - same)


def report(
    original: Source,
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    names: tuple[str, ...] | None = None,
    model: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Path:
    """Write one self-contained HTML page about a file beside its original: bounds, sizes, histograms.

    Returns:
        The path of the page, `report.html` in the folder.
    """
    dataset = open_dataset(original, ReadOptions(names=names))
    with File(path, given=dataset, model=model) as file:
        about = report_input(dataset, file, f"{Path(dataset.description).name} compressed")
    return write_report(about, Path(folder), lambda what: progress("report", 0.0, what))


def bench(
    source: Source,
    *,
    tolerance: Tolerance | None = None,
    scan: Iterable[str | Bound] = (),
    selection: Selection = _EVERYTHING,
    codecs: Iterable[str] | None = None,
    effort: str = "default",
    threads: int = 1,
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
        codecs: Names of codecs; `None` for all that are installed.
        effort: Of flowtuple's training.
        threads: That each codec may use where it can use several.
        folder: Where `bench.json`, `bench.md` and `rate_distortion.png` go, if anywhere.
        command: The command line that asks, for the record.
        progress: Told of each stage.

    Returns:
        Bytes, errors, speeds and memory of each codec at each bound.

    Raises:
        InvalidArgument: A name, bound or path is not what it should be.
        MissingExtra: A codec asked for is not installed, or `folder` is given without the extra 'plots'.
    """
    _check_request("", effort, 0)
    if threads < 1:
        raise InvalidArgument(f"{threads} threads cannot work; give 1 or more")
    chosen, notes = choose(None if codecs is None else list(codecs))
    asked = tolerance or {}
    bounds = [bound if isinstance(bound, Bound) else Bound.parse(bound) for bound in scan]
    points: dict[str, Tolerance] = {str(bound): {"*": bound, **asked} for bound in bounds} or {_in_words(asked): asked}
    if folder is not None:
        require_plots()
        make_folder(Path(folder))
    found = run(read(source, selection), points, chosen, effort, threads, command, progress)
    found = replace(found, notes=(*notes, *found.notes))
    if folder is not None:
        write_bench(found, Path(folder))
    return found


def _in_words(tolerance: Tolerance) -> str:
    """A tolerance as a heading: the bound where one pattern means all columns."""
    if set(tolerance) == {"*"}:
        return str(tolerance["*"])
    return ", ".join(f"{pattern}={bound}" for pattern, bound in tolerance.items()) or str(Bound())


DEMO_TOLERANCE = {"Jet_*": "rel:1e-3", "Jet_eta": "abs:1e-3", "Jet_phi": "abs:1e-3", "MET_*": "rel:1e-3", "MET_phi": "abs:1e-3"}


@dataclass(frozen=True)
class Demonstration:
    """What the demo made: where, how large, values outside their bound, and row by row what became of each column."""

    compressed: Compressed
    decompressed: Path
    report: Path
    violations: int
    rows: list[dict[str, Any]]
    totals: dict[str, Any]


def demo(folder: str | os.PathLike[str], *, effort: str = "default", progress: Progress = silent) -> Demonstration:
    """The main job on the embedded sample: train, compress, decompress, verify, report."""
    target = Path(folder)
    _check_request(target / "jets.ftup", effort, 0)
    make_folder(target)
    sample, packed, unpacked = sample_path(), target / "jets.ftup", target / "jets.root"
    compressed = compress(sample, packed, tolerance=DEMO_TOLERANCE, effort=effort, progress=progress)
    decompress(packed, unpacked)
    found = verify(sample, packed, progress=progress)
    with File(packed) as file:
        about = report_input(open_dataset(sample), file, "The flowtuple demo: jets in events")
    page = write_report(about, target, lambda what: progress("report", 0.0, what))
    violations = sum(column.violations for column in found)
    return Demonstration(compressed, unpacked, page, violations, summary_rows(about), totals(about))
