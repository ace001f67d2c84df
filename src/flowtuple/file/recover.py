"""Recovery of the undamaged parts of a file into a new one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from flowtuple.data.resources import Resources
from flowtuple.data.selection import select
from flowtuple.data.table import (
    Dataset,
    LeftOut,
    Table,
    TableSource,
    concatenate,
    with_counters,
)
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.file.damage import Damage, DamagedFile, coded_by_flow
from flowtuple.file.description import Part, with_parts
from flowtuple.file.file import File
from flowtuple.file.merge import copy_chunk
from flowtuple.file.model import flags_of
from flowtuple.file.reader import SectionReader
from flowtuple.file.table import StoredChunk, StoredTable, no_events
from flowtuple.file.writer import Writer, create
from flowtuple.io.formats import output_suffixes
from flowtuple.io.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old

Lost = list[frozenset[str]]


@dataclass(frozen=True, repr=False)
class Recovered(Shown):
    """Result of a recovery.

    Attributes:
        path: Path of the new file.
        events: Numbers of recovered events and of events of the damaged file, by table.
        missing: Damaged parts that could not be recovered.
        left_out: Parts of the original that the damaged file did not contain, or that the format of
            the output cannot represent.

    Example:
        >>> import flowtuple as ft
        >>> ft.Recovered("saved.ftup", {"Events": (900, 1000)}, ())
        <Recovered: path saved.ftup, Events 900 of 1000 events, missing 0>
    """

    path: str
    events: dict[str, tuple[int, int]]
    missing: tuple[Damage, ...]
    left_out: tuple[LeftOut, ...] = ()

    def facts(self) -> dict[str, object]:
        """Return path, recovered events of each table, and the number of lost parts."""
        events = {
            name: f"{count} of {total} events"
            for name, (count, total) in self.events.items()
        }
        return {"path": self.path, **events, "missing": len(self.missing)}


@accepts_old(resources=Resources)
def recover(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    columns: Iterable[str] = (),
    given: Source | None = None,
    model: str | os.PathLike[str] | None = None,
    options: WriteOptions | None = None,
    resources: Resources = Resources(),
) -> Recovered:
    """Save all intact chunks of a damaged file.

    Args:
        path: Path or URL of the file.
        output: A new flowtuple file, into which chunks that are whole in all columns are copied
            bit by bit; or a path with the suffix of another format, into which those events are
            written of which all requested columns can be decoded.
        columns: For another format, globs of the columns to save; none means all that are not lost
            everywhere.
        given: Events with the external columns, if the file has any.
        model: Path of the model, if that in the file is damaged or the file refers to another.
        options: Options of another format.
        resources: Memory limit, and progress over the chunks.

    Returns:
        The recovered events by table, and the parts that are lost.

    Raises:
        Corrupt, Truncated: Not even the description can be read: nothing can be recovered.
        InvalidArgument: The model is damaged, and `model` is missing or another model; or `columns`
            are requested of a flowtuple file.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> done = ft.compress({"x": [1.0, 2.0]}, folder / "x.ftup")
        >>> ft.recover(folder / "x.ftup", folder / "saved.ftup").events
        {'events': (2, 2)}
    """
    other_format = os.fspath(output).lower().endswith(tuple(output_suffixes()))
    columns = tuple(columns)
    if (
        Path(output).exists()
        and "://" not in os.fspath(path)
        and Path(output).samefile(path)
    ):
        raise InvalidArgument(
            f"{output}: is the damaged file itself, of which more may be saved another time; "
            "write elsewhere"
        )
    if columns and not other_format:
        raise InvalidArgument(
            f"{output}: takes whole chunks of all columns; "
            "write OUT.root for some, or leave out `columns=`"
        )
    supplied = None if given is None else open_dataset(given)
    with DamagedFile(path, supplied, resources.progress, resources.memory) as damaged:
        models = _take_models(damaged, model)
        if other_format:
            missing = list(damaged.damage)
            lost = {
                n: list(_lost(damaged, t, missing)) for n, t in damaged.tables.items()
            }
            saved = _salvage(damaged, lost, columns)
            written = write_dataset(saved, output, options or WriteOptions())
            left_out = (*saved.left_out, *written.left_out)
            events = {name: table.num_entries for name, table in saved.tables.items()}
        else:
            missing = [_whole_chunk(d) for d in damaged.damage]
            left_out = damaged.dataset().left_out
            with create(output) as writer:
                events = _copy(damaged, models, writer)
    totals = {n: (count, damaged.tables[n].num_entries) for n, count in events.items()}
    return Recovered(os.fspath(output), totals, tuple(missing), left_out)


def _whole_chunk(damage: Damage) -> Damage:
    """Return the damage of a whole chunk: without some of its columns, all others are left out."""
    if not damage.table or not damage.columns:
        return damage
    more = len(damage.columns) - 1
    named = f"{damage.columns[0]!r}" + (f" and {more} more are" if more else " is")
    reason = f"left out, for {named} damaged; OUT.root in place of OUT.ftup would keep the others"
    return replace(damage, columns=(), reason=reason)


def _take_models(
    damaged: DamagedFile, path: str | os.PathLike[str] | None
) -> dict[str, bytes]:
    """Give tables without an undamaged model the flow of another file.

    Returns:
        The bytes of the models by table.
    """
    wanting = [
        t
        for t in damaged.tables.values()
        if t.model_reference or t.name in damaged.lost_models
    ]
    if path is None:
        for table in wanting:
            table.flow = LatticeFlow()
        return {}
    with File(path) as file:
        return {table.name: _take_model(table, file) for table in wanting}


def _take_model(table: StoredTable, file: File) -> bytes:
    if not table.model_hash:
        raise InvalidArgument(
            f"{file.path}: may be another model than that of table {table.name!r}, which is missing"
        )
    other = file.tables.get(table.name)
    if (
        other is None
        or other.model_section is None
        or other.model_hash != table.model_hash
    ):
        raise InvalidArgument(
            f"{file.path}: is not the model {table.model_hash} of table {table.name!r}"
        )
    table.flow = other.flow
    return file.read_head(other.model_section)


def _lost(
    damaged: DamagedFile, table: StoredTable, missing: list[Damage]
) -> Iterator[frozenset[str]]:
    """Yield the columns that cannot be decoded, chunk by chunk: damaged ones and their readers.

    Undamaged ones among them are added to the missing parts.
    """
    needs = {c.name: table.needed([c.name]) for c in table.columns}
    without_flow = (
        table.name in damaged.lost_models or bool(table.model_reference)
    ) and not table.flow.columns
    for chunk, unreadable in zip(table.chunks, damaged.damaged[table.name], strict=True):
        gone = set(unreadable)
        if without_flow and len(gone) < len(needs):
            gone |= coded_by_flow(table.directory(chunk)[0])
        lost = frozenset(name for name, needed in needs.items() if needed & gone)
        if named := tuple(name for name in needs if name in lost - unreadable):
            reason = "whole, but decoded from what is lost"
            missing.append(Damage(table.name, (chunk.begin, chunk.stop), named, reason))
        yield lost


class _RecoveredTable:
    """The events of a table of which some columns can be decoded; a `TableSource`."""

    def __init__(self, table: StoredTable, names: frozenset[str], lost: Lost) -> None:
        self._table = table
        self._chunks = [
            c for c, gone in zip(table.chunks, lost, strict=True) if not names & gone
        ]
        self.name = table.name
        self.columns = tuple(c for c in table.columns if c.name in names)
        self.num_entries = sum(c.section.entries for c in self._chunks)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events, which are counted among the recovered ones."""
        pieces = []
        begin = 0
        for chunk in self._chunks:
            first, last = max(start - begin, 0), min(stop - begin, chunk.section.entries)
            if first < last:
                pieces.append(
                    self._table.read(columns, chunk.begin + first, chunk.begin + last)
                )
            begin += chunk.section.entries
        if pieces:
            return concatenate(pieces)
        for chunk in self._chunks[:1]:  # it tells the types of opaque columns
            return self._table.read(columns, chunk.begin, chunk.stop).read(columns, 0, 0)
        return no_events(self.name, with_counters(self.columns, columns))


def _salvage(
    damaged: DamagedFile, lost: Mapping[str, Lost], columns: Iterable[str]
) -> Dataset:
    """Return the events of which all the requested columns can be decoded.

    Without a request these are all columns that are not lost everywhere.
    """
    requested = tuple(columns)
    dataset = select(damaged.dataset(), requested)
    tables: dict[str, TableSource] = {}
    for name, view in dataset.tables.items():
        everywhere = frozenset.intersection(*lost[name]) if lost[name] else frozenset()
        wanted = [c for c in view.columns if requested or c.name not in everywhere]
        counting = {c.counter for c in wanted}
        names = frozenset(c.name for c in wanted if not c.hidden or c.name in counting)
        saved = _RecoveredTable(damaged.tables[name], names, lost[name])
        if saved.columns:
            tables[name] = saved
    return replace(dataset, tables=tables)


def _copy(
    damaged: DamagedFile, models: Mapping[str, bytes], writer: Writer
) -> dict[str, int]:
    """Copy the undamaged chunks bit by bit.

    Returns:
        Numbers of their events by table.
    """
    for name in damaged.lost_models - set(models):
        raise Corrupt(
            f"{damaged.reader.path}: the model of table {name!r} is damaged; name the model that "
            "it was compressed with by `model=`, or write what needs none to OUT.root"
        )
    whole = {
        name: [
            c for c, bad in zip(t.chunks, damaged.damaged[name], strict=True) if not bad
        ]
        for name, t in damaged.tables.items()
    }
    events = {
        name: sum(c.section.entries for c in chunks) for name, chunks in whole.items()
    }
    for name, table in damaged.tables.items():
        if table.external and events[name] != table.num_entries:
            raise InvalidArgument(
                f"{damaged.reader.path}: without the lost events of table {name!r} its given "
                "columns would not line up; write OUT.root with `given=`"
            )
    meta = dict(damaged.reader.meta) | {"carried": list(damaged.carried)}
    meta["tables"] = [with_parts(d, _parts(whole[d["name"]])) for d in meta["tables"]]
    writer.describe(meta)
    for number, (name, table) in enumerate(damaged.tables.items()):
        section = table.model_section
        if section is not None:
            head = models.get(name) or damaged.reader.read(section)
            writer.add_model(number, head, _flags(damaged.reader, table))
    for number, (name, chunks) in enumerate(whole.items()):
        for chunk in chunks:
            copy_chunk(writer, number, damaged.tables[name], chunk)
    writer.finish(damaged.carried.values())
    return events


def _flags(reader: SectionReader, table: StoredTable) -> int:
    """Return the flags that a model needs: those of the header, or of the model without it."""
    if reader.flags is not None:
        return reader.flags
    try:
        return flags_of(table.flow)
    except Corrupt:  # no flags make it readable
        return 0


def _parts(chunks: Iterable[StoredChunk]) -> list[Part]:
    """Return the parts of chunks, with the events of these chunks only."""
    groups = [list(group) for _, group in groupby(chunks, lambda c: id(c.part))]
    return [
        Part(sum(c.section.entries for c in group), group[0].part.lattices)
        for group in groups
    ]
