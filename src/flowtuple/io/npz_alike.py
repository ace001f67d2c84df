"""A table as the arrays that it was in an npz file of other origin: named arrays, a structured array, or a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, read_all

FORMAT = "npz"
_UNFITTING = (ValueError, TypeError, KeyError)


def stored_arrays(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Notes for the writer of named arrays, as JSON: types that the columns do not tell."""
    types = {name: values.dtype.str for name, values in arrays.items() if values.dtype.kind in "US"}
    return (
        {"format": FORMAT, "prefix": prefix, "types": types}
        if types
        else {"format": FORMAT, "prefix": prefix}
    )


def stored_matrix(
    prefix: str, name: str, labels: str | None, texts: Array | None
) -> dict[str, Any]:
    """Notes for the writer of a matrix, and of the array of column names where there is one."""
    found: dict[str, Any] = {"format": FORMAT, "prefix": prefix, "matrix": name}
    return (
        found
        if labels is None or texts is None
        else {**found, "labels": labels, "text": texts.dtype.kind}
    )


def stored_records(prefix: str, name: str, values: Array) -> dict[str, Any] | None:
    """Notes for the writer of a structured array; `None` where a member is one itself."""
    dtype = values.dtype
    if any(dtype[member].base.names is not None for member in dtype.names or ()):
        return None
    members = [
        [member, dtype[member].base.str, list(dtype[member].shape)] for member in dtype.names or ()
    ]
    return {"format": FORMAT, "prefix": prefix, "records": name, "members": members}


def arrays_alike(dataset: Dataset) -> dict[str, Array] | None:
    """The members of an npz file of other origin again; `None` where the data set was none, or is not as it was."""
    if dataset.carried or any(
        dataset.storage.get(name, {}).get("format") != FORMAT for name in dataset.tables
    ):
        return None
    found: dict[str, Array] = {}
    try:
        for name, source in dataset.tables.items():
            for key, values in _members(read_all(source), dataset.storage[name]):
                if key in found:
                    return None
                found[key] = values
    except _UNFITTING:
        return None
    return found


def _members(table: Table, stored: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    prefix = str(stored["prefix"])
    columns = {c.name: c for c in table.columns}
    if "matrix" in stored:
        yield from _matrix(table, prefix, stored)
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
            rows[name] = _plain(columns[name], table[name]).astype(kind)
        yield prefix + str(stored["records"]), rows
    else:
        for name, column in columns.items():
            values = _plain(column, table[name])
            kind = stored.get("types", {}).get(name)
            yield prefix + name, values if kind is None else values.astype(np.dtype(kind))


def _matrix(table: Table, prefix: str, stored: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    names = [c.name for c in table.columns]
    if any(c.shape for c in table.columns) or len({c.dtype for c in table.columns}) != 1:
        raise ValueError("columns of more than one type are no matrix")
    yield (
        prefix + str(stored["matrix"]),
        np.stack([_plain(c, table[c.name]) for c in table.columns], axis=1),
    )
    if "labels" in stored:
        yield prefix + str(stored["labels"]), _texts(names, stored["text"])
    elif names != [f"c{i}" for i in range(len(names))]:
        yield f"{prefix}names", _texts(names, "U")


def _texts(names: Sequence[str], kind: str) -> Array:
    return np.array([name.encode() for name in names]) if kind == "S" else np.array(names)


def _plain(column: Column, values: Any) -> Array:
    """A column's values as one NumPy array.

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
