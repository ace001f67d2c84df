"""Ways to store indices or values without a model; the flow has to beat the smallest of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
import zstandard
from pcodec import ChunkConfig, standalone

from flowtuple.codec.varint import Reader, write_signed
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, Unsupported
from flowtuple.lattice.grid import ATOM, ESCAPE
from flowtuple.runtime.lazy_packages import awkward as ak

ZSTD_LEVEL = 19
_HOPELESS = 1.5
"""Size of a fast zstd frame, relative to pcodec, beyond which the slow zstd is not tried."""

_PCODEC = ChunkConfig(compression_level=8)
_MOST = 2**30  # bytes of a frame's content
_DTYPE = re.compile(r"[<>|=]?([biufc][0-9]{1,2}|[mM]8(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?)")
_LARGEST_RATIO = 2**15
"""Content bytes per frame byte at most: four bytes of zstd are a block of 128 KiB at most."""


def checksum(data: bytes) -> int:
    """Return the XXH3-64 of the data."""
    return int(xxhash.xxh3_64_intdigest(data))


def zstd(data: bytes) -> bytes:
    """Return one zstd frame that states its content size.

    Raises:
        Unsupported: It would be larger than the format allows.
    """
    if len(data) > _MOST:
        raise Unsupported(
            f"{len(data)} bytes of one column, model or object are more than the {_MOST} "
            "of the format; leave it out"
        )
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)


def unzstd(data: bytes, length: int | None = None, most: int | None = None) -> bytes:
    """Return the content of one zstd frame.

    Args:
        data: The frame.
        length: Exact size of the content, where it is known.
        most: Largest size of the content, where it is known.

    Raises:
        Corrupt: It is no frame, or its content has another size.
    """
    try:
        declared = zstandard.frame_content_size(data)
        limit = min(_MOST if most is None else most, _LARGEST_RATIO * len(data))
        if not 0 <= declared <= limit or (length is not None and declared != length):
            due = f"at most {limit}" if length is None else length
            raise Corrupt(
                f"a zstd frame of {len(data)} bytes declares {declared} bytes where {due} are due"
            )
        if declared:
            return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        # `decompress` looks at the first bytes of a frame of no content only.
        frame = zstandard.ZstdDecompressor().decompressobj()
        content = frame.decompress(data)
        if content or not frame.eof or frame.unused_data:
            raise Corrupt(f"a zstd frame of no bytes has {len(data)} of them")
        return content
    except zstandard.ZstdError as error:
        raise Corrupt(f"a zstd frame does not decode ({error})") from None
    except MemoryError:
        raise Corrupt("a zstd frame declares more bytes than fit into memory") from None


def declared(data: bytes) -> int:
    """Return the declared size of a zstd frame; 0 where `unzstd` would refuse it."""
    try:
        size = zstandard.frame_content_size(data)
    except zstandard.ZstdError:
        return 0
    return size if 0 <= size <= min(_MOST, _LARGEST_RATIO * len(data)) else 0


def from_bytes(data: bytes, dtype: str) -> Array:
    """Return an array of the values in some bytes.

    Raises:
        Corrupt: They end within a value, or a bool is neither 0 nor 1.
    """
    kind = np.dtype(dtype)
    if len(data) % kind.itemsize:
        raise Corrupt(f"{len(data)} bytes are no values of type {dtype}")
    if kind.kind == "b" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise Corrupt("a bool is neither 0 nor 1")
    return np.frombuffer(data, kind)


def pack_constant(q: Array) -> bytes | None:
    """Return the one index that all rows share, `None` where they differ."""
    if not len(q) or (q != q[0]).any():
        return None
    return write_signed([int(q[0])])


def unpack_constant(data: bytes, rows: int) -> Array:
    """Return `rows` copies of a constant index.

    Raises:
        Corrupt: The bytes are no index.
    """
    reader = Reader(data)
    constant = reader.signed()
    reader.end("a constant column", "its index")
    return np.full(rows, constant, np.int64)


def pack_indices(q: Array) -> bytes:
    """Pack indices by pcodec at the narrowest integer type.

    A leading number says where special indices begin; 0 if there are none.
    """
    special = q >= ATOM
    above = 0
    if special.any():
        above = int(q[~special].max(initial=0)) + 1
        q = np.where(special, above + (q - ATOM), q)
    return write_signed([above]) + _pco(_narrow(q, smallest=2))


def unpack_indices(data: bytes, rows: int) -> Array:
    """Return the indices of `pack_indices`.

    Raises:
        Corrupt: The bytes do not decode to so many indices.
    """
    reader = Reader(data)
    above = reader.signed()
    if not 0 <= above <= ATOM:
        raise Corrupt(f"special indices cannot begin at {above}")
    q = _unpco(data[reader.position :], rows, ("int64", "int32", "int16")).astype(
        np.int64
    )
    if not above:
        return q
    if int(q.max(initial=0)) - above > ESCAPE - ATOM:
        raise Corrupt(f"no special index has the number {q.max() - above}")
    return np.where(q >= above, ATOM + (q - above), q)


def _narrow(q: Array, smallest: int = 1) -> Array:
    low, high = int(q.min(initial=0)), int(q.max(initial=0))
    for size in (1, 2, 4):
        if (
            size >= smallest
            and -(2 ** (8 * size - 1)) <= low
            and high < 2 ** (8 * size - 1)
        ):
            return q.astype(f"i{size}")
    return q


def pack_values(values: Array) -> bytes:
    """Pack values at their own type: by pcodec, which detects decimals, or by zstd."""
    raw = values.tobytes()
    if values.dtype.itemsize == 1:
        return b"\x00" + zstd(raw)
    packed = b"\x01" + _pco(values)
    if len(zstandard.ZstdCompressor(level=1).compress(raw)) > _HOPELESS * len(packed):
        return packed
    return min(packed, b"\x00" + zstd(raw), key=len)


def unpack_values(data: bytes, rows: int, dtype: str) -> Array:
    """Return the values of `pack_values`.

    Raises:
        Corrupt: The bytes do not decode to so many values of this type.
    """
    kind = np.dtype(dtype)
    if data[:1] == b"\x00":
        return from_bytes(unzstd(data[1:], rows * kind.itemsize), dtype).copy()
    if data[:1] != b"\x01":
        raise Corrupt(
            f"a column of values does not decode: it begins with {data[:1].hex() or 'nothing'}"
        )
    if kind.itemsize == 1:
        raise Corrupt(
            f"a column of type {dtype} is stored by pcodec, which is not for types of one byte"
        )
    return _unpco(data[1:], rows, (dtype,))


def _pco(values: Array) -> bytes:
    return bytes(standalone.simple_compress(np.ascontiguousarray(values), _PCODEC))


def _unpco(data: bytes, rows: int, dtypes: Sequence[str]) -> Array:
    """Return the `rows` numbers of a stream of one of some types, and refuse a longer one."""
    reason = ""
    for dtype in dtypes:
        values = np.empty(rows, dtype)
        try:
            progress = standalone.simple_decompress_into(data, values)
        except (RuntimeError, ValueError, TypeError) as error:  # also of another type
            reason = str(error)
            continue
        if progress.n_processed != rows or not progress.finished:
            count = progress.n_processed if progress.finished else "more"
            raise Corrupt(f"a pcodec stream holds {count} values where {rows} are due")
        return values
    raise Corrupt(
        f"a pcodec stream of {rows} values of type {' or '.join(dtypes)} does not decode ({reason})"
    )


def pack_raw(q: Array) -> bytes:
    """Pack indices for a frame shared with others: width, then bytes of equal rank."""
    narrow = _narrow(q)
    return bytes([narrow.itemsize]) + _planes(narrow.astype(f"<i{narrow.itemsize}"))


def unpack_raw(data: bytes, rows: int) -> Array:
    """Return the indices of `pack_raw`.

    Raises:
        Corrupt: The bytes are not so many indices.
    """
    width = data[0] if data else 0
    if width not in (1, 2, 4, 8) or len(data) != 1 + width * rows:
        raise Corrupt(f"{len(data)} raw bytes cannot hold {rows} indices")
    return _from_planes(data[1:], np.dtype(f"<i{width}")).astype(np.int64)


def _planes(numbers: Array) -> bytes:
    """Return the bytes of numbers, those of equal rank together."""
    return numbers.view(np.uint8).reshape(-1, numbers.itemsize).T.tobytes()


def _from_planes(data: bytes, dtype: np.dtype[Any]) -> Array:
    """Return numbers from the bytes of `_planes`."""
    planes = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(-1)


def pack_opaque(array: ak.Array) -> bytes:
    """Pack an awkward array as its form and buffers, in one zstd frame."""
    return zstd(opaque_bytes(array))


def opaque_bytes(array: ak.Array) -> bytes:
    """Return form and buffers of an awkward array; equal bytes mean equal bits, also of NaN."""
    form, length, buffers = ak.to_buffers(ak.to_packed(array))
    parts = {name: np.ascontiguousarray(b) for name, b in buffers.items()}
    described = [[name, part.dtype.str, part.size] for name, part in parts.items()]
    head = json.dumps(
        {"form": form.to_dict(), "length": length, "buffers": described}
    ).encode()
    return (
        len(head).to_bytes(4, "little")
        + head
        + b"".join(_plain(n, p) for n, p in parts.items())
    )


def _plain(name: str, part: Array) -> bytes:
    """Return the bytes of a buffer; offsets as differences, bytes of equal rank together."""
    if not _is_offsets(name, part.dtype):
        return part.tobytes()
    return _planes(np.diff(part, prepend=part.dtype.type(0)))


def _buffer(name: str, dtype: np.dtype[Any], data: bytes) -> Array:
    """Return a buffer from the bytes of `_plain`."""
    if not _is_offsets(name, dtype):
        return np.frombuffer(data, dtype)
    return np.cumsum(_from_planes(data, dtype), dtype=dtype)


def _dtype(text: str) -> np.dtype[Any]:
    """Return the type of a buffer; refuse other text that NumPy would parse, even as Python."""
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"no buffer has the type {text[:40]!r}")
    return np.dtype(text)


def _is_offsets(name: str, dtype: np.dtype[Any]) -> bool:
    return name.endswith("-offsets") and dtype.kind in "iu"


_OPAQUE_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)


def unpack_opaque(data: bytes, rows: int) -> ak.Array:
    """Return the array of `pack_opaque`.

    Raises:
        Corrupt: The bytes do not describe so many entries.
    """
    reader = Reader(unzstd(data))
    try:
        head: dict[str, Any] = json.loads(
            reader.take(int.from_bytes(reader.take(4), "little")).decode("utf-8")
        )
        buffers = {
            name: _buffer(name, dtype, reader.take(size * dtype.itemsize))
            for name, dtype, size in (
                (name, _dtype(text), size) for name, text, size in head["buffers"]
            )
        }
        reader.end("an opaque column", "its buffers")
        array = ak.from_buffers(
            ak.forms.from_dict(dict(head["form"])), head["length"], buffers
        )
        sound = ak.is_valid(array)
    except _OPAQUE_ERRORS as error:
        raise Corrupt(
            f"an opaque column does not decode ({type(error).__name__}: {error})"
        ) from None
    if not sound:
        raise Corrupt(f"an opaque column is inconsistent ({ak.validity_error(array)})")
    if len(array) != rows:
        raise Corrupt(f"a carried column holds {len(array)} entries where {rows} are due")
    return array
