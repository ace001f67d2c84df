"""Features of the event so far that training proposes: for whom, and none that a file refuses."""

from collections.abc import Iterator

import numpy as np
import pytest

from flowtuple.data.schema import Array, Column, infer_role
from flowtuple.file.model import pack_flow, unpack_flow
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent, coding_order, collection_of
from flowtuple.lattice.event_features import EventFeature
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.training.conditioners import first_objects_often
from flowtuple.training.event_features import (
    balances,
    energy_features,
    propose_features,
    vector_groups,
)
from flowtuple.training.kinematics import value_of

JET = ("Jet_pt", "Jet_phi")
MUON = ("Muon_pt", "Muon_phi")
MET = ("MET_pt", "MET_phi")


def schema(*names: str) -> list[Column]:
    """Columns in coding order: MET of the event, counters, and objects of a collection each."""
    columns = []
    for name in names:
        stem, _, quantity = name.partition("_")
        if not quantity:
            columns.append(Column(name, "int32", "counter"))
            continue
        counter = f"n{stem}" if f"n{stem}" in names else None
        dtype = "int32" if quantity in ("charge", "id") else "float32"
        columns.append(Column(name, dtype, infer_role(name, dtype), counter=counter))
    return coding_order(columns)


COLUMNS = schema(
    "nMuon", "nJet", "MET_pt", "MET_phi",
    "Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge",
    "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_id",
)  # fmt: skip


def proposed(name: str, columns: list[Column] = COLUMNS) -> list[EventFeature]:
    at = next(k for k, c in enumerate(columns) if c.name == name)
    return list(propose_features(columns[at], columns, columns[:at]))


def kinds(name: str, columns: list[Column] = COLUMNS) -> dict[str, set[tuple[str, ...]]]:
    out: dict[str, set[tuple[str, ...]]] = {}
    for feature in proposed(name, columns):
        out.setdefault(feature.kind, set()).add(feature.columns)
    return out


ETA_PHI = ("Jet_eta", "Jet_phi")
MUON_PLACE = ("Muon_eta", "Muon_phi")


def test_what_pt_may_read() -> None:
    """Sums, what balances the first jet, and vectors of others: its own angle is not known yet."""
    assert kinds("Jet_pt") == {
        "sum": {("Jet_pt",), ("Muon_pt",)},
        "needed": {("Jet_pt",)},
        "length": {MET, (*MET, *MUON)},
    }


def test_what_eta_may_read() -> None:
    """The vector sums of the other collections, if any; its own jets have no phi yet."""
    found = kinds("Jet_eta")
    assert found["sum"] == {("Jet_eta",), ("Jet_pt",), ("Muon_pt",)}
    assert found["rest"] == found["needed"] == {("Jet_pt",)}
    assert found["mean"] == {("Jet_pt", "Jet_eta")}
    assert "size" not in found
    assert "distance" not in found
    assert found["length"] == {MET, (*MET, *MUON)}


def test_what_phi_may_read() -> None:
    """p_T and eta of all jets, phi of the earlier ones, and what lies beside it."""
    found = kinds("Jet_phi")
    groups = {JET, (*JET, *MET), (*JET, *MET, *MUON)}
    assert found["length"] == groups
    for kind, own in [("relative length", "Jet_pt"), ("opening", "Jet_pt")]:
        assert found[kind] == {(own, *g) for g in groups}
    for kind in ("turn of the first", "turn of the last"):
        assert found[kind] == {("Jet_phi", *g) for g in groups}
    assert found["size"] == {("Jet_eta",)}
    assert "distance" not in found
    assert found["back to back"] == {("Jet_pt", "Jet_eta")}
    assert "mass" not in found


def test_what_mass_may_read() -> None:
    found = kinds("Jet_mass")
    assert found["distance"] == {(*ETA_PHI, *ETA_PHI), (*ETA_PHI, *MUON_PLACE)}
    assert found["nearest"] == {
        ("Jet_pt", *ETA_PHI, *ETA_PHI),
        ("Muon_pt", *ETA_PHI, *MUON_PLACE),
    }
    assert ("Jet_mass",) in found["sum"]
    assert found["mass"] == {("Jet_pt", *ETA_PHI)}
    assert "back to back" not in found
    assert ("Jet_id",) not in kinds("Jet_id").get("sum", set())


def test_the_first_collection_reads_no_later_one() -> None:
    for name in ("Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge"):
        columns = {c for feature in proposed(name) for c in feature.columns}
        assert not any(c.startswith("Jet") for c in columns)
        order = [c.name for c in COLUMNS]
        assert max(order.index(c) for c in columns) <= order.index(name)


def test_vector_groups() -> None:
    at = [c.name for c in COLUMNS].index("Jet_phi")
    groups = list(vector_groups(COLUMNS[at], COLUMNS, COLUMNS[:at]))
    assert groups == [JET, (*JET, *MET), (*JET, *MET, *MUON)]
    alone = schema("nJet", "Jet_pt", "Jet_phi")
    assert list(vector_groups(alone[2], alone, alone[:2])) == [JET]
    reverse = schema("nJet", "Jet_phi", "Jet_pt")
    assert list(vector_groups(reverse[2], reverse, reverse[:2])) == []


def test_only_angles_of_objects_are_balanced() -> None:
    balanced = {
        c.name: [
            p.feature.columns for p in balances(c, COLUMNS, COLUMNS[:k]) if p.feature
        ]
        for k, c in enumerate(COLUMNS)
        if collection_of(c)
    }
    assert balanced.pop("Jet_phi") == [JET, (*JET, *MET), (*JET, *MET, *MUON)]
    assert balanced.pop("Muon_phi") == [MUON, (*MUON, *MET)]
    assert not any(balanced.values())


def test_energy_features() -> None:
    axes = tuple(Parent("row", f"Jet_{q}") for q in ("pt", "eta", "mass"))
    energy = Term(1.0, "energy", axes)
    less = Term(-1.0, "x", (Parent("row", "Jet_chE"),))
    names = ("Jet_pt", "Jet_eta", "Jet_mass")
    assert list(energy_features(None)) == []
    assert list(energy_features(Prediction((less,)))) == []
    assert list(energy_features(Prediction((energy, less)))) == [
        EventFeature("energy", names),
        EventFeature("left", (*names, "Jet_chE")),
    ]
    half = Term(0.5, "x", (Parent("row", "Jet_chE"),))
    assert list(energy_features(Prediction((energy, half)))) == [
        EventFeature("energy", names)
    ]


SCHEMAS = [
    COLUMNS,
    schema("nJet", "Jet_pt", "Jet_phi", "Jet_eta"),
    schema("nJet", "Jet_phi", "Jet_eta", "Jet_pt", "Jet_mass"),
    schema("nJet", "Jet_pt", "Jet_eta", "Jet_mass"),
    schema("nJet", "nGen", "Gen_pt", "Gen_phi", "Jet_phi", "Jet_pt", "Jet_btag"),
    schema("nA", "A_x", "A_id", "A_weight"),
    schema("nTrack", "Track_dxy", "nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"),
    schema(
        "nJet", "nA", "nB", "nC", "MET_pt", "MET_phi", "PV_pt", "PV_phi",
        *(f"{s}_{q}" for s in ("A", "B", "C", "Jet") for q in ("pt", "eta", "phi", "m")),
    ),
]  # fmt: skip


def every_proposal() -> Iterator[tuple[list[Column], Column, EventFeature]]:
    for columns in SCHEMAS:
        for k, column in enumerate(columns):
            if collection_of(column):
                for feature in propose_features(column, columns, columns[:k]):
                    yield columns, column, feature
                for parent in balances(column, columns, columns[:k]):
                    if parent.feature is not None:
                        yield columns, column, parent.feature


def test_the_file_takes_whatever_is_proposed() -> None:
    net = Network((Layer(np.zeros((3, 2), np.int8), np.full(3, 4, np.uint8)),))
    bins, empty = Bins(np.int64([0, 5]), np.int64([4, 9])), np.empty(0, np.int64)
    seen = set()
    for columns, reader, feature in every_proposal():
        with_knots = EventFeature(feature.kind, feature.columns, (0.0, 1.0))
        parent = Parent("feature", feature=with_knots)
        flow = ColumnFlow(bins, (parent,), net)
        flows = {c.name: ColumnFlow(Bins(empty, empty)) for c in columns}
        predicted = Prediction((value_of(Parent("feature", feature=feature)),))
        for own in (flow, ColumnFlow(bins, (), None, predicted, True)):
            model = LatticeFlow(flows | {reader.name: own})
            again = unpack_flow(pack_flow(model, columns), columns)
            assert again.columns[reader.name].parents == own.parents
            assert again.columns[reader.name].prediction == own.prediction
        seen.add(feature.kind)
    assert seen >= {"sum", "needed", "mean", "balance", "opening", "distance", "nearest"}


def test_no_feature_is_proposed_twice() -> None:
    for columns in SCHEMAS:
        for k, column in enumerate(columns):
            if collection_of(column):
                found = list(propose_features(column, columns, columns[:k]))
                assert len(found) == len(set(found)), column.name


def test_objects_without_kinematics_read_sums_alone() -> None:
    columns = schema("nA", "A_x", "A_id", "A_weight")
    for name in ("A_x", "A_weight"):
        assert proposed(name, columns) == [EventFeature("sum", (name,))]
    assert proposed("A_id", columns) == []
    eta = schema("nJet", "Jet_pt", "Jet_eta", "Jet_mass")
    assert kinds("Jet_mass", eta) == {"sum": {("Jet_mass",)}}


def seen_often(event: Array) -> list[int]:
    chosen = first_objects_often(event)
    assert chosen.max(initial=-1) < len(event)
    return np.bincount(chosen, minlength=len(event)).tolist()


@pytest.mark.parametrize(
    ("event", "times"),
    [
        ([], []),
        ([0], [1]),
        ([0, 1, 2, 5], [1, 1, 1, 1]),
        # five rows, two classes of object numbers: two rows more of each
        ([0, 1, 2, 3, 1], [2, 2, 1, 1, 3]),
        # one event of six objects: from the fourth on they are one class
        ([7, 7, 7, 7, 7, 7], [2, 2, 2, 2, 1, 1]),
    ],
)
def test_first_objects_are_seen_often(event: list[int], times: list[int]) -> None:
    assert seen_often(np.array(event, np.int64)) == times


def test_classes_are_seen_equally_often() -> None:
    counts = np.array([400, *[1] * 300, *[2] * 100])
    number = np.concatenate([np.arange(c) for c in counts])
    order = np.argsort(number, kind="stable")
    event = np.repeat(np.arange(len(counts)), counts)[order]
    times = np.array(seen_often(event))
    assert times.min() == 1
    share, number = len(event) // 4, number[order]
    for k in range(4):
        own = np.minimum(number, 3) == k
        assert (times[own] - 1).sum() == share
        assert np.ptp(times[own]) <= 1
