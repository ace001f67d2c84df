"""Rates with which draws get the true spectrum of a number that no network draws right."""

import numpy as np
import pytest

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, read_all
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import Parent
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import Integers, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import AtRandom
from flowtuple.training.rates import FEWEST_PAIRS, fit_rates, with_rates
from flowtuple.training.train import frequency_table

DRAWS, ROWS = 8, 20_000


def drawn(shares: Array, seed: int = 1) -> Array:
    """Bins of draws, shape (DRAWS, ROWS)."""
    draw = np.random.default_rng(seed)
    return draw.choice(len(shares), (DRAWS, ROWS), p=shares)


def spectrum(rates: Array, place: Array) -> Array:
    """The spectrum of draws that are repeated until one is taken, where one of them is."""
    place = place[:, rates[place].any(axis=0)]
    weight = rates[place] / rates[place].mean(axis=0)
    return np.bincount(place.ravel(), weight.ravel(), minlength=len(rates)) / place.size


@pytest.mark.parametrize(
    "true", [[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.5, 0.5], [0.01, 0.04, 0.45, 0.5]]
)
def test_the_true_spectrum_comes_back(true: list[float]) -> None:
    place = drawn(np.array([0.25, 0.25, 0.25, 0.25]))
    rates = np.array(fit_rates(np.array(true) * ROWS, place))
    assert rates.max() == 1
    assert rates.min() >= 0
    assert spectrum(rates, place) == pytest.approx(true, abs=0.003)


def test_rows_that_differ() -> None:
    """Half of the rows draw other spectra, so that no bin has the quotient as its rate."""
    a, b = drawn(np.array([0.6, 0.3, 0.1])), drawn(np.array([0.1, 0.1, 0.8]))
    place = np.where(np.arange(ROWS) % 2, a, b)
    wanted = np.array([1.0, 0.5, 0.05])
    true = spectrum(wanted, place)
    rates = np.array(fit_rates(true * ROWS, place))
    assert spectrum(rates, place) == pytest.approx(true, abs=0.002)
    assert rates == pytest.approx(wanted, abs=0.03)
    quotient = true / (np.bincount(place.ravel()) / place.size)
    assert np.abs(quotient / quotient.max() - wanted).max() > 0.02


def test_exceptions_remain() -> None:
    place = drawn(np.array([0.2, 0.8]))
    rates = fit_rates(np.array([0.001 * ROWS, 0.999 * ROWS]), place)
    assert rates[1] == 1
    assert spectrum(np.array(rates), place)[0] == pytest.approx(0.001, rel=0.05)


def test_bins_of_few_draws_have_the_rate_of_their_neighbours() -> None:
    place = drawn(np.array([0.0, 0.4, 0.6, 0.0]))
    place[0, : FEWEST_PAIRS - 1] = 3
    rates = fit_rates(np.array([50, 0.2 * ROWS, 0.8 * ROWS, 9]), place)
    assert rates[0] == rates[1] < rates[2] == rates[3] == 1


def test_nothing_to_change() -> None:
    place = drawn(np.array([0.5, 0.5]))
    true = np.bincount(place.ravel()) / DRAWS
    assert fit_rates(true, place) == ()
    assert fit_rates(np.array([5, 5]), np.array([[0, 1], [1, 0]])) == ()
    assert fit_rates(np.array([5, 5]), np.empty((DRAWS, 0), np.int64)) == ()


EVENTS = 2500
AXES = ("Jet_pt", "Jet_eta", "Jet_phi")
COLUMNS = (
    Column("nJet", "int32", "counter"),
    *(Column(n, "float32", counter="nJet") for n in AXES),
)
LATTICES = {
    "nJet": Lattice("int32", Bound(), Integers("int32")),
    **{n: Lattice("float32", Bound("abs", 0.01), Uniform("float32", 0.01)) for n in AXES},
}


def apart(count: int, draw: np.random.Generator) -> Array:
    """eta and phi of jets, none within 0.8 of another."""
    while True:
        eta, phi = draw.uniform(-1, 1, count), draw.uniform(-1.5, 1.5, count)
        near = np.hypot(eta[:, None] - eta, phi[:, None] - phi) + 9 * np.eye(count)
        if near.min(initial=9) > 0.8:
            return np.stack([eta, phi])


def jets() -> Table:
    draw = np.random.default_rng(3)
    counts = draw.integers(0, 4, EVENTS)
    eta, phi = np.concatenate([apart(int(n), draw) for n in counts], axis=1)
    data = {"nJet": counts.astype(np.int32), AXES[0]: draw.exponential(9, len(eta))}
    data |= {"Jet_eta": eta, "Jet_phi": phi}
    floats = {n: data[n].astype(np.float32) for n in AXES}
    return Table("t", COLUMNS, EVENTS, data | floats)


def frequencies(table: Table, names: tuple[str, ...]) -> LatticeFlow:
    """A flow that draws each column for itself, in this order."""
    flows = {}
    for name in names:
        q = LATTICES[name].encode(table.data[name])
        bins = fit_bins(q, 40)
        flows[name] = ColumnFlow(bins, (), frequency_table(bins, q))
    return LatticeFlow(flows)


def overlaps(flow: LatticeFlow) -> float:
    """Share of drawn events with two jets within 0.75."""
    coding = TableCoding(COLUMNS, LATTICES, flow)
    obey = AtRandom(4, "obey")
    made = SampledTable("t", coding, 2000, AtRandom(4, "t"), workers=1, obey=obey)
    data = read_all(made).data
    event = np.repeat(np.arange(2000), data["nJet"])
    eta, phi = (data[n].astype(float) for n in AXES[1:])
    a, b = np.triu_indices(len(event), 1)
    same = event[a] == event[b]
    a, b = a[same], b[same]
    turn = np.abs(phi[a] - phi[b])
    near = np.hypot(eta[a] - eta[b], np.minimum(turn, 2 * np.pi - turn)) < 0.75
    return len(np.unique(event[a[near]])) / 2000


def test_jets_that_never_overlap() -> None:
    table = jets()
    flow = frequencies(table, ("nJet", *AXES))
    assert overlaps(flow) > 0.1
    rated = with_rates(flow, table, TableCoding(COLUMNS, LATTICES, flow), 1)
    (distance,) = [r for r in rated.rules if r.kind == "distance"]
    assert distance.columns == AXES[1:]
    assert distance.is_well_formed
    half = len(distance.numbers) // 2
    edges, rates = np.array(distance.numbers[:half]), np.array(distance.numbers[half:])
    assert rates[: np.searchsorted(edges, 0.8, side="left")].max() == 0
    assert rates[-1] > 0.5
    assert overlaps(rated) == 0
    assert rated.columns is flow.columns


def test_rates_follow_the_rules_that_are_there() -> None:
    table = jets()
    before = Rule("falling", ("Jet_pt",))
    flow = LatticeFlow(frequencies(table, ("nJet", *AXES)).columns, (before,))
    coding = TableCoding(COLUMNS, LATTICES, flow)
    one, two = (with_rates(flow, table, coding, 1).rules for _ in range(2))
    assert one == two
    assert one[0] == before
    assert len(one) > 1


def test_columns_that_are_not_drawn_in_turn_have_no_rates() -> None:
    """phi follows from eta and is not drawn, or it is drawn before eta and p_T."""
    table = jets()
    copy = Prediction((Term(1.0, "x", (Parent("row", "Jet_eta"),)),))
    nothing = Bins(np.empty(0, np.int64), np.empty(0, np.int64))
    follows = dict(frequencies(table, ("nJet", *AXES[:2])).columns)
    follows["Jet_phi"] = ColumnFlow(nothing, (), None, copy, True)
    before = frequencies(table, ("nJet", "Jet_phi", "Jet_eta", "Jet_pt"))
    for flow in (LatticeFlow(follows), before):
        rated = with_rates(flow, table, TableCoding(COLUMNS, LATTICES, flow), 1)
        assert [r.kind for r in rated.rules if "Jet_phi" in r.columns] == []


def test_few_events_have_no_rates() -> None:
    table = jets()
    flow = frequencies(table, ("nJet", *AXES))
    coding = TableCoding(COLUMNS, LATTICES, flow)
    for count in (0, 5):
        few = table.read([c.name for c in COLUMNS], 0, count)
        assert with_rates(flow, few, coding, 1).rules == ()
