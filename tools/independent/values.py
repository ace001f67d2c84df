"""Values as independent readers give them, compared bit for bit: NumPy, awkward, Arrow, and objects
in plain Python.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

SHOWN = 60


def difference(left: Any, right: Any) -> str:
    """The first difference between two values in words, empty where they are the same bit for bit.

    Args:
        left: A NumPy, awkward or Arrow array, or lists, dicts, numbers and text.
        right: The same of the other file; where its kind of array is another, both are compared as
        lists.
    """
    if is_awkward(left) and is_awkward(right):
        return _awkward_difference(left, right)
    if is_arrow(left) and is_arrow(right):
        from independent.arrow_values import arrow_difference

        return arrow_difference(left, right)
    if is_plain_block(left) and is_plain_block(right):
        return block_difference(left, right)
    return plain_difference(plain(left), plain(right))


def is_awkward(values: Any) -> bool:
    """Whether these are an awkward array."""
    return type(values).__module__.startswith("awkward")


def is_arrow(values: Any) -> bool:
    """Whether these are an Arrow array."""
    return type(values).__module__.startswith("pyarrow")


def is_plain_block(values: Any) -> bool:
    """Whether these are a NumPy array of numbers, of records of numbers, or of bytes."""
    return isinstance(values, np.ndarray) and not values.dtype.hasobject


def block_difference(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> str:
    """The first difference between two blocks of numbers: type, shape or bits; the byte order does
    not count.
    """
    one, other = native(left), native(right)
    if one.shape != other.shape:
        return f"{list(one.shape)} values against {list(other.shape)}"
    if one.dtype != other.dtype:
        return f"type {one.dtype} against {other.dtype}"
    if one.dtype.names is not None:
        for name in one.dtype.names:
            if inner := block_difference(one[name], other[name]):
                return f"{name}: {inner}"
        return ""
    if one.dtype.kind == "b":  # any byte but 0 is true
        one, other = (side.view(np.uint8) != 0 for side in (one, other))
    if one.tobytes() == other.tobytes():
        return ""
    return _first_unequal(one, other)


def native(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same values in this machine's byte order, without padding between fields."""
    if values.dtype.names is None:
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    fields = [
        (name, native(values[name][:0]).dtype, values[name].shape[values.ndim :])
        for name in values.dtype.names
    ]
    packed = np.empty(
        values.shape, dtype=[(name, dtype, shape) for name, dtype, shape in fields]
    )
    for name in values.dtype.names:
        packed[name] = values[name]
    return packed


def _first_unequal(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> str:
    size = one.dtype.itemsize
    bits = [
        np.ascontiguousarray(a).reshape(-1).view(np.uint8).reshape(-1, size)
        for a in (one, other)
    ]
    rows = np.flatnonzero((bits[0] != bits[1]).any(axis=1))
    at = int(rows[0])
    values = f"{one.reshape(-1)[at]!r} against {other.reshape(-1)[at]!r}"
    return f"{len(rows)} of {len(bits[0])} values differ, first at {at}: {values}"


def _awkward_difference(left: Any, right: Any) -> str:
    import awkward as ak

    if len(left) != len(right):
        return f"{len(left)} events against {len(right)}"
    one, other = (ak.to_layout(ak.to_packed(values)) for values in (left, right))
    return _layout_difference(one, other)


def _layout_difference(one: Any, other: Any) -> str:  # noqa: PLR0911 (one a kind of layout)
    one, other = _simplified(one), _simplified(other)
    if one.is_option or other.is_option:
        return _option_difference(one, other)
    if one.is_union or other.is_union:
        return plain_difference(plain(_as_array(one)), plain(_as_array(other)))
    if _is_text(one) or _is_text(other):
        if not (_is_text(one) and _is_text(other)):
            return f"type {one.form.type} against {other.form.type}"
        return plain_difference(_texts(one), _texts(other))
    if one.is_record or other.is_record:
        return _record_difference(one, other)
    if one.is_list or other.is_list:
        return _list_difference(one, other)
    if one.is_unknown or other.is_unknown:
        return (
            ""
            if len(one) == len(other) == 0
            else f"type {one.form.type} against {other.form.type}"
        )
    return block_difference(np.asarray(one.data), np.asarray(other.data))


def _simplified(layout: Any) -> Any:
    """The layout without indirection, and blocks of several axes as lists of fixed length."""
    if layout.is_indexed and not layout.is_option:
        return _simplified(layout.project())
    if layout.is_numpy and layout.data.ndim > 1:
        return layout.to_RegularArray()
    return layout


def _as_array(layout: Any) -> Any:
    import awkward as ak

    return ak.Array(layout)


def _is_text(layout: Any) -> bool:
    return layout.parameter("__array__") in ("string", "bytestring")


def _texts(layout: Any) -> list[Any]:
    """The texts as bytes, since some of them are no UTF-8."""
    wide = layout.to_ListOffsetArray64(True)
    offsets = np.asarray(wide.offsets.data)
    content = np.asarray(wide.content.data).tobytes()
    return [content[start:stop] for start, stop in pairwise(offsets)]


def _option_difference(one: Any, other: Any) -> str:
    masks = [
        np.asarray(side.mask_as_bool(valid_when=False))
        if side.is_option
        else np.zeros(len(side), "?")
        for side in (one, other)
    ]
    if not np.array_equal(masks[0], masks[1]):
        return f"{int(masks[0].sum())} missing values against {int(masks[1].sum())}"
    inner = [side.project() if side.is_option else side for side in (one, other)]
    return _layout_difference(inner[0], inner[1])


def _record_difference(one: Any, other: Any) -> str:
    if not (one.is_record and other.is_record):
        return f"type {one.form.type} against {other.form.type}"
    fields = [[str(field) for field in side.fields] for side in (one, other)]
    if sorted(fields[0]) != sorted(fields[1]):
        return f"fields {', '.join(fields[0])} against {', '.join(fields[1])}"
    for field in one.fields:
        if inner := _layout_difference(one.content(field), other.content(field)):
            return f"{field}: {inner}"
    return ""


def _list_difference(one: Any, other: Any) -> str:
    if not (one.is_list and other.is_list):
        return f"type {one.form.type} against {other.form.type}"
    if one.is_regular != other.is_regular or (one.is_regular and one.size != other.size):
        counts = [np.unique(_counts(side)) for side in (one, other)]
        if len(one) or not (one.is_regular and other.is_regular):
            lengths = (
                " and other lengths" if not np.array_equal(counts[0], counts[1]) else ""
            )
            return f"type {one.form.type} against {other.form.type}{lengths}"
    lengths_one, lengths_other = _counts(one), _counts(other)
    if not np.array_equal(lengths_one, lengths_other):
        at = int(np.flatnonzero(lengths_one != lengths_other)[0])
        return f"list {at} has {lengths_one[at]} values against {lengths_other[at]}"
    return _layout_difference(_content(one), _content(other))


def _counts(layout: Any) -> np.ndarray[Any, Any]:
    if layout.is_regular:
        return np.full(len(layout), layout.size)
    return np.diff(np.asarray(layout.to_ListOffsetArray64(True).offsets.data))


def _content(layout: Any) -> Any:
    if layout.is_regular:
        return layout.content[: len(layout) * layout.size]
    wide = layout.to_ListOffsetArray64(True)
    return wide.content[: int(wide.offsets.data[-1])]


def plain(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 (one a kind of value)
    """Any value as lists, dicts, text, bytes and numbers; what is still a number keeps its bits."""
    if depth > 60:
        return "(too deep)"
    if is_awkward(value):
        return value.to_list()
    if is_arrow(value):
        return value.to_pylist()
    if isinstance(value, np.ndarray):
        if value.dtype.names is not None:
            return [
                {n: plain(row[n], depth + 1) for n in value.dtype.names} for row in value
            ]
        return (
            [plain(item, depth + 1) for item in value]
            if value.dtype.hasobject
            else value.tolist()
        )
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "tolist") and not isinstance(value, (str, bytes)):
        return plain(value.tolist(), depth + 1)
    return value


def plain_difference(left: Any, right: Any, where: str = "") -> str:
    """The first difference between two values that `plain` made, with the way to it."""
    at = f"{where}: " if where else ""
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            return f"{at}{_keys_in_words(left, right)}"
        found = (
            plain_difference(left[key], right[key], f"{where}.{key}".strip("."))
            for key in left
        )
        return next((words for words in found if words), "")
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return f"{at}{len(left)} items against {len(right)}"
        pairs = enumerate(zip(left, right, strict=True))
        found = (plain_difference(a, b, f"{where}[{i}]") for i, (a, b) in pairs)
        return next((words for words in found if words), "")
    return (
        "" if _same_scalar(left, right) else f"{at}{_short(left)} against {_short(right)}"
    )


def _keys_in_words(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    gone, new = ([k for k in a if k not in b] for a, b in ((left, right), (right, left)))
    return (
        f"lacks {', '.join(gone) or 'nothing'}, has beyond {', '.join(new) or 'nothing'}"
    )


def _same_scalar(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, (str, bytes)) and isinstance(right, (str, bytes)):
        return _bytes(left) == _bytes(right)
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, float) != isinstance(right, float):
        return False
    try:
        return bool(left == right) or (left is right)
    except Exception:
        return repr(left) == repr(right)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
