"""Simulated events that hold together: objects that know each other, flags, distances, MET."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.collections import Collection
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.table import Table, read_all
from flowtuple.errors import Corrupt
from flowtuple.io.source import open_dataset
from flowtuple.runtime.progress import silent
from flowtuple.simulation import training_tables as tables_of
from flowtuple.simulation.blend import fit_blend
from flowtuple.simulation.block import Block
from flowtuple.simulation.build_spec import build_spec
from flowtuple.simulation.fit_spec import fit_spec
from flowtuple.simulation.flag_rules import FlagRule, find_flag_rules, plainest
from flowtuple.simulation.made import Made, rounds
from flowtuple.simulation.recoil import fit_scale, residual, restore
from flowtuple.simulation.sampler import Sampler
from flowtuple.simulation.shares import complete, energy, find_counts
from flowtuple.simulation.spacing import Spacing, fit_spacing
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.step import Step
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import TrainingTargets, training_tables

JETS = Collection("Jet", "nJet", ("Jet_pt", "Jet_x"))


def jets(n: int, seed: int = 0) -> Block:
    """Return events of no to three jets with falling p_T."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 4, n)
    event = np.repeat(np.arange(n), counts)
    pt = (15 + draw.exponential(30, len(event))).astype("f4")
    pt = pt[np.lexsort((-pt, event))]
    x = draw.uniform(0, 1, len(event)).astype("f4")
    return Block(n, {"Jet": counts}, {"Jet_pt": pt, "Jet_x": x})


def column(block: Block, name: str, place: int) -> np.ndarray:
    """Return a column of the objects at a place, NaN for none."""
    out = np.full(block.events, np.nan)
    has = block.counts["Jet"] > place
    out[has] = block.values[name][block.begin("Jet")[has] + place]
    return out


def rules_of(block: Block, **flags: np.ndarray) -> list[str]:
    block.values |= flags
    numbers = [n for n in ("MET_pt",) if n in block.values]
    found = find_flag_rules(block, list(flags), numbers, [JETS])
    for rule in found:
        assert np.array_equal(rule.apply(block, [JETS]), flags[rule.flag].astype(bool))
    return list(map(str, found))


def test_flags_are_read_off_their_objects() -> None:
    block = jets(20_000)
    first, second = column(block, "Jet_pt", 0), column(block, "Jet_pt", 1)
    block.values["MET_pt"] = np.random.default_rng(1).exponential(30, 20_000).astype("f4")
    x = column(block, "Jet_x", 0)
    found = rules_of(
        block,
        one=first > 60,
        both=(first > 60) & (x < 0.15),
        three=(first > 40) & (second > 25) & (block.values["MET_pt"] >= 30),
        veto=(~(first > 60)).astype("i4"),
        any=np.bincount(block.event("Jet"), block.values["Jet_x"] > 0.9, 20_000) > 0,
    )
    assert found == [
        "one = Jet_pt[0] > 60",
        "both = Jet_pt[0] > 60 and Jet_x[0] < 0.15",
        "three = MET_pt > 30 and Jet_pt[0] > 40 and Jet_pt[1] > 25",
        "veto = not (Jet_pt[0] > 60)",
        "any = Jet_x[any] > 0.9",
    ]


def test_flags_that_nothing_explains_have_no_rule() -> None:
    block = jets(5000)
    first = column(block, "Jet_pt", 0)
    noisy = first > 60
    noisy[np.flatnonzero(noisy)[7]] = False
    rare = np.zeros(5000, bool)
    rare[np.nanargmax(first)] = True
    chance = np.random.default_rng(3).random(5000) < 0.5
    counts = block.counts["Jet"].astype("i4")
    assert (
        rules_of(block, noisy=noisy, rare=rare, chance=chance, three_values=counts) == []
    )


@pytest.mark.parametrize(
    ("low", "high", "number"),
    [
        (59.98, 60.01, 60),
        (1, 2, 2),
        (0.5, 0.5001, 0.5001),
        (-2.41, -2.39, -2.4),
        (-1, 1, 0),
    ],
)
def test_thresholds_are_plain_numbers(low: float, high: float, number: float) -> None:
    assert plainest(low, high) == pytest.approx(number, abs=1e-12)


def test_rules_come_back_and_bad_ones_are_refused() -> None:
    rule = {"flag": "a", "opposite": False, "text": "", "cuts": []}
    cut = {"column": "Jet_pt", "place": 0, "sign": ">", "threshold": 60.0}
    assert str(FlagRule.from_json(rule | {"cuts": [cut]})) == "a = Jet_pt[0] > 60"
    with pytest.raises(Corrupt, match="sign"):
        FlagRule.from_json(rule | {"cuts": [cut | {"sign": "!"}]})


def test_rounds_are_single_first_and_then_longer() -> None:
    parts = list(rounds(np.arange(400)))
    assert [len(part) for part in parts[:8]] == [1] * 8
    assert np.array_equal(np.concatenate(parts), np.arange(400))
    assert len(parts) < 18


def test_the_nearest_object_is_that_of_a_slow_search() -> None:
    draw, made = np.random.default_rng(0), Made(20)
    event = np.sort(draw.integers(0, 20, 50))
    eta, phi = draw.uniform(-2, 2, 50), draw.uniform(-np.pi, np.pi, 50)
    made.add_vectors(event[:30], [np.ones(30), eta[:30], phi[:30]])
    proposed = draw.random(20) < 0.5
    near = made.nearest(event[30:], [eta[30:], phi[30:]], proposed)
    for k in range(20):
        others = [
            j
            for j in range(50)
            if proposed[k]
            and event[j] == event[30 + k]
            and j != 30 + k
            and (j < 30 or not proposed[j - 30] or j < 30 + k)
        ]
        turns = [np.angle(np.exp(1j * (phi[j] - phi[30 + k]))) for j in others]
        slow = [
            np.hypot(eta[j] - eta[30 + k], t) for j, t in zip(others, turns, strict=True)
        ]
        assert near[k] == pytest.approx(min(slow, default=np.inf))


def test_distances_that_never_occur_are_never_accepted() -> None:
    draw = np.random.default_rng(0)
    drawn = draw.uniform(0, 5, 200_000)
    true = drawn[(drawn > 0.5) | (draw.random(200_000) < 0.01)]
    spacing = fit_spacing(drawn, true)
    assert spacing is not None
    accept = spacing.probability(np.array([0.1, 0.45, 0.55, 2.0, np.inf]))
    assert accept[:2].max() < 0.03
    assert accept[2:] == pytest.approx([1, 1, 1], abs=0.15)
    assert Spacing.from_json(json.loads(json.dumps(spacing.__dict__))) == spacing
    assert fit_spacing(drawn[:10], true[:10]) is None
    with pytest.raises(Corrupt):
        Spacing((0.0, 0.5), (0.0, 0.0))


@dataclass(frozen=True, eq=False)
class _Anywhere(Sampler):
    """Draws places by counters, without densities."""

    def _draw(self, step: Any, event: Any, number: Any) -> Any:
        draws = [
            np.random.default_rng([int(e), int(n)]).random(2)
            for e, n in zip(event, number, strict=True)
        ]
        return {"eta": np.array(draws).reshape(-1, 2)[:, 0]}


def test_draws_too_near_are_drawn_again_in_any_block() -> None:
    spec = SimpleNamespace(spacing={"Jet extra axes": Spacing((0.0, 0.1), (0.0, 1.0))})
    sampler = _Anywhere(spec, {}, {}, 1)  # type: ignore[arg-type]

    def etas(first: int, last: int) -> np.ndarray:
        made, event = Made(last - first), np.repeat(np.arange(last - first), 3)
        number = np.tile(np.arange(3), last - first)

        def distance(drawn: Any, proposed: Any) -> Any:
            return made.nearest(event, [drawn["eta"], np.zeros(len(event))], proposed)

        step = Step("Jet extra axes", {}, event, number, ["eta"], distance=distance)
        events = np.arange(first, last)
        return sampler.source(events, np.zeros_like(events))(step)["eta"].reshape(-1, 3)

    whole = etas(0, 200)
    assert np.diff(np.sort(whole, axis=1), axis=1).min() > 0.1
    assert np.array_equal(whole[50:60], etas(50, 60))
    first = [np.random.default_rng([k, 0]).random() for k in range(200)]
    assert np.array_equal(whole[:, 0], first)  # what is alone is drawn once


def test_shares_never_contradict_counts() -> None:
    draw, n = np.random.default_rng(0), 5000
    names = {f"Jet_{p}E": f"Jet_{p}N" for p in ("a", "b", "c")}
    axes = ("Jet_pt", "Jet_eta", "Jet_phi")
    objects = Collection(
        "Jet", "nJet", (*axes, "Jet_mass", *names, *names.values()), axes
    )
    target = Target(
        objects, mass="Jet_mass", shares=tuple(names), counts=names, ordered=True
    )
    columns = {a: draw.uniform(1, 2, n).astype("f4") for a in (*axes, "Jet_mass")}
    counts = draw.integers(0, 3, (3, n))
    counts[0][counts.sum(axis=0) == 0] = 1
    columns |= dict(zip(names.values(), counts, strict=True))
    columns |= {f"{k}Share": draw.integers(0, 3, n).astype("f4") / 2 for k in names}
    spec = SimpleNamespace(dtype=lambda _: "float32")
    whole = complete(spec, target, columns)  # type: ignore[arg-type]
    for part, count in names.items():
        assert np.array_equal(whole[part] > 0, columns[count] > 0)
    total = energy([columns[a] for a in ("Jet_pt", "Jet_eta", "Jet_mass")])
    miss = sum(whole[part].astype(float) for part in names) / total - 1
    assert 1e-8 < np.median(np.abs(miss)) < 2e-7  # as of numbers rounded to float32
    found = find_counts(tuple(names), {n: whole[n] for n in (*names, *names.values())})
    assert found == names


def test_sums_of_two_kinds_of_events_come_back() -> None:
    draw, n = np.random.default_rng(0), 4000
    terms, kind = draw.normal(0, 1, (2, 2, n)), draw.integers(0, 2, n)
    weight = np.where(kind > 0, 0.9, 0.1)
    measured = weight * terms[0] - terms[1] + draw.normal(0, 0.1, (2, n))
    columns = {"noise": draw.normal(0, 1, n), "kind": kind}
    cells = fit_blend(columns, terms, measured)
    assert cells is not None
    expected = np.stack([weight, np.full(n, -1.0)], axis=1)
    assert np.abs(cells.figure(columns) - expected).max() < 0.05
    assert fit_blend({"noise": columns["noise"]}, terms, measured) is None


def made_up(n: int, most: int = 5) -> dict[str, Any]:
    """Return events of jets with partners and without, MET, and a flag."""
    draw = np.random.default_rng(4)
    gen, extra = draw.integers(0, most, n), draw.integers(0, most, n)

    def of(counts: np.ndarray, name: str) -> dict[str, Any]:
        size, event = counts.sum(), np.repeat(np.arange(n), counts)
        pt = 20 + draw.exponential(20, size)
        parts = {
            "pt": pt[np.lexsort((-pt, event))],
            "eta": draw.normal(0, 2, size),
            "phi": draw.uniform(-3.1, 3.1, size),
        }
        return {
            f"{name}_{k}": ak.unflatten(np.float32(v), counts) for k, v in parts.items()
        }

    out = of(gen, "GenJet")
    more = of(extra, "GenJet")
    for k, content in more.items():
        near = out[k] + np.float32(0.01)
        out[k.removeprefix("Gen")] = ak.concatenate([near, content], axis=1)
    index = [ak.local_index(out["GenJet_pt"]), ak.full_like(more["GenJet_pt"], -1)]
    out["Jet_genJetIdx"] = ak.values_astype(ak.concatenate(index, axis=1), "i4")
    order = ak.argsort(out["Jet_pt"], axis=1, ascending=False, stable=True)
    out |= {k: v[order] for k, v in out.items() if k.startswith("Jet_")}
    out["MET_pt"] = np.float32(draw.exponential(20, n))
    out["MET_phi"] = np.float32(draw.uniform(-3, 3, n))
    out["HLT_Jet50"] = ak.to_numpy(ak.fill_none(ak.max(out["Jet_pt"], axis=1), 0)) > 50
    out["npu"] = draw.integers(0, 30, n).astype("i4")
    return out


def fitted(events: dict[str, Any], *target: str) -> tuple[SimulationSpec, Block]:
    table = read_all(OwnCounters(open_dataset(events).table("events")))
    spec = build_spec("events", table.columns, target, ["Gen*", "npu"])
    block = Block.of(table, spec.collections)
    return fit_spec(spec, block), block


@pytest.mark.parametrize(("n", "most"), [(1200, 5), (3, 400), (500, 2)])
def test_the_truth_comes_back_round_by_round(n: int, most: int) -> None:
    spec, true = fitted(made_up(n, most), "Jet_*", "MET_*", "HLT_*")
    spec = SimulationSpec.from_json(json.loads(json.dumps(spec.to_json())))
    block = true.without(spec.simulated, spec.generated)
    run(block, spec, TrainingTargets(true, spec))
    assert np.array_equal(block.counts["Jet"], true.counts["Jet"])
    for name in spec.simulated:
        if name in block.values:
            close = np.isclose(
                block.values[name], true.values[name], rtol=1e-4, atol=1e-4
            )
            assert close.all(), name
    if n == 1200:
        assert [str(rule) for rule in spec.rules] == ["HLT_Jet50 = Jet_pt[0] > 50"]


def test_collections_without_directions_are_made_as_before() -> None:
    events = {k: v for k, v in made_up(300).items() if not k.endswith(("eta", "phi"))}
    spec, true = fitted(events, "Jet_*", "HLT_*")
    assert spec.targets[0].extra_axes == ()
    block = true.without(spec.simulated, spec.generated)
    run(block, spec, TrainingTargets(true, spec))
    assert np.array_equal(block.counts["Jet"], true.counts["Jet"])
    made, real = (
        b.values["Jet_pt"][np.lexsort((b.values["Jet_pt"], b.event("Jet")))]
        for b in (block, true)
    )
    assert np.allclose(made, real)


def test_a_vector_comes_back_in_its_own_frame() -> None:
    spec, block = fitted(made_up(3000), "Jet_*", "MET_*")
    (recoil,) = spec.recoils
    assert recoil.turned
    assert recoil.cells is not None
    pt, phi = restore(block, spec, recoil, residual(block, spec, recoil))
    assert np.allclose(pt, block.values["MET_pt"], rtol=1e-4, atol=1e-4)
    away = np.abs(np.exp(1j * phi) - np.exp(1j * block.values["MET_phi"]))
    assert (away * pt).max() < 1e-3


def test_specs_of_earlier_versions_make_objects_at_once() -> None:
    spec, _ = fitted(made_up(300), "Jet_*", "MET_*")
    old = json.loads(json.dumps(spec.to_json()))
    for name in ("rules", "spacing"):
        del old[name]
    for target in old["targets"]:
        del target["ordered"], target["counts"]
    for recoil in old["recoils"]:
        del recoil["cells"], recoil["turned"], recoil["blend"], recoil["scale"]
    read = SimulationSpec.from_json(old)
    assert not read.targets[0].ordered
    assert set(read.targets[0].extra_properties) == {"Jet_pt", "Jet_eta", "Jet_phi"}
    assert read.drawn_event == read.event


def test_rules_that_break_later_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = made_up(1000)
    events["HLT_Jet50"][[700, 800]] ^= True
    table = read_all(OwnCounters(open_dataset(events).table("events")))
    spec = build_spec("events", table.columns, ["Jet_*", "HLT_*"], ["Gen*", "npu"])
    monkeypatch.setattr(tables_of, "FITTED", 600)
    fitted_spec, steps, notes = training_tables(table, spec, silent)
    assert fitted_spec.rules == ()
    assert "HLT_Jet50" in steps[-1].drawn
    text = "the rule 'HLT_Jet50 = Jet_pt[0] > 50' is contradicted 2 times and dropped"
    assert text in notes


def test_steps_lose_their_rows_but_not_their_names() -> None:
    step = Step("a", {"x": np.arange(3)}, np.arange(3), np.arange(3), ["y"])
    some = step.take(np.array([2]))
    assert (some.name, some.conditions["x"].tolist()) == ("a", [2])
    assert isinstance(step.table({}), Table)
    assert replace(step, rows=np.array([1])).rows is not None


@pytest.mark.slow
def test_models_say_their_rules_and_events_obey_them(tmp_path: Path) -> None:
    events = made_up(700)
    path = tmp_path / "sim.flow"
    target = ["Jet_*", "MET_*", "HLT_*"]
    ft.train_simulation(events, path, target=target, given=["Gen*", "npu"], effort="fast")
    assert ft.info(path)["simulation"]["rules"] == ["HLT_Jet50 = Jet_pt[0] > 50"]
    given = {k: v for k, v in events.items() if k.startswith(("Gen", "npu"))}
    made = ft.simulate(path, given, seed=2)
    leading = ak.to_numpy(ak.fill_none(ak.firsts(made["Jet_pt"]), 0))
    assert np.array_equal(made["HLT_Jet50"], leading > 50)
    assert made["HLT_Jet50"].to_numpy().std() > 0


def test_parts_that_break_later_are_dropped_and_counted() -> None:
    spec, block = fitted(made_up(300), "Jet_*")
    size = int(block.counts["Jet"].sum())
    pairs = {"Jet_eE": "Jet_eN", "Jet_muE": "Jet_muN"}
    (target,) = spec.targets
    ruled = replace(spec, targets=(replace(target, counts=pairs),))
    for part, count in pairs.items():
        block.values[count] = np.arange(size) % 2
        block.values[part] = (np.arange(size) % 2).astype("f4")
    block.values["Jet_muE"][:5] = 1
    broken = tables_of.count_broken(block, ruled)
    assert broken == {
        "Jet_eE = 0 exactly where Jet_eN = 0": 0,
        "Jet_muE = 0 exactly where Jet_muN = 0": 3,
    }
    bare = tables_of.without_rules(ruled)
    assert bare.targets[0].counts == {}
    again = tables_of.with_rules(bare, ruled, {t for t, n in broken.items() if n})
    assert again.targets[0].counts == {"Jet_eE": "Jet_eN"}


def test_vectors_become_as_wide_as_true_ones() -> None:
    spec, true = fitted(made_up(4000), "Jet_*", "MET_*")
    (recoil,) = spec.recoils
    learned = {n: 1.1 * v for n, v in residual(true, spec, recoil).items()}
    made = replace(true, values=dict(true.values))
    pt, phi = restore(true, spec, recoil, learned)
    made.values |= {"MET_pt": pt, "MET_phi": phi}
    scale = fit_scale(true, made, spec, recoil)
    assert scale == pytest.approx(1 / 1.1, abs=0.01)
    narrower = replace(recoil, scale=scale)
    again = restore(true, spec, narrower, learned)[0]
    assert np.std(again) == pytest.approx(np.std(true.values["MET_pt"]), rel=0.02)
