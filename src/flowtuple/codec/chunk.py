"""A chunk: consecutive events of one table as bytes, each column by the smallest method, and back.

`encode_chunk` decodes what it made and checks every value against its bound before it returns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.codec import packing
from flowtuple.codec.column import (
    Method,
    StoredColumn,
    decode_column,
    decode_external,
    encode_column,
    encode_external,
)
from flowtuple.codec.directory import Directory, Fetch, join, read_directory
from flowtuple.data.memory import Gate
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.data.table import Table, with_counters
from flowtuple.errors import BoundViolated, Corrupt, InvalidArgument
from flowtuple.lattice.context import MAX_ROWS, Context, collection_of, make_context
from flowtuple.lattice.walk import TableCoding, walk
from flowtuple.runtime.lazy_packages import awkward as ak

MAX_ENTRIES = 2**20
_WORK = 40
"""Bytes per row that decoding a column takes: indices, their order and values."""

_OPAQUE_WORK = 5
"""Memory that decoding an opaque column takes, in units of its size."""


def encode_chunk(
    table: Table, coding: TableCoding, cost: Callable[[StoredColumn], int] = len
) -> bytes:
    """Return the bytes of a chunk; `read_directory` tells how many of them are its head.

    Args:
        table: Events of the chunk.
        coding: Lattices and flow of the table.
        cost: Cost of a way to store a column; the cheapest is taken.

    Raises:
        BoundViolated: A value did not come back within its bound; nothing may be written then.
    """
    stored = {
        c.name: StoredColumn(
            Method.OPAQUE, packing.pack_opaque(ak.Array(table.data[c.name]))
        )
        for c in coding.columns
        if c.is_opaque
    }
    small: dict[str, StoredColumn] = {}
    for state in walk(
        coding, make_context(coding.columns, table.num_entries, table.data)
    ):
        values = table.data[state.name].reshape(-1)
        if state.name in coding.external:
            stored[state.name] = encode_external(values, state)
            continue
        stored[state.name], shared = encode_column(values, state, cost)
        if shared is not None:
            small[state.name] = shared
    stored = _group_small(stored, small)
    data = b"".join(join([stored[c.name] for c in coding.columns]))
    decoded = decode_chunk(
        data,
        table.name,
        table.num_entries,
        coding,
        external=lambda names: table.read(names, 0, table.num_entries),
    )
    _check(table, decoded, coding)
    return data


def _group_small(
    stored: dict[str, StoredColumn], small: dict[str, StoredColumn]
) -> dict[str, StoredColumn]:
    """Move small columns into one frame where that is shorter than a frame for each."""
    together = len(packing.zstd(b"".join(s.payload for s in small.values())))
    together += sum(len(s.escapes) for s in small.values())
    alone = sum(len(stored[name]) for name in small)
    return stored | small if together < alone else stored


ReadExternal = Callable[[Sequence[str]], Table]
"""Reads external columns of a chunk's events."""


def decode_chunk(
    data: bytes,
    name: str,
    num_entries: int,
    coding: TableCoding,
    wanted: Iterable[str] | None = None,
    external: ReadExternal | None = None,
) -> Table:
    """Return the events of a chunk whose bytes are all in memory.

    Args:
        data: Result of `encode_chunk`.
        name: Name of the table.
        num_entries: Events of the chunk.
        coding: The coding that it was encoded with.
        wanted: Columns to decode, besides their counters; `None` for all.
        external: Reads the columns that the chunk does not store.

    Raises:
        Corrupt: The bytes are not what `encode_chunk` makes for this coding.
        InvalidArgument: External columns are missing or not those of the encoder.
    """
    directory = read_directory(data, coding.columns)
    if len(data) != directory.head + directory.body:
        raise Corrupt(
            f"a chunk has {len(data)} bytes where its directory lists "
            f"{directory.head + directory.body}"
        )
    return decode_columns(
        directory,
        lambda spans: slices(data, directory.head, spans),
        name,
        num_entries,
        coding,
        wanted,
        external,
    )


def slices(data: bytes, base: int, spans: Iterable[tuple[int, int]]) -> list[bytes]:
    """Return ranges of bytes in memory, counted from `base`: a `Fetch` that reads nothing."""
    return [data[base + begin : base + stop] for begin, stop in spans]


def decode_columns(
    directory: Directory,
    fetch: Fetch,
    name: str,
    num_entries: int,
    coding: TableCoding,
    wanted: Iterable[str] | None = None,
    external: ReadExternal | None = None,
    gate: Gate | None = None,
) -> Table:
    """Return the events of a chunk, and read only the bytes of needed columns.

    Args:
        directory: Positions of the columns.
        fetch: Reads ranges of bytes.
        name: As in `decode_chunk`, as the next four.
        num_entries: Events of the chunk.
        coding: The coding that it was encoded with.
        wanted: Columns to decode.
        external: Reads the columns that the chunk does not store.
        gate: Grants memory before it is allocated; `None` for any amount.

    Raises:
        Corrupt: As `decode_chunk`.
        InvalidArgument: As `decode_chunk`.
        TooLarge: The gate has less memory.
    """
    if num_entries > MAX_ENTRIES:
        raise Corrupt(
            f"a chunk of {num_entries} events is larger than any that the format allows"
        )
    columns = coding.columns if wanted is None else with_counters(coding.columns, wanted)
    needed = coding.needed(columns)
    stored = directory.take([c.name for c in coding.columns if c.name in needed], fetch)
    gate = gate or Gate(sys.maxsize)
    with gate.share() as take:
        contents = _decode_numbers(stored, num_entries, coding, external, gate, take)
        for column in columns:
            if column.is_opaque:
                payload = stored[column.name].payload
                contents[column.name] = packing.unpack_opaque(payload, num_entries)
    return Table(name, columns, num_entries, {c.name: contents[c.name] for c in columns})


def _decode_numbers(
    stored: Mapping[str, StoredColumn],
    num_entries: int,
    coding: TableCoding,
    external: ReadExternal | None,
    gate: Gate,
    take: Callable[[int], None],
) -> dict[str, Any]:
    """Decode u of the stored columns, in one walk; memory is taken before it is allocated."""
    contents: dict[str, Any] = {}
    context = make_context(coding.columns, num_entries, contents)
    columns = [c for c in coding.columns if c.name in stored and not c.is_opaque]
    of_events = [c for c in columns if not collection_of(c)]
    opaque = sum(
        packing.declared(s.payload) for s in stored.values() if s.method is Method.OPAQUE
    )
    opaque *= _OPAQUE_WORK
    # Event columns come first: they say how many objects there are.
    waiting = len(of_events) < len(columns)
    (gate.check if waiting else take)(opaque + _work(of_events, context))
    supplied = _supply(sorted(stored.keys() & coding.external), external, num_entries)
    rows = 0
    for state in walk(coding, context, stored):
        name = state.name
        if waiting and state.key:
            take(opaque + _work(columns, context))
            waiting = False
        rows += len(state.rows)
        if rows > MAX_ROWS:
            raise Corrupt(
                f"column {name!r}: a chunk cannot hold more than {MAX_ROWS} values"
            )
        if (stored[name].method is Method.GIVEN) != (name in coding.external):
            raise Corrupt(f"column {name!r} is stored and given, or neither")
        if name in coding.external:
            values = supplied[name].reshape(-1)
            decode_external(stored[name], values, state)
        else:
            values = decode_column(stored[name], state)
        shape = state.column.shape
        contents[name] = values.reshape(num_entries, *shape) if shape else values
    return contents


def _work(columns: Sequence[Column], context: Context) -> int:
    """Return the bytes that decoding columns takes."""
    rows = [len(context.rows(collection_of(c))) for c in columns]
    values = sum(
        n * np.dtype(c.dtype).itemsize for n, c in zip(rows, columns, strict=True)
    )
    return values + _WORK * max(rows, default=0)


def _supply(
    names: Sequence[str], external: ReadExternal | None, num_entries: int
) -> Mapping[str, Any]:
    if not names:
        return {}
    if external is None:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise InvalidArgument(
            f"column {names[0]!r}{more} was given when it was compressed; "
            "name the file that has it with `given=`"
        )
    table = external(names)
    if table.num_entries != num_entries:
        raise InvalidArgument(
            f"the given events end after {table.num_entries} of the {num_entries} of a chunk"
        )
    return table.data


def _check(original: Table, decoded: Table, coding: TableCoding) -> None:
    for column in coding.columns:
        before, after = original.data[column.name], decoded.data[column.name]
        if column.is_opaque:
            holds = packing.opaque_bytes(before) == packing.opaque_bytes(after)
        else:
            holds = bool(
                coding.lattices[column.name]
                .bound.holds(before, after, decoded.data)
                .all()
            ) and _same_signs(before, after)
        if not holds:
            raise BoundViolated(
                f"column {column.name!r} did not come back within its bound; nothing was written"
            )


def _same_signs(before: Array, after: Array) -> bool:
    if before.dtype.kind != "f" or np.array_equal(
        bit_patterns(before), bit_patterns(after)
    ):
        return True
    moved = (after != 0) & ~np.isnan(after)
    return np.array_equal(np.signbit(before[moved]), np.signbit(after[moved]))
