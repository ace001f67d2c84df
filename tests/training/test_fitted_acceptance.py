"""Trees that tell true events from drawn ones, and what drawn events are like with them."""

from dataclasses import replace

import numpy as np
import pytest

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table, read_all
from flowtuple.lattice.acceptance import UNIT, Acceptance, acceptance_tree
from flowtuple.lattice.bins import fit_bins
from flowtuple.lattice.event_quantities import MISSING, Quantity
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import Integers, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.walk import TableCoding
from flowtuple.model import events as drawing
from flowtuple.model.events import CANDIDATES, SampledTable
from flowtuple.model.index_sampler import AtRandom
from flowtuple.training import acceptance as fitting
from flowtuple.training.acceptance import propose_quantities, with_acceptance
from flowtuple.training.train import frequency_table

EVENTS = 4000
AXES = ("Jet_pt", "Jet_eta", "Jet_phi")
COLUMNS = (
    Column("event", "int64", "id"),
    Column("MET_pt", "float32"),
    Column("nJet", "int32", "counter"),
    *(Column(n, "float32", counter="nJet") for n in AXES),
)
FLOATS = ("MET_pt", *AXES)
LATTICES = {
    "event": Lattice("int64", Bound(), Integers("int64")),
    "nJet": Lattice("int32", Bound(), Integers("int32")),
    **{
        n: Lattice("float32", Bound("abs", 0.01), Uniform("float32", 0.01))
        for n in FLOATS
    },
}


def dijets(seed: int, *, related: bool = True) -> Table:
    """Two jets back to back whose p_T is about that of MET, or all of it independent."""
    draw = np.random.default_rng(seed)
    counts = np.full(EVENTS, 2, np.int32)
    pt = np.sort(30 + draw.exponential(20, (EVENTS, 2)))[:, ::-1]
    phi = draw.uniform(-np.pi, np.pi, EVENTS)
    away = phi + np.pi + draw.normal(0, 0.3, EVENTS)
    met = pt[:, 0] * draw.normal(1, 0.1, EVENTS)
    if not related:
        away, met = draw.uniform(-np.pi, np.pi, EVENTS), draw.permutation(met)
    angles = np.stack([phi, (away + np.pi) % (2 * np.pi) - np.pi], axis=1)
    data = {
        "event": np.arange(EVENTS),
        "MET_pt": met,
        "nJet": counts,
        "Jet_pt": pt.ravel(),
        "Jet_eta": draw.normal(0, 1, 2 * EVENTS),
        "Jet_phi": angles.ravel(),
    }
    return Table(
        "t", COLUMNS, EVENTS, {c.name: data[c.name].astype(c.dtype) for c in COLUMNS}
    )


def frequencies(table: Table) -> LatticeFlow:
    """A flow that draws each column for itself."""
    flows = {}
    for name in ("nJet", *FLOATS):
        q = LATTICES[name].encode(table.data[name])
        bins = fit_bins(q, 60)
        flows[name] = ColumnFlow(bins, (), frequency_table(bins, q))
    return LatticeFlow(flows)


def coding(flow: LatticeFlow) -> TableCoding:
    return TableCoding(COLUMNS, LATTICES, flow)


def drawn(flow: LatticeFlow, n: int = 3000, **options: int) -> Table:
    random = AtRandom(4, "t")
    return read_all(SampledTable("t", coding(flow), n, random, obey=random, **options))


def summary(table: Table) -> tuple[float, float, float]:
    """Mean of |delta phi|, and mean and width of MET over the leading p_T."""
    pt, phi = (table.data[n].astype(float).reshape(-1, 2) for n in ("Jet_pt", "Jet_phi"))
    turn = np.abs(phi[:, 0] - phi[:, 1])
    ratio = table.data["MET_pt"] / pt.max(axis=1)
    return (
        float(np.minimum(turn, 2 * np.pi - turn).mean()),
        float(ratio.mean()),
        float(ratio.std()),
    )


@pytest.fixture(scope="module")
def fitted() -> LatticeFlow:
    true = dijets(1)
    flow = frequencies(true)
    return with_acceptance(flow, true, coding(flow), 3)


def test_events_of_independent_columns_become_events(fitted: LatticeFlow) -> None:
    """Half of what a density misses is mended where an event counts 1.5 times at most."""
    true, before, after = (
        np.array(summary(x))
        for x in (dijets(2), drawn(replace(fitted, acceptance=None)), drawn(fitted))
    )
    assert np.abs(before - true)[0] > 0.8
    assert np.all(np.abs(after - true)[[0, 2]] < 0.75 * np.abs(before - true)[[0, 2]])


def test_the_trees_read_what_tells_events(fitted: LatticeFlow) -> None:
    assert fitted.acceptance is not None
    kinds = {q.kind for q in fitted.acceptance.quantities}
    assert {"delta phi", "length"} <= kinds
    assert str(fitted.acceptance).startswith("100 trees on ")
    assert not any("event" in q.columns for q in fitted.acceptance.quantities)


def test_the_same_seed_gives_the_same_trees(fitted: LatticeFlow) -> None:
    true = dijets(1)
    flow = frequencies(true)
    again = with_acceptance(flow, true, coding(flow), 3).acceptance
    assert again is not None
    assert fitted.acceptance is not None
    assert again.quantities == fitted.acceptance.quantities
    assert again.offset == fitted.acceptance.offset
    for one, two in zip(again.trees, fitted.acceptance.trees, strict=True):
        assert np.array_equal(one.threshold, two.threshold)
        assert np.array_equal(one.value, two.value)


def test_trees_say_what_those_of_scikit_learn_say() -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(0, 1, (3000, 4)).astype(np.float32)
    x[draw.random(x.shape) < 0.1] = MISSING
    quantities = tuple(Quantity("sum", (f"x{k}",)) for k in range(4))
    is_true = draw.random(3000) < 1 / (1 + np.exp(np.where(x[:, 1] > 9, 1, x[:, 1])))
    trees = fitting._fit(x, is_true, np.ones(3000), 1)
    assert trees is not None
    compact = fitting._compact(quantities, *trees)
    used = [quantities.index(q) for q in compact.quantities]
    found = UNIT * compact.total(x[:, used])
    odds = trees[0].decision_function(x)
    assert found - odds == pytest.approx((found - odds)[0], abs=0.06)
    held = (np.arange(3000) % 5 == 0) & ~is_true
    assert np.exp(odds - trees[1])[held].mean() == pytest.approx(1)


def test_events_that_are_right_are_all_accepted() -> None:
    true = dijets(1, related=False)
    # without an order of the jets, which a flow of independent columns lacks
    true.data["Jet_pt"][:] = np.random.default_rng(5).permutation(true.data["Jet_pt"])
    flow = frequencies(true)
    assert with_acceptance(flow, true, coding(flow), 3) is flow


def test_few_events_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    true = dijets(1)
    flow = frequencies(true)
    monkeypatch.setattr(fitting, "FEWEST", EVENTS + 1)
    assert with_acceptance(flow, true, coding(flow), 3) is flow


def test_a_column_without_density_leaves_the_flow_as_it_is() -> None:
    true = dijets(1)
    flows = dict(frequencies(true).columns)
    flow = LatticeFlow({n: f for n, f in flows.items() if n != "MET_pt"})
    assert with_acceptance(flow, true, coding(flow), 3) is flow


def test_weights_count() -> None:
    """Events of weight zero are not what drawn ones should be like."""
    true = dijets(1, related=False)
    flow = frequencies(true)
    weight = (true.data["Jet_eta"][::2] > 0).astype(float)
    weighted = with_acceptance(flow, true, coding(flow), 3, weight)
    forward = [np.mean(drawn(f).data["Jet_eta"][::2] > 0) for f in (flow, weighted)]
    assert forward[0] == pytest.approx(0.5, abs=0.05)
    assert forward[1] > 0.65


def cut(value: int, offset: int = 0) -> Acceptance:
    """A first jet with eta above 0.5 adds `value`."""
    tree = acceptance_tree(
        np.array([0, -1, -1]), np.array([0.5, 0, 0]), np.array([0, 0, value])
    )
    return Acceptance((Quantity("object", ("Jet_eta",), (0,)),), (tree,), offset)


def with_cut(value: int, offset: int = 0) -> LatticeFlow:
    return LatticeFlow(frequencies(dijets(1)).columns, (), cut(value, offset))


def test_events_are_accepted_with_their_probability() -> None:
    flow = with_cut(round(-1024 * np.log(4)))
    plain = drawn(LatticeFlow(flow.columns), 20_000).data
    share = np.mean(plain["Jet_eta"][::2] > 0.5)
    expected = share / 4 / (share / 4 + 1 - share)
    accepted = drawn(flow, 20_000).data
    found = np.mean(accepted["Jet_eta"][::2] > 0.5)
    # Event columns are drawn once.
    assert np.array_equal(accepted["MET_pt"], plain["MET_pt"])
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000))


def test_a_table_without_objects_is_drawn_again_as_a_whole() -> None:
    columns = (Column("MET_pt", "float32"),)
    tree = acceptance_tree(
        np.array([0, -1, -1]), np.array([50.0, 0, 0]), np.array([0, 0, -2000])
    )
    cut_on_met = Acceptance((Quantity("object", ("MET_pt",), (0,)),), (tree,), 0)
    flow = LatticeFlow({"MET_pt": frequencies(dijets(1)).columns["MET_pt"]})
    random, above = AtRandom(4, "t"), []
    for acceptance in (None, cut_on_met):
        whole = TableCoding(columns, LATTICES, replace(flow, acceptance=acceptance))
        table = read_all(SampledTable("t", whole, 20_000, random, obey=random))
        above.append(np.mean(table.data["MET_pt"] > 50))
    share = above[0] * np.exp(-2000 / 1024)
    expected = share / (share + 1 - above[0])
    assert above[1] == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000))


def test_the_last_candidate_is_accepted_in_any_case() -> None:
    """No event has a chance: what is drawn are the last candidates, as many as are wanted."""
    table = drawn(with_cut(0, -(2**19)), 300)
    assert table.num_entries == 300
    assert len(np.unique(table.data["MET_pt"])) > 200
    assert CANDIDATES > 1


@pytest.mark.parametrize(("block", "together"), [(7, 1), (64, 100), (2999, 10**6)])
def test_the_same_bits_for_any_block(
    monkeypatch: pytest.MonkeyPatch, block: int, together: int
) -> None:
    flow = with_cut(-3000)
    whole = drawn(flow, 500)
    monkeypatch.setattr(drawing, "BLOCK", block)
    monkeypatch.setattr(drawing, "TOGETHER", together)
    again = drawn(flow, 500, workers=3)
    for name, values in whole.data.items():
        assert np.array_equal(values, again.data[name]), name


def test_events_without_objects_are_drawn(fitted: LatticeFlow) -> None:
    """One of them alone, too, in whose block no column of jets has a value."""
    q = LATTICES["nJet"].encode(np.zeros(EVENTS, np.int32))
    bins = fit_bins(q, 60)
    none = ColumnFlow(bins, (), frequency_table(bins, q))
    flows = dict(fitted.columns) | {"nJet": none}
    table = drawn(LatticeFlow(flows, (), fitted.acceptance), 1)
    assert table.data["nJet"].tolist() == [0]
    assert len(table.data["Jet_pt"]) == 0


def test_ids_are_numbered_whatever_was_accepted() -> None:
    assert drawn(with_cut(-3000), 500).data["event"].tolist() == list(range(1, 501))


def test_one_column_alone_is_that_of_accepted_events() -> None:
    flow, random = with_cut(-3000), AtRandom(4, "t")
    source = SampledTable("t", coding(flow), 500, random, obey=random)
    alone = source.read(["Jet_eta"], 100, 400).data["Jet_eta"]
    assert np.array_equal(alone, drawn(flow, 500).data["Jet_eta"][200:800])


def test_given_columns_stay_as_they_are() -> None:
    """The jets of an event are drawn again, never its MET."""
    flow, random = with_cut(-9000), AtRandom(4, "t")
    true = dijets(8)
    given = true.read(["MET_pt"], 0, EVENTS)
    source = SampledTable("t", coding(flow), EVENTS, random, given, obey=random)
    part = source.read(["MET_pt", "Jet_pt"], 1000, 1100)
    assert np.array_equal(part.data["MET_pt"], true.data["MET_pt"][1000:1100])


def test_without_rules_nothing_is_refused() -> None:
    flow, random = with_cut(-9000), AtRandom(4, "t")
    plain = LatticeFlow(flow.columns)
    tables = [read_all(SampledTable("t", coding(f), 100, random)) for f in (flow, plain)]
    assert np.array_equal(tables[0].data["MET_pt"], tables[1].data["MET_pt"])


def proposals(columns: tuple[Column, ...], rules: tuple[Rule, ...] = ()) -> list[str]:
    return [str(q) for q in propose_quantities(columns, rules)]


def test_quantities_follow_from_names() -> None:
    words = proposals(COLUMNS[1:])
    assert "length of Jet_pt, Jet_phi" in words
    assert "delta phi 0 1 of Jet_phi, Jet_phi" in words
    assert "nearest pair of Jet_eta, Jet_phi" in words
    assert "object 0 of MET_pt" in words
    assert "mean of Jet_pt, Jet_eta" in words
    assert len(words) == len(set(words))


def test_quantities_of_two_collections_and_missing_momentum() -> None:
    muons = tuple(
        Column(n.replace("Jet", "Muon"), "float32", counter="nMuon") for n in AXES
    )
    met = Column("MET_phi", "float32")
    words = proposals((*COLUMNS[1:], met, Column("nMuon", "int32", "counter"), *muons))
    assert "length of Jet_pt, Jet_phi, Muon_pt, Muon_phi, MET_pt, MET_phi" in words
    assert "delta phi 0 0 of MET_phi, Muon_phi" in words
    assert "nearest other of Jet_eta, Jet_phi, Muon_eta, Muon_phi" in words


def test_columns_without_momenta_have_sums_and_largest_values() -> None:
    words = proposals(
        (Column("n", "int32", "counter"), Column("Hit_q", "float32", counter="n"))
    )
    assert words == [
        "object 0 of n",
        "sum of Hit_q",
        "largest of Hit_q",
        *(f"object {j} of Hit_q" for j in range(3)),
    ]


def test_parts_of_an_energy_are_compared_with_it() -> None:
    rule = Rule("parts", (*AXES, "Jet_e", "Jet_h"), (0.1, 0.1))
    words = proposals(COLUMNS[1:], (rule,))
    assert "closure of Jet_pt, Jet_eta, Jet_phi, Jet_e, Jet_h" in words
