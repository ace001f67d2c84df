"""The page about a compressed file: bounds, sizes and histograms of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.baseline.sizes import BASELINES, PCODEC, RAW, baseline_bytes
from flowtuple.comparison.fidelity import ColumnFidelity, compare_tables
from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import OPAQUE, bit_patterns
from flowtuple.data.table import Table
from flowtuple.file.ledger import Ledger
from flowtuple.reporting import plots
from flowtuple.reporting.decoded_figures import (
    PLOTTED_COLUMNS,
    column_figures,
    dijet,
    dijet_card,
)
from flowtuple.reporting.page import (
    Block,
    Cards,
    Facts,
    Figure,
    Form,
    Heading,
    TableBlock,
    Text,
    Verdict,
    format_bytes,
    format_number,
    format_percent,
    two_digits,
    write_page,
)
from flowtuple.runtime.atomic import new_folder

LEAST_DRAWN = 20  # fewer values make no histogram


@dataclass(frozen=True)
class ReportInput:
    """Everything that the page shows, and its figures, which are measured once.

    Attributes:
        title: Heading of the page.
        original_path: Name of the input on the page.
        compressed_path: Name of the compressed file on the page.
        input_bytes: Size of the input file on disk, 0 where there is none.
        input_is_part: True where the input file holds more than the compressed one.
        ledger: Bytes of columns and other parts, which add up to the compressed file.
        tables: Pairs (original, decoded) with equal schemas.
        bounds: Promises by column name for each table's name, `std` resolved to `abs`.
        requested_bounds: Bounds as requested, for other codecs; `None`: those of `bounds`.
    """

    title: str
    original_path: str
    compressed_path: str
    input_bytes: int
    input_is_part: bool
    ledger: Ledger
    tables: list[tuple[Table, Table]]
    bounds: Mapping[str, Mapping[str, Bound | Promise]]
    requested_bounds: Mapping[str, Mapping[str, Bound]] | None = None

    @cached_property
    def fidelity(self) -> dict[tuple[str, str], ColumnFidelity]:
        """Fidelity by (table, column)."""
        fidelity = {}
        for original, decoded in self.tables:
            bounds = self.bounds.get(original.name, {})
            fidelity.update(
                {
                    (f.table, f.column): f
                    for f in compare_tables(original, decoded, bounds)
                }
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
            sizes.update(
                {(original.name, name): nbytes for name, nbytes in columns.items()}
            )
        return sizes


def summary_rows(report_input: ReportInput) -> list[dict[str, Any]]:
    """Return one row per column, in the order of the tables and their schemas.

    Returns:
        Rows of `ColumnFidelity.to_json()` with `dtype`, `method`, `bytes` (`coded_bytes` and
        `model_bytes`), `bits_per_value`, bytes under each other codec (`raw`, `gzip`,
        `quantise+pcodec`) and `ratio_...`, these bytes over those of the column; `None` where that
        is undefined.

    Raises:
        InvalidArgument: Original and decoded tables differ in schema or length.
    """
    ledger = report_input.ledger
    dtypes = {
        (t.name, c.name): c.dtype for t, _ in report_input.tables for c in t.columns
    }
    rows = []
    for key, fidelity in report_input.fidelity.items():
        coded, model = ledger.columns[key], ledger.column_models.get(key, 0)
        others = report_input.others[key]
        rows.append(
            {
                **fidelity.to_json(),
                "bound": Promise.parse(fidelity.bound).short,
                "dtype": dtypes[key],
                "method": ", ".join(ledger.methods[key]),
                "bytes": coded + model,
                "coded_bytes": coded,
                "model_bytes": model,
                "bits_per_value": _ratio(8 * (coded + model), fidelity.values),
                **others,
                **{
                    f"ratio_{name}": _ratio(others[name], coded + model)
                    for name in BASELINES
                },
            }
        )
    return rows


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def totals(report_input: ReportInput) -> dict[str, Any]:
    """Return the sizes of the whole file, its input and other codecs, model and index included.

    Returns:
        `events` by table, `values`, `violations`, `bytes` (of the file), the `parts` that add up to
        them, `model_bytes` and `index_bytes` of them, `input` (bytes), `input_is_part`, bytes under
        each other codec, `bits_per_value`, and `ratio_input`, `ratio_raw`, `ratio_gzip` and
        `ratio_quantise+pcodec`, these bytes over those of the file; `None` where that is undefined.
    """
    fidelity = report_input.fidelity.values()
    values = sum(f.values for f in fidelity)
    sizes = report_input.others.values()
    others = {name: sum(nbytes[name] for nbytes in sizes) for name in BASELINES}
    others["input"] = report_input.input_bytes
    parts = report_input.ledger.parts
    size = sum(parts.values())
    return {
        "events": {t.name: t.num_entries for t, _ in report_input.tables},
        "values": values,
        "violations": sum(f.violations for f in fidelity),
        "bytes": size,
        "parts": parts,
        "model_bytes": parts.get("model", 0),
        "index_bytes": parts["header and index"],
        "bits_per_value": _ratio(8 * size, values),
        "input_is_part": report_input.input_is_part,
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
        rows, whole = summary_rows(report_input), totals(report_input)
        several = len(report_input.tables) > 1
        for row in rows:
            row["label"] = f"{row['table']}/{row['column']}" if several else row["column"]
        drawable = (
            r for r in rows if r["dtype"] != OPAQUE and r["values"] >= LEAST_DRAWN
        )
        shown = sorted(drawable, key=lambda r: (not r["violations"], -r["bytes"]))
        shown = shown[:PLOTTED_COLUMNS]
        chosen = ""
        if len(shown) < len(rows):
            first = "; those with values outside their bound come first"
            chosen = f"The {len(shown)} columns with the most bytes, of {len(rows)}"
            chosen += f"{first if whole['violations'] else ''}. "
        header = _header(report_input, rows, whole)
        cards = _cards(report_input, shown, chosen, report)
        body = [
            *_sizes(whole),
            *_columns(rows),
            *_bits(shown, chosen),
            *_dijets(report_input, report),
            *cards,
        ]
        return write_page(folder / "report.html", report_input.title, header, body)


def _header(
    report_input: ReportInput, rows: list[dict[str, Any]], whole: Mapping[str, Any]
) -> list[Block]:
    files = Text(
        f"{report_input.original_path} → {report_input.compressed_path}", "soft files"
    )
    broken, values = whole["violations"], whole["values"]
    if not broken:
        return [files, Verdict("Every value within its bound", bad=False)]
    are, their = ("is", "its") if broken == 1 else ("are", "their")
    names = [f"{r['column']} ({r['violations']:,})" for r in rows if r["violations"]]
    more = f" and {len(names) - 8} more columns" if len(names) > 8 else ""
    return [
        files,
        Verdict(
            f"{broken:,} of {values:,} values {are} not within {their} bound", bad=True
        ),
        Text(f"In {', '.join(names[:8])}{more}.", "bad"),
    ]


def _sizes(whole: Mapping[str, Any]) -> list[Block]:
    values, size = whole["values"], whole["bytes"]
    labels = {
        "bytes": "flowtuple file",
        PCODEC: "quantise+pcodec, same bounds",
        "gzip": "gzip, lossless",
        RAW: "raw values",
        "input": f"input file{', with what was left out' * whole['input_is_part']}",
    }
    rows = []
    for key, label in labels.items():
        nbytes = whole[key]
        bits = format_number(_ratio(8 * nbytes, values)) if values else ""
        ratio = format_number(_ratio(nbytes, size)) if f"ratio_{key}" in whole else ""
        if nbytes:
            rows.append((label, format_bytes(nbytes), f"{nbytes:,}", bits, ratio))
    parts = [
        (f"of which {part}", format_bytes(nbytes), f"{nbytes:,}", "", "")
        for part, nbytes in whole["parts"].items()
    ]
    rows[1:1] = parts
    events = [f"{name}: {count:,} events" for name, count in whole["events"].items()]
    caption = (
        f"{', '.join(events)}, {values:,} values. Model and index count as part of the file; "
        "the rivals have neither."
    )
    headings = ("", "Size", "Bytes", "Bits per value", "Size / flowtuple")
    return [Heading("Size"), Facts(rows, headings, caption)]


def _columns(rows: list[dict[str, Any]]) -> list[Block]:
    columns = {
        "Column": "label",
        "Type": "dtype",
        "Bound": "bound",
        "Values": "values",
        "Not within\nbound": "violations",
        "Bit for\nbit same": "exact_share",
        "Max\n|Δ| / σ": "max_over_std",
        "Mean\n|Δ| / σ": "mean_over_std",
        "Response\nmean": "response_mean",
        "Response\nrms": "response_rms",
        "Bytes": "coded_bytes",
        "Bytes of\nmodel": "model_bytes",
        "Bits per\nvalue": "bits_per_value",
        "Raw\n/ this": "ratio_raw",
        "Gzip\n/ this": "ratio_gzip",
        "Quant.+\npcodec\n/ this": f"ratio_{PCODEC}",
        "Method": "method",
    }
    about = (
        "Δ = original − decompressed, σ is the standard deviation of the column's finite values, "
        "response = Δ / original without zeros. Bits and size ratios count the column's share of "
        "the model; the sums of bytes stand under Size. quantise+pcodec works at the same bound, "
        "under sigma losslessly: it sees one column at a time."
    )
    caption = "Every column: its bound, what happened to its values, and its size. A heading sorts."
    forms: dict[str, Form] = {"exact_share": format_percent, "response_mean": two_digits}
    table = TableBlock("columns", columns, rows, forms, "violations", caption)
    return [Heading("Columns", about), table]


def _bits(shown: list[dict[str, Any]], chosen: str) -> list[Block]:
    if not shown:
        return []
    keys = {"flowtuple": "bytes", PCODEC: PCODEC, RAW: RAW}
    bits = {
        method: [8 * r[key] / r["values"] for r in shown] for method, key in keys.items()
    }
    drawing = plots.bits_svg([r["label"] for r in shown], bits)
    about = "Bits per value of each column with flowtuple, with quantise+pcodec and raw"
    return [
        Heading("Bits per value", chosen),
        Figure(drawing, f"{about}; numbers in the table."),
    ]


def _dijets(report_input: ReportInput, report: Callable[[str], None]) -> list[Block]:
    cards = []
    for original, decoded in report_input.tables:
        pair = dijet(original, decoded)
        if pair is not None:
            report(f"drawing the mass of the two leading {pair.collection}")
            cards.append(dijet_card(pair, original.name))
    return [Heading("Derived quantities"), Cards(cards)] if cards else []


def _cards(
    report_input: ReportInput,
    shown: list[dict[str, Any]],
    chosen: str,
    report: Callable[[str], None],
) -> list[Block]:
    pairs = {
        original.name: (original, decoded) for original, decoded in report_input.tables
    }
    cards = []
    for place, row in enumerate(shown, 1):
        report(f"drawing {row['table']}/{row['column']} ({place} of {len(shown)})")
        original, decoded = (
            np.asarray(t.data[row["column"]]) for t in pairs[row["table"]]
        )
        bound = report_input.bounds.get(row["table"], {}).get(row["column"], Bound())
        columns = pairs[row["table"]][1].data
        figures = _figures(row["column"], bound, original, decoded, columns)
        cards.append([*_about(row), *figures])
    about = (
        f"{chosen}The grey band is the statistical uncertainty of the original; dashed lines are "
        "the bound. Decompressed values lie on a lattice; where a bin is only a few bounds wide "
        "the ratio shows it. A column that came back bit for bit has no difference to draw."
    )
    return [Heading("Column by column", about), Cards(cards)] if cards else []


def _about(row: dict[str, Any]) -> list[Block]:
    text = f"{row['bound']}, {format_number(row['bits_per_value'])} bits per value"
    if row["exact_share"] == 1:
        text += ", bit for bit the same"
    if row["special"]:
        text += f", {row['special']:,} NaN, infinite or −0"
    broken = f"{row['violations']:,} not within the bound"
    heading = Heading(row["label"], text, 3)
    return [heading, Text(broken, "bad")] if row["violations"] else [heading]


def _figures(
    name: str,
    bound: Bound | Promise,
    original: Any,
    decoded: Any,
    columns: Mapping[str, Any],
) -> Sequence[Block]:
    if not np.isfinite(original).any():
        return [Text("No finite value to draw.")]
    differences = []
    changed = not np.array_equal(bit_patterns(original), bit_patterns(decoded))
    if changed and bound.kind != "lossless":
        words = f"Histogram of the difference of {name} in units of its bound {bound}."
        drawing = plots.difference_svg(bound, original, decoded, name, columns)
        differences.append(Figure(drawing, words))
    return column_figures(name, original, decoded, differences, response=changed)
