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
message names file and column; the call itself decodes no numbers; damage is named with file and
events when they are computed, or left out with a warning.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, TypeAlias

import awkward as ak

from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument, check_name
from flowtuple.file.damage import DAMAGE
from flowtuple.file.file import File
from flowtuple.io.location import anywhere, expand, split_tree
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
        skips: Leave damaged events out, with a warning.
    """

    form: ak.forms.RecordForm
    original_form: ak.forms.RecordForm
    tree: str
    columns: tuple[str, ...]
    model: str | None
    skips: bool
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
        try:
            events = self._read(*partition)
        except DAMAGE as error:
            path, start, stop = partition
            where = f"{path}: events {start} to {stop}: "
            what = str(error).removeprefix(where).removeprefix(f"{path}: ")
            if not self.skips:
                raise type(error)(where + what) from None
            _warn(f"{where}left out; {what}")
            return ak.Array(self.original_form.length_zero_array())
        return ak.Array(unproject_layout(self.original_form, events.layout))

    def _read(self, path: str, start: int, stop: int) -> ak.Array:
        with File(path, model=self.model, resources=Resources(1)) as file:
            if not self.columns:
                return ak.Array([{}] * (stop - start))
            return file.arrays(
                self.columns, entry_start=start, entry_stop=stop, tree=self.tree
            )


def _warn(message: str) -> None:
    """Warn here, and in the process of the client where this one is a worker of a cluster."""
    warn = getattr(sys.modules.get("distributed"), "warn", warnings.warn)
    warn(message, stacklevel=3)


def from_flowtuple(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: Iterable[str] | None = None,
    tree: str | None = None,
    model: str | os.PathLike[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> dask_awkward.Array:
    """Return the events of compressed files, one partition a chunk.

    Only columns that a computation uses are read and decoded, when it is computed. The call itself
    reads the descriptions of the files, and of strings and other opaque columns the first values,
    which alone tell their types.

    Args:
        paths: A path, URL or glob, or several, with `:TREE` to name a tree.
        columns: Names or globs; `None` for all.
        tree: Name of the table; not needed for files of one table.
        model: Path of the model that the files refer to, if they do; every worker must be able to
            open it.
        on_error: `raise` an error for damage, which names the file and the events; or `skip`
            with a warning for each chunk that is left out, since a column in use is damaged there,
            and for each file. The divisions are then unknown.

    Raises:
        Corrupt, Truncated: A file is damaged; on computing, where only events are.
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
    check_name("way for `on_error=`", on_error, ("raise", "skip"))
    model_path = None if model is None else anywhere(model)
    partitions: list[Partition] = []
    reader: ReadChunk | None = None
    first_path = ""
    for text in texts:
        pattern, named_tree = split_tree(os.fspath(text), STORED)
        for path in expand(pattern):
            try:
                with File(path, model=model, resources=Resources(1)) as file:
                    table = file.table(named_tree or tree)
                    if reader is None:
                        first_path = path
                        wanted = None if columns is None else list(columns)
                        events = file.arrays(wanted, entry_stop=0, tree=table.name)
                        form, names = events.layout.form, tuple(events.fields)
                        skips = on_error == "skip"
                        reader = ReadChunk(
                            form, form, table.name, names, model_path, skips
                        )
                    _check_form(file, table.name, reader, first_path)
                    place = anywhere(path)
                    partitions += [(place, c.begin, c.stop) for c in table.chunks]
            except DAMAGE as error:
                if on_error == "raise":
                    raise
                _warn(f"{error}; the file is left out")
    if reader is None or not partitions:
        raise InvalidArgument(f"{', '.join(map(str, texts))}: hold no events")
    ends = accumulate(stop - start for _, start, stop in partitions)
    divisions = None if reader.skips else (0, *ends)
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
