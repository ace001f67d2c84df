"""Rows in the file of a reference method, with everything that decoding needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.filters import EVERY_ROW, EventFilter
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.layout import (
    Parts,
    failures_named,
    pack_parts,
    raw_bytes,
    read_parts,
    split_parts,
)
from flowtuple.benchmark.published.row_codec import RowCodec
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.runtime.atomic import atomic_path

_CODECS: Mapping[str, type[LatentCodec | AutoencoderCodec]] = {
    c.name: c for c in (LatentCodec, AutoencoderCodec)
}


@dataclass(frozen=True)
class Encoded:
    """Result of an encoding; sizes in bytes.

    Attributes:
        path: The file.
        rows: Number of objects, or events.
        values: Number of values over all columns.
        dropped: Rows that were left out because a value was NaN or infinite.
        raw_bytes: Size of the columns in their types, counts of objects among them.
        file_bytes: Size of the file.
        model_bytes: Size of weights, preprocessing and description in it.
        accuracy: Errors of each column after decoding the file.
        left_out: Rows that each cut left out after those before.
        notes: Sentences on parts of the input that cannot be carried.
    """

    path: str
    rows: int
    values: int
    dropped: int
    raw_bytes: int
    file_bytes: int
    model_bytes: int
    accuracy: tuple[Accuracy, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Raw bytes over bytes of the file."""
        return self.raw_bytes / self.file_bytes

    @property
    def bits_per_value(self) -> float:
        return 8 * self.file_bytes / self.values

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and text for `json.dumps`; undefined ones are null."""
        figures = {
            "ratio": self.ratio,
            "bits_per_value": self.bits_per_value,
            "accuracy": [a.to_json() for a in self.accuracy],
        }
        return vars(self) | figures


@dataclass(frozen=True, eq=False)
class Decoded:
    """Rows from a file.

    Attributes:
        columns: Names of d columns.
        dtypes: NumPy names of their types.
        values: float64 of shape (n, d).
        counter: Name of the counter of objects; `None` where rows are events.
        counts: Number of rows of each event, int64; empty where rows are events.
        event_filter: Choice of these rows of the input.
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    values: Array
    counter: str | None
    counts: Array
    event_filter: EventFilter = EVERY_ROW


def write(
    codec: RowCodec,
    rows: Rows,
    path: str | os.PathLike[str],
    event_filter: EventFilter = EVERY_ROW,
) -> Encoded:
    """Write rows; the file appears whole or not at all.

    Args:
        codec: Codec fitted to these columns.
        rows: At least one row.
        path: The file.
        event_filter: Choice of these rows of the input, for later comparisons with it.
    """
    data, model_bytes = pack(codec, rows, event_filter)
    decoded = unpack(data, os.fspath(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    raw = raw_bytes(len(rows), rows.dtypes, rows.counter, rows.events)
    accuracy = measure(rows, decoded.values)
    return Encoded(
        os.fspath(path),
        len(rows),
        rows.values.size,
        rows.dropped,
        raw,
        len(data),
        model_bytes,
        accuracy,
    )


def pack(
    codec: RowCodec, rows: Rows, event_filter: EventFilter = EVERY_ROW
) -> tuple[bytes, int]:
    """Return the bytes of a file, and the number of them that are the model's."""
    return pack_parts(
        codec.name,
        codec.settings(),
        codec.weights(),
        codec.encode(rows.values),
        rows,
        event_filter,
    )


def read(path: str | os.PathLike[str]) -> Decoded:
    """Decode a file, which needs nothing else.

    Raises:
        InvalidArgument: It cannot be opened.
        Corrupt: It is no file of a reference method, or a damaged one.
        Truncated: It is shorter than any.
        TooNew: It was written by a later flowtuple.
        Unsupported: It has residuals, and this machine's arithmetic is not the writer's.
    """
    return _decode(read_parts(path), os.fspath(path))


def unpack(data: bytes, where: str) -> Decoded:
    """Decode the bytes of a file, which messages call `where`; raises as `read` does."""
    return _decode(split_parts(data, where), where)


def codec_of(parts: Parts, where: str) -> LatentCodec | AutoencoderCodec:
    """Return the method that wrote a file, as far as decoding needs it.

    Raises:
        Corrupt: The file does not describe one.
    """
    with failures_named(where):
        codec = _CODECS[parts.content["codec"]].restore(
            parts.content["settings"], parts.weights, where
        )
        if tuple(parts.content.get("columns", codec.columns)) != codec.columns:
            raise Corrupt("its columns are not those of its model; restore it from a copy")
        return codec


def _decode(parts: Parts, where: str) -> Decoded:
    codec = codec_of(parts, where)
    with failures_named(where):
        values = codec.decode(parts.codes, int(parts.content["rows"]))
        return Decoded(
            codec.columns,
            codec.dtypes,
            values,
            parts.content["counter"],
            parts.counts,
            parts.event_filter,
        )
