"""The loss on events held out, with the same random numbers each time."""

from __future__ import annotations

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.flows.bijection import Trainable
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.process_group import ProcessGroup, losses
from flowtuple.flows.rng import RngStream, draw, torch_seed

_ROWS = 8192  # at a time


class ValidationLoss:
    """Rows that are only judged by, preprocessed once; each process holds some and hears of all.

    Args:
        sample: All rows.
        held: Whether a row judges, shape (n,).
        seed: Of the places in cells, and of what the loss draws.
        team: The processes among which the rows are divided.
    """

    def __init__(self, sample: SampledRows, held: Array, seed: int, team: ProcessGroup) -> None:
        rows, self._seed, self._team = np.flatnonzero(held), seed, team
        parts = list(enumerate(ranges(len(rows), _ROWS)))
        self._count, self._rows = len(parts), len(rows)
        self._own = {}
        for number, (start, stop) in parts[team.process.rank :: team.process.size]:
            places = draw(seed, RngStream.PLACES_HELD_OUT, 0, number).random(
                (stop - start, sample.shape[1])
            )
            self._own[number] = sample.take(rows[start:stop], places, len(rows))

    @torch.no_grad()
    def __call__(self, flow: Trainable) -> float:
        """Weighted mean of the loss per row, the same number in every process and with any number of them."""
        sums = torch.zeros(self._count, dtype=torch.float64)
        for number, part in self._own.items():
            generator = torch.Generator(self._team.device).manual_seed(
                torch_seed(self._seed, RngStream.NOISE_HELD_OUT, 0, number)
            )
            batch = part.to(self._team.device)
            sums[number] = (batch.weight * losses(flow, batch, generator)).double().sum().cpu()
        return float(self._team.total(sums).sum()) / self._rows
