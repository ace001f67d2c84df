"""The latent codec: a normalizing flow to normal numbers, erf to uniform ones, codes of N bits.

p_T and mass are ln(x + 10), standardised; other columns are standardised, then normal by rank.
Then follow K times a random order of the columns and a masked affine autoregressive transformation
of zuko (Papamakarios et al., 2017). Latent numbers are scaled by 3 / max|z| over all rows and
columns, or over their column as in the published notebooks; u = erf(z) lies between -1 and 1; the
code is u 2^N, rounded.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch

from flowtuple.benchmark.published.erf_codes import from_codes, largest, to_codes
from flowtuple.benchmark.published.normalisations import latent_recipe
from flowtuple.benchmark.published.numbers import (
    pack_bits,
    pack_numbers,
    stored_second,
    unpack_bits,
    unpack_numbers,
)
from flowtuple.benchmark.published.options import MOST_BITS, SCALES, Latent
from flowtuple.data.rows import Rows, columns_of_rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.flows.fit import Fitted, Report
from flowtuple.flows.model import RowModel
from flowtuple.flows.options import RowFlow
from flowtuple.flows.rng import uniform_rows
from flowtuple.flows.stored import pack_model, unpack_model
from flowtuple.flows.tables import GeneratedRows
from flowtuple.flows.train import train_rows
from flowtuple.runtime.torch_threads import torch_threads

_SCALE = np.dtype("<f8")


@dataclass(frozen=True, eq=False)
class LatentCodec:
    """A fitted latent codec; `dataclasses.replace` gives it other bits.

    Attributes:
        model: The flow with its preprocessing.
        bits: N.
        truncate: Codes are cut off towards zero.
        scale: Scale of latent numbers: the largest of `all`, or of each `column`.
        then: Second codec of the codes; without one they are packed at N + 1 bits.
    """

    model: RowModel
    bits: int
    truncate: bool = False
    scale: str = "all"
    then: str = ""
    name: ClassVar[str] = "latent"

    @classmethod
    def fit(
        cls,
        rows: Rows,
        options: Latent,
        seed: int,
        report: Report,
        log: str | None = None,
    ) -> tuple[Self, Fitted]:
        """Train the flow on rows.

        Args:
            rows: Finite rows.
            options: Model and training.
            seed: Seed of weights and training.
            report: Called after each epoch.
            log: A folder for TensorBoard.

        Raises:
            InvalidArgument: Too few rows, or values that have no logarithm.
        """
        recipes = {
            glob.escape(name): latent_recipe(name, options.unit) for name in rows.columns
        }
        flow = RowFlow("maf", options.shape, options.training, recipes, log)
        model, fitted = train_rows(rows, flow, seed, report)
        _clear_masked(model.flow)
        settings = (options.bits, options.truncate, options.scale, options.then)
        return cls(replace(model, about={}), *settings), fitted

    @classmethod
    def restore(cls, settings: Mapping[str, Any], weights: bytes, where: str) -> Self:
        """Return the codec of `settings` and `weights`.

        Raises:
            Corrupt: They do not describe a codec.
        """
        bits = settings.get("bits")
        if not isinstance(bits, int) or not 1 <= bits <= MOST_BITS:
            raise Corrupt(f"{where}: has codes of {bits!r} bits; restore it from a copy")
        scale = settings.get("scale", "all")  # the only one that the first files knew
        if scale not in SCALES:
            raise Corrupt(
                f"{where}: has latent numbers scaled by {scale!r}; restore it from a copy"
            )
        then = stored_second(settings)
        return cls(
            unpack_model(weights, where),
            bits,
            bool(settings.get("truncate")),
            scale,
            then,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        return self.model.columns

    @property
    def dtypes(self) -> tuple[str, ...]:
        return self.model.dtypes

    def settings(self) -> Mapping[str, Any]:
        return {
            "bits": self.bits,
            "truncate": self.truncate,
            "scale": self.scale,
            "then": self.then,
        }

    def weights(self) -> bytes:
        return pack_model(self.model)

    def latent(self, values: Array) -> Array:
        """Return the latent numbers of rows, both of shape (n, d); normal, if the flow is right."""
        with torch_threads(1):
            return self.model.to_latent(values)[0]

    def encode(self, values: Array) -> list[bytes]:
        """Return scales and codes of rows of shape (n, d), in one piece."""
        z = self.latent(values)
        scale = largest(z, by_column=self.scale == "column")
        codes = to_codes(z, scale, self.bits, truncate=self.truncate)
        return [scale.astype(_SCALE).tobytes() + self._pack(codes)]

    def decode(self, pieces: Sequence[bytes], rows: int) -> Array:
        """Return rows of shape (n, d), float64, in their types; raises as `decode_latent`."""
        z = self.decode_latent(pieces, rows)
        with torch_threads(1):
            return self.model.from_latent(z)

    def decode_latent(self, pieces: Sequence[bytes], rows: int) -> Array:
        """Return latent rows decoded from their codes, shape (n, d).

        Raises:
            Corrupt: The pieces do not hold so many rows.
        """
        scales = len(self.columns) if self.scale == "column" else 1
        head = scales * _SCALE.itemsize
        if len(pieces) != 1 or len(pieces[0]) < head:
            raise Corrupt("the codes are incomplete")
        return from_codes(
            self._unpack(pieces[0][head:], rows),
            np.frombuffer(pieces[0], _SCALE, scales),
            self.bits,
        )

    def draw(self, seed: int, start: int, stop: int) -> Array:
        """Draw rows `start` to `stop` of a seed, shape (stop - start, d), whatever the range."""
        with torch_threads(1):
            return self.model.from_uniform(
                uniform_rows(seed, start, stop, len(self.columns))
            )

    def drawn(self, table: str, n: int, seed: int) -> GeneratedRows:
        """Return the first n rows of a seed, as a table that is generated while it is read."""
        return GeneratedRows(
            table,
            columns_of_rows(self.columns, self.dtypes),
            n,
            lambda start, stop: self.draw(seed, start, stop),
        )

    def _pack(self, codes: Array) -> bytes:
        """Pack codes of shape (n, d), from -(2^N - 1) to 2^N - 1."""
        if self.then:
            return pack_numbers(codes.astype(_code_type(self.bits)), self.then)
        return pack_bits(codes.ravel() + 2**self.bits, self.bits + 1)

    def _unpack(self, data: bytes, rows: int) -> Array:
        columns = len(self.columns)
        if self.then:
            return unpack_numbers(data, self.then, rows, columns, _code_type(self.bits))
        codes: Array = unpack_bits(data, self.bits + 1, rows * columns) - 2**self.bits
        return codes.reshape(rows, -1)


def _code_type(bits: int) -> np.dtype[np.generic]:
    """Return the narrowest integers for N bits and a sign."""
    return np.dtype(next(f"i{size}" for size in (1, 2, 4) if bits < 8 * size))


def _clear_masked(flow: torch.nn.Module) -> None:
    """Set masked weights to 0: the flow is the same, and zeros cost nothing in a file."""
    with torch.no_grad():
        for layer in flow.modules():
            mask = getattr(layer, "mask", None)
            if isinstance(layer, torch.nn.Linear) and isinstance(mask, torch.Tensor):
                layer.weight *= mask
