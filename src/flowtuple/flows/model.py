"""A flow over rows with its preprocessing: rows drawn, rows scored, rows to latent ones and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.flows.bijection import Bijection
from flowtuple.flows.draw import normal_rows
from flowtuple.flows.options import Shape
from flowtuple.transforms import Chain

BLOCK = 4096  # rows at a time: what a row comes to does not depend on it, but memory does
STEADY = 256  # rows at a time where the last bit counts: a product's depends on how many there are
POINTS = 4  # places in the cell at which a value that stands for one is looked at


@dataclass(frozen=True, eq=False)
class Given:
    """The conditions of a flow: what they are called, and how they are led to what its networks read.

    Attributes:
        columns: Names of c columns.
        dtypes: NumPy names of their types.
        chains: Preprocessing of each; values that stand for a cell are led from its middle.
    """

    columns: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()

    def forward(self, values: Array) -> Array:
        """What the flow reads, shape (n, c)."""
        return np.stack(
            [chain.forward(values[:, k]) for k, chain in enumerate(self.chains)], axis=1
        )


@dataclass(frozen=True, eq=False)
class RowModel:
    """A trained flow over the rows of events, or of objects of one collection, perhaps given other columns of theirs.

    Densities of integers and repeated values are probabilities; those of other columns are per unit of the column.

    Attributes:
        columns: Names of d columns.
        dtypes: NumPy names of their types.
        counter: Name of the collection's counter; `None` where rows are events.
        chains: Preprocessing of each column.
        kind: Of the flow.
        shape: Its size.
        flow: The flow itself, in float64.
        about: How it was trained, as JSON.
        given: Its conditions; wherever it has some, `given` below is their values, shape (n, c), in that order.
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    counter: str | None
    chains: tuple[Chain, ...]
    kind: str
    shape: Shape
    flow: Bijection
    about: Mapping[str, Any] = field(default_factory=dict)
    given: Given = Given()

    @torch.no_grad()
    def to_latent(
        self, values: Array, u: Array | float = 0.5, given: Array | None = None
    ) -> tuple[Array, Array]:
        """Latent rows, and what each column adds to ln|det|, preprocessing included.

        Args:
            values: Shape (n, d), in the order of `columns`.
            u: Where in their cells values lie that stand for one, shape (n, d); a number for all.
            given: The conditions.
        """
        place = np.broadcast_to(u, values.shape)
        y, ladj = np.empty(values.shape), np.empty(values.shape)
        for k, chain in enumerate(self.chains):
            y[:, k] = chain.forward(values[:, k], place[:, k])
            ladj[:, k] = chain.log_det(values[:, k], place[:, k])
        z, context = np.empty(values.shape), self._context(given)
        for start in range(0, len(values), BLOCK):
            part = slice(start, start + BLOCK)
            latent, found = self.flow(
                torch.from_numpy(y[part]), None if context is None else context[part]
            )
            z[part], ladj[part] = latent.numpy(), ladj[part] + found.numpy()
        return z, ladj

    @torch.no_grad()
    def from_latent(self, z: Array, given: Array | None = None) -> Array:
        """Rows of shape (n, d) in the columns' types, as float64."""
        y, context = np.empty(z.shape), self._context(given)
        for start in range(0, len(z), BLOCK):
            part = slice(start, start + BLOCK)
            y[part] = self.flow.inverse(
                torch.from_numpy(z[part]), None if context is None else context[part]
            ).numpy()
        return self._restored(y)

    @torch.no_grad()
    def from_uniform(self, u: Array, given: Array | None = None) -> Array:
        """Rows as `from_latent` makes them, from uniform numbers, always as many at a time.

        What a row comes to then does not depend on the rows beside it in any bit, where products of one shape are computed
        in one way: on one machine, with PyTorch's threads kept to one number.
        """
        y, context = np.empty(u.shape), self._context(given)
        for start in range(0, len(u), STEADY):
            part = slice(start, start + STEADY)
            z = torch.special.ndtri(_filled(torch.from_numpy(u[part]), 0.5))
            known = None if context is None else _filled(context[part], 0.0)
            y[part] = self.flow.inverse(z, known)[: len(u[part])].numpy()
        return self._restored(y)

    def _restored(self, y: Array) -> Array:
        values = [
            typed(chain.inverse(y[:, k]), self.dtypes[k]) for k, chain in enumerate(self.chains)
        ]
        return np.stack(values, axis=1)

    def _context(self, given: Array | None) -> torch.Tensor | None:
        return (
            torch.from_numpy(self.given.forward(given))
            if given is not None and self.given.columns
            else None
        )

    def bits(self, values: Array, given: Array | None = None) -> Array:
        """-log2 p of each column given those that the flow puts before it, shape (n, d); NaN for a row with a NaN.

        They add up to -log2 p of the row; where values stand for cells, to its mean over places in the cells, which is at
        least that.
        """
        total = np.zeros(values.shape)
        defined = np.isfinite(
            values if given is None else np.concatenate([values, given], axis=1)
        ).all(axis=1)
        known = None if given is None else given[defined]
        places = (
            _places(len(self.columns))
            if any(chain.has_cells for chain in self.chains)
            else np.full((1, 1), 0.5)
        )
        for place in places:
            z, ladj = self.to_latent(values[defined], place, known)
            total[defined] += 0.5 * np.square(z) + 0.5 * math.log(2 * math.pi) - ladj
        total[~defined] = np.nan
        bits: Array = total / (len(places) * math.log(2.0))
        return bits

    def draw(self, seed: int, start: int, stop: int, given: Array | None = None) -> Array:
        """Rows `start` to `stop` of all that a seed gives, shape (stop - start, d); `given` is that of these rows."""
        return self.from_latent(normal_rows(seed, start, stop, len(self.columns)), given)


def _filled(rows: torch.Tensor, value: float) -> torch.Tensor:
    """Rows filled up to `STEADY` of them, in memory of their own."""
    out = torch.full((STEADY, rows.shape[1]), value, dtype=torch.float64)
    out[: len(rows)] = rows
    return out


def _places(columns: int) -> Array:
    """A Latin hypercube: along each column every part of the cell once; shape (POINTS, columns)."""
    middles = np.tile((np.arange(POINTS)[:, None] + 0.5) / POINTS, columns)
    places: Array = np.random.default_rng(0).permuted(middles, axis=0)
    return places


def typed(values: Array, dtype: str) -> Array:
    """Numbers as a type would hold them, rounded and within its range, in float64.

    Example:
        >>> typed(np.array([2.7, -1.0]), "uint8").tolist()
        [3.0, 0.0]
    """
    kind = np.dtype(dtype)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(kind).astype(np.float64)
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    return np.clip(np.rint(values), low, high).astype(np.float64)
