"""Arrow types that awkward has no array for: to plainer ones of the same values, and back.

Decimals are read as text, maps as lists of records, times of the day as whole numbers, dictionaries
as their values, and extension types as their storage. The notes on a table have the file's schema,
by which the writer restores the types.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flowtuple.data.schema import OPAQUE, Column
from flowtuple.data.table import LeftOut

FORMAT = "parquet"
METADATA_KEY = b"flowtuple"
# bytes; a file that carries more in its metadata comes back without
LARGEST_METADATA = 1 << 16
_LARGEST_SCHEMA = 1 << 24
_AWKWARD = "awkward"
# Arrow's own exceptions are among these; NotImplementedError is a RuntimeError.
ARROW_FAILURES = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
    RuntimeError,
)


class NoColumnError(Exception):
    """A type whose values no column can hold; the message is the reason."""


def plain_type(kind: Any) -> Any:
    """Return the type from which awkward reads the same values.

    Args:
        kind: An Arrow data type.

    Raises:
        NoColumnError: There is none.

    Example:
        >>> import pyarrow as pa
        >>> plain_type(pa.list_(pa.decimal128(5, 2))), plain_type(pa.time32("ms"))
        (ListType(list<item: string>), DataType(int32))
    """
    if isinstance(kind, pa.BaseExtensionType):
        return kind if kind.extension_name == _AWKWARD else plain_type(kind.storage_type)
    if pa.types.is_map(kind):
        return pa.list_(pa.field("item", plain_type(pa.struct(_members_of(kind)))))
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        doubled = [name for i, name in enumerate(names) if name in names[:i]]
        if doubled:
            raise NoColumnError(
                f"two of its members are called {doubled[0]!r}; rename one"
            )
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if kind.num_fields == 1 and hasattr(kind, "value_field"):
        inner = kind.value_field.with_type(plain_type(kind.value_type))
        if pa.types.is_fixed_size_list(kind):
            return pa.list_(inner, kind.list_size)
        return pa.large_list(inner) if _is_large(kind) else pa.list_(inner)
    return _plain_scalar(kind)


def _plain_scalar(kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_decimal(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit)
    if pa.types.is_time(kind):
        return pa.int32() if pa.types.is_time32(kind) else pa.int64()
    if kind.num_fields or pa.types.is_interval(kind):
        raise NoColumnError(
            f"its Arrow type {kind} is not read; store numbers, text or lists of them"
        )
    return kind


def _members_of(kind: Any) -> list[Any]:
    """Return the fields of records, of lists of records or of a map; none for other types."""
    if pa.types.is_map(kind):
        key = pa.field("key", kind.key_type, nullable=False)
        return [key, kind.item_field.with_name("value")]
    kind = getattr(kind, "value_type", kind)
    return list(kind) if pa.types.is_struct(kind) else []


def to_plain(column: Any) -> Any:
    """Return an Arrow array or chunked array in its plain type.

    Raises:
        NoColumnError: There is none.
    """
    kind = plain_type(column.type)
    if kind == column.type:
        return column
    if _is_view(column.type):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return pa.chunked_array([_without_views(chunk) for chunk in chunks], kind)
    plain = column.cast(kind)
    plain.validate()
    return plain


def no_values(kind: Any) -> Any:
    """Return an empty column in the plain type of a type."""
    return pa.chunked_array([], plain_type(kind))


def _is_view(kind: Any) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_large(kind: Any) -> bool:
    return bool(pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind))


def _without_views(array: Any) -> Any:
    """Return list views as lists; Arrow's own cast of them is broken."""
    values = to_plain(array.flatten())
    return _list_array(array, values).cast(plain_type(array.type))


def _list_array(like: Any, values: Any) -> Any:
    """Return lists of other values with the lengths of a list array."""
    counts = np.asarray(like.value_lengths().fill_null(0))
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return pa.LargeListArray.from_arrays(offsets, values, mask=_missing(like))


def restored(array: Any, kind: Any) -> Any:
    """Return the values of a plain Arrow array in the type that they had before `to_plain`.

    Raises:
        ArrowException: Arrow has no way to that type.
    """
    if array.type == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, restored(array, kind.storage_type))
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        members = [restored(array.field(i), field.type) for i, field in enumerate(kind)]
        return pa.StructArray.from_arrays(
            members, fields=list(kind), mask=_missing(array)
        )
    is_map = pa.types.is_map(kind)
    if not _is_list(array.type) or not (is_map or _is_list(kind) or _is_view(kind)):
        return array.cast(kind)
    # first the offsets, then the values: Arrow casts no lists to maps or to views
    whole = pa.large_list if _is_large(kind) else pa.list_
    array = array.cast(whole(array.type.value_field))
    inner = pa.struct(_members_of(kind)) if is_map else kind.value_type
    values = restored(array.values, inner)
    if not _is_view(kind):
        buffers = array.buffers()[:2]
        return pa.Array.from_buffers(
            kind, len(array), buffers, array.null_count, array.offset, [values]
        )
    views = pa.LargeListViewArray if _is_large(kind) else pa.ListViewArray
    sizes = array.value_lengths().fill_null(0)
    begins = array.offsets[:-1]
    return views.from_arrays(begins, sizes, values, type=kind, mask=_missing(array))


def _missing(array: Any) -> Any:
    return array.is_null() if array.null_count else None


def column_names(schema: Any, storage: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Return the column that each field, and each member of records, is read as.

    Args:
        schema: Schema of a file.
        storage: Notes of its reader, with the paths of columns where others had the usual names.
    """
    paths = storage.get("paths")
    pairs = paths.items() if isinstance(paths, Mapping) else ()
    renamed = {tuple(path): name for name, path in pairs if isinstance(path, list)}
    names: dict[tuple[str, ...], str] = {}
    for name in schema.names:
        names[name,] = renamed.get((name,), name)
    taken = set(names.values())

    def add(outer: tuple[str, ...], kind: Any) -> None:
        for member in _members_of(kind):
            path = (*outer, member.name)
            usual = "_".join(path)
            names[path] = renamed.get(path, "" if usual in taken else usual)
            add(path, member.type)

    for field in schema:
        add((field.name,), field.type)
    return names


def assembled(
    path: tuple[str, ...],
    kind: Any,
    arrays: Mapping[str, Any],
    names: Mapping[tuple[str, ...], str],
) -> Any:
    """Return the array of a field in its own type, from its columns; `None` where one is missing.

    Args:
        path: Name of the field, and those of the members of records on the way.
        kind: Type of the field.
        arrays: Arrow arrays by column name.
        names: Names of the columns by path.
    """
    column = names[path]
    if column in arrays:
        return restored(arrays[column], kind)
    is_struct = pa.types.is_struct(kind)
    if not (is_struct or _is_list(kind) or pa.types.is_map(kind)):
        return None
    fields = _members_of(kind)
    kinds = [field.type if is_struct else pa.list_(field) for field in fields]
    members = [
        assembled((*path, field.name), inner, arrays, names)
        for field, inner in zip(fields, kinds, strict=True)
    ]
    if not members or any(member is None for member in members):
        return None
    if is_struct:
        return pa.StructArray.from_arrays(members, fields=fields)
    lengths = [member.value_lengths().fill_null(0) for member in members]
    if any(other != lengths[0] for other in lengths):
        return None
    records = pa.StructArray.from_arrays(
        [part.flatten() for part in members], fields=fields
    )
    return restored(_list_array(members[0], records), kind)


def columns_of_field(
    path: tuple[str, ...],
    kind: Any,
    present: Container[str],
    names: Mapping[tuple[str, ...], str],
) -> list[str]:
    """Return the columns that `assembled` needs for a field."""
    column = names[path]
    if column in present:
        return [column]
    columns: list[str] = []
    for field in _members_of(kind):
        columns += columns_of_field((*path, field.name), field.type, present, names)
    return columns


def storage_of(
    schema: Any, columns: Sequence[Column], renamed: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Describe the types of a Parquet file as JSON; short where they are pyarrow's own."""
    metadata = _metadata(schema)
    for i, field in enumerate(schema):
        if _is_ordered(field.type):
            unordered = pa.dictionary(field.type.index_type, field.type.value_type)
            schema = schema.set(i, field.with_type(unordered))
    is_long = sum(map(len, metadata.values())) > LARGEST_METADATA
    schema = schema.with_metadata(None if is_long else metadata or None)
    if schema.equals(usual_schema(columns), check_metadata=True):
        return {"format": FORMAT}
    packed = zlib.compress(bytes(schema.serialize()), 9)
    stored: dict[str, Any] = {
        "format": FORMAT,
        "schema": base64.b85encode(packed).decode(),
    }
    if renamed:
        stored["renamed"] = {name: ".".join(path) for name, path in renamed.items()}
        stored["paths"] = {name: list(path) for name, path in renamed.items()}
    return stored


def left_out_of(table: str, schema: Any) -> tuple[LeftOut, ...]:
    """List the parts of a schema that are not stored: orders of categories, long metadata."""
    size = sum(map(len, _metadata(schema).values()))
    reason = "the order of its categories; its values are carried"
    parts = [
        LeftOut(f"{table}/{field.name} (order)", reason)
        for field in schema
        if _is_ordered(field.type)
    ]
    if size > LARGEST_METADATA:
        parts.append(LeftOut(f"{table}/(metadata)", f"its {size} bytes are too many"))
    return tuple(parts)


def _is_ordered(kind: Any) -> bool:
    return bool(pa.types.is_dictionary(kind) and kind.ordered)


def _metadata(schema: Any) -> dict[bytes, bytes]:
    """Return the metadata of other programs."""
    return {
        key: text for key, text in (schema.metadata or {}).items() if key != METADATA_KEY
    }


def usual_schema(columns: Sequence[Column]) -> Any:
    """Return the schema that pyarrow gives columns by itself."""
    shown = [c for c in columns if not c.hidden]
    return pa.schema([pa.field(c.name, column_type(c, True)) for c in shown])


def column_type(column: Column, nullable: bool) -> Any:
    """Return the Arrow type of a column, with elements that may be null or not."""
    is_text = column.dtype == OPAQUE
    kind = pa.string() if is_text else pa.from_numpy_dtype(np.dtype(column.dtype))
    for size in reversed(column.shape):
        kind = pa.list_(pa.field("element", kind, nullable), size)
    return pa.list_(pa.field("element", kind, nullable)) if column.counter else kind


def stored_schema(storage: Mapping[str, Any], columns: Sequence[Column]) -> Any:
    """Return the schema of the input, `None` where it was no Parquet file of other origin."""
    if storage.get("format") != FORMAT:
        return None
    if "schema" not in storage:
        return usual_schema(columns)
    try:
        packed = base64.b85decode(storage["schema"])
        content = zlib.decompressobj().decompress(packed, _LARGEST_SCHEMA)
        return pa.ipc.read_schema(pa.py_buffer(content))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (*ARROW_FAILURES, zlib.error, pa.ArrowException):
        return None
