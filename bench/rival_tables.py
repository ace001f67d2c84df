"""Tables of the figures of rivals in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rival_methods import METHODS
from rival_samples import MOST

Cells = Mapping[str, Mapping[str, Any]]
"""Figures by `sample/method`; `missing` or `failed` says why there are none."""

ROWS = (
    "AUC of rows",
    "with relations",
    "nearer to training",
    "equal to a training row",
    "CPU s, training",
    "CPU s, 10,000 rows",
    "model bytes",
)
EVENTS = (
    "AUC of events",
    "two within 0.5",
    "missing H_T: W1",
    "mass: W1",
    "AUC of jets",
    "nearer to training",
    "CPU s, training",
    "CPU s, 10,000 events",
)
LABELS = {name: method.label for name, method in METHODS.items()} | {
    "true": "true rows of the training"
}
EVENT_LABELS = {
    "lattice": "lattice flow, whole events",
    "padded": f"leaf-donor trees, leading {MOST} jets side by side",
    **{f"{name}": f"{m.label}: jets" for name, m in METHODS.items() if name != "lattice"},
    "dealt": "true jets dealt at random",
    "true": "true events of the training",
}
KEYS = {
    "AUC of trees on numbers of each event": "Jet: AUC of events",
    "two jets within 0.5": "Jet: share of events with two within 0.5",
    "missing H_T: W1 in standard deviations": "Jet: W1 of missing H_T",
    "correlation of missing H_T with the leading p_T": "Jet: missing H_T with leading p_T",
    "ln H_T: W1": "Jet: W1 of ln H_T",
    "mass of the leading two: W1": "Jet: W1 of mass 01",
    "Delta eta of the leading two: W1": "Jet: W1 of delta eta 01",
    "number of jets: W1": "Jet: W1 of n",
    "jets whose count of a kind contradicts its energy": (
        "Jet: share whose count contradicts an energy"
    ),
    "AUC of jets": "Jet: AUC of rows",
    "jets nearer to a training jet than to one held out": (
        "Jet: share of rows nearest to a training row"
    ),
    "events equal to one of the training": "events: share equal to one of the training",
    "AUC on numbers of all collections, MET and flags": (
        "all collections and event columns: AUC of events"
    ),
    "AUC of muons": "Muon: AUC of rows",
    "missing H_T of muons: W1": "Muon: W1 of missing H_T",
    "mass of opposite muons: W1": "Muon: W1 of the mass of opposite pairs",
    "HLT_Jet60 against Jet_pt > 60": "HLT_Jet60=Jet_pt>60: share of events against it",
    "HLT_Jet100 against Jet_pt > 100": "HLT_Jet100=Jet_pt>100: share of events against it",
}
"""Lines of the table of the lattice flow, and the figures that they show."""

SHARES = ("share of events", "share whose", "share equal")


def tables(cells: Cells) -> Iterator[str]:
    """Yield the lines of all tables of which there are figures."""
    for sample, title in (("higgs", "HIGGS, rows"), ("jets", "jets24, jets as rows")):
        if any(name.startswith(f"{sample}/") for name in cells):
            yield from ("", f"{title}", "")
            yield from table(cells, sample, LABELS, ROWS, row_cells)
    if any(name.startswith("events/") for name in cells):
        yield from ("", "jets24, whole events", "")
        yield from table(cells, "events", EVENT_LABELS, EVENTS, event_cells)
        yield from ("", "jets24, whole events of the lattice flow", "")
        yield from lattice_lines(cells)


def table(
    cells: Cells, sample: str, labels: Mapping[str, str], head: tuple[str, ...], show: Any
) -> Iterator[str]:
    """Yield the lines of the table of one sample; a method without figures says why."""
    yield f"| | {' | '.join(head)} |"
    yield f"|---|{'---:|' * len(head)}"
    for name, label in labels.items():
        cell = cells.get(f"{sample}/{name}")
        if cell is None:
            continue
        why = cell.get("missing") or cell.get("failed")
        texts = [why, *[""] * (len(head) - 1)] if why else show(cells, name, cell)
        yield f"| {label} | {' | '.join(texts)} |"


def row_cells(cells: Cells, name: str, cell: Mapping[str, Any]) -> list[str]:
    """Return the figures of a method of rows as text."""
    return [
        f"{cell['auc']:.3f}",
        f"{cell['auc with relations']:.3f}",
        f"{cell['nearer']:.3f}",
        f"{100 * cell['identical']:.2f} %",
        *costs(cell),
        f"{cell['bytes']}" if "bytes" in cell else "",
    ]


def event_cells(cells: Cells, name: str, cell: Mapping[str, Any]) -> list[str]:
    """Return the figures of a method of events as text; jets cost what their rows cost."""
    figures = cell["figures"]
    return [
        f"{figures['Jet: AUC of events']:.3f}",
        f"{100 * figures['Jet: share of events with two within 0.5']:.2f} %",
        f"{figures['Jet: W1 of missing H_T']:.3f}",
        f"{figures['Jet: W1 of mass 01']:.3f}",
        f"{figures['Jet: AUC of rows']:.3f}",
        f"{figures['Jet: share of rows nearest to a training row']:.3f}",
        *costs(cell),
    ]


def costs(cell: Mapping[str, Any]) -> list[str]:
    """Return CPU seconds of training and drawing as text."""
    return [f"{cell[k]:.3g}" if k in cell else "" for k in ("training", "drawing")]


def lattice_lines(cells: Cells) -> Iterator[str]:
    """Yield the table of the lattice flows of whole events, next to true ones."""
    names = ("lattice", "true", "lattice-all", "true-all")
    shown = [cells.get(f"events/{name}", {}) for name in names]
    yield "| | `Jet_*` | true | `Jet_*`, `Muon_*`, `MET_*`, `HLT_*` | true |"
    yield "|---|---:|---:|---:|---:|"
    for label, key in KEYS.items():
        values = [cell.get("figures", {}).get(key) for cell in shown]
        if any(value is not None for value in values):
            yield line(label, values, is_share=any(word in key for word in SHARES))
    rules = [
        next(iter(cell.get(kind, {}).values()), None)
        for cell in shown[::2]
        for kind in ("rules", "true rules")
    ]
    yield line("events against rules, sum over rules", rules, is_share=True)
    for label, key, form in (
        ("bits an event of the judge", "bits", ".1f"),
        ("share of candidates that are accepted", "accepted", ".2f"),
        ("CPU s, training", "training", ".0f"),
        ("CPU s, drawing 10,000 events", "drawing", ".1f"),
        ("model bytes", "bytes", "d"),
    ):
        texts = [format(cell[key], form) if key in cell else "" for cell in shown]
        yield f"| {label} | {' | '.join(texts)} |"


def line(label: str, values: list[float | None], *, is_share: bool) -> str:
    """Return a line of figures; shares are per cent."""
    texts = [
        "" if v is None else f"{100 * v:.2f} %" if is_share else f"{v:.3f}"
        for v in values
    ]
    return f"| {label} | {' | '.join(texts)} |"
