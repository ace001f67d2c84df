"""Every bounded column on the grid of its bound, then pcodec at level 8: the rival that counts.

Under a `rel` bound the plain logarithmic grid and the cells that flowtuple itself uses are both tried, and the smaller
result of the whole column is kept. Everything else goes through pcodec as it is.
"""

from __future__ import annotations

import numpy as np

from flowtuple.baseline.plain_pcodec import pcodec_bytes, pcodec_values
from flowtuple.baseline.quantise import narrow, quantise_shifted, restore
from flowtuple.benchmark.codecs.exceptions import pack_exceptions, with_exceptions
from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.codec.varint import Reader, write_signed, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.lattice.grid import ATOM, Binades, relative_grid

NAME = "quantise+pcodec"
_PLAIN, _CELLS = 0, 1


def encode(values: Array, bound: Bound) -> bytes:
    """Numbers under pcodec, with exceptions where values break the bound; the smaller of two grids under `rel`."""
    if bound.kind == "lossless":
        return pcodec_bytes(quantise_shifted(values, bound)[0])
    candidates = [_on_plain_grid(values, bound)]
    cells = _cells(values.dtype, bound)
    if cells is not None:
        candidates.append(_on_cells(values, bound, cells))
    return min(candidates, key=len)


def _cells(dtype: np.dtype[np.generic], bound: Bound) -> Binades | None:
    grid = (
        relative_grid(dtype.name, bound.amount)
        if bound.kind == "rel" and dtype.kind == "f"
        else None
    )
    return grid if isinstance(grid, Binades) else None


def _on_plain_grid(values: Array, bound: Bound) -> bytes:
    numbers, shift = quantise_shifted(values, bound)
    exceptions = pack_exceptions(values, restore(numbers, bound, values.dtype, shift), bound)
    return _joined(_PLAIN, shift, exceptions, numbers)


def _on_cells(values: Array, bound: Bound, cells: Binades) -> bytes:
    index = cells.index(values)
    held = np.isfinite(values) & (index < ATOM)
    ranks = np.abs(index, where=held, out=np.zeros_like(index))
    shift = int(ranks.min(initial=ATOM, where=ranks > 0)) - 1 if ranks.any() else 0
    numbers = np.sign(index) * np.maximum(
        ranks - shift, 0
    )  # zero stays alone on 0, as on the plain grid
    exceptions = pack_exceptions(values, cells.value(np.sign(index) * ranks), bound)
    return _joined(_CELLS, shift, exceptions, narrow(numbers))


def _joined(grid: int, shift: int, exceptions: bytes, numbers: Array) -> bytes:
    header = write_unsigned([grid]) + write_signed([shift]) + write_unsigned([len(exceptions)])
    return header + exceptions + pcodec_bytes(numbers)


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values, every one within the bound."""
    if bound.kind == "lossless":
        return pcodec_values(data).astype(dtype, copy=False)
    reader = Reader(data)
    grid, shift = reader.unsigned(), reader.signed()
    exceptions = reader.take(reader.unsigned())
    numbers = pcodec_values(data[reader.position :])
    cells = _cells(dtype, bound) if grid == _CELLS else None
    if cells is None:
        return with_exceptions(restore(numbers, bound, dtype, shift), exceptions)
    index = np.sign(numbers) * (np.abs(numbers.astype(np.int64)) + shift)
    return with_exceptions(cells.value(index), exceptions)


RIVAL = PerColumn(NAME, "bounded", encode, decode)
