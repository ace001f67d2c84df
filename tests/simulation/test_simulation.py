"""Simulation: the steps lose nothing, the same seed gives the same bits, physics is learned."""

import functools
import json
import operator
import warnings
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot
from click.testing import Result
from typer.testing import CliRunner

import flowtuple as ft
from flowtuple.cli.app import app
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.flat_events import take_events
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.table import read_all
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.source import open_dataset
from flowtuple.runtime.progress import silent
from flowtuple.simulation.block import Block
from flowtuple.simulation.build_spec import build_spec
from flowtuple.simulation.cells import Cells, find_cells
from flowtuple.simulation.fit_spec import fit_spec
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.response import Response, as_angle
from flowtuple.simulation.sampler import Sampler
from flowtuple.simulation.shares import (
    energy,
    find_hypots,
    find_scales,
    find_shares,
    find_sums,
    from_shares,
    to_shares,
)
from flowtuple.simulation.simulator import SimulatedTable
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import TrainingTargets, training_tables

TARGET = ["Jet_*", "Muon_*", "MET_*", "HLT_Jet40"]
GIVEN = ["GenJet_*", "GenMuon_*", "GenMET_*", "Pileup_nPU"]
EFFICIENCY, SCALE, WIDTH = 0.8, 0.9, 0.1


def make_events(n: int, seed: int) -> ak.Array:
    """Make jets with an efficiency, a response and extras by pile-up, muons in jets, and MET."""
    draw = np.random.default_rng(seed)

    def objects(mean: float, low: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        counts = draw.poisson(mean, n)
        size = counts.sum()
        phi = draw.uniform(-np.pi, np.pi, size)
        return counts, {
            "pt": low + draw.exponential(30, size),
            "eta": draw.normal(0, 1.5, size),
            "phi": phi,
        }

    npu = draw.poisson(10, n)
    (gen_counts, gen), (mu_counts, mu) = objects(3.0, 10.0), objects(0.5, 5.0)
    mu["pt"] = mu["pt"][np.lexsort((-mu["pt"], np.repeat(np.arange(n), mu_counts)))]
    event = np.repeat(np.arange(n), gen_counts)
    number = np.arange(len(event)) - np.repeat(
        np.cumsum(gen_counts) - gen_counts, gen_counts
    )
    copies = np.where(
        draw.random(len(event)) < EFFICIENCY, 1 + (draw.random(len(event)) < 0.05), 0
    )
    source = np.repeat(np.arange(len(event)), copies)
    matched = {
        "event": event[source],
        "pt": gen["pt"][source] * draw.normal(SCALE, WIDTH, len(source)),
        "eta": gen["eta"][source] + draw.normal(0, 0.02, len(source)),
        "phi": as_angle(gen["phi"][source] + draw.normal(0, 0.02, len(source))),
        "genJetIdx": number[source],
    }
    extra = np.repeat(np.arange(n), draw.poisson(npu / 20))
    more = {
        "event": extra,
        "pt": 5 + draw.exponential(5, len(extra)),
        "eta": draw.normal(0, 2, len(extra)),
    }
    more |= {
        "phi": draw.uniform(-np.pi, np.pi, len(extra)),
        "genJetIdx": np.full(len(extra), -1),
    }
    jets = {name: np.concatenate([matched[name], more[name]]) for name in matched}
    order = np.lexsort((-jets["pt"], jets["event"]))
    jets = {name: content[order] for name, content in jets.items()}
    counts = np.bincount(jets["event"], minlength=n)
    mass = (0.1 * jets["pt"]).astype("f4")
    jagged = {
        f"Jet_{q}": ak.unflatten(jets[q].astype("f4"), counts)
        for q in ("pt", "eta", "phi")
    }
    jagged |= {
        "Jet_mass": ak.unflatten(mass, counts),
        "Jet_genJetIdx": ak.unflatten(jets["genJetIdx"].astype("i4"), counts),
    }
    parts, total = (
        draw.dirichlet([2, 1, 2], len(mass)),
        energy([jets[q] for q in ("pt", "eta")] + [mass]),
    )
    parts[draw.random(len(mass)) < 0.3, 1] = 0.0
    parts = parts / parts.sum(axis=1, keepdims=True) * total[:, None]
    jagged |= {
        f"Jet_{q}E": ak.unflatten(parts[:, k].astype("f4"), counts)
        for k, q in enumerate(("ch", "ne", "pho"))
    }
    jagged |= {"Jet_neN": ak.unflatten((parts[:, 1] > 0).astype("i4"), counts)}
    jagged |= {
        f"GenJet_{q}": ak.unflatten(v.astype("f4"), gen_counts) for q, v in gen.items()
    }
    jagged |= {"GenJet_mass": ak.unflatten((0.1 * gen["pt"]).astype("f4"), gen_counts)}
    jagged |= {
        "GenJet_flavour": ak.unflatten(
            draw.integers(0, 6, len(event)).astype("i4"), gen_counts
        )
    }
    jagged |= {
        f"GenMuon_{q}": ak.unflatten(v.astype("f4"), mu_counts) for q, v in mu.items()
    }
    jagged |= {
        f"Muon_{q}": ak.unflatten(v.astype("f4"), mu_counts) for q, v in mu.items()
    }
    jagged |= {
        "Muon_genMuonIdx": ak.values_astype(ak.local_index(jagged["Muon_pt"]), "i4")
    }
    near = ak.cartesian({"m": jagged["Muon_eta"], "j": jagged["Jet_eta"]}, nested=True)
    nearest = ak.fill_none(ak.argmin(abs(near["m"] - near["j"]), axis=-1), -1)
    jagged |= {"Muon_jetIdx": ak.values_astype(nearest, "i4")}
    met, direction = draw.exponential(20, n), draw.uniform(-np.pi, np.pi, n)
    flat = {
        "run": np.ones(n, "u4"),
        "luminosityBlock": np.ones(n, "u4"),
        "event": np.arange(n, dtype="u8"),
    }
    flat |= {
        "genWeight": draw.uniform(0.5, 2, n).astype("f4"),
        "Pileup_nPU": npu.astype("i4"),
    }
    flat |= {"GenMET_pt": met.astype("f4"), "GenMET_phi": direction.astype("f4")}
    flat |= {
        "MET_pt": (met + draw.exponential(2, n)).astype("f4"),
        "MET_phi": direction.astype("f4"),
    }
    flat |= {
        "HLT_Jet40": ak.to_numpy(ak.fill_none(ak.max(jagged["Jet_pt"], axis=1), 0)) > 40
    }
    return ak.Array({**flat, **jagged})


def spec_of(events: ak.Array) -> tuple[SimulationSpec, Block, object]:
    table = read_all(OwnCounters(open_dataset(events).table("events")))
    spec = build_spec("events", table.columns, TARGET, GIVEN)
    block = Block.of(table, [*spec.generated, *(t.objects for t in spec.targets)])
    return fit_spec(spec, block), block, table


@pytest.fixture(scope="module")
def events() -> ak.Array:
    return make_events(4000, 1)


@pytest.fixture(scope="module")
def model(events: ak.Array, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("simulation") / "sim.flow"
    assert (
        ft.train_simulation(events, path, target=TARGET, given=GIVEN, effort="fast") == ()
    )
    return str(path)


def generated(events: ak.Array) -> ak.Array:
    return events[
        [
            name
            for name in events.fields
            if name.startswith(("Gen", "gen", "run", "lumi", "event", "Pileup"))
        ]
    ]


@pytest.mark.slow
def test_the_steps_lose_nothing(events: ak.Array) -> None:
    """With the truth at every step the program gives back the very events."""
    spec, true, _ = spec_of(events[:1000])
    given = {
        name: values for name, values in true.values.items() if name not in spec.simulated
    }
    block = Block(
        true.events, {c.name: true.counts[c.name] for c in spec.generated}, given
    )
    run(block, spec, TrainingTargets(true, spec))
    rounded = {r.column for t in spec.targets for r in t.responses} | {
        n for r in spec.recoils for n in (r.pt, r.phi)
    }
    rounded |= {
        n for t in spec.targets for n in (*t.shares, *t.sums, *t.hypots, *t.scales)
    }
    assert spec.targets[0].shares == ("Jet_chE", "Jet_neE", "Jet_phoE")
    for name in spec.simulated:
        if name not in true.values or name.startswith("n("):
            continue
        if name in rounded:
            assert np.allclose(
                block.values[name], true.values[name], rtol=1e-4, atol=1e-4
            ), name
        else:
            assert np.array_equal(block.values[name], true.values[name]), name
        assert block.values[name].dtype == true.values[name].dtype, name
    for target in spec.targets:
        assert np.array_equal(
            block.counts[target.objects.name], true.counts[target.objects.name]
        )


@pytest.mark.slow
def test_a_spec_comes_back_from_json(events: ak.Array) -> None:
    spec, _, _ = spec_of(events[:500])
    assert (
        SimulationSpec.from_json(json.loads(json.dumps(spec.to_json(), sort_keys=True)))
        == spec
    )
    with pytest.raises(Corrupt, match="simulation that does not exist"):
        SimulationSpec.from_json(spec.to_json() | {"targets": [{}]})


@pytest.mark.parametrize("kind", ["ratio", "difference", "turn"])
def test_responses_are_inverted(kind: str) -> None:
    draw = np.random.default_rng(0)
    response = Response("Jet_x", "GenJet_x", kind, 0.5 if kind == "ratio" else 0.0)  # type: ignore[arg-type]
    gen, reco = (
        {"GenJet_x of partner": draw.uniform(-3, 3, 100)},
        draw.uniform(-3, 3, 100),
    )
    assert np.allclose(response.inverse(response.forward(reco, gen), gen), reco)
    if kind == "turn":
        assert np.abs(response.forward(reco, gen)).max() <= np.pi


@pytest.mark.parametrize("floor", [0.0, 15.0])
def test_responses_in_cells_have_one_shape_and_are_inverted(floor: float) -> None:
    """Half of a detector has five times the resolution of the other half.

    With a floor most p_T lie close to a threshold.
    """
    draw = np.random.default_rng(0)
    gen, eta = draw.exponential(20, 20_000) + 12, np.abs(draw.normal(0, 2, 20_000))
    reco = gen * draw.normal(1, np.where(eta < 1.3, 0.02, 0.1))
    above = reco > floor
    partners, reco = (
        {"G_pt of partner": gen[above], "|G_eta| of partner": eta[above]},
        reco[above],
    )
    response = Response("R_pt", "G_pt", "ratio", floor).in_cells(reco, partners, partners)
    assert response.cells is not None
    assert min(abs(np.array(response.cells.edge) - 1.3)) < 0.01
    learned = response.forward(reco, partners)
    assert np.allclose(response.inverse(learned, partners), reco)
    far = partners["G_pt of partner"] > 50  # where no threshold is felt
    widths = [
        np.subtract(*np.quantile(learned[far & side], [0.84, 0.16])) / 2
        for side in (eta[above] < 1.3, eta[above] > 1.3)
    ]
    assert widths == pytest.approx([1, 1], abs=0.1)
    if floor:
        assert (
            response.inverse(np.full(len(reco), -9.0), partners).astype(np.float32)
            >= floor
        ).all()


def test_cells_find_an_edge_and_few_rows_find_none() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.uniform(-1, 1, 5000), draw.uniform(-1, 1, 5000)
    target = np.where(x < 0.25, 0.0, 1.0)
    cells = find_cells({"x": x, "y": y}, target)
    assert cells is not None
    described = cells.with_figures(
        {"x": x, "y": y}, target, lambda part: (float(part.mean()), float(len(part)))
    )
    assert np.array_equal(described.figure({"x": x, "y": y})[:, 0], target)
    assert described.figure({"x": x, "y": y})[:, 1].min() >= 200
    assert (
        described.figure({"x": np.array([np.nan]), "y": np.zeros(1)})[0, 0] == 0
    )  # NaN counts as 0, as in training
    assert find_cells({"x": x[:300]}, target[:300]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"left": [0, -1, -1]},
        {"right": [7, -1, -1]},
        {"edge": [0.5]},
        {"column": [3, -1, -1]},
        {"figures": [[], [1.0], []]},
        {"figures": [[], [1.0], [1.0, 2.0]]},
        {"column": [], "edge": [], "left": [], "right": [], "figures": []},
    ],
)
def test_cells_that_are_no_tree_are_refused(change: dict[str, Any]) -> None:
    good = {
        "columns": ["x"],
        "column": [0, -1, -1],
        "edge": [0.5, 0, 0],
        "left": [1, -1, -1],
        "right": [2, -1, -1],
    }
    good |= {"figures": [[], [1.0], [2.0]]}
    cells = Cells.from_json(good)
    assert cells is not None
    assert cells.figure({"x": np.array([0.5, 0.6])}).tolist() == [[1.0], [2.0]]
    with pytest.raises(Corrupt, match="no tree"):
        Cells.from_json(good | change)


def test_relations_are_found() -> None:
    draw = np.random.default_rng(0)
    a, b, c = (draw.exponential(1, 500) * (draw.random(500) < 0.8) for _ in range(3))
    noise = 1 + 0.1 * draw.normal(0, 1, 500)
    assert find_sums({"a": a, "b": b, "copy": a, "sum": a + b, "c": c}) == {
        "copy": ("a",),
        "sum": ("a", "b"),
    }
    assert find_shares(
        {"a": a, "b": b, "both": a + b, "c": c, "x": noise}, a + b + c
    ) == (
        "a",
        "b",
        "c",
    )
    assert find_shares({"a": a, "b": b}, a + b + c) == ()
    assert find_hypots({"a": -a, "b": b, "h": np.hypot(a, b), "c": c}) == {
        "h": ("a", "b")
    }
    assert find_scales({"y": (a + 1) * np.exp(noise), "x": noise + 1}, {"a": a + 1}) == {
        "y": "a"
    }


def test_shares_add_up_whatever_they_are() -> None:
    draw = np.random.default_rng(0)
    total = draw.exponential(100, 1000)
    parts = draw.dirichlet([1, 1, 1], 1000) * (draw.random((1000, 3)) < 0.7)
    parts = (
        parts
        / np.where(parts.sum(axis=1) > 0, parts.sum(axis=1), 1)[:, None]
        * total[:, None]
    )
    shares = to_shares(list(parts.T), total)
    assert np.allclose(
        from_shares(shares, total), parts.T, rtol=1e-3, atol=2e-4 * total.max()
    )
    last = np.where(parts[:, 2] > 0, 2, np.where(parts[:, 1] > 0, 1, 0))
    some = parts.sum(axis=1) > 0
    assert (
        np.stack(shares)[last, np.arange(1000)][some] == 1
    ).all()  # the last part takes all that is left
    drawn = from_shares([draw.uniform(-0.1, 1.1, 1000) for _ in range(3)], total)
    assert (np.stack(drawn) >= 0).all()
    assert (np.sum(drawn, axis=0) <= total * (1 + 1e-12)).all()


def test_columns_bound_to_bound_columns_come_back() -> None:
    """Sums of multiples, multiples of multiples and of roots come back in any order of columns."""
    draw = np.random.default_rng(4)
    gen, ones = draw.uniform(20, 200, 3000).astype("f4"), np.ones(3000, int)
    jets = {
        "pt": gen * draw.normal(1, 0.1, 3000),
        "eta": draw.normal(0, 1, 3000),
        "phi": draw.uniform(-3, 3, 3000),
    }
    jets |= {
        "z": jets["pt"] * draw.uniform(0.09, 0.11, 3000),
        "x": draw.normal(0, 1, 3000),
        "y": draw.normal(0, 1, 3000),
    }
    jets |= {
        "b": jets["z"] * draw.uniform(0.9, 1.1, 3000),
        "copy": jets["z"],
        "both": jets["z"] + jets["pt"] % 7,
    }
    jets |= {"h": np.hypot(jets["x"], jets["y"]), "rest": jets["pt"] % 7}
    jets |= {
        "sip": jets["h"] * draw.uniform(0.9, 1.1, 3000),
        "all": jets["z"] + jets["rest"],
    }
    events = {f"Jet_{n}": ak.unflatten(v.astype("f4"), ones) for n, v in jets.items()}
    events |= {
        "GenJet_pt": ak.unflatten(gen, ones),
        "Jet_genJetIdx": ak.unflatten(np.zeros(3000, "i4"), ones),
    }
    table = read_all(OwnCounters(open_dataset(events).table("events")))
    spec = build_spec("events", table.columns, ["Jet_*"], ["GenJet_*"])
    true = Block.of(table, [*spec.generated, *(t.objects for t in spec.targets)])
    spec = SimulationSpec.from_json(
        json.loads(json.dumps(fit_spec(spec, true).to_json(), sort_keys=True))
    )
    target = spec.targets[0]
    assert set(target.sums) >= {"Jet_copy", "Jet_all"}
    assert set(target.hypots) == {"Jet_h"}
    assert set(target.scales) >= {"Jet_z", "Jet_b", "Jet_sip"}
    block = Block(
        true.events,
        {"GenJet": true.counts["GenJet"]},
        {"GenJet_pt": true.values["GenJet_pt"]},
    )
    run(block, spec, TrainingTargets(true, spec))
    for name in target.objects.columns:
        assert np.allclose(block.values[name], true.values[name], rtol=1e-4, atol=1e-4), (
            name
        )


@pytest.mark.slow
def test_vectors_with_sentinels_are_learned_as_they_are(events: ak.Array) -> None:
    out_of_range = changed(
        events[:500],
        "MET_pt",
        ak.where(np.arange(500) % 7 == 0, np.float32(-999), events["MET_pt"][:500]),
    )
    spec, _, _ = spec_of(out_of_range)
    assert not spec.recoils
    assert {"MET_pt", "MET_phi"} <= set(spec.event)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GenMET_pt", "MET_phi", "Jet_pt", "GenJet_eta"])
def test_nan_is_refused_before_anything_is_learned(
    events: ak.Array, tmp_path, name: str
) -> None:
    column = events[name][:200]
    bad = changed(
        events[:200],
        name,
        ak.values_astype(
            ak.where(column == ak.flatten(column, axis=None)[3], np.nan, column), "f4"
        ),
    )
    with pytest.raises(InvalidArgument, match=f"column '{name}': .* values are NaN"):
        ft.train_simulation(bad, tmp_path / "m.flow", target=TARGET, given=GIVEN)


@pytest.mark.slow
def test_other_bad_inputs_are_one_line(model: str, events: ak.Array, tmp_path) -> None:
    given = generated(events[:10])
    with pytest.raises(InvalidArgument, match="holds no events to learn from"):
        ft.train_simulation(events[:0], tmp_path / "m.flow", target=TARGET, given=GIVEN)
    with pytest.raises(InvalidArgument, match="names nothing that could be read"):
        ft.train_simulation(
            events, tmp_path / "m.flow", target=["MET_pt"], given=["GenMET_phi"]
        )
    with pytest.raises(InvalidArgument, match=r"'GenJet_pt': .* not above 0"):
        ft.simulate(
            model,
            changed(given, "GenJet_pt", ak.values_astype(given["GenJet_pt"] * 0, "f4")),
        )
    with pytest.raises(InvalidArgument, match="holds no weight of an event"):
        ft.simulate(model, given, weight="Pileup_nPU")
    with pytest.raises(InvalidArgument, match="the seed -1"):
        ft.simulate(model, given, seed=-1)
    with pytest.raises(InvalidArgument, match="column 'fold' is there already"):
        ft.simulate(model, ft.simulate(model, given, oversample=2), oversample=2)


@pytest.mark.slow
def test_targets_that_cannot_be_simulated_are_named(events: ak.Array, tmp_path) -> None:
    words = changed(events, "HLT_word", ak.Array(["a"] * len(events)))
    notes = ft.train_simulation(
        words, tmp_path / "m.flow", target=["Jet_*", "HLT_*"], given=GIVEN, effort="fast"
    )
    assert any(
        "column 'HLT_word' is none that can be simulated" in note for note in notes
    )
    assert "HLT_word" not in ft.simulate(tmp_path / "m.flow", words[:5]).fields


def test_angles_stay_within_pi_in_float32() -> None:
    angles = as_angle(
        np.array([np.pi, -np.pi, 3 * np.pi, np.nextafter(np.pi, 0), 7.0])
    ).astype("f4")
    assert (np.abs(angles.astype("f8")) <= np.pi).all()


@pytest.mark.slow
def test_neighbours_are_those_of_a_slow_search(events: ak.Array) -> None:
    spec, block, _ = spec_of(events[:50])
    jets = spec.collection("GenJet")
    event, eta, phi = (
        block.event("GenJet"),
        block.values["GenJet_eta"],
        block.values["GenJet_phi"],
    )
    pairs = find_neighbours(block, event, block.axes(jets), jets, same=True)
    other, distance = pairs.nearest()
    for k in range(len(event)):
        candidates = [m for m in range(len(event)) if event[m] == event[k] and m != k]
        separation = [
            np.hypot(eta[m] - eta[k], (phi[m] - phi[k] + np.pi) % (2 * np.pi) - np.pi)
            for m in candidates
        ]
        assert other[k] == (candidates[int(np.argmin(separation))] if candidates else -1)
        assert not candidates or np.isclose(distance[k], min(separation), rtol=1e-5)
    axes = block.axes(spec.collection("Muon"))
    muons = find_neighbours(block, block.event("Muon"), axes, jets)
    ranks = np.arange(len(block.values["Muon_eta"])) % 3
    places, _ = muons.at_rank(ranks)
    assert np.array_equal(muons.rank(places), np.where(places >= 0, ranks, -1))


@pytest.mark.slow
def test_same_seed_same_bits(model: str, events: ak.Array) -> None:
    given = generated(events)
    whole = ft.simulate(model, given, seed=5)
    with File(model) as file:
        codings = {name: table.coding for name, table in file.tables.items()}
        spec = SimulationSpec.from_json(file.meta["simulation"])
    made = SimulatedTable(
        Sampler(spec, codings, {}, 5), open_dataset(given).table("events")
    )
    names = [c.name for c in made.columns]
    middle = table_to_awkward(made.read(names, 137, 2500))
    assert ak.array_equal(middle, whole[137:2500])
    assert ak.array_equal(
        whole, ft.simulate(model, given, seed=5, resources=ft.Resources(workers=1))
    )
    assert ak.array_equal(whole[:100], ft.simulate(model, given[:100], seed=5))
    assert not ak.array_equal(
        whole["Jet_pt"], ft.simulate(model, given, seed=6)["Jet_pt"]
    )


@pytest.mark.slow
def test_folds_begin_with_the_events_simulated_once(model: str, events: ak.Array) -> None:
    given = generated(events[:200])
    once, thrice = (
        ft.simulate(model, given, seed=5),
        ft.simulate(model, given, seed=5, oversample=3),
    )
    assert thrice["fold"].tolist() == [0, 1, 2] * 200
    for name in once.fields:
        if name != "genWeight":
            assert ak.array_equal(thrice[::3][name], once[name]), name
    assert np.allclose(thrice["genWeight"], np.repeat(once["genWeight"], 3) / 3)
    assert not ak.array_equal(thrice[1::3]["Jet_pt"], once["Jet_pt"])


@pytest.mark.slow
def test_physics_is_learned(model: str, events: ak.Array) -> None:
    """Efficiency, response and relations of columns are right on events of another seed."""
    true = make_events(20_000, 2)  # so many that the models differ, and not the draws
    with pytest.warns(UserWarning, match="values outside those that the model has seen"):
        made = ft.simulate(model, generated(true), seed=1)
    assert (
        abs(_efficiency(made) - _efficiency(true)) < 0.02
    )  # -0.0025 +- 0.0043, 12 models
    response = [_response(sample) for sample in (made, true)]
    assert abs(response[0].mean() - response[1].mean()) < 0.01
    assert abs(response[0].std() / response[1].std() - 1) < 0.15
    # 0.006 +- 0.034, 12 models
    assert abs(_extras(made).mean() / _extras(events).mean() - 1) < 0.15
    busy = ak.to_numpy(true["Pileup_nPU"] > 10)
    ratio = [
        _extras(sample)[busy].mean() / _extras(sample)[~busy].mean()
        for sample in (made, true)
    ]
    # -0.05 +- 0.014, 12 models; -0.41 without dependence on pile-up
    assert abs(ratio[0] / ratio[1] - 1) < 0.15
    mass, pt = (
        np.log(ak.to_numpy(ak.flatten(made[name]))) for name in ("Jet_mass", "Jet_pt")
    )
    assert np.corrcoef(mass, pt)[0, 1] > 0.9  # 0.974 +- 0.0044, 12 models
    parts = sum(ak.flatten(made[name]) for name in ("Jet_chE", "Jet_neE", "Jet_phoE"))
    total = energy(
        [ak.to_numpy(ak.flatten(made[f"Jet_{q}"])) for q in ("pt", "eta", "mass")]
    )
    assert np.allclose(parts, total, rtol=1e-4)
    assert (
        np.mean((ak.flatten(made["Jet_neN"]) == 0) == (ak.flatten(made["Jet_neE"]) == 0))
        > 0.98
    )
    assert ak.all(made["Jet_pt"][:, :-1] >= made["Jet_pt"][:, 1:])
    assert ak.all(abs(made["Jet_phi"]) <= np.pi)
    assert ak.all(made["Muon_jetIdx"] < ak.num(made["Jet_pt"]))
    leading = ak.to_numpy(ak.fill_none(ak.max(made["Jet_pt"], axis=1), 0))
    right = (leading > 40) == ak.to_numpy(made["HLT_Jet40"])
    assert (
        right.mean() > 0.94
    )  # 0.965 +- 0.0057, 12 models; a half without dependence on jets
    assert right[abs(leading / 40 - 1) > 0.1].mean() > 0.98  # 0.993 +- 0.0023, 12 models


def _efficiency(events: ak.Array) -> float:
    pairs = ak.cartesian(
        {"g": ak.local_index(events["GenJet_pt"]), "j": events["Jet_genJetIdx"]},
        nested=True,
    )
    return float(ak.mean(ak.any(pairs["g"] == pairs["j"], axis=-1)))


def _extras(events: ak.Array) -> np.ndarray:
    return ak.to_numpy(ak.sum(events["Jet_genJetIdx"] < 0, axis=1))


def _response(events: ak.Array) -> np.ndarray:
    has = events["Jet_genJetIdx"] >= 0
    gen = events["GenJet_pt"][events["Jet_genJetIdx"][has]]
    return ak.to_numpy(ak.flatten(events["Jet_pt"][has] / gen))


@pytest.mark.slow
def test_files_have_the_columns_of_the_training(
    model: str, events: ak.Array, tmp_path
) -> None:
    known = [
        "Jet_pt",
        "Jet_genJetIdx",
        "Muon_jetIdx",
        "GenJet_pt",
        "MET_pt",
        "HLT_Jet40",
        "genWeight",
    ]
    assert ft.simulate(model, generated(events), tmp_path / "s.root") == ()
    with uproot.open(tmp_path / "s.root") as file:
        tree = file["events"]
        for name in known:
            assert (
                ak.type(tree[name].array()).content.content.primitive
                == events[name].type.content.content.primitive
                if (events[name].ndim == 2)
                else tree[name].array().type.content == events[name].type.content
            )
        assert ak.array_equal(tree["GenJet_pt"].array(), events["GenJet_pt"])


@pytest.mark.slow
def test_events_without_generated_objects(model: str, events: ak.Array) -> None:
    given = generated(events)
    nothing = given[ak.num(given["GenJet_pt"]) + ak.num(given["GenMuon_pt"]) == 0][:5]
    made = ft.simulate(model, nothing)
    assert len(made) == 5
    assert ak.all(made["Jet_genJetIdx"] == -1)
    assert ak.all(ak.num(made["Muon_pt"]) == 0)
    assert len(ft.simulate(model, given[:0])) == 0


def changed(events: ak.Array, name: str, values: ak.Array) -> ak.Array:
    return ak.with_field(events, values, name)


@pytest.mark.slow
def test_gen_files_that_do_not_fit(model: str, events: ak.Array) -> None:
    given = generated(events[:10])
    with pytest.raises(
        InvalidArgument, match=r"column 'GenJet_pt' is missing; nearest: GenJet_"
    ):
        ft.simulate(model, given[[name for name in given.fields if name != "GenJet_pt"]])
    with pytest.raises(
        InvalidArgument, match="column 'GenJet_flavour' is int64 lists, not int32 lists"
    ):
        ft.simulate(
            model,
            changed(
                given, "GenJet_flavour", ak.values_astype(given["GenJet_flavour"], "i8")
            ),
        )
    undefined = changed(
        given, "GenJet_eta", ak.values_astype(given["GenJet_eta"] * np.nan, "f4")
    )
    with pytest.raises(
        InvalidArgument,
        match=r"column 'GenJet_eta': .* values are NaN or infinite, the first in event",
    ):
        ft.simulate(model, undefined)
    with pytest.raises(
        InvalidArgument, match=r"no column of weights 'genWeigth'; nearest: genWeight"
    ):
        ft.simulate(model, given, weight="genWeigth")
    with pytest.raises(InvalidArgument, match="0 times"):
        ft.simulate(model, given, oversample=0)


@pytest.mark.slow
def test_values_never_seen_are_counted(model: str, events: ak.Array, tmp_path) -> None:
    given = generated(events[:10])
    out_of_range = changed(
        given, "GenJet_flavour", ak.values_astype(given["GenJet_flavour"] + 100, "i4")
    )
    notes = ft.simulate(model, out_of_range, tmp_path / "s.root")
    count = ak.sum(ak.num(out_of_range["GenJet_flavour"]))
    assert any(
        f"column 'GenJet_flavour' holds {count} values outside" in note for note in notes
    )
    assert set(
        ft.simulate(model, out_of_range, tmp_path / "t.root", oversample=3)
    ) == set(notes)
    with pytest.warns(
        UserWarning, match=rf"'GenJet_flavour' holds {count} values outside"
    ):
        flagged = ft.simulate(model, out_of_range, flag=True, oversample=2)
    assert ak.all(flagged["GenJet_outside"])
    assert ak.to_list(flagged["outside"]) == ak.to_list(
        ak.num(flagged["GenJet_outside"]) > 0
    )
    usual = ft.simulate(model, given, flag=True)
    assert not ak.any(usual["GenJet_outside"])
    assert not ak.any(usual["outside"])
    assert "outside" not in ft.simulate(model, given).fields
    with pytest.raises(
        InvalidArgument, match="column 'outside' is there already: leave out `flag=`"
    ):
        ft.simulate(
            model, changed(given, "outside", ak.Array([True] * len(given))), flag=True
        )


@pytest.mark.slow
def test_reading_changes_no_count(model: str, events: ak.Array) -> None:
    given = generated(events[:10])
    flavour = ak.values_astype(given["GenJet_flavour"] + 100, "i4")
    with File(model) as file:
        codings = {name: table.coding for name, table in file.tables.items()}
        spec = SimulationSpec.from_json(file.meta["simulation"])
    source = open_dataset(changed(given, "GenJet_flavour", flavour)).table("events")
    made = SimulatedTable(Sampler(spec, codings, {}, 5), source, times=2)
    counts = {"GenJet_flavour": int(ak.sum(ak.num(flavour)))}
    assert made.count_out_of_range() == counts
    for start, stop in ((0, 20), (3, 7), (0, 20)):
        made.read(["Jet_pt"], start, stop)
        assert made.count_out_of_range() == counts


@pytest.mark.slow
def test_references_that_point_outside_are_counted(events: ak.Array) -> None:
    bad = changed(
        events[:100],
        "Jet_genJetIdx",
        ak.values_astype(events[:100]["Jet_genJetIdx"] + 50, "i4"),
    )
    table = read_all(OwnCounters(open_dataset(bad).table("events")))
    spec = build_spec("events", table.columns, TARGET, GIVEN)
    _, tables, notes = training_tables(table, spec, silent)
    assert any(
        "column 'Jet_genJetIdx'" in note and "point to no object" in note
        for note in notes
    )
    assert "Jet properties" not in {
        training_table.table.name for training_table in tables
    }


def derived(**kinds: str) -> dict[str, Any]:
    options = ft.SimulationOptions(derived=kinds)
    return {"target": TARGET, "given": GIVEN, "options": options}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": ["Jett_*"], "given": GIVEN}, "Jett"),
        ({"target": TARGET, "given": ()}, "name with `given=`"),
        (
            {"target": TARGET, "given": ["Gen*", "Jet_pt"]},
            "'Jet_pt' is both given and to be simulated",
        ),
        ({"target": ["Jet_pt"], "given": ["Gen*", "Jet_eta"]}, "some columns counted by"),
        (
            {
                "target": TARGET,
                "given": GIVEN,
                "options": ft.SimulationOptions(["Jet_genJet"]),
            },
            "the match 'Jet_genJet' is no column.*Jet_genJetIdx",
        ),
        (
            {
                "target": TARGET,
                "given": GIVEN,
                "options": ft.SimulationOptions(["Jet_genJetIdx=GenJets"]),
            },
            "points to no given collection.*GenJet",
        ),
        (derived(Jet_pt="log"), "no response 'log'"),
        (derived(Jat_pt="ratio"), "'Jat_pt' belongs to no simulated object"),
        (derived(Jet_neE="ratio"), "has no such quantity"),
    ],
)
def test_bad_requests_say_what_to_do(
    events: ak.Array, tmp_path, options: dict, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ft.train_simulation(events[:50], tmp_path / "m.flow", **options)
    assert not (tmp_path / "m.flow").exists()


@pytest.mark.slow
def test_models_of_other_kinds_are_refused(
    model: str, events: ak.Array, tmp_path
) -> None:
    with pytest.raises(InvalidArgument, match=r"use `simulate\(\)`"):
        ft.sample(model, 10)
    ft.train({"x": np.arange(2000.0)}, tmp_path / "x.flow", effort="fast")
    with pytest.raises(InvalidArgument, match="does not simulate"):
        ft.simulate(tmp_path / "x.flow", events[:5])


@pytest.mark.slow
def test_events_are_taken_several_times(events: ak.Array) -> None:
    table = read_all(open_dataset(events[:4][["Jet_pt", "run"]]).table("events"))
    taken = take_events(table, np.array([3, 0, 0]))
    jets = [events["Jet_pt"][k].tolist() for k in (3, 0, 0)]
    assert taken.data["Jet_pt"].tolist() == functools.reduce(operator.iadd, jets, [])
    assert taken.num_entries == 3


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write ROOT files like NanoAOD, `both.root` and `gen.root`, and train a model."""
    folder = tmp_path_factory.mktemp("nano")
    events = make_events(1500, 3)
    for name, part in (("both", events), ("gen", generated(events))):
        collections: dict[str, dict[str, ak.Array]] = {}
        for field in part.fields:
            if part[field].ndim == 2:
                stem, _, quantity = field.partition("_")
                collections.setdefault(stem, {})[quantity] = part[field]
        columns = {f: part[f] for f in part.fields if part[f].ndim == 1} | {
            n: ak.zip(c) for n, c in collections.items()
        }
        with uproot.recreate(folder / f"{name}.root") as file:
            file.mktree("Events", {n: c.type.content for n, c in columns.items()})
            file["Events"].extend(columns)
            file.mktree("Runs", {"genEventCount": "int64"})
            file["Runs"].extend({"genEventCount": np.array([len(part)])})
    arguments = [
        "train-simulation",
        str(folder / "both.root"),
        "-o",
        str(folder / "m.flow"),
        "--effort",
        "fast",
    ]
    arguments += [word for name in TARGET for word in ("--target", name)]
    arguments += [word for name in GIVEN for word in ("--given", name)]
    ended = CliRunner().invoke(
        app, [*arguments, "--match", "Jet_genJetIdx", "--match", "Muon_genMuonIdx"]
    )
    assert ended.exit_code == 0, ended.output
    return folder


def simulate_by_command(folder: Path, *options: str, source: str = "gen.root") -> Result:
    return CliRunner().invoke(
        app,
        [
            "simulate",
            str(folder / "m.flow"),
            str(folder / source),
            "-o",
            str(folder / "s.root"),
            *options,
        ],
    )


@pytest.mark.slow
def test_commands_make_files_that_others_read(nano: Path) -> None:
    ended = simulate_by_command(nano, "--oversample", "2", "--weight", "genWeight")
    assert ended.exit_code == 0, ended.output
    with uproot.open(nano / "s.root") as file, uproot.open(nano / "both.root") as both:
        tree = file["Events"]
        missing = set(both["Events"].keys()) - set(tree.keys())
        assert not missing
        for name in both["Events"].keys():  # noqa: SIM118 (it is no mapping)
            assert tree[name].typename == both["Events"][name].typename, name
        assert file["Runs/genEventCount"].array().tolist() == [1500]
        assert np.isclose(
            ak.sum(tree["genWeight"].array()),
            ak.sum(both["Events/genWeight"].array()),
            rtol=1e-5,
        )


@pytest.mark.slow
def test_coffea_reads_what_is_simulated(nano: Path) -> None:
    nanoevents = pytest.importorskip("coffea.nanoevents")
    assert simulate_by_command(nano).exit_code == 0
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # coffea says that collections of the schema are not here
        events = nanoevents.NanoEventsFactory.from_root(
            {str(nano / "s.root"): "Events"},
            schemaclass=nanoevents.NanoAODSchema,
            mode="eager",
        ).events()
    assert len(events) == 1500
    index = events.Jet.genJetIdx
    partner = events.GenJet.eta[index[index >= 0]]
    assert ak.all(abs(events.Jet.eta[index >= 0] - partner) < 1)


@pytest.mark.slow
def test_sums_are_multiplied_where_there_is_no_weight(nano: Path) -> None:
    ended = simulate_by_command(nano, "--oversample", "3", "--weight", "")
    assert ended.exit_code == 0, ended.output
    with uproot.open(nano / "s.root") as file:
        assert file["Runs/genEventCount"].array().tolist() == [4500]


@pytest.mark.slow
def test_a_command_that_cannot_be_done_writes_nothing(nano: Path) -> None:
    before = (nano / "m.flow").read_bytes()
    for words, message in (
        (
            [
                "train-simulation",
                str(nano / "both.root"),
                "-o",
                str(nano / "m.flow"),
                "--target",
                "Jet_*",
            ],
            "name with `given=`",
        ),
        (
            [
                "train-simulation",
                str(nano / "both.root"),
                "-o",
                str(nano / "m.flow"),
                "--target",
                "Jet_*",
                "--given",
                "GenJets_*",
            ],
            "GenJets",
        ),
        (
            [
                "simulate",
                str(nano / "m.flow"),
                str(nano / "both.root"),
                "-o",
                str(nano / "x.root"),
                "--weight",
                "w",
            ],
            "'w'",
        ),
    ):
        ended = CliRunner().invoke(app, words)
        assert isinstance(ended.exception, InvalidArgument)
        assert message in str(ended.exception)
    assert (nano / "m.flow").read_bytes() == before
    assert not (nano / "x.root").exists()


@pytest.mark.parametrize("source", [dict, ak.Array, pd.DataFrame])
def test_values_never_seen_are_named_in_memory_as_for_files(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, source: type
) -> None:
    met = [20.0 + k % 80 for k in range(1000)]
    events = {"GenMET_pt": met, "MET_pt": met}
    ft.train_simulation(
        events, tmp_path / "m.flow", target=["MET_pt"], given=["GenMET_pt"], effort="fast"
    )
    generated = source({"GenMET_pt": [50.0, 500.0, 600.0] * 4})
    notes = ft.simulate(tmp_path / "m.flow", generated, tmp_path / "out.npz")
    assert len(notes) == 1
    assert not recwarn.list
    ft.simulate(tmp_path / "m.flow", generated)
    assert [str(warning.message) for warning in recwarn.list] == list(notes)
    assert recwarn.list[0].filename == __file__
    recwarn.clear()
    ft.simulate(tmp_path / "m.flow", source({"GenMET_pt": [50.0]}))
    assert not recwarn.list
