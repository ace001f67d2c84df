"""Columns of a tree's branches: one for each leaf, with the way to its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.awkward import kind_of_form
from flowtuple.data.schema import OPAQUE, Array, Column, infer_role
from flowtuple.io.root_branches import Branch


@dataclass(frozen=True)
class Leaf:
    """A column and the way to its values: a branch, then fields of records within it."""

    column: Column
    branch: str
    fields: tuple[str, ...]
    is_counted: bool

    def pick(self, arrays: Mapping[str, Any]) -> Any:
        values = arrays[self.branch]
        for name in self.fields:
            values = values[name]
        return values


def walk(
    form: Any, fields: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], tuple[str, tuple[int, ...], bool]]]:
    """Yield the fields that lead to each column within a form, and the column's kind."""
    record = form.content if form.is_list and not form.is_regular else form
    if not record.is_record:
        yield fields, kind_of_form(form)
        return
    for name, inner in zip(record.fields, record.contents, strict=True):
        inside = form.copy(content=inner) if record is not form else inner
        yield from walk(inside, (*fields, name))


def record_shape(
    form: Any, members: Mapping[tuple[str, ...], str], fields: tuple[str, ...] = ()
) -> Any:
    """The records within a form, as JSON from which a writer puts the columns together again.

    Args:
        form: The awkward form of a branch.
        members: Column by the fields that lead to it, as `walk` gives them.
        fields: The fields that lead to `form` itself.

    Returns:
        The name of a column, or `{kind: [[field, shape], ...]}`, where the kind is `record`,
        `tuple`, `records` (a list of records) or `tuples`; a list of pairs, because a file keeps no
        order of keys.

    Example:
        >>> kind = ak.types.from_datashape("{x: float32, y: float32}", highlevel=False)
        >>> form = ak.forms.from_type(kind)
        >>> record_shape(form, {("x",): "p_x", ("y",): "p_y"})
        {'record': [['x', 'p_x'], ['y', 'p_y']]}
    """
    is_list = form.is_list and not form.is_regular
    record = form.content if is_list else form
    if not record.is_record:
        return members[fields]
    kind = ("tuple" if record.is_tuple else "record") + ("s" if is_list else "")
    shapes = []
    for name, inner in zip(record.fields, record.contents, strict=True):
        inside = form.copy(content=inner) if is_list else inner
        shapes.append([name, record_shape(inside, members, (*fields, name))])
    return {kind: shapes}


def make_column(name: str, branch: Branch, dtype: str, shape: tuple[int, ...]) -> Column:
    """Return the column of a leaf; its title names the counter where nothing else does."""
    if dtype == OPAQUE:
        return Column(name, dtype, "value", branch.title or branch.leaf_list)
    return Column(name, dtype, infer_role(name, dtype), branch.title, None, shape)


def whole_bools(values: Array) -> Array:
    """Return true for every byte but 0: a C++ bool that was never set has any byte."""
    true: Array = values.view(np.uint8) != 0
    return true


def with_whole_bools(values: Any) -> Any:
    """Return an awkward array in which every bool is a byte of 0 or 1."""

    def mended(layout: Any, **_: Any) -> Any:
        if not (layout.is_numpy and layout.dtype == np.bool_):
            return None
        whole = whole_bools(np.ascontiguousarray(layout.data))
        return ak.contents.NumpyArray(whole, parameters=layout.parameters)

    return ak.transform(mended, values)
