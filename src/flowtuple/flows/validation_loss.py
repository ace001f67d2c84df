"""Loss on validation events, with the same random numbers each time."""

from __future__ import annotations

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.flows.bijection import Trainable
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.process_group import ProcessGroup, losses
from flowtuple.flows.rng import RngStream, draw, torch_generator

_ROWS = 8192  # at a time


class ValidationLoss:
    """Validation rows, preprocessed once and divided among the processes.

    Args:
        sample: All rows.
        validation: Which rows are for validation, shape (n,).
        seed: Seed of positions in cells, and of the random numbers of the loss.
        group: The processes.
    """

    def __init__(
        self, sample: SampledRows, validation: Array, seed: int, group: ProcessGroup
    ) -> None:
        self._seed = seed
        self._group = group
        rows = np.flatnonzero(validation)
        parts = list(enumerate(ranges(len(rows), _ROWS)))
        self._count = len(parts)
        self._rows = len(rows)
        self._own = {}
        for number, (start, stop) in parts[group.process.rank :: group.process.size]:
            generator = draw(seed, RngStream.VALIDATION_POSITIONS, 0, number)
            positions = generator.random((stop - start, sample.shape[1]))
            self._own[number] = sample.take(rows[start:stop], positions, len(rows))

    @torch.no_grad()
    def __call__(self, flow: Trainable) -> float:
        """Return the weighted mean loss per row, the same for any number of processes."""
        device = self._group.device
        # The sum of each part is computed by one process, so that their number changes no bit.
        sums = torch.zeros(self._count, dtype=torch.float64)
        for number, part in self._own.items():
            generator = torch_generator(
                device, self._seed, RngStream.VALIDATION_NOISE, 0, number
            )
            batch = part.to(device)
            sums[number] = (
                (batch.weight * losses(flow, batch, generator)).double().sum().cpu()
            )
        return float(self._group.total(sums).sum()) / self._rows
