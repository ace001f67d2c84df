"""One table as Apache Parquet, `step` events a row group, its schema in the metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    assembled,
    column_names,
    column_type,
    columns_of_field,
    stored_schema,
)
from flowtuple.io.source import leave_out, single_table
from flowtuple.runtime.lazy_packages import awkward as ak

VERSION = 1


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
    plain = [c.name for c in columns if not c.is_opaque]
    storage = dataset.storage.get(source.name, {})
    schema = stored_schema(storage, columns)
    described = {source.name: columns} if schema is None else {}
    names: dict[tuple[str, ...], str] = {}
    whole: list[str] = []
    fields: dict[str, Sequence[str]] = {}
    if schema is None:
        schema = _described_schema(source, columns, opaque)
    else:
        names = column_names(schema, storage)
        none = _arrow_arrays(columns, source.read(plain, 0, 0), opaque, 0)
        schema, whole = _original_schema(schema, names, none)
        fields = {
            name: columns_of_field((name,), schema.field(name).type, none, names)
            for name in whole
        }
    moved = dataset.quantization.get(source.name, {})
    schema = _with_quantization(schema, fields, moved)
    repeating = [
        c.name for c in columns if not (c.hidden or c.is_float or c.counter or c.shape)
    ]
    with parquet.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=repeating
    ) as writer:
        for start, stop in ranges(source.num_entries, options.step):
            arrays = _arrow_arrays(
                columns, source.read(plain, start, stop), opaque, start
            )
            typed = {
                name: _typed(schema.field(name), arrays, names, dataset.description)
                for name in whole
            }
            rows = pa.table(arrays | typed, schema=schema)
            writer.write_table(rows, row_group_size=options.step)
    return write_result(dataset, described, Capabilities("Parquet"), left_out)


def _typed(
    field: Any,
    columns: Mapping[str, Any],
    names: Mapping[tuple[str, ...], str],
    description: str,
) -> Any:
    """Return the array of a field in the type of the input, perhaps from several columns.

    Raises:
        Unsupported: A value does not fit the type that its column had.
    """
    try:
        return assembled((field.name,), field.type, columns, names)
    except ARROW_FAILURES as error:
        what = f"column {field.name!r} cannot be {field.type} again ({first_line(error)})"
        advice = "write .npz, or leave it out with `exclude=`"
        raise Unsupported(f"{description}: {what}; {advice}") from None


def _described_schema(
    source: TableSource, columns: Sequence[Column], opaque: Mapping[str, Any]
) -> Any:
    """Return the columns as fields, with their schema in the metadata."""
    fields = []
    optional = []
    for column in columns:
        kind = (
            opaque[column.name].type if column.is_opaque else column_type(column, False)
        )
        if column.is_opaque and has_options(
            without_idle_options(from_arrow(opaque[column.name]))
        ):
            optional.append(column.name)
        if not column.hidden:
            is_nullable = column.name in optional or pa.types.is_null(kind)
            fields.append(pa.field(column.name, kind, is_nullable))
    description = {
        "version": VERSION,
        "name": source.name,
        "num_entries": source.num_entries,
        "options": optional,
        "columns": [c.to_json() for c in columns],
    }
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(description)})


def _original_schema(
    schema: Any, names: Mapping[tuple[str, ...], str], columns: Mapping[str, Any]
) -> tuple[Any, list[str]]:
    """Return the fields of the input whose columns are all there, and the other columns.

    The names of the former come with them.
    """
    fields: list[Any] = []
    whole: list[str] = []
    others = dict(columns)
    for field in schema:
        needed = columns_of_field((field.name,), field.type, columns, names)
        parts = {name: others.pop(name, columns[name]) for name in needed}
        try:
            is_whole = assembled((field.name,), field.type, columns, names) is not None
        except ARROW_FAILURES:
            is_whole = False
        if is_whole:
            fields.append(field)
            whole.append(field.name)
        else:
            fields += [pa.field(name, array.type) for name, array in parts.items()]
    fields += [pa.field(name, array.type) for name, array in others.items()]
    return pa.schema(fields, metadata=schema.metadata or None), whole


def _with_quantization(
    schema: Any,
    fields: Mapping[str, Sequence[str]],
    moved: Mapping[str, Mapping[str, Any]],
) -> Any:
    """Return a schema whose fields say in their metadata how their values were moved.

    Args:
        schema: The schema.
        fields: Columns by field, for fields that are not a column of their own name.
        moved: Attributes by column; where a field has several columns, its metadata has them as
            JSON.
    """
    for place, field in enumerate(schema):
        names = fields.get(field.name, [field.name])
        about = {name: moved[name] for name in names if name in moved}
        if not about:
            continue
        metadata = {"quantization": json.dumps(about)}
        if len(names) == 1:
            (attributes,) = about.values()
            metadata = {key: str(value) for key, value in attributes.items()}
        before = {key.decode(): text for key, text in (field.metadata or {}).items()}
        schema = schema.set(place, field.with_metadata({**before, **metadata}))
    return schema


def _opaque_arrays(source: TableSource) -> tuple[dict[str, Any], dict[str, str]]:
    """Return opaque columns as arrays, and reasons by column where Parquet cannot hold one."""
    table = read_all(source, [c.name for c in source.columns if c.is_opaque])
    arrays: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for column in source.columns:
        if 0 in column.shape:
            refused[column.name] = "Parquet has no arrays of length 0"
        if not column.is_opaque:
            continue
        values = table[column.name]
        arrays[column.name] = _opaque_arrow(values)
        if arrays[column.name] is None:
            refused[column.name] = f"Parquet has no such type: {ak.type(values).content}"
    return arrays, refused


def _opaque_arrow(values: ak.Array) -> Any:
    """Return an Arrow array that becomes the same values again; `None` without such a type."""
    values = indexed_options(values)
    try:
        array = ak.to_arrow(values, extensionarray=False)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        with parquet.ParquetWriter(
            pa.BufferOutputStream(), pa.schema([("x", array.type)])
        ):
            pass
        back = without_idle_options(indexed_options(from_arrow(array)))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (pa.ArrowException, TypeError, ValueError, IndexError, NotImplementedError):
        return None
    return array if same_values(back, without_idle_options(values)) else None


def _arrow_arrays(
    columns: Sequence[Column], table: Table, opaque: Mapping[str, Any], start: int
) -> dict[str, Any]:
    """Return the columns of the events from `start` on as Arrow arrays; lists have lengths."""
    arrays = {}
    for column in columns:
        if column.is_opaque:
            arrays[column.name] = opaque[column.name].slice(start, table.num_entries)
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
