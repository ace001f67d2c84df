"""Summary of a trained model for its page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Dataset, Table
from flowtuple.file.file import File
from flowtuple.file.model import pack_column
from flowtuple.lattice.context import Parent
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.score import Scores, score
from flowtuple.reporting.page import format_bytes
from flowtuple.reporting.training_page import Trained
from flowtuple.runtime.extras import require_torch

_EVENTS = 8192


def of_events(dataset: Dataset, model: File) -> Trained:
    """Summarise a lattice flow: parents and bits per value of each column.

    Args:
        dataset: The training sample.
        model: The model, open.

    Raises:
        InvalidArgument: The sample lacks a table or column of the model.
    """
    rows: list[list[Any]] = []
    alone: dict[str, tuple[float, float]] = {}
    counts = []
    for table_name, table in model.tables.items():
        source, coding = dataset.table(table_name), table.coding
        counts.append(f"{table_name}: {source.num_entries:,}")
        events = read_like(source, coding.columns, 0, min(_EVENTS, source.num_entries))
        scores = score(events, coding)
        numbers = {c.name: k for k, c in enumerate(coding.columns)}
        for name, flow in coding.flow.columns.items():
            label = f"{table_name}/{name}" if len(model.tables) > 1 else name
            bits, entropy = _bits(scores, name), _entropy(events, name, flow, coding)
            if bits is not None and entropy is not None:
                alone[label] = (entropy, bits)
            parents = ", ".join(_spelled(p) for p in flow.parents)
            size = len(pack_column(flow, numbers))
            rows.append([label, _kind(flow), parents, bits, entropy, size])
    facts = {
        "events": ", ".join(counts),
        "flow": "lattice",
        "effort": str(model.meta["provenance"]["effort"]),
        "file": format_bytes(model.size),
    }
    about = (
        f"Bits per value over the first {_EVENTS:,} events of the training sample; "
        "alone is the column's own distribution."
    )
    headings = ["Column", "Model", "Reads", "Bits", "Alone", "Bytes"]
    return Trained(dataset.description, model.path, facts, about, headings, rows, alone)


def _bits(scores: Scores, name: str) -> float | None:
    if name not in scores.columns:
        return None
    k = scores.columns.index(name)
    count = int(scores.values[:, k].sum())
    return float(scores.bits[:, k].sum()) / count if count else None


def _entropy(events: Table, name: str, flow: ColumnFlow, coding: TableCoding) -> float | None:
    """Return the entropy of a column's own distribution over its bins, in bits per value."""
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
    residual = "residual of a prediction, " if flow.residual else ""
    return f"{residual}network {widths}" if flow.parents else f"{residual}frequencies"


def _spelled(parent: Parent) -> str:
    if not parent.column:
        return str(parent.relation)
    return parent.column if parent.relation == "row" else f"{parent.relation} {parent.column}"


def of_rows(dataset: Dataset, path: str | os.PathLike[str]) -> Trained:
    """Summarise a flow over rows: its loss by epoch, and the preprocessing of each column.

    Raises:
        MissingExtra: PyTorch is not installed.
    """
    require_torch(f"reading {os.fspath(path)}")
    from flowtuple.flows.stored import load_model

    trained = load_model(path)
    rows, watched = [], trained.about.get("watched", [])
    last = watched[-1][1] if watched else {}
    measures = list(dict.fromkeys(name.partition("/")[0] for name in last))
    for name, dtype, chain in zip(
        trained.columns, trained.dtypes, trained.chains, strict=True
    ):
        steps = ", ".join(type(step).__name__.lower() for step in chain.transforms)
        rows.append(
            [name, dtype, steps, *(last.get(f"{measure}/{name}") for measure in measures)]
        )
    facts = {
        "rows": f"{trained.about['rows']:,}",
        "flow": trained.kind,
        "best epoch": f"{trained.about['best_epoch']} of {len(trained.about['history'])}",
        "schedule": str(trained.about["training"]["schedule"]),
        "file": format_bytes(Path(path).stat().st_size),
    } | ({"given": ", ".join(trained.context.columns)} if trained.context.columns else {})
    headings = ["Column", "Type", "Transforms", *map(str.capitalize, measures)]
    about = "Transforms are fitted once and stored with the model."
    if watched:
        about += (
            f" Distances between rows drawn after epoch {watched[-1][0]} and rows held out,"
            " in standard deviations."
        )
    history = trained.about["history"]
    return Trained(
        dataset.description,
        os.fspath(path),
        facts,
        about,
        headings,
        rows,
        {},
        history,
        watched,
    )
