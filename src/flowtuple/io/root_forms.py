"""The type of a column over all its events, and the reasons why a ROOT file may not hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import awkward as ak

from flowtuple.data.awkward import without_idle_options
from flowtuple.data.schema import Column
from flowtuple.data.table import TableSource, ranges

NUMBERS = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float32",
        "float64",
    ]
)
_SCAN = 16384  # events that are looked at together
_FEW = 64  # events whose types stand for those of all
_STRINGS = ("string", "char")


def opaque_forms(source: TableSource, columns: Iterable[str] | None = None) -> dict[str, Any]:
    """The awkward form of each opaque column over all events; an option type counts only where a value is missing.

    Args:
        source: The table; parts of it may have types of their own, which are joined.
        columns: Names of some of its opaque columns; `None` for all.
    """
    names = [c.name for c in source.columns if c.is_opaque] if columns is None else list(columns)
    joined: dict[str, ak.Array] = {}
    for start, stop in ranges(source.num_entries if names else 0, _SCAN):
        table = source.read(names, start, stop)
        _join(joined, {name: without_idle_options(table[name])[:0] for name in names})
    if names and not joined:
        joined = {
            name: without_idle_options(values)
            for name, values in source.read(names, 0, 0).data.items()
        }
    return {name: ak.to_layout(joined[name]).form for name in names}


def first_forms(source: TableSource) -> dict[str, Any]:
    """The forms of the opaque columns as their first events have them, with every option type."""
    names = [c.name for c in source.columns if c.is_opaque]
    table = source.read(names, 0, _FEW)
    return {name: ak.to_layout(ak.to_packed(table[name])).form for name in names}


def _join(joined: dict[str, ak.Array], part: Mapping[str, ak.Array]) -> None:
    """Make types so wide that they hold those of one more part, too."""
    for name, values in part.items():
        known = joined.get(name)
        same = known is not None and known.layout.form == values.layout.form
        joined[name] = (
            values if known is None else known if same else ak.concatenate([known, values])
        )


def kind_in_words(column: Column, forms: Mapping[str, Any]) -> str:
    """A column's type for a person, as `float32`, `float32 [2, 3]`, `var * var * float32` or `bitset`."""
    if not column.is_opaque:
        return f"{column.dtype} {list(column.shape)}" if column.shape else column.dtype
    return mark_of(forms[column.name]) or " ".join(str(forms[column.name].type).split())


def widened(column: Column) -> Column:
    """A column of half precision as one of float32, which holds the same values: uproot writes no other."""
    return replace(column, dtype="float32") if column.dtype == "float16" else column


def plain_reason(column: Column) -> str:
    """The reason why ROOT has no place for a column of numbers; empty where it has one."""
    if column.dtype not in NUMBERS:
        return f"ROOT has no {column.dtype}"
    return "ROOT has no arrays of length 0" if 0 in column.shape else ""


def field_reason(form: Any) -> str:
    """The reason why no field of an RNTuple holds a form, or why uproot could not read it again; empty where one does."""
    own = _own_reason(form)
    if own or form.is_numpy or form.is_unknown:
        return own
    if form.is_record:
        return next(filter(None, map(field_reason, form.contents)), "")
    return field_reason(form.content)


def mark_of(form: Any) -> str:
    """The name that awkward gives a form beyond its lists and numbers, such as `bitset`; empty for plain ones.

    Example:
        >>> mark_of(ak.forms.ListOffsetForm("i64", ak.forms.NumpyForm("bool"), parameters={"__array__": "bitset"}))
        'bitset'
    """
    mark = form.parameter("__array__")
    if mark is not None and mark not in _STRINGS:
        return str(mark)
    if form.is_numpy or form.is_unknown:
        return ""
    inner = form.contents if form.is_record or form.is_union else [form.content]
    return next(filter(None, map(mark_of, inner)), "")


def _own_reason(form: Any) -> str:
    """The reason that lies in the form itself, whatever is in it."""
    array = form.parameter("__array__")
    is_record = form.is_record or (form.is_option and _innermost(form.content).is_record)
    sizes = (
        form.inner_shape
        if form.is_numpy
        else (form.size,)
        if form.is_regular and array is None
        else ()
    )
    reasons = {
        "variants do not come back from an RNTuple as they are": form.is_union,
        "ROOT has no arrays of length 0": 0 in sizes,
        "an RNTuple has no missing records": is_record and form.is_option,
        "an RNTuple has no records without fields": form.is_record and not form.contents,
    }
    if form.is_numpy:
        reasons[f"ROOT has no {form.primitive}"] = form.primitive not in NUMBERS
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def _innermost(form: Any) -> Any:
    while form.is_indexed or form.is_option:
        form = form.content
    return form
