"""Send every file of a folder through flowtuple and back into its own format, and compare with an
independent reader.

usage: python tools/corpus.py FOLDER [--json OUT] [--limit-seconds 60] [--limit-memory 8] [--effort
fast] [--only GLOB]

Files of ROOT, Parquet, HDF5, CSV and npz are found in all folders below. Each command on a file
runs in a process of its own.
A file is compressed (lossless; where that is refused, again with --drop), verified, decompressed to
its own format, and both
files are read with uproot, pyarrow, h5py, csv or NumPy, without any code of flowtuple. The table
says of each file whether it
is whole, whole but for what was named, refused by name, wrongly refused (the independent reader
reads every branch), lost (a
value that the independent reader reads in the original is missing or different and not named),
crashed, or too slow.
The exit code is 1 where a file is lost, crashed or wrongly refused.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent))

from independent.compare import suffix_of
from journey import (
    CLASSES,
    CRASHED,
    FAULTS,
    LOST,
    NAMED,
    REFUSED,
    SLOW,
    UNCOMPARED,
    WHOLE,
    WRONG,
    Outcome,
    travel,
)
from running import Limits, run_flowtuple

_COLOURS = {
    WHOLE: "green",
    NAMED: "cyan",
    REFUSED: "blue",
    WRONG: "magenta",
    LOST: "red",
    CRASHED: "red",
    SLOW: "yellow",
    UNCOMPARED: "yellow",
}
_GIGABYTE = 1 << 30
_MOST_NOTES = 2


def files_in(folder: Path, only: str) -> Iterator[Path]:
    """Files of known formats below a folder, in order of their names; a single file is itself."""
    found = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    for path in found:
        if path.is_file() and fnmatch.fnmatch(path.name, only) and suffix_of(path):
            yield path


def line_of(outcome: Outcome, folder: Path) -> list[str | Text]:
    """The cells of one file."""
    path = Path(outcome.path)
    name = str(path.relative_to(folder)) if path.is_relative_to(folder) else outcome.path
    parts = ", ".join(f"{count} {state}" for state, count in outcome.parts.items())
    sizes = " > ".join(f"{size / 1000:.1f}" for size in outcome.sizes)
    seconds = sum(s for command, s in outcome.seconds.items() if command != "compare")
    notes = [f"note: {note}" for note in outcome.notes[:_MOST_NOTES]]
    more = len(outcome.notes) - _MOST_NOTES
    notes += [f"note: {more} more, see --json"] if more > 0 else []
    reason = "\n".join(text for text in (outcome.reason, *notes) if text)
    peak = f"{outcome.peak / _GIGABYTE:.1f}"
    kind = Text(outcome.kind, _COLOURS[outcome.kind])
    return [
        Text(shown(name)),
        kind,
        parts,
        sizes,
        f"{seconds:.1f} ({outcome.processor:.1f})",
        peak,
        Text(shown(reason)),
    ]


def shown(text: str) -> str:
    """Text of a file for a terminal: control characters are written out."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def show(outcomes: list[Outcome], folder: Path, console: Console) -> None:
    """The table and the totals."""
    table = Table(title=str(folder))
    for heading in ("file", "class", "parts", "kB", "s (of processor)", "GB", "why"):
        table.add_column(
            heading,
            overflow="fold",
            justify="right" if heading in ("s (of processor)", "GB") else "left",
        )
    for outcome in outcomes:
        table.add_row(*line_of(outcome, folder))
    console.print(table)
    counts = Counter(outcome.kind for outcome in outcomes)
    totals = ", ".join(f"{counts[kind]} {kind}" for kind in CLASSES)
    console.print(f"{len(outcomes)} files: {totals}", soft_wrap=True)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="OUT",
        help="Write all findings as JSON, after each file.",
    )
    parser.add_argument(
        "--limit-seconds", type=float, default=60.0, help="For each command on a file."
    )
    parser.add_argument(
        "--limit-memory",
        type=float,
        default=8.0,
        help="Address space of a command, in GB; 0 for none.",
    )
    parser.add_argument("--effort", default="fast", choices=("fast", "default", "best"))
    parser.add_argument(
        "--only", default="*", metavar="GLOB", help="Files whose names match."
    )
    return parser.parse_args()


def main() -> int:
    """Every file, the table, and the exit code."""
    a = read_arguments()
    if not a.folder.exists():
        sys.stderr.write(
            f"{a.folder}: there is no such folder; name one that holds files of events\n"
        )
        return 2
    warnings.filterwarnings("ignore")
    limits = Limits(a.limit_seconds, int(a.limit_memory * _GIGABYTE))
    outcomes: list[Outcome] = []
    for path in files_in(a.folder, a.only):
        with tempfile.TemporaryDirectory(prefix="corpus") as folder:
            outcome = travel(path, Path(folder), run_flowtuple, limits, a.effort)
        outcomes.append(outcome)
        sys.stderr.write(f"{outcome.kind}: {path}: {shown(outcome.reason)}\n")
        if a.json:
            a.json.write_text(json.dumps([o.to_json() for o in outcomes], indent=1))
    console = Console() if sys.stdout.isatty() else Console(width=200)
    show(outcomes, a.folder, console)
    return int(any(outcome.kind in FAULTS for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
