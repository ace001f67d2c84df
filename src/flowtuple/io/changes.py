"""Sentences on the differences between an output and an input of another format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    "friends": "names of friend trees",
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
        changes += changes_of(table, written, storage, format_)
        for name, original in renamed_columns(written, storage).items():
            renamed[f"{table}/{original}"] = (name,)
    return WriteResult(tuple(left_out), tuple(changes), renamed)


def changes_of(
    table: str, columns: Sequence[Column], storage: Mapping[str, Any], format_: Capabilities
) -> list[str]:
    """List the differences between a table in an output and in an input of another format.

    Args:
        table: Name of the table.
        columns: Columns that are written.
        storage: Notes on how the input stored the table.
        format_: Capabilities of the output's format.

    Example:
        >>> text = Capabilities("text", titles=False)
        >>> changes_of("t", [Column("x", "float64", title="in GeV")], {}, text)
        ['t: titles of x are not written: text has none']
    """
    sentences = _column_changes(columns, format_)
    lengths = [c.name for c in columns if c.hidden]
    if format_.counters and storage and lengths:
        sentences.append(
            f"{listed(lengths)}: lengths of lists, written as columns of their own"
        )
    title = storage.get("title") or table
    if title != table:
        sentences.append(f"its title {title!r} is not written")
    for key, words in _NOTES.items():
        if storage.get(key):
            names = listed(list(storage[key]))
            sentences.append(f"{words} {names}: not written, {format_.name} has none")
    written = {c.name for c in columns}
    for name, shape in storage.get("records", {}).items():
        members = [member for member in columns_of_shape(shape) if member in written]
        if members:
            sentences.append(f"{name}: a record -> columns {listed(members)}")
    for name, original in renamed_columns(columns, storage).items():
        sentences.append(f"{name}: another name for {original!r}")
    return [f"{table}: {sentence}" for sentence in sentences]


def listed(names: Sequence[str]) -> str:
    """Join the first names, with the number of all where there are more."""
    more = f", ... {len(names)} in all" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def renamed_columns(columns: Iterable[Column], storage: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns whose names differ from those of the input, with the names there."""
    written = {c.name for c in columns}
    renamed = storage.get("renamed", {})
    return {name: original for name, original in renamed.items() if name in written}


def _column_changes(columns: Sequence[Column], format_: Capabilities) -> list[str]:
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
        sentences.append(f"{listed(names)}: {dtype}, read back from {format_.name} as {wide}")
    return sentences
