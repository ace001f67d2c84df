"""Sizes of rows in kinds of files that published ratios were measured on, and gzip at the ratio of another codec.

The public notebooks of the latent codec divide the size of the input, written as decimal numbers (its source has 12 digits of
each float32), by that of the codes, written as decimal integers; or float64 by int64 values, both in a compressed .npz.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass

import numpy as np

from flowtuple.baseline.quantise import round_mantissa
from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.data.rows import Rows

_MANTISSA = 23  # bits of a float32
_COUNT = 4  # bytes of how many objects an event has, raw


def as_written(values: np.ndarray) -> np.ndarray:
    """Values as a text with 12 digits holds them."""
    return np.array([float(f"{value:.12g}") for value in values.ravel()]).reshape(values.shape)


def text_bytes(values: np.ndarray, form: str) -> int:
    """Of a text with one row a line."""
    stream = io.BytesIO()
    np.savetxt(stream, values, form)
    return stream.tell()


def npz_bytes(values: np.ndarray) -> int:
    """Of a compressed .npz."""
    stream = io.BytesIO()
    np.savez_compressed(stream, data=values)
    return stream.tell()


@dataclass(frozen=True)
class Flattering:
    """Sizes of an input in other files than raw columns.

    Attributes:
        text: With 12 digits.
        savetxt: As np.savetxt writes by itself, with 19 digits.
        npz: float64 in a compressed .npz.
    """

    text: int
    savetxt: int
    npz: int

    @classmethod
    def of(cls, values: np.ndarray) -> Flattering:
        """Measure rows of shape (n, d)."""
        return cls(
            text_bytes(values, "%.12g"), text_bytes(values, "%.18e"), npz_bytes(as_written(values))
        )

    def ratios(self, codes: np.ndarray) -> dict[str, float]:
        """R by kind of file, codes being written in the same kind."""
        text, npz = text_bytes(codes, "%d"), npz_bytes(codes)
        return {".txt": self.text / text, "savetxt": self.savetxt / text, ".npz": self.npz / npz}


@dataclass(frozen=True)
class Gzipped:
    """Rows with rounded mantissas under gzip.

    Attributes:
        bits: Explicit bits that mantissas keep.
        ratio: Raw bytes over those of gzip, counts of objects among both.
        accuracy: Of the rounded values.
    """

    bits: int
    ratio: float
    accuracy: tuple[Accuracy, ...]


def gzipped(rows: Rows) -> list[Gzipped]:
    """At every number of mantissa bits, the most first; each column by itself at level 9."""
    counts = np.bincount(rows.event, minlength=rows.events).astype(np.int32)
    extra = 0 if rows.counter is None else len(gzip.compress(counts.tobytes(), 9))
    raw = 4 * rows.values.size + (0 if rows.counter is None else _COUNT * rows.events)
    found = []
    for bits in range(_MANTISSA, -1, -1):
        rounded = [round_mantissa(column.astype(np.float32), bits) for column in rows.values.T]
        size = extra + sum(len(gzip.compress(column.tobytes(), 9)) for column in rounded)
        found.append(
            Gzipped(bits, raw / size, measure(rows, np.stack(rounded, axis=1).astype(np.float64)))
        )
    return found


def at_ratio(found: list[Gzipped], ratio: float) -> Gzipped | None:
    """The most accurate one that is at least so small; `None` where none is."""
    return next((one for one in found if one.ratio >= ratio), None)
