"""Figures of simulated muons and tags in bins, beside true ones: do they hold in each bin?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

ISOLATED = 0.15
TAGGED = 0.5
Z_WINDOW = (70.0, 110.0)  # GeV
MUON_MASS = 0.10566  # GeV
MUON_PT = {"5 to 15": (5, 15), "15 to 30": (15, 30), ">= 30": (30, 10**6)}
ETA = {"< 1.2": (0.0, 1.2), ">= 1.2": (1.2, 5.0)}
JET_PT = {"15 to 25": (15, 25), "25 to 50": (25, 50), ">= 50": (50, 10**6)}
FLAVOURS = {"b": (5,), "c": (4,), "light": (0,), "no partner": (-1,)}
LEAST = 100  # values of a bin
TOYS = 200
LIMIT = 0.03  # of the true figure; 2 sigma are added

Figure = Callable[[np.ndarray], float]


@dataclass(frozen=True, eq=False)
class Bin:
    """One figure of one bin of a sample.

    Attributes:
        name: The quantity, the figure and the bin.
        values: What the figure is computed from, shape (n,).
        figure: Computes it.
    """

    name: str
    values: np.ndarray
    figure: Figure


@dataclass(frozen=True)
class Verdict:
    """One figure of true and simulated events.

    Attributes:
        true: The true one.
        simulated: The simulated one.
        sigma: Statistical error of their difference, as if samples were independent.
        limit: Largest difference: 3 % and 2 sigma.
    """

    true: float
    simulated: float
    sigma: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the difference is within the limit."""
        return abs(self.simulated - self.true) <= self.limit


def bins_of(events: ak.Array) -> Iterator[Bin]:
    """Yield all figures of a sample, those of tags where it has some."""
    yield from isolation_bins(events)
    yield from mass_bins(events)
    if "Jet_btag" in events.fields:
        yield from tag_bins(events)


def isolation_bins(events: ak.Array) -> Iterator[Bin]:
    """Yield mean, median and efficiency of a cut of muon isolation by p_T and |eta|."""
    pt, eta, isolation = (
        _flat(events[f"Muon_{n}"]) for n in ("pt", "eta", "pfRelIso04_all")
    )
    figures: dict[str, Figure] = {
        "mean of isolation": lambda x: float(np.mean(np.minimum(x, 2.0))),
        "median of isolation": lambda x: float(np.median(x)),
        f"isolation < {ISOLATED}": lambda x: float(np.mean(x < ISOLATED)),
    }
    for pt_name, (low, high) in MUON_PT.items():
        for eta_name, (inner, outer) in ETA.items():
            some = (pt >= low) & (pt < high)
            some &= (np.abs(eta) >= inner) & (np.abs(eta) < outer)
            for name, figure in figures.items():
                bin_name = f"{name}, p_T {pt_name}, abs(eta) {eta_name}"
                yield Bin(bin_name, isolation[some], figure)


def mass_bins(events: ak.Array) -> Iterator[Bin]:
    """Yield median and half-width of m(mu mu) near the Z by |eta| of the two leading muons."""
    two = events[ak.num(events["Muon_pt"]) >= 2]
    pt, eta, phi, charge = (
        np.asarray(two[f"Muon_{n}"][:, :2], float) for n in ("pt", "eta", "phi", "charge")
    )
    energy = np.hypot(pt * np.cosh(eta), MUON_MASS)
    parts = energy, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    e, x, y, z = (part.sum(axis=1) for part in parts)
    mass = np.sqrt(np.maximum(e * e - x * x - y * y - z * z, 0.0))
    near = (charge.prod(axis=1) < 0) & (mass > Z_WINDOW[0]) & (mass < Z_WINDOW[1])
    forward = (np.abs(eta) >= 1.2).sum(axis=1)
    for k, name in enumerate(("both < 1.2", "one", "both >= 1.2")):
        values = mass[near & (forward == k)]
        yield Bin(f"median of m(mu mu), abs(eta) {name}", values, _median)
        yield Bin(f"half-width of m(mu mu), abs(eta) {name}", values, half_width)


def tag_bins(events: ak.Array) -> Iterator[Bin]:
    """Yield mean, half-width and efficiency of a cut of `Jet_btag` by flavour and p_T."""
    pt, tag = _flat(events["Jet_pt"]), _flat(events["Jet_btag"])
    flavour = flavours_of(events)
    for flavour_name, numbers in FLAVOURS.items():
        for pt_name, (low, high) in JET_PT.items():
            some = np.isin(flavour, numbers) & (pt >= low) & (pt < high)
            place = f"flavour {flavour_name}, p_T {pt_name}"
            yield Bin(f"mean of tag, {place}", tag[some], lambda x: float(np.mean(x)))
            yield Bin(f"half-width of tag, {place}", tag[some], half_width)
            yield Bin(
                f"tag > {TAGGED}, {place}",
                tag[some],
                lambda x: float(np.mean(x > TAGGED)),
            )


def flavours_of(events: ak.Array) -> np.ndarray:
    """Return the flavour of hadrons in the partner of each jet, -1 without a partner."""
    index = events["Jet_genJetIdx"]
    known = ak.mask(index, index >= 0)
    return _flat(ak.fill_none(events["GenJet_hadronFlavour"][known], -1))


def half_width(values: np.ndarray) -> float:
    """Return half of the central 68 %."""
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2


def judge(true: Bin, simulated: Bin, draw: np.random.Generator) -> Verdict | None:
    """Return how a figure compares, `None` where a bin has too few values."""
    if min(len(true.values), len(simulated.values)) < LEAST:
        return None
    errors = []
    for values in (true.values, simulated.values):
        toys = [true.figure(draw.choice(values, len(values))) for _ in range(TOYS)]
        errors.append(np.std(toys))
    sigma = float(np.hypot(*errors))
    figures = true.figure(true.values), true.figure(simulated.values)
    return Verdict(*figures, sigma, LIMIT * abs(figures[0]) + 2 * sigma)


def verdicts(true: ak.Array, simulated: ak.Array) -> Mapping[str, Verdict]:
    """Return by name how all figures with enough values compare."""
    draw = np.random.default_rng(0)
    pairs = zip(bins_of(true), bins_of(simulated), strict=True)
    judged = {one.name: judge(one, other, draw) for one, other in pairs}
    return {name: verdict for name, verdict in judged.items() if verdict is not None}


def write_tagged(source: str, output: Path, seed: int) -> None:
    """Write the events of FILE.root:TREE with a column `Jet_btag`.

    The score is between 0 and 1. It depends on the flavour of hadrons in the generated partner, on
    p_T and on the number of charged hadrons, with a smearing that is the same for all jets.
    """
    path, _, tree = source.rpartition(":")
    events = uproot.open(path)[tree].arrays()
    flavour = flavours_of(events)
    pt, charged = _flat(events["Jet_pt"]), _flat(events["Jet_chHadN"])
    score = np.select([flavour == 5, flavour == 4, flavour == 0], [1.2, -0.2, -1.6], -2.2)
    score = score + 0.4 * np.log(pt / 50) + 0.04 * (charged - 10)
    score = score + np.random.default_rng(seed).normal(0, 1.2, len(score))
    tag = (1 / (1 + np.exp(-score))).astype(np.float32)
    counts = ak.num(events["Jet_pt"])
    write_events(
        output, tree, ak.with_field(events, ak.unflatten(tag, counts), "Jet_btag")
    )


def write_events(output: Path, tree: str, events: ak.Array) -> None:
    """Write events with their collections to a tree of a ROOT file."""
    jagged = [n for n in events.fields if events[n].ndim == 2]
    counted = list(dict.fromkeys(n.partition("_")[0] for n in jagged))
    single = {n: events[n] for n in events.fields if events[n].ndim == 1}
    single = {
        n: np.asarray(v) for n, v in single.items() if n.removeprefix("n") not in counted
    }
    groups = {
        name: ak.zip(
            {
                f.removeprefix(f"{name}_"): events[f]
                for f in events.fields
                if f.startswith(f"{name}_") and events[f].ndim == 2
            }
        )
        for name in counted
    }
    types = {n: v.dtype for n, v in single.items()}
    types |= {n: ak.type(v).content for n, v in groups.items()}
    with uproot.recreate(output) as file:
        file.mktree(tree, types)
        file[tree].extend(single | groups)


def _flat(values: ak.Array) -> np.ndarray:
    return np.asarray(ak.to_numpy(ak.flatten(values)), float)


def _median(values: np.ndarray) -> float:
    return float(np.median(values))
