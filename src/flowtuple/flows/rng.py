"""Random numbers that depend on their purpose and place alone.

Threads, processes and interruptions change none of them, and row k of a seed is the same in any
block.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

from flowtuple.data.schema import Array

_LANES = 4  # numbers that the generator makes at once
_HALF_STEP = 2.0**-54  # uniform numbers are multiples of 2^-53, including 0
_LAST = 1 - 2.0**-53  # largest number below 1


class RngStream(IntEnum):
    """Purposes of random numbers in a training."""

    VALIDATION_EVENTS = 0
    POSITIONS = 1
    VALIDATION_POSITIONS = 2
    BLOCKS = 3
    ROWS = 4
    NOISE = 5
    VALIDATION_NOISE = 6
    VALIDATION_SAMPLE = 7


def draw(
    seed: int, stream: RngStream, epoch: int = 0, number: int = 0
) -> np.random.Generator:
    """Return the generator of one purpose in one epoch and one block or process of it.

    Example:
        >>> draw(1, RngStream.ROWS, 3).bytes(8) == draw(1, RngStream.ROWS, 3).bytes(8)
        True
        >>> draw(1, RngStream.ROWS, 3).bytes(8) == draw(1, RngStream.ROWS, 3, 1).bytes(8)
        False
    """
    return np.random.default_rng([seed, stream, epoch, number])


def torch_generator(
    device: torch.device, seed: int, stream: RngStream, epoch: int = 0, number: int = 0
) -> torch.Generator:
    """Return PyTorch's generator of one purpose on a device."""
    torch_seed = int(draw(seed, stream, epoch, number).integers(2**62))
    return torch.Generator(device).manual_seed(torch_seed)


def uniform_rows(seed: int, start: int, stop: int, columns: int) -> Array:
    """Return a range of rows of an endless table of uniform numbers between 0 and 1.

    Args:
        seed: Seed of the table.
        start: First row.
        stop: Row after the last one.
        columns: Number of columns.

    Returns:
        float64 of shape (stop - start, columns), without 0 and 1.

    Example:
        >>> bool((uniform_rows(1, 0, 10, 3)[4:6] == uniform_rows(1, 4, 6, 3)).all())
        True
    """
    steps = -(-columns // _LANES)
    generator = np.random.Philox(key=seed)
    generator.advance(start * steps)
    uniform = np.random.Generator(generator).random((stop - start, steps * _LANES))
    return np.minimum(uniform[:, :columns] + _HALF_STEP, _LAST)


def normal_rows(seed: int, start: int, stop: int, columns: int) -> Array:
    """Return a range of rows of an endless table of standard normal numbers; see `uniform_rows`.

    Example:
        >>> bool((normal_rows(1, 0, 10, 3)[4:6] == normal_rows(1, 4, 6, 3)).all())
        True
    """
    uniform = torch.from_numpy(uniform_rows(seed, start, stop, columns))
    normal: Array = torch.special.ndtri(uniform).numpy()
    return normal
