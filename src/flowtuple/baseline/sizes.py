"""Bytes of every column raw, under gzip and under quantise+pcodec, for the report; payload only.

No container, header or index is counted, and a value that the grid cannot represent (NaN,
infinities) costs next to nothing: every simplification here favours these codecs over flowtuple.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from typing import Any

import numpy as np
import zstandard

from flowtuple.baseline.packing import pcodec_bytes
from flowtuple.baseline.quantise import narrow, quantise
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table
from flowtuple.runtime.lazy_packages import awkward as ak

RAW, GZIP, PCODEC = "raw", "gzip", "quantise+pcodec"
BASELINES = (RAW, GZIP, PCODEC)


def baseline_bytes(
    table: Table, bounds: Mapping[str, Bound]
) -> Mapping[str, dict[str, int]]:
    """Return the bytes of every column under each of `BASELINES`.

    Args:
        table: The original events.
        bounds: Bound by column name, `std` resolved to `abs`; other columns are lossless, and so
            are those of a `sigma` bound, as these codecs see one column at a time.

    Returns:
        For each column name a dict from codec to bytes. Opaque columns count their buffers, and
        zstd (level 19) replaces quantise+pcodec. A hidden counter is int32, as in files.

    Raises:
        InvalidArgument: A bound is `std`.

    Example:
        >>> table = Table("t", (Column("x", "float32"),), 1000, {"x": np.zeros(1000, "f4")})
        >>> baseline_bytes(table, {"x": Bound.parse("abs:0.1")})["x"]["raw"]
        4000
    """
    return {
        c.name: _column_bytes(c, table.data[c.name], _alone(bounds.get(c.name, Bound())))
        for c in table.columns
    }


def _alone(bound: Bound) -> Bound:
    """Return a bound that one column alone can obey: lossless where it counts in another."""
    return Bound() if bound.resolution else bound


def _column_bytes(column: Column, content: Any, bound: Bound) -> dict[str, int]:
    if column.is_opaque:
        buffers = ak.to_buffers(ak.to_packed(content))[2]
        raw = b"".join(np.ascontiguousarray(b).tobytes() for b in buffers.values())
        packed = len(zstandard.compress(raw, 19))
    else:
        values = np.ascontiguousarray(content).ravel()
        values = narrow(values) if column.hidden else values
        raw, packed = values.tobytes(), len(pcodec_bytes(quantise(values, bound)))
    return {
        RAW: len(raw),
        GZIP: len(gzip.compress(raw, compresslevel=6, mtime=0)),
        PCODEC: packed,
    }
