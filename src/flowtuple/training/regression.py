"""Sums: a column as a combination of earlier ones with whole coefficients, found by matching pursuit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.lattice.context import Parent
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.training.kinematics import energies
from flowtuple.training.sample import RowSample, as_floats

MAX_TERMS = 8
_ROWS = 2048
_ROUNDS = 12
_TELLING = 1e-6  # share of the target's squares that the next term has to explain
_LEAST_ROWS = 64
_NEARLY = 0.15  # distance from a whole number up to which a coefficient is taken for one
_SIGNIFICANT = 0.05  # share of the target's spread from which on a term counts
_LARGEST_COEFFICIENT = 8.0
_COMMON = 0.05


def linear_terms(
    sample: RowSample, column: Column, others: Sequence[Column]
) -> Iterator[tuple[Term, ...]]:
    """Proposals for a column: sums of columns of its collection, and of the energies of objects among them.

    Columns that are copies of others should be no candidates.
    """
    if not others or column.dtype == "bool":
        return
    rows = np.flatnonzero(_uncommon(sample.q[column.name]))[:_ROWS]
    if len(rows) < _LEAST_ROWS:
        return
    objects = list(energies(others))
    target = _usable(sample.context.values[column.name][rows])
    content = [_evaluate(sample, term, column)[rows] for term in objects]
    content += [
        sample.context.values[c.name][rows] for c in others
    ]  # in the same rows, and of a wide table a great many
    matrix = _usable(_side_by_side(content))
    chosen = _pursue(target, matrix)
    terms = {
        k: objects[k] if k < len(objects) else _value_of(others[k - len(objects)]) for k in chosen
    }
    coefficients = _robust_fit(target, matrix[:, chosen])
    with np.errstate(
        over="ignore", divide="ignore", invalid="ignore"
    ):  # beside columns of 1e30, a constant one
        weight = np.abs(coefficients) * matrix[:, chosen].std(axis=0) / target.std()
    near = np.where(
        np.abs(coefficients - np.rint(coefficients)) < _NEARLY, np.rint(coefficients), 0.0
    )
    signs = np.where(
        (weight > _SIGNIFICANT) & (np.abs(coefficients) > _NEARLY), np.sign(coefficients), 0.0
    )
    for whole in (near, signs):
        used = [(c, terms[k]) for c, k in zip(whole.tolist(), chosen, strict=True) if c]
        if used and np.abs(whole).max() <= _LARGEST_COEFFICIENT:
            yield tuple(Term(c, term.function, term.inputs) for c, term in used)


def _uncommon(q: Array) -> Array:
    """Rows that do not hold the most frequent index, where it is so frequent that a relation may not concern them."""
    values, counts = np.unique(q, return_counts=True)
    common = counts.argmax()
    return q != values[common] if counts[common] > _COMMON * len(q) else np.ones(len(q), bool)


def _value_of(column: Column) -> Term:
    return Term(1.0, "x", (Parent("row", column.name),))


def _evaluate(sample: RowSample, term: Term, reader: Column) -> Array:
    alone = Prediction((term,))
    total, present = alone.evaluate(lambda parent: sample.values(parent, reader))
    return np.where(present, total, np.nan)


def _usable(values: Array) -> Array:
    """Float64 numbers with what is not finite set to 0."""
    x = as_floats(values)
    return np.where(np.isfinite(x) & (np.abs(x) < 1e30), x, 0.0)


def _side_by_side(content: Sequence[Array]) -> Array:
    """Values of shape (n,) as float64 columns of one matrix."""
    matrix = np.empty((len(content[0]), len(content)))
    with np.errstate(invalid="ignore"):  # signalling NaNs
        for k, values in enumerate(content):
            matrix[:, k] = values
    return matrix


def _pursue(target: Array, matrix: Array) -> list[int]:
    """Columns of the matrix that explain the target best, one after another, each beside those before it."""
    norms = np.sqrt((matrix**2).sum(axis=0))
    usable = norms > 0
    unit = np.where(usable, matrix / np.where(usable, norms, 1.0), 0.0)
    chosen: list[int] = []
    rest, scale = target, float((target**2).sum())
    while len(chosen) < MAX_TERMS and (rest**2).sum() > 1e-12 * scale:
        strength = np.abs(unit.T @ rest)
        strength[chosen] = 0.0
        best = int(strength.argmax())
        if strength[best] ** 2 < _TELLING * scale:
            break
        chosen.append(best)
        rest = (
            target - matrix[:, chosen] @ np.linalg.lstsq(matrix[:, chosen], target, rcond=None)[0]
        )
    return chosen


def _robust_fit(target: Array, matrix: Array) -> Array:
    """Coefficients of least absolute deviations, by reweighted least squares: a relation that most rows obey is found."""
    coefficients: Array = np.linalg.lstsq(matrix, target, rcond=None)[0]
    floor = 1e-6 * float(np.abs(target).mean()) + 1e-30
    for _ in range(_ROUNDS):
        weight = 1.0 / np.sqrt(np.abs(target - matrix @ coefficients) + floor)
        coefficients = np.linalg.lstsq(matrix * weight[:, None], target * weight, rcond=None)[0]
    return coefficients
