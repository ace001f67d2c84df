"""A file of which parts may be damaged: every byte checked without the original, and what is lost named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowtuple.codec.column import Method
from flowtuple.data.memory import MEMORY
from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import Corrupt, TooNew, Truncated
from flowtuple.file import layout
from flowtuple.file.description import DescribedTable, parse_table, read_left_out, read_storage
from flowtuple.file.layout import Section, SectionKind
from flowtuple.file.reader import SectionReader
from flowtuple.file.scan import scan
from flowtuple.file.storage import Storage
from flowtuple.file.table import StoredChunk, StoredTable
from flowtuple.runtime.progress import Progress, silent

DAMAGE = (Corrupt, Truncated)


@dataclass(frozen=True)
class Damage:
    """Something of a file that is lost.

    Attributes:
        table: The tree; empty where it is no event data.
        events: First event and event after the last; `None` of what is no events.
        columns: Names of the lost columns; empty for all.
        reason: What was found, in words.
    """

    table: str
    events: tuple[int, int] | None
    columns: tuple[str, ...]
    reason: str


class DamagedFile:
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
        memory: Bytes that what is read whole may take parts of.

    Raises:
        Corrupt, Truncated: Not even the description can be read: nothing can be saved.
        TooNew: It is of a later format.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        given: Dataset | None = None,
        progress: Progress = silent,
        memory: int = MEMORY,
    ) -> None:
        self.damage: list[Damage] = []
        self._memory = memory
        self._has_index = True
        self.reader = self._open(path)
        self.tables: dict[str, StoredTable] = {}
        self.damaged: dict[str, list[frozenset[str]]] = {}
        self.lost_models: set[str] = set()
        try:
            for number, described in enumerate(self.reader.meta["tables"]):
                parsed = parse_table(described)
                if not self._has_index:
                    self._find_chunks(number, parsed)
                table = StoredTable(self.reader, number, parsed, given=given, partial=True)
                self.tables[table.name] = table
                self.damaged[table.name] = list(self._check_chunks(table, progress))
                self._check_model(table)
            self.carried = dict(self._read_carried())
        except BaseException:
            self.close()
            raise

    def dataset(self) -> Dataset:
        """The tables and the carried objects that are whole, as a data set."""
        meta = self.reader.meta
        tables: dict[str, TableSource] = dict(self.tables)
        return Dataset(
            self.reader.path,
            tables,
            self.carried,
            storage=read_storage(meta),
            left_out=read_left_out(meta),
        )

    def _open(self, path: str | os.PathLike[str]) -> SectionReader:
        try:
            return SectionReader(path, memory=self._memory)
        except (*DAMAGE, TooNew) as error:
            storage = Storage(path)
            sections = list(_first_of_each(scan(storage)))
            later = isinstance(error, TooNew) and not _header_is_damaged(storage)
            storage.close()
            if later or not sections or sections[0].kind is not SectionKind.DESCRIPTION:
                raise
            self._has_index = False
            self.damage.append(Damage("", None, (), _reason(error, storage.path)))
            return SectionReader(path, sections, memory=self._memory)

    def _find_chunks(self, number: int, described: DescribedTable) -> None:
        """The chunks of a table that were found, by the events that their frames name; the rest is missing."""
        chunks: list[Section] = []
        end = 0
        for section in sorted(self.reader.chunks.get(number, []), key=lambda s: s.first):
            after = section.first + section.entries
            if (
                section.first < end
                or after > described.num_entries
                or (chunks and not section.entries)
            ):
                continue  # there twice, or of another file
            if section.first > end:
                self.damage.append(Damage(described.name, (end, section.first), (), "missing"))
            chunks.append(section)
            end = after
        if end < described.num_entries:
            self.damage.append(Damage(described.name, (end, described.num_entries), (), "missing"))
        self.reader.chunks[number] = chunks

    def _check_model(self, table: StoredTable) -> None:
        section = table.model_section
        try:
            if section is not None:
                self.reader.read(section)
        except DAMAGE:
            self.lost_models.add(table.name)
        if table.name in self.lost_models:
            self.damage.append(
                Damage(
                    table.name,
                    None,
                    (),
                    "its model is damaged" if section else "its model is missing",
                )
            )

    def _check_chunks(self, table: StoredTable, progress: Progress) -> Iterator[frozenset[str]]:
        """Chunk by chunk the columns with damaged bytes."""
        for chunk in table.chunks:
            damaged = self._check_chunk(table, chunk)
            if damaged:
                named = () if len(damaged) == len(table.columns) else tuple(damaged)
                self.damage.append(Damage(table.name, (chunk.begin, chunk.stop), named, "damaged"))
            progress(f"check {table.name}", chunk.stop / max(1, table.num_entries), "")
            yield frozenset(damaged)

    def _check_chunk(self, table: StoredTable, chunk: StoredChunk) -> list[str]:
        try:
            directory, fetch = table.directory(chunk)
        except DAMAGE:
            return [c.name for c in table.columns]
        if (
            any(e.method is Method.FLOW or e.residual for e in directory.entries.values())
            and not table.model_hash
        ):
            self.lost_models.add(table.name)
        return directory.damaged(fetch)

    def _read_carried(self) -> Iterator[tuple[str, bytes]]:
        names = self.reader.meta["carried"]
        left = self.reader.memory
        for section in self.reader.sections:
            if section.kind is SectionKind.CARRIED:
                try:
                    content = self.reader.unpacked(section, left)
                    left -= len(content)
                    yield names[section.owner], content
                except DAMAGE:
                    self.damage.append(
                        Damage("", None, (names[section.owner],), "a carried object is damaged")
                    )
        there = {
            section.owner for section in self.reader.sections if section.kind is SectionKind.CARRIED
        }
        lost = [name for number, name in enumerate(names) if number not in there]
        self.damage += [Damage("", None, (name,), "a carried object is missing") for name in lost]

    def close(self) -> None:
        """Close the file."""
        self.reader.storage.close()

    def __enter__(self) -> DamagedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_integrity(
    path: str | os.PathLike[str], progress: Progress = silent, memory: int = MEMORY
) -> list[Damage]:
    """Check every byte of a file against its checksums, without the original; what is damaged.

    Raises:
        Corrupt, Truncated: Not even the description can be read.
    """
    with DamagedFile(path, progress=progress, memory=memory) as damaged:
        return damaged.damage


def _first_of_each(sections: Iterable[Section]) -> Iterator[Section]:
    """All chunks, and the first section of each other kind and owner; a second description begins another file."""
    seen = set()
    for section in sections:
        key = section.kind, section.owner
        if section.kind is SectionKind.DESCRIPTION and key in seen:
            return
        if section.kind is SectionKind.CHUNK or key not in seen:
            yield section
        seen.add(key)


def _header_is_damaged(storage: Storage) -> bool:
    """Whether the index goes with the header that this version writes, and so not with the one that stands there."""
    try:
        tail = storage.read(
            max(0, storage.size - layout.TRAILER_SIZE), min(storage.size, layout.TRAILER_SIZE)
        )
        offset, length, expected = layout.unpack_trailer(tail, storage.size, storage.path)
        return layout.checksum(layout.pack_header() + storage.read(offset, length)) == expected
    except DAMAGE:
        return False


def _reason(error: Exception, path: str) -> str:
    return str(error).removeprefix(f"{path}: ").split(";")[0]
