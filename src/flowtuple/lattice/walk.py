"""The walk over the columns of a table, each under the columns decoded before it.

The flow maps every value x to u, its place in the distribution that earlier columns predict:

    compress = encode u    decompress = decode u    generate = draw u    score = measure u

A flow gives the distribution; those who use it compute u: `codec.column` codes it,
`model.index_sampler` draws it, and `model.score` measures its interval or returns it.

`walk` yields one `ColumnState` for each column. Known values go forward: `enter`, `predict`,
`blocks`. Unknown values come back part by part: `parts`, `predict`, `logits`,
`restore`, `record`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt
from flowtuple.lattice.context import BLOCK_ROWS, Context, Parent, coding_order
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice, resolutions_of
from flowtuple.lattice.rows import RowSet

T = TypeVar("T")

MAX_OBJECTS = 4096
"""Objects of an event up to which a column may read its own earlier objects, or search them."""


@dataclass(frozen=True)
class TableCoding:
    """Everything that coding the events of one table needs.

    Attributes:
        columns: The schema.
        lattices: Lattice by column name, of all columns that are not opaque.
        flow: Conditional distributions of the columns.
        external: Names of external columns: only their hashes are stored.
    """

    columns: tuple[Column, ...]
    lattices: Mapping[str, Lattice]
    flow: LatticeFlow
    external: frozenset[str] = frozenset()

    @cached_property
    def resolutions(self) -> dict[str, str]:
        """The column of resolutions of each column that has one."""
        return resolutions_of(self.lattices)

    @property
    def order(self) -> list[Column]:
        """The columns of numbers in coding order."""
        return coding_order(self.columns, tuple(self.flow.columns), self.resolutions)

    def needed(self, columns: Iterable[Column]) -> set[str]:
        """Return all columns that decoding some takes: ancestors, resolutions, their counters."""
        needed, more = set[str](), {c.name for c in columns}
        while more:
            needed |= self.flow.ancestors(more)
            more = {self.resolutions[n] for n in needed if n in self.resolutions} - needed
        needed |= {
            c.counter for c in self.columns if c.name in needed and c.counter is not None
        }
        return self.flow.ancestors(needed)

    def snap(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Return the decoded values of some columns, with the resolutions of all of them."""
        out: dict[str, Array] = {}
        for column in self.order:
            if column.name in values:
                x = values[column.name]
                out[column.name] = self.lattices[column.name].at(out).snap(x)
        return out


def walk(
    coding: TableCoding, context: Context, names: Collection[str] | None = None
) -> Iterator[ColumnState]:
    """Yield the columns of numbers in coding order.

    Args:
        coding: Schema, lattices and flow.
        context: Receives what later columns read.
        names: Columns to visit; `None` for all.
    """
    for column in coding.order:
        if names is None or column.name in names:
            yield ColumnState(column, coding, context)


class ColumnState:
    """One column on the walk; all arrays but those named `stored` are in row order.

    Attributes:
        column: The column, `name` its name.
        lattice: Its lattice.
        flow: Its flow; `None` where it has none.
        key: Key of its collection.

    Args:
        column: The column.
        coding: Schema, lattices and flow of its table.
        context: The columns before it.
    """

    def __init__(self, column: Column, coding: TableCoding, context: Context) -> None:
        self.column = column
        self.name = column.name
        self.lattice = coding.lattices[self.name]
        self.flow = coding.flow.columns.get(self.name)
        self.key = context.collection[self.name]
        self._coding = coding
        self._context = context

    @cached_property
    def rows(self) -> RowSet:
        """The rows of its collection."""
        return self._context.rows(self.key)

    @property
    def required_flow(self) -> ColumnFlow:
        """The flow.

        Raises:
            Corrupt: The file does not hold it.
        """
        return self.require(self.flow)

    @property
    def whole(self) -> slice:
        """All rows."""
        return slice(0, len(self.rows))

    @cached_property
    def reads_itself(self) -> bool:
        """True if later objects of an event read earlier ones of this column."""
        return self.flow is not None and self.name in self.flow.sources

    @property
    def is_codable(self) -> bool:
        """True if the flow may code it; an event of many objects would take as many steps.

        So would a search for the nearest object, for each of them.
        """
        if self.flow is None:
            return False
        features = [p.feature for p in self.flow.inputs if p.feature is not None]
        searched = {f.searched for f in features if f.searched}
        keys = {self._context.collection[name] for name in searched}
        if self.reads_itself:
            keys.add(self.key)
        counts = [self._context.rows(key).counts for key in keys]
        return all(c.max(initial=0) <= MAX_OBJECTS for c in counts)

    def enter(self, stored: Array) -> tuple[Array, Array]:
        """Record known values, shape (n,); return indices and the exact values of escapes."""
        values = self.rows.sort(stored)
        q = self.at(self.whole).encode(values)
        escapes = values[q == ESCAPE]
        self.record(self.whole, q, escapes)
        return q, escapes

    def record(self, part: slice, q: Array, escapes: Array) -> None:
        """Let later columns, and later objects of this one, read the levels and values of a part.

        Args:
            part: Rows.
            q: Their indices.
            escapes: Exact values of the escapes among them.
        """
        if not self.is_read:
            return
        flow = self._coding.flow
        if self.flow is not None and self.name in flow.level_columns:
            self._write(self._context.levels, part, self.flow.levels.level(q))
        read = (
            flow.value_columns,
            self._context.watched,
            self._coding.resolutions.values(),
        )
        if any(self.name in names for names in read):
            self._write(self._context.values, part, self.at(part).decode(q, escapes))

    @property
    def is_read(self) -> bool:
        """True if other columns may read this one: it has a flow, or is a resolution."""
        return self.flow is not None or self.name in self._coding.resolutions.values()

    def at(self, part: slice | Array) -> Lattice:
        """Return the lattice of some rows; it differs only under a `sigma` bound."""
        resolution = self.lattice.resolution
        if not resolution:
            return self.lattice
        return self.lattice.at({resolution: self._context.values[resolution][part]})

    def _write(self, columns: dict[str, Array], part: slice, content: Array) -> None:
        if self.name not in columns:
            columns[self.name] = np.zeros(len(self.rows), content.dtype)
        columns[self.name][part] = content

    def predict(self, part: slice) -> Array | None:
        """Return the predicted indices of a part, `None` without a prediction."""
        if self.flow is None or self.flow.prediction is None:
            return None
        if any(self.name in parent.names for parent in self.flow.prediction.inputs):
            return self._predicted(part)
        predicted: Array = self._all_predicted[part]
        return predicted

    @cached_property
    def _all_predicted(self) -> Array:
        """Predicted indices of all rows, where they do not read the column itself."""
        return self._predicted(self.whole)

    def _predicted(self, part: slice) -> Array:
        prediction = self.require(self.required_flow.prediction)
        predicted = prediction.index(
            lambda parent: self._context.fetch(parent, self.key, part), self.at(part)
        )
        return np.broadcast_to(predicted, part.stop - part.start)

    def logits(self, part: slice, predicted: Array | None = None) -> Array:
        """Return the conditioner's logits: int16, shape (n, K), or (1, K) where all rows are alike.

        Args:
            part: Rows.
            predicted: Their indices from `predict`.

        Raises:
            Corrupt: The column has no network.
        """
        flow = self.required_flow
        network = self.require(flow.network)
        if not flow.parents:
            return network.logits(np.empty((0, 1), np.uint8))
        levels = None if predicted is None else flow.levels.level(predicted)
        inputs = np.empty((len(flow.parents), part.stop - part.start), np.uint8)
        for k, (parent, complete) in enumerate(self._inputs):
            inputs[k] = (
                complete[part]
                if complete is not None
                else self._context.gather([parent], self.key, part, levels)[0]
            )
        return network.logits(inputs)

    @cached_property
    def _inputs(self) -> list[tuple[Parent, Array | None]]:
        """Each parent with its levels in all rows, `None` where these read the column itself."""
        return [
            (p, None)
            if p.relation == "prediction" or self.name in p.names
            else (p, self._context.complete_levels(p, self.key))
            for p in self.required_flow.parents
        ]

    def blocks(self, predicted: Array | None) -> Iterator[tuple[slice, Array]]:
        """Yield all rows in blocks with their logits; for values that are known."""
        for part in _blocks(self.whole):
            yield part, self.logits(part, None if predicted is None else predicted[part])

    def parts(self) -> Iterator[slice]:
        """Yield blocks of rows that can be decoded together: those whose parents are recorded."""
        if self.reads_itself:
            yield from self.serial_parts()
        else:
            yield from _blocks(self.whole)

    def serial_parts(self) -> Iterator[slice]:
        """Yield blocks of rows of equal object number, in the order of these."""
        # The first objects read levels of objects that do not exist: the arrays must be there.
        nothing = np.empty(0, np.int64)
        self.record(slice(0, 0), nothing, np.empty(0, self.lattice.dtype))
        for part in self.rows.parts:
            yield from _blocks(part)

    def restore(self, residuals: Array, predicted: Array) -> Array:
        """Return the indices of residuals from the prediction."""
        return self.require(self.required_flow.prediction).restore(residuals, predicted)

    def require(self, part: T | None) -> T:
        """Return the flow, or a part of it, that decoding needs.

        Raises:
            Corrupt: The file does not hold it.
        """
        if part is None:
            raise Corrupt(
                f"column {self.name!r} is stored by a flow that the file does not hold"
            )
        return part


def _blocks(part: slice) -> Iterator[slice]:
    for start in range(part.start, part.stop, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, part.stop))
