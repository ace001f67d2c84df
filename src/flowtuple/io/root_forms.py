"""The type of a column over all its events, and the reasons why a ROOT file may not hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import awkward as ak

from flowtuple.data.awkward import without_idle_options
from flowtuple.data.schema import Column
from flowtuple.data.table import TableSource, ranges

_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
NUMBERS = frozenset(["bool", *_INTEGERS, "float32", "float64"])
_SCAN = 16384  # events that are read together
_FEW = 64  # events whose types are taken for those of all
_STRINGS = ("string", "char")


def opaque_forms(source: TableSource, columns: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the awkward form of each opaque column over all events.

    An option type is in the form only where a value is missing.

    Args:
        source: The table; types that differ between its parts are joined.
        columns: Names of some of its opaque columns; `None` for all.
    """
    names = (
        [c.name for c in source.columns if c.is_opaque] if columns is None else list(columns)
    )
    if not names:
        return {}
    joined: dict[str, ak.Array] = {}
    for start, stop in list(ranges(source.num_entries, _SCAN)) or [(0, 0)]:
        table = source.read(names, start, stop)
        for name in names:
            values = without_idle_options(table[name])[:0]
            known = joined.setdefault(name, values)
            if known.layout.form != values.layout.form:
                joined[name] = ak.concatenate([known, values])
    return {name: ak.to_layout(joined[name]).form for name in names}


def first_forms(source: TableSource) -> dict[str, Any]:
    """Return the forms of the opaque columns in the first events, with every option type."""
    names = [c.name for c in source.columns if c.is_opaque]
    table = source.read(names, 0, _FEW)
    return {name: ak.to_layout(ak.to_packed(table[name])).form for name in names}


def kind_in_words(column: Column, forms: Mapping[str, Any]) -> str:
    """Return a column's type in words, as `float32 [2, 3]`, `var * float32` or `bitset`."""
    if not column.is_opaque:
        return f"{column.dtype} {list(column.shape)}" if column.shape else column.dtype
    return mark_of(forms[column.name]) or " ".join(str(forms[column.name].type).split())


def widened(column: Column) -> Column:
    """Return a column of half precision as one of float32, since uproot does not write float16."""
    return replace(column, dtype="float32") if column.dtype == "float16" else column


def plain_reason(column: Column) -> str:
    """Return the reason why ROOT cannot hold a column of numbers; empty where it can."""
    if column.dtype not in NUMBERS:
        return f"ROOT has no {column.dtype}"
    return "ROOT has no arrays of length 0" if 0 in column.shape else ""


def field_reason(form: Any) -> str:
    """Return the reason why an RNTuple cannot hold a form; empty where it can."""
    own = _own_reason(form)
    if own or form.is_numpy or form.is_unknown:
        return own
    if form.is_record:
        return next(filter(None, map(field_reason, form.contents)), "")
    return field_reason(form.content)


def mark_of(form: Any) -> str:
    """Return awkward's name for a special kind of lists, such as `bitset`; else empty.

    Example:
        >>> bits = ak.forms.NumpyForm("bool")
        >>> mark_of(ak.forms.ListOffsetForm("i64", bits, parameters={"__array__": "bitset"}))
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
    """Return the reason that lies in the form itself, not in its contents."""
    if form.is_union:
        return "variants do not come back from an RNTuple as they are"
    sizes = form.inner_shape if form.is_numpy else ()
    if form.is_regular and form.parameter("__array__") is None:
        sizes = (form.size,)
    if 0 in sizes:
        return "ROOT has no arrays of length 0"
    if form.is_option and _innermost(form.content).is_record:
        return "an RNTuple has no missing records"
    if form.is_record and not form.contents:
        return "an RNTuple has no records without fields"
    if form.is_numpy and form.primitive not in NUMBERS:
        return f"ROOT has no {form.primitive}"
    return ""


def _innermost(form: Any) -> Any:
    while form.is_indexed or form.is_option:
        form = form.content
    return form
