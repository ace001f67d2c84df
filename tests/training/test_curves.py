"""Curves: which columns are proposed as functions of others, and that they predict closely."""

import numpy as np
import pytest

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column, infer_role
from flowtuple.data.table import Table
from flowtuple.lattice.lattice import resolve
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.statistics import Statistics
from flowtuple.training.curves import curves
from flowtuple.training.relations import find_predictions
from flowtuple.training.sample import RowSample

EVENTS = 2000


def leptons(seed: int = 3, **more: Array) -> Table:
    """Two leptons an event: a resolution by p_T and |eta|, an error that falls with p_T, noise."""
    draw = np.random.default_rng(seed)
    pt, eta = draw.exponential(20, 2 * EVENTS) + 3, draw.uniform(-2.4, 2.4, 2 * EVENTS)
    data = {
        "pt": pt,
        "eta": eta,
        "phi": draw.uniform(-np.pi, np.pi, len(pt)),
        "noise": draw.exponential(1, len(pt)),
        "ptErr": 0.01 * pt * (1 + 0.2 * eta**2) * draw.normal(1, 0.04, len(pt)),
        "posErr": np.hypot(1, 8 / pt)
        * (1 + 0.3 * eta**2)
        * draw.normal(1, 0.04, len(pt)),
        "pull": draw.normal(0, 1, len(pt)),
    } | more
    columns = [Column("nLep", "int32", "counter")]
    for name in data:
        role = infer_role(f"Lep_{name}", "float32")
        columns.append(Column(f"Lep_{name}", "float32", role, counter="nLep"))
    values = {f"Lep_{n}": x.astype(np.float32) for n, x in data.items()}
    counts = np.full(EVENTS, 2, np.int32)
    return Table("T", tuple(columns), EVENTS, {"nLep": counts} | values)


def sampled(table: Table) -> RowSample:
    lattices = {}
    for c in table.columns:
        statistics = Statistics(c.dtype)
        statistics.update(table.data[c.name])
        bound = Bound("rel", 1e-3) if c.is_float else Bound()
        lattices[c.name] = resolve(c, bound, statistics)
    return RowSample(table, lattices)


@pytest.mark.parametrize(("name", "reads"), [("ptErr", "Lep_eta"), ("posErr", "Lep_pt")])
def test_a_resolution_is_predicted_to_its_noise(name: str, reads: str) -> None:
    sample = sampled(leptons())
    proposals = {c.name: (c, terms) for c, terms in curves(sample)}
    column, terms = proposals[f"Lep_{name}"]
    prediction = Prediction(terms)
    assert reads in {n for p in prediction.inputs for n in p.names}
    values, present = prediction.evaluate(lambda p: sample.values(p, column))
    assert present.all()
    ratio = sample.context.values[column.name] / values
    assert ratio.std() < 0.05
    assert np.median(ratio) == pytest.approx(1, abs=0.01)


def test_what_follows_nothing_or_changes_sign_has_no_curve() -> None:
    proposals = [c.name for c, _ in curves(sampled(leptons()))]
    assert sorted(proposals) == ["Lep_posErr", "Lep_ptErr"]


def test_few_rows_and_odd_values_have_no_curve() -> None:
    assert not list(curves(sampled(leptons().read(["Lep_pt", "Lep_ptErr"], 0, 200))))
    negative = leptons()
    negative.data["Lep_ptErr"][7] = -1
    assert [c.name for c, _ in curves(sampled(negative))] == ["Lep_posErr"]
    holes = leptons()
    holes.data["Lep_ptErr"][::2] = np.nan
    assert len(list(curves(sampled(holes)))) == 2
    constant = leptons(same=np.full(2 * EVENTS, 2.0))
    assert "Lep_same" not in [c.name for c, _ in curves(sampled(constant))]


def test_curves_are_for_whole_events() -> None:
    table = leptons()
    sample = sampled(table)
    for whole in (False, True):
        found = find_predictions(table, sample.lattices, whole_events=whole)
        parents = [p for x in found.values() for p in x.inputs]
        kinds = {p.feature.kind for p in parents if p.feature is not None}
        assert ("place of size" in kinds) == whole
