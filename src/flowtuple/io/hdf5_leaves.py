"""Columns of an HDF5 file, each with the way to its values in a dataset."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np

from flowtuple.data.schema import OPAQUE, Array, Column, bit_patterns, infer_role
from flowtuple.data.table import ranges

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError)  # h5py's errors for damaged bytes
SCAN_STEP = 1 << 16
VALID = "valid"
"""The member that marks the records which are objects, where others are padding."""
_FILTERS = {
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32026: "blosc2",
}


@dataclass(frozen=True)
class Leaf:
    """A column and the way to its values.

    Attributes:
        column: The column.
        dataset: The dataset that holds its values.
        read: Returns the values of a range of events, or of objects where `is_by_object`.
        is_by_object: The dataset has the objects of all events one after another.
    """

    column: Column
    dataset: Any
    read: Callable[[int, int], Any]
    is_by_object: bool = False


def array_leaf(column: Column, dataset: Any, part: str | int | None = None) -> Leaf:
    """Return a column that is a dataset, or a part of it: a member, a column of a matrix."""
    rows = dataset.fields(part) if isinstance(part, str) else dataset
    if column.is_opaque:
        return Leaf(column, dataset, _Texts(rows, len(dataset)).read)
    index = (part,) if isinstance(part, int) else ()

    def read(start: int, stop: int) -> Array:
        values = rows[(slice(start, stop), *index)]
        return np.ascontiguousarray(values, dtype=np.dtype(column.dtype))

    return Leaf(column, dataset, read, column.counter is not None)


def padded_leaf(column: Column, dataset: Any, part: str) -> Leaf:
    """Return a member of the valid records; for `valid` itself, their number per event."""

    def read(start: int, stop: int) -> Any:
        valid = dataset.fields(VALID)[start:stop]
        if part == VALID:
            return valid.sum(axis=1, dtype=np.int64)
        values = dataset.fields(part)[start:stop][valid]
        return np.ascontiguousarray(values, dtype=np.dtype(column.dtype))

    return Leaf(column, dataset, read)


def ragged_leaf(column: Column, dataset: Any) -> Leaf:
    """Return the contents of lists of numbers; for a hidden counter, their lengths."""

    def read(start: int, stop: int) -> Any:
        lists = dataset[start:stop]
        if column.hidden:
            return np.array([len(numbers) for numbers in lists], dtype=np.int64)
        dtype = np.dtype(column.dtype)
        return np.concatenate([np.zeros(0, dtype), *lists]).astype(dtype, copy=False)

    return Leaf(column, dataset, read)


@dataclass(frozen=True)
class _Texts:
    """The texts of a dataset or member: all UTF-8, or else all bytes."""

    rows: Any
    length: int

    def read(self, start: int, stop: int) -> ak.Array:
        texts: list[Any] = self._encoded(start, stop)
        if self._is_utf8:
            texts = [text.decode() for text in texts]
        # an empty text beyond the end, so that no texts have the type of text, too
        return ak.from_iter([*texts, "" if self._is_utf8 else b""])[:-1]

    def _encoded(self, start: int, stop: int) -> list[bytes]:
        texts = self.rows[start:stop]
        return [text if isinstance(text, bytes) else str(text).encode() for text in texts]

    @cached_property
    def _is_utf8(self) -> bool:
        """Whole column is UTF-8; if not, it is bytes, whichever of its events are read."""
        try:
            for start, stop in ranges(self.length, SCAN_STEP):
                for text in self._encoded(start, stop):
                    text.decode()
        except UnicodeDecodeError:
            return False
        return True


def column_of(name: str, dtype: Any, shape: tuple[int, ...]) -> tuple[Column | None, str]:
    """Return the column of a dataset or member, or the reason why it has none."""
    if dtype.subdtype is not None:
        dtype, shape = dtype.base, (*shape, *dtype.shape)
    if is_text(dtype):
        if not shape:
            return Column(name, OPAQUE), ""
        reason = (
            f"text of shape {list(shape)} per event is no column; store one text per event"
        )
        return None, reason
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        native = dtype.newbyteorder("=").name
        return Column(name, native, infer_role(name, native), shape=tuple(shape)), ""
    return None, _why_not(dtype)


def _why_not(dtype: Any) -> str:
    if h5py.check_ref_dtype(dtype) is not None:
        return "references are no column; store what they point to"
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None:
        return f"its lists hold {inner}; store lists of numbers"
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
    sources = dataset.virtual_sources() if dataset.is_virtual else ()
    names = [source.file_name for source in sources]
    names += [name for name, _, _ in dataset.external or ()]
    folder = Path(str(dataset.file.filename)).parent
    return next((name for name in names if name != "." and not (folder / name).exists()), "")


def padding_of(dataset: Any, members: Sequence[str]) -> dict[str, Any] | None:
    """Return the padding of each member of records that are padded to one number per event.

    Args:
        dataset: Records of shape (events, most objects), with a member `valid`.
        members: Other members; those with several padding values are left out.

    Returns:
        The bits of one value of each member; `None` where an event has gaps between its objects.
    """
    nothing = np.zeros((), dataset.dtype)
    fills: dict[str, Any] = {}
    varying: set[str] = set()
    for start, stop in ranges(len(dataset), max(1, SCAN_STEP // max(1, dataset.shape[1]))):
        rows = dataset[start:stop]
        valid = rows[VALID]
        if bool((valid[:, 1:] & ~valid[:, :-1]).any()):
            return None
        padding = rows[~valid]
        for name in members if len(padding) else ():
            patterns = bit_patterns(padding[name])
            if bool((patterns != fills.setdefault(name, patterns[0])).any()):
                varying.add(name)
    return {name: fills.get(name, nothing[name]) for name in members if name not in varying}
