"""Tables written back as the datasets of their input, an HDF5 file of other origin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import awkward as ak
import h5py
import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, TableSource, ranges
from flowtuple.errors import Unsupported
from flowtuple.io.hdf5_types import FORMAT, attribute_of, type_of

# Raised where the notes on the input and the columns do not agree; UnicodeError is a ValueError.
_MISMATCH = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


def is_original(storage: Mapping[str, Any]) -> bool:
    """Return whether the notes on a table are of an HDF5 file of other origin."""
    return storage.get("format") == FORMAT


def write_original(
    file: Any,
    description: str,
    source: TableSource,
    columns: Sequence[Column],
    storage: Mapping[str, Any],
    step: int,
) -> None:
    """Write a table as the datasets that it was in its input.

    Args:
        file: The open file.
        description: Name of the input.
        source: The events.
        columns: Columns that can be HDF5.
        storage: Notes of the reader on the input, as JSON.
        step: Events at a time.

    Raises:
        Unsupported: The description of the input does not fit the columns.
    """
    try:
        group = file.require_group(str(storage.get("group", "")) or "/")
        names = [c.name for c in columns]
        # in the order of the columns, which is that of the datasets when they are read again
        places = {name: i for i, name in enumerate(names)}
        sets = sorted(_datasets(columns, storage), key=lambda part: places[part.first.name])
        made = [part.create(group, source.num_entries, step) for part in sets]
        for start, stop in ranges(source.num_entries, step):
            table = source.read(names, start, stop)
            for part, dataset in zip(sets, made, strict=True):
                rows = part.rows(table, dataset.dtype)
                if rows is not None:
                    dataset[start:stop] = rows
        for path in storage.get("groups", {}):
            file.require_group(path or "/")
        for attributes in (storage.get("groups", {}), storage.get("attributes", {})):
            _write_attributes(file, attributes)
    except _MISMATCH as error:
        what = f"table {source.name!r} cannot be HDF5 as it was ({error})"
        raise Unsupported(f"{description}: {what}; write .npz or .root") from None


def _datasets(
    columns: Sequence[Column], storage: Mapping[str, Any]
) -> Iterator[OutputDataset]:
    shown = {c.name: c for c in columns if not c.hidden}
    for stored in storage.get("sets", ()):
        if stored["kind"] == "records":
            names = _member_names(stored, shown)
            members = {member: shown.pop(column) for member, column in names.items()}
            if members:
                yield CompoundDataset(stored["name"], stored, members)
        elif stored["kind"] == "matrix":
            if shown:
                yield MatrixDataset(stored["name"], stored, shown)
            shown = {}
        elif stored["name"] in shown:
            name = stored["name"]
            yield ArrayDataset(name, stored, {name: shown.pop(name)})
    for name, column in shown.items():
        yield ArrayDataset(name, {}, {name: column})


def _member_names(stored: Mapping[str, Any], shown: Mapping[str, Column]) -> dict[str, str]:
    prefix = str(stored.get("prefix", ""))
    names = [name for name, _ in _member_tokens(stored)]
    return {name: prefix + name for name in names if prefix + name in shown}


def _member_tokens(stored: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names of the members of records, with the token of a type where there is one."""
    for member in stored["members"]:
        yield (member, None) if isinstance(member, str) else member


@dataclass(frozen=True)
class OutputDataset(ABC):
    """A dataset to create.

    Attributes:
        name: Name of the dataset.
        stored: Notes on how the input stored it.
        columns: Its columns, at least one; by member where the dataset has records.
    """

    name: str
    stored: Mapping[str, Any]
    columns: Mapping[str, Column]

    @property
    def first(self) -> Column:
        """Return the first column."""
        return next(iter(self.columns.values()))

    @abstractmethod
    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset."""

    @abstractmethod
    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events in the dataset's type; `None` where they are empty."""


def _create(group: Any, name: str, shape: tuple[int, ...], dtype: Any, step: int) -> Any:
    if 0 in shape:
        return group.create_dataset(name, shape, dtype)
    chunk = (min(step, shape[0]), *shape[1:])
    return group.create_dataset(name, shape, dtype, chunks=chunk, compression="gzip")


@dataclass(frozen=True)
class ArrayDataset(OutputDataset):
    """A column: an array, texts, or lists of numbers."""

    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset."""
        column = self.first
        dtype = type_of(self.stored.get("type"), _usual_type(column))
        if column.counter is not None:
            return group.create_dataset(self.name, (length,), h5py.vlen_dtype(dtype))
        return _create(group, self.name, (length, *column.shape), dtype, step)

    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events, in the type of the dataset."""
        column = self.first
        if column.counter is None:
            return _values(table[column.name], dtype)
        values = table[column.name].astype(h5py.check_vlen_dtype(dtype))
        if not len(values):
            return None  # lists are empty until they are written
        bounds = table.offsets(column.counter)
        rows = np.empty(table.num_entries, dtype=object)
        for i in range(table.num_entries):
            rows[i] = values[bounds[i] : bounds[i + 1]]
        return rows


@dataclass(frozen=True)
class MatrixDataset(OutputDataset):
    """All columns as those of a matrix."""

    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset, and the names of its columns where the input had them."""
        dtype = type_of(self.stored.get("type"), np.dtype(self.first.dtype))
        made = _create(group, self.name, (length, len(self.columns)), dtype, step)
        names = list(self.columns)
        if "labels" in self.stored:
            group.create_dataset(self.stored["labels"], data=names, dtype=h5py.string_dtype())
        for place, thing in (("attribute", made), ("group", group)):
            if place in self.stored:
                thing.attrs[self.stored[place]] = names
        is_named = bool({"labels", "attribute", "group"} & set(self.stored))
        if not is_named and names != [f"c{i}" for i in range(len(names))]:
            made.attrs["names"] = names
        return made

    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events, in the type of the dataset."""
        return np.stack([table[name] for name in self.columns], axis=1)


@dataclass(frozen=True)
class CompoundDataset(OutputDataset):
    """Columns as members of records, perhaps padded to one number per event."""

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.stored.get("shape", ()))

    @property
    def _counter(self) -> str | None:
        return next((c.counter for c in self.columns.values() if c.counter is not None), None)

    def _dtype(self) -> Any:
        formats: dict[str, Any] = {}
        tokens = dict(_member_tokens(self.stored))
        for name, token in tokens.items():
            column = self.columns.get(name)
            if column is not None:
                inner = () if column.counter is not None else column.shape[len(self._shape) :]
                formats[name] = (type_of(token, _usual_type(column)), inner)
            elif name == "valid" and self._counter is not None:
                formats[name] = np.dtype(bool)
        layout: dict[str, Any] = {"names": list(formats), "formats": list(formats.values())}
        if len(formats) == len(tokens) and "offsets" in self.stored:
            layout |= {"offsets": self.stored["offsets"], "itemsize": self.stored["size"]}
        return np.dtype(cast(Any, layout))

    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset."""
        return _create(group, self.name, (length, *self._shape), self._dtype(), step)

    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events, in the type of the dataset."""
        rows = np.zeros((table.num_entries, *self._shape), dtype)
        valid = self._valid(table)
        if valid is not None:
            rows["valid"] = valid
        for name, column in self.columns.items():
            if column.counter is None:
                rows[name] = _values(table[column.name], dtype[name])
                continue
            rows[name] = np.frombuffer(
                bytes.fromhex(self.stored["fills"][name]), dtype[name]
            )[0]
            rows[name][valid] = table[column.name]
        return rows

    def _valid(self, table: Table) -> Array | None:
        """Return which of the places have an object; `None` for records without counter."""
        if self._counter is None:
            return None
        counts = table[self._counter]
        if len(counts) and int(counts.max()) > self._shape[0]:
            raise ValueError(
                f"{int(counts.max())} objects in an event, {self._shape[0]} places"
            )
        places: Array = np.arange(self._shape[0]) < np.asarray(counts)[:, None]
        return places


def _usual_type(column: Column) -> Any:
    return h5py.string_dtype() if column.is_opaque else np.dtype(column.dtype)


def _values(content: Any, dtype: Any) -> Any:
    """Return numbers as they are, and text as bytes, of a fixed length where the type has one."""
    if not isinstance(content, ak.Array):
        return content
    texts = [text if isinstance(text, bytes) else text.encode() for text in content.tolist()]
    if dtype.kind == "S":
        if max(map(len, texts), default=0) > dtype.itemsize:
            raise ValueError(f"text of more than {dtype.itemsize} bytes")
        return np.array(texts, dtype=dtype)
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    return values


def _write_attributes(file: Any, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    for path, tokens in attributes.items():
        thing = file.get(path or "/")
        for key, token in tokens.items() if thing is not None else ():
            if key not in thing.attrs:
                thing.attrs[key] = attribute_of(token)
