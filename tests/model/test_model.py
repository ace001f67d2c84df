"""The model as a density: probabilities add up to one, draws follow them, and depend on the seed
alone.
"""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.codec.chunk import encode_chunk
from flowtuple.data.table import difference, read_all
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.bins import Bins
from flowtuple.model.draw import Distribution, column_key, draw
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import AtRandom
from flowtuple.model.score import score
from flowtuple.model.surprise import expectation
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

EVENTS = 6000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model of events with objects, whole numbers, a sentinel, an id and an exact
    relation.
    """
    path = tmp_path_factory.mktemp("density") / "m.flow"
    ft.train(events(1), path, tolerance={"*": "abs:0.01"}, effort="fast")
    return path


def events(seed: int) -> dict[str, object]:
    draw = np.random.default_rng(seed)
    made = dependent_events(EVENTS, seed)
    n = draw.integers(0, 5, EVENTS).astype(np.int32)
    sentinel = np.where(
        draw.random(EVENTS) < 0.2, -999, draw.normal(0, 1, EVENTS)
    ).astype(np.float32)
    ids = {
        "run": np.full(EVENTS, 321, np.uint32),
        "event": draw.integers(0, 10**9, EVENTS).astype(np.uint64),
    }
    return {
        **ids,
        **made,
        "n": n,
        "twice": (2 * n).astype(np.int32),
        "score": sentinel,
        "always": np.ones(EVENTS, np.int8),
    }


def test_draws_follow_the_frequencies() -> None:
    bins = Bins(np.array([0, 10, 20]), np.array([0, 14, 20]))
    distribution = Distribution(np.array([[0, 16, 32, 48]], np.int16), bins)
    n = 200_000
    q = draw(distribution, 7, np.arange(n), np.zeros(n, np.int64))
    shares = np.array([np.mean(q == 0), np.mean((q >= 10) & (q < 15)), np.mean(q == 20)])
    # the last symbol, the likeliest, is never drawn
    assert np.allclose(shares, np.array([1, 2, 4]) / 7, atol=0.005)
    assert np.allclose(np.bincount(q[(q >= 10) & (q < 15)] - 10) / n, 2 / 35, atol=0.003)


def test_draws_depend_on_seed_column_event_and_object_alone() -> None:
    bins = Bins(np.array([0]), np.array([2**40]))
    distribution = Distribution(np.zeros((1, 2), np.int16), bins)

    def some(key: int, event: np.ndarray, number: np.ndarray) -> np.ndarray:
        return draw(distribution, key, event, number)

    event, number = np.repeat(np.arange(50), 4), np.tile(np.arange(4), 50)
    whole = some(column_key(1, "t", "x"), event, number)
    assert np.array_equal(
        whole[60:], some(column_key(1, "t", "x"), event[60:], number[60:])
    )
    assert len(np.unique(whole)) == len(whole)
    assert not np.intersect1d(whole, some(column_key(2, "t", "x"), event, number)).size
    assert not np.intersect1d(whole, some(column_key(1, "t", "y"), event, number)).size


@pytest.mark.slow
def test_any_range_block_and_number_of_threads_gives_the_same_events(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ft.open(model) as file:
        coding = file.table().coding
    whole = read_all(
        SampledTable("events", coding, 500, AtRandom(9, "events"), workers=1)
    )
    names = [c.name for c in whole.columns]
    monkeypatch.setattr("flowtuple.model.events.BLOCK", 77)
    again = SampledTable("events", coding, 500, AtRandom(9, "events"), workers=2)
    assert difference(read_all(again), whole) is None
    assert difference(again.read(names, 123, 345), whole.read(names, 123, 345)) is None
    assert (
        difference(again.read(["Jet_eta"], 10, 20), whole.read(["Jet_eta"], 10, 20))
        is None
    )
    assert (
        difference(
            read_all(SampledTable("events", coding, 500, AtRandom(10, "events"))), whole
        )
        is not None
    )


@pytest.mark.slow
def test_events_are_whole(model: Path) -> None:
    drawn, seen = ft.sample(model, 4000, seed=2), events(1)
    assert set(drawn.fields) == set(seen)
    assert ak.num(drawn.Jet_pt).tolist() == ak.num(drawn.Jet_eta).tolist()
    assert set(np.unique(ak.num(drawn.Jet_pt))) == {0, 1, 2, 3}
    assert (drawn.twice == 2 * drawn.n).tolist() == [True] * 4000
    assert set(drawn.n.tolist()) == {0, 1, 2, 3, 4}
    assert (drawn.always == 1).tolist() == [True] * 4000
    assert np.isclose(np.mean(drawn.score == -999), 0.2, atol=0.03)
    assert drawn.score.to_numpy().dtype == np.float32
    assert drawn.event.tolist() == list(range(1, 4001))
    assert set(drawn.run.tolist()) == {1}
    assert np.corrcoef(drawn.a, drawn.b)[0, 1] > 0.99


@pytest.mark.slow
def test_references_point_at_objects_that_are_there(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    jets, muons = draw.integers(0, 4, EVENTS), draw.integers(0, 3, EVENTS)
    index = draw.integers(-1, np.maximum(np.repeat(jets, muons), 1))
    made = {
        "Jet_pt": ak.unflatten(draw.exponential(30, jets.sum()), jets),
        "Muon_jetIdx": ak.unflatten(index.astype(np.int16), muons),
    }
    ft.train(made, tmp_path / "m.flow", tolerance={"*": "abs:0.1"}, effort="fast")
    drawn = ft.sample(tmp_path / "m.flow", 5000, seed=1)
    assert ak.all(drawn.Muon_jetIdx < ak.num(drawn.Jet_pt))
    assert set(ak.flatten(drawn.Muon_jetIdx).tolist()) == {-1, 0, 1, 2}
    with ft.open(tmp_path / "m.flow") as file:
        alone = SampledTable(
            "events", file.table().coding, 5000, AtRandom(1, "events")
        ).read(["Muon_jetIdx"], 0, 5000)
    assert alone["Muon_jetIdx"].tolist() == ak.flatten(drawn.Muon_jetIdx).tolist()


@pytest.mark.slow
def test_values_lie_on_the_lattice_of_the_model(model: Path) -> None:
    with ft.open(model) as file:
        lattices = file.table().lattices
    drawn = ft.sample(model, 500, seed=3)
    for name in ("a", "b", "score"):
        values = drawn[name].to_numpy()
        assert np.array_equal(lattices[name].snap(values), values)


@pytest.mark.slow
def test_written_in_any_format_they_are_the_same(model: Path, tmp_path: Path) -> None:
    ft.sample(model, 300, tmp_path / "drawn.npz", seed=4)
    read = dataset_of(tmp_path / "drawn.npz")
    assert ak.array_equal(read, ft.sample(model, 300, seed=4)[read.fields])


def dataset_of(path: Path) -> ak.Array:
    from flowtuple.data.awkward_tables import table_to_awkward
    from flowtuple.io.source import open_dataset

    return table_to_awkward(read_all(next(iter(open_dataset(path).tables.values()))))


@pytest.mark.slow
def test_given_columns_stay_and_the_others_follow_them(model: Path) -> None:
    a = np.linspace(30, 70, 1000).astype(np.float32)
    drawn = ft.sample(model, given={"a": a}, seed=5)
    assert drawn.a.tolist() == a.tolist()
    assert np.corrcoef(drawn.a, drawn.b)[0, 1] > 0.99


@pytest.mark.slow
def test_bits_are_those_of_the_file(model: Path, tmp_path: Path) -> None:
    """The code length of the score is what the entropy coder takes."""
    table = dataset_from_memory(events(6)).tables["events"]
    with ft.open(model) as file:
        coding = file.table().coding
    actual = score(read_all(table), coding)
    whole = 8 * len(encode_chunk(read_all(table), coding))
    ids = 8 * sum(
        len(encode_chunk(read_all(table, [n]), _without_flow(coding, n)))
        for n in ("event",)
    )
    assert abs(actual.total.sum() - (whole - ids)) < 0.02 * whole
    assert actual.values.sum() == sum(
        np.asarray(ak.num(v)).sum() if n.startswith("Jet") else EVENTS
        for n, v in _scored(table)
    )


def _without_flow(coding, name):
    from flowtuple.lattice.flow import LatticeFlow
    from flowtuple.lattice.walk import TableCoding

    column = next(c for c in coding.columns if c.name == name)
    return TableCoding((column,), {name: coding.lattices[name]}, LatticeFlow())


def _scored(table):
    made = {k: v for k, v in events(6).items() if k not in ("run", "event")}
    return [*made.items(), ("counter", made["a"])]


@pytest.mark.slow
def test_scores_do_not_depend_on_neighbours(tmp_path: Path) -> None:
    """Add an event whose index is too large to be counted from its prediction."""
    draw = np.random.default_rng(1)
    x = draw.integers(0, 1000, 6000)
    ft.train(
        {"x": x, "y": x + draw.integers(0, 3, 6000)}, tmp_path / "m.flow", effort="fast"
    )
    some = {"x": x[:5], "y": x[:5] + 1}
    with_another = {"x": np.append(x[:5], 7), "y": np.append(some["y"], 2**60)}
    alone, together = (
        ft.score(tmp_path / "m.flow", events).bits.to_numpy()
        for events in (some, with_another)
    )
    assert np.array_equal(alone, together[:5])
    assert together[5] > 50


@pytest.mark.slow
def test_probabilities_of_a_column_add_up_to_one(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    n = draw.integers(0, 7, 5000).astype(np.int8)
    ft.train(
        {"n": n, "m": (n + draw.integers(0, 3, 5000)).astype(np.int8)},
        tmp_path / "m.flow",
        effort="fast",
    )
    grid = np.array([(n, m) for n in range(-5, 15) for m in range(-5, 20)], np.int8)
    scores = ft.score(tmp_path / "m.flow", {"n": grid[:, 0], "m": grid[:, 1]})
    assert abs(np.exp(scores.log_prob).to_numpy().sum() - 1) < 2e-3


@pytest.mark.slow
def test_surprise_of_the_models_own_events_is_standard(model: Path) -> None:
    with ft.open(model) as file:
        coding = file.table().coding
    actual = expectation("events", coding).surprise(
        score(
            read_all(SampledTable("events", coding, 3000, AtRandom(77, "events"))),
            coding,
        ).bits
    )
    assert abs(actual.mean()) < 0.1
    assert 0.5 < actual.std() < 2


@pytest.mark.slow
def test_likelihood_ratio_separates_two_models(model: Path, tmp_path: Path) -> None:
    shifted = events(3) | {
        "score": (np.random.default_rng(3).normal(1.5, 1, EVENTS)).astype(np.float32)
    }
    ft.train(shifted, tmp_path / "other.flow", tolerance={"*": "abs:0.01"}, effort="fast")
    own = ft.score(model, events(4), against=tmp_path / "other.flow")
    others = ft.score(model, shifted, against=tmp_path / "other.flow")
    assert np.mean(own.log_ratio) > 0 > np.mean(others.log_ratio)


def test_a_model_without_densities_is_refused_by_column(tmp_path: Path) -> None:
    table = dataset_from_memory(dependent_events(300, 1)).tables["events"]
    write_model(table, tmp_path / "m.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
    with pytest.raises(
        Unsupported,
        match=r"column 'a' and 1 more of table 'events' has no density; .* `train\(\)`",
    ):
        ft.sample(tmp_path / "m.flow", 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "how many events are to be drawn"),
        ({"n": -1}, "cannot draw -1 events"),
        ({"n": 5, "seed": -1}, "seed -1 is not"),
        ({"given": {"x": [1.0]}}, "has no column of"),
        ({"given": {"a": [1]}}, "column 'a' is int64, not float32"),
        (
            {"given": {"a": np.ones(3, np.float32)}, "n": 4},
            "cannot draw 4 events from 3 given ones",
        ),
    ],
)
def test_bad_requests(model: Path, arguments: dict, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ft.sample(model, **arguments)


@pytest.mark.slow
def test_an_unknown_tree_is_refused(model: Path) -> None:
    with pytest.raises(InvalidArgument, match="no tree 'Evnts'; nearest: events"):
        ft.sample(f"{model}:Evnts", 5)


@pytest.mark.slow
def test_events_without_a_column_of_the_model_are_refused(model: Path) -> None:
    with pytest.raises(InvalidArgument, match="column 'score' is missing"):
        ft.score(model, {k: v for k, v in events(1).items() if k != "score"})
