"""Compressed files decompressed into memory or into another format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowtuple.api.inputs import FilePath
from flowtuple.benchmark.published.signature import is_reference
from flowtuple.data.awkward_tables import tables_to_awkward
from flowtuple.data.memory import BLOCK, entries_within
from flowtuple.data.resources import Resources
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, LeftOut, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.location import split_tree
from flowtuple.io.source import STORED, Source, WriteOptions, open_dataset, write_dataset
from flowtuple.reporting.page import format_bytes
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old


@dataclass(frozen=True, repr=False)
class Decompressed(Shown):
    """A file written by `decompress`, and what differs from the original.

    Attributes:
        path: The file written.
        file_bytes: Size of that file.
        left_out: Parts of the original that the file lacks: compression left them out, or the
            format cannot hold them and `WriteOptions.drop` allowed to leave them out.
        changes: Names, types and layouts that the format changes, one sentence each.
        renamed: New names by `TREE/NAME` of a column or record of the input.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> done = ft.compress({"x": [1.0, 2.0]}, folder / "x.ftup")
        >>> ft.decompress(folder / "x.ftup", folder / "x.npz").left_out
        ()
    """

    path: str
    file_bytes: int
    left_out: tuple[LeftOut, ...] = ()
    changes: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return path, size and the number of differences."""
        return {
            "path": self.path,
            "size": format_bytes(self.file_bytes),
            "left out": len(self.left_out),
            "changes": len(self.changes),
            "renamed": len(self.renamed),
        }


@accepts_old(resources=Resources)
def decompress(
    path: FilePath,
    output: FilePath | None = None,
    *,
    columns: Iterable[str] = (),
    entries: tuple[int | None, int | None] = (None, None),
    given: Source | None = None,
    model: FilePath | None = None,
    options: WriteOptions | None = None,
    resources: Resources = Resources(),
) -> ak.Array | dict[str, ak.Array] | Decompressed:
    """Read a file back, into memory or into another file.

    Args:
        path: A flowtuple file or URL, with `:TREE` for one of its tables; or a local file of a
            reference method.
        output: A path whose suffix names the format; `None` to return the events.
        columns: Globs of the columns to decode; none means all.
        entries: First event and event after the last, of each table.
        given: Events with the external columns of the file, if it has some.
        model: The model that the file refers to, if it does.
        options: For the output.
        resources: Threads and memory. With an `output` large events are written fewer at a time;
            without one, events that take more than the memory are refused.

    Returns:
        An awkward record array, or a dict of them by table name where there are several; with an
        `output`, its size, the parts left out and the changes that its format made necessary.

    Raises:
        InvalidArgument: A name or range is wrong, or the file is a model.
        Refused: The format of the output cannot hold a part, and `WriteOptions.drop` is off.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ftup"
        >>> done = ft.compress({"x": [1.0, 2.0, 3.0], "y": [0, 1, 2]}, path)
        >>> ft.decompress(path, columns=["x"], entries=(1, None)).tolist()
        [{'x': 2.0}, {'x': 3.0}]
    """
    name, tree = split_tree(os.fspath(path), STORED)
    with ExitStack() as stack:
        if is_reference(name):
            dataset = open_dataset(name)
        else:
            file = File(name, given=given, model=model, resources=resources)
            dataset = stack.enter_context(file).dataset()
            if file.is_model:
                raise InvalidArgument(
                    f"{name}: is a model and holds no events; use it in `compress()` as `model=`"
                )
            dataset = dataset if tree is None else dataset.only(tree)
        dataset = select(dataset, columns, (), entries)
        if output is None:
            return tables_to_awkward({n: read_all(t) for n, t in dataset.tables.items()})
        smaller = _within(resources.memory, dataset, options or WriteOptions())
        result = write_dataset(dataset, output, smaller)
        return Decompressed(
            os.fspath(output),
            Path(output).stat().st_size,
            (*dataset.left_out, *result.left_out),
            result.changes,
            result.renamed,
        )


def _within(memory: int, dataset: Dataset, options: WriteOptions) -> WriteOptions:
    """Return options that write fewer events at a time where events are large."""
    tables = dataset.tables.values()
    steps = [
        entries_within(t, [c.name for c in t.columns], memory // BLOCK, options.step)
        for t in tables
    ]
    return replace(options, step=min([options.step, *steps]))
