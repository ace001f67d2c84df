"""Rules that training finds: those that hold, and none where an event or chance speaks against."""

from collections.abc import Mapping

import numpy as np
import pytest

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.grid import Integers, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.rules import Rule
from flowtuple.training.rules import (
    FEWEST,
    explain,
    find_rules,
    least_rules,
    plainest_between,
)

EVENTS = 600


def table_of(jets: Mapping[str, Array] | None = None, **of_event: Array) -> Table:
    """Events with event columns, and jets whose counts are `nJet`."""
    columns = [
        Column(n, str(x.dtype), "counter" if n == "nJet" else "value")
        for n, x in of_event.items()
    ]
    columns += [Column(n, str(x.dtype), counter="nJet") for n, x in (jets or {}).items()]
    return Table("t", tuple(columns), EVENTS, {**of_event, **(jets or {})})


def words(table: Table) -> list[str]:
    return [str(rule) for rule in find_rules(table)]


def of_kind(kind: str, table: Table) -> list[str]:
    return [str(rule) for rule in find_rules(table) if rule.kind == kind]


def draw(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def counts_and_energies() -> tuple[Array, Array]:
    some = draw().random(EVENTS) < 0.4
    return some.astype(np.int32), np.where(some, draw(2).exponential(5, EVENTS) + 0.1, 0)


def test_zeros() -> None:
    n, energy = counts_and_energies()
    assert words(table_of(n=n, e=energy)) == ["e is 0 exactly where n is 0"]


@pytest.mark.parametrize("value", [np.nan, 1.0, -1.0])
def test_one_row_speaks_against_zeros(value: float) -> None:
    n, energy = counts_and_energies()
    energy[np.flatnonzero(n == 0)[0]] = value
    assert words(table_of(n=n, e=energy)) == []


@pytest.mark.parametrize(("zeros", "rules"), [(FEWEST - 1, 0), (FEWEST, 1)])
@pytest.mark.parametrize("few_are_zero", [True, False])
def test_zeros_of_few_rows_are_chance(zeros: int, rules: int, few_are_zero: bool) -> None:
    n = ((np.arange(EVENTS) < zeros) != few_are_zero).astype(np.int32)
    assert len(words(table_of(n=n, m=2 * n))) == rules


def test_zeros_are_of_one_collection_and_of_drawn_columns() -> None:
    n, energy = counts_and_energies()
    one = np.ones(EVENTS, np.int32)
    assert words(table_of({"Jet_e": energy}, nJet=one, n=n)) == []
    assert find_rules(table_of(n=n, e=energy), {"e"}) == ()


def sorted_jets(counts: Array) -> Array:
    pt = draw(3).exponential(30, counts.sum())
    event = np.repeat(np.arange(EVENTS), counts)
    return pt[np.lexsort((-pt, event))].astype(np.float32)


def test_falling() -> None:
    counts = draw().integers(0, 5, EVENTS)
    pt = sorted_jets(counts)
    assert of_kind("falling", table_of({"Jet_pt": pt}, nJet=counts)) == [
        "Jet_pt does not rise from object to object"
    ]
    # a fall by nothing is none by which anything could be told
    assert of_kind("falling", table_of({"a": 0 * pt}, nJet=counts)) == [
        "a does not rise from object to object"
    ]


@pytest.mark.parametrize("value", [1e4, np.nan])
def test_one_rise_speaks_against_falling(value: float) -> None:
    counts = draw().integers(0, 5, EVENTS)
    pt = sorted_jets(counts)
    # the second object of the last event with two
    pt[(np.cumsum(counts) - counts)[np.flatnonzero(counts > 1)[-1]] + 1] = value
    assert words(table_of({"Jet_pt": pt}, nJet=counts)) == []


@pytest.mark.parametrize(("pairs", "rules"), [(499, 0), (500, 1)])
def test_few_pairs_may_fall_by_chance(pairs: int, rules: int) -> None:
    counts = 1 + (np.arange(EVENTS) < pairs)
    assert len(words(table_of({"Jet_pt": sorted_jets(counts)}, nJet=counts))) == rules


def test_implies() -> None:
    b = np.arange(EVENTS) % 2 == 0
    a = b & (draw().random(EVENTS) < 0.5)
    assert words(table_of(a=a, b=b)) == ["a only with b"]
    a[1] = True
    assert words(table_of(a=a, b=b)) == []


@pytest.mark.parametrize(("without", "rules"), [(240, 0), (360, 1)])
def test_flags_that_chance_would_hardly_set_alone(without: int, rules: int) -> None:
    """80 events with a: chance sets it without b 32 times, or 48 and more; 50 are needed."""
    b = np.arange(EVENTS) >= without
    a = np.arange(EVENTS) >= EVENTS - (80 if rules == 0 else 100)
    assert len(of_kind("implies", table_of(a=a, b=b))) == rules


def leading(seed: int = 4) -> tuple[Array, Array, Array]:
    """Counts, jets, and the first jet of each event, -1 for none."""
    counts = draw(seed).integers(0, 4, EVENTS)
    pt = (20 + draw(seed + 1).exponential(30, counts.sum())).astype(np.float32)
    first = np.full(EVENTS, -1.0)
    first[counts > 0] = pt[(np.cumsum(counts) - counts)[counts > 0]]
    return counts, pt, first


def test_a_threshold_on_the_first_object() -> None:
    counts, pt, first = leading()
    met = draw(6).exponential(20, EVENTS)
    made = table_of({"Jet_pt": pt}, flag=first > 40, MET=met, nJet=counts)
    (rule,) = [r for r in find_rules(made) if r.kind == "flag"]
    (cut,) = rule.cuts
    assert (cut.column, cut.above) == ("Jet_pt", True)
    below = first[first <= 40].max()
    assert below <= cut.threshold < first[first > 40].min()


def test_a_cut_from_above_has_to_have_an_object() -> None:
    counts, pt, first = leading()
    flag = (first >= 0) & (first < 35)
    made = table_of({"Jet_pt": pt}, flag=flag, nJet=counts)
    (rule,) = [r for r in find_rules(made) if r.kind == "flag"]
    assert [(c.column, c.above) for c in rule.cuts] == [("Jet_pt", False)]
    assert first[flag].max() < rule.cuts[0].threshold <= first[first >= 35].min()


@pytest.mark.parametrize("above", [True, False])
def test_a_cut_on_an_event_column(above: bool) -> None:
    met = draw(6).normal(0, 1, EVENTS).astype(np.float32)
    flag = (met > 0.5) if above else (met < 0.5)
    sign = ">" if above else "<"
    (found,) = words(table_of(MET=met, flag=flag))
    name, threshold = found.split(f" {sign} ")
    assert name == "flag = MET"
    assert abs(float(threshold) - 0.5) < 0.02


def test_a_conjunction_of_two() -> None:
    counts, pt, first = leading()
    iso = draw(7).random(len(pt)).astype(np.float32)
    begin = np.cumsum(counts) - counts
    first_iso = np.where(counts > 0, iso[np.minimum(begin, len(iso) - 1)], 9)
    flag = (first > 30) & (first_iso < 0.6)
    made = table_of({"Mu_pt": pt, "Mu_iso": iso}, flag=flag, nJet=counts)
    (rule,) = [r for r in find_rules(made) if r.kind == "flag"]
    assert {(c.column, c.above) for c in rule.cuts} == {
        ("Mu_pt", True),
        ("Mu_iso", False),
    }
    passes = np.ones(EVENTS, bool)
    for cut in rule.cuts:
        values = {"Mu_pt": first, "Mu_iso": first_iso}[cut.column]
        passes &= (values > cut.threshold) if cut.above else (values < cut.threshold)
    assert np.array_equal(passes, flag)


def test_what_explains_no_flag() -> None:
    counts, pt, first = leading()
    met = draw(6).exponential(20, EVENTS)
    chance = draw(8).random(EVENTS) < 0.5
    either = (first > 60) | (met > 30)
    wrong_once = first > 40
    wrong_once[np.flatnonzero(first > 40)[3]] = False
    for flag in (chance, either, wrong_once):
        made = table_of({"Jet_pt": pt}, flag=flag, MET=met, nJet=counts)
        assert words(made) == []


def test_numbers_that_are_none_do_not_explain_but_do_no_harm() -> None:
    met = draw(6).exponential(20, EVENTS)
    flag = met > 20
    with_nan = met.copy()
    with_nan[flag.argmax()] = np.nan
    assert words(table_of(MET=with_nan, flag=flag)) == []
    with_nan = met.copy()
    with_nan[(~flag).argmax()] = np.nan  # refused by the cut, as the flag is
    (found,) = words(table_of(MET=with_nan, flag=flag))
    assert found.startswith("flag = MET > ")


@pytest.mark.parametrize("above", [True, False])
def test_infinite_numbers_beyond_a_cut(above: bool) -> None:
    """What lies beyond is no place for a threshold, which has to be finite."""
    met = draw(6).random(EVENTS)
    flag = met > 0.5
    met[~flag] = -np.inf if above else np.inf
    (rule,) = find_rules(table_of(MET=met, flag=flag))
    (cut,) = rule.cuts
    assert np.isfinite(cut.threshold)
    assert cut.above == above
    assert np.array_equal(met > cut.threshold if above else met < cut.threshold, flag)


def test_the_first_cut_refuses_most() -> None:
    x, y = draw(1).random(EVENTS), draw(2).random(EVENTS)
    flag, there = (x > 0.6) & (y > 0.3), np.ones(EVENTS, bool)
    cuts = explain(flag, {"y": (y, there), "x": (x, there)})
    assert [c.column for c in cuts] == ["x", "y"]
    assert explain(flag, {}) == ()
    assert explain(flag, {"y": (y, there)}) == ()
    # a second cut for few events would be chance
    few = x > 0.5
    few[np.flatnonzero(few)[: FEWEST - 1]] = False
    z = np.where(few, 1.0, np.where(x > 0.5, 0.0, draw(3).random(EVENTS) < 0.5))
    assert explain(few, {"x": (x, there), "z": (z, there)}) == ()


@pytest.mark.parametrize(
    ("low", "high", "upper", "expected"),
    [
        (-60.03, -59.98, False, -60.0),
        (-60.03, -59.98, True, -60.0),
        (-0.3, 0.2, False, 0.0),
        (-0.3, 0.2, True, 0.0),
        (60.0, 60.5, False, 60.0),
        (59.5, 60.0, True, 60.0),
        (60.0, 61.0, True, 61.0),
        (1e-9, 2e-9, False, 1e-9),
        (1e-9, 2e-9, True, 2e-9),
        (-2e-9, -1e-9, False, -2e-9),
        (2.5, 2.5, False, 2.5),
        (2.5, 2.5, True, 2.5),
        (0.0, 0.0, False, 0.0),
        (1 / 3, 1 / 3, True, 1 / 3),
        (1e300, 1.5e300, False, 1e300),
        (1e17, 1e17 + 16, False, 1e17),
    ],
)
def test_plainest_between(low: float, high: float, upper: bool, expected: float) -> None:
    found = plainest_between(low, high, upper=upper)
    assert found == expected
    assert low < found < high or found == (high if upper else low)


@pytest.mark.parametrize("upper", [True, False])
def test_plainest_between_stays_between(upper: bool) -> None:
    ends = np.sort(draw().normal(0, 10.0 ** draw(2).integers(-9, 9, 2000), (2, 2000)), 0)
    for low, high in ends.T.tolist():
        found = plainest_between(low, high, upper=upper)
        assert low < found < high or found == (high if upper else low)


LATTICES = {
    "e": Lattice("float32", Bound("abs", 0.25), Uniform("float32", 0.25)),
    "n": Lattice("int32", Bound(), Integers("int32")),
}


def least_of(energy: Array, n: Array) -> tuple[dict[tuple[str, ...], float], Array]:
    """The least values, and the decoded energies."""
    made = table_of(e=energy.astype(np.float32), n=n.astype(np.int32))
    found = list(least_rules([Rule("zeros", ("n", "e"))], made, LATTICES))
    assert {r.kind for r in found} <= {"least"}
    return {r.columns: r.numbers[0] for r in found}, LATTICES["e"].snap(made.data["e"])


def test_no_decoded_value_is_below_the_least() -> None:
    n = draw().poisson(1.0, EVENTS)
    energy = np.where(n > 0, 0.5 * n + draw(2).exponential(2, EVENTS), 0)
    least, decoded = least_of(energy, n)
    some = decoded > 0
    assert (decoded[some] >= least["e",]).all()
    assert (decoded[some] >= least["e", "n"] * n[some]).all()
    # no more than rounding below the smallest, which is of the decoded values and not the measured
    assert least["e",] == pytest.approx(decoded[some].min(), rel=1e-6)
    assert least["e", "n"] == pytest.approx((decoded[some] / n[some]).min(), rel=1e-6)


def test_energies_that_are_rounded_to_zero_do_not_count() -> None:
    n = np.repeat([0, 1, 2], EVENTS // 3)
    least, decoded = least_of(np.where(n == 1, 0.1, n * 1.0), n)
    assert set(decoded[n == 1]) == {0}
    assert least["e",] == pytest.approx(2.0)
    assert least_of(np.where(n > 0, 0.1, 0), n)[0] == {}
    assert least_of(np.where(n > 0, -1.0, 0), n)[0] == {}


def test_only_energies_with_counts_have_least_values() -> None:
    made = table_of(n=np.ones(EVENTS, np.int32), m=np.ones(EVENTS, np.int32))
    whole = LATTICES["n"]
    rules = [Rule("zeros", ("n", "m")), Rule("falling", ("n",))]
    assert list(least_rules(rules, made, {"n": whole, "m": whole})) == []


def test_a_table_without_events_has_no_rules() -> None:
    columns = (Column("a", "bool"), Column("x", "float32"))
    empty = Table("t", columns, 0, {"a": np.empty(0, bool), "x": np.empty(0, "f4")})
    assert find_rules(empty) == ()
