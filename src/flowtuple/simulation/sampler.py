"""A source that draws a step's rows from the flow that learned them, on a lattice or over rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.walk import ColumnState, TableCoding
from flowtuple.model.draw import Distribution, column_key, draw, uniform
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import IndexSampler
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import Step
from flowtuple.simulation.training_targets import step_table

_FOLD = np.uint64(1 << 40)  # row numbers of further folds begin here, above those of copies


class _Named(Protocol):
    @property
    def columns(self) -> tuple[str, ...]: ...


class Conditional(Protocol):
    """A flow over the rows of a step under its conditions.

    A row comes out the same whatever rows come with it, to the last bit on one machine.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d columns that are drawn."""

    @property
    def dtypes(self) -> tuple[str, ...]:
        """NumPy names of their types."""

    @property
    def context(self) -> _Named:
        """The c conditions."""

    def from_uniform(self, u: Array, context: Array) -> Array:
        """Return rows of shape (n, d), float64, from uniform numbers and conditions (n, c)."""


def as_matrix(columns: Mapping[str, Array], names: Sequence[str], rows: int) -> Array:
    """Return conditions as a flow over rows reads them: float64 of shape (rows, c).

    NaN and infinite values become 0.
    """
    if not names:
        return np.zeros((rows, 0))
    matrix = np.stack([columns[name].astype(np.float64) for name in names], axis=1)
    return np.nan_to_num(matrix, nan=0.0, posinf=0.0, neginf=0.0)


class Sampler:
    """A `DrawSource` whose draws for a row depend on the seed, its event, number and fold alone.

    Args:
        spec: The simulation.
        codings: Lattices and flows by step.
        flows: Flows over rows by step, for steps that are not in `codings`.
        seed: From 0 to 2^63 - 1.
        event: Number of each event of the block among all that are simulated, shape (events,).
        fold: How often that event was simulated before, shape (events,).
    """

    def __init__(
        self,
        spec: SimulationSpec,
        codings: Mapping[str, TableCoding],
        flows: Mapping[str, Conditional],
        seed: int,
        event: Array,
        fold: Array,
    ) -> None:
        self._spec, self._codings, self._flows, self._seed = spec, codings, flows, seed
        self._event, self._fold = event.astype(np.uint64), fold.astype(np.uint64)

    def __call__(self, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        if step.name in self._flows:
            return self._from_rows(self._flows[step.name], step, columns)
        coding = self._codings.get(step.name)
        if coding is None and not len(step.event):
            # There was no such object in the training either.
            return {name: np.empty(0, self._spec.dtype(name)) for name in columns}
        if not columns:
            return {}
        if coding is None:
            raise InvalidArgument(
                "training met nothing like it: the model has no densities for "
                f"{step.name!r}; train it on more"
            )
        conditions = step_table(step, {})
        rows = conditions.num_entries
        sampled = SampledTable(
            step.name, coding, rows, self._sampler(step), conditions, workers=1, repair=False
        )
        drawn = sampled.read(columns, 0, rows)
        return {name: drawn.data[name] for name in columns}

    def _sampler(self, step: Step) -> IndexSampler:
        event, number = self._numbers(step)

        def sample(
            state: ColumnState, part: slice, distribution: Distribution, first: int
        ) -> Array:
            key = column_key(self._seed, step.name, state.name)
            at = state.rows.event[part] + first
            return draw(distribution, key, event[at], number[at])

        return sample

    def _numbers(self, step: Step) -> tuple[Array, Array]:
        """Return each row's event among all that are simulated, and its number there, uint64."""
        number = step.number.astype(np.uint64) + _FOLD * self._fold[step.event]
        return self._event[step.event], number

    def _from_rows(
        self, flow: Conditional, step: Step, columns: Sequence[str]
    ) -> dict[str, Array]:
        numbers = self._numbers(step)
        keys = [column_key(self._seed, step.name, name) for name in flow.columns]
        u = np.stack([uniform(key, *numbers) for key in keys], axis=1)
        values = flow.from_uniform(
            u, as_matrix(step.conditions, flow.context.columns, len(u))
        )
        place = {name: k for k, name in enumerate(flow.columns)}
        return {
            name: values[:, place[name]].astype(flow.dtypes[place[name]]) for name in columns
        }
