"""One table of an open file, which reads and decodes only the chunks of a range."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from flowtuple.codec.chunk import ReadExternal, decode_columns, slices
from flowtuple.codec.directory import Directory, Fetch, read_directory
from flowtuple.data.memory import MODEL, Gate, in_words
from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import check_same_columns, read_like, schema_diff
from flowtuple.data.table import Dataset, Table, concatenate, with_counters
from flowtuple.errors import Corrupt, InvalidArgument, TooLarge, Truncated, nearest
from flowtuple.file import layout
from flowtuple.file.description import DescribedTable, Part
from flowtuple.file.layout import FRAME_SIZE, Section, SectionKind
from flowtuple.file.model import flags_of, unpack_content
from flowtuple.file.reader import SectionReader
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.lattice import resolutions_of
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.threads import ordered_map


@dataclass(frozen=True)
class StoredChunk:
    """A chunk of a table: its section of the file, its first event, and its part."""

    section: Section
    begin: int
    part: Part

    @property
    def stop(self) -> int:
        """Event after the last one."""
        return self.begin + self.section.entries


class StoredTable(DescribedTable):
    """One table of an open file, a `TableSource`.

    Attributes:
        name: The tree's name.
        num_entries: Number of events.
        columns: The schema.
        lattices: Lattices of all columns that are not opaque; of merged files with the widest
            ranges.
        requested: Bounds as they were requested, by column.
        external: Names of the external columns, of which the file has a hash only.
        model_reference: Hash of the model in another file; empty for none.
        parts: Consecutive events that were compressed together.
        chunks: The chunks, in the order of the events.

    Args:
        reader: The sections of the file.
        number: Number of the table in the file.
        described: Description of the table.
        workers: Threads that decode; `None` for one per core.
        external_source: Data set with the external columns.
        referred: Returns the table with a model in another file, by table name and hash.
        sections: Sections of the chunks of a table of which some are missing.

    Raises:
        Corrupt: Chunks and description contradict each other.
    """

    def __init__(
        self,
        reader: SectionReader,
        number: int,
        described: DescribedTable,
        *,
        workers: int | None = None,
        external_source: Dataset | None = None,
        referred: Callable[[str, str], StoredTable] | None = None,
        sections: Sequence[Section] | None = None,
    ) -> None:
        super().__init__(**vars(described))
        self._reader = reader
        self._path = reader.path
        self._number = number
        self._workers = workers
        self._external_source = external_source
        self._lock = threading.Lock()
        self._gate = Gate(reader.memory)
        # A reader of single events needs the same chunk again.
        self._last: tuple[StoredChunk, tuple[Column, ...], Table] | None = None
        self._referred = referred
        if self.model_reference and self.model_section is not None:
            raise Corrupt(
                f"{reader.path}: table {self.name!r} has a model and refers to another"
            )
        there = reader.owned(SectionKind.CHUNK, number) if sections is None else sections
        events = sum(s.entries for s in there)
        if sections is None and events != self.num_entries:
            raise Corrupt(
                f"{reader.path}: table {self.name!r} declares {self.num_entries} events, "
                f"its chunks hold {events}"
            )
        self.chunks = list(self._placed(there))

    def _placed(self, sections: Sequence[Section]) -> Iterator[StoredChunk]:
        """Yield the chunks with their parts."""
        ends = np.cumsum([part.entries for part in self.parts], dtype=np.int64)
        for section in sections:
            number = min(
                int(np.searchsorted(ends, section.first, "right")), len(ends) - 1
            )
            if section.first + section.entries > ends[number]:
                raise Corrupt(
                    f"{self._path}: table {self.name!r} has a chunk that lies in two parts"
                )
            yield StoredChunk(section, section.first, self.parts[number])

    @cached_property
    def flow(self) -> LatticeFlow:
        """The flow of this table, without columns if it has no model.

        Another one may be set in place of one that is damaged or in another file.

        Raises:
            InvalidArgument: The file refers to a model in another file, which it was not opened
                with.
        """
        if self.model_reference and self._referred is not None:
            referred = self._referred(self.name, self.model_reference)
            modelled = [c for c in referred.columns if c.name in referred.flow.columns]
            for name, words in schema_diff(
                modelled, self.columns, counters=True, hidden=True
            ):
                raise Corrupt(
                    f"{self._path}: its model was made for another column {name!r}, "
                    f"which {words}"
                )
            resolutions = resolutions_of(self.lattices)
            if any(
                resolutions.get(name) != referred.lattices[name].resolution
                for name in referred.flow.columns
                if resolutions.get(name) or referred.lattices[name].resolution
            ):
                raise Corrupt(
                    f"{self._path}: its model was made for other columns of resolutions"
                )
            return referred.flow
        section = self.model_section
        if section is None:
            return LatticeFlow()
        with self._reader.naming():
            data = self._reader.unpacked(section, self._reader.memory // MODEL)
            flow = unpack_content(data, self.columns, resolutions_of(self.lattices))
            flags = self._reader.flags
            if flags is not None and flags_of(flow) & ~flags:
                raise Corrupt(
                    f"the model of table {self.name!r} has parts of format {layout.MAJOR}."
                    f"{layout.MINOR}, of which the header says nothing"
                )
            return flow

    @property
    def model_section(self) -> Section | None:
        """The section of the table's own model."""
        return next(iter(self._reader.owned(SectionKind.MODEL, self._number)), None)

    @property
    def model_hash(self) -> str:
        """Hash by which files refer to the model: 16 hexadecimal digits, empty without a model."""
        section = self.model_section
        return self.model_reference if section is None else f"{section.checksum:016x}"

    @property
    def model_bytes(self) -> int:
        """Bytes of the table's own model in the file."""
        return 0 if self.model_section is None else self.model_section.length

    @property
    def coding(self) -> TableCoding:
        """Schema, lattices and flow of its chunks, whose ranges depend on the part."""
        return TableCoding(self.columns, self.lattices, self.flow, self.external)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of some columns, in the threads of the file.

        Raises:
            InvalidArgument: There is no such column.
            TooLarge: The events take more than the memory that the file was opened with.
        """
        self._reader.storage.check_open()
        known = dict.fromkeys(c.name for c in self.columns)
        for name in columns:
            if name not in known:
                raise InvalidArgument(
                    f"{self._path}: no column {name!r}; {nearest(name, known)}"
                )
        start, stop = max(0, start), min(stop, self.num_entries)
        selected = with_counters(self.columns, columns)
        self._check_size(
            sum(map(_event_bytes, selected)) * max(0, stop - start), start, stop
        )
        touched = [c for c in self.chunks if c.begin < stop and c.stop > start]
        if not touched:
            return self._no_events(selected)
        coding = self.coding

        def read(chunk: StoredChunk) -> Table:
            return self._read_chunk(chunk, coding, selected, start, stop)

        pieces: list[Table] = []
        size = 0
        try:
            for piece in ordered_map(read, touched, self._workers):
                pieces.append(piece)
                size += sum(int(piece.data[c.name].nbytes) for c in piece.columns)
                self._check_size(size, start, stop)
            return concatenate(pieces)
        except MemoryError:
            raise TooLarge(
                f"{self._path}: events {start} to {stop} do not fit into memory; "
                "read fewer at a time"
            ) from None

    def _no_events(self, columns: tuple[Column, ...]) -> Table:
        """Return a table of no events; only a chunk tells the types of opaque columns."""
        table = no_events(self.name, columns)
        opaque = tuple(c for c in columns if c.is_opaque)
        for chunk in self.chunks if opaque else ():
            try:
                typed = self._read_chunk(chunk, self.coding, opaque, 0, 0)
                return replace(table, data={**table.data, **typed.data})
            except (Corrupt, Truncated):
                if chunk is self.chunks[-1]:
                    raise
        return table

    def _check_size(self, nbytes: int, start: int, stop: int) -> None:
        """Raise if events decode to more than the memory limit."""
        if nbytes > self._reader.memory:
            raise TooLarge(
                f"{self._path}: events {start} to {stop} of table {self.name!r} take "
                f"{in_words(nbytes)} or more, and the memory limit is "
                f"{in_words(self._reader.memory)}; read fewer of them (`entries=`) or fewer "
                "columns, or allow more with `memory=`"
            )

    def _read_chunk(
        self,
        chunk: StoredChunk,
        coding: TableCoding,
        columns: tuple[Column, ...],
        start: int,
        stop: int,
    ) -> Table:
        start = max(0, start - chunk.begin)
        stop = max(0, min(stop, chunk.stop) - chunk.begin)
        names = [c.name for c in columns]
        last = self._last
        if last is not None and last[0] is chunk and last[1] == columns:
            return last[2].read(names, start, stop)
        with self._explaining(chunk):
            table = decode_columns(
                *self._reader.chunk(
                    chunk.section, self.columns, len(names) == len(self.columns)
                ),
                self.name,
                chunk.section.entries,
                replace(coding, lattices=chunk.part.lattices),
                names,
                self._external_reader(chunk),
                self._gate,
            )
        if (start, stop) == (0, chunk.section.entries):
            return table
        self._last = chunk, columns, table
        return table.read(names, start, stop)

    @contextmanager
    def _explaining(self, chunk: StoredChunk) -> Iterator[None]:
        """Put path and events before errors of decoding a chunk."""
        events = f"events {chunk.begin} to {chunk.stop}"
        try:
            yield
        except TooLarge as error:
            raise TooLarge(f"{self._path}: a chunk of {events} {error}") from None
        except (InvalidArgument, Corrupt, Truncated) as error:
            what = str(error).removeprefix(f"{self._path}: ")
            raise type(error)(f"{self._path}: {events}: {what}") from None

    def _external_reader(self, chunk: StoredChunk) -> ReadExternal | None:
        """Return a function that reads the external columns of a chunk, one thread at a time."""
        if self._external_source is None or not self.external:
            return None
        where = f"{self._external_source.description} does not fit as `given=`"
        tables = self._external_source.tables
        # a table in memory has no name of its own
        is_unnamed = len(tables) == 1 and not self._external_source.format
        name = next(iter(tables)) if is_unnamed else self.name
        source = self._external_source.table(name)
        hidden = {c.name for c in self.columns if c.hidden}
        by_counter = {c.counter: c.name for c in self.columns if c.name in self.external}

        def read(names: Sequence[str]) -> Table:
            # A hidden counter is read through a column that it counts.
            counted = {by_counter[n] for n in names if n in hidden and n in by_counter}
            wanted = with_counters(self.columns, {*names, *counted})
            check_same_columns(wanted, source.columns, where)
            with self._lock:
                return read_like(source, wanted, chunk.begin, chunk.stop)

        return read

    def directory(self, chunk: StoredChunk) -> tuple[Directory, Fetch]:
        """Return the directory of a chunk and the function that fetches its bytes.

        Raises:
            Corrupt: The head of the chunk is damaged.
        """
        return self._reader.chunk(chunk.section, self.columns)

    def copy(self, chunk: StoredChunk) -> tuple[bytes, bytes]:
        """Return head and body of a chunk after a check of all checksums.

        Raises:
            Corrupt: The bytes are not those that were written.
        """
        data = self._reader.raw(chunk.section)
        head = self._reader.checked(chunk.section, data)
        body = data[FRAME_SIZE + len(head) :]
        directory = read_directory(head, self.columns)
        damaged = directory.damaged(lambda spans: slices(body, 0, spans))
        if len(body) != directory.body or damaged:
            column = (damaged or [self.columns[0].name])[0]
            raise Corrupt(
                f"{self._path}: events {chunk.begin} to {chunk.stop}: column {column!r} is damaged"
                "; restore the file from a copy, or save the rest with flowtuple recover"
            )
        return head, body

    def needed(self, columns: Sequence[str]) -> set[str]:
        """Return all columns that decoding some columns takes."""
        return self.coding.needed(with_counters(self.columns, columns))

    def directories(self) -> Iterator[Directory]:
        """Yield the directory of each chunk."""
        for chunk in self.chunks:
            with self._explaining(chunk):
                directory = self.directory(chunk)[0]
            yield directory


def _event_bytes(column: Column) -> int:
    """Return the bytes of an event in a column, 0 if the schema does not tell."""
    if column.counter is not None or column.is_opaque:
        return 0
    return math.prod(column.shape) * np.dtype(column.dtype).itemsize


def no_events(name: str, columns: tuple[Column, ...]) -> Table:
    """Return a table of no events for a table without chunks."""
    contents = {
        c.name: ak.Array([]) if c.is_opaque else np.empty((0, *c.shape), c.dtype)
        for c in columns
    }
    return Table(name, columns, 0, contents)
