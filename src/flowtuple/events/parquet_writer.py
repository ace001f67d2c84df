"""One table as Apache Parquet, `step` events a row group, its schema in the metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.errors import MissingExtra, Refused
from flowtuple.events.source import WriteOptions, WriteResult, carried_left_out, single_table
from flowtuple.records import same_values, without_idle_options
from flowtuple.schema import Column
from flowtuple.table import Dataset, LeftOut, Table, TableSource, ranges, read_all

METADATA_KEY = b"flowtuple"
VERSION = 1


def from_arrow(column: Any) -> ak.Array:
    """An Arrow array or chunked array as awkward; pyarrow must be installed."""
    import pyarrow as pa

    return ak.from_arrow(pa.table({"x": column}))["x"]


def has_options(values: ak.Array) -> bool:
    """Whether a type allows missing values anywhere.

    Example:
        >>> has_options(ak.Array([[1, None]])), has_options(ak.Array([[1]]))
        (True, False)
    """
    return re.search(r"[?]|\boption\[", str(values.type)) is not None


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write one table, `options.step` events a row group; opaque columns too.

    Args:
        dataset: One table; its schema goes into the file's metadata, so that counters stay what they are.
        path: The file to make; one that exists is overwritten.
        options: Row-group size, and whether to leave out what Parquet cannot hold.

    Raises:
        Unsupported: There are several tables, carried objects, or a column that Parquet has no type for.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("parquet", "writing .parquet") from None
    source = single_table(dataset, options, "Parquet")
    opaque, refused = _opaque_arrays(source)
    lost = {f"{source.name}/{name}": reason for name, reason in refused.items()}
    if lost and not options.drop:
        raise Refused(dataset.description, "write {} as Parquet", lost, "write .npz, or leave them out with --drop")
    kept = [c for c in source.columns if c.name not in refused]
    keeping = [name for name, (values, _) in opaque.items() if has_options(without_idle_options(values))]
    columns = [c.to_json() for c in kept]
    description = {
        "version": VERSION,
        "name": source.name,
        "num_entries": source.num_entries,
        "options": keeping,
        "columns": columns,
    }
    arrow = {name: array for name, (_, array) in opaque.items()}
    kinds = {c.name: _arrow_type(c, arrow) for c in kept if not c.hidden}
    fields = [pa.field(name, kind, name in keeping or pa.types.is_null(kind)) for name, kind in kinds.items()]
    schema = pa.schema(fields, metadata={METADATA_KEY: json.dumps(description)})
    repeating = [c.name for c in kept if not (c.hidden or c.is_float or c.counter or c.shape)]
    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating) as writer:
        for start, stop in ranges(source.num_entries, options.step):
            table = source.read([c.name for c in kept if not c.is_opaque], start, stop)
            arrays = [_arrow_array(c, table, arrow, start, stop) for c in kept if not c.hidden]
            batch = pa.Table.from_arrays(arrays, schema=schema) if arrays else pa.table({}, schema=schema)
            writer.write_table(batch, row_group_size=options.step)
    left_out = [LeftOut(name, reason) for name, reason in lost.items()]
    return WriteResult((*left_out, *carried_left_out(dataset, "Parquet")))


def _opaque_arrays(source: TableSource) -> tuple[dict[str, tuple[ak.Array, Any]], dict[str, str]]:
    """Opaque columns as awkward and as Arrow arrays, and the columns that Parquet cannot hold, with the reason."""
    table = read_all(source, [c.name for c in source.columns if c.is_opaque])
    held: dict[str, tuple[ak.Array, Any]] = {}
    refused: dict[str, str] = {}
    for column in source.columns:
        if column.is_opaque and (arrow := _opaque_arrow(table[column.name])) is not None:
            held[column.name] = (table[column.name], arrow)
        elif column.is_opaque:
            refused[column.name] = f"Parquet has no such type: {ak.type(table[column.name]).content}"
        elif 0 in column.shape:
            refused[column.name] = "Parquet has no arrays of length 0"
    return held, refused


def _opaque_arrow(values: ak.Array) -> Any:
    """An Arrow array that becomes the same values again; `None` where Arrow or Parquet has no such type."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        array = ak.to_arrow(values, extensionarray=False)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        with parquet.ParquetWriter(pa.BufferOutputStream(), pa.schema([("x", array.type)])):
            pass
        back = without_idle_options(from_arrow(array))
    except (pa.ArrowException, TypeError, ValueError, IndexError, NotImplementedError):
        return None
    return array if same_values(back, without_idle_options(values)) else None


def _arrow_type(column: Column, opaque: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    if column.is_opaque:
        return opaque[column.name].type
    kind = pa.from_numpy_dtype(np.dtype(column.dtype))
    for size in reversed(column.shape):
        kind = pa.list_(pa.field("element", kind, nullable=False), size)
    return kind if column.counter is None else pa.list_(pa.field("element", kind, nullable=False))


def _arrow_array(column: Column, table: Table, opaque: Mapping[str, Any], start: int, stop: int) -> Any:
    import pyarrow as pa

    if column.is_opaque:
        return opaque[column.name].slice(start, stop - start)
    kind = _arrow_type(column, opaque)
    content = table[column.name]
    if column.counter is not None:
        offsets = pa.array(table.offsets(column.counter).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(content), type=kind)
    array = pa.array(content.reshape(-1))
    nested = [kind]
    while nested[-1] != array.type:
        nested.append(nested[-1].value_type)
    for inner in reversed(nested[:-1]):
        array = pa.FixedSizeListArray.from_arrays(array, type=inner)
    return array
