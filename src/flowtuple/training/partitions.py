"""Partitions: columns of an object that add up to its energy, each predicted by what is left of it.

Of the parts p_1, p_2, ... of an energy E, in decoding order, part k is predicted by
E - p_1 - ... - p_(k-1). It takes all that is left, or nothing, or some of it. A sum fitted to one
part would leave out the parts that are rarely there, and drawn parts would not add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Parent, collection_of
from flowtuple.lattice.grid import Uniform
from flowtuple.lattice.prediction import FUNCTIONS, Prediction, Term
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.walk import TableCoding
from flowtuple.training.kinematics import energies, value_of
from flowtuple.training.sample import RowSample

FEWEST_PARTS = 3
_ROWS = 4096
_UNIT = 0.1  # a coefficient this near to 1 marks a part
_CLOSE = 0.05  # share of the energy that the parts may miss it by: eta and m are rounded
_STEPS = 33  # absolute tolerances that are tried
_TYPICAL = 0.98  # share of the objects that a partition has to hold for


def find_partitions(
    sample: RowSample, predictions: Mapping[str, Prediction]
) -> Iterator[tuple[str, Prediction]]:
    """Yield a prediction for every part of an energy: all of it for the first.

    Args:
        sample: Events to search in.
        predictions: Relations by column name; columns that are sums of others are no parts.
    """
    order = {c.name: k for k, c in enumerate(sample.columns)}
    for total in energies(sample.columns):
        last = max(order[parent.column] for parent in total.inputs)
        key = sample.context.collection[total.inputs[0].column]
        candidates = [
            c
            for c in sample.columns[last + 1 :]
            if collection_of(c) == key
            if c.is_float and not _is_sum(predictions.get(c.name))
        ]
        parts = _parts(sample, total, candidates)
        for k in range(len(parts)):
            known = [
                replace(value_of(Parent("row", p)), coefficient=-1.0) for p in parts[:k]
            ]
            yield parts[k], Prediction((total, *known))


def parts_rules(
    table: Table, coding: TableCoding, predictions: Mapping[str, Prediction]
) -> Iterator[Rule]:
    """Yield the rule of each energy whose parts add up in all objects, within rounding.

    Args:
        table: Events to learn from.
        coding: Schema and lattices.
        predictions: Relations, of `find_partitions` among them.
    """
    longest: dict[Term, tuple[str, ...]] = {}
    for name, prediction in predictions.items():
        total, *known = prediction.terms
        parts = (*(term.inputs[0].column for term in known), name)
        if total.function == "energy" and all(_is_left(term) for term in known):
            longest[total] = max(longest.get(total, ()), parts, key=len)
    for total, parts in longest.items():
        if len(parts) >= FEWEST_PARTS:
            names = tuple(parent.column for parent in total.inputs)
            numbers = _tolerance(table, coding, names, parts)
            if numbers:
                yield Rule("parts", names + parts, numbers)


def _is_left(term: Term) -> bool:
    return (term.function, term.coefficient) == ("x", -1.0)


def _tolerance(
    table: Table, coding: TableCoding, names: Sequence[str], parts: Sequence[str]
) -> tuple[float, ...]:
    """Return tolerances, absolute and relative, that decoded values need; none if they are large.

    Of all pairs that no object exceeds, they are the pair of the smallest mean tolerance.
    """
    if any(coding.lattices[name].resolution for name in (*names, *parts)):
        return ()
    decoded = {
        name: coding.lattices[name].snap(table.data[name]).reshape(-1).astype(np.float64)
        for name in (*names, *parts)
    }
    energy = FUNCTIONS["energy"][1](*(decoded[name] for name in names))
    missing = np.abs(energy - sum(decoded[name] for name in parts))
    usable = energy > 0
    if not usable.any() or (missing[~usable] > 0).any():
        return ()
    missing, energy = missing[usable], energy[usable]
    grids = [coding.lattices[name].grid for name in parts]
    widest = 2 * sum(grid.half_width for grid in grids if isinstance(grid, Uniform))
    pairs = [
        (float(t), max(float(((missing - t) / energy).max()), 0.0))
        for t in np.linspace(0.0, widest, _STEPS)
    ]
    absolute, relative = min(pairs, key=lambda pair: pair[0] + pair[1] * energy.mean())
    return (absolute, relative) if relative <= _CLOSE else ()


def _is_sum(prediction: Prediction | None) -> bool:
    """Return whether a column is a copy or a sum of others, and so no part beside them."""
    return prediction is not None and all(
        term.function == "x" and term.coefficient == 1 for term in prediction.terms
    )


def _parts(sample: RowSample, total: Term, candidates: Sequence[Column]) -> list[str]:
    """Return the columns that add up to a total, in decoding order; none if there are no such."""
    values = {c.name: sample.context.values[c.name][:_ROWS] for c in candidates}
    values = {
        name: v.astype(np.float64)
        for name, v in values.items()
        if np.isfinite(v).all() and (v >= 0).all() and v.any()
    }
    reader = next((c for c in candidates), None)
    if reader is None or len(values) < FEWEST_PARTS:
        return []
    energy, there = Prediction((total,)).evaluate(lambda p: sample.values(p, reader))
    energy, usable = energy[:_ROWS], there[:_ROWS] & (energy[:_ROWS] > 0)
    while len(values) >= FEWEST_PARTS:
        # Relative residuals: objects of low energy decide as much as those of high energy.
        matrix = np.stack([v[usable] / energy[usable] for v in values.values()], axis=1)
        factors = np.linalg.lstsq(matrix, np.ones(len(matrix)), rcond=None)[0]
        worst = np.abs(factors - 1).argmax()
        if abs(factors[worst] - 1) <= _UNIT:
            break
        del values[list(values)[worst]]
    if len(values) < FEWEST_PARTS or not _add_up(list(values.values()), energy, usable):
        return []
    return list(values)


def _add_up(parts: Sequence[Array], energy: Array, usable: Array) -> bool:
    missing = np.abs(np.sum(parts, axis=0) - energy)[usable]
    return bool(np.mean(missing <= _CLOSE * energy[usable]) >= _TYPICAL)
