"""Coefficients of a sum of vectors that differ between kinds of events.

A tree whose leaves hold least-squares coefficients: each cut is the one that leaves the smallest
squares. Where jets hold muons in some events and not in others, no single sum fits both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.simulation.cells import Cells

_LEAST = 500  # events of a kind
_DEEP = 2  # cuts one below another
_GAIN = 0.005  # share of the squares that a cut has to save
_CUTS = 5  # edges of a column that are tried


def least_squares(terms: Sequence[Array] | Array, measured: Array) -> tuple[float, ...]:
    """Return the coefficients of terms; those of terms that are always zero are 0.

    Args:
        terms: Vectors, each of shape (2, events).
        measured: The vector that they add up to, of the same shape.
    """
    if not len(terms):
        return ()
    matrix = np.stack([term.reshape(-1) for term in terms]).T
    return tuple(np.linalg.lstsq(matrix, measured.reshape(-1), rcond=None)[0].tolist())


def fit_blend(kinds: Mapping[str, Array], terms: Array, measured: Array) -> Cells | None:
    """Return cells of events with coefficients, `None` where one kind is enough.

    Args:
        kinds: Columns to cut in, each of shape (events,).
        terms: Vectors, of shape (terms, 2, events).
        measured: The vector that they add up to, of shape (2, events).
    """
    columns = {n: np.nan_to_num(v.astype(np.float32)) for n, v in kinds.items()}
    nodes: list[tuple[int, float, int, int, tuple[float, ...]]] = []
    used: list[str] = []

    def grow(rows: Array, deep: int) -> int:
        here = len(nodes)
        best = _best_cut(columns, terms, measured, rows) if deep else None
        if best is None:
            figures = least_squares(terms[:, :, rows], measured[:, rows])
            nodes.append((-1, 0.0, -1, -1, figures))
            return here
        name, edge = best
        if name not in used:
            used.append(name)
        nodes.append((0, 0.0, 0, 0, ()))
        left = columns[name][rows] <= edge
        below, above = grow(rows[left], deep - 1), grow(rows[~left], deep - 1)
        nodes[here] = (used.index(name), edge, below, above, ())
        return here

    grow(np.arange(measured.shape[1]), _DEEP)
    if len(nodes) == 1:
        return None
    column, edges, left, right, figures = zip(*nodes, strict=True)
    return Cells(tuple(used), column, edges, left, right, figures)


def _best_cut(
    columns: Mapping[str, Array], terms: Array, measured: Array, rows: Array
) -> tuple[str, float] | None:
    """Return the column and edge that leave the smallest squares, `None` for no gain."""
    outer = np.einsum("acn,bcn->nab", terms[:, :, rows], terms[:, :, rows])
    mixed = np.einsum("acn,cn->na", terms[:, :, rows], measured[:, rows])
    square = (measured[:, rows] ** 2).sum(axis=0)

    def left_over(part: Array) -> float:
        matrix, vector = outer[part].sum(axis=0), mixed[part].sum(axis=0)
        solution = np.linalg.lstsq(matrix, vector, rcond=None)[0]
        return float(square[part].sum() - solution @ vector)

    whole = left_over(np.ones(len(rows), bool))
    best, least = None, (1 - _GAIN) * whole
    for name, edge in _cuts(columns, rows):
        low = columns[name][rows] <= edge
        if _LEAST <= low.sum() <= len(rows) - _LEAST:
            rest = left_over(low) + left_over(~low)
            if rest < least:
                best, least = (name, edge), rest
    return best


def _cuts(columns: Mapping[str, Array], rows: Array) -> Iterator[tuple[str, float]]:
    for name, content in columns.items():
        values = np.unique(content[rows])
        if len(values) > _CUTS + 1:
            inner = np.linspace(0, 1, _CUTS + 2)[1:-1]
            values = np.unique(np.quantile(content[rows], inner).astype(np.float32))
        else:
            values = values[:-1]
        yield from ((name, float(edge)) for edge in values)
