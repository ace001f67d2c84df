"""Apache Parquet: one table, read by row groups.

A file written here keeps the schema (counters, roles, titles) as JSON in its metadata under
`flowtuple`; files of other origin are scanned once, column by column, for missing values and for
lists of equal lengths. A column that cannot be read is refused by its name, and the others are
read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from flowtuple.data.awkward import kind_of, leaves, without_idle_options
from flowtuple.data.schema import OPAQUE, Array, Column, infer_role, unused
from flowtuple.data.table import Dataset, Table, TableSource, with_counters
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, first_line
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import seekable, size_of
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
        file = parquet.ParquetFile(seekable(path))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (pa.ArrowException, OSError) as error:
        reason = (
            f"is not a Parquet file, or is cut short ({first_line(error)}); fetch it again"
        )
        if "encrypt" in str(error):
            reason = "is encrypted; write it again without encryption"
        raise InvalidArgument(f"{path}: {reason}") from None
    table = ParquetTable(path, file)
    tables: dict[str, TableSource] = {table.name: table}
    if not table.refused and table.is_described:
        return Dataset(path, tables, nbytes=size_of(path))
    schema = file.schema_arrow
    return Dataset(
        path,
        tables if table.columns or not table.refused else {},
        refused={f"{table.name}/{name}": reason for name, reason in table.refused.items()},
        nbytes=size_of(path),
        storage={
            table.name: storage_of(table.readable(schema), table.columns, table.renamed)
        },
        left_out=left_out_of(table.name, schema),
    )


_AT_ONCE = 128  # fields that are scanned together
_SHORT_GROUP = 1 << 14  # rows of groups for which that takes little memory


@dataclass(frozen=True)
class _Leaf:
    """A column and the way to its values.

    Attributes:
        column: The column, without its hidden counter.
        field: Field of the file.
        fields: Members of records within it.
        has_missing: A value is missing somewhere in the file, so that the type of all values is an
            option.
        lengths: Digest of the lengths of its lists; empty for other columns.
    """

    column: Column
    field: str
    fields: tuple[str, ...] = ()
    has_missing: bool = False
    lengths: bytes = b""

    def pick(self, arrays: Mapping[str, ak.Array]) -> ak.Array:
        values = arrays[self.field]
        for name in self.fields:
            values = values[name]
        return values


class _Scan(NamedTuple):
    """A column in a part of the file."""

    fields: tuple[str, ...]
    kind: tuple[str, tuple[int, ...], bool]
    has_options: bool
    lengths: bytes


class ParquetTable:
    """The table of a Parquet file, read by ranges; it is a `TableSource`.

    Attributes:
        name: The table's name.
        refused: Columns that cannot be read, with the reason; none in a file that was written here.
    """

    def __init__(self, path: str, file: Any) -> None:
        self._path = path
        self._file = file
        self._schema = file.schema_arrow  # pyarrow converts it at each access
        groups = range(file.metadata.num_row_groups)
        self._groups = [file.metadata.row_group(i).num_rows for i in groups]
        self._ends = list(accumulate(self._groups))
        self._written = self._description()
        self.name: str = self._written["name"] if self._written else TABLE_NAME
        self.refused: dict[str, str] = {}
        self._ahead: list[Any] = []
        self._leaves = self._written_leaves() if self.is_described else self._scanned_leaves()

    @property
    def is_described(self) -> bool:
        """Return whether the file has the columns in its metadata, since it was written here."""
        return self._written is not None

    @property
    def num_entries(self) -> int:
        """Return the rows of all groups; some writers leave the number in the footer at 0."""
        if self._written is not None and not self._schema.names:
            return int(self._written["num_entries"])
        return sum(self._groups)

    def readable(self, schema: Any) -> Any:
        """Return a schema without the fields that are refused."""
        fields = [field for field in schema if field.name not in self.refused]
        return pa.schema(fields, metadata=schema.metadata)

    @property
    def renamed(self) -> dict[str, tuple[str, ...]]:
        """Return the path in the file of each column that has another name than usual."""
        paths = {name: (leaf.field, *leaf.fields) for name, leaf in self._leaves.items()}
        return {name: path for name, path in paths.items() if name != "_".join(path)}

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the schema."""
        if self._written is not None:
            return tuple(Column.from_json(c) for c in self._written["columns"])
        columns: list[Column] = []
        counters: dict[bytes, str] = {}
        for leaf in self._leaves.values():
            if not leaf.lengths:
                columns.append(leaf.column)
                continue
            if leaf.lengths not in counters:
                counters[leaf.lengths] = unused(f"n({leaf.column.name})", self._leaves)
                columns.append(
                    Column(counters[leaf.lengths], "int64", "counter", hidden=True)
                )
            columns.append(replace(leaf.column, counter=counters[leaf.lengths]))
        return tuple(columns)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of some columns, from the row groups that have them.

        Raises:
            Corrupt: The file's bytes are damaged, or a counter does not agree with what it counts.
        """
        stop = max(0, min(stop, self.num_entries))
        start = min(max(0, start), stop)
        read = with_counters(self.columns, columns)
        shown = [c for c in read if not c.hidden]
        counted = {c.counter: c for c in reversed(self.columns) if c.counter is not None}
        counting = {c.name: self._leaves[counted[c.name].name] for c in read if c.hidden}
        picked = [self._leaves[c.name] for c in shown] + list(counting.values())
        arrays = self._fetch(list(dict.fromkeys(leaf.field for leaf in picked)), start, stop)
        data = {name: _counts(leaf.pick(arrays)) for name, leaf in counting.items()}
        data |= {c.name: _content(c, self._leaves[c.name], arrays) for c in shown}
        for column in shown:
            if not column.counter:
                continue
            lengths = _counts(self._leaves[column.name].pick(arrays))
            if not np.array_equal(lengths, data[column.counter]):
                what = f"column {column.name!r} has other lengths than {column.counter!r}"
                raise Corrupt(f"{self._path}: {what}; fetch it again")
        return Table(self.name, read, stop - start, data)

    def _fetch(self, fields: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Return the fields as awkward arrays, from the row groups that overlap the range."""
        first = [0, *self._ends]
        groups = [i for i, end in enumerate(self._ends) if first[i] < stop and end > start]
        if not fields or not groups:
            kinds = {name: self._schema.field(name).type for name in fields}
            return {name: from_arrow(no_values(kind)) for name, kind in kinds.items()}
        try:
            table = self._file.read_row_groups(
                groups, columns=list(fields), use_threads=False
            )
        except MemoryError:  # one of Arrow's exceptions is one
            raise
        except (pa.ArrowException, OSError):
            what = f"events {start} to {stop} are damaged; fetch the file again"
            raise Corrupt(f"{self._path}: {what}{self._culprit(groups, fields)}") from None
        # awkward takes the null bits of a sliced Arrow array from its beginning, so slice after
        events = slice(start - first[groups[0]], stop - first[groups[0]])
        return {name: from_arrow(to_plain(table.column(name)))[events] for name in fields}

    def _culprit(self, groups: Sequence[int], fields: Sequence[str]) -> str:
        """Return words on the first of the columns that cannot be read."""
        for name in fields:
            try:
                self._file.read_row_groups(groups, columns=[name], use_threads=False)
            except ARROW_FAILURES as error:
                return f" (column {name!r}: {first_line(error)})"
        return ""

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

    def _written_leaves(self) -> dict[str, _Leaf]:
        options = set(self._written["options"]) if self._written else set()
        return {
            c.name: _Leaf(c, c.name, (), c.name in options)
            for c in self.columns
            if not c.hidden
        }

    def _scanned_leaves(self) -> dict[str, _Leaf]:
        """Return the columns of a file of other origin; add others to `refused`."""
        scanned: dict[str, _Leaf] = {}
        counts = Counter(self._schema.names)
        for i, field in enumerate(self._schema.names):
            if i % _AT_ONCE == 0:
                self._read_ahead(range(i, min(i + _AT_ONCE, len(self._schema))), counts)
            try:
                if counts[field] > 1:
                    raise NoColumnError(
                        f"the name stands for {counts[field]} columns; rename all but one"
                    )
                if not field:
                    raise NoColumnError("it has no name; give it one")
                leaves = self._scan(i)
            except NoColumnError as error:
                self.refused[field] = str(error)
                continue
            for name, leaf in leaves.items():
                if name in scanned:
                    taken = scanned.keys() | set(self._schema.names)
                    name = unused(name, taken, numbered=True)  # noqa: PLW2901
                scanned[name] = replace(leaf, column=replace(leaf.column, name=name))
        self._ahead = []
        return scanned

    def _read_ahead(self, indices: Sequence[int], counts: Mapping[str, int]) -> None:
        """Read fields that have to be scanned, unless that fails: then they are read one by one."""
        self._ahead = []
        fields = [self._schema.field(i) for i in indices]
        names = [
            field.name
            for field in fields
            if field.name and counts[field.name] == 1 and self._has_to_be_read(field)
        ]
        if len(names) < 2 or max(self._groups, default=0) > _SHORT_GROUP:
            return
        try:
            for i in range(len(self._groups)):
                self._ahead.append(
                    self._file.read_row_group(i, columns=names, use_threads=False)
                )
        except ARROW_FAILURES:
            self._ahead = []

    def _has_to_be_read(self, arrow: Any) -> bool:
        """Return whether the schema of a field depends on its values."""
        try:
            is_flat = plain_type(arrow.type).num_fields == 0
        except NoColumnError:
            return False
        return not (is_flat and (not arrow.nullable or self._has_no_nulls(arrow.name)))

    def _scan(self, index: int) -> dict[str, _Leaf]:
        """Return the columns of a field, opaque where row groups differ in type.

        Raises:
            NoColumnError: The field cannot be read.
        """
        arrow = self._schema.field(index)
        plain_type(arrow.type)  # raises where there is none
        self._check_codecs(arrow.name)
        try:
            pieces = list(self._pieces(arrow))
        except (Corrupt, *ARROW_FAILURES) as error:
            reason = first_line(error)
            if isinstance(error, Corrupt):  # its message names the events and not the cause
                culprit = self._culprit(range(len(self._groups)), [arrow.name])
                reason = culprit.partition(": ")[2].removesuffix(")") or "damaged"
            raise NoColumnError(f"its values cannot be read ({reason})") from None
        return self._leaves_of(arrow.name, pieces)

    def _leaves_of(self, field: str, pieces: Sequence[ak.Array]) -> dict[str, _Leaf]:
        # awkward gives each row group a type of its own: an option only where a value is missing,
        # and no type where all lists are empty
        scans: list[dict[str, _Scan]] = []
        for piece in pieces:
            scan: dict[str, _Scan] = {}
            for usual, fields, values in leaves(field, piece):
                kind = kind_of(values)
                lengths = _counts(values).tobytes() if kind[2] else b""
                name = unused(usual, scan, numbered=True)
                scan[name] = _Scan(fields, kind, has_options(values), lengths)
            scans.append(scan)
        if any(
            scan.keys() != scans[0].keys() for scan in scans
        ):  # a record is missing in one
            return {field: _Leaf(Column(field, OPAQUE), field, (), True)}
        columns: dict[str, _Leaf] = {}
        for name, first in scans[0].items():
            same = all(scan[name].kind == first.kind for scan in scans)
            dtype, shape, is_counted = first.kind if same else (OPAQUE, (), False)
            lengths = b""
            if is_counted:
                whole = b"".join(scan[name].lengths for scan in scans)
                lengths = hashlib.blake2b(whole).digest()
            role = "value" if dtype == OPAQUE else infer_role(name, dtype)
            has_missing = dtype == OPAQUE and any(scan[name].has_options for scan in scans)
            column = Column(name, dtype, role, shape=shape)
            columns[name] = _Leaf(column, field, first.fields, has_missing, lengths)
        return columns

    def _pieces(self, arrow: Any) -> Iterator[ak.Array]:
        """Yield the field's values by row groups; none where the schema does not need them."""
        if not self._groups or not self._has_to_be_read(arrow):
            yield from_arrow(no_values(arrow.type))
            return
        if self._ahead and arrow.name in self._ahead[0].column_names:
            yield from (
                from_arrow(to_plain(group.column(arrow.name))) for group in self._ahead
            )
            return
        for end, rows in zip(self._ends, self._groups, strict=True):
            yield self._fetch([arrow.name], end - rows, end)[arrow.name]

    def _check_codecs(self, field: str) -> None:
        """Raise where a part of the field is packed in a way that pyarrow cannot undo."""
        try:
            codecs = {
                self._file.metadata.row_group(group).column(i).compression
                for i in self._indices.get(field, ())
                for group in range(len(self._groups))
            }
        except ARROW_FAILURES as error:
            raise NoColumnError(f"its values cannot be read ({first_line(error)})") from None
        for name in codecs - {"UNCOMPRESSED"}:
            codec = {"LZ4": "lz4_raw"}.get(name, name.lower())
            if name == "LZO" or not pa.Codec.is_available(codec):
                raise NoColumnError(
                    f"its codec {name} is not at hand; write the file again with zstd"
                )

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        """Return the indices of chunks by the beginnings of their paths, whole paths first."""
        indices: dict[str, list[int]] = {}
        paths = [self._file.schema.column(i).path for i in range(len(self._file.schema))]
        for i, path in enumerate(paths):
            indices.setdefault(path, []).append(i)
        for i, path in enumerate(paths):
            for dot in re.finditer(r"[.]", path):
                indices.setdefault(path[: dot.start()], []).append(i)
        return indices

    def _has_no_nulls(self, field: str) -> bool:
        index = self._indices[field][0]
        chunks = (
            self._file.metadata.row_group(i).column(index).statistics
            for i in range(len(self._groups))
        )
        return all(s is not None and s.has_null_count and s.null_count == 0 for s in chunks)


def _counts(values: ak.Array) -> Array:
    return np.asarray(ak.to_numpy(ak.fill_none(ak.num(values, axis=1), 0)), dtype=np.int64)


def _content(column: Column, leaf: _Leaf, arrays: Mapping[str, ak.Array]) -> Any:
    values = leaf.pick(arrays)
    if leaf.has_missing:
        return ak.to_packed(values)
    values = without_idle_options(values)
    if column.is_opaque:
        return values
    flat = ak.flatten(values) if column.counter is not None else values
    return np.ascontiguousarray(ak.to_numpy(flat), dtype=np.dtype(column.dtype))
