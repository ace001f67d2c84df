"""Whole simulated events beside true ones that no model has seen: do they hold together?"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from commands import Columns, Script, show_header, show_row, timed
from generation import GENERATED, TARGET
from simulated_events_drawings import met_png, shapes_png, turn_on_png
from simulated_physics import Verdict, verdicts, write_tagged
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import flowtuple as ft

LEADING = 3  # objects whose columns a classifier reads
NEAR = 0.5  # Delta R that two jets of one event are hardly ever within
PILEUP = {"<= 8": (0, 8), "9 to 11": (9, 11), ">= 12": (12, 10**6)}
FLAGS = {
    "HLT_Jet60": lambda e: first(e["Jet_pt"]) > 60,
    "HLT_Jet100": lambda e: first(e["Jet_pt"]) > 100,
    "HLT_IsoMu20": lambda e: (
        (first(e["Muon_pt"]) > 20) & (first(e["Muon_pfRelIso04_all"], fill=9.0) < 0.15)
    ),
}
PARTS = ("chHad", "neHad", "pho", "ele", "mu", "hfHad", "hfEm")
script = Script(__doc__)


@script.command(
    "train", "judge", effort="default", seeds=[1], model="", images="", rounds=200
)
def events(a: argparse.Namespace) -> None:
    """Judge whole events simulated from the generated columns of JUDGE.

    A model learns from TRAIN (FILE.root:TREE) to simulate `Jet_*`, `Muon_*`, `MET_*` and `HLT_*`
    from `Gen*` and `Pileup_nPU`; `--model` keeps it, or takes one that is there. Each event of
    JUDGE is simulated and compared with the true one; the events of TRAIN, compared with those of
    JUDGE, show what two true samples differ by.

    Printed for each seed: area under the ROC curve of boosted trees on features of whole events,
    generated and reconstructed (half of the events train, simulated and true versions of an event
    on the same side; mean of three splits); the share of events with two jets within 0.5; the
    share of events whose flag contradicts the objects; Spearman's correlation of the responses of
    the jets matched to the two leading generated jets; jets of which a part has energy and no
    count, or the reverse; half-widths (68 %) of the components of MET - GenMET along and across
    GenMET, in bins of pile-up, with the error of the true one. `--images` names a folder for
    pictures.
    """
    path, _, tree = a.judge.rpartition(":")
    true = uproot.open(path)[tree].arrays()
    source, _, name = a.train.rpartition(":")
    known = uproot.open(source)[name].arrays()
    real, other = features(true), features(known)
    with tempfile.TemporaryDirectory() as folder:
        model = trained(a, Path(folder))
        samples = {"learned from": known}
        for seed in a.seeds:
            samples[f"seed {seed}"] = simulated(model, a.judge, tree, seed)
    show_header("sample", "event AUC", *FIGURES, text=1)
    show_row("true", "", *figures(true))
    for label, sample in samples.items():
        their = other if sample is known else features(sample)
        auc = f"{area(real, their, paired=sample is not known, rounds=a.rounds):.4f}"
        show_row(label, auc, *figures(sample))
    show_widths(true, samples)
    if a.images:
        draw_pictures(Path(a.images), true, samples[f"seed {a.seeds[0]}"])


@script.command("train", "judge", effort="default", seeds=[1], model="")
def physics(a: argparse.Namespace) -> None:
    """Judge muon isolation, m(mu mu) and a tag score of simulated events in bins.

    A model learns from TRAIN (FILE.root:TREE) and simulates JUDGE, as with `events`. The isolation
    of muons is judged by p_T and |eta|, m(mu mu) near the Z by |eta| of both muons, and
    `Jet_btag`, where the samples have it (`tag` adds one), by flavour and p_T. A figure fails where
    it differs by more than 3 % of the true one and 2 sigma.
    """
    path, _, tree = a.judge.rpartition(":")
    true = uproot.open(path)[tree].arrays()
    source, _, name = a.train.rpartition(":")
    samples = {"learned from": uproot.open(source)[name].arrays()}
    with tempfile.TemporaryDirectory() as folder:
        model = trained(a, Path(folder))
        for seed in a.seeds:
            samples[f"seed {seed}"] = simulated(model, a.judge, tree, seed)
    judged = {label: verdicts(true, sample) for label, sample in samples.items()}
    show_header("figure", "true", "limit", *samples, text=1)
    for figure, verdict in judged["learned from"].items():
        others = [judged[label].get(figure) for label in samples]
        show_row(
            figure,
            f"{verdict.true:.4g}",
            f"{verdict.limit / max(abs(verdict.true), 1e-9):.1%}",
            *("" if v is None else difference(v) for v in others),
        )
    for label, sample in judged.items():
        failed = sum(not v.holds for v in sample.values())
        print(f"{label}: {failed} of {len(sample)} figures beyond 3 % + 2 sigma")


@script.command("source", "output", seed=0)
def tag(a: argparse.Namespace) -> None:
    """Write SOURCE (FILE.root:TREE) with a tag score `Jet_btag` by flavour, p_T and counts."""
    write_tagged(a.source, Path(a.output), a.seed)


def difference(verdict: Verdict) -> str:
    """Return the difference of a figure from the true one, marked where it is too large."""
    part = verdict.simulated / verdict.true - 1 if verdict.true else verdict.simulated
    return f"{part:+.1%}" + ("" if verdict.holds else " !")


def trained(a: argparse.Namespace, folder: Path) -> Path:
    """Return the model that `--model` names, or a new one, trained where there is none."""
    model = Path(a.model or folder / "m.flow")
    if not model.exists():
        options = {"target": TARGET, "given": GENERATED, "effort": a.effort}
        _, seconds = timed(lambda: ft.train_simulation(a.train, model, **options))
        print(f"trained in {seconds:.0f} s, {model.stat().st_size} bytes", flush=True)
    return model


def simulated(model: Path, judge: str, tree: str, seed: int) -> ak.Array:
    """Return the events of a file, simulated from their generated columns."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sim.root"
        _, seconds = timed(lambda: ft.simulate(model, judge, out, seed=seed))
        made = uproot.open(out)[tree].arrays()
    print(f"{len(made)} events in {seconds:.2f} s: {len(made) / seconds:.0f} a second")
    return made


def first(objects: ak.Array, number: int = 0, fill: float = 0.0) -> np.ndarray:
    """Return the values of one object of each event, `fill` in events that have fewer."""
    padded = ak.pad_none(objects, number + 1, clip=True)[:, number]
    return np.asarray(ak.fill_none(padded, fill), float)


def turn(angle: np.ndarray) -> np.ndarray:
    """Return the equal of an angle in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def vector(e: ak.Array, name: str) -> np.ndarray:
    """Return x and y of the sum of the transverse momenta of a collection."""
    pt, phi = e[f"{name}_pt"], e[f"{name}_phi"]
    return np.stack([np.asarray(ak.sum(pt * f(phi), axis=1)) for f in (np.cos, np.sin)])


def distances(e: ak.Array) -> ak.Array:
    """Return Delta R of all pairs of jets, the smallest first."""
    place = ak.zip({"eta": e["Jet_eta"], "phi": e["Jet_phi"]})
    one, two = ak.unzip(ak.combinations(place, 2))
    return ak.sort(np.hypot(one.eta - two.eta, turn(one.phi - two.phi)), axis=1)


def of_met(e: ak.Array) -> np.ndarray:
    """Return the components of MET - GenMET along and across GenMET."""
    met, phi = np.asarray(e["MET_pt"], float), np.asarray(e["MET_phi"], float)
    angle = phi - np.asarray(e["GenMET_phi"], float)
    return np.stack(
        [met * np.cos(angle) - np.asarray(e["GenMET_pt"]), met * np.sin(angle)]
    )


def responses(e: ak.Array) -> np.ndarray:
    """Return p_T / gen p_T of the first jet of each of the two leading generated jets, or NaN."""
    out = []
    for k in range(2):
        jet = first(e["Jet_pt"][e["Jet_genJetIdx"] == k], fill=np.nan)
        out.append(jet / first(e["GenJet_pt"], k, np.nan))
    return np.stack(out)


def features(e: ak.Array) -> Columns:
    """Return what a classifier reads of whole events, one number an event each."""
    out = objects_of(e, "Jet") | objects_of(e, "Muon")
    for name, columns in {
        "GenJet": ("pt", "eta", "mass"),
        "GenMuon": ("pt", "eta"),
    }.items():
        out[f"n{name}"] = np.asarray(ak.num(e[f"{name}_pt"]), float)
        for column in columns:
            for k in range(LEADING):
                out[f"{name}_{column}{k}"] = first(e[f"{name}_{column}"], k, -99.0)
    out |= {
        n: np.asarray(e[n], float) for n in ("Pileup_nPU", "GenMET_pt", "MET_pt", *FLAGS)
    }
    out["along"], out["across"] = of_met(e)
    ratio = responses(e)
    out["response0"], out["response1"] = ratio
    jets, gen = vector(e, "Jet"), vector(e, "GenJet")
    met = np.asarray(e["MET_pt"]) * np.stack([np.cos(e["MET_phi"]), np.sin(e["MET_phi"])])
    out["MHT"], out["gain"] = np.hypot(*jets), np.hypot(*(jets - gen))
    out["MET + jets"] = np.hypot(*(jets + met))
    out["MET + jets + muons"] = np.hypot(*(jets + met + vector(e, "Muon")))
    out["MET phi - leading"] = np.abs(
        turn(np.asarray(e["MET_phi"]) - first(e["Jet_phi"]))
    )
    return out | pairs_of(e)


def objects_of(e: ak.Array, name: str) -> Columns:
    """Return columns of the leading objects of a collection, and sums over all."""
    fields = [f for f in e.fields if f.startswith(f"{name}_") and not f.endswith("Idx")]
    out = {f"n{name}": np.asarray(ak.num(e[f"{name}_pt"]), float)}
    pt = e[f"{name}_pt"]
    scale = np.maximum(np.asarray(ak.sum(pt, axis=1), float), 1e-9)
    for field in fields:
        content = e[field]
        for k in range(LEADING):
            out[f"{field}{k}"] = first(content, k, -99.0)
        out[f"sum {field}"] = np.asarray(ak.sum(content, axis=1), float)
        largest = ak.fill_none(ak.max(content, axis=1), -99)
        out[f"largest {field}"] = np.asarray(largest, float)
        out[f"mean {field}"] = np.asarray(ak.sum(content * pt, axis=1), float) / scale
    return out


def pairs_of(e: ak.Array) -> Columns:
    """Return masses and distances of pairs of jets and muons, and contradictions within jets."""
    out = {"m(mu mu)": mass(e, "Muon", 0, 1)}
    for i, j in ((0, 1), (0, 2), (1, 2)):
        there = np.asarray(ak.num(e["Jet_pt"])) > j
        d_eta = np.abs(first(e["Jet_eta"], i) - first(e["Jet_eta"], j))
        d_phi = np.abs(turn(first(e["Jet_phi"], i) - first(e["Jet_phi"], j)))
        parts = {"deta": d_eta, "dphi": d_phi, "dR": np.hypot(d_eta, d_phi)}
        out |= {f"{n}{i}{j}": np.where(there, v, -1) for n, v in parts.items()}
        out[f"m{i}{j}"] = mass(e, "Jet", i, j)
    near = distances(e)
    out["nearest"], out["second nearest"] = first(near, 0, -1.0), first(near, 1, -1.0)
    out["contradictions"] = np.asarray(ak.sum(contradictions(e), axis=1), float)
    energy = np.hypot(e["Jet_pt"] * np.cosh(e["Jet_eta"]), e["Jet_mass"])
    whole = sum(e[f"Jet_{p}E"] for p in PARTS) / energy
    miss = ak.fill_none(ak.max(np.abs(whole - 1), axis=1), 0)
    out["parts"] = np.log10(np.asarray(miss) + 1e-6)
    return out


def mass(e: ak.Array, name: str, i: int, j: int) -> np.ndarray:
    """Return the mass of two objects of each event, -1 where there are fewer."""
    total = np.zeros((4, len(e)))
    for k in (i, j):
        pt, eta, phi = (first(e[f"{name}_{q}"], k) for q in ("pt", "eta", "phi"))
        m = first(e[f"{name}_mass"], k) if f"{name}_mass" in e.fields else 0.1057
        x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
        total += np.stack([np.sqrt(x * x + y * y + z * z + m * m), x, y, z])
    square = total[0] ** 2 - (total[1:] ** 2).sum(axis=0)
    there = np.asarray(ak.num(e[f"{name}_pt"])) > max(i, j)
    return np.where(there, np.sqrt(np.maximum(square, 0)), -1.0)


def contradictions(e: ak.Array) -> ak.Array:
    """Return for each jet how many parts have energy and no count, or the reverse."""
    return sum(((e[f"Jet_{p}E"] > 0) != (e[f"Jet_{p}N"] > 0)) * 1 for p in PARTS)


def area(real: Columns, other: Columns, *, paired: bool, rounds: int) -> float:
    """Return the area under the ROC curve, the mean over three splits into halves.

    Args:
        real: Features of true events.
        other: Those of others.
        paired: Both are versions of the same events.
        rounds: Of boosting.
    """
    names = [n for n in real if n in other]
    n = min(len(s["nJet"]) for s in (real, other))
    x, y = (np.stack([s[name][:n] for name in names], axis=1) for s in (real, other))
    out = []
    for seed in (1, 2, 3):
        draw = np.random.default_rng(seed)
        order = draw.permutation(n)
        second = order if paired else draw.permutation(n)
        half = n // 2
        trees = HistGradientBoostingClassifier(
            max_iter=rounds, learning_rate=0.05, early_stopping=False, random_state=seed
        )
        rows = np.concatenate([x[order[:half]], y[second[:half]]])
        trees.fit(rows, np.repeat([0, 1], half))
        score = trees.predict_proba(np.concatenate([x[order[half:]], y[second[half:]]]))
        out.append(roc_auc_score(np.repeat([0, 1], n - half), score[:, 1]))
    return float(np.mean(out))


FIGURES = (
    "jets within 0.5",
    "flags that contradict",
    "Spearman of responses",
    "parts that contradict",
)


def figures(e: ak.Array) -> list[str]:
    """Return the figures of a sample by itself, as text."""
    near = first(distances(e), 0, 9.0)
    flags = [np.mean(np.asarray(e[n], bool) != rule(e)) for n, rule in FLAGS.items()]
    ratio = responses(e)
    ratio = ratio[:, np.isfinite(ratio).all(axis=0)]
    ranks = np.argsort(np.argsort(ratio, axis=1), axis=1)
    parts = np.mean(ak.to_numpy(ak.flatten(contradictions(e))) > 0)
    return [
        f"{np.mean(near < NEAR):.2%}",
        f"{max(flags):.3%}",
        f"{np.corrcoef(ranks)[0, 1]:.3f}",
        f"{parts:.2%}",
    ]


def half_width(values: np.ndarray) -> float:
    """Return half of the central 68 %."""
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2


def show_widths(true: ak.Array, samples: dict[str, ak.Array]) -> None:
    """Print the half-widths of MET - GenMET, with the differences from the true ones."""
    print()
    show_header("component", "pile-up", "true, GeV", "sigma", *samples, text=2)
    draw = np.random.default_rng(0)
    for k, component in enumerate(("along GenMET", "across GenMET")):
        for name, (low, high) in PILEUP.items():

            def chosen(
                e: ak.Array, k: int = k, low: int = low, high: int = high
            ) -> np.ndarray:
                npu = np.asarray(e["Pileup_nPU"])
                return of_met(e)[k][(npu >= low) & (npu <= high)]

            values = chosen(true)
            width = half_width(values)
            toys = [half_width(draw.choice(values, len(values))) for _ in range(200)]
            differences = [half_width(chosen(e)) / width - 1 for e in samples.values()]
            texts = [f"{d:+.1%}" for d in differences]
            show_row(
                component, name, f"{width:.2f}", f"{np.std(toys) / width:.1%}", *texts
            )


def draw_pictures(folder: Path, true: ak.Array, made: ak.Array) -> None:
    """Write the pictures of docs/simulating.md."""
    folder.mkdir(parents=True, exist_ok=True)
    both = {"true": true, "simulated": made}
    shapes = {
        "m(jj) of the two leading jets, GeV": [
            mass(e, "Jet", 0, 1) for e in both.values()
        ],
        "H_T, GeV": [np.asarray(ak.sum(e["Jet_pt"], axis=1)) for e in both.values()],
        "missing H_T, GeV": [np.hypot(*vector(e, "Jet")) for e in both.values()],
        "Delta R of the nearest two jets": [
            first(distances(e), 0, -1.0) for e in both.values()
        ],
    }
    (folder / "simulated-events.png").write_bytes(shapes_png(shapes))
    met = [(np.asarray(e["Pileup_nPU"]), *of_met(e)) for e in both.values()]
    (folder / "simulated-met.png").write_bytes(met_png(met))
    curves = {
        flag: [(first(e[column]), np.asarray(e[flag], bool)) for e in both.values()]
        for flag, column in (
            ("HLT_Jet60", "GenJet_pt"),
            ("HLT_Jet100", "GenJet_pt"),
            ("HLT_IsoMu20", "GenMuon_pt"),
        )
    }
    (folder / "simulated-turn-on.png").write_bytes(turn_on_png(curves))


if __name__ == "__main__":
    script.main()
