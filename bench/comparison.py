"""Comparisons of two samples: are p-values honest, what do they see, and what do they cost?"""

from __future__ import annotations

import argparse
import time

import awkward as ak
import numpy as np
import uproot
from commands import Script, show_header, show_row
from scipy.stats import kstest

import flowtuple as ft
from flowtuple.comparison.events.event_sample import fill_absent, read_events
from flowtuple.comparison.two_sample.compare_samples import compare_samples
from flowtuple.comparison.two_sample.pooled import EventParts
from flowtuple.comparison.two_sample.result import Comparison
from flowtuple.data.expressions import evaluate
from flowtuple.io.source import open_dataset

REGION = (100.0, 2.0)  # p_T in GeV above, |eta| above
SCALE = 1.3  # of the masses in the region
TESTS = ["ks", "w1", "chi2", "relations", "local"]
script = Script(__doc__)


@script.command("files+", tests=TESTS, pairs=200, events=[60, 1000], permutations=39)
def uniform(a: argparse.Namespace) -> None:
    """Compare pairs of true events of FILES, which are of one distribution, and look at p-values.

    Events are drawn from all files together, none twice in a pair. Each test is made by itself, so
    that the smallest adjusted p-value is that of all its columns. Printed: the p-value of
    Kolmogorov and Smirnov's test that they are uniform, and the share below 0.05; without weights
    and with weights drawn between 0.5 and 1.5.
    """
    pool = ak.concatenate([tree_of(name).arrays(filter_name=WHOLE) for name in a.files])
    show_header("test", "events a side", "weights", "KS p", "below 0.05", text=1)
    for number in a.events:
        for weighted in (False, True):
            found = p_values(a, pool, number, weighted=weighted)
            for test, values in found.items():
                about = f"{kstest(values, 'uniform').pvalue:.3f}"
                share = f"{np.mean(np.array(values) < 0.05):.3f}"
                show_row(test, number, "yes" if weighted else "no", about, share)


WHOLE = "/n?(Jet|Muon)(_.*)?|MET_.*|HLT_.*/"


def p_values(
    a: argparse.Namespace, pool: ak.Array, number: int, *, weighted: bool
) -> dict[str, list[float]]:
    """Return the p-value of each test for each pair; tests that are not possible have fewer."""
    found: dict[str, list[float]] = {test: [] for test in a.tests}
    for pair in range(a.pairs):
        draw = np.random.default_rng(pair)
        chosen = draw.permutation(len(pool))[: 2 * number].reshape(2, number)
        events = [pool[np.sort(places)] for places in chosen]
        if weighted:
            events = [
                ak.with_field(sample, draw.random(number) + 0.5, "w") for sample in events
            ]
        samples = [
            read_events(open_dataset(e), weights="w" if weighted else None)
            for e in events
        ]
        rows = fill_absent([sample.rows for sample in samples])
        parts = [EventParts(sample.objects, sample.columns) for sample in samples]
        for test, values in found.items():
            try:
                result = compare_samples(
                    *rows,
                    tests=[test],
                    permutations=a.permutations,
                    seed=pair,
                    parts=(parts[0], parts[1]),
                )
            except ft.InvalidArgument as error:
                # Few events may show no relation and have no region.
                if "no test can be made" not in str(error):
                    raise
                continue
            values.append(min(o.adjusted for o in result.outcomes if o.p is not None))
    return {test: values for test, values in found.items() if values}


@script.command("file", events=[1500], pairs=10, without=[""], tests=[""])
def distorted(a: argparse.Namespace) -> None:
    """Scale the masses of jets with p_T > 100 and |eta| > 2 by 1.3 in one of two true samples.

    `--without` leaves out columns whose names end so, such as E for energies; `--tests` names
    tests, all by default. Printed for each number of events: pairs that are rejected; pairs whose
    first names a broken relation, and a region of which most jets in it lie in the true one.
    """
    tree = tree_of(a.file)
    ends = tuple(end for end in a.without if end)
    names = [
        name
        for name in tree.keys(filter_name="Jet_*")
        if not (ends and name.endswith(ends))
    ]
    events = tree.arrays(names)
    show_header("events a side", "pairs", "rejected", "relation named", "region named")
    for number in a.events:
        rejected = related = localised = 0
        for pair in range(a.pairs):
            order = np.random.default_rng(pair).permutation(len(events))
            first, second = (
                events[np.sort(order[k * number : (k + 1) * number])] for k in (0, 1)
            )
            other = scaled(second)
            result = ft.compare(first, other, tests=[t for t in a.tests if t], seed=pair)
            rejected += result.differ
            related += result.differ and result.betrayals[0].test == "relations"
            localised += names_region(result, other)
        show_row(number, a.pairs, rejected, related, localised)


def scaled(events: ak.Array) -> ak.Array:
    """Return events whose jets in the region have too large masses."""
    inside = (events["Jet_pt"] > REGION[0]) & (abs(events["Jet_eta"]) > REGION[1])
    mass = ak.where(inside, np.float32(SCALE) * events["Jet_mass"], events["Jet_mass"])
    return ak.with_field(events, mass, "Jet_mass")


def names_region(result: Comparison, events: ak.Array) -> bool:
    """Return whether most jets of the first region, cut and all, lie in the true one."""
    regions = [o.details for o in result.betrayals if o.test == "local"]
    if not regions:
        return False
    jets = {n: ak.to_numpy(ak.flatten(events[n])) for n in events.fields}
    inside = evaluate(regions[0]["compared"], jets, "events")
    if regions[0]["region"] != "all":
        inside &= evaluate(regions[0]["region"], jets, "events")
    true = (jets["Jet_pt"] > REGION[0]) & (np.abs(jets["Jet_eta"]) > REGION[1])
    return bool((inside & true).sum() > 0.5 * inside.sum())


@script.command("file", events=2000, tests=["ks", "w1", "chi2", "relations", "local"])
def dealt(a: argparse.Namespace) -> None:
    """Deal the jets of events anew, which keeps their columns and loses the events.

    Printed: the verdict, and the twelve numbers of events that betray them most.
    """
    events = tree_of(a.file).arrays(filter_name="/n?Jet(_.*)?/", entry_stop=2 * a.events)
    counts = ak.num(events["Jet_pt"])[a.events :]
    order = np.random.default_rng(1).permutation(int(ak.sum(counts)))
    jets = {
        n: ak.unflatten(ak.flatten(events[n][a.events :])[order], counts)
        for n in events.fields
        if n.startswith("Jet_")
    }
    result = ft.compare(events[: a.events], ak.zip(jets, depth_limit=1), tests=a.tests)
    print(result.verdict)
    show_header("number", "test", "statistic", "deviations", text=2)
    for o in [o for o in result.betrayals if o.column][:12]:
        show_row(o.column, o.test, f"{o.statistic:.3g}", f"{o.deviations:.1f}")


@script.command("file", rows=[5000, 20000, 80000], unit="rows", permutations=1800)
def cost(a: argparse.Namespace) -> None:
    """Time all tests of two samples of ROWS jets (unit rows) or events (unit events) each.

    Printed: seconds, processor seconds, and the exponent by which they grow from the first size.
    """
    events = tree_of(a.file).arrays(filter_name="/n?Jet(_.*)?/")
    rate = float(np.mean(ak.num(events["Jet_pt"]))) if a.unit == "rows" else 1.0
    options = ft.ComparisonOptions(unit=a.unit, permutations=a.permutations)
    ft.compare(events[:200], events[200:400], columns=["Jet_*"], options=options)
    show_header(a.unit, "seconds", "processor seconds", "exponent")
    first: tuple[int, float] | None = None
    for rows in a.rows:
        number = int(rows / rate)
        order = np.random.default_rng(1).permutation(len(events))
        pair = [
            events[np.sort(np.resize(part, number))] for part in np.array_split(order, 2)
        ]
        started, used = time.perf_counter(), time.process_time()
        ft.compare(*pair, columns=["Jet_*"], options=options)
        seconds, busy = time.perf_counter() - started, time.process_time() - used
        first = first or (rows, busy)
        grown = (
            "" if rows == first[0] else np.log(busy / first[1]) / np.log(rows / first[0])
        )
        show_row(rows, f"{seconds:.1f}", f"{busy:.1f}", grown and f"{grown:.2f}")


def tree_of(source: str) -> uproot.TTree:
    """Return the tree of FILE.root:TREE."""
    path, _, tree = source.rpartition(":")
    return uproot.open(path)[tree]


if __name__ == "__main__":
    script.main()
