"""A source of what is drawn: each step's rows from the flow that learned them, a lattice flow or one over rows."""

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
from flowtuple.simulation.training_targets import as_table

_FOLD = np.uint64(1 << 40)  # numbers of a fold begin here, above those of copies


class _Named(Protocol):
    @property
    def columns(self) -> tuple[str, ...]: ...


class Conditional(Protocol):
    """A flow over the rows of a step, given its conditions.

    A row is to come out the same whatever rows come with it, to the last bit on one machine.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """What is drawn."""

    @property
    def dtypes(self) -> tuple[str, ...]:
        """NumPy names of their types."""

    @property
    def given(self) -> _Named:
        """What is read."""

    def from_uniform(self, u: Array, given: Array) -> Array:
        """Rows of shape (n, d), as float64, from uniform numbers of that shape and conditions of shape (n, c)."""


def as_matrix(columns: Mapping[str, Array], names: Sequence[str], rows: int) -> Array:
    """Conditions as a flow over rows reads them: float64 of shape (rows, c), 0 for what is NaN or infinite."""
    found = [
        np.nan_to_num(columns[name].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        for name in names
    ]
    return np.stack(found, axis=1) if found else np.zeros((rows, 0))


class Draws:
    """Draws the rows of each step; what is drawn for an object depends on the seed, its event, its number and its fold.

    Args:
        recipe: What is simulated.
        codings: Lattices and flows by step.
        flows: Flows over rows by step, of steps that are not in `codings`.
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
        if coding is None and not len(step.event):  # nor was there any such object to learn from
            return {name: np.empty(0, self._spec.dtype(name)) for name in columns}
        if not columns:
            return {}
        if coding is None:
            raise InvalidArgument(
                f"training met nothing like it: the model has no densities for {step.name!r}; train it on more"
            )
        given = as_table(step, {})
        rows = given.num_entries
        events = SampledTable(
            step.name, coding, rows, self._sampler(step), given, workers=1, repair=False
        )
        drawn = events.read(columns, 0, rows)
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
        """Event of each row among all that are simulated, and what tells its rows apart, of all folds."""
        return self._event[step.event], step.number.astype(np.uint64) + _FOLD * self._fold[
            step.event
        ]

    def _from_rows(self, flow: Conditional, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        numbers = self._numbers(step)
        u = np.stack(
            [uniform(column_key(self._seed, step.name, name), *numbers) for name in flow.columns],
            axis=1,
        )
        values = flow.from_uniform(u, as_matrix(step.conditions, flow.given.columns, len(u)))
        drawn = {
            n: values[:, k].astype(d)
            for k, (n, d) in enumerate(zip(flow.columns, flow.dtypes, strict=True))
        }
        return {name: drawn[name] for name in columns}
