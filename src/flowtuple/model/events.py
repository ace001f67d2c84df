"""Events drawn from a flow, as a table that is made while it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flowtuple.data.flat_events import take_events
from flowtuple.data.schema import Array, Column, reference_target
from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Table, TableSource, concatenate, with_counters
from flowtuple.errors import Unsupported
from flowtuple.lattice.context import Context, collection_of, make_context
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.rows import RowSet
from flowtuple.lattice.walk import ColumnState, TableCoding, walk
from flowtuple.model.draw import Distribution
from flowtuple.model.index_sampler import AtRandom, IndexSampler
from flowtuple.model.obeying import DrawnRows, restored, zeros
from flowtuple.model.rules import RuleBook
from flowtuple.runtime.threads import default_workers, ordered_map

BLOCK = 8192  # events made at a time by one thread, if there are so many
LARGEST = 4  # times as many, where each thread has enough to do
WIDE = 128  # columns of a table from which on blocks are not larger

TOGETHER = 2048
"""Candidates that are drawn at once where few events wait for one that is accepted."""

CANDIDATES = 64
"""Candidates of an event, the last of which is accepted in any case."""

STRIDE = 2**40
"""Between the numbers of an event's candidates: no table has so many events."""

_CONSTANT_IDS = frozenset(["run", "runnumber", "lumi", "luminosityblock", "lumiblock"])


@dataclass(frozen=True)
class _Draws:
    """The way to choose the indices of some events.

    Attributes:
        sample: Returns an index from a distribution.
        obey: Random numbers to draw again with where a rule refuses a value; `None` for no rules.
        first: Number of the first event.
    """

    sample: IndexSampler
    obey: AtRandom | None
    first: int


class SampledTable:
    """Events drawn from a flow, a `TableSource`: any range may be read, and is the same each time.

    Attributes:
        name: Name of the table.
        columns: The schema without opaque columns, which have no density.
        num_entries: Events.

    Args:
        name: Name of the table.
        coding: Schema, lattices and flow.
        num_entries: Events to draw.
        sample: The way to choose an index from a distribution.
        conditions: Columns that are not drawn, of as many events; the others are drawn given these.
        workers: Threads; `None` for one per core. The events do not depend on it.
        repair: References to objects that their event does not have become -1.
        obey: Random numbers to draw again with where the rules of the model refuse a value; `None`
            takes no notice of rules.

    Raises:
        Unsupported: A column has no density, because its plain storage was smaller.
    """

    def __init__(
        self,
        name: str,
        coding: TableCoding,
        num_entries: int,
        sample: IndexSampler,
        conditions: TableSource | None = None,
        workers: int | None = None,
        *,
        repair: bool = True,
        obey: AtRandom | None = None,
    ) -> None:
        self.name = name
        self.columns = tuple(c for c in coding.columns if not c.is_opaque)
        self.num_entries = num_entries
        self._coding = coding
        self._sample = sample
        self._conditions = conditions
        self._workers = workers
        self._obey = obey
        rules = coding.flow.rules if obey else ()
        self._rules = RuleBook(rules, self.columns)
        self._has_objects = any(collection_of(c) for c in self.columns)
        self._acceptance = coding.flow.acceptance if obey else None
        self._watched = frozenset().union(*map(self._rules.bound, rules))
        if self._acceptance is not None:
            self._watched |= self._acceptance.columns
        supplied = set() if conditions is None else {c.name for c in conditions.columns}
        self._supplied = {
            c.name
            for c in self.columns
            if c.name in supplied or (c.name in coding.external and c.hidden)
        }
        self._targets = {
            c.name: target
            for c in self.columns
            if repair and (target := _target(c, self.columns))
        }
        missing = [
            c.name
            for c in self.columns
            if c.role != "id" and c.name not in self._supplied
            if not coding.flow.has_density(c.name)
        ]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise Unsupported(
                f"column {missing[0]!r}{more} of table {name!r} has no density; "
                "fit a model of all columns with `train()`"
            )

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Draw events `start` to `stop` of some columns, their counters, and what these read."""
        stop = min(stop, self.num_entries)
        chosen = with_counters(self.columns, columns)
        needed = self._needed(chosen)
        size = self._block_size(stop - start, len(needed))
        blocks = [(a, min(a + size, stop)) for a in range(start, stop, size)] or [
            (start, start)
        ]
        pieces = ordered_map(
            lambda block: self._block(needed, *block), blocks, self._workers
        )
        names = [c.name for c in chosen]
        return concatenate([piece.read(names, 0, size) for piece in pieces])

    def _block_size(self, events: int, columns: int) -> int:
        """Return the events of a block: the larger, the less overhead; wide tables need room."""
        workers = default_workers() if self._workers is None else self._workers
        most = BLOCK * min(max(WIDE // max(columns, 1), 1), LARGEST)
        return min(max(-(-events // max(workers, 1)), BLOCK), most)

    def _needed(self, chosen: Iterable[Column]) -> set[str]:
        """Return all columns that drawing some takes, those that their rules speak of included."""
        wanted = {c.name for c in chosen}
        if self._acceptance is not None:
            wanted |= self._acceptance.columns
        while True:
            needed = self._coding.needed([c for c in self.columns if c.name in wanted])
            counting = {self._targets[name] for name in needed if name in self._targets}
            partners = set[str]().union(*(self._rules.partners(name) for name in needed))
            more = needed | counting | partners
            if more == wanted:
                return needed
            wanted = more

    def _block(self, needed: set[str], start: int, stop: int) -> Table:
        """Draw a block of events, those that are not accepted again by other random numbers."""
        if self._acceptance is None or self._obey is None or start == stop:
            own = _Draws(self._sample, self._obey, start)
            return self._walked(needed, np.arange(start, stop), own)[0]
        accepted, events = [], []
        waiting, tried = np.arange(start, stop), 0
        while len(waiting):
            more = max(TOGETHER // len(waiting), 1)
            attempts = np.arange(tried, min(tried + more, CANDIDATES))
            # A candidate has objects of its own. Its event columns are drawn once: so the shares
            # of events by counters and flags are those of the flow, whatever is refused.
            numbers = (waiting[:, None] + attempts * STRIDE).ravel()
            candidates = np.repeat(waiting, len(attempts))
            events_drawn = candidates if self._has_objects else numbers
            random = replace(self._obey, events=events_drawn, objects=numbers)
            own = _Draws(random, random, start)
            table, context = self._walked(needed, candidates, own)
            taken = random.accepts(self._acceptance.probability(context))
            taken = taken.reshape(len(waiting), len(attempts))
            tried += len(attempts)
            taken[:, -1] |= tried == CANDIDATES
            is_done = taken.any(axis=1)
            first = np.arange(len(waiting)) * len(attempts) + taken.argmax(axis=1)
            accepted.append(take_events(table, first[is_done]))
            events.append(waiting[is_done])
            waiting = waiting[~is_done]
        order = np.argsort(np.concatenate(events))
        return take_events(concatenate(accepted), order)

    def _walked(
        self, needed: set[str], events: Array, draws: _Draws
    ) -> tuple[Table, Context]:
        """Draw events, in one walk over the columns.

        Args:
            needed: Columns to draw.
            events: Number of each event, shape (events,); one may occur several times.
            draws: The way to choose indices.
        """
        count = len(events)
        contents: dict[str, Any] = {}
        context = make_context(self._coding.columns, count, contents)
        context.watched = self._watched
        columns = tuple(c for c in self.columns if c.name in needed)
        if self._conditions is not None:
            wanted = tuple(c for c in columns if c.name in self._supplied)
            first = draws.first
            last = int(events.max(initial=first - 1)) + 1
            supplied = read_like(self._conditions, wanted, first, last)
            given = take_events(supplied, events - first).data
            contents |= {name: values.reshape(-1) for name, values in given.items()}
        for state in walk(self._coding, context, needed):
            if state.name in self._supplied:
                values = np.asarray(contents[state.name])
                state.enter(values)
            elif state.column.role == "id":
                values = _fresh(state.column, state.rows, events)
            else:
                values = self._draw(state, context, contents, draws)
            shape = state.column.shape
            contents[state.name] = values.reshape(count, *shape) if shape else values
        data = {c.name: contents[c.name] for c in columns}
        return Table(self.name, columns, count, data), context

    def _draw(
        self,
        state: ColumnState,
        context: Context,
        contents: Mapping[str, Any],
        draws: _Draws,
    ) -> Array:
        """Draw all values of a column, in stored order."""
        q = np.empty(len(state.rows), np.int64)
        for part in self._parts(state):
            q[part] = self._indices(state, context, part, draws)
            if state.name in self._targets:
                counts = contents[self._targets[state.name]][state.rows.event[part]]
                q[part] = _existing(q[part], state.lattice, counts)
            state.record(part, q[part], zeros(q[part], state.lattice))
        decoded = state.at(state.whole).decode(q, zeros(q, state.lattice))
        return state.rows.unsort(decoded)

    def _parts(self, state: ColumnState) -> Iterable[slice]:
        """Return the parts to draw one by one; rules of near objects need one object at a time."""
        serial = any(
            r.kind in ("falling", "distance") for r in self._rules.of(state.name)
        )
        return state.serial_parts() if serial else state.parts()

    def _indices(
        self, state: ColumnState, context: Context, part: slice, draws: _Draws
    ) -> Array:
        """Draw the indices of some rows, again for those that a rule refuses."""
        flow, predicted = state.required_flow, state.predict(part)
        if flow.network is None and predicted is not None:
            return predicted
        distribution = Distribution(state.logits(part, predicted), flow.bins)
        drawn = draws.sample(state, part, distribution, draws.first)
        q = restored(state, drawn, predicted)
        fits = flow.residual or (q == ESCAPE).any()
        if draws.obey is None or not (self._rules.of(state.name) or fits):
            return q
        rows = np.arange(part.start, part.stop)
        waiting = DrawnRows(state, context, rows, draws.first, distribution, predicted)
        return waiting.obeying(q, self._rules, draws.obey)


def _target(column: Column, columns: Sequence[Column]) -> str | None:
    """Return the counter of the collection that references point to: Jet for Muon_jetIdx."""
    if column.role != "reference":
        return None
    stem = reference_target(column.name)
    return next(
        (
            c.counter
            for c in columns
            if c.counter is not None and c.name.partition("_")[0].lower() == stem
        ),
        None,
    )


def _existing(q: Array, lattice: Lattice, counts: Array) -> Array:
    """Replace references to objects that their event does not have by -1."""
    none = lattice.nearest(np.array([-1]).astype(lattice.dtype))
    return np.where(lattice.decode(q) >= counts, none, q)


def _fresh(column: Column, rows: RowSet, events: Array) -> Array:
    """Return new ids: events numbered from 1, runs and luminosity blocks all 1."""
    constant = column.name.lower() in _CONSTANT_IDS
    numbers = np.ones(len(rows), np.int64) if constant else events[rows.event] + 1
    with np.errstate(over="ignore"):
        return rows.unsort(numbers).astype(column.dtype)
