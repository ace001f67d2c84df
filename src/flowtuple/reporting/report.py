"""The page about a compressed file: bounds, sizes and histograms of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.baseline.sizes import BASELINES, PCODEC, RAW, baseline_bytes
from flowtuple.comparison.fidelity import ColumnFidelity, compare_tables, dijet_masses
from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import OPAQUE, bit_patterns
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.reporting import plots
from flowtuple.reporting.page import image, write_page
from flowtuple.runtime.atomic import new_folder

PLOTTED_COLUMNS = 24
LEAST_DRAWN = 20  # fewer values make no histogram


@dataclass(frozen=True)
class ColumnSize:
    """Bytes of one column in the compressed file, or of a part of it; parts of a column add up.

    Attributes:
        table: Name of the table.
        column: Name of the column.
        method: Name of its method in the file.
        nbytes: Coded bytes over all chunks.
        model_bytes: The column's part of the model, not contained in `nbytes`.
        values: Number of values coded.
    """

    table: str
    column: str
    method: str
    nbytes: int
    model_bytes: int
    values: int


@dataclass(frozen=True)
class ReportInput:
    """Everything that the page shows, and its figures, which are measured once.

    Attributes:
        title: Heading of the page.
        original_path: Name of the input on the page.
        compressed_path: Name of the compressed file on the page.
        input_bytes: Size of the input file on disk, 0 where there is none.
        compressed_bytes: Size of the compressed file on disk; model and index are part of it.
        model_bytes: Bytes of the model within it.
        index_bytes: Bytes of header and index within it.
        tables: Pairs (original, decoded) with equal schemas.
        bounds: Promises by column name for each table's name, `std` resolved to `abs`.
        sizes: Bytes of the columns.
        requested_bounds: Bounds as requested, for other codecs; `None`: those of `bounds`.
    """

    title: str
    original_path: str
    compressed_path: str
    input_bytes: int
    compressed_bytes: int
    model_bytes: int
    index_bytes: int
    tables: list[tuple[Table, Table]]
    bounds: Mapping[str, Mapping[str, Bound | Promise]]
    sizes: list[ColumnSize]
    requested_bounds: Mapping[str, Mapping[str, Bound]] | None = None

    @cached_property
    def fidelity(self) -> dict[tuple[str, str], ColumnFidelity]:
        """Fidelity by (table, column)."""
        fidelity = {}
        for original, decoded in self.tables:
            bounds = self.bounds.get(original.name, {})
            fidelity.update(
                {(f.table, f.column): f for f in compare_tables(original, decoded, bounds)}
            )
        return fidelity

    @cached_property
    def others(self) -> dict[tuple[str, str], dict[str, int]]:
        """Bytes under each of `BASELINES` by (table, column)."""
        sizes = {}
        for original, _ in self.tables:
            if self.requested_bounds is None:
                promises = self.bounds.get(original.name, {})
                bounds = {name: b for name, b in promises.items() if isinstance(b, Bound)}
            else:
                bounds = dict(self.requested_bounds.get(original.name, {}))
            columns = baseline_bytes(original, bounds)
            sizes.update({(original.name, name): nbytes for name, nbytes in columns.items()})
        return sizes


def summary_rows(report_input: ReportInput) -> list[dict[str, Any]]:
    """Return one row per column, in the order of the tables and their schemas.

    Returns:
        Rows of `ColumnFidelity.to_json()` with `dtype`, `method`, `bytes` (coded and model bytes),
        `bits_per_value`, bytes under each other codec (`raw`, `gzip`, `quantise+pcodec`) and
        `ratio_...`, these bytes over those of the column; `None` where that is undefined.

    Raises:
        InvalidArgument: Original and decoded tables differ in schema or length, or a size names an
            unknown column.
    """
    parts: dict[tuple[str, str], list[ColumnSize]] = {
        key: [] for key in report_input.fidelity
    }
    for size in report_input.sizes:
        if (size.table, size.column) not in parts:
            raise InvalidArgument(
                f"sizes name column {size.table}/{size.column}, which no table has; leave it out"
            )
        parts[size.table, size.column].append(size)
    dtypes = {(t.name, c.name): c.dtype for t, _ in report_input.tables for c in t.columns}
    rows = []
    for key, fidelity in report_input.fidelity.items():
        taken = sum(s.nbytes + s.model_bytes for s in parts[key])
        others = report_input.others[key]
        rows.append(
            {
                **fidelity.to_json(),
                "bound": Promise.parse(fidelity.bound).short,
                "dtype": dtypes[key],
                "method": ", ".join(dict.fromkeys(s.method for s in parts[key])),
                "bytes": taken,
                "bits_per_value": _ratio(8 * taken, fidelity.values),
                **others,
                **{f"ratio_{name}": _ratio(others[name], taken) for name in BASELINES},
            }
        )
    return rows


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def totals(report_input: ReportInput) -> dict[str, Any]:
    """Return the sizes of the whole file, its input and other codecs, model and index included.

    Returns:
        `events` by table, `values`, `violations`, `bytes` (of the file), `model_bytes`,
        `index_bytes`, `input` (bytes), bytes under each other codec, `bits_per_value`, and
        `ratio_input`, `ratio_raw`, `ratio_gzip` and `ratio_quantise+pcodec`, these bytes over those
        of the file; `None` where that is undefined.
    """
    fidelity = report_input.fidelity.values()
    values = sum(f.values for f in fidelity)
    sizes = report_input.others.values()
    others = {name: sum(nbytes[name] for nbytes in sizes) for name in BASELINES}
    others["input"] = report_input.input_bytes
    size = report_input.compressed_bytes
    return {
        "events": {t.name: t.num_entries for t, _ in report_input.tables},
        "values": values,
        "violations": sum(f.violations for f in fidelity),
        "bytes": size,
        "model_bytes": report_input.model_bytes,
        "index_bytes": report_input.index_bytes,
        "bits_per_value": _ratio(8 * size, values),
        **others,
        **{f"ratio_{name}": _ratio(n, size) if n else None for name, n in others.items()},
    }


def write_report(
    report_input: ReportInput, folder: Path, progress: Callable[[str], None] | None = None
) -> Path:
    """Write `report.html` into a folder, which is created where it is missing.

    Args:
        report_input: Input of the report.
        folder: Folder of the page; an older report there is replaced once the new one is complete.
        progress: Called with a short sentence before each step.

    Returns:
        The path of the page.

    Raises:
        InvalidArgument: Original and decoded tables do not fit each other, or the folder cannot be
            written.
        MissingExtra: The extra 'plots' is not installed.
    """
    report = progress or (lambda message: None)
    plots.require_plots()
    with new_folder(folder):  # before the drawing, which takes a while and would be lost
        report("comparing the decompressed events with the original")
        rows = summary_rows(report_input)
        drawable = (r for r in rows if r["dtype"] != OPAQUE and r["values"] >= LEAST_DRAWN)
        shown = sorted(drawable, key=lambda r: (not r["violations"], -r["bytes"]))
        shown = shown[:PLOTTED_COLUMNS]
        content = {
            "report": report_input,
            "totals": totals(report_input),
            "rows": rows,
            "bits": _bits_figure(shown),
            "cards": _cards(report_input, shown, report),
            "dijets": _dijets(report_input, report),
            "several_tables": len(report_input.tables) > 1,
        }
        return write_page("report", folder / "report.html", content)


def _bits_figure(shown: list[dict[str, Any]]) -> dict[str, str] | None:
    if not shown:
        return None
    several = len({r["table"] for r in shown}) > 1
    names = [f"{r['table']}/{r['column']}" if several else r["column"] for r in shown]
    keys = {"flowtuple": "bytes", PCODEC: PCODEC, RAW: RAW}
    bits = {method: [8 * r[key] / r["values"] for r in shown] for method, key in keys.items()}
    description = "Bits per value of each column with flowtuple, with quantise+pcodec and raw"
    return image(plots.bits_svg(names, bits), f"{description}; numbers in the table.")


def _cards(
    report_input: ReportInput, shown: list[dict[str, Any]], report: Callable[[str], None]
) -> list[dict[str, Any]]:
    pairs = {original.name: (original, decoded) for original, decoded in report_input.tables}
    cards = []
    for place, row in enumerate(shown, 1):
        report(f"drawing {row['table']}/{row['column']} ({place} of {len(shown)})")
        original, decoded = (np.asarray(t.data[row["column"]]) for t in pairs[row["table"]])
        bound = report_input.bounds.get(row["table"], {}).get(row["column"], Bound())
        images = _column_images(row["column"], bound, original, decoded)
        cards.append({"row": row, "images": images})
    return cards


def _column_images(
    name: str, bound: Bound | Promise, original: Any, decoded: Any
) -> list[dict[str, str]]:
    finite = original[np.isfinite(original)]
    if not finite.size:
        return []
    overlay = f"Histogram of {name}, original against decompressed, with their ratio below."
    images = [image(plots.overlay_svg(original, decoded, name), overlay)]
    if np.array_equal(bit_patterns(original), bit_patterns(decoded)):
        return images
    if bound.kind != "lossless":
        difference = f"Histogram of the difference of {name} in units of its bound {bound}."
        images.append(image(plots.difference_svg(bound, original, decoded, name), difference))
    if np.count_nonzero(finite):
        response = f"Histogram of the response of {name}: difference over original."
        images.append(image(plots.response_svg(original, decoded, name), response))
    return images


def _dijets(report_input: ReportInput, report: Callable[[str], None]) -> list[dict[str, Any]]:
    cards = []
    for original, decoded in report_input.tables:
        before, after = dijet_masses(original), dijet_masses(decoded)
        if before is None or after is None or not np.isfinite(before[1]).any():
            continue
        collection, masses = before
        report(f"drawing the mass of the two leading {collection}")
        both = np.isfinite(masses) & np.isfinite(after[1])
        least = np.finfo(np.float64).tiny
        shift = np.abs(masses - after[1])[both] / np.maximum(masses[both], least)
        cards.append(
            {
                "table": original.name,
                "collection": collection,
                "events": len(masses),
                "image": plots.dijet_image(collection, masses, after[1]),
                "median_shift": float(np.median(shift)) if shift.size else None,
            }
        )
    return cards
