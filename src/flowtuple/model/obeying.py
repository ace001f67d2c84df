"""Values drawn until the rules take them: again by other random numbers, at last moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.context import Context
from flowtuple.lattice.grid import ATOM, ESCAPE
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.walk import ColumnState
from flowtuple.model.draw import Distribution
from flowtuple.model.index_sampler import AtRandom
from flowtuple.model.rules import Candidates, RuleBook, first_taken

ATTEMPTS = 32
"""Draws of a value before the nearest one that the rules allow takes its place."""

TOGETHER = 1024
"""Draws that are made at once where few rows wait."""


@dataclass(frozen=True, eq=False)
class DrawnRows:
    """Some rows of a column that are being drawn.

    Attributes:
        state: The column.
        context: Columns drawn before.
        rows: The rows, int64 of shape (n,).
        first: Number of the first event, counted over all that are drawn.
        distribution: Of these rows.
        predicted: Their predicted indices, `None` without a prediction.
    """

    state: ColumnState
    context: Context
    rows: Array
    first: int
    distribution: Distribution
    predicted: Array | None

    def some(self, at: Array) -> DrawnRows:
        """Return some of the rows."""
        predicted = None if self.predicted is None else self.predicted[at]
        return DrawnRows(
            self.state,
            self.context,
            self.rows[at],
            self.first,
            self.distribution.some(at),
            predicted,
        )

    def obeying(self, q: Array, rules: RuleBook, random: AtRandom) -> Array:
        """Return indices with others in place of those that rules refuse.

        Args:
            q: The first draws of all rows, shape (n,).
            rules: The rules.
            random: Random numbers by attempt; the first draws are attempt 0.
        """
        chance = random.chance(self.state, self.rows, self.first, range(1))
        refused = self._refused(q[:, None], chance, rules)[:, 0]
        waiting = np.flatnonzero(refused)
        out, attempts = q.copy(), range(1, 2)
        while len(waiting) and attempts:
            some = self.some(waiting)
            tried, chance = some.tries(random, attempts)
            taken = ~some._refused(tried, chance, rules)
            out[waiting], is_taken = first_taken(taken, tried, out[waiting])
            waiting = waiting[~is_taken]
            more = max(TOGETHER // max(len(waiting), 1), 1)
            attempts = range(attempts.stop, min(attempts.stop + more, ATTEMPTS))
        if len(waiting):
            out[waiting] = self.some(waiting).settled(rules, random)
        return out

    def tries(self, random: AtRandom, attempts: range) -> tuple[Array, Array]:
        """Return indices by attempts, and their chances: both of shape (n, attempts)."""
        drawn = random.several(
            self.state, self.rows, self.distribution, self.first, attempts
        )
        chance = random.chance(self.state, self.rows, self.first, attempts)
        return restored(self.state, drawn, self.predicted), chance

    def settled(self, rules: RuleBook, random: AtRandom) -> Array:
        """Return the indices nearest to those of the last attempt that rules allow."""
        lattice = self.state.at(self.rows)
        tried, chance = self.tries(random, range(ATTEMPTS, ATTEMPTS + 1))
        candidates = self._candidates(tried, chance, rules)
        settled = rules.settle(candidates, tried[:, 0])
        return lattice.nearest(lattice.decode(settled, zeros(settled, lattice)))

    def _refused(self, q: Array, chance: Array, rules: RuleBook) -> Array:
        """Return which indices rules refuse, or have no value: bool of shape (n, attempts)."""
        candidates = self._candidates(q, chance, rules)
        # An escape has no value of its own, and a residual may lead out of the range: both
        # stand for values beyond all that was learned.
        lattice = self.state.at(candidates.rows)
        beyond = lattice.nearest(candidates.values) != q.ravel()
        refused: Array = rules.refused(candidates) | beyond
        return refused.reshape(q.shape)

    def _candidates(self, q: Array, chance: Array, rules: RuleBook) -> Candidates:
        rows = np.repeat(self.rows, q.shape[1])
        return Candidates(
            self.state,
            self.context,
            rows,
            self.state.at(rows).decode(q.ravel(), zeros(q, self.state.lattice)),
            chance.ravel(),
            rules.flags,
        )


def restored(state: ColumnState, drawn: Array, predicted: Array | None) -> Array:
    """Return the indices of what was drawn: these themselves, or residuals from a prediction.

    Args:
        state: The column.
        drawn: Shape (n,), or (n, attempts).
        predicted: Shape (n,).
    """
    if not state.required_flow.residual or predicted is None:
        return drawn
    origin = predicted if drawn.ndim == 1 else predicted[:, None]
    q = state.restore(drawn, origin)
    # A residual may lead beyond the last atom, where no value is: those become escapes.
    return np.where((q >= ATOM + len(state.lattice.atoms)) & (q != ESCAPE), ESCAPE, q)


def zeros(q: Array, lattice: Lattice) -> Array:
    """Return exact values of drawn escapes, which have none: zeros."""
    return np.zeros(int(np.count_nonzero(q == ESCAPE)), lattice.dtype)
