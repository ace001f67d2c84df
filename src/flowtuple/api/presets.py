"""Rows of published flows, made of NanoAOD and like files: what `train_flow` learns from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flowtuple.api.inputs import FilePath, Weighted
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.flows.preset_rows import MadeRows, make_rows
from flowtuple.flows.presets import FlowPreset, flow_preset
from flowtuple.io.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.notebook import Shown


@dataclass(frozen=True, eq=False, repr=False)
class PresetRows(Shown):
    """Rows of a published flow, as events with a list of objects each.

    Attributes:
        source: Name of the input.
        preset: The preset, with those of its columns that are there.
        objects: Reconstructed objects of the input.
        rows: Objects that have a row.
        dropped: Numbers of objects without one, by reason in words.
        left_out: Columns of the preset that the input has no branches for.
        made: The rows as a table.

    Example:
        >>> import flowtuple as ft
        >>> events = {"Muon_pt": [[21.0]], "Muon_genMuonIdx": [[0]], "GenMuon_pt": [[20.0]]}
        >>> rows = ft.preset_rows(events, "flashsim-muons", available=True)
        >>> rows.preset.columns, rows.preset.given, rows.rows
        (('Muon_ptRatio',), ('GenMuon_pt',), 1)
    """

    source: str
    preset: FlowPreset
    objects: int
    rows: int
    dropped: dict[str, int]
    left_out: tuple[LeftOut, ...]
    made: MadeRows

    @cached_property
    def events(self) -> ak.Array:
        """The rows as records, one for each event."""
        return table_to_awkward(self.made.table)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on objects without a row, and on columns that are left out."""
        kind = "muons" if self.preset.columns[0].startswith("Muon") else "jets"
        notes = [
            f"{count} of {self.objects} {kind} have no row: {reason}"
            for reason, count in self.dropped.items()
        ]
        if self.left_out:
            names = (part.name.rpartition("/")[2] for part in self.left_out)
            notes.append(f"left out for want of branches: {', '.join(names)}")
        return tuple(f"{self.source}: {note}" for note in notes)

    def facts(self) -> dict[str, object]:
        """Return numbers of objects, rows and columns."""
        return {
            "source": self.source,
            "objects": self.objects,
            "rows": self.rows,
            "columns": len(self.preset.columns),
            "given": len(self.preset.given),
            **self.dropped,
        }

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with the numbers, and the names of the columns."""
        return {
            "source": self.source,
            "objects": self.objects,
            "rows": self.rows,
            "dropped": self.dropped,
            "columns": self.preset.columns,
            "given": self.preset.given,
            "left_out": self.left_out,
        }


def preset_rows(
    source: Source,
    preset: str,
    output: FilePath | None = None,
    *,
    available: bool = False,
    by_distance: bool = False,
    extra: Iterable[str] = (),
    options: WriteOptions | None = None,
    resources: Resources = Resources(),
) -> PresetRows:
    """Make the rows of a published flow from the objects of a file such as NanoAOD.

    A row is a reconstructed object with a generated partner. Its columns are those of the preset:
    ratios and differences to the partner, and conditions such as the nearest generated muons.

    Args:
        source: A path, URL, list of paths or events in memory, with reconstructed and generated
            objects. Of several trees, `Events` is taken.
        preset: `flashsim-jets` or `flashsim-muons`.
        output: A path whose suffix names the format, to write the rows to.
        available: Make the columns whose branches are there, and leave out the others by name.
        by_distance: Match by Delta R < 0.4, one to one, even where the input has an index of
            partners, such as `Jet_genJetIdx`. Without an index that is done in any case.
        extra: Columns of events to copy, such as weights; numbers of the event and `genWeight`
            are copied in any case.
        options: For the output.
        resources: Progress.

    Returns:
        The rows, with what was dropped and left out.

    Raises:
        InvalidArgument: There is no such preset, or a branch is absent; the message names all of
            them.

    Example:
        >>> import flowtuple as ft
        >>> events = {"Jet_genJetIdx": [[0, -1], [0]], "Jet_pt": [[55.0, 20.0], [30.0]]}
        >>> events |= {"GenJet_pt": [[50.0], [40.0]], "GenJet_mass": [[5.0], [4.0]]}
        >>> rows = ft.preset_rows(events, "flashsim-jets", available=True)
        >>> rows.events["Jet_ptRatio"].to_list(), rows.dropped
        ([[1.100000023841858], [0.75]], {'no generated partner': 1})
    """
    published = flow_preset(preset)
    dataset = open_dataset(source)
    made = make_rows(
        dataset,
        preset,
        published,
        available=available,
        by_distance=by_distance,
        extra=tuple(extra),
        progress=resources.progress,
    )
    if output is not None:
        table = made.table
        name = dataset.description
        write_dataset(
            Dataset(name, {table.name: table}), output, options or WriteOptions()
        )
    return PresetRows(
        dataset.description,
        made.preset,
        made.objects,
        made.rows,
        made.dropped,
        made.left_out,
        made,
    )


def prepared_for(
    events: Weighted,
    preset: str,
    *,
    available: bool = False,
    resources: Resources = Resources(),
) -> tuple[Weighted, FlowPreset, tuple[str, ...]]:
    """Return events with the columns of a preset, which are made where the input has none of them.

    Args:
        events: The input.
        preset: Name of the preset.
        available: Leave out columns of the preset that the input lacks.
        resources: Progress.

    Returns:
        The events, the preset with the columns to learn, and sentences on what is left out.

    Raises:
        InvalidArgument: A branch is absent, or inputs whose rows are to be made have factors.
    """
    dataset, published = open_dataset(events.source), flow_preset(preset)
    columns = {c.name: c for table in dataset.tables.values() for c in table.columns}
    relative = [n for n in published.columns if n.endswith(("Ratio", "MinusGen"))]
    has_objects = any(c.counter is not None for c in columns.values())
    if not columns.keys().isdisjoint(relative) or not has_objects:
        return events, published.only(columns) if available else published, ()
    if events.mix:
        raise InvalidArgument(
            f"{dataset.description}: factors of files go with rows that are made; "
            "make those of each file with `preset_rows()` first"
        )
    extra = (events.weight,) if events.weight else ()
    rows = preset_rows(
        events.source, preset, available=available, extra=extra, resources=resources
    )
    return replace(events, source=rows.events), rows.preset, rows.notes
