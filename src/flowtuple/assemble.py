"""From events to the sections of a file: train the flows, encode the chunks, describe the whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

from flowtuple.codec.chunk import encode_chunk
from flowtuple.codec.column import TableCoding
from flowtuple.container.file import Writer
from flowtuple.container.layout import SectionKind
from flowtuple.container.model import pack_flow
from flowtuple.errors import MissingExtra
from flowtuple.events.location import expand, is_url, split_tree
from flowtuple.events.source import FORMATS, Source
from flowtuple.execute import ordered_map
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.network import probe
from flowtuple.prepare import SCAN_STEP, Prepared
from flowtuple.progress import Progress
from flowtuple.table import Table, TableSource, column_bytes, concatenate, ranges

CHUNK_ENTRIES = 16384
CHUNK_VALUES = 2**24
TRAINING_BLOCKS = 64  # blocks of SCAN_STEP events that training reads at most, spread evenly


def with_flows(
    prepared: list[Prepared],
    effort: str,
    seed: int,
    progress: Progress,
    checkpoint: str | os.PathLike[str] | None = None,
    workers: int | None = None,
) -> list[Prepared]:
    """Find relations, and train where there is enough to learn from; PyTorch is loaded only then.

    Args:
        prepared: The tables.
        effort: `fast`, `default` or `best`.
        seed: Equal seeds give equal flows.
        progress: Told of each training.
        checkpoint: A folder for finished parts of the training, and where those of an interrupted one are found.
        workers: Threads; `None` for one per core. The flows do not depend on it.
    """
    probe()
    flows = [_flow(table, effort, seed, progress, checkpoint, workers) for table in prepared]
    return [replace(table, coding=replace(table.coding, flow=flow)) for table, flow in zip(prepared, flows, strict=True)]


def _flow(
    table: Prepared, effort: str, seed: int, progress: Progress, checkpoint: str | os.PathLike[str] | None, workers: int | None
) -> LatticeFlow:
    from flowtuple.training.checkpoint import Checkpoint
    from flowtuple.training.choose import choose
    from flowtuple.training.plan import MIN_ROWS, make_plan
    from flowtuple.training.relations import find_predictions

    sample, coding = _training_sample(table.source, table.coding), table.coding
    predictions = find_predictions(sample, coding.lattices, coding.given)
    if max((v.size for v in sample.data.values()), default=0) < MIN_ROWS:
        return choose(make_plan(sample, coding.lattices, predictions, coding.given), {})
    stage = f"train {table.source.name}"

    def report(share: float, bits: float) -> None:
        progress(stage, share, f"{bits:.3f} bits per value" if math.isfinite(bits) else "")

    parts = None if checkpoint is None else Checkpoint(Path(checkpoint))
    flow: LatticeFlow = _trainer()(sample, coding, predictions, effort, seed, report, parts, workers)
    progress(stage, 1.0, "")
    return flow


def _trainer() -> Any:
    try:
        from flowtuple.training.train import train_flow
    except ImportError as error:
        if error.name == "torch":
            raise MissingExtra("train", "training a flow") from None
        raise
    return train_flow


def _training_sample(source: TableSource, coding: TableCoding) -> Table:
    names = [c.name for c in coding.columns if not c.is_opaque]
    blocks = list(ranges(source.num_entries, SCAN_STEP))
    stride = -(-len(blocks) // TRAINING_BLOCKS)
    pieces = [source.read(names, start, stop) for start, stop in blocks[:: max(1, stride)]]
    return concatenate(pieces) if pieces else source.read(names, 0, 0)


def add_models(writer: Writer, prepared: list[Prepared]) -> int:
    """Write the flow of every table that has one; the bytes they take."""
    total = 0
    for number, table in enumerate(prepared):
        if table.coding.flow.columns:
            data = pack_flow(table.coding.flow, table.coding.columns)
            writer.add(SectionKind.MODEL, number, data)
            total += len(data)
    return total


def add_chunks(writer: Writer, prepared: list[Prepared], workers: int | None, progress: Progress) -> tuple[int, int]:
    """Encode, check and write every table chunk by chunk; the bytes of the raw columns, and the number of values."""
    raw_bytes = values = 0
    for number, table in enumerate(prepared):
        done, total = 0, table.source.num_entries

        def encode(chunk: Table, coding: TableCoding = table.coding) -> tuple[int, int, int, bytes]:
            stored = [c for c in chunk.columns if c.name not in coding.given]
            size = sum(chunk.data[c.name].size if not c.is_opaque else chunk.num_entries for c in stored)
            return chunk.num_entries, column_bytes(chunk, stored), size, encode_chunk(chunk, coding)

        for entries, nbytes, size, data in ordered_map(encode, chunks(table.source), workers):
            writer.add(SectionKind.CHUNK, number, data, entries)
            raw_bytes, values, done = raw_bytes + nbytes, values + size, done + entries
            progress(f"compress {table.source.name}", done / max(1, total), "")
    return raw_bytes, values


def chunks(source: TableSource) -> Iterator[Table]:
    """Equal chunks of 8k to 16k events: smaller ones would cost methods without a model their tables, larger ones threads.

    Large fixed arrays make them smaller: 2^24 values of one column are enough for any method.
    """
    widest = max((math.prod(c.shape) for c in source.columns), default=1)
    count = max(1, -(-source.num_entries // CHUNK_ENTRIES), source.num_entries * widest // CHUNK_VALUES)
    names = [c.name for c in source.columns]
    count += count % 2 if count > 1 else 0  # so that two cores end together
    for start, stop in ranges(source.num_entries, -(-source.num_entries // count) or 1):
        yield source.read(names, start, stop)
    if not source.num_entries and any(c.is_opaque for c in source.columns):
        yield source.read(names, 0, 0)  # keeps the type of what is carried


def description(
    prepared: list[Prepared],
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
        origin: From `provenance`.
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


def provenance(effort: str, seed: int, source: Source) -> dict[str, Any]:
    """How a file came about: version, options, size and XXH3 of each input on disk.

    No time, user or path, so that equal inputs give equal files.
    """
    out: dict[str, Any] = {"flowtuple": version("flowtuple"), "effort": effort, "seed": seed}
    sources = source if isinstance(source, (list, tuple)) else [source]
    texts = [os.fspath(s) for s in sources if isinstance(s, (str, os.PathLike))]
    patterns = [split_tree(text, FORMATS)[0] for text in texts]
    paths = [path for pattern in patterns if not is_url(pattern) for path in expand(pattern)]
    return out | {"source": [_fingerprint(Path(path)) for path in paths]}


def _fingerprint(path: Path) -> dict[str, Any]:
    digest = xxhash.xxh3_64()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "xxh3": digest.hexdigest()}
