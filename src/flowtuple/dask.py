"""Compressed files as a collection of dask-awkward, which reads only the columns that are used.

`from_flowtuple` opens compressed files and returns a dask-awkward array with one partition for each
chunk. Dask sends to its workers only a path, a range of events and the names of columns; each
worker opens the file itself, and reads and decodes the chunk there. Before that, dask-awkward
finds the columns that a computation uses, and `ReadChunk.project_columns` drops all others, so
they are neither read nor decoded.

The module is an extra (`dask`): importing it raises `MissingExtra` without Dask. Nothing else of
the package imports it; `batch` uses Dask for many files in another way, one task for each file.

Laws, which tests/batch/test_dask.py holds: a computation gives the same events as `arrays`; columns
that it does not use are not read; files of different columns or types are refused, and the
message names file and column.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

import awkward as ak

from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.location import expand, split_tree
from flowtuple.io.source import STORED
from flowtuple.runtime.extras import require

require("dask_awkward", "dask", "reading files as a collection of Dask")
import dask_awkward  # noqa: E402
from dask_awkward.lib.io.columnar import ColumnProjectionMixin  # noqa: E402
from dask_awkward.lib.unproject_layout import unproject_layout  # noqa: E402

Partition: TypeAlias = tuple[str, int, int]
"""A path, and the first event and the event after the last of one of the file's chunks."""


@dataclass(frozen=True, eq=False)
class ReadChunk(ColumnProjectionMixin):  # type: ignore[misc]
    """Reader of a chunk's events, whose columns dask-awkward can reduce.

    Attributes:
        form: Awkward form of the events with the columns that are read.
        original_form: Awkward form of the events with all columns.
        tree: Name of the table.
        columns: Names of the columns to read.
        model: Path of the model that the files refer to, if they do.
    """

    form: ak.forms.RecordForm
    original_form: ak.forms.RecordForm
    tree: str
    columns: tuple[str, ...]
    model: str | None
    attrs = None
    behavior = None
    use_optimization = True

    def project_columns(self, columns: set[str]) -> ReadChunk:
        """Return a reader of some columns, or of those whose fields are named as `column.field`."""
        used = {f"{path}." for path in columns}
        names = tuple(n for n in self.columns if any(u.startswith(f"{n}.") for u in used))
        form = ak.forms.RecordForm(
            [self.original_form.content(n) for n in names], list(names)
        )
        return replace(self, form=form, columns=names)

    def __call__(self, partition: Partition) -> ak.Array:
        path, start, stop = partition
        with File(path, model=self.model, resources=Resources(1)) as file:
            if self.columns:
                events = file.arrays(
                    self.columns, entry_start=start, entry_stop=stop, tree=self.tree
                )
            else:
                events = ak.Array([{}] * (stop - start))
        return ak.Array(unproject_layout(self.original_form, events.layout))


def from_flowtuple(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: Iterable[str] | None = None,
    tree: str | None = None,
    model: str | os.PathLike[str] | None = None,
) -> dask_awkward.Array:
    """Return the events of compressed files, one partition a chunk.

    Only columns that a computation uses are read and decoded.

    Args:
        paths: A path, URL or glob, or several, with `:TREE` to name a tree.
        columns: Names or globs; `None` for all.
        tree: Name of the table; not needed for files of one table.
        model: Path of the model that the files refer to, if they do; every worker must be able to
            open it.

    Raises:
        InvalidArgument: A glob matches nothing, or the files have different columns.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
        >>> events = {"Jet_pt": [[50.0, 20.0], [], [30.0]], "MET_pt": [1.0, 2.0, 3.0]}
        >>> result = ft.compress(events, path)
        >>> from_flowtuple(path).Jet_pt.compute().tolist()
        [[50.0, 20.0], [], [30.0]]
    """
    texts = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    model_path = None if model is None else os.fspath(model)
    partitions: list[Partition] = []
    reader: ReadChunk | None = None
    first_path = ""
    for text in texts:
        pattern, named_tree = split_tree(os.fspath(text), STORED)
        for path in expand(pattern):
            with File(path, model=model, resources=Resources(1)) as file:
                table = file.table(named_tree or tree)
                if reader is None:
                    first_path = path
                    wanted = None if columns is None else list(columns)
                    events = file.arrays(wanted, entry_stop=0, tree=table.name)
                    form, names = events.layout.form, tuple(events.fields)
                    reader = ReadChunk(form, form, table.name, names, model_path)
                _check_form(file, table.name, reader, first_path)
                partitions += [(path, chunk.begin, chunk.stop) for chunk in table.chunks]
    if reader is None or not partitions:
        raise InvalidArgument(f"{', '.join(map(str, texts))}: hold no events")
    divisions = (0, *accumulate(stop - start for _, start, stop in partitions))
    return dask_awkward.from_map(
        reader, partitions, label="from-flowtuple", divisions=divisions
    )


def _check_form(file: File, tree: str, first: ReadChunk, first_path: str) -> None:
    """Raise if a file has another tree or other columns than the first file.

    Raises:
        InvalidArgument: The message names the file and the first column that differs.
    """

    def refuse(problem: str) -> None:
        raise InvalidArgument(
            f"{file.path}: {problem} {first_path}; read these files one by one"
        )

    if tree != first.tree:
        refuse(f"lacks tree {first.tree!r} of")
    names = file.keys(tree)
    for name in first.columns:
        if name not in names:
            refuse(f"lacks column {name!r} of")
    form = file.arrays(first.columns, entry_stop=0, tree=tree).layout.form
    for name in first.columns:
        if form.content(name) != first.form.content(name):
            refuse(f"column {name!r} is of another type than in")
