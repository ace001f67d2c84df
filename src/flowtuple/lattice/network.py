"""The conditioner: a small multilayer network that computes the same integers on every machine.

Activations are uint8, weights int8, and a constant input of 255 carries each row's bias. The sums
of a layer stay below 2^24, so that float32 arithmetic computes them exactly: in any order, fused or
not, for any block of rows. Rescaling is a power of two and a floor. The formulas are normative in
docs/format.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, Unsupported
from flowtuple.lattice.tree import Tree
from flowtuple.runtime.compiled import compiled

_TILE = 256
"""Rows that pass all layers together; few enough for the nearest cache."""

_TOGETHER = 4
"""Outputs that are computed together; layers are padded to a multiple of them."""

MAX_INPUTS = 479  # 255 * 127 * 480 + 2^19 < 2^24
MAX_SHIFT = 20
LOGIT_LIMIT = 1 << 14


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: sums = weights . [input, 255]; output = floor(sums / 2^shift + 1/2).

    Attributes:
        weights: int8, shape (outputs, inputs + 1).
        shifts: uint8, shape (outputs,), 1 to 20; with 0 the half could not be added exactly.
    """

    weights: Array
    shifts: Array

    def __post_init__(self) -> None:
        shifts_fit = (
            self.shifts.min(initial=1) >= 1 and self.shifts.max(initial=1) <= MAX_SHIFT
        )
        if (
            self.weights.shape[1] > MAX_INPUTS + 1
            or not shifts_fit
            or (self.weights == -128).any()
        ):
            raise Corrupt(
                f"a network layer of shape {self.weights.shape} is outside the limits of the format"
            )

    @cached_property
    def scaled(self) -> tuple[Array, Array]:
        """Weights and biases divided by 2^shift, exact in float32; biases include the half."""
        scale = np.ldexp(np.float32(1), -self.shifts.astype(np.int32)).astype(np.float32)
        scaled = self.weights.astype(np.float32) * scale[:, None]
        return scaled[:, :-1], scaled[:, -1] * np.float32(255) + np.float32(0.5)


@compiled()
def _padded(count: Any) -> Any:
    return (count + _TOGETHER - 1) // _TOGETHER * _TOGETHER


@compiled(fastmath={"contract"})
def _add_products(
    weights: Any, inputs: Any, x: Any, rows: Any, ya: Any, yb: Any, yc: Any, yd: Any
) -> None:
    """Add the sums over k of weights[j, k] x[k, r] to the rows of four outputs j.

    Four inputs of four outputs at a time: what is read once serves sixteen products.
    """
    b, c, d = inputs, 2 * inputs, 3 * inputs
    k = 0
    while k + 4 <= inputs:
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        a0, a1, a2, a3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        m = b + k
        b0, b1, b2, b3 = weights[m], weights[m + 1], weights[m + 2], weights[m + 3]
        m = c + k
        c0, c1, c2, c3 = weights[m], weights[m + 1], weights[m + 2], weights[m + 3]
        m = d + k
        d0, d1, d2, d3 = weights[m], weights[m + 1], weights[m + 2], weights[m + 3]
        for r in range(rows):
            p, q, s, t = x0[r], x1[r], x2[r], x3[r]
            ya[r] += p * a0 + q * a1 + s * a2 + t * a3
            yb[r] += p * b0 + q * b1 + s * b2 + t * b3
            yc[r] += p * c0 + q * c1 + s * c2 + t * c3
            yd[r] += p * d0 + q * d1 + s * d2 + t * d3
        k += 4
    while k < inputs:
        x0 = x[k]
        a0, b0, c0, d0 = weights[k], weights[b + k], weights[c + k], weights[d + k]
        for r in range(rows):
            p = x0[r]
            ya[r] += p * a0
            yb[r] += p * b0
            yc[r] += p * c0
            yd[r] += p * d0
        k += 1


@compiled(fastmath={"contract"})
def _layer(weights: Any, offsets: Any, inputs: Any, x: Any, rows: Any, y: Any) -> None:
    """Write the sums of all outputs of a layer to y, before rounding."""
    for j in range(len(offsets)):
        y[j, :rows] = offsets[j]
    for j in range(0, len(offsets), _TOGETHER):
        some = weights[j * inputs : (j + _TOGETHER) * inputs]
        _add_products(some, inputs, x, rows, y[j], y[j + 1], y[j + 2], y[j + 3])


@compiled()
def _propagate(features: Any, widths: Any, weights: Any, offsets: Any, out: Any) -> None:
    """Compute all layers, tile by tile; see `Network._flat`."""
    size = _padded(widths.max())
    x, y = np.empty((size, _TILE), np.float32), np.empty((size, _TILE), np.float32)
    last = len(widths) - 2
    for start in range(0, out.shape[1], _TILE):
        rows = min(_TILE, out.shape[1] - start)
        for k in range(widths[0]):
            for r in range(rows):
                x[k, r] = features[k, start + r]
        w, o = 0, 0
        for layer in range(last + 1):
            inputs, outputs = widths[layer], _padded(widths[layer + 1])
            after = w + inputs * outputs
            _layer(weights[w:after], offsets[o : o + outputs], inputs, x, rows, y)
            w, o = after, o + outputs
            x, y = y, x
            if layer < last:
                _clip(x, widths[layer + 1], rows)
        for j in range(widths[-1]):
            logits, sums = out[j, start : start + rows], x[j]
            for r in range(rows):
                floor = max(np.floor(sums[r]), np.float32(-LOGIT_LIMIT))
                logits[r] = np.int16(min(floor, np.float32(LOGIT_LIMIT)))


@compiled()
def _clip(x: Any, count: Any, rows: Any) -> None:
    """Round sums to activations."""
    for j in range(count):
        for r in range(rows):
            x[j, r] = min(max(np.floor(x[j, r]), np.float32(0)), np.float32(255))


@dataclass(frozen=True, eq=False)
class Network:
    """Layers with activations clipped to 0..255 between them; the last gives logits in 1/16 bit.

    Attributes:
        layers: The layers.
        tree: A tree on the same levels, whose logits are added; `None` for none.
    """

    layers: tuple[Layer, ...]
    tree: Tree | None = None

    @property
    def outputs(self) -> int:
        """Number of logits of a row."""
        return len(self.layers[-1].shifts)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(layer.weights.size for layer in self.layers)

    @cached_property
    def _flat(self) -> tuple[Array, Array, Array]:
        """Widths, weights and offsets of all layers, as arguments of `_propagate`.

        Weights lie output by output, layer after layer; each layer is padded with outputs of zero.
        """
        widths = [
            self.layers[0].weights.shape[1] - 1,
            *(len(layer.shifts) for layer in self.layers),
        ]
        weights, offsets = [], []
        for layer in self.layers:
            w, o = layer.scaled
            more = _padded(len(o)) - len(o)
            weights.append(np.pad(w, ((0, more), (0, 0))).ravel())
            offsets.append(np.pad(o, (0, more)))
        return np.array(widths), np.concatenate(weights), np.concatenate(offsets)

    def logits(self, features: Array) -> Array:
        """Return logits: int16, shape (n, outputs), from uint8 features, shape (inputs, n).

        In memory the rows lie next to each other, as the coder reads them.

        Raises:
            Unsupported: See `probe`.
        """
        probe()
        return self._logits(features)

    def _logits(self, features: Array) -> Array:
        by_output = np.empty((self.outputs, features.shape[1]), np.int16)
        _propagate(np.ascontiguousarray(features), *self._flat, by_output)
        out = by_output.T
        if self.tree is not None:
            self.tree.add(features, out)
        return out


@cache
def probe() -> None:
    """Check that float32 sums are exact on the largest sums that the format allows.

    Raises:
        Unsupported: They are rounded on this machine, in a mode of reduced precision.
    """
    # 255 n is 1025, 1024, 1023 mod 2048: just above, at and just below the rounding half.
    total = np.array([n + 2048 * k for k in range(10, 28) for n in (767, 1024, 1281)])
    weights = total[:, None] // (MAX_INPUTS + 1) + (
        np.arange(MAX_INPUTS + 1) < total[:, None] % (MAX_INPUTS + 1)
    )
    weights = np.concatenate([weights, -weights])
    network = Network(
        (Layer(weights.astype(np.int8), np.full(len(weights), 11, np.uint8)),)
    )
    logits = network._logits(np.full((MAX_INPUTS, 4), 255, np.uint8))
    exact = ((weights * 255).sum(axis=1) + 2**10) >> 11
    if not np.array_equal(logits, np.tile(exact, (4, 1))):
        raise Unsupported(
            "float32 sums are not exact on this machine: switch off its reduced-precision modes"
        )
