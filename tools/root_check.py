"""Hold a round-tripped ROOT file against its original as RDataFrame of real ROOT sees both.

usage: python tools/root_check.py ORIGINAL.root BACK.root [--rename OLD=NEW ...] [--ignore GLOB ...]
[--all]

For each flat and jagged column of numbers of each TTree and RNTuple: the number of values, their
sum, minimum and maximum, and
a histogram of 100 bins over the original's range. A table says which columns agree, differ, are
missing, or cannot be read by
RDataFrame in the original; without --all it shows the last three. The exit code is 1 where one
differs or is missing.
ROOT is no dependency of flowtuple: run this in an environment of its own, made by `pip install
root`.
"""

from __future__ import annotations

import argparse
import fnmatch
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

try:
    import ROOT
except ImportError:
    sys.exit(
        "root_check: ROOT is not installed; in another environment: pip install root"
    )

BINS = 100
# Makes a data frame: one that failed to compile a column cannot be used again.
Frames: TypeAlias = "Callable[[], Any]"
_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
_NUMBER = (
    r"(bool|char|signed char|unsigned char|short|unsigned short|int|unsigned int|unsigned"
    r"|long|unsigned long|long long|unsigned long long|float|double|[UL]*Long64_t|Bool_t"
    r"|U?Char_t|U?Short_t|U?Int_t|U?Long_t|Float_t|Double_t|Double32_t|Float16_t|(std::)?u?int(8|16|32|64)_t)"
)
_FLAT = re.compile(_NUMBER)
_JAGGED = re.compile(
    rf"(ROOT::VecOps::RVec|ROOT::RVec|std::vector|vector|std::array|array)<\s*{_NUMBER}\s*(,.*)?>"
)
_CLOSE = 1e-9


@dataclass(frozen=True)
class Facts:
    """Sums and histogram of one column from RDataFrame; the bins include underflow and overflow."""

    count: float
    total: float
    low: float
    high: float
    bins: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """One column in the table: `same`, `differs`, `missing` or `unreadable`."""

    tree: str
    column: str
    state: str
    detail: str = ""


def trees_of(path: str) -> dict[str, str]:
    """Classes of the trees of a file by name, in sub-directories too."""
    file = ROOT.TFile.Open(path)
    if not file or file.IsZombie():
        sys.exit(f"root_check: {path}: ROOT cannot open it")
    found = dict(_trees_below(file, ""))
    file.Close()
    return found


def _trees_below(folder: Any, above: str) -> Iterator[tuple[str, str]]:
    for key in folder.GetListOfKeys():
        name = f"{above}/{key.GetName()}".strip("/")
        kind = str(key.GetClassName())
        if kind in _TREES:
            yield name, kind
        elif kind.startswith("TDirectory"):
            yield from _trees_below(folder.Get(key.GetName()), name)


def columns_of(frame: Any) -> list[str]:
    """The columns of a data frame without those that RDataFrame makes up."""
    names = [str(name) for name in frame.GetColumnNames()]
    return list(
        dict.fromkeys(name for name in names if not name.startswith("R_rdf_sizeof"))
    )


def is_numeric(frame: Any, column: str) -> bool:
    """Whether a column holds a number or a list of numbers for each event."""
    kind = str(frame.GetColumnType(column))
    return _FLAT.fullmatch(kind) is not None or _JAGGED.fullmatch(kind) is not None


def spans_of(frames: Frames, columns: list[str]) -> dict[str, tuple[float, float] | str]:
    """The smallest and largest value of each column, or why it cannot be read."""

    def book(frame: Any, column: str) -> Any:
        return frame.Min(column), frame.Max(column)

    found = _run(frames, book, columns)
    return {
        c: r if isinstance(r, str) else (_number(r[0]), _number(r[1]))
        for c, r in found.items()
    }


def facts_of(
    frames: Frames, spans: dict[str, tuple[float, float]]
) -> dict[str, Facts | str]:
    """Compute the facts of each column, with its histogram over the given span, or the reason why
    it cannot be read.
    """

    def book(frame: Any, column: str) -> Any:
        low, high = axis(*spans[column])
        model = ROOT.RDF.TH1DModel("h", "h", BINS, low, high)
        return (
            frame.Min(column),
            frame.Max(column),
            frame.Sum(column),
            frame.Histo1D(model, column),
        )

    found = _run(frames, book, list(spans))
    return {
        column: r if isinstance(r, str) else _facts(*r) for column, r in found.items()
    }


def axis(low: float, high: float) -> tuple[float, float]:
    """The ends of the histogram: a little beyond the values, or around zero where these are no
    numbers.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        return -1e3, 1e3
    room = 0.01 * (high - low) or 0.5 + 0.01 * abs(low)
    return low - room, high + room


def _run(frames: Frames, book: Any, columns: list[str]) -> dict[str, Any]:
    """Book all columns and read them in one loop over the events; in halves where that fails, down
    to the column.
    """
    try:
        frame = frames()
        booked = {column: book(frame, column) for column in columns}
        for results in booked.values():
            results[0].GetValue()
    except Exception as error:
        if len(columns) == 1:
            return {columns[0]: _cause(error)}
        half = len(columns) // 2
        return _run(frames, book, columns[:half]) | _run(frames, book, columns[half:])
    return booked


def _facts(low: Any, high: Any, total: Any, histogram: Any) -> Facts:
    values = histogram.GetValue()
    bins = tuple(values.GetBinContent(i) for i in range(BINS + 2))
    return Facts(values.GetEntries(), _number(total), _number(low), _number(high), bins)


def _number(result: Any) -> float:
    value = result.GetValue()
    return float(ord(value)) if isinstance(value, str) else float(value)


def difference(one: Facts, other: Facts) -> str:
    """Return the first difference between two columns; empty where there is none."""
    if one.count != other.count:
        return f"{one.count:.0f} values against {other.count:.0f}"
    for what, a, b in (
        ("minimum", one.low, other.low),
        ("maximum", one.high, other.high),
    ):
        if a != b and not (math.isnan(a) and math.isnan(b)):
            return f"{what} {a!r} against {b!r}"
    unequal = sum(a != b for a, b in zip(one.bins, other.bins, strict=True))
    if unequal:
        return f"{unequal} of {BINS} bins differ"
    if not (
        math.isclose(one.total, other.total, rel_tol=_CLOSE)
        or math.isnan(one.total)
        or math.isinf(one.total)
    ):
        return f"sum {one.total!r} against {other.total!r}"
    return ""


def check_tree(
    name: str, kinds: tuple[str, str], paths: tuple[str, str], a: argparse.Namespace
) -> Iterator[Line]:
    """Every numeric column of one tree."""
    makers: list[Frames] = [partial(ROOT.RDataFrame, name, path) for path in paths]
    frames = [maker() for maker in makers]
    if (
        kinds[0].startswith("TN") != kinds[1].startswith("TN")
        and "ROOT::RNTuple" in kinds
    ):
        yield Line(name, "", "same", f"{kinds[0]} came back as {kinds[1]}")
    counts = [frame.Count().GetValue() for frame in frames]
    if counts[0] != counts[1]:
        yield Line(name, "", "differs", f"{counts[0]} events against {counts[1]}")
        return
    columns, there = (columns_of(frame) for frame in frames)
    taken: dict[str, str] = {}
    for column in columns:
        if any(fnmatch.fnmatch(column, glob) for glob in a.ignore):
            continue
        if not is_numeric(frames[0], column):
            yield Line(
                name,
                column,
                "unreadable",
                f"no numbers for RDataFrame: {frames[0].GetColumnType(column)}",
            )
            continue
        match = _match(column, columns, there, dict(r.split("=", 1) for r in a.rename))
        if match is None:
            yield Line(
                name, column, "missing", "no such column in the file that came back"
            )
        elif match:
            taken[column] = match
    yield from _check_columns(name, makers, taken)


def _match(
    column: str, columns: list[str], there: list[str], renamed: dict[str, str]
) -> str | None:
    """The column's name in the other file; empty where it is another name of a column that has its
    own line.
    """
    short = column.rpartition(".")[2]
    for candidate in (
        renamed.get(column, column),
        column,
        short if short not in columns else column,
    ):
        if candidate in there:
            return candidate
    return "" if short != column and short in columns and short in there else None


def _check_columns(
    name: str, frames: list[Frames], taken: dict[str, str]
) -> Iterator[Line]:
    spans = spans_of(frames[0], list(taken))
    good = {column: span for column, span in spans.items() if not isinstance(span, str)}
    ones = facts_of(frames[0], good)
    others = facts_of(frames[1], {taken[column]: span for column, span in good.items()})
    for column, match in taken.items():
        span = spans[column]
        one = span if isinstance(span, str) else ones[column]
        if isinstance(one, str):
            yield Line(name, column, "unreadable", one)
            continue
        other = others[match]
        words = (
            f"cannot be read: {other}"
            if isinstance(other, str)
            else difference(one, other)
        )
        yield Line(name, column, "differs" if words else "same", words)


def check(a: argparse.Namespace) -> list[Line]:
    """Every tree of the original."""
    kinds, others = trees_of(a.original), trees_of(a.back)
    lines: list[Line] = []
    for name, kind in kinds.items():
        if name not in others:
            lines.append(Line(name, "", "missing", f"no such tree in {a.back}"))
            continue
        try:
            lines.extend(check_tree(name, (kind, others[name]), (a.original, a.back), a))
        except Exception as error:
            lines.append(Line(name, "", "unreadable", _cause(error)))
    return lines


def _cause(error: BaseException) -> str:
    """The last line, since PyROOT begins with the signature of what was called."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:160]


def show(lines: list[Line], everything: bool) -> None:
    """A line a column, and the totals."""
    shown = [line for line in lines if everything or line.state != "same" or line.detail]
    width = max((len(f"{line.tree}/{line.column}") for line in shown), default=0)
    for line in shown:
        name = f"{line.tree}/{line.column}".rstrip("/")
        print(f"{name:{width}}  {line.state:10}  {line.detail}".rstrip())
    states = [line.state for line in lines if line.column or line.state != "same"]
    print(
        ", ".join(
            f"{states.count(state)} {state}"
            for state in ("same", "differs", "missing", "unreadable")
        )
    )


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("original")
    parser.add_argument("back")
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="A column's name in BACK.",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="GLOB",
        help="Leave these columns out.",
    )
    parser.add_argument(
        "--all", action="store_true", help="Show columns that agree, too."
    )
    return parser.parse_args()


def main() -> int:
    """The table and the exit code."""
    a = read_arguments()
    ROOT.gErrorIgnoreLevel = ROOT.kFatal
    # the compiler's words on columns that it cannot read
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    lines = check(a)
    show(lines, a.all)
    return int(any(line.state in ("differs", "missing") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
