"""A flowtuple file on disk or behind a URL: written section by section, read piece by piece."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import awkward as ak
import fsspec
import numpy as np

from flowtuple.atomic import atomic_path
from flowtuple.codec.chunk import Given, decode_chunk, methods
from flowtuple.codec.column import StoredColumn, TableCoding
from flowtuple.codec.packing import unzstd
from flowtuple.container import layout
from flowtuple.container.description import parse_table
from flowtuple.container.layout import Section, SectionKind
from flowtuple.container.model import unpack_flow
from flowtuple.errors import Corrupt, InvalidArgument, Truncated, nearest
from flowtuple.execute import ordered_map
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.network import probe
from flowtuple.schema import Column
from flowtuple.table import Dataset, Table, check_same_columns, concatenate, read_like, with_counters


class Writer:
    """Appends sections to an open file; `finish` adds the index that makes it readable.

    Every method raises InvalidArgument where the file at `path` cannot be written.
    """

    def __init__(self, out: BinaryIO, path: str | os.PathLike[str]) -> None:
        self._out = out
        self._path = path
        self._sections: list[Section] = []
        self._write(layout.pack_header())

    def _write(self, data: bytes) -> None:
        try:
            self._out.write(data)
            self._out.flush()
        except OSError as error:
            raise InvalidArgument(f"{self._path}: cannot be written ({error.strerror}); choose another disk") from None

    def add(self, kind: SectionKind, owner: int, data: bytes, entries: int = 0) -> None:
        """Write one section's bytes."""
        self._write(data)
        self._sections.append(Section(kind, owner, entries, len(data), layout.checksum(data)))

    def finish(self, meta: dict[str, Any]) -> None:
        """Write description and index; nothing may follow."""
        self._write(layout.pack_footer(meta, self._sections))


@contextmanager
def create(path: str | os.PathLike[str]) -> Iterator[Writer]:
    """A writer whose file appears at `path` when the block ends without an error, and not otherwise.

    Raises:
        InvalidArgument: The path cannot be written, or the disk is full.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as out:
        yield Writer(out, path)


class StoredTable:
    """One table of an open file, a `TableSource`: reads and decodes the chunks that a range touches, and no others."""

    def __init__(self, file: File, number: int, description: Mapping[str, Any]) -> None:
        self._file = file
        self._number = number
        try:
            described = parse_table(description)
        except Corrupt as error:
            raise Corrupt(f"{file.path}: the description of table {number} {error}") from None
        self.name, self.num_entries, self.columns = described.name, described.num_entries, described.columns
        self.lattices, self.asked, self.given = described.lattices, described.asked, described.given
        self.model_reference = described.model
        self.chunks = [s for s in file.sections if s.kind is SectionKind.CHUNK and s.owner == number]
        if self.model_reference and self.model_section is not None:
            raise Corrupt(f"{file.path}: table {self.name!r} has a model and refers to another")
        if sum(s.entries for s in self.chunks) != self.num_entries:
            raise Corrupt(f"{file.path}: table {self.name!r} declares {self.num_entries} events, its chunks hold others")

    @cached_property
    def flow(self) -> LatticeFlow:
        """The flow of this table, without columns where there is none.

        Raises:
            InvalidArgument: The file refers to a model kept elsewhere, which it was not opened with.
        """
        if self.model_reference:
            referred = self._file.referred_table(self.name, self.model_reference)
            self._check_schema(referred)
            return referred.flow
        section = self.model_section
        if section is None:
            return LatticeFlow()
        probe()
        data = self._file.read_section(section)
        try:
            return unpack_flow(data, self.columns)
        except Corrupt as error:
            raise Corrupt(f"{self._file.path}: {error}") from None

    def _check_schema(self, other: StoredTable) -> None:
        """Refuse the model of a table whose columns are not like this one's."""
        own = {c.name: (c.dtype, c.counter, c.shape) for c in self.columns}
        for column in other.columns:
            if column.name in other.flow.columns and own.get(column.name) != (column.dtype, column.counter, column.shape):
                raise Corrupt(f"{self._file.path}: its model was made for another column {column.name!r}")

    @property
    def model_section(self) -> Section | None:
        """Where its own model lies in the file."""
        own = (s for s in self._file.sections if s.kind is SectionKind.MODEL and s.owner == self._number)
        return next(own, None)

    @property
    def model_hash(self) -> str:
        """What another file refers to its model by: 16 hexadecimal digits, empty without a model."""
        section = self.model_section
        return self.model_reference if section is None else f"{section.checksum:016x}"

    @property
    def coding(self) -> TableCoding:
        """What encoding and decoding its chunks takes."""
        return TableCoding(self.columns, self.lattices, self.flow, self.given)

    @property
    def model_bytes(self) -> int:
        """Bytes of its model in the file."""
        return 0 if self.model_section is None else self.model_section.length

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns, decoded in as many threads as the file was opened for."""
        for name in columns:
            if name not in {c.name for c in self.columns}:
                raise InvalidArgument(f"{self._file.path}: no column {name!r}; {nearest(name, [c.name for c in self.columns])}")
        start, stop = max(0, start), min(stop, self.num_entries)
        jobs, begin = [], 0
        for section in self.chunks:
            if begin < stop and begin + section.entries > start:
                jobs.append((section, begin, max(start - begin, 0), min(stop - begin, section.entries)))
            begin += section.entries
        kept = with_counters(self.columns, columns)
        if not jobs and self.chunks:  # no events, but the types of opaque columns are known in the chunks only
            jobs = [(self.chunks[0], 0, 0, 0)]
        coding = self.coding
        pieces = list(ordered_map(lambda job: self._read_chunk(coding, kept, *job), jobs, self._file.workers))
        return concatenate(pieces) if pieces else _empty(self.name, kept)

    def _read_chunk(
        self, coding: TableCoding, kept: tuple[Column, ...], section: Section, begin: int, start: int, stop: int
    ) -> Table:
        names = [c.name for c in kept]
        data = self._file.read_section(section)
        try:
            table = decode_chunk(data, self.name, section.entries, coding, names, self._given(begin, section.entries))
        except Corrupt as error:
            raise Corrupt(f"{self._file.path}: {error}") from None
        except InvalidArgument as error:
            raise InvalidArgument(f"{self._file.path}: events {begin} to {begin + section.entries}: {error}") from None
        return table if (start, stop) == (0, section.entries) else table.read(names, start, stop)

    def _given(self, begin: int, entries: int) -> Given | None:
        """Reads the given columns of a chunk, one thread at a time."""
        if self._file.given is None or not self.given:
            return None
        given, hidden = self._file.given, {c.name for c in self.columns if c.hidden}
        source = given.table(self.name)

        def read(names: Sequence[str]) -> Table:
            counted = [next(c for c in self.columns if c.counter == n and c.name in self.given) for n in names if n in hidden]
            wanted = with_counters(self.columns, {*names, *(c.name for c in counted)})
            check_same_columns(wanted, source.columns, f"{given.description} does not fit as --given")
            with self._file.given_lock:
                return read_like(source, wanted, begin, begin + entries)

        return read

    def stored(self) -> Iterator[dict[str, StoredColumn]]:
        """How each chunk stores each column."""
        for section in self.chunks:
            yield methods(self._file.read_section(section), self.columns)


def _empty(name: str, columns: tuple[Column, ...]) -> Table:
    contents = {c.name: ak.Array([]) if c.is_opaque else np.empty((0, *c.shape), c.dtype) for c in columns}
    return Table(name, columns, 0, contents)


class File:
    """An open flowtuple file; opening reads the description and the index only.

    Attributes:
        path: Path or URL.
        tables: Its tables by name.
        meta: The description as it is stored.
        workers: Threads that decode; `None` for one per core.
        given: Has the columns that were given when the file was compressed, if any were.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        workers: int | None = None,
        *,
        given: Dataset | None = None,
        model: str | os.PathLike[str] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.workers = workers
        self.given = given
        self.given_lock = threading.Lock()
        self._model_path = model
        self._lock = threading.Lock()
        self._stream, self.size = _open(self.path)
        try:
            self._read_index()
        except BaseException:
            self.close()
            raise

    def _read_index(self) -> None:
        header = self._read(0, min(self.size, layout.HEADER_SIZE))
        layout.check_header(header, self.path)
        tail = self._read(max(0, self.size - layout.TRAILER_SIZE), min(self.size, layout.TRAILER_SIZE))
        offset, length, expected = layout.unpack_trailer(tail, self.size, self.path)
        footer = self._read(offset, length)
        if layout.checksum(header + footer) != expected:
            raise Corrupt(f"{self.path}: its index is damaged (checksum differs); restore it from a copy")
        self.meta, self.sections = layout.unpack_footer(footer, offset, self.path)
        self.index_size = len(footer) + layout.HEADER_SIZE + layout.TRAILER_SIZE
        described, names = self.meta.get("tables", []), self.meta.get("carried", [])
        if not isinstance(described, list) or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise Corrupt(f"{self.path}: its description lists neither tables nor carried objects")
        limits = {SectionKind.CARRIED: len(names), SectionKind.CHUNK: len(described), SectionKind.MODEL: len(described)}
        if any(s.owner >= limits[s.kind] for s in self.sections):
            raise Corrupt(f"{self.path}: has a section of a table or object that its description lacks")
        owners = sorted(s.owner for s in self.sections if s.kind is SectionKind.CARRIED)
        models = [s.owner for s in self.sections if s.kind is SectionKind.MODEL]
        if owners != list(range(len(set(names)))) or len(set(models)) != len(models):
            raise Corrupt(f"{self.path}: its sections do not fit its description")
        tables = [StoredTable(self, k, d) for k, d in enumerate(described)]
        self.tables = {t.name: t for t in tables}
        if len(self.tables) != len(tables):
            raise Corrupt(f"{self.path}: has two tables of one name")

    @cached_property
    def _model(self) -> File | None:
        return None if self._model_path is None else File(self._model_path)

    def referred_table(self, name: str, reference: str) -> StoredTable:
        """The table of another file that holds the model of one of this file's.

        Raises:
            InvalidArgument: The file was opened without that model.
        """
        if self._model is None:
            raise InvalidArgument(f"{self.path}: needs the model {reference}, kept elsewhere; name it with --model")
        table = self._model.tables.get(name)
        if table is None or table.model_hash != reference:
            found = "no model of this table" if table is None else f"the model {table.model_hash or 'of no table'}"
            raise InvalidArgument(f"{self.path}: needs the model {reference}, {self._model.path} has {found}")
        return table

    def read_section(self, section: Section) -> bytes:
        """A section's bytes, checked.

        Raises:
            Corrupt: They are not the bytes that were written.
        """
        data = self._read(section.offset, section.length)
        if layout.checksum(data) != section.checksum:
            place = f"bytes {section.offset} to {section.offset + section.length}"
            raise Corrupt(f"{self.path}: {section.kind.name.lower()} section at {place} is damaged; restore it from a copy")
        return data

    def _read(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._stream.seek(offset)
            data = self._stream.read(length)
        if len(data) != length:
            raise Truncated(f"{self.path}: ends at byte {offset + len(data)}, within its contents; fetch or copy it again")
        return data

    @property
    def is_model(self) -> bool:
        """Whether it holds a model alone, to compress other files with."""
        return bool(self.meta.get("model", False))

    @property
    def carried(self) -> dict[str, bytes]:
        """Objects that travel along, by name."""
        names = self.meta.get("carried", [])
        sections = [s for s in self.sections if s.kind is SectionKind.CARRIED]
        return {names[s.owner]: unzstd(self.read_section(s)) for s in sections}

    def dataset(self) -> Dataset:
        """The whole file as a data set that can be written in any format."""
        return Dataset(self.path, dict(self.tables), self.carried, {}, self.size)

    def close(self) -> None:
        """Close the file; tables taken from it read no more."""
        self._stream.close()
        if "_model" in self.__dict__ and self._model is not None:
            self._model.close()

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(path: str) -> tuple[BinaryIO, int]:
    try:
        stream = fsspec.open(path, "rb").open() if "://" in path else open(path, "rb")  # noqa: SIM115 (File closes it)
        stream.seek(0, os.SEEK_END)
    except FileNotFoundError:
        folder = Path(path).parent
        names = [p.name for p in folder.iterdir()] if "://" not in path and folder.is_dir() else []
        raise InvalidArgument(f"{path}: no such file; {nearest(Path(path).name, names)}") from None
    except (OSError, ImportError, ValueError) as error:
        raise InvalidArgument(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return stream, stream.tell()
