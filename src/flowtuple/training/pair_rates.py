"""Rates of near objects: by how much true pairs at a distance are rarer than drawn ones.

Jets do not overlap, and no small network learns so sharp an edge in two angles. So the flow draws
phi, and the sampler takes the draw with a rate that depends on Delta R to the nearest object
before. The rates make the drawn spectrum of that distance the true one; where training has
exceptions, they remain as frequent as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Context, make_context
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.walk import ColumnState, TableCoding, walk
from flowtuple.model.draw import Distribution
from flowtuple.model.index_sampler import AtRandom
from flowtuple.model.rules import Candidates, nearest_before
from flowtuple.training.kinematics import families

EDGES = np.round(np.arange(1, 31) * 0.05, 2)
"""Delta R between 0.05 and 1.5: narrow enough for the edge of a jet of any usual size."""

DRAWS = 8
ROUNDS = 20
FEWEST_PAIRS = 40  # drawn ones in a bin, before its rate is more than a guess
EVENTS = 20_000
LEAST_CHANGE = 0.05  # share of draws that have to be refused for rates to be worth it


def with_pair_rates(
    flow: LatticeFlow, table: Table, coding: TableCoding, seed: int
) -> LatticeFlow:
    """Return the flow with rates for the collections whose drawn pairs are nearer than true ones.

    Args:
        flow: The trained flow.
        table: Events that it learned from.
        coding: Schema and lattices.
        seed: Seed of the draws that the true pairs are compared with.
    """
    angles = {phi.name: eta.name for eta, phi in _axes(table.columns, flow)}
    if not angles or not table.num_entries:
        return flow
    events = table.read([c.name for c in table.columns], 0, EVENTS)
    context = make_context(coding.columns, events.num_entries, events.data)
    context.watched = frozenset(angles) | frozenset(angles.values())
    rules = []
    for state in walk(replace(coding, flow=flow), context, flow.columns):
        state.enter(events.data[state.name].reshape(-1))
        if state.name in angles:
            draws = AtRandom(seed, "pairs")
            numbers = _rates(state, context.values[angles[state.name]], draws, context)
            if numbers:
                rules.append(Rule("distance", (angles[state.name], state.name), numbers))
    return replace(flow, rules=flow.rules + tuple(rules))


def _axes(
    columns: tuple[Column, ...], flow: LatticeFlow
) -> Iterator[tuple[Column, Column]]:
    """Yield eta and phi of each collection whose phi the flow draws."""
    for (key, _, number), family in families(columns).items():
        if key.startswith("#") and not number and {"eta", "phi"} <= family.keys():
            eta, phi = family["eta"], family["phi"]
            order = {name: k for k, name in enumerate(flow.columns)}
            before = order.get(eta.name, len(order)) < order.get(phi.name, -1)
            if flow.coded(phi.name) and before:
                yield eta, phi


def _rates(
    state: ColumnState, eta: Array, draws: AtRandom, context: Context
) -> tuple[float, ...]:
    """Return edges and rates of a collection's pairs, none if rates would hardly change them."""
    phi = context.values[state.name]
    rows = np.flatnonzero(state.rows.number > 0)
    if len(rows) < FEWEST_PAIRS:
        return ()

    def bins(values: Array) -> Array:
        some = Candidates(state, context, rows, values, np.empty(0))
        return np.searchsorted(EDGES, nearest_before(some, eta, phi), side="right")

    true = np.bincount(bins(phi[rows]), minlength=len(EDGES) + 1)
    flow, predicted = state.required_flow, state.predict(state.whole)
    place = np.empty((DRAWS, len(rows)), np.int64)
    q = np.empty(len(state.rows), np.int64)
    for attempt in range(DRAWS):
        for part, logits in state.blocks(predicted):
            distribution = Distribution(logits, flow.bins)
            rows_here = np.arange(part.start, part.stop)
            drawn = draws.again(state, rows_here, distribution, 0, attempt)
            if flow.residual and predicted is not None:
                drawn = state.restore(drawn, predicted[part])
            q[part] = drawn
        escapes = np.zeros(int(np.count_nonzero(q == ESCAPE)), state.lattice.dtype)
        place[attempt] = bins(state.lattice.decode(q, escapes)[rows])
    return fit_rates(true, place)


def fit_rates(true: Array, place: Array) -> tuple[float, ...]:
    """Return edges and rates with which draws get the true spectrum.

    A draw of row i in bin b is taken with rate r_b, and drawn again otherwise: its weight is r_b
    over the mean rate of the row's draws. Iterative proportional fitting finds the r_b.

    Args:
        true: Number of true rows by bin, shape (bins,).
        place: Bins of several draws of each row, shape (draws, rows).

    Returns:
        `EDGES`, then a rate for each bin; nothing where few draws would be refused.
    """
    count = len(true)
    drawn = np.bincount(place.ravel(), minlength=count)
    known = drawn >= FEWEST_PAIRS
    rates = np.where(known, true / np.maximum(drawn / len(place), 1e-9), 1.0)
    for _ in range(ROUNDS):
        taken = rates[place]
        weight = taken / np.maximum(taken.mean(axis=0), 1e-3) / len(place)
        spectrum = np.bincount(place.ravel(), weight.ravel(), minlength=count)
        change = np.where(known, true / np.maximum(spectrum, 1e-9), 1.0)
        rates = np.minimum(rates * change, 10.0)
    rates = rates / rates.max()
    # A bin that no draw reached has the rate of the nearest one that is known.
    rates = np.where(
        known, rates, np.interp(np.arange(count), np.flatnonzero(known), rates[known])
    )
    rates = np.clip(rates / rates.max(), 0.0, 1.0)
    if 1 - rates[place].mean() < LEAST_CHANGE:
        return ()
    return (*EDGES.tolist(), *rates.tolist())
