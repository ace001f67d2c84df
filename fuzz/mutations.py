"""Mutations of inputs: one piece at a time, JSON as JSON, numbers as numbers, pieces of others."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from inputs import RAW, Part, Parts, pack, unpack

from flowtuple.codec.varint import write_unsigned

Mutate = Callable[[bytes, int], bytes]
NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    63,
    64,
    127,
    128,
    255,
    256,
    4095,
    4096,
    65535,
    65536,
    2**20,
    2**24,
    2**28,
    2**31,
    2**32,
]
NUMBERS += [
    2**48,
    2**52,
    2**52 + 1,
    2**60,
    2**61,
    2**62,
    2**63 - 2**50,
    2**63 - 2**50 + 2**16,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
REALS = [
    0.0,
    -0.0,
    0.5,
    1.0,
    1e-300,
    5e-324,
    1.7e308,
    2.0**-28,
    1 - 2.0**-53,
    1e-3,
    64.0,
    2.0**20,
    2.0**31,
    2.0**52,
]
WORDS = [
    "",
    "lossless",
    "abs:1",
    "rel:0.5",
    "bits:3",
    "abs:1,cut:2",
    "rel:0.5,cut:-1e3,cut:0",
    "sigma:0.3@dErr",
    "sigma:0.1@d,cut:2",
    "steps",
    "opaque",
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "uint64",
]
WORDS += [
    "counter",
    "reference",
    "uniform",
    "ordered",
    "binades",
    "mantissas",
    "decimal",
    "integers",
    "(2,3)i4",
    "<M8[s]",
    "O",
]
WORDS += [
    "NumpyArray",
    "ListOffsetArray",
    "ListArray",
    "RegularArray",
    "IndexedArray",
    "IndexedOptionArray",
    "BitMaskedArray",
]
WORDS += [
    "ByteMaskedArray",
    "UnmaskedArray",
    "UnionArray",
    "RecordArray",
    "EmptyArray",
    "i64",
    "i8",
    "string",
    "categorical",
]
WORDS += [
    "<i8",
    "|u1",
    "<c16",
    "|b1",
    "node0",
    "node1-offsets",
    "bytestring",
    "char",
    "i4,,",
    "float32[2]",
]
KEYS = [
    "counter",
    "shape",
    "hidden",
    "given",
    "atoms",
    "range",
    "model",
    "parts",
    "asked",
    "lattice",
    "ranges",
    "entries",
]
KEYS += [
    "parameters",
    "__array__",
    "size",
    "form_key",
    "class",
    "content",
    "contents",
    "length",
    "inner_shape",
    "fields",
    "index",
]


def mutate(
    data: bytes,
    most: int,
    random: Random,
    mutate_bytes: Mutate,
    others: Sequence[bytes] = (),
) -> bytes:
    """Return a mutated input, at most `most` bytes long.

    Args:
        data: The input.
        most: Bytes.
        random: Decides.
        mutate_bytes: Changes plain bytes.
        others: Inputs to take pieces from.
    """
    if data[:1] in (b"", bytes([RAW])) or random.random() < 0.02:
        return mutate_bytes(data, most)[:most]
    parts = unpack(data)
    for _ in range(1 if random.random() < 0.6 else random.randint(2, 4)):
        _change(parts, random, mutate_bytes, others)
    return pack(parts)[:most]


def _change(
    parts: Parts, random: Random, mutate_bytes: Mutate, others: Sequence[bytes]
) -> None:
    draw = random.random()
    if draw < 0.25 or not parts.sections:
        parts.description = _other_text(parts.description, random, mutate_bytes)
    elif draw < 0.28:  # without an index the frames are searched for
        parts.index = (
            mutate_bytes(parts.index, len(parts.index) + 16)
            if random.random() < 0.5
            else b"none"
        )
    elif draw < 0.36:
        _change_sections(parts.sections, random)
    elif draw < 0.41 and others:
        _take_from(parts, unpack(random.choice(others)), random)
    else:
        part = random.choice(parts.sections)
        if part.pieces:
            k = _likely(part, random)
            part.pieces[k] = _other_bytes(part.pieces[k], random, mutate_bytes)


def _likely(part: Part, random: Random) -> int:
    """Return a piece, seldom an empty one such as the escapes of none."""
    full = [k for k, piece in enumerate(part.pieces) if len(piece) > 1]
    return (
        random.choice(full)
        if full and random.random() < 0.9
        else random.randrange(len(part.pieces))
    )


def _change_sections(sections: list[Part], random: Random) -> None:
    k = random.randrange(len(sections))
    part, action = sections[k], random.randrange(8)
    if action == 0:
        sections.insert(
            random.randint(0, len(sections)),
            Part(part.kind, part.owner, part.entries, list(part.pieces)),
        )
    elif action == 1:
        del sections[k]
    elif action == 2 and part.pieces:
        i, j = (random.randrange(len(part.pieces)) for _ in range(2))
        part.pieces[i], part.pieces[j] = part.pieces[j], part.pieces[i]
    elif action == 3:
        part.entries = random.choice([*NUMBERS[:18], part.entries + 1, part.entries // 2])
    elif action == 4:
        part.owner = random.choice(NUMBERS[:4])
    elif action == 5:
        part.kind = random.randrange(5)
    elif action == 6:
        part.first = random.choice([0, part.entries, *NUMBERS])
    else:
        part.lengths = (
            random.choice([0, 1, 20, 100, *NUMBERS]),
            random.choice([0, 0, 100, *NUMBERS]),
        )


def _take_from(parts: Parts, other: Parts, random: Random) -> None:
    """Return parts with a section or a piece of another input."""
    if not other.sections:
        return
    taken = random.choice(other.sections)
    alike = [p for p in parts.sections if p.kind == taken.kind and p.pieces]
    if alike and taken.pieces and random.random() < 0.8:
        part = random.choice(alike)
        part.pieces[random.randrange(len(part.pieces))] = random.choice(taken.pieces)
    else:
        parts.sections.append(taken)


def _other_bytes(piece: bytes, random: Random, mutate_bytes: Mutate) -> bytes:
    draw, place = random.random(), random.randint(0, len(piece))
    if draw < 0.5 and piece.find(b'{"form"') >= 0:
        return _other_head(piece, random, mutate_bytes)
    if draw < 0.55:
        return mutate_bytes(piece, len(piece) + 32)
    if draw < 0.7:
        new = write_unsigned(
            [
                random.choice(NUMBERS)
                + random.choice([-1, 0, 0, 1]) * random.randint(0, 1)
                & 2**64 - 1
            ]
        )
    elif draw < 0.85:
        number = random.choice(NUMBERS) * random.choice([1, -1])
        new = struct.pack("<Q", number & 2**64 - 1)[: random.choice([1, 2, 4, 8, 8])]
    elif draw < 0.9:
        new = struct.pack("<d", random.choice(REALS) * random.choice([1, -1]))
    else:
        new = piece[random.randint(0, len(piece)) :][: random.randint(0, 64)]
    return (
        piece[:place] + new + piece[place + random.choice([0, len(new), len(new), 1]) :]
    )


def _other_head(piece: bytes, random: Random, mutate_bytes: Mutate) -> bytes:
    """Return an opaque column with mutated JSON, of the right length."""
    begin = piece.find(b'{"form"')
    length = int.from_bytes(piece[begin - 4 : begin], "little")
    head = _other_text(piece[begin : begin + length], random, mutate_bytes)
    return (
        piece[: begin - 4]
        + len(head).to_bytes(4, "little")
        + head
        + piece[begin + length :]
    )


def _other_text(text: bytes, random: Random, mutate_bytes: Mutate) -> bytes:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if value is None or random.random() < 0.1:
        return mutate_bytes(text, len(text) + 32)
    spots = list(_spots(value))
    if not spots:
        return text
    holder, key = random.choice(spots)
    action = random.random()
    if action < 0.1:
        del holder[key]
    elif action < 0.2 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif action < 0.3 and isinstance(holder, dict):
        holder[random.choice(KEYS)] = _other_value(holder[key], spots, random)
    else:
        holder[key] = _other_value(holder[key], spots, random)
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        return text


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in list(pairs):
        yield value, key
        yield from _spots(inner)


def _other_value(value: Any, spots: Sequence[tuple[Any, Any]], random: Random) -> Any:
    draw = random.random()
    if draw < 0.3 and isinstance(value, int | float) and not isinstance(value, bool):
        return value + random.choice([-1, 1, value, -value, 0.5])
    if draw < 0.5:
        holder, key = random.choice(spots)
        return json.loads(json.dumps(holder[key]))
    if draw < 0.65:
        return random.choice(NUMBERS) * random.choice([1, -1])
    if draw < 0.75:
        return random.choice(REALS) * random.choice([1, -1])
    return random.choice([None, True, False, [], {}, [[]], [1, 2], *WORDS])
