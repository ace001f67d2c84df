"""The model at work without a file to code: events drawn from it, and events scored by it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext

import awkward as ak
import numpy as np

from flowtuple.container.file import File
from flowtuple.container.stored import StoredTable
from flowtuple.density.events import BLOCK, Drawn
from flowtuple.density.score import score as score_events
from flowtuple.density.surprise import expectation
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.events.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.schema import Array, Column
from flowtuple.selection import View
from flowtuple.table import Dataset, Table, TableSource, check_same_columns, ranges, read_all, read_like, table_to_awkward


def sample(
    model: str | os.PathLike[str],
    n: int | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    given: Source | None = None,
    tree: str | None = None,
    workers: int | None = None,
    options: WriteOptions | None = None,
) -> ak.Array | None:
    """Draw whole events from a model; the same seed gives the same events on any machine, by any number of threads.

    Values lie on the lattices of the model. Ids are new: events are numbered from 1, runs and luminosity blocks are 1.

    Args:
        model: A model from `train`, or a compressed file of which all columns have a density.
        n: Events to draw; may be left out with `given`.
        output: A path whose suffix names the format; `None` to return the events.
        seed: From 0 to 2^63 - 1.
        given: Has columns of the model; the others are drawn conditionally on these, one event for each of theirs.
        tree: Table of the model; may be left out where there is one.
        workers: Threads; `None` for one per core. The events do not depend on it.
        options: For the output.

    Raises:
        Unsupported: A column has no density.
        InvalidArgument: Neither `n` nor `given` says how many events, or the given columns do not fit.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> sorted(set(ft.sample(path, 1000, seed=1)["n"].tolist()))
        [1, 2, 3]
    """
    if not 0 <= seed < 2**63:
        raise InvalidArgument(f"the seed {seed} is not a whole number from 0 to 2^63 - 1")
    with File(model) as file:
        table = file.table(tree)
        supplied = None if given is None else _given(open_dataset(given), table, file.path)
        if n is None and supplied is None:
            raise InvalidArgument(f"{file.path}: how many events are to be drawn? say it with -n, or name --given")
        count = supplied.num_entries if n is None and supplied is not None else n or 0
        if count < 0 or (supplied is not None and count > supplied.num_entries):
            raise InvalidArgument(f"{file.path}: cannot draw {count} events" + (" from fewer given ones" if supplied else ""))
        drawn = Drawn(table.name, table.coding, count, seed, supplied, workers=workers)
        if output is None:
            return table_to_awkward(read_all(drawn))
        write_dataset(Dataset(file.path, {table.name: drawn}), output, options or WriteOptions())
        return None


def _given(dataset: Dataset, table: StoredTable, path: str) -> TableSource:
    """Of a data set's table the columns that the model knows.

    Raises:
        InvalidArgument: There are none, or one is of another type.
    """
    source = _same_table(dataset, table)
    known = {c.name for c in table.columns}
    shared = [c for c in source.columns if c.name in known and not c.hidden]
    if not shared:
        close = nearest(table.columns[0].name, [c.name for c in source.columns])
        raise InvalidArgument(f"{dataset.description}: has no column of {path}; {close}")
    check_same_columns([c for c in table.columns if c.name in {s.name for s in shared}], source.columns, dataset.description)
    return View(source, shared)


def _same_table(dataset: Dataset, table: StoredTable) -> TableSource:
    """The table of the same name, or the only one."""
    return next(iter(dataset.tables.values())) if len(dataset.tables) == 1 else dataset.table(table.name)


def score(
    model: str | os.PathLike[str],
    source: Source,
    output: str | os.PathLike[str] | None = None,
    *,
    against: str | os.PathLike[str] | None = None,
    columns: bool = False,
    tree: str | None = None,
) -> ak.Array | None:
    """How likely a model finds events: one number, or several, for each of them.

    Densities are probabilities with respect to counting measure on the model's lattice: divide by the cells' widths for a
    density in the columns' units. Ids have none and never enter.

    Args:
        model: A model from `train`, or a compressed file.
        source: Events with the columns of the model.
        output: A path whose suffix names the format; `None` to return the scores.
        against: Another model with the same lattices; adds the likelihood ratio.
        columns: Add the bits of each column.
        tree: Table of the model; may be left out where there is one.

    Returns:
        A record array of `log_prob` (natural logarithm), `bits` (code length), `surprise` (bits beyond what the model
        expects of its own events, column by column, in standard deviations), with `against` also `log_ratio` (log p of
        `model` less log p of `against`), with `columns` also `bits_COLUMN`.

    Raises:
        InvalidArgument: The events lack a column of the model, or the models do not share their lattices.
    """
    with File(model) as file, File(against) if against is not None else nullcontext() as rival:
        table = file.table(tree)
        other = None if rival is None else rival.table(tree)
        if other is not None:
            _check_lattices(table, other, f"{against} against {file.path}")
        dataset = open_dataset(source)
        events = _same_table(dataset, table)
        check_same_columns(table.columns, events.columns, dataset.description)
        scores = _Scored(events, table, other, columns)
        if output is None:
            return table_to_awkward(read_all(scores))
        write_dataset(Dataset(dataset.description, {"scores": scores}), output, WriteOptions())
        return None


def _check_lattices(table: StoredTable, other: StoredTable, where: str) -> None:
    """Densities on different lattices are not to be divided."""
    if [c.name for c in table.columns] != [c.name for c in other.columns]:
        raise InvalidArgument(f"{where}: has other columns, or another order of them")
    for name, lattice in table.lattices.items():
        if lattice.grid != other.lattices[name].grid:
            raise InvalidArgument(f"{where}: column {name!r} lies on another grid; train both at one bound abs:E or rel:R")


class _Scored:
    """The scores of events, a `TableSource` that scores what is read of it."""

    def __init__(self, events: TableSource, table: StoredTable, other: StoredTable | None, by_column: bool) -> None:
        self._events, self._coding, self._by_column = events, table.coding, by_column
        self._other = None if other is None else other.coding
        self._expected = expectation(table.name, table.coding)
        self.name, self.num_entries = "scores", events.num_entries
        self.columns = tuple(Column(name, "float64") for name in self._score(0, 0))

    def _score(self, start: int, stop: int) -> dict[str, Array]:
        events = read_like(self._events, self._coding.columns, start, stop)
        found = score_events(events, self._coding)
        out = {"log_prob": found.log_prob, "bits": found.total, "surprise": self._expected.surprise(found)}
        if self._other is not None:
            out["log_ratio"] = found.log_prob - score_events(events, self._other).log_prob
        if self._by_column:
            out |= {f"bits_{name}": found.bits[:, k] for k, name in enumerate(found.columns)}
        return out

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Scores of a range of events."""
        steps = list(ranges(max(0, min(stop, self.num_entries) - start), BLOCK)) or [(0, 0)]
        kept = tuple(c for c in self.columns if c.name in columns)
        pieces = [self._score(start + a, start + b) for a, b in steps]
        data = {c.name: np.concatenate([piece[c.name] for piece in pieces]) for c in kept}
        return Table(self.name, kept, steps[-1][1], data)
