"""Batches of rows in a new order each epoch: blocks at random, and the rows in a group of blocks.

A block is contiguous in memory or on disk, so that no row is read by itself. A sample of one group
is shuffled as a whole. The order depends on the seed and the epoch alone.
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

BLOCK = 2**15  # contiguous rows; about as many are preprocessed at a time
GROUP = 16  # blocks whose rows are shuffled together

Spread = Callable[[Array, Array], Array]
"""Preprocessed rows by number, shape (m,), at positions in their cells: both of shape (m, d)."""


@dataclass(frozen=True, eq=False)
class SampledRows:
    """Rows that a flow is fitted to.

    Attributes:
        spread: Returns preprocessed rows; called in a thread.
        shape: Rows and columns (n, d).
        event: The event of each row, shape (n,).
        weight: Weight of each row with mean 1, shape (n,).
        context: Conditions of each row as the flow reads them, shape (n, c); `None` without.
        identity: Hash of the values and their preprocessing.
    """

    spread: Spread
    shape: tuple[int, int]
    event: Array
    weight: Array
    context: Array | None = None
    identity: str = ""

    def validation(self, share: float, seed: int) -> Array:
        """Return which rows belong to validation events: bool of shape (n,)."""
        events = int(self.event.max(initial=-1)) + 1
        chosen: Array = draw(seed, RngStream.VALIDATION_EVENTS).random(events) < share
        return chosen[self.event]

    def take(self, rows: Array, positions: Array, total: int) -> Batch:
        """Return some rows as tensors.

        Args:
            rows: Their numbers, shape (m,).
            positions: Positions in cells, shape (m, d).
            total: Rows of the step in all processes.
        """
        context = None
        if self.context is not None:
            context = torch.from_numpy(self.context[rows].astype(np.float32))
        x = self.spread(rows, positions).astype(np.float32)
        weight = self.weight[rows].astype(np.float32)
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

    def part(self, rows: slice | Tensor, total: int) -> Batch:
        """Return some of the rows, as part of a step of `total` rows."""
        return self._changed(lambda tensor: tensor[rows], total)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return self._changed(lambda tensor: tensor.to(device), self.total)

    def _changed(self, change: Callable[[Tensor], Tensor], total: int) -> Batch:
        context = None if self.context is None else change(self.context)
        return Batch(change(self.x), change(self.weight), context, total)


class Shuffled:
    """The rows to train on as batches, epoch by epoch.

    Args:
        sample: The rows.
        training: Which rows to train on, shape (n,).
        batch: Rows of a step, in all processes.
        seed: Seed of the order and of positions in cells.
        process: The process, which makes its part of each batch.
    """

    def __init__(
        self,
        sample: SampledRows,
        training: Array,
        batch: int,
        seed: int,
        process: Process,
    ) -> None:
        self._sample = sample
        self._training = training
        self._batch = batch
        self._seed = seed
        self._process = process
        self._blocks = list(ranges(len(training), BLOCK))
        self.rows = int(training.sum())
        self.steps = -(-self.rows // batch)

    def pieces(self, epoch: int) -> Iterator[list[Batch]]:
        """Return the batches of an epoch, as many at a time as are preprocessed together."""
        for number, rows in enumerate(self._pieces(epoch)):
            generator = draw(self._seed, RngStream.POSITIONS, epoch, number)
            # Every process draws the positions of all rows, so that their number changes nothing.
            positions = generator.random((len(rows), self._sample.shape[1]))
            own, counts = [], []
            for start, stop in ranges(len(rows), self._batch):
                own.append(np.arange(start, stop)[self._process.share(stop - start)])
                counts.append(stop - start)
            piece = self._take(rows, positions, np.concatenate(own))
            ends = np.cumsum([len(part) for part in own])
            yield [
                piece.part(slice(end - len(part), end), count)
                for part, end, count in zip(own, ends, counts, strict=True)
            ]

    def _take(self, rows: Array, positions: Array, own: Array) -> Batch:
        """Return this process's rows of a piece, read in ascending order and then reordered."""
        ascending = own[np.argsort(rows[own])]
        batch = self._sample.take(rows[ascending], positions[ascending], len(rows))
        place = np.empty(len(rows), np.int64)
        place[ascending] = np.arange(len(ascending))
        return batch.part(torch.from_numpy(place[own]), len(rows))

    def _pieces(self, epoch: int) -> Iterator[Array]:
        """Return numbers of rows in whole batches, except for the last ones."""
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
        """Return numbers of the rows of some blocks at a time, shuffled."""
        blocks = draw(self._seed, RngStream.BLOCKS, epoch).permutation(len(self._blocks))
        for number, (first, last) in enumerate(ranges(len(blocks), GROUP)):
            bounds = [self._blocks[k] for k in blocks[first:last]]
            rows = [
                start + np.flatnonzero(self._training[start:stop])
                for start, stop in bounds
            ]
            yield draw(self._seed, RngStream.ROWS, epoch, number).permutation(
                np.concatenate(rows)
            )
