"""One method on one sample, measured in the process that calls it: figures and CPU seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import awkward as ak
import numpy as np
from commands import Columns, first_table
from drawn_events import ROWS, Samples, area, figures, processed, rule_figures
from rival_methods import BOUND, METHODS, LeafDonors, as_matrix, columns_of
from rival_samples import Sample, as_rows, deal, flatten, higgs, jets, pad, unpad

import flowtuple as ft
from flowtuple.comparison.two_sample.copies import find_copies
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.lattice.acceptance import Acceptance

EVENT_MODELS = {
    "lattice": ["Jet_*"],
    "lattice-all": ["Jet_*", "Muon_*", "MET_*", "HLT_*"],
}
"""Columns of the lattice flows that draw whole events."""

FLAGS = ("HLT_Jet60=Jet_pt>60", "HLT_Jet100=Jet_pt>100")
JETS_OF_EVENT = 7  # more than an event has on average: so many are drawn for each
TRUE = {"true": "lattice", "true-all": "lattice-all"}
"""Models whose grids the true samples are brought to."""

ONE = ft.Resources(workers=1)
WATCHED = 2000  # events whose acceptance is averaged; one block of the sampler
PER = 10_000  # rows or events that the seconds of drawing are for

CELLS = {
    "higgs": (*METHODS, "true"),
    "jets": (*METHODS, "true"),
    "events": (
        *EVENT_MODELS,
        "padded",
        *(name for name in METHODS if name not in EVENT_MODELS),
        "dealt",
        *TRUE,
    ),
}
"""Methods by sample. Of events, those that are named as methods of rows deal jets of these."""


@dataclass(frozen=True)
class Sources:
    """Inputs of a measurement, and where its models and drawn rows are.

    Attributes:
        jets: File and tree of the events: of two in turn one is learned from, the other judges.
        higgs: File of HIGGS.
        folder: Folder of models and drawn rows.
        rows: Jets that methods of rows learn.
        events: Events that are drawn, and that judge.
        seed: Seed of trainings; that of drawing is one more.
    """

    jets: str
    higgs: str
    folder: Path
    rows: int
    events: int
    seed: int

    def model(self, sample: str, method: str) -> Path:
        """Return the path of a model."""
        return self.folder / f"{sample}-{method}.flow"

    def drawn(self, method: str) -> Path:
        """Return the path of the jets that a method of rows drew."""
        return self.folder / f"jets-{method}.npz"

    def true_events(self, columns: list[str]) -> tuple[ak.Array, ak.Array]:
        """Return events to learn from, and others that judge, references left out."""
        table = first_table(self.jets, columns, ["*Idx"])
        events = table_to_awkward(table)
        return events[::2], events[1::2]

    def rows_of(self, name: str) -> Sample:
        """Return the rows of a sample."""
        if name == "higgs":
            return higgs(self.higgs)
        drawn = JETS_OF_EVENT * self.events
        return jets(*self.true_events(EVENT_MODELS["lattice"]), self.rows, drawn)


def measure(sources: Sources, sample: str, method: str) -> dict[str, Any]:
    """Return the figures of one method on one sample."""
    if sample == "events":
        return measure_events(sources, method)
    return measure_rows(sources, sample, method)


# -- rows -----------------------------------------------------------------------------------------


def measure_rows(sources: Sources, name: str, method: str) -> dict[str, Any]:
    """Train, draw and judge rows."""
    sample, lattice = sources.rows_of(name), sources.model(name, "lattice")
    if method in TRUE:
        return judge_rows(sample, sample.train, lattice)
    path = sources.model(name, method)
    draw, trained = processed(
        lambda: METHODS[method].fit(sample.train, path, sources.seed)
    )
    drawn, spent = processed(lambda: draw(sample.drawn, sources.seed + 1))
    if name == "jets":
        np.savez(sources.drawn(method), **drawn)
    costs = {
        "training": trained,
        "drawing": spent * PER / sample.drawn,
        "bytes": path.stat().st_size,
    }
    return costs | judge_rows(sample, drawn, lattice)


def judge_rows(sample: Sample, drawn: Columns, lattice: Path) -> dict[str, float]:
    """Return figures of rows, all of them brought to the grids of the lattice flow."""
    judge, train, made = (
        columns_of(ft.snap(x, model=lattice)) for x in (sample.judge, sample.train, drawn)
    )
    count = len(as_rows(judge))
    made = {name: values[:count] for name, values in made.items()}
    plain = as_matrix(judge), as_matrix(made)
    related = [
        np.hstack([x, as_matrix(sample.relations(y))])
        for x, y in zip(plain, (judge, made), strict=True)
    ]
    known, unseen, others = (as_rows(x) for x in (train, judge, made))
    if drawn is sample.train:  # whose neighbours cannot be sought among themselves
        half = len(unseen) // 2
        parts = {"known": slice(half), "unseen": slice(half), "others": slice(half, None)}
        known, unseen, others = (
            as_rows({name: values[rows] for name, values in columns.items()})
            for columns, rows in zip((train, judge, judge), parts.values(), strict=True)
        )
    copies = find_copies(known, unseen, others)
    return {
        "auc": area(*plain, ROWS),
        "auc with relations": area(*related, ROWS),
        "nearer": copies.share,
        "identical": copies.identical / copies.rows,
    }


# -- events ---------------------------------------------------------------------------------------


def measure_events(sources: Sources, method: str) -> dict[str, Any]:
    """Train, draw and judge whole events."""
    model_name = TRUE.get(method, method if method in EVENT_MODELS else "lattice")
    train, judge = sources.true_events(EVENT_MODELS[model_name])
    model = sources.model("events", model_name)
    costs: dict[str, Any] = {}
    if method in EVENT_MODELS:
        drawn, costs = lattice_events(sources, train, model)
    elif method in TRUE:
        drawn = train
    elif method == "padded":
        drawn, costs = padded_events(sources, train)
    else:
        drawn = dealt_events(sources, train, method)
    judge, made, train = (
        ft.snap(x, model=model) for x in (judge[: sources.events], drawn, train)
    )
    names = [name for name in train.fields if name in made.fields]
    samples = Samples(judge[names], made[names], train[names])
    if method in TRUE:
        samples = samples.of_training()
    flags = FLAGS if "HLT_Jet60" in names else ()
    out = costs | {"figures": figures(samples, flags)}
    if method in EVENT_MODELS:
        out["accepted"] = accepted_share(model, sources.seed + 1)
        out["bits"] = float(np.mean(ft.score(model, judge)["bits"]))
        rules = rule_figures(samples, ft.load(model))
        out["rules"] = {name: drawn for name, (drawn, _) in rules.items()}
        out["true rules"] = {name: true for name, (_, true) in rules.items()}
    return out


def lattice_events(
    sources: Sources, train: ak.Array, path: Path
) -> tuple[ak.Array, dict[str, Any]]:
    """Train a lattice flow of events, and draw from it."""
    options = {"tolerance": BOUND, "seed": sources.seed, "resources": ONE}
    _, trained = processed(lambda: ft.train(train, path, **options))
    drawn, spent = processed(
        lambda: ft.sample(path, sources.events, seed=sources.seed + 1, resources=ONE)
    )
    return drawn, costs_of(trained, spent, path, sources)


def accepted_share(model: Path, seed: int) -> float:
    """Return the mean probability with which first candidates are accepted, 1 without rates."""
    probabilities, probability = [np.ones(1)], Acceptance.probability

    def watched(acceptance: Acceptance, context: Any) -> np.ndarray:
        probabilities.append(probability(acceptance, context))
        return probabilities[-1]

    with patch.object(Acceptance, "probability", watched):
        ft.sample(model, WATCHED, seed=seed, resources=ONE)
    return float(np.mean(probabilities[:2][-1]))


def padded_events(sources: Sources, train: ak.Array) -> tuple[ak.Array, dict[str, Any]]:
    """Grow leaf-donor trees on the leading jets side by side, and draw from them."""
    names = list(flatten(train))
    donors, trained = processed(lambda: LeafDonors(pad(train, names), sources.seed))
    rows, spent = processed(lambda: donors.draw(sources.events, sources.seed + 1))
    return unpad(rows, train, names), costs_of(trained, spent, None, sources)


def costs_of(
    trained: float, spent: float, path: Path | None, sources: Sources
) -> dict[str, Any]:
    """Return CPU seconds, and the bytes of a model."""
    size = {} if path is None else {"bytes": path.stat().st_size}
    return {"training": trained, "drawing": spent * PER / sources.events} | size


def dealt_events(sources: Sources, train: ak.Array, method: str) -> ak.Array:
    """Return events of independent jets: those that a method drew, or true ones."""
    draw = np.random.default_rng(sources.seed + 1)
    counts = draw.choice(ak.to_numpy(ak.num(train["Jet_pt"])), sources.events)
    made: Mapping[str, np.ndarray] = flatten(train)
    if method != "dealt":
        with np.load(sources.drawn(method)) as stored:
            made = {name: stored[name] for name in stored.files}
    return deal(dict(made), counts, sources.seed)
