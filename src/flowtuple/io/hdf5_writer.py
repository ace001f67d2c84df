"""Tables as HDF5: a group per table, a dataset per column."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np

from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, TableSource, ranges, read_all
from flowtuple.io.changes import Capabilities, write_result
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.full_disk import deferred_errors
from flowtuple.io.hdf5_original import is_original, write_original
from flowtuple.io.source import leave_out

CARRIED = "_carried"
VERSION_ATTRIBUTE = "flowtuple"
ENTRIES = "num_entries"
VERSION = 1
_CAPABILITIES = Capabilities("HDF5", counters=True)


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write every table as a group and every carried object as bytes in the group `_carried`.

    A table that was read from an HDF5 file of other origin becomes the datasets that it was there.

    Args:
        dataset: Tables of numbers, lists of numbers, and text.
        path: The file to make; one that exists is overwritten.
        options: Events a chunk, and whether to leave out what HDF5 cannot hold.

    Raises:
        Unsupported: A column is neither numbers nor text, or has a slash in its name; nothing is
            written.
    """
    obstacles = {name: _obstacles(dataset, source) for name, source in dataset.tables.items()}
    reasons = {
        f"{name}/{column}": reason
        for name, columns in obstacles.items()
        for column, reason in columns.items()
    }
    left_out = leave_out(dataset, reasons, "as HDF5", options)
    described: dict[str, list[Column]] = {}
    # h5py ends the process where a write fails, as on a full disk
    with deferred_errors(path) as stream, h5py.File(stream, "w", track_order=True) as file:
        for name, source in dataset.tables.items():
            columns = [c for c in source.columns if c.name not in obstacles[name]]
            storage = dataset.storage.get(name, {})
            if is_original(storage):
                write_original(
                    file, dataset.description, source, columns, storage, options.step
                )
            else:
                described[name] = columns
                _write_table(file, source, columns, options.step, stream.check)
        for name, content in dataset.carried.items():
            file.create_dataset(f"{CARRIED}/{name}", data=np.frombuffer(content, np.uint8))
    return write_result(dataset, described, _CAPABILITIES, left_out)


def _obstacles(dataset: Dataset, source: TableSource) -> dict[str, str]:
    """Return the columns, with the counter's columns, that HDF5 cannot hold, and the reasons."""
    allows_bytes = is_original(
        dataset.storage.get(source.name, {})
    )  # their HDF5 type is known
    opaque = read_all(source, [c.name for c in source.columns if c.is_opaque])
    reasons: dict[str, str] = {}
    for column in source.columns:
        if column.is_opaque and not _is_storable_text(opaque[column.name], allows_bytes):
            kind = ak.type(opaque[column.name]).content
            reasons[column.name] = f"its type is {kind}, or it has null characters"
        elif "/" in column.name or column.name == ".":
            reasons[column.name] = "HDF5 takes its name for a path"
    for column in source.columns:
        if column.counter in reasons and column.name not in reasons:
            reasons[column.name] = f"its counter {column.counter!r} cannot be written"
    return reasons


def _is_storable_text(values: ak.Array, allows_bytes: bool) -> bool:
    kind = ak.to_layout(values).parameter("__array__")
    if kind == "bytestring" and allows_bytes:
        return True
    return kind == "string" and not any("\0" in text for text in values.tolist())


def _write_table(
    file: Any,
    source: TableSource,
    columns: list[Column],
    step: int,
    check: Callable[[], None],
) -> None:
    group = file.create_group(source.name, track_order=True)
    group.attrs[VERSION_ATTRIBUTE] = VERSION
    group.attrs[ENTRIES] = source.num_entries
    growing: dict[str, Any] = {}
    for column in columns:
        dtype = h5py.string_dtype() if column.is_opaque else np.dtype(column.dtype)
        if 0 in column.shape:
            made = group.create_dataset(
                column.name, (source.num_entries, *column.shape), dtype
            )
        else:
            made = growing[column.name] = group.create_dataset(
                column.name,
                (0, *column.shape),
                dtype,
                maxshape=(None, *column.shape),
                chunks=(step, *column.shape),
                compression="gzip",
            )
        made.attrs["column"] = json.dumps(column.to_json())
        # for people and other programs
        for key, text in (("title", column.title), ("counter", column.counter)):
            if text:
                made.attrs[key] = text
    for start, stop in ranges(source.num_entries, step):
        check()
        table = source.read(list(growing), start, stop)
        for name, made in growing.items():
            values = table[name]
            length = len(made)
            made.resize(length + len(values), axis=0)
            made[length:] = values.tolist() if table.column(name).is_opaque else values
