"""Sections 7 and 8: the entropy coder, and the columns of a chunk."""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, islice
from typing import Any, TypeAlias

import numpy as np

from reference_reader.base import (
    ESCAPE,
    MAX_EVENTS,
    MAX_NUMBERED,
    MAX_ROWS,
    NONE,
    A,
    Array,
    Dtype,
    Invalid,
    Reader,
    bytes_from_patterns,
    member,
    parse_json,
    patterns_from_bytes,
    pcodec_numbers,
    pow2,
    require,
    whole_number,
    wrap_i64,
    xxh3,
    zstd_content,
)
from reference_reader.container import (
    CONSTANT,
    FLOW,
    GIVEN,
    INDICES,
    OPAQUE,
    VALUES,
    Stored,
)
from reference_reader.description import Column
from reference_reader.flow import (
    Bins,
    Flow,
    Model,
    activation,
    frequencies,
    index_of_residual,
    logits,
    predicted_index,
)
from reference_reader.rows import Chunk, Decoded, Row, Rows


class Stream:
    """Section 7: the decoder of a stream."""

    def __init__(self, payload: bytes) -> None:
        require(
            len(payload) >= 16 and len(payload) % 4 == 0,
            "a stream of no whole number of words",
        )
        self.states: list[int] = list(struct.unpack("<QQ", payload[:16]))
        require(
            all(2**31 <= x < 2**63 for x in self.states), "a state that no encoder leaves"
        )
        self.words = [
            int.from_bytes(payload[i : i + 4], "little")
            for i in range(16, len(payload), 4)
        ]

    def take(self, lane: int, begin: int, width: int, n: int) -> None:
        """Take the interval of this width that begins at `begin`, of 2^n."""
        x = self.states[lane]
        x = width * (x >> n) + x % pow2(n) - begin
        if x < 2**31:
            require(len(self.words) > 0, "a stream ends too early")
            x = (x << 32) | self.words.pop()
        self.states[lane] = x

    def symbol(self, lane: int, f: list[int]) -> int:
        """Step 1."""
        slot = self.states[lane] % 2**16
        cum = [0, *accumulate(f)]
        k = bisect_right(cum, slot) - 1
        self.take(lane, cum[k], f[k], 16)
        return k

    def place(self, lane: int, cells: int) -> int:
        """Step 3."""
        if cells == 1:
            return 0
        slot = self.states[lane] % 2**24
        place = ((slot + 1) * cells - 1) >> 24
        begin, end = (place << 24) // cells, ((place + 1) << 24) // cells
        self.take(lane, begin, end - begin, 24)
        return place

    def pieces(self, lane: int, raw: int) -> int:
        """Step 4: the low `raw` bits, in pieces of 16 bits from the highest; the first one may be
        shorter.
        """
        value = 0
        while raw > 0:
            n = raw % 16 or 16
            piece = self.states[lane] % pow2(n)
            self.take(lane, piece, 1, n)
            value, raw = (value << n) | piece, raw - n
        return value

    def number(self, i: int, f: list[int], bins: Bins) -> int:
        """All five steps: the number of row i."""
        lane = i % 2
        k = self.symbol(lane, f)
        span = bins.span(k)
        raw = max(span.bit_length() - 16, 0)  # the smallest n with (span >> n) < 2^16
        cells = (span >> raw) + 1
        position = (self.place(lane, cells) << raw) + self.pieces(lane, raw)
        require(position <= span, "a position beyond its bin")
        return wrap_i64(bins.start(k) + position)

    def finish(self) -> None:
        """A stream is whole when no word is left and both states are 2^31."""
        require(
            not self.words and self.states == [2**31, 2**31],
            "a stream does not end where it should",
        )


def check_stored(stored: Stored, column: Column, flow: Flow | None) -> None:
    """Section 8.2: which methods a column can have."""
    require(
        (stored.method == OPAQUE) == column.is_opaque,
        f"{column.name}: OPAQUE is for opaque columns, and for them alone",
    )
    require(
        (stored.method == GIVEN) == column.given,
        f"{column.name}: GIVEN is for given columns, and for them alone",
    )
    if stored.method in {VALUES, OPAQUE, GIVEN}:
        require(stored.escapes == b"", f"{column.name}: escapes where there can be none")
    if stored.method == VALUES:
        require(
            column.known()[1].lossless,
            f"{column.name}: VALUES of a column that is not lossless",
        )
    if stored.method == FLOW:
        require(
            flow is not None and flow.layers != [],
            f"{column.name}: FLOW without a network",
        )
    if stored.residual:
        require(
            flow is not None and flow.prediction is not None,
            f"{column.name}: residuals without a prediction",
        )


def stored_numbers(stored: Stored, count: int) -> list[int]:
    """Section 8.2: the numbers of CONSTANT, INDICES and GROUP, as they lie there."""
    reader = Reader(stored.payload)
    if stored.method == CONSTANT:
        number = reader.svarint()
        reader.finish()
        return [number] * count
    if stored.method == INDICES:
        above = reader.svarint()
        require(0 <= above <= A, "a bad `above`")
        numbers = pcodec_numbers(
            reader.rest(), ("int16", "int32", "int64"), count
        ).tolist()
        require(
            above == 0 or max(numbers, default=0) - above <= ESCAPE - A,
            "a number that stands for no index",
        )
        return [A + (n - above) if above != 0 and n >= above else n for n in numbers]
    return group_numbers(reader, count)


def group_numbers(reader: Reader, count: int) -> list[int]:
    """Section 8.2, GROUP: planes of bytes, the lowest byte of every number first."""
    w = reader.u8()
    require(w in {1, 2, 4, 8}, "a reserved width of GROUP")
    planes = [reader.take(count) for _ in range(w)]
    reader.finish()
    return [
        int.from_bytes(bytes(plane[i] for plane in planes), "little", signed=True)
        for i in range(count)
    ]


def stored_values(payload: bytes, dtype: Dtype, count: int) -> list[int]:
    """Section 8.2, VALUES: the patterns of all values."""
    reader = Reader(payload)
    coder, body = reader.u8(), reader.rest()
    if coder == 0:
        values = patterns_from_bytes(zstd_content(body), dtype)
    else:
        require(coder == 1 and dtype.size > 1, "a reserved coder of VALUES")
        values = patterns_from_bytes(
            pcodec_numbers(body, (dtype.name,), count).astype(dtype.numpy).tobytes(),
            dtype,
        )
    require(len(values) == count, "VALUES of another number than the rows")
    return values


def given_values(
    payload: bytes, dtype: Dtype, count: int, supplied: Iterator[int]
) -> list[int]:
    """Section 8.2, GIVEN: as many values from elsewhere as the column has rows, refused where their
    xxh3 differs.
    """
    require(len(payload) == 8, "GIVEN holds 8 bytes")
    values = list(islice(supplied, count))
    require(len(values) == count, "fewer given values than rows")
    require(
        xxh3(bytes_from_patterns(values, dtype)) == int.from_bytes(payload, "little"),
        "other given values",
    )
    return values


def escaped_values(stored: Stored, dtype: Dtype, count: int) -> list[int]:
    """Section 8.3: the exact values, in row order."""
    if stored.escapes == b"":
        return []
    values = patterns_from_bytes(zstd_content(stored.escapes, count * dtype.size), dtype)
    require(len(values) > 0, "an empty block of escapes")
    return values


def rows_of(column: Column, chunk: Chunk, events: int) -> Rows:
    """Section 5: the rows of a column's collection in this chunk."""
    if column.counter is not None:
        counter = chunk[column.counter]
        return Rows([int(counter.number(event)) for event in range(events)])
    size = math.prod(column.shape)
    require(size * events <= MAX_ROWS, "too many rows")
    return Rows([size] * events)


def decode_by_values(decoded: Decoded, values: list[int]) -> None:
    """Section 8.4: of a column stored by VALUES or GIVEN the indices are the stored indices of its
    values.
    """
    lattice = decoded.column.known()[1]
    decoded.values = values
    decoded.indices = [lattice.stored_index(x) for x in values]


# of row i and its predicted index, the number that is stored
NumberOfRow: TypeAlias = Callable[[int, Row, int], int]


def numbers_by_flow(
    stored: Stored, reader: Decoded, chunk: Chunk, model: Model
) -> tuple[NumberOfRow, Stream]:
    """Section 8.2, FLOW: each number comes from the stream, by what the network makes of the
    parents.
    """
    flow, stream = model[reader.column.name], Stream(stored.payload)

    def number(i: int, row: Row, predicted: int) -> int:
        activations = [
            activation(p, reader, row, predicted, chunk, model) for p in flow.parents
        ]
        z = logits(flow.layers, activations, flow.tree)
        return stream.number(i, frequencies(z), flow.bins)

    return number, stream


def numbers_from_list(stored: Stored, count: int) -> NumberOfRow:
    """Section 8.2: indices lie in stored order, residuals in row order."""
    numbers = stored_numbers(stored, count)
    return lambda i, row, _predicted: numbers[i if stored.residual else row.position]


def check_objects(decoded: Decoded, flow: Flow, chunk: Chunk) -> None:
    """Section 12: objects of an event of a column that reads itself, or among which it searches the
    nearest, and that is stored by FLOW or residuals.
    """
    features = [p.feature for p in flow.reads() if p.feature is not None]
    numbered = {f.columns[-1] for f in features if f.kind in {"distance", "nearest"}}
    name = decoded.column.name
    numbered |= {name for p in flow.reads() if name in p.columns}
    for column in numbered:
        counts = chunk[column].rows.counts
        require(max(counts, default=0) <= MAX_NUMBERED, "too many objects in an event")


def decode_by_numbers(
    decoded: Decoded, stored: Stored, chunk: Chunk, model: Model
) -> None:
    """Section 8.4: row by row in row order, so that a column that reads itself finds the rows
    before it.
    """
    column, flow = decoded.column, model.get(decoded.column.name)
    dtype = column.known()[0]
    stream = None
    if stored.method == FLOW:
        number_of_row, stream = numbers_by_flow(stored, decoded, chunk, model)
    else:
        number_of_row = numbers_from_list(stored, len(decoded.rows))
    prediction, residual = None, stored.residual
    if flow is not None and (stored.method == FLOW or stored.residual):
        check_objects(decoded, flow, chunk)
        prediction, residual = flow.prediction, stored.residual or flow.codes_residuals
    escapes = iter(escaped_values(stored, dtype, len(decoded.rows)))
    for i, row in enumerate(decoded.rows.row_order()):
        predicted = (
            NONE
            if prediction is None
            else predicted_index(prediction, decoded, row, chunk)
        )
        q = number_of_row(i, row, predicted)
        if residual and prediction is not None:
            q = index_of_residual(q, predicted, prediction.period)
        decoded.indices[row.position] = q
        decoded.values[row.position] = (
            next_escape(escapes)
            if q == ESCAPE
            else decoded.lattice(row.position, chunk).value(q)
        )
    require(next(escapes, None) is None, f"{column.name}: more exact values than escapes")
    if stream is not None:
        stream.finish()


def next_escape(escapes: Iterator[int]) -> int:
    """Section 8.3: the next of the column's exact values."""
    value = next(escapes, None)
    if value is None:
        raise Invalid("fewer exact values than escapes")
    return value


def decode_column(
    column: Column,
    stored: Stored,
    chunk: Chunk,
    events: int,
    model: Model,
    supplied: Mapping[str, Iterator[int]],
) -> None:
    """Section 8.4: one column that is not opaque; it is put into the chunk before it is decoded, as
    it may read itself.
    """
    dtype = column.known()[0]
    decoded = chunk[column.name] = Decoded(column, rows_of(column, chunk, events))
    if stored.method == VALUES:
        decode_by_values(decoded, stored_values(stored.payload, dtype, len(decoded.rows)))
    elif stored.method == GIVEN:
        decode_by_values(
            decoded,
            given_values(stored.payload, dtype, len(decoded.rows), supplied[column.name]),
        )
    else:
        decode_by_numbers(decoded, stored, chunk, model)


# Section 8.5: opaque columns


def undo_differences(data: bytes, dtype: np.dtype[Any]) -> bytes:
    """Section 8.5: a buffer of offsets lies as differences, its first bytes first."""
    count = len(data) // dtype.itemsize
    little = dtype.byteorder != ">"
    total, numbers = 0, []
    for i in range(count):
        total += int.from_bytes(data[i::count], "little" if little else "big")
        numbers.append(total % pow2(8 * dtype.itemsize))
    return b"".join(
        n.to_bytes(dtype.itemsize, "little" if little else "big") for n in numbers
    )


def opaque_buffer(reader: Reader, entry: object) -> tuple[str, Array]:
    """Section 8.5: one buffer, by its entry of the head: name, dtype, number of items."""
    if (
        not isinstance(entry, list)
        or len(entry) != 3
        or not isinstance(entry[0], str)
        or not isinstance(entry[1], str)
    ):
        raise Invalid("a bad head of an opaque column")
    try:
        dtype = np.dtype(entry[1])
    except (TypeError, ValueError, SyntaxError):
        raise Invalid("a bad dtype of an opaque column") from None
    require(not dtype.hasobject and dtype.itemsize > 0, "a bad dtype of an opaque column")
    data = reader.take(whole_number(entry[2], 0, 2**63) * dtype.itemsize)
    if entry[0].endswith("-offsets") and dtype.kind in "iu":
        data = undo_differences(data, dtype)
    return entry[0], np.frombuffer(data, dtype)


def opaque_entries(payload: bytes, events: int) -> list[Any]:
    """Section 8.5: the entries of an opaque column of a chunk."""
    import awkward

    reader = Reader(zstd_content(payload))
    head = parse_json(reader.take(reader.u32()))
    require(
        whole_number(head.get("length"), 0, MAX_EVENTS) == events,
        "an opaque column of another length",
    )
    buffers = dict(opaque_buffer(reader, b) for b in member(head, "buffers", list))
    reader.finish()
    form = member(head, "form", dict)
    try:
        array = awkward.from_buffers(form, events, buffers)
        valid, entries = bool(awkward.is_valid(array)), list(array.to_list())
    except Exception as error:
        raise Invalid(f"a bad opaque column: {error}") from None
    require(valid, "an opaque column that is no valid array")
    return entries
