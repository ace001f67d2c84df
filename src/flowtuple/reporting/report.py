"""One HTML page about one compressed file: does every bound hold, how small is it, what do the histograms look like.

The page carries everything it shows and fetches nothing. It needs the extra 'plots'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    """Bytes that one column takes in the compressed file, or one part of it; parts of a column add up.

    Attributes:
        table: Name of the table.
        column: Name of the column.
        method: How it was coded, as the file calls it.
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
    """All that the page speaks of.

    Attributes:
        title: Heading of the page.
        original_path: The input as the reader should see it named.
        compressed_path: The compressed file, likewise.
        input_bytes: Size of the input file on disk, 0 where there is none.
        compressed_bytes: Size of the compressed file on disk; model and index are part of it.
        model_bytes: Bytes of the model within it.
        index_bytes: Bytes of header and index within it.
        tables: Pairs (original, decoded) with equal schemas.
        bounds: What is promised by column name for each table's name, `std` resolved to `abs`.
        sizes: Bytes of the columns.
        rival_bounds: The same for the rivals, as they were asked for; `None`: those of `bounds`.
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
    rival_bounds: Mapping[str, Mapping[str, Bound]] | None = None


@dataclass(frozen=True)
class _Measured:
    """Fidelity and rival sizes by (table, column); worth computing once."""

    fidelity: dict[tuple[str, str], ColumnFidelity]
    rivals: dict[tuple[str, str], dict[str, int]]


def _measure(report_input: ReportInput) -> _Measured:
    fidelity, rivals = {}, {}
    for original, decoded in report_input.tables:
        bounds = report_input.bounds.get(original.name, {})
        alone = {name: bound for name, bound in bounds.items() if isinstance(bound, Bound)}
        rival_bounds = (
            alone
            if report_input.rival_bounds is None
            else report_input.rival_bounds.get(original.name, {})
        )
        fidelity.update({(f.table, f.column): f for f in compare_tables(original, decoded, bounds)})
        rivals.update(
            {
                (original.name, name): sizes
                for name, sizes in baseline_bytes(original, rival_bounds).items()
            }
        )
    return _Measured(fidelity, rivals)


def summary_rows(report_input: ReportInput) -> list[dict[str, Any]]:
    """One row per column, in the order of the tables and their schemas.

    Returns:
        Rows of `ColumnFidelity.to_json()` with, beside it, `dtype`, `method`, `bytes` (coded and model bytes),
        `bits_per_value`, bytes under each rival (`raw`, `gzip`, `quantise+pcodec`) and `ratio_...`, how many
        times smaller the column is than under that rival; `None` where that is undefined.

    Raises:
        InvalidArgument: Original and decoded tables differ in schema or length, or a size names an unknown column.
    """
    return _rows(report_input, _measure(report_input))


def _rows(report_input: ReportInput, measured: _Measured) -> list[dict[str, Any]]:
    parts: dict[tuple[str, str], list[ColumnSize]] = {key: [] for key in measured.fidelity}
    for size in report_input.sizes:
        if (size.table, size.column) not in parts:
            raise InvalidArgument(
                f"sizes name column {size.table}/{size.column}, which no table has; leave it out"
            )
        parts[size.table, size.column].append(size)
    dtypes = {(t.name, c.name): c.dtype for t, _ in report_input.tables for c in t.columns}
    rows = []
    for key, fidelity in measured.fidelity.items():
        taken = sum(s.nbytes + s.model_bytes for s in parts[key])
        rows.append(
            {
                **fidelity.to_json(),
                "bound": Promise.parse(fidelity.bound).short,
                "dtype": dtypes[key],
                "method": ", ".join(dict.fromkeys(s.method for s in parts[key])),
                "bytes": taken,
                "bits_per_value": _ratio(8 * taken, fidelity.values),
                **measured.rivals[key],
                **{
                    f"ratio_{rival}": _ratio(measured.rivals[key][rival], taken)
                    for rival in BASELINES
                },
            }
        )
    return rows


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def totals(report_input: ReportInput) -> dict[str, Any]:
    """The whole file against its input and its rivals; every byte of the file counts, model and index included.

    Returns:
        `events` by table, `values`, `violations`, `bytes` (of the file), `model_bytes`, `index_bytes`, `input` (bytes),
        bytes under each rival, `bits_per_value`, and `ratio_input`, `ratio_raw`, `ratio_gzip` and
        `ratio_quantise+pcodec`, how many times smaller the file is; `None` where that is undefined.
    """
    return _totals(report_input, _measure(report_input))


def _totals(report_input: ReportInput, measured: _Measured) -> dict[str, Any]:
    values = sum(f.values for f in measured.fidelity.values())
    others = {rival: sum(sizes[rival] for sizes in measured.rivals.values()) for rival in BASELINES}
    others["input"] = report_input.input_bytes
    size = report_input.compressed_bytes
    return {
        "events": {t.name: t.num_entries for t, _ in report_input.tables},
        "values": values,
        "violations": sum(f.violations for f in measured.fidelity.values()),
        "bytes": size,
        "model_bytes": report_input.model_bytes,
        "index_bytes": report_input.index_bytes,
        "bits_per_value": _ratio(8 * size, values),
        **others,
        **{
            f"ratio_{other}": _ratio(nbytes, size) if nbytes else None
            for other, nbytes in others.items()
        },
    }


def write_report(
    report_input: ReportInput, folder: Path, progress: Callable[[str], None] | None = None
) -> Path:
    """Write `report.html` into a folder, which is made where it is missing.

    Args:
        report_input: What to report.
        folder: Where to write; an older report there is replaced once the new one is complete.
        progress: Called with a short sentence before each step.

    Returns:
        The path of the page.

    Raises:
        InvalidArgument: Original and decoded tables do not fit each other, or the folder cannot be written.
        MissingExtra: The extra 'plots' is not installed.
    """
    tell = progress or _silent
    plots.require_plots()
    with new_folder(folder):  # before the drawing, which takes a while and would be lost
        return write_page("report", folder / "report.html", _content(report_input, tell))


def _content(report_input: ReportInput, tell: Callable[[str], None]) -> dict[str, Any]:
    """What the template of the report names."""
    tell("comparing the decompressed events with the original")
    measured = _measure(report_input)
    rows = _rows(report_input, measured)
    drawable = (r for r in rows if r["dtype"] != OPAQUE and r["values"] >= LEAST_DRAWN)
    shown = sorted(drawable, key=lambda r: (not r["violations"], -r["bytes"]))[:PLOTTED_COLUMNS]
    return {
        "report": report_input,
        "totals": _totals(report_input, measured),
        "rows": rows,
        "bits": _bits_figure(shown),
        "cards": _cards(report_input, shown, tell),
        "dijets": _dijets(report_input, tell),
        "several_tables": len(report_input.tables) > 1,
    }


def _silent(message: str) -> None:
    """Progress that nobody asked for."""


def _bits_figure(shown: list[dict[str, Any]]) -> dict[str, str] | None:
    if not shown:
        return None
    several = len({r["table"] for r in shown}) > 1
    names = [f"{r['table']}/{r['column']}" if several else r["column"] for r in shown]
    keys = {"flowtuple": "bytes", PCODEC: PCODEC, RAW: RAW}
    bits = {method: [8 * r[key] / r["values"] for r in shown] for method, key in keys.items()}
    figure = plots.bits_svg(names, bits)
    return image(
        figure,
        "Bits per value of each column with flowtuple, with quantise+pcodec and raw; numbers in the table.",
    )


def _cards(
    report_input: ReportInput, shown: list[dict[str, Any]], tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    pairs = {original.name: (original, decoded) for original, decoded in report_input.tables}
    cards = []
    for place, row in enumerate(shown, 1):
        tell(f"drawing {row['table']}/{row['column']} ({place} of {len(shown)})")
        original, decoded = (np.asarray(t.data[row["column"]]) for t in pairs[row["table"]])
        bound = report_input.bounds.get(row["table"], {}).get(row["column"], Bound())
        cards.append(
            {"row": row, "images": _column_images(row["column"], bound, original, decoded)}
        )
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
    if bound.kind in ("abs", "rel", "bits", "chain"):
        difference = f"Histogram of the difference of {name} in units of its bound {bound}."
        images.append(image(plots.difference_svg(bound, original, decoded, name), difference))
    if np.count_nonzero(finite):
        response = f"Histogram of the response of {name}: difference over original."
        images.append(image(plots.response_svg(original, decoded, name), response))
    return images


def _dijets(report_input: ReportInput, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    found = []
    for original, decoded in report_input.tables:
        before, after = dijet_masses(original), dijet_masses(decoded)
        if before is None or after is None or not np.isfinite(before[1]).any():
            continue
        collection, masses = before
        tell(f"drawing the mass of the two leading {collection}")
        both = np.isfinite(masses) & np.isfinite(after[1])
        shift = np.abs(masses - after[1])[both] / np.maximum(
            masses[both], np.finfo(np.float64).tiny
        )
        figure = plots.dijet_svg(collection, masses, after[1])
        alt = f"Invariant mass of the two leading {collection}, original against decompressed, with their ratio below."
        found.append(
            {
                "table": original.name,
                "collection": collection,
                "events": len(masses),
                "image": image(figure, alt),
            }
        )
        found[-1]["median_shift"] = float(np.median(shift)) if shift.size else None
    return found
