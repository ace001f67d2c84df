"""Tables from awkward record arrays and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.awkward import from_block, kind_of, leaves
from flowtuple.data.schema import OPAQUE, Array, Column, Role, infer_role, unused
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument


def table_from_awkward(
    name: str,
    array: ak.Array,
    titles: Mapping[str, str] | None = None,
    counters: Mapping[str, str] | None = None,
) -> Table:
    """Make a table from a record array, one field a column.

    Args:
        name: Name of the table.
        array: One record per event. A field of numbers is a column, a field of lists of numbers a
            counted column, a field of lists of records a collection (`Jet` with `pt` becomes
            `Jet_pt`); a record is flattened the same way. Anything else is opaque; an option type
            counts as such only where a value is missing.
        titles: Branch titles by column name.
        counters: For counted columns, the field that counts them; columns left out share a hidden
            counter with all columns of equal counts.

    Raises:
        InvalidArgument: A field has another number of values than its counter says, or two columns
            get the same name.

    Example:
        >>> events = ak.Array([{"Jet": [{"pt": 50.0}, {"pt": 20.0}]}, {"Jet": []}])
        >>> table = table_from_awkward("Events", events)
        >>> [c.name for c in table.columns]
        ['n(Jet_pt)', 'Jet_pt']
        >>> table["Jet_pt"].tolist(), table["n(Jet_pt)"].tolist()
        ([50.0, 20.0], [2, 0])
    """
    visible: dict[str, tuple[str, ak.Array]] = {}
    for field_name in array.fields:
        for leaf, fields, values in leaves(field_name, array[field_name]):
            origin = ".".join((field_name, *fields))
            if leaf in visible:
                raise InvalidArgument(
                    f"table {name!r}: {visible[leaf][0]!r} and {origin!r} would both be "
                    f"column {leaf!r}; rename one"
                )
            visible[leaf] = (origin, values)
    builder = _Builder(titles or {}, counters or {}, visible)
    for leaf, (_, values) in visible.items():
        builder.add(leaf, values)
    builder.check_counters()
    return Table(name, tuple(builder.columns), len(array), builder.data)


class _Builder:
    """Collector of columns, which share a hidden counter where their lengths are equal."""

    def __init__(
        self, titles: Mapping[str, str], counters: Mapping[str, str], visible: Iterable[str]
    ) -> None:
        self.columns: list[Column] = []
        self.data: dict[str, Any] = {}
        self._taken = set(visible)
        self._titles = titles
        self._counters = counters
        self._counting = set(counters.values())
        self._hidden: dict[bytes, str] = {}  # by the lengths that it counts
        self._lengths: dict[str, Array] = {}

    def add(self, name: str, values: ak.Array) -> None:
        dtype, shape, is_counted = kind_of(values)
        counter = self._counter(name, values) if is_counted else None
        role: Role = "value"
        if name in self._counting:
            role = "counter"
        elif dtype != OPAQUE:
            role = infer_role(name, dtype)
        self.columns.append(
            Column(name, dtype, role, self._titles.get(name, ""), counter, shape)
        )
        flat = ak.flatten(values) if is_counted else values
        self.data[name] = (
            values if dtype == OPAQUE else np.ascontiguousarray(ak.to_numpy(flat))
        )

    def check_counters(self) -> None:
        for name, lengths in self._lengths.items():
            counter = self._counters[name]
            if counter not in self.data or not np.array_equal(lengths, self.data[counter]):
                raise InvalidArgument(
                    f"column {name!r} does not have as many values as {counter!r} says; "
                    "name its own counter"
                )

    def _counter(self, name: str, values: ak.Array) -> str:
        lengths = np.asarray(ak.to_numpy(ak.num(values)), dtype=np.int64)
        if name in self._counters:
            self._lengths[name] = lengths
            return self._counters[name]
        key = lengths.tobytes()
        if key not in self._hidden:
            hidden = unused(f"n({name})", self._taken)  # visible columns keep their names
            self._taken.add(hidden)
            self._hidden[key] = hidden
            self.columns.append(Column(hidden, "int64", "counter", hidden=True))
            self.data[hidden] = lengths
        return self._hidden[key]


def table_to_awkward(table: Table) -> ak.Array:
    """Return a record array with one field per visible column.

    Counted columns become lists, fixed arrays regular lists.
    """
    offsets = table.offsets_of(table.columns)
    fields: dict[str, Any] = {}
    for column in table.columns:
        content = table.data[column.name]
        if column.hidden:
            continue
        if column.counter is not None:
            layout = ak.contents.ListOffsetArray(
                ak.index.Index64(offsets[column.counter]), ak.contents.NumpyArray(content)
            )
            fields[column.name] = ak.Array(layout)
        else:
            fields[column.name] = content if column.is_opaque else from_block(content)
    if not fields:
        return ak.Array(ak.contents.RecordArray([], [], length=table.num_entries))
    return ak.zip(fields, depth_limit=1)


def tables_to_awkward(tables: Mapping[str, Table]) -> ak.Array | dict[str, ak.Array]:
    """Return a record array, or a dict of them by table name if there are several tables."""
    arrays = {name: table_to_awkward(table) for name, table in tables.items()}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))
