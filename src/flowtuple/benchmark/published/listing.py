"""The reference methods that can be named beside the rivals, in the order in which tables show them."""

from __future__ import annotations

from flowtuple.benchmark.published.methods import BalerFiles, Stored
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.published.row_rival import RowRival

REFERENCES: tuple[RowRival, ...] = (
    RowRival("latent-13", Stored(Latent(bits=13))),
    RowRival("latent-20", Stored(Latent(bits=20))),
    RowRival("autoencoder-tanh", Stored(Autoencoder(network="tanh"))),
    RowRival("autoencoder-elu-bn", Stored(Autoencoder(network="elu-bn"))),
    RowRival("baler", BalerFiles()),
)
