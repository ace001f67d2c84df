"""Many files as one: tables of the same columns, one after another."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from flowtuple.data.schema import with_hidden_counters
from flowtuple.data.schema_diff import schema_diff
from flowtuple.data.table import (
    Dataset,
    LeftOut,
    Table,
    TableSource,
    bounded,
    concatenate,
    with_counters,
)
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.lazy_packages import uproot


class Chain:
    """Tables of several files read as one; it is a `TableSource`.

    Columns that share a hidden counter in every file share one here; visible counters are columns
    like others. Titles, roles and the order of the columns are the first file's.

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
        self._ends = list(accumulate(part.num_entries for part in parts))
        self.num_entries = self._ends[-1]
        first = parts[0].columns
        for part, description in zip(parts, descriptions, strict=True):
            for column, words in schema_diff(
                first, part.columns, counters=True, additional=True
            ):
                raise InvalidArgument(
                    f"{description}: table {part.name!r}: unlike in the first file, "
                    f"column {column!r} {words}; read these files one by one"
                )
        # each file names a hidden counter after a column of its own, so that only the columns which
        # share one in every file are known to have the same lengths everywhere
        self._counters = [{c.name: c.counter for c in part.columns} for part in parts]
        hidden = {c.name for c in first if c.hidden}
        visible = {c.name: c for c in first if not c.hidden}
        shared = {
            name: tuple(own[name] for own in self._counters)
            if c.counter in hidden
            else None
            for name, c in visible.items()
        }
        pairs = ((column, shared[name]) for name, column in visible.items())
        self.columns = with_hidden_counters(pairs, visible)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of some columns, from the files that hold them."""
        read = with_counters(self.columns, columns)
        start, stop = bounded(start, stop, self.num_entries)
        counted = {c.counter: c.name for c in self.columns}
        pieces: list[Table] = []
        for part, end, own in zip(self._parts, self._ends, self._counters, strict=True):
            begin = end - part.num_entries
            first, last = max(start, begin), min(stop, end)
            # of no events, the last file gives the types
            if first >= last and (pieces or part is not self._parts[-1]):
                continue
            # a hidden counter has another name in each file: that of a column which it counts
            names = {c.name: own[counted[c.name]] if c.hidden else c.name for c in read}
            table = part.read(
                [str(n) for n in names.values()], first - begin, last - begin
            )
            data = {name: table.data[str(inner)] for name, inner in names.items()}
            pieces.append(Table(self.name, read, table.num_entries, data))
        return pieces[0] if len(pieces) == 1 else concatenate(pieces)


def chain(parts: Sequence[Dataset]) -> Dataset:
    """Return one data set whose tables are those of several files, one after another.

    Args:
        parts: Data sets with tables of the same names, columns and types; at least one.

    Returns:
        The chained tables. Notes on how a table was stored are those that agree in all files. An
        object that is the same in all files is carried once; others go to `refused`, because the
        histograms of one file are not those of all.

    Raises:
        InvalidArgument: The files differ in their tables or columns; the message names the file and
            the column.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in first.tables.keys() ^ part.tables.keys():
            lacking = part if name in first.tables else first
            what = f"{lacking.description}: no table {name!r}, which other files have"
            common = [other for other in first.tables if other in part.tables]
            advice = (
                f"name one of each file, such as {_with_tree(first)} {_with_tree(part)}"
            )
            if common:
                advice = f"choose one that all have, such as FILE:{common[0]}"
            raise InvalidArgument(f"{what}; {advice}")
        _check_same_paths(first, part)
    descriptions = [part.description for part in parts]
    tables: dict[str, TableSource] = {}
    storage: dict[str, dict[str, Any]] = {}
    left_out = {part.name: part for whole in reversed(parts) for part in whole.left_out}
    for name in first.tables:
        tables[name] = Chain(name, [part.tables[name] for part in parts], descriptions)
        notes = [part.storage.get(name, {}) for part in parts]
        shared = _shared_storage(notes, first.format)
        storage |= {name: shared} if shared else {}
        for key in dict.fromkeys(key for note in notes for key in note):
            if first.format == ".root" and key not in shared:
                part_name = f"{name}/({key})"
                left_out[part_name] = LeftOut(part_name, "the files differ in it")
    carried, differing = _shared_objects(parts)
    refused = {
        name: reason for part in reversed(parts) for name, reason in part.refused.items()
    }
    return Dataset(
        f"{len(parts)} files from {descriptions[0]} to {descriptions[-1]}",
        tables,
        carried,
        refused | differing,
        sum(part.nbytes for part in parts) if all(part.nbytes for part in parts) else 0,
        storage,
        tuple(left_out.values()),
        first.format,
        len(parts),
        any(part.is_part for part in parts),
    )


def _with_tree(part: Dataset) -> str:
    return f"{part.description}:{next(iter(part.tables))}"


def _shared_storage(notes: Sequence[dict[str, Any]], suffix: str) -> dict[str, Any]:
    """Return the notes that agree in all ROOT files; for other formats, all notes or none."""
    first = notes[0]
    if suffix != ".root":
        return first if all(other == first for other in notes) else {}
    agreeing = {
        key for key in first if all(other.get(key) == first[key] for other in notes)
    }
    return {
        key: value for key, value in first.items() if key in agreeing or key == "title"
    }


def _shared_objects(parts: Sequence[Dataset]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the objects that are the same in all files, and the reasons for others."""
    first = parts[0].carried
    carried: dict[str, bytes] = {}
    differing: dict[str, str] = {}
    for name in dict.fromkeys(name for part in parts for name in part.carried):
        if all(
            _same_object(name, first.get(name), part.carried.get(name)) for part in parts
        ):
            carried[name] = first[name]
        else:
            advice = "add them up beforehand (hadd), or read the files one by one"
            differing[name] = f"the files hold different ones; {advice}"
    return carried, differing


def _check_same_paths(first: Dataset, part: Dataset) -> None:
    """Raise if columns of one name are read from different members of records."""
    for name in first.tables:
        paths = first.storage.get(name, {}).get("paths", {})
        others = part.storage.get(name, {}).get("paths", {})
        for column in paths | others:
            if paths.get(column) != others.get(column):
                where = f"{part.description}: table {name!r}: column {column!r}"
                advice = "write the columns of all files in one order"
                raise InvalidArgument(
                    f"{where} is another member than in the first file; {advice}"
                )


def _same_object(name: str, left: bytes | None, right: bytes | None) -> bool:
    if left is None or right is None:
        return False
    return left == right or _payload(name, left) == _payload(name, right)


def _payload(name: str, content: bytes) -> bytes:
    """Return the bytes of the object without those of its file, which have the time and a UUID."""
    with uproot.open(io.BytesIO(content)) as file:
        chunk, cursor = file.key(name).get_uncompressed_chunk_cursor()
        return bytes(chunk.remainder(cursor.index, cursor, {}))
