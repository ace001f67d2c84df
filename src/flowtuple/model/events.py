"""Events drawn from a flow, as a table that is made while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.codec.chunk import make_context, needed_columns
from flowtuple.codec.column import TableCoding
from flowtuple.data.schema import Array, Column, reference_target
from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Table, TableSource, concatenate, ranges, with_counters
from flowtuple.errors import Unsupported
from flowtuple.lattice import evaluation
from flowtuple.lattice.context import Context, RowSet, coding_order, collection_of
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.grid import ATOM, ESCAPE
from flowtuple.lattice.lattice import Lattice
from flowtuple.model.index_sampler import Distribution, Pick
from flowtuple.runtime.threads import ordered_map

BLOCK = 8192  # events made at a time by one thread
_CONSTANT_IDS = frozenset(["run", "runnumber", "lumi", "luminosityblock", "lumiblock"])


class SampledTable:
    """Events drawn from a flow, a `TableSource`: any range of them may be read, in any order, and is the same each time.

    Attributes:
        name: Name of the table.
        columns: The schema without opaque columns, which have no density.
        num_entries: Events.

    Args:
        name: Name of the table.
        coding: Schema, lattices and flow.
        num_entries: Events to draw.
        pick: How an index is chosen from a distribution.
        given: Has the columns that are given, as many events as are drawn; the others are drawn conditionally on them.
        workers: Threads; `None` for one per core. The events do not depend on it.
        repair: References to objects that their event does not have become -1.

    Raises:
        Unsupported: A column has no density: it was stored by other means because these are smaller.
    """

    def __init__(
        self,
        name: str,
        coding: TableCoding,
        num_entries: int,
        pick: Pick,
        given: TableSource | None = None,
        workers: int | None = None,
        *,
        repair: bool = True,
    ) -> None:
        self.name = name
        self.columns = tuple(c for c in coding.columns if not c.is_opaque)
        self.num_entries = num_entries
        self._coding, self._pick, self._given, self._workers = coding, pick, given, workers
        supplied = {c.name for c in given.columns} if given is not None else set()
        self._supplied = {
            c.name
            for c in self.columns
            if c.name in supplied or (c.name in coding.given and c.hidden)
        }
        self._targets = {
            c.name: target for c in self.columns if repair and (target := _target(c, self.columns))
        }
        missing = [c.name for c in self.columns if not self._has_density(c)]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise Unsupported(
                f"column {missing[0]!r}{more} of table {name!r} has no density in this model; train one without --lean"
            )

    def _has_density(self, column: Column) -> bool:
        flow = self._coding.flow.columns.get(column.name)
        known = flow is not None and (flow.network is not None or flow.prediction is not None)
        return known or column.role == "id" or column.name in self._supplied

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns and their counters; only what these read is drawn."""
        stop = min(stop, self.num_entries)
        kept = with_counters(self.columns, columns)
        needed = needed_columns(self._coding, kept)
        counting = {self._targets[name] for name in needed if name in self._targets}
        needed |= needed_columns(self._coding, [c for c in self.columns if c.name in counting])
        blocks = [(a + start, b + start) for a, b in ranges(max(0, stop - start), BLOCK)] or [
            (start, start)
        ]
        pieces = ordered_map(lambda block: self._block(needed, *block), blocks, self._workers)
        return concatenate(
            [
                Table(self.name, kept, t.num_entries, {c.name: t.data[c.name] for c in kept})
                for t in pieces
            ]
        )

    def _block(self, needed: set[str], start: int, stop: int) -> Table:
        contents: dict[str, Any] = {}
        context = make_context(self._coding.columns, stop - start, contents)
        ordered = coding_order(self.columns, tuple(self._coding.flow.columns))
        kept = tuple(c for c in self.columns if c.name in needed)
        if self._given is not None:
            wanted = tuple(c for c in kept if c.name in self._supplied)
            contents |= {
                n: v.reshape(-1)
                for n, v in read_like(self._given, wanted, start, stop).data.items()
            }
        for column in ordered:
            if column.name in needed:
                values = self._values(column, context, contents, start)
                contents[column.name] = (
                    values.reshape(stop - start, *column.shape) if column.shape else values
                )
        return Table(self.name, kept, stop - start, {c.name: contents[c.name] for c in kept})

    def _values(
        self, column: Column, context: Context, contents: Mapping[str, Any], first: int
    ) -> Array:
        """All values of a column in stored order, given or drawn."""
        name, lattice = column.name, self._coding.lattices[column.name]
        rows = context.rows(collection_of(column))
        if name in self._supplied:
            values = rows.sort(contents[name].reshape(-1))
            q = lattice.encode(values)
            evaluation.publish(
                name,
                slice(0, len(rows)),
                q,
                values[q == ESCAPE],
                lattice,
                self._coding.flow,
                context,
            )
            return np.asarray(contents[name])
        if column.role == "id":
            return _fresh(column, rows, first)
        q = np.empty(len(rows), np.int64)
        flow = self._coding.flow.columns[name]
        itself = flow.reads(name)
        if itself:  # the first objects find nothing yet
            evaluation.publish(
                name, slice(0, 0), q[:0], _nothing(lattice), lattice, self._coding.flow, context
            )
        for part in rows.parts if itself else [slice(0, len(rows))]:
            q[part] = self._indices(flow, lattice, name, part, context, first)
            if name in self._targets:
                q[part] = _existing(
                    q[part], lattice, contents[self._targets[name]][rows.event[part]]
                )
            escapes = np.zeros(int(np.count_nonzero(q[part] == ESCAPE)), lattice.dtype)
            evaluation.publish(name, part, q[part], escapes, lattice, self._coding.flow, context)
        return rows.unsort(
            lattice.decode(q, np.zeros(int(np.count_nonzero(q == ESCAPE)), lattice.dtype))
        )

    def _indices(
        self,
        flow: ColumnFlow,
        lattice: Lattice,
        name: str,
        part: slice,
        context: Context,
        first: int,
    ) -> Array:
        rows = context.rows(context.collection[name])
        predicted = evaluation.predict(flow, lattice, name, part, context)
        if flow.network is None:
            return np.array(predicted)
        logits = evaluation.logits(flow, name, part, predicted, context)
        banned = flow.bins.starts == ESCAPE
        drawn = self._pick(
            name, Distribution(logits, flow.bins.starts, flow.bins.spans, banned), rows, part, first
        )
        if not flow.residual or flow.prediction is None or predicted is None:
            return drawn
        q = flow.prediction.restore(drawn, predicted)
        return np.where((q >= ATOM + len(lattice.atoms)) & (q != ESCAPE), ESCAPE, q)


def _target(column: Column, columns: Sequence[Column]) -> str | None:
    """The counter of the collection that a column of references points to, by its name: of Muon_jetIdx that of Jet."""
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
    """References to objects that their event does not have become -1, which refers to none."""
    none = lattice.nearest(np.array([-1]).astype(lattice.dtype))
    return np.where(lattice.decode(q) >= counts, none, q)


def _nothing(lattice: Lattice) -> Array:
    return np.empty(0, lattice.dtype)


def _fresh(column: Column, rows: RowSet, first: int) -> Array:
    """Ids that were never in the data: events numbered from 1 on, runs and luminosity blocks all 1."""
    constant = column.name.lower() in _CONSTANT_IDS
    numbers = np.ones(len(rows), np.int64) if constant else rows.event + first + 1
    with np.errstate(over="ignore"):
        return rows.unsort(numbers).astype(column.dtype)
