"""Codecs by name: those of other tools, then flowtuple; published methods where they are named."""

from __future__ import annotations

from collections.abc import Sequence

from flowtuple.benchmark.codecs.absolute import SZ3, ZFP
from flowtuple.benchmark.codecs.grids import QUANTISE_LZMA, QUANTISE_PCODEC
from flowtuple.benchmark.codecs.raw import BLOSC, GZIP, LZMA, PCODEC, ROUNDING, ZSTD
from flowtuple.benchmark.codecs.root_lzma import ROOT_LZMA
from flowtuple.benchmark.codecs.table_codec import Settings, TableCodec, is_available
from flowtuple.benchmark.flowtuple_codec import NAME, Flowtuple
from flowtuple.benchmark.published.baler import BalerFiles
from flowtuple.benchmark.published.methods import MethodCodec, Stored
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.errors import InvalidArgument, MissingExtra, nearest

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
"""Codecs of other tools in the order in which tables show them."""

PUBLISHED: tuple[MethodCodec, ...] = (
    Stored("latent-13", options=Latent(bits=13)),
    Stored("latent-20", options=Latent(bits=20)),
    Stored("autoencoder-tanh", options=Autoencoder(network="tanh")),
    Stored("autoencoder-elu-bn", options=Autoencoder(network="elu-bn")),
    BalerFiles("baler"),
)
"""Published methods in the order in which tables show them."""

_DEFAULT = Settings()


def codec(name: str, settings: Settings = _DEFAULT) -> TableCodec:
    """Return one codec by name.

    Raises:
        InvalidArgument: There is none of that name.

    Example:
        >>> codec("zstd-19").promise, codec("latent-13").promise
        ('lossless', 'none')
    """
    published = (c.in_unit(settings.unit) for c in PUBLISHED)
    codecs = {c.name: c for c in (*CODECS, Flowtuple(settings=settings), *published)}
    if name not in codecs:
        raise InvalidArgument(
            f"no codec {name!r}; {nearest(name, codecs, limit=len(codecs))}"
        )
    return codecs[name]


def choose(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the codecs to measure, each once, and a note on each that is left out.

    Args:
        names: Names of codecs; `None` for all that are installed and keep a promise. Published
            methods promise nothing, and train for minutes.

    Raises:
        InvalidArgument: A name is unknown, or there is none.
        MissingExtra: A named codec is not installed.
    """
    everyone: list[TableCodec] = [*CODECS, codec(NAME)]
    if names is None:
        missing = [c for c in everyone if not is_available(c)]
        notes = [f"{c.name} is left out: {_missing(c)}" for c in missing]
        return [c.name for c in everyone if c not in missing], notes
    if not names:
        close = nearest("", [c.name for c in everyone], limit=20)
        raise InvalidArgument(f"no codec is named; {close}")
    for named in map(codec, names):
        if not is_available(named):
            raise _missing(named)
    return list(dict.fromkeys(names)), []


def _missing(codec: TableCodec) -> MissingExtra:
    module, extra = codec.requires or ("", "")
    return MissingExtra(extra, f"the codec {codec.name} ({module})")
