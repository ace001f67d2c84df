"""What a training would gain over quantise+pcodec, from a short one on part of the events, judged on events held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowtuple.baseline.sizes import PCODEC, baseline_bytes
from flowtuple.codec.chunk import encode_chunk
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.data.table import Dataset
from flowtuple.file.model import pack_flow
from flowtuple.lattice.lattice import resolve_std
from flowtuple.lattice.statistics import Statistics
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import chunks

SAMPLE_VALUES = 2_000_000  # about a minute of training at effort fast on two cores
LEAST_EVENTS = 200
_HELD_OUT = 0.25


@dataclass(frozen=True)
class Forecast:
    """Predicted bytes of one table.

    Attributes:
        table: Its name.
        events: Of the whole table.
        trained_on: Events of the short training.
        judged_on: Events held out from it.
        flowtuple: Bytes predicted for the whole table, model included.
        rival: Bytes predicted for quantise+pcodec.
    """

    table: str
    events: int
    trained_on: int
    judged_on: int
    flowtuple: float
    rival: float

    @property
    def ratio(self) -> float:
        return self.flowtuple / self.rival if self.rival else 1.0

    def to_json(self) -> dict[str, Any]:
        """All figures, the ratio among them."""
        return vars(self) | {"ratio": self.ratio}


def forecast(
    dataset: Dataset, tolerance: Mapping[str, str | Bound], progress: Progress = silent
) -> list[Forecast]:
    """The forecast for every table with events enough to hold some out.

    Args:
        dataset: The events.
        tolerance: Bound by column name or glob.
        progress: Told of each stage.

    Raises:
        InvalidArgument: A name, glob or bound is not what it should be.
        MissingExtra: PyTorch is not installed.
    """
    tables = resolve_tables(dataset, tolerance, progress)
    return [
        _forecast(table, progress) for table in tables if table.source.num_entries >= LEAST_EVENTS
    ]


def _forecast(table: ResolvedTable, progress: Progress) -> Forecast:
    names, events = [c.name for c in table.source.columns], table.source.num_entries
    count = min(events, max(LEAST_EVENTS, _events_of(table, SAMPLE_VALUES)))
    edge = count - int(count * _HELD_OUT)
    sample, held = table.source.read(names, 0, edge), table.source.read(names, edge, count)
    trained = with_flows([replace(table, source=sample)], "fast", 0, progress)[0].coding
    scale = events / held.num_entries
    model = len(pack_flow(trained.flow, trained.columns)) if trained.flow.columns else 0
    rival = baseline_bytes(
        held, {name: _asked(bound, held.data[name]) for name, bound in table.bounds.items()}
    )
    return Forecast(
        table=table.source.name,
        events=events,
        trained_on=edge,
        judged_on=held.num_entries,
        flowtuple=model + sum(len(encode_chunk(chunk, trained)) for chunk in chunks(held)) * scale,
        rival=sum(sizes[PCODEC] for sizes in rival.values()) * scale,
    )


def _asked(bound: Bound, values: Array) -> Bound:
    """A bound as it was asked for, `std` resolved: the rival knows nothing of grids that columns share."""
    statistics = Statistics(values.dtype.name)
    statistics.update(values.reshape(-1))
    return resolve_std(bound, statistics)


def _events_of(table: ResolvedTable, values: int) -> int:
    """How many events hold about so many values, by the first of them."""
    names = [c.name for c in table.source.columns if not c.is_opaque]
    first = table.source.read(names, 0, 1000)
    per_event = sum(first.data[n].size for n in names) / max(1, first.num_entries)
    return int(values / max(1.0, per_event))
