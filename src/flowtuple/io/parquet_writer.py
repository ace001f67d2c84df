"""One table as Apache Parquet, `step` events a row group, its schema in the metadata."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from flowtuple.data.awkward import indexed_options, same_values, without_idle_options
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table, TableSource, ranges, read_all
from flowtuple.errors import Unsupported, first_line
from flowtuple.io.changes import Capabilities, write_result
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.parquet_types import (
    ARROW_FAILURES,
    METADATA_KEY,
    FieldNames,
    assembled,
    column_type,
    columns_of_field,
    stored_schema,
)
from flowtuple.io.source import leave_out, single_table

VERSION = 1

_Opaque: TypeAlias = tuple[ak.Array, Any]
"""An opaque column as awkward and as Arrow array."""


def from_arrow(column: Any) -> ak.Array:
    """Return an Arrow array or chunked array as awkward."""
    return ak.from_arrow(pa.table({"x": column}))["x"]


def has_options(values: ak.Array) -> bool:
    """Return whether a type allows missing values anywhere.

    Example:
        >>> has_options(ak.Array([[1, None]])), has_options(ak.Array([[1]]))
        (True, False)
    """
    return re.search(r"[?]|\boption\[", str(values.type)) is not None


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write one table, `options.step` events a row group; opaque columns too.

    Columns of a Parquet file of other origin come back in its own types, such as records, lists of
    records and decimals. Other tables put their schema into the file's metadata, so that counters
    stay what they are.

    Args:
        dataset: One table.
        path: The file to make; one that exists is overwritten.
        options: Row-group size, and whether to leave out what Parquet cannot hold.

    Raises:
        Unsupported: There are several tables, carried objects, or a column that Parquet has no type
            for.
    """
    source, left_out = single_table(dataset, options, "Parquet")
    opaque, refused = _opaque_arrays(source)
    reasons = {f"{source.name}/{name}": reason for name, reason in refused.items()}
    left_out = (*leave_out(dataset, reasons, "as Parquet", options), *left_out)
    columns = tuple(c for c in source.columns if c.name not in refused)
    storage = dataset.storage.get(source.name, {})
    schema = stored_schema(storage, columns)
    if schema is None:
        form = _described_form(source, columns, opaque)
    else:
        none = _arrow_arrays(columns, source.read(_plain_names(columns), 0, 0), opaque, 0, 0)
        form = _original_form(schema, FieldNames.of(schema, storage), none)
    repeating = [
        c.name for c in columns if not (c.hidden or c.is_float or c.counter or c.shape)
    ]
    with parquet.ParquetWriter(
        path, form.schema, compression="zstd", use_dictionary=repeating
    ) as writer:
        for start, stop in ranges(source.num_entries, options.step):
            table = source.read(_plain_names(columns), start, stop)
            arrays = _arrow_arrays(columns, table, opaque, start, stop)
            fields = form.arrays(arrays, dataset.description)
            rows = (
                pa.Table.from_arrays(fields, schema=form.schema)
                if fields
                else pa.table({}, schema=form.schema)
            )
            writer.write_table(rows, row_group_size=options.step)
    described = {source.name: columns} if schema is None else {}
    return write_result(dataset, described, Capabilities("Parquet"), left_out)


def _plain_names(columns: Sequence[Column]) -> list[str]:
    return [c.name for c in columns if not c.is_opaque]


@dataclass(frozen=True)
class _Form:
    """The fields of the file.

    Attributes:
        schema: Its Arrow schema.
        typed: Fields in the types of the input, which may be made of several columns.
        names: Columns of the fields.
    """

    schema: Any
    typed: frozenset[str] = frozenset()
    names: FieldNames = dataclasses.field(default_factory=FieldNames)

    def arrays(self, columns: Mapping[str, Any], description: str) -> list[Any]:
        """Return the fields' arrays from those of the columns.

        Raises:
            Unsupported: A value does not fit the type that its column had.
        """
        arrays = []
        for field in self.schema:
            if field.name not in self.typed:
                arrays.append(columns[field.name])
                continue
            try:
                arrays.append(assembled((field.name,), field.type, columns, self.names))
            except ARROW_FAILURES as error:
                what = f"column {field.name!r} cannot be {field.type} again ({first_line(error)})"
                advice = "write .npz, or leave it out with `exclude=`"
                raise Unsupported(f"{description}: {what}; {advice}") from None
        return arrays


def _described_form(
    source: TableSource, columns: Sequence[Column], opaque: Mapping[str, _Opaque]
) -> _Form:
    """Return the columns as fields, with the schema in the metadata."""
    optional = [
        name
        for name, (values, _) in opaque.items()
        if has_options(without_idle_options(values))
    ]
    description = {
        "version": VERSION,
        "name": source.name,
        "num_entries": source.num_entries,
        "options": optional,
        "columns": [c.to_json() for c in columns],
    }
    fields = []
    for column in columns:
        if not column.hidden:
            kind = _arrow_type(column, opaque)
            is_nullable = column.name in optional or pa.types.is_null(kind)
            fields.append(pa.field(column.name, kind, is_nullable))
    return _Form(pa.schema(fields, metadata={METADATA_KEY: json.dumps(description)}))


def _original_form(schema: Any, names: FieldNames, columns: Mapping[str, Any]) -> _Form:
    """Return the fields of the input whose columns are all there, and the other columns."""
    fields: list[Any] = []
    typed: list[str] = []
    used: set[str] = set()
    for field in schema:
        try:
            whole = assembled((field.name,), field.type, columns, names)
        except ARROW_FAILURES:
            whole = None
        needed = columns_of_field((field.name,), field.type, columns, names)
        used.update(needed)
        if whole is None:
            fields += [pa.field(name, columns[name].type) for name in needed]
        else:
            fields.append(field)
            typed.append(field.name)
    fields += [
        pa.field(name, array.type) for name, array in columns.items() if name not in used
    ]
    return _Form(pa.schema(fields, metadata=schema.metadata or None), frozenset(typed), names)


def _opaque_arrays(source: TableSource) -> tuple[dict[str, _Opaque], dict[str, str]]:
    """Return opaque columns as arrays, and reasons by column where Parquet cannot hold one."""
    table = read_all(source, [c.name for c in source.columns if c.is_opaque])
    arrays: dict[str, _Opaque] = {}
    refused: dict[str, str] = {}
    for column in source.columns:
        if 0 in column.shape:
            refused[column.name] = "Parquet has no arrays of length 0"
        if not column.is_opaque:
            continue
        values = table[column.name]
        arrow = _opaque_arrow(values)
        if arrow is None:
            refused[column.name] = f"Parquet has no such type: {ak.type(values).content}"
        else:
            arrays[column.name] = (values, arrow)
    return arrays, refused


def _opaque_arrow(values: ak.Array) -> Any:
    """Return an Arrow array that becomes the same values again; `None` without such a type."""
    values = indexed_options(values)
    try:
        array = ak.to_arrow(values, extensionarray=False)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        with parquet.ParquetWriter(pa.BufferOutputStream(), pa.schema([("x", array.type)])):
            pass
        back = without_idle_options(indexed_options(from_arrow(array)))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (pa.ArrowException, TypeError, ValueError, IndexError, NotImplementedError):
        return None
    return array if same_values(back, without_idle_options(values)) else None


def _arrow_type(column: Column, opaque: Mapping[str, _Opaque]) -> Any:
    return opaque[column.name][1].type if column.is_opaque else column_type(column, False)


def _arrow_arrays(
    columns: Sequence[Column],
    table: Table,
    opaque: Mapping[str, _Opaque],
    start: int,
    stop: int,
) -> dict[str, Any]:
    """Return the columns of events `start` to `stop` as Arrow arrays; lists know their lengths."""
    arrays = {}
    for column in columns:
        if column.is_opaque:
            arrays[column.name] = opaque[column.name][1].slice(start, stop - start)
        elif not column.hidden:
            arrays[column.name] = _arrow_array(column, table)
    return arrays


def _arrow_array(column: Column, table: Table) -> Any:
    kind = column_type(column, False)
    content = table[column.name]
    if column.counter is not None:
        offsets = pa.array(table.offsets(column.counter).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(content), type=kind)
    array = pa.array(content.reshape(-1))
    nested = [kind]
    while nested[-1] != array.type:
        nested.append(nested[-1].value_type)
    # from the innermost arrays outwards
    for inner in reversed(nested[:-1]):
        array = pa.FixedSizeListArray.from_arrays(array, type=inner)
    return array
