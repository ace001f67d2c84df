"""From tables with their flows to the sections of a file: describe the whole, encode the chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowtuple.codec.chunk import encode_chunk
from flowtuple.codec.column import TableCoding
from flowtuple.codec.directory import read_directory
from flowtuple.codec.packing import zstd
from flowtuple.data.memory import CHUNK, LARGEST_CHUNK
from flowtuple.data.table import Dataset, Table, TableSource, column_bytes, ranges
from flowtuple.file.layout import SectionKind
from flowtuple.file.model import pack_flow
from flowtuple.file.writer import Writer
from flowtuple.runtime.resources import MEMORY, Resources
from flowtuple.runtime.threads import ordered_map
from flowtuple.training.lattices import ResolvedTables

CHUNK_ENTRIES = 16384
CHUNK_VALUES = 2**24


@dataclass(frozen=True)
class Written:
    """What went into a file: bytes of its models, bytes of the raw columns, and the number of values."""

    model_bytes: int
    raw_bytes: int
    values: int


def write_events(
    writer: Writer,
    prepared: list[ResolvedTables],
    dataset: Dataset,
    origin: Mapping[str, Any],
    *,
    models: Mapping[str, str] | None = None,
    resources: Resources,
) -> Written:
    """A whole file: description, models unless they are kept elsewhere, chunks, carried objects.

    Args:
        writer: Of the file.
        prepared: The tables.
        dataset: The events as they were read: carried objects, storage and parts left out are taken from it.
        origin: How the file came about.
        models: Hashes of models that are kept elsewhere, by table name; `None` to embed the models.
        resources: What coding may use; chunks of very large events are smaller in a small memory.
    """
    meta = description(prepared, list(dataset.carried), origin, entries=True, models=models)
    for table in meta["tables"]:
        if stored := dataset.storage.get(table["name"]):
            table["storage"] = stored
    if dataset.left_out:
        meta["left_out"] = [part.to_json() for part in dataset.left_out]
    writer.describe(meta)
    model_bytes = add_models(writer, prepared) if models is None else 0
    raw_bytes, values = add_chunks(writer, prepared, resources)
    for number, content in enumerate(dataset.carried.values()):
        writer.add(SectionKind.CARRIED, number, zstd(content))
    writer.finish()
    return Written(model_bytes, raw_bytes, values)


def add_models(writer: Writer, prepared: list[ResolvedTables]) -> int:
    """Write the flow of every table that has one; the bytes they take."""
    total = 0
    for number, table in enumerate(prepared):
        if table.coding.flow.columns:
            data = pack_flow(table.coding.flow, table.coding.columns)
            writer.add(SectionKind.MODEL, number, data)
            total += len(data)
    return total


def add_chunks(
    writer: Writer,
    prepared: list[ResolvedTables],
    resources: Resources,
) -> tuple[int, int]:
    """Encode, check and write every table chunk by chunk; the bytes of the raw columns, and the number of values."""
    raw_bytes = values = 0
    for number, table in enumerate(prepared):
        done, total = 0, table.source.num_entries

        def encode(
            chunk: Table, coding: TableCoding = table.coding
        ) -> tuple[int, int, int, bytes, bytes]:
            stored = [c for c in chunk.columns if c.name not in coding.given]
            size = sum(
                chunk.data[c.name].size if not c.is_opaque else chunk.num_entries for c in stored
            )
            data = encode_chunk(chunk, coding)
            head = read_directory(data, coding.columns).head
            return chunk.num_entries, column_bytes(chunk, stored), size, data[:head], data[head:]

        for entries, nbytes, size, head, body in ordered_map(
            encode, chunks(table.source, table.event_bytes, resources.memory), resources.workers
        ):
            writer.add(SectionKind.CHUNK, number, head, body, entries)
            raw_bytes, values, done = raw_bytes + nbytes, values + size, done + entries
            resources.progress(f"compress {table.source.name}", done / max(1, total), "")
    return raw_bytes, values


def chunks(source: TableSource, event_bytes: float = 0.0, memory: int = MEMORY) -> Iterator[Table]:
    """Equal chunks of 8k to 16k events: smaller ones would cost methods without a model their tables, larger ones threads.

    Large events make them smaller: 2^24 values of one column are enough for any method, and memory has to hold some chunks.
    """
    widest = max((math.prod(c.shape) for c in source.columns), default=1)
    needed = (
        source.num_entries * widest // CHUNK_VALUES,
        int(source.num_entries * event_bytes / min(memory // CHUNK, LARGEST_CHUNK)),
    )
    count = max(1, -(-source.num_entries // CHUNK_ENTRIES), *needed)
    names = [c.name for c in source.columns]
    count += count % 2 if count > 1 else 0  # so that two cores end together
    for start, stop in ranges(source.num_entries, -(-source.num_entries // count) or 1):
        yield source.read(names, start, stop)
    if not source.num_entries and any(c.is_opaque for c in source.columns):
        yield source.read(names, 0, 0)  # keeps the type of what is carried


def description(
    prepared: list[ResolvedTables],
    carried: list[str],
    origin: Mapping[str, Any],
    *,
    entries: bool,
    models: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The JSON description of a file: tables with their columns, lattices and bounds, carried objects, provenance.

    Args:
        prepared: The tables.
        carried: Names of the carried objects.
        origin: How the file came about.
        entries: Whether the file holds events; without them it is a model.
        models: Hashes of models that are kept elsewhere, by table name.
    """
    tables = []
    for table in prepared:
        columns = []
        for column in table.coding.columns:
            described = column.to_json()
            if column.name in table.coding.lattices:
                described["lattice"] = table.coding.lattices[column.name].to_json()
            if column.name in table.asked:
                described["asked"] = str(table.asked[column.name])
            if column.name in table.coding.given:
                described["given"] = True
            columns.append(described)
        events = table.source.num_entries if entries else 0
        reference = (models or {}).get(table.source.name, "")
        named = {"name": table.source.name, "entries": events, "columns": columns}
        tables.append(named | ({"model": reference} if reference else {}))
    alone = {} if entries else {"model": True}
    return {"tables": tables, "carried": carried, "provenance": dict(origin)} | alone
