"""Tables from the datasets of an HDF5 group, with notes for writing the same datasets."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flowtuple.data.schema import OPAQUE, Array, Column, bit_patterns, infer_role, unused
from flowtuple.data.table import ranges
from flowtuple.io.formats import ReadOptions
from flowtuple.io.hdf5_types import FORMAT, label_texts, type_token
from flowtuple.io.memory import TABLE_NAME, numbered
from flowtuple.runtime.lazy_packages import awkward as ak

_NAMES = ("names", "columns")
UNREADABLE = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
)  # h5py's errors for damaged bytes
_SCAN_STEP = 1 << 16
_VALID = "valid"
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


def _padded_leaf(column: Column, dataset: Any, part: str) -> Leaf:
    """Return a member of the valid records; for `valid` itself, their number per event."""

    def read(start: int, stop: int) -> Any:
        valid = dataset.fields(_VALID)[start:stop]
        if part == _VALID:
            return valid.sum(axis=1, dtype=np.int64)
        values = dataset.fields(part)[start:stop][valid]
        return np.ascontiguousarray(values, dtype=np.dtype(column.dtype))

    return Leaf(column, dataset, read)


def _ragged_leaf(column: Column, dataset: Any) -> Leaf:
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
            for start, stop in ranges(self.length, _SCAN_STEP):
                for text in self._encoded(start, stop):
                    text.decode()
        except UnicodeDecodeError:
            return False
        return True


def _column_of(
    name: str, dtype: Any, shape: tuple[int, ...]
) -> tuple[Column | None, str]:
    """Return the column of a dataset or member, or the reason why it has none."""
    if dtype.subdtype is not None:
        dtype, shape = dtype.base, (*shape, *dtype.shape)
    if _is_text(dtype):
        if not shape:
            return Column(name, OPAQUE), ""
        reason = f"text of shape {list(shape)} per event is no column; store one text per event"
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


def _list_column(name: str, dtype: Any) -> Column | None:
    """Return the column of lists of numbers, without its counter; `None` for other types."""
    inner = h5py.check_vlen_dtype(dtype)
    if not isinstance(inner, np.dtype) or inner.kind not in "biuf" or inner.itemsize > 8:
        return None
    return _column_of(name, inner, ())[0]


def _is_text(dtype: Any) -> bool:
    """Return whether a type is text, of a fixed length or not."""
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def _obstacle(dataset: Any) -> str:
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
            _FILTERS.get(code)
            or name.decode("utf-8", "replace").strip("\0 ")
            or "unknown"
        )
        return (
            f"its filter {code} ({label}) is missing; install it: pip install hdf5plugin"
        )
    gone = _missing_sources(dataset)
    return (
        f"its values lie in {gone!r}, which is not there; fetch that file too"
        if gone
        else ""
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
    return next(
        (name for name in names if name != "." and not (folder / name).exists()), ""
    )


@dataclass
class Plan:
    """A table of a file of other origin, before it is opened.

    Attributes:
        name: Name of the table.
        group: Path of the group that holds its datasets.
        length: Number of events.
        leaves: Its columns.
        sets: Notes, as JSON, on datasets that are more than one plain column.
        attributes: Notes, as JSON, on attributes by the path of their dataset or group.
        refused: Reasons by column, for those that no table can hold.
        counters: Hidden counters of lists, by a digest of the lengths.
    """

    name: str
    group: str
    length: int
    leaves: list[Leaf] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    counters: dict[str, str] = field(default_factory=dict)

    @property
    def storage(self) -> dict[str, Any]:
        """Return notes for the writer, as JSON."""
        notes = {"group": self.group, "sets": self.sets, "attributes": self.attributes}
        return {"format": FORMAT} | {key: note for key, note in notes.items() if note}

    def names(self) -> set[str]:
        """Return the names of the columns so far, refused ones too."""
        return {leaf.column.name for leaf in self.leaves} | set(self.refused)

    def hidden_counter(self, counted: str) -> Column:
        """Return a hidden counter of a column, with a name that no column has."""
        name = unused(f"n({counted})", self.names())
        return Column(name, "int64", "counter", hidden=True)


def plans_of(
    path: str, name: str, datasets: Mapping[str, Any], group: Any, options: ReadOptions
) -> Iterator[Plan]:
    """Yield the tables of a group.

    Args:
        path: Path of the file, for messages.
        name: Path of the group.
        datasets: Its datasets by name.
        group: The group.
        options: Names for the columns of a matrix that has none.
    """
    arrays = dict(datasets)
    tables: list[Plan] = []
    padded: dict[str, Any] = {}
    for key, values in datasets.items():
        if values.dtype.names is None or not values.shape:
            continue
        del arrays[key]
        if values.ndim > 1:
            padded[key] = values
            continue
        tables.append(Plan(f"{name}/{key}".strip("/"), name, len(values)))
        _add_records(tables[-1], key, values, "")
    for key, values in padded.items():
        # objects belong to a table of as many events, or are a table
        columns = {f"{key}_{member}" for member in values.dtype.names}
        for table in tables:
            if table.length == len(values) and not table.names() & columns:
                _add_records(table, key, values, f"{key}_")
                break
        else:
            tables.append(Plan(f"{name}/{key}".strip("/"), name, len(values)))
            _add_records(tables[-1], key, values, "")
    yield from tables
    yield from _array_plans(
        path, Plan(name or TABLE_NAME, name, 0), arrays, group, options
    )


def _add_records(plan: Plan, key: str, values: Any, prefix: str) -> None:
    """Add the members of a dataset of records."""
    unreachable = _obstacle(values)
    columns: dict[str, Column] = {}
    for member in values.dtype.names:
        name = prefix + member
        column, reason = _column_of(name, values.dtype[member], values.shape[1:])
        if column is None or unreachable:
            plan.refused[name] = unreachable or reason
        else:
            columns[member] = column
    if not columns:
        return
    fills = _padding(values, columns)
    counter = None
    if fills:
        hidden = plan.hidden_counter(columns[next(iter(fills))].name)
        counter = hidden.name
        plan.leaves.append(_padded_leaf(hidden, values, _VALID))
    for member, column in columns.items():
        if member in fills:
            lists = replace(column, shape=(), counter=counter)
            plan.leaves.append(_padded_leaf(lists, values, member))
        elif member != _VALID or counter is None:
            plan.leaves.append(array_leaf(column, values, member))
    plan.sets.append(_records_note(key, prefix, values, tuple(columns), fills))


def _padding(values: Any, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return the padding of each member of records whose member `valid` marks the objects.

    Returns:
        The bits of one value of each member; none of members with several padding values, and
        nothing where an event has gaps between its objects or the records are not padded.
    """
    of_objects = [
        m for m, c in columns.items() if c.shape == values.shape[1:] and not c.is_opaque
    ]
    if values.ndim != 2 or _VALID not in of_objects or columns[_VALID].dtype != "bool":
        return {}
    of_objects.remove(_VALID)
    nothing = np.zeros((), values.dtype)
    fills: dict[str, Any] = {}
    varying: set[str] = set()
    try:
        for start, stop in ranges(
            len(values), max(1, _SCAN_STEP // max(1, values.shape[1]))
        ):
            rows = values[start:stop]
            valid = rows[_VALID]
            if bool((valid[:, 1:] & ~valid[:, :-1]).any()):
                return {}
            padding = rows[~valid]
            for name in of_objects if len(padding) else ():
                patterns = bit_patterns(padding[name])
                if bool((patterns != fills.setdefault(name, patterns[0])).any()):
                    varying.add(name)
    except UNREADABLE:
        return {}  # reading the values raises
    return {
        name: fills.get(name, nothing[name]) for name in of_objects if name not in varying
    }


def _records_note(
    key: str, prefix: str, values: Any, members: tuple[str, ...], fills: Mapping[str, Any]
) -> dict[str, Any]:
    """Return notes for the writer on some of the members of records."""
    dtype = values.dtype
    tokens = [(member, type_token(dtype[member])) for member in members]
    note: dict[str, Any] = {
        "name": key,
        "kind": "records",
        "members": [
            member if token is None else [member, token] for member, token in tokens
        ],
    }
    layout = {
        "prefix": prefix,
        "shape": list(values.shape[1:]),
        "fills": {member: fill.tobytes().hex() for member, fill in fills.items()},
    }
    note |= {key: part for key, part in layout.items() if part}
    packed = np.dtype([(member, dtype[member]) for member in dtype.names])
    if members == dtype.names and packed.itemsize != dtype.itemsize:
        note["offsets"] = [dtype.fields[member][1] for member in members]
        note["size"] = dtype.itemsize
    return note


def _array_plans(
    path: str, first: Plan, datasets: Mapping[str, Any], group: Any, options: ReadOptions
) -> Iterator[Plan]:
    """Yield tables of datasets without records, one for each length."""
    within: dict[str, Any] = {}
    for key, values in datasets.items():
        reason = _obstacle(values) or ("" if values.shape else "one value is no column")
        if reason:
            first.refused[key] = reason
        else:
            within[key] = values
    if not first.refused and _add_matrix(path, first, within, group, options):
        yield first
        return
    plans: dict[int, Plan] = {}
    for key, values in within.items():
        column, reason = _column_of(key, values.dtype, values.shape[1:])
        is_list = column is None and values.ndim == 1
        column = _list_column(key, values.dtype) if is_list else column
        if column is None:
            first.refused[key] = reason
            continue
        name = f"{first.group}/{key}".strip("/")
        plan = plans.setdefault(len(values), Plan(name, first.group, len(values)))
        add = _add_lists if is_list else _add_array
        add(plan, column, values)
    if not plans:
        yield first
        return
    largest = max(plans.values(), key=lambda plan: len(plan.names()) - len(plan.counters))
    largest.name = first.name
    largest.refused |= first.refused
    yield largest
    yield from (plan for plan in plans.values() if plan is not largest)


def _add_array(plan: Plan, column: Column, values: Any) -> None:
    plan.leaves.append(array_leaf(column, values))
    token = type_token(values.dtype)
    if token:
        plan.sets.append({"name": column.name, "kind": "array", "type": token})


def _add_lists(plan: Plan, column: Column, values: Any) -> None:
    lengths = _ragged_leaf(plan.hidden_counter(column.name), values)
    digest = hashlib.blake2b(digest_size=16)
    try:
        for start, stop in ranges(len(values), _SCAN_STEP):
            digest.update(lengths.read(start, stop).tobytes())
    except UNREADABLE as error:
        plan.refused[column.name] = f"its values cannot be read ({error})"
        return
    counter = plan.counters.setdefault(digest.hexdigest(), lengths.column.name)
    if counter == lengths.column.name:
        plan.leaves.append(lengths)
    plan.leaves.append(_ragged_leaf(replace(column, counter=counter), values))
    # without a type, that is in the byte order of the machine: h5py confuses the other one
    plan.sets.append({"name": column.name, "kind": "ragged"})


def _add_matrix(
    path: str, plan: Plan, datasets: Mapping[str, Any], group: Any, options: ReadOptions
) -> bool:
    """Add the columns of a lone matrix, perhaps with a dataset of their names; false for none."""
    labels = ""
    for name in reversed(_NAMES):
        if (
            name in datasets
            and _is_text(datasets[name].dtype)
            and datasets[name].ndim == 1
        ):
            labels = name
    keys = [key for key in datasets if key != labels]
    if len(keys) != 1 or datasets[keys[0]].ndim != 2:
        return False
    values = datasets[keys[0]]
    width = int(values.shape[1])
    column = _column_of(keys[0], values.dtype, ())[0]
    if column is None or column.is_opaque or column.shape:
        return False
    note = {"name": keys[0], "kind": "matrix", "type": type_token(values.dtype)}
    # the place of the columns' names, the name of that place, and the columns' names
    places: list[tuple[str, str, list[str]]] = []
    if labels:
        places.append(("labels", labels, label_texts(datasets[labels][:])))
    else:
        for place, thing in (("attribute", values), ("group", group)):
            places += [
                (place, n, label_texts(thing.attrs[n]))
                for n in _NAMES
                if n in thing.attrs
            ]
    fitting = [named for named in places if len(named[2]) == width]
    names: Sequence[str] | None = options.names
    if fitting:
        place, key, names = fitting[0]
        note[place] = key
    elif labels:
        return False
    plan.length = len(values)
    for i, label in enumerate(numbered(width, names, f"{path}: {keys[0]!r}")):
        named = Column(label, column.dtype, infer_role(label, column.dtype))
        plan.leaves.append(array_leaf(named, values, i))
    plan.sets.append({key: token for key, token in note.items() if token})
    return True
