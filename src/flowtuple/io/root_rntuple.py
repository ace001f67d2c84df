"""Tables into RNTuples: nested lists, strings, options and records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowtuple.data.awkward import from_block
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, TableSource, ranges
from flowtuple.io.root_forms import (
    field_reason,
    forms_within,
    has_record_arrays,
    kind_in_words,
    mark_of,
    plain_layout,
    stored_dtype,
)
from flowtuple.io.root_records import columns_of_shape, ntuple_shape, record_shapes
from flowtuple.io.root_types import set_types
from flowtuple.runtime.lazy_packages import awkward as ak


class NTupleWriter:
    """A table that becomes an RNTuple; hidden counters have no field, since lists have lengths.

    Args:
        source: The table.
        forms: Awkward forms of its opaque columns over all events.
        notes: Notes on how the input stored the table.

    Attributes:
        kind: The container, for notes.
        source: The table.
        notes: The notes.
        lost: Reasons, by column, why it cannot be a field.
        loosened: Sentences on types that an RNTuple has less strictly.
        is_empty: No column can be a field.
    """

    kind = "rntuple"

    def __init__(
        self, source: TableSource, forms: Mapping[str, Any], notes: Mapping[str, Any]
    ) -> None:
        self.source = source
        self.notes = notes
        self.lost: dict[str, str] = {}
        self.loosened: list[str] = []
        self._forms = forms
        self._empty: dict[str, Any] = {}
        for column in source.columns:
            if not column.hidden:
                self._plan(column)
        self.is_empty = not self._empty
        self._shape = ntuple_shape(record_shapes(self._empty, notes.get("records", {})))

    def _plan(self, column: Column) -> None:
        form = self._forms[column.name] if column.is_opaque else _number_form(column)
        reason = field_reason(form)
        if reason:
            self.lost[column.name] = reason
            return
        layout = plain_layout(form.length_zero_array(highlevel=False))
        self._empty[column.name] = layout
        change = ""
        if column.dtype == "float16":
            change = "float16 -> float32"
        elif any(part.is_unknown for part in forms_within(form)):
            change = "no value tells its type -> float64"
        elif mark_of(form) or has_record_arrays(form):
            change = f"{kind_in_words(form)} -> {layout.form.type}"
        if change:
            self.loosened.append(f"{column.name}: {change}")

    def begin(self, file: Any, step: int) -> None:
        """Write the header, without events, into uproot's file.

        Args:
            file: uproot's file.
            step: Events a cluster.
        """
        self._step = step
        contents = dict(self._empty)
        for column in self.source.columns:
            if column.title and column.name in contents:
                layout = contents[column.name]
                title = {**layout.parameters, "__doc__": column.title}
                contents[column.name] = layout.copy(parameters=title)
        form = _shaped(self._shape, contents, 0).form
        title = self.notes.get("title", "")
        self._ntuple = file.mkrntuple(self.source.name, form, title)
        set_types(self._ntuple, self.notes.get("types", {}))

    def fill(self) -> None:
        """Write the events."""
        for start, stop in ranges(self.source.num_entries, self._step):
            table = self.source.read(list(self._empty), start, stop)
            offsets = table.offsets_of(table.columns)
            contents = {
                c.name: self._content(c, table, offsets)
                for c in table.columns
                if c.name in self._empty
            }
            self._ntuple.extend(ak.Array(_shaped(self._shape, contents, stop - start)))

    def _content(self, column: Column, table: Table, offsets: Mapping[str, Array]) -> Any:
        """Return the layout of one column's values, of the form that was planned."""
        values = table.data[column.name]
        if column.is_opaque:
            kind = self._forms[column.name].type
            if values.layout.form.type != kind:
                # other events have missing or wider values
                values = ak.enforce_type(values, kind)
            return plain_layout(ak.to_layout(ak.to_packed(values)))
        block = from_block(np.asarray(values, stored_dtype(column))).layout
        if column.counter is None:
            return block
        return ak.contents.ListOffsetArray(
            ak.index.Index64(offsets[column.counter]), block
        )


def _number_form(column: Column) -> Any:
    form = ak.forms.NumpyForm(stored_dtype(column), column.shape)
    return form if column.counter is None else ak.forms.ListOffsetForm("i64", form)


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
    ((kind, fields),) = shape.items()
    starts_list = kind.endswith("s") and not in_list
    offsets = contents[columns_of_shape(shape)[0]].offsets if starts_list else None
    size = length if offsets is None else int(offsets[-1])
    inner = [_shaped(part, contents, size, in_list or starts_list) for _, part in fields]
    names = None if kind.startswith("tuple") else [name for name, _ in fields]
    record = ak.contents.RecordArray(inner, names, size)
    return record if offsets is None else ak.contents.ListOffsetArray(offsets, record)
