"""Many files as one: tables of the same columns, one after another."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import uproot

from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import schema_diff
from flowtuple.data.table import Dataset, LeftOut, Table, TableSource, concatenate, with_counters
from flowtuple.errors import InvalidArgument


class Chain:
    """Tables of several files read as one; it is a `TableSource`.

    Columns that share a hidden counter in every file share one here; visible counters are columns like others.
    Titles, roles and the order of the columns are the first file's.

    Attributes:
        name: The table's name.
        columns: The schema of all files.

    Raises:
        InvalidArgument: A file has other columns or other types than the first.
    """

    def __init__(
        self, name: str, parts: Sequence[TableSource], descriptions: Sequence[str]
    ) -> None:
        self.name = name
        self._parts = tuple(parts)
        self._descriptions = tuple(descriptions)
        self._ends = list(accumulate(part.num_entries for part in parts))

    @property
    def num_entries(self) -> int:
        return self._ends[-1]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        visible = [{c.name: c for c in part.columns if not c.hidden} for part in self._parts]
        hidden = [{c.name for c in part.columns if c.hidden} for part in self._parts]
        first = self._parts[0].columns
        for part, description in zip(self._parts[1:], self._descriptions[1:], strict=True):
            for name, words in schema_diff(first, part.columns, counters=True, additional=True):
                raise InvalidArgument(
                    f"{description}: table {part.name!r}: unlike in the first file, "
                    f"column {name!r} {words}; read these files one by one"
                )
        merged: list[Column] = []
        shared: dict[tuple[str | None, ...], str] = {}
        for name, column in visible[0].items():
            if column.counter is None or column.counter not in hidden[0]:
                merged.append(column)
                continue
            key = tuple(columns[name].counter for columns in visible)
            if key not in shared:
                shared[key] = f"n({name})"
                merged.append(Column(shared[key], "int64", "counter", hidden=True))
            merged.append(replace(column, counter=shared[key]))
        return tuple(merged)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns, from the files that hold them."""
        kept = with_counters(self.columns, columns)
        start, stop = max(0, start), min(stop, self.num_entries)
        first = min(bisect_right(self._ends, start), len(self._parts) - 1)
        pieces = [self._read_part(first, kept, start, stop)]
        for k in range(first + 1, len(self._parts)):
            if self._ends[k - 1] >= stop:
                break
            pieces.append(self._read_part(k, kept, start, stop))
        return pieces[0] if len(pieces) == 1 else concatenate(pieces)

    def _read_part(self, k: int, kept: tuple[Column, ...], start: int, stop: int) -> Table:
        begin = self._ends[k] - self._parts[k].num_entries
        own = {c.name: c for c in self._parts[k].columns}
        source = {c.name: c.name for c in kept if not c.hidden}
        for column in self._counted(kept):  # a hidden counter goes by another name in each file
            source[str(column.counter)] = str(own[column.name].counter)
        part = self._parts[k].read(
            list(source.values()), start - begin, max(start, min(stop, self._ends[k])) - begin
        )
        return Table(
            self.name, kept, part.num_entries, {c.name: part.data[source[c.name]] for c in kept}
        )

    def _counted(self, kept: tuple[Column, ...]) -> list[Column]:
        """For every hidden counter that is read, a column that it counts."""
        wanted = {c.name for c in kept if c.hidden}
        return [c for c in self.columns if c.counter in wanted]


def chain(parts: Sequence[Dataset]) -> Dataset:
    """One data set whose tables are those of several files, one after another.

    Args:
        parts: Data sets with tables of the same names, columns and types; at least one.

    Returns:
        The chained tables, stored as they were where that is alike in all files. An object that all files carry alike is
        carried once; others go to `refused`, because histograms of parts neither stand for the whole nor can be told
        apart.

    Raises:
        InvalidArgument: The files differ in their tables or columns; the message names the file and the column.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in first.tables.keys() ^ part.tables.keys():
            lacking = part if name in first.tables else first
            raise InvalidArgument(
                f"{lacking.description}: no table {name!r}, which other files have; choose one: FILE:TREE"
            )
        _check_same_paths(first, part)
    described = [part.description for part in parts]
    tables: dict[str, TableSource] = {}
    for name in first.tables:
        tables[name] = Chain(name, [part.tables[name] for part in parts], described)
    refused = {name: reason for part in reversed(parts) for name, reason in part.refused.items()}
    carried: dict[str, bytes] = {}
    for name in dict.fromkeys(name for part in parts for name in part.carried):
        if all(
            _same_object(name, first.carried.get(name), part.carried.get(name)) for part in parts
        ):
            carried[name] = first.carried[name]
        else:
            refused[name] = (
                "the files hold different ones; add them up beforehand (hadd), or read the files one by one"
            )
    description = f"{len(parts)} files from {described[0]} to {described[-1]}"
    storage = {name: shared for name in first.tables if (shared := _shared_storage(name, parts))}
    left_out = tuple(
        {part.name: part for whole in reversed(parts) for part in whole.left_out}.values()
    )
    left_out += tuple(
        part for name in first.tables for part in _different(name, parts, storage.get(name, {}))
    )
    nbytes = sum(part.nbytes for part in parts)
    chained = Dataset(
        description, tables, carried, refused, nbytes, storage, left_out, first.format
    )
    for table in chained.tables.values():
        _ = table.columns  # files that differ are refused now, not at the first read
    return chained


def _shared_storage(name: str, parts: Sequence[Dataset]) -> dict[str, Any]:
    """Notes on how all files store a table: of ROOT files those that agree, and the first title; of others all or none."""
    notes = [part.storage.get(name, {}) for part in parts]
    first = notes[0]
    if parts[0].format != ".root":
        return first if all(other == first for other in notes) else {}
    return {
        key: value
        for key, value in first.items()
        if key == "title" or all(n.get(key) == value for n in notes)
    }


def _different(name: str, parts: Sequence[Dataset], shared: Mapping[str, Any]) -> list[LeftOut]:
    """The notes on a table in which ROOT files differ."""
    if parts[0].format != ".root":
        return []
    keys = dict.fromkeys(
        key for part in parts for key in part.storage.get(name, {}) if key not in shared
    )
    return [LeftOut(f"{name}/({key})", "the files differ in it") for key in keys]


def _check_same_paths(first: Dataset, part: Dataset) -> None:
    """Refuse columns of one name that are read from different members of records."""
    for name in first.tables:
        paths, others = (whole.storage.get(name, {}).get("paths", {}) for whole in (first, part))
        differing = [
            column for column in {**paths, **others} if paths.get(column) != others.get(column)
        ]
        if differing:
            raise InvalidArgument(
                f"{part.description}: table {name!r}: column {differing[0]!r} is another member than in the first file; "
                "write the columns of all files in one order"
            )


def _same_object(name: str, left: bytes | None, right: bytes | None) -> bool:
    if left is None or right is None:
        return False
    return left == right or _payload(name, left) == _payload(name, right)


def _payload(name: str, content: bytes) -> bytes:
    """The object's own bytes: those around it hold the time and a UUID."""
    with uproot.open(io.BytesIO(content)) as file:
        chunk, cursor = file.key(name).get_uncompressed_chunk_cursor()
        return bytes(chunk.remainder(cursor.index, cursor, {}))
