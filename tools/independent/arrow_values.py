"""Arrow arrays compared bit for bit: types, nulls and values, in any memory layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from independent.values import block_difference, plain_difference

_WIDER = {
    "large_string": "string",
    "string_view": "string",
    "large_binary": "binary",
    "binary_view": "binary",
}


def arrow_difference(left: Any, right: Any) -> str:
    """The first difference between two Arrow arrays or chunked arrays in words, empty where there
    is none.
    """
    one, other = _whole(left), _whole(right)
    if len(one) != len(other):
        return f"{len(one)} rows against {len(other)}"
    if type_name(one.type) != type_name(other.type):
        return f"type {one.type} against {other.type}"
    return _same_type_difference(one, other)


def type_name(kind: Any) -> str:  # noqa: PLR0911 (one a kind of type)
    """A type in words, the same for types that differ in the width of their offsets or in names of
    list items only.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return f"{kind.extension_name}<{type_name(kind.storage_type)}>"
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return f"fixed<{type_name(kind.value_type)}>[{kind.list_size}]"
    if pa.types.is_map(kind):
        return f"map<{type_name(kind.key_type)}, {type_name(kind.item_type)}>"
    if _is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        inner = (
            f"{kind.field(i).name}: {type_name(kind.field(i).type)}"
            for i in range(kind.num_fields)
        )
        return f"struct<{', '.join(inner)}>"
    return _WIDER.get(str(kind), str(kind))


def _is_list(kind: Any) -> bool:
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(test(kind) for test in tests)


def _whole(values: Any) -> Any:
    """One array without dictionaries, extension types or chunks."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # combine_chunks keeps what has no chunk
        values = (
            pa.concat_arrays(values.chunks)
            if values.num_chunks
            else pa.array([], values.type)
        )
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values


def _same_type_difference(one: Any, other: Any) -> str:  # noqa: PLR0911 (one a kind of type)
    """The first difference between arrays of one type; missing values are compared first, then left
    away.
    """
    one, other = _whole(one), _whole(other)
    masks = [
        np.asarray(side.is_null().to_numpy(zero_copy_only=False)) for side in (one, other)
    ]
    if not np.array_equal(masks[0], masks[1]):
        return f"{int(masks[0].sum())} nulls against {int(masks[1].sum())}, or elsewhere"
    kind = one.type
    if pa.types.is_map(kind):
        return plain_difference(one.to_pylist(), other.to_pylist())
    if _is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list_difference(one, other, masks[0])
    if pa.types.is_struct(kind):
        return _struct_difference(one, other)
    if pa.types.is_floating(kind):
        return block_difference(
            *(side.drop_null().to_numpy(zero_copy_only=False) for side in (one, other))
        )
    if pa.types.is_union(kind):
        return plain_difference(one.to_pylist(), other.to_pylist())
    if _with_one_type(one, other):
        return ""
    return plain_difference(one.to_pylist(), other.to_pylist()) or "values differ"


def _with_one_type(one: Any, other: Any) -> bool:
    try:
        return bool(one.equals(other if one.type == other.type else other.cast(one.type)))
    except pa.ArrowException:
        return False


def _list_difference(one: Any, other: Any, nulls: np.ndarray[Any, Any]) -> str:
    sides = [pc.drop_null(side) if nulls.any() else side for side in (one, other)]
    counts = [
        np.asarray(pc.list_value_length(side).to_numpy(zero_copy_only=False))
        for side in sides
    ]
    if not np.array_equal(counts[0], counts[1]):
        at = int(np.flatnonzero(counts[0] != counts[1])[0])
        return f"list {at} has {counts[0][at]} values against {counts[1][at]}"
    return _same_type_difference(*(pc.list_flatten(side) for side in sides))


def _struct_difference(one: Any, other: Any) -> str:
    for i in range(one.type.num_fields):
        inner = _same_type_difference(
            *(pc.struct_field(side, [i]) for side in (one, other))
        )
        if inner:
            return f"{one.type.field(i).name}: {inner}"
    return ""
