"""A file of format 1.1: columns that read the event so far, trees, rules, and an acceptance.

Everything is made by hand, nothing is trained; the values are those that formulas are wary of.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.file.layout import SectionKind
from flowtuple.file.model import flags_of, pack_flow
from flowtuple.file.writer import create
from flowtuple.lattice.acceptance import Acceptance, acceptance_tree
from flowtuple.lattice.context import Parent, make_context
from flowtuple.lattice.event_features import EventFeature
from flowtuple.lattice.event_quantities import Quantity
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.grid import Uniform
from flowtuple.lattice.network import Network
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.tree import Tree, tree_of
from odd_made import FLOW, INDICES, NO_BINS, PLAIN, VALUES, Maker, bins_of, network

EVENTS = 24
JETS = ("Jet_pt", "Jet_phi")
MUONS = ("Muon_pt", "Muon_phi")
MET = ("MET_pt", "MET_phi")
AXES = ("Jet_eta", "Jet_phi")
WHOLE = ("Jet_pt", "Jet_eta", "Jet_m")
FEATURES: dict[str, tuple[tuple[str, ...], ...]] = {
    "sum": (("Jet_pt",), ("Muon_pt",), ("MET_pt",), ("Jet_id",)),
    "rest": (("Jet_pt",), ("Jet_id",)),
    "mean": (("Jet_pt", "Jet_eta"), ("Muon_pt", "Muon_eta"), MET),
    "length": (JETS, (*JETS, *MUONS, *MET)),
    "balance": (JETS, MUONS, (*JETS, *MUONS, *MET)),
    "turn of the first": (("Jet_phi", *JETS), ("Muon_phi", *JETS, *MUONS)),
    "turn of the last": (("Jet_phi", *JETS),),
    "distance": ((*AXES, *AXES), (*AXES, "Muon_eta", "Muon_phi"), (*AXES, *MET)),
    "nearest": (
        ("Jet_m", *AXES, *AXES),
        ("Muon_pt", *AXES, "Muon_eta", "Muon_phi"),
    ),
    "relative length": (("Jet_pt", *JETS), ("Jet_pt", *JETS, *MUONS)),
    "opening": (("Jet_pt", *JETS),),
    "size": (("Jet_eta",),),
    "energy": (WHOLE,),
    "left": ((*WHOLE, "Jet_a"), (*WHOLE, "Jet_a", "Jet_b")),
    "needed": (("Jet_pt",), ("Jet_id",)),
    "mass": (("Jet_pt", *AXES),),
    "back to back": (("Jet_pt", "Jet_eta"),),
    "place": (("Jet_pt",), ("Jet_b",)),
    "place of size": (("Jet_eta",), ("Jet_b",)),
}
"""Of each kind, columns that a column of jets may give it."""

WALK = ("Jet_pt", "Jet_walk")
WALKS: dict[str, tuple[str, ...]] = {
    "sum": ("Jet_walk",),
    "mean": WALK,
    "length": WALK,
    "balance": WALK,
    "turn of the first": ("Jet_walk", *WALK),
    "turn of the last": ("Jet_walk", *WALK),
    "relative length": ("Jet_pt", *WALK),
    "opening": ("Jet_pt", *WALK),
    "needed": ("Jet_walk",),
}
"""Of each kind that allows it, columns with the reader itself among them."""

RULES: dict[str, Rule] = {
    "zeros": Rule("zeros", ("Jet_a", "Jet_b")),
    "falling": Rule("falling", ("Jet_pt",)),
    "implies": Rule("implies", ("HLT_one", "HLT_two")),
    "flag": Rule(
        "flag",
        ("HLT_one", "Jet_pt", "Jet_pt", "Muon_eta", "MET_pt"),
        (1.0, 20.0, 0.0, 500.0, 0.0, 2.1, 1.0, -0.0),
    ),
    "distance": Rule("distance", AXES, (0.1, 0.5, 3.0, 0.0, 0.125, 1.0, 1.0)),
    "parts": Rule("parts", (*WHOLE, "Jet_a", "Jet_b"), (0.0, 0.25)),
    "least": Rule("least", ("Jet_b", "Jet_a"), (0.5,)),
    "mass": Rule("mass", ("Jet_pt", "Jet_eta", "Jet_phi"), (10.0, 90.0, 0.5, 0.25, 1.0)),
    "excess": Rule("excess", JETS, (-20.0, 0.0, 1.0, 0.5, 0.0)),
}

MUON_AXES = ("Muon_eta", "Muon_phi")
QUANTITIES = (
    Quantity("object", ("Jet_walk",), (1,)),
    Quantity("object", ("MET_pt",), (3,)),
    Quantity("sum", ("Jet_b",)),
    Quantity("largest", ("Jet_m",)),
    Quantity("mean", ("Jet_m", "Jet_eta")),
    Quantity("length", (*JETS, *MET, *MUONS)),
    Quantity("delta phi", ("Jet_phi", "MET_phi"), (0, 0)),
    Quantity("delta eta", ("Jet_eta", "Muon_eta"), (2, 0)),
    Quantity("pair mass", ("Jet_pt", *AXES, "Muon_pt", *MUON_AXES), (1, 0)),
    Quantity("nearest pair", AXES),
    Quantity("nearest other", (*MUON_AXES, *AXES)),
    Quantity("closure", (*WHOLE, "Jet_a", "Jet_b")),
)


def acceptance(seed: int, trees: int = 9, leaves: int = 12) -> Acceptance:
    """Trees of random cuts on quantities of every kind."""
    draw = np.random.default_rng(seed)

    def grown(size: int) -> list[int]:
        if size == 1:
            return [-1]
        left = int(draw.integers(1, size))
        first = int(draw.integers(0, len(QUANTITIES)))
        return [first, *grown(left), *grown(size - left)]

    made = []
    for size in [1, *draw.integers(2, leaves, trees - 1)]:
        nodes = np.array(grown(int(size)))
        thresholds = draw.normal(0, 30, len(nodes)) * (nodes >= 0)
        values = draw.integers(-900, 500, len(nodes)) * (nodes < 0)
        made.append(acceptance_tree(nodes, thresholds, values))
    return Acceptance(QUANTITIES, tuple(made), 200)


KNOTS = (-30.0, -2.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 20.0, 60.0, 150.0)


def feature(kind: str, columns: Sequence[str], knots: Sequence[float] = KNOTS) -> Parent:
    """A parent that reads a feature."""
    return Parent("feature", feature=EventFeature(kind, tuple(columns), tuple(knots)))


def tree(seed: int, inputs: int, symbols: int, leaves: int = 9) -> Tree:
    """A tree of random cuts; the logits of some leaves are beyond all limits."""
    draw = np.random.default_rng(seed)
    nodes: list[int] = []

    def grow(size: int) -> None:
        if size == 1:
            nodes.append(-1)
            return
        nodes.append(int(draw.integers(0, inputs)))
        left = int(draw.integers(1, size))
        grow(left)
        grow(size - left)

    grow(leaves)
    thresholds = draw.integers(0, 256, len(nodes)) * (np.array(nodes) >= 0)
    logits = draw.integers(-60, 61, (leaves, symbols))
    logits[0, 0], logits[-1, -1] = 2**15 - 1, -(2**15)
    return tree_of(np.array(nodes), thresholds, logits.astype(np.int16))


def kinematics(draw: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """pt, eta and phi, with numbers that have no sum, no direction or no distance."""
    pt = draw.exponential(40, count).astype(np.float32)
    eta = draw.normal(0, 2, count).astype(np.float32)
    phi = draw.uniform(-np.pi, np.pi, count).astype(np.float32)
    pt[:4] = [0.0, -0.0, np.nan, np.inf]
    # the last two have the same axes as the two before
    eta[4:8] = [np.nan, -np.inf, 70.0, -0.0]
    eta[-2:], phi[-2:] = eta[-4:-2], phi[-4:-2]
    phi[8:13] = [np.nan, np.inf, 2.0**21, -7.0, 3.1415927]
    return pt, eta, phi


def whole_events(seed: int = 20) -> Maker:
    """Events of up to 12 jets, each column of which reads another feature."""
    made, draw = Maker("events", EVENTS), np.random.default_rng(seed)
    jets = draw.integers(0, 5, EVENTS)
    jets[:4] = [1, 12, 0, 2]
    muons = draw.integers(0, 4, EVENTS)
    made.add("nJet", jets.astype(np.uint8), PLAIN, flow=ColumnFlow(NO_BINS))
    made.add("nMuon", muons.astype(np.int32), PLAIN)
    sizes = {"MET": EVENTS, "Muon": muons.sum(), "Jet": jets.sum()}
    counters = {"MET": None, "Muon": "nMuon", "Jet": "nJet"}

    def read(name: str, values: Array, counter: str | None) -> None:
        made.add(name, values, VALUES, flow=ColumnFlow(NO_BINS), counter=counter)

    for name, flag in {"one": draw.random(EVENTS) < 0.5, "two": jets > 1}.items():
        made.add(f"HLT_{name}", flag, PLAIN, flow=ColumnFlow(NO_BINS))
    for name, size in sizes.items():
        for axis, values in zip(
            ("pt", "eta", "phi"), kinematics(draw, size), strict=True
        ):
            if (name, axis) != ("MET", "eta"):
                read(f"{name}_{axis}", values, counters[name])
    count = int(sizes["Jet"])
    read("Jet_m", draw.exponential(5, count).astype(np.float64), "nJet")
    read("Jet_a", draw.integers(0, 9, count).astype(np.int16), "nJet")
    read("Jet_b", (draw.exponential(9, count) * (draw.random(count) < 0.7)), "nJet")
    large = draw.integers(2**53, 2**63, count, dtype=np.uint64)
    read("Jet_id", large, "nJet")
    _add_readers(made, draw, count)
    _add_walk(made, draw, count)
    made.rules = tuple(RULES.values())
    made.acceptance = acceptance(seed)
    return made


def _add_readers(made: Maker, draw: np.random.Generator, count: int) -> None:
    """Two columns for each feature: a network reads its level, a prediction its number."""
    bins = bins_of(-300, -60, 0, 1, 90, 400)
    uniform: Any = (Uniform("float32", 0.01), Bound("abs", 0.01))
    exact = numbers_of(made, count)
    for kind, choices in FEATURES.items():
        for number, columns in enumerate(choices):
            name = f"Jet_{kind.replace(' ', '_')}_{number}"
            knots = (KNOTS, (), np.linspace(-9, 99, 254).tolist())[number % 3]
            parents = (feature(kind, columns, knots), Parent("index"))
            inner = network(number, 2, bins.symbols, (4,))
            net = Network(inner.layers, tree(number, 2, bins.symbols))
            values = draw.normal(0, 2, count)
            values[::7] = [0.0, 1e5, -1e5, -0.0][number % 4]
            flow = ColumnFlow(bins, parents, net)
            small = values.astype(np.float32)
            made.add(f"{name}_read", small, FLOW, *uniform, flow=flow, counter="nJet")
            used = KNOTS if EventFeature(kind, columns).is_place else ()
            prediction = Prediction((Term(1.0, "x", (feature(kind, columns, used),)),))
            flow = ColumnFlow(NO_BINS, prediction=prediction, residual=True)
            # only a prediction with the same bits gives the value of a residual of 0
            same = exact(EventFeature(kind, columns, used))
            made.add(f"{name}_same", same, INDICES, flow=flow, counter="nJet")


def numbers_of(made: Maker, count: int) -> Callable[[EventFeature], Array]:
    """What gives the numbers of features for the jets, in stored order; 0 for missing ones."""
    context = make_context(made.columns, made.events, made.data)
    for column in made.columns:
        rows = context.rows(context.collection[column.name])
        context.values[column.name] = rows.sort(made.data[column.name])

    def evaluate(wanted: EventFeature) -> Array:
        numbers, _ = context.features.evaluate(wanted, "#nJet", slice(0, count))
        return context.rows("#nJet").unsort(numbers)

    return evaluate


def _add_walk(made: Maker, draw: np.random.Generator, count: int) -> None:
    """A column that reads itself at earlier objects, by all features that allow it."""
    parents = (
        *(feature(kind, columns) for kind, columns in WALKS.items()),
        feature("distance", (*AXES, *AXES)),
        Parent("prediction"),
        Parent("previous", "Jet_walk"),
    )
    bins = bins_of(-400, -100, -1, 1, 100, 400)
    inner = network(7, len(parents), bins.symbols)
    net = Network(inner.layers, tree(7, len(parents), bins.symbols, 40))
    terms = (
        Term(0.5, "x", (feature("turn of the last", WALKS["turn of the last"], ()),)),
        Term(-0.25, "product", (feature("mean", WALK, ()), Parent("row", "Jet_a"))),
    )
    flow = ColumnFlow(bins, parents, net, Prediction(terms), True, bins_of(-9, 0, 9))
    values = draw.uniform(-np.pi, np.pi, count).astype(np.float32)
    values[3:6] = [np.nan, 1e30, -0.0]
    uniform = Uniform("float32", 0.01)
    bound = Bound("abs", 0.01)
    made.add("Jet_walk", values, FLOW, uniform, bound, flow=flow, counter="nJet")


def single_tree() -> Maker:
    """A tree of one leaf on a network without inputs, and neither features nor rules."""
    made = Maker("leaf", 5)
    bins = bins_of(0, 2, 9)
    net = Network(network(1, 0, bins.symbols).layers, tree(2, 0, bins.symbols, 1))
    values = np.array([0, 5, 1, 1, 300], np.int32)
    made.add("x", values, FLOW, flow=ColumnFlow(bins, (), net))
    return made


def write(path: Path, seed: int = 20) -> None:
    """The file: both tables, each with its model and one chunk."""
    made = [whole_events(seed), single_tree()]
    tables = [m.description(m.events) for m in made]
    provenance = {"flowtuple": "by hand"}
    with create(path) as writer:
        writer.describe({"tables": tables, "carried": [], "provenance": provenance})
        for number, m in enumerate(made):
            flow = m.coding.flow
            writer.add_model(number, pack_flow(flow, m.columns), flags_of(flow))
            writer.add(SectionKind.CHUNK, number, *m.chunk(), m.events)
        writer.finish()
