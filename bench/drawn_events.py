"""Events drawn from a model against events of an independent sample: do they hold together?"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import awkward as ak
import numpy as np
from commands import Script, boosted_trees, first_table, show_header, show_row, timed
from event_numbers import (
    Numbers,
    collections_of,
    event_columns,
    is_reference,
    numbers_of,
    objects_of,
    opposite_mass,
    share_identical,
)
from event_pictures import draw_pictures
from scipy.stats import wasserstein_distance

import flowtuple as ft
from flowtuple.comparison.two_sample.auc import area_under_roc
from flowtuple.comparison.two_sample.copies import find_copies
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.rows import Rows

EVENTS, ROWS = 12_000, 20_000
"""Events and objects of each sample that trees look at."""

SEEDS = (0, 1, 2)
NEAR = 0.5
CUT = re.compile(r"([^<>]+)([<>])([^<>]+)")

script = Script(__doc__)


@script.command(
    "train",
    "judge",
    columns=["*"],
    bound="std:2.88e-3",
    effort="default",
    model=Path,
    events=int,
    seed=0,
    flags=[str],
    pictures=Path,
)
def measure(a: argparse.Namespace) -> None:
    """Print how well drawn events hold together, next to a true sample.

    A complete model learns from TRAIN; --model keeps it, or takes one that is there. As many events
    are drawn as JUDGE holds, or as --events says. TRAIN and JUDGE are brought to the grids of the
    model. Each figure compares with JUDGE: drawn events, and those of TRAIN, which is the best that
    can be reached.

    AUC of events: of gradient-boosted trees (200 rounds, learning rate 0.05, mean of three seeds,
    half of the events train and half judge) on numbers of each event: columns of the leading three
    objects, sums, largest values and means by p_T of all columns, H_T, missing H_T, masses and
    angles of pairs, the nearest pairs, parts of energies against the whole, MET. AUC of rows:
    likewise on all columns of objects but references. Wasserstein-1 distances are in standard
    deviations of JUDGE. Flags: FLAG=CUT&CUT, such as 'HLT_IsoMu20=Muon_pt>20&Muon_iso<0.15', where
    a cut is on the first object. Seconds are those of all cores together.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = a.model or Path(folder) / "m.flow"
        if not model.exists():
            options = {"tolerance": a.bound, "effort": a.effort}
            selection = ft.Selection(columns=a.columns)
            _, spent = processed(
                lambda: ft.train(a.train, model, selection=selection, **options)
            )
            print(f"trained in {spent:.0f} CPU seconds, {model.stat().st_size} bytes")
        samples = load_samples(a, model)
        bits = ft.score(model, samples.judge)["bits"]
        print(f"bits an event of the judge: {np.mean(bits):.3f}")
        rules = rule_figures(samples, ft.load(model))
        drawn, true = (figures(s, a.flags) for s in (samples, samples.of_training()))
    print(f"events: {', '.join(f'{k} {len(v)}' for k, v in vars(samples).items())}\n")
    show_header("", "drawn", "true")
    pairs = {name: (drawn[name], true[name]) for name in drawn}
    for name, (one, other) in {**pairs, **rules}.items():
        show_row(name, f"{one:.4f}", f"{other:.4f}")
    if a.pictures is not None:
        draw_pictures(a.pictures, samples.judge, samples.drawn)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples on the grids of a model: events drawn from it, and two true ones.

    Attributes:
        judge: Events that the model never saw.
        drawn: Events that it made.
        train: Events that it learned from.
    """

    judge: ak.Array
    drawn: ak.Array
    train: ak.Array

    def of_training(self) -> Samples:
        """Return the samples with those of the training as drawn ones, the best there can be."""
        return replace(self, drawn=self.train)

    @property
    def halves(self) -> tuple[ak.Array, ak.Array, ak.Array]:
        """Events of the training, others, and those whose neighbours are sought among both.

        Events of the training cannot be sought among themselves: half of the judge's are.
        """
        if self.drawn is not self.train:
            return self.train, self.judge, self.drawn
        half = len(self.judge) // 2
        known = self.train[: len(self.train) // 2]
        return known, self.judge[:half], self.judge[half:]


def load_samples(a: argparse.Namespace, model: Path) -> Samples:
    """Draw events and bring both true samples to the grids of the model, and print the rate."""
    known = ft.sample(model, 1).fields
    judge, train = (
        ft.snap(table_to_awkward(first_table(path, known)), model=model)[: a.events]
        for path in (a.judge, a.train)
    )
    (drawn, spent), seconds = timed(
        lambda: processed(lambda: ft.sample(model, len(judge), seed=a.seed))
    )
    print(f"drawn in {spent:.1f} CPU seconds, {len(drawn) / seconds:.0f} events/s")
    return Samples(judge, drawn, train)


def processed(work: Callable[[], object]) -> tuple[ak.Array, float]:
    """Return the result of some work, and the seconds of all cores that it took."""
    begin = sum(os.times()[:4])
    result = work()
    return result, sum(os.times()[:4]) - begin


# -- figures --------------------------------------------------------------------------------------


def figures(samples: Samples, flags: Sequence[str] = ()) -> dict[str, float]:
    """Return all figures of drawn events by name."""
    out: dict[str, float] = {}
    names = collections_of(samples.judge)
    for name in names:
        out |= collection_figures(Collection(samples, name))
    if len(names) > 1 or event_columns(samples.judge):
        out["all collections and event columns: AUC of events"] = event_area(
            *(all_numbers(x, names) for x in (samples.judge, samples.drawn))
        )
    out["events: share equal to one of the training"] = share_identical(
        samples.halves[-1], samples.train
    )
    for text in flags:
        out[f"{text}: share of events against it"] = contradictions(samples.drawn, text)
    return out


def rule_figures(samples: Samples, model: ft.Model) -> dict[str, tuple[float, float]]:
    """Return shares of events against each rule of a model, of rules that all obey as one sum."""
    drawn, true = (
        {rule: n / len(x) for rule, n in model.violations(x).items()}
        for x in (samples.drawn, samples.judge)
    )
    broken = [rule for rule in drawn if drawn[rule] or true[rule]]
    sums = sum(drawn.values()), sum(true.values())
    out = {f"{len(drawn)} rules of the model, judge as true: sum of shares": sums}
    return out | {
        f"{rule}: share against it": (drawn[rule], true[rule]) for rule in broken
    }


def all_numbers(events: ak.Array, names: Sequence[str]) -> Numbers:
    """Return the numbers of all collections and of the event."""
    out = event_columns(events)
    for name in names:
        out |= {f"{name} {k}": v for k, v in numbers_of(events, name).items()}
    return out


@dataclass(frozen=True, eq=False)
class Collection:
    """One collection in all samples.

    Attributes:
        samples: The samples.
        name: The collection.
    """

    samples: Samples
    name: str

    @cached_property
    def numbers(self) -> tuple[Numbers, Numbers]:
        """Numbers of the events of the judge, and of drawn ones."""
        samples = self.samples
        return numbers_of(samples.judge, self.name), numbers_of(samples.drawn, self.name)


def collection_figures(collection: Collection) -> dict[str, float]:
    """Return the figures of one collection by name."""
    name, (judge, drawn) = collection.name, collection.numbers
    out = {f"{name}: AUC of events": event_area(judge, drawn)}
    near = float(np.mean(drawn["nearest pair"] < NEAR))
    out[f"{name}: share of events with two within {NEAR}"] = near
    for quantity in ("ln H_T", "missing H_T", "mass 01", "delta eta 01", "n"):
        out[f"{name}: W1 of {quantity}"] = distance(judge, drawn, quantity)
    out[f"{name}: missing H_T with leading p_T"] = correlation(drawn)
    return out | object_figures(collection)


def object_figures(collection: Collection) -> dict[str, float]:
    """Return the figures of the objects one by one, and of pairs of opposite charge."""
    name, samples = collection.name, collection.samples
    judge, drawn = (rows_of(x, name) for x in (samples.judge, samples.drawn))
    out = {f"{name}: AUC of rows": area(judge.values, drawn.values, ROWS)}
    objects = objects_of(samples.drawn, name)
    if objects.parts:
        wrong, total = (objects.contradictions > 0).sum(), max(objects.counts.sum(), 1)
        out[f"{name}: share whose count contradicts an energy"] = float(wrong / total)
    if "charge" in objects.columns:
        masses = (opposite_mass(x, name) for x in (samples.judge, samples.drawn))
        out[f"{name}: W1 of the mass of opposite pairs"] = w1(*masses)
    copies = find_copies(*(rows_of(x, name) for x in samples.halves))
    out[f"{name}: share of rows nearest to a training row"] = copies.share
    return out


def distance(judge: Numbers, other: Numbers, name: str) -> float:
    """Return the Wasserstein-1 distance of a number, of ln H_T for that name."""
    if name == "ln H_T":
        return w1(*(np.log(np.maximum(x["H_T"], 1.0)) for x in (judge, other)))
    return w1(*(x[name][(x["n"] > 0) | (name == "n")] for x in (judge, other)))


def w1(true: np.ndarray, other: np.ndarray) -> float:
    """Return the distance over the standard deviation of the first; NaN counts nowhere."""
    true, other = (x[np.isfinite(x)] for x in (true, other))
    if not len(true) or not len(other):
        return float("nan")
    return float(wasserstein_distance(true, other) / (true.std() or 1.0))


def correlation(numbers: Numbers) -> float:
    """Return the correlation of missing H_T with the leading p_T."""
    filled = numbers["n"] > 0
    pair = numbers["missing H_T"][filled], numbers["pt of 0"][filled]
    return float(np.corrcoef(*pair)[0, 1]) if filled.sum() > 1 else float("nan")


def event_area(judge: Numbers, other: Numbers) -> float:
    """Return the area under the ROC curve of trees on all numbers of the events."""
    names = [name for name in judge if name in other]
    return area(
        *(np.stack([x[n] for n in names], axis=1) for x in (judge, other)), EVENTS
    )


def area(true: np.ndarray, other: np.ndarray, most: int) -> float:
    """Return the mean over seeds; each time half of the rows train and half judge."""
    count, areas = min(len(true), len(other), most), []
    for seed in SEEDS:
        draw = np.random.default_rng(seed)
        x = np.concatenate([s[draw.permutation(len(s))[:count]] for s in (true, other)])
        labels, order = np.repeat([False, True], count), draw.permutation(2 * count)
        train, test = order[:count], order[count:]
        x = x[:, np.isfinite(x[train]).any(axis=0)]
        trees = boosted_trees(x[train], labels[train], seed, all_rounds=True)
        scores = trees.predict_proba(x[test])[:, 1]
        areas.append(area_under_roc(scores, labels[test]).value)
    return float(np.mean(areas))


def rows_of(events: ak.Array, name: str) -> Rows:
    """Return the objects of a collection as rows of all columns but references."""
    fields = [
        field
        for field in events.fields
        if field.startswith(f"{name}_") and events[field].ndim == 2
        if not is_reference(field)
    ]
    flat = [np.asarray(ak.flatten(events[f]), np.float64) for f in fields]
    counts = ak.to_numpy(ak.num(events[fields[0]]))
    event = np.repeat(np.arange(len(events)), counts)
    return Rows(name, tuple(fields), np.stack(flat, axis=1), event, len(events))


def contradictions(events: ak.Array, text: str) -> float:
    """Return the share of events in which a flag differs from its cuts."""
    flag, _, cuts = text.partition("=")
    passes = np.logical_and.reduce([cut_passes(events, cut) for cut in cuts.split("&")])
    return float(np.mean(ak.to_numpy(events[flag]).astype(bool) != passes))


def cut_passes(events: ak.Array, text: str) -> np.ndarray:
    """Return which events pass a cut on an event's number or on that of its first object."""
    match = CUT.fullmatch(text)
    if match is None:
        raise SystemExit(f"{text!r} is no cut; write COLUMN>NUMBER or COLUMN<NUMBER")
    column, sign, threshold = match.groups()
    values = events[column]
    if values.ndim == 2:
        values = ak.fill_none(ak.firsts(values), np.nan)
    numbers = ak.to_numpy(values).astype(float)
    edge = float(threshold)
    return numbers > edge if sign == ">" else numbers < edge


if __name__ == "__main__":
    script.main()
