"""One column of a chunk: try every way to store it and take the smallest, and decode it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flowtuple.codec import coder, packing
from flowtuple.codec.frequencies import intervals
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.walk import MAX_OBJECTS, ColumnState

SMALL = 4096
"""Raw bytes up to which a column may share one zstd frame with others."""

_HASH_BYTES = 8


class Method(IntEnum):
    """Ways to store a column of a chunk; the numbers are part of the format."""

    FLOW = 0
    CONSTANT = 1
    INDICES = 2
    VALUES = 3
    GROUP = 4
    OPAQUE = 5
    GIVEN = 6


@dataclass(frozen=True)
class StoredColumn:
    """One column of a chunk.

    Attributes:
        method: The way it is stored.
        payload: Its bytes.
        escapes: The exact values of its escapes, in row order, as a zstd frame or nothing.
        residual: Whether the payload of CONSTANT, INDICES or GROUP holds residuals from the
            column's prediction, in row order, and not indices in stored order.
    """

    method: Method
    payload: bytes
    escapes: bytes = b""
    residual: bool = False

    def __len__(self) -> int:
        return len(self.payload) + len(self.escapes)


def encode_column(
    stored: Array, state: ColumnState, cost: Callable[[StoredColumn], int] = len
) -> tuple[StoredColumn, StoredColumn | None]:
    """Encode u: return the cheapest way to store a column, and its way into a shared frame.

    Args:
        stored: All values, in stored order, shape (n,).
        state: The column on the walk; the values are recorded for the columns after it.
        cost: Cost of a way to store the column; its bytes by default.

    Returns:
        The cheapest way, and `None` where a frame shared with others cannot be smaller.
    """
    q, escapes = state.enter(stored)
    exact = packing.zstd(escapes.tobytes()) if len(escapes) else b""
    indices = state.rows.unsort(q)
    candidates = [_pack(indices, exact, residual=False)]
    is_lossless = state.lattice.bound.kind == "lossless"
    if is_lossless and candidates[0].method is not Method.CONSTANT:
        candidates.append(StoredColumn(Method.VALUES, packing.pack_values(stored)))
    residuals = None
    flow = state.flow
    if flow is not None and state.is_codable:
        predicted = state.predict(state.whole)
        if flow.prediction is not None and predicted is not None:
            residuals = flow.prediction.residual(q, predicted, flow.absolute, flow.window)
        if residuals is not None:
            candidates.append(_pack(residuals, exact, residual=True))
        coded = residuals if flow.residual else q
        if flow.network is not None and coded is not None:
            stream = encode_flow(coded, state, predicted)
            candidates.append(StoredColumn(Method.FLOW, stream, exact))
    best = min(candidates, key=cost)
    numbers = residuals if best.residual and residuals is not None else indices
    if best.method in (Method.INDICES, Method.VALUES) and numbers.size <= SMALL:
        raw = packing.pack_raw(numbers)
        if len(raw) <= SMALL:
            return best, StoredColumn(Method.GROUP, raw, exact, best.residual)
    return best, None


def encode_flow(coded: Array, state: ColumnState, predicted: Array | None) -> bytes:
    """Encode the u of indices or residuals, int64 of shape (n,) in row order."""
    bins = state.required_flow.bins
    symbols = bins.symbol(coded)
    below = np.empty(len(coded), np.uint32)
    frequency = np.empty(len(coded), np.uint32)
    for part, logits in state.blocks(predicted):
        below[part], frequency[part] = intervals(logits, symbols[part])
    return coder.encode(coded, symbols, below, frequency, bins.starts, bins.spans)


def _pack(q: Array, exact: bytes, *, residual: bool) -> StoredColumn:
    constant = packing.pack_constant(q)
    if constant is not None:
        return StoredColumn(Method.CONSTANT, constant, exact, residual)
    return StoredColumn(Method.INDICES, packing.pack_indices(q), exact, residual)


def encode_external(stored: Array, state: ColumnState) -> StoredColumn:
    """Record an external column and return the hash of its values, which is all that is stored."""
    state.enter(stored)
    return StoredColumn(Method.GIVEN, _fingerprint(stored))


def decode_external(stored: StoredColumn, values: Array, state: ColumnState) -> None:
    """Record the values of an external column, in stored order.

    Raises:
        InvalidArgument: They are not those of `encode_external`.
        Corrupt: The stored hash is not a hash.
    """
    name = state.name
    size = len(stored.payload)
    if size != _HASH_BYTES:
        raise Corrupt(f"column {name!r} is given, and its hash has {size} bytes")
    if _fingerprint(values) != stored.payload:
        raise InvalidArgument(
            f"column {name!r} is not the one that was given when it was compressed"
        )
    state.enter(values)


def _fingerprint(values: Array) -> bytes:
    return packing.checksum(values.tobytes()).to_bytes(_HASH_BYTES, "little")


def decode_column(stored: StoredColumn, state: ColumnState) -> Array:
    """Decode u: the inverse of `encode_column`.

    Returns:
        All values in stored order, shape (n,).

    Raises:
        Corrupt: The bytes are not what `encode_column` makes for this coding and context.
    """
    if stored.method is Method.VALUES:
        return _decode_values(stored, state)
    escapes = _unpack_escapes(stored, state)
    if stored.method is Method.FLOW or stored.residual:
        q = _decode_parts(stored, state, escapes)
    else:
        q = state.rows.sort(_unpack_indices(stored, len(state.rows)))
        _check_escapes(state, q, escapes)
        state.record(state.whole, q, escapes)
    return state.rows.unsort(state.at(state.whole).decode(q, escapes))


def _decode_values(stored: StoredColumn, state: ColumnState) -> Array:
    if state.lattice.bound.kind != "lossless":
        raise Corrupt(
            f"column {state.name!r} is bounded by {state.lattice.bound} and stored by its values"
        )
    values = packing.unpack_values(stored.payload, len(state.rows), state.column.dtype)
    if state.is_read:
        state.enter(values)
    return values


def _decode_parts(stored: StoredColumn, state: ColumnState, escapes: Array) -> Array:
    """Return indices in row order; a part is decoded once all that it reads is recorded."""
    name = state.name
    flow = state.required_flow
    if stored.residual:
        state.require(flow.prediction)
    if not state.is_codable:
        raise Corrupt(
            f"column {name!r} reads itself, or searches the nearest object, "
            f"where an event has more than {MAX_OBJECTS} objects"
        )
    q = np.empty(len(state.rows), np.int64)
    stream = coder.Decoder(stored.payload) if stored.method is Method.FLOW else None
    residuals = q if stream is not None else _unpack_indices(stored, len(q))
    used = 0
    for part in state.parts():
        predicted = state.predict(part)
        coded = residuals[part]
        if stream is not None:
            logits = state.logits(part, predicted)
            coded = stream.take(logits, flow.bins.starts, flow.bins.spans, len(coded))
        if predicted is not None and (stored.residual or flow.residual):
            coded = state.restore(coded, predicted)
        q[part] = coded
        # Exact values lie in the order of the rows, which is the order of the parts.
        count = int(np.count_nonzero(q[part] == ESCAPE))
        exact = escapes[used : used + count]
        _check_escapes(state, q[part], exact)
        state.record(part, q[part], exact)
        used += count
    if stream is not None:
        stream.end()
    _check_escapes(state, q, escapes)
    return q


def _check_escapes(state: ColumnState, q: Array, escapes: Array) -> None:
    count = int(np.count_nonzero(q == ESCAPE))
    if len(escapes) != count:
        raise Corrupt(
            f"column {state.name!r}: {len(escapes)} exact values for {count} escapes"
        )


def _unpack_indices(stored: StoredColumn, count: int) -> Array:
    if stored.method is Method.CONSTANT:
        return packing.unpack_constant(stored.payload, count)
    if stored.method is Method.INDICES:
        return packing.unpack_indices(stored.payload, count)
    if stored.method is Method.GROUP:
        return packing.unpack_raw(stored.payload, count)
    raise Corrupt(f"a column of numbers is stored by the method {stored.method.name}")


def _unpack_escapes(stored: StoredColumn, state: ColumnState) -> Array:
    escapes = b""
    if stored.escapes:
        most = len(state.rows) * np.dtype(state.column.dtype).itemsize
        escapes = packing.unzstd(stored.escapes, most=most)
        if not escapes:
            raise Corrupt(f"column {state.name!r} has a frame of no exact values")
    return packing.from_bytes(escapes, state.column.dtype)
