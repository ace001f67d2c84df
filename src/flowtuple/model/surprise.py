"""Surprise of an event: its bits beyond the expected ones, which mostly count objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import read_all
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import AtRandom
from flowtuple.model.score import score

EVENTS = 4096
_SEED = 0x5EED


@dataclass(frozen=True, eq=False)
class Expectation:
    """Mean and variance of each column's bits, over events that the model itself has drawn.

    Attributes:
        mean: float64, shape (columns,).
        variance: float64, shape (columns,).
    """

    mean: Array
    variance: Array

    @classmethod
    def of(cls, bits: Array) -> Self:
        """Return the expectation from the bits of drawn rows, shape (n, columns)."""
        return cls(bits.mean(axis=0), bits.var(axis=0))

    def surprise(self, bits: Array) -> Array:
        """Return sum_d (b_d - H_d) / sqrt(sum_d Var_d) of each row; 0 where nothing varies."""
        spread = float(np.sqrt(self.variance.sum()))
        total: Array = (bits - self.mean).sum(axis=1)
        return total / spread if spread > 0 else np.zeros_like(total)


def expectation(name: str, coding: TableCoding) -> Expectation:
    """Return a model's expectation of its own events.

    Raises:
        Unsupported: A column has no density, so that no event can be drawn.
    """
    drawn = SampledTable(name, coding, EVENTS, AtRandom(_SEED, name))
    return Expectation.of(score(read_all(drawn), coding).bits)
