"""A source that draws a step's rows from the flow that learned them, on a lattice or over rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.walk import ColumnState, TableCoding
from flowtuple.model.draw import Distribution, column_key, draw, uniform
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import IndexSampler
from flowtuple.simulation.counting import Counting
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.step import DrawSource, Step

# row numbers of further folds begin here, above those of copies
_FOLD = np.uint64(1 << 40)
_ATTEMPT = np.uint64(1 << 56)  # and those of further draws of an object that is too near
_BATCHES = (4, 26)  # further draws that are made together, one batch after another


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


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws rows that depend on the seed, their event, number and fold alone.

    Attributes:
        spec: The simulation.
        codings: Lattices and flows by step.
        flows: Flows over rows by step, for steps that are not in `codings`.
        seed: From 0 to 2^63 - 1.
    """

    spec: SimulationSpec
    codings: Mapping[str, TableCoding]
    flows: Mapping[str, Conditional]
    seed: int

    def source(self, event: Array, fold: Array) -> DrawSource:
        """Return a source of draws for the events of a block.

        Args:
            event: Number of each event among all that are simulated, shape (events,).
            fold: How often that event was simulated before, shape (events,).
        """
        event, fold = event.astype(np.uint64), fold.astype(np.uint64)

        def draw_step(step: Step) -> dict[str, Array]:
            number = step.number.astype(np.uint64) + _FOLD * fold[step.event]
            return self._accepted(step, event[step.event], number)

        return draw_step

    def _accepted(self, step: Step, event: Array, number: Array) -> dict[str, Array]:
        """Draw the rows of a step; those too near to other objects are drawn again."""
        drawn = self._draw(step, event, number)
        spacing = self.spec.spacing.get(step.name)
        if spacing is None or step.distance is None or not len(event):
            return drawn
        distance = step.distance

        def accepted(columns: Mapping[str, Array], rows: Array) -> Array:
            return spacing.probability(distance(columns, rows))

        proposed = np.ones(len(event), bool)
        attempt = 1
        for attempts in _BATCHES:
            self._refuse(step, accepted, drawn, proposed, (event, number, attempt))
            rows = np.flatnonzero(proposed)
            if not len(rows):
                break
            # All attempts of a batch are drawn together, each with random numbers of its own.
            which = np.arange(attempt, attempt + attempts, dtype=np.uint64)
            index = np.tile(rows, attempts)
            numbers = number[index] + np.repeat(which, len(rows)) * _ATTEMPT
            more = self._draw(step.take(index), event[index], numbers)
            for k in range(attempts):
                if k:
                    self._refuse(
                        step, accepted, drawn, proposed, (event, number, attempt)
                    )
                left = proposed[rows]
                if not left.any():
                    return drawn
                for name, content in more.items():
                    drawn[name][rows[left]] = content.reshape(attempts, -1)[k][left]
                attempt += 1
        return drawn

    def _refuse(
        self,
        step: Step,
        accepted: Callable[[Mapping[str, Array], Array], Array],
        drawn: Mapping[str, Array],
        proposed: Array,
        numbers: tuple[Array, Array, int],
    ) -> None:
        """Leave among the proposed rows those that are too near to other objects.

        Args:
            step: The step.
            accepted: Computes the probability to accept each row.
            drawn: The columns of all rows.
            proposed: Which rows are no further than proposals, bool; changed.
            numbers: Event and number of each row, and of the attempt.
        """
        event, number, attempt = numbers
        rows = np.flatnonzero(proposed)
        key = column_key(self.seed, step.name, f"accept {attempt}")
        accept = accepted(drawn, proposed)[rows]
        proposed[rows] = uniform(key, event[rows], number[rows]) >= accept

    def _draw(self, step: Step, event: Array, number: Array) -> dict[str, Array]:
        """Draw the rows of a step, whose event and number among all have shape (n,)."""
        if step.name in self.flows:
            return self._from_rows(self.flows[step.name], step, event, number)
        coding = self.codings.get(step.name)
        if coding is None and not len(event):
            # There was no such object in the training either.
            return {name: np.empty(0, self.spec.dtype(name)) for name in step.columns}
        if not step.columns:
            return {}
        if coding is None:
            raise InvalidArgument(
                "training met nothing like it: the model has no densities for "
                f"{step.name!r}; train it on more"
            )
        rows = len(event)
        sample = self._index_sampler(step, event, number)
        sampled = SampledTable(
            step.name, coding, rows, sample, step.table({}), workers=1, repair=False
        )
        drawn = sampled.read(step.columns, 0, rows)
        return {name: drawn.data[name] for name in step.columns}

    def _index_sampler(self, step: Step, event: Array, number: Array) -> IndexSampler:
        """Return what draws the indices of a step's columns, so that counts are obeyed."""
        counting = Counting.of(self.spec, step)

        def sample(
            state: ColumnState, part: slice, distribution: Distribution, first: int
        ) -> Array:
            at = state.rows.event[part] + first

            def indices(turn: int, rows: Array) -> Array:
                again = f"{step.name} again {turn}" if turn else step.name
                key = column_key(self.seed, again, state.name)
                chosen = rows if len(distribution.logits) > 1 else slice(None)
                some = Distribution(distribution.logits[chosen], distribution.bins)
                return draw(some, key, event[at[rows]], number[at[rows]])

            every = np.arange(len(at))
            return counting.obey(state, part, at, indices, indices(0, every))

        return sample

    def _from_rows(
        self, flow: Conditional, step: Step, event: Array, number: Array
    ) -> dict[str, Array]:
        keys = [column_key(self.seed, step.name, name) for name in flow.columns]
        u = np.stack([uniform(key, event, number) for key in keys], axis=1)
        conditions = as_matrix(step.conditions, flow.context.columns, len(u))
        columns = zip(flow.from_uniform(u, conditions).T, flow.dtypes, strict=True)
        drawn = [content.astype(dtype) for content, dtype in columns]
        return dict(zip(flow.columns, drawn, strict=True))
