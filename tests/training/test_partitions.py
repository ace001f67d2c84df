"""Parts of an energy: those that add up are predicted by what is left, others are not."""

import numpy as np
import pytest

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Parent
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.prediction import FUNCTIONS, Prediction, Term
from flowtuple.lattice.statistics import Statistics
from flowtuple.lattice.walk import TableCoding
from flowtuple.training.kinematics import value_of
from flowtuple.training.partitions import find_partitions, parts_rules
from flowtuple.training.sample import RowSample

EVENTS = 1500
PARTS = ("Jet_chE", "Jet_neE", "Jet_phE", "Jet_muE")
AXES = ("Jet_pt", "Jet_eta", "Jet_mass")


def jets(seed: int = 1) -> dict[str, Array]:
    """Jets whose four parts add up to their energy; the last one is rarely there."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 4, EVENTS)
    n = int(counts.sum())
    pt, eta = 20 + draw.exponential(30, n), draw.uniform(-2, 2, n)
    mass = 0.1 * pt
    energy = np.hypot(pt * np.cosh(eta), mass)
    shares = draw.dirichlet([3, 1, 2, 1], n)
    shares[draw.random(n) < 0.9, 3] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    made = dict(zip(AXES, (pt, eta, mass), strict=True))
    made |= {name: shares[:, k] * energy for k, name in enumerate(PARTS)}
    return {"nJet": counts} | {name: x.astype(np.float32) for name, x in made.items()}


def table_of(data: dict[str, Array]) -> Table:
    columns = tuple(
        Column(n, str(x.dtype), "counter")
        if n == "nJet"
        else Column(n, str(x.dtype), counter="nJet")
        for n, x in data.items()
    )
    return Table("t", columns, EVENTS, data)


def lattices_of(table: Table, bound: str = "abs:0.01") -> dict[str, Lattice]:
    out = {}
    for column in table.columns:
        statistics = Statistics(column.dtype)
        statistics.update(table.data[column.name])
        parsed = Bound.parse(bound if column.is_float else "lossless")
        out[column.name] = resolve(column, parsed, statistics)
    return out


def found(data: dict[str, Array], **known: Prediction) -> dict[str, Prediction]:
    table = table_of(data)
    return dict(find_partitions(RowSample(table, lattices_of(table)), known))


def terms(prediction: Prediction) -> list[tuple[float, str, tuple[str, ...]]]:
    return [
        (t.coefficient, t.function, tuple(p.column for p in t.inputs))
        for t in prediction.terms
    ]


WHOLE = (1.0, "energy", AXES)


@pytest.mark.parametrize("order", [PARTS, PARTS[::-1]])
def test_each_part_is_predicted_by_what_is_left(order: tuple[str, ...]) -> None:
    data = jets()
    partition = found({n: data[n] for n in ("nJet", *AXES, *order)})
    assert list(partition) == list(order)
    for k, name in enumerate(order):
        assert terms(partition[name]) == [WHOLE, *((-1.0, "x", (p,)) for p in order[:k])]


def test_other_columns_are_no_parts() -> None:
    data = jets()
    some = np.random.default_rng(5).exponential(5, len(data["Jet_pt"]))
    more = {"Jet_area": some.astype(np.float32), "Jet_neg": -data["Jet_chE"]}
    assert list(found(data | more)) == list(PARTS)


def test_copies_and_sums_are_no_parts() -> None:
    data = jets()
    copy = Prediction((value_of(Parent("row", "Jet_chE")),))
    both = Prediction(tuple(value_of(Parent("row", n)) for n in PARTS[:2]))
    more = {
        "Jet_copy": data["Jet_chE"].copy(),
        "Jet_sum": data["Jet_chE"] + data["Jet_neE"],
    }
    assert list(found(data | more, Jet_copy=copy, Jet_sum=both)) == list(PARTS)


def test_parts_that_do_not_close() -> None:
    data = jets()
    del data["Jet_neE"]
    assert found(data) == {}


def test_two_parts_are_a_sum_and_no_partition() -> None:
    data = jets()
    rest = data["Jet_neE"] + data["Jet_phE"] + data["Jet_muE"]
    assert (
        found({n: data[n] for n in ("nJet", *AXES, "Jet_chE")} | {"Jet_rest": rest}) == {}
    )


def test_parts_before_the_axes_are_not_predicted_by_them() -> None:
    data = jets()
    assert found({n: data[n] for n in ("nJet", *PARTS, *AXES)}) == {}


@pytest.mark.parametrize("part", PARTS)
def test_what_is_left_predicts_a_part_that_others_predict(part: str) -> None:
    """Whatever else predicts it, parts that add up need all of their predictions."""
    other = Prediction((Term(0.5, "x", (Parent("row", "Jet_pt"),)),))
    assert found(jets(), **{part: other}) == found(jets())


def rules_of(
    data: dict[str, Array], bound: str
) -> tuple[Table, TableCoding, list[object]]:
    table = table_of(data)
    coding = TableCoding(table.columns, lattices_of(table, bound), LatticeFlow())
    predictions = dict(find_partitions(RowSample(table, coding.lattices), {}))
    return table, coding, list(parts_rules(table, coding, predictions))


@pytest.mark.parametrize(
    ("bound", "share"),
    # what eta is rounded by moves the energy by as much in relation to itself
    [("abs:0.001", 0.002), ("abs:0.05", 0.06), ("rel:1e-3", 0.005), ("lossless", 1e-4)],
)
def test_no_row_exceeds_the_tolerance(bound: str, share: float) -> None:
    table, coding, (rule,) = rules_of(jets(), bound)
    assert rule.columns == AXES + PARTS
    absolute, relative = rule.numbers
    x = {
        n: coding.lattices[n].snap(table.data[n]).astype(np.float64) for n in rule.columns
    }
    energy = FUNCTIONS["energy"][1](*(x[n] for n in AXES))
    missing = np.abs(energy - sum(x[n] for n in PARTS))
    assert (missing <= (absolute + relative * energy) * (1 + 1e-9)).all()
    assert absolute + relative * energy.mean() < share * energy.mean()


def test_one_row_far_off_leaves_the_prediction_and_no_rule() -> None:
    data = jets()
    data["Jet_chE"][-1] += 0.5 * data["Jet_pt"][-1]
    data["Jet_chE"][-1] *= 2
    table, _, rules = rules_of(data, "abs:0.01")
    assert rules == []
    assert list(found(table.data)) == list(PARTS)


def test_an_energy_without_parts_has_no_rule() -> None:
    table = table_of(jets())
    coding = TableCoding(table.columns, lattices_of(table), LatticeFlow())
    other = {"Jet_chE": Prediction((value_of(Parent("row", "Jet_pt")),))}
    assert list(parts_rules(table, coding, {})) == []
    assert list(parts_rules(table, coding, other)) == []


def test_an_object_without_energy_whose_parts_have_some() -> None:
    data = jets()
    data["Jet_pt"][-1] = data["Jet_mass"][-1] = 0
    assert rules_of(data, "abs:0.01")[2] == []
    for name in PARTS:
        data[name][-1] = 0
    assert len(rules_of(data, "abs:0.01")[2]) == 1
