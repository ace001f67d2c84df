"""Alpha-divergences: their cases, limits and bounds, and their place among the tests."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("scipy.stats")

import scipy.stats

import flowtuple as ft
from flowtuple import cli
from flowtuple.comparison.two_sample import divergences
from flowtuple.comparison.two_sample.compare_samples import TESTS, compare_samples
from flowtuple.comparison.two_sample.divergences import alpha_divergence_of
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument

ALPHAS = [-10.0, -1.0, 0.0, 1e-9, 0.3, 0.5, 0.7, 1 - 1e-9, 1.0, 2.0, 10.0]


def shares(seed: int, bins: int = 12) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.random.default_rng(seed).dirichlet(np.full(bins, 2.0), 2)
    return p, q


def definition(p: np.ndarray, q: np.ndarray, alpha: float) -> float:
    total = sum(
        float(x) ** alpha * float(y) ** (1 - alpha) for x, y in zip(p, q, strict=True)
    )
    return (1 - total) / (alpha * (1 - alpha))


def normal(seed: int, n: int, shift: float = 0.0) -> Rows:
    values = np.random.default_rng(seed).normal(shift, 1, (n, 1))
    return Rows("normal", ("x",), values, np.arange(n), n)


@pytest.mark.parametrize("seed", range(5))
class TestShares:
    @pytest.mark.parametrize("alpha", [-10.0, -0.5, 0.2, 0.5, 0.8, 1.5, 2.0, 10.0])
    def test_definition(self, seed: int, alpha: float) -> None:
        p, q = shares(seed)
        expected = definition(p, q, alpha)
        assert float(alpha_divergence_of(p, q, alpha)) == pytest.approx(
            expected, rel=1e-10
        )

    def test_a_half_is_the_hellinger_form(self, seed: int) -> None:
        p, q = shares(seed)
        form = 4 * (1 - np.sqrt(p * q).sum())
        assert float(alpha_divergence_of(p, q, 0.5)) == pytest.approx(form, abs=1e-10)
        squared = divergences.hellinger(p[:, None], q[:, None], p)[0] ** 2
        value = divergences.alpha_divergence(p[:, None], q[:, None], p, alpha=0.5)[0]
        assert value == pytest.approx(4 * squared, abs=1e-10)

    def test_two_is_the_chi2_form(self, seed: int) -> None:
        p, q = shares(seed)
        form = 0.5 * (np.square(p - q) / q).sum()
        assert float(alpha_divergence_of(p, q, 2.0)) == pytest.approx(form, rel=1e-12)

    def test_limits_are_continuous(self, seed: int) -> None:
        p, q = shares(seed)
        for limit, (x, y) in ((1.0, (p, q)), (0.0, (q, p))):
            expected = scipy.stats.entropy(x, y)
            assert float(alpha_divergence_of(p, q, limit)) == pytest.approx(expected)
            for step in (1e-4, 1e-8, 1e-12):
                for near in (limit - step, limit + step):
                    value = float(alpha_divergence_of(p, q, near))
                    assert value == pytest.approx(expected, rel=20 * step + 1e-9)

    def test_exchanged_samples(self, seed: int) -> None:
        p, q = shares(seed)
        for alpha in (-1.0, 0.2, 1.0, 3.0):
            one, other = (
                alpha_divergence_of(p, q, alpha),
                alpha_divergence_of(q, p, 1 - alpha),
            )
            assert float(one) == pytest.approx(float(other), rel=1e-12)

    def test_never_negative_and_zero_for_equal_shares(self, seed: int) -> None:
        p, q = shares(seed)
        for alpha in ALPHAS:
            assert float(alpha_divergence_of(p, q, alpha)) > 0
            assert float(alpha_divergence_of(p, p, alpha)) == 0
            near = p * (1 + 1e-9 * q)
            assert float(alpha_divergence_of(p, near / near.sum(), alpha)) >= 0


@pytest.mark.parametrize("alpha", ALPHAS)
def test_empty_bins_give_finite_numbers(alpha: float) -> None:
    a = np.array([[10.0, 0.0], [0.0, 10.0], [5.0, 0.0], [0.0, 0.0]])
    b = np.array([[0.0, 5.0], [7.0, 0.0], [5.0, 0.0], [0.0, 0.0]])
    values = divergences.alpha_divergence(a, b, a[:, 0], alpha=alpha)
    assert np.isfinite(values).all()
    assert (values > 0).all()


def test_shares_that_exclude_each_other_have_the_largest_distance() -> None:
    a, b = np.array([[3.0], [0.0]]), np.array([[0.0], [4.0]])
    assert divergences.alpha_divergence(a, b, a[:, 0], alpha=0.5)[0] == 4
    assert divergences.alpha_divergence(a, b, a[:, 0], alpha=0.2)[0] == pytest.approx(
        6.25
    )


@pytest.mark.slow
def test_different_samples_are_told_apart() -> None:
    tests = ["alpha:0.5", "alpha:1.5", "alpha:-2"]
    different = compare_samples(normal(1, 300), normal(2, 300, shift=1.0), tests=tests)
    assert all(outcome.rejected for outcome in different.outcomes)
    equal = compare_samples(normal(1, 300), normal(2, 300), tests=tests)
    assert not any(outcome.rejected for outcome in equal.outcomes)


def test_names() -> None:
    one, other = normal(1, 50), normal(2, 50)
    tests = ["alpha:.50", "alpha:5e-1", "kl", "alpha:2.0"]
    result = compare_samples(one, other, tests=tests, permutations=1)
    assert [outcome.test for outcome in result.outcomes] == ["kl", "alpha:0.5", "alpha:2"]
    assert all(outcome.details["bins"] > 1 for outcome in result.outcomes)
    assert not any(name.startswith("alpha") for name in TESTS)
    weighted = Rows(
        "w", ("x",), one.values, one.event, 50, np.where(one.event < 5, -1.0, 1.0)
    )
    refused = compare_samples(weighted, other, tests=["alpha:2", "ks"], permutations=1)
    note = next(o.note for o in refused.outcomes if o.test == "alpha:2")
    assert note == "not defined for negative weights"


@pytest.mark.parametrize(
    "name", ["alpha", "alpha:", "alpha:x", "alpha:nan", "alpha:inf", "alpha:11"]
)
def test_bad_numbers(name: str) -> None:
    with pytest.raises(
        InvalidArgument, match=f"test '{name}' needs a number from -10 to 10"
    ):
        ft.compare({"x": range(50)}, {"x": range(50)}, tests=[name])


def test_a_name_that_is_nearly_alpha() -> None:
    with pytest.raises(InvalidArgument, match=r"no test 'alhpa:0.5'; nearest: alpha:0.5"):
        ft.compare({"x": range(50)}, {"x": range(50)}, tests=["alhpa:0.5"])


def test_on_the_command_line(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(2):
        np.savez(tmp_path / f"{k}.npz", x=normal(k, 60).values[:, 0])
    words = ["compare", str(tmp_path / "0.npz"), str(tmp_path / "1.npz"), "--json"]
    words += ["--tests", "alpha:0.5", "--permutations", "9"]
    monkeypatch.setattr(sys, "argv", ["flowtuple", *words])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert '"alpha:0.5"' in capsys.readouterr().out
