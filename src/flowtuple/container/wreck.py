"""A file of which parts may be damaged: every byte checked without the original, and what is lost named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from flowtuple.codec.column import Method
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
        lost_models: Names of the tables whose model is damaged or missing.
        carried: Objects that travel along, by name.

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
        self._has_index = True
        self._hole: int | None = None
        self._holed: set[str] = set()
        self.reader = self._open(path)
        self.tables: dict[str, StoredTable] = {}
        self.damaged: dict[str, list[frozenset[str]]] = {}
        self.lost_models: set[str] = set()
        try:
            for number, described in enumerate(self.reader.meta["tables"]):
                table = StoredTable(self.reader, number, self._found(number, parse_table(described)), given=given)
                self.tables[table.name] = table
                self.damaged[table.name] = list(self._check_chunks(table, progress))
                self._check_model(table)
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
        reader, chunks = self.reader, self.reader.chunks.get(number, [])
        edges = zip(reader.sections, reader.sections[1:], strict=False)
        self._hole = self._hole or next((s.stop for s, after in edges if s.stop != after.offset), None)
        found = sum(s.entries for s in chunks)
        if self._hole is not None and found < described.num_entries and (len(described.parts) > 1 or described.given):
            # which part, or which given event, one after the hole belongs to is not known
            chunks = [s for s in chunks if s.offset < self._hole]
            reader.chunks[number] = chunks
            found = sum(s.entries for s in chunks)
        missing = described.num_entries - found
        if missing > 0:
            hidden = self._hole is not None and any(s.offset > self._hole for s in chunks)
            self._holed |= {described.name} if hidden else set()
            span = None if hidden else (found, described.num_entries)
            self.damage.append(Damage(described.name, span, (), f"{missing} events are missing"))
        return replace(described, num_entries=found, parts=tuple(_cut(described.parts, found)))

    def span(self, table: StoredTable, chunk: StoredChunk) -> tuple[int, int] | None:
        """First event of a chunk and event after the last; `None` where a hole hides how many come before."""
        hidden = table.name in self._holed and self._hole is not None and chunk.section.offset >= self._hole
        return None if hidden else (chunk.begin, chunk.stop)

    def _check_model(self, table: StoredTable) -> None:
        section = table.model_section
        try:
            if section is not None:
                self.reader.read(section)
        except DAMAGE:
            self.lost_models.add(table.name)
        if table.name in self.lost_models:
            self.damage.append(Damage(table.name, None, (), "its model is damaged" if section else "its model is missing"))

    def _check_chunks(self, table: StoredTable, progress: Progress) -> Iterator[frozenset[str]]:
        """Chunk by chunk the columns with damaged bytes."""
        for chunk in table.chunks:
            damaged = self._check_chunk(table, chunk)
            if damaged:
                named = () if len(damaged) == len(table.columns) else tuple(damaged)
                self.damage.append(Damage(table.name, self.span(table, chunk), named, "damaged"))
            progress(f"check {table.name}", chunk.stop / max(1, table.num_entries), "")
            yield frozenset(damaged)

    def _check_chunk(self, table: StoredTable, chunk: StoredChunk) -> list[str]:
        try:
            directory, fetch = table.directory(chunk)
        except DAMAGE:
            return [c.name for c in table.columns]
        if any(e.method is Method.FLOW or e.residual for e in directory.entries.values()) and not table.model_hash:
            self.lost_models.add(table.name)
        return directory.damaged(fetch)

    def _read_carried(self) -> Iterator[tuple[str, bytes]]:
        names = self.reader.meta["carried"]
        for section in self.reader.sections:
            if section.kind is SectionKind.CARRIED:
                try:
                    yield names[section.owner], unzstd(self.reader.read(section))
                except DAMAGE:
                    self.damage.append(Damage("", None, (names[section.owner],), "a carried object is damaged"))
        there = {section.owner for section in self.reader.sections if section.kind is SectionKind.CARRIED}
        lost = [name for number, name in enumerate(names) if number not in there]
        self.damage += [Damage("", None, (name,), "a carried object is missing") for name in lost]

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
    """Parts of the first events only; of none the first, for a chunk without events lies in it."""
    for number, part in enumerate(parts):
        kept = min(part.entries, entries)
        entries -= kept
        if kept or not number:
            yield Part(kept, part.lattices)


def _reason(error: Exception, path: str) -> str:
    return str(error).removeprefix(f"{path}: ").split(";")[0]
