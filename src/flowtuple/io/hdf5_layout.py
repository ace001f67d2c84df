"""Tables from the datasets of an HDF5 group, with notes for writing the same datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flowtuple.data.schema import Column, infer_role, unused
from flowtuple.data.table import ranges
from flowtuple.io.formats import ReadOptions
from flowtuple.io.hdf5_leaves import (
    SCAN_STEP,
    UNREADABLE,
    ArrayLeaf,
    Leaf,
    PaddedLeaf,
    RaggedLeaf,
    column_of,
    is_text,
    list_column,
    obstacle,
    padding_of,
)
from flowtuple.io.hdf5_types import FORMAT, Members, label_texts, type_token
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
        refused: Reasons by column, for those that no table can hold.
        counters: Hidden counters of lists, by a digest of the lengths.
    """

    name: str
    group: str
    length: int
    leaves: list[Leaf] = field(default_factory=list)
    sets: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    counters: dict[str, str] = field(default_factory=dict)

    @property
    def storage(self) -> dict[str, Any]:
        """Return notes for the writer, as JSON."""
        stored: dict[str, Any] = {"format": FORMAT}
        if self.group:
            stored["group"] = self.group
        return {**stored, "sets": self.sets} if self.sets else stored

    def holds(self, dataset: Any) -> bool:
        """Return whether a column is a part of the dataset."""
        return any(leaf.dataset is dataset for leaf in self.leaves)

    def names(self) -> set[str]:
        """Return the names of the columns so far, refused ones too."""
        return {leaf.column.name for leaf in self.leaves} | set(self.refused)

    def unused(self, name: str) -> str:
        """Return a name for a hidden counter that no column has."""
        return unused(name, self.names())


def plans_of(
    path: str, name: str, group: Any, datasets: dict[str, Any], options: ReadOptions
) -> Iterator[Plan]:
    """Yield the tables of a group.

    Args:
        path: Path of the file, for messages.
        name: Path of the group.
        group: The group.
        datasets: Its datasets by name.
        options: Names for the columns of a matrix that has none.
    """
    records: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for key, values in datasets.items():
        is_compound = values.dtype.names is not None and bool(values.shape)
        (records if is_compound else arrays)[key] = values
    tables: list[Plan] = []
    for key, values in records.items():
        if values.ndim == 1:
            tables.append(Plan(f"{name}/{key}".strip("/"), name, len(values)))
            _add_records(tables[-1], key, values, "")
    for key, values in records.items():
        if values.ndim > 1:
            _add_padded(tables, name, key, values)
    yield from tables
    yield from _array_plans(path, name, group, arrays, options)


def _add_padded(tables: list[Plan], group: str, key: str, values: Any) -> None:
    """Add records of several objects per event to a table of as many events, or as a table."""
    columns = {f"{key}_{member}" for member in values.dtype.names}
    for table in tables:
        if table.length == len(values) and not table.names() & columns:
            _add_records(table, key, values, f"{key}_")
            return
    tables.append(Plan(f"{group}/{key}".strip("/"), group, len(values)))
    _add_records(tables[-1], key, values, "")


def _add_records(plan: Plan, key: str, values: Any, prefix: str) -> None:
    """Add the members of a dataset of records."""
    reason = obstacle(values)
    if reason:
        plan.refused.update({prefix + member: reason for member in values.dtype.names})
        return
    members = Members(key, prefix, values.dtype, tuple(values.shape[1:]))
    columns: dict[str, Column] = {}
    for member in values.dtype.names:
        column, reason = column_of(prefix + member, values.dtype[member], members.shape)
        if column is None:
            plan.refused[prefix + member] = reason
        else:
            columns[member] = column
    padded = _padding(values, columns)
    if padded is None:
        plan.leaves += [
            ArrayLeaf(column, values, member) for member, column in columns.items()
        ]
    else:
        _add_ragged(plan, values, columns, padded)
        members = replace(members, fills=padded)
    if columns:
        plan.sets.append(members.to_json(tuple(columns)))


def _padding(values: Any, columns: dict[str, Column]) -> dict[str, Any] | None:
    """Return the padding values of records whose member `valid` marks the objects."""
    of_objects = [
        m for m, c in columns.items() if c.shape == values.shape[1:] and not c.is_opaque
    ]
    if values.ndim != 2 or "valid" not in of_objects or columns["valid"].dtype != "bool":
        return None
    of_objects.remove("valid")
    try:
        return padding_of(values, "valid", of_objects) or None
    except UNREADABLE:
        return None  # reading the values raises


def _add_ragged(
    plan: Plan, values: Any, columns: dict[str, Column], padded: dict[str, Any]
) -> None:
    first = next(member for member in columns if member in padded)
    counter = plan.unused(f"n({columns[first].name})")
    plan.leaves.append(PaddedLeaf(_hidden(counter), values, "", "valid"))
    for member, column in columns.items():
        if member in padded:
            lists = replace(column, shape=(), counter=counter)
            plan.leaves.append(PaddedLeaf(lists, values, member, "valid"))
        elif member != "valid":
            plan.leaves.append(ArrayLeaf(column, values, member))


def _hidden(counter: str) -> Column:
    return Column(counter, "int64", "counter", hidden=True)


def _array_plans(
    path: str, name: str, group: Any, datasets: dict[str, Any], options: ReadOptions
) -> Iterator[Plan]:
    """Yield tables of datasets without records, one for each length."""
    table = name or TABLE_NAME
    single = Plan(table, name, 0)
    within: dict[str, Any] = {}
    for key, values in datasets.items():
        reason = obstacle(values) or ("" if values.shape else "one value is no column")
        if reason:
            single.refused[key] = reason
        else:
            within[key] = values
    matrix = (
        None if single.refused else _matrix_plan(path, table, name, group, within, options)
    )
    if matrix is not None:
        yield matrix
        return
    lengths = _columns_by_length(within, single.refused)
    largest = max(lengths, key=lambda length: len(lengths[length]), default=0)
    for length, columns in sorted(lengths.items(), key=lambda item: item[0] != largest):
        first = columns[0][0].name
        plan = Plan(
            table if length == largest else f"{name}/{first}".strip("/"), name, length
        )
        for column, is_list in columns:
            add = _add_lists if is_list else _add_array
            add(plan, column, within[column.name])
        if length == largest:
            plan.refused.update(single.refused)
        yield plan
    if not lengths:
        yield single


def _columns_by_length(
    datasets: dict[str, Any], refused: dict[str, str]
) -> dict[int, list[tuple[Column, bool]]]:
    """Return columns by length, true for lists; add other datasets to `refused`."""
    lengths: dict[int, list[tuple[Column, bool]]] = {}
    for key, values in datasets.items():
        column, reason = column_of(key, values.dtype, values.shape[1:])
        is_list = column is None and values.ndim == 1
        if is_list:
            column = list_column(key, values.dtype)
        if column is None:
            refused[key] = reason
        else:
            lengths.setdefault(len(values), []).append((column, is_list))
    return lengths


def _add_array(plan: Plan, column: Column, values: Any) -> None:
    plan.leaves.append(ArrayLeaf(column, values))
    token = type_token(values.dtype)
    if token:
        plan.sets.append({"name": column.name, "kind": "array", "type": token})


def _add_lists(plan: Plan, column: Column, values: Any) -> None:
    key = column.name
    try:
        digest = _lengths_digest(values)
    except UNREADABLE as error:
        plan.refused[key] = f"its values cannot be read ({error})"
        return
    counter = plan.counters.get(digest)
    if counter is None:
        counter = plan.counters[digest] = plan.unused(f"n({key})")
        plan.leaves.append(RaggedLeaf(_hidden(counter), values, True))
    plan.leaves.append(RaggedLeaf(replace(column, counter=counter), values))
    # without a type, that is in the byte order of the machine: h5py confuses the other one
    plan.sets.append({"name": key, "kind": "ragged"})


def _lengths_digest(values: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for start, stop in ranges(len(values), SCAN_STEP):
        digest.update(
            np.array([len(row) for row in values[start:stop]], dtype=np.int64).tobytes()
        )
    return digest.hexdigest()


def _matrix_plan(
    path: str,
    table: str,
    group_path: str,
    group: Any,
    datasets: dict[str, Any],
    options: ReadOptions,
) -> Plan | None:
    """Return the table of a lone matrix, perhaps with a dataset of its columns' names."""
    texts = {name for name, values in datasets.items() if is_text(values.dtype)}
    labels = next((n for n in NAMES if n in texts and datasets[n].ndim == 1), "")
    keys = [key for key in datasets if key != labels]
    if len(keys) != 1 or datasets[keys[0]].ndim != 2:
        return None
    values = datasets[keys[0]]
    width = int(values.shape[1])
    column = column_of(keys[0], values.dtype, ())[0]
    if column is None or column.is_opaque or column.shape:
        return None
    stored: dict[str, Any] = {
        "name": keys[0],
        "kind": "matrix",
        "type": type_token(values.dtype),
    }
    names: Sequence[str] | None = options.names
    if labels:
        if len(datasets[labels]) != width:
            return None
        names = label_texts(datasets[labels][:])
        stored["labels"] = labels
    else:
        for place, thing in (("attribute", values), ("group", group)):
            attribute = _names_attribute(thing, width)
            if attribute:
                names = label_texts(thing.attrs[attribute])
                stored[place] = attribute
                break
    plan = Plan(table, group_path, len(values))
    where = f"{path}: {keys[0]!r}"
    for i, label in enumerate(numbered(width, names, where)):
        named = Column(label, column.dtype, infer_role(label, column.dtype))
        plan.leaves.append(ArrayLeaf(named, values, i))
    plan.sets.append({k: v for k, v in stored.items() if v})
    return plan


def _names_attribute(thing: Any, width: int) -> str:
    """Return the attribute that names so many columns, empty where there is none."""
    for name in NAMES:
        if name in thing.attrs and len(label_texts(thing.attrs[name])) == width:
            return name
    return ""
