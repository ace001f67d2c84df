"""Rows in the file of a reference method: everything that decoding needs, every byte of it counted.

    signature, 8 bytes | pieces, each after its length | XXH3-64 of all before

The pieces are the description (JSON) and the weights (safetensors), both under zstd, how many rows each event has (packed;
empty where rows are events), and those of the codec.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from flowtuple.atomic import atomic_path
from flowtuple.codec.packing import pack_indices, unpack_indices, unzstd, zstd
from flowtuple.container.layout import checksum
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, Truncated, Unsupported
from flowtuple.reference.accuracy import Accuracy, measure
from flowtuple.reference.autoencoder import AutoencoderCodec
from flowtuple.reference.codec import Codec
from flowtuple.reference.latent import LatentCodec
from flowtuple.reference.signature import MAGIC
from flowtuple.rivals.pieces import join, split
from flowtuple.rows import Rows
from flowtuple.schema import Array

VERSION = 1
_CHECKSUM = 8  # bytes
_PARTS = 3  # pieces before those of the codec
_COUNT = 4  # bytes of how many rows an event has, uncompressed
_CODECS: Mapping[str, type[LatentCodec | AutoencoderCodec]] = {c.name: c for c in (LatentCodec, AutoencoderCodec)}
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError, zstandard.ZstdError)


@dataclass(frozen=True)
class Encoded:
    """What came of encoding; sizes in bytes.

    Attributes:
        path: The file.
        rows: Objects, or events.
        values: Over all columns.
        dropped: Rows that were left out because a value was NaN or infinite.
        raw_bytes: Of the columns at their own types, counts of objects among them.
        file_bytes: Of the file.
        model_bytes: Of weights, preprocessing and description in it.
        accuracy: Of each column, of what the file decodes to.
    """

    path: str
    rows: int
    values: int
    dropped: int
    raw_bytes: int
    file_bytes: int
    model_bytes: int
    accuracy: tuple[Accuracy, ...]

    @property
    def ratio(self) -> float:
        """Raw bytes over bytes of the file."""
        return self.raw_bytes / self.file_bytes

    @property
    def bits_per_value(self) -> float:
        return 8 * self.file_bytes / self.values


@dataclass(frozen=True, eq=False)
class Decoded:
    """Rows from a file.

    Attributes:
        columns: Names of d columns.
        dtypes: NumPy names of their types.
        values: float64 of shape (n, d).
        counter: What counts the objects of an event; `None` where rows are events.
        counts: Of each event, int64; empty where rows are events.
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    values: Array
    counter: str | None
    counts: Array


def write(codec: Codec, rows: Rows, path: str | os.PathLike[str]) -> Encoded:
    """Write rows; the file appears whole or not at all.

    Args:
        codec: Fitted to these columns.
        rows: At least one.
        path: The file.
    """
    data, model_bytes = pack(codec, rows)
    decoded = unpack(data, os.fspath(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    raw = len(rows) * sum(np.dtype(dtype).itemsize for dtype in rows.dtypes)
    raw += 0 if rows.counter is None else rows.events * _COUNT
    found = measure(rows, decoded.values)
    return Encoded(os.fspath(path), len(rows), rows.values.size, rows.dropped, raw, len(data), model_bytes, found)


def pack(codec: Codec, rows: Rows) -> tuple[bytes, int]:
    """The bytes of a file, and how many of them are the model's."""
    counts = np.bincount(rows.event, minlength=rows.events)
    content = {
        "version": VERSION,
        "codec": codec.name,
        "rows": len(rows),
        "counter": rows.counter,
        "events": rows.events,
        "settings": codec.settings(),
    }
    model = [zstd(json.dumps(content).encode()), zstd(codec.weights())]
    head = b"" if rows.counter is None else pack_indices(counts)
    data = MAGIC + join([*model, head, *codec.encode(rows.values)])
    return data + checksum(data).to_bytes(_CHECKSUM, "little"), sum(len(piece) for piece in model)


def read(path: str | os.PathLike[str]) -> Decoded:
    """Decode a file, which needs nothing else.

    Raises:
        InvalidArgument: It cannot be opened.
        Corrupt: It is none of a reference method, or a damaged one.
        Truncated: It is shorter than any.
        TooNew: It was written by a later flowtuple.
        Unsupported: It has residuals, and this machine's arithmetic is not the writer's.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{os.fspath(path)}: cannot be read ({error.strerror})") from None
    return unpack(data, os.fspath(path))


def unpack(data: bytes, where: str) -> Decoded:
    """Rows from the bytes of a file; `where` is what messages call them. Raises as `read` does."""
    if not data.startswith(MAGIC):
        raise Corrupt(f"{where}: is no file of a reference method; flowtuple reference encode makes one")
    if len(data) < len(MAGIC) + _CHECKSUM:
        raise Truncated(f"{where}: ends after {len(data)} bytes, before its checksum; fetch or copy it again")
    if checksum(data[:-_CHECKSUM]) != int.from_bytes(data[-_CHECKSUM:], "little"):
        raise Corrupt(f"{where}: is damaged or cut off, its checksum is wrong; restore it from a copy")
    try:
        return _decode(split(data[len(MAGIC) : -_CHECKSUM]), where)
    except (Corrupt, Unsupported) as error:
        named = str(error) if str(error).startswith(where) else f"{where}: {error}"
        raise type(error)(named) from None
    except _MALFORMED as error:
        raise Corrupt(f"{where}: describes no rows ({error}); restore it from a copy") from None


def _decode(pieces: list[bytes], where: str) -> Decoded:
    content = json.loads(unzstd(pieces[0]))
    if content["version"] > VERSION:
        newer = f"has version {content['version']} of the format of reference methods"
        raise TooNew(f"{where}: {newer}, this flowtuple reads {VERSION}; update flowtuple")
    codec = _CODECS[content["codec"]].restore(content["settings"], unzstd(pieces[1]), where)
    rows, counter = int(content["rows"]), content["counter"]
    counts = np.empty(0, np.int64) if counter is None else unpack_indices(pieces[2], int(content["events"]))
    if counter is not None and int(counts.sum()) != rows:
        raise Corrupt(f"its events have {int(counts.sum())} rows, its columns {rows}; restore it from a copy")
    return Decoded(codec.columns, codec.dtypes, codec.decode(pieces[_PARTS:], rows), counter, counts)
