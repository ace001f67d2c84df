"""All rivals in the order in which tables show them."""

from __future__ import annotations

from flowtuple.benchmark.codecs import (
    blosc_shuffle,
    grid_lzma,
    grid_pcodec,
    gzip9,
    lzma9,
    plain_pcodec,
    root_lzma,
    rounded_lzma,
    sz3,
    zfp,
    zstd19,
)
from flowtuple.benchmark.codecs.rival import Rival

RIVALS: tuple[Rival, ...] = (
    gzip9.RIVAL,
    lzma9.RIVAL,
    zstd19.RIVAL,
    blosc_shuffle.RIVAL,
    root_lzma.RIVAL,
    plain_pcodec.RIVAL,
    rounded_lzma.RIVAL,
    sz3.RIVAL,
    zfp.RIVAL,
    grid_lzma.RIVAL,
    grid_pcodec.RIVAL,
)
