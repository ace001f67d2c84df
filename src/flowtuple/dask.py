"""Compressed files as a collection of dask-awkward, which reads of them only the columns that are used."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
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
"""A file with the first event and the event after the last of one of its chunks."""


class ReadChunk(ColumnProjectionMixin):  # type: ignore[misc]
    """Reads a chunk's events, a function that Dask can ask for fewer columns.

    Attributes:
        form: Of the events with the columns that are read.
        original_form: Of the events with all columns.
        tree: Name of the table.
        columns: Names of the columns to read.
        model: Path of the model that the files refer to, if they do.
    """

    attrs = None
    behavior = None
    use_optimization = True

    def __init__(
        self,
        form: ak.forms.RecordForm,
        original_form: ak.forms.RecordForm,
        tree: str,
        columns: tuple[str, ...],
        model: str | None,
    ) -> None:
        self.form, self.original_form, self.tree, self.columns, self.model = (
            form,
            original_form,
            tree,
            columns,
            model,
        )

    def project_columns(self, columns: set[str]) -> ReadChunk:
        """The same for some columns only."""
        kept = tuple(
            n
            for n in self.columns
            if any(path == n or path.startswith(f"{n}.") for path in columns)
        )
        form = ak.forms.RecordForm([self.original_form.content(name) for name in kept], list(kept))
        return ReadChunk(form, self.original_form, self.tree, kept, self.model)

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
    """Events of compressed files, one partition a chunk; only columns that a computation needs are read and decoded.

    Args:
        paths: A path, URL or glob, or several, with `:TREE` where a tree is named.
        columns: Names or globs; `None` for all.
        tree: Name of the table; may be left out where there is one.
        model: The model that the files refer to, if they do: a path that every worker can open.

    Raises:
        InvalidArgument: A glob matches nothing, or the files hold different columns.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
        >>> result = ft.compress({"Jet_pt": [[50.0, 20.0], [], [30.0]], "MET_pt": [1.0, 2.0, 3.0]}, path)
        >>> from_flowtuple(path).Jet_pt.compute().tolist()
        [[50.0, 20.0], [], [30.0]]
    """
    texts = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    named = [split_tree(os.fspath(text), STORED) for text in texts]
    found = [(path, asked or tree) for pattern, asked in named for path in expand(pattern)]
    partitions: list[Partition] = []
    reader: ReadChunk | None = None
    where = None if model is None else os.fspath(model)
    for path, asked in found:
        with File(path, model=model, resources=Resources(1)) as file:
            table = file.table(asked)
            if reader is None:
                first = file.arrays(
                    None if columns is None else list(columns), entry_stop=0, tree=table.name
                )
                reader = ReadChunk(
                    first.layout.form, first.layout.form, table.name, tuple(first.fields), where
                )
            _check_form(file, table.name, reader, found[0][0])
            partitions += _chunks(path, [chunk.section.entries for chunk in table.chunks])
    if reader is None or not partitions:
        raise InvalidArgument(f"{', '.join(map(str, texts))}: hold no events")
    divisions = (0, *_running(stop - start for _, start, stop in partitions))
    return dask_awkward.from_map(reader, partitions, label="from-flowtuple", divisions=divisions)


def _check_form(file: File, tree: str, first: ReadChunk, described: str) -> None:
    """Another file's tree and columns are those of the first one.

    Raises:
        InvalidArgument: They are not.
    """
    if tree != first.tree:
        raise InvalidArgument(
            f"{file.path}: lacks tree {first.tree!r} of {described}; read these files apart"
        )
    missing = [name for name in first.columns if name not in file.keys(tree)]
    if missing:
        raise InvalidArgument(
            f"{file.path}: lacks column {missing[0]!r} of {described}; read these files apart"
        )
    form = file.arrays(first.columns, entry_stop=0, tree=tree).layout.form
    for name in first.columns:
        if form.content(name) != first.form.content(name):
            raise InvalidArgument(
                f"{file.path}: column {name!r} is of another type than in {described}; read these files apart"
            )


def _chunks(path: str, sizes: Iterable[int]) -> list[Partition]:
    ends = _running(sizes)
    return [(path, start, stop) for start, stop in zip([0, *ends], ends, strict=False)]


def _running(sizes: Iterable[int]) -> list[int]:
    """Sums of the first, the first two, ..."""
    out: list[int] = []
    for size in sizes:
        out.append(size + (out[-1] if out else 0))
    return out
