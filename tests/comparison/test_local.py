"""Relations that a sample breaks, and regions in which it differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy.stats")

import scipy.stats

import flowtuple as ft
from flowtuple.comparison.events.event_sample import fill_absent, read_events
from flowtuple.comparison.events.objects import Objects
from flowtuple.comparison.events.relations import find_relations
from flowtuple.comparison.two_sample.compare_samples import compare_samples
from flowtuple.comparison.two_sample.pooled import EventParts, pool, with_objects
from flowtuple.comparison.two_sample.regions import Axis, deviations, find_regions
from flowtuple.comparison.two_sample.relations import with_relations
from flowtuple.comparison.two_sample.result import Comparison
from flowtuple.data.expressions import evaluate
from flowtuple.data.rows import Rows
from flowtuple.io.source import open_dataset

JETS = Path(__file__).parents[2] / "../shared/data/jets24.root"
PAIRS = 200


def jets(seed: int, events: int, *, distorted: bool = False) -> dict[str, Any]:
    """Jets whose energies add up and whose parts have counts, and a flag of the leading one.

    Distorted, the masses of one in thirty of them are too large.
    """
    draw = np.random.default_rng(seed)
    counts = draw.poisson(3, events) + 1
    total = counts.sum()
    pt = draw.exponential(40, total) + 20
    eta, phi = draw.normal(0, 1.4, total), draw.uniform(-np.pi, np.pi, total)
    mass = pt * draw.lognormal(-1.6, 0.3, total)
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    charged = np.where(draw.random(total) < 0.3, 0.0, draw.random(total))
    if distorted:
        mass = np.where((pt > 80) & (np.abs(eta) > 1.6), 1.3 * mass, mass)
    columns = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "mass": mass,
        "chE": charged * energy,
        "neE": (1 - charged) * energy,
        "chN": np.where(charged > 0, 1 + draw.poisson(5 * charged), 0),
    }
    out: dict[str, Any] = {
        f"Jet_{name}": ak.unflatten(values, counts) for name, values in columns.items()
    }
    out["HLT"] = ak.to_numpy(ak.max(out["Jet_pt"], axis=1) > 70)
    out["w"] = draw.random(events) + 0.5
    return out


def compared(a: Any, b: Any, *tests: str, **settings: Any) -> Comparison:
    options = ft.ComparisonOptions(permutations=settings.pop("permutations", 300))
    return ft.compare(a, b, tests=tests, options=options, **settings)


class TestRelations:
    def test_those_that_were_put_in(self) -> None:
        sample = read_events(open_dataset(jets(1, 300)))
        ones = np.ones(300, np.int64)
        roles = dict.fromkeys(sample.columns, "value")
        whole = Objects("", ones, sample.columns, roles)
        found = find_relations([*sample.objects, whole], np.arange(300) < 200)
        assert {relation.text for relation in found} == {
            "E(Jet_pt, Jet_eta, Jet_mass) = Jet_chE + Jet_neE",
            "Jet_chN is 0 where Jet_chE is",
            "HLT = Jet1_pt > 70",
        }
        assert not any(relation.broken.any() for relation in found)

    def test_none_in_independent_columns(self) -> None:
        draw = np.random.default_rng(3)
        columns = {f"x{k}": draw.exponential(size=400) for k in range(10)}
        columns |= {f"n{k}": draw.poisson(1, 400).astype(float) for k in range(5)}
        rows = Objects("", np.ones(400, int), columns, dict.fromkeys(columns, "value"))
        assert find_relations([rows], np.arange(400) < 200) == []

    def test_broken_ones_are_named_first(self) -> None:
        measured = compared(jets(1, 600), jets(2, 600, distorted=True), "ks", "relations")
        first = measured.betrayals[0]
        assert first.column == "E(Jet_pt, Jet_eta, Jet_mass) = Jet_chE + Jet_neE"
        assert first.details["broken_in_reference"] == 0
        assert 0.01 < first.details["broken"] < 0.1
        assert f"level 0.01: {first.column} is broken in" in measured.verdict
        assert measured.picture is not None
        assert measured.picture.label.endswith(first.column)

    def test_residuals_are_columns_of_events(self) -> None:
        samples = jets(1, 600), jets(2, 600, distorted=True)
        measured = compared(*samples, "ks", "c2st-trees", "local")
        regions = [o.details for o in measured.outcomes if o.test == "local"]
        assert not any("residual" in str(region) for region in regions)
        name = "largest residual of E(Jet_pt, Jet_eta, Jet_mass) = Jet_chE + Jet_neE"
        assert name in {o.column for o in measured.betrayals}
        both = compared(*samples, "ks", "relations").betrayals
        assert name not in {o.column for o in both}
        assert any(o.test == "c2st-trees" for o in measured.betrayals)

    def test_residuals_of_events_that_chose_the_relation_are_hidden(self) -> None:
        samples = [read_events(open_dataset(jets(seed, 300))) for seed in (1, 2)]
        rows = fill_absent([sample.rows for sample in samples])
        parts = [EventParts(sample.objects, sample.columns) for sample in samples]
        pooled = with_objects(pool(*rows, seed=0), *parts)
        found = with_relations(pooled)
        assert found.columns[len(pooled.columns) :] == (
            "largest residual of E(Jet_pt, Jet_eta, Jet_mass) = Jet_chE + Jet_neE",
        )
        shown, learned = found.values[:, -1], found.to_learn_from[:, -1]
        half = found.test_half
        assert np.unique(shown[~half]).size == 1
        assert np.array_equal(shown[half], learned[half])
        assert np.unique(learned[~half]).size > 100
        assert found.residual_names == found.columns[-1:]

    def test_columns_of_rows(self) -> None:
        a = np.random.default_rng(1).exponential(size=(2, 400))
        wrong = a[0] + a[1] * np.where(np.arange(400) % 8, 1, 2)
        samples = [{"a": a[0], "b": a[1], "c": total} for total in (a.sum(axis=0), wrong)]
        measured = compared(*samples, "relations")
        assert [o.column for o in measured.betrayals] == ["c = a + b"]

    def test_a_sample_without_relations_says_so(self) -> None:
        draw = np.random.default_rng(1)
        sample = {"a": draw.normal(size=200), "b": draw.normal(size=200)}
        measured = compared(sample, sample, "ks", "relations")
        note = next(o.note for o in measured.outcomes if o.test == "relations")
        assert "no relation holds" in note
        with pytest.raises(ft.InvalidArgument, match="relations: no relation holds"):
            compared(sample, sample, "relations")


class TestRegions:
    def test_differences_by_their_definition(self) -> None:
        whole = np.array([[100.0], [100.0], [200.0], [200.0]])
        z = deviations(np.array([30.0]), np.array([100.0]), whole)
        share = 130 / 300
        expected = (0.5 - 0.3) / np.sqrt(share * (1 - share) * (1 / 100 + 1 / 200))
        assert z[0] == pytest.approx(expected)
        few = deviations(np.array([3.0]), np.array([5.0]), whole * 0.05)
        assert few[0] == 0

    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_largest_of_all(self, weighted: bool) -> None:
        """Every cut is tried by a slow search, box by box."""
        draw = np.random.default_rng(2)
        values = {name: draw.normal(size=600) for name in ("x", "y", "z")}
        other = draw.random(600) < 0.5
        values["z"] += 0.8 * (other & (values["x"] > 0.3) & (values["y"] <= 0.5))
        weight = draw.random(600) + 0.5 if weighted else np.ones(600)
        axes = [Axis(name, column) for name, column in values.items()]
        best = find_regions(axes, other, weight, 1, [0, 1, 2])[0]
        inside = np.ones(600, bool)
        if best.box:
            inside = evaluate(best.cuts, values, "toy")
        passing = inside & evaluate(str(best.split), values, "toy")
        parts = [
            np.array((weight**power * inside * kind).sum())
            for kind in (~other, other)
            for power in (1, 2)
        ]
        sums = [np.array((weight * passing * kind).sum()) for kind in (~other, other)]
        assert best.deviations == pytest.approx(deviations(*sums, np.stack(parts)))
        assert {half.text for half in (*best.box, best.split)} == {"x", "y", "z"}

    @pytest.mark.slow
    def test_the_region_is_named_as_cuts(self, tmp_path: Path) -> None:
        events = [jets(k, 2500, distorted=k == 2) for k in (1, 2)]
        for sample in events:
            del sample["Jet_chE"], sample["Jet_neE"]
        pytest.importorskip("matplotlib")
        measured = compared(*events, "local", folder=tmp_path / "out")
        first = measured.betrayals[0].details
        assert "Jet_mass" in first["compared"]
        assert first["observed"] > 1.2 * first["expected"]
        columns = {
            n: np.asarray(ak.flatten(events[1][f"Jet_{n}"])) for n in ("pt", "eta")
        }
        box = evaluate(
            first["region"], {f"Jet_{n}": v for n, v in columns.items()}, "toy"
        )
        truth = (columns["pt"] > 80) & (np.abs(columns["eta"]) > 1.6)
        assert (box & truth).sum() > 0.6 * box.sum()
        assert first["region"] in measured.verdict
        page = (tmp_path / "out" / "compare.html").read_text()
        assert (
            page.index("the samples differ") < page.index("<img") < page.index("<table")
        )
        stored = json.loads((tmp_path / "out" / "compare.json").read_text())
        assert stored["betrayals"][0]["details"]["region"] == first["region"]


class TestCalibration:
    @pytest.mark.slow
    @pytest.mark.parametrize("weight", [None, "w"])
    def test_p_values_are_uniform(self, weight: str | None) -> None:
        """The smallest adjusted p-value of a test alone is that of all its columns together."""
        smallest: dict[str, list[float]] = {"local": [], "relations": []}
        for pair in range(PAIRS):
            for test, values in smallest.items():
                result = compared(
                    jets(2 * pair, 100),
                    jets(2 * pair + 1, 100),
                    test,
                    permutations=39,
                    seed=pair,
                    weight=weight,
                )
                values.append(min(o.adjusted for o in result.outcomes))  # type: ignore[type-var]
        uniform = {
            t: scipy.stats.kstest(p, "uniform").pvalue for t, p in smallest.items()
        }
        assert {t: p for t, p in uniform.items() if p <= 0.01} == {}

    def test_regions_of_the_judged_events_would_be_dishonest(self) -> None:
        """Regions that judge the events that chose them lie far above chance."""
        largest = []
        for pair in range(20):
            draw = np.random.default_rng(pair)
            axes = [Axis(f"x{k}", draw.normal(size=400)) for k in range(6)]
            other = np.arange(400) % 2 == 1
            best = find_regions(axes, other, np.ones(400), 1, [0, 1, 2])[0]
            largest.append(abs(best.deviations))
        assert min(largest) > 2.5


@pytest.mark.slow
@pytest.mark.skipif(not JETS.exists(), reason="needs ../shared/data")
def test_independent_objects_are_rejected_and_named() -> None:
    """Objects that are dealt anew between events keep their columns and lose their events."""
    events = ft_events(4000)
    reference, dealt = events[:2000], dealt_anew(events[2000:], 1)
    measured = compared(reference, dealt, "ks", "w1", permutations=300)
    named = [o.column for o in measured.betrayals[:8]]
    assert measured.differ
    assert "Jet_dR_min" in named
    assert {"Jet_MHT", "Jet_MHT_over_HT", "Jet_balance"} & set(named)


def ft_events(number: int) -> ak.Array:
    uproot = pytest.importorskip("uproot")
    return uproot.open(JETS)["Events"].arrays(
        filter_name="/n?Jet(_.*)?/", entry_stop=number
    )


def dealt_anew(events: ak.Array, seed: int) -> ak.Array:
    """Return events of equal multiplicities, whose jets come from events at random."""
    counts = ak.num(events["Jet_pt"])
    order = np.random.default_rng(seed).permutation(int(ak.sum(counts)))
    fields = {
        name: ak.unflatten(ak.flatten(events[name])[order], counts)
        for name in events.fields
        if name.startswith("Jet_")
    }
    falling = ak.argsort(fields["Jet_pt"], axis=1, ascending=False)
    return ak.zip({n: v[falling] for n, v in fields.items()}, depth_limit=1)


def test_the_seed_decides_whatever_the_threads() -> None:
    """Sums of matrix products in another order gave other last digits."""
    from threadpoolctl import threadpool_limits

    draw = np.random.default_rng(1)
    samples = [
        Rows("toy", tuple("abcdef"), draw.gamma(0.3, size=(900, 6)), np.arange(900), 900)
        for _ in range(2)
    ]
    tests = ["correlation", "fpd", "mmd", "kpd", "sliced-w1", "local"]
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            results.append(compare_samples(*samples, tests=tests, permutations=60))
    assert results[0] == results[1]
