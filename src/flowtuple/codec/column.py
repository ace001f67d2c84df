"""One column of a chunk: every way to store it tried and the smallest kept, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import xxhash

from flowtuple.codec import coder, packing
from flowtuple.codec.frequencies import intervals
from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.lattice.context import Context, RowSet
from flowtuple.lattice.evaluation import logits as logits_of
from flowtuple.lattice.evaluation import predict, publish
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice

SMALL = 4096  # raw bytes up to which a column may share one zstd frame with others
_HASH_BYTES = 8
MAX_OBJECTS = 4096  # of an event, up to which a column may read itself at objects before
BLOCK_ROWS = 2**15  # rows whose logits are held at once


class Method(IntEnum):
    """How a column of a chunk is stored; the numbers are part of the format."""

    FLOW = 0
    CONSTANT = 1
    INDICES = 2
    VALUES = 3
    GROUP = 4
    OPAQUE = 5
    GIVEN = 6


@dataclass(frozen=True)
class TableCoding:
    """All that coding the events of one table needs.

    Attributes:
        columns: The schema.
        lattices: By column name, of all columns that are not opaque.
        flow: What codes them.
        given: Names of columns that are not stored: whoever reads supplies them.
    """

    columns: tuple[Column, ...]
    lattices: Mapping[str, Lattice]
    flow: LatticeFlow
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StoredColumn:
    """One column of a chunk.

    Attributes:
        method: How it is stored.
        payload: Its bytes.
        escapes: The exact values of its escapes, in row order, as a zstd frame or nothing.
        residual: Whether the payload of CONSTANT, INDICES or GROUP holds residuals from the column's prediction, in row
            order, and not indices in stored order.
    """

    method: Method
    payload: bytes
    escapes: bytes = b""
    residual: bool = False

    def __len__(self) -> int:
        return len(self.payload) + len(self.escapes)


def encode_column(
    values: Array, column: Column, coding: TableCoding, context: Context
) -> tuple[StoredColumn, StoredColumn | None]:
    """The smallest way to store a column, and its way into a frame shared with others where that may be smaller.

    Args:
        values: All values, in stored order, shape (n,).
        column: The column.
        coding: That of its table.
        context: The columns before it; what others read of this one is added.
    """
    lattice, flow = coding.lattices[column.name], coding.flow.columns.get(column.name)
    rows = context.rows(context.collection[column.name])
    q = lattice.encode(values)
    in_rows = rows.sort(q)
    escapes = rows.sort(values)[in_rows == ESCAPE]
    exact = packing.zstd(escapes.tobytes()) if len(escapes) else b""
    candidates = _of_indices(q, exact, residual=False)
    if lattice.bound.kind == "lossless" and candidates[0].method is not Method.CONSTANT:
        candidates.append(StoredColumn(Method.VALUES, packing.pack_values(values)))
    r = None
    if flow is not None:
        publish(column.name, slice(0, len(rows)), in_rows, escapes, lattice, coding.flow, context)
    if flow is not None and may_read_itself(flow, column.name, rows):
        predicted = predict(flow, lattice, column.name, slice(0, len(rows)), context)
        if flow.prediction is not None and predicted is not None:
            r = flow.prediction.residual(in_rows, predicted, flow.kept)
            candidates += _of_indices(r, exact, residual=True) if r is not None else []
        coded = r if flow.residual else in_rows
        if flow.network is not None and coded is not None:
            candidates.append(
                StoredColumn(
                    Method.FLOW, _encode_flow(coded, flow, column.name, predicted, context), exact
                )
            )
    best = min(candidates, key=len)
    return best, _for_group(best, q if r is None or not best.residual else r, exact)


def encode_external(
    values: Array, column: Column, coding: TableCoding, context: Context
) -> StoredColumn:
    """A column that whoever reads supplies: only the hash of its values, in stored order, is kept."""
    rows, lattice = context.rows(context.collection[column.name]), coding.lattices[column.name]
    q = lattice.encode(rows.sort(values))
    publish(
        column.name,
        slice(0, len(rows)),
        q,
        rows.sort(values)[q == ESCAPE],
        lattice,
        coding.flow,
        context,
    )
    return StoredColumn(Method.GIVEN, _fingerprint(values))


def check_external(values: Array, stored: StoredColumn, column: Column) -> None:
    """Refuse values that are not those of `encode_external`.

    Raises:
        InvalidArgument: They differ.
        Corrupt: What is stored is no hash.
    """
    if len(stored.payload) != _HASH_BYTES:
        raise Corrupt(
            f"column {column.name!r} is given, and its hash has {len(stored.payload)} bytes"
        )
    if _fingerprint(values) != stored.payload:
        raise InvalidArgument(
            f"column {column.name!r} is not the one that was given when it was compressed"
        )


def _fingerprint(values: Array) -> bytes:
    return int(xxhash.xxh3_64_intdigest(np.ascontiguousarray(values).tobytes())).to_bytes(
        _HASH_BYTES, "little"
    )


def may_read_itself(flow: ColumnFlow, name: str, rows: RowSet) -> bool:
    """Whether a column is worth decoding object after object, or need not be."""
    return not flow.reads(name) or int(rows.counts.max(initial=0)) <= MAX_OBJECTS


def _of_indices(q: Array, exact: bytes, residual: bool) -> list[StoredColumn]:
    constant = packing.pack_constant(q)
    if constant is not None:
        return [StoredColumn(Method.CONSTANT, constant, exact, residual)]
    return [StoredColumn(Method.INDICES, packing.pack_indices(q), exact, residual)]


def _for_group(best: StoredColumn, coded: Array, exact: bytes) -> StoredColumn | None:
    if best.method not in (Method.INDICES, Method.VALUES) or coded.size > SMALL:
        return None
    raw = packing.pack_raw(coded)
    if len(raw) > SMALL:
        return None
    return StoredColumn(Method.GROUP, raw, exact, best.residual)


def _encode_flow(
    coded: Array, flow: ColumnFlow, name: str, predicted: Array | None, context: Context
) -> bytes:
    symbols = flow.bins.symbol(coded)
    below, frequency = np.empty(len(coded), np.uint32), np.empty(len(coded), np.uint32)
    for part in _blocks(slice(0, len(coded))):
        logits = logits_of(
            flow, name, part, None if predicted is None else predicted[part], context
        )
        below[part], frequency[part] = intervals(logits, symbols[part])
    return coder.encode(coded, symbols, below, frequency, flow.bins.starts, flow.bins.spans)


def _blocks(part: slice) -> Iterator[slice]:
    for start in range(part.start, part.stop, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, part.stop))


def decode_column(
    stored: StoredColumn, column: Column, coding: TableCoding, context: Context
) -> Array:
    """The inverse of `encode_column`: all values in stored order, shape (n,).

    Raises:
        Corrupt: The bytes are not what `encode_column` makes for this coding and context.
    """
    flow, lattice = coding.flow.columns.get(column.name), coding.lattices[column.name]
    rows = context.rows(context.collection[column.name])
    if stored.method is Method.VALUES:
        if lattice.bound.kind != "lossless":
            raise Corrupt(
                f"column {column.name!r} is bounded by {lattice.bound} and stored by its values"
            )
        values = packing.unpack_values(stored.payload, len(rows), column.dtype)
        if flow is not None:
            q = lattice.encode(rows.sort(values))
            publish(
                column.name,
                slice(0, len(rows)),
                q,
                rows.sort(values)[q == ESCAPE],
                lattice,
                coding.flow,
                context,
            )
        return values
    escapes = _exact_values(stored, column, len(rows))
    if stored.method is Method.FLOW or stored.residual:
        q = _decode_rows(stored, column, coding, context, escapes)
    else:
        q = rows.sort(_unpack_indices(stored, len(rows)))
    if len(escapes) != np.count_nonzero(q == ESCAPE):
        raise Corrupt(
            f"column {column.name!r}: {len(escapes)} exact values for {np.count_nonzero(q == ESCAPE)} escapes"
        )
    if flow is not None:
        publish(column.name, slice(0, len(rows)), q, escapes, lattice, coding.flow, context)
    return rows.unsort(lattice.decode(q, escapes))


def _decode_rows(
    stored: StoredColumn, column: Column, coding: TableCoding, context: Context, escapes: Array
) -> Array:
    """Indices in row order, part by part where a column reads itself at objects before."""
    flow, lattice, name = (
        coding.flow.columns.get(column.name),
        coding.lattices[column.name],
        column.name,
    )
    if flow is None or (stored.residual and flow.prediction is None):
        raise Corrupt(f"column {name!r} is stored by a flow that the file does not hold")
    rows = context.rows(context.collection[name])
    if not may_read_itself(flow, name, rows):
        raise Corrupt(
            f"column {name!r} reads itself where an event has more than {MAX_OBJECTS} objects"
        )
    stream = coder.Decoder(stored.payload) if stored.method is Method.FLOW else None
    residuals = None if stream else _unpack_indices(stored, len(rows))
    itself = flow.reads(name)
    q, used = np.empty(len(rows), np.int64), 0
    if itself:  # the first objects find nothing yet
        publish(name, slice(0, 0), q[:0], escapes[:0], lattice, coding.flow, context)
    for part in _parts(rows, itself):
        predicted = predict(flow, lattice, name, part, context)
        if stream is not None:
            logits = logits_of(flow, name, part, predicted, context)
            coded = stream.take(logits, flow.bins.starts, flow.bins.spans, part.stop - part.start)
        else:
            coded = residuals[part]  # type: ignore[index]
        subtracted = (
            flow.prediction is not None
            and predicted is not None
            and (flow.residual or stream is None)
        )
        q[part] = flow.prediction.restore(coded, predicted) if subtracted else coded  # type: ignore[union-attr, arg-type]
        if itself:
            count = int(np.count_nonzero(q[part] == ESCAPE))
            if used + count > len(escapes):
                raise Corrupt(f"column {name!r}: too few exact values for its escapes")
            publish(
                name, part, q[part], escapes[used : used + count], lattice, coding.flow, context
            )
            used += count
    if stream is not None:
        stream.end()
    return q


def _parts(rows: RowSet, itself: bool) -> Iterator[slice]:
    for part in rows.parts if itself else [slice(0, len(rows))]:
        yield from _blocks(part)


def _unpack_indices(stored: StoredColumn, count: int) -> Array:
    if stored.method is Method.CONSTANT:
        return packing.unpack_constant(stored.payload, count)
    if stored.method is Method.INDICES:
        return packing.unpack_indices(stored.payload, count)
    if stored.method is Method.GROUP:
        return packing.unpack_raw(stored.payload, count)
    raise Corrupt(f"a column of numbers is stored by the method {stored.method.name}")


def _exact_values(stored: StoredColumn, column: Column, rows: int) -> Array:
    escapes = b""
    if stored.escapes:
        escapes = packing.unzstd(stored.escapes, most=rows * np.dtype(column.dtype).itemsize)
        if not escapes:
            raise Corrupt(f"column {column.name!r} has a frame of no exact values")
    return packing.from_bytes(escapes, column.dtype)
