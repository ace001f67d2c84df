"""Sentences on what a file of another format than the input's does not say, or says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowtuple.data.schema import Column
from flowtuple.io.root_rntuple import columns_of_shape

_SHOWN = 5  # names in a sentence


@dataclass(frozen=True)
class Keeping:
    """Metadata that a format can store with the values.

    Attributes:
        name: The format, for people.
        titles: Whether columns have titles.
        counters: Whether lengths of lists are columns of their own.
        types: Types that reading gives back; empty where it gives back all.
    """

    name: str
    titles: bool = True
    counters: bool = False
    types: tuple[str, ...] = ()


def changes_of(
    table: str, columns: Sequence[Column], storage: Mapping[str, Any], keeping: Keeping
) -> tuple[str, ...]:
    """List the differences between a table in an output and in an input of another format.

    Args:
        table: The table's name.
        columns: Those that are written.
        storage: How the input stored the table.
        keeping: What the output's format can say.

    Example:
        >>> changes_of("t", [Column("x", "float64", title="in GeV")], {}, Keeping("text", titles=False))
        ('t: titles of x are not written: text has none',)
    """
    said = [*_of_columns(columns, keeping)]
    if keeping.counters and storage:
        lengths = [c.name for c in columns if c.hidden]
        said += (
            [f"{_listed(lengths)}: lengths of lists, written as columns of their own"]
            if lengths
            else []
        )
    if storage.get("title") and storage["title"] != table:
        said.append(f"its title {storage['title']!r} is not written")
    for key, words in (
        ("aliases", "aliases"),
        ("user_info", "user information"),
        ("friends", "names of friend trees"),
    ):
        if storage.get(key):
            said.append(
                f"{words} {_listed(list(storage[key]))}: not written, {keeping.name} has none"
            )
    there = {c.name for c in columns}
    for name, shape in storage.get("records", {}).items():
        members = [member for member in columns_of_shape(shape) if member in there]
        said += [f"{name}: a record -> columns {_listed(members)}"] if members else []
    renamed = storage.get("renamed", {}).items()
    said += [
        f"{name}: another name for {original!r}" for name, original in renamed if name in there
    ]
    return tuple(f"{table}: {text}" for text in said)


def renamed_of(
    table: str, columns: Sequence[Column], storage: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """Names of the output by those of the input (`TREE/NAME`), where these were taken."""
    there = {c.name for c in columns}
    found = {
        original: name for name, original in storage.get("renamed", {}).items() if name in there
    }
    return {f"{table}/{original}": (name,) for original, name in found.items()}


def _of_columns(columns: Sequence[Column], keeping: Keeping) -> list[str]:
    titled = [c.name for c in columns if c.title]
    said = []
    if titled and not keeping.titles:
        said.append(f"titles of {_listed(titled)} are not written: {keeping.name} has none")
    others: dict[str, list[str]] = {}
    for column in columns:
        if keeping.types and column.dtype not in keeping.types:
            others.setdefault(column.dtype, []).append(column.name)
    for dtype, names in others.items():
        wide = "float64" if dtype.startswith("float") else "int64"
        said.append(f"{_listed(names)}: {dtype}, read back from {keeping.name} as {wide}")
    return said


def _listed(names: Sequence[str]) -> str:
    more = f", ... {len(names)} in all" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
