"""Numbers of whole events, each against a loop over events, and the probability of acceptance."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt
from flowtuple.lattice.acceptance import UNIT, Acceptance, acceptance_tree
from flowtuple.lattice.context import Context, make_context
from flowtuple.lattice.event_quantities import (
    MISSING,
    QUANTITIES,
    EventQuantities,
    Quantity,
)

JETS, MUONS = [0, 1, 3, 2, 5], [2, 0, 1, 0, 3]
NAMES = ("pt", "eta", "phi")
JET, MUON = (tuple(f"{c}_{n}" for n in NAMES) for c in ("Jet", "Muon"))
PARTS = ("Jet_m", "Jet_e", "Jet_h")
COLUMNS = (
    Column("MET_pt", "float32"),
    Column("MET_phi", "float32"),
    Column("nJet", "int32", "counter"),
    *(Column(n, "float32", counter="nJet") for n in JET + PARTS),
    Column("nMuon", "int32", "counter"),
    *(Column(n, "float32", counter="nMuon") for n in MUON),
)
Objects = list[dict[str, float]]


@pytest.fixture(scope="module")
def context() -> Context:
    draw = np.random.default_rng(4)
    counts = {"nJet": np.array(JETS), "nMuon": np.array(MUONS)}
    context = make_context(COLUMNS, len(JETS), counts)
    for column in COLUMNS:
        rows = context.rows(context.collection[column.name])
        values = draw.exponential(20, len(rows))
        if column.name.endswith(("eta", "phi")):
            values = draw.uniform(-3.1, 3.1, len(rows))
        if column.name in counts:
            values = counts[column.name]
        context.values[column.name] = rows.sort(values.astype(column.dtype))
    return context


def objects_of(context: Context, event: int, stem: str) -> Objects:
    """The objects of an event, or the event itself, one after another."""
    names = [c.name for c in COLUMNS if c.name.startswith(stem + "_")]
    rows = context.rows(context.collection[names[0]])
    at = [int(k) for k in np.flatnonzero(rows.event == event)]
    return [{n.split("_")[1]: float(context.values[n][k]) for n in names} for k in at]


def turn(a: float, b: float) -> float:
    return abs((a - b + math.pi) % (2 * math.pi) - math.pi)


def near(a: dict[str, float], b: dict[str, float]) -> float:
    return math.hypot(a["eta"] - b["eta"], turn(a["phi"], b["phi"]))


def mass(a: dict[str, float], b: dict[str, float]) -> float:
    cosh = math.cosh(a["eta"] - b["eta"]) - math.cos(a["phi"] - b["phi"])
    return math.sqrt(2 * a["pt"] * b["pt"] * cosh)


def vector(objects: Objects) -> complex:
    return sum((o["pt"] * np.exp(1j * o["phi"]) for o in objects), 0j)


def closure(o: dict[str, float]) -> float:
    energy = math.hypot(o["pt"] * math.cosh(o["eta"]), o["m"])
    return abs((o["e"] + o["h"]) / energy - 1)


Slow = Callable[[Objects, Objects, dict[str, float]], float | None]
CASES: list[tuple[Quantity, Slow]] = [
    (Quantity("object", ("Jet_eta",), (2,)), lambda j, m, e: j[2]["eta"] if len(j) > 2 else None),
    (Quantity("object", ("MET_pt",), (1,)), lambda j, m, e: e["pt"]),
    (Quantity("sum", ("Muon_pt",)), lambda j, m, e: sum(o["pt"] for o in m)),
    (Quantity("largest", ("Jet_phi",)), lambda j, m, e: max((o["phi"] for o in j), default=None)),
    (
        Quantity("mean", ("Jet_pt", "Jet_eta")),
        lambda j, m, e: sum(o["pt"] * o["eta"] for o in j) / sum(o["pt"] for o in j) if j else None,
    ),
    (Quantity("length", ("Jet_pt", "Jet_phi")), lambda j, m, e: abs(vector(j))),
    (
        Quantity("length", ("Jet_pt", "Jet_phi", "MET_pt", "MET_phi", "Muon_pt", "Muon_phi")),
        lambda j, m, e: abs(vector([*j, *m, e])),
    ),
    (
        Quantity("delta phi", ("Jet_phi", "Jet_phi"), (0, 1)),
        lambda j, m, e: turn(j[0]["phi"], j[1]["phi"]) if len(j) > 1 else None,
    ),
    (
        Quantity("delta phi", ("MET_phi", "Muon_phi"), (0, 1)),
        lambda j, m, e: turn(e["phi"], m[1]["phi"]) if len(m) > 1 else None,
    ),
    (
        Quantity("delta eta", ("Jet_eta", "Muon_eta"), (0, 0)),
        lambda j, m, e: abs(j[0]["eta"] - m[0]["eta"]) if j and m else None,
    ),
    (
        Quantity("pair mass", JET + MUON, (1, 0)),
        lambda j, m, e: mass(j[1], m[0]) if len(j) > 1 and m else None,
    ),
    (
        Quantity("nearest pair", JET[1:]),
        lambda j, m, e: min((near(a, b) for a in j for b in j if a is not b), default=None),
    ),
    (
        Quantity("nearest other", MUON[1:] + JET[1:]),
        lambda j, m, e: min((near(a, b) for a in j for b in m), default=None),
    ),
    (Quantity("closure", JET[:2] + PARTS), lambda j, m, e: max(map(closure, j), default=None)),
]  # fmt: skip


def test_every_kind_has_a_case() -> None:
    assert {quantity.kind for quantity, _ in CASES} == set(QUANTITIES)


@pytest.mark.parametrize(("quantity", "slow"), CASES, ids=[str(q) for q, _ in CASES])
def test_quantities_are_what_a_loop_says(
    context: Context, quantity: Quantity, slow: Slow
) -> None:
    assert quantity.is_well_formed
    values = EventQuantities(context).evaluate(quantity)
    assert values.dtype == np.float32
    for event in range(len(JETS)):
        jets, muons = (objects_of(context, event, stem) for stem in ("Jet", "Muon"))
        expected = slow(jets, muons, objects_of(context, event, "MET")[0])
        wanted = MISSING if expected is None else expected
        assert values[event] == pytest.approx(wanted, rel=1e-6, abs=1e-6), event


def test_some_events_have_no_such_number(context: Context) -> None:
    values = EventQuantities(context).evaluate(Quantity("nearest pair", JET[1:]))
    assert (values == np.float32(MISSING)).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_events_without_any_object(is_recorded: bool) -> None:
    counts = {"nJet": np.zeros(3, int), "nMuon": np.zeros(3, int)}
    context = make_context(COLUMNS, 3, counts)
    for column in COLUMNS:
        size = len(context.rows(context.collection[column.name]))
        if size or is_recorded:
            context.values[column.name] = np.zeros(size, column.dtype)
    known = EventQuantities(context)
    for quantity, _ in CASES:
        values = known.evaluate(quantity)
        is_sum = quantity.kind in ("sum", "length") or quantity.columns == ("MET_pt",)
        assert (values == (0 if is_sum else np.float32(MISSING))).all(), quantity


@pytest.mark.parametrize(
    ("kind", "columns", "objects"),
    [
        ("object", ("a",), ()),
        ("object", ("a", "b"), (0,)),
        ("length", ("a", "b", "c"), ()),
        ("closure", ("a", "b", "c", "d"), ()),
        ("pair mass", ("a",) * 6, (0,)),
        ("length", ("a", "b") * 9, ()),
    ],
)
def test_wrong_numbers_of_columns(
    kind: str, columns: tuple[str, ...], objects: tuple[int, ...]
) -> None:
    assert not Quantity(kind, columns, objects).is_well_formed


def acceptance(
    nodes: Sequence[int], thresholds: Sequence[float], leaves: Sequence[int], offset: int
) -> Acceptance:
    tree = acceptance_tree(np.array(nodes), np.array(thresholds), np.array(leaves))
    return Acceptance((Quantity("object", ("Jet_pt",), (0,)),), (tree, tree), offset)


def test_the_probability_follows_the_leaves_of_all_trees(context: Context) -> None:
    first = context.values["Jet_pt"][:4]  # of the four events that have a jet
    middle = float(np.sort(first)[1])
    made = acceptance([0, -1, -1], [middle, 0, 0], [0, -300, 200], 100)
    expected = np.where(first <= middle, math.exp(-500 / 1024), 1.0)
    found = made.probability(context)
    assert found[1:] == pytest.approx(expected, rel=1e-12)
    # An event without a jet is above every threshold.
    assert found[0] == 1
    assert str(made) == "2 trees on 1 numbers of the event"
    assert made.columns == {"Jet_pt"}


def test_no_probability_is_zero(context: Context) -> None:
    made = acceptance([-1], [0], [-32_000], -(2**20))
    assert made.probability(context) == pytest.approx(np.exp(np.full(5, -32.0)))
    assert UNIT * 1024 == 1


@pytest.mark.parametrize("nodes", [[0], [0, -1], [-1, -1], [0, -1, -1, -1], []])
def test_nodes_that_are_no_tree(nodes: list[int]) -> None:
    zeros: Array = np.zeros(len(nodes))
    with pytest.raises(Corrupt, match="tree"):
        acceptance_tree(np.array(nodes, int), zeros, zeros)
