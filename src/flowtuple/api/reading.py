"""A file back into events, in memory or in another format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import awkward as ak

from flowtuple.benchmark.published.signature import is_reference
from flowtuple.data.awkward_tables import tables_to_awkward
from flowtuple.data.memory import BLOCK, MEMORY, entries_within
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, LeftOut, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.location import split_tree
from flowtuple.io.source import STORED, Source, WriteOptions, open_dataset, write_dataset


@dataclass(frozen=True)
class Decompressed:
    """The outcome of decompressing to another format.

    Attributes:
        path: The file written.
        file_bytes: Size of that file.
        left_out: Parts of the original that the file written does not hold: those that compressing left out, and those
            that the format cannot hold and `WriteOptions.drop` allowed to leave out.
        changes: Names, types and layouts that the format has otherwise, one sentence each.
        renamed: For each column or record of the input (`TREE/NAME`) that has other names in the file, these names.
    """

    path: str
    file_bytes: int
    left_out: tuple[LeftOut, ...] = ()
    changes: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def decompress(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    columns: Iterable[str] = (),
    entries: tuple[int | None, int | None] = (None, None),
    given: Source | None = None,
    model: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    memory: int = MEMORY,
    options: WriteOptions | None = None,
) -> ak.Array | dict[str, ak.Array] | Decompressed:
    """Read a file back, into memory or into another file.

    Args:
        path: A flowtuple file or URL, with `:TREE` for one of its tables; or a local file of a reference method.
        output: A path whose suffix names the format; `None` to return the events.
        columns: Globs of the columns to decode; none means all.
        entries: First event and event after the last, of each table.
        given: Has the columns that were given when the file was compressed, if any were.
        model: The model that the file refers to, if it does.
        workers: Threads; `None` for one per core. The result does not depend on it.
        memory: Bytes to keep within: with an `output` large events are written fewer at a time; without one, what takes more
            is refused.
        options: For the output.

    Returns:
        An awkward record array, or a dict of them by table name where there are several; with an `output`, its size, the
        parts left out and the changes that its format made necessary.

    Raises:
        InvalidArgument: A name or range is not what it should be, or the file is a model.
        Refused: The format of the output cannot hold a part, and `WriteOptions.drop` is off.
    """
    name, tree = split_tree(os.fspath(path), STORED)
    if is_reference(name):
        return _given_back(
            select(open_dataset(name), columns, (), entries), output, memory, options
        )
    with File(
        name,
        workers,
        given=None if given is None else open_dataset(given),
        model=model,
        memory=memory,
    ) as file:
        if file.is_model:
            raise InvalidArgument(
                f"{name}: is a model and holds no events; use it with: flowtuple compress FILE --model {name}"
            )
        dataset = file.dataset() if tree is None else file.dataset().only(tree)
        return _given_back(select(dataset, columns, (), entries), output, memory, options)


def _given_back(
    dataset: Dataset,
    output: str | os.PathLike[str] | None,
    memory: int,
    options: WriteOptions | None,
) -> ak.Array | dict[str, ak.Array] | Decompressed:
    if output is not None:
        result = write_dataset(dataset, output, _within(memory, dataset, options or WriteOptions()))
        left_out = (*dataset.left_out, *result.left_out)
        return Decompressed(
            os.fspath(output), Path(output).stat().st_size, left_out, result.changes, result.renamed
        )
    return tables_to_awkward({name: read_all(table) for name, table in dataset.tables.items()})


def _within(memory: int, dataset: Dataset, options: WriteOptions) -> WriteOptions:
    """Fewer events at a time where they are large."""
    tables = dataset.tables.values()
    steps = [
        entries_within(t, [c.name for c in t.columns], memory // BLOCK, options.step)
        for t in tables
    ]
    return replace(options, step=min([options.step, *steps]))
