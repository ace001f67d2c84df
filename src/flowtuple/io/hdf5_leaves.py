"""Columns of an HDF5 file, each with the way to its values in a dataset."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import awkward as ak
import h5py
import numpy as np

from flowtuple.data.schema import OPAQUE, Array, Column, infer_role
from flowtuple.data.table import ranges

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError)  # h5py's errors for damaged bytes
SCAN_STEP = 1 << 16
_FILTERS = {
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32026: "blosc2",
}


class Leaf(Protocol):
    """A column and the way to its values."""

    @property
    def column(self) -> Column: ...

    @property
    def dataset(self) -> Any: ...

    @property
    def is_by_event(self) -> bool:
        """Return whether `read` of a counted column takes events; else it takes objects."""
        ...

    def read(self, start: int, stop: int) -> Any:
        """Return the values of a range."""
        ...


@dataclass(frozen=True)
class ArrayLeaf:
    """A column: a dataset, or a part of it (name of a member, number of a matrix column)."""

    column: Column
    dataset: Any
    part: str | int | None = None
    is_by_event: bool = False

    def read(self, start: int, stop: int) -> Any:
        """Return the values of the rows of a range."""
        if self.column.is_opaque:
            texts: list[Any] = self._texts(start, stop)
            if self._is_utf8:
                texts = [text.decode() for text in texts]
            # an empty text beyond the end, so that no texts have the type of text, too
            return ak.from_iter([*texts, "" if self._is_utf8 else b""])[:-1]
        index = (
            (slice(start, stop), self.part)
            if isinstance(self.part, int)
            else slice(start, stop)
        )
        return np.ascontiguousarray(self._rows[index], dtype=np.dtype(self.column.dtype))

    @property
    def _rows(self) -> Any:
        return self.dataset.fields(self.part) if isinstance(self.part, str) else self.dataset

    def _texts(self, start: int, stop: int) -> list[bytes]:
        texts = self._rows[start:stop]
        return [text if isinstance(text, bytes) else str(text).encode() for text in texts]

    @cached_property
    def _is_utf8(self) -> bool:
        """Whole column is UTF-8; if not, it is bytes, whichever of its events are read."""
        try:
            for start, stop in ranges(len(self.dataset), SCAN_STEP):
                for text in self._texts(start, stop):
                    text.decode()
        except UnicodeDecodeError:
            return False
        return True


@dataclass(frozen=True)
class PaddedLeaf:
    """A member of the valid padded records, or their number per event where `part` is empty."""

    column: Column
    dataset: Any
    part: str
    valid: str
    is_by_event: bool = True

    def read(self, start: int, stop: int) -> Any:
        """Return the valid values of the events of a range, or their number in each."""
        valid = self.dataset.fields(self.valid)[start:stop]
        if not self.part:
            return valid.sum(axis=1, dtype=np.int64)
        values = self.dataset.fields(self.part)[start:stop][valid]
        return np.ascontiguousarray(values, dtype=np.dtype(self.column.dtype))


@dataclass(frozen=True)
class RaggedLeaf:
    """A dataset of lists of numbers, or the lengths of these lists."""

    column: Column
    dataset: Any
    is_length: bool = False
    is_by_event: bool = True

    def read(self, start: int, stop: int) -> Any:
        """Return the values of the events of a range one after another, or their number in each."""
        rows = self.dataset[start:stop]
        if self.is_length:
            return np.array([len(row) for row in rows], dtype=np.int64)
        dtype = np.dtype(self.column.dtype)
        return np.concatenate([np.zeros(0, dtype), *rows]).astype(dtype, copy=False)


def column_of(name: str, dtype: Any, shape: tuple[int, ...]) -> tuple[Column | None, str]:
    """Return the column of a dataset or member, or the reason why it has none."""
    if dtype.subdtype is not None:
        dtype, shape = dtype.base, (*shape, *dtype.shape)
    if is_text(dtype):
        if not shape:
            return Column(name, OPAQUE), ""
        return (
            None,
            f"text of shape {list(shape)} per event is no column; store one text per event",
        )
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        native = dtype.newbyteorder("=").name
        return Column(name, native, infer_role(name, native), shape=tuple(shape)), ""
    return None, _why_not(dtype)


def _why_not(dtype: Any) -> str:
    if h5py.check_ref_dtype(dtype) is not None:
        return "references are no column; store what they point to"
    if h5py.check_vlen_dtype(dtype) is not None:
        return f"its lists hold {h5py.check_vlen_dtype(dtype)}; store lists of numbers"
    if dtype.kind == "c":
        return f"{dtype.name} is no column; store real and imaginary parts"
    if dtype.names is not None:
        return "a record within a record is no column; store its members one by one"
    if dtype.kind == "V":
        return "bytes without a type (opaque) are no column; store numbers or text"
    return f"HDF5 type {dtype} is not read; store numbers of 64 bits at most, or text"


def list_column(name: str, dtype: Any) -> Column | None:
    """Return the column of lists of numbers, without its counter; `None` for other types."""
    inner = h5py.check_vlen_dtype(dtype)
    if not isinstance(inner, np.dtype) or inner.kind not in "biuf" or inner.itemsize > 8:
        return None
    return column_of(name, inner, ())[0]


def is_text(dtype: Any) -> bool:
    """Return whether a type is text, of a fixed length or not."""
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def obstacle(dataset: Any) -> str:
    """Return the reason why the values of a dataset cannot be reached; empty where they can."""
    if dataset.shape is None:
        return "it is empty and has no shape"
    try:
        plist = dataset.id.get_create_plist()
        codes = [plist.get_filter(i) for i in range(plist.get_nfilters())]
        missing = [(code, name) for code, _, _, name in codes if not _has_filter(code)]
    except UNREADABLE as error:
        return f"its description cannot be read ({error})"
    if missing:
        code, name = missing[0]
        label = (
            _FILTERS.get(code) or name.decode("utf-8", "replace").strip("\0 ") or "unknown"
        )
        return f"its filter {code} ({label}) is missing; install it: pip install hdf5plugin"
    gone = _missing_sources(dataset)
    return (
        f"its values lie in {gone!r}, which is not there; fetch that file too" if gone else ""
    )


def _has_filter(code: int) -> bool:
    if h5py.h5z.filter_avail(code):
        return True
    if importlib.util.find_spec("hdf5plugin") is None:
        return False
    importlib.import_module("hdf5plugin")  # it registers its filters
    return bool(h5py.h5z.filter_avail(code))


def _missing_sources(dataset: Any) -> str:
    """Return the first missing file of a virtual dataset, for which HDF5 would give zeros."""
    names = (
        [source.file_name for source in dataset.virtual_sources()]
        if dataset.is_virtual
        else []
    )
    names += [name for name, _, _ in dataset.external or ()]
    folder = Path(str(dataset.file.filename)).parent
    return next((name for name in names if name != "." and not (folder / name).exists()), "")


def padding_of(dataset: Any, valid: str, fields: Sequence[str]) -> dict[str, Array] | None:
    """Return the padding value of each member of records that are padded to one number per event.

    Args:
        dataset: Records of shape (events, most objects).
        valid: The member that marks the records which are objects.
        fields: Other members; those with several padding values are left out.

    Returns:
        One value of each member, of the shape of one record; `None` where an event has gaps between
        its objects.
    """
    fills: dict[str, Array] = {}
    varying: set[str] = set()
    for start, stop in ranges(len(dataset), max(1, SCAN_STEP // max(1, dataset.shape[1]))):
        rows = dataset[start:stop]
        is_object = rows[valid]
        if bool((is_object[:, 1:] & ~is_object[:, :-1]).any()):
            return None
        for name in fields:
            empty = np.ascontiguousarray(rows[name][~is_object])
            if not len(empty):
                continue
            first = fills.setdefault(name, empty[0])
            patterns = empty.view(np.uint8).reshape(len(empty), -1)
            if bool((patterns != np.frombuffer(first.tobytes(), np.uint8)).any()):
                varying.add(name)
    nothing = np.zeros((), dataset.dtype)
    return {name: fills.get(name, nothing[name]) for name in fields if name not in varying}
