"""Errors of a decoded file of a reference method, as figures and as a page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowtuple.benchmark.published.tables import rows_table
from flowtuple.comparison.two_sample.result import plain
from flowtuple.data.resources import Resources
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.decoded_figures import Dijet
from flowtuple.reporting.page import format_bytes, format_number
from flowtuple.reporting.plots import require_plots
from flowtuple.reporting.row_page import DecodedRows, write_rows
from flowtuple.runtime.atomic import new_folder
from flowtuple.runtime.extras import require_torch

if TYPE_CHECKING:
    from flowtuple.benchmark.published.accuracy import Accuracy
    from flowtuple.benchmark.published.stored import Decoded


@dataclass(frozen=True, eq=False)
class RowsReport:
    """Errors of a decoded file; difference = original - decompressed.

    Attributes:
        page: The HTML page.
        rows: That were compared.
        dropped: Rows of the original that hold NaN or infinite values and are not in the file.
        left_out: Further rows of it that are not, by the cut that the file was made with.
        accuracy: Of each column.
        correlation: Spearman's, of the columns' differences, shape (d, d); NaN where a column came
            back exactly.
        dijet: Mass of the two leading jets before and after; `None` without a collection of jets.
    """

    page: Path
    rows: int
    dropped: int
    left_out: Mapping[str, int]
    accuracy: tuple[Accuracy, ...]
    correlation: Array
    dijet: Dijet | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text; what is undefined is `None`."""
        figures = [a.to_json() for a in self.accuracy]
        pair = None if self.dijet is None else plain(self.dijet.to_json())
        correlation = plain(self.correlation.tolist())
        return vars(self) | {
            "page": str(self.page),
            "accuracy": figures,
            "correlation": correlation,
            "dijet": pair,
        }


def report_rows(
    path: str | os.PathLike[str],
    original: Source,
    folder: str | os.PathLike[str],
    *,
    names: tuple[str, ...] | None = None,
    resources: Resources = Resources(),
) -> RowsReport:
    """Write one self-contained HTML page about the file of a reference method and its original.

    Rows that the file was made without, by a preset or by cuts, are left out of the original again
    and counted.

    Args:
        path: From `encode_rows`.
        original: The input that it was made from.
        folder: Where `report.html` goes; made where it is missing.
        names: Column names for inputs that have none.
        resources: Its `progress` is called for each drawing.

    Raises:
        InvalidArgument: The original lacks a column of the file, or has other rows.
        Corrupt: It is no such file, or a damaged one.
        MissingExtra: PyTorch, or the extra 'plots', is not installed.
    """
    require_plots()
    require_torch(f"decoding {os.fspath(path)}")
    from flowtuple.benchmark.published.accuracy import measure
    from flowtuple.benchmark.published.stored import read

    decoded = read(path)
    everything = read_rows(
        open_dataset(original, ReadOptions(names=names)), exactly=decoded.columns
    ).only(decoded.columns)
    rows, left_out = decoded.event_filter.apply(everything)
    _check_same(rows, decoded, os.fspath(path))
    accuracy = measure(rows, decoded.values)
    content = DecodedRows(
        rows.source,
        os.fspath(path),
        _facts(rows, Path(path).stat().st_size),
        _notes(rows, left_out),
        rows_table(replace(decoded, values=rows.values)),
        rows_table(decoded),
        [column.figures() for column in accuracy],
    )
    with new_folder(Path(folder)):
        page = write_rows(content, Path(folder), resources.progress)
    figures = accuracy, content.correlation, content.dijet
    return RowsReport(page, len(rows), rows.dropped, left_out, *figures)


def _check_same(rows: Rows, decoded: Decoded, path: str) -> None:
    same = len(rows) == len(decoded.values) and rows.counter == decoded.counter
    if same and rows.counter is not None:
        same = np.array_equal(np.bincount(rows.event, minlength=rows.events), decoded.counts)
    if not same:
        cuts = " that pass the file's cuts" if decoded.event_filter else ""
        has = f"has {len(rows)} rows without NaN or infinite values{cuts}"
        decoded_rows = f"{path} holds {len(decoded.values)}" + (
            "" if len(rows) != len(decoded.values) else " in other events"
        )
        raise InvalidArgument(
            f"{rows.source}: {has}, {decoded_rows}; give the input that it was made from"
        )


def _facts(rows: Rows, size: int) -> dict[str, str]:
    kind = "Events" if rows.counter is None else f"Objects of {rows.events:,} events"
    bits = format_number(8 * size / rows.values.size)
    return {
        kind: f"{len(rows):,}",
        "Columns": f"{len(rows.columns)}",
        "File": f"{format_bytes(size)}, {bits} bits per value",
    }


def _notes(rows: Rows, left_out: Mapping[str, int]) -> list[str]:
    notes = []
    if rows.dropped:
        notes.append(
            f"{rows.dropped:,} rows of the original hold NaN or infinite values"
            " and are not in the file."
        )
    notes += [
        f"{count:,} rows of the original are not in the file: not {cut}."
        for cut, count in left_out.items()
        if count
    ]
    if rows.counter is None:
        notes.append(
            "Rows are events here: which of them belong together is not known,"
            " so that no mass of two jets is drawn."
        )
    return notes
