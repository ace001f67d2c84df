"""Every bounded column on the grid of its bound, then LZMA at preset 9 or pcodec at level 8.

quantise+pcodec is the codec that every result is compared with. Under a `rel` bound it tries the
plain logarithmic grid and the cells of flowtuple itself, and takes the smaller result of the
whole column. Everything else goes through pcodec as it is.
"""

from __future__ import annotations

import lzma
import struct

import numpy as np

from flowtuple.baseline.packing import (
    join,
    pack_exceptions,
    pcodec_bytes,
    pcodec_values,
    split,
    with_exceptions,
)
from flowtuple.baseline.quantise import narrow, quantise_shifted, restore
from flowtuple.baseline.sizes import PCODEC
from flowtuple.benchmark.codecs.raw import lzma_bytes
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.codec.varint import Reader, write_signed, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.lattice.grid import ATOM, Binades, relative_grid

_HEADER = struct.Struct("<2sq")  # dtype of the numbers, shift
_PLAIN, _CELLS = 0, 1


def _on_grid(values: Array, bound: Bound) -> tuple[Array, int, bytes]:
    """Return numbers on the plain grid, their shift, and the exceptions."""
    numbers, shift = quantise_shifted(values, bound)
    decoded = restore(numbers, bound, values.dtype, shift)
    return numbers, shift, pack_exceptions(values, decoded, bound)


# -- LZMA -----------------------------------------------------------------------------------------


def _compress_lzma(values: Array, bound: Bound) -> bytes:
    numbers, shift, exceptions = _on_grid(values, bound)
    if numbers.dtype.kind in "iu" and numbers.size:
        limits = np.min_scalar_type(numbers.min()), np.min_scalar_type(numbers.max())
        numbers = numbers.astype(np.result_type(*limits))
    header = _HEADER.pack(numbers.dtype.str[1:].encode(), shift)
    return join([header + lzma_bytes(numbers.tobytes()), exceptions])


def _decompress_lzma(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    packed, exceptions = split(data)
    kind, shift = _HEADER.unpack_from(packed)
    numbers = np.frombuffer(lzma.decompress(packed[_HEADER.size :]), kind.decode())
    return with_exceptions(restore(numbers, bound, dtype, shift), exceptions)


# -- pcodec ---------------------------------------------------------------------------------------


def _compress_pcodec(values: Array, bound: Bound) -> bytes:
    if bound.kind == "lossless":
        return pcodec_bytes(quantise_shifted(values, bound)[0])
    numbers, shift, exceptions = _on_grid(values, bound)
    candidates = [_joined(_PLAIN, shift, exceptions, numbers)]
    cells = _cells(values.dtype, bound)
    if cells is not None:
        candidates.append(_on_cells(values, bound, cells))
    return min(candidates, key=len)


def _cells(dtype: np.dtype[np.generic], bound: Bound) -> Binades | None:
    if bound.kind != "rel" or dtype.kind != "f":
        return None
    grid = relative_grid(dtype.name, bound.amount)
    return grid if isinstance(grid, Binades) else None


def _on_cells(values: Array, bound: Bound, cells: Binades) -> bytes:
    index = cells.index(values)
    inside = np.isfinite(values) & (index < ATOM)
    ranks = np.abs(index, where=inside, out=np.zeros_like(index))
    shift = int(ranks.min(initial=ATOM, where=ranks > 0)) - 1 if ranks.any() else 0
    # zero stays alone on 0, as on the plain grid
    numbers = np.sign(index) * np.maximum(ranks - shift, 0)
    exceptions = pack_exceptions(values, cells.value(np.sign(index) * ranks), bound)
    return _joined(_CELLS, shift, exceptions, narrow(numbers))


def _joined(grid: int, shift: int, exceptions: bytes, numbers: Array) -> bytes:
    header = (
        write_unsigned([grid]) + write_signed([shift]) + write_unsigned([len(exceptions)])
    )
    return header + exceptions + pcodec_bytes(numbers)


def _decompress_pcodec(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
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


QUANTISE_LZMA = ColumnCodec("quantise+lzma", "bounded", _compress_lzma, _decompress_lzma)
QUANTISE_PCODEC = ColumnCodec(PCODEC, "bounded", _compress_pcodec, _decompress_pcodec)
