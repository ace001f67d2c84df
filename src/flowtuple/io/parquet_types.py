"""Arrow types that awkward has no array for: to plainer ones of the same values, and back.

Decimals are read as text, maps as lists of records, times of the day as whole numbers, dictionaries as their values, and
extension types as what stores them. The file's schema says which type a column had, so that Parquet gets it again.
"""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import OPAQUE, Column
from flowtuple.data.table import LeftOut

FORMAT = "parquet"
METADATA_KEY = b"flowtuple"
LARGEST_METADATA = 1 << 16  # bytes; a file that carries more in its metadata comes back without
_LARGEST_SCHEMA = 1 << 24
_AWKWARD = "awkward"
ARROW_FAILURES = (
    OSError,
    ValueError,
    TypeError,
    NotImplementedError,
    KeyError,
    IndexError,
    AssertionError,
    RuntimeError,
)


class NoColumnError(Exception):
    """A type whose values no column can hold; the message is the reason."""


def plain_type(kind: Any) -> Any:
    """The type that awkward reads the same values from.

    Args:
        kind: An Arrow data type.

    Raises:
        NoColumnError: There is none.

    Example:
        >>> import pyarrow as pa
        >>> plain_type(pa.list_(pa.decimal128(5, 2))), plain_type(pa.time32("ms"))
        (ListType(list<item: string>), DataType(int32))
    """
    import pyarrow as pa

    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return kind if kind.extension_name == _AWKWARD else plain_type(kind.storage_type)
    if types.is_map(kind):
        return _plain_map(kind)
    if types.is_struct(kind):
        return _plain_struct(kind)
    if types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if kind.num_fields == 1 and hasattr(kind, "value_field"):
        return _plain_list(kind)
    return _plain_scalar(kind)


def _plain_scalar(kind: Any) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_decimal(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_timestamp(kind):
        return pa.timestamp(kind.unit)
    if types.is_time(kind):
        return pa.int32() if types.is_time32(kind) else pa.int64()
    if kind.num_fields or types.is_interval(kind):
        raise NoColumnError(
            f"its Arrow type {kind} is not read; store numbers, text or lists of them"
        )
    return kind


def _plain_list(kind: Any) -> Any:
    import pyarrow as pa

    inner = kind.value_field.with_type(plain_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(inner, kind.list_size)
    is_large = pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind)
    return pa.large_list(inner) if is_large else pa.list_(inner)


def _plain_struct(kind: Any) -> Any:
    import pyarrow as pa

    names = [field.name for field in kind]
    doubled = [name for i, name in enumerate(names) if name in names[:i]]
    if doubled:
        raise NoColumnError(f"two of its members are called {doubled[0]!r}; rename one")
    return pa.struct([field.with_type(plain_type(field.type)) for field in kind])


def _plain_map(kind: Any) -> Any:
    import pyarrow as pa

    key = pa.field("key", plain_type(kind.key_type), nullable=False)
    return pa.list_(
        pa.field(
            "item",
            pa.struct(
                [key, kind.item_field.with_name("value").with_type(plain_type(kind.item_type))]
            ),
        )
    )


def to_plain(column: Any) -> Any:
    """An Arrow array or chunked array as one of `plain_type`.

    Raises:
        NoColumnError: There is none.
    """
    import pyarrow as pa

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
    """An empty column of a type, as one of `plain_type`."""
    import pyarrow as pa

    return pa.chunked_array([], plain_type(kind))


def _is_view(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _without_views(array: Any) -> Any:
    """List views as lists: Arrow's own cast of them is broken."""
    import pyarrow as pa

    counts = np.asarray(array.value_lengths().fill_null(0))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]))
    kind = plain_type(array.type)
    whole, width = _list_kind(kind)
    return whole.from_arrays(
        offsets.cast(width), to_plain(array.flatten()), type=kind, mask=_missing(array)
    )


def _list_kind(kind: Any) -> tuple[Any, Any]:
    """The class of a type of lists, and the type of its offsets."""
    import pyarrow as pa

    return (
        (pa.LargeListArray, pa.int64())
        if pa.types.is_large_list(kind)
        else (pa.ListArray, pa.int32())
    )


def restored(array: Any, kind: Any) -> Any:
    """The inverse of `to_plain`: an Arrow array with the same values in the type that they had.

    Raises:
        ArrowException: Arrow has no way to that type.
    """
    import pyarrow as pa

    types = pa.types
    if array.type == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, restored(array, kind.storage_type))
    if types.is_list(array.type) or types.is_large_list(array.type):
        return _restored_list(array, kind)
    if types.is_struct(kind) and types.is_struct(array.type):
        members = [restored(array.field(i), field.type) for i, field in enumerate(kind)]
        return pa.StructArray.from_arrays(members, fields=list(kind), mask=_missing(array))
    return array.cast(kind)


def _restored_list(array: Any, kind: Any) -> Any:
    import pyarrow as pa

    types = pa.types
    if types.is_map(kind):
        values = array.values
        key, item = (
            restored(values.field(i), inner)
            for i, inner in enumerate((kind.key_type, kind.item_type))
        )
        return pa.MapArray.from_arrays(
            _offsets(array, pa.int32()), key, item, type=kind, mask=_missing(array)
        )
    if types.is_list(kind) or types.is_large_list(kind):
        whole, width = _list_kind(kind)
        values = restored(array.values, kind.value_type)
        return whole.from_arrays(_offsets(array, width), values, type=kind, mask=_missing(array))
    if _is_view(kind):
        whole, width = (
            (pa.ListViewArray, pa.int32())
            if types.is_list_view(kind)
            else (pa.LargeListViewArray, pa.int64())
        )
        sizes = array.value_lengths().fill_null(0).cast(width)
        values = restored(array.values, kind.value_type)
        return whole.from_arrays(
            _offsets(array, width)[:-1], sizes, values, type=kind, mask=_missing(array)
        )
    return array.cast(kind)


def _offsets(array: Any, width: Any) -> Any:
    import pyarrow as pa

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
        """The names in a file of such a schema, read as the storage says."""
        paths = storage.get("paths")
        found = paths.items() if isinstance(paths, Mapping) else ()
        return cls(
            frozenset(schema.names),
            {tuple(path): name for name, path in found if isinstance(path, list)},
        )

    def column(self, path: tuple[str, ...]) -> str:
        """The name of the column of a field or member, empty where it has none."""
        if path in self.renamed:
            return self.renamed[path]
        name = "_".join(path)
        is_of_field = len(path) > 1 and name in self.fields and (name,) not in self.renamed
        return "" if is_of_field else name


def assembled(
    path: tuple[str, ...], kind: Any, arrays: Mapping[str, Any], names: FieldNames
) -> Any:
    """The array of a field in its own type, from the columns that it was read as; `None` where some are not there.

    Args:
        path: The field's name, and those of the members of records on the way.
        kind: The field's type.
        arrays: Arrow arrays by column name.
        names: The columns' names by path.
    """
    import pyarrow as pa

    types = pa.types
    if names.column(path) in arrays:
        return restored(arrays[names.column(path)], kind)
    if types.is_struct(kind):
        members = [assembled((*path, field.name), field.type, arrays, names) for field in kind]
        return (
            None if _lacks_one(members) else pa.StructArray.from_arrays(members, fields=list(kind))
        )
    if types.is_map(kind):
        plain = pa.list_(
            pa.struct([pa.field("key", kind.key_type, False), kind.item_field.with_name("value")])
        )
        entries = assembled(path, plain, arrays, names)
        return None if entries is None else restored(entries, kind)
    if (types.is_list(kind) or types.is_large_list(kind)) and types.is_struct(kind.value_type):
        lists = [
            assembled((*path, field.name), pa.list_(field), arrays, names)
            for field in kind.value_type
        ]
        return None if _lacks_one(lists) else _zipped(lists, kind)
    return None


def columns_of_field(
    path: tuple[str, ...], kind: Any, present: Container[str], names: FieldNames
) -> tuple[str, ...]:
    """The columns that `assembled` needs for a field."""
    if names.column(path) in present:
        return (names.column(path),)
    inner = kind.value_type if hasattr(kind, "value_type") else kind
    if hasattr(kind, "item_type"):
        members = [("key", kind.key_type), ("value", kind.item_type)]
    else:
        members = (
            [(field.name, field.type) for field in inner]
            if hasattr(inner, "get_field_index")
            else []
        )
    return tuple(
        leaf
        for member, of in members
        for leaf in columns_of_field((*path, member), of, present, names)
    )


def _lacks_one(members: Sequence[Any]) -> bool:
    return not members or any(member is None for member in members)


def _zipped(lists: Sequence[Any], kind: Any) -> Any:
    """Lists of records from lists of their members; `None` where these differ in length."""
    import pyarrow as pa

    counts = [np.asarray(part.value_lengths().fill_null(0)) for part in lists]
    if any(not np.array_equal(counts[0], other) for other in counts[1:]):
        return None
    records = pa.StructArray.from_arrays(
        [part.flatten() for part in lists], fields=list(kind.value_type)
    )
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts[0], dtype=np.int64)]))
    whole, width = _list_kind(kind)
    return whole.from_arrays(offsets.cast(width), records, type=kind)


def storage_of(
    schema: Any, columns: Sequence[Column], renamed: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Describe the types of a Parquet file as JSON; short where they are those that pyarrow writes."""
    kept = {key: text for key, text in (schema.metadata or {}).items() if key != METADATA_KEY}
    if sum(map(len, kept.values())) > LARGEST_METADATA:
        kept = {}
    for i, field in enumerate(schema):
        if _is_ordered(field.type):
            schema = schema.set(i, field.with_type(_unordered(field.type)))
    schema = schema.with_metadata(kept or None)
    if schema.equals(usual_schema(columns), check_metadata=True):
        return {"format": FORMAT}
    packed = zlib.compress(bytes(schema.serialize()), 9)
    stored: dict[str, Any] = {"format": FORMAT, "schema": base64.b85encode(packed).decode()}
    if renamed:
        stored["renamed"] = {name: ".".join(path) for name, path in renamed.items()}
        stored["paths"] = {name: list(path) for name, path in renamed.items()}
    return stored


def left_out_of(table: str, schema: Any) -> tuple[LeftOut, ...]:
    """List the parts of a schema that are not stored: the order of categories, and metadata that is too long."""
    size = sum(len(text) for key, text in (schema.metadata or {}).items() if key != METADATA_KEY)
    ordered = [field.name for field in schema if _is_ordered(field.type)]
    parts = [
        LeftOut(f"{table}/{name} (order)", "the order of its categories; its values are carried")
        for name in ordered
    ]
    if size > LARGEST_METADATA:
        parts.append(LeftOut(f"{table}/(metadata)", f"its {size} bytes are too many"))
    return tuple(parts)


def _is_ordered(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind) and kind.ordered)


def _unordered(kind: Any) -> Any:
    import pyarrow as pa

    return pa.dictionary(kind.index_type, kind.value_type)


def usual_schema(columns: Sequence[Column]) -> Any:
    """The schema that pyarrow gives such columns by itself."""
    import pyarrow as pa

    fields = []
    for column in columns:
        if column.hidden:
            continue
        kind = (
            pa.string() if column.dtype == OPAQUE else pa.from_numpy_dtype(np.dtype(column.dtype))
        )
        for size in reversed(column.shape):
            kind = pa.list_(pa.field("element", kind), size)
        fields.append(
            pa.field(column.name, pa.list_(pa.field("element", kind)) if column.counter else kind)
        )
    return pa.schema(fields)


def stored_schema(storage: Mapping[str, Any], columns: Sequence[Column]) -> Any:
    """The schema that the input had, `None` where it was no Parquet file of other origin."""
    import pyarrow as pa

    if storage.get("format") != FORMAT:
        return None
    if "schema" not in storage:
        return usual_schema(columns)
    try:
        content = zlib.decompressobj().decompress(
            base64.b85decode(storage["schema"]), _LARGEST_SCHEMA
        )
        return pa.ipc.read_schema(pa.py_buffer(content))
    except MemoryError:  # one of Arrow's exceptions is one
        raise
    except (*ARROW_FAILURES, zlib.error, pa.ArrowException):
        return None
