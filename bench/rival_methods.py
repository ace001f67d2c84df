"""Generators of rows behind one interface: flows, leaf-donor trees, and the packages of others.

A method learns columns and returns a function that draws some rows with a seed. What it stores is
in a file, whose size is that of the model.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from commands import Columns

import flowtuple as ft

BOUND = "std:2.88e-3"
CATEGORIES = (
    4  # columns of so few distinct values are declared categories to those who ask
)
LEAST = 5  # rows of a leaf
FOREST = {"num_trees": 30, "max_iters": 2}
EPOCHS = {"nsf": 200, "flow-matching": 1000}  # some five CPU minutes at most
PATIENCE = 50
DIFFUSION = {"n_t": 10, "duplicate_K": 5, "n_estimators": 30}

Draw = Callable[[int, int], Columns]
"""Returns columns of some rows, drawn with a seed."""


@dataclass(frozen=True)
class Method:
    """A way to make rows like those that it learned.

    Attributes:
        label: Its name in tables.
        fit: Learns columns, writes a model to a path, and returns how to draw; the last argument
            is a seed.
        package: A package that it needs beside those of the library.
        settings: Settings that differ from its defaults, as text.
    """

    label: str
    fit: Callable[[Columns, Path, int], Draw]
    package: str = ""
    settings: str = ""

    def missing(self) -> str:
        """Return what to do where the package is not installed, else nothing."""
        if not self.package or find_spec(self.package):
            return ""
        install = "pip install -c constraints.txt -e '.[rivals]'"
        return f"{self.package} is not installed: {install}"


# -- rows as matrices -----------------------------------------------------------------------------


def as_matrix(columns: Columns) -> np.ndarray:
    """Return columns as float64 of shape (n, d)."""
    return np.stack([np.asarray(x, np.float64) for x in columns.values()], axis=1)


def as_columns(matrix: np.ndarray, like: Columns) -> Columns:
    """Return a matrix as columns of the same names and types, whole numbers rounded."""
    out = {}
    for (name, true), values in zip(like.items(), np.asarray(matrix).T, strict=True):
        rounded = np.round(values) if true.dtype.kind in "iu" else values
        out[name] = rounded.astype(true.dtype)
    return out


def categories(columns: Columns) -> dict[int, np.ndarray]:
    """Return distinct values of columns that have few, by number of the column."""
    levels = {k: np.unique(x) for k, x in enumerate(columns.values())}
    return {k: values for k, values in levels.items() if len(values) <= CATEGORIES}


# -- flows of this library ------------------------------------------------------------------------


def fit_lattice(columns: Columns, path: Path, seed: int) -> Draw:
    """Train a lattice flow on one thread."""
    one = ft.Resources(workers=1)
    ft.train(columns, path, tolerance=BOUND, seed=seed, resources=one)
    return lambda n, seed: columns_of(ft.sample(path, n, seed=seed, resources=one))


def fit_row_flow(kind: str) -> Callable[[Columns, Path, int], Draw]:
    """Return what trains a flow over rows of some kind, its epochs apart by default settings."""

    def fit(columns: Columns, path: Path, seed: int) -> Draw:
        training = ft.Training(epochs=EPOCHS[kind], patience=PATIENCE)
        flow = ft.RowFlow(kind, training=training, device="cpu")
        ft.train_flow(columns, path, flow=flow, seed=seed)
        return lambda n, seed: columns_of(ft.sample(path, n, seed=seed))

    return fit


def columns_of(events: ak.Array) -> Columns:
    """Return flat events as columns."""
    return {name: ak.to_numpy(events[name]) for name in events.fields}


# -- leaf-donor trees -----------------------------------------------------------------------------


class LeafDonors:
    """Trees of each column on those before: a value is that of a training row of the same leaf.

    This is what synthpop calls CART (Nowok, Raab and Dibben 2016).
    """

    def __init__(self, rows: np.ndarray, seed: int = 0) -> None:
        from sklearn.tree import DecisionTreeRegressor

        self.rows = rows
        self.trees: list[tuple[Any, np.ndarray, np.ndarray, np.ndarray]] = []
        for k in range(1, rows.shape[1]):
            tree = DecisionTreeRegressor(min_samples_leaf=LEAST, random_state=seed)
            leaves = tree.fit(rows[:, :k], rows[:, k]).apply(rows[:, :k])
            counts = np.bincount(leaves, minlength=tree.tree_.node_count)
            order = np.argsort(leaves, kind="stable")
            self.trees.append((tree, order, np.cumsum(counts) - counts, counts))

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return rows of shape (n, d)."""
        draw = np.random.default_rng(seed)
        out = np.empty((n, self.rows.shape[1]))
        out[:, 0] = draw.choice(self.rows[:, 0], n)
        for k, (tree, order, first, counts) in enumerate(self.trees, 1):
            leaf = tree.apply(out[:, :k])
            donor = order[first[leaf] + (draw.random(n) * counts[leaf]).astype(int)]
            out[:, k] = self.rows[donor, k]
        return out


def fit_donors(columns: Columns, path: Path, seed: int) -> Draw:
    """Grow leaf-donor trees."""
    donors = LeafDonors(as_matrix(columns), seed)
    path.write_bytes(pickle.dumps(donors))
    return lambda n, seed: as_columns(donors.draw(n, seed), columns)


# -- packages of others ---------------------------------------------------------------------------


def fit_forest(columns: Columns, path: Path, seed: int) -> Draw:
    """Grow adversarial random forests by arfpy 0.1.1.

    Two things are mended from outside. NumPy 2.4 has no `in1d`, and pandas 3 no access by place
    with `[]`, which the package uses with the names of columns: they are called 0, 1, ... here.
    """
    import pandas as pd

    vars(np).setdefault("in1d", np.isin)
    from arfpy import arf

    frame = pd.DataFrame(as_matrix(columns))
    for k in categories(columns):
        frame[k] = frame[k].astype("category")
    seed_all(seed)
    model = arf.arf(frame, n_jobs=1, random_state=seed, verbose=False, **FOREST)
    model.forde()
    path.write_bytes(pickle.dumps((model.bnds, model.params, model.class_probs)))

    def draw(n: int, seed: int) -> Columns:
        seed_all(seed)
        drawn = model.forge(n)
        return as_columns(drawn.astype(np.float64).to_numpy(), columns)

    return draw


def fit_diffusion(columns: Columns, path: Path, seed: int) -> Draw:
    """Fit the flow of boosted trees of ForestDiffusion 1.0.6.

    One thing is mended from outside: it writes into what pandas 3 gives it read-only.
    """
    from ForestDiffusion import ForestDiffusionModel

    matrix, levels = as_matrix(columns), categories(columns)
    for k, values in levels.items():
        matrix[:, k] = np.searchsorted(values, matrix[:, k])
    kinds = [x.dtype.kind for x in columns.values()]
    model = ForestDiffusionModel(
        matrix,
        cat_indexes=[k for k, values in levels.items() if len(values) > 2],
        bin_indexes=[k for k, values in levels.items() if len(values) <= 2],
        int_indexes=[k for k, x in enumerate(kinds) if x in "iu" and k not in levels],
        n_jobs=1,
        seed=seed,
        nthread=1,
        **DIFFUSION,
    )
    clip = model.clip_extremes
    model.clip_extremes = lambda rows: clip(np.array(rows))
    path.write_bytes(pickle.dumps(model.regr))

    def draw(n: int, seed: int) -> Columns:
        seed_all(seed)
        drawn = np.asarray(model.generate(batch_size=n), np.float64)
        for k, values in levels.items():
            place = np.clip(np.round(drawn[:, k]).astype(int), 0, len(values) - 1)
            drawn[:, k] = values[place]
        return as_columns(drawn, columns)

    return draw


def seed_all(seed: int) -> None:
    """Seed NumPy's global generator, the only one that these packages use."""
    np.random.seed(seed)  # noqa: NPY002


METHODS: Mapping[str, Method] = {
    "lattice": Method("lattice flow", fit_lattice),
    "nsf": Method(
        "spline flow (zuko)", fit_row_flow("nsf"), settings=f"{EPOCHS['nsf']} epochs"
    ),
    "flow-matching": Method(
        "flow matching",
        fit_row_flow("flow-matching"),
        settings=f"{EPOCHS['flow-matching']} epochs",
    ),
    "donors": Method("leaf-donor trees", fit_donors),
    "arfpy": Method(
        "adversarial random forest (arfpy)", fit_forest, "arfpy", f"{FOREST}"
    ),
    "forest-diffusion": Method(
        "trees by flow matching (ForestDiffusion)",
        fit_diffusion,
        "ForestDiffusion",
        f"{DIFFUSION}",
    ),
}
