"""Choice of parents by conditional mutual information on coarse levels, and by their cost.

The cost of a parent is its ancestors: all columns that must be decoded to read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.context import Parent
from flowtuple.runtime.compiled import compiled

MAX_PARENTS = 16
MAX_ANCESTORS = 48  # reading one column of a wide table must not decode all of it
SAMPLE_ROWS = 16384
FEW_CANDIDATES = 24  # a thorough choice takes up to so many candidates without asking
_SHORTLIST = 40
_LEAST_INFORMATION = (
    0.003  # bits at SAMPLE_ROWS; the noise of the estimate grows as 1 / rows
)
_COSTLY = 8.0  # times the least information for candidates that slow decoding down
_PER_ANCESTOR = 0.01  # bits that a candidate must add for each column decoded only for it
_CELLS = 16
_COARSE = 8


@compiled()
def _entropy(counts: Any, total: Any) -> Any:
    """Return the entropy of counts in nats with the Miller (1955) correction of its bias."""
    bits, filled = 0.0, 0
    for count in counts:
        if count > 0:
            bits -= count * math.log(count / total)
            filled += 1
    return bits / total + (filled - 1) / (2.0 * total)


@compiled()
def _information(
    a: Any, b: Any, condition: Any, a_cells: Any, b_cells: Any, condition_cells: Any
) -> Any:
    """Return the mutual information of `a` and each row of `b` at a fixed condition, in nats.

    I(a; b | c) = H(a, c) - H(c) - H(a, b, c) + H(b, c).
    """
    n, out = len(a), np.empty(len(b))
    ac = np.zeros(a_cells * condition_cells, np.int64)
    c = np.zeros(condition_cells, np.int64)
    for i in range(n):
        ac[a[i] * condition_cells + condition[i]] += 1
        c[condition[i]] += 1
    base = _entropy(ac, n) - _entropy(c, n)
    for k in range(len(b)):
        abc = np.zeros(a_cells * b_cells * condition_cells, np.int64)
        bc = np.zeros(b_cells * condition_cells, np.int64)
        for i in range(n):
            # One flat cell number instead of a tuple index: this line runs for every row.
            cell = b[k, i] * condition_cells + condition[i]
            abc[a[i] * b_cells * condition_cells + cell] += 1
            bc[cell] += 1
        out[k] = base - _entropy(abc, n) + _entropy(bc, n)
    return out


def information(target: Array, candidates: Array) -> Array:
    """Return the bits that each candidate alone tells about a target.

    Args:
        target: uint8 levels, shape (n,).
        candidates: uint8 levels, shape (C, n).

    Returns:
        float64, shape (C,).
    """
    no_condition = np.zeros(len(target), np.uint8)
    nats = _information(target // 16, candidates // 16, no_condition, _CELLS, _CELLS, 1)
    bits: Array = nats / math.log(2)
    return bits


def select_parents(
    target: Array,
    candidates: Array,
    costly: Array | None = None,
    above: Set[str] = frozenset(),
    needs: Sequence[Set[str]] | None = None,
    limit: int = MAX_ANCESTORS,
    *,
    thorough: bool = False,
) -> list[int]:
    """Choose the candidates that together tell most about a target, at most `MAX_PARENTS`.

    The first is the most informative one. Each next one has the largest gain that no single
    chosen parent explains away: max over candidates of min over chosen s of
    I(target; candidate | s) (Fleuret, JMLR 5, 2004).

    Args:
        target: uint8 levels, shape (n,).
        candidates: uint8 levels, shape (C, n).
        costly: Candidates that slow decoding down and must tell clearly more: bool, shape (C,).
        above: Names of the target's ancestors without any candidate.
        needs: Names of the columns that each candidate needs; each new ancestor has its price.
            `None` for no price.
        limit: Largest number of ancestors.
        thorough: Take all of a few candidates. Of more, fill the free places with those that tell
            most in combination with the first, even if alone they tell nothing: an efficiency
            that rises with eta at one p_T and falls at another.

    Returns:
        Numbers of candidates, increasing.
    """
    if thorough and len(candidates) <= FEW_CANDIDATES:
        return list(range(len(candidates)))
    if not len(candidates):
        return []
    scores = information(target, candidates)
    shortlist = np.argsort(-scores, kind="stable")[:_SHORTLIST]
    least = np.full(
        len(shortlist), _LEAST_INFORMATION / min(1.0, len(target) / SAMPLE_ROWS)
    )
    if costly is not None:
        least[costly[shortlist]] *= _COSTLY
    coarse, coarse_target = candidates[shortlist] // 32, target // 32

    def conditional(k: int) -> Array:
        """Return what every candidate tells in nats where the level of candidate k is known."""
        nats: Array = _information(
            coarse_target, coarse, coarse[k], _COARSE, _COARSE, _COARSE
        )
        return nats

    brought = [above if needs is None else needs[k] for k in shortlist]
    chosen = _choose_greedily(
        scores[shortlist], least, conditional, above, brought, limit
    )
    if thorough and chosen:
        order = np.argsort(-conditional(chosen[0]), kind="stable").tolist()
        free = MAX_PARENTS - len(chosen)
        chosen += [k for k in order if k not in chosen][:free]
    return sorted(int(shortlist[k]) for k in chosen)


def _choose_greedily(
    scores: Array,
    least: Array,
    conditional: Callable[[int], Array],
    above: Set[str],
    brought: Sequence[Set[str]],
    limit: int,
) -> list[int]:
    """Choose candidates one by one while the best one tells more than it costs."""
    chosen: list[int] = []
    while len(chosen) < min(MAX_PARENTS, len(scores)):
        new = np.array([len(names - above) for names in brought])
        fits = len(above) + new <= max(limit, len(above))
        net = np.where(fits, scores - least - _PER_ANCESTOR * new, -1.0)
        best = int(net.argmax())
        if net[best] < 0:
            break
        chosen.append(best)
        above = above | brought[best]
        scores = np.minimum(scores, conditional(best) / math.log(2))
        scores[chosen] = -1.0
    return chosen


class Ancestry:
    """The ancestors of columns, gathered in coding order.

    Args:
        free: Names of columns that do not count: counters, which are decoded anyway, and
            external columns.
        predicting: Names of columns that predictions read.
    """

    def __init__(self, free: Set[str], predicting: Set[str] = frozenset()) -> None:
        self._free = free
        self._predicting = predicting
        self._ancestors: dict[str, frozenset[str]] = {}
        self._with_itself: dict[str, frozenset[str]] = {}

    def above(self, name: str) -> frozenset[str]:
        """Return the ancestors of a column gathered so far."""
        return self._ancestors.get(name, frozenset())

    def limit(self, name: str) -> int:
        """Return the largest number of ancestors that a column may have.

        A column that a prediction reads may have fewer, since most predictions read several.
        """
        return MAX_ANCESTORS * 2 // 3 if name in self._predicting else MAX_ANCESTORS

    def needs(self, parent: Parent) -> frozenset[str]:
        """Return all columns that must be decoded to read a parent."""
        each = [self._with_itself.get(name, frozenset()) for name in parent.names]
        return frozenset[str]().union(*each)

    def has_room(self, parents: Iterable[Parent]) -> bool:
        """Return whether the parents together stay within the limit."""
        needed = frozenset[str]().union(*(self.needs(parent) for parent in parents))
        return len(needed) <= MAX_ANCESTORS

    def add(self, name: str, parents: Iterable[Parent]) -> None:
        """Add parents of a column."""
        needed = self.above(name).union(*(self.needs(parent) for parent in parents))
        self._ancestors[name] = needed - {name}
        self._with_itself[name] = self._ancestors[name] | ({name} - self._free)
