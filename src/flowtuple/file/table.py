"""One table of an open file: reads and decodes the chunks that a range touches, and no others."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import awkward as ak
import numpy as np

from flowtuple.codec.chunk import Given, decode_columns, slices
from flowtuple.codec.directory import Directory, Entry, Fetch, read_directory
from flowtuple.data.memory import MODEL, Gate, in_words
from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import check_same_columns, read_like, schema_diff
from flowtuple.data.table import Dataset, Table, concatenate, with_counters
from flowtuple.errors import Corrupt, InvalidArgument, TooLarge, nearest
from flowtuple.file.description import DescribedTable, Part
from flowtuple.file.layout import FRAME_SIZE, Section
from flowtuple.file.model import unpack_content
from flowtuple.file.reader import SectionReader
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.network import probe
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map


@dataclass(frozen=True)
class StoredChunk:
    """A chunk in its table: where it lies in the file, its first event, and the part that it belongs to."""

    section: Section
    begin: int
    part: Part

    @property
    def stop(self) -> int:
        """Event after its last one."""
        return self.begin + self.section.entries


class StoredTable:
    """One table of an open file, a `TableSource`.

    Attributes:
        name: The tree's name.
        num_entries: Events.
        columns: The schema.
        lattices: Of every column that is not opaque; of merged files the widest ranges.
        asked: The bound that a person wrote, where one was.
        given: Names of the columns that are not stored.
        model_reference: The hash of a model kept elsewhere, or nothing.
        parts: Consecutive events that were compressed together.
        chunks: In the order of the events.
    """

    def __init__(
        self,
        reader: SectionReader,
        number: int,
        described: DescribedTable,
        *,
        workers: int | None = None,
        given: Dataset | None = None,
        referred: Callable[[str, str], StoredTable] | None = None,
        partial: bool = False,
    ) -> None:
        self._reader = reader
        self._number = number
        self._workers = workers
        self._source = given
        self._lock = threading.Lock()
        self._gate = Gate(reader.memory)
        self._last: tuple[StoredChunk, tuple[Column, ...], Table] | None = None
        self._referred = referred
        self.name, self.num_entries, self.columns = (
            described.name,
            described.num_entries,
            described.columns,
        )
        self.lattices, self.asked, self.given = described.lattices, described.asked, described.given
        self.model_reference, self.parts = described.model, described.parts
        if self.model_reference and self.model_section is not None:
            raise Corrupt(f"{reader.path}: table {self.name!r} has a model and refers to another")
        self.chunks = self._place(described.parts, partial)

    def _place(self, parts: Sequence[Part], partial: bool) -> list[StoredChunk]:
        """Chunks with their events; each lies within one part. With `partial` some of them may be missing."""
        sections = self._reader.chunks.get(self._number, [])
        path, held = self._reader.path, sum(s.entries for s in sections)
        if held != self.num_entries and not partial:
            raise Corrupt(
                f"{path}: table {self.name!r} declares {self.num_entries} events, its chunks hold {held}"
            )
        chunks = []
        ends = np.cumsum([part.entries for part in parts], dtype=np.int64)
        for section in sections:
            number = min(int(np.searchsorted(ends, section.first, "right")), len(parts) - 1)
            if section.first + section.entries > ends[number]:
                raise Corrupt(f"{path}: table {self.name!r} has a chunk that lies in two parts")
            chunks.append(StoredChunk(section, section.first, parts[number]))
        return chunks

    @cached_property
    def flow(self) -> LatticeFlow:
        """The flow of this table, without columns where there is none.

        Raises:
            InvalidArgument: The file refers to a model kept elsewhere, which it was not opened with.
        """
        if self.model_reference and self._referred is not None:
            referred = self._referred(self.name, self.model_reference)
            self._check_schema(referred)
            return referred.flow
        section = self.model_section
        if section is None:
            return LatticeFlow()
        probe()
        try:
            return unpack_content(
                self._reader.unpacked(section, self._reader.memory // MODEL), self.columns
            )
        except Corrupt as error:
            raise self._named(error) from None

    def _named(self, error: Corrupt) -> Corrupt:
        path = self._reader.path
        return error if str(error).startswith(path) else Corrupt(f"{path}: {error}")

    def _check_schema(self, other: StoredTable) -> None:
        """Refuse the model of a table whose columns are not like this one's."""
        modelled = [c for c in other.columns if c.name in other.flow.columns]
        for name, words in schema_diff(modelled, self.columns, counters=True, hidden=True):
            raise Corrupt(
                f"{self._reader.path}: its model was made for another column {name!r}, which {words}"
            )

    @property
    def model_section(self) -> Section | None:
        """Where its own model lies in the file."""
        return self._reader.models.get(self._number)

    @property
    def model_hash(self) -> str:
        """What another file refers to its model by: 16 hexadecimal digits, empty without a model."""
        section = self.model_section
        return self.model_reference if section is None else f"{section.checksum:016x}"

    @property
    def model_bytes(self) -> int:
        """Bytes of its model in the file."""
        return 0 if self.model_section is None else self.model_section.length

    @property
    def coding(self) -> TableCoding:
        """What encoding and decoding its chunks takes, but for the ranges of the parts."""
        return TableCoding(self.columns, self.lattices, self.flow, self.given)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns, decoded in as many threads as the file was opened for.

        Raises:
            InvalidArgument: There is no such column.
            TooLarge: They take more than the memory that the file was opened with.
        """
        for name in columns:
            if name not in self._names:
                raise InvalidArgument(
                    f"{self._reader.path}: no column {name!r}; {nearest(name, self._names)}"
                )
        start, stop = max(0, start), min(stop, self.num_entries)
        touched = [c for c in self.chunks if c.begin < stop and c.stop > start]
        kept = with_counters(self.columns, columns)
        self._check_size(sum(_event_bytes(c) for c in kept) * max(0, stop - start), start, stop)
        if (
            not touched and self.chunks
        ):  # no events, but the types of opaque columns are known in the chunks only
            touched = self.chunks[:1]
        coding = self.coding
        pieces: list[Table] = []
        size = 0
        try:
            for piece in ordered_map(
                lambda c: self._read_chunk(c, coding, kept, start, stop), touched, self._workers
            ):
                pieces.append(piece)
                size += _bytes(piece)
                self._check_size(size, start, stop)
            return concatenate(pieces) if pieces else no_events(self.name, kept)
        except MemoryError:
            raise TooLarge(
                f"{self._reader.path}: {_part(start, stop)} do not fit into memory; read fewer at a time"
            ) from None

    @cached_property
    def _names(self) -> dict[str, None]:
        return dict.fromkeys(c.name for c in self.columns)

    def _check_size(self, nbytes: int, start: int, stop: int) -> None:
        """Refuse what decodes to more than the memory."""
        if nbytes > self._reader.memory:
            taken = f"take {in_words(nbytes)} or more, and memory is kept within {in_words(self._reader.memory)}"
            raise TooLarge(
                f"{self._reader.path}: {_part(start, stop)} of table {self.name!r} {taken}; "
                "read fewer of them (--entries) or fewer columns, or allow more with --memory (memory=)"
            )

    def _read_chunk(
        self,
        chunk: StoredChunk,
        coding: TableCoding,
        kept: tuple[Column, ...],
        start: int,
        stop: int,
    ) -> Table:
        start, stop = max(0, start - chunk.begin), max(0, min(stop, chunk.stop) - chunk.begin)
        names, whole = [c.name for c in kept], (start, stop) == (0, chunk.section.entries)
        last = self._last
        if last is not None and last[0] is chunk and last[1] == kept:
            return last[2].read(names, start, stop)
        table = self._decode_chunk(chunk, coding, names)
        if not whole:  # whoever reads event by event asks for the same chunk again
            self._last = chunk, kept, table
        return table if whole else table.read(names, start, stop)

    def _decode_chunk(self, chunk: StoredChunk, coding: TableCoding, names: Sequence[str]) -> Table:
        entries, given = chunk.section.entries, self._given(chunk)
        coding = TableCoding(coding.columns, chunk.part.lattices, coding.flow, coding.given)
        try:
            directory, fetch = self._reader.chunk(
                chunk.section, self.columns, whole=len(names) == len(self.columns)
            )
            return decode_columns(
                directory, fetch, self.name, entries, coding, names, given, self._gate
            )
        except Corrupt as error:
            raise self._named(error) from None
        except TooLarge as error:
            raise TooLarge(
                f"{self._reader.path}: a chunk of {_part(chunk.begin, chunk.stop)} {error}"
            ) from None
        except InvalidArgument as error:
            raise InvalidArgument(
                f"{self._reader.path}: events {chunk.begin} to {chunk.stop}: {error}"
            ) from None

    def _given(self, chunk: StoredChunk) -> Given | None:
        """Reads the given columns of a chunk, one thread at a time."""
        if self._source is None or not self.given:
            return None
        given, hidden = self._source, {c.name for c in self.columns if c.hidden}
        source = given.table(self.name)

        def read(names: Sequence[str]) -> Table:
            by_counter = {c.counter: c.name for c in self.columns if c.name in self.given}
            counted = {
                by_counter[n] for n in names if n in hidden and n in by_counter
            }  # a counter of none is not shown
            wanted = with_counters(self.columns, {*names, *counted})
            check_same_columns(
                wanted, source.columns, f"{given.description} does not fit as --given"
            )
            with self._lock:
                return read_like(source, wanted, chunk.begin, chunk.stop)

        return read

    def directory(self, chunk: StoredChunk) -> tuple[Directory, Fetch]:
        """The directory of one of its chunks and the way to the bytes.

        Raises:
            Corrupt: Its head is damaged.
        """
        try:
            return self._reader.chunk(chunk.section, self.columns)
        except Corrupt as error:
            raise self._named(error) from None

    def copy(self, chunk: StoredChunk) -> tuple[bytes, bytes]:
        """Head and body of a chunk, all checksums checked.

        Raises:
            Corrupt: They are not what was written.
        """
        data = self._reader.raw(chunk.section)
        head = self._reader.checked(chunk.section, data)
        body, directory = data[FRAME_SIZE + len(head) :], read_directory(head, self.columns)
        damaged = directory.damaged(lambda spans: slices(body, 0, spans))
        if len(body) != directory.body or damaged:
            column = (damaged or [self.columns[0].name])[0]
            raise Corrupt(
                f"{self._reader.path}: events {chunk.begin} to {chunk.stop}: column {column!r} is damaged"
            )
        return head, body

    def needed(self, columns: Sequence[str]) -> set[str]:
        """All columns that decoding some takes."""
        return self.coding.needed(with_counters(self.columns, columns))

    def stored(self) -> Iterator[dict[str, Entry]]:
        """How each chunk stores each column."""
        for chunk in self.chunks:
            yield dict(self.directory(chunk)[0].entries)


def _event_bytes(column: Column) -> int:
    """Bytes of each event, as far as the schema tells."""
    if column.counter is not None or column.is_opaque:
        return 0
    return math.prod(column.shape) * np.dtype(column.dtype).itemsize


def _bytes(table: Table) -> int:
    return sum(int(table.data[c.name].nbytes) for c in table.columns)


def _part(start: int, stop: int) -> str:
    return f"events {start} to {stop}"


def no_events(name: str, columns: tuple[Column, ...]) -> Table:
    """A table of no events, where not even a chunk tells the types of opaque columns."""
    contents = {
        c.name: ak.Array([]) if c.is_opaque else np.empty((0, *c.shape), c.dtype) for c in columns
    }
    return Table(name, columns, 0, contents)
