"""Rates: by how much true objects in some place are rarer than drawn ones.

Jets do not overlap, and they balance one another. No small network learns so sharp an edge in two
angles, or in many momenta. So the flow draws a value, and the sampler takes it with a rate that
depends on one number: Delta R to the nearest object before, by how much later objects miss what
balances the event, or the mass of the first two objects. The rates bring the drawn spectrum of that
number to the true one; where training has exceptions, they remain about as frequent as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Context, make_context
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.rules import RATES, Rule
from flowtuple.lattice.walk import ColumnState, TableCoding, walk
from flowtuple.model.draw import Distribution
from flowtuple.model.index_sampler import AtRandom
from flowtuple.model.obeying import restored, zeros
from flowtuple.model.rules import Candidates, rated_number
from flowtuple.training.contexts import drawn_context
from flowtuple.training.kinematics import families

EDGES = np.round(np.arange(1, 31) * 0.05, 2)
"""Delta R between 0.05 and 1.5: narrow enough for the edge of a jet of any usual size."""

QUANTILES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)
"""Quantiles of the true excess at which its rates change: the tail of unbalanced events counts."""

MASS_BINS = 60

DRAWS = 8
ROUNDS = 20
FEWEST_PAIRS = 20  # drawn ones in a bin, before its rate is more than a guess
EVENTS = 20_000
DRAWN_EVENTS = 12_000
LARGEST_CHANGE = (0.3, 3.0)  # of a rate by whole drawn events
LEAST_CHANGE = 0.001  # share of draws that have to be refused for rates to be worth it


def with_rates(
    flow: LatticeFlow, table: Table, coding: TableCoding, seed: int
) -> LatticeFlow:
    """Return the flow with rates for collections with p_T, eta and phi.

    Args:
        flow: The trained flow.
        table: Events that it learned from.
        coding: Schema and lattices.
        seed: Seed of the draws that true objects are compared with.
    """
    rated = [r for r in _rated(table.columns) if _is_drawn(r.columns, flow)]
    if not rated or not table.num_entries:
        return flow
    events = table.read([c.name for c in table.columns], 0, EVENTS)
    context = make_context(coding.columns, events.num_entries, events.data)
    context.watched = frozenset(name for r in rated for name in r.columns)
    rules = []
    for state in walk(replace(coding, flow=flow), context, flow.columns):
        state.enter(events.data[state.name].reshape(-1))
        own = [r for r in rated if r.columns[-1] == state.name]
        draws = _drawn_values(state, AtRandom(seed, "pairs")) if own else np.empty(0)
        rules += [rule for r in own if (rule := _rates(r, state, context, draws))]
    return _calibrated(
        replace(flow, rules=flow.rules + tuple(rules)), table.name, coding, context, seed
    )


def _calibrated(
    flow: LatticeFlow, name: str, coding: TableCoding, true: Context, seed: int
) -> LatticeFlow:
    """Return the flow with rates that make whole drawn events as the true ones are.

    The first rates are right where all that was drawn before is true. Here it is drawn as well.

    Args:
        flow: The flow with its first rates.
        name: Name of the table.
        coding: Schema and lattices.
        true: True events, all columns recorded.
        seed: Seed of the events that are drawn.
    """
    rated = [rule for rule in flow.rules if rule.kind in RATES]
    if not rated:
        return flow
    drawn = drawn_context(
        replace(coding, flow=flow), name, DRAWN_EVENTS, AtRandom(seed, "rates")
    )
    adjusted = {}
    for rule in rated:
        edges, rates = map(np.array, rule.spectrum)
        counts = []
        for context in (drawn, true):
            numbers = _numbers(rule, coding, context)
            place = np.searchsorted(edges, numbers[~np.isnan(numbers)], side="right")
            counts.append(np.bincount(place, minlength=len(rates)) + 1.0)
        shares = [n / n.sum() for n in counts]
        enough = counts[0] > FEWEST_PAIRS
        ratio = np.where(enough, np.clip(shares[1] / shares[0], *LARGEST_CHANGE), 1.0)
        better = rates * ratio
        better = better / better.max()
        adjusted[rule] = replace(rule, numbers=(*edges.tolist(), *better.tolist()))
    return replace(flow, rules=tuple(adjusted.get(rule, rule) for rule in flow.rules))


def _numbers(rule: Rule, coding: TableCoding, context: Context) -> Array:
    """Return the rated numbers of all objects in a context, NaN for none."""
    name = rule.columns[-1]
    (column,) = (c for c in coding.columns if c.name == name)
    state = ColumnState(column, coding, context)
    values = context.values[name]
    every = Candidates(state, context, np.arange(len(values)), values, np.empty(0))
    numbers = rated_number(rule.kind, rule.columns, every)
    return np.empty(0) if numbers is None else numbers


@dataclass(frozen=True)
class _Rated:
    """A kind of rule with its columns, the last of which is drawn again."""

    kind: str
    columns: tuple[str, ...]


def _rated(columns: tuple[Column, ...]) -> Iterator[_Rated]:
    for (key, _, number), family in families(columns).items():
        if key.startswith("#") and not number and {"pt", "eta", "phi"} <= family.keys():
            pt, eta, phi = (family[axis].name for axis in ("pt", "eta", "phi"))
            yield _Rated("excess", (pt,))
            yield _Rated("excess", (pt, phi))
            yield _Rated("distance", (eta, phi))
            yield _Rated("mass", (pt, eta))
            yield _Rated("mass", (pt, eta, phi))


def _is_drawn(names: tuple[str, ...], flow: LatticeFlow) -> bool:
    """Return whether the flow draws the last of some columns after the others."""
    order = {name: k for k, name in enumerate(flow.columns)}
    before = [order.get(name, len(order)) for name in names]
    return flow.coded(names[-1]) and before == sorted(before)


def _drawn_values(state: ColumnState, draws: AtRandom) -> Array:
    """Return values drawn for true rows, several for each: shape (draws, rows)."""
    flow, predicted = state.required_flow, state.predict(state.whole)
    out = np.empty((DRAWS, len(state.rows)), state.lattice.dtype)
    for part, logits in state.blocks(predicted):
        distribution = Distribution(logits, flow.bins)
        drawn = draws.several(state, part, distribution, 0, range(DRAWS))
        known = None if predicted is None else predicted[part]
        q = restored(state, drawn, known)
        rows = np.repeat(np.arange(part.start, part.stop), q.shape[1])
        values = state.at(rows).decode(q.ravel(), zeros(q, state.lattice))
        out[:, part] = values.reshape(q.shape).T
    return out


def _rates(
    rated: _Rated, state: ColumnState, context: Context, draws: Array
) -> Rule | None:
    """Return the rule of a rated number, `None` if it would hardly change a draw."""
    number = state.rows.number
    rows = np.flatnonzero(number == 1 if rated.kind == "mass" else number > 0)

    def numbers(values: Array) -> Array:
        some = Candidates(state, context, rows, values[rows], np.empty(0))
        number = rated_number(rated.kind, rated.columns, some)
        return np.empty(0) if number is None else number

    true = numbers(context.values[state.name])
    if len(true) < FEWEST_PAIRS:
        return None
    edges = EDGES
    if rated.kind == "excess":
        edges = np.unique(np.quantile(true, QUANTILES))
    if rated.kind == "mass":
        edges = np.unique(np.nanquantile(true, np.linspace(0.0, 1.0, MASS_BINS + 1)))
    bins = [np.searchsorted(edges, numbers(values), side="right") for values in draws]
    counts = np.bincount(
        np.searchsorted(edges, true, side="right"), minlength=len(edges) + 1
    )
    rates = fit_rates(counts, np.stack(bins))
    return Rule(rated.kind, rated.columns, (*edges.tolist(), *rates)) if rates else None


def fit_rates(true: Array, place: Array) -> tuple[float, ...]:
    """Return the rate of each bin with which draws get the true spectrum.

    A draw of row i in bin b is taken with rate r_b, and drawn again otherwise: its weight is r_b
    over the mean rate of the row's draws. Iterative proportional fitting finds the r_b.

    Args:
        true: Number of true rows by bin, shape (bins,).
        place: Bins of several draws of each row, shape (draws, rows).

    Returns:
        Numbers from 0 to 1, as many as bins; nothing where few draws would be refused.

    Example:
        >>> fit_rates(np.array([0, 100]), np.array([[0, 1] * 100, [1, 1] * 100]))
        (0.0, 1.0)
    """
    count = len(true)
    drawn = np.bincount(place.ravel(), minlength=count)
    known = drawn >= FEWEST_PAIRS
    if not known.any():
        return ()
    rates = np.where(known, true / np.maximum(drawn / len(place), 1e-9), 1.0)
    for _ in range(ROUNDS):
        taken = rates[place]
        weight = taken / np.maximum(taken.mean(axis=0), 1e-3) / len(place)
        spectrum = np.bincount(place.ravel(), weight.ravel(), minlength=count)
        change = np.where(known, true / np.maximum(spectrum, 1e-9), 1.0)
        rates = np.minimum(rates * change, 10.0)
    # A bin that few draws reach has the rate of the nearest ones that are known.
    rates = np.interp(np.arange(count), np.flatnonzero(known), rates[known])
    rates = np.clip(rates / max(rates.max(), 1e-300), 0.0, 1.0)
    return tuple(rates.tolist()) if 1 - rates[place].mean() >= LEAST_CHANGE else ()
