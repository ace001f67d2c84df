"""Section 3: the description."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reference_reader.base import (
    DTYPES,
    MAX_AXES,
    MAX_SHAPE,
    Dtype,
    Invalid,
    Json,
    member,
    objects,
    parse_json,
    require,
    whole_number,
)
from reference_reader.lattice import Lattice, parse_lattice, parse_range

ROLES = ("value", "angle", "id", "weight", "label", "counter", "reference")


@dataclass(frozen=True)
class Column:
    """Section 3: a column; `dtype` and `lattice` are None for an opaque one."""

    name: str
    dtype: Dtype | None
    counter: str | None
    shape: tuple[int, ...]
    given: bool
    lattice: Lattice | None

    @property
    def is_opaque(self) -> bool:
        return self.dtype is None

    @property
    def is_event(self) -> bool:
        """Section 5: an event column has neither counter nor shape."""
        return self.counter is None and self.shape == ()

    @property
    def collection(self) -> tuple[str, str | int]:
        """Section 5: the columns with the same number of objects in every event have this in
        common.
        """
        if self.counter is not None:
            return "counter", self.counter
        return ("size", math.prod(self.shape)) if self.shape else ("event", 1)

    @property
    def resolution(self) -> str:
        """Section 3: the column that a `sigma` bound counts in, empty without one."""
        return "" if self.lattice is None else self.lattice.resolution

    def known(self) -> tuple[Dtype, Lattice]:
        """Dtype and lattice of a column that is not opaque."""
        if self.dtype is None or self.lattice is None:
            raise Invalid(f"{self.name}: an opaque column has no lattice")
        return self.dtype, self.lattice


@dataclass(frozen=True)
class Part:
    """Section 3: a part of a table; the columns have the ranges that stand for its events."""

    entries: int
    columns: dict[str, Column]


@dataclass(frozen=True)
class Table:
    """Section 3: a table; `model` is the checksum of a MODEL section in another file."""

    name: str
    entries: int
    columns: dict[str, Column]
    model: str | None
    parts: list[Part]

    def part_of(self, begin: int, entries: int) -> Part:
        """Section 3: the part that a chunk lies in; for one without events any part will do."""
        first = 0
        for part in self.parts:
            if first <= begin and begin + entries <= first + part.entries:
                return part
            first += part.entries
        raise Invalid(f"{self.name}: a chunk that lies in two parts")


@dataclass(frozen=True)
class Description:
    """Section 3: tables and names of carried objects."""

    tables: list[Table]
    carried: list[str]
    models_alone: bool


def parse_description(data: bytes) -> Description:
    """Section 3: the content of the frame that the DESCRIPTION is."""
    parsed = parse_json(data)
    tables = [parse_table(t) for t in objects(parsed, "tables")]
    carried = member(parsed, "carried", list)
    require(all(isinstance(c, str) for c in carried), "carried: not an array of strings")
    require(len({t.name for t in tables}) == len(tables), "two tables of one name")
    require(len(set(carried)) == len(carried), "two carried objects of one name")
    models_alone = member(parsed, "model", bool, False)
    require(
        not models_alone or all(t.entries == 0 for t in tables),
        "a file of models with events",
    )
    return Description(tables, carried, models_alone)


def parse_table(parsed: Json) -> Table:
    """Section 3: a table."""
    columns = [parse_column(c) for c in objects(parsed, "columns")]
    require(len({c.name for c in columns}) == len(columns), "two columns of one name")
    model = member(parsed, "model", str) if "model" in parsed else None
    require(
        model is None or re.fullmatch("[0-9a-f]{16}", model) is not None,
        "a bad checksum of a model",
    )
    entries, by_name = (
        whole_number(parsed.get("entries"), 0, 2**63 - 1),
        {c.name: c for c in columns},
    )
    parts = (
        [parse_part(p, by_name) for p in objects(parsed, "parts")]
        if "parts" in parsed
        else [Part(entries, by_name)]
    )
    require(
        parts != [] and sum(p.entries for p in parts) == entries,
        "parts that do not add up to their table",
    )
    table = Table(member(parsed, "name", str), entries, by_name, model, parts)
    for column in columns:
        check_counter(column, table)
        check_resolution(column, by_name)
    return table


def parse_part(parsed: Json, columns: Mapping[str, Column]) -> Part:
    """Section 3: a part of a table, with ranges in place of those of its lattices."""
    own = dict(columns)
    for name, described in member(parsed, "ranges", dict, {}).items():
        column = columns.get(name)
        if column is None:
            raise Invalid(f"a range of no column {name}")
        dtype, lattice = column.known()
        require(
            isinstance(described, list) and not lattice.lossless,
            f"{name}: a range that is none, or of a lossless column",
        )
        low, high = parse_range(described, dtype)
        own[name] = replace(column, lattice=replace(lattice, low=low, high=high))
    return Part(whole_number(parsed.get("entries"), 0, 2**63 - 1), own)


def parse_column(parsed: Json) -> Column:
    """Section 3: a column."""
    name, dtype_name = member(parsed, "name", str), member(parsed, "dtype", str)
    require(dtype_name == "opaque" or dtype_name in DTYPES, f"{name}: unknown dtype")
    dtype = DTYPES.get(dtype_name)
    require(name != "", "a column without a name")
    counter = (
        member(parsed, "counter", str) if parsed.get("counter") is not None else None
    )
    shape = tuple(
        whole_number(n, 0, MAX_SHAPE) for n in member(parsed, "shape", list, [])
    )
    require(
        len(shape) <= MAX_AXES and math.prod(n or 1 for n in shape) <= MAX_SHAPE,
        f"{name}: too large a shape",
    )
    require(counter is None or shape == (), f"{name}: both counter and shape")
    require(member(parsed, "role", str, "value") in ROLES, f"{name}: unknown role")
    given = member(parsed, "given", bool, False)
    require(
        (dtype is None) == ("lattice" not in parsed),
        f"{name}: every column but an opaque one has a lattice",
    )
    lattice = (
        None if dtype is None else parse_lattice(member(parsed, "lattice", dict), dtype)
    )
    if lattice is None:
        require(
            counter is None and shape == () and not given,
            f"{name}: opaque with counter, shape or given",
        )
    else:
        require(not given or lattice.lossless, f"{name}: given, but not lossless")
    return Column(name, dtype, counter, shape, given, lattice)


def check_resolution(column: Column, columns: Mapping[str, Column]) -> None:
    """Section 3: the resolution of a `sigma` bound, and that chains of them end."""
    seen: set[str] = set()
    while column.resolution != "":
        seen.add(column.name)
        other = columns.get(column.resolution)
        if other is None or other.dtype is None or not other.dtype.is_float:
            raise Invalid(f"{column.name}: its resolution is no column of floats")
        require(
            (column.counter, column.shape) == (other.counter, other.shape),
            f"{column.name}: its resolution has other objects or another shape",
        )
        require(other.name not in seen, f"{column.name}: resolutions in a circle")
        column = other


def check_counter(column: Column, table: Table) -> None:
    """Section 3: a counter is an event column of the same table, of an integer type, lossless;
    given if its column is.
    """
    if column.counter is None:
        return
    counter = table.columns.get(column.counter)
    if counter is None or counter is column:
        raise Invalid(f"{column.name}: no such counter")
    dtype, lattice = counter.known()
    require(
        dtype.kind in {"int", "uint"} and lattice.lossless and counter.is_event,
        f"{counter.name} cannot be a counter",
    )
    require(
        counter.given or not column.given, f"{column.name} is given, its counter is not"
    )
