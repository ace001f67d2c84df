"""An open flowtuple file, on disk or behind a URL, which is read in parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from operator import index
from typing import Any

from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.globs import matches
from flowtuple.data.resources import Resources
from flowtuple.data.selection import prefix_errors
from flowtuple.data.table import Dataset, LeftOut, ranges
from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.file.columns import Columns
from flowtuple.file.description import (
    flags_of_bounds,
    parse_table,
    read_left_out,
    read_storage,
)
from flowtuple.file.layout import MAJOR, MINOR, Section, SectionKind
from flowtuple.file.quantization import quantization
from flowtuple.file.reader import SectionReader
from flowtuple.file.table import StoredTable
from flowtuple.io.formats import output_suffixes
from flowtuple.io.location import anywhere
from flowtuple.io.source import Source, open_dataset
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old

Key = str | tuple[str, "slice | int"]


class File(Shown):
    """An open flowtuple file.

    Opening reads the description and the index only; reading events reads the chunks that have
    them. Threads and forked processes may share a file; a pickled or copied one is opened anew
    from its path, with its model. A file of one tree needs no `tree` anywhere below. Over HTTP a
    server that sends nothing for 30 seconds, or is busy, is asked three times, then an error tells
    so: after a minute and a half for a request, and two minutes for opening.

    Attributes:
        path: Path or URL.
        size: Number of bytes of the file.
        meta: The description as it is stored.
        sections: All sections, in the order of the file.
        index_size: Number of bytes in no section: header, index and trailer.
        version: Version of its format, such as "1.0".
        flags: Feature flags of its header.
        tables: The tables by name.

    Args:
        path: Path or URL of any fsspec file system.
        given: Events with the external columns, if the file has any.
        model: Path of the model that the file refers to, if it does.
        resources: Threads that decode, and the memory limit, in bytes, of decoded events read at a
            time; a small file can declare a great deal.

    Raises:
        TooLarge: On opening or on reading: the file declares more than the memory limit.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
        >>> events = {"x": [1.5, 2.5, 3.5], "Jet_pt": [[50.1, 20.2], [], [30.3]]}
        >>> result = ft.compress(events, path)
        >>> with ft.open(path) as f:
        ...     f.keys(), f["x", 1:].tolist(), f.arrays(["Jet_*"], entry_stop=2).tolist()
        (['x', 'Jet_pt'], [2.5, 3.5], [{'Jet_pt': [50.1, 20.2]}, {'Jet_pt': []}])
    """

    @accepts_old(resources=Resources)
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        given: Source | Dataset | None = None,
        model: str | os.PathLike[str] | None = None,
        resources: Resources = Resources(),
    ) -> None:
        self._given = given
        self._workers = resources.workers
        if given is not None and not isinstance(given, Dataset):
            given = open_dataset(given)
        # a copy is opened in any folder
        self._place = anywhere(path)
        self._model_path = None if model is None else anywhere(model)
        self._reader = SectionReader(path, memory=resources.memory)
        self.path = self._reader.path
        self.size = self._reader.storage.size
        self.meta = self._reader.meta
        self.sections = self._reader.sections
        self.index_size = self._reader.index_size
        self.version = self._reader.version
        self.flags = self._reader.flags or 0
        self.tables: dict[str, StoredTable] = {}
        try:
            for number, described in enumerate(self.meta["tables"]):
                self._add_table(number, described, resources.workers, given)
        except BaseException:
            self.close()
            raise

    def __reduce__(self) -> tuple[Callable[[], File], tuple[()]]:
        """Return a function that opens the file anew, in any folder and any process."""
        self._check_open()
        return partial(
            type(self),
            self._place,
            given=self._given,
            model=self._model_path,
            resources=Resources(self._workers, self._reader.memory),
        ), ()

    def _check_open(self) -> None:
        self._reader.storage.check_open()

    def _add_table(
        self, number: int, described: Any, workers: int | None, external: Dataset | None
    ) -> None:
        try:
            parsed = parse_table(described)
        except Corrupt as error:
            raise Corrupt(
                f"{self.path}: the description of table {number} {error}"
            ) from None
        if parsed.name in self.tables:
            raise Corrupt(f"{self.path}: has two tables of one name")
        needed = flags_of_bounds(parsed.lattices.values())
        if self._reader.flags is not None and needed & ~self._reader.flags:
            raise Corrupt(
                f"{self.path}: table {parsed.name!r} has bounds of format {MAJOR}.{MINOR}, "
                "of which the header says nothing"
            )
        self.tables[parsed.name] = StoredTable(
            self._reader,
            number,
            parsed,
            workers=workers,
            external_source=external,
            referred=self._referred_table,
        )

    def facts(self) -> dict[str, object]:
        """Return path, size, and events and columns of each table."""
        tables = {
            name: f"{table.num_entries:,} events, {len(self.keys(name))} columns"
            for name, table in self.tables.items()
        }
        kind = "model" if self.is_model else "events"
        return {"path": self.path, "size": f"{self.size:,} bytes", "kind": kind, **tables}

    @cached_property
    def _model(self) -> File | None:
        if self._model_path is None:
            return None
        if os.fspath(self._model_path).lower().endswith(tuple(output_suffixes())):
            raise InvalidArgument(
                f"{os.fspath(self._model_path)}: is not a flowtuple file, but named like events; "
                f"name the model that {self.path} was made with"
            )
        return File(self._model_path, resources=Resources(memory=self._reader.memory))

    def _referred_table(self, name: str, reference: str) -> StoredTable:
        """Return the table of the model's file by its name and the hash of its model."""
        if self._model is None:
            raise InvalidArgument(
                f"{self.path}: needs the model {reference}, kept elsewhere; name it with `model=`"
            )
        table = self._model.tables.get(name)
        if table is None or table.model_hash != reference or table.model_section is None:
            has = "no model of this table"
            if table is not None and table.model_reference:
                has = f"only the hash {table.model_reference} of a model"
            elif table is not None:
                has = f"the model {table.model_hash or 'of no table'}"
            raise InvalidArgument(
                f"{self.path}: needs the model {reference}, {self._model.path} has {has}; "
                "name the one that it was made with"
            )
        return table

    @property
    def is_model(self) -> bool:
        """True for a file of a model without events, with which others are compressed."""
        return bool(self.meta.get("model", False))

    @property
    def carried(self) -> dict[str, bytes]:
        """Carried objects by name."""
        self._check_open()
        names = self.meta["carried"]
        contents: dict[str, bytes] = {}
        left = self._reader.memory
        for section in self.sections:
            if section.kind is SectionKind.CARRIED:
                content = self._reader.unpacked(section, left)
                contents[names[section.owner]] = content
                left -= len(content)
        return contents

    @property
    def storage(self) -> dict[str, dict[str, Any]]:
        """Notes on how the input stored each table."""
        return read_storage(self.meta)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Parts of the input that were left out when the file was written."""
        return read_left_out(self.meta)

    def dataset(self) -> Dataset:
        """Return the whole file as a data set, which can be written in any format."""
        self._check_open()
        return Dataset(
            self.path,
            dict(self.tables),
            self.carried,
            {},
            self.size,
            self.storage,
            self.left_out,
            quantization={
                name: quantization(self.meta, name, table.lattices)
                for name, table in self.tables.items()
            },
        )

    def raw(self, section: Section) -> bytes:
        """Return all bytes of a section, with its frame, as they are in the file."""
        return self._reader.raw(section)

    def read_head(self, section: Section) -> bytes:
        """Return the checked head of a section, which is all of it except for chunks.

        Raises:
            Corrupt: The bytes are not those that were written.
        """
        return self._reader.read(section)

    def table(self, tree: str | None = None) -> StoredTable:
        """Return one table; without a name the only one.

        Raises:
            InvalidArgument: There is no such table, or there are several.
        """
        if tree is None and len(self.tables) == 1:
            return next(iter(self.tables.values()))
        if tree is None:
            names = ", ".join(self.tables)
            first = next(iter(self.tables))
            column = f"{first}/{next(iter(self.keys(first)), 'NAME')}"
            raise InvalidArgument(
                f"{self.path}: holds {len(self.tables)} trees ({names}); "
                f"choose one by tree={first!r}, or as f[{column!r}]"
            )
        if tree not in self.tables:
            raise InvalidArgument(
                f"{self.path}: no tree {tree!r}; {nearest(tree, self.tables)}"
            )
        return self.tables[tree]

    def keys(self, tree: str | None = None) -> list[str]:
        """Return the names of the columns."""
        return [c.name for c in self.table(tree).columns if not c.hidden]

    def __getitem__(self, key: Key) -> ak.Array:
        """Read one column, `f["Jet_pt"]`, or some events of it, `f["Jet_pt", 1000:2000]`.

        `TREE/COLUMN` names a column of a tree.
        """
        self._check_open()
        name, part = self._parsed(key)
        table, column = self._column(name)
        if not isinstance(part, slice):
            number = part if part >= 0 else part + table.num_entries
            if not 0 <= number < table.num_entries:
                raise IndexError(
                    f"{self.path}: there is no event {part} among {table.num_entries}; "
                    "the first is 0"
                )
            return self[name, number : number + 1][0]
        start, stop, step = part.indices(table.num_entries)
        if step != 1:
            raise InvalidArgument(
                f"{self.path}: cannot read every {step}th event; slice the array instead"
            )
        return table_to_awkward(table.read([column], start, max(start, stop)))[column]

    def _column(self, name: str) -> tuple[StoredTable, str]:
        """Return table and column of `COLUMN` or `TREE/COLUMN`, where both may have slashes.

        Of several trees with such a column, the one of the longest name counts.
        """
        if len(self.tables) == 1 and name in self.keys():
            return self.table(), name
        trees = [tree for tree in self.tables if name.startswith(f"{tree}/")]
        trees.sort(key=len, reverse=True)
        for tree in trees:
            column = name.removeprefix(f"{tree}/")
            if column in self.keys(tree):
                return self.tables[tree], column
        table = self.table(next(iter(trees), name.rpartition("/")[0] or None))
        column = name.removeprefix(f"{table.name}/")
        raise InvalidArgument(
            f"{self.path}: no column {column!r}; {nearest(column, self.keys(table.name))}"
        )

    def _parsed(self, key: Key) -> tuple[str, slice | int]:
        """Return the column and the events of a key."""
        name: object = key
        part: object = slice(None)
        if isinstance(key, tuple) and len(key) == 2:
            name, part = key
        if not isinstance(name, str) or not (
            isinstance(part, slice) or hasattr(part, "__index__")
        ):
            raise InvalidArgument(
                f"{self.path}: {key!r} names no column; write f['Jet_pt'] or f['Jet_pt', 0:1000]"
            )
        return name, part if isinstance(part, slice) else index(part)

    def arrays(
        self,
        columns: str | Iterable[str] | None = None,
        *,
        entry_start: int | None = None,
        entry_stop: int | None = None,
        tree: str | None = None,
    ) -> ak.Array:
        """Read events as a record array, one field a column.

        Args:
            columns: Names or globs; `None` for all.
            entry_start: First event; negative ones count from the end, as in a slice.
            entry_stop: Event after the last.
            tree: Name of the table.

        Raises:
            InvalidArgument: A name matches nothing.
        """
        self._check_open()
        table = self.table(tree)
        start, stop, _ = slice(entry_start, entry_stop).indices(table.num_entries)
        return _arrays(table, self._names(table, columns), start, max(start, stop))

    def _names(
        self, table: StoredTable, columns: str | Iterable[str] | None
    ) -> list[str]:
        if columns is None:
            return self.keys(table.name)
        patterns = [columns] if isinstance(columns, str) else columns
        visible = {table.name: [c for c in table.columns if not c.hidden]}
        with prefix_errors(self.path):
            return list(
                dict.fromkeys(c.name for p in patterns for _, c in matches(p, visible))
            )

    def iterate(
        self,
        columns: str | Iterable[str] | None = None,
        *,
        step_size: int | None = None,
        tree: str | None = None,
    ) -> Iterator[ak.Array]:
        """Read record arrays of consecutive events, one chunk or `step_size` events at a time."""
        self._check_open()
        table = self.table(tree)
        names = self._names(table, columns)
        if step_size is not None and step_size < 1:
            raise InvalidArgument(
                f"{self.path}: steps of {step_size} events lead nowhere; take 1 or more"
            )
        chunks = [(c.begin, c.stop) for c in table.chunks]
        for start, stop in (
            chunks if step_size is None else ranges(table.num_entries, step_size)
        ):
            yield _arrays(table, names, start, stop)

    def mapping(
        self, columns: str | Iterable[str] | None = None, *, tree: str | None = None
    ) -> Columns:
        """Return the columns by name, as awkward arrays that are read on their first use.

        Args:
            columns: Names or globs; `None` for all.
            tree: Name of the table.

        Example:
            >>> import pathlib, tempfile
            >>> import flowtuple as ft
            >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
            >>> result = ft.compress({"x": [1.5, 2.5], "Jet_pt": [[50.1, 20.2], []]}, path)
            >>> with ft.open(path) as f:
            ...     columns = f.mapping()
            ...     list(columns), columns["Jet_pt"].tolist()
            (['x', 'Jet_pt'], [[50.1, 20.2], []])
        """
        self._check_open()
        table = self.table(tree)
        return Columns(table, self._names(table, columns), self.path)

    def close(self) -> None:
        """Close the file; every later read of it or of its tables fails with one message."""
        self._reader.storage.close()
        if "_model" in self.__dict__ and self._model is not None:
            self._model.close()

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _arrays(table: StoredTable, names: Sequence[str], start: int, stop: int) -> ak.Array:
    events = table_to_awkward(table.read(names, start, stop))
    wanted = set(names)
    fields = [name for name in events.fields if name in wanted]
    # Awkward would take a selection of no fields for a selection of no events.
    return events if fields == events.fields else events[fields]


# Users write ft.open.
open = File  # noqa: A001
