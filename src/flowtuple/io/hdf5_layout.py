"""Which datasets of an HDF5 group make a table, and what a writer has to know to make the same datasets again."""

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
    """A table of a file of other origin in the making.

    Attributes:
        name: The table's name.
        group: The path of the group that holds its datasets.
        length: Number of events.
        leaves: Its columns.
        sets: Of the datasets that are more than one plain column, what they are, as JSON.
        refused: Columns that no table can hold, with the reason.
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
        """Notes for the writer, as JSON."""
        stored: dict[str, Any] = {"format": FORMAT}
        if self.group:
            stored["group"] = self.group
        return {**stored, "sets": self.sets} if self.sets else stored

    def holds(self, dataset: Any) -> bool:
        """Whether a column is a part of the dataset."""
        return any(leaf.dataset is dataset for leaf in self.leaves)

    def names(self) -> set[str]:
        """The columns so far, refused ones too."""
        return {leaf.column.name for leaf in self.leaves} | set(self.refused)

    def unused(self, name: str) -> str:
        """A name for a hidden counter; other columns keep theirs."""
        return unused(name, self.names())


def plans_of(
    path: str, name: str, group: Any, datasets: dict[str, Any], options: ReadOptions
) -> Iterator[Plan]:
    """The tables of one group.

    Args:
        path: The file's, for messages.
        name: The group's path.
        group: The group.
        datasets: Its datasets by name.
        options: Names for the columns of a matrix that has none.
    """
    kinds = {
        key: values.dtype.names is not None and bool(values.shape)
        for key, values in datasets.items()
    }
    records = {key: values for key, values in datasets.items() if kinds[key]}
    tables: list[Plan] = []
    for key, values in records.items():
        if values.ndim == 1:
            tables.append(Plan(f"{name}/{key}".strip("/"), name, len(values)))
            _add_records(tables[-1], key, values, "")
    for key, values in records.items():
        if values.ndim > 1:
            tables += _add_padded(tables, name, key, values)
    yield from tables
    yield from _array_plans(
        path, name, group, {k: v for k, v in datasets.items() if not kinds[k]}, options
    )


def _add_padded(tables: Sequence[Plan], group: str, key: str, values: Any) -> list[Plan]:
    """Records of several objects per event: columns of the first table of as many events, or of one of their own."""
    prefixed = {f"{key}_{member}" for member in values.dtype.names}
    home = next((t for t in tables if t.length == len(values) and not t.names() & prefixed), None)
    if home is not None:
        _add_records(home, key, values, f"{key}_")
        return []
    own = Plan(f"{group}/{key}".strip("/"), group, len(values))
    _add_records(own, key, values, "")
    return [own]


def _add_records(plan: Plan, key: str, values: Any, prefix: str) -> None:
    """The members of a dataset of records."""
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
    padded = _padding(plan, values, columns)
    if padded is None:
        plan.leaves += [ArrayLeaf(column, values, member) for member, column in columns.items()]
    else:
        _add_ragged(plan, values, columns, padded)
        members = replace(members, fills=padded)
    if columns:
        plan.sets.append(members.to_json(tuple(columns)))


def _padding(plan: Plan, values: Any, columns: dict[str, Column]) -> dict[str, Any] | None:
    """Find the padding values of records whose field `valid` counts the objects."""
    valid = columns.get("valid")
    if (
        values.ndim != 2
        or valid is None
        or valid.dtype != "bool"
        or valid.shape != values.shape[1:]
    ):
        return None
    plain = [
        m
        for m, c in columns.items()
        if m != "valid" and not c.is_opaque and c.shape == values.shape[1:]
    ]
    try:
        return padding_of(values, "valid", plain) or None
    except UNREADABLE:
        return None  # the read tells of it


def _add_ragged(
    plan: Plan, values: Any, columns: dict[str, Column], padded: dict[str, Any]
) -> None:
    first = next(member for member in columns if member in padded)
    counter = plan.unused(f"n({columns[first].name})")
    plan.leaves.append(
        PaddedLeaf(Column(counter, "int64", "counter", hidden=True), values, "", "valid")
    )
    for member, column in columns.items():
        if member in padded:
            plan.leaves.append(
                PaddedLeaf(replace(column, shape=(), counter=counter), values, member, "valid")
            )
        elif member != "valid":
            plan.leaves.append(ArrayLeaf(column, values, member))


def _array_plans(
    path: str, name: str, group: Any, datasets: dict[str, Any], options: ReadOptions
) -> Iterator[Plan]:
    """Tables of the other datasets, one for each length; the one of most datasets has the group's name."""
    table = name or TABLE_NAME
    single = Plan(table, name, 0)
    within: dict[str, Any] = {}
    for key, values in datasets.items():
        reason = obstacle(values) or ("" if values.shape else "one value is no column")
        if reason:
            single.refused[key] = reason
        else:
            within[key] = values
    matrix = None if single.refused else _matrix_plan(path, table, name, group, within, options)
    if matrix is not None:
        yield matrix
        return
    lengths: dict[int, list[str]] = {}
    for key, values in within.items():
        if _can_be_column(key, values, single):
            lengths.setdefault(len(values), []).append(key)
    largest = max(lengths, key=lambda length: len(lengths[length]), default=0)
    for length, keys in sorted(lengths.items(), key=lambda item: item[0] != largest):
        plan = Plan(table if length == largest else f"{name}/{keys[0]}".strip("/"), name, length)
        for key in keys:
            _add_array(plan, key, within[key])
        if length == largest:
            plan.refused.update(single.refused)
        yield plan
    if not lengths:
        yield single


def _can_be_column(key: str, values: Any, plan: Plan) -> bool:
    column, reason = column_of(key, values.dtype, values.shape[1:])
    if column is None and values.ndim == 1:
        column = list_column(key, values.dtype)
    if column is None:
        plan.refused[key] = reason
    return column is not None


def _add_array(plan: Plan, key: str, values: Any) -> None:
    column = column_of(key, values.dtype, values.shape[1:])[0]
    if column is not None:
        plan.leaves.append(ArrayLeaf(column, values))
        token = type_token(values.dtype)
        if token:
            plan.sets.append({"name": key, "kind": "array", "type": token})
        return
    ragged = list_column(key, values.dtype)
    if ragged is None:
        return
    try:
        digest = _lengths_digest(values)
    except UNREADABLE as error:
        plan.refused[key] = f"its values cannot be read ({error})"
        return
    counter = plan.counters.get(digest)
    if counter is None:
        counter = plan.counters[digest] = plan.unused(f"n({key})")
        plan.leaves.append(
            RaggedLeaf(Column(counter, "int64", "counter", hidden=True), values, True)
        )
    plan.leaves.append(RaggedLeaf(replace(ragged, counter=counter), values))
    plan.sets.append(
        {"name": key, "kind": "ragged"}
    )  # in the byte order of the machine: h5py confuses the other one


def _lengths_digest(values: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for start, stop in ranges(len(values), SCAN_STEP):
        digest.update(np.array([len(row) for row in values[start:stop]], dtype=np.int64).tobytes())
    return digest.hexdigest()


def _matrix_plan(
    path: str,
    table: str,
    group_path: str,
    group: Any,
    datasets: dict[str, Any],
    options: ReadOptions,
) -> Plan | None:
    """The table of a matrix that stands alone, perhaps with a dataset of its columns' names."""
    labels = next(
        (
            n
            for n in NAMES
            if n in datasets and is_text(datasets[n].dtype) and datasets[n].ndim == 1
        ),
        None,
    )
    keys = [key for key in datasets if key != labels]
    if len(keys) != 1 or datasets[keys[0]].ndim != 2:
        return None
    key, values = keys[0], datasets[keys[0]]
    width = int(values.shape[1])
    column = column_of(key, values.dtype, ())[0]
    if (
        column is None
        or column.is_opaque
        or column.shape
        or (labels and len(datasets[labels]) != width)
    ):
        return None
    stored: dict[str, Any] = {"name": key, "kind": "matrix", "type": type_token(values.dtype)}
    names: Sequence[str] | None = options.names
    for place, thing in (("attribute", values), ("group", group)):
        found = next(
            (n for n in NAMES if n in thing.attrs and len(label_texts(thing.attrs[n])) == width),
            None,
        )
        if found is not None and labels is None and place not in stored:
            names = label_texts(thing.attrs[found])
            stored[place] = found
            break
    if labels is not None:
        names = label_texts(datasets[labels][:])
        stored["labels"] = labels
    plan = Plan(table, group_path, len(values))
    for i, label in enumerate(numbered(width, names, f"{path}: {key!r}")):
        plan.leaves.append(
            ArrayLeaf(Column(label, column.dtype, infer_role(label, column.dtype)), values, i)
        )
    plan.sets.append({k: v for k, v in stored.items() if v})
    return plan
