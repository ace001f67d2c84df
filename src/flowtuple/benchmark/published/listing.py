"""Published methods as codecs, in the order in which tables show them."""

from __future__ import annotations

from flowtuple.benchmark.published.method_codec import MethodCodec
from flowtuple.benchmark.published.methods import BalerFiles, PublishedMethod, Stored
from flowtuple.benchmark.published.options import Autoencoder, Latent


def _codec(name: str, method: PublishedMethod) -> MethodCodec:
    return MethodCodec(name, "none", method, requires=method.requires)


PUBLISHED: tuple[MethodCodec, ...] = (
    _codec("latent-13", Stored(Latent(bits=13))),
    _codec("latent-20", Stored(Latent(bits=20))),
    _codec("autoencoder-tanh", Stored(Autoencoder(network="tanh"))),
    _codec("autoencoder-elu-bn", Stored(Autoencoder(network="elu-bn"))),
    _codec("baler", BalerFiles()),
)
