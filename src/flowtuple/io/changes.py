"""Sentences on the differences between an output and an input of another format."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, LeftOut
from flowtuple.io.formats import WriteResult
from flowtuple.io.root_records import columns_of_shape

_SHOWN = 5  # names in a sentence
_NOTES = {
    "aliases": "aliases",
    "user_info": "user information",
    "friends": "friend trees",
    "index": "the index",
    "weight": "the weight",
}


@dataclass(frozen=True)
class Capabilities:
    """Metadata that a format can store with the values.

    Attributes:
        name: Name of the format, for people.
        titles: Columns have titles.
        counters: Lengths of lists are columns of their own.
        types: Types that reading gives back; empty where it gives back all.
    """

    name: str
    titles: bool = True
    counters: bool = False
    types: tuple[str, ...] = ()


def write_result(
    dataset: Dataset,
    columns: Mapping[str, Sequence[Column]],
    format_: Capabilities,
    left_out: Iterable[LeftOut] = (),
) -> WriteResult:
    """Compare an output with an input of another format.

    Args:
        dataset: The data set that was written.
        columns: Columns that were written, by table.
        format_: Capabilities of the output's format.
        left_out: Parts that were not written.
    """
    changes: list[str] = []
    renamed: dict[str, tuple[str, ...]] = {}
    for table, written in columns.items():
        storage = dataset.storage.get(table, {})
        sentences = _changes(table, written, storage, format_)
        changes += [f"{table}: {sentence}" for sentence in sentences]
        for name, original in renamed_columns(written, storage).items():
            renamed[f"{table}/{original}"] = (name,)
    return WriteResult(tuple(left_out), tuple(changes), renamed)


def _changes(
    table: str,
    columns: Sequence[Column],
    storage: Mapping[str, Any],
    format_: Capabilities,
) -> list[str]:
    """Return sentences on the differences between a table in an output and in an input."""
    sentences = []
    titled = [c.name for c in columns if c.title]
    if titled and not format_.titles:
        sentences.append(
            f"titles of {listed(titled)} are not written: {format_.name} has none"
        )
    others: dict[str, list[str]] = {}
    for column in columns:
        if format_.types and column.dtype not in format_.types:
            others.setdefault(column.dtype, []).append(column.name)
    for dtype, names in others.items():
        wide = "float64" if dtype.startswith("float") else "int64"
        sentences.append(
            f"{listed(names)}: {dtype}, read back from {format_.name} as {wide}"
        )
    lengths = [c.name for c in columns if c.hidden]
    if format_.counters and storage and lengths:
        sentences.append(
            f"{listed(lengths)}: lengths of lists, written as columns of their own"
        )
    title = storage.get("title") or table
    if title != table:
        sentences.append(f"its title {title!r} is not written")
    sentences += note_changes(storage, format_.name)
    written = {c.name for c in columns}
    for name, shape in storage.get("records", {}).items():
        members = [member for member in columns_of_shape(shape) if member in written]
        if members:
            sentences.append(f"{name}: a record -> columns {listed(members)}")
    return sentences + other_names(columns, storage)


def note_changes(
    storage: Mapping[str, Any], target: str, notes: Container[str] = ()
) -> list[str]:
    """List the metadata of a tree that is not written.

    Args:
        storage: Notes on how the input stored the table.
        target: The output, in words.
        notes: Names of the notes that the output has a place for.

    Example:
        >>> note_changes({"weight": 2.5, "friends": ["other"]}, "a TTree", ["weight"])
        ['friend trees other: not written to a TTree']
    """
    sentences = []
    for key, words in _NOTES.items():
        note = storage.get(key)
        if note and key not in notes:
            text = listed(list(note)) if isinstance(note, (list, dict)) else note
            sentences.append(f"{words} {text}: not written to {target}")
    unreadable = storage.get("unreadable", ())
    return sentences + [
        f"{words}: cannot be read and not written" for words in unreadable
    ]


def other_names(columns: Iterable[Column], storage: Mapping[str, Any]) -> list[str]:
    """Return sentences on columns whose names differ from those of the input."""
    renamed = renamed_columns(columns, storage)
    return [
        f"{name}: another name for {original!r}" for name, original in renamed.items()
    ]


def listed(names: Sequence[str]) -> str:
    """Join the first names, with the number of all where there are more."""
    more = f", ... {len(names)} in all" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def renamed_columns(
    columns: Iterable[Column], storage: Mapping[str, Any]
) -> dict[str, str]:
    """Return the columns whose names differ from those of the input, with the names there."""
    written = {c.name for c in columns}
    renamed = storage.get("renamed", {})
    return {name: original for name, original in renamed.items() if name in written}
