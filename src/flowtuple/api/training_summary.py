"""What a training came to, gathered for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Table
from flowtuple.file.model import pack_column
from flowtuple.lattice.context import Parent
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.score import Scores, score
from flowtuple.reporting.page import format_bytes
from flowtuple.reporting.training_page import Trained
from flowtuple.training.lattices import ResolvedTable

if TYPE_CHECKING:
    from flowtuple.flows.model import RowModel

_EVENTS = 8192


def of_events(
    source: str, model: str, nbytes: int, effort: str, prepared: Sequence[ResolvedTable]
) -> Trained:
    """A lattice flow: what each column reads, and its bits per value over the first events."""
    rows, alone = [], {}
    several = len(prepared) > 1
    for table in prepared:
        coding = table.coding
        events = read_like(table.source, coding.columns, 0, min(_EVENTS, table.source.num_entries))
        found = score(events, coding)
        numbers = {c.name: k for k, c in enumerate(coding.columns)}
        for name, flow in coding.flow.columns.items():
            label = f"{table.source.name}/{name}" if several else name
            bits = _bits(found, name)
            by_itself = _alone(events, name, flow, coding)
            if bits is not None and by_itself is not None:
                alone[label] = (by_itself, bits)
            parents = ", ".join(_spelled(p) for p in flow.parents)
            rows.append(
                [label, _kind(flow), parents, bits, by_itself, len(pack_column(flow, numbers))]
            )
    facts = {
        "events": ", ".join(f"{p.source.name}: {p.source.num_entries:,}" for p in prepared),
        "flow": "lattice",
        "effort": effort,
        "file": format_bytes(nbytes),
    }
    about = (
        f"Bits per value over the first {_EVENTS:,} events of the training sample; "
        "alone is the column's own distribution."
    )
    headings = [("Column", 1), ("Model", 1), ("Reads", 1), ("Bits", 0), ("Alone", 0), ("Bytes", 0)]
    return Trained(source, model, facts, about, headings, rows, alone)


def _bits(found: Scores, name: str) -> float | None:
    if name not in found.columns:
        return None
    k = found.columns.index(name)
    count = int(found.values[:, k].sum())
    return float(found.bits[:, k].sum()) / count if count else None


def _alone(events: Table, name: str, flow: ColumnFlow, coding: TableCoding) -> float | None:
    """Entropy of the column's bins, and the places within them."""
    if flow.network is None or flow.residual:
        return None
    symbols = flow.bins.symbol(coding.lattices[name].encode(events.data[name].reshape(-1)))
    if not len(symbols):
        return None
    share = np.bincount(symbols, minlength=flow.bins.symbols) / len(symbols)
    widths = np.log2(flow.bins.spans.astype(np.float64) + 1)
    seen = share > 0
    return float((share[seen] * (widths[seen] - np.log2(share[seen]))).sum())


def _kind(flow: ColumnFlow) -> str:
    if flow.network is None:
        return "follows from others" if flow.prediction else "none"
    widths = " x ".join(str(len(layer.shifts)) for layer in flow.network.layers)
    told = "residual of a prediction, " if flow.residual else ""
    return f"{told}network {widths}" if flow.parents else f"{told}frequencies"


def _spelled(parent: Parent) -> str:
    if not parent.column:
        return str(parent.relation)
    return parent.column if parent.relation == "row" else f"{parent.relation} {parent.column}"


def of_rows(source: str, model: str, nbytes: int, trained: RowModel) -> Trained:
    """A flow over rows: how its loss fell, and the preprocessing of each column."""
    rows, watched = [], trained.about.get("watched", [])
    measures = list(
        dict.fromkeys(name.partition("/")[0] for _, found in watched[-1:] for name in found)
    )
    for name, dtype, chain in zip(trained.columns, trained.dtypes, trained.chains, strict=True):
        steps = ", ".join(type(step).__name__.lower() for step in chain.transforms)
        rows.append(
            [name, dtype, steps, *(watched[-1][1].get(f"{measure}/{name}") for measure in measures)]
        )
    facts = {
        "rows": f"{trained.about['rows']:,}",
        "flow": trained.kind,
        "best epoch": f"{trained.about['best_epoch']} of {len(trained.about['history'])}",
        "schedule": str(trained.about["training"]["schedule"]),
        "file": format_bytes(nbytes),
    } | ({"given": ", ".join(trained.given.columns)} if trained.given.columns else {})
    headings = [
        ("Column", 1),
        ("Type", 1),
        ("Transforms", 1),
        *((measure.capitalize(), 0) for measure in measures),
    ]
    about = "Transforms are fitted once and stored with the model."
    if watched:
        about += f" Distances between rows drawn after epoch {watched[-1][0]} and rows held out, in standard deviations."
    return Trained(
        source, model, facts, about, headings, rows, {}, trained.about["history"], watched
    )
