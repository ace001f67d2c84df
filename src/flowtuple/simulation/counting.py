"""Shares that obey counts while they are drawn: zero exactly where nothing is counted.

A share that its count contradicts is drawn again from its distribution, which is the distribution
without the values that contradict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.walk import ColumnState
from flowtuple.simulation.contents import is_ratio, number_name
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
        generated: By count of `Target.numbers` the number of generated objects within.
    """

    target: Target | None
    parts: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Array] = field(default_factory=dict)
    generated: Mapping[str, Array] = field(default_factory=dict)

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
                generated = {
                    name: step.conditions[number_name(collection)].astype(np.int64)
                    for name, collection in target.numbers.items()
                }
                counts = {name: unknown.copy() for name in names}
                return cls(target, parts, counts, generated)
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
        counted = {target.learned(name): name for name in target.counts.values()}
        if state.name in counted:
            place = q if predicted is None else state.restore(q, predicted)
            name, number = counted[state.name], state.lattice.decode(place)
            if name in self.generated:
                number = np.maximum(number + self.generated[name][at], 0)
            self.counts[name][at] = number
        elif state.name in self.parts and predicted is None:
            counts = {n: content[at] for n, content in self.counts.items()}
            if min(int(content.min(initial=0)) for content in counts.values()) >= 0:
                name = self.parts[state.name]
                allowed = allowed_shares(target, counts, name)
                count = target.counts[name]
                if count in self.generated:
                    inside = self.generated[count][at]
                    all_generated = (inside > 0) & (counts[count] == inside)
                    return _obeying(
                        state, allowed, indices, q, all_generated, inside == 0
                    )
                return _obeying(state, allowed, indices, q)
        return q


def _obeying(
    state: ColumnState,
    allowed: tuple[Array, Array, Array],
    indices: Indices,
    q: Array,
    ratio: Array | bool = False,
    no_ratio: Array | bool = False,
) -> Array:
    """Return the indices of shares where what counts allow is 0, 1, or neither.

    Args:
        state: The column that is drawn.
        allowed: From `allowed_shares`.
        indices: Draws again.
        q: The indices.
        ratio: Which are energies of generated objects, and no others.
        no_ratio: Which have none within.
    """
    zero, one, between = allowed
    one = one & ~np.asarray(ratio)
    for turn in range(1, _TURNS + 1):
        share = state.lattice.decode(q)
        full = (share >= 1) & ~is_ratio(share)
        wrong = (share <= 0) | (between & full) | (ratio & ~is_ratio(share))
        wrong = ~zero & ~one & (wrong | (no_ratio & is_ratio(share)))
        rows = np.flatnonzero(wrong)
        if not len(rows):
            break
        q[rows] = indices(turn, rows)
    left = ratio & ~zero & ~is_ratio(state.lattice.decode(q))
    for forced, value in ((zero, 0.0), (one, 1.0), (left, 2.0)):
        q[forced] = state.lattice.nearest(np.array([value], state.lattice.dtype))
    return q
