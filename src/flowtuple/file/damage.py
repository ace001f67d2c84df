"""Check of every byte of a file that may be damaged, without the original."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flowtuple.codec.column import Method
from flowtuple.codec.directory import Directory
from flowtuple.codec.packing import checksum
from flowtuple.data.memory import MEMORY
from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import Corrupt, TooNew, Truncated
from flowtuple.file import layout
from flowtuple.file.description import (
    DescribedTable,
    parse_table,
    read_left_out,
    read_storage,
)
from flowtuple.file.layout import Section, SectionKind
from flowtuple.file.reader import SectionReader, read_index
from flowtuple.file.storage import Storage
from flowtuple.file.table import StoredTable
from flowtuple.runtime.progress import Progress, silent

DAMAGE = (Corrupt, Truncated)
# bytes searched at a time; fewer at first, for the next frame is seldom far
_WINDOW = 2**24


@dataclass(frozen=True)
class Damage:
    """A lost part of a file.

    Attributes:
        table: Name of the tree; empty for parts other than event data.
        events: First event and event after the last; `None` for parts other than events.
        columns: Names of the lost columns, or of a lost carried object; empty for all columns.
        reason: The kind of damage, in words.

    Example:
        >>> import flowtuple as ft
        >>> ft.Damage("Events", (0, 1000), ("Jet_pt",), "its checksum is wrong").columns
        ('Jet_pt',)
    """

    table: str
    events: tuple[int, int] | None
    columns: tuple[str, ...]
    reason: str


class DamagedFile:
    """An open file that may be damaged.

    Attributes:
        reader: The sections of the file.
        damage: The lost parts.
        tables: The tables, with the chunks that are there.
        damaged: Columns with damaged bytes, by table and chunk.
        lost_models: Names of the tables whose model is damaged or missing.
        carried: Carried objects by name.

    Args:
        path: Path or URL.
        external: Data set with the external columns, if the file has any.
        progress: Reports the chunks that were checked.
        memory: Memory limit in bytes.

    Raises:
        Corrupt, Truncated: Not even the description can be read: nothing can be recovered.
        TooNew: The file has a later format.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        external: Dataset | None = None,
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
                chunks = self._chunks(number, parsed)
                table = StoredTable(
                    self.reader, number, parsed, external_source=external, sections=chunks
                )
                self.tables[table.name] = table
                self.damaged[table.name] = list(self._check_chunks(table, progress))
                self._check_model(table)
            self.carried = dict(self._read_carried())
        except BaseException:
            self.close()
            raise

    def dataset(self) -> Dataset:
        """Return the tables and the undamaged carried objects as a data set."""
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

    def _chunks(self, number: int, described: DescribedTable) -> Sequence[Section]:
        """Return the chunks of a table by the events of their frames; the gaps are missing."""
        owned = self.reader.owned(SectionKind.CHUNK, number)
        if self._has_index:
            return owned
        chunks: list[Section] = []
        total = described.num_entries
        end = 0
        for section in sorted(owned, key=lambda s: s.first):
            after = section.first + section.entries
            if section.first < end or after > total or (chunks and not section.entries):
                continue  # a second copy, or a chunk of another file
            self._note_gap(described.name, end, section.first)
            chunks.append(section)
            end = after
        self._note_gap(described.name, end, total)
        return chunks

    def _note_gap(self, table: str, start: int, stop: int) -> None:
        if start < stop:
            self.damage.append(Damage(table, (start, stop), (), "missing"))

    def _check_model(self, table: StoredTable) -> None:
        section = table.model_section
        try:
            if section is not None:
                self.reader.read(section)
        except DAMAGE:
            self.lost_models.add(table.name)
        if table.name in self.lost_models:
            reason = f"its model is {'damaged' if section else 'missing'}"
            self.damage.append(Damage(table.name, None, (), reason))

    def _check_chunks(
        self, table: StoredTable, progress: Progress
    ) -> Iterator[frozenset[str]]:
        """Yield the columns with damaged bytes, chunk by chunk."""
        for chunk in table.chunks:
            try:
                directory, fetch = table.directory(chunk)
                damaged = directory.damaged(fetch)
                if not table.model_hash and coded_by_flow(directory):
                    self.lost_models.add(table.name)
            except DAMAGE:
                damaged = [c.name for c in table.columns]
            if damaged:
                named = () if len(damaged) == len(table.columns) else tuple(damaged)
                self.damage.append(
                    Damage(table.name, (chunk.begin, chunk.stop), named, "damaged")
                )
            progress(f"check {table.name}", chunk.stop / max(1, table.num_entries), "")
            yield frozenset(damaged)

    def _read_carried(self) -> Iterator[tuple[str, bytes]]:
        left = self.reader.memory
        for number, name in enumerate(self.reader.meta["carried"]):
            kind = "missing"
            for section in self.reader.owned(SectionKind.CARRIED, number):
                try:
                    content = self.reader.unpacked(section, left)
                    left -= len(content)
                    kind = ""
                    yield name, content
                except DAMAGE:
                    kind = "damaged"
            if kind:
                self.damage.append(
                    Damage("", None, (name,), f"a carried object is {kind}")
                )

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
    """Check every byte of a file against its checksums, without the original.

    Returns:
        The damaged parts.

    Raises:
        Corrupt, Truncated: Not even the description can be read.
    """
    with DamagedFile(path, progress=progress, memory=memory) as damaged:
        return damaged.damage


def coded_by_flow(directory: Directory) -> set[str]:
    """Return the columns of a chunk that the model of its table decodes."""
    entries = directory.entries.items()
    return {
        name for name, entry in entries if entry.method is Method.FLOW or entry.residual
    }


def _first_of_each(sections: Iterable[Section]) -> Iterator[Section]:
    """Yield all chunks, and the first section of each other kind and owner.

    A second description begins another file.
    """
    seen = set()
    for section in sections:
        key = section.kind, section.owner
        if section.kind is SectionKind.DESCRIPTION and key in seen:
            return
        if section.kind is SectionKind.CHUNK or key not in seen:
            yield section
        seen.add(key)


def _header_is_damaged(storage: Storage) -> bool:
    """Return True if the checksum of the index fits a header that this version writes.

    Then the header of the file is not the one that was written.
    """
    try:
        index, _, expected = read_index(storage)
    except DAMAGE:
        return False
    headers = {layout.pack_header(flags) for flags in range(layout.KNOWN_FLAGS + 1)}
    return expected in {checksum(header + index) for header in headers}


def _reason(error: Exception, path: str) -> str:
    return str(error).removeprefix(f"{path}: ").split(";")[0]


def scan(storage: Storage) -> Iterator[Section]:
    """Yield the sections in the order of the file, perhaps with bodies beyond its end.

    Behind a section the next frame begins; if none does, the search continues byte by byte.
    """
    section = _next_frame(storage, layout.HEADER_SIZE)
    while section is not None:
        yield section
        section = _next_frame(storage, section.stop)


def _next_frame(storage: Storage, position: int) -> Section | None:
    """Return the first section whose frame begins at a byte or after it."""
    window = layout.FRAME_SIZE
    while position + layout.FRAME_SIZE <= storage.size:
        data = storage.read(position, min(window, storage.size - position))
        begin = data.find(layout.MARKER)
        while begin >= 0:
            section = layout.unpack_frame(
                data[begin : begin + layout.FRAME_SIZE], position + begin
            )
            if section is not None:
                return section
            begin = data.find(layout.MARKER, begin + 1)
        # a frame may lie across two windows
        position += len(data) - layout.FRAME_SIZE + 1
        window = min(4 * window, _WINDOW)
    return None
