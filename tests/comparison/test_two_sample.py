"""Two-sample tests: p-values are uniform for equal samples, and small for different ones."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy.stats")

import scipy.linalg
import scipy.stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import flowtuple as ft
from flowtuple import cli
from flowtuple.comparison.two_sample import (
    classifier,
    distributions,
    divergences,
    kernels,
    moments,
)
from flowtuple.comparison.two_sample.compare_samples import TESTS, compare_samples
from flowtuple.comparison.two_sample.copies import find_copies
from flowtuple.comparison.two_sample.permutations import (
    Permutations,
    draw_permutations,
    holm,
    permutation_p_values,
    permutations_for,
)
from flowtuple.comparison.two_sample.pooled import Pooled, pool
from flowtuple.comparison.two_sample.result import Comparison
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import silent

PAIRS = 200
CHOOSING = {"relations", "local"}  # columns of their own: test_local.py
COLUMN_TESTS = ["ks", "w1", "chi2", "kl", "chi2-div", "hellinger"]


def objects(seed: int, events: int = 60, shift: float = 0.0) -> Rows:
    """Two objects to an event, which share a factor; the last column holds whole numbers."""
    draw = np.random.default_rng(seed)
    event = np.repeat(np.arange(events), 2)
    x = draw.normal(size=(events, 1))[event] + 0.7 * draw.normal(size=(len(event), 3))
    x[:, 1] += shift
    x[:, 2] = np.round(x[:, 2])
    return Rows("objects", ("a", "b", "k"), x, event, events)


def rows(
    values: np.ndarray, weights: np.ndarray | None = None, name: str = "rows"
) -> Rows:
    values = values.reshape(len(values), -1)
    names = tuple(f"x{k}" for k in range(values.shape[1]))
    return Rows(name, names, values, np.arange(len(values)), len(values), weights)


def normal(seed: int, n: int, d: int = 1, shift: float = 0.0) -> Rows:
    values = np.random.default_rng(seed).normal(size=(n, d))
    values[:, 0] += shift
    return rows(values)


def as_they_are(pooled: Pooled) -> Permutations:
    return Permutations(pooled.other.astype(np.uint8)[:, None])


def statistic(measured: Comparison, test: str, column: str = "") -> float:
    value = next(
        o.statistic for o in measured.outcomes if (o.test, o.column) == (test, column)
    )
    assert value is not None
    return value


class TestCalibration:
    @pytest.mark.slow
    def test_p_values_are_uniform_for_every_test(self) -> None:
        """Classifiers train briefly here, which makes them weaker and no less honest."""
        measured: dict[tuple[str, str], list[float]] = {}
        wanted = {*TESTS, "alpha:0.5", "alpha:1.5"} - CHOOSING
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(classifier._TREES, "max_iter", 10)
            patch.setattr(classifier, "_EPOCHS", 2)
            for pair in range(PAIRS):
                result = compare_samples(
                    objects(2 * pair),
                    objects(2 * pair + 1),
                    tests=[*wanted],
                    permutations=39,
                    seed=pair,
                )
                for outcome in result.outcomes:
                    assert outcome.p is not None
                    measured.setdefault((outcome.test, outcome.column), []).append(
                        outcome.p
                    )
        assert {test for test, _ in measured} == wanted
        uniform = {
            key: scipy.stats.kstest(p, "uniform").pvalue for key, p in measured.items()
        }
        assert {key: p for key, p in uniform.items() if p <= 0.01} == {}

    def test_permuting_rows_in_place_of_events_would_be_dishonest(self) -> None:
        p = []
        for pair in range(PAIRS):
            by_row = [
                replace(s, event=np.arange(len(s)), events=len(s))
                for s in (objects(2 * pair), objects(2 * pair + 1))
            ]
            p.append(
                compare_samples(*by_row, tests=["w1"], permutations=39, seed=pair)
                .outcomes[0]
                .p
            )
        assert scipy.stats.kstest(p, "uniform").pvalue < 0.01

    @pytest.mark.slow
    def test_samples_of_different_size_with_weights(self) -> None:
        p = []
        for pair in range(PAIRS):
            draw = np.random.default_rng(pair)
            samples = [
                rows(draw.normal(size=n), draw.choice([-0.5, 1.0, 1.0, 2.0], n))
                for n in (100, 250)
            ]
            p.append(
                [
                    o.p
                    for o in compare_samples(
                        *samples, tests=["ks", "w1", "chi2"], permutations=39, seed=pair
                    ).outcomes
                ]
            )
        assert (scipy.stats.kstest(p, "uniform", axis=0).pvalue > 0.01).all()


class TestAgainstReferences:
    """Statistics of many permutations equal those of scipy, POT and scikit-learn for one."""

    a, b = objects(1, 150), objects(2, 220, shift=0.3)

    def test_distances_of_one_column(self) -> None:
        measured = compare_samples(self.a, self.b, tests=["ks", "w1"], permutations=1)
        for k, name in enumerate(self.a.columns):
            x, y = self.a.values[:, k], self.b.values[:, k]
            assert statistic(measured, "ks", name) == pytest.approx(
                scipy.stats.ks_2samp(x, y).statistic, rel=1e-12
            )
            assert statistic(measured, "w1", name) == pytest.approx(
                scipy.stats.wasserstein_distance(x, y), rel=1e-12
            )

    def test_weighted_distance(self) -> None:
        draw = np.random.default_rng(5)
        v, w = draw.random(len(self.a)), draw.random(len(self.b))
        measured = compare_samples(
            replace(self.a, weights=v),
            replace(self.b, weights=w),
            tests=["w1"],
            permutations=1,
        )
        expected = scipy.stats.wasserstein_distance(
            self.a.values[:, 2], self.b.values[:, 2], v, w
        )
        assert statistic(measured, "w1", "k") == pytest.approx(expected, rel=1e-12)

    def test_chi2_is_pearsons(self) -> None:
        a, b = np.array([[10.0], [20.0], [7.0]]), np.array([[30.0], [31.0], [9.0]])
        expected = scipy.stats.chi2_contingency(np.stack([a[:, 0], b[:, 0]])).statistic
        assert divergences.chi2(a, b, (a + b)[:, 0])[0] == pytest.approx(
            expected, rel=1e-12
        )

    def test_divergences(self) -> None:
        a, b = np.array([[10.0], [20.0], [0.0]]), np.array([[30.0], [31.0], [9.0]])
        p, q = np.array([10.5, 20.5, 0.5]) / 31.5, np.array([30.5, 31.5, 9.5]) / 71.5
        assert divergences.kullback_leibler(a, b, a[:, 0])[0] == pytest.approx(
            scipy.stats.entropy(p, q), rel=1e-12
        )
        assert divergences.chi2_divergence(a, b, a[:, 0])[0] == pytest.approx(
            0.5 * sum((p - q) ** 2 / q), rel=1e-12
        )
        assert divergences.hellinger(a, a, a[:, 0])[0] == 0

    @pytest.mark.parametrize(
        ("alpha", "other", "factor"),
        [(0.5, "hellinger", 4.0), (1.0, "kl", 1.0), (2.0, "chi2-div", 1.0)],
    )
    def test_alpha_divergences_that_have_a_name(
        self, alpha: float, other: str, factor: float
    ) -> None:
        measured = compare_samples(
            self.a, self.b, tests=[other, f"alpha:{alpha}"], permutations=1
        )
        for name in self.a.columns:
            known = statistic(measured, other, name)
            if other == "hellinger":
                known **= 2
            value = statistic(measured, f"alpha:{alpha:g}", name)
            assert value == pytest.approx(factor * known, rel=1e-10, abs=1e-14)

    def test_sliced_wasserstein_is_pots(self) -> None:
        ot = pytest.importorskip("ot")
        pooled = pool(self.a, self.b, seed=7)
        measured = compare_samples(
            self.a, self.b, tests=["sliced-w1", "max-sliced-w1"], permutations=1, seed=7
        )
        second = pooled.other[pooled.event]
        x, y = pooled.standardised[~second], pooled.standardised[second]
        for name in ("sliced", "max_sliced"):
            expected = getattr(ot, f"{name}_wasserstein_distance")(
                x, y, p=1, projections=distributions.directions(3, 7)
            )
            assert statistic(measured, f"{name.replace('_', '-')}-w1") == pytest.approx(
                expected, rel=1e-9
            )

    def test_mmd_by_its_definition(self) -> None:
        pooled = pool(self.a, self.b, seed=3)
        prepared = kernels.prepare(pooled, ["mmd", "kpd"], 3, silent)
        z, second = pooled.standardised, pooled.other[pooled.event]
        squared = np.square(z[:, None] - z[None]).sum(axis=2)
        kernel = np.exp(-0.5 * squared / prepared.details["mmd"]["kernel_width"] ** 2)
        signs = np.where(second, 1 / second.sum(), -1 / (~second).sum())
        assert prepared.statistics(as_they_are(pooled))[0, 0] == pytest.approx(
            signs @ kernel @ signs, rel=1e-9
        )
        polynomial = (z @ z.T / z.shape[1] + 1) ** 4
        assert prepared.statistics(as_they_are(pooled))[1, 0] == pytest.approx(
            signs @ polynomial @ signs, rel=1e-9
        )

    def test_correlation_by_numpy(self) -> None:
        pooled = pool(self.a, self.b, seed=3)
        ranks, second = (
            scipy.stats.rankdata(pooled.values, axis=0),
            pooled.other[pooled.event],
        )
        expected = np.abs(
            np.corrcoef(ranks[second].T) - np.corrcoef(ranks[~second].T)
        ).max()
        measured = moments.prepare(pooled, ["correlation", "fpd"], 3, silent)
        assert measured.statistics(as_they_are(pooled))[0, 0] == pytest.approx(
            expected, rel=1e-4
        )

    def test_frechet_distance_by_scipy(self) -> None:
        pooled = pool(self.a, self.b, seed=3)
        z, second = pooled.standardised, pooled.other[pooled.event]
        m, c = (
            [z[s].mean(axis=0) for s in (second, ~second)],
            [np.cov(z[s].T, bias=True) for s in (second, ~second)],
        )
        root = scipy.linalg.sqrtm(c[0] @ c[1]).real
        expected = np.square(m[0] - m[1]).sum() + np.trace(c[0] + c[1] - 2 * root)
        measured = moments.prepare(pooled, ["correlation", "fpd"], 3, silent)
        assert measured.statistics(as_they_are(pooled))[1, 0] == pytest.approx(
            expected, rel=1e-3
        )

    @pytest.mark.parametrize("weighted", [False, True])
    def test_classifier_scores(self, weighted: bool) -> None:
        samples = [self.a, self.b]
        if weighted:
            samples = [
                replace(s, weights=np.random.default_rng(len(s)).random(len(s)))
                for s in samples
            ]
        pooled, names = pool(*samples, seed=3), ["c2st", "c2st-accuracy"]
        scores = np.round(pooled.values.sum(axis=1) / 10 + 0.5, 1)  # many ties

        class Fitted:
            def predict_proba(self, rows_of_test: np.ndarray) -> np.ndarray:
                chosen = scores[pooled.test_half[pooled.event]]
                return np.stack([1 - chosen, chosen], axis=1)

        measured = classifier.prepare(
            "c2st", "a classifier", lambda *_: Fitted(), {}, pooled, names, 0, silent
        )
        inside = pooled.test_half[pooled.event]
        truth, weight, chosen = (
            pooled.other[pooled.event][inside],
            pooled.weight[inside],
            scores[inside],
        )
        auc, accuracy = measured.statistics(as_they_are(pooled))[:, 0]
        assert auc == pytest.approx(
            roc_auc_score(truth, chosen, sample_weight=weight), rel=1e-9
        )
        assert accuracy == pytest.approx(
            balanced_accuracy_score(truth, chosen > 0.5, sample_weight=weight), rel=1e-9
        )
        for name, value in zip(names, (auc, accuracy), strict=True):
            low, high = measured.details[name]["interval_95"]
            assert (low + high) / 2 == pytest.approx(value, rel=1e-9)
            assert 0.05 < high - low < 0.25


def test_intervals_cover() -> None:
    """Intervals cover where three of four objects of an event are copies.

    By rows they would be half as wide, and cover too rarely.
    """
    hits, trials = 0, 150
    for trial in range(trials):
        draw = np.random.default_rng(trial)
        event, other = np.repeat(np.arange(160), 4), np.repeat(np.arange(160) % 2 == 1, 4)
        # AUC = Phi(1 / sqrt 2)
        score = (draw.normal(size=160) + (np.arange(160) % 2))[event]
        low, high = classifier._intervals(
            "c", score, score > 0.5, other, np.ones(640), event
        )["c"]
        hits += low < scipy.stats.norm.cdf(0.5**0.5) < high
    assert scipy.stats.binomtest(hits, trials, 0.95).pvalue > 0.001


class TestPower:
    @pytest.mark.slow
    def test_a_tenth_of_a_sigma_in_one_of_five_columns(self) -> None:
        measured = compare_samples(
            normal(1, 8000, 5),
            normal(2, 8000, 5, shift=0.1),
            tests=[*COLUMN_TESTS, "sliced-w1", "c2st-trees"],
        )
        rejected = {(o.test, o.column) for o in measured.outcomes if o.rejected}
        assert {column for _, column in rejected} == {"x0", ""}
        assert {("ks", "x0"), ("w1", "x0"), ("sliced-w1", "")} <= rejected
        assert measured.differ

    @pytest.mark.slow
    def test_another_correlation(self) -> None:
        z = np.random.default_rng(4).normal(size=(4, 3000))
        tilted = np.stack([z[2], 0.6 * z[2] + 0.8 * z[3]], axis=1)
        measured = compare_samples(
            rows(z[:2].T),
            rows(tilted),
            tests=["ks", "mmd", "correlation", "c2st-trees", "c2st-network"],
        )
        rejected = {o.test for o in measured.outcomes if o.rejected}
        assert {"mmd", "correlation", "c2st-trees", "c2st-network"} <= rejected
        assert "ks" not in rejected

    @pytest.mark.slow
    def test_one_sample_twice(self) -> None:
        measured = compare_samples(normal(1, 300), normal(1, 300), permutations=200)
        assert not measured.differ
        assert statistic(measured, "ks", "x0") == pytest.approx(0, abs=1e-12)


class TestPermuting:
    def test_events_move_whole_and_halves_keep_their_numbers(self) -> None:
        pooled = pool(objects(1, 30), objects(2, 45), seed=0)
        batches = list(draw_permutations(pooled, 500, seed=1))
        labels = np.concatenate([b.other for b in batches], axis=1)
        assert labels.shape == (75, 501)
        assert np.array_equal(labels[:, 0], pooled.other)
        for half, size in ((pooled.test_half, 22), (~pooled.test_half, 23)):
            assert set(labels[half].sum(axis=0)) == {size}
            assert labels[half][:, 1:].mean(axis=1) == pytest.approx(
                size / half.sum(), abs=0.12
            )
        measured = distributions.prepare_columns(pooled, ["ks"], 0, silent).statistics(
            Permutations(labels[:, 3:4])
        )
        # every object of an event under its event's label
        second = labels[pooled.event, 3] == 1
        for k in range(3):
            expected = scipy.stats.ks_2samp(
                pooled.values[second, k], pooled.values[~second, k]
            ).statistic
            assert measured[k, 0] == pytest.approx(expected, rel=1e-12)

    def test_every_permutation_is_as_likely(self) -> None:
        pooled = replace(
            pool(normal(1, 2), normal(2, 2), seed=0), test_half=np.zeros(4, bool)
        )
        labels = np.concatenate(
            [b.other for b in draw_permutations(pooled, 6000, seed=2)], axis=1
        )[:, 1:]
        counts = np.unique(labels, axis=1, return_counts=True)[1]
        assert len(counts) == 6
        assert scipy.stats.chisquare(counts).pvalue > 0.001

    def test_ties_are_drawn(self) -> None:
        pooled = pool(normal(1, 2), normal(2, 2), seed=0)

        def statistics(labels: Permutations) -> np.ndarray:
            """Nine permutations after the true labels."""
            assert labels.other.shape[1] == 10
            values = np.array([[1.0] * 10, [1.0] * 10, [3.0] * 10])
            values[:, 0] = 1.0, 2.0, np.nan
            return values

        places = [
            permutation_p_values(pooled, statistics, 9, seed)[1] for seed in range(400)
        ]
        tied, largest, undefined = np.transpose(places)
        counts = np.unique(np.round(10 * tied), return_counts=True)[1]
        assert len(counts) == 10
        assert scipy.stats.chisquare(counts).pvalue > 0.001
        assert set(largest) == set(undefined) == {0.1}

    def test_holm_and_the_number_of_permutations(self) -> None:
        assert holm(np.array([0.04, 0.001, 0.5])).tolist() == [0.08, 0.003, 0.5]
        for tests in (1, 7, 151):
            assert tests / (permutations_for(tests, 0.01) + 1) < 0.01
        measured = compare_samples(
            normal(1, 50), normal(2, 50), tests=["ks", "w1"], permutations=20
        )
        assert "draw 200 with `permutations=`" in measured.notes[0]

    @pytest.mark.slow
    def test_the_seed_decides(self) -> None:
        first, again, another = (
            compare_samples(objects(1), objects(2), permutations=50, seed=s)
            for s in (1, 1, 2)
        )
        assert first == again
        assert [o.p for o in first.outcomes] != [o.p for o in another.outcomes]


class TestCopies:
    def test_copied_rows_are_noticed(self) -> None:
        train, unseen = normal(1, 2000, 4), normal(2, 2500, 4)
        noisy = rows(
            train.values[:600] + 0.01 * np.random.default_rng(3).normal(size=(600, 4))
        )
        honest = find_copies(train, unseen, normal(4, 600, 4))
        assert honest.p > 0.01
        assert honest.expected == 0.5
        for copied, identical in ((rows(train.values[:600]), 600), (noisy, 0)):
            measured = find_copies(train, unseen, copied)
            assert measured.share > 0.9
            assert max(measured.p, measured.binomial_p) < 0.01
            assert measured.identical == identical

    def test_p_values_are_uniform_even_where_rows_share_a_neighbour(self) -> None:
        p = []
        for trial in range(100):
            train, unseen, sample = (
                normal(3 * trial + k, n, 2) for k, n in enumerate((40, 40, 400))
            )
            p.append(find_copies(train, unseen, sample, seed=trial).p)
        assert scipy.stats.kstest(p, "uniform").pvalue > 0.01

    def test_rows_equal_in_both_are_shared_fairly(self) -> None:
        whole = rows(np.random.default_rng(1).integers(0, 5, 3000).astype(np.float64))
        measured = find_copies(whole, whole, whole)
        assert measured.share == pytest.approx(0.5, abs=0.05)
        assert min(measured.p, measured.binomial_p) > 0.01


GOOD = {"x": np.arange(40.0), "y": np.arange(40.0) % 7}


class TestBadInput:
    @pytest.mark.parametrize(
        ("other", "options", "message"),
        [
            (
                {"x": [1.0, 2.0], "y": [1.0, 2.0]},
                {},
                "has 2 events with 2 rows; a comparison needs 20 of both",
            ),
            ({"x": np.arange(40.0)}, {}, "lacks column 'y'"),
            ({**GOOD, "yy": np.arange(40.0)}, {}, "lacks column 'yy' of .*nearest: y"),
            (GOOD, {"columns": ["z*"]}, "the glob 'z\\*' matches no column"),
            (GOOD, {"tests": ["kss"]}, "there is no test 'kss'; nearest: ks"),
            (GOOD, {"weight": "z"}, "no column of weights 'z'"),
            (
                GOOD,
                {"tests": ["c2st-trees"]},
                "no test can be made: c2st-trees needs 100 rows in each sample, there are 40",
            ),
            (
                GOOD,
                {"options": ft.ComparisonOptions(level=1.5)},
                "the level 1.5 is not between 0 and 1",
            ),
            (
                GOOD,
                {"options": ft.ComparisonOptions(permutations=0)},
                "ask for 1 or more",
            ),
        ],
    )
    def test_says_in_one_line(
        self, other: dict[str, object], options: dict[str, object], message: str
    ) -> None:
        with pytest.raises(InvalidArgument, match=message) as error:
            ft.compare(GOOD, other, **options)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)

    def test_nothing_but_constants(self) -> None:
        with pytest.raises(InvalidArgument, match="every column holds one value"):
            ft.compare({"x": np.ones(40)}, {"x": np.ones(40)})

    def test_constants_and_nan_are_counted(self) -> None:
        other = {"x": np.arange(40.0), "y": np.full(40, 3.0)}
        other["x"][:4] = np.nan, np.inf, -np.inf, np.nan
        measured = ft.compare(
            {"x": np.arange(50.0), "y": np.full(50, 3.0)}, other, tests=["ks"]
        )
        assert (measured.constant, measured.columns) == (("y",), ("x",))
        assert (
            measured.other.rows,
            measured.other.dropped,
            measured.reference.dropped,
        ) == (
            36,
            4,
            0,
        )

    def test_weights_that_sum_to_zero(self) -> None:
        for weights, total in (
            (np.zeros(40), "0"),
            (np.tile([1.0, -1.0], 20), "0"),
            (np.tile([1.0, -0.9], 20), "2"),
        ):
            with pytest.raises(InvalidArgument, match=f"the weights sum to {total} "):
                ft.compare({**GOOD, "w": np.ones(40)}, {**GOOD, "w": weights}, weight="w")

    def test_negative_weights_are_refused_where_undefined(self) -> None:
        w = np.ones(200)
        w[::20] = -1
        sample = {"x": np.arange(200.0), "w": w}
        measured = ft.compare(
            sample, sample, weight="w", options=ft.ComparisonOptions(permutations=20)
        )
        refused = {
            o.test
            for o in measured.outcomes
            if o.note == "not defined for negative weights"
        }
        assert refused == {name for name, test in TESTS.items() if not test.negative}
        assert {o.test for o in measured.outcomes if o.p is not None} == set(
            TESTS
        ) - refused
        assert measured.columns == ("x",)


class TestRaggedTables:
    def events(self, seed: int) -> dict[str, object]:
        draw = np.random.default_rng(seed)
        counts = draw.poisson(2, 60)
        pt = [draw.exponential(30, n).tolist() for n in counts]
        return {
            "met": draw.exponential(20, 60),
            "w": draw.random(60) + 0.5,
            "Jet_pt": pt,
            "Jet_n": [[2] * n for n in counts],
        }

    def test_objects_with_their_events(self) -> None:
        first, second = self.events(1), self.events(2)
        measured = ft.compare(
            first,
            second,
            columns=["Jet_*"],
            weight="w",
            tests=["ks", "w1"],
            options=ft.ComparisonOptions(permutations=50, unit="rows"),
        )
        assert (measured.columns, measured.constant) == (("Jet_pt",), ("Jet_n",))
        assert measured.reference.events == 60
        assert measured.reference.rows == sum(map(len, first["Jet_pt"]))  # type: ignore[call-overload]

    def test_event_columns(self) -> None:
        measured = ft.compare(
            self.events(1),
            self.events(2),
            columns=["met"],
            tests=["ks"],
            options=ft.ComparisonOptions(permutations=50),
        )
        assert (measured.columns, measured.reference.rows) == (("met",), 60)

    def test_a_mixture_is_refused(self) -> None:
        with pytest.raises(
            InvalidArgument,
            match=r"one collection at a time, such as `columns=` 'Jet_\*'",
        ):
            ft.compare(
                self.events(1),
                self.events(2),
                options=ft.ComparisonOptions(unit="rows"),
            )


class TestCommandLine:
    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[Path, Path]:
        for k, name in enumerate(("a.npz", "b.npz")):
            x = np.random.default_rng(k).normal(k, 1, size=(2, 150))
            np.savez(tmp_path / name, x=x[0], y=x[1], same=np.ones(150))
        return tmp_path / "a.npz", tmp_path / "b.npz"

    def run(self, patch: pytest.MonkeyPatch, *arguments: object) -> int:
        patch.setattr(sys, "argv", ["flowtuple", "compare", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    @pytest.mark.slow
    def test_page_numbers_and_table(
        self,
        files: tuple[Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        tests = "ks,w1,c2st-trees"
        assert (
            self.run(
                monkeypatch,
                *files,
                "-o",
                tmp_path / "out",
                "--tests",
                tests,
                "--train",
                files[1],
            )
            == 0
        )
        shown = capsys.readouterr()
        assert "the samples differ at level 0.01" in shown.out
        assert "150 equal one" in shown.out
        assert "one value throughout, not tested: same" in shown.err
        measured = json.loads((tmp_path / "out" / "compare.json").read_text())
        assert (measured["differ"], measured["copied"], measured["permutations"]) == (
            True,
            True,
            300,
        )
        trees = next(o for o in measured["outcomes"] if o["test"] == "c2st-trees")
        assert (trees["details"]["max_iter"], trees["details"]["learning_rate"]) == (
            200,
            0.05,
        )
        page = (tmp_path / "out" / "compare.html").read_text()
        assert page.count("<img") == 3  # the picture of the verdict and two columns
        assert "the samples differ" in page
        assert "http" not in page

    def test_exit_codes_and_json(
        self,
        files: tuple[Path, Path],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert self.run(monkeypatch, *files, "--tests", "ks", "--fail", "--json") == 1
        assert json.loads(capsys.readouterr().out)["differ"]
        assert self.run(monkeypatch, files[0], files[0], "--tests", "ks", "--fail") == 0
        assert self.run(monkeypatch, *files, "--tests", "kz") == 2
        assert "nearest: ks" in capsys.readouterr().err
