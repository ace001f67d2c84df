"""Features of the event so far, against plain loops over the objects of each event."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pytest

from event_made import AXES, FEATURES, JETS, KNOTS, WALK, WALKS, WHOLE
from flowtuple.data.schema import Array, Column
from flowtuple.lattice.context import Context, Parent, make_context
from flowtuple.lattice.event_features import (
    KINDS,
    MAX_KNOTS,
    EventFeature,
    nearest_rows,
    quantile_knots,
)
from reference_reader.features import FORMULAS, Place, among
from reference_reader.rows import Row, Rows

MANY = 30
COUNTS = {"#nJet": [2, 0, MANY, 1, 5, 3, 1, 0, 4], "#nMuon": [1, 2, 3, 0, 0, 2, 1, 0, 1]}
COUNTS[""] = [1] * len(COUNTS["#nJet"])
JET_COLUMNS = (*WHOLE, "Jet_phi", "Jet_a", "Jet_b", "Jet_id", "Jet_walk")
COLUMNS = (
    Column("nJet", "int64"),
    Column("nMuon", "int64"),
    Column("MET_pt", "float32"),
    Column("MET_phi", "float32"),
    *(
        Column(f"Muon_{axis}", "float32", counter="nMuon")
        for axis in ("pt", "eta", "phi")
    ),
    *(Column(name, "float32", counter="nJet") for name in JET_COLUMNS),
)
KEYS = {c.name: "" if c.counter is None else f"#{c.counter}" for c in COLUMNS}
CASES = [(kind, columns) for kind, choices in FEATURES.items() for columns in choices]
CASES += list(WALKS.items())


def stored_values(seed: int, special: bool) -> dict[str, Array]:
    """Values of all columns in stored order, with odd ones if they are special."""
    draw, made = np.random.default_rng(seed), {}
    for column in COLUMNS:
        count = sum(COUNTS[KEYS[column.name]])
        axis = column.name.partition("_")[2]
        if column.name in ("nJet", "nMuon"):
            made[column.name] = np.array(COUNTS[f"#{column.name}"])
        elif axis in ("phi", "walk"):
            made[column.name] = draw.uniform(-np.pi, np.pi, count).astype(np.float32)
        elif axis == "eta":
            made[column.name] = draw.normal(0, 2, count).astype(np.float32)
        elif axis == "id":
            made[column.name] = draw.integers(2**53, 2**63, count)
        else:
            made[column.name] = draw.exponential(30, count).astype(np.float64)
        if special and made[column.name].dtype.kind == "f":
            odd = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e300, 70.0, 2.0**21, -7.0]
            at = draw.choice(count, min(count, 12), replace=False)
            with np.errstate(over="ignore"):
                made[column.name][at] = draw.choice(odd, len(at))
    return made


def context_of(stored: dict[str, Array]) -> Context:
    counters = {name: stored[name] for name in ("nJet", "nMuon")}
    context = make_context(COLUMNS, len(COUNTS[""]), counters)
    for name, values in stored.items():
        context.values[name] = context.rows(KEYS[name]).sort(values)
    return context


@dataclass
class Known:
    """A column in stored order, as the plain loops take one."""

    column: Column
    rows: Rows
    values: Array

    def number(self, position: int) -> float:
        return float(self.values[position])


@dataclass
class InCollection:
    collection: str


def by_loops(stored: dict[str, Array], kind: str, columns: tuple[str, ...]) -> Array:
    """The numbers for the jets in row order, NaN for missing ones."""
    chunk = {
        name: Known(InCollection(KEYS[name]), Rows(COUNTS[KEYS[name]]), values)
        for name, values in stored.items()
    }
    reader, numbers = chunk["Jet_pt"], []
    starts = [0, *accumulate(COUNTS["#nJet"])]
    for number in range(MANY):
        for event, count in enumerate(COUNTS["#nJet"]):
            if number < count:
                row = Row(event, number, starts[event] + number)
                x = FORMULAS[kind](Place(reader, row, chunk), columns)
                is_place = EventFeature(kind, columns).is_place
                numbers.append(among(KNOTS, x) if is_place else x)
    found = np.array(numbers)
    return np.where(np.isfinite(found), found, np.nan)


def evaluated(
    context: Context, kind: str, columns: tuple[str, ...], part: slice
) -> Array:
    values, present = context.features.evaluate(
        EventFeature(kind, columns, KNOTS), "#nJet", part
    )
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert not values[~present].any()
    return np.where(present, values, np.nan)


def assert_same_bits(a: Array, b: Array) -> None:
    """Zeros of both signs are equal: no level and no prediction tells them apart."""
    assert a.shape == b.shape
    assert np.array_equal(a + 0.0, b + 0.0, equal_nan=True)


WHOLE_PART = slice(0, sum(COUNTS["#nJet"]))


def test_cases_are_of_every_kind() -> None:
    assert {kind for kind, _ in CASES} == set(KINDS) == set(FORMULAS)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(("kind", "columns"), CASES)
def test_as_plain_loops_do(kind: str, columns: tuple[str, ...], special: bool) -> None:
    stored = stored_values(1 + special, special)
    found = evaluated(context_of(stored), kind, columns, WHOLE_PART)
    expected = by_loops(stored, kind, columns)
    assert_same_bits(found, expected)
    assert np.isfinite(expected).any()
    assert np.isnan(expected).any() or not special or kind in ("sum", "rest")


@pytest.mark.parametrize(("kind", "columns"), CASES)
@pytest.mark.parametrize("size", [1, 13])
def test_blocks_do_not_matter(kind: str, columns: tuple[str, ...], size: int) -> None:
    stored = stored_values(3, special=True)
    whole = evaluated(context_of(stored), kind, columns, WHOLE_PART)
    blocks = [slice(a, min(a + size, len(whole))) for a in range(0, len(whole), size)]
    for order in (blocks, blocks[::-1]):
        context = context_of(stored)
        found = np.empty_like(whole)
        for part in order:
            found[part] = evaluated(context, kind, columns, part)
        assert_same_bits(found, whole)


@pytest.mark.parametrize(("kind", "columns"), WALKS.items())
def test_decoding_number_by_number_gives_the_same(
    kind: str, columns: tuple[str, ...]
) -> None:
    """Later objects of the reader are not known yet: they hold something else."""
    stored = stored_values(4, special=False)
    known = context_of(stored)
    whole = evaluated(known, kind, columns, WHOLE_PART)
    context = context_of(stored)
    context.values["Jet_walk"] = np.full(len(whole), 1e6)
    for part in context.rows("#nJet").parts:
        assert_same_bits(evaluated(context, kind, columns, part), whole[part])
        context.values["Jet_walk"][part] = known.values["Jet_walk"][part]


def one_event(**columns: list[float]) -> Context:
    """A context of one event with jets of these values, in number as the first column's."""
    count = len(next(iter(columns.values())))
    schema = [Column("nJet", "int64")]
    schema += [Column(f"Jet_{c}", "float64", counter="nJet") for c in columns]
    context = make_context(schema, 1, {"nJet": np.array([count])})
    for name, values in columns.items():
        context.values[f"Jet_{name}"] = np.array(values, np.float64)
    return context


def numbers(context: Context, kind: str, columns: tuple[str, ...]) -> list[float | None]:
    part = slice(0, len(context.rows("#nJet")))
    values, present = context.features.evaluate(
        EventFeature(kind, columns, KNOTS), "#nJet", part
    )
    pairs = zip(values.tolist(), present.tolist(), strict=True)
    return [round(v, 9) if there else None for v, there in pairs]


RIGHT = np.pi / 2


@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        ("sum", ("Jet_pt",), [0.0, 3.0, 7.0]),
        ("rest", ("Jet_pt",), [12.0, 9.0, 5.0]),
        ("mean", ("Jet_pt", "Jet_eta"), [None, 1.0, 15 / 7]),
        ("length", JETS, [0.0, 3.0, 5.0]),
        ("balance", JETS, [None, np.pi, np.arctan2(-4, -3)]),
        ("turn of the first", ("Jet_phi", *JETS), [None, -np.pi, -np.arctan2(-4, -3)]),
        (
            "turn of the last",
            ("Jet_phi", *JETS),
            [None, -np.pi, RIGHT - np.arctan2(-4, -3) - 2 * np.pi],
        ),
        (
            "distance",
            (*AXES, *AXES),
            [np.hypot(1, np.pi - 2.5), np.hypot(2, RIGHT), None],
        ),
        ("nearest", ("Jet_pt", *AXES, *AXES), [5.0, 3.0, 3.0]),
        ("relative length", ("Jet_pt", *JETS), [0.0, 0.75, 1.0]),
        ("opening", ("Jet_pt", *JETS), [None, 0.0, 1.0]),
        ("size", ("Jet_eta",), [1.0, 3.0, 0.0]),
        ("energy", WHOLE, [None] * 3),
        ("left", (*WHOLE, "Jet_a"), [None] * 3),
        ("needed", ("Jet_pt",), [None, 1.5, -1.0]),
        (
            "mass",
            ("Jet_pt", *AXES),
            [
                None,
                np.sqrt(24 * np.cosh(2)),
                np.sqrt(30 * (np.cosh(1) + np.cos(2.5))),
            ],
        ),
        (
            "back to back",
            ("Jet_pt", "Jet_eta"),
            [None, np.sqrt(24 * (np.cosh(2) + 1)), np.sqrt(30 * (np.cosh(1) + 1))],
        ),
        ("place", ("Jet_pt",), [8.0, 8 + 1 / 17, 8 + 2 / 17]),
        ("place of size", ("Jet_eta",), [6.0, 8.0, 3.0]),
    ],
)
def test_numbers_of_three_jets(
    kind: str, columns: tuple[str, ...], expected: list[float | None]
) -> None:
    context = one_event(pt=[3, 4, 5], eta=[1, 3, 0], phi=[0, RIGHT, 2.5 - np.pi])
    if kind in ("energy", "left"):
        context = one_event(pt=[4, 0, 3], eta=[0, 9, 0], m=[3, 0, 4], a=[1, 1, 5])
        expected = [5.0, 0.0, 5.0] if kind == "energy" else [0.8, None, 0.0]
    if kind == "distance":
        expected = [
            np.hypot(1, np.pi - 2.5),
            np.hypot(2, RIGHT),
            np.hypot(1, np.pi - 2.5),
        ]
    found = numbers(context, kind, columns)
    assert found == [None if e is None else round(float(e), 9) for e in expected]


@pytest.mark.parametrize(("kind", "columns"), CASES)
def test_a_single_object(kind: str, columns: tuple[str, ...]) -> None:
    if not all(name.startswith("Jet_") for name in columns):
        return
    names = {name.removeprefix("Jet_"): [2.0] for name in columns} | {"pt": [2.0]}
    (found,) = numbers(one_event(**names), kind, columns)
    others = {"mean", "balance", "turn of the first", "turn of the last", "distance"}
    others |= {"nearest", "opening", "needed", "mass", "back to back"}
    assert (found is None) == (kind in others)


@pytest.mark.parametrize("lacking", ["pt", "eta", "phi"])
def test_objects_that_lack_an_axis_spoil_their_sums_alone(lacking: str) -> None:
    axes = {"pt": [3.0, 4.0, 5.0], "eta": [0.0, 1.0, 2.0], "phi": [0.0, 1.0, 2.0]}
    axes[lacking][1] = np.nan
    context = one_event(**axes)
    missing = [n is None for n in numbers(context, "length", JETS)]
    assert missing == [False, False, lacking != "eta"]
    missing = [n is None for n in numbers(context, "distance", (*AXES, *AXES))]
    assert missing == [False, lacking != "pt", False]
    assert numbers(context, "nearest", ("Jet_pt", *AXES, *AXES))[0] == (
        5.0 if lacking != "pt" else None
    )


def test_an_event_of_400_jets() -> None:
    draw = np.random.default_rng(8)
    pt, eta, phi = (
        draw.exponential(30, 400),
        draw.normal(0, 2, 400),
        draw.uniform(-3, 3, 400),
    )
    context = one_event(pt=pt.tolist(), eta=eta.tolist(), phi=phi.tolist())
    total, sums = 0.0, []
    for x in pt.tolist():
        sums.append(total)
        total = total + x
    part = slice(0, 400)
    assert evaluated(context, "sum", ("Jet_pt",), part).tolist() == sums
    rest = evaluated(context, "rest", ("Jet_pt",), part)
    assert rest.tolist() == [total - s for s in sums]
    turn = np.abs(phi[:, None] - phi)
    near = np.hypot(eta[:, None] - eta, np.minimum(turn, 2 * np.pi - turn))
    np.fill_diagonal(near, np.inf)
    distance = evaluated(context, "distance", (*AXES, *AXES), part)
    assert distance == pytest.approx(near.min(axis=1), rel=1e-14)


def test_no_objects() -> None:
    stored = stored_values(5, special=False)
    none = {n: v[:0] if KEYS[n] else v * 0 for n, v in stored.items()}
    context = make_context(COLUMNS, len(COUNTS[""]), none)
    for name, values in none.items():
        context.values[name] = values
    for kind, columns in CASES:
        assert len(evaluated(context, kind, columns, slice(0, 0))) == 0


def test_places_end_at_the_outermost_knots() -> None:
    x = [-np.inf, -3.0, -1.0, 0.0, 1.0, 3.0, 4.0, np.inf, np.nan]
    context, part = one_event(x=x), slice(0, len(x))

    def places(*knots: float) -> list[float]:
        feature = EventFeature("place", ("Jet_x",), knots)
        values, present = context.features.evaluate(feature, "#nJet", part)
        return np.where(present, values, np.nan).tolist()

    found = places(-1.0, 1.0, 2.0, 4.0)
    assert found[:-1] == [0.0, 0.0, 0.0, 0.5, 1.0, 2.5, 3.0, 3.0]
    assert np.isnan(found[-1])
    assert places(0.0)[:-1] == [0.0] * 8
    assert np.isnan(places()).all()
    # a width beyond all numbers
    assert places(-1.5e308, 1.5e308)[1:7] == [0.0] * 6


@pytest.mark.parametrize("knots", [(), (0.0,), (-1.0, 0.5, 2.0), tuple(range(MAX_KNOTS))])
def test_levels_count_knots(knots: tuple[float, ...]) -> None:
    values = np.array([-2.0, -1.0, -0.0, 0.0, 0.5, 0.6, 2.0, 1e300, 100.0, 0.0])
    present = np.arange(len(values)) < len(values) - 1
    levels = EventFeature("sum", ("x",), tuple(map(float, knots))).level(values, present)
    expected = [
        (1 + sum(k <= v for k in knots)) * 255 // (len(knots) + 1) if there else 0
        for v, there in zip(values.tolist(), present.tolist(), strict=True)
    ]
    assert levels.dtype == np.uint8
    assert levels.tolist() == expected
    assert levels[7] == 255


def test_a_conditioner_reads_levels_and_a_prediction_numbers() -> None:
    stored = stored_values(6, special=True)
    context = context_of(stored)
    feature = EventFeature("length", JETS, (10.0, 50.0))
    parent = Parent("feature", feature=feature)
    values, present = context.fetch(parent, "#nJet", WHOLE_PART)
    (levels,) = context.gather([parent], "#nJet", WHOLE_PART)
    assert np.array_equal(levels, feature.level(values, present))
    assert parent.names == JETS


def test_knots_are_quantiles() -> None:
    assert quantile_knots(np.arange(100.0), 3) == (24.0, 49.0, 74.0)
    assert quantile_knots(np.repeat([1.0, 2.0], 50), 9) == (1.0, 2.0)
    assert quantile_knots(np.empty(0), 9) == ()


def test_the_nearest_before() -> None:
    context = one_event(pt=[1, 1, 1], eta=[0.0, 3.0, 1.0], phi=[3.1, 0.0, -3.1])
    rows = context.rows("#nJet")
    axes = [context.values[name] for name in AXES]
    event, number = np.zeros(3, int), np.arange(3)
    at, distance = nearest_rows(axes, event, number, axes, rows, before=True)
    assert at.tolist() == [-1, 0, 0]
    assert np.isnan(distance[0])
    assert distance[2] == pytest.approx(np.hypot(1, 2 * np.pi - 6.2))
    at, _ = nearest_rows(axes, event, number, axes, rows)
    assert at.tolist() == [2, 2, 0]


def test_equal_distances_take_the_first() -> None:
    context = one_event(pt=[1, 2, 3], eta=[0.0, 1.0, -1.0], phi=[0.0, 0.0, 0.0])
    assert numbers(context, "nearest", ("Jet_pt", *AXES, *AXES)) == [2.0, 1.0, 1.0]


def test_only_searches_name_what_they_search() -> None:
    searching = {k for k, c in CASES if EventFeature(k, c).searched}
    assert searching == {"distance", "nearest"}
    assert EventFeature("nearest", ("x", *AXES, *WALK)).searched == WALK[-1]
