"""Types of columns over all events, the reasons why a ROOT file may not hold them, and layouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowtuple.data.awkward import from_block, without_idle_options
from flowtuple.data.schema import Column
from flowtuple.data.table import TableSource, ranges
from flowtuple.runtime.lazy_packages import awkward as ak

_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
NUMBERS = frozenset(["bool", *_INTEGERS, "float32", "float64"])
_SCAN = 16384  # events that are read together
_FEW = 64  # events whose types are taken for those of all
_STRINGS = ("string", "char")


def opaque_forms(source: TableSource) -> dict[str, Any]:
    """Return the awkward form of each opaque column over all events.

    Types that differ between parts of the table are joined; an option type is in the form only
    where a value is missing.
    """
    joined: dict[str, ak.Array] = {}
    names = [c.name for c in source.columns if c.is_opaque]
    steps = list(ranges(source.num_entries, _SCAN)) or [(0, 0)]
    for start, stop in steps if names else []:
        table = source.read(names, start, stop)
        for name in names:
            values = without_idle_options(table[name])[:0]
            known = joined.setdefault(name, values)
            if known.layout.form != values.layout.form:
                joined[name] = ak.concatenate([known, values])
    return {name: ak.to_layout(values).form for name, values in joined.items()}


def first_forms(source: TableSource) -> dict[str, Any]:
    """Return the forms of the opaque columns in the first events, with every option type."""
    names = [c.name for c in source.columns if c.is_opaque]
    table = source.read(names, 0, _FEW)
    return {name: ak.to_layout(ak.to_packed(table[name])).form for name in names}


def stored_dtype(column: Column) -> str:
    """Return the type of numbers in a ROOT file: uproot does not write float16."""
    return "float32" if column.dtype == "float16" else column.dtype


def kind_in_words(form: Any) -> str:
    """Return a type in words, as `var * float32` or `bitset`."""
    return mark_of(form) or " ".join(str(form.type).split())


def plain_reason(column: Column) -> str:
    """Return the reason why ROOT cannot hold a column of numbers; empty where it can."""
    if stored_dtype(column) not in NUMBERS:
        return f"ROOT has no {column.dtype}"
    return "ROOT has no arrays of length 0" if 0 in column.shape else ""


def forms_within(form: Any) -> Iterator[Any]:
    """Yield a form, and the forms of its contents at any depth."""
    yield form
    if form.is_numpy or form.is_unknown:
        return
    for inner in form.contents if form.is_record or form.is_union else [form.content]:
        yield from forms_within(inner)


def field_reason(form: Any) -> str:
    """Return the reason why an RNTuple cannot hold a form; empty where it can."""
    return next(filter(None, map(_own_reason, forms_within(form))), "")


def mark_of(form: Any) -> str:
    """Return awkward's name for a special kind of lists, such as `bitset`; else empty.

    Example:
        >>> bits = ak.forms.NumpyForm("bool")
        >>> mark_of(ak.forms.ListOffsetForm("i64", bits, parameters={"__array__": "bitset"}))
        'bitset'
    """
    marks = (part.parameter("__array__") for part in forms_within(form))
    return next((str(mark) for mark in marks if mark not in (None, *_STRINGS)), "")


def has_record_arrays(form: Any) -> bool:
    """Return whether there are fixed arrays of records, which ROOT reads with a class only."""
    return any(part.is_regular and _holds_records(part) for part in forms_within(form))


def _holds_records(form: Any) -> bool:
    return any(part.is_record and not part.is_tuple for part in forms_within(form))


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


def plain_layout(layout: Any) -> Any:
    """Return values as uproot writes them: one kind of list and of option, no indices or marks.

    Example:
        >>> plain_layout(ak.Array([[1, None]])[[0, 0]].layout).form.type.content
        OptionType(NumpyType('int64'))
    """
    if layout.is_option:
        layout = layout.to_IndexedOptionArray64()
        return ak.contents.IndexedOptionArray(layout.index, plain_layout(layout.content))
    if layout.is_indexed:
        return plain_layout(layout.project())
    if layout.is_record:  # the fields of a tuple are its numbers
        contents = [plain_layout(layout[name]) for name in layout.fields]
        names = None if layout.is_tuple else layout.fields
        return ak.contents.RecordArray(contents, names, layout.length)
    if layout.is_unknown:
        return ak.contents.NumpyArray(np.empty(0))
    if layout.is_numpy:
        return from_block(layout.data).layout
    return _plain_list(layout)


def _plain_list(layout: Any) -> Any:
    is_string = layout.parameter("__array__") == "string"
    if layout.is_regular and not is_string and not _holds_records(layout.form):
        content = plain_layout(layout.content[: layout.length * layout.size])
        return ak.contents.RegularArray(content, layout.size, layout.length)
    layout = layout.to_ListOffsetArray64(True)
    content = plain_layout(layout.content[: layout.offsets[-1]])
    if not is_string:
        return ak.contents.ListOffsetArray(layout.offsets, content)
    letters = content.copy(parameters={"__array__": "char"})
    return ak.contents.ListOffsetArray(
        layout.offsets, letters, parameters={"__array__": "string"}
    )
