"""Published methods for measurements: fitted to the rows that they code, into one string of bytes.

PyTorch is loaded where rows are coded, not where a method is named.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from typing import Protocol

from flowtuple.baseline.pieces import join, split
from flowtuple.benchmark.published.baler import Baler, baler_pack, baler_unpack
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array


class PublishedMethod(Protocol):
    """A method that codes rows of finite floats and has no bound."""

    @property
    def requires(self) -> tuple[str, str]:
        """Module that has to be installed, and the extra that brings it."""
        ...

    def load(self) -> None:
        """Import what is needed, before a clock starts."""
        ...

    def pack(self, rows: Rows) -> tuple[bytes, int]:
        """Train on rows and code them.

        Returns:
            Bytes with everything that decoding needs, and the number of them that are the model's.

        Raises:
            InvalidArgument: Too few rows, or values outside the domain of their preprocessing.
        """
        ...

    def unpack(self, data: bytes) -> Array:
        """Return rows of shape (n, d), float64.

        Raises:
            Corrupt: The bytes are not those of `pack`.
        """
        ...

    def in_unit(self, unit: str) -> PublishedMethod:
        """Return the same method for energies in GeV or MeV."""
        ...


@dataclass(frozen=True)
class Stored:
    """The latent codec or an autoencoder, in the file that `flowtuple reference encode` writes."""

    options: Latent | Autoencoder
    seed: int = 0
    requires: tuple[str, str] = ("zuko", "train")

    def load(self) -> None:
        for module in ("fitting", "stored"):
            importlib.import_module(f"flowtuple.benchmark.published.{module}")
        importlib.import_module(
            "torch._dynamo"
        )  # which the first optimiser of a process imports

    def pack(self, rows: Rows) -> tuple[bytes, int]:
        from flowtuple.benchmark.published.fitting import fit_codec
        from flowtuple.benchmark.published.stored import pack

        codec, _ = fit_codec(rows, self.options, self.seed, lambda share, loss: None)
        return pack(codec, rows)

    def unpack(self, data: bytes) -> Array:
        from flowtuple.benchmark.published.stored import unpack

        return unpack(data, "rows").values

    def in_unit(self, unit: str) -> Stored:
        return replace(self, options=replace(self.options, unit=unit))


@dataclass(frozen=True)
class BalerFiles:
    """Baler's files, one after the other; its own scaling needs no unit."""

    options: Baler = field(default_factory=Baler)
    requires: tuple[str, str] = ("baler_compressor", "baler")

    def load(self) -> None:
        for module in (
            "torch._dynamo",
            "baler_compressor.legacy_models",
            "baler_compressor.trainer",
        ):
            importlib.import_module(module)

    def pack(self, rows: Rows) -> tuple[bytes, int]:
        *model, latent = baler_pack(rows.values, rows.columns, self.options)
        return join([*model, latent]), sum(map(len, model))

    def unpack(self, data: bytes) -> Array:
        return baler_unpack(split(data))

    def in_unit(self, unit: str) -> BalerFiles:
        return self
