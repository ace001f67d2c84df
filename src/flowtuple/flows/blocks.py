"""Rows in batches, in another order each epoch: blocks at random, and within a group of blocks the rows.

A block lies in one piece in memory or on disk, so that no row is read by itself; a sample of one group is shuffled as a whole.
What an epoch is like depends on the seed and its number alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.flows.processes import Process
from flowtuple.flows.rng import RngStream, draw

BLOCK = 2**15  # rows that lie together; about as many are preprocessed at a time
GROUP = 16  # blocks whose rows are shuffled together

Spread = Callable[[Array, Array], Array]
"""Rows by number, shape (m,), ready for the flow, from random places in their cells: both of shape (m, d)."""


@dataclass(frozen=True, eq=False)
class SampledRows:
    """What a flow is fitted to.

    Attributes:
        spread: Some of the rows, given places in their cells; called in a thread.
        shape: Rows and columns (n, d).
        event: The event of each row, shape (n,).
        weight: Of mean 1, shape (n,).
        context: Conditions of each row as the flow reads them, shape (n, c); `None` for a flow without.
        identity: Stands for the values and their preprocessing: another sample has another.
    """

    spread: Spread
    shape: tuple[int, int]
    event: Array
    weight: Array
    context: Array | None = None
    identity: str = ""

    def held_out(self, share: float, seed: int) -> Array:
        """Whether a row's event only judges: bool of shape (n,)."""
        chosen: Array = (
            draw(seed, RngStream.HELD_OUT).random(int(self.event.max(initial=-1)) + 1) < share
        )
        return chosen[self.event]

    def take(self, rows: Array, places: Array, total: int) -> Batch:
        """Some rows as tensors."""
        context = (
            None
            if self.context is None
            else torch.from_numpy(self.context[rows].astype(np.float32))
        )
        x, weight = (
            self.spread(rows, places).astype(np.float32),
            self.weight[rows].astype(np.float32),
        )
        return Batch(torch.from_numpy(x), torch.from_numpy(weight), context, total)


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of one step, or this process's part of them.

    Attributes:
        x: Shape (m, d), float32.
        weight: Shape (m,).
        context: Shape (m, c), or `None`.
        total: Rows of the step in all processes.
    """

    x: Tensor
    weight: Tensor
    context: Tensor | None
    total: int

    def part(self, rows: slice, total: int) -> Batch:
        """Some of the rows, of a step of so many."""
        return Batch(
            self.x[rows],
            self.weight[rows],
            None if self.context is None else self.context[rows],
            total,
        )

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        context = None if self.context is None else self.context.to(device)
        return Batch(self.x.to(device), self.weight.to(device), context, self.total)


class Shuffled:
    """The rows to train on as batches, epoch by epoch.

    Args:
        sample: The rows.
        training: Whether a row is one to train on, shape (n,).
        batch: Rows of a step, in all processes.
        seed: Of the order and of the places in cells.
        process: Which part of each batch is made here.
    """

    def __init__(
        self, sample: SampledRows, training: Array, batch: int, seed: int, process: Process
    ) -> None:
        self._sample, self._training, self._batch, self._seed, self._process = (
            sample,
            training,
            batch,
            seed,
            process,
        )
        self._blocks = list(ranges(len(training), BLOCK))
        self.rows = int(training.sum())
        self.steps = -(-self.rows // batch)

    def pieces(self, epoch: int) -> Iterator[list[Batch]]:
        """Consecutive batches of an epoch, as many at a time as are preprocessed together."""
        for number, rows in enumerate(self._pieces(epoch)):
            places = draw(self._seed, RngStream.PLACES, epoch, number).random(
                (len(rows), self._sample.shape[1])
            )
            steps = [(start, stop - start) for start, stop in ranges(len(rows), self._batch)]
            shares = [self._process.share(count) for _, count in steps]
            own = [
                np.arange(start + s.start, start + s.stop)
                for (start, _), s in zip(steps, shares, strict=True)
            ]
            made = self._made(rows, places, np.concatenate(own))
            ends = np.cumsum([len(part) for part in own]).tolist()
            yield [
                made.part(slice(end - len(part), end), count)
                for part, end, (_, count) in zip(own, ends, steps, strict=True)
            ]

    def _made(self, rows: Array, places: Array, own: Array) -> Batch:
        """This process's rows of a piece, read in the order in which they lie."""
        ascending = own[np.argsort(rows[own])]
        found = self._sample.take(rows[ascending], places[ascending], len(rows))
        where = np.empty(len(rows), np.int64)
        where[ascending] = np.arange(len(ascending))
        order = torch.from_numpy(where[own])
        context = None if found.context is None else found.context[order]
        return Batch(found.x[order], found.weight[order], context, len(rows))

    def _pieces(self, epoch: int) -> Iterator[Array]:
        """Numbers of rows, whole batches but for the last."""
        size = self._batch * max(1, BLOCK // self._batch)
        rest = np.empty(0, np.int64)
        for group in self._groups(epoch):
            rows = np.concatenate([rest, group])
            whole = len(rows) - len(rows) % size
            for start, stop in ranges(whole, size):
                yield rows[start:stop]
            rest = rows[whole:]
        if len(rest):
            yield rest

    def _groups(self, epoch: int) -> Iterator[Array]:
        """Numbers of the rows of some blocks at a time, shuffled."""
        blocks = draw(self._seed, RngStream.BLOCKS, epoch).permutation(len(self._blocks))
        for number, (first, last) in enumerate(ranges(len(blocks), GROUP)):
            bounds = [self._blocks[k] for k in blocks[first:last]]
            rows = [start + np.flatnonzero(self._training[start:stop]) for start, stop in bounds]
            yield draw(self._seed, RngStream.ROWS, epoch, number).permutation(np.concatenate(rows))
