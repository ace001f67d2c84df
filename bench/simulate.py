"""Closure of a simulation: events simulated from generated ones against true events of an independent sample.

usage: python bench/simulate.py TRAIN.root:TREE JUDGE.root:TREE [--effort default] [--seed 1]
           [--objects Jet:GenJet:Jet_genJetIdx Muon:GenMuon:Muon_genMuonIdx]

A model learns from TRAIN to simulate `Jet_*`, `Muon_*`, `MET_*` and `HLT_*` from `Gen*` and `Pileup_nPU`. The first half of
JUDGE is simulated from its generated columns alone and held against the true events of its second half; beside it stands the
true first half against the second, which nothing can beat, and the true events of TRAIN against it: samples whose generators
differ (in the pool that pile-up is drawn from, say) differ themselves, and what is learned from one fits the other no better.

Printed for each collection: area under the ROC curve of gradient-boosted
trees (200 rounds, learning rate 0.05, 5 folds by event) on reconstructed columns, the partner's and pile-up; the largest
excess of a column's Wasserstein-1 distance in units of its std; and in bins of p_T and |eta| how many bins of efficiency, of
median response and its 68 % half-width, and of the share of objects without a partner lie beyond 0.5 % + 2 sigma (efficiency,
fakes) or 2 % + 2 sigma (response), sigma by bootstrap over events. The rate counts objects and includes writing the file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from scipy.stats import wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import flowtuple as ft

TARGET, GIVEN = ["Jet_*", "Muon_*", "MET_*", "HLT_*"], ["Gen*", "Pileup_nPU"]
PT = np.array([10, 12, 15, 20, 25, 40, 60, 100, 200, 2000.0])
ETA = np.array([0, 1.3, 2.5, 5.0])
PILEUP = np.array([0, 7, 9, 11, 13, 40.0])
BOOTSTRAPS = 200
ABSENT = -99.0  # of a partner, in the rows that a classifier sees


def rows(events: ak.Array, reco: str, gen: str, through: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, one row an object with its partner's columns and the pile-up, and the event of each row."""
    index = events[through]
    own = [n for n in events.fields if n.startswith(f"{reco}_") and n != through]
    theirs = [n for n in events.fields if n.startswith(f"{gen}_")]
    parts = [ak.flatten(events[n]) for n in own]
    for name in theirs:
        partner = ak.pad_none(events[name], 1)[ak.where(index >= 0, index, 0)]
        parts.append(ak.flatten(ak.fill_none(ak.where(index >= 0, partner, ABSENT), ABSENT)))
    parts.append(ak.flatten(ak.broadcast_arrays(events["Pileup_nPU"], index)[0]))
    values = np.stack([ak.to_numpy(p).astype(np.float64) for p in parts], axis=1)
    return [*own, *theirs, "Pileup_nPU"], values, np.repeat(np.arange(len(events)), ak.num(index))


def area(one: tuple, other: tuple) -> float:
    """Area under the ROC curve of a classifier, 5 folds by event."""
    x = np.concatenate([one[1], other[1]])
    label, fold = np.repeat([0, 1], [len(one[1]), len(other[1])]), np.concatenate([one[2], other[2]]) % 5
    score = np.empty(len(x))
    for k in range(5):
        trees = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, early_stopping=False, random_state=0)
        score[fold == k] = trees.fit(x[fold != k], label[fold != k]).predict_proba(x[fold == k])[:, 1]
    return float(roc_auc_score(label, score))


def distances(one: tuple, other: tuple) -> np.ndarray:
    """Wasserstein-1 of each column in units of its std, where there is a value."""
    out = []
    for columns in zip(one[1].T, other[1].T, strict=True):
        a, b = (column[column != ABSENT] for column in columns)
        out.append(wasserstein_distance(a, b) / max(b.std(), 1e-12))
    return np.array(out)


def found(events: ak.Array, gen: str, through: str) -> ak.Array:
    """Whether each generated object is found."""
    pairs = ak.cartesian({"g": ak.local_index(events[f"{gen}_pt"]), "r": events[through]}, nested=True)
    return ak.any(pairs["g"] == pairs["r"], axis=-1)


def binned(events: ak.Array, value: ak.Array, pt: ak.Array, eta: ak.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat values with the number of their bin, -1 outside, and their event."""
    a = np.digitize(ak.to_numpy(ak.flatten(pt)), PT) - 1
    b = np.digitize(np.abs(ak.to_numpy(ak.flatten(eta))), ETA) - 1
    inside = (a >= 0) & (a < len(PT) - 1) & (b >= 0) & (b < len(ETA) - 1)
    return (
        ak.to_numpy(ak.flatten(value)).astype(np.float64),
        np.where(inside, a * (len(ETA) - 1) + b, -1),
        np.repeat(np.arange(len(events)), ak.num(value)),
    )


def beyond(one: tuple, other: tuple, figure: Callable, allowed: Callable, draw: np.random.Generator) -> tuple[int, int, float]:
    """Bins with at least 100 entries in which a figure lies beyond what is allowed; bins; the largest excess over 2 sigma."""
    bad, bins, worst = 0, 0, 0.0
    for k in range(int(max(one[1].max(), other[1].max())) + 1):
        samples = [(v[b == k], e[b == k]) for v, b, e in (one, other)]
        if min(len(v) for v, _ in samples) < 100:
            continue
        sigma = np.sqrt(sum(_spread(v, e, figure, draw) ** 2 for v, e in samples))
        figures = [figure(v) for v, _ in samples]
        difference = abs(figures[0] - figures[1])
        bad, bins = bad + (difference > allowed(figures[1]) + 2 * sigma), bins + 1
        worst = max(worst, difference - 2 * sigma)
    return bad, bins, worst


def _spread(values: np.ndarray, event: np.ndarray, figure: Callable, draw: np.random.Generator) -> float:
    """Standard deviation of a figure over bootstraps of whole events."""
    order = np.argsort(event, kind="stable")
    values, (_, begin, counts) = values[order], np.unique(event[order], return_index=True, return_counts=True)
    figures = []
    for _ in range(BOOTSTRAPS):
        chosen = draw.integers(len(begin), size=len(begin))
        size = counts[chosen]
        place = np.repeat(begin[chosen] - np.cumsum(size) + size, size) + np.arange(size.sum())
        figures.append(figure(values[place]))
    return float(np.std(figures))


def half_width(values: np.ndarray) -> float:
    """Half of the central 68 %."""
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2


def figures(events: ak.Array, reco: str, gen: str, through: str) -> dict[str, tuple]:
    """Efficiency and response in bins of the generated object, share without a partner in bins of the object and of pile-up."""
    index = events[through]
    has = index >= 0
    partner = {q: events[f"{gen}_{q}"][index[has]] for q in ("pt", "eta")}
    response = events[f"{reco}_pt"][has] / partner["pt"]
    alone = ~has
    pileup = ak.broadcast_arrays(events["Pileup_nPU"], index)[0]
    in_pileup = np.digitize(ak.to_numpy(ak.flatten(pileup)), PILEUP) - 1
    flat, _, event = binned(events, alone, events[f"{reco}_pt"], events[f"{reco}_eta"])
    return {
        "efficiency": binned(events, found(events, gen, through), events[f"{gen}_pt"], events[f"{gen}_eta"]),
        "response": binned(events, response, partner["pt"], partner["eta"]),
        "fakes": binned(events, alone, events[f"{reco}_pt"], events[f"{reco}_eta"]),
        "fakes by pile-up": (flat, in_pileup, event),
    }


def physics(one: dict[str, tuple], other: dict[str, tuple]) -> list[str]:
    """How many bins lie beyond what is allowed, figure by figure."""
    draw = np.random.default_rng(0)
    out = []
    for name in ("efficiency", "fakes", "fakes by pile-up"):
        bad, bins, worst = beyond(one[name], other[name], np.mean, lambda _: 0.005, draw)
        out.append(f"{name} {bad}/{bins} (worst {100 * worst:.2f} % + 2 sigma)")
    for name, figure in (("median response", np.median), ("half-width", half_width)):
        bad, bins, worst = beyond(one["response"], other["response"], figure, lambda f: 0.02 * f, draw)
        out.append(f"{name} {bad}/{bins} (worst {worst:.4f} + 2 sigma)")
    return out


def main() -> None:
    """Train, simulate, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("judge")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--objects", nargs="+", default=["Jet:GenJet:Jet_genJetIdx", "Muon:GenMuon:Muon_genMuonIdx"])
    a = parser.parse_args()
    path, _, tree = a.judge.rpartition(":")
    events = uproot.open(path)[tree].arrays()
    half = len(events) // 2
    source, _, name = a.train.rpartition(":")
    known = uproot.open(source)[name].arrays()[:half]
    first, second = events[:half], events[half:]
    generated = first[[n for n in first.fields if n.startswith(("Gen", "gen", "nGen", "Pileup", "run", "event", "lumi"))]]
    with tempfile.TemporaryDirectory() as name:
        model, gen, out = (Path(name) / n for n in ("m.flow", "gen.root", "sim.root"))
        begin = time.perf_counter()
        ft.train(a.train, model, target=TARGET, given=GIVEN, effort=a.effort)
        print(f"trained in {time.perf_counter() - begin:.0f} s, model {model.stat().st_size} bytes", flush=True)
        with uproot.recreate(gen) as file:
            collections = {n: ak.zip({f[len(n) + 1 :]: generated[f] for f in generated.fields if f.startswith(f"{n}_")})
                           for n in ("GenJet", "GenMuon")}  # fmt: skip
            flat = {f: generated[f] for f in generated.fields if generated[f].ndim == 1 and not f.startswith("nGen")}
            file.mktree(tree, {k: v.type.content for k, v in (flat | collections).items()})
            file[tree].extend(flat | collections)
        ft.simulate(model, gen, out, seed=a.seed)
        begin = time.perf_counter()
        ft.simulate(model, gen, out, seed=a.seed)
        seconds = time.perf_counter() - begin
        made = uproot.open(out)[tree].arrays()
    objects = sum(int(ak.sum(ak.num(made[text.split(":")[2]]))) for text in a.objects)
    print(f"{len(made)} events, {objects} objects simulated and written in {seconds:.2f} s: {objects / seconds:.0f} objects/s")
    for text in a.objects:
        names = text.split(":")
        simulated, true, learned, other = (rows(sample, *names) for sample in (made, first, known, second))
        areas = [area(sample, other) for sample in (simulated, true, learned)]
        words = ("simulated", "real", "learned from")
        print(
            f"{names[0]}: AUC against real:", ", ".join(f"{w} {x:.4f}" for w, x in zip(words, areas, strict=True)), flush=True
        )
        excess = distances(simulated, other) - distances(true, other)
        worst = np.argsort(-excess)[:3]
        print("  largest excess of W1:", ", ".join(f"{other[0][k]} {excess[k]:.3f}" for k in worst))
        excess = distances(learned, other) - distances(true, other)
        worst = np.argsort(-excess)[:3]
        print("  the same of the events learned from:", ", ".join(f"{other[0][k]} {excess[k]:.3f}" for k in worst))
        *figured, right = [figures(sample, *names) for sample in (made, first, known, second)]
        for what, figure in zip(("simulated", "real", "learned from"), figured, strict=True):
            print(f"  {what} against real:", "; ".join(physics(figure, right)), flush=True)


if __name__ == "__main__":
    main()
