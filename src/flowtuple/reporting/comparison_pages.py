"""The pages about two samples, and about a simulation and the truth: verdicts, figures, columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.binning import find_binning
from flowtuple.data.schema import Array
from flowtuple.reporting.comparison_plots import NUMBERS, curves_png, shares_png
from flowtuple.reporting.page import (
    Block,
    Cards,
    Figure,
    Heading,
    TableBlock,
    Text,
    Verdict,
    format_interval,
    format_number,
    format_percent,
    four_digits,
    write_page,
)

PLOTTED_COLUMNS = 24
_SAMPLES = ("reference", "other")
_Content = Mapping[str, Any]


def write_comparison(
    comparison: _Content, samples: Sequence[tuple[Array, Array]], folder: Path
) -> Path:
    """Write the page about two samples, `compare.html`, into an existing folder.

    Args:
        comparison: The comparison as plain numbers and text.
        samples: Values of shape (n, d) and weights of shape (n,) of the reference and of the other
            sample.
        folder: Folder of the page; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    body = [
        *_betrayals(comparison),
        *_tests(comparison),
        *_cuts(comparison["cuts"]),
        *_ratio(comparison["ratio"]),
        *_columns(comparison, samples),
    ]
    header = [
        Verdict(f"{comparison['verdict']}.", comparison["differ"]),
        *_first_picture(comparison, samples),
        *_header(comparison),
        *_remarks(comparison),
    ]
    return write_page(folder / "compare.html", "Two samples compared", header, body)


def _first_picture(
    comparison: _Content, samples: Sequence[tuple[Array, Array]]
) -> Iterator[Block]:
    """Draw what betrays the other sample, or the column that comes nearest to it."""
    picture = comparison["picture"]
    if picture:
        edges, *numbers = (np.array(picture[name]) for name in NUMBERS)
        pairs = [(numbers[0], numbers[1]), (numbers[2], numbers[3])]
        yield _overlay(edges, pairs, picture["label"])
        return
    names = list(comparison["columns"])
    named = [o["column"] for o in comparison["betrayals"] if o["column"] in names]
    least = _least(comparison)
    yield from _drawn(
        comparison, samples, named or sorted(names, key=least.__getitem__), 1
    )


def _betrayals(comparison: _Content) -> Iterator[Block]:
    """Return what betrays the other sample, in words, and regions as cuts."""
    betrayals = comparison["betrayals"]
    if not betrayals:
        return
    yield Heading(
        "What betrays it",
        "Relations that it breaks first, then columns and regions by how many standard deviations "
        "they lie above the permutations of events.",
    )
    rows = [{**o, "column": o["column"] or "all columns"} for o in betrayals]
    columns = {
        "What": "column",
        "Test": "test",
        "Statistic": "statistic",
        "Deviations": "deviations",
        "p adjusted": "adjusted",
    }
    yield TableBlock("betrayals", columns, rows, part="part of a name")
    regions = [o["details"] for o in betrayals if o["test"] == "local"]
    if regions:
        about = (
            "Where the other sample has more or fewer rows that pass a cut than the share in the "
            "reference lets expect. Chosen by one half of the events, counted in the other half."
        )
        columns = {
            "Where": "region",
            "Compared": "compared",
            "Observed": "observed",
            "Expected": "expected",
            "Sigma": "standard_deviations",
        }
        yield Heading("Regions", about)
        yield TableBlock("regions", columns, regions, part="part of a cut")


def _header(content: _Content) -> Iterator[Block]:
    """Return the samples and the notes of either page."""
    for name in _SAMPLES:
        sample = content[name]
        text = f"{name}: {sample['source']}, {sample['events']:,} events"
        if "rows" in sample:
            text += f", {sample['rows']:,} rows"
        if sample.get("dropped"):
            text += f", {sample['dropped']:,} more dropped for NaN or infinite values"
        if sample.get("folds", 1) > 1:
            text += f", each simulated {sample['folds']} times"
        yield Text(text, "soft files")
    if "real" in content:
        yield Text(f"real: {content['real']}", "soft files")
    yield from (Text(note, "bad") for note in content["notes"])


def _remarks(comparison: _Content) -> Iterator[Block]:
    """Return columns that no test reads, and copies of training rows."""
    if comparison["constant"]:
        names = ", ".join(comparison["constant"])
        yield Text(f"One value throughout, not tested: {names}", "soft names")
    copies = comparison["copies"]
    if copies:
        yield Verdict(
            f"Of {copies['rows']} rows {format_percent(copies['share'])} lie nearest to a "
            f"training row, {format_percent(copies['expected'])} expected: "
            f"p = {format_number(copies['p'])} (binomial {format_number(copies['binomial_p'])}); "
            f"{copies['identical']} equal one",
            comparison["copied"],
        )


def _tests(comparison: _Content) -> Iterator[Block]:
    weights = f", weights {comparison['weights']}" if comparison["weights"] else ""
    rows = []
    for outcome in sorted(comparison["outcomes"], key=lambda o: str(o["column"]).lower()):
        details = (
            f"{key} {_plainly(value)}" for key, value in outcome["details"].items()
        )
        remarks = outcome["note"] + ", ".join(details)
        rows.append(outcome | {"column": outcome["column"] or "all", "remarks": remarks})
    columns = {
        "Test": "test",
        "Column": "column",
        "Statistic": "statistic",
        "Deviations": "deviations",
        "p": "p",
        "p adjusted": "adjusted",
        "Remarks": "remarks",
    }
    yield Heading(
        "Tests",
        f"p from {comparison['permutations']:,} permutations of events, adjusted by Holm's method; "
        f"level {comparison['level']}, seed {comparison['seed']}{weights}. A heading sorts.",
    )
    yield TableBlock("tests", columns, rows, bad="rejected", part="part of a test's name")


def _plainly(value: Any) -> str:
    """Format numbers to four digits, also those of a pair."""
    if isinstance(value, list):
        return (" to " if len(value) == 2 else ", ").join(map(_plainly, value))
    return four_digits(value) if isinstance(value, float) else str(value)


def _cuts(cuts: Sequence[_Content]) -> Iterator[Block]:
    if not cuts:
        return
    about = "Shares of weight that pass, with their standard deviations by event."
    if cuts[0]["gained"] is not None:
        about += (
            " Rows are the same ones in both samples: efficiency is what stays of those that pass"
            " in the reference, purity what was there of those that pass in the other."
        )
    five_digits = partial(format_number, digits=5)
    columns = _PASSING | {
        "Gained": "gained",
        "Lost": "lost",
        "Efficiency": "efficiency",
        "Purity": "purity",
    }
    rows = [{**cut, **_passing(cut)} for cut in cuts]
    forms = {"efficiency": five_digits, "purity": five_digits}
    yield Heading("Cuts", about)
    yield TableBlock("cuts", columns, rows, forms, part="")


_PASSING: dict[str, Any] = {
    "Cut": "expression",
    "Reference": "passing",
    "Other": "other_passing",
}


def _passing(cut: _Content, prefix: str = "") -> dict[str, tuple[float, float]]:
    return {
        f"{prefix}passing": (cut["reference"], cut["reference_error"]),
        f"{prefix}other_passing": (cut["other"], cut["other_error"]),
    }


def _area(area: _Content) -> str:
    return f"{four_digits(area['value'])} {format_interval(area['low'], area['high'])}"


def _ratio(ratio: _Content | None) -> Iterator[Block]:
    if not ratio:
        return
    yield Heading(
        "Density ratio",
        f"r = p(reference) / p(other) by boosted trees in {ratio['folds']} folds of events: "
        f"AUC {_area(ratio['auc'])}, accuracy {four_digits(ratio['accuracy'])}. "
        f"Weighted by r the other sample is worth {format_percent(ratio['effective'])} of its "
        "rows. Every row's ratio is in ratio.npz.",
    )
    lost = "What shuffling the column takes from the AUC."
    sign = "ln r above 0: the other sample has too little there."
    losses = {"Column": 0, "Loss of AUC": 1}
    names = {"Sample": "sample", "Event": "event", "ln r": "log_ratio"}
    yield Cards(
        [
            [
                Heading("Columns that give it away", lost, 3),
                TableBlock("importance", losses, ratio["columns"], part=""),
            ],
            [
                Heading("Rows where it fails most", sign, 3),
                TableBlock("failures", names, ratio["failures"], part=""),
            ],
        ]
    )


def _columns(
    comparison: _Content, samples: Sequence[tuple[Array, Array]]
) -> Iterator[Block]:
    """Draw the columns with the smallest p-values."""
    names = list(comparison["columns"])
    drawn = sorted(names, key=_least(comparison).__getitem__)
    chosen = ""
    if len(names) > PLOTTED_COLUMNS:
        chosen = (
            f"The {PLOTTED_COLUMNS} columns of {len(names)} with the smallest p-values. "
        )
    yield Heading(
        "Column by column",
        f"{chosen}The grey band is the statistical uncertainty of the reference. "
        "A drawing that is clicked fills the window.",
    )
    figures = _drawn(comparison, samples, drawn, PLOTTED_COLUMNS)
    yield Cards([[figure] for figure in figures])


def _least(comparison: _Content) -> dict[str, tuple[float, float]]:
    """Return for each column its smallest p-value, and less the most standard deviations."""
    least = dict.fromkeys(comparison["columns"], (2.0, 0.0))
    for outcome in comparison["outcomes"]:
        if outcome["column"] in least and outcome["p"] is not None:
            key = (outcome["p"], -(outcome["deviations"] or 0.0))
            least[outcome["column"]] = min(least[outcome["column"]], key)
    return least


def _drawn(
    comparison: _Content,
    samples: Sequence[tuple[Array, Array]],
    wanted: Sequence[str],
    most: int,
) -> Iterator[Figure]:
    """Draw some columns, at most so many; those without a finite value are left out."""
    names = list(comparison["columns"])
    for name in wanted[:most]:
        place = names.index(name)
        both = np.concatenate([values[:, place] for values, _ in samples])
        both = both[np.isfinite(both)]
        if not len(both):
            continue
        edges = find_binning(both, integer=bool((both == np.rint(both)).all())).edges
        shares = [
            _shares(values[:, place], weights, edges) for values, weights in samples
        ]
        yield _overlay(edges, shares, name)


def _shares(values: Array, weights: Array, edges: Array) -> tuple[Array, Array]:
    """Return the shares of the bins, with errors from the sum of w^2; NaN is in no bin."""
    there = np.isfinite(values)
    inside, weight = values[there], weights[there]
    counts = np.histogram(inside, edges, weights=weight)[0]
    squares = np.histogram(inside, edges, weights=np.square(weight))[0]
    return counts / weights.sum(), np.sqrt(squares) / weights.sum()


def _overlay(edges: Array, shares: Sequence[tuple[Array, Array]], label: str) -> Figure:
    drawing = shares_png(edges, shares[0], shares[1], label)
    return Figure(
        drawing, f"Histogram of {label} in both samples, with their ratio below."
    )


def write_closure(closure: _Content, folder: Path) -> Path:
    """Write the page about a simulation and the truth, `compare.html`, into an existing folder.

    Args:
        closure: The closure as plain numbers and text.
        folder: Folder of the page; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    title = "Reconstructed objects, given the generated ones"
    header = [Verdict(closure["verdict"], closure["rejected"]), *_header(closure)]
    body = [block for objects in closure["objects"] for block in _objects(objects)]
    return write_page(folder / "compare.html", title, header, body)


def _objects(objects: _Content) -> Iterator[Block]:
    """Return tables and drawings of a kind of objects, each figure with that of real events."""
    name, other, real = objects["objects"], objects["other"], objects["real"]
    yield Heading(f"{name}, given {objects['partners']}")
    area = ""
    if other["area"] and real["area"]:
        area = (
            "A classifier that sees an object with its partner and event tells the other sample "
            f"from the reference with AUC {_area(other['area'])}, real events from real ones with "
            f"{_area(real['area'])}. "
        )
    yield Text(f"{area}Partners by {objects['through']}.", "")
    yield Heading(
        "Bins that differ by more than the tolerance and 2 sigma",
        "Tolerance 0.5 % for efficiency and objects without partner, 2 % for median response and "
        "half-width (half of the central 68 %). Sigma from a bootstrap of events. Worst: the "
        "largest difference less 2 sigma.",
        3,
    )
    yield _figures_table(name, other["verdicts"], real["verdicts"])
    yield Heading(
        "One column at a time",
        "W1: Wasserstein-1 distance in standard deviations of the reference; KS: largest distance "
        "of the distribution functions. The columns that exceed real events most come first.",
        3,
    )
    yield _distances_table(name, other, real)
    yield from _cuts_with_real(name, other["cuts"], real["cuts"])
    yield Heading(
        "Drawings",
        "Steps: reference. Points: the other sample. Where several parts are drawn each has its "
        "colour. The grey band of a ratio is the tolerance and 2 sigma, for histograms the "
        "statistical uncertainty of the reference. A drawing that is clicked fills the window.",
        3,
    )
    figures = [*_curves(other["curves"]), *map(_spectrum, other["spectra"])]
    yield Cards([[figure] for figure in figures])


def _cuts_with_real(
    name: str, cuts: Sequence[_Content], real: Sequence[_Content]
) -> Iterator[Block]:
    if not cuts:
        return
    columns = _PASSING | {"Real": "real_passing", "Other real": "real_other_passing"}
    rows = [
        {**cut, **_passing(cut), **_passing(best, "real_")}
        for cut, best in zip(cuts, real, strict=True)
    ]
    yield Heading("Cuts", "Shares that pass, with their standard deviations by event.", 3)
    yield TableBlock(f"{name}-cuts", columns, rows, part="")


def _figures_table(
    name: str, verdicts: Sequence[_Content], real: Sequence[_Content]
) -> TableBlock:
    best = {(v["quantity"], v["grid"]): v for v in real}
    rows = []
    for verdict in verdicts:
        least = best.get((verdict["quantity"], verdict["grid"]))
        numbers = {
            "of_bins": (verdict["beyond"], verdict["bins"]),
            "real": least and (least["beyond"], least["bins"]),
            "real_worst": least and least["worst"],
        }
        rows.append({**verdict, **numbers})
    columns = {
        "Figure": "quantity",
        "Against": "grid",
        "Beyond": "of_bins",
        "Worst": "worst",
        "Real beyond": "real",
        "Real worst": "real_worst",
        "Too few rows": "left_out",
    }
    forms = {"worst": _share, "real_worst": _share, "of_bins": _of_bins, "real": _of_bins}
    part = "part of a figure's name"
    return TableBlock(f"{name}-figures", columns, rows, forms, "beyond", part=part)


def _of_bins(pair: Any) -> str:
    return "–" if pair is None else f"{pair[0]} of {pair[1]}"


def _share(value: Any) -> str:
    return "–" if value is None else f"{100 * value:.2f} %".replace("-", "−")


def _distances_table(name: str, other: _Content, real: _Content) -> TableBlock:
    best = {d["column"]: d for d in (*real["columns"], *real["derived"])}
    rows = []
    for distance in (*other["columns"], *other["derived"]):
        least = best.get(distance["column"], {"w1": None, "ks": None})
        rows.append(distance | {"real_w1": least["w1"], "real_ks": least["ks"]})
    rows.sort(key=lambda row: (row["real_w1"] or 0.0) - row["w1"])
    columns = {
        "Column": "column",
        "W1": "w1",
        "Real W1": "real_w1",
        "KS": "ks",
        "Real KS": "real_ks",
    }
    return TableBlock(f"{name}-columns", columns, rows)


def _curves(curves: Sequence[_Content]) -> Iterator[Figure]:
    """Draw each figure, its parts together; figures without a bin are left out."""
    grids: dict[tuple[str, str], list[_Content]] = {}
    for curve in curves:
        if any(value is not None for value in curve["reference"]):
            grids.setdefault((curve["quantity"], curve["grid"]), []).append(curve)
    for (quantity, grid), parts in grids.items():
        words = f"{quantity.capitalize()} against {grid} in both samples"
        yield Figure(curves_png(parts), f"{words}, with their ratio below.")


def _spectrum(spectrum: _Content) -> Figure:
    edges, *numbers = (np.array(spectrum[name]) for name in NUMBERS)
    pairs = [(numbers[0], numbers[1]), (numbers[2], numbers[3])]
    return _overlay(edges, pairs, spectrum["column"])
