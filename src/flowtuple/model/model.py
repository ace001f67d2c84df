"""The lattice flow as a generator and a density: it draws, scores and maps whole events."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.schema_diff import check_same_columns, read_like
from flowtuple.data.selection import SelectedTable
from flowtuple.data.table import Dataset, Table, TableSource, ranges, with_counters
from flowtuple.errors import InvalidArgument, Unsupported, nearest
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.events import BLOCK, SampledTable
from flowtuple.model.index_sampler import AtRandom, from_latent
from flowtuple.model.rules import count_violations
from flowtuple.model.score import check_resolved, is_copied, score, to_latent
from flowtuple.model.surprise import Expectation, expectation


class EventModel:
    """A lattice flow over the events of one table.

    Args:
        path: Name of the model in messages.
        name: Name of the table.
        coding: Schema, lattices and flow.
    """

    def __init__(self, path: str, name: str, coding: TableCoding) -> None:
        self.path = path
        self.name = name
        self.coding = coding

    @property
    def names(self) -> list[str]:
        """Names of all columns that the model knows."""
        return [c.name for c in self.coding.columns]

    def drawn(
        self,
        n: int | None,
        seed: int,
        given: Dataset | None = None,
        workers: int | None = None,
    ) -> TableSource:
        """Return events drawn from the model, as a table that is made while it is read.

        Args:
            n: Events; `None` for those of `given`.
            seed: From 0 to 2^63 - 1.
            given: Columns to draw the others from.
            workers: Threads; `None` for one per core.

        Raises:
            Unsupported: A column has no density.
            InvalidArgument: Neither `n` nor `given` says how many events, or the columns do not
                fit.
        """
        supplied = None if given is None else self._given(given)
        most = n if supplied is None else supplied.num_entries
        count = most if n is None else n
        if count is None or most is None:
            raise InvalidArgument(
                f"{self.path}: how many events are to be drawn? say it with `n=`, or name `given=`"
            )
        if not 0 <= count <= most:
            few = "" if supplied is None else f" from {most} given ones"
            raise InvalidArgument(f"{self.path}: cannot draw {count} events{few}")
        sampler = AtRandom(seed, self.name)
        with _naming(self.path):
            return SampledTable(
                self.name,
                self.coding,
                count,
                sampler,
                supplied,
                workers=workers,
                obey=sampler,
            )

    def _given(self, dataset: Dataset) -> TableSource:
        """Return the columns of a data set's table that the model knows."""
        source = self._table(dataset)
        known = set(self.names)
        shared = [c for c in source.columns if c.name in known and not c.hidden]
        if not shared:
            close = nearest(self.names[0], [c.name for c in source.columns])
            raise InvalidArgument(
                f"{dataset.description}: has no column of {self.path}; {close}"
            )
        names = {c.name for c in shared}
        own = [c for c in self.coding.columns if c.name in names]
        check_same_columns(own, source.columns, dataset.description)
        return SelectedTable(source, with_counters(source.columns, names))

    def _table(self, dataset: Dataset) -> TableSource:
        """Return the table of the same name, or the only one."""
        return (
            next(iter(dataset.tables.values()))
            if len(dataset.tables) == 1
            else dataset.table(self.name)
        )

    def events(self, dataset: Dataset) -> TableSource:
        """Return the table of a data set that the model can score.

        Raises:
            InvalidArgument: A column of the model is missing or of another type.
        """
        source = self._table(dataset)
        check_same_columns(self.coding.columns, source.columns, dataset.description)
        return source

    def labels(self, dataset: Dataset, name: str, kind: str = "labels") -> Array:
        """Return a column of labels or weights, one number an event, shape (events,).

        Raises:
            InvalidArgument: There is no such column.
        """
        source = self._table(dataset)
        names = [c.name for c in source.columns if c.is_event_number]
        if name not in names:
            raise InvalidArgument(
                f"{dataset.description}: no column {name!r} for {kind}, one number an event; "
                f"{nearest(name, names)}"
            )
        return np.asarray(source.read([name], 0, source.num_entries).data[name])

    def violations(self, dataset: Dataset) -> dict[str, int]:
        """Return by rule in words how many events of a data set violate it.

        Raises:
            InvalidArgument: The events lack a column of the model.
        """
        source = self.events(dataset)
        counts: Counter[str] = Counter()
        for start, stop in ranges(
            source.num_entries if self.coding.flow.rules else 0, BLOCK
        ):
            events = read_like(source, self.coding.columns, start, stop)
            counts.update(count_violations(events, self.coding))
        return dict(counts)

    def scored(
        self,
        dataset: Dataset,
        against: EventModel | None = None,
        *,
        by_column: bool = False,
    ) -> TableSource:
        """Return scores as a table that is made while it is read; see `flowtuple.score`.

        Raises:
            InvalidArgument: The events lack a column of the model, or two models have other
                lattices.
        """
        if against is not None:
            self._check_lattices(against)
        return _Scored(self.events(dataset), self, against, by_column)

    def _check_lattices(self, other: EventModel) -> None:
        """Raise if densities are on different lattices and cannot be divided."""
        where = f"{other.path} against {self.path}"
        if self.names != other.names:
            raise InvalidArgument(f"{where}: has other columns, or another order of them")
        for name, lattice in self.coding.lattices.items():
            if lattice.grid != other.coding.lattices[name].grid:
                raise InvalidArgument(
                    f"{where}: column {name!r} lies on another grid; "
                    f"train it with `like=` {self.path}"
                )

    def log_det(self, dataset: Dataset) -> Table:
        """Return ln|det| of the map from lattice points to u, by event and column: ln p."""
        scores = score(self.whole(dataset), self.coding)
        columns = tuple(Column(name, "float64") for name in scores.columns)
        return Table(
            "log_det",
            columns,
            len(scores.bits),
            {c.name: -math.log(2.0) * scores.bits[:, k] for k, c in enumerate(columns)},
        )

    def to_latent(self, dataset: Dataset) -> Table:
        """Return the latent table, with all events in memory; see `score.to_latent`."""
        check_resolved(self.coding, self.path)
        return to_latent(self.whole(dataset), self.coding)

    def whole(self, dataset: Dataset) -> Table:
        """Return all events of a data set that the model can score."""
        source = self.events(dataset)
        return read_like(source, self.coding.columns, 0, source.num_entries)

    def from_latent(self, dataset: Dataset, workers: int | None = None) -> TableSource:
        """Return the events of a latent table, as a table that is made while it is read.

        Raises:
            InvalidArgument: A column is missing, or not from 0 to 1.
        """
        latent = self._table(dataset)
        names = {c.name for c in latent.columns}
        for column in self.coding.columns:
            if column.name not in names and not column.is_opaque:
                raise InvalidArgument(
                    f"{dataset.description}: lacks column {column.name!r}; "
                    f"{nearest(column.name, names)}"
                )
        copied = SelectedTable(
            latent, [c for c in self.coding.columns if is_copied(c, self.coding)]
        )
        check_resolved(self.coding, self.path)
        return SampledTable(
            self.name,
            self.coding,
            latent.num_entries,
            from_latent(latent),
            copied,
            workers=workers,
            repair=False,
        )


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the name of the model before errors about its columns."""
    try:
        yield
    except Unsupported as error:
        raise Unsupported(f"{path}: {error}") from None


class _Scored:
    """Scores of events, a `TableSource` that scores what is read."""

    def __init__(
        self,
        events: TableSource,
        model: EventModel,
        other: EventModel | None,
        by_column: bool,
    ) -> None:
        self._events = events
        self._path = model.path
        self._coding = model.coding
        self._by_column = by_column
        self._other = None if other is None else other.coding
        self._name = model.name
        self.name = "scores"
        self.num_entries = events.num_entries
        self.columns = tuple(
            Column(name, "float64") for name in self._score(0, 0, surprise=False)
        )

    @cached_property
    def _expected(self) -> Expectation:
        with _naming(self._path):
            return expectation(self._name, self._coding)

    def _score(self, start: int, stop: int, *, surprise: bool) -> dict[str, Array]:
        events = read_like(self._events, self._coding.columns, start, stop)
        scores = score(events, self._coding)
        beyond = (
            self._expected.surprise(scores.bits) if surprise else np.zeros(stop - start)
        )
        out = {"log_prob": scores.log_prob, "bits": scores.total, "surprise": beyond}
        other = None if self._other is None else score(events, self._other)
        if other is not None:
            out["log_ratio"] = scores.log_prob - other.log_prob
        if self._by_column:
            out |= {
                f"bits_{name}": scores.bits[:, k] for k, name in enumerate(scores.columns)
            }
            if other is not None:
                shares = math.log(2.0) * (other.bits - scores.bits)
                out |= {
                    f"log_ratio_{name}": shares[:, k]
                    for k, name in enumerate(scores.columns)
                }
        return out

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return the scores of a range of events."""
        steps = list(ranges(max(0, min(stop, self.num_entries) - start), BLOCK)) or [
            (0, 0)
        ]
        chosen = tuple(c for c in self.columns if c.name in columns)
        pieces = [
            self._score(start + a, start + b, surprise="surprise" in columns)
            for a, b in steps
        ]
        data = {
            c.name: np.concatenate([piece[c.name] for piece in pieces]) for c in chosen
        }
        return Table(self.name, chosen, steps[-1][1], data)
