"""Records of an input whose members are columns, and the fields of an RNTuple that hold them.

The shape of a record is JSON: the name of a column, or `{kind: [[field, shape], ...]}`, where the
kind is `record`, `tuple`, `records` (a list of records) or `tuples`; a list of pairs, because a
file keeps no order of keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from flowtuple.data.schema import unused

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f./\\]")  # in the name of a field


def record_shape(
    form: Any, column: Callable[[tuple[str, ...], Any], str], fields: tuple[str, ...] = ()
) -> Any:
    """Return the shape of a form, in whose place of numbers and opaque contents are columns.

    Args:
        form: The awkward form of a branch.
        column: Returns the name of a column from the fields that lead to it, and its form.
        fields: The fields that lead to `form` itself.

    Example:
        >>> import awkward as ak
        >>> kind = ak.types.from_datashape("{x: float32, y: float32}", highlevel=False)
        >>> record_shape(ak.forms.from_type(kind), lambda fields, _: "_".join(("p", *fields)))
        {'record': [['x', 'p_x'], ['y', 'p_y']]}
    """
    is_list = form.is_list and not form.is_regular
    record = form.content if is_list else form
    if not record.is_record:
        return column(fields, form)
    kind = ("tuple" if record.is_tuple else "record") + ("s" if is_list else "")
    shapes = []
    for name, inner in zip(record.fields, record.contents, strict=True):
        inside = form.copy(content=inner) if is_list else inner
        shapes.append([name, record_shape(inside, column, (*fields, name))])
    return {kind: shapes}


def columns_of_shape(shape: Any) -> list[str]:
    """Return the columns within a record, in order."""
    if isinstance(shape, str):
        return [shape]
    (fields,) = shape.values()
    return [name for _, inner in fields for name in columns_of_shape(inner)]


def record_shapes(names: Iterable[str], records: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column that each field holds, or the shape of a record whose members are columns.

    Args:
        names: Columns, in order; members that are missing are left out of their records.
        records: Shapes of the records that the input had, by name.

    Example:
        >>> record_shapes(["p_x", "n"], {"p": {"record": [["x", "p_x"], ["y", "p_y"]]}})
        {'p': {'record': [['x', 'p_x']]}, 'n': 'n'}
    """
    units = {name: name for name in names}
    present: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for name, shape in records.items():
        pruned = None if name in units else _pruned(shape, units)
        if pruned is not None:
            present[name] = pruned
            owner |= dict.fromkeys(columns_of_shape(pruned), name)
    return {
        unit: present.get(unit, unit)
        for unit in dict.fromkeys(owner.get(name, name) for name in units)
    }


def _pruned(shape: Any, names: Container[str]) -> Any:
    """Return a shape without the columns that are not there; `None` where none is."""
    if isinstance(shape, str):
        return shape if shape in names else None
    ((kind, fields),) = shape.items()
    inner = [[name, _pruned(part, names)] for name, part in fields]
    present = [pair for pair in inner if pair[1] is not None]
    if not present or (kind.startswith("tuple") and len(present) < len(fields)):
        return None
    return {kind: present}


def field_paths(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the field of each column, without dots, slashes and blanks, as ROOT demands.

    A dotted name goes to a member of a record, which ROOT and uproot then call by that very name;
    other characters become underscores. A column that has the name of such a record, as the sizes
    of a split collection have, gets an underscore, too.

    Example:
        >>> field_paths(["JetsAuxDyn.pt", "a b", "a_b"])
        {'JetsAuxDyn.pt': ('JetsAuxDyn', 'pt'), 'a b': ('a_b_',), 'a_b': ('a_b',)}
    """
    parts = {name: tuple(name.split(".")) for name in names}
    fitting = {
        name: path
        for name, path in parts.items()
        if all(part and not _FORBIDDEN.search(part) for part in path)
    }
    records = {path[0] for path in fitting.values() if len(path) > 1}
    whole = {
        path for path in fitting.values() if len(path) == 1 and path[0] not in records
    }
    first = records.union(*whole)
    leaves: set[tuple[str, ...]] = set()
    inner: set[tuple[str, ...]] = set()
    paths: dict[str, tuple[str, ...]] = {}
    for name, path in parts.items():
        outer = {path[:k] for k in range(1, len(path))}
        is_free = path not in inner and leaves.isdisjoint(outer)
        if path in whole or (name in fitting and outer and is_free):
            leaves.add(path)
            inner |= outer
            paths[name] = path
        else:
            paths[name] = (unused(_FORBIDDEN.sub("_", name), first),)
        first.add(paths[name][0])
    return paths


def ntuple_shape(units: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shape of the record of all fields, from the shapes that `record_shapes` gives.

    Example:
        >>> ntuple_shape({"jet.pt": "jet.pt", "n": "n"})
        {'record': [['jet', {'record': [['pt', 'jet.pt']]}], ['n', 'n']]}
    """
    whole: dict[str, Any] = {"record": []}
    records: dict[tuple[str, ...], Any] = {(): whole}
    for name, path in field_paths(units).items():
        for k in range(1, len(path)):
            if path[:k] not in records:
                records[path[:k]] = {"record": []}
                records[path[: k - 1]]["record"].append([path[k - 1], records[path[:k]]])
        records[path[:-1]]["record"].append([path[-1], units[name]])
    return whole
