"""Rows in the file of a reference method, with everything that decoding needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.filters import EVERY_ROW, EventFilter
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.layout import (
    Parts,
    failures_named,
    pack_parts,
    raw_bytes,
    split_parts,
)
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.data.rows import Rows
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.flows.fit import Fitted, Report
from flowtuple.runtime.atomic import atomic_path

RowCodec: TypeAlias = LatentCodec | AutoencoderCodec
_CODECS: Mapping[str, type[RowCodec]] = {
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


def fit_codec(
    rows: Rows,
    options: Latent | Autoencoder,
    seed: int,
    report: Report,
    log: str | None = None,
) -> tuple[RowCodec, Fitted]:
    """Fit the method of the options to rows.

    Args:
        rows: Finite rows, with the types of their columns.
        options: Options of the method.
        seed: The same rows, options and seed give the same codec on one machine.
        report: Called after each epoch.
        log: A folder for TensorBoard.

    Raises:
        InvalidArgument: Too few rows, or values outside the domain of their preprocessing.
    """
    if not len(rows):
        raise InvalidArgument(
            f"{rows.source}: has no row without NaN or infinite values; nothing can be encoded"
        )
    if isinstance(options, Latent):
        return LatentCodec.fit(rows, options, seed, report, log)
    return AutoencoderCodec.fit(rows, options, seed, report, log)


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
    return Encoded(
        os.fspath(path),
        len(rows),
        rows.values.size,
        rows.dropped,
        raw_bytes(len(rows), rows.dtypes, rows.counter, rows.events),
        len(data),
        model_bytes,
        measure(rows, decoded.values),
    )


def pack(
    codec: RowCodec, rows: Rows, event_filter: EventFilter = EVERY_ROW
) -> tuple[bytes, int]:
    """Return the bytes of a file, and the number of them that are the model's."""
    stored = codec.settings(), codec.weights(), codec.encode(rows.values)
    return pack_parts(codec.name, *stored, rows, event_filter)


def unpack(data: bytes, where: str) -> Rows:
    """Decode the bytes of a file, which messages call `where`; raises as `decode` does.

    Raises:
        Truncated: They are fewer than those of any file.
        TooNew: They were written by a later flowtuple.
    """
    return decode(split_parts(data, where))


def codec_of(parts: Parts) -> RowCodec:
    """Return the method that wrote a file, as far as decoding needs it.

    Raises:
        Corrupt: The file does not describe one.
    """
    with failures_named(parts.where):
        codec = _CODECS[parts.content["codec"]].restore(
            parts.content["settings"], parts.weights, parts.where
        )
        if tuple(parts.content.get("columns", codec.columns)) != codec.columns:
            raise Corrupt(
                "its columns are not those of its model; restore it from a copy"
            )
        return codec


def decode(parts: Parts) -> Rows:
    """Decode the rows of a file, which needs nothing else.

    Raises:
        Corrupt: It describes no rows.
        Unsupported: It has residuals, and this machine's arithmetic is not the writer's.
    """
    codec = codec_of(parts)
    with failures_named(parts.where):
        values = codec.decode(parts.codes, int(parts.content["rows"]))
        counts = parts.counts
        return Rows(
            parts.where,
            codec.columns,
            values,
            np.repeat(np.arange(len(counts)), counts),
            len(counts),
            dtypes=codec.dtypes,
            counter=parts.content["counter"],
        )
