"""Simulated events as a table that is made while it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowtuple.comparison.folds import FOLD
from flowtuple.data.flat_events import take_events
from flowtuple.data.schema import Array, Column
from flowtuple.data.schema_diff import check_same_columns, read_like
from flowtuple.data.table import Table, TableSource, concatenate, ranges, with_counters
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.threads import ordered_map
from flowtuple.simulation.block import Block
from flowtuple.simulation.out_of_range import flag_columns, flags, out_of_range
from flowtuple.simulation.sampler import Sampler
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import check_finite

BLOCK = 4096  # events made at a time by one thread


@dataclass(frozen=True, eq=False)
class SimulatedTable:
    """Events simulated from generated ones, a `TableSource`.

    Any range of events may be read, and is the same each time; reading changes nothing.

    Attributes:
        sampler: The densities, and the seed of the draws.
        generated: Generated events; columns that are not simulated are copied.
        times: How often each event is simulated; copies follow one another.
        weight: A column of `generated` that is divided by `times`; empty for none.
        workers: Threads; `None` for one per core. The events do not depend on it.
        flag: Add flags of generated objects and events with values outside of the training.

    Raises:
        InvalidArgument: The generated events lack a column, or hold another type.
    """

    sampler: Sampler
    generated: TableSource
    times: int = 1
    weight: str = ""
    workers: int | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        spec, columns = self._spec, self.generated.columns
        names = {c.name for c in columns}
        if self.times < 1:
            raise InvalidArgument(
                f"events cannot be simulated {self.times} times; take 1 or more"
            )
        if self.times > 1 and FOLD in names:
            raise InvalidArgument(
                f"column {FOLD!r} is there already: these events were simulated; "
                "simulate the generated ones"
            )
        _check_weight(self.weight, columns, spec)
        check_same_columns(spec.generated_columns, columns, f"table {self.name!r}")
        for column in self._flags:
            if column.name in names:
                raise InvalidArgument(
                    f"column {column.name!r} is there already: leave out `flag=`, "
                    "or simulate the generated events"
                )

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.generated.name

    @property
    def num_entries(self) -> int:
        """Number of events."""
        return self.generated.num_entries * self.times

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the generated events and simulated ones, in the order of the training events.

        Flags follow, and `fold` comes last where events are simulated several times.
        """
        fold = (Column(FOLD, "int32"),) if self.times > 1 else ()
        return (*_in_order(self._spec, self._copied), *self._flags, *fold)

    @property
    def _spec(self) -> SimulationSpec:
        return self.sampler.spec

    @cached_property
    def _copied(self) -> tuple[Column, ...]:
        return _copied(self._spec, self.generated.columns)

    @cached_property
    def _flags(self) -> tuple[Column, ...]:
        return flag_columns(self._spec) if self.flag else ()

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return events `start` to `stop` of some columns and their counters."""
        stop = min(stop, self.num_entries)
        chosen = with_counters(self.columns, columns)
        blocks = [(a + start, b + start) for a, b in ranges(max(0, stop - start), BLOCK)]
        pieces = ordered_map(
            lambda block: self._block(chosen, *block),
            blocks or [(start, start)],
            self.workers,
        )
        return concatenate(list(pieces))

    def count_out_of_range(self) -> dict[str, int]:
        """Count by generated column the values outside of the training, each event once."""

        def count(block: tuple[int, int]) -> Counter[str]:
            table = read_like(self.generated, self._spec.generated_columns, *block)
            outside = out_of_range(Block.of(table, self._spec.generated), self._spec)
            return Counter({name: int(values.sum()) for name, values in outside.items()})

        blocks = ranges(self.generated.num_entries, BLOCK)
        return dict(sum(ordered_map(count, blocks, self.workers), Counter[str]()))

    def _block(self, chosen: tuple[Column, ...], start: int, stop: int) -> Table:
        index = np.arange(start, stop)
        first, last = start // self.times, -(-stop // self.times)
        event, fold = np.divmod(index, self.times)
        simulated = any(
            c.name in self._spec.simulated or c in self._flags for c in chosen
        )
        counters = {c.counter for c in chosen}
        copied = [c for c in self._copied if c in chosen or c.name in counters]
        generated = self._spec.generated_columns if simulated else ()
        plain = [c for c in (*copied, *generated) if not c.is_opaque]
        needed = tuple({c.name: c for c in plain}.values())
        table = take_events(read_like(self.generated, needed, first, last), event - first)
        opaque = [c.name for c in copied if c.is_opaque]
        rows = self.generated.read(opaque, first, last).data
        data = {**table.data, **{name: rows[name][event - first] for name in opaque}}
        if simulated:
            data |= self._simulate(table, event, fold)
        if self.weight in data and self.times > 1:
            weight = data[self.weight]
            data[self.weight] = (weight / self.times).astype(weight.dtype)
        data[FOLD] = fold.astype(np.int32)
        return Table(
            self.name, chosen, stop - start, {c.name: data[c.name] for c in chosen}
        )

    def _simulate(self, generated: Table, event: Array, fold: Array) -> dict[str, Array]:
        """Return the simulated columns and the flags of some events."""
        spec, block = self._spec, Block.of(generated, self._spec.generated)
        check_finite(block, spec, int(event[0]) if len(event) else 0)
        run(block, spec, self.sampler.source(event, fold))
        out = {
            name: block.values[name] for name in spec.simulated if name in block.values
        }
        for target in spec.targets:
            counter = target.objects.counter
            out[counter] = block.counts[target.objects.name].astype(spec.dtype(counter))
        return out | (flags(block, spec) if self.flag else {})


def _check_weight(weight: str, columns: Sequence[Column], spec: SimulationSpec) -> None:
    for column in columns:
        single = column.is_float and column.counter is None and not column.shape
        if column.name == weight and not single:
            raise InvalidArgument(
                f"column {weight!r} holds no weight of an event: it is {column.dtype}; "
                "name one of floats"
            )
    if weight in spec.simulated:
        raise InvalidArgument(
            f"column {weight!r} is simulated and is no weight of the generated events; name another"
        )


def _copied(spec: SimulationSpec, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the generated columns without those to simulate, counters named as in the spec."""
    gone = {*spec.simulated, *spec.left_out}
    known = {c.name: c for c in (*columns, *spec.columns)}
    counters = {c.counter for c in columns}
    shown = [
        c for c in columns if c.name not in gone and not (c.hidden and c.name in counters)
    ]
    copied = [c for c in (known[c.name] for c in shown) if c.counter not in gone]
    used = (known[c.counter] for c in copied if c.counter is not None)
    hidden = {c.name: c for c in used if c.hidden}
    return (*hidden.values(), *(c for c in copied if c.name not in hidden))


def _in_order(spec: SimulationSpec, copied: Sequence[Column]) -> tuple[Column, ...]:
    """Sort copied and simulated columns as the training events had them.

    Columns that these did not have stay behind the copied column that they stood behind.
    """
    rank = {c.name: k for k, c in enumerate(spec.columns)}
    placed: list[tuple[int, int, Column]] = []
    last = -1
    for number, column in enumerate(copied):
        last = rank.get(column.name, last)
        placed.append((last, number, column))
    placed += [(rank[c.name], -1, c) for c in spec.columns if c.name in spec.simulated]
    return tuple(column for *_, column in sorted(placed, key=lambda place: place[:2]))
