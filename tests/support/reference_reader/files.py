"""Whole files: their sections sorted by what they hold, and all tables read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reference_reader.base import (
    MAX_EVENTS,
    Array,
    Given,
    Invalid,
    Values,
    bytes_from_patterns,
    patterns_from_bytes,
    require,
    xxh3,
    zstd_content,
)
from reference_reader.chunk import check_stored, decode_column, opaque_entries
from reference_reader.container import (
    CARRIED,
    CHUNK,
    EVENT_MODELS,
    FURTHER_BOUNDS,
    MODEL,
    Section,
    Stored,
    check_header,
    head_of,
    open_container,
    split_chunk,
)
from reference_reader.description import Column, Description, Table, parse_description
from reference_reader.flow import Model, coding_order
from reference_reader.model import check_model, parse_model, uses_event_models
from reference_reader.rows import Chunk


@dataclass
class File:
    """Section 2.2: a file with its sections sorted by what they hold; models and chunks by the
    number of their table.
    """

    description: Description
    flags: int
    models: dict[int, Section] = field(default_factory=dict)
    chunks: dict[int, list[Section]] = field(default_factory=dict)
    carried: dict[int, Section] = field(default_factory=dict)


def open_file(data: bytes) -> File:
    """Section 2.2: what sections a file may have."""
    description, *sections = open_container(data)
    flags = check_header(data)
    file = File(parse_description(zstd_content(head_of(description))), flags)
    require(
        flags & FURTHER_BOUNDS != 0 or not uses_further_bounds(file.description),
        "bounds of 1.1 without their flag",
    )
    for section in sections:
        add_section(file, section)
    require(
        len(file.carried) == len(file.description.carried),
        "a carried object without its section",
    )
    for number, table in enumerate(file.description.tables):
        entries = sum(s.entries for s in file.chunks.get(number, []))
        require(
            entries == table.entries,
            f"{table.name}: its chunks hold another number of events",
        )
        require(
            table.model is None or number not in file.models, f"{table.name}: two models"
        )
    return file


def uses_further_bounds(description: Description) -> bool:
    """Section 2.1: whether a column has a bound that bit 1 announces."""
    columns = [c for table in description.tables for c in table.columns.values()]
    cuts = any(c.lattice.cuts > 0 for c in columns if c.lattice is not None)
    return cuts or any(c.resolution != "" for c in columns)


def add_section(file: File, section: Section) -> None:
    """Section 2.2: kinds of sections."""
    owners = len(
        file.description.carried if section.kind == CARRIED else file.description.tables
    )
    require(section.owner < owners, "a section of no table or name")
    require(
        section.kind == MODEL or not file.description.models_alone,
        "events or objects in a file of models",
    )
    if section.kind == CHUNK:
        require(section.entries <= MAX_EVENTS, "a chunk of too many events")
        file.chunks.setdefault(section.owner, []).append(section)
        return
    owned = file.models if section.kind == MODEL else file.carried
    require(
        section.owner not in owned, "two models of a table, or two sections of a name"
    )
    owned[section.owner] = section


def model_of(file: File, number: int, other: bytes | None) -> Model:
    """Section 3: the model of a table, of this file or of another one; no columns where there is
    none.
    """
    table = file.description.tables[number]
    model: Model = {}
    if number in file.models:
        model = own_model(file, number)
    elif table.model is not None:
        require(
            other is not None,
            f"{table.name}: its model is in another file, which is not there",
        )
        model = model_from_other(table, open_file(other or b""))
    check_model(model, table)
    return model


def own_model(file: File, number: int) -> Model:
    """Section 2.1: the model of a table in its own file, whose flags announce all that it uses."""
    columns = list(file.description.tables[number].columns.values())
    head = head_of(file.models[number])
    model, rules, acceptance = parse_model(head, columns)
    more = len(rules) > 0 or acceptance is not None
    require(
        file.flags & EVENT_MODELS != 0 or not uses_event_models(model, more),
        "a model of 1.1 without its flag",
    )
    return model


def model_from_other(table: Table, other: File) -> Model:
    """Section 3: the model of the table of the same name in another file, where it has the checksum
    that `model` states.
    """
    names = [t.name for t in other.description.tables]
    require(
        table.name in names and names.index(table.name) in other.models,
        f"{table.name}: no model in the other file",
    )
    number = names.index(table.name)
    section, there = other.models[number], other.description.tables[number]
    require(
        f"{xxh3(head_of(section)):016x}" == table.model, f"{table.name}: another model"
    )
    model = own_model(other, number)
    for name in model:
        here = table.columns.get(name)
        if here is None or not same_kind(here, there.columns[name]):
            raise Invalid(f"{name}: missing or different from the model's")
    return model


def same_kind(a: Column, b: Column) -> bool:
    """Section 3: columns whose dtype, counter, shape and resolution are the same."""
    one, other = ((c.dtype, c.counter, c.shape, c.resolution) for c in (a, b))
    return one == other


def supplied_patterns(
    table: Table, given: Mapping[str, Array]
) -> dict[str, Iterator[int]]:
    """Section 8.2, GIVEN: the values of given columns, chunk after chunk."""
    supplied = {}
    for column in table.columns.values():
        if column.given:
            dtype = column.known()[0]
            values = given.get(column.name)
            if values is None or values.dtype != dtype.numpy:
                raise Invalid(
                    f"{column.name}: its values have to be given, as {dtype.name}"
                )
            supplied[column.name] = iter(patterns_from_bytes(values.tobytes(), dtype))
    return supplied


def read_table(
    file: File, number: int, model: Model, given: Mapping[str, Array]
) -> dict[str, Values]:
    """Section 8: all columns of a table, chunk after chunk."""
    table = file.description.tables[number]
    supplied = supplied_patterns(table, given)
    patterns: dict[str, list[int]] = {
        c.name: [] for c in table.columns.values() if not c.is_opaque
    }
    entries: dict[str, list[Any]] = {
        c.name: [] for c in table.columns.values() if c.is_opaque
    }
    begin = 0
    for section in file.chunks.get(number, []):
        part = table.part_of(begin, section.entries)
        stored = stored_columns(section, table)
        chunk = decoded_chunk(part, stored, section.entries, model, supplied)
        for name, decoded in chunk.items():
            patterns[name] += decoded.values
        for name in entries:
            entries[name] += opaque_entries(stored[name].payload, section.entries)
        begin += section.entries
    return {
        c.name: entries[c.name]
        if c.is_opaque
        else values_array(patterns[c.name], c, table)
        for c in table.columns.values()
    }


def stored_columns(section: Section, table: Table) -> dict[str, Stored]:
    """Section 8.1: what a chunk stores of each column."""
    parts = split_chunk(section, len(table.columns))
    return dict(zip(table.columns, parts, strict=True))


def decoded_chunk(
    part: Table,
    stored: Mapping[str, Stored],
    entries: int,
    model: Model,
    supplied: Mapping[str, list[int]],
) -> Chunk:
    """Section 8.4: the columns of a chunk by name."""
    for column in part.columns.values():
        check_stored(stored[column.name], column, model.get(column.name))
    chunk: Chunk = {}
    for name in coding_order(part, model):
        decode_column(part.columns[name], stored[name], chunk, entries, model, supplied)
    return chunk


def read_probabilities(data: bytes, number: int) -> list[float]:
    """Section 6.11: the probability of acceptance of each event of a table."""
    file = open_file(data)
    table = file.description.tables[number]
    columns = list(table.columns.values())
    model, _, acceptance = parse_model(head_of(file.models[number]), columns)
    require(acceptance is not None, "a model without acceptance")
    out: list[float] = []
    for section in file.chunks.get(number, []):
        part = table.part_of(len(out), section.entries)
        stored = stored_columns(section, table)
        chunk = decoded_chunk(part, stored, section.entries, model, {})
        for event in range(section.entries):
            out.append(acceptance.probability(chunk, event) if acceptance else 1.0)
    return out


def values_array(patterns: list[int], column: Column, table: Table) -> Array:
    """Section 8.4: the values of a column, reshaped in stored order to its shape; flat for one with
    a counter.
    """
    dtype = column.known()[0]
    values = np.frombuffer(bytes_from_patterns(patterns, dtype), dtype.numpy).copy()
    return values.reshape((table.entries, *column.shape)) if column.shape else values


def read_file(
    data: bytes, model: bytes | None = None, given: Given | None = None
) -> dict[str, dict[str, Values]]:
    """All tables of a file: table -> column -> values in stored order, a list of entries for an
    opaque column.

    Args:
        data: the file.
        model: the file that holds the models which `data` names but does not hold.
        given: the values of given columns: table -> column -> values in stored order.

    Raises:
        Invalid: where anything is not as the page says, or model or given values are missing or
        different.
    """
    file = open_file(data)
    tables: dict[str, dict[str, Values]] = {}
    for number, table in enumerate(file.description.tables):
        tables[table.name] = read_table(
            file, number, model_of(file, number, model), (given or {}).get(table.name, {})
        )
    return tables


def read_carried(data: bytes) -> dict[str, bytes]:
    """Section 2.2: the carried objects of a file by name, each a ROOT file."""
    file = open_file(data)
    return {
        file.description.carried[n]: zstd_content(head_of(section))
        for n, section in file.carried.items()
    }


def check_file(data: bytes) -> None:
    """Section 10: verify every checksum of a file, and the rules of its sections.

    Raises:
        Invalid: where one differs.
    """
    file = open_file(data)
    for section in [*file.models.values(), *file.carried.values()]:
        head_of(section)
    for number, chunks in file.chunks.items():
        for section in chunks:
            split_chunk(section, len(file.description.tables[number].columns))
