"""What a training would gain over quantise+pcodec, from a short one on part of the events, judged on events held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowtuple.assemble import with_flows
from flowtuple.codec.chunk import encode_chunk
from flowtuple.container.model import pack_flow
from flowtuple.prepare import Prepared, prepare
from flowtuple.progress import Progress, silent
from flowtuple.rivals.sizes import PCODEC, rival_bytes
from flowtuple.schema import Bound
from flowtuple.table import Dataset, Table

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
    dataset: Dataset, tolerance: Mapping[str, str | Bound], progress: Progress = silent, given: Iterable[str] = ()
) -> list[Forecast]:
    """The forecast for every table with events enough to hold some out.

    Args:
        dataset: The events.
        tolerance: Bound by column name or glob.
        progress: Told of each stage.
        given: Names or globs of columns that whoever reads will supply.

    Raises:
        InvalidArgument: A name, glob or bound is not what it should be.
        MissingExtra: PyTorch is not installed.
    """
    tables = prepare(dataset, tolerance, progress, given)
    return [_forecast(table, progress) for table in tables if table.source.num_entries >= LEAST_EVENTS]


def _forecast(table: Prepared, progress: Progress) -> Forecast:
    names, events = [c.name for c in table.source.columns], table.source.num_entries
    count = min(events, max(LEAST_EVENTS, _events_of(table, SAMPLE_VALUES)))
    edge = count - int(count * _HELD_OUT)
    sample, held = table.source.read(names, 0, edge), table.source.read(names, edge, count)
    trained = with_flows([replace(table, source=sample)], "fast", 0, progress)[0].coding
    scale = events / held.num_entries
    model = len(pack_flow(trained.flow, trained.columns)) if trained.flow.columns else 0
    stored = [c for c in held.columns if c.name not in trained.given]
    bounds = {name: lattice.bound for name, lattice in trained.lattices.items()}
    rival = rival_bytes(Table(held.name, tuple(stored), held.num_entries, held.data), bounds) if stored else {}
    return Forecast(
        table=table.source.name,
        events=events,
        trained_on=edge,
        judged_on=held.num_entries,
        flowtuple=model + len(encode_chunk(held, trained)) * scale,
        rival=sum(sizes[PCODEC] for sizes in rival.values()) * scale,
    )


def _events_of(table: Prepared, values: int) -> int:
    """How many events hold about so many values, by the first of them."""
    names = [c.name for c in table.source.columns if not c.is_opaque]
    first = table.source.read(names, 0, 1000)
    per_event = sum(first.data[n].size for n in names) / max(1, first.num_entries)
    return int(values / max(1.0, per_event))
