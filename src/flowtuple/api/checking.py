"""A file compared with its original: every value against its bound, and pages about it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.api.inputs import FilePath, column_globs, is_of_rows, selected_refusals
from flowtuple.benchmark.published.signature import is_reference
from flowtuple.comparison.fidelity import ColumnFidelity, compare_tables, merge_columns
from flowtuple.data.globs import select_columns
from flowtuple.data.memory import BLOCK, entries_within
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import read_like
from flowtuple.data.selection import SelectedTable, prefix_errors
from flowtuple.data.table import Dataset, Table, TableSource, ranges, with_counters
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.model import pack_column
from flowtuple.file.table import StoredTable
from flowtuple.io.formats import output_suffixes
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.score import Scores, score
from flowtuple.reporting.describe import (
    check_comparable,
    parent_in_words,
    promises,
    report_input,
)
from flowtuple.reporting.page import format_bytes
from flowtuple.reporting.report import write_report
from flowtuple.reporting.training_page import Trained, write_training
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old
from flowtuple.training.lattices import SCAN_STEP

_EVENTS = 8192  # that the page of a model summarises


class Verified(Shown, list[ColumnFidelity]):
    """Comparison of every column of a file with its original, and what the file lacks.

    Attributes:
        absent: Columns (as `TREE/COLUMN`), trees and objects of the original that the file lacks
            and does not list as left out; of the selected columns where some are selected.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ftup"
        >>> done = ft.compress({"x": [1.0, 2.0]}, path)
        >>> ft.verify({"x": [1.0, 2.0], "y": [0.0, 0.0]}, path).absent
        ('events/y',)
    """

    absent: tuple[str, ...] = ()

    @property
    def violations(self) -> int:
        """Number of values outside their bound."""
        return sum(column.violations for column in self)

    def facts(self) -> dict[str, object]:
        """Return the numbers of columns, of values and of values outside their bound."""
        return {
            "columns": len(self),
            "values": f"{sum(column.values for column in self):,}",
            "outside their bound": self.violations,
            "absent": len(self.absent),
        }


@accepts_old(resources=Resources)
def verify(
    original: Source,
    path: FilePath,
    *,
    columns: Iterable[str] = (),
    exclude: Iterable[str] = (),
    names: tuple[str, ...] | None = None,
    model: FilePath | None = None,
    resources: Resources = Resources(),
) -> Verified:
    """Compare every value of a file with its original, column by column.

    Args:
        original: The input that the file was made from; external columns are taken from it.
        path: A flowtuple file or URL.
        columns: Names or globs of the columns to compare; none means all.
        exclude: Names or globs of columns not to compare.
        names: Column names for inputs that have none.
        model: The model that the file refers to, if it does.
        resources: Threads, memory and progress. As many events are read at a time as the memory has
            room for.

    Returns:
        The comparison of each column, with differences in the column's unit and the number of
        violated bounds.

    Raises:
        InvalidArgument: The original lacks a table or column of the file, or has another number of
            events; a glob matches nothing; or the file is of a reference method.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ftup"
        >>> done = ft.compress({"x": [1.1, 2.2]}, path, tolerance="abs:0.1")
        >>> ft.verify({"x": [1.1, 2.2]}, path).violations
        0
    """
    _refuse_reference(path)
    dataset = open_dataset(original, ReadOptions(names=names))
    result = Verified()
    with _open_file(path, dataset, model, resources) as file:
        files = f"{dataset.description} against {file.path}"
        selected, tables = _selected(dataset, file, tuple(columns), tuple(exclude))
        for name, stored in tables.items():
            if name not in {*dataset.tables, *dataset.refused}:
                raise InvalidArgument(
                    f"{dataset.description}: lacks the tree {name!r} of {file.path}; "
                    "name the whole original, with all of its trees"
                )
            source = dataset.table(name)
            check_comparable(source, stored, files)
            wanted = [c.name for c in stored.columns]
            bounds = {
                c: bound for c, bound in promises(file, name).items() if c in wanted
            }
            chunks = []
            step = entries_within(stored, wanted, resources.memory // BLOCK, SCAN_STEP)
            for start, stop in list(ranges(stored.num_entries, step)) or [(0, 0)]:
                pair = (
                    read_like(source, stored.columns, start, stop),
                    stored.read(wanted, start, stop),
                )
                check_comparable(*pair, files)
                chunks.append(compare_tables(*pair, bounds))
                resources.progress(
                    f"verify {name}", stop / max(1, stored.num_entries), ""
                )
            result += merge_columns(chunks)
        result += [
            _compare_carried(name, dataset.carried.get(name), content)
            for name, content in file.carried.items()
        ]
        result.absent = tuple(_absent(selected, file))
    return result


def _selected(
    original: Dataset, file: File, include: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[Dataset, Mapping[str, TableSource]]:
    """Return the selected part of the original, and the tables of the file with its columns.

    A glob may match a column of either: those that the file lacks are named as absent.

    Raises:
        InvalidArgument: A glob matches nothing, or nothing that the file holds.
    """
    if not include and not exclude:
        return original, file.tables
    schemas = {name: table.columns for name, table in original.tables.items()}
    for name, table in file.tables.items():
        there = schemas.get(name, ())
        names = {c.name for c in there}
        schemas[name] = (*there, *(c for c in table.columns if c.name not in names))
    with prefix_errors(original.description):
        chosen = select_columns(schemas, include, column_globs(original, exclude))
    tables = _with_columns(file.tables, chosen)
    if not tables:
        raise InvalidArgument(
            f"{file.path}: holds none of the columns that `columns=` and `exclude=` leave; "
            "`info()` lists those that it holds"
        )
    refused = selected_refusals(original, include, exclude)
    part = _with_columns(original.tables, chosen)
    return replace(original, tables=part, refused=refused), tables


def _with_columns(
    tables: Mapping[str, TableSource], chosen: Mapping[str, Iterable[Column]]
) -> dict[str, TableSource]:
    """Return views of some columns of tables, with their own counters."""
    views: dict[str, TableSource] = {}
    for name, table in tables.items():
        names = {c.name for c in chosen.get(name, ())}
        if isinstance(table, StoredTable):
            # values under a sigma bound are checked with their resolutions
            names |= {table.lattices[n].resolution for n in names & table.lattices.keys()}
        columns = with_counters(table.columns, names - {""})
        if columns:
            views[name] = SelectedTable(table, columns)
    return views


def _absent(original: Dataset, file: File) -> Iterator[str]:
    """Yield parts of the original that the file lacks and does not list as left out."""
    present = {
        *file.meta["carried"],
        *(part.name for part in file.left_out),
        *file.tables,
    }
    for name, table in file.tables.items():
        present |= {f"{name}/{column.name}" for column in table.columns}
    parts = []
    for name, source in original.tables.items():
        columns = [
            f"{name}/{column.name}" for column in source.columns if not column.hidden
        ]
        parts += columns if name in file.tables else [name]
    for name in (*parts, *original.refused, *original.carried):
        if name not in present:
            yield name


def _refuse_reference(path: FilePath) -> None:
    if is_reference(path):
        raise InvalidArgument(
            f"{os.fspath(path)}: is of a reference method and not checked value by value;"
            " see its errors with: flowtuple reference report FILE.ref ORIGINAL -o DIR"
        )


def _open_file(
    path: FilePath,
    original: Dataset,
    model: FilePath | None,
    resources: Resources,
) -> File:
    """Open the file that is checked, with its original.

    Raises:
        Corrupt: It is damaged, or in a format of originals.
        InvalidArgument: It has no tree in common with the original.
    """
    try:
        file = File(path, given=original, model=model, resources=resources)
    except Corrupt:
        name = os.fspath(path)
        if not name.lower().endswith(tuple(output_suffixes())):
            raise
        advice = "the last argument is the .ftup, the originals come before it"
        raise Corrupt(f"{name}: is not a flowtuple file; {advice}") from None
    if file.tables and not file.tables.keys() & {*original.tables, *original.refused}:
        there, wanted = ", ".join(original.tables), ", ".join(file.tables)
        file.close()
        raise InvalidArgument(
            f"{original.description}: has no tree of {file.path} ({wanted}) but {there}; "
            "it seems to be another original"
        )
    return file


def _compare_carried(name: str, original: bytes | None, content: bytes) -> ColumnFidelity:
    """Compare the bytes of a carried object; equal objects give equal bytes."""
    same = int(original == content)
    return ColumnFidelity("carried", name, "lossless", 1, exact=same, violations=1 - same)


@accepts_old(resources=Resources)
def report(
    original: Source,
    path: FilePath,
    folder: FilePath,
    *,
    names: tuple[str, ...] | None = None,
    model: FilePath | None = None,
    resources: Resources = Resources(),
) -> Path:
    """Write a self-contained HTML page about a file, or about a model.

    The page of a file shows bounds, sizes and histograms; all events are in memory at once. The
    page of a model shows what was learned of each column, or the loss of each epoch.

    Args:
        original: The input that the file or the model was made from.
        path: A flowtuple file or a model.
        folder: Folder for `report.html`, or `train.html` for a model.
        names: Column names for inputs that have none.
        model: The model that the file refers to, if it does.
        resources: Memory and progress.

    Returns:
        The path of the page.

    Raises:
        TooLarge: The events take more than the memory.
        InvalidArgument: The original lacks a table or column of the file, or the file is of a
            reference method.
        MissingExtra: The extra 'plots' is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> done = ft.compress({"x": [1.0, 2.0]}, folder / "x.ftup")
        >>> ft.report({"x": [1.0, 2.0]}, folder / "x.ftup", folder / "page").name
        'report.html'
    """
    _refuse_reference(path)
    dataset = open_dataset(original, ReadOptions(names=names))
    if is_of_rows(path):
        return write_training(_summary_of_rows(dataset, path), Path(folder))
    with _open_file(path, dataset, model, resources) as file:
        if file.is_model:
            return write_training(_summary_of_events(dataset, file), Path(folder))
        about = report_input(
            dataset, file, f"{Path(dataset.description).name} compressed"
        )
    return write_report(
        about, Path(folder), lambda what: resources.progress("report", 0.0, what)
    )


def _summary_of_events(dataset: Dataset, model: File) -> Trained:
    """Summarise a lattice flow: parents and bits per value of each column.

    Args:
        dataset: The training sample.
        model: The model, open.

    Raises:
        InvalidArgument: The sample lacks a table or column of the model.
    """
    rows: list[list[Any]] = []
    alone: dict[str, tuple[float, float]] = {}
    counts = []
    for table_name, table in model.tables.items():
        source, coding = dataset.table(table_name), table.coding
        counts.append(f"{table_name}: {source.num_entries:,}")
        events = read_like(source, coding.columns, 0, min(_EVENTS, source.num_entries))
        bits_of = _bits_per_value(score(events, coding))
        numbers = {c.name: k for k, c in enumerate(coding.columns)}
        for name, flow in coding.flow.columns.items():
            label = f"{table_name}/{name}" if len(model.tables) > 1 else name
            bits, entropy = bits_of.get(name), _entropy(events, name, flow, coding)
            if bits is not None and entropy is not None:
                alone[label] = (entropy, bits)
            parents = ", ".join(parent_in_words(p) for p in flow.parents)
            size = len(pack_column(flow, numbers))
            rows.append([label, _kind(flow), parents, bits, entropy, size])
    facts = {
        "events": ", ".join(counts),
        "flow": "lattice",
        "effort": str(model.meta["provenance"]["effort"]),
        "file": format_bytes(model.size),
    }
    about = (
        f"Bits per value over the first {_EVENTS:,} events of the training sample; "
        "alone is the column's own distribution."
    )
    headings = ["Column", "Model", "Reads", "Bits", "Alone", "Bytes"]
    return Trained(dataset.description, model.path, facts, about, headings, rows, alone)


def _bits_per_value(scores: Scores) -> dict[str, float]:
    sums = zip(
        scores.columns, scores.bits.sum(axis=0), scores.values.sum(axis=0), strict=True
    )
    return {name: float(bits) / int(count) for name, bits, count in sums if count}


def _entropy(
    events: Table, name: str, flow: ColumnFlow, coding: TableCoding
) -> float | None:
    """Return the entropy of a column's own distribution over its bins, in bits per value."""
    lattice = coding.lattices[name]
    if flow.network is None or flow.residual or lattice.resolution:
        return None
    symbols = flow.bins.symbol(lattice.encode(events.data[name].reshape(-1)))
    if not len(symbols):
        return None
    share = np.bincount(symbols, minlength=flow.bins.symbols) / len(symbols)
    widths = np.log2(flow.bins.spans.astype(np.float64) + 1)
    seen = share > 0
    return float((share[seen] * (widths[seen] - np.log2(share[seen]))).sum())


def _kind(flow: ColumnFlow) -> str:
    if flow.network is None:
        return "follows from others" if flow.prediction else "none"
    widths = " x ".join(str(len(layer.shifts)) for layer in flow.network.layers)
    residual = "residual of a prediction, " if flow.residual else ""
    return f"{residual}network {widths}" if flow.parents else f"{residual}frequencies"


def _summary_of_rows(dataset: Dataset, path: FilePath) -> Trained:
    """Summarise a flow over rows: its loss by epoch, and the preprocessing of each column.

    Raises:
        MissingExtra: PyTorch is not installed.
    """
    require_torch(f"reading {os.fspath(path)}")
    from flowtuple.flows.stored import load_model

    trained = load_model(path)
    record = trained.about
    history, watched = record["history"], record.get("watched", [])
    last = watched[-1][1] if watched else {}
    measures = list(dict.fromkeys(name.partition("/")[0] for name in last))
    rows = []
    for name, dtype, chain in zip(
        trained.columns, trained.dtypes, trained.chains, strict=True
    ):
        steps = ", ".join(type(step).__name__.lower() for step in chain.transforms)
        distances = [last.get(f"{measure}/{name}") for measure in measures]
        rows.append([name, dtype, steps, *distances])
    facts = {
        "rows": f"{record['rows']:,}",
        "flow": trained.kind,
        "best epoch": f"{record['best_epoch']} of {len(history)}",
        "schedule": str(record["training"]["schedule"]),
        "file": format_bytes(Path(path).stat().st_size),
    }
    if trained.context.columns:
        facts["given"] = ", ".join(trained.context.columns)
    about = "Transforms are fitted once and stored with the model."
    if watched:
        about += (
            f" Distances between rows drawn after epoch {watched[-1][0]} and rows held out,"
            " in standard deviations."
        )
    return Trained(
        dataset.description,
        os.fspath(path),
        facts,
        about,
        ["Column", "Type", "Transforms", *(m.capitalize() for m in measures)],
        rows,
        history=history,
        watched=watched,
    )
