"""Generated and simulated events against real ones that no model has seen."""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from commands import (
    Columns,
    OneOf,
    Script,
    boosted_trees,
    epochs_within,
    first_table,
    flat_rows,
    part,
    rows_of,
    show_header,
    show_row,
    timed,
)

import flowtuple as ft
from flowtuple.comparison.closure.result import Agreement
from flowtuple.comparison.closure.verdicts import find_distances
from flowtuple.comparison.two_sample.ratio import joint_area
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.rows import Rows
from flowtuple.flows.options import KINDS
from flowtuple.flows.stored import load_model

TARGET, GENERATED = ["Jet_*", "Muon_*", "MET_*", "HLT_*"], ["Gen*", "Pileup_nPU"]
PARTNERS = ["GenJet_*", "GenMuon_*", "Pileup_nPU"]
EVENT_COLUMNS = ("Gen", "gen", "nGen", "Pileup", "run", "event", "lumi")
SUMS = ["Jet_chEmE", "Jet_chMuE", "Jet_chN", "Jet_neN", "Jet_neEmE"]
QUARTERS = 4
WORST = 0.01  # share of rows of most bits, which may decide an average alone
TENTH, FEWEST = 10, 4096  # rows that foretell the time

script = Script(__doc__)


# -- events drawn from a model --------------------------------------------------------------------


@script.command(
    "source",
    columns=["*"],
    bound="std:2.88e-3",
    effort="default",
    rows=20000,
    repeat=3,
    held_out=0.2,
)
def generate(a: argparse.Namespace) -> None:
    """Measure how well generated events pass for real ones, and their rate.

    The model is trained on the first 80 % of the events; a classifier (gradient-boosted trees, 200
    rounds, learning rate 0.05, half of the rows to train on, half to judge by) then has to separate
    the others from generated events. Its accuracy is 0.5 where it cannot; every repetition draws
    other events. For comparison: real rows against real ones, and real rows against rows whose
    columns were shuffled. The rate is that of whole events in memory, compared with an
    autoregressive rational-quadratic spline flow of zuko (3 transforms, 64 x 64), which is as fast
    untrained as trained.
    """
    events = table_to_awkward(first_table(a.source, a.columns))
    cut = round((1 - a.held_out) * len(events))
    count = len(events) - cut
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.flow"
        options = {"tolerance": {"*": a.bound}, "effort": a.effort}
        _, trained = timed(lambda: ft.train(events[:cut], model, **options))
        real = ft.snap(events[cut:], model=model)
        ft.sample(model, 2000, seed=1)
        drawn, seconds = timed(lambda: ft.sample(model, count, seed=0))
        more = [ft.sample(model, count, seed=k) for k in range(1, a.repeat)]
        size = model.stat().st_size
    # the rows are those of the last column's kind: objects, or events
    names = [n for n in drawn.fields if events[n].ndim == events[drawn.fields[-1]].ndim]
    x, y, *others = (flat_rows(sample, names) for sample in (real, drawn, *more))
    draw = np.random.default_rng(0)
    shuffled = np.stack([draw.permutation(x[:, k]) for k in range(x.shape[1])], axis=1)
    split = draw.permutation(len(x))
    pairs = {
        "real": [(x[split[::2]], x[split[1::2]])] * a.repeat,
        "drawn": [(x, other) for other in (y, *others)],
        "shuffled": [(x, shuffled)] * a.repeat,
    }
    print(f"trained in {trained:.1f} s, model {size} bytes, {len(names)} columns")
    for label, samples in pairs.items():
        shares = [accuracy(*pair, a.rows, seed) for seed, pair in enumerate(samples)]
        figures = f"accuracy {np.mean(shares):.4f} +- {np.std(shares):.4f}"
        print(f"real against {label}: {figures} ({a.repeat} times)")
    print(f"drawn: {len(y) / seconds:.0f} rows/s of {len(names)} columns; ", end="")
    print(f"zuko's spline flow: {spline_rate(len(names)):.0f} rows/s")


def accuracy(real: np.ndarray, other: np.ndarray, rows: int, seed: int) -> float:
    """Return the share of held-out rows that a classifier puts on the right side."""
    draw = np.random.default_rng(seed)
    half = min(rows, len(real), len(other))
    x = np.concatenate(
        [sample[draw.permutation(len(sample))[:half]] for sample in (real, other)]
    )
    y = np.repeat([0, 1], half)
    order = draw.permutation(len(x))
    train, test = order[:half], order[half:]
    trees = boosted_trees(x[train], y[train], seed)
    return float(np.mean(trees.predict(x[test]) == y[test]))


def spline_rate(columns: int, rows: int = 4096) -> float:
    """Return the rows per second that zuko's autoregressive spline flow draws."""
    import torch
    import zuko

    flow = zuko.flows.NSF(columns, transforms=3, hidden_features=(64, 64))
    with torch.no_grad():
        flow().sample((256,))
        _, seconds = timed(lambda: flow().sample((rows,)))
    return rows / seconds


# -- objects given their generated partners -------------------------------------------------------


@script.command(
    "source",
    seconds=600.0,
    effort="default",
    flow="flashsim",
    hidden=64,
    blocks=2,
    bins=32,
    learning_rate=2e-3,
    objects=["Jet:GenJet:Jet_genJetIdx", "Muon:GenMuon:Muon_genMuonIdx"],
    exclude=SUMS,
)
def flashsim(a: argparse.Namespace) -> None:
    """Compare the flow of FlashSim with the lattice flow on objects given their generated partners.

    A row is a reconstructed object with a partner: its columns, p_T, eta and phi as ratio and
    differences to the partner's, given the partner's columns and the pile-up. Both flows learn from
    the first half of the events and draw for the conditions of the third quarter; both are compared
    with the true objects of the last quarter, and so are the true ones of the third, which is the
    best that can be reached. The flow over rows is trained with a cosine schedule over as many
    epochs as fit in --seconds, which a training on a tenth of the rows foretells; the lattice flow
    takes the time of its effort, which is printed. SOURCE is FILE.root:TREE.

    Printed: area under the ROC curve of gradient-boosted trees (as in `simulate`) on columns and
    conditions together, and the largest excess of a column's Wasserstein-1 distance, in units of
    its std, over that of real against real.
    """
    path, _, tree = a.source.rpartition(":")
    events = uproot.open(path)[tree].arrays()
    names = (
        "objects",
        "flow",
        "training",
        "AUC against real",
        "largest excess of W1",
        "of",
    )
    show_header(*names, text=2)
    for text in a.objects:
        with tempfile.TemporaryDirectory() as folder:
            compare_flows(events, text, a, Path(folder))


def compare_flows(
    events: ak.Array, text: str, a: argparse.Namespace, folder: Path
) -> None:
    """Train both flows on the objects of one kind, draw, and print a row of the table for each."""
    rows, conditions, event = object_pairs(events, *text.split(":"), a.exclude)
    quarter = event * QUARTERS // len(events)
    train, third, last = (
        part(rows, q) for q in (quarter < 2, quarter == 2, quarter == 3)
    )
    names, targets = list(rows), [n for n in rows if n not in conditions]
    fine = {n: "std:1e-5" for n in targets if train[n].dtype.kind == "f"}
    options = {"given": conditions, "tolerance": fine, "effort": a.effort}
    _, lattice = timed(lambda: ft.train(train, folder / "lattice.flow", **options))
    seconds, epochs = train_flow(train, conditions, a, folder / "rows.flow")
    other = as_sample(last, names, event[quarter == 3])
    real = as_sample(third, names, event[quarter == 2])

    def distances_of(sample: Columns) -> np.ndarray:
        one = as_sample(sample, targets, real.event)
        return distances(one, as_sample(last, targets, other.event))

    limit, kind = distances_of(third), text.partition(":")[0]
    print(f"{kind}: {len(targets)} columns given {len(conditions)}; ", end="")
    print(f"{len(train[names[0]])} rows learned from, {len(other)} judge")
    show_row(kind, "real", "", f"{area(real, other):.4f}", "", "")
    for label, path, took in (
        (f"lattice flow ({a.effort})", "lattice.flow", f"{lattice:.0f} s"),
        (a.flow, "rows.flow", f"{seconds:.0f} s ({epochs} epochs)"),
    ):
        given = {n: third[n] for n in conditions}
        drawn = ft.sample(folder / path, given=given, seed=1)
        made = {n: ak.to_numpy(drawn[n]) for n in targets} | given
        excess = distances_of(made) - limit
        worst = int(np.nanargmax(excess))
        auc = f"{area(as_sample(made, names, real.event), other):.4f}"
        show_row(kind, label, took, auc, f"{excess[worst]:.3f}", targets[worst])


def object_pairs(
    events: ak.Array, reco: str, gen: str, through: str, exclude: list[str]
) -> tuple[Columns, list[str], np.ndarray]:
    """Return columns of the rows, names of the conditions, and the event of each row."""
    index = events[through]
    has = index >= 0
    own = [
        n
        for n in events.fields
        if n.startswith(f"{reco}_")
        and n not in (through, *exclude)
        and events[n].ndim == 2
    ]
    partners = [n for n in events.fields if n.startswith(f"{gen}_")]
    columns = {n: ak.to_numpy(ak.flatten(events[n][has])) for n in own}
    given = {n: ak.to_numpy(ak.flatten(events[n][index[has]])) for n in partners}
    pileup = ak.broadcast_arrays(events["Pileup_nPU"], index)[0]
    given["Pileup_nPU"] = ak.to_numpy(ak.flatten(pileup[has]))
    pt, eta, phi = (columns.pop(f"{reco}_{q}") for q in ("pt", "eta", "phi"))
    turn = phi.astype(np.float64) - given[f"{gen}_phi"]
    columns[f"{reco}_ptRatio"] = pt / given[f"{gen}_pt"]
    columns[f"{reco}_etaMinusGen"] = eta - given[f"{gen}_eta"]
    columns[f"{reco}_phiMinusGen"] = ((turn + np.pi) % (2 * np.pi) - np.pi).astype(
        np.float32
    )
    event = np.repeat(np.arange(len(events)), ak.to_numpy(ak.sum(has, axis=1)))
    return columns | given, list(given), event


def train_flow(
    rows: Columns, conditions: list[str], a: argparse.Namespace, path: Path
) -> tuple[float, int]:
    """Return seconds of training, and epochs."""
    shape = ft.Shape(hidden=(a.hidden, a.hidden), bins=a.bins, blocks=a.blocks)

    def seconds_of(some: Columns, epochs: int) -> float:
        training = ft.Training(
            epochs=epochs, patience=0, schedule="cosine", learning_rate=a.learning_rate
        )
        flow = ft.RowFlow(a.flow, shape, training)
        return timed(lambda: ft.train_flow(some, path, given=conditions, flow=flow))[1]

    count = len(rows[conditions[0]])
    few = min(count, max(count // TENTH, FEWEST))
    foretold = partial(seconds_of, part(rows, slice(few)))
    epochs = epochs_within(a.seconds, foretold, steps(count) / steps(few))
    return seconds_of(rows, epochs), epochs


def steps(rows: int) -> int:
    """Return the steps of an epoch."""
    usual = ft.Training()
    return -(-int(rows * (1 - usual.held_out)) // usual.batch)


def as_sample(columns: Columns, names: list[str], event: np.ndarray) -> Rows:
    """Return some of the columns as rows for a comparison."""
    values = np.stack([np.asarray(columns[n], np.float64) for n in names], axis=1)
    return Rows("rows", tuple(names), values, event, int(event.max()) + 1)


def area(one: Rows, other: Rows) -> float:
    """Return the area under the ROC curve of boosted trees."""
    return joint_area(other, one, seed=0).value


def distances(one: Rows, other: Rows) -> np.ndarray:
    """Return Wasserstein-1 of each column over its std, NaN where there are hardly any values."""
    by_column = {d.column: d.w1 for d in find_distances(other, one)}
    return np.array([by_column.get(name, np.nan) for name in one.columns])


# -- kinds of flows over rows ---------------------------------------------------------------------


@script.command(
    "source",
    columns=["*"],
    exclude=[],
    flows=OneOf(KINDS, list(KINDS)),
    epochs=20,
    rows=10000,
    held_out=3000,
    seed=0,
)
def flows(a: argparse.Namespace) -> None:
    """Compare the kinds of flows over rows at equal epochs, all with their usual options.

    A row is an object, or an event of a flat table. The kinds learn the first --rows rows, and are
    compared by others, the last --held-out ones: bits of a row, on average of the 99 % of the
    least and of all, and area under the ROC curve of gradient-boosted trees (as in `simulate`, in 2
    folds) that tell as many drawn rows from them.
    The line "real" is for rows before the last ones: the best that can be reached.

    Seconds are CPU seconds of this process. Those of training include the draws by which a training
    is watched. OMP_NUM_THREADS=1 keeps them free of waiting threads.
    """
    rows = rows_of(a)
    if len(rows) < a.rows + 2 * a.held_out:
        raise SystemExit(f"{a.source}: {len(rows)} rows are too few")
    columns = {
        name: values.astype(dtype)
        for name, values, dtype in zip(
            rows.columns, rows.values.T, rows.dtypes, strict=True
        )
    }
    train, last = part(columns, slice(a.rows)), part(columns, slice(-a.held_out, None))
    unseen = part(columns, slice(-2 * a.held_out, -a.held_out))
    head = "training, s", "weights", "bits of 99 %", "bits of all", "AUC", "drawing, s"
    show_header("flow", *head)
    show_row("real", "", "", "", "", told_apart(unseen, last), "")
    for kind in a.flows:
        training = ft.Training(epochs=a.epochs, patience=0)
        flow = ft.RowFlow(kind, training=training, device="cpu")
        show_row(kind, *measured(flow, train, last, a.seed))


def measured(flow: ft.RowFlow, train: Columns, last: Columns, seed: int) -> list[str]:
    """Return the cells of one flow that learns some rows and is compared by others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.flow"
        begin = time.process_time()
        ft.train_flow(train, path, flow=flow, seed=seed)
        trained = time.process_time()
        drawn = ft.sample(path, len(next(iter(last.values()))), seed=seed)
        sampled = time.process_time()
        weights = sum(w.numel() for w in load_model(path).flow.parameters())
        bits = np.asarray(ft.score(path, last)["bits"])
    some = np.sort(bits)[: round((1 - WORST) * len(bits))]
    return [
        f"{trained - begin:.0f}",
        f"{weights}",
        f"{some.mean():.2f} +- {some.std() / len(some) ** 0.5:.2f}",
        f"{bits.mean():.5g}",
        told_apart({name: ak.to_numpy(drawn[name]) for name in last}, last),
        f"{sampled - trained:.1f}",
    ]


def told_apart(one: Columns, other: Columns) -> str:
    """Return the area under the ROC curve of trees, of two folds, that tell samples apart."""
    names = list(other)
    samples = [as_sample(x, names, np.arange(len(x[names[0]]))) for x in (one, other)]
    return f"{joint_area(*samples, seed=0, folds=2).value:.3f}"


# -- simulated events -----------------------------------------------------------------------------


@script.command("train", "judge", effort="default", seed=1, model="")
def simulate(a: argparse.Namespace) -> None:
    """Test the closure of a simulation on true events of an independent sample.

    A model learns from TRAIN (FILE.root:TREE) to simulate `Jet_*`, `Muon_*`, `MET_*` and `HLT_*`
    from `Gen*` and `Pileup_nPU`; `--model` names where it stays, or one that is there. The first
    half of JUDGE is simulated from its generated columns alone and compared with the true events of
    its second half, as are the true first half, which is the best that can be reached, and the true
    events of TRAIN: samples whose generators differ (in the pool that pile-up is drawn from, say)
    differ themselves, and what is learned from one fits the other no better.

    All figures are those of `flowtuple closure`, `ft.closure(second, made, given=...,
    real=first)`. Printed for each collection: area under the ROC curve of gradient-boosted trees
    (200 rounds, learning rate 0.05, 8 leaves, 5 folds by event) on reconstructed columns, the
    partner's and pile-up; the largest excess of a column's Wasserstein-1 distance in units of its
    std; and for each figure (efficiency, median response and 68 % half-width, share of objects
    without a partner) and what it is drawn against, how many bins of at least 100 rows lie beyond
    0.5 % + 2 sigma (efficiency, without partner) or 2 % + 2 sigma (response), sigma by bootstrap
    over events, and the largest difference less 2 sigma. The rate counts objects and includes
    writing the file.
    """
    path, _, tree = a.judge.rpartition(":")
    events = uproot.open(path)[tree].arrays()
    half = len(events) // 2
    source, _, name = a.train.rpartition(":")
    known = uproot.open(source)[name].arrays()[:half]
    first, second = events[:half], events[half:]
    generated = first[[n for n in first.fields if n.startswith(EVENT_COLUMNS)]]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(a.model or Path(folder) / "m.flow")
        if not model.exists():
            options = {"target": TARGET, "given": GENERATED, "effort": a.effort}
            _, seconds = timed(lambda: ft.train_simulation(a.train, model, **options))
            print(
                f"trained in {seconds:.0f} s, model {model.stat().st_size} bytes",
                flush=True,
            )
        made = simulate_files(model, generated, tree, a.seed, Path(folder))
    show_closure(
        *(ft.closure(second, x, given=PARTNERS, real=first) for x in (made, known))
    )


def simulate_files(
    model: Path, generated: ak.Array, tree: str, seed: int, folder: Path
) -> ak.Array:
    """Simulate events from generated ones by way of files, timed the second time."""
    gen, out = folder / "gen.root", folder / "sim.root"
    content = {
        f: generated[f]
        for f in generated.fields
        if generated[f].ndim == 1 and not f.startswith("nGen")
    }
    for name in ("GenJet", "GenMuon"):
        fields = [f for f in generated.fields if f.startswith(f"{name}_")]
        content[name] = ak.zip({f[len(name) + 1 :]: generated[f] for f in fields})
    with uproot.recreate(gen) as file:
        file.mktree(tree, {k: v.type.content for k, v in content.items()})
        file[tree].extend(content)
    ft.simulate(model, gen, out, seed=seed)
    _, seconds = timed(lambda: ft.simulate(model, gen, out, seed=seed))
    made = uproot.open(out)[tree].arrays()
    objects = sum(int(ak.sum(ak.num(made[name]))) for name in ("Jet_pt", "Muon_pt"))
    print(
        f"{len(made)} events, {objects} objects simulated and written in {seconds:.2f} s",
        end="",
    )
    print(f": {objects / seconds:.0f} objects/s")
    return made


def show_closure(simulated: ft.Closure, learned: ft.Closure) -> None:
    """Print for each collection the simulated events, and those learned from, against real ones."""
    for made, known in zip(simulated.objects, learned.objects, strict=True):
        columns = {
            "simulated": made.other,
            "real": made.real,
            "learned from": known.other,
        }
        areas = ", ".join(f"{name} {a.area}" for name, a in columns.items())
        print(f"{made.objects}: AUC against real: {areas}", flush=True)
        for name, closure in (("simulated", made), ("learned from", known)):
            worst = ", ".join(
                f"{c} {excess:.3f}" for c, excess in list(closure.excess.items())[:3]
            )
            print(f"  largest excess of W1, {name}: {worst}")
        for name, agreement in columns.items():
            print(f"  {name} against real: {verdicts(agreement)}", flush=True)


def verdicts(agreement: Agreement) -> str:
    """Return how many bins lie beyond what is allowed, figure by figure."""
    return "; ".join(
        f"{v.quantity} by {v.grid} {v.beyond}/{v.bins} (worst {100 * v.worst:.2f} % + 2 sigma)"
        for v in agreement.verdicts
        if v.bins
    )


if __name__ == "__main__":
    script.main()
