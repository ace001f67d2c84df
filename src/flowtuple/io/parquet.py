"""Apache Parquet: one table, read by row groups.

A file written here keeps the schema (counters, roles, titles) as JSON in its metadata under `flowtuple`; files of other
origin are looked through once, column by column, for missing values and for lists of equal lengths. A column that cannot be
read is refused by its name, and the others are not touched by that.
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
from typing import Any

import awkward as ak
import numpy as np

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
from flowtuple.io.parquet_writer import VERSION, from_arrow, has_options, write_dataset
from flowtuple.runtime.extras import require

__all__ = ["open_dataset", "write_dataset"]


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """The columns of a Parquet file as one table, `events` or the name it was written under.

    Args:
        path: A path or URL.
        options: Of no effect here, since Parquet columns have names.

    Raises:
        InvalidArgument: The file is no Parquet, or its end is missing.
        MissingExtra: pyarrow is not installed.
        TooNew: A later version of flowtuple wrote it.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "jets.parquet"
        >>> ak.to_parquet(ak.Array([{"Jet_pt": [50.0, 20.0]}, {"Jet_pt": []}]), path) is not None
        True
        >>> open_dataset(str(path), ReadOptions()).table("events").read(["Jet_pt"], 0, 1)["Jet_pt"].tolist()
        [50.0, 20.0]
    """
    require("pyarrow", "parquet", f"reading {path}")
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(seekable(path))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (pa.ArrowException, OSError) as error:
        if "encrypt" in str(error):
            raise InvalidArgument(
                f"{path}: is encrypted; write it again without encryption"
            ) from None
        raise InvalidArgument(
            f"{path}: is not a Parquet file, or is cut short ({first_line(error)}); fetch it again"
        ) from None
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
        storage={table.name: storage_of(table.readable(schema), table.columns, table.renamed)},
        left_out=left_out_of(table.name, schema),
    )


_AT_ONCE = 128  # fields that are looked through together
_SHORT_GROUP = 1 << 14  # rows of groups for which that takes little memory


@dataclass(frozen=True)
class _Leaf:
    """A column and the way to its values; `keeps_options` where a value is missing somewhere in the file."""

    column: Column
    field: str
    fields: tuple[str, ...] = ()
    keeps_options: bool = False
    lengths: bytes = b""

    def pick(self, arrays: Mapping[str, ak.Array]) -> ak.Array:
        values = arrays[self.field]
        for name in self.fields:
            values = values[name]
        return values


class ParquetTable:
    """The table of a Parquet file, read by ranges; it is a `TableSource`.

    Attributes:
        name: The table's name.
        refused: Columns that cannot be read, with the reason; none in a file that was written here.
    """

    def __init__(self, path: str, file: Any) -> None:
        self._path = path
        self._file = file
        self._schema = file.schema_arrow  # made anew whenever it is asked
        self._groups = [
            file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)
        ]
        self._ends = list(accumulate(self._groups))
        self._written = self._description()
        self.name: str = self._written["name"] if self._written else TABLE_NAME
        self.refused: dict[str, str] = {}
        self._ahead: list[Any] = []
        self._leaves = self._written_leaves() if self._written is not None else self._found_leaves()

    @property
    def is_described(self) -> bool:
        """Whether the file says what its columns are, since it was written here."""
        return self._written is not None

    @property
    def num_entries(self) -> int:
        """Rows of the groups, which hold them; some writers leave the number in the footer at 0."""
        if self._written is not None and not self._schema.names:
            return int(self._written["num_entries"])
        return sum(self._groups)

    def readable(self, schema: Any) -> Any:
        """A schema without the fields that are refused."""
        for i, name in reversed(list(enumerate(schema.names))):
            if name in self.refused:
                schema = schema.remove(i)
        return schema

    @property
    def renamed(self) -> dict[str, tuple[str, ...]]:
        """The fields, and members of records, whose names were taken, by the names of their columns."""
        paths = {name: (leaf.field, *leaf.fields) for name, leaf in self._leaves.items()}
        return {name: path for name, path in paths.items() if name != "_".join(path)}

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The schema; in a file of other origin, lists and values that may be missing are looked through once."""
        if self._written is not None:
            return tuple(Column.from_json(c) for c in self._written["columns"])
        columns: list[Column] = []
        hidden: dict[bytes, str] = {}
        for leaf in self._leaves.values():
            column = leaf.column
            if leaf.lengths:
                if leaf.lengths not in hidden:
                    hidden[leaf.lengths] = unused(f"n({column.name})", self._leaves)
                    columns.append(Column(hidden[leaf.lengths], "int64", "counter", hidden=True))
                column = replace(column, counter=hidden[leaf.lengths])
            columns.append(column)
        return tuple(columns)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns; only the row groups and columns that hold them are read.

        Raises:
            Corrupt: The file's bytes are damaged, or a counter does not agree with what it counts.
        """
        stop = max(0, min(stop, self.num_entries))
        start = min(max(0, start), stop)
        kept = with_counters(self.columns, columns)
        shown = [c for c in kept if not c.hidden]
        counted = {c.counter: c for c in reversed(self.columns) if c.counter is not None}
        counting = {c.name: self._leaves[counted[c.name].name] for c in kept if c.hidden}
        picked = [self._leaves[c.name] for c in shown] + list(counting.values())
        arrays = self._fetch(list(dict.fromkeys(leaf.field for leaf in picked)), start, stop)
        data = {name: _counts(leaf.pick(arrays)) for name, leaf in counting.items()}
        data |= {c.name: _content(c, self._leaves[c.name], arrays) for c in shown}
        for column in shown:
            if column.counter and not np.array_equal(
                _counts(self._leaves[column.name].pick(arrays)), data[column.counter]
            ):
                raise Corrupt(
                    f"{self._path}: column {column.name!r} has other lengths than {column.counter!r}; fetch it again"
                )
        return Table(self.name, kept, stop - start, data)

    def _fetch(self, fields: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """The fields as awkward arrays, from the row groups that overlap the range."""
        import pyarrow as pa

        first = [end - rows for end, rows in zip(self._ends, self._groups, strict=True)]
        groups = [i for i, end in enumerate(self._ends) if first[i] < stop and end > start]
        if not fields or not groups:
            schema = self._schema
            return {name: from_arrow(no_values(schema.field(name).type)) for name in fields}
        try:
            table = self._file.read_row_groups(groups, columns=list(fields), use_threads=False)
        except MemoryError:  # one of Arrow's exceptions is one
            raise
        except (pa.ArrowException, OSError):
            raise Corrupt(
                f"{self._path}: events {start} to {stop} are damaged; fetch the file again{self._culprit(groups, fields)}"
            ) from None
        begin = first[
            groups[0]
        ]  # awkward takes the null bits of a sliced Arrow array from its beginning, so slice after
        return {
            name: from_arrow(to_plain(table.column(name)))[start - begin : stop - begin]
            for name in fields
        }

    def _culprit(self, groups: Sequence[int], fields: Sequence[str]) -> str:
        """Which of several columns cannot be read, in words."""
        for name in fields:
            try:
                self._file.read_row_groups(groups, columns=[name], use_threads=False)
            except ARROW_FAILURES as error:
                return f" (column {name!r}: {first_line(error)})"
        return ""

    def _description(self) -> dict[str, Any] | None:
        """The schema in the file's metadata, where it still is the file's schema."""
        text = (self._schema.metadata or {}).get(METADATA_KEY)
        if text is None:
            return None
        try:
            found: dict[str, Any] = json.loads(text)
            if found["version"] > VERSION:
                raise TooNew(
                    f"{self._path}: written as version {found['version']} of flowtuple's Parquet; update flowtuple"
                )
            shown = [c["name"] for c in found["columns"] if not c.get("hidden")]
        except (ValueError, KeyError, TypeError):
            return None
        return found if shown == self._schema.names else None

    def _written_leaves(self) -> dict[str, _Leaf]:
        options = set(self._written["options"]) if self._written else set()
        return {
            c.name: _Leaf(c, c.name, (), c.name in options) for c in self.columns if not c.hidden
        }

    def _found_leaves(self) -> dict[str, _Leaf]:
        """The columns of a file of other origin; `refused` gets those that cannot be read."""
        found: dict[str, _Leaf] = {}
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
                leaves = self._look_through(i)
            except NoColumnError as error:
                self.refused[field] = str(error)
                continue
            for name, leaf in leaves.items():
                free = (
                    unused(name, found.keys() | set(self._schema.names), numbered=True)
                    if name in found
                    else name
                )
                found[free] = replace(leaf, column=replace(leaf.column, name=free))
        self._ahead = []
        return found

    def _read_ahead(self, indices: Sequence[int], counts: Mapping[str, int]) -> None:
        """Read the fields that have to be looked through, many of a wide file at once; failures are met field by field."""
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
            self._ahead = [
                self._file.read_row_group(i, columns=names, use_threads=False)
                for i in range(len(self._groups))
            ]
        except ARROW_FAILURES:
            self._ahead = []

    def _has_to_be_read(self, arrow: Any) -> bool:
        """Whether types and statistics do not tell enough of a field."""
        try:
            is_flat = plain_type(arrow.type).num_fields == 0
        except NoColumnError:
            return False
        return not (is_flat and (not arrow.nullable or self._has_no_nulls(arrow.name)))

    def _look_through(self, index: int) -> dict[str, _Leaf]:
        """The columns of one field. Row groups may differ in what is missing, and then the column is opaque.

        Raises:
            NoColumnError: The field cannot be read.
        """
        arrow = self._schema.field(index)
        plain_type(arrow.type)  # raises where there is none
        self._check_codecs(arrow.name)
        try:
            pieces = list(self._pieces(arrow))
        except (Corrupt, *ARROW_FAILURES) as error:
            raise NoColumnError(
                f"its values cannot be read ({self._why(arrow.name, error)})"
            ) from None
        return self._leaves_of(arrow.name, pieces)

    def _leaves_of(self, field: str, pieces: Sequence[ak.Array]) -> dict[str, _Leaf]:
        seen: list[
            dict[str, tuple[tuple[str, ...], tuple[str, tuple[int, ...], bool], bool, bytes]]
        ] = []
        for piece in pieces:
            seen.append({})
            for usual, fields, values in leaves(field, piece):
                name = unused(usual, seen[-1], numbered=True)
                kind = kind_of(values)
                seen[-1][name] = (
                    fields,
                    kind,
                    has_options(values),
                    _counts(values).tobytes() if kind[2] else b"",
                )
        if any(
            piece.keys() != seen[0].keys() for piece in seen
        ):  # a record is missing in one of them
            return {field: _Leaf(Column(field, OPAQUE), field, (), True)}
        found: dict[str, _Leaf] = {}
        for name, (fields, kind, _, _) in seen[0].items():
            same = all(piece[name][1] == kind for piece in seen)
            dtype, shape, is_counted = kind if same else (OPAQUE, (), False)
            digest = hashlib.blake2b()
            for piece in seen if is_counted else ():
                digest.update(piece[name][3])
            column = Column(
                name, dtype, "value" if dtype == OPAQUE else infer_role(name, dtype), shape=shape
            )
            keeps = dtype == OPAQUE and any(piece[name][2] for piece in seen)
            found[name] = _Leaf(
                column, field, fields, keeps, digest.digest() if is_counted else b""
            )
        return found

    def _pieces(self, arrow: Any) -> Iterator[ak.Array]:
        """The field's values by row groups; none at all where types and statistics tell enough."""
        if not self._groups or not self._has_to_be_read(arrow):
            yield from_arrow(no_values(arrow.type))
            return
        if self._ahead and arrow.name in self._ahead[0].column_names:
            yield from (from_arrow(to_plain(group.column(arrow.name))) for group in self._ahead)
            return
        for end, rows in zip(self._ends, self._groups, strict=True):
            yield self._fetch([arrow.name], end - rows, end)[arrow.name]

    def _why(self, field: str, error: BaseException) -> str:
        """The cause of a failure in a few words; a read that fails is done again to hear it."""
        if isinstance(error, Corrupt):
            return (
                self._culprit(range(len(self._groups)), [field])
                .partition(": ")[2]
                .removesuffix(")")
                or "damaged"
            )
        return first_line(error)

    def _check_codecs(self, field: str) -> None:
        """Raise where a part of the field is packed in a way that pyarrow cannot undo."""
        import pyarrow as pa

        try:
            chunks = {
                self._file.metadata.row_group(g).column(i).compression
                for g, i in self._chunks(field)
            }
        except ARROW_FAILURES as error:
            raise NoColumnError(f"its values cannot be read ({first_line(error)})") from None
        for name in chunks - {"UNCOMPRESSED"}:
            codec = {"LZ4": "lz4_raw"}.get(name, name.lower())
            if name == "LZO" or not pa.Codec.is_available(codec):
                raise NoColumnError(
                    f"its codec {name} is not at hand; write the file again with zstd"
                )

    def _chunks(self, field: str) -> Iterator[tuple[int, int]]:
        """Row groups and indices of the chunks that hold the field."""
        for i in self._indices.get(field, ()):
            yield from ((group, i) for group in range(len(self._groups)))

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        """Indices of the chunks by the dotted beginnings of their paths, whole paths first."""
        found: dict[str, list[int]] = {}
        paths = [self._file.schema.column(i).path for i in range(len(self._file.schema))]
        for i, path in enumerate(paths):
            found.setdefault(path, []).append(i)
        for i, path in enumerate(paths):
            for end in (match.start() for match in re.finditer(r"[.]", path)):
                found.setdefault(path[:end], []).append(i)
        return found

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
    if leaf.keeps_options:
        return ak.to_packed(values)
    values = without_idle_options(values)
    if column.is_opaque:
        return values
    flat = ak.flatten(values) if column.counter is not None else values
    return np.ascontiguousarray(ak.to_numpy(flat), dtype=np.dtype(column.dtype))
