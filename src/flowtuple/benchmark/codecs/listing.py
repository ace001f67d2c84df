"""All codecs of other tools in the order in which tables show them."""

from __future__ import annotations

from flowtuple.benchmark.codecs.absolute import SZ3, ZFP
from flowtuple.benchmark.codecs.grids import QUANTISE_LZMA, QUANTISE_PCODEC
from flowtuple.benchmark.codecs.raw import BLOSC, GZIP, LZMA, PCODEC, ROUNDING, ZSTD
from flowtuple.benchmark.codecs.root_lzma import ROOT_LZMA
from flowtuple.benchmark.codecs.table_codec import TableCodec

CODECS: tuple[TableCodec, ...] = (
    GZIP,
    LZMA,
    ZSTD,
    BLOSC,
    ROOT_LZMA,
    PCODEC,
    ROUNDING,
    SZ3,
    ZFP,
    QUANTISE_LZMA,
    QUANTISE_PCODEC,
)
