"""Closure of a simulation: events simulated from generated ones against true events of an independent sample.

usage: python bench/simulate.py TRAIN.root:TREE JUDGE.root:TREE [--effort default] [--seed 1]

A model learns from TRAIN to simulate `Jet_*`, `Muon_*`, `MET_*` and `HLT_*` from `Gen*` and `Pileup_nPU`. The first half of
JUDGE is simulated from its generated columns alone and held against the true events of its second half; beside it stands the
true first half against the second, which nothing can beat, and the true events of TRAIN against it: samples whose generators
differ (in the pool that pile-up is drawn from, say) differ themselves, and what is learned from one fits the other no better.

All figures are those of `flowtuple compare --given`, `ft.compare(second, made, given=..., real=first)`. Printed for each
collection: area under the ROC curve of gradient-boosted trees (200 rounds, learning rate 0.05, 8 leaves, 5 folds by event) on
reconstructed columns, the partner's and pile-up; the largest excess of a column's Wasserstein-1 distance in units of its std;
and for each figure (efficiency, median response and 68 % half-width, share of objects without a partner) and what it is drawn
against, how many bins of at least 100 rows lie beyond 0.5 % + 2 sigma (efficiency, without partner) or 2 % + 2 sigma
(response), sigma by bootstrap over events, and the largest difference less 2 sigma. The rate counts objects and includes
writing the file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import awkward as ak
import uproot

import flowtuple as ft
from flowtuple.comparison.closure.result import Agreement

TARGET, GIVEN = ["Jet_*", "Muon_*", "MET_*", "HLT_*"], ["Gen*", "Pileup_nPU"]
PARTNERS = ["GenJet_*", "GenMuon_*", "Pileup_nPU"]


def simulate(model: Path, generated: ak.Array, tree: str, seed: int) -> ak.Array:
    """Events simulated from generated ones by way of files, timed the second time."""
    gen, out = model.with_name("gen.root"), model.with_name("sim.root")
    with uproot.recreate(gen) as file:
        collections = {n: ak.zip({f[len(n) + 1 :]: generated[f] for f in generated.fields if f.startswith(f"{n}_")})
                       for n in ("GenJet", "GenMuon")}  # fmt: skip
        flat = {
            f: generated[f]
            for f in generated.fields
            if generated[f].ndim == 1 and not f.startswith("nGen")
        }
        file.mktree(tree, {k: v.type.content for k, v in (flat | collections).items()})
        file[tree].extend(flat | collections)
    ft.simulate(model, gen, out, seed=seed)
    begin = time.perf_counter()
    ft.simulate(model, gen, out, seed=seed)
    seconds = time.perf_counter() - begin
    made = uproot.open(out)[tree].arrays()
    objects = sum(int(ak.sum(ak.num(made[name]))) for name in ("Jet_pt", "Muon_pt"))
    print(
        f"{len(made)} events, {objects} objects simulated and written in {seconds:.2f} s: {objects / seconds:.0f} objects/s"
    )
    return made


def figures(agreement: Agreement) -> str:
    """How many bins lie beyond what is allowed, figure by figure."""
    return "; ".join(
        f"{v.quantity} by {v.grid} {v.beyond}/{v.bins} (worst {100 * v.worst:.2f} % + 2 sigma)"
        for v in agreement.verdicts
        if v.bins
    )


def show(simulated: ft.Closure, learned: ft.Closure) -> None:
    """Collection by collection the simulated events, and those learned from, beside real ones."""
    for made, known in zip(simulated.objects, learned.objects, strict=True):
        columns = {"simulated": made.other, "real": made.real, "learned from": known.other}
        print(
            f"{made.objects}: AUC against real:",
            ", ".join(f"{what} {a.area}" for what, a in columns.items()),
            flush=True,
        )
        for what, closure in (("simulated", made), ("learned from", known)):
            worst = ", ".join(
                f"{name} {excess:.3f}" for name, excess in list(closure.excess.items())[:3]
            )
            print(f"  largest excess of W1, {what}: {worst}")
        for what, agreement in columns.items():
            print(f"  {what} against real: {figures(agreement)}", flush=True)


def main() -> None:
    """Train, simulate, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train")
    parser.add_argument("judge")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    path, _, tree = a.judge.rpartition(":")
    events = uproot.open(path)[tree].arrays()
    half = len(events) // 2
    source, _, name = a.train.rpartition(":")
    known = uproot.open(source)[name].arrays()[:half]
    first, second = events[:half], events[half:]
    generated = first[
        [
            n
            for n in first.fields
            if n.startswith(("Gen", "gen", "nGen", "Pileup", "run", "event", "lumi"))
        ]
    ]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.flow"
        begin = time.perf_counter()
        ft.train_simulation(a.train, model, target=TARGET, given=GIVEN, effort=a.effort)
        print(
            f"trained in {time.perf_counter() - begin:.0f} s, model {model.stat().st_size} bytes",
            flush=True,
        )
        made = simulate(model, generated, tree, a.seed)
    show(*(ft.closure(second, sample, given=PARTNERS, real=first) for sample in (made, known)))


if __name__ == "__main__":
    main()
