"""Tables into RNTuples: nested lists, strings, options and records."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.awkward import from_block
from flowtuple.data.schema import Array, Column, unused
from flowtuple.data.table import Table, TableSource, ranges
from flowtuple.io.root_forms import (
    field_reason,
    kind_in_words,
    mark_of,
    plain_reason,
    widened,
)
from flowtuple.io.root_private import private, require
from flowtuple.io.root_types import set_types

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f./\\]")  # in the name of a field


@dataclass(frozen=True)
class FieldPlan:
    """The fields of an RNTuple.

    Attributes:
        paths: The field, and the members within it, of each column or record.
        forms: The awkward form of the values of each column.
        shapes: The columns within each record, as `root_leaves.record_shape` gives them.
        reasons: Reasons, by column, why it cannot be a field.
        loosened: Types, by column, that an RNTuple has less strictly.
    """

    paths: dict[str, tuple[str, ...]]
    forms: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict)
    loosened: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)


def field_paths(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the field of each column, without dots, slashes and blanks, as ROOT demands.

    A dotted name goes to a member of a record, which ROOT and uproot then call by that very name;
    other characters become underscores. A column that has the name of such a record, as the sizes
    of a split collection have, gets an underscore, too.

    Example:
        >>> field_paths(["JetsAuxDyn.pt", "a b", "a_b"])
        {'JetsAuxDyn.pt': ('JetsAuxDyn', 'pt'), 'a b': ('a_b_',), 'a_b': ('a_b',)}
    """
    records = {name.partition(".")[0] for name in names if _is_dotted(name)}
    whole = {name for name in names if not _FORBIDDEN.search(name) and name not in records}
    first = set(whole)
    prefixes: set[tuple[str, ...]] = set()
    taken: set[tuple[str, ...]] = {(name,) for name in whole}
    paths: dict[str, tuple[str, ...]] = {}
    for name in names:
        path = tuple(name.split("."))
        outer = [path[:k] for k in range(1, len(path))]
        fits = all(part and not _FORBIDDEN.search(part) for part in path)
        if name not in whole and (
            name in records
            or not fits
            or path in taken
            or path in prefixes
            or not taken.isdisjoint(outer)
        ):
            bare = f"{name}_" if name in records else _FORBIDDEN.sub("_", name)
            path = (unused(bare, first),)
            outer = []
        taken.add(path)
        first.add(path[0])
        prefixes.update(outer)
        paths[name] = path
    return paths


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and all(part and not _FORBIDDEN.search(part) for part in parts)


def record_shapes(names: Iterable[str], records: Mapping[str, Any]) -> dict[str, Any]:
    """The column that each field holds, or the shape of the record whose members are columns.

    Args:
        names: Columns, in order; members that are missing are left out of their records.
        records: Shapes of the records that the input had, by name.

    Example:
        >>> record_shapes(["p_x", "n"], {"p": {"record": [["x", "p_x"], ["y", "p_y"]]}})
        {'p': {'record': [['x', 'p_x']]}, 'n': 'n'}
    """
    names = list(names)
    there = set(names)
    pruned = {
        name: _pruned(shape, there) for name, shape in records.items() if name not in there
    }
    owner = {
        column: name
        for name, shape in pruned.items()
        if shape is not None
        for column in columns_of_shape(shape)
    }
    units = dict.fromkeys(owner.get(name, name) for name in names)
    return {unit: pruned.get(unit, unit) for unit in units}


def columns_of_shape(shape: Any) -> list[str]:
    """Return the columns within a record, in order."""
    if isinstance(shape, str):
        return [shape]
    return [
        name
        for fields in shape.values()
        for _, inner in fields
        for name in columns_of_shape(inner)
    ]


def _pruned(shape: Any, names: Container[str]) -> Any:
    """Return a shape without the columns that are not there; `None` where none is."""
    if isinstance(shape, str):
        return shape if shape in names else None
    kind, fields = next(iter(shape.items()))
    inner = [[name, _pruned(part, names)] for name, part in fields]
    present = [pair for pair in inner if pair[1] is not None]
    if not present or (kind.startswith("tuple") and len(present) < len(fields)):
        return None
    return {kind: present}


def plan_fields(
    source: TableSource, forms: Mapping[str, Any], records: Mapping[str, Any] | None = None
) -> FieldPlan:
    """Return the fields of a table; hidden counters have none, since lists know their own lengths.

    Args:
        source: The table.
        forms: Awkward forms of its opaque columns.
        records: Shapes of the records that the input had, by name.
    """
    columns = [c for c in source.columns if not c.hidden]
    reasons = {
        c.name: field_reason(forms[c.name]) if c.is_opaque else plain_reason(widened(c))
        for c in columns
    }
    reasons = {name: reason for name, reason in reasons.items() if reason}
    good = [c for c in columns if c.name not in reasons]
    planned = {
        c.name: _field_form(forms[c.name]) if c.is_opaque else _plain_form(widened(c))
        for c in good
    }
    changed = [
        c
        for c in good
        if c.is_opaque and (mark_of(forms[c.name]) or _has_record_arrays(forms[c.name]))
    ]
    loosened = {
        c.name: f"{kind_in_words(c, forms)} -> {planned[c.name].type}" for c in changed
    }
    loosened |= {c.name: "float16 -> float32" for c in good if c.dtype == "float16"}
    unknown = [c.name for c in good if c.is_opaque and "unknown" in str(forms[c.name].type)]
    loosened |= dict.fromkeys(unknown, "no value tells its type -> float64")
    shapes = record_shapes(planned, records or {})
    return FieldPlan(field_paths(list(shapes)), planned, reasons, loosened, shapes)


def _plain_form(column: Column) -> Any:
    form = ak.forms.NumpyForm(column.dtype)
    for size in reversed(column.shape):
        form = ak.forms.RegularForm(form, size)
    return form if column.counter is None else ak.forms.ListOffsetForm("i64", form)


def _field_form(form: Any) -> Any:
    """Return the form that uproot writes: one kind of list and option, no indices."""
    if form.is_option:
        return ak.forms.IndexedOptionForm("i64", _field_form(form.content))
    if form.is_indexed:
        return _field_form(form.content)
    if form.is_record:
        names = None if form.is_tuple else form.fields
        return ak.forms.RecordForm(list(map(_field_form, form.contents)), names)
    return _list_form(form) if form.is_list else _numbers_form(form)


def _list_form(form: Any) -> Any:
    if form.parameter("__array__") == "string":
        characters = ak.forms.NumpyForm("uint8", parameters={"__array__": "char"})
        return ak.forms.ListOffsetForm("i64", characters, parameters={"__array__": "string"})
    # ROOT reads no std::array of records without a class
    if form.is_regular and not _holds_records(form):
        return ak.forms.RegularForm(_field_form(form.content), form.size)
    return ak.forms.ListOffsetForm("i64", _field_form(form.content))


def _inner(form: Any) -> list[Any]:
    if form.is_record:
        return list(form.contents)
    return [] if form.is_numpy or form.is_unknown else [form.content]


def _holds_records(form: Any) -> bool:
    return (form.is_record and not form.is_tuple) or any(map(_holds_records, _inner(form)))


def _has_record_arrays(form: Any) -> bool:
    return (form.is_regular and _holds_records(form)) or any(
        map(_has_record_arrays, _inner(form))
    )


def _numbers_form(form: Any) -> Any:
    if form.is_unknown:
        return ak.forms.NumpyForm("float64")
    inner = ak.forms.NumpyForm(form.primitive)
    for size in reversed(form.inner_shape):
        inner = ak.forms.RegularForm(inner, size)
    return inner


class NTupleWriter:
    """An RNTuple in an open file, whose header is written at once and whose events come later.

    Args:
        file: uproot's file.
        source: The table.
        plan: From `plan_fields`, with at least one field.
        step: Events a cluster.
        title: Description of the RNTuple.
        types: Types of fields by path, as `root_types.types_of` gives them.
    """

    def __init__(
        self,
        file: Any,
        source: TableSource,
        plan: FieldPlan,
        step: int,
        title: str,
        types: Mapping[str, str],
    ) -> None:
        self._source = source
        self._plan = plan
        self._step = step
        form = _record_form(plan, {c.name: c.title for c in source.columns if c.title})
        self._ntuple = file.mkrntuple(source.name, form, title)
        set_types(self._ntuple, form, types)
        header = private(self._ntuple, "_cascading._header")
        require(header, "_akform")
        header._akform = _record_form(plan, {})  # so that data need no titles to fit

    def fill(self) -> None:
        """Write the events."""
        for start, stop in ranges(self._source.num_entries, self._step):
            table = self._source.read(list(self._plan.forms), start, stop)
            offsets = table.offsets_of(table.columns)
            contents = {
                name: _content(table.column(name), table, offsets, form)
                for name, form in self._plan.forms.items()
            }
            self._ntuple.extend(ak.Array(_record(self._plan, contents, stop - start)))


def _record_form(plan: FieldPlan, titles: Mapping[str, str]) -> Any:
    """Return the form of the record of all fields, which is that of a record without events."""
    contents = {}
    for name, form in plan.forms.items():
        title = {"__doc__": titles[name]} if name in titles else {}
        titled = form.copy(parameters={**form.parameters, **title})
        contents[name] = titled.length_zero_array(highlevel=False)
    return _record(plan, contents, 0).form


def _record(plan: FieldPlan, contents: Mapping[str, Any], length: int) -> Any:
    """Return the record of all fields, from the layouts of the columns."""
    fields: dict[str, Any] = {}
    for name, path in plan.paths.items():
        outer = fields
        for part in path[:-1]:
            outer = outer.setdefault(part, {})
        outer[path[-1]] = _shaped(plan.shapes[name], contents, length)
    return _nested(fields, length)


def _nested(fields: Mapping[str, Any], length: int) -> Any:
    contents = [_nested(f, length) if isinstance(f, dict) else f for f in fields.values()]
    return ak.contents.RecordArray(contents, list(fields), length)


def _shaped(
    shape: Any, contents: Mapping[str, Any], length: int, in_list: bool = False
) -> Any:
    """Return the layout of a column or of a record of columns; within a list, of elements."""
    if isinstance(shape, str):
        layout = contents[shape]
        if not in_list:
            return layout
        elements = layout.content[: layout.offsets[-1]]
        return elements.copy(parameters={**elements.parameters, **layout.parameters})
    kind, fields = next(iter(shape.items()))
    starts_list = kind.endswith("s") and not in_list
    offsets = contents[columns_of_shape(shape)[0]].offsets if starts_list else None
    size = length if offsets is None else int(offsets[-1])
    inner = [_shaped(part, contents, size, in_list or starts_list) for _, part in fields]
    names = None if kind.startswith("tuple") else [name for name, _ in fields]
    record = ak.contents.RecordArray(inner, names, size)
    return record if offsets is None else ak.contents.ListOffsetArray(offsets, record)


def _content(column: Column, table: Table, offsets: Mapping[str, Array], form: Any) -> Any:
    """Return the layout of one column's values, of the form that was planned."""
    values = table.data[column.name]
    if column.is_opaque:
        return conform(ak.to_layout(ak.to_packed(values)), form)
    block = from_block(np.asarray(values, widened(column).dtype)).layout
    if column.counter is None:
        return block
    return ak.contents.ListOffsetArray(ak.index.Index64(offsets[column.counter]), block)


def conform(layout: Any, form: Any) -> Any:
    """Return the same values in a layout of a form that is at least as wide as their own."""
    if form.is_option:
        return _options(layout, form)
    if layout.is_option or layout.is_indexed:
        return conform(layout.project(), form)
    if form.is_record:  # the fields of a tuple are its numbers
        contents = [conform(layout[name], form.content(name)) for name in form.fields]
        names = None if form.is_tuple else form.fields
        return ak.contents.RecordArray(contents, names, layout.length)
    return _lists(layout, form) if form.is_list else _numbers(layout, form)


def _options(layout: Any, form: Any) -> Any:
    if layout.is_option:
        layout = layout.to_IndexedOptionArray64()
        return ak.contents.IndexedOptionArray(
            layout.index, conform(layout.content, form.content)
        )
    every = ak.index.Index64(np.arange(layout.length))
    return ak.contents.IndexedOptionArray(every, conform(layout, form.content))


def _numbers(layout: Any, form: Any) -> Any:
    values = np.empty(0) if layout.is_unknown else np.asarray(ak.to_numpy(ak.Array(layout)))
    return ak.contents.NumpyArray(values.astype(form.primitive, copy=False))


def _lists(layout: Any, form: Any) -> Any:
    if layout.is_unknown:
        return form.length_zero_array(highlevel=False)
    if form.is_regular:
        layout = layout.to_RegularArray()
        content = conform(layout.content[: layout.length * form.size], form.content)
        return ak.contents.RegularArray(content, form.size, layout.length)
    layout = layout.to_ListOffsetArray64(True)
    content = layout.content[: layout.offsets[-1]]
    if form.parameter("__array__") == "string":
        letters = np.asarray(content.data, np.uint8)
        characters = ak.contents.NumpyArray(letters, parameters={"__array__": "char"})
        string = {"__array__": "string"}
        return ak.contents.ListOffsetArray(layout.offsets, characters, parameters=string)
    return ak.contents.ListOffsetArray(layout.offsets, conform(content, form.content))
