"""Apache Parquet: one table, read by row groups.

A file written here keeps the schema (counters, roles, titles) as JSON in its metadata under
`flowtuple`; files of other origin are scanned once, column by column, for missing values and for
lists of equal lengths. A column that cannot be read is refused by its name, and the others are
read.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import accumulate, pairwise
from operator import getitem
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from flowtuple.data.awkward import kind_of, leaves, without_idle_options
from flowtuple.data.schema import (
    OPAQUE,
    Array,
    Column,
    infer_role,
    unused,
    with_hidden_counters,
)
from flowtuple.data.table import Dataset, Table, TableSource, bounded, with_counters
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, first_line
from flowtuple.io.formats import ReadOptions, opening_error
from flowtuple.io.location import seekable, size_of, translate_fsspec_errors
from flowtuple.io.memory import TABLE_NAME
from flowtuple.io.parquet_types import (
    ARROW_FAILURES,
    METADATA_KEY,
    NoColumnError,
    left_out_of,
    no_values,
    plain_type,
    storage_of,
    to_plain,
)
from flowtuple.io.parquet_writer import VERSION, from_arrow, has_options
from flowtuple.runtime.lazy_packages import awkward as ak

_SCAN_STEP = 1 << 16  # rows that are scanned at a time, where row groups have no more


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """Open the columns of a Parquet file as one table, `events` or as it was called.

    Args:
        path: A path or URL.
        options: Without effect, since Parquet columns have names.

    Raises:
        InvalidArgument: The file is no Parquet, or its end is missing.
        TooNew: A later version of flowtuple wrote it.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "jets.parquet"
        >>> ak.to_parquet(ak.Array([{"Jet_pt": [50.0, 20.0]}, {"Jet_pt": []}]), path) is not None
        True
        >>> table = open_dataset(str(path), ReadOptions()).table("events")
        >>> table.read(["Jet_pt"], 0, 1)["Jet_pt"].tolist()
        [50.0, 20.0]
    """
    try:
        with translate_fsspec_errors(path):
            file = parquet.ParquetFile(seekable(path))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (pa.ArrowException, OSError) as error:
        if "encrypt" in str(error):
            reason = "is encrypted; write it again without encryption"
            raise InvalidArgument(f"{path}: {reason}") from None
        raise opening_error(path, ".parquet", "a Parquet", first_line(error)) from None
    table = ParquetTable(path, file)
    tables: dict[str, TableSource] = {table.name: table}
    if table.is_described:
        return Dataset(path, tables, nbytes=size_of(path))
    schema = file.schema_arrow
    fields = [field for field in schema if field.name not in table.refused]
    readable = pa.schema(fields, metadata=schema.metadata)
    return Dataset(
        path,
        tables if table.columns or not table.refused else {},
        refused={
            f"{table.name}/{name}": reason for name, reason in table.refused.items()
        },
        nbytes=size_of(path),
        storage={table.name: storage_of(readable, table.columns, table.renamed)},
        left_out=left_out_of(table.name, schema),
    )


@dataclass(frozen=True)
class _Leaf:
    """A column and the way to its values.

    Attributes:
        column: The column, without its hidden counter.
        path: Field of the file, and members of records within it.
        has_missing: A value is missing somewhere in the file, so that the type of all values is an
            option.
        lengths: Digest of the lengths of its lists; `None` for other columns.
    """

    column: Column
    path: tuple[str, ...]
    has_missing: bool = False
    lengths: bytes | None = None


class ParquetTable:
    """The table of a Parquet file, read by ranges; it is a `TableSource`.

    Attributes:
        name: The table's name.
        columns: The schema.
        num_entries: The rows of all groups.
        refused: Columns that cannot be read, with the reason; none in a file that was written here.
        is_described: The file has the columns in its metadata, since it was written here.
    """

    def __init__(self, path: str, file: Any) -> None:
        self._path = path
        self._file = file
        self._schema = file.schema_arrow  # pyarrow converts it at each access
        groups = range(file.metadata.num_row_groups)
        self._ends = [0, *accumulate(file.metadata.row_group(i).num_rows for i in groups)]
        # some writers leave the number in the footer at 0
        self.num_entries = self._ends[-1]
        self.name = TABLE_NAME
        self.refused: dict[str, str] = {}
        written = self._description()
        self.is_described = written is not None
        if written is None:
            self._leaves = self._scanned()
            pairs = ((leaf.column, leaf.lengths) for leaf in self._leaves.values())
            self.columns = with_hidden_counters(pairs, self._leaves)
            return
        self.name = written["name"]
        self.columns = tuple(Column.from_json(c) for c in written["columns"])
        shown = [c for c in self.columns if not c.hidden]
        self._leaves = {
            c.name: _Leaf(c, (c.name,), c.name in written["options"]) for c in shown
        }
        if not shown:
            self.num_entries = int(written["num_entries"])

    def _description(self) -> dict[str, Any] | None:
        """Return the schema in the file's metadata, where it still is the file's schema."""
        text = (self._schema.metadata or {}).get(METADATA_KEY)
        if text is None:
            return None
        try:
            description: dict[str, Any] = json.loads(text)
            version = description["version"]
            if version > VERSION:
                what = f"written as version {version} of flowtuple's Parquet"
                raise TooNew(f"{self._path}: {what}; update flowtuple")
            shown = [c["name"] for c in description["columns"] if not c.get("hidden")]
        except (ValueError, KeyError, TypeError):
            return None
        return description if shown == self._schema.names else None

    @property
    def renamed(self) -> dict[str, tuple[str, ...]]:
        """Return the path in the file of each column that has another name than usual."""
        paths = {name: leaf.path for name, leaf in self._leaves.items()}
        return {name: path for name, path in paths.items() if name != "_".join(path)}

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of some columns, from the row groups that have them.

        Raises:
            Corrupt: The file's bytes are damaged, or a counter does not agree with what it counts.
        """
        start, stop = bounded(start, stop, self.num_entries)
        read = with_counters(self.columns, columns)
        # a hidden counter has no field: it is read from the first column that it counts
        counted = {c.counter: c.name for c in reversed(self.columns)}
        leaves = {
            c.name: self._leaves[counted[c.name] if c.hidden else c.name] for c in read
        }
        fields = list(dict.fromkeys(leaf.path[0] for leaf in leaves.values()))
        try:
            with translate_fsspec_errors(self._path):
                arrays = self._fetch(fields, start, stop)
        except MemoryError:  # one of Arrow's exceptions is one
            raise
        except (pa.ArrowException, OSError):
            what = f"events {start} to {stop} are damaged; fetch the file again"
            raise Corrupt(
                f"{self._path}: {what}{self._culprit(fields, start, stop)}"
            ) from None
        values = {
            name: reduce(getitem, leaf.path, arrays) for name, leaf in leaves.items()
        }
        data = {c.name: _content(c, leaves[c.name], values[c.name]) for c in read}
        for column in read:
            if column.counter is None:
                continue
            if not np.array_equal(_counts(values[column.name]), data[column.counter]):
                what = f"column {column.name!r} has other lengths than {column.counter!r}"
                raise Corrupt(f"{self._path}: {what}; fetch it again")
        return Table(self.name, read, stop - start, data)

    def _fetch(self, fields: Sequence[str], start: int, stop: int) -> Any:
        """Return the fields as awkward arrays, from the row groups that overlap the range."""
        groups = [
            i
            for i, (first, end) in enumerate(pairwise(self._ends))
            if first < stop and end > start
        ]
        if not fields or not groups:
            kinds = {name: self._schema.field(name).type for name in fields}
            return {name: from_arrow(no_values(kind)) for name, kind in kinds.items()}
        table = self._file.read_row_groups(
            groups, columns=list(fields), use_threads=False
        )
        # awkward takes the null bits of a sliced Arrow array from its beginning, so slice after
        first = self._ends[groups[0]]
        events = slice(start - first, stop - first)
        return {name: from_arrow(to_plain(table.column(name)))[events] for name in fields}

    def _culprit(self, fields: Sequence[str], start: int, stop: int) -> str:
        """Return words on the first of the columns that cannot be read."""
        for name in fields:
            try:
                self._fetch([name], start, stop)
            except ARROW_FAILURES as error:
                return f" (column {name!r}: {first_line(error)})"
        return ""

    def _scanned(self) -> dict[str, _Leaf]:
        """Return the columns of a file of other origin; add others to `refused`."""
        scanned: dict[str, _Leaf] = {}
        names = self._schema.names
        counts = Counter(names)
        for i, field in enumerate(names):
            try:
                if counts[field] > 1:
                    raise NoColumnError(
                        f"the name stands for {counts[field]} columns; rename all but one"
                    )
                if not field:
                    raise NoColumnError("it has no name; give it one")
                found = self._scan(i)
            except NoColumnError as error:
                self.refused[field] = str(error)
                continue
            for usual, leaf in found:
                taken = scanned.keys() | counts.keys() if usual in scanned else ()
                name = unused(usual, taken, numbered=True)
                scanned[name] = replace(leaf, column=replace(leaf.column, name=name))
        return scanned

    def _has_to_be_read(self, index: int) -> bool:
        """Return whether the columns of a field depend on its values.

        Raises:
            NoColumnError: It is packed in a way that pyarrow cannot undo, or of no plain type.
        """
        field = self._schema.field(index)
        is_flat = plain_type(field.type).num_fields == 0
        groups = map(self._file.metadata.row_group, range(len(self._ends) - 1))
        chunks = [
            g.column(i) for g in groups for i in range(*self._chunks[index : index + 2])
        ]
        for name in {chunk.compression for chunk in chunks} - {"UNCOMPRESSED"}:
            codec = {"LZ4": "lz4_raw"}.get(name, name.lower())
            if name == "LZO" or not pa.Codec.is_available(codec):
                raise NoColumnError(
                    f"its codec {name} is not at hand; write the file again with zstd"
                )
        if not is_flat or not field.nullable:
            return not is_flat
        return not all(
            s is not None and s.has_null_count and s.null_count == 0
            for s in (chunk.statistics for chunk in chunks)
        )

    @cached_property
    def _chunks(self) -> list[int]:
        """Return the first chunk of each field in a row group, and the end."""
        return [0, *accumulate(_num_chunks(field.type) for field in self._schema)]

    def _scan(self, index: int) -> list[tuple[str, _Leaf]]:
        """Return the columns of a field by their usual names; some row groups are read at a time.

        Raises:
            NoColumnError: The field cannot be read.
        """
        name = self._schema.field(index).name
        try:
            # without values where its columns do not depend on them
            parts = self._parts() if self._has_to_be_read(index) else [(0, 0)]
            scanned = _scanned_parts(name, (self._fetch([name], *p)[name] for p in parts))
            if scanned is None:  # an option, or no type, in some of the parts only
                whole = self._fetch([name], 0, self.num_entries)[name]
                scanned = _scanned_parts(name, [whole])
        except ARROW_FAILURES as error:
            raise NoColumnError(
                f"its values cannot be read ({first_line(error)})"
            ) from None
        return scanned or []

    def _parts(self) -> list[tuple[int, int]]:
        """Return ranges of whole row groups with at least `_SCAN_STEP` rows but for the last."""
        bounds = [0]
        for end in self._ends:
            if end - bounds[-1] >= _SCAN_STEP or end == self.num_entries:
                bounds.append(end)
        return list(pairwise(bounds))


def _scanned_parts(
    field: str, parts: Iterable[ak.Array]
) -> list[tuple[str, _Leaf]] | None:
    """Return the columns in the values of a field by their usual names.

    Args:
        field: Name of the field.
        parts: Its values in ranges of events, at least one.

    Returns:
        `None` where parts differ in their columns or types.
    """
    known: list[Any] = []
    digests: list[Any] = []
    have_options: list[bool] = []
    for part in parts:
        contents = list(leaves(field, part))
        found = [(usual, members, kind_of(inner)) for usual, members, inner in contents]
        if not digests:
            known = found
            digests = [hashlib.blake2b() for _ in found]
            have_options = [False] * len(found)
        if found != known:
            return None
        for k, (_, _, inner) in enumerate(contents):
            dtype, _, is_counted = found[k][2]
            have_options[k] |= dtype == OPAQUE and has_options(inner)
            if is_counted:
                digests[k].update(ak.num(inner).layout.data)
    scanned = []
    for k, (usual, members, (dtype, shape, is_counted)) in enumerate(known):
        role = "value" if dtype == OPAQUE else infer_role(usual, dtype)
        column = Column(usual, dtype, role, shape=shape)
        lengths = digests[k].digest() if is_counted else None
        scanned.append(
            (usual, _Leaf(column, (field, *members), have_options[k], lengths))
        )
    return scanned


def _num_chunks(kind: Any) -> int:
    """Return the columns, in the sense of Parquet, that a type takes in a row group."""
    kind = getattr(kind, "storage_type", kind)
    inner = [_num_chunks(kind.field(i).type) for i in range(kind.num_fields)]
    return sum(inner) if inner else 1


def _counts(values: ak.Array) -> Array:
    return np.asarray(
        ak.to_numpy(ak.fill_none(ak.num(values, axis=1), 0)), dtype=np.int64
    )


def _content(column: Column, leaf: _Leaf, values: ak.Array) -> Any:
    if column.hidden:
        return _counts(values)
    if leaf.has_missing:
        return ak.to_packed(values)
    values = without_idle_options(values)
    if column.is_opaque:
        return values
    flat = ak.flatten(values) if column.counter is not None else values
    return np.ascontiguousarray(ak.to_numpy(flat), dtype=np.dtype(column.dtype))
