"""Output in a terminal: progress with time left, and tables."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable

from flowtuple.api import Compressed
from flowtuple.benchmark import pages
from flowtuple.benchmark.result import Bench
from flowtuple.cli.arguments import as_options
from flowtuple.comparison.closure.result import Closure, Verdict
from flowtuple.comparison.fidelity import ColumnFidelity
from flowtuple.comparison.two_sample.ratio import Ratio
from flowtuple.comparison.two_sample.result import Comparison, Outcome
from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import Bound
from flowtuple.data.expressions import Cut
from flowtuple.data.table import LeftOut
from flowtuple.errors import name_parts
from flowtuple.file.damage import Damage
from flowtuple.reporting.page import format_bytes, format_number
from flowtuple.runtime import progress as reporting


class LastProgress:
    """Progress that also stores the last detail, which is shown without a bar.

    Attributes:
        detail: The last detail.
    """

    def __init__(self, progress: reporting.Progress) -> None:
        self.detail = ""
        self._progress = progress

    def __call__(self, stage: str, share: float, detail: str) -> None:
        self.detail = detail
        self._progress(stage, share, detail)


_NAMED = 8  # of a long list, that are shown


@contextmanager
def shown_progress(*, silent: bool = False) -> Iterator[reporting.Progress]:
    """Show bars on standard error, one per stage with its time left, if it is a terminal."""
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield reporting.silent
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, share: float, detail: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0, detail="")
            bars.update(tasks[stage], completed=share, detail=detail)

        yield show


class _Output(Console):
    """Standard output, where a reader that has seen enough is no failure of ours."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which ends well; rich would end with exit code 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def show_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1
) -> None:
    """Print a table; the first columns are text, the others numbers, aligned to the right."""
    table = RichTable(title=title, title_justify="left", title_style="bold")
    for k, heading in enumerate(headings):
        if k < text_columns:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    wide = _Output(
        file=sys.stdout, markup=False, emoji=False
    )  # names hold brackets: Jet_pt [nJet]
    if not wide.is_terminal:
        wide.width = 160
    wide.print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, the values aligned."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")


_LEFT_OUT_LINES = 20


def warn_left_out(parts: Sequence[LeftOut], when: str = "") -> None:
    """Count and name the parts of an input that an output lacks, on standard error."""
    if parts:
        warn(f"left out{when}: {name_parts({part.name: part.reason for part in parts})}")


def warn(message: str) -> None:
    """Write one line on standard error, with options for arguments."""
    sys.stderr.write(f"flowtuple: warning: {as_options(message)}\n")


def show_demonstration(
    rows: Sequence[Mapping[str, Any]], total: Mapping[str, Any], page: Path
) -> None:
    """Show the figures of each column of the demo, and of the whole."""
    lines = [
        [
            f"{row['table']}/{row['column']}",
            row["bound"],
            row["method"],
            *(
                format_number(row[key])
                for key in (
                    "max_over_std",
                    "bits_per_value",
                    "ratio_raw",
                    "ratio_quantise+pcodec",
                )
            ),
        ]
        for row in rows
    ]
    headings = [
        "column",
        "bound",
        "method",
        "max |diff|/std",
        "bits/value",
        "raw/ours",
        "q+pcodec/ours",
    ]
    show_table("Embedded sample: jets in events", headings, lines, text_columns=3)
    show_facts(
        {
            "values": f"{total['values']}, {total['violations']} outside their bound",
            "input file": format_bytes(total["input"]),
            "raw columns": format_bytes(total["raw"]),
            "quantise+pcodec": f"{format_bytes(total['quantise+pcodec'])} "
            "(no container, no header)",
            "flowtuple": f"{format_bytes(total['bytes'])}, "
            f"model ({format_bytes(total['model_bytes'])}) and index included",
            "raw / flowtuple": format_number(total["ratio_raw"]),
            "report": str(page),
        }
    )


def show_bench(bench: Bench) -> None:
    """Show a table of codecs for each bound, with the smallest marked, and notes."""
    for bound in bench.bounds:
        lines = []
        for row in bench.at(bound):
            first, *others = pages.cells(bench, row)
            lines.append([f"{first} *" if row.codec == bench.best(bound) else first, *others])
            if trained := pages.cells_with_model(row):
                lines.append(trained)
        show_table(
            f"{bench.source} at {bound}: {bench.values} values, {format_bytes(bench.raw_bytes)}",
            pages.HEADINGS,
            lines,
        )
    sys.stdout.write("* smallest that keeps its bound\n")
    for note in bench.notes:
        warn(note)
    for row in bench.rows:
        if row.failed:
            warn(f"{row.codec} failed at {row.bound}: {row.failed}")


def show_inspection(content: Mapping[str, Any]) -> None:
    """Show the columns of an input, its carried objects and the refused parts."""
    for table in content["tables"]:
        rows = [
            [
                column["name"],
                column["dtype"]
                + (f" [{column['counter']}]" if "counter" in column else "")
                + _shape(column),
                column["role"],
                column["lattice"],
                _special_in_words(column),
                _range_end(column.get("low")),
                _range_end(column.get("high")),
            ]
            for column in table["columns"]
        ]
        headings = ["column", "type", "role", "lattice", "special", "min", "max"]
        show_table(
            f"{table['name']}: {table['events']} events", headings, rows, text_columns=5
        )
        for column in table["columns"]:
            if "warning" in column:
                warn(f"column {column['name']!r}: {column['warning']}")
    for name in content["carried"]:
        sys.stdout.write(f"carried: {name}\n")
    for table in content.get("gain", []):
        size = format_bytes(table["flowtuple"])
        sys.stdout.write(
            f"predicted for {table['table']}: {size}, {table['ratio']:.3f} of quantise+pcodec "
            f"(trained on {table['trained_on']} events at effort fast, "
            f"judged on {table['judged_on']} others)\n"
        )
    for name, reason in content["refused"].items():
        warn(f"{name} cannot be carried: {reason}")


def show_compressed(result: Compressed) -> None:
    """Show one line of sizes."""
    ratio = format_number(result.raw_bytes / result.file_bytes)
    sys.stdout.write(
        f"{result.path}: {format_bytes(result.file_bytes)} for {result.events_in_words}, "
        f"{ratio} times smaller than {format_bytes(result.raw_bytes)} raw, "
        f"{format_number(result.bits_per_value)} bits per value "
        f"(model {format_bytes(result.model_bytes)} included)\n"
    )


def show_damage(path: str, damage: Sequence[Damage]) -> None:
    """Show the damaged or missing parts of a file, by events and columns."""
    if not damage:
        sys.stdout.write(f"{path}: every checksum is right\n")
        return
    rows = [
        [
            d.table or "(file)",
            "" if d.events is None else f"{d.events[0]}:{d.events[1]}",
            ", ".join(d.columns) or ("all" if d.events else ""),
            d.reason,
        ]
        for d in damage
    ]
    show_table(
        f"{path} is damaged", ["table", "events", "columns", "what"], rows, text_columns=4
    )


def show_fidelity(title: str, content: Sequence[ColumnFidelity]) -> None:
    """Show the largest differences of each column, and the values outside their bound."""
    rows = [
        [
            f"{c.table}/{c.column}",
            Promise.parse(c.bound).short,
            str(c.values),
            str(c.violations),
            format_number(c.difference.largest if c.difference.count else None),
            format_number(c.max_over_std),
            format_number(c.mean_over_std),
        ]
        for c in content
    ]
    headings = ["column", "bound", "values", "outside", "max |diff|", "max/std", "mean/std"]
    show_table(title, headings, rows, text_columns=2)
    outside, values = sum(c.violations for c in content), sum(c.values for c in content)
    sys.stdout.write(f"{outside} of {values} values outside their bound\n")


def show_absent(names: Sequence[str]) -> None:
    """Name what the original has and the file does not."""
    if names:
        more = ", ... (all with --json)" if len(names) > _NAMED else ""
        sys.stdout.write(
            f"the file lacks {len(names)} of what the original holds: "
            f"{', '.join(names[:_NAMED])}{more}\n"
        )


def show_info(content: Mapping[str, Any]) -> None:
    """Show columns, sections and provenance of a file."""
    for table in content["tables"]:
        rows = [
            [
                column["name"],
                column["dtype"]
                + (f" [{column['counter']}]" if "counter" in column else "")
                + _shape(column),
                _bound_in_words(column),
                column["lattice"],
                ", ".join(column["methods"]),
                str(column["bytes"]),
                str(column["model_bytes"]),
            ]
            for column in table["columns"]
        ]
        headings = ["column", "type", "bound", "lattice", "method", "bytes", "model"]
        chunks = f"{table['chunks']} chunk{'' if table['chunks'] == 1 else 's'}"
        show_table(
            f"{table['name']}: {table['events']} events in {chunks}",
            headings,
            rows,
            text_columns=5,
        )
        for change in table["root_changes"]:
            sys.stdout.write(f"ROOT output: {change}\n")
    for part in content["left_out"][:_LEFT_OUT_LINES]:
        sys.stdout.write(f"left out at compression: {part['name']} ({part['reason']})\n")
    if len(content["left_out"]) > _LEFT_OUT_LINES:
        sys.stdout.write(
            f"left out at compression: {len(content['left_out'])} parts, listed with --json\n"
        )
    show_facts(
        {name: f"{size} bytes" for name, size in content["sections"].items()}
        | {"file": f"{content['bytes']} bytes"}
    )
    show_facts(
        {"format": content["format"]}
        | {k: json.dumps(v) for k, v in content["provenance"].items()}
    )


def show_reference(content: Mapping[str, Any]) -> None:
    """Show method, columns and sizes of a file of a reference method."""
    columns = [[column["name"], column["dtype"]] for column in content["columns"]]
    show_table(f"{content['codec']} codec", ["column", "type"], columns, text_columns=2)
    objects = (
        "events"
        if content["counter"] is None
        else f"objects in {content['events']} events, counted by {content['counter']}"
    )
    show_facts(
        {"rows": f"{content['rows']} {objects}"}
        | {name: str(value) for name, value in content["settings"].items()}
    )
    if content["filter"]:
        show_facts(
            {name: _in_words(value) for name, value in content["filter"].items() if value}
        )
    ratio = f", raw / file {format_number(content['ratio'])}" if "ratio" in content else ""
    sizes = {name: f"{size} bytes" for name, size in content["sections"].items()}
    show_facts(
        sizes | {"file": f"{content['bytes']} bytes{ratio}", "format": content["format"]}
    )


def _in_words(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else "; ".join(value)


def _bound_in_words(column: Mapping[str, Any]) -> str:
    """Return the requested bound, with the resolved one if it differs."""
    requested, bound = Bound.parse(column["asked"]), Bound.parse(column["bound"])
    same = requested == bound
    return requested.short if same else f"{requested.short} ({bound.short})"


def _shape(column: dict[str, Any]) -> str:
    return "".join(f"[{n}]" for n in column.get("shape", []))


def _special_in_words(column: dict[str, Any]) -> str:
    specials = [f"{value} x{count}" for value, count in column.get("special", {}).items()]
    return ", ".join(
        [*specials, *(f"{value:g} repeated" for value in column.get("repeated", []))]
    )


def _range_end(value: Any) -> str:
    return str(value) if isinstance(value, int) else format_number(value, digits=5)


def show_comparison(content: Comparison) -> None:
    """Show the joint tests, the smallest p-value of each column, notes and the verdict."""
    made = [o for o in content.outcomes if o.p is not None]
    joint = [o for o in made if not o.column]
    worst = [
        min((o for o in made if o.column == name), key=lambda o: o.p or 0, default=None)
        for name in content.columns
    ]
    rows = [_outcome_row(o) for o in (*joint, *(o for o in worst if o is not None))]
    samples = f"{content.other.source} against {content.reference.source}"
    title = f"{samples}: {content.other.rows} and {content.reference.rows} rows"
    headings = ["test", "column (its smallest p)", "statistic", "95 %", "p", "adjusted"]
    show_table(title, headings, rows, text_columns=2)
    for sample in (content.reference, content.other):
        if sample.dropped:
            warn(
                f"{sample.source}: {sample.dropped} rows with NaN or infinite values dropped"
            )
    if content.constant:
        warn(f"one value throughout, not tested: {', '.join(content.constant)}")
    for note in (
        *(f"{o.test}: {o.note}" for o in content.outcomes if o.note),
        *content.notes,
    ):
        warn(note)
    if content.copies is not None:
        c = content.copies
        sys.stdout.write(
            f"{c.share:.3f} of {c.rows} rows lie nearest to a training row, "
            f"{c.expected:.3f} expected: p = {c.p:.3g} "
            f"(binomial {c.binomial_p:.3g}); {c.identical} equal one\n"
        )
    for cut in content.cuts:
        _show_cut(cut)
    if content.ratio is not None:
        _show_ratio(content.ratio)
    sys.stdout.write(f"{content.verdict}\n")


def show_closure(content: Closure) -> None:
    """Show the failures of each collection, those of real events, and the verdict."""
    for objects in content.objects:
        real = {(v.quantity, v.grid): v for v in objects.real.verdicts}
        rows = [
            [v.quantity, v.grid, *_beyond(v), *_beyond(real.get((v.quantity, v.grid)))]
            for v in objects.other.verdicts
        ]
        headings = [
            "figure",
            "against",
            "bins beyond",
            "worst - 2 sigma, %",
            "real beyond",
            "real, %",
        ]
        show_table(
            f"{objects.objects} by {objects.through}: beyond tolerance + 2 sigma",
            headings,
            rows,
            text_columns=2,
        )
        areas = [
            str(a.area) if a.area else "not tried" for a in (objects.other, objects.real)
        ]
        sys.stdout.write(
            f"AUC of {objects.objects} with {objects.partners}: {areas[0]}; real {areas[1]}\n"
        )
        worst = ", ".join(
            f"{name} {excess:.3f}" for name, excess in list(objects.excess.items())[:3]
        )
        sys.stdout.write(f"largest Wasserstein-1 in std beyond real: {worst}\n")
        derived = [f"{d.column} {d.w1:.3f} (KS {d.ks:.3f})" for d in objects.other.derived]
        if derived:
            sys.stdout.write(f"Wasserstein-1 in std of events: {', '.join(derived)}\n")
        for cut in objects.other.cuts:
            _show_cut(cut)
    left_out = sum(v.left_out for objects in content.objects for v in objects.other.verdicts)
    if left_out:
        sys.stdout.write(f"{left_out} bins with too few rows are left out\n")
    for note in content.notes:
        warn(note)
    sys.stdout.write(f"real: {content.real}\n{content.verdict}\n")


def _beyond(verdict: Verdict | None) -> tuple[str, str]:
    """Return the failing bins, and the largest difference less 2 sigma in per cent."""
    if verdict is None or not verdict.bins:
        return "", ""
    return f"{verdict.beyond} of {verdict.bins}" + (
        " *" if verdict.beyond else ""
    ), f"{100 * verdict.worst:.2f}"


def _show_cut(cut: Cut) -> None:
    shares = ((cut.reference, cut.reference_error), (cut.other, cut.other_error))
    passed = ", ".join(f"{share:.5f} +- {error:.5f}" for share, error in shares)
    rows = "" if cut.gained is None else f"; {cut.gained} rows gained, {cut.lost} lost"
    numbers = {"efficiency": cut.efficiency, "purity": cut.purity}
    purity = "".join(
        f", {name} {value:.5f}" for name, value in numbers.items() if value is not None
    )
    sys.stdout.write(
        f"{cut.expression}: passed by {passed} (reference, other){rows}{purity}\n"
    )


def _show_ratio(ratio: Ratio) -> None:
    named = ", ".join(f"{name} ({loss:.3f})" for name, loss in ratio.columns[:5])
    sys.stdout.write(
        f"density ratio: AUC {ratio.auc} in {ratio.folds} folds, accuracy {ratio.accuracy:.4f}\n"
    )
    sys.stdout.write(f"given away by {named} (loss of AUC without)\n")


def _outcome_row(outcome: Outcome) -> list[str]:
    interval = outcome.details.get("interval_95")
    between = "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    numbers = (format_number(value) for value in (outcome.p, outcome.adjusted))
    mark = " *" if outcome.rejected else ""
    return [
        outcome.test + mark,
        outcome.column,
        format_number(outcome.statistic, 4),
        between,
        *numbers,
    ]
