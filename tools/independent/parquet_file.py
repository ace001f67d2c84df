"""Parquet files as pyarrow alone sees them, row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from independent.parts import Contents, Group, Part


def read(path: str) -> Contents:
    """The columns of a file; two of one name count as two."""
    file = pq.ParquetFile(path)
    groups = [
        file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)
    ]
    names = list(file.schema_arrow.names)
    parts = [
        Part(name, partial(_column, path, i), pieces=partial(_pieces, name))
        for i, name in enumerate(names)
    ]
    entries = sum(groups) if groups else int(file.metadata.num_rows)
    about = {
        f"dictionary {field.name}": str(field.type)
        for field in file.schema_arrow
        if pa.types.is_dictionary(field.type)
    }
    for key in file.schema_arrow.metadata or {}:
        if key not in (b"ARROW:schema", b"flowtuple"):
            about[f"metadata {key.decode(errors='replace')}"] = (
                file.schema_arrow.metadata[key]
            )
    return Contents([Group("", "Parquet", entries, parts, about)])


def _column(path: str, index: int) -> Any:
    """One column by its place among the top-level columns, since names may stand twice."""
    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    name = schema.names[index]
    if schema.names.count(name) == 1:
        pieces = [
            _group_column(file, i, name) for i in range(file.metadata.num_row_groups)
        ]
        return pa.chunked_array(
            [c for p in pieces for c in p.chunks], type=schema.field(index).type
        )
    tables = [file.read_row_group(i) for i in range(file.metadata.num_row_groups)]
    return pa.chunked_array(
        [chunk for table in tables for chunk in table.column(index).chunks],
        type=schema.field(index).type,
    )


def _group_column(file: Any, group: int, name: str) -> Any:
    table = file.read_row_group(group, columns=[name])
    return table.column(table.schema.names.index(name))


def _pieces(name: str, values: Any) -> Iterator[Mapping[str, Any]]:
    """A column of structs as its fields."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_struct(whole.type) and whole.type.num_fields:
        for mark in (".", "_"):
            yield {
                f"{name}{mark}{whole.type.field(i).name}": pc.struct_field(whole, [i])
                for i in range(whole.type.num_fields)
            }
    elif pa.types.is_list(whole.type) and pa.types.is_struct(whole.type.value_type):
        for mark in (".", "_"):
            yield {
                f"{name}{mark}{inner.name}": pa.ListArray.from_arrays(
                    whole.offsets, pc.struct_field(whole.values, [i])
                )
                for i, inner in enumerate(whole.type.value_type)
            }
