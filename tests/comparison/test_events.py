"""Numbers of whole events, and the comparison of samples by them."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.comparison.events.event_sample import MOST_FEATURES, read_events
from flowtuple.comparison.two_sample.adjusting import adjusted_p_values
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import open_dataset

pytest.importorskip("sklearn")

Event = dict[str, list[float]]


def events(seed: int, number: int = 60, **shifts: float) -> dict[str, Any]:
    """Jets and muons of random events, with a missing momentum and a weight."""
    draw = np.random.default_rng(seed)
    out: dict[str, Any] = {
        "MET_pt": draw.exponential(20, number) + shifts.get("met", 0.0),
        "MET_phi": draw.uniform(-np.pi, np.pi, number),
        "event": np.arange(number),
        "w": draw.random(number) + 0.5,
    }
    for name, mean in (("Jet", 3), ("Muon", 1)):
        counts = draw.poisson(mean, number)
        total = counts.sum()
        columns = {
            "pt": draw.exponential(30, total) + 5,
            "eta": draw.normal(0, 1.5, total),
            "phi": draw.uniform(-np.pi, np.pi, total),
            "mass": draw.exponential(5, total),
            "n": draw.poisson(2, total),
        }
        out |= {f"{name}_{k}": ak.unflatten(v, counts) for k, v in columns.items()}
    return out


def slow_features(sample: dict[str, Any], e: int) -> dict[str, float]:
    """Some numbers of one event, object by object."""

    def objects(name: str) -> list[dict[str, float]]:
        keys = ("pt", "eta", "phi", "mass", "n")
        columns = {k: ak.to_list(sample[f"{name}_{k}"][e]) for k in keys}
        rows = [
            dict(zip(keys, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        ]
        return sorted(rows, key=lambda row: -row["pt"])

    def momentum(o: dict[str, float]) -> np.ndarray:
        x, y = o["pt"] * np.cos(o["phi"]), o["pt"] * np.sin(o["phi"])
        z = o["pt"] * np.sinh(o["eta"])
        return np.array([x, y, z, np.sqrt(x * x + y * y + z * z + o["mass"] ** 2)])

    def distance(a: dict[str, float], b: dict[str, float]) -> float:
        dphi = np.abs(np.angle(np.exp(1j * (a["phi"] - b["phi"]))))
        return float(np.hypot(a["eta"] - b["eta"], dphi))

    def mass(a: dict[str, float], b: dict[str, float]) -> float:
        total = momentum(a) + momentum(b)
        return float(np.sqrt(total[3] ** 2 - np.square(total[:3]).sum()))

    jets, muons = objects("Jet"), objects("Muon")
    out = {"nJet": float(len(jets)), "nMuon": float(len(muons))}
    out["Jet_HT"] = sum(j["pt"] for j in jets)
    total = sum((momentum(j) for j in jets), np.zeros(4))
    out["Jet_MHT"] = float(np.hypot(*total[:2]))
    out["Jet_n_sum"] = float(sum(j["n"] for j in jets))
    met, phi = sample["MET_pt"][e], sample["MET_phi"][e]
    rest = total[0] + met * np.cos(phi), total[1] + met * np.sin(phi)
    out["MET_Jet_sum"] = float(np.hypot(*rest))
    for k, jet in enumerate(jets[:3]):
        out[f"Jet{k + 1}_mass"] = jet["mass"]
    if jets:
        out["Jet_n_max"] = float(max(j["n"] for j in jets))
        out["Jet_mass_mean"] = sum(j["mass"] * j["pt"] for j in jets) / out["Jet_HT"]
        out["MET_Jet1_dphi"] = float(
            np.abs(np.angle(np.exp(1j * (phi - jets[0]["phi"]))))
        )
    pairs = sorted(distance(a, b) for k, a in enumerate(jets) for b in jets[k + 1 :])
    crossed = sorted(distance(a, b) for a in jets for b in muons)
    for stem, values in (("Jet", pairs), ("Jet_Muon", crossed)):
        out |= dict(zip((f"{stem}_dR_min", f"{stem}_dR_min2"), values, strict=False))
    if len(jets) > 1:
        out["Jet12_mass"] = mass(jets[0], jets[1])
        out["Jet12_dR"] = distance(jets[0], jets[1])
        out["Jet_balance"] = jets[1]["pt"] / jets[0]["pt"]
    if jets and muons:
        out["Jet1_Muon1_mass"] = mass(jets[0], muons[0])
    return out


class TestFeatures:
    def test_equal_those_of_a_slow_reference(self) -> None:
        sample = events(1)
        rows = read_events(open_dataset(sample), weights="w").rows
        assert rows.weights is not None
        assert rows.weights.tolist() == sample["w"].tolist()
        assert "event" not in rows.columns
        for e in range(rows.events):
            made = dict(zip(rows.columns, rows.values[e], strict=True))
            slow = slow_features(sample, e)
            for name, value in slow.items():
                assert made[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
            for name in ("Jet3_mass", "Jet_dR_min2", "Jet_Muon_dR_min", "Jet12_mass"):
                assert np.isnan(made[name]) == (name not in slow), name

    def test_expressions_of_objects_and_events(self) -> None:
        features = ("Jet_share=Jet_mass / Jet_pt", "fraction=Jet1_pt / Jet_HT")
        rows = read_events(open_dataset(events(2)), ["Jet_*"], features=features).rows
        made = dict(zip(rows.columns, rows.values.T, strict=True))
        some = np.isfinite(made["Jet1_pt"])
        share = made["Jet1_mass"] / made["Jet1_pt"]
        assert made["Jet1_share"][some] == pytest.approx(share[some])
        fraction = made["Jet1_pt"] / made["Jet_HT"]
        assert made["fraction"][some] == pytest.approx(fraction[some])
        assert not any(name.startswith("Muon") for name in rows.columns)

    @pytest.mark.parametrize(
        ("feature", "message"),
        [
            ("Jet_pt > 3", "the feature 'Jet_pt > 3' is not NAME=EXPRESSION"),
            ("x=Jet_pt / 'a'", "the expression cannot hold"),
            ("x=nJet / missing", "the expression names column 'missing'"),
            ("x=3", "the expression '3' names no column"),
        ],
    )
    def test_bad_expressions(self, feature: str, message: str) -> None:
        with pytest.raises(InvalidArgument, match=message):
            read_events(open_dataset(events(2)), features=[feature])

    def test_objects_without_momenta_and_events_without_objects(self) -> None:
        sample = {"hits_t": ak.Array([[], [3.0, 1.0], []]), "run": [1, 1, 1]}
        rows = read_events(open_dataset(sample)).rows
        made = dict(zip(rows.columns, rows.values[1], strict=True))
        assert made["hits_t_sum"] == 4
        assert made["hits_t_mean"] == 2
        assert made["hits1_t"] == 3
        assert np.isnan(rows.values[0, rows.columns.index("hits_t_max")])

    def test_there_are_no_more_than_some(self) -> None:
        sample = {f"J_x{k}": ak.Array([[1.0 * k, 2.0]] * 30) for k in range(150)}
        read = read_events(open_dataset(sample))
        assert len(read.rows.columns) == MOST_FEATURES
        # 150 columns with three leading objects, sum, mean and largest, and the number of objects
        assert read.left_out == 150 * 6 + 1 - MOST_FEATURES


class TestComparison:
    def test_events_are_compared_where_there_are_objects(self) -> None:
        options = ft.ComparisonOptions(permutations=100)
        measured = ft.compare(
            events(1), events(2, met=20.0), tests=["ks"], weight="w", options=options
        )
        assert measured.unit == "events"
        assert measured.reference.rows == 60
        rejected = {o.column for o in measured.outcomes if o.rejected}
        assert "MET_pt" in rejected
        assert {name.partition("_")[0] for name in rejected} == {"MET"}
        worst = max(measured.outcomes, key=lambda o: o.deviations or 0.0)
        assert worst.column == "MET_pt"

    def test_unknown_unit_and_features_of_rows(self) -> None:
        for options, message in (
            (ft.ComparisonOptions(unit="event"), "no unit 'event'; nearest: events"),
            (
                ft.ComparisonOptions(unit="rows", features=["a=nJet"]),
                "`features=` are numbers of events",
            ),
        ):
            with pytest.raises(InvalidArgument, match=message):
                ft.compare(events(1), events(2), options=options)

    def test_columns_that_say_the_same_cost_nothing(self) -> None:
        draw = np.random.default_rng(1)
        one = np.concatenate([[3.2], draw.normal(size=999)])
        values = np.tile(one, (50, 1)) * np.arange(1, 51)[:, None]
        many = adjusted_p_values(values, ["ks"] * 50, 0)
        alone = adjusted_p_values(values[:1], ["ks"], 0)
        assert many.adjusted == pytest.approx(np.full(50, alone.adjusted[0]), abs=2e-3)
        apart = adjusted_p_values(values[:2], ["ks", "w1"], 0)
        assert apart.adjusted == pytest.approx(2 * alone.adjusted[[0, 0]], rel=0.5)

    def test_adjusted_p_values_are_uniform_for_each_test(self) -> None:
        draw = np.random.default_rng(5)
        least = [
            adjusted_p_values(draw.gamma(2, size=(30, 100)), ["a"] * 30, k).adjusted.min()
            for k in range(300)
        ]
        stats = pytest.importorskip("scipy.stats")
        assert stats.kstest(least, "uniform").pvalue > 0.01
