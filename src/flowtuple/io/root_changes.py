"""Sentences on the differences between a ROOT file written here and its input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowtuple.data.schema import Column
from flowtuple.io.changes import listed, note_changes, other_names, renamed_columns
from flowtuple.io.root_records import columns_of_shape, field_paths, record_shapes
from flowtuple.io.root_ttree import type_changes
from flowtuple.io.root_types import plain_type


def root_changes(columns: Sequence[Column], storage: Mapping[str, Any]) -> list[str]:
    """Sentences on what a ROOT file written here changes from the input.

    Args:
        columns: Columns of one table.
        storage: Notes of `Dataset.storage` on the table.

    Example:
        >>> stored = {"kind": "rntuple", "aliases": {"y": "2*x"}, "friends": ["other"]}
        >>> root_changes([Column("x", "float32")], stored)
        ['aliases y: not written to an RNTuple', 'friend trees other: not written to an RNTuple']
    """
    back = types_back(columns, storage)
    is_tree = _is_tree(columns, storage)
    units = _units(columns, storage)
    changes: list[str] = []
    if back:
        changes.append(
            f"the tree: it comes back as an RNTuple because {because(back)}; "
            "without them as a TTree"
        )
    if is_tree:
        changes += type_changes(columns)
    for name, others in _other_names(units, is_tree).items():
        words = ": a record -> branches" if is_tree else " -> field"
        changes.append(f"{name}{words} {listed(others)}")
    types = [
        f"{name} ({kind})"
        for name, kind in storage.get("types", {}).items()
        if name in units and (is_tree or not plain_type(kind))
    ]
    if types:
        changes.append(f"types of C++ written otherwise: {listed(types)}")
    changes += other_names(columns, storage)
    target, notes = ("a TTree", ("aliases", "weight")) if is_tree else ("an RNTuple", ())
    return changes + note_changes(storage, target, notes)


def root_renamed(
    tree: str, columns: Sequence[Column], storage: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """Return the names in a ROOT file of the branches and fields that it renames.

    Args:
        tree: Name of the table.
        columns: Its columns.
        storage: Notes on how the input stored the table.

    Returns:
        For `TREE/NAME` of the input, the names of the branches or fields.

    Example:
        >>> columns = [Column("p_x", "float32"), Column("p_y", "float32")]
        >>> root_renamed("t", columns, {"records": {"p": {"record": [["x", "p_x"], ["y", "p_y"]]}}})
        {'t/p': ('p_x', 'p_y')}
    """
    renamed = _other_names(_units(columns, storage), _is_tree(columns, storage))
    for name, original in renamed_columns(columns, storage).items():
        renamed[original] = (*renamed.get(original, ()), name)
    return {f"{tree}/{name}": written for name, written in renamed.items()}


def types_back(columns: Iterable[Column], storage: Mapping[str, Any]) -> dict[str, str]:
    """Return the types, by column, for which a tree becomes an RNTuple."""
    names = {c.name for c in columns}
    return {name: kind for name, kind in storage.get("back", {}).items() if name in names}


def because(kinds: Mapping[str, str]) -> str:
    """Return words on the columns for which a table becomes an RNTuple."""
    columns = listed([f"{name} ({kind})" for name, kind in kinds.items()])
    return f"no branch of a TTree holds {columns}"


def _is_tree(columns: Sequence[Column], storage: Mapping[str, Any]) -> bool:
    return storage.get("kind") != "rntuple" and not types_back(columns, storage)


def _units(columns: Sequence[Column], storage: Mapping[str, Any]) -> dict[str, Any]:
    names = [c.name for c in columns if not c.hidden]
    return record_shapes(names, storage.get("records", {}))


def _other_names(units: Mapping[str, Any], is_tree: bool) -> dict[str, tuple[str, ...]]:
    """Return the branches of each record, or the field of each column that has another name."""
    if not is_tree:
        paths = {name: ".".join(path) for name, path in field_paths(units).items()}
        return {name: (path,) for name, path in paths.items() if path != name}
    return {
        name: tuple(columns_of_shape(shape))
        for name, shape in units.items()
        if not isinstance(shape, str)
    }
