"""Random rows by number: row k of a seed is the same in any block."""

from __future__ import annotations

import numpy as np
import torch

from flowtuple.data.schema import Array

_LANES = 4  # numbers that the generator makes at once
_HALF_STEP = 2.0**-54  # uniform numbers are multiples of 2^-53, including 0
_LAST = 1 - 2.0**-53  # largest number below 1


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
