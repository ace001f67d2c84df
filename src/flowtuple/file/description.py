"""The description of a file's tables: JSON that may contain anything, parsed and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowtuple.codec.packing import declared, unzstd, zstd
from flowtuple.data.bounds import Bound
from flowtuple.data.memory import in_words
from flowtuple.data.resolutions import resolution_faults
from flowtuple.data.schema import OPAQUE, ROLES, Column
from flowtuple.data.table import LeftOut
from flowtuple.errors import Corrupt, InvalidArgument, TooLarge
from flowtuple.file.layout import FURTHER_BOUNDS
from flowtuple.lattice.context import MAX_ROWS
from flowtuple.lattice.grid import INTEGERS, MANTISSA_BITS
from flowtuple.lattice.lattice import Lattice, resolutions_of

_HASH = re.compile("[0-9a-f]{16}")
_DTYPES = {"bool", OPAQUE, *MANTISSA_BITS, *INTEGERS}


@dataclass(frozen=True)
class Part:
    """Consecutive events of a table that were compressed together, with their lattices."""

    entries: int
    lattices: Mapping[str, Lattice]


@dataclass(eq=False, repr=False)
class DescribedTable:
    """Description of one table.

    Attributes:
        name: The tree's name.
        num_entries: Number of events.
        columns: The schema.
        lattices: Lattices of all columns that are not opaque.
        requested: Bounds as they were requested, by column.
        external: Names of the external columns, of which the file has a hash only.
        model_reference: Hash of the model in another file; empty for none.
        parts: Parts of merged tables, whose lattices differ in their ranges only.
    """

    name: str
    num_entries: int
    columns: tuple[Column, ...]
    lattices: dict[str, Lattice]
    requested: dict[str, str]
    external: frozenset[str]
    model_reference: str
    parts: tuple[Part, ...]


def pack_description(meta: Mapping[str, Any]) -> bytes:
    """Return the description as bytes; equal descriptions give equal bytes."""
    return zstd(
        json.dumps(meta, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    )


def unpack_description(data: bytes, name: str, most: int | None = None) -> dict[str, Any]:
    """Return the description that `pack_description` packed.

    Args:
        data: The packed description.
        name: Path of the file, for messages.
        most: Largest number of bytes of the unpacked description; `None` for any.

    Raises:
        Corrupt: It is no JSON object with lists of tables and of carried objects.
        TooLarge: It has more than `most` bytes.
    """
    if most is not None and declared(data) > most:
        raise TooLarge(
            f"{name}: its description takes {in_words(declared(data))}, more than "
            f"{in_words(most)}; open it with more `memory=` if you trust it"
        )
    try:
        text = unzstd(data).decode("utf-8")
        meta = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{name}: its description does not parse ({error})") from None
    if not isinstance(meta, dict):
        raise Corrupt(f"{name}: its description is no JSON object")
    names = meta.get("carried")
    tables = meta.get("tables")
    if (
        not isinstance(tables, list)
        or not isinstance(names, list)
        or not all(map(_is_text, names))
    ):
        raise Corrupt(f"{name}: its description lists neither tables nor carried objects")
    if len(set(names)) != len(names) or not isinstance(meta.get("model", False), bool):
        raise Corrupt(
            f"{name}: its description has two carried objects of one name, "
            "or a model that is neither true nor false"
        )
    return meta


def flags_of_bounds(lattices: Iterable[Lattice]) -> int:
    """Return the feature flags of a header that the bounds of a file need."""
    further = any(own.bound.cuts or own.resolution for own in lattices)
    return FURTHER_BOUNDS if further else 0


def flags_of_description(meta: Mapping[str, Any]) -> int:
    """Return the feature flags of a header that a description needs, by its stored bounds."""
    columns = (c for table in meta["tables"] for c in table["columns"])
    return flags_of_bounds(
        Lattice.from_json(c["lattice"]) for c in columns if "lattice" in c
    )


def read_storage(meta: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the notes on how the input stored each table; tables without notes are left out."""
    return {
        str(t["name"]): t["storage"]
        for t in meta["tables"]
        if isinstance(t, dict) and "name" in t and isinstance(t.get("storage"), dict)
    }


def read_left_out(meta: Mapping[str, Any]) -> tuple[LeftOut, ...]:
    """Return the parts of the input that the file does not contain, by its description."""
    listed = meta.get("left_out")
    return tuple(
        LeftOut(str(part.get("name", "")), str(part.get("reason", "")))
        for part in (listed if isinstance(listed, list) else ())
        if isinstance(part, dict)
    )


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of 64 bits")
    return number


def parse_table(description: Any) -> DescribedTable:
    """Return a table's description, checked.

    Raises:
        Corrupt: It describes no table; the message continues "the description of table 0".
    """
    try:
        name = description["name"]
        entries = description["entries"]
        described = description["columns"]
        columns = tuple(Column.from_json(c) for c in described)
        lattices = {
            c["name"]: Lattice.from_json(c["lattice"])
            for c in described
            if "lattice" in c
        }
        requested = {
            c["name"]: _requested(str(c["asked"]), lattices.get(c["name"]))
            for c in described
            if "asked" in c
        }
        external = frozenset(c["name"] for c in described if _flag(c, "given"))
        model = description.get("model", "")
        parts = tuple(
            _part(p, lattices) for p in description.get("parts", ({"entries": entries},))
        )
    except KeyError as error:
        raise Corrupt(f"lacks {error}") from None
    except (TypeError, AttributeError, InvalidArgument) as error:
        raise Corrupt(f"is not what it should be ({error})") from None
    if not isinstance(name, str) or not _is_count(entries):
        raise Corrupt(f"has the name {name!r} and {entries!r} events")
    table = DescribedTable(
        name, entries, columns, lattices, requested, external, model, parts
    )
    for fault in _faults(table):
        raise Corrupt(fault)
    if "model" in description and not (isinstance(model, str) and _HASH.fullmatch(model)):
        raise Corrupt(f"refers to the model {str(model)[:40]!r}, which is no hash")
    return table


def _requested(text: str, lattice: Lattice | None) -> str:
    """Return the requested bound; that of the lattice if only a later version knows the text."""
    try:
        Bound.parse(text)
    except InvalidArgument:
        return str(lattice.bound) if lattice else "lossless"
    return text


def _part(described: Mapping[str, Any], lattices: Mapping[str, Lattice]) -> Part:
    """Return a part of a table, with ranges of its own for some columns."""
    ranges = described.get("ranges", {})
    own = {name: lattices[name].within(*ends) for name, ends in ranges.items()}
    return Part(described["entries"], {**lattices, **own})


def with_parts(described: Mapping[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """Return a table's description with the events of other parts.

    Its lattices get the widest of the ranges of the parts.
    """
    out = dict(described) | {"entries": sum(part.entries for part in parts)}
    out.pop("parts", None)
    out["columns"] = []
    noted: list[dict[str, Any]] = [
        {"entries": part.entries, "ranges": {}} for part in parts
    ]
    for column in described["columns"]:
        lattice = dict(column.get("lattice", {}))
        if "range" in lattice and parts:
            own = [part.lattices[column["name"]] for part in parts]
            for note, ranged in zip(noted, own, strict=True):
                note["ranges"][column["name"]] = [ranged.low, ranged.high]
            ends = [end for r in own for end in (r.low, r.high) if end is not None]
            lattice["range"] = [min(ends, default=None), max(ends, default=None)]
        out["columns"].append(column | ({"lattice": lattice} if lattice else {}))
    return out | ({"parts": noted} if len(parts) > 1 else {})


def _flag(described: Mapping[str, Any], key: str) -> bool:
    value = described.get(key, False)
    if not isinstance(value, bool):
        raise TypeError(f"{key} is {str(value)[:40]!r}")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(number: Any) -> bool:
    return (
        isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63
    )


def _faults(table: DescribedTable) -> Iterator[str]:
    """Yield what contradicts the format in a description; it is consistent up to the first."""
    for column in table.columns:
        yield from _column_faults(column)
    known = {c.name: c for c in table.columns}
    if len(known) != len(table.columns):
        yield "has two columns of one name"
    for column in table.columns:
        yield from _lattice_faults(column, table.lattices)
    for column in table.columns:
        if column.counter is not None:
            yield from _counter_faults(column, table, known)
        lossless = not column.is_opaque and _is_lossless(table, column.name)
        if column.name in table.external and not lossless:
            yield f"has the given column {column.name!r}, which is opaque or bounded"
    for name, words in resolution_faults(known, resolutions_of(table.lattices)):
        yield f"has the column {name!r} whose column of resolutions {words}"
    counts = [part.entries for part in table.parts]
    if not counts or not all(map(_is_count, counts)) or sum(counts) != table.num_entries:
        yield "has parts that do not add up to its events"


def _column_faults(column: Column) -> Iterator[str]:
    texts = (column.name, column.dtype, column.role, column.title)
    if not all(map(_is_text, texts)) or not isinstance(column.hidden, bool):
        yield f"has a column that is not what it should be: {str(column)[:200]}"
    shaped = all(map(_is_count, column.shape)) and not (column.shape and column.is_opaque)
    shaped = shaped and math.prod(n or 1 for n in column.shape) <= MAX_ROWS
    if column.dtype not in _DTYPES or column.role not in ROLES or not shaped:
        yield f"has a column of unknown type, role or shape: {str(column)[:200]}"


def _lattice_faults(column: Column, lattices: Mapping[str, Lattice]) -> Iterator[str]:
    lattice = lattices.get(column.name)
    if (lattice is None) != column.is_opaque:
        yield f"{'has a' if lattice else 'lacks the'} lattice of column {column.name!r}"
    if lattice and lattice.dtype != column.dtype:
        yield f"has a lattice of {lattice.dtype} for the {column.dtype} column {column.name!r}"


def _counter_faults(
    column: Column, table: DescribedTable, known: Mapping[str, Column]
) -> Iterator[str]:
    counter = known.get(column.counter) if isinstance(column.counter, str) else None
    counted = f"has the column {column.name!r} counted by {column.counter!r}"
    if counter is None or counter.dtype not in INTEGERS or not counter.is_event_number:
        yield f"{counted}, which counts nothing"
    elif column.shape or column.is_opaque:
        yield f"{counted} and shaped as well"
    elif not _is_lossless(table, counter.name):
        yield f"{counted}, which is bounded"
    elif column.name in table.external and counter.name not in table.external:
        yield f"has the given column {column.name!r}, whose counter is not given"


def _is_lossless(table: DescribedTable, name: str) -> bool:
    return table.lattices[name].bound.kind == "lossless"
