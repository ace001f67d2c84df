"""Sections of a file, from tables with their flows: description, models and encoded chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from flowtuple.codec.chunk import encode_chunk
from flowtuple.codec.directory import read_directory
from flowtuple.codec.packing import zstd
from flowtuple.data.memory import CHUNK, LARGEST_CHUNK, MEMORY
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset, Table, TableSource, column_bytes, ranges
from flowtuple.file.layout import SectionKind
from flowtuple.file.model import flags_of, pack_flow
from flowtuple.file.writer import Writer
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map
from flowtuple.training.lattices import ResolvedTable

CHUNK_ENTRIES = 16384
CHUNK_VALUES = 2**24  # of one column; more values make no coding method better


@dataclass(frozen=True)
class Written:
    """Sizes of a written file: bytes of its models, bytes of the raw columns, number of values."""

    model_bytes: int
    raw_bytes: int
    values: int


def write_events(
    writer: Writer,
    tables: list[ResolvedTable],
    dataset: Dataset,
    origin: Mapping[str, Any],
    *,
    models: Mapping[str, str] | None = None,
    resources: Resources,
) -> Written:
    """Write a whole file: description, models, chunks and carried objects.

    Args:
        writer: The writer of the file.
        tables: The tables, each with its flow.
        dataset: The events as they were read, with carried objects, storage and omitted parts.
        origin: The provenance of the file.
        models: Hashes of models in other files, by table name; `None` to embed the models.
        resources: What coding may use; very large events make smaller chunks in a small memory.
    """
    meta = description(tables, list(dataset.carried), origin, entries=True, models=models)
    for table in meta["tables"]:
        if stored := dataset.storage.get(table["name"]):
            table["storage"] = stored
    if dataset.left_out:
        meta["left_out"] = [part.to_json() for part in dataset.left_out]
    writer.describe(meta)
    model_bytes = 0
    if models is None:
        model_bytes = add_models(writer, [_of_events(table) for table in tables])
    raw_bytes, values = add_chunks(writer, tables, resources)
    for number, content in enumerate(dataset.carried.values()):
        writer.add(SectionKind.CARRIED, number, zstd(content))
    writer.finish()
    return Written(model_bytes, raw_bytes, values)


def write_model(
    writer: Writer,
    tables: list[ResolvedTable],
    origin: Mapping[str, Any],
    extra: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write a whole file of models without events.

    Args:
        writer: The writer of the file.
        tables: The tables, each with its flow.
        origin: The provenance of the file.
        extra: Further entries of the description.
    """
    writer.describe(description(tables, [], origin, entries=False) | dict(extra))
    add_models(writer, tables)
    writer.finish()


def _of_events(table: ResolvedTable) -> ResolvedTable:
    """Return a table without the acceptance of drawn events, which is of no use to stored ones."""
    flow = replace(table.coding.flow, acceptance=None)
    return replace(table, coding=replace(table.coding, flow=flow))


def add_models(writer: Writer, tables: list[ResolvedTable]) -> int:
    """Write the flow of every table that has one, and return their bytes in the file."""
    total = 0
    for number, table in enumerate(tables):
        if table.coding.flow.columns:
            flow = table.coding.flow
            data = pack_flow(flow, table.coding.columns)
            total += writer.add_model(number, data, flags_of(flow))
    return total


def add_chunks(
    writer: Writer,
    tables: list[ResolvedTable],
    resources: Resources,
) -> tuple[int, int]:
    """Encode, check and write every table chunk by chunk.

    Returns:
        Bytes of the raw columns, and the number of values.
    """
    raw_bytes = values = 0
    for number, table in enumerate(tables):
        done = 0
        encode = partial(_encode, table.coding)
        parts = chunks(table.source, table.event_bytes, resources.memory)
        for chunk in ordered_map(encode, parts, resources.workers):
            writer.add(SectionKind.CHUNK, number, chunk.head, chunk.body, chunk.entries)
            raw_bytes += chunk.raw_bytes
            values += chunk.values
            done += chunk.entries
            share = done / max(1, table.source.num_entries)
            resources.progress(f"compress {table.source.name}", share, "")
    return raw_bytes, values


@dataclass(frozen=True)
class _EncodedChunk:
    """An encoded chunk as directory and body, with the size of the events in it."""

    head: bytes
    body: bytes
    entries: int
    raw_bytes: int
    values: int


def _encode(coding: TableCoding, chunk: Table) -> _EncodedChunk:
    stored = [c for c in chunk.columns if c.name not in coding.external]
    values = sum(
        chunk.num_entries if c.is_opaque else chunk.data[c.name].size for c in stored
    )
    data = encode_chunk(chunk, coding)
    head = read_directory(data, coding.columns).head
    raw_bytes = column_bytes(chunk, stored)
    return _EncodedChunk(data[:head], data[head:], chunk.num_entries, raw_bytes, values)


def chunks(
    source: TableSource, event_bytes: float = 0.0, memory: int = MEMORY
) -> Iterator[Table]:
    """Read a table in equal chunks of 8k to 16k events, fewer where events are large.

    Smaller chunks would spend bytes on the tables of methods without a model. Larger ones would
    leave threads idle.

    Args:
        source: The table.
        event_bytes: Mean bytes of an event.
        memory: Bytes to stay within; several chunks are in memory at a time.
    """
    entries = source.num_entries
    widest = max((math.prod(c.shape) for c in source.columns), default=1)
    count = max(
        1,
        -(-entries // CHUNK_ENTRIES),
        entries * widest // CHUNK_VALUES,
        int(entries * event_bytes / min(memory // CHUNK, LARGEST_CHUNK)),
    )
    if count > 1:
        count += count % 2  # an even number keeps two cores busy to the end
    names = [c.name for c in source.columns]
    for start, stop in ranges(entries, -(-entries // count) or 1):
        yield source.read(names, start, stop)
    if not entries and any(c.is_opaque for c in source.columns):
        # an empty chunk still stores the type of opaque columns
        yield source.read(names, 0, 0)


def description(
    tables: list[ResolvedTable],
    carried: list[str],
    origin: Mapping[str, Any],
    *,
    entries: bool,
    models: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the JSON description of a file: tables, carried objects and provenance.

    Args:
        tables: The tables.
        carried: Names of the carried objects.
        origin: The provenance of the file.
        entries: True for a file of events, False for a model alone.
        models: Hashes of models in other files, by table name.
    """
    described = []
    for table in tables:
        name = table.source.name
        events = table.source.num_entries if entries else 0
        entry = {"name": name, "entries": events, "columns": _described_columns(table)}
        if models and models.get(name):
            entry["model"] = models[name]
        described.append(entry)
    meta = {"tables": described, "carried": carried, "provenance": dict(origin)}
    return meta if entries else meta | {"model": True}


def _described_columns(table: ResolvedTable) -> list[dict[str, Any]]:
    described = []
    for column in table.coding.columns:
        entry = column.to_json()
        if column.name in table.coding.lattices:
            entry["lattice"] = table.coding.lattices[column.name].to_json()
        if column.name in table.bounds:
            entry["asked"] = str(table.bounds[column.name])
        if column.name in table.coding.external:
            entry["given"] = True
        described.append(entry)
    return described
