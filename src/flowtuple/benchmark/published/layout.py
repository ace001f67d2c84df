"""Layout of the file of a reference method as pieces of bytes, without PyTorch.

    signature, 8 bytes | pieces, each after its length | XXH3-64 of all before

The pieces are the description (JSON) and the weights (safetensors), both under zstd, the number of
rows of each event (packed; empty where rows are events), and those of the codec.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from flowtuple.baseline.packing import join, split
from flowtuple.benchmark.published.filters import EVERY_ROW, EventFilter
from flowtuple.benchmark.published.signature import MAGIC
from flowtuple.codec.packing import checksum, pack_indices, unpack_indices, unzstd, zstd
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, Truncated, Unsupported
from flowtuple.file.damage import DAMAGE, Damage

VERSION = 2  # from 2 on the numbers may have gone through a second codec
_CHECKSUM = 8  # bytes
_PARTS = ("description", "weights", "counts")  # pieces before those of the codec
_COUNT = 4  # bytes of the number of rows of an event, uncompressed
_SHOWN = (bool, int, float, str)  # types of settings that `describe` shows
_MALFORMED = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    MemoryError,
    zstandard.ZstdError,
)


def check_reference(path: str | os.PathLike[str]) -> list[Damage]:
    """Return the damage: all of the file, which has one checksum; empty where that is right.

    Raises:
        InvalidArgument: It cannot be opened.
        TooNew: It was written by a later flowtuple.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.ref"
        >>> _ = path.write_bytes(MAGIC + bytes(20))
        >>> check_reference(path)[0].reason
        'is damaged or cut off, its checksum is wrong; restore it from a copy'
    """
    try:
        read_parts(path)
    except DAMAGE as error:
        return [Damage("", None, (), str(error).removeprefix(f"{os.fspath(path)}: "))]
    return []


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a file.

    Attributes:
        where: Name of the file in messages.
        content: The description.
        pieces: All stored pieces.
        size: Size of the file in bytes.
    """

    where: str
    content: Mapping[str, Any]
    pieces: tuple[bytes, ...]
    size: int

    @property
    def weights(self) -> bytes:
        return unzstd(self.pieces[1])

    @property
    def codes(self) -> tuple[bytes, ...]:
        """Pieces of the codec."""
        return self.pieces[len(_PARTS) :]

    @property
    def counts(self) -> Array:
        """Rows of each event, int64; one where rows are events."""
        rows = int(self.content["rows"])
        if self.content["counter"] is None:
            return np.ones(rows, np.int64)
        counts = unpack_indices(self.pieces[2], int(self.content["events"]))
        if int(counts.sum()) != rows:
            raise Corrupt(
                f"its events have {int(counts.sum())} rows, "
                f"its columns {rows}; restore it from a copy"
            )
        return counts

    @property
    def event_filter(self) -> EventFilter:
        """Choice of the rows of the input; files of earlier flowtuples do not store it."""
        content = self.content.get("filter")
        return EVERY_ROW if content is None else EventFilter.from_json(content)

    @property
    def section_bytes(self) -> dict[str, int]:
        """Bytes of each part; signature, lengths and checksum are the container."""
        sizes = {
            name: len(piece) for name, piece in zip(_PARTS, self.pieces, strict=False)
        }
        sizes["codes"] = sum(len(piece) for piece in self.codes)
        return sizes | {"container": self.size - sum(sizes.values())}


def pack_parts(
    name: str,
    settings: Mapping[str, Any],
    weights: bytes,
    codes: Sequence[bytes],
    rows: Rows,
    event_filter: EventFilter = EVERY_ROW,
) -> tuple[bytes, int]:
    """Return the bytes of a file, and the number of them that are the model's.

    Args:
        name: Name of the method.
        settings: Settings of the codec, as JSON.
        weights: Weights of its model.
        codes: Its pieces for the rows.
        rows: The rows.
        event_filter: Choice of these rows of the input.
    """
    content = {
        "version": VERSION,
        "codec": name,
        "columns": rows.columns,
        "dtypes": rows.dtypes,
        "rows": len(rows),
        "counter": rows.counter,
        "events": rows.events,
        "settings": settings,
        **({"filter": event_filter.to_json()} if event_filter else {}),
    }
    model = [zstd(json.dumps(content).encode()), zstd(weights)]
    head = b""
    if rows.counter is not None:
        head = pack_indices(np.bincount(rows.event, minlength=rows.events))
    data = MAGIC + join([*model, head, *codes])
    return data + checksum(data).to_bytes(_CHECKSUM, "little"), sum(
        len(piece) for piece in model
    )


def raw_bytes(rows: int, dtypes: Sequence[str], counter: str | None, events: int) -> int:
    """Return the bytes of the columns in their types, counts of objects among them.

    Example:
        >>> raw_bytes(10, ["float32", "uint8"], "nJet", 3)
        62
    """
    counts = 0 if counter is None else events * _COUNT
    return rows * sum(np.dtype(dtype).itemsize for dtype in dtypes) + counts


def read_parts(path: str | os.PathLike[str]) -> Parts:
    """Read the parts of a file.

    Raises:
        InvalidArgument: It cannot be opened.
        Corrupt: It is no file of a reference method, or a damaged one.
        Truncated: It is shorter than any.
        TooNew: It was written by a later flowtuple.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgument(
            f"{os.fspath(path)}: cannot be read ({error.strerror})"
        ) from None
    return split_parts(data, os.fspath(path))


def split_parts(data: bytes, where: str) -> Parts:
    """Return the parts of the bytes of a file, which messages call `where`; raises as above."""
    if not data.startswith(MAGIC):
        raise Corrupt(
            f"{where}: is no file of a reference method; flowtuple reference encode makes one"
        )
    if len(data) < len(MAGIC) + _CHECKSUM:
        raise Truncated(
            f"{where}: ends after {len(data)} bytes, before its checksum; fetch or copy it again"
        )
    if checksum(data[:-_CHECKSUM]) != int.from_bytes(data[-_CHECKSUM:], "little"):
        raise Corrupt(
            f"{where}: is damaged or cut off, its checksum is wrong; restore it from a copy"
        )
    with failures_named(where):
        pieces = split(data[len(MAGIC) : -_CHECKSUM])
        content = json.loads(unzstd(pieces[0]))
        if content["version"] > VERSION:
            newer = f"has version {content['version']} of the format of reference methods"
            raise TooNew(
                f"{where}: {newer}, this flowtuple reads {VERSION}; update flowtuple"
            )
        return Parts(where, content, tuple(pieces), len(data))


@contextmanager
def failures_named(
    where: str, content: str = "rows", *further: type[Exception]
) -> Iterator[None]:
    """Name the file in errors of reading its content, those of further types among them.

    Raises:
        Corrupt: In place of any other failure of reading.
    """
    malformed: tuple[type[Exception], ...] = (*_MALFORMED, *further)
    try:
        yield
    except (Corrupt, Unsupported) as error:
        named = str(error) if str(error).startswith(where) else f"{where}: {error}"
        raise type(error)(named) from None
    except malformed as error:
        reason = (str(error).splitlines() or [""])[0]
        raise Corrupt(
            f"{where}: describes no {content} ({reason}); restore it from a copy"
        ) from None


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return method, settings, columns and sizes of a file as JSON; raises as `read_parts`."""
    parts = read_parts(path)
    with failures_named(parts.where):
        content, settings = parts.content, parts.content["settings"]
        names, dtypes = (
            content.get(key, settings.get(key, [])) for key in ("columns", "dtypes")
        )
        rows, counter = int(content["rows"]), content["counter"]
        description = {
            "path": parts.where,
            "bytes": parts.size,
            "format": f"reference {content['version']}",
            "codec": content["codec"],
            "rows": rows,
            "events": int(content["events"]),
            "counter": counter,
            "columns": [
                {"name": name, "dtype": dtype}
                for name, dtype in zip(names, dtypes, strict=True)
            ],
            "settings": {
                name: value
                for name, value in settings.items()
                if isinstance(value, _SHOWN) and value != ""
            },
            "filter": parts.event_filter.to_json() if parts.event_filter else None,
            "sections": parts.section_bytes,
        }
        if names:
            raw = raw_bytes(rows, dtypes, counter, int(content["events"]))
            description["ratio"] = raw / parts.size
        return description
