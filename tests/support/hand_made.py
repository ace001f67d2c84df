"""Flows made by hand, so that tests have small files with a flow in them and need no training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowtuple.data.table import Dataset, Table
from flowtuple.file.writer import create
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import Parent, Relation, collection_of, make_context
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import FUNCTIONS, Prediction, Term
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.relations import decoding_order, residuals
from flowtuple.training.write_events import add_models, description

Parents = dict[str, Sequence[Parent]]
Predictions = Mapping[str, Prediction]


def follow_first_parent(parents: int, bins: Bins, mixed: int) -> Network:
    """A network that expects the first parent's level: z = (c level - c^2) / 2 is largest where c =
    level / 2.

    The hidden layer copies every level, adds the constants 16 and 1 (a bias alone counts in steps
    of 255) and `mixed` units of
    both signs that the logits read faintly.
    """
    draw = np.random.default_rng(parents + mixed)
    copies = np.concatenate([64 * np.eye(parents), np.zeros((parents, 1))], axis=1)
    constants = np.zeros((2, parents + 1))
    constants[:, -1] = 1
    other = draw.integers(-90, 91, (mixed, parents + 1))
    shifts = np.array([6] * parents + [4, 8] + [7] * mixed, np.uint8)
    centres = ((np.arange(bins.symbols) + 0.5) * 127.5 / bins.symbols).astype(np.int64)
    steps, rest = np.divmod(centres**2, 255)
    shape = bins.symbols, parents + 2 + mixed + 1
    faint = draw.integers(-1, 2, shape) * (draw.random(shape) < 0.1)
    faint[:, 0], faint[:, parents], faint[:, parents + 1], faint[:, -1] = (
        centres,
        -(rest // 16),
        -(rest % 16),
        -steps,
    )
    hidden = Layer(np.concatenate([copies, constants, other]).astype(np.int8), shifts)
    return Network(
        (hidden, Layer(faint.astype(np.int8), np.full(bins.symbols, 1, np.uint8)))
    )


def make_flow(
    table: Table,
    coding: TableCoding,
    parents: Parents,
    predictions: Predictions | None = None,
    bins: int = 12,
    mixed: int = 2,
) -> LatticeFlow:
    """A flow in which the columns of `parents` follow the first of them.

    Columns of `predictions` are coded by residuals: with parents by a network, without by no model
    at all. Columns that
    are only read have bins alone.
    """
    predictions = predictions or {}
    predicting = {p for prediction in predictions.values() for p in prediction.inputs}
    everything = predicting.union(*parents.values())
    named = {c for p in everything for c in p.names} | set(parents) | set(predictions)
    for reader, resolution in coding.resolutions.items():
        named |= {resolution} if reader in named else set()
    context, columns = make_context(coding.columns, table.num_entries, table.data), {}
    order = decoding_order(
        coding.columns, predictions, coding.external, coding.resolutions
    )
    for column in order:
        name, key, lattice = (
            column.name,
            collection_of(column),
            coding.lattices[column.name].at(context.values),
        )
        rows, prediction = context.rows(key), predictions.get(name)
        values = rows.sort(table.data[name].reshape(-1))
        q = coded = lattice.encode(values)
        context.values[name] = lattice.decode(q, values[q == ESCAPE])
        if name not in named:
            continue
        if prediction is not None:
            part = slice(0, len(rows))
            predicted = prediction.index(
                lambda parent, key=key, part=part: context.fetch(parent, key, part),
                lattice,
            )
            coded = residuals(q, np.broadcast_to(predicted, len(q)), prediction)
        given = tuple(parents.get(name, ()))
        # those of indices kept among residuals beside those of residuals
        share = bins if prediction is None else 2 * bins
        placed = (
            fit_bins(coded, share)
            if given or prediction is None
            else Bins(np.empty(0, np.int64), np.empty(0, np.int64))
        )
        network = follow_first_parent(len(given), placed, mixed) if given else None
        scale = fit_bins(q, bins) if prediction is not None else None
        columns[name] = ColumnFlow(
            placed, given, network, prediction, prediction is not None, scale
        )
    return LatticeFlow(columns)


def write_model(
    table: Table,
    path: Path,
    parents: Parents,
    tolerance: dict[str, str],
    predictions: Predictions | None = None,
    given: Sequence[str] = (),
) -> LatticeFlow:
    """A `.flow` file for a table, as `train` would write it, with a flow made by hand."""
    (prepared,) = resolve_tables(
        Dataset("by hand", {table.name: table}), tolerance, silent, given
    )
    flow = make_flow(table, prepared.coding, parents, predictions)
    coding = replace(prepared.coding, flow=flow)
    prepared = replace(prepared, coding=coding)
    with create(path) as writer:
        writer.describe(
            description([prepared], [], {"flowtuple": "by hand"}, entries=False)
        )
        add_models(writer, [prepared])
        writer.finish()
    return flow


def dependent_events(events: int, seed: int) -> dict[str, object]:
    """Events with columns that tell about one another: b follows a, the jets' pt follows a, their
    eta follows their pt.
    """
    draw = np.random.default_rng(seed)
    a = draw.normal(50, 10, events).astype(np.float32)
    b = (a + draw.normal(0, 0.5, events)).astype(np.float32)
    counts = draw.integers(0, 4, events)
    a_of_jet = np.repeat(a, counts)
    pt = (a_of_jet + draw.normal(0, 0.2, len(a_of_jet))).astype(np.float32)
    eta = (pt / 20 + draw.normal(0, 0.05, len(pt))).astype(np.float32)
    ends = np.cumsum(counts)[:-1]
    return {"a": a, "b": b, "Jet_pt": np.split(pt, ends), "Jet_eta": np.split(eta, ends)}


DEPENDENT_PARENTS: Parents = {
    "b": (Parent("row", "a"),),
    "Jet_pt": (Parent("event", "a"), Parent("event", "b"), Parent("index")),
    "Jet_eta": (Parent("row", "Jet_pt"), Parent("index"), Parent("event", "a")),
}
DEPENDENT_TOLERANCE = {"*": "abs:0.01"}


def related_events(events: int, seed: int) -> dict[str, object]:
    """`dependent_events`, and columns that follow from them: exactly, nearly, or but for some rows."""
    draw = np.random.default_rng(seed + 100)
    made = dependent_events(events, seed)
    counts = np.array([len(jets) for jets in made["Jet_pt"]])
    weight = draw.normal(0, 1, events).astype(np.float32)  # lossless
    weight[[1, 4, 9]] = np.array([0x7FC00005, 0x80000000, 0xFF800000], np.uint32).view(
        np.float32
    )
    # lossless, and repeating as only zstd sees
    repeating = np.resize(draw.normal(0, 1, 13), (events, 9))
    phi = np.append([-3.1415925, 3.1415925], draw.uniform(-np.pi, np.pi, events - 2))
    near = np.repeat(phi, counts) + 0.05 * (np.concatenate(made["Jet_pt"]) - 50)
    muons = draw.integers(0, 6, events)
    of_muon = np.repeat(np.arange(events), muons)
    index = np.where(
        draw.random(len(of_muon)) < 0.1,
        draw.integers(-1, 4, len(of_muon)),
        draw.integers(0, np.maximum(counts[of_muon], 1)),
    )
    pt_of = [
        made["Jet_pt"][e][i] if 0 <= i < counts[e] else 20.0
        for e, i in zip(of_muon, index, strict=True)
    ]
    ends, muon_ends = np.cumsum(counts)[:-1], np.cumsum(muons)[:-1]
    one, two = draw.integers(0, 30, (2, events)).astype(np.int16)
    eta, mass = (
        draw.normal(0, 1.5, events).astype(np.float32),
        draw.exponential(3, events).astype(np.float32),
    )
    wide = draw.integers(0, 4, (events, 90)).astype(np.int8)
    made = (
        {"weight": weight, "pdf_weight": repeating}
        | made
        | {"weight_again": weight.copy(), "one": one, "two": two}
    )
    made |= {
        "both": one + two + (draw.random(events) < 0.1).astype(np.int16),
        "phi": phi.astype(np.float32),
    }
    made |= {
        "met": np.where(
            draw.random(events) < 0.2, 0, made["a"] + draw.normal(0, 0.05, events)
        ).astype(np.float32)
    }
    moved = np.where(draw.random(events) < 0.06, 0, mass + made["b"]).astype(np.float32)
    made |= {"moved": moved}
    made |= {
        "eta": eta,
        "mass": mass,
        "wide": wide,
        "wide_more": wide + (draw.random(wide.shape) < 0.5).astype(np.int8),
    }
    made["Jet_phi"] = np.split(
        ((near + np.pi) % (2 * np.pi) - np.pi).astype(np.float32), ends
    )
    made["Muon_jetIdx"] = np.split(index.astype(np.int8), muon_ends)
    made["Muon_pt"] = np.split(
        (pt_of + draw.normal(0, 0.1, len(of_muon))).astype(np.float32), muon_ends
    )
    formulas = {
        name: [made[i].astype(np.float64) for i in inputs]
        for name, inputs in FORMULA_INPUTS.items()
    }
    return made | {
        f"f{k}": FUNCTIONS[name][1](*x).astype(np.float32)
        for k, (name, x) in enumerate(formulas.items())
    }


def of_event(*names: str) -> tuple[Parent, ...]:
    return tuple(Parent("row", name) for name in names)


FORMULA_INPUTS = {
    "x": ("mass",),
    "pt cos phi": ("a", "phi"),
    "pt sin phi": ("a", "phi"),
    "pt sinh eta": ("a", "eta"),
    "pt cosh eta": ("a", "eta"),
    "energy": ("a", "eta", "mass"),
    "hypot": ("a", "eta"),
    "hypot3": ("a", "eta", "mass"),
    "product": ("eta", "mass"),
    "quotient": ("eta", "a"),
    "angle": ("eta", "mass"),
    "pseudorapidity": ("a", "eta"),
    "pair mass": ("a", "eta", "phi", "b", "mass", "phi"),
}
RELATED_PARENTS: Parents = DEPENDENT_PARENTS | {
    "b": of_event("a", "weight"),
    "Jet_pt": (Parent("event", "a"), Parent("index"), Parent("leading", "pdf_weight")),
    "met": (Parent("prediction"), *of_event("a")),
    "Jet_eta": (
        Parent("row", "Jet_pt"),
        Parent("previous", "Jet_eta"),
        Parent("leading", "Jet_pt"),
    ),
    "Jet_phi": (Parent("row", "Jet_pt"), Parent("index")),
    "moved": (Parent("row", "b"), Parent("prediction")),
    "Muon_pt": (
        Parent("reference", "Jet_pt", "Muon_jetIdx"),
        Parent("same", "Jet_pt"),
        Parent("leading", "Jet_eta"),
        Parent("previous", "Muon_pt"),
        Parent("row", "Muon_jetIdx"),
    ),
}


def related_predictions(turn: tuple[int, int]) -> dict[str, Prediction]:
    """Relations among `related_events`; `turn` is the first index and the number of indices of a
    full turn.
    """

    def alone(relation: Relation, column: str, through: str = "") -> tuple[Term, ...]:
        return (Term(1.0, "x", (Parent(relation, column, through),)),)

    return {
        "weight_again": Prediction(alone("row", "weight")),
        "both": Prediction(alone("row", "one") + alone("row", "two")),
        "met": Prediction(alone("row", "a")),
        "moved": Prediction(alone("row", "mass")),
        "wide_more": Prediction(alone("row", "wide")),
        "Jet_phi": Prediction(alone("event", "phi"), turn),
        **{
            f"f{k}": Prediction((Term(1.0, n, of_event(*i)),))
            for k, (n, i) in enumerate(FORMULA_INPUTS.items())
        },
    }
