"""A file of which parts may be damaged: every byte checked without the original, and what is lost named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from flowtuple.codec.packing import unzstd
from flowtuple.container.description import DescribedTable, Part, parse_table
from flowtuple.container.layout import SectionKind
from flowtuple.container.reader import SectionReader
from flowtuple.container.scan import scan
from flowtuple.container.storage import Storage
from flowtuple.container.stored import StoredChunk, StoredTable
from flowtuple.errors import Corrupt, Truncated
from flowtuple.progress import Progress, silent
from flowtuple.table import Dataset

DAMAGE = (Corrupt, Truncated)


@dataclass(frozen=True)
class Damage:
    """Something of a file that is lost.

    Attributes:
        table: The tree; empty where it is no event data.
        events: First event and event after the last; `None` where other damage hides the numbers, or of what is no events.
        columns: Names of the lost columns; empty for all.
        reason: What was found, in words.
    """

    table: str
    events: tuple[int, int] | None
    columns: tuple[str, ...]
    reason: str


class Wreck:
    """A file opened whether or not it is whole.

    Attributes:
        reader: Its sections.
        damage: What of it is damaged.
        tables: The tables, with the chunks that were found.
        damaged: Of every table and every chunk, the columns with damaged bytes.
        lost_models: Names of the tables whose model is damaged.
        carried: Objects that travel along, by name.
        has_gap: Whether a hole hides the numbers of the events after it.

    Args:
        path: Path or URL.
        given: Has the columns that were given when the file was compressed.
        progress: Told of the chunks looked at.

    Raises:
        Corrupt, Truncated: Not even the description can be read: nothing can be saved.
        TooNew: It is of a later format.
    """

    def __init__(self, path: str | os.PathLike[str], given: Dataset | None = None, progress: Progress = silent) -> None:
        self.damage: list[Damage] = []
        self.has_gap = False
        self._has_index = True
        self.reader = self._open(path)
        self.tables: dict[str, StoredTable] = {}
        self.damaged: dict[str, list[frozenset[str]]] = {}
        self.lost_models: set[str] = set()
        try:
            for number, described in enumerate(self.reader.meta["tables"]):
                table = StoredTable(self.reader, number, self._found(number, parse_table(described)), given=given)
                self.tables[table.name] = table
                self._check_model(table)
                self.damaged[table.name] = list(self._check_chunks(table, progress))
            self.carried = dict(self._read_carried())
        except BaseException:
            self.close()
            raise

    def _open(self, path: str | os.PathLike[str]) -> SectionReader:
        try:
            return SectionReader(path)
        except DAMAGE as error:
            storage = Storage(path)
            sections = list(scan(storage))
            storage.close()
            if not sections or sections[0].kind is not SectionKind.DESCRIPTION:
                raise
            self._has_index = False
            self.damage.append(Damage("", None, (), _reason(error, storage.path)))
            return SectionReader(path, sections)

    def _found(self, number: int, described: DescribedTable) -> DescribedTable:
        """A table as far as its chunks were found: without an index some may be missing."""
        if self._has_index:
            return described
        reader = self.reader
        edges = zip(reader.sections, reader.sections[1:], strict=False)
        gap = next((s.stop for s, after in edges if s.stop != after.offset), None)
        self.has_gap = gap is not None
        if gap is not None and len(described.parts) > 1:  # which part an event after the gap belongs to is not known
            reader.sections = [s for s in reader.sections if s.offset < gap]
        found = sum(s.entries for s in reader.sections if s.kind is SectionKind.CHUNK and s.owner == number)
        missing = described.num_entries - found
        if missing > 0:
            span = None if self.has_gap else (found, described.num_entries)
            self.damage.append(Damage(described.name, span, (), f"{missing} events are missing"))
        return replace(described, num_entries=found, parts=tuple(_cut(described.parts, found)))

    def _check_model(self, table: StoredTable) -> None:
        section = table.model_section
        try:
            if section is not None:
                self.reader.read(section)
        except DAMAGE:
            self.lost_models.add(table.name)
            self.damage.append(Damage(table.name, None, (), "its model is damaged"))

    def _check_chunks(self, table: StoredTable, progress: Progress) -> Iterator[frozenset[str]]:
        """Chunk by chunk the columns with damaged bytes."""
        for chunk in table.chunks:
            damaged = self._check_chunk(table, chunk)
            if damaged:
                named = () if len(damaged) == len(table.columns) else tuple(damaged)
                span = None if self.has_gap else (chunk.begin, chunk.stop)
                self.damage.append(Damage(table.name, span, named, "damaged"))
            progress(f"check {table.name}", chunk.stop / max(1, table.num_entries), "")
            yield frozenset(damaged)

    @staticmethod
    def _check_chunk(table: StoredTable, chunk: StoredChunk) -> list[str]:
        try:
            directory, fetch = table.directory(chunk)
        except DAMAGE:
            return [c.name for c in table.columns]
        return directory.damaged(fetch)

    def _read_carried(self) -> Iterator[tuple[str, bytes]]:
        names = self.reader.meta["carried"]
        for section in self.reader.sections:
            if section.kind is SectionKind.CARRIED:
                try:
                    yield names[section.owner], unzstd(self.reader.read(section))
                except DAMAGE:
                    self.damage.append(Damage("", None, (names[section.owner],), "a carried object is damaged"))

    def close(self) -> None:
        """Close the file."""
        self.reader.storage.close()

    def __enter__(self) -> Wreck:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def examine(path: str | os.PathLike[str], progress: Progress = silent) -> list[Damage]:
    """Check every byte of a file against its checksums, without the original; what is damaged.

    Raises:
        Corrupt, Truncated: Not even the description can be read.
    """
    with Wreck(path, progress=progress) as wreck:
        return wreck.damage


def _cut(parts: Iterable[Part], entries: int) -> Iterator[Part]:
    """Parts of the first events only."""
    for part in parts:
        kept = min(part.entries, entries)
        entries -= kept
        if kept:
            yield Part(kept, part.lattices)


def _reason(error: Exception, path: str) -> str:
    return str(error).removeprefix(f"{path}: ").split(";")[0]
