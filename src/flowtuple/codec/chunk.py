"""A chunk: consecutive events of one table as bytes, each column by the smallest method, and back.

`encode_chunk` decodes what it made and checks every value against its bound before it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.codec import coder, packing
from flowtuple.codec.frequencies import frequencies
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.errors import BoundViolated, Corrupt
from flowtuple.lattice.context import Rows, coding_order, collection_counts, collection_of, gather
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice
from flowtuple.schema import Array, Column, bit_patterns
from flowtuple.table import Table, with_counters

MAX_ENTRIES = 2**20
MAX_ROWS = 2**28  # a constant column takes no bytes however many rows it claims: something has to say stop
SMALL = 4096  # raw bytes up to which a column may share one zstd frame with others


class Method(IntEnum):
    """How a column of a chunk is stored; the numbers are part of the format."""

    FLOW = 0
    CONSTANT = 1
    INDICES = 2
    VALUES = 3
    GROUP = 4
    OPAQUE = 5


@dataclass(frozen=True)
class TableCoding:
    """All that coding the events of one table needs: schema, lattices by column name, flow."""

    columns: tuple[Column, ...]
    lattices: Mapping[str, Lattice]
    flow: LatticeFlow


@dataclass(frozen=True)
class StoredColumn:
    """One column of a chunk: method, payload, and the exact values of its escapes as a zstd frame or nothing."""

    method: Method
    payload: bytes
    escapes: bytes = b""

    def __len__(self) -> int:
        return len(self.payload) + len(self.escapes)


class _RowSets:
    """Row orders of a chunk's collections, made once each."""

    def __init__(self, num_entries: int) -> None:
        self._num_entries = num_entries
        self._rows: dict[str, Rows] = {}

    def of(self, column: Column, counters: Mapping[str, Array]) -> Rows:
        key = collection_of(column)
        if key not in self._rows:
            counts = collection_counts(column, counters, self._num_entries)
            if counts.min(initial=0) < 0 or counts.max(initial=0) > MAX_ROWS or counts.sum() > MAX_ROWS:
                raise Corrupt(f"column {column.name!r}: a chunk cannot hold so many or fewer than no objects")
            self._rows[key] = Rows(counts)
        return self._rows[key]


def encode_chunk(table: Table, coding: TableCoding) -> tuple[bytes, list[int]]:
    """Bytes of a chunk, and the bytes that each column takes of it.

    Raises:
        BoundViolated: A value did not come back within its bound; nothing may be written then.
    """
    stored = _encode_columns(table, coding)
    data = _join([stored[c.name] for c in coding.columns])
    _check(table, decode_chunk(data, table.name, table.num_entries, coding), coding)
    return data, [len(stored[c.name]) for c in coding.columns]


def _encode_columns(table: Table, coding: TableCoding) -> dict[str, StoredColumn]:
    stored = {
        c.name: StoredColumn(Method.OPAQUE, packing.pack_opaque(ak.Array(table.data[c.name])))
        for c in coding.columns
        if c.is_opaque
    }
    row_sets, levels = _RowSets(table.num_entries), {}
    small: dict[str, StoredColumn] = {}
    for column in coding_order(coding.columns):
        rows, values = row_sets.of(column, table.data), table.data[column.name].reshape(-1)
        lattice, flow = coding.lattices[column.name], coding.flow.columns.get(column.name)
        q = lattice.encode(values)
        escapes = values[q == ESCAPE]
        exact = packing.zstd(escapes.tobytes()) if len(escapes) else b""
        candidates = _without_model(q, values, lattice, exact)
        if flow is not None:
            in_rows = q[rows.order]
            levels[column.name] = flow.bins.level(in_rows)
            if flow.network is not None:
                candidates.append(StoredColumn(Method.FLOW, _encode_flow(in_rows, flow, levels, rows), exact))
        best = stored[column.name] = min(candidates, key=len)
        if best.method in (Method.INDICES, Method.VALUES) and len(raw := packing.pack_raw(q)) <= SMALL:
            small[column.name] = StoredColumn(Method.GROUP, raw, exact)
    return _group_small(stored, small)


def _without_model(q: Array, values: Array, lattice: Lattice, exact: bytes) -> list[StoredColumn]:
    constant = packing.pack_constant(q)
    if constant is not None:
        return [StoredColumn(Method.CONSTANT, constant, exact)]
    candidates = [StoredColumn(Method.INDICES, packing.pack_indices(q), exact)]
    if lattice.bound.kind == "lossless":
        candidates.append(StoredColumn(Method.VALUES, packing.pack_values(values)))
    return candidates


def _model_table(flow: ColumnFlow, levels: Mapping[str, Array], rows: Rows) -> Array:
    if flow.network is None:
        raise Corrupt("a column is stored by a flow that the file does not hold")
    return frequencies(flow.network.logits(gather(flow.parents, levels, rows)))


def _encode_flow(q: Array, flow: ColumnFlow, levels: Mapping[str, Array], rows: Rows) -> bytes:
    table = _model_table(flow, levels, rows)
    return coder.encode(q, flow.bins.symbol(q), table, flow.bins.starts, flow.bins.spans)


def _group_small(stored: dict[str, StoredColumn], small: dict[str, StoredColumn]) -> dict[str, StoredColumn]:
    """Small columns move into one frame where that is shorter: a frame of their own costs each more than its content."""
    together = len(packing.zstd(b"".join(s.payload for s in small.values())))
    together += sum(len(s.escapes) for s in small.values())
    alone = sum(len(stored[name]) for name in small)
    return stored | small if together < alone else stored


def _join(stored: Sequence[StoredColumn]) -> bytes:
    """Directory (method, payload length, escape length of each column), shared frame of small columns, payloads."""
    group = b"".join(s.payload for s in stored if s.method is Method.GROUP)
    numbers = [n for s in stored for n in (s.method, len(s.payload), len(s.escapes))]
    directory = packing.zstd(write_unsigned(numbers))
    frame = packing.zstd(group) if group else b""
    head = write_unsigned([len(directory), len(frame)])
    rest = (b"" if s.method is Method.GROUP else s.payload for s in stored)
    return b"".join([head, directory, frame, *(p + s.escapes for p, s in zip(rest, stored, strict=True))])


def _split(data: bytes, columns: Sequence[Column]) -> dict[str, StoredColumn]:
    reader = Reader(data)
    directory_length, frame_length = reader.unsigned(), reader.unsigned()
    numbers = Reader(packing.unzstd(reader.take(directory_length)))
    frame = reader.take(frame_length)
    group = Reader(packing.unzstd(frame) if frame else b"")
    stored = {}
    for column in columns:
        method, length, escapes = numbers.unsigned(), numbers.unsigned(), numbers.unsigned()
        if method not in tuple(Method):
            raise Corrupt(f"column {column.name!r} is stored by the unknown method {method}")
        if (method == Method.OPAQUE) != column.is_opaque:
            raise Corrupt(f"column {column.name!r} of type {column.dtype} is stored by the method {Method(method).name}")
        if escapes and method in (Method.OPAQUE, Method.VALUES):
            raise Corrupt(f"column {column.name!r} is stored by the method {Method(method).name} and has escapes")
        source = group if method == Method.GROUP else reader
        stored[column.name] = StoredColumn(Method(method), source.take(length), reader.take(escapes))
    for part, what in ((reader, "a chunk"), (numbers, "the directory of a chunk"), (group, "the group of a chunk")):
        part.end(what)
    return stored


def methods(data: bytes, columns: Sequence[Column]) -> dict[str, StoredColumn]:
    """How each column of a chunk is stored, by name."""
    return _split(data, columns)


def decode_chunk(data: bytes, name: str, num_entries: int, coding: TableCoding, wanted: Iterable[str] | None = None) -> Table:
    """The events of a chunk, of the `wanted` columns and their counters or of all.

    Raises:
        Corrupt: The bytes are not what `encode_chunk` makes for this coding.
    """
    if num_entries > MAX_ENTRIES:
        raise Corrupt(f"a chunk of {num_entries} events is larger than any that the format allows")
    stored = _split(data, coding.columns)
    kept = coding.columns if wanted is None else with_counters(coding.columns, wanted)
    needed = coding.flow.ancestors(c.name for c in kept)
    needed |= {c.counter for c in coding.columns if c.name in needed and c.counter is not None}
    contents: dict[str, Any] = {}
    levels: dict[str, Array] = {}
    row_sets = _RowSets(num_entries)
    for column in coding_order([c for c in coding.columns if c.name in needed]):
        rows = row_sets.of(column, contents)
        contents[column.name] = _decode_column(stored[column.name], column, coding, rows, levels)
    for column in kept:
        if column.is_opaque:
            contents[column.name] = packing.unpack_opaque(stored[column.name].payload, num_entries)
    return Table(name, kept, num_entries, {c.name: contents[c.name] for c in kept})


def _decode_column(stored: StoredColumn, column: Column, coding: TableCoding, rows: Rows, levels: dict[str, Array]) -> Array:
    flow, lattice = coding.flow.columns.get(column.name), coding.lattices[column.name]
    count = len(rows)
    if stored.method is Method.VALUES:
        if lattice.bound.kind != "lossless":
            raise Corrupt(f"column {column.name!r} is bounded by {lattice.bound} and stored by its values")
        values = packing.unpack_values(stored.payload, count, column.dtype)
        q = lattice.encode(values) if flow is not None else None
    else:
        q = _decode_indices(stored, flow, rows, levels)
        escapes = packing.unzstd(stored.escapes) if stored.escapes else b""
        values = lattice.decode(q, _exact_values(escapes, int((q == ESCAPE).sum()), column))
    if flow is not None and q is not None:
        levels[column.name] = flow.bins.level(q[rows.order])
    return values.reshape(len(rows.counts), *column.shape) if column.shape else values


def _decode_indices(stored: StoredColumn, flow: ColumnFlow | None, rows: Rows, levels: Mapping[str, Array]) -> Array:
    if stored.method is Method.FLOW:
        if flow is None:
            raise Corrupt("a column is stored by a flow that the file does not hold")
        return rows.unsort(coder.decode(stored.payload, _model_table(flow, levels, rows), flow.bins.starts, flow.bins.spans))
    if stored.method is Method.CONSTANT:
        return packing.unpack_constant(stored.payload, len(rows))
    if stored.method is Method.INDICES:
        return packing.unpack_indices(stored.payload, len(rows))
    if stored.method is Method.GROUP:
        return packing.unpack_raw(stored.payload, len(rows))
    raise Corrupt(f"a column of numbers is stored by the method {stored.method.name}")


def _exact_values(escapes: bytes, count: int, column: Column) -> Array:
    dtype = np.dtype(column.dtype)
    if len(escapes) != count * dtype.itemsize:
        raise Corrupt(f"column {column.name!r}: {len(escapes)} bytes of exact values for {count} escapes")
    return np.frombuffer(escapes, dtype)


def _check(original: Table, decoded: Table, coding: TableCoding) -> None:
    for column in coding.columns:
        before, after = original.data[column.name], decoded.data[column.name]
        if column.is_opaque:
            kept = packing.opaque_bytes(before) == packing.opaque_bytes(after)
        else:
            kept = bool(coding.lattices[column.name].bound.holds(before, after).all()) and _same_signs(before, after)
        if not kept:
            raise BoundViolated(f"column {column.name!r} did not come back within its bound; nothing was written")


def _same_signs(before: Array, after: Array) -> bool:
    if before.dtype.kind != "f" or np.array_equal(bit_patterns(before), bit_patterns(after)):
        return True
    moved = (after != 0) & ~np.isnan(after)
    return np.array_equal(np.signbit(before[moved]), np.signbit(after[moved]))
