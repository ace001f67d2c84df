"""Rules in use: what each refuses among values just drawn, and what it puts in their place."""

from dataclasses import replace

import numpy as np
import pytest

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.lattice.context import make_context
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.grid import Integers, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.rules import RULES, Cut, Rule, cuts_rule
from flowtuple.lattice.walk import ColumnState, TableCoding
from flowtuple.model.rules import Candidates, RuleBook

COUNTS = np.array([2, 0, 3, 1])
EVENT_COLUMNS = (
    Column("MET", "float32"),
    Column("one", "bool"),
    Column("two", "bool"),
    Column("nJet", "int64"),
)
OBJECTS = ("pt", "eta", "phi", "m", "a", "b")
COLUMNS = (
    *EVENT_COLUMNS,
    *(Column(name, "float32", counter="nJet") for name in OBJECTS),
    Column("k", "int16", counter="nJet"),
)
LATTICES = {
    c.name: Lattice("float32", Bound("abs", 0.125), Uniform("float32", 0.125))
    if c.dtype == "float32"
    else Lattice(c.dtype, Bound(), Integers(c.dtype))
    for c in COLUMNS
}


def candidates(
    name: str, values: list[float], known: dict[str, list[float]], chance: float = 0.5
) -> Candidates:
    """Values drawn for all rows of a column, where others have values in row order."""
    column = next(c for c in COLUMNS if c.name == name)
    coding = TableCoding(COLUMNS, LATTICES, LatticeFlow())
    context = make_context(COLUMNS, len(COUNTS), {"nJet": COUNTS})
    for other, content in known.items():
        dtype = next(c.dtype for c in COLUMNS if c.name == other)
        context.values[other] = np.array(content, dtype)
    drawn = np.array(values, column.dtype)
    # values drawn in this attempt are not recorded yet, those of earlier objects are
    context.values.setdefault(name, drawn)
    rows = np.arange(len(values))
    state = ColumnState(column, coding, context)
    return Candidates(state, context, rows, drawn, np.full(len(values), chance))


def settled(rule: Rule, drawn: Candidates) -> Array:
    """Values with those in place of the refused ones, which the rule takes."""
    book = RuleBook([rule], COLUMNS)
    lattice = drawn.state.lattice
    q = book.settle(drawn, lattice.encode(drawn.values))
    values: Array = lattice.decode(q)
    kept = ~book.refused(drawn)
    assert np.array_equal(values[kept], drawn.values[kept])
    again = replace(drawn, values=values)
    drawn.context.values[drawn.state.name] = values
    assert not book.refused(again).any()
    return values


def refused(rule: Rule, drawn: Candidates) -> list[bool]:
    found = RuleBook([rule], COLUMNS).refused(drawn)
    assert found.dtype == bool
    return [bool(r) for r in found]


TESTED: set[str] = set()


def of_kind(kind: str, *columns: str, numbers: tuple[float, ...] = ()) -> Rule:
    TESTED.add(kind)
    return Rule(kind, columns, numbers)


# Rows of jets: the first jets of events 0, 2 and 3, the second ones of 0 and 2, the third of 2.


@pytest.mark.parametrize("name", ["a", "b"])
def test_zeros(name: str) -> None:
    rule, other = of_kind("zeros", "a", "b"), {"a": "b", "b": "a"}[name]
    drawn = candidates(name, [0, 0, 1, 2, 0, 3], {other: [0, 5, 0, 7, 8, 0]})
    assert refused(rule, drawn) == [False, True, True, False, True, True]
    values = settled(rule, drawn)
    assert ((values == 0) == (drawn.context.values[other] == 0)).all()
    assert refused(rule, candidates(name, [0, 1, 2, 3, 4, 5], {})) == [False] * 6


def test_falling() -> None:
    rule = of_kind("falling", "pt")
    drawn = candidates("pt", [5, 6, 7, 6, 6, 6.5], {})
    assert refused(rule, drawn) == [False, False, False, True, False, True]
    assert settled(rule, drawn).tolist() == [5, 6, 7, 5, 6, 6]


@pytest.mark.parametrize("name", ["one", "two"])
def test_implies(name: str) -> None:
    rule = of_kind("implies", "one", "two")
    known = {"two": [1, 1, 0, 0]} if name == "one" else {"one": [1, 1, 0, 0]}
    drawn = candidates(name, [1, 0, 1, 0], known)
    expected = (
        [False, False, True, False] if name == "one" else [False, True, False, False]
    )
    assert refused(rule, drawn) == expected
    assert settled(rule, drawn).tolist() == [
        e != d for e, d in zip(expected, [1, 0, 1, 0], strict=True)
    ]
    assert refused(rule, candidates(name, [1, 0, 1, 0], {})) == [False] * 4


FLAG = cuts_rule("one", (Cut("pt", True, 20.0), Cut("MET", False, 30.0)))
BOTH = {"pt": [25, 20, 30, 99, 99, 99], "MET": [10, 10, 10, 30]}


def test_flag_drawn_last() -> None:
    TESTED.add("flag")
    # events 0: holds; 1: no jet; 2: at the threshold; 3: MET does not pass
    for values, expected in [
        ([1, 1, 1, 1], [False, True, True, True]),
        ([0, 0, 0, 0], [True, False, False, False]),
    ]:
        drawn = candidates("one", values, BOTH)
        assert refused(FLAG, drawn) == expected
        assert settled(FLAG, drawn).tolist() == [True, False, False, False]


def test_flag_drawn_first() -> None:
    flags = [1, 0, 0, 1]
    drawn = candidates("one", [1, 1, 1, 1], {})
    assert refused(FLAG, drawn) == [False] * 4
    drawn = candidates("one", [1, 1, 1, 1], {"nJet": COUNTS.tolist()})
    assert refused(FLAG, drawn) == [False, True, False, False]
    # MET comes next, pt is not drawn yet: only a flag that is set can refuse it
    drawn = candidates("MET", [30, 10, 10, 10], {"one": flags})
    assert refused(FLAG, drawn) == [True, False, False, False]
    assert settled(FLAG, drawn)[0] < 30
    drawn = candidates(
        "pt", [20, 21, 20, 0, 0, 0], {"one": flags, "MET": [10, 10, 10, 10]}
    )
    assert refused(FLAG, drawn) == [True, True, True, False, False, False]
    values = settled(FLAG, drawn)
    assert values[0] > 20 >= values[1]
    assert values[2] > 20


def test_flags_that_contradict_one_another() -> None:
    """Both flags are drawn before the jets; MET is known, or it is drawn after them."""
    jet = cuts_rule("two", (Cut("pt", True, 25.0),))
    book = RuleBook([FLAG, jet], COLUMNS)
    met = {"MET": [10, 10, 30, 10]}

    def refused_by_all(drawn: Candidates) -> list[bool]:
        found: list[bool] = book.refused(replace(drawn, flags=book.flags)).tolist()
        return found

    # pt > 25 and MET < 30 set flag one; where that is not set, flag two cannot be
    known = {"one": [0, 0, 0, 1], **met, "nJet": [1, 1, 1, 1]}
    drawn = candidates("two", [1, 0, 1, 1], known)
    assert refused_by_all(drawn) == [True, False, False, False]
    q = book.settle(
        replace(drawn, flags=book.flags), drawn.state.lattice.encode(drawn.values)
    )
    assert q.tolist() == [0, 0, 1, 1]
    # and the other way round
    known = {"two": [1, 0, 1, 1], **met, "nJet": [1, 1, 1, 1]}
    drawn = candidates("one", [0, 0, 0, 1], known)
    assert refused_by_all(drawn) == [True, False, False, False]
    # MET comes last: it has to undo what flag one forbids
    known = {"one": [0, 0, 0, 1], "two": [1, 0, 1, 1]}
    drawn = candidates("MET", [10, 10, 40, 10], known)
    assert refused_by_all(drawn) == [True, False, False, False]
    q = book.settle(
        replace(drawn, flags=book.flags), drawn.state.lattice.encode(drawn.values)
    )
    assert drawn.state.lattice.decode(q)[0] >= 30
    # a lower threshold says nothing of a higher one
    low = RuleBook([FLAG, cuts_rule("two", (Cut("pt", True, 15.0),))], COLUMNS)
    known = {"two": [1, 0, 1, 1], **met, "nJet": [1, 1, 1, 1]}
    drawn = replace(candidates("one", [0, 0, 0, 1], known), flags=low.flags)
    assert not low.refused(drawn).any()


@pytest.mark.parametrize(("threshold", "excluded"), [(15.0, True), (25.0, False)])
def test_flags_that_exclude_one_another(threshold: float, excluded: bool) -> None:
    """No jet is above 20 and below 15; between 20 and 25 there are some."""
    low = cuts_rule("two", (Cut("pt", False, threshold),))
    book = RuleBook([FLAG, low], COLUMNS)
    for name, other in (("one", "two"), ("two", "one")):
        known = {other: [1, 0, 1, 0], "nJet": COUNTS.tolist()}
        drawn = replace(candidates(name, [1, 0, 0, 1], known), flags=book.flags)
        assert book.refused(drawn).tolist() == [excluded, False, False, False]
        q = book.settle(drawn, drawn.state.lattice.encode(drawn.values))
        assert q.tolist() == [not excluded, 0, 0, 1]


def test_flag_that_is_set_needs_objects() -> None:
    drawn = candidates("nJet", [0, 0, 1, 0], {"one": [1, 0, 1, 0]})
    assert refused(FLAG, drawn) == [True, False, False, False]
    assert settled(FLAG, drawn).tolist() == [1, 0, 1, 0]


def test_flag_of_two_cuts_on_a_column() -> None:
    window = cuts_rule("one", (Cut("pt", True, 20.0), Cut("pt", False, 90.0)))
    flags = {"one": [1, 0, 1, 0]}
    drawn = candidates("pt", [10, 95, 50, 0, 0, 0], flags)
    # first jets of events 0, 2 and 3
    assert refused(window, drawn) == [True, True, True, False, False, False]
    values = settled(window, drawn)
    assert 20 < values[0] < 90
    assert 20 < values[1] < 90
    assert not 20 < values[2] < 90


@pytest.mark.parametrize("threshold", [-1e30, 1e30, 1e300, 40_000.0, -1e9])
@pytest.mark.parametrize("name", ["pt", "k"])
def test_thresholds_that_no_value_reaches(name: str, threshold: float) -> None:
    """A model can say so; then nothing is a value that the rule takes."""
    for above in (False, True):
        rule = cuts_rule("one", (Cut(name, above, threshold),))
        drawn = candidates(name, [1, 2, 3, 4, 5, 6], {"one": [1, 0, 0, 1]})
        q = drawn.state.lattice.encode(drawn.values)
        assert len(RuleBook([rule], COLUMNS).settle(drawn, q)) == 6


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.9])
def test_distance(chance: float) -> None:
    rule = of_kind("distance", "eta", "phi", numbers=(0.5, 1.0, 0.0, 0.25, 1.0))
    # distances of the later jets to the nearest before: 0.25, 0.75 and 0.5
    known = {"eta": [0, 0, 0, 0, 0, 0]}
    drawn = candidates("phi", [0, 0, 3, 0.25, 0.75, 1.25], known, chance)
    near = [0.25, 0.75, 0.5]
    rates = [0.0 if d < 0.5 else 0.25 if d < 1 else 1.0 for d in near]
    assert refused(rule, drawn) == [False] * 3 + [chance >= rate for rate in rates]
    lattice = drawn.state.lattice
    q = RuleBook([rule], COLUMNS).settle(drawn, lattice.encode(drawn.values))
    values, bad = lattice.decode(q), np.array(refused(rule, drawn))
    assert np.array_equal(values[~bad], drawn.values[~bad])
    assert refused(rule, replace(drawn, values=values)) == [False] * 6
    assert np.abs(values - drawn.values).max() <= 1.0
    assert refused(rule, candidates("phi", [0] * 6, {})) == [False] * 6
    assert refused(rule, candidates("eta", [0] * 6, {"phi": [0] * 6})) == [False] * 6


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.9])
def test_excess_of_size(chance: float) -> None:
    """What balances the first jet, less what jets of this p_T at most can have."""
    rule = of_kind("excess", "pt", numbers=(0.0, 5.0, 1.0, 0.25, 0.0))
    # the first jets have 10, 40 and 8; the second ones are the last and the last but one
    drawn = candidates("pt", [10, 40, 8, 7, 20, 10], {}, chance)
    excess = [2 * 10 - 17, 2 * 40 - 60 - 20, 2 * 40 - 70]
    rates = [0.25, 0.25, 0.0]
    assert excess == [3, 0, 10]
    assert refused(rule, drawn) == [False] * 3 + [chance >= rate for rate in rates]


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.9])
def test_excess(chance: float) -> None:
    """The length of the vector sum, less the p_T of all later jets."""
    rule = of_kind("excess", "pt", "phi", numbers=(1.0, 6.0, 1.0, 0.25, 0.0))
    known = {"pt": [3, 8, 8, 4, 4, 9]}
    drawn = candidates("phi", [0, 0, 1, 1.5, 0, 3], known, chance)
    later = (
        np.sqrt(9 + 16 + 24 * np.cos(1.5)),
        12 - 9,
        np.hypot(12 + 9 * np.cos(3), 9 * np.sin(3)),
    )
    rates = [1.0 if e < 1 else 0.25 if e < 6 else 0.0 for e in later]
    assert rates == [0.25, 0.25, 0.25]
    assert refused(rule, drawn) == [False] * 3 + [chance >= rate for rate in rates]
    del known["pt"]
    assert refused(rule, candidates("phi", [0] * 6, known, chance)) == [False] * 6
    q = drawn.state.lattice.encode(drawn.values)
    assert np.array_equal(RuleBook([rule], COLUMNS).settle(drawn, q), q)


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.9])
def test_mass(chance: float) -> None:
    """Massless first and second jets, back to back as long as phi is not known."""
    rates = {"numbers": (15.0, 30.0, 0.0, 0.25, 1.0)}
    known = {"pt": [8, 18, 1, 8, 8, 8], "eta": [0] * 6}
    back_to_back = candidates("eta", [0] * 6, {"pt": known["pt"]}, chance)
    masses = [2 * 8.0, 2 * 12.0]
    expected = [False] * 3 + [chance >= 0.25 for _ in masses] + [False]
    assert refused(of_kind("mass", "pt", "eta", **rates), back_to_back) == expected
    drawn = candidates("phi", [0, 0, 0, np.pi / 3, np.pi, 0], known, chance)
    masses = [np.sqrt(2 * 8 * 8 * 0.5), 24.0]
    taken = [0.0 if m < 15 else 0.25 for m in masses]
    assert taken == [0.0, 0.25]
    expected = [False] * 3 + [chance >= rate for rate in taken] + [False]
    assert refused(of_kind("mass", "pt", "eta", "phi", **rates), drawn) == expected


def test_rates_are_multiplied() -> None:
    near = of_kind("distance", "eta", "phi", numbers=(0.5, 0.5, 1.0))
    unbalanced = of_kind("excess", "pt", "phi", numbers=(0.0, 1.0, 0.5))
    known = {"pt": [5] * 6, "eta": [0] * 6}
    for chance, taken in [(0.2, True), (0.3, False)]:
        drawn = candidates("phi", [0] * 6, known, chance)
        found = RuleBook([near, unbalanced], COLUMNS).refused(drawn)
        assert found.tolist() == [False] * 3 + [not taken] * 3


def test_parts() -> None:
    rule = of_kind("parts", "pt", "eta", "m", "a", "b", numbers=(0.25, 0.0))
    known = {"pt": [3, 4, 6] * 2, "eta": [0] * 6, "m": [4, 3, 8] * 2}  # 5, 5 and 10
    drawn = candidates("a", [5, 5.5, 9, 0, 6, 11], known)
    assert refused(rule, drawn) == [False, True, False, False, True, True]
    assert settled(rule, drawn).tolist() == [5, 5, 9, 0, 5, 10]
    known["a"] = [5, 1, 9, 0, 5, 10]
    drawn = candidates("b", [0, 3.5, 1.25, 5, 0.5, 0], known)
    assert refused(rule, drawn) == [False, True, False, False, True, False]
    assert settled(rule, drawn).tolist() == [0, 4, 1.25, 5, 0, 0]
    del known["m"]
    assert refused(rule, candidates("b", [9] * 6, known)) == [False] * 6


def test_least() -> None:
    rule = of_kind("least", "a", "k", numbers=(0.5,))
    counts = [1, 2, 3, 4, 0, 2]
    drawn = candidates("a", [0, 1, 1.25, 2, 0.25, 0.75], {"k": counts})
    assert refused(rule, drawn) == [False, False, True, False, False, True]
    drawn = candidates("k", counts, {"a": [0, 1, 1.25, 2, 0.25, 0.75]})
    assert refused(rule, drawn) == [False, False, True, False, False, True]
    alone = of_kind("least", "a", numbers=(0.5,))
    drawn = candidates("a", [0, 0.25, 0.5, 1, -1, 2], {})
    assert refused(alone, drawn) == [False, True, False, False, True, False]


def test_every_kind_is_tested() -> None:
    test_least()
    for name in ("a", "b"):
        test_zeros(name)
    test_falling()
    test_implies("one")
    test_flag_drawn_last()
    test_distance(0.5)
    test_excess(0.5)
    test_parts()
    assert set(RULES) == TESTED


def test_a_book_knows_what_rules_speak_of() -> None:
    zeros = Rule("zeros", ("a", "b"))
    book = RuleBook([zeros, FLAG], COLUMNS)
    assert book.of("a") == book.of("b") == [zeros]
    assert book.of("pt") == book.of("nJet") == book.of("one") == [FLAG]
    assert book.of("eta") == []
    assert book.bound(FLAG) == {"one", "pt", "nJet", "MET"}
    assert book.partners("a") == {"a", "b"}
    drawn = candidates("a", [1] * 6, {"b": [0] * 6})
    assert refused(zeros, drawn) == [True] * 6
    assert not RuleBook([], COLUMNS).refused(drawn).any()
