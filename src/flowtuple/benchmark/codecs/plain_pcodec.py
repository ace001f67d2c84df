"""pcodec at level 8 of each raw column, as a codec of the benchmark."""

from __future__ import annotations

import numpy as np

from flowtuple.baseline.plain_pcodec import pcodec_bytes, pcodec_values
from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array


def encode(values: Array, bound: Bound) -> bytes:
    """Bytes of the raw values; the bound changes nothing."""
    return pcodec_bytes(values)


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values."""
    return pcodec_values(data).astype(dtype, copy=False)


RIVAL = PerColumn("pcodec", "lossless", encode, decode)
