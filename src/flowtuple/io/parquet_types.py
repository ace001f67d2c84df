"""Arrow types that awkward has no array for: to plainer ones of the same values, and back.

Decimals are read as text, maps as lists of records, times of the day as whole numbers, dictionaries
as their values, and extension types as their storage. The notes on a table have the file's schema,
by which the writer restores the types.
"""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flowtuple.data.schema import OPAQUE, Column
from flowtuple.data.table import LeftOut

FORMAT = "parquet"
METADATA_KEY = b"flowtuple"
LARGEST_METADATA = (
    1 << 16
)  # bytes; a file that carries more in its metadata comes back without
_LARGEST_SCHEMA = 1 << 24
_AWKWARD = "awkward"
# Arrow's own exceptions are among these; NotImplementedError is a RuntimeError.
ARROW_FAILURES = (OSError, ValueError, TypeError, LookupError, AssertionError, RuntimeError)


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
        return _plain_map(kind)
    if pa.types.is_struct(kind):
        return _plain_struct(kind)
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if kind.num_fields == 1 and hasattr(kind, "value_field"):
        return _plain_list(kind)
    return _plain_scalar(kind)


def _plain_scalar(kind: Any) -> Any:
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


def _plain_list(kind: Any) -> Any:
    inner = kind.value_field.with_type(plain_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner, kind.list_size)
    is_large = pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind)
    return pa.large_list(inner) if is_large else pa.list_(inner)


def _plain_struct(kind: Any) -> Any:
    names = [field.name for field in kind]
    doubled = [name for i, name in enumerate(names) if name in names[:i]]
    if doubled:
        raise NoColumnError(f"two of its members are called {doubled[0]!r}; rename one")
    return pa.struct([field.with_type(plain_type(field.type)) for field in kind])


def _plain_map(kind: Any) -> Any:
    key = pa.field("key", plain_type(kind.key_type), nullable=False)
    value = kind.item_field.with_name("value").with_type(plain_type(kind.item_type))
    return pa.list_(pa.field("item", pa.struct([key, value])))


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


def _without_views(array: Any) -> Any:
    """Return list views as lists; Arrow's own cast of them is broken."""
    counts = np.asarray(array.value_lengths().fill_null(0))
    return _list_array(
        counts, to_plain(array.flatten()), plain_type(array.type), _missing(array)
    )


def _list_kind(kind: Any) -> tuple[Any, Any]:
    """Return the class of a type of lists, and the type of its offsets."""
    if pa.types.is_large_list(kind):
        return pa.LargeListArray, pa.int64()
    return pa.ListArray, pa.int32()


def restored(array: Any, kind: Any) -> Any:
    """Return the values of a plain Arrow array in the type that they had before `to_plain`.

    Raises:
        ArrowException: Arrow has no way to that type.
    """
    if array.type == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, restored(array, kind.storage_type))
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return _restored_list(array, kind)
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        members = [restored(array.field(i), field.type) for i, field in enumerate(kind)]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=_missing(array))
    return array.cast(kind)


def _restored_list(array: Any, kind: Any) -> Any:
    mask = _missing(array)
    if pa.types.is_map(kind):
        keys = restored(array.values.field(0), kind.key_type)
        items = restored(array.values.field(1), kind.item_type)
        offsets = _offsets(array, pa.int32())
        return pa.MapArray.from_arrays(offsets, keys, items, type=kind, mask=mask)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        whole, width = _list_kind(kind)
        values = restored(array.values, kind.value_type)
        return whole.from_arrays(_offsets(array, width), values, type=kind, mask=mask)
    if _is_view(kind):
        is_small = pa.types.is_list_view(kind)
        whole = pa.ListViewArray if is_small else pa.LargeListViewArray
        width = pa.int32() if is_small else pa.int64()
        sizes = array.value_lengths().fill_null(0).cast(width)
        values = restored(array.values, kind.value_type)
        begins = _offsets(array, width)[:-1]
        return whole.from_arrays(begins, sizes, values, type=kind, mask=mask)
    return array.cast(kind)


def _offsets(array: Any, width: Any) -> Any:
    return pa.array(np.asarray(array.offsets)).cast(width)


def _missing(array: Any) -> Any:
    return array.is_null() if array.null_count else None


@dataclass(frozen=True)
class FieldNames:
    """The columns that fields, and members of records, are read as.

    Attributes:
        fields: Names of all fields.
        renamed: Names of columns by path, where others had the usual ones.
    """

    fields: frozenset[str] = frozenset()
    renamed: Mapping[tuple[str, ...], str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, schema: Any, storage: Mapping[str, Any]) -> FieldNames:
        """Return the names in a file with a schema, from the notes of its reader."""
        paths = storage.get("paths")
        pairs = paths.items() if isinstance(paths, Mapping) else ()
        renamed = {tuple(path): name for name, path in pairs if isinstance(path, list)}
        return cls(frozenset(schema.names), renamed)

    def column(self, path: tuple[str, ...]) -> str:
        """Return the name of the column of a field or member, empty where it has none."""
        if path in self.renamed:
            return self.renamed[path]
        name = "_".join(path)
        is_of_field = len(path) > 1 and name in self.fields and (name,) not in self.renamed
        return "" if is_of_field else name


def assembled(
    path: tuple[str, ...], kind: Any, arrays: Mapping[str, Any], names: FieldNames
) -> Any:
    """Return the array of a field in its own type, from its columns; `None` where one is missing.

    Args:
        path: Name of the field, and those of the members of records on the way.
        kind: Type of the field.
        arrays: Arrow arrays by column name.
        names: Names of the columns by path.
    """
    column = names.column(path)
    if column in arrays:
        return restored(arrays[column], kind)
    if pa.types.is_struct(kind):
        members = [
            assembled((*path, field.name), field.type, arrays, names) for field in kind
        ]
        if _lacks_one(members):
            return None
        return pa.StructArray.from_arrays(members, fields=list(kind))
    if pa.types.is_map(kind):
        key = pa.field("key", kind.key_type, False)
        plain = pa.list_(pa.struct([key, kind.item_field.with_name("value")]))
        entries = assembled(path, plain, arrays, names)
        return None if entries is None else restored(entries, kind)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if is_list and pa.types.is_struct(kind.value_type):
        lists = [
            assembled((*path, field.name), pa.list_(field), arrays, names)
            for field in kind.value_type
        ]
        return None if _lacks_one(lists) else _zipped(lists, kind)
    return None


def columns_of_field(
    path: tuple[str, ...], kind: Any, present: Container[str], names: FieldNames
) -> list[str]:
    """Return the columns that `assembled` needs for a field."""
    column = names.column(path)
    if column in present:
        return [column]
    members: list[tuple[str, Any]] = []
    if hasattr(kind, "item_type"):
        members = [("key", kind.key_type), ("value", kind.item_type)]
    else:
        inner = kind.value_type if hasattr(kind, "value_type") else kind
        if hasattr(inner, "get_field_index"):
            members = [(field.name, field.type) for field in inner]
    columns: list[str] = []
    for member, member_kind in members:
        columns += columns_of_field((*path, member), member_kind, present, names)
    return columns


def _lacks_one(members: Sequence[Any]) -> bool:
    return not members or any(member is None for member in members)


def _zipped(lists: Sequence[Any], kind: Any) -> Any:
    """Return lists of records from lists of their members; `None` where these differ in length."""
    counts = [np.asarray(part.value_lengths().fill_null(0)) for part in lists]
    if any(not np.array_equal(counts[0], other) for other in counts[1:]):
        return None
    members = [part.flatten() for part in lists]
    records = pa.StructArray.from_arrays(members, fields=list(kind.value_type))
    return _list_array(counts[0], records, kind)


def _list_array(counts: Any, values: Any, kind: Any, mask: Any = None) -> Any:
    whole, width = _list_kind(kind)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])).cast(width)
    return whole.from_arrays(offsets, values, type=kind, mask=mask)


def storage_of(
    schema: Any, columns: Sequence[Column], renamed: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Describe the types of a Parquet file as JSON; short where they are pyarrow's own."""
    metadata = _metadata(schema)
    if sum(map(len, metadata.values())) > LARGEST_METADATA:
        metadata = {}
    for i, field in enumerate(schema):
        if _is_ordered(field.type):
            unordered = pa.dictionary(field.type.index_type, field.type.value_type)
            schema = schema.set(i, field.with_type(unordered))
    schema = schema.with_metadata(metadata or None)
    if schema.equals(usual_schema(columns), check_metadata=True):
        return {"format": FORMAT}
    packed = zlib.compress(bytes(schema.serialize()), 9)
    stored: dict[str, Any] = {"format": FORMAT, "schema": base64.b85encode(packed).decode()}
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
    return {key: text for key, text in (schema.metadata or {}).items() if key != METADATA_KEY}


def usual_schema(columns: Sequence[Column]) -> Any:
    """Return the schema that pyarrow gives columns by itself."""
    fields = []
    for column in columns:
        if not column.hidden:
            fields.append(pa.field(column.name, column_type(column, True)))
    return pa.schema(fields)


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
