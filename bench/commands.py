"""Shared parts of these scripts: commands with options, tables in Markdown, rows and times."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import awkward as ak
import numpy as np

import flowtuple as ft
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.data.bounds import Bound
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.selection import select
from flowtuple.data.table import Table, read_all
from flowtuple.io.source import open_dataset

Result = TypeVar("Result")
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class OneOf:
    """An option with a fixed set of values; a list as default makes it take several."""

    choices: Sequence[str]
    default: Any


class Script:
    """The commands of one script."""

    def __init__(self, description: str | None) -> None:
        self._parser = argparse.ArgumentParser(description=description)
        self._commands = self._parser.add_subparsers(required=True, metavar="COMMAND")

    def command(self, *arguments: str, **options: Any) -> Callable[[Result], Result]:
        """Return a decorator that adds a function as a command of its name and docstring.

        Args:
            arguments: Positional arguments; `name?` may be left out, `names+` takes several.
            options: Default values by name. The type of an option is that of its default; a list
                takes several values (of text, or of the type in the list). `str` stands for text
                that has to be there, another type for a value that may be left out.
        """

        def add(function: Any) -> Any:
            parser = self._commands.add_parser(
                function.__name__.replace("_", "-"),
                description=function.__doc__,
                help=(function.__doc__ or "").splitlines()[0],
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            for name in arguments:
                many = name[-1] if name[-1] in "?+*" else None
                parser.add_argument(name.rstrip("?+*"), nargs=many)
            for name, default in options.items():
                _add_option(parser, name, default)
            parser.set_defaults(run=function)
            return function

        return add

    def main(self) -> None:
        """Run the command that the command line names."""
        a = self._parser.parse_args()
        a.run(a)


def _add_option(parser: argparse.ArgumentParser, name: str, default: Any) -> None:
    flags = ["--" + name.replace("_", "-")] + ["-o"] * (name == "output")
    choices = default.choices if isinstance(default, OneOf) else None
    default = default.default if isinstance(default, OneOf) else default
    if default is False:
        parser.add_argument(*flags, action="store_true")
    elif isinstance(default, list):
        values = [x for x in default if not isinstance(x, type)]
        first = default[0] if default else ""
        kind = first if isinstance(first, type) else type(first)
        parser.add_argument(*flags, type=kind, nargs="*", default=values, choices=choices)
    elif isinstance(default, type):
        parser.add_argument(*flags, type=default, required=default is str)
    else:
        parser.add_argument(*flags, type=type(default), default=default, choices=choices)


def show_header(*cells: str, text: int = 1) -> None:
    """Print the head of a table in Markdown; its first `text` columns are text."""
    show_row(*cells)
    print(f"|{'---|' * text}{'---:|' * (len(cells) - text)}", flush=True)


def show_row(*cells: object) -> None:
    """Print a row of a table in Markdown."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def save(
    folder: Path | None, name: str, content: Any, **drawings: Callable[[], bytes]
) -> None:
    """Write figures as JSON and drawings as PNG into a folder, if there is one."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", {"command": sys.argv, "results": content})
    for drawing, draw in drawings.items():
        (folder / f"{drawing}.png").write_bytes(draw())


def write_json(path: Path | None, content: Any) -> None:
    """Write JSON, if there is a path."""
    if path is not None:
        path.write_text(json.dumps(content, indent=1) + "\n")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return the result of some work, and its seconds."""
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def no_report(share: float, loss: float) -> None:
    """Ignore the progress of a training."""


def rows_of(a: argparse.Namespace) -> Rows:
    """Return the chosen columns of the input as rows."""
    return read_rows(
        select(open_dataset(a.source), (), getattr(a, "exclude", [])), a.columns
    )


def first_table(
    source: str, columns: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Table:
    """Return the chosen columns of the first table of an input in memory."""
    tables = select(open_dataset(source), columns, exclude).tables
    return read_all(next(iter(tables.values())))


def lattice_file(
    source: str, rows: Rows, bounds: Mapping[str, Bound], effort: str, folder: Path
) -> tuple[int, tuple[Accuracy, ...]]:
    """Return the bytes of a flowtuple file of these columns, its model included, and its errors."""
    path = folder / "lattice.ftup"
    selection = ft.Selection(columns=rows.columns)
    ft.compress(source, path, tolerance=bounds, selection=selection, effort=effort)
    decoded = flat_rows(ft.decompress(path), rows.columns)
    return path.stat().st_size, measure(rows, decoded)


def overall(accuracy: Sequence[Accuracy]) -> tuple[float, float]:
    """Return errors over the standard deviation: the mean over columns, and the largest of all."""
    return float(np.mean([a.relative_mean for a in accuracy])), max(
        a.relative_largest for a in accuracy
    )


def flat_rows(events: ak.Array, names: Sequence[str]) -> np.ndarray:
    """Return columns of events as float64 of shape (n, d), a row for each object or event."""
    flat = [np.asarray(ak.flatten(events[name], axis=None), np.float64) for name in names]
    return np.stack(flat, axis=1)


def decoded_by(
    codec: ColumnCodec, rows: Rows, bounds: Mapping[str, Bound]
) -> tuple[int, np.ndarray]:
    """Return the bytes of all columns, and what they decode to."""
    size, decoded = 0, []
    for name, x, dtype in zip(rows.columns, rows.values.T, rows.dtypes, strict=True):
        values = x.astype(dtype)
        data = codec.compress(values, bounds[name])
        size += len(data)
        restored = codec.decompress(data, values.dtype, bounds[name])
        decoded.append(restored.astype(np.float64))
    return size, np.stack(decoded, axis=1)


def part(columns: Columns, rows: np.ndarray | slice) -> Columns:
    """Return some of the rows."""
    return {name: values[rows] for name, values in columns.items()}


def boosted_trees(
    x: np.ndarray, labels: np.ndarray, seed: int, *, all_rounds: bool = False
) -> Any:
    """Return gradient-boosted trees that tell rows of shape (n, d) by their labels.

    Args:
        x: The rows.
        labels: Label of each row, shape (n,).
        seed: Seed of the trees.
        all_rounds: Whether many rows train all rounds, too, in place of stopping early.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.05,
        random_state=seed,
        early_stopping=False if all_rounds else "auto",
    )
    return trees.fit(x, labels)


def epochs_within(
    seconds: float, seconds_of: Callable[[int], float], epochs: float = 1.0
) -> int:
    """Return the epochs that fit in a time, as trainings of one and three foretell.

    Args:
        seconds: The time.
        seconds_of: Returns the seconds of a training of some epochs.
        epochs: Time of an epoch over that of one in these trainings.
    """
    one, three = seconds_of(1), seconds_of(3)
    return max(1, int((seconds - one) / max((three - one) / 2 * epochs, 1e-3)))
