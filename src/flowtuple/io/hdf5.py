"""HDF5 files: groups of datasets, records and matrices as tables, read by slices.

In a group written here every column is a dataset; a counted one holds the objects of all events one
after another, and its attribute `counter` names the dataset of its lengths. Carried objects lie in
the group `_carried`. `hdf5_layout` finds the tables in files of other origin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import h5py
import numpy as np

from flowtuple.data.schema import Array, Column, unused
from flowtuple.data.table import (
    Dataset,
    LeftOut,
    Table,
    TableSource,
    bounded,
    with_counters,
)
from flowtuple.errors import Corrupt, FlowtupleError, InvalidArgument, TooNew, first_line
from flowtuple.io.formats import ReadOptions, opening_error
from flowtuple.io.hdf5_layout import UNREADABLE, Leaf, Plan, array_leaf, plans_of
from flowtuple.io.hdf5_types import attribute_token
from flowtuple.io.hdf5_writer import CARRIED, ENTRIES, VERSION, VERSION_ATTRIBUTE
from flowtuple.io.location import (
    is_of_system,
    seekable,
    size_of,
    translate_fsspec_errors,
)
from flowtuple.io.memory import TABLE_NAME


class HDF5Table:
    """A table of an HDF5 file, read by ranges; it is a `TableSource`."""

    def __init__(
        self, path: str, name: str, leaves: Sequence[Leaf], num_entries: int
    ) -> None:
        self.name = name
        self.num_entries = num_entries
        self.columns = tuple(leaf.column for leaf in leaves)
        self._path = path
        self._leaves = {leaf.column.name: leaf for leaf in leaves}

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of some columns; only the slices that hold them are read.

        Raises:
            Corrupt: The file's bytes are damaged, or a counter does not agree with what it counts.
        """
        start, stop = bounded(start, stop, self.num_entries)
        read = with_counters(self.columns, columns)
        with translate_fsspec_errors(self._path):
            return self._read(read, start, stop)

    def _read(self, read: tuple[Column, ...], start: int, stop: int) -> Table:
        where = ""
        try:
            data = {}
            for column in read:
                leaf = self._leaves[column.name]
                where = f"dataset {leaf.dataset.name!r}"
                objects = self._offsets[column.counter] if leaf.is_by_object else None
                rows = (
                    (start, stop) if objects is None else objects[[start, stop]].tolist()
                )
                data[column.name] = leaf.read(*rows)
            return Table(self.name, read, stop - start, data)
        except (InvalidArgument, *UNREADABLE) as error:
            if is_of_system(error):
                raise
            # a table's own message names the column whose values do not fit its counter
            reason = str(error) if isinstance(error, InvalidArgument) else where
            events = f"events {start} to {stop} of {self.name!r}"
            raise Corrupt(
                f"{self._path}: {events} are damaged ({reason}); fetch the file again"
            ) from None

    @cached_property
    def _offsets(self) -> Mapping[str | None, Array]:
        offsets: dict[str | None, Array] = {}
        for name in {c.counter for c in self.columns if c.counter is not None}:
            counts = self._leaves[name].read(0, self.num_entries)
            offsets[name] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return offsets


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """Open the groups and compound datasets of an HDF5 file as tables.

    Args:
        path: A path or URL.
        options: Names for the columns of a matrix that has none.

    Returns:
        Each group that holds datasets is a table with the group's path as its name (`events` at the
        root). Where the datasets of a group differ in length, those of one length are a table: the
        most numerous (of as many, the first) have the group's name, others `GROUP/DATASET` after
        the first of them. Records (compound datasets) of one dimension are a table each,
        `GROUP/DATASET`. Records of more dimensions belong to the first such table of as many
        events, as columns `DATASET_MEMBER` of a fixed shape; where a member `valid` says which of
        them are there, and the places of the others are all filled alike, the columns are lists of
        those that are. A matrix `data[N, D]` that stands alone is D columns, named by a dataset or
        an attribute `names` or `columns` or by the options. Lists of numbers are counted columns.
        Text that is not UTF-8 is bytes. What has no place in a table is in `refused`; attributes
        travel along in `storage`, larger ones are in `left_out`.

    Raises:
        InvalidArgument: The file is no HDF5.
        Corrupt: Its groups or their attributes are damaged.
        TooNew: A later version of flowtuple wrote it.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "jets.h5"
        >>> with h5py.File(path, "w") as file:
        ...     file["jets/data"], file["jets/names"] = np.zeros((5, 2)), ["pt", "eta"]
        >>> open_dataset(str(path), ReadOptions()).table("jets").num_entries
        5
    """
    try:
        with translate_fsspec_errors(path):
            file = h5py.File(seekable(path), "r")
    except OSError as error:
        raise opening_error(path, ".h5", "an HDF5", first_line(error)) from None
    contents = _Contents(path, options)
    try:
        with translate_fsspec_errors(path):
            for name, group, members, unreachable in _groups(file):
                contents.add(name, group, members, unreachable)
            carried = _carried(file)
    except FlowtupleError:
        raise
    except (*UNREADABLE, TypeError) as error:
        what = f"its groups or their attributes are damaged ({first_line(error)})"
        raise Corrupt(f"{path}: {what}; fetch the file again") from None
    contents.finish()
    return Dataset(
        path,
        contents.tables,
        carried,
        contents.refused,
        size_of(path),
        contents.storage,
        tuple(contents.left_out),
    )


class _Contents:
    """The contents of a file, group by group."""

    def __init__(self, path: str, options: ReadOptions) -> None:
        self._path = path
        self._options = options
        self.tables: dict[str, TableSource] = {}
        self.refused: dict[str, str] = {}
        self.storage: dict[str, dict[str, Any]] = {}
        self.left_out: list[LeftOut] = []
        self._without_table: dict[str, dict[str, Any]] = {}  # attributes by group
        self._root_refused: dict[str, str] = {}

    def add(
        self,
        name: str,
        group: Any,
        members: Mapping[str, Any],
        unreachable: Mapping[str, str],
    ) -> None:
        """Add the datasets of a group, and the reasons for its members that cannot be opened."""
        datasets = {
            k: value for k, value in members.items() if isinstance(value, h5py.Dataset)
        }
        if VERSION_ATTRIBUTE in group.attrs:
            self._add_written(name, group, datasets)
        else:
            plans = list(plans_of(self._path, name, datasets, group, self._options))
            for plan in plans:
                self._add_plan(plan)
            plans = [plan for plan in plans if plan.leaves]
            self._add_attributes(name, group, datasets, plans)
            self.storage |= {plan.name: plan.storage for plan in plans}
            if name and not members and not unreachable:
                self._without_table.setdefault(name, {})
        part = f"{name}/" if name in self.tables else f"/{name}/".replace("//", "/")
        self.refused |= {part + key: reason for key, reason in unreachable.items()}

    def finish(self) -> None:
        """Name refused datasets of the root; give groups without datasets to the first table."""
        table = "" if self.tables else TABLE_NAME
        refused = {
            f"{table}/{name}": reason for name, reason in self._root_refused.items()
        }
        self.refused = refused | self.refused
        if self.storage:
            if self._without_table:
                next(iter(self.storage.values()))["groups"] = self._without_table
            return
        reason = "a group without columns has no place among the tables of this file"
        for path, tokens in self._without_table.items():
            names = [f"/{path}@{key}" for key in tokens] or [f"/{path}"]
            self.left_out += [LeftOut(name, reason) for name in names]

    def _add_written(self, name: str, group: Any, datasets: Mapping[str, Any]) -> None:
        version = group.attrs[VERSION_ATTRIBUTE]
        if version > VERSION:
            raise TooNew(
                f"{self._path}: written as version {version} of flowtuple's HDF5; update flowtuple"
            )
        leaves = [
            array_leaf(Column.from_json(json.loads(values.attrs["column"])), values)
            for values in datasets.values()
        ]
        self.tables[name] = HDF5Table(self._path, name, leaves, int(group.attrs[ENTRIES]))

    def _add_plan(self, plan: Plan) -> None:
        plan.name = unused(plan.name, self.tables)
        if not plan.group and not plan.leaves and plan.name == TABLE_NAME:
            # named in the end, when all tables are known
            self._root_refused = plan.refused
            return
        for column, reason in plan.refused.items():
            self.refused[f"{plan.name}/{column}"] = reason
        if plan.leaves:
            self.tables[plan.name] = HDF5Table(
                self._path, plan.name, plan.leaves, plan.length
            )

    def _add_attributes(
        self, name: str, group: Any, datasets: Mapping[str, Any], plans: Sequence[Plan]
    ) -> None:
        """Add each dataset's attributes to its table, the group's to the group's first table."""
        part = f"{name}/@" if name in self.tables else f"/{name}@"
        tokens = self._attributes(group, part)
        if not plans:  # the datasets are refused, and their attributes with them
            self._without_table |= {name: tokens} if tokens else {}
            return
        plans[0].attributes |= {name: tokens} if tokens else {}
        for key, values in datasets.items():
            owners = [
                p for p in plans if any(leaf.dataset is values for leaf in p.leaves)
            ]
            plan = [*owners, *plans][0]
            path = f"{name}/{key}".strip("/")
            tokens = self._attributes(values, _attribute_prefix(plan.name, path, key))
            plan.attributes |= {path: tokens} if tokens else {}

    def _attributes(self, thing: Any, prefix: str) -> dict[str, Any]:
        """Return small attributes as JSON; the others are left out under their names."""
        tokens: dict[str, Any] = {}
        for key in thing.attrs:
            try:
                token = attribute_token(thing.attrs[key])
            except (*UNREADABLE, TypeError):
                token = None
            if token is None:
                reason = "an attribute of this size or type does not travel along"
                self.left_out.append(LeftOut(prefix + key, reason))
            else:
                tokens[key] = token
        return tokens


def _attribute_prefix(table: str, path: str, key: str) -> str:
    """Return the name of a dataset's attribute as a part of a table, up to the attribute's own."""
    if path == table:
        return f"{table}/@"
    return f"{path}@" if path.startswith(f"{table}/") else f"{table}/{key}@"


def _groups(file: Any) -> Iterator[tuple[str, Any, dict[str, Any], dict[str, str]]]:
    """Yield every group but that of the carried objects once, outer ones first.

    Each comes with its path, its members and the reasons for members that cannot be opened.
    """
    waiting = [("", file)]
    seen = set()
    # the last one in comes first, so members are added in reverse; links may lead to a group again
    while waiting:
        name, group = waiting.pop()
        if group in seen:
            continue
        seen.add(group)
        members, unreachable = _members(group)
        yield name, group, members, unreachable
        for key, value in reversed(members.items()):
            if isinstance(value, h5py.Group) and (name or key != CARRIED):
                waiting.append((f"{name}/{key}".strip("/"), value))


def _members(group: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the groups and datasets of a group, and the reasons why other members are none."""
    members: dict[str, Any] = {}
    unreachable: dict[str, str] = {}
    for key in group:
        try:
            value = group[key]
        except UNREADABLE as error:
            unreachable[key] = _why_unreachable(group, key, error)
            continue
        if isinstance(value, (h5py.Group, h5py.Dataset)):
            members[key] = value
        else:
            advice = "the datasets of that type are read without it"
            unreachable[key] = f"it is a type and holds no values; {advice}"
    return members, unreachable


def _why_unreachable(group: Any, key: str, error: BaseException) -> str:
    """Return the reason why a member cannot be opened: where its link leads, or the damage."""
    try:
        link = group.get(key, getlink=True)
    except (*UNREADABLE, TypeError):
        return f"a link of a kind that h5py does not follow ({error})"
    if isinstance(link, h5py.ExternalLink):
        return f"a link to {link.filename}:{link.path}, which is not there; fetch that file too"
    if isinstance(link, h5py.SoftLink):
        return (
            f"a link to {group.file.filename}:{link.path}, which is not there; remove it"
        )
    return f"it is damaged ({error})"


def _carried(file: Any) -> dict[str, bytes]:
    carried: dict[str, bytes] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset):
            carried[name] = value[...].tobytes()

    if CARRIED in file:
        file[CARRIED].visititems(add)
    return carried
