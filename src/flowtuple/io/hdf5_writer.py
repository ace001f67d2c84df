"""Tables as HDF5: a group per table, a dataset per column, or the datasets of the input again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table, TableSource, ranges, read_all
from flowtuple.errors import Unsupported
from flowtuple.io.changes import Capabilities, write_result
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.full_disk import deferred_errors
from flowtuple.io.hdf5_types import FORMAT, attribute_of, type_of
from flowtuple.io.source import leave_out
from flowtuple.runtime.lazy_packages import awkward as ak

CARRIED = "_carried"
VERSION_ATTRIBUTE = "flowtuple"
ENTRIES = "num_entries"
VERSION = 1
_CAPABILITIES = Capabilities("HDF5", counters=True)
# Raised where the notes on the input and the columns do not agree; UnicodeError is a ValueError.
_MISMATCH = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write every table as a group and every carried object as bytes in the group `_carried`.

    A table that was read from an HDF5 file of other origin becomes the datasets that it was there.

    Args:
        dataset: Tables of numbers, lists of numbers, and text.
        path: The file to make; one that exists is overwritten.
        options: Events a chunk, and whether to leave out what HDF5 cannot hold.

    Raises:
        Unsupported: A column is neither numbers nor text, or has a slash in its name; nothing is
            written. Or the notes on the input do not fit the columns.
    """
    obstacles = {
        name: _obstacles(dataset, source) for name, source in dataset.tables.items()
    }
    reasons = {
        f"{name}/{column}": reason
        for name, columns in obstacles.items()
        for column, reason in columns.items()
    }
    left_out = leave_out(dataset, reasons, "as HDF5", options)
    described: dict[str, list[Column]] = {}
    # h5py ends the process where a write fails, as on a full disk
    with (
        deferred_errors(path) as stream,
        h5py.File(stream, "w", track_order=True) as file,
    ):
        for name, source in dataset.tables.items():
            columns = [c for c in source.columns if c.name not in obstacles[name]]
            storage = dataset.storage.get(name, {})
            moved = dataset.quantization.get(name, {})
            if storage.get("format") != FORMAT:
                described[name] = columns
                outputs = _described_outputs(file, source, columns, options.step)
                _write_quantization(outputs, moved)
                _fill(outputs, source, options.step, stream.check)
                continue
            try:
                outputs = _original_outputs(file, source, columns, storage, options.step)
                _write_quantization(outputs, moved)
                _fill(outputs, source, options.step, stream.check)
                _write_attributes(file, storage)
            except _MISMATCH as error:
                what = f"table {name!r} cannot be HDF5 as it was ({error})"
                raise Unsupported(
                    f"{dataset.description}: {what}; write .npz or .root"
                ) from None
        for name, content in dataset.carried.items():
            file.create_dataset(
                f"{CARRIED}/{name}", data=np.frombuffer(content, np.uint8)
            )
    return write_result(dataset, described, _CAPABILITIES, left_out)


def _obstacles(dataset: Dataset, source: TableSource) -> dict[str, str]:
    """Return the columns, with the counter's columns, that HDF5 cannot hold, and the reasons."""
    # the HDF5 type of bytes is known from the input
    allows_bytes = dataset.storage.get(source.name, {}).get("format") == FORMAT
    opaque = read_all(source, [c.name for c in source.columns if c.is_opaque])
    reasons: dict[str, str] = {}
    for column in source.columns:
        if column.is_opaque and not _is_storable_text(opaque[column.name], allows_bytes):
            kind = ak.type(opaque[column.name]).content
            reasons[column.name] = f"its type is {kind}, or it has null characters"
        elif "/" in column.name or column.name == ".":
            reasons[column.name] = "HDF5 takes its name for a path"
    for column in source.columns:
        if column.counter in reasons and column.name not in reasons:
            reasons[column.name] = f"its counter {column.counter!r} cannot be written"
    return reasons


def _is_storable_text(values: ak.Array, allows_bytes: bool) -> bool:
    kind = ak.to_layout(values).parameter("__array__")
    if kind == "bytestring" and allows_bytes:
        return True
    return kind == "string" and not any("\0" in text for text in values.tolist())


@dataclass(frozen=True)
class _Output:
    """A dataset that was created.

    Attributes:
        dataset: The dataset, with a place for each event or growing from none.
        columns: Names of its columns, at least one.
        rows: Returns the rows of some events; `None` where they are what an empty dataset has.
    """

    dataset: Any
    columns: Sequence[str]
    rows: Callable[[Table], Any]


def _fill(
    outputs: Sequence[_Output], source: TableSource, step: int, check: Callable[[], None]
) -> None:
    """Write the events of a table to its datasets."""
    names = [name for output in outputs for name in output.columns]
    for start, stop in ranges(source.num_entries, step):
        check()
        table = source.read(names, start, stop)
        for output in outputs:
            rows = output.rows(table)
            if rows is None:
                continue
            begin = start
            if output.dataset.maxshape[0] is None:
                begin = len(output.dataset)
                output.dataset.resize(begin + len(rows), axis=0)
            output.dataset[begin : begin + len(rows)] = rows


def _described_outputs(
    file: Any, source: TableSource, columns: Sequence[Column], step: int
) -> list[_Output]:
    """Create the datasets of a table's columns, with their schema as attributes."""
    group = file.create_group(source.name, track_order=True)
    group.attrs[VERSION_ATTRIBUTE] = VERSION
    group.attrs[ENTRIES] = source.num_entries
    outputs = []
    for column in columns:
        name, shape, dtype = column.name, column.shape, _usual_type(column)
        if 0 in shape:  # there is nothing to write, and HDF5 has no chunks of nothing
            made = group.create_dataset(name, (source.num_entries, *shape), dtype)
        else:
            made = group.create_dataset(
                name,
                (0, *shape),
                dtype,
                maxshape=(None, *shape),
                chunks=(step, *shape),
                compression="gzip",
            )
            outputs.append(_Output(made, [name], partial(_values, column, made.dtype)))
        made.attrs["column"] = json.dumps(column.to_json())
        # for people and other programs
        for key, text in (("title", column.title), ("counter", column.counter)):
            if text:
                made.attrs[key] = text
    return outputs


def _original_outputs(
    file: Any,
    source: TableSource,
    columns: Sequence[Column],
    storage: Mapping[str, Any],
    step: int,
) -> list[_Output]:
    """Create the datasets of the input, in the order of their first columns.

    Args:
        file: The open file.
        source: The events.
        columns: Columns that can be HDF5.
        storage: Notes of the reader on the input, as JSON.
        step: Events a chunk.
    """
    group = file.require_group(str(storage.get("group", "")) or "/")
    places = {column.name: place for place, column in enumerate(columns)}
    sets = sorted(_sets(columns, storage), key=lambda part: places[_first(part[1]).name])
    makers = {"records": _records, "matrix": _matrix}
    outputs = []
    for note, members in sets:
        maker = makers.get(note.get("kind", ""), _array)
        dtype, shape, rows = maker(note, members)
        shape = (source.num_entries, *shape)
        options = {}
        is_list = isinstance(h5py.check_vlen_dtype(dtype), np.dtype)
        if 0 not in shape and not is_list:
            options = {"chunks": (min(step, shape[0]), *shape[1:]), "compression": "gzip"}
        made = group.create_dataset(note["name"], shape, dtype, **options)
        if maker is _matrix:
            _name_columns(group, made, note, list(members))
        names = [column.name for column in members.values()]
        outputs.append(_Output(made, names, partial(rows, made.dtype)))
    return outputs


def _sets(
    columns: Sequence[Column], storage: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], dict[str, Column]]]:
    """Yield the notes on each dataset, and its columns; by member where it has records."""
    shown = {c.name: c for c in columns if not c.hidden}
    for note in storage.get("sets", ()):
        members = {}
        if note["kind"] == "records":
            prefix = str(note.get("prefix", ""))
            names = {name: prefix + name for name in _member_tokens(note)}
            members = {k: shown.pop(name) for k, name in names.items() if name in shown}
        elif note["kind"] == "matrix":
            members, shown = shown, {}
        elif note["name"] in shown:
            members = {note["name"]: shown.pop(note["name"])}
        if members:
            yield note, members
    for name, column in shown.items():
        yield {"name": name}, {name: column}


def _member_tokens(note: Mapping[str, Any]) -> dict[str, Any]:
    """Return the token of a type by member, `None` where there is none."""
    pairs = ((m, None) if isinstance(m, str) else m for m in note["members"])
    return dict(pairs)


def _first(columns: Mapping[str, Column]) -> Column:
    return next(iter(columns.values()))


_Made = tuple[Any, tuple[int, ...], Callable[[Any, Table], Any]]
"""Type and shape per event of a dataset, and the function that returns rows of that type."""


def _array(note: Mapping[str, Any], columns: Mapping[str, Column]) -> _Made:
    """Describe the dataset of one column: an array, texts, or lists of numbers."""
    column = _first(columns)
    dtype = type_of(note.get("type"), _usual_type(column))
    if column.counter is None:
        return dtype, column.shape, partial(_values, column)
    return h5py.vlen_dtype(dtype), (), partial(_lists, column)


def _matrix(note: Mapping[str, Any], columns: Mapping[str, Column]) -> _Made:
    """Describe the dataset of all columns as those of a matrix."""

    def rows(_: Any, table: Table) -> Any:
        return np.stack([table[name] for name in columns], axis=1)

    dtype = type_of(note.get("type"), np.dtype(_first(columns).dtype))
    return dtype, (len(columns),), rows


def _name_columns(
    group: Any, made: Any, note: Mapping[str, Any], names: Sequence[str]
) -> None:
    """Write the names of a matrix's columns where the input had them."""
    if "labels" in note:
        group.create_dataset(note["labels"], data=names, dtype=h5py.string_dtype())
    for place, thing in (("attribute", made), ("group", group)):
        if place in note:
            thing.attrs[note[place]] = names
    is_named = bool({"labels", "attribute", "group"} & set(note))
    if not is_named and names != [f"c{i}" for i in range(len(names))]:
        made.attrs["names"] = names


def _records(note: Mapping[str, Any], columns: Mapping[str, Column]) -> _Made:
    """Describe a dataset of records, perhaps padded to one number per event."""
    shape = tuple(int(size) for size in note.get("shape", ()))
    counters = [c.counter for c in columns.values() if c.counter is not None]
    counter = counters[0] if counters else None
    tokens = _member_tokens(note)
    formats: dict[str, Any] = {}
    for name, token in tokens.items():
        column = columns.get(name)
        if column is not None:
            inner = () if column.counter is not None else column.shape[len(shape) :]
            formats[name] = (type_of(token, _usual_type(column)), inner)
        elif name == "valid" and counter is not None:
            formats[name] = np.dtype(bool)
    layout: dict[str, Any] = {"names": list(formats), "formats": list(formats.values())}
    if len(formats) == len(tokens) and "offsets" in note:
        layout |= {"offsets": note["offsets"], "itemsize": note["size"]}

    def rows(dtype: Any, table: Table) -> Any:
        made = np.zeros((table.num_entries, *shape), dtype)
        valid = None
        if counter is not None:
            counts = np.asarray(table[counter])
            most = int(counts.max(initial=0))
            if most > shape[0]:
                raise ValueError(f"{most} objects in an event, {shape[0]} places")
            valid = made["valid"] = np.arange(shape[0]) < counts[:, None]
        for name, column in columns.items():
            if column.counter is None:
                made[name] = _values(column, dtype[name], table)
            else:
                fill = bytes.fromhex(note["fills"][name])
                made[name] = np.frombuffer(fill, dtype[name])[0]
                made[name][valid] = table[column.name]
        return made

    return np.dtype(cast(Any, layout)), shape, rows


def _usual_type(column: Column) -> Any:
    return h5py.string_dtype() if column.is_opaque else np.dtype(column.dtype)


def _values(column: Column, dtype: Any, table: Table) -> Any:
    """Return numbers as they are, and text as bytes, of a fixed length where the type has one."""
    content = table[column.name]
    if not isinstance(content, ak.Array):
        return content
    texts = [
        text if isinstance(text, bytes) else text.encode() for text in content.tolist()
    ]
    if dtype.kind == "S":
        if max(map(len, texts), default=0) > dtype.itemsize:
            raise ValueError(f"text of more than {dtype.itemsize} bytes")
        return np.array(texts, dtype=dtype)
    return np.array(texts, dtype=object)


def _lists(column: Column, dtype: Any, table: Table) -> Any:
    values = table[column.name].astype(h5py.check_vlen_dtype(dtype))
    if not len(values):
        return None  # lists are empty until they are written
    counts = table[str(column.counter)]
    if (counts == counts[0]).all():  # h5py would take an array of lists for a matrix
        return values.reshape(table.num_entries, -1)
    rows = np.empty(table.num_entries, dtype=object)
    for i, numbers in enumerate(
        np.split(values, table.offsets(str(column.counter))[1:-1])
    ):
        rows[i] = numbers
    return rows


def _write_quantization(
    outputs: Sequence[_Output], moved: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write how values were moved as attributes; as JSON where a dataset has several columns."""
    for output in outputs:
        about = {name: moved[name] for name in output.columns if name in moved}
        if len(output.columns) == 1:
            for attributes in about.values():
                for key, value in attributes.items():
                    output.dataset.attrs[key] = value
        elif about:
            output.dataset.attrs["quantization"] = json.dumps(about)


def _write_attributes(file: Any, storage: Mapping[str, Any]) -> None:
    """Create the groups without columns, and write the attributes of groups and datasets."""
    for path in storage.get("groups", {}):
        file.require_group(path or "/")
    for attributes in (storage.get("groups", {}), storage.get("attributes", {})):
        for path, tokens in attributes.items():
            thing = file.get(path or "/")
            for key, token in tokens.items() if thing is not None else ():
                if key not in thing.attrs:
                    thing.attrs[key] = attribute_of(token)
