"""What other tools make of the same values at the same bounds: raw, gzip, and quantise+pcodec, the one that counts.

No container, header or index is counted for a rival, and where its grid cannot hold a value (NaN, infinities) the value
costs it next to nothing: every simplification here favours the rival.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import zstandard
from pcodec import ChunkConfig, standalone

from flowtuple.errors import InvalidArgument
from flowtuple.schema import Array, Bound, Column
from flowtuple.table import Table

RAW, GZIP, PCODEC = "raw", "gzip", "quantise+pcodec"
RIVALS = (RAW, GZIP, PCODEC)

_LARGEST_INDEX = 2.0**62
_MANTISSA_BITS = {2: 10, 4: 23, 8: 52}


def rival_bytes(table: Table, bounds: Mapping[str, Bound]) -> Mapping[str, dict[str, int]]:
    """Bytes of every column under each of `RIVALS`.

    Args:
        table: The original events.
        bounds: Bound by column name, `std` resolved to `abs`; a column that is not named is lossless.

    Returns:
        For each column name a dict from rival to bytes. Opaque columns count their buffers, and zstd (level 19) stands in
        for quantise+pcodec. A hidden counter is taken as int32, as files store it.

    Raises:
        InvalidArgument: A bound is `std`.

    Example:
        >>> table = Table("t", (Column("x", "float32"),), 1000, {"x": np.zeros(1000, "f4")})
        >>> rival_bytes(table, {"x": Bound.parse("abs:0.1")})["x"]["raw"]
        4000
    """
    return {c.name: _column_bytes(c, table.data[c.name], bounds.get(c.name, Bound())) for c in table.columns}


def _column_bytes(column: Column, content: Any, bound: Bound) -> dict[str, int]:
    if column.is_opaque:
        buffers = ak.to_buffers(ak.to_packed(content))[2]
        raw = b"".join(np.ascontiguousarray(b).tobytes() for b in buffers.values())
        packed = len(zstandard.compress(raw, 19))
    else:
        values = np.ascontiguousarray(content).ravel()
        values = _narrow(values) if column.hidden else values
        raw, packed = values.tobytes(), pcodec_bytes(quantise(values, bound))
    return {RAW: len(raw), GZIP: len(gzip.compress(raw, compresslevel=6, mtime=0)), PCODEC: packed}


def pcodec_bytes(values: Array) -> int:
    """Bytes of a flat array under pcodec at level 8; 8-bit types, which pcodec refuses, go in as 16-bit ones.

    Example:
        >>> pcodec_bytes(np.zeros(1000, "u1")) < 100
        True
    """
    if values.dtype.itemsize == 1:
        values = values.astype(np.int16 if values.dtype.kind == "i" else np.uint16)
    return len(standalone.simple_compress(np.ascontiguousarray(values), ChunkConfig(compression_level=8)))


def quantise(values: Array, bound: Bound) -> Array:
    """The coarsest plain numbers from which values within the bound can be rebuilt.

    Args:
        values: Flat array of floats, integers or booleans.
        bound: `abs:E` gives cells of width 2E, on integers of 2 floor(E) + 1; `rel:R` a logarithmic grid of
            ln((1+R)/(1-R)) in ln|x| with sign and zero apart; `bits:B` rounded floats; `lossless` the values.

    Returns:
        Integers, int32 where they fit, or floats of the input's dtype.

    Raises:
        InvalidArgument: The bound is `std`.

    Example:
        >>> quantise(np.array([0.0, 0.19, -1.0]), Bound.parse("abs:0.1"))
        array([ 0,  1, -5], dtype=int32)
    """
    if bound.kind == "std":
        raise InvalidArgument("a std bound has to be resolved to abs before rivals can be measured")
    if bound.kind == "lossless" or (values.dtype.kind != "f" and bound.kind != "abs"):
        return _narrow(values) if values.dtype == np.int64 else values
    if values.dtype.kind != "f":
        return _integer_cells(values, bound.amount)
    if bound.kind == "bits":
        return round_mantissa(values, int(bound.amount))
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return _narrow(_absolute_grid(finite, bound.amount) if bound.kind == "abs" else _logarithmic_grid(finite, bound.amount))


def _absolute_grid(x: Array, bound: float) -> Array:
    with np.errstate(over="ignore"):
        indices: Array = np.clip(np.round(x / (2 * bound)), -_LARGEST_INDEX, _LARGEST_INDEX)
    return indices


def _logarithmic_grid(x: Array, relative: float) -> Array:
    step = math.log((1 + relative) / (1 - relative))
    indices, nonzero = np.zeros(len(x)), x != 0
    if nonzero.any():
        indices[nonzero] = np.round(np.log(np.abs(x[nonzero])) / step)
        indices[nonzero] -= indices[nonzero].min() - 1  # so that zero stays alone on index 0
    signed: Array = np.sign(x) * np.minimum(indices, _LARGEST_INDEX)
    return signed


def _integer_cells(values: Array, amount: float) -> Array:
    width = 2 * math.floor(amount) + 1
    if width > np.iinfo(values.dtype).max:
        return np.zeros(len(values), np.int32)
    cells: Array = values // values.dtype.type(width)
    return cells


def _narrow(indices: Array) -> Array:
    fits = indices.max(initial=0) < 2**31 and indices.min(initial=0) >= -(2**31)
    return indices.astype(np.int32 if fits else np.int64)


def round_mantissa(values: Array, bits: int) -> Array:
    """Floats rounded to nearest with `bits` explicit mantissa bits; what would overflow or is not finite stays as it is.

    Example:
        >>> round_mantissa(np.array([1.0, 1.3, -1.9], "f4"), 1)
        array([ 1. ,  1.5, -2. ], dtype=float32)
    """
    unsigned = np.dtype(f"u{values.dtype.itemsize}").type
    drop = _MANTISSA_BITS[values.dtype.itemsize] - bits
    if drop <= 0:
        return values
    patterns = values.view(unsigned)
    half, mask = unsigned(1 << (drop - 1)), unsigned((1 << drop) - 1)
    finite = np.isfinite(values)
    rounded = ((np.where(finite, patterns, 0) + half) & ~mask).astype(unsigned).view(values.dtype)
    result: Array = np.where(finite & np.isfinite(rounded), rounded, values)
    return result
