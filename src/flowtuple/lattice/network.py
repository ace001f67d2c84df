"""The conditioner: a small multilayer network that computes the same integers everywhere.

Activations are uint8, weights int8, and a constant input of 255 carries each row's bias. A layer's sums stay
below 2^24, so a float32 matrix product computes them exactly, in any order, on any BLAS, at any batch size.
Rescaling is a power of two and a floor. The formulas are normative in docs/format.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowtuple.errors import Corrupt, Unsupported
from flowtuple.schema import Array

BLOCK = 4096
MAX_INPUTS = 479  # 255 * 127 * 480 + 2^19 < 2^24
MAX_SHIFT = 20
LOGIT_LIMIT = 1 << 14


@dataclass(frozen=True, eq=False)
class Layer:
    """sums = weights . [input, 255]; output = floor(sums / 2^shift + 1/2).

    Attributes:
        weights: int8, shape (outputs, inputs + 1).
        shifts: uint8, shape (outputs,), 1 to 20: at 0 the half could not be added exactly.
    """

    weights: Array
    shifts: Array

    def __post_init__(self) -> None:
        shifts_fit = self.shifts.min(initial=1) >= 1 and self.shifts.max(initial=1) <= MAX_SHIFT
        if self.weights.shape[1] > MAX_INPUTS + 1 or not shifts_fit or (self.weights == -128).any():
            raise Corrupt(f"a network layer of shape {self.weights.shape} is outside the limits of the format")

    @cached_property
    def _scaled(self) -> tuple[Array, Array]:
        """Weights already divided by 2^shift (exact in float32), bias row with the rounding half added."""
        scale = np.ldexp(np.float32(1), -self.shifts.astype(np.int32)).astype(np.float32)
        scaled = self.weights.astype(np.float32) * scale[:, None]
        return np.ascontiguousarray(scaled[:, :-1].T), scaled[:, -1] * np.float32(255) + np.float32(0.5)

    def __call__(self, x: Array) -> Array:
        """Whole numbers as float32, shape (n, outputs), from whole numbers 0 to 255 as float32, shape (n, inputs)."""
        matrix, offset = self._scaled
        out: Array = x @ matrix
        out += offset
        return np.floor(out, out=out)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers with activations clipped to 0..255 between them; the last gives logits in units of 1/16 bit."""

    layers: tuple[Layer, ...]

    @property
    def outputs(self) -> int:
        return len(self.layers[-1].shifts)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(layer.weights.size for layer in self.layers)

    def logits(self, features: Array, block: int = BLOCK) -> Array:
        """Logits of each row: int16, shape (n, outputs), from uint8 features, shape (n, inputs).

        The result does not depend on `block`, on the number of threads or on the BLAS.
        """
        out = np.empty((len(features), self.outputs), np.int16)
        for start in range(0, len(features), block):
            x = features[start : start + block].astype(np.float32)
            for layer in self.layers[:-1]:
                x = layer(x)
                np.clip(x, 0, 255, out=x)
            out[start : start + block] = np.clip(self.layers[-1](x), -LOGIT_LIMIT, LOGIT_LIMIT)
        return out


def probe() -> None:
    """Refuse a matrix product that is not exact on the largest sums the format allows.

    Raises:
        Unsupported: This machine's float32 product rounds where it must not (a reduced-precision mode).
    """
    row = np.arange(64)[:, None]
    weights = (127 - (np.arange(MAX_INPUTS + 1) < row)) * np.where(row % 2, 1, -1)  # sums of every remainder
    layer = Layer(weights.astype(np.int8), np.ones(64, np.uint8))
    exact = ((weights * 255).sum(axis=1) + 1) // 2
    x = np.full((16, MAX_INPUTS), 255.0, np.float32)
    if not np.array_equal(layer(x), np.tile(exact, (16, 1)).astype(np.float32)):
        raise Unsupported("float32 matrix products are not exact on this machine: switch off its reduced-precision modes")
