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
from flowtuple.codec.chunk import decode_chunk, methods
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
from flowtuple.table import Dataset, Table, concatenate, with_counters


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
        self.lattices, self.asked = described.lattices, described.asked
        self.chunks = [s for s in file.sections if s.kind is SectionKind.CHUNK and s.owner == number]
        if sum(s.entries for s in self.chunks) != self.num_entries:
            raise Corrupt(f"{file.path}: table {self.name!r} declares {self.num_entries} events, its chunks hold others")

    @cached_property
    def flow(self) -> LatticeFlow:
        """The flow of this table, without columns where the file holds none."""
        for section in self._file.sections:
            if section.kind is SectionKind.MODEL and section.owner == self._number:
                probe()
                data = self._file.read_section(section)
                try:
                    return unpack_flow(data, self.columns)
                except Corrupt as error:
                    raise Corrupt(f"{self._file.path}: {error}") from None
        return LatticeFlow()

    @property
    def coding(self) -> TableCoding:
        """What encoding and decoding its chunks takes."""
        return TableCoding(self.columns, self.lattices, self.flow)

    @property
    def model_bytes(self) -> int:
        """Bytes of its model in the file."""
        return sum(s.length for s in self._file.sections if s.kind is SectionKind.MODEL and s.owner == self._number)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns, decoded in as many threads as the file was opened for."""
        for name in columns:
            if name not in {c.name for c in self.columns}:
                raise InvalidArgument(f"{self._file.path}: no column {name!r}; {nearest(name, [c.name for c in self.columns])}")
        start, stop = max(0, start), min(stop, self.num_entries)
        jobs, begin = [], 0
        for section in self.chunks:
            if begin < stop and begin + section.entries > start:
                jobs.append((section, max(start - begin, 0), min(stop - begin, section.entries)))
            begin += section.entries
        kept = with_counters(self.columns, columns)
        if not jobs and self.chunks:  # no events, but the types of opaque columns are known in the chunks only
            jobs = [(self.chunks[0], 0, 0)]
        pieces = list(ordered_map(lambda job: self._read_chunk(job[0], kept, job[1], job[2]), jobs, self._file.workers))
        return concatenate(pieces) if pieces else _empty(self.name, kept)

    def _read_chunk(self, section: Section, kept: tuple[Column, ...], start: int, stop: int) -> Table:
        names = [c.name for c in kept]
        data = self._file.read_section(section)
        coding = self.coding
        try:
            table = decode_chunk(data, self.name, section.entries, coding, names)
        except Corrupt as error:
            raise Corrupt(f"{self._file.path}: {error}") from None
        return table if (start, stop) == (0, section.entries) else table.read(names, start, stop)

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
    """

    def __init__(self, path: str | os.PathLike[str], workers: int | None = None) -> None:
        self.path = os.fspath(path)
        self.workers = workers
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
