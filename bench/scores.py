"""Densities as scores: bits of held-out events, and the search for signals and anomalies."""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
from commands import (
    Columns,
    Script,
    boosted_trees,
    decoded_by,
    epochs_within,
    first_table,
    flat_rows,
    no_report,
    overall,
    part,
    show_header,
    show_row,
    timed,
)

import flowtuple as ft
from flowtuple.benchmark.codecs.absolute import SZ3, ZFP
from flowtuple.benchmark.codecs.table_codec import is_available
from flowtuple.benchmark.published.accuracy import measure
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.filters import cut_rows
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.comparison.two_sample.auc import area_under_roc, gained_area
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.bounds import Bound
from flowtuple.data.expressions import cut_columns, evaluate
from flowtuple.data.globs import fits_name
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.io.source import open_dataset
from flowtuple.lattice.grid import ATOM
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables

Score = Callable[[Array], Array]
script = Script(__doc__)


# -- bits of held-out events ----------------------------------------------------------------------


@script.command("source", columns=[], bound="std:2.88e-3", effort="default", held_out=0.2)
def held_out(a: argparse.Namespace) -> None:
    """Measure the bits per event of a complete model on held-out events."""
    events = table_to_awkward(first_table(a.source, a.columns))
    cut = round((1 - a.held_out) * len(events))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.flow"
        options = {"tolerance": {"*": a.bound}, "effort": a.effort}
        _, seconds = timed(lambda: ft.train(events[:cut], model, **options))
        bits = ft.score(model, events[cut:])["bits"]
    mean, error = float(np.mean(bits)), float(np.std(bits)) / len(bits) ** 0.5
    print(f"{mean:.3f} +- {error:.3f} bits per event, trained in {seconds:.1f} s")


@script.command(
    "source",
    columns=[],
    exclude=[],
    bound="std:2.88e-3",
    seconds=[60.0, 600.0],
    efforts=["default", "best"],
    flow="nsf",
    held_out=0.2,
    inner=False,
)
def spline(a: argparse.Namespace) -> None:
    """Compare lattice and spline flow by bits per row of held-out objects on one lattice.

    Each object is a row, without its event. Every column becomes whole numbers on the lattice of
    the bound; the spline flow (3 transforms, 64 x 64, of zuko) is trained on these, dequantised
    uniformly within their cells and normal by rank, with a cosine schedule over as many epochs as
    fit in the time, its best epoch chosen. Its bits are a mean over places in the cells. The
    lattice flow is trained at the effort of each time, and its own wall time is printed. With
    --inner the same is done within the part to train on, for the lattice flow alone: choose ways
    to train by that, and not by the rows that are reported.
    """
    table = first_table(a.source, a.columns, a.exclude)
    counter = next(c.counter for c in table.columns if c.counter is not None)
    names = [c.name for c in table.columns if c.counter == counter]
    columns = {name: np.asarray(table.data[name]) for name in names}
    event = np.repeat(np.arange(table.num_entries), np.asarray(table.data[counter]))
    if a.inner:
        inside = event < (1 - a.held_out) * (event.max() + 1)
        columns, event = part(columns, inside), event[inside]
    late = event >= (1 - a.held_out) * (event.max() + 1)
    tables = resolve_tables(open_dataset(part(columns, ~late)), {"*": a.bound}, silent)
    lattices = tables[0].coding.lattices
    cells = {n: near_atoms(lattices[n].encode(v)) for n, v in columns.items()}
    # the spline flow has no density to speak of beyond the values of its training
    inside = np.all(
        [(q >= q[~late].min()) & (q <= q[~late].max()) for q in cells.values()], axis=0
    )
    train, test = ~late & inside, late & inside
    print(
        f"{len(columns)} columns, {train.sum()} rows to train on, {test.sum()} held out ",
        end="",
    )
    print(f"({(late & ~inside).sum()} left out), {a.bound}")
    pairs = [f"{flow} flow, bits per row" for flow in ("lattice", "spline")]
    show_header("time", pairs[0], "seconds", pairs[1], "seconds", "epochs", text=0)
    for limit, effort in zip(a.seconds, a.efforts, strict=True):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            parts = part(columns, train), part(columns, test)
            lattice, seconds = lattice_bits(*parts, a.bound, effort, folder)
            other, took, epochs = np.nan, np.nan, 0
            if not a.inner:
                parts = part(cells, train), part(cells, test)
                other, took, epochs = spline_bits(*parts, a.flow, limit, folder)
        lattice_cells = f"{lattice:.3f}", f"{seconds:.0f} ({effort})"
        show_row(f"{limit:.0f} s", *lattice_cells, f"{other:.3f}", f"{took:.0f}", epochs)


def near_atoms(q: np.ndarray) -> np.ndarray:
    """Return indices with those of repeated values, which lie far off, next to the others."""
    off = q >= ATOM
    return np.where(off, q[~off].min(initial=0) - 1 - (q - ATOM), q)


def lattice_bits(
    train: Columns, test: Columns, bound: str, effort: str, folder: Path
) -> tuple[float, float]:
    """Return bits per row, and seconds of training."""
    path = folder / "lattice.flow"
    _, seconds = timed(
        lambda: ft.train(train, path, tolerance={"*": bound}, effort=effort)
    )
    return float(np.mean(ft.score(path, test)["bits"])), seconds


def spline_bits(
    train: Columns, test: Columns, flow: str, limit: float, folder: Path
) -> tuple[float, float, int]:
    """Return bits per row, seconds of training, and epochs."""
    path = folder / "rows.flow"

    def seconds_of(epochs: int) -> float:
        training = ft.Training(epochs=epochs, patience=0)
        transforms = {"*": "dequantise,gauss-rank"}
        options = ft.RowFlow(flow, training=training, transforms=transforms)
        return timed(lambda: ft.train_flow(train, path, flow=options))[1]

    epochs = epochs_within(limit, seconds_of)
    seconds = seconds_of(epochs)
    return float(np.mean(ft.score(path, test)["bits"])), seconds, epochs


# -- signals --------------------------------------------------------------------------------------


@script.command(
    "source", label=str, bound="rel:1e-2", effort="default", flows=["lattice"], splits=1
)
def signal(a: argparse.Namespace) -> None:
    """Measure how well densities find signal among background, on held-out events.

    --label is the column that marks signal. The events are split 60 to 40, at random but the same
    each time. A model of the background is trained on the background of the first part, one of the
    signal on its signal, with the lattices or transforms of the first; both score the second part.
    Boosted trees that know the labels of the first part show what can be reached. Intervals are
    DeLong's.
    """
    data = first_table(a.source).data
    for seed in range(a.splits):
        order = np.random.default_rng(seed).permutation(len(data[a.label]))
        cut = int(0.6 * len(order))
        train, test = part(data, order[:cut]), part(data, order[cut:])
        print(f"split {seed}: trees {tree_area(train, test, a.label, seed)}", flush=True)
        labels = train.pop(a.label)
        signal = labels > labels.min()
        for flow in a.flows:
            options = (
                {"flow": ft.RowFlow(flow)} if flow != "lattice" else {"effort": a.effort}
            )
            bound = {"tolerance": {"*": a.bound}} if flow == "lattice" else {}
            with tempfile.TemporaryDirectory() as name:
                background, other = (
                    Path(name) / f"{kind}.flow" for kind in ("one", "two")
                )
                ft.train(part(train, ~signal), background, **bound, **options)
                ft.train(part(train, signal), other, like=background, **options)
                scores = ft.score(background, test, against=other, label=a.label)
            for name, area in ft.separation(scores).items():
                print(f"split {seed}: {flow} {name} {area}", flush=True)


def tree_area(train: Columns, test: Columns, label: str, seed: int) -> str:
    """Return the area under the ROC curve of boosted trees."""
    rows = [np.stack([x[n] for n in x if n != label], axis=1) for x in (train, test)]
    trees = boosted_trees(rows[0], train[label] > train[label].min(), seed)
    return str(
        area_under_roc(
            trees.predict_proba(rows[1])[:, 1], test[label] > test[label].min()
        )
    )


@script.command(
    "source",
    "judge?",
    label=str,
    columns=[],
    flow="lattice",
    bound="std:0.1",
    effort="default",
    share=0.3,
    calibrate=0.2,
    folds=0,
    tune=False,
    seed=77,
)
def calibrated(a: argparse.Namespace) -> None:
    """Measure calibrated ratios of densities as probabilities, on events for this alone.

    Models of background and signal learn the events but a share, --calibrate, on which their ratio
    is calibrated; the classifier learns both parts. All judge the file JUDGE or, without one, the
    last --share of the events, shuffled by --seed; with --folds each fold of the events is judged
    by models of the others, and the figures are of all together. With --tune the last --share is
    left out of the folds: choose by that, and not by the events that are reported. The columns are
    learned in the order in which --columns names them. Isotonic regression refitted on the judged
    events shows the least log-loss that a monotone map can have: refitted in sample, which flatters
    it, and by ten folds. The last line says by how much, for labels drawn by the probabilities.
    The trees are scikit-learn's with its own settings, on the same columns and on all.
    """
    everything = labelled_columns(a.source, a.label, [])
    names = list(labelled_columns(a.source, a.label, a.columns))
    order = np.random.default_rng(a.seed).permutation(len(everything[a.label]))
    cut = round((1 - a.share) * len(order))
    folds = a.folds or (3 if a.tune else 0)
    splits = [(order[:cut], order[cut:])]
    if folds:
        order = order[:cut] if a.tune else order
        fold = np.arange(len(order)) % folds
        splits = [(order[fold != k], order[fold == k]) for k in range(folds)]
    pairs = [(part(everything, one), part(everything, two)) for one, two in splits]
    if a.judge:
        pairs = [(part(everything, order), labelled_columns(a.judge, a.label, []))]
    judged = [judge_ratio(a, *pair, names) for pair in pairs]
    scores = ak.concatenate(judged)
    show_header("score", "log-loss", "slope", "area under the ROC curve")
    show_reliability(ft.reliability(scores))
    for key in ("trees, these columns", "trees, all columns"):
        columns = {"probability": scores[key], "label": scores["label"]}
        figures = ft.reliability(ak.Array(columns))["probability"]
        show_reliability({f"scikit-learn's {key}": figures})
    show_refits(np.asarray(scores["probability"]), np.asarray(scores["label"]) > 0)


def judge_ratio(
    a: argparse.Namespace, learned: Columns, judge: Columns, names: list[str]
) -> ak.Array:
    """Return all scores of judged events, of models that learned others."""
    count = len(learned[a.label])
    few = round(a.calibrate * count)
    labelled, train = part(learned, slice(few)), part(learned, slice(few, None))
    print(f"{count - few} events to train on, {few} to calibrate on, ", end="")
    print(f"{len(judge[a.label])} to judge; {len(names) - 1} columns", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, seconds = train_pair(a, {n: train[n] for n in names}, folder)
        scores = ft.score(
            folder / "one.flow",
            judge,
            against=folder / "two.flow",
            label=a.label,
            calibrate=labelled,
            classifier=learned,
        )
        stored = (folder / "one.flow.calibration.json").read_text()
    losses = json.loads(stored)["calibrations"][0]["losses"]
    print(f"trained in {seconds:.0f} s; calibrated: {min(losses, key=losses.get)}")
    for title, chosen in (("these columns", names), ("all columns", list(judge))):
        scores[f"trees, {title}"] = sklearn_trees(learned, judge, chosen, a.label)
    return scores


def labelled_columns(source: str, label: str, columns: list[str]) -> Columns:
    """Return flat columns in the order in which they are named, and the label."""
    data = first_table(source, [*columns, label] if columns else []).data
    named = [n for pattern in columns for n in data if fits_name(pattern, n)]
    chosen = dict.fromkeys([*(named or data), label])
    return {name: np.asarray(data[name]) for name in chosen}


def train_pair(a: argparse.Namespace, train: Columns, folder: Path) -> tuple[None, float]:
    """Train models of background and signal, one.flow and two.flow; return the seconds."""
    labels = train.pop(a.label)
    signal = labels > labels.min()

    def both() -> None:
        one, two = folder / "one.flow", folder / "two.flow"
        parts = part(train, ~signal), part(train, signal)
        if a.flow == "lattice":
            bound = {"*": a.bound}
            ft.train(parts[0], one, tolerance=bound, effort=a.effort)
            ft.train(parts[1], two, like=one, effort=a.effort)
        else:
            ft.train_flow(parts[0], one, flow=ft.RowFlow(a.flow))
            ft.train_flow(parts[1], two, like=one, flow=ft.RowFlow(a.flow))

    return timed(both)


def show_reliability(figures: dict[str, ft.Reliability]) -> None:
    """Print a row for each probability."""
    for name, f in figures.items():
        loss = f"{f.log_loss:.4f} +- {f.error:.4f}"
        show_row(name, loss, f"{f.slope:.2f}", f.auc)


def sklearn_trees(
    learned: Columns, judge: Columns, names: list[str], label: str
) -> Array:
    """Return probabilities of scikit-learn's boosted trees with its own settings."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = [
        np.stack([x[n] for n in names if n != label], axis=1) for x in (learned, judge)
    ]
    trees = HistGradientBoostingClassifier(random_state=0)
    trees.fit(rows[0], learned[label] > learned[label].min())
    return np.asarray(trees.predict_proba(rows[1])[:, 1])


def show_refits(p: Array, signal: Array) -> None:
    """Print the log-loss of isotonic regression refitted on the judged events."""
    from sklearn.isotonic import IsotonicRegression

    def loss(q: Array, of: Array) -> float:
        q = np.clip(q, 1e-4, 1 - 1e-4)
        return float(-np.mean(np.log(np.where(of, q, 1 - q))))

    refit = IsotonicRegression(out_of_bounds="clip")
    inside = loss(refit.fit_transform(p, signal), signal)
    folded, draw = np.empty(len(p)), np.random.default_rng(0)
    fold = draw.permutation(len(p)) % 10
    for k in range(10):
        refit.fit(p[fold != k], signal[fold != k])
        folded[fold == k] = refit.predict(p[fold == k])
    flattery = []
    for _ in range(50):
        drawn = draw.random(len(p)) < p
        flattery.append(loss(p, drawn) - loss(refit.fit_transform(p, drawn), drawn))
    name = "isotonic refitted on the judge"
    show_row(f"{name}, in sample", f"{inside:.4f}", "", "")
    show_row(f"{name}, ten folds", f"{loss(folded, signal):.4f}", "", "")
    mean, error = np.mean(flattery), np.std(flattery)
    print(f"gained by a refit in sample where all is true: {mean:.4f} +- {error:.4f}")


# -- anomalies ------------------------------------------------------------------------------------


@script.command(
    "source",
    anomaly=str,
    columns=[],
    exclude=[],
    where=[],
    flow="lattice",
    bound="rel:1e-2",
    effort="default",
    latent=8,
    epochs=60,
    std=[1e-3, 1e-2, 0.1, 0.3, 1.0],
    bits=[8, 13, 20],
    mantissa=[10, 6, 4, 2, 1],
    seed=0,
)
def anomaly(a: argparse.Namespace) -> None:
    """Compare how well anomalies are recognised before and after each codec.

    Rows that meet --anomaly, such as 'response > 0.5', are the anomalies; no model sees the columns
    that it names. Events are split 60 to 40, at random but the same each time. A flow (the lattice
    flow, or one over rows such as nsf) and an autoencoder learn the normal rows of the first part,
    not compressed; their scores, -log p and reconstruction error, judge the second part before and
    after each codec. `flowtuple` and `rounding` move values as the codec does (`snap`), SZ3 and ZFP
    have the same absolute bounds. The latent codec and the autoencoder codec have learned the
    normal rows of the first part, as a trigger would; the latter has a seed of its own, and a
    further row shows the network that scores. Areas under the ROC curve have DeLong's 95 %
    intervals, jets of an event counting as one; the change is of the same rows, so that its
    interval is narrower. "Zeros kept" is the share of values 0 that stay 0.
    """
    warnings.simplefilter("ignore")
    everything, _ = cut_rows(read_rows(open_dataset(a.source), a.columns), a.where)
    values = dict(zip(everything.columns, everything.values.T, strict=True))
    anomalous = evaluate(a.anomaly, values, a.source)
    hidden = cut_columns(a.anomaly) | set(a.exclude)
    rows = everything.only([name for name in everything.columns if name not in hidden])
    first = (np.random.default_rng(a.seed).permutation(rows.events) < 0.6 * rows.events)[
        rows.event
    ]
    normal, test, wanted = (
        rows.some(first & ~anomalous),
        rows.some(~first),
        anomalous[~first],
    )
    counts = f"{int(wanted.sum())} anomalies among {len(test)} to judge"
    print(
        f"{len(normal)} normal rows learned; {counts}; {len(rows.columns)} columns: ",
        end="",
    )
    print(", ".join(rows.columns))
    with tempfile.TemporaryDirectory() as folder:
        network = train_autoencoder(a, normal, a.seed)
        score = flow_score(a, normal, Path(folder))
        scores = {"flow": score, "autoencoder": network.reconstruction_error}
        before = {name: score(test.values) for name, score in scores.items()}
        for name, values in before.items():
            print(
                f"before, {name}: {area_under_roc(values, wanted, None, test.event)}",
                flush=True,
            )
        pairs = [cell for name in scores for cell in (name, "change")]
        show_header(
            "codec", "setting", "mean / std", "max / std", "zeros kept", *pairs, text=2
        )
        for codec, setting, after in compressed(a, normal, test, network):
            errors = [f"{error:.1e}" for error in overall(measure(test, after))]
            zeros = f"{np.mean(after[test.values == 0] == 0):.3f}"
            areas: list[str] = []
            for name, score in scores.items():
                values = score(after)
                change = gained_area(before[name], values, wanted, test.event)
                area = area_under_roc(values, wanted, None, test.event)
                limits = f"({change.low:+.4f} to {change.high:+.4f})"
                areas += [f"{area.value:.4f}", f"{change.value:+.4f} {limits}"]
            show_row(codec, setting, *errors, zeros, *areas)


def columns_of(rows: Rows, values: Array) -> Columns:
    """Return rows as columns of their own types."""
    return {
        name: values[:, k].astype(rows.dtypes[k]) for k, name in enumerate(rows.columns)
    }


def train_autoencoder(a: argparse.Namespace, normal: Rows, seed: int) -> AutoencoderCodec:
    """Return a network that has learned the normal rows."""
    training = ft.Training(
        epochs=a.epochs, batch=256, weight_decay=1e-2, schedule="one-cycle", patience=0
    )
    options = Autoencoder(
        a.latent, network="elu-bn", normalisation="standard", training=training
    )
    return AutoencoderCodec.fit(normal, options, seed, no_report)[0]


def flow_score(a: argparse.Namespace, normal: Rows, folder: Path) -> Score:
    """Return -log p of each row under a flow of the normal ones."""
    model, columns = folder / "normal.flow", columns_of(normal, normal.values)
    if a.flow == "lattice":
        ft.train(columns, model, tolerance={"*": a.bound}, effort=a.effort)
    else:
        ft.train_flow(
            columns, model, flow=ft.RowFlow(a.flow, training=ft.Training(epochs=a.epochs))
        )
    return lambda values: (
        -np.asarray(ft.score(model, columns_of(normal, values))["log_prob"], np.float64)
    )


def snapped(rows: Rows, bound: str) -> Array:
    """Return values as flowtuple gives them back."""
    events = ft.snap(columns_of(rows, rows.values), {"*": bound})
    return flat_rows(events, rows.columns)


def bounds_of(rows: Rows, std: float) -> dict[str, Bound]:
    """Return a bound of so many standard deviations for each column of floats."""
    bounds = dict.fromkeys(rows.columns, Bound())
    for name, values, dtype in zip(rows.columns, rows.values.T, rows.dtypes, strict=True):
        amount = std * float(values.std())
        if np.dtype(dtype).kind == "f" and amount > 0:
            bounds[name] = Bound("abs", amount)
    return bounds


def compressed(
    a: argparse.Namespace, normal: Rows, test: Rows, scores: AutoencoderCodec
) -> Iterator[tuple[str, str, Array]]:
    """Yield codec, setting and decoded rows."""
    for std in a.std:
        yield "flowtuple", f"std:{std:g}", snapped(test, f"std:{std:g}")
        for codec in filter(is_available, (SZ3, ZFP)):
            yield (
                codec.name,
                f"std:{std:g}",
                decoded_by(codec, test, bounds_of(test, std))[1],
            )
    for bits in a.mantissa:
        yield "rounding", f"bits:{bits}", snapped(test, f"bits:{bits}")
    latent = LatentCodec.fit(normal, Latent(), a.seed, no_report)[0]
    for bits in a.bits:
        coded = replace(latent, bits=bits)
        yield "latent", f"N = {bits}", coded.decode(coded.encode(test.values), len(test))
    other = train_autoencoder(a, normal, a.seed + 1)
    for name, network in {"autoencoder": other, "the scoring network": scores}.items():
        decoded = network.decode(network.encode(test.values), len(test))
        yield name, f"{a.latent} numbers", decoded


if __name__ == "__main__":
    script.main()
