"""Rows of a published flow, made of a file such as NanoAOD: matched objects with their conditions.

The definitions are those of the prototype of FlashSim (github.com/francesco-vaselli/FlashSim,
`preprocessing/jets_extraction.C` and `muons_extraction.cpp`). An object has a row if it has a
generated partner. p_T and mass are given as ratios to the partner's, eta and phi as differences
to it. The nearest generated muons of a generated jet, and the nearest generated jet of a generated
muon, count within Delta R = 0.4; where there is none, Delta R, Delta eta and Delta phi are 0.5, and
p_T and mass are 0.

There are four differences. Generated muons are those of the final state (status 1); the prototype
takes all copies of a muon in the record. The second nearest muon is found wherever it stands in the
record; the prototype finds it only before the nearest one. The charge of a generated muon has its
sign; there it has that of the particle number. Objects without an index are matched by Delta R.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column, infer_role
from flowtuple.data.table import Dataset, LeftOut, Table, TableSource, concatenate, ranges
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.flows.matched_objects import MatchedObjects
from flowtuple.flows.preset_sources import Part, Sources
from flowtuple.flows.presets import FlowPreset
from flowtuple.runtime.progress import Progress, silent

_EVENTS = 10_000  # read at a time
_COPIED = ("run", "luminosityBlock", "event", "genWeight")
_EVENTS_TREE = "Events"


@dataclass(frozen=True, eq=False)
class MadeRows:
    """Rows of a preset, as events with a list of objects each.

    Attributes:
        table: The events, with columns of the preset, numbers of the events, and weights.
        preset: The preset, with those of its columns that are there.
        objects: Reconstructed objects of the input.
        rows: Objects that have a row.
        dropped: Numbers of objects without one, by reason in words.
        left_out: Columns of the preset that the input has no branches for.
    """

    table: Table
    preset: FlowPreset
    objects: int
    rows: int
    dropped: dict[str, int]
    left_out: tuple[LeftOut, ...]


def make_rows(
    dataset: Dataset,
    name: str,
    preset: FlowPreset,
    *,
    available: bool = False,
    by_distance: bool = False,
    extra: Sequence[str] = (),
    progress: Progress = silent,
) -> MadeRows:
    """Make the rows of a preset from generated and reconstructed objects.

    Args:
        dataset: A file with a tree `Events`, or with one tree.
        name: Name of the preset.
        preset: Its columns.
        available: Make the columns whose branches are there, and leave out the others.
        by_distance: Match by Delta R < 0.4 even where the file has an index.
        extra: Columns of events to copy, such as weights.
        progress: Called after each range of events.

    Raises:
        InvalidArgument: A branch or a column to copy is absent, or the branches of a collection
            differ in lengths.
    """
    where = dataset.description
    source = events_table(dataset)
    sources = Sources.of(_object_of(preset), source, by_distance)
    names = (*preset.columns, *preset.given)
    _check_extra(extra, source, where)
    absent = sources.check(names, name, where, available=available)
    left_out = tuple(
        LeftOut(f"{source.name}/{column}", f"no branch {', '.join(branches)}")
        for column, branches in absent.items()
    )
    maker = _Maker(
        where,
        sources,
        {n: sources.part(n) for n in names if n not in absent},
        tuple(
            c.name
            for c in source.columns
            if c.name in (*_COPIED, *extra) and c.is_event_number
        ),
    )
    parts = [maker.make(source.read(maker.branches, 0, 0))]
    for start, stop in ranges(source.num_entries, _EVENTS):
        parts.append(maker.make(source.read(maker.branches, start, stop)))
        progress("make columns", stop / source.num_entries, "")
    table = concatenate(parts)
    counts = maker.counts
    return MadeRows(
        table,
        preset.only([n for n in names if n not in absent]),
        counts.pop("objects"),
        counts.pop("rows"),
        {reason: count for reason, count in counts.items() if count},
        left_out,
    )


def _check_extra(extra: Sequence[str], source: TableSource, where: str) -> None:
    """Raise if a column to copy is absent, or is none of events."""
    numbers = [c.name for c in source.columns if c.is_event_number]
    for name in extra:
        if name not in numbers:
            raise InvalidArgument(
                f"{where}: there is no column {name!r} with one number for each event, which is "
                f"to be copied; {nearest(name, numbers)}"
            )


def events_table(dataset: Dataset) -> TableSource:
    """Return the table `Events` of a file such as NanoAOD, or else the only one."""
    return dataset.tables.get(_EVENTS_TREE) or dataset.only_table()


def _object_of(preset: FlowPreset) -> str:
    """Return the collection of the targets, `Jet` or `Muon`."""
    return preset.columns[0].partition("_")[0]


class _Maker:
    """The columns to make, and the objects that were counted while they were made.

    Args:
        where: Name of the input in messages.
        sources: Collections of the input.
        parts: How each column is made.
        copied: Columns of events to copy.
    """

    def __init__(
        self,
        where: str,
        sources: Sources,
        parts: dict[str, Part],
        copied: Sequence[str],
    ) -> None:
        self.where = where
        self.sources = sources
        self.parts = parts
        self.copied = copied
        read = [n for part in parts.values() for n in part.branches]
        self.branches = list(dict.fromkeys((*copied, *sources.matching, *read)))
        self.counts: Counter[str] = Counter(objects=0, rows=0)

    def make(self, events: Table) -> Table:
        """Return the rows of a range of events."""
        pairs = MatchedObjects(self.where, events, self.sources)
        columns = {name: pairs.column(part) for name, part in self.parts.items()}
        finite = np.ones(len(pairs.own), bool)
        for name, values in columns.items():
            if self.parts[name].kind != "event":
                finite &= np.isfinite(values)
            else:
                finite &= np.isfinite(values)[pairs.event]
        self.counts.update(pairs.counts)
        self.counts["NaN or an infinity"] += int((~finite).sum())
        self.counts["rows"] += int(finite.sum())
        return self._table(events, pairs, columns, finite)

    def _table(
        self, events: Table, pairs: MatchedObjects, columns: dict[str, Array], keep: Array
    ) -> Table:
        counter = f"n{self.sources.objects}"
        number = np.bincount(pairs.event[keep], minlength=events.num_entries)
        schema = [events.column(name) for name in self.copied]
        data = {name: events[name] for name in self.copied}
        data[counter] = number.astype(np.int32)
        schema.append(Column(counter, "int32", "counter"))
        for name, values in columns.items():
            counted = self.parts[name].kind != "event"
            data[name] = values[keep] if counted else values
            dtype = str(values.dtype)
            role, of = infer_role(name, dtype), counter if counted else None
            schema.append(Column(name, dtype, role, self._title(name), of))
        return Table(events.name, tuple(schema), events.num_entries, data)

    def _title(self, name: str) -> str:
        """Return the title of a column's branch if it is copied, else none."""
        part = self.parts[name]
        copied = part.kind in ("own", "partner", "event")
        return self.sources.columns[part.branches[0]].title if copied else ""
