"""Drawn events obey the rules of their model, and depend on nothing but the seed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.schema import Array
from flowtuple.data.table import difference, read_all
from flowtuple.file.file import File
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.walk import TableCoding
from flowtuple.model import events as drawing
from flowtuple.model.model import EventModel
from flowtuple.training import plan
from flowtuple.training.plan import EffortPreset

TRAINED, DRAWN = 2500, 2000


def apart(count: int, draw: np.random.Generator) -> Array:
    """eta and phi of jets, none within 0.9 of another."""
    while True:
        eta, phi = draw.uniform(-1.5, 1.5, count), draw.uniform(-np.pi, np.pi, count)
        turn = np.abs(phi[:, None] - phi)
        turn = np.minimum(turn, 2 * np.pi - turn)
        near = np.hypot(eta[:, None] - eta, turn) + 9 * np.eye(count)
        if near.min(initial=9) > 0.9:
            return np.stack([eta, phi])


def events(seed: int, n: int = TRAINED) -> dict[str, ak.Array]:
    """Flags before and after what they are cuts on, falling p_T, counts and energies that agree."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 4, n)
    m = int(counts.sum())
    pt = ak.sort(
        ak.unflatten(np.float32(20 + draw.exponential(25, m)), counts), ascending=False
    )
    first = ak.to_numpy(ak.fill_none(ak.firsts(pt), 0))
    eta, phi = np.concatenate([apart(int(k), draw) for k in counts], axis=1)
    muons = draw.poisson(0.4, m).astype(np.int32)
    met = draw.exponential(20, n).astype(np.float32)
    loose = draw.random(n) < 0.5
    tracks = draw.poisson(1.5, n)
    charge = ak.unflatten(draw.normal(0, 1, tracks.sum()).astype("f4"), tracks)
    leading = ak.to_numpy(ak.fill_none(ak.firsts(charge), -9))
    flat = {
        "eta": eta.astype(np.float32),
        "phi": phi.astype(np.float32),
        "muE": np.where(muons > 0, 1 + draw.exponential(5, m), 0).astype(np.float32),
        "muN": muons,
    }
    return {
        "HLT_both": (first > 30) & (met > 10),
        "MET": met,
        "HLT_MET": met > 25,
        "HLT_tight": loose & (draw.random(n) < 0.4),
        "HLT_loose": loose,
        "HLT_Track": leading > 0,
        "HLT_Jet45": first > 45,
        "Jet_pt": pt,
        **{f"Jet_{name}": ak.unflatten(x, counts) for name, x in flat.items()},
        "Track_q": charge,
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("drawn") / "m.flow"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(plan.COMPLETE_EFFORTS, "fast", EffortPreset((0.5,), 60))
        ft.train(events(1), made, tolerance="abs:0.05", effort="fast")
    return made


@pytest.fixture(scope="module")
def model(path: Path) -> EventModel:
    with File(path) as file:
        table = file.table()
        return EventModel(str(path), table.name, table.coding)


@pytest.fixture(scope="module")
def drawn(model: EventModel) -> ft.data.table.Table:
    return read_all(model.drawn(DRAWN, 7, None, 1))


def flags_of(coding: TableCoding) -> dict[str, set[str]]:
    return {
        r.columns[0]: set(r.columns[1:]) for r in coding.flow.rules if r.kind == "flag"
    }


def test_the_model_has_rules_of_every_kind_that_is_made(model: EventModel) -> None:
    rules = model.coding.flow.rules
    assert flags_of(model.coding) == {
        "HLT_both": {"Jet_pt", "MET"},
        "HLT_MET": {"MET"},
        "HLT_Track": {"Track_q"},
        "HLT_Jet45": {"Jet_pt"},
    }
    words = {str(rule) for rule in rules}
    assert "Jet_pt does not rise from object to object" in words
    assert "HLT_tight only with HLT_loose" in words
    assert "Jet_muN is 0 exactly where Jet_muE is 0" in words
    assert any(r.kind == "distance" for r in rules)
    assert any(r.kind == "least" for r in rules)


def test_rules_hold_in_all_drawn_events(model: EventModel, path: Path) -> None:
    """By numpy alone: rules of the model name the thresholds, and nothing else is read of it."""
    x = ft.sample(path, DRAWN, seed=11)
    assert x is not None
    pt, counts = x["Jet_pt"], ak.num(x["Jet_pt"])
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
    assert ak.all((x["Jet_muN"] == 0) == (x["Jet_muE"] == 0))
    assert not ak.any(x["HLT_tight"] & ~x["HLT_loose"])
    first = {
        name: ak.to_numpy(ak.fill_none(ak.firsts(x[name]), -np.inf)).astype(float)
        for name in ("Jet_pt", "Track_q")
    }
    first["MET"] = ak.to_numpy(x["MET"]).astype(float)
    for rule in model.coding.flow.rules:
        if rule.kind == "flag":
            passes = np.ones(DRAWN, bool)
            for cut in rule.cuts:
                assert cut.above
                passes &= first[cut.column] > cut.threshold
            flag = ak.to_numpy(x[rule.columns[0]])
            assert np.array_equal(flag, passes), rule
            assert 0.05 < flag.mean() < 0.95
    loaded = ft.load(path)
    assert set(loaded.violations(x).values()) == {0}
    assert 0.1 < ak.mean(x["HLT_tight"] == x["HLT_loose"]) < 0.9
    assert set(np.unique(counts)) == {0, 1, 2, 3}


def test_a_sampler_that_does_not_obey_breaks_rules(model: EventModel, path: Path) -> None:
    """What the rules change: without them the networks alone would contradict flags."""
    sampler = drawing.AtRandom(7, model.name)
    free = drawing.SampledTable(model.name, model.coding, DRAWN, sampler, workers=1)
    counts = model.violations(ft.data.table.Dataset("free", {model.name: free}))
    assert sum(n > 0 for n in counts.values()) >= 4


@pytest.mark.parametrize(
    ("block", "workers"), [(64, 1), (700, 2), (1999, 3), (10**6, None)]
)
def test_the_same_bits_for_any_block_and_thread_count(
    model: EventModel,
    drawn: ft.data.table.Table,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    workers: int | None,
) -> None:
    monkeypatch.setattr(drawing, "BLOCK", block)
    assert difference(read_all(model.drawn(DRAWN, 7, None, workers)), drawn) is None


def test_one_column_alone_has_the_same_bits(
    model: EventModel, drawn: ft.data.table.Table
) -> None:
    source = model.drawn(DRAWN, 7, None, 1)
    for column in source.columns:
        alone = source.read([column.name], 0, DRAWN)
        assert np.array_equal(alone.data[column.name], drawn.data[column.name]), column
    some = source.read(["Jet_muN", "HLT_both"], 333, 1444)
    whole = drawn.read([c.name for c in some.columns], 333, 1444)
    assert difference(some, whole) is None


def test_fewer_events_are_the_first_ones(
    model: EventModel, drawn: ft.data.table.Table
) -> None:
    few = read_all(model.drawn(100, 7, None, 1))
    assert difference(few, drawn.read([c.name for c in drawn.columns], 0, 100)) is None
    other = read_all(model.drawn(100, 8, None, 1))
    assert difference(few, other) is not None


def test_rules_are_obeyed_given_other_columns(path: Path) -> None:
    """Flags that are given bind the jets that are drawn; MET is given with them and fits."""
    loaded = ft.load(path)
    true = events(5, 600)
    given = {name: true[name] for name in ("HLT_both", "MET", "HLT_MET", "HLT_Track")}
    x = loaded.sample(seed=3, given=given)
    assert np.array_equal(x["HLT_Track"], true["HLT_Track"])
    broken = {rule: n for rule, n in loaded.violations(x).items() if n}
    # given values are as they were measured: those of the threshold's cell may lie beyond it
    assert sum(broken.values()) <= 3, broken


def broken_events() -> dict[str, ak.Array]:
    """Events against each rule that the model learned."""
    x = events(9, 300)
    x["HLT_MET"] = ~x["HLT_MET"]
    x["HLT_loose"] = np.zeros(300, bool)
    x["HLT_tight"] = np.ones(300, bool)
    x["Jet_pt"] = x["Jet_pt"][:, ::-1]
    x["Jet_muN"] = ak.values_astype(x["Jet_muE"] == 0, np.int32)
    return x


def test_events_against_all_rules_are_scored_and_coded(
    path: Path, tmp_path: Path
) -> None:
    x = broken_events()
    counts = ft.load(path).violations(x)
    for rule in (
        "HLT_tight only with HLT_loose",
        "Jet_pt does not rise from object to object",
        "Jet_muN is 0 exactly where Jet_muE is 0",
    ):
        assert counts[rule] > 100
    assert np.isfinite(ft.load(path).log_prob(x)).all()
    ft.compress(x, tmp_path / "x.ftup", model=path)
    with File(tmp_path / "x.ftup") as file:
        lattices = file.table().coding.lattices
        back = read_all(file.table())
    true = read_all(next(iter(dataset_from_memory(x).tables.values())))
    for column in true.columns:
        values = true.data[column.name]
        lattice = lattices[column.name]
        assert lattice.bound.holds(values, back.data[column.name]).all()
        assert np.array_equal(back.data[column.name], lattice.snap(values)), column.name


PREVIOUS = {
    "event": 963299074,
    "MET_pt": 1396914974,
    "HLT_Jet80": 1185999973,
    "n(Jet_pt)": 940818430,
    "Jet_pt": 170734293,
    "Jet_mass": 1468877006,
}
"""CRC-32 of columns that the version before rules drew from its model."""


def test_a_model_without_rules_draws_what_it_drew() -> None:
    golden = Path(__file__).parents[1] / "golden" / "previous" / "events.flow"
    with File(golden) as file:
        table = file.table()
        assert table.coding.flow.rules == ()
        model = EventModel("previous", table.name, table.coding)
        data = read_all(model.drawn(500, 7, None, 1)).data
    found = {n: zlib.crc32(np.ascontiguousarray(x).tobytes()) for n, x in data.items()}
    assert found == PREVIOUS
