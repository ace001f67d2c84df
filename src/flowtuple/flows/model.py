"""A flow over rows with its preprocessing: draw and score rows, map to latent rows and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.flows.bijection import Bijection
from flowtuple.flows.options import Shape
from flowtuple.flows.rng import normal_rows
from flowtuple.transforms import Chain, OneHot

BLOCK = 4096  # rows at a time, to limit memory
EXACT_BLOCK = (
    256  # rows at a time where the last bit matters: it depends on the number of rows
)
POSITIONS = (
    4  # in a cell, over which the density of a value that stands for one is averaged
)


@dataclass(frozen=True, eq=False)
class ContextColumns:
    """The conditions of a flow with their preprocessing.

    Attributes:
        columns: Names of c columns.
        dtypes: NumPy names of their types.
        chains: Preprocessing of each. A value that stands for a cell is taken at its middle. A
            one-hot code makes a condition several numbers.
    """

    columns: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    chains: tuple[Chain | OneHot, ...] = ()

    @property
    def width(self) -> int:
        """Numbers that the flow reads for each row."""
        return sum(len(c.values) if isinstance(c, OneHot) else 1 for c in self.chains)

    def forward(self, values: Array) -> Array:
        """Return the conditions as the flow reads them, shape (n, width)."""
        parts = [c.forward(values[:, k]) for k, c in enumerate(self.chains)]
        return np.column_stack(parts)


@dataclass(frozen=True, eq=False)
class RowModel:
    """A trained flow over the rows of events, or of objects of one collection.

    Its density may depend on conditions, which are other columns of the same rows. Densities of
    integers and repeated values are probabilities; those of other columns are per unit.

    Attributes:
        columns: Names of d columns.
        dtypes: NumPy names of their types.
        counter: Name of the collection's counter; `None` if rows are events.
        chains: Preprocessing of each column.
        kind: Kind of the flow.
        shape: Size of the flow.
        flow: The flow, in float64.
        about: Description of the training as JSON.
        context: The conditions. Parameters of this name are their values, shape (n, c).
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    counter: str | None
    chains: tuple[Chain, ...]
    kind: str
    shape: Shape
    flow: Bijection
    about: Mapping[str, Any] = field(default_factory=dict)
    context: ContextColumns = ContextColumns()

    def __post_init__(self) -> None:
        # Outside of a training no row depends on the other rows.
        self.flow.eval()

    @torch.no_grad()
    def to_latent(
        self, values: Array, u: Array | float = 0.5, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Return latent rows, and the share of each column in ln|det| with preprocessing.

        Args:
            values: Shape (n, d), in the order of `columns`.
            u: Positions in cells, shape (n, d); a number for all.
            context: Values of the conditions.
        """
        u = np.broadcast_to(u, values.shape)
        y, ladj, z = (np.empty(values.shape) for _ in range(3))
        for k, chain in enumerate(self.chains):
            image = chain.image(values[:, k].astype(np.float64), u[:, k])
            y[:, k], ladj[:, k] = image.y, image.log_det
        for part, rows, some in self._blocks(y, context, BLOCK):
            latent, flow_ladj = self.flow(rows, some)
            z[part] = latent.numpy()
            ladj[part] += flow_ladj.numpy()
        return z, ladj

    @torch.no_grad()
    def from_latent(self, z: Array, context: Array | None = None) -> Array:
        """Return rows of shape (n, d) in the columns' types, as float64."""
        y = np.empty(z.shape)
        for part, rows, some in self._blocks(z, context, BLOCK):
            y[part] = self.flow.inverse(rows, some).numpy()
        return self._restored(y)

    @torch.no_grad()
    def from_uniform(self, u: Array, context: Array | None = None) -> Array:
        """Return rows from uniform numbers, computed in blocks of one size.

        No bit of a row then depends on the other rows, if products of one shape are computed in
        one way: on one machine, with a fixed number of PyTorch's threads.
        """
        y = np.empty(u.shape)
        for part, rows, some in self._blocks(u, context, EXACT_BLOCK):
            z = torch.special.ndtri(_padded(rows, 0.5))
            given = None if some is None else _padded(some, 0.0)
            y[part] = self.flow.inverse(z, given)[: len(rows)].numpy()
        return self._restored(y)

    def _restored(self, y: Array) -> Array:
        columns = [
            typed(c.inverse(y[:, k]), self.dtypes[k]) for k, c in enumerate(self.chains)
        ]
        return np.stack(columns, axis=1)

    def _blocks(
        self, rows: Array, context: Array | None, size: int
    ) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor | None]]:
        """Yield blocks of rows, with their places and their conditions as the flow reads them."""
        read = None
        if context is not None and self.context.columns:
            read = torch.from_numpy(self.context.forward(context))
        for start, stop in ranges(len(rows), size):
            part = slice(start, stop)
            yield part, torch.from_numpy(rows[part]), None if read is None else read[part]

    def bits(self, values: Array, context: Array | None = None) -> Array:
        """Return -log2 p of each column under those before it in the flow, shape (n, d).

        The sum over columns is -log2 p of the row. In `glow`, which mixes columns, only the sum
        has a meaning. For values that stand for cells it is the mean over positions in the cells,
        which is at least that. A row with a NaN gives NaN.
        """
        inputs = values if context is None else np.concatenate([values, context], axis=1)
        defined = np.isfinite(inputs).all(axis=1)
        some = None if context is None else context[defined]
        positions = np.full((1, 1), 0.5)
        if any(chain.has_cells for chain in self.chains):
            positions = _positions(len(self.columns))
        total = np.zeros(values.shape)
        for u in positions:
            z, ladj = self.to_latent(values[defined], u, some)
            total[defined] += 0.5 * np.square(z) + 0.5 * math.log(2 * math.pi) - ladj
        total[~defined] = np.nan
        bits: Array = total / (len(positions) * math.log(2.0))
        return bits

    def draw(
        self, seed: int, start: int, stop: int, context: Array | None = None
    ) -> Array:
        """Return rows `start` to `stop` of an endless sample, shape (stop - start, d).

        Args:
            seed: Seed of the sample.
            start: First row.
            stop: Row after the last one.
            context: Values of the conditions of these rows.
        """
        return self.from_latent(
            normal_rows(seed, start, stop, len(self.columns)), context
        )


def _padded(rows: torch.Tensor, value: float) -> torch.Tensor:
    """Return a copy of rows, filled up to `EXACT_BLOCK` of them."""
    out = torch.full((EXACT_BLOCK, rows.shape[1]), value, dtype=torch.float64)
    out[: len(rows)] = rows
    return out


def _positions(columns: int) -> Array:
    """Return a Latin hypercube: every part of the cell once in each column, (POSITIONS, d)."""
    middles = np.tile((np.arange(POSITIONS)[:, None] + 0.5) / POSITIONS, columns)
    positions: Array = np.random.default_rng(0).permuted(middles, axis=0)
    return positions


def typed(values: Array, dtype: str) -> Array:
    """Return numbers rounded and limited as a type requires, in float64.

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
