"""Tables from the datasets of an HDF5 group, with notes for writing the same datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flowtuple.data.schema import Column, infer_role, unused
from flowtuple.data.table import ranges
from flowtuple.io.formats import ReadOptions
from flowtuple.io.hdf5_leaves import (
    SCAN_STEP,
    UNREADABLE,
    VALID,
    Leaf,
    array_leaf,
    column_of,
    is_text,
    list_column,
    obstacle,
    padded_leaf,
    padding_of,
    ragged_leaf,
)
from flowtuple.io.hdf5_types import FORMAT, label_texts, type_token
from flowtuple.io.memory import TABLE_NAME, numbered

NAMES = ("names", "columns")


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
    yield from _array_plans(path, Plan(name or TABLE_NAME, name, 0), arrays, group, options)


def _add_records(plan: Plan, key: str, values: Any, prefix: str) -> None:
    """Add the members of a dataset of records."""
    unreachable = obstacle(values)
    columns: dict[str, Column] = {}
    for member in values.dtype.names:
        name = prefix + member
        column, reason = column_of(name, values.dtype[member], values.shape[1:])
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
        plan.leaves.append(padded_leaf(hidden, values, VALID))
    for member, column in columns.items():
        if member in fills:
            lists = replace(column, shape=(), counter=counter)
            plan.leaves.append(padded_leaf(lists, values, member))
        elif member != VALID or counter is None:
            plan.leaves.append(array_leaf(column, values, member))
    plan.sets.append(_records_note(key, prefix, values, tuple(columns), fills))


def _padding(values: Any, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return the padding of records whose member `valid` marks the objects; else nothing."""
    of_objects = [
        m for m, c in columns.items() if c.shape == values.shape[1:] and not c.is_opaque
    ]
    if values.ndim != 2 or VALID not in of_objects or columns[VALID].dtype != "bool":
        return {}
    of_objects.remove(VALID)
    try:
        return padding_of(values, of_objects) or {}
    except UNREADABLE:
        return {}  # reading the values raises


def _records_note(
    key: str, prefix: str, values: Any, members: tuple[str, ...], fills: Mapping[str, Any]
) -> dict[str, Any]:
    """Return notes for the writer on some of the members of records."""
    dtype = values.dtype
    tokens = [(member, type_token(dtype[member])) for member in members]
    note: dict[str, Any] = {
        "name": key,
        "kind": "records",
        "members": [member if token is None else [member, token] for member, token in tokens],
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
        reason = obstacle(values) or ("" if values.shape else "one value is no column")
        if reason:
            first.refused[key] = reason
        else:
            within[key] = values
    if not first.refused and _add_matrix(path, first, within, group, options):
        yield first
        return
    plans: dict[int, Plan] = {}
    for key, values in within.items():
        column, reason = column_of(key, values.dtype, values.shape[1:])
        is_list = column is None and values.ndim == 1
        column = list_column(key, values.dtype) if is_list else column
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
    lengths = ragged_leaf(plan.hidden_counter(column.name), values)
    digest = hashlib.blake2b(digest_size=16)
    try:
        for start, stop in ranges(len(values), SCAN_STEP):
            digest.update(lengths.read(start, stop).tobytes())
    except UNREADABLE as error:
        plan.refused[column.name] = f"its values cannot be read ({error})"
        return
    counter = plan.counters.setdefault(digest.hexdigest(), lengths.column.name)
    if counter == lengths.column.name:
        plan.leaves.append(lengths)
    plan.leaves.append(ragged_leaf(replace(column, counter=counter), values))
    # without a type, that is in the byte order of the machine: h5py confuses the other one
    plan.sets.append({"name": column.name, "kind": "ragged"})


def _add_matrix(
    path: str, plan: Plan, datasets: Mapping[str, Any], group: Any, options: ReadOptions
) -> bool:
    """Add the columns of a lone matrix, perhaps with a dataset of their names; false for none."""
    labels = ""
    for name in reversed(NAMES):
        if name in datasets and is_text(datasets[name].dtype) and datasets[name].ndim == 1:
            labels = name
    keys = [key for key in datasets if key != labels]
    if len(keys) != 1 or datasets[keys[0]].ndim != 2:
        return False
    values = datasets[keys[0]]
    width = int(values.shape[1])
    column = column_of(keys[0], values.dtype, ())[0]
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
                (place, n, label_texts(thing.attrs[n])) for n in NAMES if n in thing.attrs
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
