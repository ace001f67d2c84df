"""Parents by measured gain: conditional mutual information on coarse levels."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled
from flowtuple.training.ancestry import MAX_ANCESTORS

MAX_PARENTS = 16
EVERYTHING = 24  # candidates up to which all are read where every condition is to be heard
SAMPLE_ROWS = 16384
_SHORTLIST = 40
_LEAST_INFORMATION = 0.003  # bits at SAMPLE_ROWS, in inverse proportion to the rows: so the noise of the estimate goes
_COSTLY = 8.0
_PER_ANCESTOR = 0.01  # bits that a candidate has to tell more for each column that is decoded for it and would not be else
_CELLS = 16
_COARSE = 8


@compiled()
def _entropy(counts: Any, total: Any) -> Any:
    """Nats of a table of counts, with the first-order bias of the plug-in estimate added (Miller 1955)."""
    bits, filled = 0.0, 0
    for count in counts:
        if count > 0:
            bits -= count * math.log(count / total)
            filled += 1
    return bits / total + (filled - 1) / (2.0 * total)


@compiled()
def _information(a: Any, b: Any, given: Any, a_cells: Any, b_cells: Any, given_cells: Any) -> Any:
    """Nats of mutual information of `a` and each row of `b`, given a third variable."""
    n, out = len(a), np.empty(len(b))
    ac = np.zeros(a_cells * given_cells, np.int64)
    c = np.zeros(given_cells, np.int64)
    for i in range(n):
        ac[a[i] * given_cells + given[i]] += 1
        c[given[i]] += 1
    base = _entropy(ac, n) - _entropy(c, n)
    for k in range(len(b)):
        abc = np.zeros(a_cells * b_cells * given_cells, np.int64)
        bc = np.zeros(b_cells * given_cells, np.int64)
        for i in range(n):
            beside = b[k, i] * given_cells + given[i]
            abc[a[i] * b_cells * given_cells + beside] += 1
            bc[beside] += 1
        out[k] = base - _entropy(abc, n) + _entropy(bc, n)
    return out


def information(target: Array, candidates: Array) -> Array:
    """Bits that each candidate alone tells about a target: float64, shape (C,), from uint8 levels of shapes (n,), (C, n)."""
    nothing = np.zeros(len(target), np.uint8)
    bits: Array = _information(
        target // 16, candidates // 16, nothing, _CELLS, _CELLS, 1
    ) / math.log(2)
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
    """The candidates that tell most about a target beside each other, at most `MAX_PARENTS`, in increasing order.

    After the first, each is the one with the largest gain that no single parent chosen before explains away:
    max over candidates of min over chosen s of I(target; candidate | s) (Fleuret, JMLR 5, 2004).

    Args:
        target: uint8 levels, shape (n,).
        candidates: uint8 levels, shape (C, n).
        costly: Which candidates make decoding slower and have to tell clearly more: bool, shape (C,).
        above: Names of the target's ancestors without any candidate.
        needs: Names of the columns that each candidate asks for; each new ancestor has its price. `None` for no price.
        limit: Ancestors that there may be.
        thorough: Take all of a few candidates; of more, fill the places that are left with those that tell most beside the
            first, though alone they tell nothing: an efficiency that rises with eta at one p_T and falls at another.
    """
    if thorough and len(candidates) <= EVERYTHING:
        return list(range(len(candidates)))
    if not len(candidates):
        return []
    scores = information(target, candidates)
    shortlist = np.argsort(-scores, kind="stable")[:_SHORTLIST]
    scores, coarse, coarse_target = scores[shortlist], candidates[shortlist] // 32, target // 32
    least = np.full(len(shortlist), _LEAST_INFORMATION / min(1.0, len(target) / SAMPLE_ROWS))
    if costly is not None:
        least[costly[shortlist]] *= _COSTLY
    brought = [above if needs is None else needs[k] for k in shortlist]
    chosen: list[int] = []
    while len(chosen) < min(MAX_PARENTS, len(shortlist)):
        new = np.array([len(names - above) for names in brought])
        net = np.where(
            len(above) + new <= max(limit, len(above)), scores - least - _PER_ANCESTOR * new, -1.0
        )
        best = int(net.argmax())
        if net[best] < 0:
            break
        chosen.append(best)
        above = above | brought[best]
        beside = _information(
            coarse_target, coarse, coarse[best], _COARSE, _COARSE, _COARSE
        ) / math.log(2)
        scores = np.minimum(scores, beside)
        scores[chosen] = -1.0
    if thorough and chosen:
        beside = _information(coarse_target, coarse, coarse[chosen[0]], _COARSE, _COARSE, _COARSE)
        chosen += [k for k in np.argsort(-beside, kind="stable").tolist() if k not in chosen][
            : MAX_PARENTS - len(chosen)
        ]
    return sorted(int(shortlist[k]) for k in chosen)
