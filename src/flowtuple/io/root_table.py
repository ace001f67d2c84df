"""One TTree or RNTuple as a table that reads a range of events at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from flowtuple.data.schema import Array, Column, unused
from flowtuple.data.table import Table, ranges, with_counters
from flowtuple.errors import Corrupt, InvalidArgument, Unsupported
from flowtuple.io.location import translate_fsspec_errors
from flowtuple.io.root_branches import Branch, Leaf, make_leaf
from flowtuple.io.root_ntuple import NTupleAccess
from flowtuple.io.root_records import columns_of_shape, record_shape
from flowtuple.io.root_tree import TreeAccess
from flowtuple.runtime.lazy_packages import awkward as ak

_SCAN_STEP = 16384


class RootTable:
    """A table of a ROOT file, read by ranges; it is a `TableSource`.

    Attributes:
        name: The tree's name, with its directory.
        refused: Branches that cannot be read, as `tree/branch`, with the reason.
        storage: Notes on the tree for `Dataset.storage`.
    """

    def __init__(self, path: str, name: str, access: TreeAccess | NTupleAccess) -> None:
        self._path = path
        self._access = access
        self.name = name
        self.num_entries = access.num_entries
        self.refused: dict[str, str] = {}
        self.storage: dict[str, Any] = {}
        self._leaves: dict[str, Leaf] = {}
        self._sharing: dict[str, list[Leaf]] = {}
        self._find_leaves()
        self.storage = access.description() | self.storage

    @property
    def has_columns(self) -> bool:
        """Return whether a branch can be read; no event is read for it."""
        return bool(self._leaves)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the schema; lists without counter branch are read once, for their lengths."""
        shared = self._shared_counts()
        columns: list[Column] = []
        for name, leaf in self._leaves.items():
            column = leaf.column
            if name in shared:
                hidden = shared[name]
                if hidden not in self._sharing:
                    columns.append(Column(hidden, "int64", "counter", hidden=True))
                self._sharing.setdefault(hidden, []).append(leaf)
                column = replace(column, counter=hidden)
            columns.append(column)
        return tuple(columns)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of columns and their counters, in the schema's order.

        Raises:
            Corrupt: The file's bytes are damaged, or a counter does not agree with what it counts.
            Unsupported: uproot cannot decode a branch.
        """
        start = max(0, start)
        stop = max(start, min(stop, self.num_entries))
        read = with_counters(self.columns, columns)
        leaves = {c.name: self._leaves[c.name] for c in read if not c.hidden}
        for column in read:
            if column.hidden:  # the lengths of lists that are read anyway, if possible
                sharing = self._sharing[column.name]
                leaves[column.name] = next(
                    (leaf for leaf in sharing if leaf.column.name in leaves), sharing[0]
                )
        branches = dict.fromkeys(leaf.branch.path for leaf in leaves.values())
        arrays, failing = self._fetch(list(branches), start, stop)
        if failing:
            raise self._unreadable(failing, start, stop)
        values = {name: leaf.pick(arrays) for name, leaf in leaves.items()}
        data = {c.name: self._content(c, values[c.name]) for c in read}
        for column in read:
            counter = column.counter
            if counter is not None and not np.array_equal(
                _counts(values[column.name]), data[counter]
            ):
                what = f"does not have as many values as {counter!r} says"
                raise Corrupt(
                    f"{self._where(column)} {what}; leave it out with `exclude=`"
                )
        return Table(self.name, read, stop - start, data)

    def _fetch(
        self, branches: Sequence[str], start: int, stop: int
    ) -> tuple[Mapping[str, Any], list[str]]:
        """Return the values of the branches that can be read, and the other branches."""
        try:
            with translate_fsspec_errors(self._path):
                return self._access.fetch(branches, start, stop), []
        except (InvalidArgument, MemoryError):
            raise
        except Exception:  # uproot lets through whatever it runs into
            if len(branches) == 1:
                return {}, list(branches)
        arrays: dict[str, Any] = {}
        failing: list[str] = []
        for branch in branches:
            values, failed = self._fetch([branch], start, stop)
            arrays |= values
            failing += failed
        return arrays, failing

    def _unreadable(self, failing: Sequence[str], start: int, stop: int) -> Exception:
        """Return the error that names the branches which cannot be read."""
        names = [
            name for name, leaf in self._leaves.items() if leaf.branch.path in failing
        ]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        column = f"column {names[0]!r}{more}"
        advice = f"leave it out with `exclude=` {names[0]!r}"
        events = f"events {start} to {stop}"
        where = f"{self._path}: tree {self.name!r}, {events}: the data cannot be read"
        if any(self._access.is_damaged(branch, start, stop) for branch in failing):
            return Corrupt(
                f"{where}: {column} is damaged; fetch the file again, or {advice}"
            )
        return Unsupported(f"{where}: uproot cannot decode {column}; {advice}")

    def _where(self, column: Column) -> str:
        return f"{self._path}: column {column.name!r} of tree {self.name!r}"

    def _content(self, column: Column, values: Any) -> Any:
        if column.hidden:
            return _counts(values)
        if column.dtype == "bool" or column.is_opaque:
            values = _with_whole_bools(values)
        if column.is_opaque:
            if ak.validity_error(values):
                what = "uproot decodes its lists wrongly"
                advice = f"leave it out with `exclude=` {column.name!r}"
                raise Unsupported(f"{self._where(column)}: {what}; {advice}")
            return ak.to_packed(values)
        if column.counter is not None:
            values = ak.to_packed(values).layout.to_ListOffsetArray64(True).content
        return np.ascontiguousarray(ak.to_numpy(values), dtype=np.dtype(column.dtype))

    def _find_leaves(self) -> None:
        """Make the leaves of all branches, and notes on those that are refused or renamed."""
        branches = list(self._access.branches())
        counts = Counter(b.name for b in branches)
        records: dict[str, Any] = {}
        for branch in branches:
            is_unique = counts[branch.name] == 1
            name = branch.name if is_unique else branch.path.replace("/", ".")
            add = partial(self._add_leaf, branch, name)
            shape = {"": []} if branch.form is None else record_shape(branch.form, add)
            if not columns_of_shape(shape):
                self.refused[f"{self.name}/{name}"] = (
                    branch.reason or "it holds no values"
                )
            elif not isinstance(shape, str):
                records[name] = shape
        if records:
            self.storage["records"] = records
        counting = {b.count for b in branches}
        counters = {
            leaf.branch.path: name
            for name, leaf in self._leaves.items()
            if leaf.branch.path in counting and leaf.is_counter
        }
        for name, leaf in self._leaves.items():
            column = leaf.column
            if leaf.is_counted:
                column = replace(column, counter=counters.get(leaf.branch.count or ""))
            elif counters.get(leaf.branch.path) == name:
                column = replace(column, role="counter")
            self._leaves[name] = replace(leaf, column=column)

    def _add_leaf(
        self, branch: Branch, name: str, fields: tuple[str, ...], form: Any
    ) -> str:
        usual = "_".join((name, *fields))
        free = unused(usual, self._leaves, numbered=True)
        if branch.repeated or free != usual:
            renamed = self.storage.setdefault("renamed", {})
            renamed[free] = "_".join((branch.name, *fields))
        self._leaves[free] = make_leaf(free, branch, fields, form)
        return free

    def _shared_counts(self) -> dict[str, str]:
        """Return the hidden counter of each column of lists without a counter branch."""
        leaves = {
            name: leaf
            for name, leaf in self._leaves.items()
            if leaf.is_counted and leaf.column.counter is None
        }
        # lists of equal lengths share a counter; digests of the lengths take no memory per event
        digests = {name: hashlib.blake2b() for name in leaves}
        branches = list(dict.fromkeys(leaf.branch.path for leaf in leaves.values()))
        unread: list[str] = []
        for start, stop in ranges(self.num_entries if leaves else 0, _SCAN_STEP):
            readable = [branch for branch in branches if branch not in unread]
            arrays, failing = self._fetch(readable, start, stop)
            unread += failing
            for name, leaf in leaves.items():
                if leaf.branch.path not in unread:
                    digests[name].update(_counts(leaf.pick(arrays)).tobytes())
        first: dict[bytes, str] = {}
        counters: dict[str, str] = {}
        for name, digest in digests.items():
            if leaves[name].branch.path in unread:
                # a counter of its own, to read the others
                digest.update(name.encode())
            own = unused(f"n({name})", self._leaves)
            counters[name] = first.setdefault(digest.digest(), own)
        return counters


def _counts(values: Any) -> Array:
    return np.asarray(ak.to_numpy(ak.num(values, axis=1)), dtype=np.int64)


def _with_whole_bools(values: Any) -> Any:
    """Return the values, true for every byte but 0: a C++ bool that was never set has any byte."""

    def mended(layout: Any, **_: Any) -> Any:
        if not (layout.is_numpy and layout.dtype == np.bool_):
            return None
        whole = np.ascontiguousarray(layout.data).view(np.uint8) != 0
        return ak.contents.NumpyArray(whole, parameters=layout.parameters)

    return ak.transform(mended, values)
