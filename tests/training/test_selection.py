"""The choice of parents: what tells is taken, what tells the same again is not, noise never."""

from __future__ import annotations

import numpy as np
import pytest

from flowtuple.lattice.context import Parent
from flowtuple.training.selection import (
    MAX_ANCESTORS,
    MAX_PARENTS,
    SAMPLE_ROWS,
    Ancestry,
    select_parents,
)

ROWS = 12_000


def levels(x: np.ndarray) -> np.ndarray:
    """The rank of each value as a level."""
    return (np.argsort(np.argsort(x)) * 256 // len(x)).astype(np.uint8)


def noise(rng: np.random.Generator, count: int, rows: int = ROWS) -> list[np.ndarray]:
    return [rng.integers(0, 256, rows).astype(np.uint8) for _ in range(count)]


class TestInformative:
    @pytest.mark.parametrize("place", [0, 3, 9])
    def test_the_one_that_tells(self, place: int) -> None:
        rng = np.random.default_rng(place)
        a = rng.normal(size=ROWS)
        candidates = noise(rng, 9)
        candidates.insert(place, levels(a))
        assert select_parents(
            levels(a + rng.normal(size=ROWS)), np.stack(candidates)
        ) == [place]

    def test_all_that_tell_in_increasing_order(self) -> None:
        rng = np.random.default_rng(1)
        parts = rng.normal(size=(3, ROWS))
        candidates = [
            *noise(rng, 2),
            levels(parts[2]),
            *noise(rng, 1),
            levels(parts[0]),
            levels(parts[1]),
        ]
        target = levels(parts.sum(axis=0) + 0.3 * rng.normal(size=ROWS))
        assert select_parents(target, np.stack(candidates)) == [2, 4, 5]

    def test_what_tells_only_beside_another(self) -> None:
        """b alone says nothing of a b; beside a it does, and both have some of their own."""
        rng = np.random.default_rng(2)
        a, b = rng.normal(0.5, 1, (2, ROWS))
        assert select_parents(
            levels(a * b), np.stack([*noise(rng, 3), levels(a), levels(b)])
        ) == [
            3,
            4,
        ]

    def test_not_only_lines(self) -> None:
        rng = np.random.default_rng(3)
        a = rng.normal(size=ROWS)
        assert select_parents(
            levels(np.abs(a) + 0.1 * rng.normal(size=ROWS)),
            np.stack([*noise(rng, 2), levels(a)]),
        ) == [2]

    def test_no_more_than_allowed(self) -> None:
        rng = np.random.default_rng(4)
        parts = rng.normal(size=(MAX_PARENTS + 4, SAMPLE_ROWS))
        target = levels(parts.sum(axis=0))
        chosen = select_parents(target, np.stack([levels(p) for p in parts]))
        assert len(chosen) <= MAX_PARENTS
        assert len(chosen) >= 3
        assert chosen == sorted(set(chosen))


class TestRedundant:
    @pytest.mark.parametrize("copies", [1, 3, 30])
    def test_a_copy_is_ignored(self, copies: int) -> None:
        rng = np.random.default_rng(5)
        a, b = rng.normal(size=(2, ROWS))
        candidates = [levels(a)] * (1 + copies) + [levels(b)]
        assert select_parents(
            levels(a + 0.3 * b + 0.1 * rng.normal(size=ROWS)), np.stack(candidates)
        ) == [0, 1 + copies]

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_function_of_another_is_ignored(self, reverse: bool) -> None:
        """The same order, or the reverse, is the same to coarse levels."""
        rng = np.random.default_rng(6)
        a = rng.normal(size=ROWS)
        candidates = np.stack(
            [levels(a), 255 - levels(a) if reverse else levels(np.exp(a))]
        )
        assert select_parents(levels(a + 0.2 * rng.normal(size=ROWS)), candidates) == [0]

    def test_redundant_ones_come_last(self) -> None:
        """A blurred copy tells more than b alone, but little beside a: where there is room for two,
        b is taken.
        """
        rng = np.random.default_rng(7)
        a, b = rng.normal(size=(2, ROWS))
        blurred = [levels(a + 0.3 * rng.normal(size=ROWS)) for _ in range(3)]
        target = levels(a + 0.5 * b)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("flowtuple.training.selection.MAX_PARENTS", 2)
            assert select_parents(target, np.stack([*blurred, levels(a), levels(b)])) == [
                3,
                4,
            ]

    def test_a_chain_keeps_its_nearest(self) -> None:
        """a -> b -> c: once b is known, a says nothing more of c."""
        rng = np.random.default_rng(8)
        a = rng.normal(size=SAMPLE_ROWS)
        b = np.rint(4 * (a + 0.5 * rng.normal(size=SAMPLE_ROWS))).clip(-8, 7)
        c = b + rng.integers(-2, 3, SAMPLE_ROWS)
        candidates = np.stack([levels(a), ((b + 8) * 16).astype(np.uint8)])
        chosen = select_parents(
            levels(c + 0.01 * rng.normal(size=SAMPLE_ROWS)), candidates
        )
        assert 1 in chosen


class TestNothing:
    @pytest.mark.parametrize("seed", range(5))
    def test_noise(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        assert (
            select_parents(
                noise(rng, 1, SAMPLE_ROWS)[0], np.stack(noise(rng, 30, SAMPLE_ROWS))
            )
            == []
        )

    @pytest.mark.parametrize(("rows", "few"), [(4000, 2), (ROWS, 1)])
    @pytest.mark.parametrize("seed", range(5))
    def test_noise_of_few_rows(self, seed: int, rows: int, few: int) -> None:
        """The threshold grows as rows get fewer, with the noise of the estimate: hardly one of 30
        passes.
        """
        rng = np.random.default_rng(seed)
        assert (
            len(select_parents(noise(rng, 1, rows)[0], np.stack(noise(rng, 30, rows))))
            <= few
        )

    @pytest.mark.parametrize("constant", [0, 255])
    def test_a_constant_target(self, constant: int) -> None:
        rng = np.random.default_rng(0)
        assert (
            select_parents(np.full(ROWS, constant, np.uint8), np.stack(noise(rng, 5)))
            == []
        )

    def test_constant_candidates(self) -> None:
        target = noise(np.random.default_rng(0), 1)[0]
        assert (
            select_parents(
                target, np.stack([np.zeros(ROWS, np.uint8), np.full(ROWS, 255, np.uint8)])
            )
            == []
        )

    def test_no_candidates(self) -> None:
        assert (
            select_parents(np.arange(200, dtype=np.uint8), np.empty((0, 200), np.uint8))
            == []
        )


def test_same_answer_again() -> None:
    rng = np.random.default_rng(9)
    parts = rng.normal(size=(20, ROWS))
    candidates = np.stack([levels(p) for p in parts])
    target = levels(parts[3] + parts[11] * parts[5])
    assert select_parents(target, candidates) == select_parents(
        target.copy(), candidates.copy()
    )


class TestAncestors:
    """New ancestors have a price, and there are no more than `MAX_ANCESTORS`."""

    def test_what_would_be_too_many_is_passed_over(self) -> None:
        rng = np.random.default_rng(10)
        a, b = rng.normal(size=(2, ROWS))
        target, candidates = levels(2 * a + b), np.stack([levels(a), levels(b)])
        far, near = {f"x{k}" for k in range(MAX_ANCESTORS + 1)}, {"b"}
        assert select_parents(target, candidates, needs=[far, near]) == [1]
        assert select_parents(target, candidates, above=far, needs=[far, far]) == [
            0,
            1,
        ]  # nothing new

    def test_of_two_that_tell_the_same_the_one_that_asks_for_less(self) -> None:
        a = np.random.default_rng(11).normal(size=ROWS)
        candidates = np.stack([levels(a)] * 2)
        assert select_parents(levels(a), candidates, needs=[{"a", "b", "c"}, {"a"}]) == [
            1
        ]

    def test_little_gain_is_not_worth_many_columns(self) -> None:
        rng = np.random.default_rng(12)
        a = rng.normal(size=SAMPLE_ROWS)
        target, candidates = (
            levels(0.35 * a + rng.normal(size=SAMPLE_ROWS)),
            levels(a)[None],
        )
        assert select_parents(target, candidates) == [0]
        assert select_parents(target, candidates, needs=[{"a"}]) == [0]
        assert (
            select_parents(target, candidates, needs=[{f"x{k}" for k in range(30)}]) == []
        )

    def test_counters_do_not_count_and_references_do(self) -> None:
        found = Ancestry({"nJet"})
        found.add("nJet", [])
        found.add("met", [Parent("row", "nJet")])
        found.add("genIdx", [])
        found.add("gen", [Parent("event", "met")])
        found.add(
            "pt",
            [
                Parent("index"),
                Parent("previous", "pt"),
                Parent("reference", "gen", "genIdx"),
            ],
        )
        assert found.above("pt") == {"met", "gen", "genIdx"}
        assert found.needs(Parent("row", "pt")) == {"pt", "met", "gen", "genIdx"}

    def test_room(self) -> None:
        found = Ancestry(frozenset())
        for k in range(MAX_ANCESTORS + 1):
            found.add(f"x{k}", [Parent("row", f"x{k - 1}")] if k else [])
        assert found.has_room([Parent("row", f"x{MAX_ANCESTORS - 1}")])
        assert not found.has_room([Parent("row", f"x{MAX_ANCESTORS}")])

    def test_what_predictions_read_may_have_fewer(self) -> None:
        found = Ancestry(frozenset(), {"a"})
        assert (found.limit("a"), found.limit("b")) == (
            MAX_ANCESTORS * 2 // 3,
            MAX_ANCESTORS,
        )
