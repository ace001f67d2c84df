"""Tables from awkward record arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowtuple.data.awkward import from_block, kind_of, leaves
from flowtuple.data.schema import OPAQUE, Array, Column, Role, infer_role, unused
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.lazy_packages import awkward as ak


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
    visible = _leaves(name, array)
    counters, titles = counters or {}, titles or {}
    columns: list[Column] = []
    data: dict[str, Any] = {}
    hidden: dict[bytes, str] = {}  # counters by the lengths that they count
    lengths: dict[str, Array] = {}
    for leaf, values in visible.items():
        dtype, shape, is_counted = kind_of(values)
        counter = None
        if is_counted:
            lengths[leaf] = np.asarray(ak.to_numpy(ak.num(values)), dtype=np.int64)
            key = lengths[leaf].tobytes()
            counter = counters.get(leaf, hidden.get(key))
            if counter is None:
                # Visible columns keep their names.
                counter = unused(f"n({leaf})", {*visible, *hidden.values()})
                hidden[key] = counter
                columns.append(Column(counter, "int64", "counter", hidden=True))
                data[counter] = lengths[leaf]
        data[leaf] = ak.flatten(values) if is_counted else values
        role: Role = "value"
        if dtype != OPAQUE:
            role = infer_role(leaf, dtype)
            data[leaf] = np.ascontiguousarray(ak.to_numpy(data[leaf]))
        if leaf in counters.values():
            role = "counter"
        columns.append(Column(leaf, dtype, role, titles.get(leaf, ""), counter, shape))
    for leaf, counter in counters.items():
        if leaf in lengths and not (
            counter in data and np.array_equal(lengths[leaf], data[counter])
        ):
            raise InvalidArgument(
                f"column {leaf!r} does not have as many values as {counter!r} says; "
                "name its own counter"
            )
    return Table(name, tuple(columns), len(array), data)


def _leaves(name: str, array: ak.Array) -> dict[str, ak.Array]:
    """Return the values of each column of a table."""
    visible: dict[str, ak.Array] = {}
    origins: dict[str, str] = {}
    for field_name in array.fields:
        for leaf, fields, values in leaves(field_name, array[field_name]):
            origin = ".".join((field_name, *fields))
            if leaf in visible:
                raise InvalidArgument(
                    f"table {name!r}: {origins[leaf]!r} and {origin!r} would both be "
                    f"column {leaf!r}; rename one"
                )
            visible[leaf], origins[leaf] = values, origin
    return visible


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
