"""Limits with a generated background: closed form, pyhf and slow references; known faults are seen.

Thresholds on random samples are four standard deviations away, for fixed seeds.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.cli.limiting import read_edges
from flowtuple.comparison.limits.histfactory import cls_band, workspace
from flowtuple.comparison.limits.measure import coverage_of_zero, spurious_signal
from flowtuple.comparison.limits.observable import Observable, read_observable
from flowtuple.comparison.limits.profile import Profile, expected_cls
from flowtuple.comparison.limits.result import Check
from flowtuple.comparison.limits.samples import Templates, fill_templates
from flowtuple.comparison.limits.templates import check_background, fill_template
from flowtuple.io.source import open_dataset
from flowtuple.runtime import extras
from flowtuple.runtime.progress import silent
from in_process import run_here

pyhf = pytest.importorskip("pyhf")
special = pytest.importorskip("scipy.special")
optimize = pytest.importorskip("scipy.optimize")

EDGES = np.linspace(80.0, 100.0, 11)
FEW = ft.LimitOptions(signal_yield=30, background_yield=500, toys=100, replicas=40)


def random_profile(seed: int, bins: int = 5) -> Profile:
    draw = np.random.default_rng(seed)
    return Profile(
        draw.uniform(0, 8, bins), draw.uniform(3, 60, bins), draw.uniform(0.02, 0.3, bins)
    )


def peak(seed: int, number: int, scale: float = 1.0) -> Observable:
    draw = np.random.default_rng(seed)
    return Observable("z.npz", scale * draw.normal(90, 3, number))


def bump(seed: int = 1) -> Observable:
    return Observable("s.npz", np.random.default_rng(seed).normal(95, 1.5, 4000))


def samples(
    generated: Observable, simulated: Observable | None = None
) -> list[Observable]:
    return [bump(), simulated or peak(2, 20000), generated]


def measured(generated: Observable, trained_on: float | None = 20000.0) -> ft.Limits:
    """Limits on a bump above a peak."""
    sources = [{"m": sample.values} for sample in samples(generated)]
    return ft.limits(
        *sources, observable="m", edges=EDGES, trained_on=trained_on, options=FEW
    )


# -- the likelihood -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strength", [-0.4, 0.0, 0.7, 3.0])
def test_best_factors_are_those_of_a_slow_search(seed: int, strength: float) -> None:
    profile = random_profile(seed)
    counts = np.random.default_rng(seed + 9).poisson(profile.background).astype(float)
    counts[0] = 0.0
    total = 0.0
    for s, b, relative, n in zip(
        profile.signal, profile.background, profile.relative, counts, strict=True
    ):

        def cost(gamma: float, s=s, b=b, relative=relative, n=n) -> float:
            mean = strength * s + gamma * b
            if mean <= 0:
                return 1e9
            return 2 * (mean - n * math.log(mean)) + ((gamma - 1) / relative) ** 2

        options = {"xatol": 1e-10}
        total += optimize.minimize_scalar(cost, bounds=(1e-10, 10), options=options).fun
    assert profile.deviance(np.array(strength), counts) == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_profile_agrees_with_pyhf(seed: int) -> None:
    profile = random_profile(seed)
    described = workspace(profile, "test", 3.0)
    parameters = described["measurements"][0]["config"]["parameters"]
    parameters[0]["bounds"] = [[-2.0, 20.0]]
    model = pyhf.Model(
        {"channels": described["channels"], "parameters": parameters},
        poi_name="mu",
        validate=False,
    )
    counts = np.random.default_rng(seed + 5).poisson(1.2 * profile.background)
    data = np.concatenate([counts, model.config.auxdata])
    best, value = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    _, none = pyhf.infer.mle.fixed_poi_fit(0.0, data, model, return_fitted_val=True)
    own = profile.best_strength(counts.astype(float))
    assert own == pytest.approx(best[model.config.poi_index], abs=2e-3)
    ratio = profile.ratio(0.0, counts.astype(float))
    assert ratio == pytest.approx(float(none - value), abs=1e-4)


def test_expected_cls_and_limit_agree_with_pyhf() -> None:
    profile = random_profile(4)
    limit = float(profile.limit())
    band = cls_band(profile, limit)
    assert band[2] == pytest.approx(0.05, rel=1e-4)
    assert band[2] == pytest.approx(
        float(expected_cls(profile.significance(np.array(limit)))), rel=1e-4
    )
    for place, deviations in ((0, -2), (4, 2)):
        edge = cls_band(profile, float(profile.limit(deviations)))
        assert edge[place] == pytest.approx(0.05, rel=1e-3)


def test_one_bin_is_a_counting_experiment() -> None:
    b, s = 400.0, 10.0
    profile = Profile(np.array([s]), np.array([b]), np.array([1e-6]))
    for strength in (1.0, 3.0, 5.0):
        q = 2 * (strength * s - b * math.log1p(strength * s / b))
        median = float(expected_cls(profile.significance(np.array(strength))))
        assert median == pytest.approx(2 * special.ndtr(-math.sqrt(q)), rel=1e-5)
        # CLs of Poisson counts, at the median count: the asymptotic formula is near to it
        exact = special.pdtr(b, b + strength * s) / special.pdtr(b, b)
        assert median == pytest.approx(exact, rel=0.1)
    best = profile.best_strength(np.array([430.0]))
    assert best == pytest.approx(3.0, abs=1e-5)


def test_many_sets_of_counts_give_the_results_of_one() -> None:
    profile = random_profile(6)
    counts = np.random.default_rng(0).poisson(profile.background, (4, 5)).astype(float)
    many = profile.best_strength(counts)
    assert many.shape == (4,)
    one = [float(profile.best_strength(row)) for row in counts]
    assert many == pytest.approx(np.array(one))
    backgrounds = np.stack([profile.background, 2 * profile.background])
    several = Profile(profile.signal, backgrounds, profile.relative)
    alone = Profile(profile.signal, backgrounds[1], profile.relative)
    assert several.limit()[1] == pytest.approx(float(alone.limit()))


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver")  # pyhf calls it
def test_workspace_is_one_of_pyhf() -> None:
    profile = random_profile(7)
    model = pyhf.Workspace(workspace(profile, "generated", 2.0)).model()
    assert model.config.poi_name == "mu"
    assert model.expected_data([0.0, *np.ones(5)])[:5] == pytest.approx(
        profile.background
    )


# -- templates ------------------------------------------------------------------------------------


def test_weights_count_as_the_events_that_they_are_worth() -> None:
    weighted = Observable(
        "w.npz", np.array([1.0, 1.0, 1.0, 9.0]), np.array([2.0, -1, 1, 2])
    )
    template = fill_template(weighted, np.array([0.0, 2.0]))
    assert template.counts(10.0).tolist() == [5.0]
    assert template.effective[0] == pytest.approx(2**2 / 6)
    assert template.relative_errors[0] == pytest.approx(math.sqrt(6 / 4))


def test_training_limits_statistics() -> None:
    template = fill_template(peak(0, 50000), EDGES, 1000)
    expected = 1 / template.effective[:-1] + 1 / (1000 * template.shares[:-1])
    assert template.relative_errors**2 == pytest.approx(expected)
    # events without number are worth no more than the training
    many = fill_template(peak(0, 500000), EDGES, 1000)
    least = 1 / np.sqrt(1000 * many.shares[:-1])
    assert (many.relative_errors > least).all()
    assert many.relative_errors == pytest.approx(least, rel=2e-3)


def test_bins_are_worth_no_more_than_the_training() -> None:
    template = fill_template(peak(0, 50000), EDGES, 1000)
    assert template.worths == pytest.approx(1 / template.relative_errors**2)
    assert (template.worths < 1000 * template.shares[:-1]).all()
    check_background(fill_template(peak(0, 50000), EDGES))
    # 50,000 drawn events fill each bin, but 20 of training do not
    few = fill_template(peak(0, 50000), EDGES, 20)
    assert few.effective.min() > 5
    with pytest.raises(
        ft.InvalidArgument,
        match=r"bin from 80 to 82 is worth .* after a training on 20, ",
    ):
        check_background(few)


def test_replicas_have_the_variance_of_the_template() -> None:
    template = fill_template(peak(0, 5000), EDGES, 2000)
    shares = template.replicas(4000, np.random.default_rng(0))
    spread = shares.std(axis=0) / template.shares[:-1]
    # of shares, which sum to one with those outside
    wanted = template.relative_errors * np.sqrt(1 - template.shares[:-1])
    assert spread == pytest.approx(wanted, rel=0.06)
    assert shares.mean(axis=0) == pytest.approx(template.shares[:-1], rel=0.02)


def test_observable_of_events_objects_and_columns() -> None:
    jets = open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]], "w": [1.0, 2.0, 3.0]})
    one = read_observable(jets, "Jet1_pt + 2 * w", "w")
    assert one.values[[0, 2]].tolist() == [52.0, 36.0]
    assert math.isnan(one.values[1])
    assert one.total == 6.0
    flat = open_dataset({"x": [1.0, 2.0], "y": [3, 4]})
    assert read_observable(flat, "x * y").values.tolist() == [3.0, 8.0]


# -- known faults ---------------------------------------------------------------------------------


def test_same_distribution_passes() -> None:
    result = measured(peak(3, 60000))
    assert not result.rejected
    assert result.verdict.startswith("the generated background passes every check; ")
    assert len(result.tests) == 3
    assert [point.events for point in result.curve][-1] == 60000
    assert result.tests[1].simulated[2] == pytest.approx(0.05, rel=0.1)
    assert "expected" in repr(result)


def test_shifted_mass_fails() -> None:
    result = measured(peak(3, 60000, scale=1.02))
    assert result.rejected
    spurious = [c for c in result.checks if c.name == "spurious signal"]
    assert spurious[0].failed
    assert "the generated background fails: " in result.verdict
    assert "spurious signal is -" in result.verdict
    assert result.difference.p < 1e-6


@pytest.mark.slow
def test_same_seed_same_result() -> None:
    generated = peak(3, 30000)
    assert measured(generated) == measured(generated)


def test_unnamed_training_is_noted() -> None:
    result = measured(peak(3, 30000), None)
    assert any("`trained_on=`" in note for note in result.notes)
    assert result.curve[-1].limit == pytest.approx(result.curve[-1].as_simulated)


def test_injected_signal_is_spurious() -> None:
    background, signal = peak(2, 50000), bump()
    # signal of strength 0.6 in the simulated background: 0.6 * 30 in 500 events
    more = np.random.default_rng(8).normal(95, 1.5, round(50000 * 0.6 * 30 / 500))
    simulated = Observable("b", np.concatenate([background.values, more]))
    options = ft.LimitOptions(signal_yield=30, background_yield=518)
    generated = Observable("g", peak(3, 50000).values)
    templates = fill_templates([signal, simulated, generated], EDGES, None, options)
    pair, repeated = both(templates, 100)
    spurious = spurious_signal(pair, repeated)
    # the scale of the generated background is that of all events: 518 in place of 500
    scaled = 518 * templates.generated.shares[:-1]
    slow = Profile(pair[1].signal, scaled, pair[1].relative)
    assert spurious.strength == pytest.approx(
        float(slow.best_strength(pair[0].background))
    )
    assert abs(spurious.strength - 0.6) < 0.2 + 4 * spurious.sigma
    assert spurious.strength > 0.2


def both(templates: Templates, replicas: int) -> tuple[list[Profile], list[Profile]]:
    """Likelihoods with both backgrounds, and their bootstrap."""
    rng = np.random.default_rng(0)
    backgrounds = (templates.simulated, templates.generated)
    return (
        [templates.profile(b) for b in backgrounds],
        [templates.repeated(b, replicas, rng) for b in backgrounds],
    )


def test_errors_are_right() -> None:
    """A model that is its training, drawn from again; 3000 and 20000 events are worth 2609."""
    draw = np.random.default_rng(5)
    options = ft.LimitOptions(signal_yield=30, background_yield=500)
    pulls = []
    for _ in range(150):
        training, simulated = (draw.normal(90, 3, size) for size in (3000, 2609))
        generated = draw.choice(training, 20000)
        some = [bump(), Observable("b", simulated), Observable("g", generated)]
        templates = fill_templates(some, np.linspace(82, 98, 9), 3000, options)
        pair, repeated = both(templates, 60)
        spurious = spurious_signal(pair, repeated)
        cls = [expected_cls(p.significance(np.array(0.5))) for p in pair]
        copies = [expected_cls(p.significance(np.full(60, 0.5))) for p in repeated]
        difference = cls[1] / cls[0] - 1
        sigma = np.std(copies[1] / copies[0])
        pulls.append((spurious.strength / spurious.sigma, difference / sigma))
    # standard deviation 1 +- 0.06, and 0.09 of the bootstrap's own
    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=0.3)
    assert (np.abs(np.mean(pulls, axis=0)) < 4 / math.sqrt(150)).all()


def test_exact_template_covers() -> None:
    exact = peak(2, 400000)
    options = ft.LimitOptions(signal_yield=30, background_yield=500)
    templates = fill_templates([bump(), exact, exact], EDGES, None, options)
    coverage = coverage_of_zero(
        *both(templates, 2), 3000, np.random.default_rng(1), silent
    )
    # 0.95 +- 0.004, and the counts of thin bins are discrete
    assert coverage.share == pytest.approx(0.95, abs=0.02)
    assert coverage.binomial == pytest.approx(0.004, abs=0.001)


def test_check_fails_beyond_two_sigma() -> None:
    assert not Check("x", 0.24, 0.1, 0.07).failed
    assert Check("x", -0.25, 0.1, 0.07).failed


# -- what cannot be -------------------------------------------------------------------------------


BAD: list[tuple[dict[str, Any], str]] = [
    ({"observable": "mm"}, "column 'mm', which is not there; nearest: m"),
    ({"observable": "m +"}, r"the expression 'm \+' cannot be read"),
    ({"observable": "3"}, "names no column"),
    ({"edges": [0, 10, 5]}, "the edges do not rise: 5 follows 10"),
    ({"edges": [1]}, "1 edges make no bin"),
    ({"edges": [0, math.inf]}, "an edge is NaN or infinite"),
    (
        {"edges": [200, 300]},
        r"all 500 events lie outside the edges 200 to 300; they lie from",
    ),
    (
        {"edges": [80, 90, 100, 140]},
        "the bin from 100 to 140 .*join it with its neighbour",
    ),
    ({"trained_on": 0}, "`trained_on=` is 0; it takes a number of events above 0"),
    ({"options": ft.LimitOptions(signal_yield=0)}, "`signal_yield=` is 0"),
    ({"options": ft.LimitOptions(background_yield=-3)}, "`background_yield=` is -3"),
    (
        {"options": ft.LimitOptions(strengths=[0])},
        "the strength 0 is not a number above 0",
    ),
    (
        {"options": ft.LimitOptions(strengths=[900])},
        "900 is far above the expected limit",
    ),
    ({"options": ft.LimitOptions(toys=5)}, "`toys=` is 5; at least 100"),
    ({"options": ft.LimitOptions(weight="w")}, "no column of weights 'w'"),
    ({"options": ft.LimitOptions(weight="nan")}, "column 'nan': 500 weights are NaN"),
    ({"options": ft.LimitOptions(weight="minus")}, "weights sum to -500 because all 500"),
    ({"seed": -1}, "the seed -1"),
    ({"generated": {"m": np.empty(0)}}, "holds no event"),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[m[:30] for _, m in BAD])
def test_what_cannot_be_is_named(changes: dict[str, Any], message: str) -> None:
    values = np.random.default_rng(0).normal(90, 3, 500)
    events = {"m": values, "minus": np.full(500, -1.0), "nan": np.full(500, np.nan)}
    arguments = {
        "observable": "m",
        "edges": [84, 88, 92, 96],
        "trained_on": 500,
    } | changes
    generated = arguments.pop("generated", events)
    with pytest.raises(ft.InvalidArgument, match=message):
        ft.limits(events, events, generated, **arguments)


def test_signal_of_negative_weight_in_a_bin_is_named() -> None:
    values = np.array([85.0] * 5 + [95.0] * 50)
    signal = {"m": values, "w": np.where(values < 90, -1.0, 1.0)}
    background = {"m": np.linspace(80, 100, 200), "w": np.ones(200)}
    with pytest.raises(
        ft.InvalidArgument, match="the bin from 80 to 90 has weights that sum"
    ):
        ft.limits(
            signal,
            background,
            background,
            observable="m",
            edges=[80, 90, 100],
            options=ft.LimitOptions(weight="w"),
        )


def test_number_of_objects_is_refused() -> None:
    jets = open_dataset({"Jet_pt": [[50.0, 20.0], [30.0]]})
    with pytest.raises(
        ft.InvalidArgument, match=r"for each object; .*nearest: .*Jet1_pt"
    ):
        read_observable(jets, "Jet_pt / 2")


def test_undefined_observables_are_counted() -> None:
    values = peak(2, 3000).values
    some = np.where(np.arange(3000) < 6, np.nan, values)
    result = ft.limits(
        {"m": bump().values},
        {"m": values},
        {"m": some},
        observable="m",
        edges=np.linspace(84, 96, 5),
        trained_on=3000,
        options=FEW,
    )
    assert result.generated.undefined == 6
    assert any("6 events have no finite observable" in note for note in result.notes)


def test_template_that_is_worth_too_few_events_is_noted() -> None:
    events = [{"m": s.values} for s in (bump(), peak(2, 3000), peak(3, 6000))]
    options = ft.LimitOptions(
        signal_yield=30, background_yield=1200, toys=100, replicas=20, strengths=[0.5]
    )
    edges = np.linspace(84, 96, 5)
    result = ft.limits(
        *events, observable="m", edges=edges, trained_on=3000, options=options
    )
    # 1 / (1 / 6000 + 1 / 3000)
    (note,) = result.notes
    assert "is worth 2000 events, and the analysis expects 1200 of background" in note


def test_fit_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any, **settings: Any) -> None:
        raise pyhf.exceptions.FailedMinimization(None)

    monkeypatch.setattr(pyhf.infer, "hypotest", failing)
    with pytest.raises(
        ft.InvalidArgument, match=r"no best fit for the strength 0\.5; join"
    ):
        cls_band(random_profile(1), 0.5)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = extras.importlib.import_module

    def without(name: str) -> Any:
        if name == "pyhf":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(extras.importlib, "import_module", without)
    with pytest.raises(
        ft.MissingExtra, match=r"limits needs .*pip install 'flowtuple\[fit\]'"
    ):
        ft.limits({}, {}, {}, observable="m", edges=[0, 1])


# -- page and command line ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver")  # pyhf calls it
def test_folder_has_page_numbers_and_workspaces(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    sources = [{"m": sample.values} for sample in samples(peak(3, 20000, scale=1.02))]
    result = ft.limits(
        *sources,
        tmp_path / "out",
        observable="m",
        edges=EDGES,
        options=FEW,
        trained_on=20000,
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "limits.html",
        "limits.json",
        "workspace_generated.json",
        "workspace_simulated.json",
    ]
    content = json.loads((tmp_path / "out/limits.json").read_text())
    assert content["rejected"] is True
    assert content == json.loads(json.dumps(result.to_json()))
    page = (tmp_path / "out/limits.html").read_text()
    for words in (
        "Checks",
        "Expected CLs and limits",
        "Number of generated events",
        "FAILED",
    ):
        assert words in page
    assert page.count("data:image/png;base64,") == 2
    described = json.loads((tmp_path / "out/workspace_generated.json").read_text())
    model = pyhf.Workspace(described).model()
    assert model.config.channel_nbins["observable"] == len(EDGES) - 1


def test_edges_of_a_command_line() -> None:
    assert read_edges("0:10:4") == (0.0, 2.5, 5.0, 7.5, 10.0)
    for text in ("0:10", "0:10:0", "a,b", "0:10:2.5"):
        with pytest.raises(
            ft.InvalidArgument, match="is not of the form 0,50,100 or FROM"
        ):
            read_edges(text)


@pytest.mark.slow
def test_command_shows_checks_and_fails_where_it_has_to(tmp_path: Path) -> None:
    files = {"s": bump(), "b": peak(2, 20000), "g": peak(3, 20000, scale=1.02)}
    for name, sample in files.items():
        np.savez(tmp_path / f"{name}.npz", m=sample.values)
    words = [tmp_path / f"{name}.npz" for name in files]
    rest = ["--observable", "m", "--edges", "80:100:10", "--trained-on", "20000"]
    rest += ["--signal-yield", "30", "--background-yield", "500", "--replicas", "40"]
    done = run_here("limits", *words, *rest, "--fail")
    assert done.returncode == 1
    assert done.stdout.startswith("the generated background fails: ")
    for text in ("spurious signal", "FAILED", "limit on mu", "of 500 toys", "chi2"):
        assert text in done.stdout
    done = run_here("limits", *words, *rest, "--strengths", "0.5", "--json")
    assert done.returncode == 0
    content = json.loads(done.stdout)
    assert [test["strength"] for test in content["tests"]] == [0.5]
    assert content["checks"][-2]["failed"] is True


def test_command_names_what_is_wrong(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", m=peak(2, 2000).values)
    path = tmp_path / "b.npz"
    done = run_here(
        "limits", path, path, path, "--observable", "mm", "--edges", "80:100:4"
    )
    assert done.returncode == 2
    assert re.fullmatch(r"flowtuple: .*names column 'mm', .*nearest: m\n", done.stderr)
    done = run_here(
        "limits", path, path, path, "--observable", "m", "--edges", "100:80:4"
    )
    assert done.stderr.startswith("flowtuple: the edges do not rise: 95 follows 100")
    wide = ["--observable", "m", "--edges", "500:800:4"]
    assert "widen --edges" in run_here("limits", path, path, path, *wide).stderr
    odd = ["--observable", "m", "--edges", "80:100:4", "--strengths", "a"]
    assert (
        "--strengths 'a' is not numbers"
        in run_here("limits", path, path, path, *odd).stderr
    )


@pytest.mark.slow
def test_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("mplhep")
    page = (Path(__file__).parents[2] / "docs/limits.md").read_text()
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    words = shlex.split(
        re.findall(r"^flowtuple (limits signal\.npz .*)$", page, re.MULTILINE)[0]
    )
    done = run_here(*words, "--toys", "100", "--replicas", "30")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("the generated background ")
    assert (tmp_path / "limits/limits.html").is_file()
