"""One table as Apache Parquet, `step` events a row group, its schema in the metadata."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.awkward import indexed_options, same_values, without_idle_options
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, LeftOut, Table, TableSource, ranges, read_all
from flowtuple.errors import Refused, Unsupported, first_line
from flowtuple.io.changes import Keeping, changes_of, renamed_of
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.parquet_types import (
    ARROW_FAILURES,
    METADATA_KEY,
    FieldNames,
    assembled,
    columns_of_field,
    stored_schema,
)
from flowtuple.io.source import carried_left_out, single_table
from flowtuple.runtime.extras import require

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

    Columns that a Parquet file of other origin had come back in its own types: records and lists of records whole, decimals
    as decimals. Other tables put their schema into the file's metadata, so that counters stay what they are.

    Args:
        dataset: One table.
        path: The file to make; one that exists is overwritten.
        options: Row-group size, and whether to leave out what Parquet cannot hold.

    Raises:
        Unsupported: There are several tables, carried objects, or a column that Parquet has no type for.
        MissingExtra: pyarrow is not installed.
    """
    require("pyarrow", "parquet", "writing .parquet")
    import pyarrow as pa
    from pyarrow import parquet

    source = single_table(dataset, options, "Parquet")
    opaque, refused = _opaque_arrays(source)
    lost = {f"{source.name}/{name}": reason for name, reason in refused.items()}
    if lost and not options.drop:
        raise Refused(
            dataset.description,
            "write {} as Parquet",
            lost,
            "write .npz, or leave them out with --drop",
        )
    kept = tuple(c for c in source.columns if c.name not in refused)
    arrow = {name: array for name, (_, array) in opaque.items()}
    stored = stored_schema(dataset.storage.get(source.name, {}), kept)
    if stored is None:
        keeping = [
            name
            for name, (values, _) in opaque.items()
            if has_options(without_idle_options(values))
        ]
        form = _described(source, kept, keeping, arrow)
    else:
        names = FieldNames.of(stored, dataset.storage[source.name])
        form = _alike(
            stored,
            names,
            {
                c.name: _arrow_array(c, _no_events(source, kept), arrow, 0, 0)
                for c in kept
                if not c.hidden
            },
        )
    repeating = [c.name for c in kept if not (c.hidden or c.is_float or c.counter or c.shape)]
    with parquet.ParquetWriter(
        path, form.schema, compression="zstd", use_dictionary=repeating
    ) as writer:
        for start, stop in ranges(source.num_entries, options.step):
            table = source.read([c.name for c in kept if not c.is_opaque], start, stop)
            arrays = {
                c.name: _arrow_array(c, table, arrow, start, stop) for c in kept if not c.hidden
            }
            batch = form.arrays(arrays, dataset.description)
            made = (
                pa.Table.from_arrays(batch, schema=form.schema)
                if batch
                else pa.table({}, schema=form.schema)
            )
            writer.write_table(made, row_group_size=options.step)
    left_out = [LeftOut(name, reason) for name, reason in lost.items()]
    told = dataset.storage.get(source.name, {}) if stored is None else {}
    changes = changes_of(source.name, kept, told, Keeping("Parquet"))
    return WriteResult(
        (*left_out, *carried_left_out(dataset, "Parquet")),
        changes,
        renamed_of(source.name, kept, told),
    )


@dataclass(frozen=True)
class _Form:
    """The fields of the file; those in `typed` are in the types of the input, made of several columns perhaps."""

    schema: Any
    typed: frozenset[str] = frozenset()
    names: FieldNames = dataclasses.field(default_factory=FieldNames)

    def arrays(self, columns: Mapping[str, Any], description: str) -> list[Any]:
        """The fields' arrays from those of the columns.

        Raises:
            Unsupported: A value does not fit the type that its column had.
        """
        made = []
        for field in self.schema:
            try:
                is_typed = field.name in self.typed
                whole = (
                    assembled((field.name,), field.type, columns, self.names)
                    if is_typed
                    else columns[field.name]
                )
                made.append(whole)
            except ARROW_FAILURES as error:
                raise Unsupported(
                    f"{description}: column {field.name!r} cannot be {field.type} again ({first_line(error)}); write .npz, "
                    "or leave it out with --exclude"
                ) from None
        return made


def _no_events(source: TableSource, columns: Sequence[Column]) -> Table:
    return source.read([c.name for c in columns if not c.is_opaque], 0, 0)


def _described(
    source: TableSource, kept: Sequence[Column], keeping: Sequence[str], opaque: Mapping[str, Any]
) -> _Form:
    """The columns as they are, and in the metadata what the schema says of them."""
    import pyarrow as pa

    description = {
        "version": VERSION,
        "name": source.name,
        "num_entries": source.num_entries,
        "options": list(keeping),
        "columns": [c.to_json() for c in kept],
    }
    kinds = {c.name: _arrow_type(c, opaque) for c in kept if not c.hidden}
    fields = [
        pa.field(name, kind, name in keeping or pa.types.is_null(kind))
        for name, kind in kinds.items()
    ]
    return _Form(pa.schema(fields, metadata={METADATA_KEY: json.dumps(description)}))


def _alike(stored: Any, names: FieldNames, columns: Mapping[str, Any]) -> _Form:
    """The fields that the input had, where their columns are all there; other columns as they are."""
    import pyarrow as pa

    fields: list[Any] = []
    typed: list[str] = []
    used: set[str] = set()
    for field in stored:
        try:
            whole = assembled((field.name,), field.type, columns, names)
        except ARROW_FAILURES:
            whole = None
        found = columns_of_field((field.name,), field.type, columns, names)
        used.update(found)
        if whole is None:
            fields += [pa.field(name, columns[name].type) for name in found]
        else:
            fields.append(field)
            typed.append(field.name)
    fields += [pa.field(name, array.type) for name, array in columns.items() if name not in used]
    return _Form(pa.schema(fields, metadata=stored.metadata or None), frozenset(typed), names)


def _opaque_arrays(source: TableSource) -> tuple[dict[str, tuple[ak.Array, Any]], dict[str, str]]:
    """Opaque columns as awkward and as Arrow arrays, and the columns that Parquet cannot hold, with the reason."""
    table = read_all(source, [c.name for c in source.columns if c.is_opaque])
    held: dict[str, tuple[ak.Array, Any]] = {}
    refused: dict[str, str] = {}
    for column in source.columns:
        if column.is_opaque and (arrow := _opaque_arrow(table[column.name])) is not None:
            held[column.name] = (table[column.name], arrow)
        elif column.is_opaque:
            refused[column.name] = (
                f"Parquet has no such type: {ak.type(table[column.name]).content}"
            )
        elif 0 in column.shape:
            refused[column.name] = "Parquet has no arrays of length 0"
    return held, refused


def _opaque_arrow(values: ak.Array) -> Any:
    """An Arrow array that becomes the same values again; `None` where Arrow or Parquet has no such type."""
    import pyarrow as pa
    from pyarrow import parquet

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


def _arrow_type(column: Column, opaque: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    if column.is_opaque:
        return opaque[column.name].type
    kind = pa.from_numpy_dtype(np.dtype(column.dtype))
    for size in reversed(column.shape):
        kind = pa.list_(pa.field("element", kind, nullable=False), size)
    return kind if column.counter is None else pa.list_(pa.field("element", kind, nullable=False))


def _arrow_array(
    column: Column, table: Table, opaque: Mapping[str, Any], start: int, stop: int
) -> Any:
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
