"""Flows for tables that have none yet: events to learn from, relations between columns, training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.codec.column import TableCoding
from flowtuple.data.event_weights import Weighting
from flowtuple.data.memory import TRAINING, entries_within
from flowtuple.data.schema import Array
from flowtuple.data.table import TableSource, concatenate, ranges
from flowtuple.errors import InvalidArgument, MissingExtra
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.network import probe
from flowtuple.runtime.resources import Resources
from flowtuple.training.lattices import SCAN_STEP, ResolvedTables

TRAINING_BLOCKS = (
    64  # blocks of at most SCAN_STEP events that training reads at most, spread evenly
)


def with_flows(
    prepared: list[ResolvedTables],
    effort: str,
    seed: int,
    resources: Resources,
    *,
    complete: bool = False,
    weightings: Mapping[str, Weighting] | None = None,
) -> list[ResolvedTables]:
    """Find relations, and train where there is enough to learn from; PyTorch is loaded only then.

    Args:
        prepared: The tables.
        effort: `fast`, `default` or `best`.
        seed: Equal seeds give equal flows.
        resources: What the training may use; on long tables a part is trained that fits into memory.
        complete: Give every column but ids a density, as drawing and scoring need, also where that gains no bytes.
        weightings: What events count for, by table.
    """
    probe()
    flows = [
        _flow(
            table,
            effort,
            seed,
            resources,
            complete,
            (weightings or {}).get(table.source.name),
        )
        for table in prepared
    ]
    return [
        replace(table, coding=replace(table.coding, flow=flow))
        for table, flow in zip(prepared, flows, strict=True)
    ]


def _flow(
    table: ResolvedTables,
    effort: str,
    seed: int,
    resources: Resources,
    complete: bool,
    weighting: Weighting | None,
) -> LatticeFlow:
    from flowtuple.training.checkpoint import Checkpoint
    from flowtuple.training.choose import choose
    from flowtuple.training.plan import MIN_ROWS, make_plan
    from flowtuple.training.relations import find_predictions

    coding = table.coding
    blocks = _training_blocks(table.source, coding, resources.memory // TRAINING)
    names = [c.name for c in coding.columns if not c.is_opaque]
    sample = concatenate([table.source.read(names, start, stop) for start, stop in blocks])
    weight = None if weighting is None else _weights(weighting, blocks, table.source.name)
    predictions = find_predictions(sample, coding.lattices, coding.given)
    if not complete and max((v.size for v in sample.data.values()), default=0) < MIN_ROWS:
        return choose(make_plan(sample, coding.lattices, predictions, coding.given), {})
    stage = f"train {table.source.name}"

    def report(share: float, bits: float) -> None:
        resources.progress(
            stage, share, f"{bits:.3f} bits per value" if math.isfinite(bits) else ""
        )

    folder = resources.checkpoint
    parts = None if folder is None else Checkpoint(Path(folder))
    flow: LatticeFlow = _trainer()(
        sample,
        coding,
        predictions,
        effort,
        seed,
        report,
        parts,
        resources.workers,
        complete=complete,
        weight=weight,
    )
    resources.progress(stage, 1.0, "")
    return flow


def _trainer() -> Any:
    try:
        from flowtuple.training.train import train_flow
    except ImportError as error:
        if error.name == "torch":
            raise MissingExtra("train", "training a flow") from None
        raise
    return train_flow


def _training_blocks(
    source: TableSource, coding: TableCoding, nbytes: int
) -> list[tuple[int, int]]:
    """All events, or blocks of them spread evenly where their columns of numbers take more bytes."""
    names = [c.name for c in coding.columns if not c.is_opaque]
    size = min(
        SCAN_STEP,
        -(-entries_within(source, names, nbytes, source.num_entries or 1) // TRAINING_BLOCKS),
    )
    size = max(size, min(SCAN_STEP, source.num_entries) if source.num_entries <= SCAN_STEP else 1)
    blocks = list(ranges(source.num_entries, size))
    return blocks[:: max(1, -(-len(blocks) // TRAINING_BLOCKS))] or [(0, 0)]


def _weights(weighting: Weighting, blocks: list[tuple[int, int]], table: str) -> Array:
    """What the events of the blocks count for.

    Raises:
        InvalidArgument: Together they count for nothing.
    """
    weight = np.concatenate([weighting.read(start, stop) for start, stop in blocks])
    if not weight.sum() > 0:
        raise InvalidArgument(
            f"table {table!r}: the weights sum to {weight.sum():g}; a density needs more than 0"
        )
    return weight
