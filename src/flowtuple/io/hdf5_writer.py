"""Tables as HDF5: a group per table, a dataset per column."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, LeftOut, TableSource, ranges, read_all
from flowtuple.errors import Refused
from flowtuple.io.changes import Keeping, changes_of, renamed_of
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.full_disk import patient
from flowtuple.io.hdf5_alike import is_alike, write_alike
from flowtuple.runtime.extras import require

CARRIED = "_carried"
VERSION_ATTRIBUTE = "flowtuple"
ENTRIES = "num_entries"
VERSION = 1


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write every table as a group and every carried object as bytes in the group `_carried`.

    A table that an HDF5 file of other origin held is written as the datasets that it was there.

    Args:
        dataset: Tables of numbers, lists of numbers, and text.
        path: The file to make; one that exists is overwritten.
        options: Events a chunk, and whether to leave out what HDF5 cannot hold.

    Raises:
        Unsupported: A column is neither numbers nor text, or has a slash in its name; nothing is written.
        MissingExtra: h5py is not installed.
    """
    h5py = require("h5py", "hdf5", f"writing {path.suffix}")
    obstacles = {name: _obstacles(dataset, source) for name, source in dataset.tables.items()}
    lost = {
        f"{name}/{column}": reason
        for name, columns in obstacles.items()
        for column, reason in columns.items()
    }
    if lost and not options.drop:
        raise Refused(
            dataset.description,
            "write {} as HDF5",
            lost,
            "write .npz, or leave them out with --drop",
        )
    plans = {
        name: [c for c in t.columns if c.name not in obstacles[name]]
        for name, t in dataset.tables.items()
    }
    with (
        patient(path) as stream,
        h5py.File(stream, "w", track_order=True) as file,
    ):  # a full disk would end the process
        for name, columns in plans.items():
            stored = dataset.storage.get(name, {})
            if is_alike(stored):
                write_alike(
                    file, dataset.description, dataset.tables[name], columns, stored, options.step
                )
                continue
            group = file.create_group(name, track_order=True)
            group.attrs[VERSION_ATTRIBUTE] = VERSION
            group.attrs[ENTRIES] = dataset.tables[name].num_entries
            _write_table(group, dataset.tables[name], columns, options.step, stream.check)
        for name, content in dataset.carried.items():
            file.create_dataset(f"{CARRIED}/{name}", data=np.frombuffer(content, np.uint8))
    changes: list[str] = []
    renamed: dict[str, tuple[str, ...]] = {}
    for name, columns in plans.items():
        stored = dataset.storage.get(name, {})
        if not is_alike(stored):
            changes += changes_of(name, columns, stored, Keeping("HDF5", counters=True))
            renamed |= renamed_of(name, columns, stored)
    return WriteResult(
        tuple(LeftOut(name, reason) for name, reason in lost.items()), tuple(changes), renamed
    )


def _obstacles(dataset: Dataset, source: TableSource) -> dict[str, str]:
    """The columns that HDF5 cannot hold, each with the reason; a column goes with its counter."""
    alike = is_alike(dataset.storage.get(source.name, {}))
    opaque = read_all(source, [c.name for c in source.columns if c.is_opaque])
    reasons: dict[str, str] = {}
    for column in source.columns:
        if column.is_opaque and not _is_storable_text(opaque[column.name], alike):
            reasons[column.name] = (
                f"its type is {ak.type(opaque[column.name]).content}, or it has null characters"
            )
        elif "/" in column.name or column.name == ".":
            reasons[column.name] = "HDF5 takes its name for a path"
    for column in source.columns:
        if column.counter in reasons and column.name not in reasons:
            reasons[column.name] = f"its counter {column.counter!r} cannot be written"
    return reasons


def _is_storable_text(values: ak.Array, or_bytes: bool) -> bool:
    """Whether HDF5 can hold a column as text; bytes only where the input's HDF5 type for them is known."""
    kind = ak.to_layout(values).parameter("__array__")
    if kind == "bytestring" and or_bytes:
        return True
    return kind == "string" and not any("\0" in text for text in values.tolist())


def _write_table(
    group: Any, source: TableSource, columns: list[Column], step: int, check: Callable[[], None]
) -> None:
    import h5py

    datasets: dict[str, Any] = {}
    for column in columns:
        dtype = h5py.string_dtype() if column.is_opaque else np.dtype(column.dtype)
        chunk = None if 0 in column.shape else (step, *column.shape)
        shape = (source.num_entries if chunk is None else 0, *column.shape)
        limit = None if chunk is None else (None, *column.shape)
        packed = None if chunk is None else "gzip"
        made = group.create_dataset(
            column.name, shape, dtype, maxshape=limit, chunks=chunk, compression=packed
        )
        made.attrs["column"] = json.dumps(column.to_json())
        for key, text in (
            ("title", column.title),
            ("counter", column.counter),
        ):  # for people and other programs
            if text:
                made.attrs[key] = text
        if chunk is not None:
            datasets[column.name] = made
    for start, stop in ranges(source.num_entries, step):
        check()
        table = source.read(list(datasets), start, stop)
        for name, made in datasets.items():
            values = table[name]
            length = len(made)
            made.resize(length + len(values), axis=0)
            made[length:] = values.tolist() if table.column(name).is_opaque else values
