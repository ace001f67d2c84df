"""Archives of NumPy arrays as NumPy alone sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from independent.parts import Contents, Group, Part

_DESCRIPTION = "__flowtuple__"


def read(path: str) -> Contents:
    """The arrays of an archive; those of Python objects cannot be read."""
    with np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        other = _described(archive) if _DESCRIPTION in names else {}
    parts = [
        Part(
            name,
            partial(_array, path, name),
            (other[name],) if name in other else (),
            partial(_pieces, name),
        )
        for name in names
        if name != _DESCRIPTION
    ]
    return Contents([Group("", "npz", -1, parts)])


def _described(archive: Any) -> dict[str, str]:
    """Names of columns by the members that hold them, where the archive itself says so."""
    description = json.loads(archive[_DESCRIPTION].tobytes())
    names: dict[str, str] = {}
    for table in description["tables"]:
        columns = [column["name"] for column in table["columns"]]
        names.update(zip(table.get("members", ()), columns, strict=False))
    return names


def _pieces(name: str, values: Any) -> Iterator[Mapping[str, Any]]:
    """An array of records as its fields."""
    if values.dtype.names is not None:
        for mark in (".", "_"):
            yield {f"{name}{mark}{field}": values[field] for field in values.dtype.names}


def _array(path: str, name: str) -> Any:
    with np.load(path, allow_pickle=False) as archive:
        return archive[name]
