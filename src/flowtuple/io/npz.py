"""NumPy's npz: named arrays in a zip file, with a description of the relations between columns.

A file written here holds one member per column: `column` where there is one table, `TREE/column`
where there are more, and `t0/c0`, `t0/c1`, ... where a name could be taken for another one's or for
a path. Counted columns hold the objects of all events one after another, their counters are members
too. Carried objects are `__carried__/NAME`, and `__flowtuple__` is a JSON text that restores the
schema. Nothing in it is a pickle.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.schema import Array, Column, unused
from flowtuple.data.table import Dataset, Table, TableSource, read_all
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, first_line
from flowtuple.io.changes import Capabilities, write_result
from flowtuple.io.formats import ReadOptions, WriteOptions, WriteResult, opening_error
from flowtuple.io.location import read_bytes
from flowtuple.io.memory import TABLE_NAME, check_lengths, numbered, table_from_arrays
from flowtuple.runtime.lazy_packages import awkward as ak

_VERSION = 1
_FORMAT = "npz"
_MISMATCH = (
    ValueError,
    TypeError,
    KeyError,
)  # raised where notes and columns do not agree
# RuntimeError: the zip file is encrypted, or made in a way that this Python cannot undo.
_UNREADABLE = (
    zipfile.BadZipFile,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
)
_DESCRIPTION = "__flowtuple__"
_CARRIED = "__carried__/"
_OPAQUE = "__opaque__/"
_LARGEST_RATIO = 1032  # of what deflate makes smaller
_SMALL = 1024


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """Read the arrays of an npz file as tables in memory.

    Args:
        path: A path or URL.
        options: Names for the columns of a 2-D array that stands alone.

    Returns:
        The tables that were written here, or for files of other origin: named arrays of equal
            length as one table
        `events`; `data[N, D]` with D `names` as D columns; arrays `TREE/column` as tables `TREE`.

    Raises:
        InvalidArgument: The file is no npz, holds Python objects, or its arrays differ in length.
        Corrupt: Its description and its arrays do not fit each other.
        TooNew: A later version of flowtuple wrote it.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "jets.npz"
        >>> np.savez(path, data=np.zeros((5, 2)), names=["pt", "eta"])
        >>> [c.name for c in open_dataset(str(path), ReadOptions()).table("events").columns]
        ['pt', 'eta']
    """
    content = read_bytes(path)
    arrays, obstacles = _load(path, content)
    storage: dict[str, dict[str, Any]] = {}
    if _DESCRIPTION in arrays:
        tables = _described_tables(path, arrays)
    else:
        tables, storage = _plain_tables(path, arrays, options)
    carried = {
        key.removeprefix(_CARRIED): values.tobytes()
        for key, values in arrays.items()
        if key.startswith(_CARRIED)
    }
    refused = {_part(key, tables): reason for key, reason in obstacles.items()}
    return Dataset(path, tables, carried, refused, len(content), storage)


def _part(key: str, tables: Mapping[str, TableSource]) -> str:
    """Return the name of an array as a part of its table, or of the file where it is in none."""
    folder, _, name = key.rpartition("/")
    table = folder or TABLE_NAME
    return f"{table}/{name}" if table in tables or not tables else f"/{key}"


def _load(path: str, content: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays by name, and the reason by name for what is no column."""
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        advice = f"save it with np.savez({path!r}, data=array)"
        raise InvalidArgument(f"{path}: holds one bare array (npy); {advice}")
    arrays: dict[str, Array] = {}
    obstacles: dict[str, str] = {}
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        # by the name in the zip file: NumPy takes the key `x.npy` for the column `x`
        for name, count in Counter(archive.namelist()).items():
            key = name.removesuffix(".npy")
            if count > 1:
                obstacles[key] = f"the name stands for {count} arrays; rename all but one"
                continue
            values = _member(path, key, archive, archive.getinfo(name))
            if values.ndim == 0:
                obstacles[key] = "one value is no column"
            elif values.dtype.kind == "V" and values.dtype.names is None:
                obstacles[key] = (
                    "bytes without a type are no column; store numbers or text"
                )
            else:
                arrays[key] = values
    except InvalidArgument:
        raise
    except _UNREADABLE as error:
        raise opening_error(path, ".npz", "an npz", first_line(error)) from None
    return arrays, obstacles


def _member(
    path: str, key: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Array:
    """Return an array, or the bytes of a member that is none.

    Raises:
        InvalidArgument: It holds Python objects, or claims more bytes than its member has; NumPy
            would allocate them.
    """
    formats = np.lib.format
    with archive.open(member) as stream:
        prefix = stream.read(len(formats.MAGIC_PREFIX))
        stream.seek(0)
        if prefix != formats.MAGIC_PREFIX:
            return np.asarray(stream.read())
        is_first = formats.read_magic(stream) == (1, 0)
        read = (
            formats.read_array_header_1_0 if is_first else formats.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            what = f"array {key!r} holds Python objects, which are not opened"
            advice = f"save numbers, {key}=numpy.asarray(values, 'float32')"
            raise InvalidArgument(
                f"{path}: {what}; {advice}, and lists as flat contents and counts"
            )
        claimed = math.prod(shape) * dtype.itemsize
        most = member.file_size
        if member.compress_type == zipfile.ZIP_DEFLATED:
            most = min(most, _LARGEST_RATIO * member.compress_size + _SMALL)
        if claimed > most:
            what = f"array {key!r} claims {claimed} bytes and has at most {most}"
            raise InvalidArgument(f"{path}: {what}; it is damaged, fetch it again")
        stream.seek(0)
        values: Array = formats.read_array(stream, allow_pickle=False)
    if dtype.names is not None:
        return values
    return values.astype(dtype.newbyteorder("="), copy=False)


def _plain_tables(
    path: str, arrays: Mapping[str, Array], options: ReadOptions
) -> tuple[dict[str, TableSource], dict[str, dict[str, Any]]]:
    """Return tables of the arrays of other origin, and notes on how the file stored them."""
    groups: dict[str, dict[str, Array]] = {}
    for key, values in arrays.items():
        folder, _, name = key.rpartition("/")
        groups.setdefault(folder, {})[name] = values
    tables: dict[str, TableSource] = {}
    storage: dict[str, dict[str, Any]] = {}
    # `TREE/column` is a column of the table TREE; names without folder are in one table
    for folder, group in groups.items():
        table = unused(folder or TABLE_NAME, tables)
        try:
            columns, notes = _plain_columns(path, group, options)
            tables[table] = table_from_arrays(table, columns)
        except InvalidArgument as error:
            where = "" if str(error).startswith(path) else f"{path}: "
            raise InvalidArgument(f"{where}{error}") from None
        if notes is not None:
            prefix = f"{folder}/" if folder else ""
            known = {} if "renamed" in notes else {"format": _FORMAT, "prefix": prefix}
            storage[table] = known | notes
    return tables, storage


def _plain_columns(
    path: str, group: Mapping[str, Array], options: ReadOptions
) -> tuple[dict[str, Array], dict[str, Any] | None]:
    """Return columns by name, and notes by which the writer makes the same arrays again."""
    is_label = {
        k: values.ndim == 1 and values.dtype.kind in "SU" for k, values in group.items()
    }
    labels = next((key for key in ("names", "columns") if is_label.get(key)), None)
    data = [key for key in group if key != labels]
    if len(data) == 1:
        key, only = data[0], group[data[0]]
        dtype = only.dtype
        if dtype.names is not None and only.ndim == 1 and labels is None:
            columns, renamed = _flat({member: only[member] for member in dtype.names})
            kinds = [(member, dtype[member]) for member in dtype.names]
            members = [
                [member, kind.base.str, list(kind.shape)] for member, kind in kinds
            ]
            if renamed or any(kind.base.names is not None for _, kind in kinds):
                return columns, renamed
            return columns, {"records": key, "members": members}
        texts = None if labels is None else group[labels]
        is_matrix = dtype.names is None and only.ndim == 2
        if is_matrix and (texts is None or len(texts) == only.shape[1]):
            notes = {"matrix": key}
            names: Sequence[str] | None = options.names
            if labels is not None and texts is not None:
                notes |= {"labels": labels, "text": texts.dtype.kind}
                names = [_text(text) for text in texts]
            columns = dict(zip(numbered(only.shape[1], names, path), only.T, strict=True))
            return columns, notes
    check_lengths(path, {key: len(values) for key, values in group.items()})
    columns, renamed = _flat(group)
    if any(values.dtype.names is not None for values in group.values()):
        return columns, renamed
    # the types of texts, which the columns do not have
    types = {
        k: values.dtype.str for k, values in group.items() if values.dtype.kind in "US"
    }
    return columns, {"types": types} if types else {}


def _flat(group: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Any] | None]:
    """Return arrays with records as their members, and notes on members that are renamed."""
    flat: dict[str, Array] = {}
    renamed: dict[str, str] = {}
    for key, values in group.items():
        for path, leaf in _record_leaves((key,), values):
            name = "_".join(path)
            if name in flat:
                name = unused(name, flat.keys() | group.keys(), numbered=True)
                renamed[name] = ".".join(path)
            flat[name] = leaf
    return flat, {"renamed": renamed} if renamed else None


def _record_leaves(
    path: tuple[str, ...], values: Array
) -> Iterator[tuple[tuple[str, ...], Array]]:
    if values.dtype.names is None or values.ndim > 1:
        yield path, values
        return
    for member in values.dtype.names:
        yield from _record_leaves((*path, member), values[member])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _described_tables(path: str, arrays: Mapping[str, Array]) -> dict[str, TableSource]:
    try:
        description = json.loads(arrays[_DESCRIPTION].tobytes())
        if description["version"] > _VERSION:
            what = f"written as version {description['version']} of flowtuple's npz"
            raise TooNew(f"{path}: {what}; update flowtuple to read it")
        return {d["name"]: _described_table(d, arrays) for d in description["tables"]}
    except (KeyError, ValueError, TypeError) as error:
        first = first_line(error)
        raise Corrupt(
            f"{path}: its arrays are not the ones it describes ({first}); restore it from a copy"
        ) from None


def _described_table(
    description: Mapping[str, Any], arrays: Mapping[str, Array]
) -> Table:
    columns = tuple(Column.from_json(c) for c in description["columns"])
    length = int(description["num_entries"])
    prefix = description["prefix"]
    keys = description.get("members") or [prefix + column.name for column in columns]
    data: dict[str, Any] = {}
    for column, key in zip(columns, keys, strict=True):
        form = description["forms"].get(column.name)
        if form is not None:
            start = f"{_OPAQUE}{key}/"
            buffers = {
                k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)
            }
            data[column.name] = ak.from_buffers(ak.forms.from_dict(form), length, buffers)
        else:
            data[column.name] = (
                ak.from_numpy(arrays[key]) if column.is_opaque else arrays[key]
            )
    return Table(description["name"], columns, length, data)


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write every table and carried object; every column, opaque ones too, reads back as it is.

    A data set that was read from an npz file of other origin becomes the arrays that it was there,
    without a description.

    Args:
        dataset: Any data set.
        path: The file to make; one that exists is overwritten. The same data set gives the same
            bytes.
        options: Without effect, since an npz file holds everything.
    """
    original = _original_arrays(dataset)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        if original is not None:
            for key, values in original.items():
                _write_member(file, key, values)
            return WriteResult()
        tables = list(_write_tables(file, dataset))
        for name, content in dataset.carried.items():
            _write_member(file, _CARRIED + name, np.frombuffer(content, np.uint8))
        description = json.dumps({"version": _VERSION, "tables": tables}).encode()
        _write_member(file, _DESCRIPTION, np.frombuffer(description, np.uint8))
    columns = {name: source.columns for name, source in dataset.tables.items()}
    return write_result(dataset, columns, Capabilities("npz", counters=True))


def _original_arrays(dataset: Dataset) -> dict[str, Array] | None:
    """Return the arrays of an npz file of other origin; `None` where that cannot be done."""
    if dataset.carried:
        return None
    arrays: dict[str, Array] = {}
    try:
        for name, source in dataset.tables.items():
            notes = dataset.storage.get(name, {})
            if notes.get("format") != _FORMAT:
                return None
            for key, values in _original_members(read_all(source), notes):
                if key in arrays:
                    return None
                arrays[key] = values
    except _MISMATCH:
        return None
    return arrays


def _original_members(
    table: Table, stored: Mapping[str, Any]
) -> Iterator[tuple[str, Array]]:
    prefix = str(stored["prefix"])
    names = [c.name for c in table.columns]
    columns = {c.name: _plain_array(c, table[c.name]) for c in table.columns}
    if "matrix" in stored:
        if (
            any(c.shape for c in table.columns)
            or len({c.dtype for c in table.columns}) != 1
        ):
            raise ValueError("columns of more than one type are no matrix")
        yield prefix + str(stored["matrix"]), np.stack(list(columns.values()), axis=1)
        if "labels" in stored:
            is_bytes = stored["text"] == "S"
            texts = [name.encode() for name in names] if is_bytes else names
            yield prefix + str(stored["labels"]), np.array(texts)
        elif names != [f"c{i}" for i in range(len(names))]:
            yield f"{prefix}names", np.array(names)
    elif "records" in stored:
        members = [
            (name, np.dtype(kind), tuple(shape))
            for name, kind, shape in stored["members"]
            if name in columns
        ]
        if len(members) != len(columns):
            raise KeyError("a column that was no member")
        rows = np.zeros(table.num_entries, dtype=members)
        for name, kind, _ in members:
            rows[name] = columns[name].astype(kind)
        yield prefix + str(stored["records"]), rows
    else:
        types = stored.get("types", {})
        for name, values in columns.items():
            yield prefix + name, values.astype(types.get(name, values.dtype))


def _plain_array(column: Column, values: Any) -> Array:
    """Return a column's values as one NumPy array.

    Raises:
        ValueError: They have lists, or missing values.
    """
    if column.hidden or column.counter is not None:
        raise ValueError("lists are no array")
    if not column.is_opaque:
        return np.asarray(values)
    made: Array = ak.to_numpy(values, allow_missing=False)
    if made.dtype.kind not in "USMmcf" or not ak.array_equal(
        ak.from_numpy(made, regulararray=True), values
    ):
        raise ValueError("the values are no array")
    return made


def _write_tables(file: zipfile.ZipFile, dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Write every column, and yield the description of each table."""
    readable = _are_plain(dataset)
    for number, (name, source) in enumerate(dataset.tables.items()):
        table = read_all(source)
        prefix = "" if len(dataset.tables) == 1 else f"{name}/"
        keys = []
        forms: dict[str, Any] = {}
        for i, column in enumerate(table.columns):
            keys.append(prefix + column.name if readable else f"t{number}/c{i}")
            for member, values in _members(keys[-1], column, table, forms):
                _write_member(file, member, values)
        described = {
            "name": name,
            "prefix": prefix,
            "num_entries": table.num_entries,
            "columns": [c.to_json() for c in table.columns],
            "forms": forms,
        }
        yield described if readable else {**described, "members": keys}


def _are_plain(dataset: Dataset) -> bool:
    """Return whether `TREE/column` names one column only, for other programs, too."""
    columns = [
        column.name for source in dataset.tables.values() for column in source.columns
    ]
    if any("/" in name or name.endswith(".npy") for name in columns):
        return False
    return all(
        n.isprintable() and "\\" not in n and not n.startswith("__")
        for n in (*dataset.tables, *columns)
    )


def _members(
    key: str, column: Column, table: Table, forms: dict[str, Any]
) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a column, or awkward's buffers, whose form goes to `forms`."""
    values = table[column.name]
    if not column.is_opaque:
        yield key, values
        return
    if ak.to_layout(values).parameter("__array__") == "string":
        text = ak.to_numpy(values)
        if ak.array_equal(ak.from_numpy(text), values):
            # NumPy drops null characters at the end
            yield key, text
            return
    form, _, buffers = ak.to_buffers(ak.to_packed(values))
    forms[column.name] = form.to_dict()
    for name, buffer in buffers.items():
        yield f"{_OPAQUE}{key}/{name}", np.asarray(buffer)


def _write_member(file: zipfile.ZipFile, key: str, values: Array) -> None:
    # its date is 1980, so that equal data makes equal files
    member = zipfile.ZipInfo(f"{key}.npy")
    member.compress_type = zipfile.ZIP_DEFLATED
    with file.open(member, "w", force_zip64=True) as stream:
        np.lib.format.write_array(
            stream, np.ascontiguousarray(values), allow_pickle=False
        )
