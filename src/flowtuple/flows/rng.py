"""Random numbers by what they are for, so that no thread, process or interruption changes any of them."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class RngStream(IntEnum):
    """What random numbers of a training decide."""

    HELD_OUT = 0
    PLACES = 1
    PLACES_HELD_OUT = 2
    BLOCKS = 3
    ROWS = 4
    NOISE = 5
    NOISE_HELD_OUT = 6
    VALIDATION = 7


def draw(seed: int, use: RngStream, epoch: int = 0, number: int = 0) -> np.random.Generator:
    """A generator for one use in one epoch, one block or process of it.

    Example:
        >>> draw(1, RngStream.ROWS, 3).bytes(8) == draw(1, RngStream.ROWS, 3).bytes(8)
        True
        >>> draw(1, RngStream.ROWS, 3).bytes(8) == draw(1, RngStream.ROWS, 3, 1).bytes(8)
        False
    """
    return np.random.default_rng([seed, use, epoch, number])


def torch_seed(seed: int, use: RngStream, epoch: int = 0, number: int = 0) -> int:
    """A seed for PyTorch's own generator."""
    return int(draw(seed, use, epoch, number).integers(2**62))
