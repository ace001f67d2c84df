"""HDF5: groups of datasets, compound datasets and matrices as tables, read by slices; `hdf5_writer` writes them.

In a group written here every column is a dataset; a counted one holds the objects of all events one after another, and
its attribute `counter` names the dataset of its lengths. Carried objects lie in the group `_carried`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.errors import Corrupt, InvalidArgument, MissingExtra, TooNew
from flowtuple.events.hdf5_writer import CARRIED, ENTRIES, VERSION, VERSION_ATTRIBUTE, write_dataset
from flowtuple.events.location import seekable, size_of
from flowtuple.events.memory import TABLE_NAME, check_lengths, numbered
from flowtuple.events.source import ReadOptions
from flowtuple.schema import OPAQUE, Array, Column, infer_role
from flowtuple.table import Dataset, Table, TableSource, ranges, with_counters

__all__ = ["open_dataset", "write_dataset"]

_NAMES = ("names", "columns")
_SCAN_STEP = 1 << 16


@dataclass(frozen=True)
class _Leaf:
    """A column, its dataset, and what of each row it is: all of it, one field, or one column of a matrix."""

    column: Column
    dataset: Any
    part: str | int | None = None

    def read(self, start: int, stop: int) -> Any:
        if self.column.is_opaque:
            texts = self._texts(start, stop)
            if self._is_utf8:
                return ak.from_iter([text.decode() for text in texts]) if texts else ak.from_iter([""])[:0]
            return ak.from_iter(texts) if texts else ak.from_iter([b""])[:0]
        if isinstance(self.part, str):
            values = self.dataset.fields(self.part)[start:stop]
        else:
            values = self.dataset[start:stop] if self.part is None else self.dataset[start:stop, self.part]
        return np.ascontiguousarray(values, dtype=np.dtype(self.column.dtype))

    def _texts(self, start: int, stop: int) -> list[bytes]:
        rows = self.dataset.fields(self.part) if isinstance(self.part, str) else self.dataset
        return [text if isinstance(text, bytes) else str(text).encode() for text in rows[start:stop]]

    @cached_property
    def _is_utf8(self) -> bool:
        """Whether all of the text is; where it is not, the column is one of bytes, whichever of its events are read."""
        try:
            for start, stop in ranges(len(self.dataset), _SCAN_STEP):
                for text in self._texts(start, stop):
                    text.decode()
        except UnicodeDecodeError:
            return False
        return True


class HDF5Table:
    """A table of an HDF5 file, read by ranges; it is a `TableSource`."""

    def __init__(self, path: str, name: str, leaves: Sequence[_Leaf], num_entries: int) -> None:
        self.name = name
        self.num_entries = num_entries
        self.columns = tuple(leaf.column for leaf in leaves)
        self._path = path
        self._leaves = {leaf.column.name: leaf for leaf in leaves}

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns; only the slices that hold them are read.

        Raises:
            Corrupt: The file's bytes are damaged, or a counter does not agree with what it counts.
        """
        stop = max(0, min(stop, self.num_entries))
        start = min(max(0, start), stop)
        kept = with_counters(self.columns, columns)
        data: dict[str, Any] = {}
        try:
            for column in kept:
                bounds = (start, stop)
                if column.counter is not None:
                    offsets = self._offsets[column.counter]
                    bounds = (int(offsets[start]), int(offsets[stop]))
                data[column.name] = self._leaves[column.name].read(*bounds)
            return Table(self.name, kept, stop - start, data)
        except (OSError, InvalidArgument):
            raise Corrupt(
                f"{self._path}: events {start} to {stop} of {self.name!r} are damaged; fetch the file again"
            ) from None

    @cached_property
    def _offsets(self) -> Mapping[str, Array]:
        counters = {c.counter for c in self.columns if c.counter is not None}
        counts = {name: self._leaves[name].read(0, self.num_entries) for name in counters}
        return {name: np.concatenate([[0], np.cumsum(values, dtype=np.int64)]) for name, values in counts.items()}


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """The groups and compound datasets of an HDF5 file as tables.

    Args:
        path: A path or URL.
        options: Names for the columns of a matrix that has none.

    Returns:
        Each group that holds datasets is a table with the group's path as its name (`events` at the root), each
        compound dataset one of its own. A matrix `data[N, D]` is D columns, named by a dataset or an attribute
        `names` or `columns` or by the options; arrays beside others keep their shape. Text that is not
        UTF-8 is bytes. What has no place in a table is in `refused`.

    Raises:
        InvalidArgument: The file is no HDF5, or datasets of one group differ in length.
        MissingExtra: h5py is not installed.
        TooNew: A later version of flowtuple wrote it.

    Example:
        >>> import pathlib, tempfile, h5py
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "jets.h5"
        >>> with h5py.File(path, "w") as file:
        ...     file["jets/data"], file["jets/names"] = np.zeros((5, 2)), ["pt", "eta"]
        >>> open_dataset(str(path), ReadOptions()).table("jets").num_entries
        5
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtra("hdf5", f"reading {path}") from None
    try:
        file = h5py.File(seekable(path), "r")
    except OSError as error:
        first = (str(error).splitlines() or [""])[0]
        raise InvalidArgument(f"{path}: is not an HDF5 file, or is cut short ({first}); fetch it again") from None
    tables: dict[str, TableSource] = {}
    refused: dict[str, str] = {}
    for name, group in _groups(file):
        for table, leaves, length in _tables_of(path, name, group, options, refused):
            tables[table] = HDF5Table(path, table, leaves, length)
    carried = {name: values[...].tobytes() for name, values in _carried(file)}
    return Dataset(path, tables, carried, refused, size_of(path))


def _groups(file: Any) -> Iterator[tuple[str, Any]]:
    """Every group but that of the carried objects, outer ones first, by its path; a group that links make twice, once."""
    waiting, seen = [("", file)], set()
    while waiting:
        name, group = waiting.pop()
        if group in seen:
            continue
        seen.add(group)
        yield name, group
        inner = [(key, value) for key, value in _items(group) if hasattr(value, "keys") and key != CARRIED]
        waiting.extend((f"{name}/{key}".strip("/"), value) for key, value in reversed(inner))


def _items(group: Any) -> Iterator[tuple[str, Any]]:
    """The members of a group, without links that lead nowhere."""
    yield from ((key, value) for key in group if (value := group.get(key)) is not None)


def _carried(file: Any) -> Iterator[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if CARRIED in file:
        file[CARRIED].visititems(lambda name, value: found.append((name, value)) if hasattr(value, "dtype") else None)
    yield from found


def _tables_of(
    path: str, name: str, group: Any, options: ReadOptions, refused: dict[str, str]
) -> Iterator[tuple[str, list[_Leaf], int]]:
    datasets = {key: value for key, value in _items(group) if hasattr(value, "ndim")}
    if VERSION_ATTRIBUTE in group.attrs:
        if group.attrs[VERSION_ATTRIBUTE] > VERSION:
            raise TooNew(f"{path}: written as version {group.attrs[VERSION_ATTRIBUTE]} of flowtuple's HDF5; update flowtuple")
        yield name, [_written_leaf(key, values) for key, values in datasets.items()], int(group.attrs[ENTRIES])
        return
    for key in [key for key, values in datasets.items() if values.dtype.names is not None and values.ndim == 1]:
        compound = datasets.pop(key)
        full = f"{name}/{key}".strip("/")
        yield full, list(_field_leaves(full, compound, refused)), len(compound)
    leaves = list(_array_leaves(path, name or TABLE_NAME, group, datasets, options, refused))
    if leaves:
        lengths = {leaf.column.name: len(leaf.dataset) for leaf in leaves}
        check_lengths(f"{path}: group {name or '/'}", lengths)
        yield name or TABLE_NAME, leaves, len(leaves[0].dataset)


def _written_leaf(name: str, values: Any) -> _Leaf:
    """A column that was written here, with what its attributes say."""
    stored = json.loads(values.attrs["column"])
    return _Leaf(Column.from_json(stored), values)


def _field_leaves(table: str, compound: Any, refused: dict[str, str]) -> Iterator[_Leaf]:
    for field in compound.dtype.names:
        inner = compound.dtype[field]
        column, reason = _column(field, inner.base, inner.shape)
        if column is None:
            refused[f"{table}/{field}"] = reason
        else:
            yield _Leaf(column, compound, field)


def _array_leaves(
    path: str, table: str, group: Any, datasets: dict[str, Any], options: ReadOptions, refused: dict[str, str]
) -> Iterator[_Leaf]:
    labels = next((n for n in _NAMES if n in datasets and _is_text(datasets[n].dtype)), None)
    arrays = {key: values for key, values in datasets.items() if key != labels}
    for key, values in arrays.items():
        if values.ndim == 2 and len(arrays) == 1 and (column := _column(key, values.dtype, ())[0]) is not None:
            given = datasets[labels] if labels else _attribute_names(values) or _attribute_names(group) or options.names
            names = None if given is None else [_decode(text) for text in given[:]]
            for i, label in enumerate(numbered(values.shape[1], names, f"{path}: {key!r}")):
                yield _Leaf(Column(label, column.dtype, infer_role(label, column.dtype)), values, i)
            continue
        column, reason = _column(key, values.dtype, values.shape[1:]) if values.ndim else (None, "one value is no column")
        if column is None:
            refused[f"{table}/{key}"] = reason
        else:
            yield _Leaf(column, values)


def _attribute_names(thing: Any) -> Sequence[Any] | None:
    return next((list(thing.attrs[n]) for n in _NAMES if n in thing.attrs and np.ndim(thing.attrs[n]) == 1), None)


def _column(name: str, dtype: Any, shape: tuple[int, ...]) -> tuple[Column | None, str]:
    """The schema of a dataset, or the reason why it has none."""
    if _is_text(dtype) and not shape:
        return Column(name, OPAQUE), ""
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        native = dtype.newbyteorder("=").name
        return Column(name, native, infer_role(name, native), shape=tuple(shape)), ""
    return None, f"HDF5 type {dtype} is not read; store numbers or text"


def _is_text(dtype: Any) -> bool:
    import h5py

    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def _decode(text: Any) -> str:
    return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)
