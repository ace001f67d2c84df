"""Random rows by number: row k of a seed is the same in whatever block it is drawn."""

from __future__ import annotations

import numpy as np
import torch

from flowtuple.data.schema import Array

_ABREAST = 4  # numbers that the generator makes at once
_HALF_STEP = 2.0**-54  # uniform numbers are multiples of 2^-53, zero among them
_LAST = 1 - 2.0**-53  # below 1


def uniform_rows(seed: int, start: int, stop: int, columns: int) -> Array:
    """Rows `start` to `stop` of an endless table of numbers above 0 and below 1: float64 of shape (stop - start, columns).

    Example:
        >>> bool((uniform_rows(1, 0, 10, 3)[4:6] == uniform_rows(1, 4, 6, 3)).all())
        True
    """
    steps = -(-columns // _ABREAST)
    generator = np.random.Philox(key=seed)
    generator.advance(start * steps)
    uniform: Array = np.random.Generator(generator).random((stop - start, steps * _ABREAST))[
        :, :columns
    ]
    return np.minimum(uniform + _HALF_STEP, _LAST)


def normal_rows(seed: int, start: int, stop: int, columns: int) -> Array:
    """The same of standard normal numbers.

    Example:
        >>> bool((normal_rows(1, 0, 10, 3)[4:6] == normal_rows(1, 4, 6, 3)).all())
        True
    """
    normal: Array = torch.special.ndtri(
        torch.from_numpy(uniform_rows(seed, start, stop, columns))
    ).numpy()
    return normal
