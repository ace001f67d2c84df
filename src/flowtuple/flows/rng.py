"""Random numbers by purpose, so that threads, processes and interruptions change none of them."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


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
