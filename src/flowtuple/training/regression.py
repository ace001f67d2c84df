"""Sums: a column as a combination of earlier ones with whole coefficients.

Matching pursuit (Mallat and Zhang, 1993) chooses the terms. A fit of least absolute deviations
gives their coefficients, which are then rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.lattice.context import Parent
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.training.kinematics import energies, value_of
from flowtuple.training.sample import RowSample, as_floats

MAX_TERMS = 8
_ROWS = 2048
_FEWEST_ROWS = 64
_ROUNDS = 12  # of reweighted least squares
_EXPLAINED = 1e-6  # share of the target's squares that the next term has to explain
_INTEGER_DISTANCE = 0.15  # a coefficient this near to a whole number is rounded to it
_SIGNIFICANT = 0.05  # share of the target's spread from which on a term counts
_LARGEST_COEFFICIENT = 8.0
_COMMON = 0.05  # share of the rows from which on an index may stand for "not defined"


def linear_terms(
    sample: RowSample, column: Column, others: Sequence[Column]
) -> Iterator[tuple[Term, ...]]:
    """Propose sums of other columns, and of the energies of objects among them, for a column.

    Args:
        sample: The sample to fit to.
        column: The column to predict.
        others: Earlier columns of its collection that are no copies of one another.

    Yields:
        Up to two sums: coefficients rounded, and coefficients replaced by their signs.
    """
    if not others or column.dtype == "bool":
        return
    rows = np.flatnonzero(_without_common_index(sample.q[column.name]))[:_ROWS]
    if len(rows) < _FEWEST_ROWS:
        return
    target = _finite(sample.context.values[column.name][rows])
    energy_terms = list(energies(others))
    matrix = _matrix(sample, column, energy_terms, others, rows)
    chosen = _pursue(target, matrix)
    terms = [
        energy_terms[k]
        if k < len(energy_terms)
        else value_of(Parent("row", others[k - len(energy_terms)].name))
        for k in chosen
    ]
    coefficients = _robust_fit(target, matrix[:, chosen])
    for numbers in _whole(coefficients, matrix[:, chosen].std(axis=0), target.std()):
        summands = [
            replace(term, coefficient=c)
            for c, term in zip(numbers.tolist(), terms, strict=True)
            if c
        ]
        if summands and np.abs(numbers).max() <= _LARGEST_COEFFICIENT:
            yield tuple(summands)


def _without_common_index(q: Array) -> Array:
    """Return where rows differ from the most frequent index, if that one is frequent.

    A frequent index often stands for "not defined", which no relation concerns.
    """
    values, counts = np.unique(q, return_counts=True)
    common = counts.argmax()
    return (
        q != values[common]
        if counts[common] > _COMMON * len(q)
        else np.ones(len(q), bool)
    )


def _matrix(
    sample: RowSample,
    column: Column,
    terms: Sequence[Term],
    others: Sequence[Column],
    rows: Array,
) -> Array:
    """Return the values of terms, then of columns, as the columns of one float64 matrix."""
    content = [_evaluate(sample, term, column)[rows] for term in terms]
    # Columns of the same collection need no gathering, and a wide table has thousands of them.
    content += [sample.context.values[c.name][rows] for c in others]
    matrix = np.empty((len(rows), len(content)))
    with np.errstate(invalid="ignore"):  # signalling NaNs
        for k, values in enumerate(content):
            matrix[:, k] = values
    return _finite(matrix)


def _evaluate(sample: RowSample, term: Term, reader: Column) -> Array:
    total, present = Prediction((term,)).evaluate(
        lambda parent: sample.values(parent, reader)
    )
    return np.where(present, total, np.nan)


def _finite(values: Array) -> Array:
    """Return float64 numbers, those that are not finite or huge replaced by 0."""
    x = as_floats(values)
    return np.where(np.isfinite(x) & (np.abs(x) < 1e30), x, 0.0)


def _whole(
    coefficients: Array, spreads: Array, target_spread: float
) -> tuple[Array, Array]:
    """Return coefficients as the whole numbers that they are near to, and as their signs."""
    size, rounded = np.abs(coefficients), np.rint(coefficients)
    near = np.where(np.abs(coefficients - rounded) < _INTEGER_DISTANCE, rounded, 0.0)
    # A constant column among ones of 1e30 divides by nothing.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        significant = size * spreads / target_spread > _SIGNIFICANT
    signs = np.where(significant & (size > _INTEGER_DISTANCE), np.sign(coefficients), 0.0)
    return near, signs


def _pursue(target: Array, matrix: Array) -> list[int]:
    """Return the columns of a matrix that explain a target best, by orthogonal matching pursuit."""
    norms = np.sqrt((matrix**2).sum(axis=0))
    usable = norms > 0
    unit = np.where(usable, matrix / np.where(usable, norms, 1.0), 0.0)
    chosen: list[int] = []
    rest, scale = target, float((target**2).sum())
    while len(chosen) < MAX_TERMS and (rest**2).sum() > 1e-12 * scale:
        strength = np.abs(unit.T @ rest)
        strength[chosen] = 0.0
        best = int(strength.argmax())
        if strength[best] ** 2 < _EXPLAINED * scale:
            break
        chosen.append(best)
        # All coefficients are fitted again: the rest stays orthogonal to every chosen column.
        part = matrix[:, chosen]
        rest = target - part @ np.linalg.lstsq(part, target, rcond=None)[0]
    return chosen


def _robust_fit(target: Array, matrix: Array) -> Array:
    """Return coefficients of least absolute deviations by reweighted least squares.

    Rows that do not follow the relation then hardly count.
    """
    coefficients: Array = np.linalg.lstsq(matrix, target, rcond=None)[0]
    floor = 1e-6 * float(np.abs(target).mean()) + 1e-30
    for _ in range(_ROUNDS):
        weight = 1.0 / np.sqrt(np.abs(target - matrix @ coefficients) + floor)
        coefficients = np.linalg.lstsq(
            matrix * weight[:, None], target * weight, rcond=None
        )[0]
    return coefficients
