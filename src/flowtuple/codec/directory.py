"""The directory of a chunk: positions of its columns, whose bytes lie in blocks with checksums.

A column can be read and checked without the rest of its chunk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flowtuple.codec import packing
from flowtuple.codec.column import SMALL, Method, StoredColumn
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt, Truncated

BLOCK = 2**15
"""Bytes from which on a block ends with its column; a checksum is small compared with it."""

_RESIDUAL = 8  # added to a method's number
_NUMBER = 10  # largest length of a number
_CHECKSUM = 8

Fetch = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]
"""Reads ranges (first byte, byte after the last) of a chunk's body."""


@dataclass(frozen=True)
class Entry:
    """A column as the directory lists it.

    Attributes:
        method: The way it is stored.
        residual: Whether its payload holds residuals.
        begin: First byte in the body.
        payload: Bytes of the payload; with GROUP they lie in the group and not in the body.
        escapes: Bytes of the escapes, after the payload.
    """

    method: Method
    residual: bool
    begin: int
    payload: int
    escapes: int

    @property
    def stop(self) -> int:
        """First byte in the body after the column."""
        return (
            self.begin
            + self.escapes
            + (0 if self.method is Method.GROUP else self.payload)
        )


class Block(NamedTuple):
    """Consecutive bytes of the body with one checksum."""

    begin: int
    stop: int
    checksum: int


@dataclass(frozen=True)
class Directory:
    """The head of a chunk.

    Attributes:
        head: Bytes of the head.
        body: Bytes that follow it.
        entries: Columns by name.
        blocks: The body, block after block.
        group: Payloads of the columns that share a frame, by name.
        shared: Bytes of that frame, which lies in the head.
    """

    head: int
    body: int
    entries: Mapping[str, Entry]
    blocks: tuple[Block, ...]
    group: Mapping[str, bytes]
    shared: int

    def damaged(self, fetch: Fetch) -> list[str]:
        """Return the columns whose bytes are damaged or missing."""
        bad = [block for block in self.blocks if not _is_whole(block, fetch)]
        return [
            n
            for n, e in self.entries.items()
            if any(e.begin < b.stop and e.stop > b.begin for b in bad)
        ]

    def take(self, names: Iterable[str], fetch: Fetch) -> dict[str, StoredColumn]:
        """Return some columns, from the blocks that contain them.

        Raises:
            Corrupt: The checksum of a block is wrong.
        """
        entries = {name: self.entries[name] for name in names}
        starts = [b.begin for b in self.blocks]
        home = {
            name: self.blocks[bisect_right(starts, e.begin) - 1]
            for name, e in entries.items()
            if e.stop > e.begin
        }
        blocks = sorted(set(home.values()))
        contents = dict(zip(blocks, fetch([b[:2] for b in blocks]), strict=True))
        damaged = {
            b for b, data in contents.items() if packing.checksum(data) != b.checksum
        }
        taken = {}
        for name, entry in entries.items():
            data = b""
            if name in home:
                block = home[name]
                data = contents[block][
                    entry.begin - block.begin : entry.stop - block.begin
                ]
                if block in damaged:
                    raise Corrupt(
                        f"column {name!r} is damaged; restore the file from a copy, "
                        "or save what is whole with flowtuple recover"
                    )
            payload = self.group.get(name, data[: entry.payload])
            taken[name] = StoredColumn(
                entry.method, payload, data[len(data) - entry.escapes :], entry.residual
            )
        return taken


def _is_whole(block: Block, fetch: Fetch) -> bool:
    try:
        return packing.checksum(fetch([block[:2]])[0]) == block.checksum
    except Truncated:
        return False


def join(stored: Sequence[StoredColumn]) -> tuple[bytes, bytes]:
    """Return head and body of a chunk of these columns: all of the schema, in its order."""
    group = b"".join(s.payload for s in stored if s.method is Method.GROUP)
    numbers = [
        n
        for s in stored
        for n in (s.method + _RESIDUAL * s.residual, len(s.payload), len(s.escapes))
    ]
    directory = packing.zstd(write_unsigned(numbers))
    frame = packing.zstd(group) if group else b""
    parts = [(b"" if s.method is Method.GROUP else s.payload) + s.escapes for s in stored]
    body = b"".join(parts)
    sums = [
        packing.checksum(body[begin:stop]) for begin, stop in _blocks(map(len, parts))
    ]
    head = write_unsigned([len(directory), len(frame)])
    return b"".join(
        [head, directory, frame, *(c.to_bytes(_CHECKSUM, "little") for c in sums)]
    ), body


def _blocks(lengths: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the blocks: each ends with the column that makes it long enough, or the last one."""
    begin = stop = 0
    for length in lengths:
        stop += length
        if stop - begin >= BLOCK:
            yield begin, stop
            begin = stop
    if stop > begin:
        yield begin, stop


def read_directory(data: bytes, columns: Sequence[Column]) -> Directory:
    """Return the directory from a chunk's head, or from the whole chunk.

    Raises:
        Corrupt: The bytes describe no chunk of these columns.
    """
    reader = Reader(data)
    directory_length, frame_length = reader.unsigned(), reader.unsigned()
    numbers = Reader(
        packing.unzstd(reader.take(directory_length), most=3 * _NUMBER * len(columns))
    )
    frame = reader.take(frame_length)
    entries, begin = {}, 0
    for column in columns:
        entries[column.name] = _entry(numbers, column, begin)
        begin = entries[column.name].stop
    numbers.end("the directory of a chunk")
    blocks = []
    for first, stop in _blocks(e.stop - e.begin for e in entries.values()):
        blocks.append(
            Block(first, stop, int.from_bytes(reader.take(_CHECKSUM), "little"))
        )
    return Directory(
        reader.position,
        begin,
        entries,
        tuple(blocks),
        _group(frame, entries),
        frame_length,
    )


def _entry(numbers: Reader, column: Column, begin: int) -> Entry:
    number, payload, escapes = (numbers.unsigned() for _ in range(3))
    residual = number >= _RESIDUAL
    number -= _RESIDUAL * residual
    where = f"column {column.name!r}"
    if number not in tuple(Method):
        raise Corrupt(f"{where} is stored by the unknown method {number}")
    method = Method(number)
    if (method is Method.OPAQUE) != column.is_opaque:
        raise Corrupt(
            f"{where} of type {column.dtype} is stored by the method {method.name}"
        )
    if residual and method not in (Method.CONSTANT, Method.INDICES, Method.GROUP):
        raise Corrupt(f"{where} is stored by residuals under the method {method.name}")
    if escapes and method in (Method.OPAQUE, Method.VALUES, Method.GIVEN):
        raise Corrupt(f"{where} is stored by the method {method.name} and has escapes")
    if method is Method.GROUP and payload > SMALL:
        raise Corrupt(f"{where} shares a frame and takes {payload} bytes of it")
    return Entry(method, residual, begin, payload, escapes)


def _group(frame: bytes, entries: Mapping[str, Entry]) -> dict[str, bytes]:
    lengths = {name: e.payload for name, e in entries.items() if e.method is Method.GROUP}
    reader = Reader(packing.unzstd(frame, length=sum(lengths.values())) if frame else b"")
    group = {name: reader.take(length) for name, length in lengths.items()}
    reader.end("the group of a chunk")
    return group
