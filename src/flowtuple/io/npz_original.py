"""Tables written back as the arrays of their input, an npz file of other origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, read_all

FORMAT = "npz"
_MISMATCH = (ValueError, TypeError, KeyError)  # raised where notes and columns do not agree


def stored_arrays(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return notes on named arrays, as JSON: the types of texts, which the columns do not have."""
    types = {
        name: values.dtype.str for name, values in arrays.items() if values.dtype.kind in "US"
    }
    notes = {"format": FORMAT, "prefix": prefix}
    return {**notes, "types": types} if types else notes


def stored_matrix(
    prefix: str, name: str, labels: str | None, texts: Array | None
) -> dict[str, Any]:
    """Return notes on a matrix, and on the array of its columns' names where there is one."""
    notes = {"format": FORMAT, "prefix": prefix, "matrix": name}
    if labels is None or texts is None:
        return notes
    return {**notes, "labels": labels, "text": texts.dtype.kind}


def stored_records(prefix: str, name: str, values: Array) -> dict[str, Any] | None:
    """Return notes on a structured array; `None` where a member is one itself."""
    members = []
    for member in values.dtype.names or ():
        kind = values.dtype[member]
        if kind.base.names is not None:
            return None
        members.append([member, kind.base.str, list(kind.shape)])
    return {"format": FORMAT, "prefix": prefix, "records": name, "members": members}


def original_arrays(dataset: Dataset) -> dict[str, Array] | None:
    """Return the arrays of an npz file of other origin; `None` where that cannot be done."""
    if dataset.carried:
        return None
    arrays: dict[str, Array] = {}
    try:
        for name, source in dataset.tables.items():
            notes = dataset.storage.get(name, {})
            if notes.get("format") != FORMAT:
                return None
            for key, values in _members(read_all(source), notes):
                if key in arrays:
                    return None
                arrays[key] = values
    except _MISMATCH:
        return None
    return arrays


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


def _matrix(
    table: Table, prefix: str, stored: Mapping[str, Any]
) -> Iterator[tuple[str, Array]]:
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
