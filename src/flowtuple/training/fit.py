"""Flows for tables that have none: events to learn from, relations between columns, training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flowtuple.data.event_weights import Weighting, check_sum
from flowtuple.data.memory import TRAINING, entries_within
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Array
from flowtuple.data.table import TableSource, concatenate, ranges
from flowtuple.lattice.network import probe
from flowtuple.runtime.extras import require
from flowtuple.training.choose import choose
from flowtuple.training.lattices import SCAN_STEP, ResolvedTable
from flowtuple.training.plan import MIN_ROWS, make_plan
from flowtuple.training.relations import find_predictions

TRAINING_BLOCKS = (
    64  # blocks of at most SCAN_STEP events, spread evenly over a long table
)


def with_flows(
    tables: list[ResolvedTable],
    effort: str,
    seed: int,
    resources: Resources,
    *,
    complete: bool = False,
    weightings: Mapping[str, Weighting] | None = None,
) -> list[ResolvedTable]:
    """Return the tables with flows: relations, and trained networks where rows are enough.

    PyTorch is imported only if there is something to train.

    Args:
        tables: The tables.
        effort: `fast`, `default` or `best`.
        seed: Equal seeds give equal flows.
        resources: What the training may use. It takes evenly spread blocks of a table that is
            longer than the memory allows.
        complete: Give every column but ids a density, as drawing and scoring need, even where
            it saves no bytes.
        weightings: Event weights, by table.
    """
    probe()
    trained = []
    for table in tables:
        coding, source = table.coding, table.source
        names = [c.name for c in coding.columns if not c.is_opaque]
        blocks = _training_blocks(source, names, resources.memory // TRAINING)
        events = concatenate([source.read(names, start, stop) for start, stop in blocks])
        weighting = (weightings or {}).get(source.name)
        weight = None if weighting is None else _weights(weighting, blocks)
        predictions = find_predictions(
            events,
            coding.lattices,
            coding.external,
            whole_events=complete and not coding.external,
        )
        if complete or max((v.size for v in events.data.values()), default=0) >= MIN_ROWS:
            flow = _trainer()(
                events,
                coding,
                predictions,
                effort,
                seed,
                resources,
                complete=complete,
                weight=weight,
            )
        else:
            flow = choose(
                make_plan(events, coding.lattices, predictions, coding.external), {}
            )
        trained.append(replace(table, coding=replace(coding, flow=flow)))
    return trained


def _trainer() -> Any:
    require("torch", "train", "training a flow")
    from flowtuple.training.train import train_flow

    return train_flow


def _training_blocks(
    source: TableSource, names: list[str], nbytes: int
) -> list[tuple[int, int]]:
    """Return ranges of events: the whole table, or evenly spread blocks of about `nbytes`."""
    size = source.num_entries
    if size > SCAN_STEP:
        within = entries_within(source, names, nbytes, size)
        size = min(SCAN_STEP, -(-within // TRAINING_BLOCKS))
    blocks = list(ranges(source.num_entries, max(size, 1)))
    return blocks[:: max(1, -(-len(blocks) // TRAINING_BLOCKS))] or [(0, 0)]


def _weights(weighting: Weighting, blocks: list[tuple[int, int]]) -> Array:
    """Return the weights of the events in the blocks.

    Raises:
        InvalidArgument: Their sum is not positive.
    """
    weight = np.concatenate([weighting.read(start, stop) for start, stop in blocks])
    check_sum(weight, weighting.where, weighting.column or "mix")
    return weight
