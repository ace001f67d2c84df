"""Sections 1 and 12: numbers, bytes, frames, dtypes and limits.

A value is held as its *pattern* throughout: its bits as an unsigned Python integer. So NaN payloads
and signs of zero pass
through untouched, and every conversion to a number is visible.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pcodec.standalone
import xxhash
import zstandard

Array: TypeAlias = npt.NDArray[Any]
Values: TypeAlias = Array | list[Any]
Given: TypeAlias = Mapping[str, Mapping[str, Array]]
Json: TypeAlias = dict[str, Any]
T = TypeVar("T")


class Invalid(Exception):
    """The bytes are no file of this format, or what the file needs from outside is missing or
    different (Section 11).
    """


class Truncated(Invalid):
    """The file seems to be cut short (Section 11)."""


def require(condition: bool, message: str) -> None:
    """Refuse what does not hold on the page."""
    if not condition:
        raise Invalid(message)


A = 2**63 - 2**50
ESCAPE = A + 2**16
NONE = ESCAPE
MAX_CUTS = 64
MAX_ATOMS = 2**16
MAX_ROWS = 2**28
MAX_SHAPE = 2**28
MAX_AXES = 31
MAX_EVENTS = 2**20
MAX_BINS = 4095
MAX_INPUTS = 480
MAX_OUTPUTS = 4096
MAX_TERMS = 64
MAX_NUMBERED = 4096
REACH = 2**52
MAX_CONTENT = 2**30


def pow2(n: int) -> int:
    """2^n, a whole number."""
    return 1 << n


def wrap_i64(n: int) -> int:
    """Section 1: arithmetic on `i64` wraps modulo 2^64."""
    return (n + 2**63) % 2**64 - 2**63


def xxh3(data: bytes) -> int:
    """Section 1: XXH3 with 64 bits and seed 0."""
    return int(xxhash.xxh3_64_intdigest(data, 0))


def zstd_content(frame: bytes, most: int = MAX_CONTENT) -> bytes:
    """Sections 1 and 12: the content of one zstd frame that states its size, needs no dictionary
    and has nothing after it.

    It is at most `most` bytes long.
    """
    require(frame[:4] == b"\x28\xb5\x2f\xfd", "not a zstd frame")
    try:
        parameters = zstandard.get_frame_parameters(frame)
        size = parameters.content_size
        require(
            size != zstandard.CONTENTSIZE_UNKNOWN, "a zstd frame without content size"
        )
        require(parameters.dict_id == 0, "a zstd frame with a dictionary")
        require(
            size <= min(most, 2**15 * len(frame)),
            "a zstd frame states more content than it may or can hold",
        )
        content = zstandard.ZstdDecompressor().decompress(
            frame, read_across_frames=False, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise Invalid(f"a bad zstd frame: {error}") from None
    require(len(content) == size, "a zstd frame of another size than it states")
    return content


def pcodec_numbers(stream: bytes, numpy_types: Sequence[str], count: int) -> Array:
    """Section 1: the numbers of a pcodec stream of one of these types; a stream of no numbers is of
    any of them.

    Bytes after the stream are passed over, as Section 11 allows.
    """
    for name in numpy_types:
        numbers = np.zeros(count + 1, name)
        try:
            progress = pcodec.standalone.simple_decompress_into(stream, numbers)
        except (RuntimeError, TypeError, ValueError):
            continue
        require(
            bool(progress.finished) and int(progress.n_processed) == count,
            "a pcodec stream of another length",
        )
        return numbers[:count]
    raise Invalid("a bad pcodec stream, or one of another type")


@dataclass(frozen=True)
class Dtype:
    """Section 1: a dtype with its width in bits and, for floats, its mantissa bits m."""

    name: str
    width: int
    kind: Literal["bool", "int", "uint", "float"]
    mantissa: int = 0

    @property
    def size(self) -> int:
        return self.width // 8

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.name).newbyteorder("<")

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def least(self) -> int:
        return -pow2(self.width - 1) if self.kind == "int" else 0

    @property
    def largest(self) -> int:
        if self.kind == "bool":
            return 1
        return pow2(self.width - 1) - 1 if self.kind == "int" else pow2(self.width) - 1


DTYPES = {
    d.name: d
    for d in (
        Dtype("bool", 8, "bool"),
        *(Dtype(f"int{w}", w, "int") for w in (8, 16, 32, 64)),
        *(Dtype(f"uint{w}", w, "uint") for w in (8, 16, 32, 64)),
        Dtype("float16", 16, "float", 10),
        Dtype("float32", 32, "float", 23),
        Dtype("float64", 64, "float", 52),
    )
}


def patterns_from_bytes(data: bytes, dtype: Dtype) -> list[int]:
    """Section 1: the patterns of little-endian values; a `bool` is 0 or 1."""
    require(len(data) % dtype.size == 0, "bytes that are no whole number of values")
    patterns = [
        int.from_bytes(data[i : i + dtype.size], "little")
        for i in range(0, len(data), dtype.size)
    ]
    require(
        dtype.kind != "bool" or all(p <= 1 for p in patterns),
        "a bool that is neither 0 nor 1",
    )
    return patterns


def bytes_from_patterns(patterns: Sequence[int], dtype: Dtype) -> bytes:
    """Section 1: values as little-endian bytes."""
    return b"".join(p.to_bytes(dtype.size, "little") for p in patterns)


def number_of(pattern: int, dtype: Dtype) -> int | float:
    """The number that a pattern is: a Python integer, for a float dtype a Python float (an `f64`,
    exactly).
    """
    if dtype.is_float:
        letter = {16: "<e", 32: "<f", 64: "<d"}[dtype.width]
        return float(struct.unpack(letter, pattern.to_bytes(dtype.size, "little"))[0])
    if dtype.kind == "int" and pattern >= pow2(dtype.width - 1):
        return pattern - pow2(dtype.width)
    return pattern


def integer_of(pattern: int, dtype: Dtype) -> int:
    """The number that a pattern of an integer dtype or `bool` is."""
    require(not dtype.is_float, "a float where an integer is needed")
    return int(number_of(pattern, dtype))


def pattern_of_integer(n: int, dtype: Dtype) -> int:
    """The low w bits of n."""
    return n % pow2(dtype.width)


def pattern_of_float(x: float, dtype: Dtype) -> int:
    """One rounding of an `f64` to a float dtype, to nearest, ties to even, beyond the largest
    number to infinity.
    """
    with np.errstate(all="ignore"):
        return int.from_bytes(
            np.array([x], "<f8").astype(dtype.numpy).tobytes(), "little"
        )


class Reader:
    """Section 1: reads the parts of a run of bytes one after another."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, count: int) -> bytes:
        require(count <= self.left(), "a part is longer than what holds it")
        self.position += count
        return self.data[self.position - count : self.position]

    def rest(self) -> bytes:
        return self.take(self.left())

    def u8(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def f64(self) -> float:
        return float(struct.unpack("<d", self.take(8))[0])

    def varint(self) -> int:
        """Unsigned LEB128 of at most 10 bytes, below 2^64; padded ones are taken."""
        n = 0
        for k in range(10):
            byte = self.u8()
            n |= (byte & 0x7F) << (7 * k)
            if byte < 0x80:
                require(n < 2**64, "a varint of 2^64 or more")
                return n
        raise Invalid("a varint of more than 10 bytes")

    def svarint(self) -> int:
        """A varint of the zigzag code."""
        n = self.varint()
        return n // 2 if n % 2 == 0 else -((n + 1) // 2)

    def finish(self) -> None:
        require(self.left() == 0, "bytes are left over")


def refuse_constant(text: str) -> float:
    """Section 3: numbers are finite."""
    raise Invalid(f"{text} in JSON")


def finite_float(text: str) -> float:
    """Section 3: a number with a fraction or exponent is the nearest `f64`, and finite."""
    number = float(text)
    require(math.isfinite(number), "a number in JSON that is not finite")
    return number


def parse_json(data: bytes) -> Json:
    """Section 3: a JSON object in UTF-8."""
    try:
        parsed = json.loads(
            data.decode("utf-8"), parse_constant=refuse_constant, parse_float=finite_float
        )
    except (ValueError, RecursionError) as error:
        raise Invalid(f"bad JSON: {error}") from None
    require(isinstance(parsed, dict), "JSON that is no object")
    return dict(parsed)


def member(of: Json, key: str, kind: type[T], default: T | None = None) -> T:
    """Section 3: a value of a JSON object, of the type that the tables of the section tell."""
    value = of.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Invalid(f"{key}: missing, or not of its type")
    return value


def objects(of: Json, key: str) -> list[Json]:
    """Section 3: an array of objects."""
    found = member(of, key, list)
    require(all(isinstance(f, dict) for f in found), f"{key}: not an array of objects")
    return found


def whole_number(value: object, low: int, high: int) -> int:
    """An integer of JSON from low to high."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Invalid("not a whole number within its limits")
    return value
