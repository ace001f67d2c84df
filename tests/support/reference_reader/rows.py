"""Sections 5 and 8.4: the rows of a collection, and a column of a chunk as far as it is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from reference_reader.base import MAX_ROWS, number_of, require
from reference_reader.description import Column
from reference_reader.lattice import Lattice


@dataclass(frozen=True)
class Row:
    """Section 5: object `number` of `event`, at `position` in stored order."""

    event: int
    number: int
    position: int


class Rows:
    """Section 5: the rows of one collection in one chunk."""

    def __init__(self, counts: list[int]) -> None:
        require(min(counts, default=0) >= 0, "a counter below 0")
        require(sum(counts) <= MAX_ROWS, "too many rows")
        self.counts = counts
        self.starts = [0, *accumulate(counts)]

    def __len__(self) -> int:
        return self.starts[-1]

    def position(self, event: int, number: int) -> int | None:
        """The place in stored order of object `number` of `event`; None where there is no such
        object.
        """
        return self.starts[event] + number if 0 <= number < self.counts[event] else None

    def row_order(self) -> Iterator[Row]:
        """All first objects, then all second ones, ..."""
        for number in range(max(self.counts, default=0)):
            for event, count in enumerate(self.counts):
                if number < count:
                    yield Row(event, number, self.starts[event] + number)


class Decoded:
    """Section 8.4: a column of a chunk, as far as it is decoded; indices and values (patterns) in
    stored order.
    """

    def __init__(self, column: Column, rows: Rows) -> None:
        self.column, self.rows = column, rows
        self.indices = [0] * len(rows)
        self.values = [0] * len(rows)

    def lattice(self, position: int, chunk: Chunk) -> Lattice:
        """Section 4.2: the lattice of a row, by its resolution where the bound has one."""
        lattice = self.column.known()[1]
        if lattice.resolution == "":
            return lattice
        return lattice.at(float(chunk[lattice.resolution].number(position)))

    def number(self, position: int) -> int | float:
        return number_of(self.values[position], self.column.known()[0])


Chunk: TypeAlias = dict[str, Decoded]  # the columns of a chunk by name
