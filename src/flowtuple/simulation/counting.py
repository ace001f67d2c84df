"""Shares that obey counts while they are drawn: zero exactly where nothing is counted.

A share that its count contradicts is drawn again from its distribution, which is the distribution
without the values that contradict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.walk import ColumnState
from flowtuple.simulation.shares import allowed_shares
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.step import Step

_TURNS = 12  # further draws; what still contradicts is moved to the nearest value that does not

Indices = Callable[[int, Array], Array]
"""Draws indices of some rows, from the number of the attempt and the rows."""


@dataclass(eq=False)
class Counting:
    """The counts of a step's rows as far as they are drawn.

    Attributes:
        target: The collection that the rows belong to; `None` where no share has a count.
        parts: Names of the parts by what is learned.
        counts: Counts by name, each of shape (n,), -1 before they are drawn.
    """

    target: Target | None
    parts: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: SimulationSpec, step: Step) -> Counting:
        """Return the empty counting of a step."""
        for target in spec.targets:
            parts = {target.learned(name): name for name in target.counts}
            if parts.keys() & set(step.columns) and step.name.startswith(
                f"{target.objects.name} "
            ):
                unknown = np.full(len(step.event), -1, np.int64)
                names = set(target.counts.values())
                return cls(target, parts, {name: unknown.copy() for name in names})
        return cls(None)

    def obey(
        self, state: ColumnState, part: slice, at: Array, indices: Indices, q: Array
    ) -> Array:
        """Return indices without those that contradict counts, and remember counts.

        Args:
            state: The column that is drawn.
            part: Rows of the walk that are drawn.
            at: The same rows of the step, shape (n,).
            indices: Draws again.
            q: Their indices.
        """
        target = self.target
        if target is None:
            return q
        flow = state.required_flow
        predicted = state.predict(part) if flow.residual else None
        if state.name in target.counts.values():
            place = q if predicted is None else state.restore(q, predicted)
            self.counts[state.name][at] = state.lattice.decode(place)
        elif state.name in self.parts and predicted is None:
            counts = {n: content[at] for n, content in self.counts.items()}
            if min(int(content.min(initial=0)) for content in counts.values()) >= 0:
                name = self.parts[state.name]
                return _obeying(state, allowed_shares(target, counts, name), indices, q)
        return q


def _obeying(
    state: ColumnState, allowed: tuple[Array, Array, Array], indices: Indices, q: Array
) -> Array:
    """Return the indices of shares where what counts allow is 0, 1, or neither."""
    zero, one, between = allowed
    for turn in range(1, _TURNS + 1):
        share = state.lattice.decode(q)
        wrong = ~zero & ~one & ((share <= 0) | (between & (share >= 1)))
        rows = np.flatnonzero(wrong)
        if not len(rows):
            break
        q[rows] = indices(turn, rows)
    for forced, value in ((zero, 0.0), (one, 1.0)):
        q[forced] = state.lattice.nearest(np.array([value], state.lattice.dtype))
    return q
