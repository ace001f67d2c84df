"""A file beside its original: every value against its bound, and a page that shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flowtuple.benchmark.published.signature import is_reference
from flowtuple.comparison.fidelity import ColumnFidelity, compare_tables, merge_columns
from flowtuple.data.memory import BLOCK, MEMORY, entries_within
from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Dataset, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.describe import check_comparable, promises, report_input
from flowtuple.reporting.report import write_report
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.lattices import SCAN_STEP


class Verified(list[ColumnFidelity]):
    """What became of every column of a file, and what its original has beside them.

    Attributes:
        absent: Columns, as `TREE/COLUMN`, whole trees and objects of the original that the file does not hold, without those
            that it says were left out.
    """

    absent: tuple[str, ...] = ()


def verify(
    original: Source,
    path: str | os.PathLike[str],
    *,
    names: tuple[str, ...] | None = None,
    model: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    memory: int = MEMORY,
    progress: Progress = silent,
) -> Verified:
    """Compare every value of a file with its original, column by column; given columns are taken from the original.

    What the original has and the file does not is listed in `absent` of the result.

    Events are read as many at a time as `memory`, in bytes, has room for.

    Raises:
        InvalidArgument: The original lacks a table or column of the file, or has another number of events; or the file is one
            of a reference method.
    """
    _refuse_reference(path)
    dataset = open_dataset(original, ReadOptions(names=names))
    found = Verified()
    with File(path, workers, given=dataset, model=model, memory=memory) as file:
        for name, stored in file.tables.items():
            source, files = dataset.table(name), f"{dataset.description} against {file.path}"
            check_comparable(source, stored, files)
            bounds = promises(file, name)
            columns = [c.name for c in stored.columns]
            chunks = []
            step = entries_within(stored, columns, memory // BLOCK, SCAN_STEP)
            for start, stop in list(ranges(stored.num_entries, step)) or [(0, 0)]:
                pair = (
                    read_like(source, stored.columns, start, stop),
                    stored.read(columns, start, stop),
                )
                check_comparable(*pair, files)
                chunks.append(compare_tables(*pair, bounds))
                progress(f"verify {name}", stop / max(1, stored.num_entries), "")
            found += merge_columns(chunks)
        found += [
            _compare_carried(name, dataset.carried.get(name), content)
            for name, content in file.carried.items()
        ]
        found.absent = tuple(_absent(dataset, file))
    return found


def _absent(original: Dataset, file: File) -> Iterator[str]:
    """What an original holds and a file does not, nor says that it was left out."""
    recorded = {
        part["name"]
        for part in file.meta.get("left_out", ())
        if isinstance(part, dict) and "name" in part
    }
    for name, source in original.tables.items():
        if name not in file.tables:
            yield from () if name in recorded else (name,)
            continue
        there = {column.name for column in file.tables[name].columns}
        named = (
            f"{name}/{column.name}"
            for column in source.columns
            if not column.hidden and column.name not in there
        )
        yield from (column for column in named if column not in recorded)
    carried = set(file.meta["carried"])
    yield from (
        name for name in (*original.refused, *original.carried) if name not in carried | recorded
    )


def _refuse_reference(path: str | os.PathLike[str]) -> None:
    if is_reference(path):
        where = os.fspath(path)
        advice = f"see how far its values lie off with: flowtuple reference report {where} ORIGINAL -o DIR"
        raise InvalidArgument(
            f"{where}: is of a reference method and not checked value by value; {advice}"
        )


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
    memory: int = MEMORY,
    progress: Progress = silent,
) -> Path:
    """Write one self-contained HTML page about a file beside its original: bounds, sizes, histograms.

    All events are held in `memory` at once, in bytes.

    Returns:
        The path of the page, `report.html` in the folder.

    Raises:
        TooLarge: They take more.
        InvalidArgument: The original lacks a table or column of the file, or the file is one of a reference method.
    """
    _refuse_reference(path)
    dataset = open_dataset(original, ReadOptions(names=names))
    with File(path, given=dataset, model=model, memory=memory) as file:
        about = report_input(dataset, file, f"{Path(dataset.description).name} compressed")
    return write_report(about, Path(folder), lambda what: progress("report", 0.0, what))
