"""A table as the datasets that it had in an HDF5 file of other origin: records, matrices, padded and ragged lists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, TableSource, ranges
from flowtuple.errors import Unsupported
from flowtuple.io.hdf5_types import FORMAT, attribute_of, type_of

UNFITTING = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    UnicodeError,
)  # where storage and columns do not agree


def is_alike(storage: Mapping[str, Any]) -> bool:
    """Whether an HDF5 file of other origin held the table."""
    return storage.get("format") == FORMAT


def write_alike(
    file: Any,
    description: str,
    source: TableSource,
    columns: Sequence[Column],
    storage: Mapping[str, Any],
    step: int,
) -> None:
    """Write a table as its input held it.

    Args:
        file: The open file.
        description: What the input is called.
        source: The events.
        columns: Those that can be HDF5.
        storage: What the reader found, as JSON.
        step: Events at a time.

    Raises:
        Unsupported: The description of the input does not fit the columns.
    """
    try:
        group = file.require_group(str(storage.get("group", "")) or "/")
        places = {c.name: i for i, c in enumerate(columns)}
        sets = sorted(
            _datasets(columns, storage), key=lambda part: places[part.first]
        )  # in the order that they are read in
        made = [part.create(group, source.num_entries, step) for part in sets]
        for start, stop in ranges(source.num_entries, step):
            table = source.read([c.name for c in columns], start, stop)
            for part, dataset in zip(sets, made, strict=True):
                rows = part.rows(table, dataset.dtype)
                if rows is not None:
                    dataset[start:stop] = rows
        for path in storage.get("groups", {}):
            file.require_group(path or "/")
        for attributes in (storage.get("groups", {}), storage.get("attributes", {})):
            _write_attributes(file, attributes)
    except UNFITTING as error:
        raise Unsupported(
            f"{description}: table {source.name!r} cannot be HDF5 as it was ({error}); write .npz or .root"
        ) from None


def _datasets(columns: Sequence[Column], storage: Mapping[str, Any]) -> Iterator[OutputDataset]:
    shown = {c.name: c for c in columns if not c.hidden}
    for stored in storage.get("sets", ()):
        if stored["kind"] == "records":
            names = _member_names(stored, shown)
            if names:
                yield CompoundDataset(
                    stored["name"],
                    stored,
                    {member: shown.pop(column) for member, column in names.items()},
                )
        elif stored["kind"] == "matrix":
            yield MatrixDataset(stored["name"], stored, tuple(shown.values()))
            shown = {}
        elif stored["name"] in shown:
            yield ArrayDataset(stored["name"], stored, shown.pop(stored["name"]))
    for name, column in shown.items():
        yield ArrayDataset(name, {}, column)


def _member_names(stored: Mapping[str, Any], shown: Mapping[str, Column]) -> dict[str, str]:
    names = [member if isinstance(member, str) else member[0] for member in stored["members"]]
    columns = {name: str(stored.get("prefix", "")) + name for name in names}
    return {name: column for name, column in columns.items() if column in shown}


@dataclass(frozen=True)
class OutputDataset(ABC):
    """A dataset to create, with the notes on how the input stored it."""

    name: str
    stored: Mapping[str, Any]

    @property
    @abstractmethod
    def first(self) -> str:
        """Name of the first column."""

    @abstractmethod
    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset."""

    @abstractmethod
    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events, in the type of the dataset."""


def _made(group: Any, name: str, shape: tuple[int, ...], dtype: Any, step: int) -> Any:
    if 0 in shape:
        return group.create_dataset(name, shape, dtype)
    chunk = (min(step, shape[0]), *shape[1:])
    return group.create_dataset(name, shape, dtype, chunks=chunk, compression="gzip")


@dataclass(frozen=True)
class ArrayDataset(OutputDataset):
    """One column: an array, texts, or lists of numbers."""

    column: Column

    @property
    def first(self) -> str:
        """The only column."""
        return self.column.name

    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset."""
        import h5py

        dtype = type_of(self.stored.get("type"), _usual_type(self.column))
        if self.column.counter is not None:
            return group.create_dataset(self.name, (length,), h5py.vlen_dtype(dtype))
        return _made(group, self.name, (length, *self.column.shape), dtype, step)

    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events, in the type of the dataset."""
        import h5py

        if self.column.counter is None:
            return _values(table[self.column.name], dtype)
        values = table[self.column.name].astype(h5py.check_vlen_dtype(dtype))
        if not len(values):
            return None  # lists are empty until they are written
        bounds = table.offsets(self.column.counter)
        rows = np.empty(table.num_entries, dtype=object)
        for i in range(table.num_entries):
            rows[i] = values[bounds[i] : bounds[i + 1]]
        return rows


@dataclass(frozen=True)
class MatrixDataset(OutputDataset):
    """All columns as those of a matrix."""

    columns: tuple[Column, ...]

    @property
    def first(self) -> str:
        """Name of the first column."""
        return self.columns[0].name

    def create(self, group: Any, length: int, step: int) -> Any:
        """The empty dataset, and its columns' names where the input had them."""
        import h5py

        dtype = type_of(self.stored.get("type"), np.dtype(self.columns[0].dtype))
        made = _made(group, self.name, (length, len(self.columns)), dtype, step)
        names = [c.name for c in self.columns]
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
        return np.stack([table[c.name] for c in self.columns], axis=1)


@dataclass(frozen=True)
class CompoundDataset(OutputDataset):
    """Columns as members of records, perhaps padded to one number per event."""

    columns: Mapping[str, Column]

    @property
    def first(self) -> str:
        """Name of the first column."""
        return next(column.name for column in self.columns.values())

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.stored.get("shape", ()))

    @property
    def _counter(self) -> str | None:
        return next((c.counter for c in self.columns.values() if c.counter is not None), None)

    def _dtype(self) -> Any:
        tokens = {
            m if isinstance(m, str) else m[0]: None if isinstance(m, str) else m[1]
            for m in self.stored["members"]
        }
        valid = "valid" if self._counter is not None else ""
        names = [name for name in tokens if name in self.columns or name == valid]
        formats: list[Any] = []
        for name in names:
            if name not in self.columns:
                formats.append(np.dtype(bool))
                continue
            column = self.columns[name]
            inner = () if column.counter is not None else column.shape[len(self._shape) :]
            formats.append((type_of(tokens[name], _usual_type(column)), inner))
        if len(names) == len(tokens) and "offsets" in self.stored:
            placed = {"offsets": self.stored["offsets"], "itemsize": self.stored["size"]}
            return np.dtype(cast(Any, {"names": names, "formats": formats, **placed}))
        return np.dtype(cast(Any, {"names": names, "formats": formats}))

    def create(self, group: Any, length: int, step: int) -> Any:
        """Create the empty dataset."""
        return _made(group, self.name, (length, *self._shape), self._dtype(), step)

    def rows(self, table: Table, dtype: Any) -> Any:
        """Return the rows of some events, in the type of the dataset."""
        rows = np.zeros((table.num_entries, *self._shape), dtype)
        there = self._there(table)
        if there is not None:
            rows["valid"] = there
        for name, column in self.columns.items():
            if column.counter is None:
                rows[name] = _values(table[column.name], dtype[name])
                continue
            rows[name] = np.frombuffer(bytes.fromhex(self.stored["fills"][name]), dtype[name])[0]
            rows[name][there] = table[column.name]
        return rows

    def _there(self, table: Table) -> Array | None:
        """Which of the places hold an object."""
        if self._counter is None:
            return None
        counts = table[self._counter]
        if len(counts) and int(counts.max()) > self._shape[0]:
            raise ValueError(f"{int(counts.max())} objects in an event, {self._shape[0]} places")
        places: Array = np.arange(self._shape[0]) < np.asarray(counts)[:, None]
        return places


def _usual_type(column: Column) -> Any:
    import h5py

    return h5py.string_dtype() if column.is_opaque else np.dtype(column.dtype)


def _values(content: Any, dtype: Any) -> Any:
    """Numbers as they are; text as bytes, of a fixed length where the type has one."""
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
