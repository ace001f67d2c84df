"""One TTree or RNTuple as a table that reads a range of events at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array, Column, unused
from flowtuple.data.table import Table, ranges, with_counters
from flowtuple.errors import Corrupt, InvalidArgument, Unsupported
from flowtuple.io.location import translate_fsspec_errors
from flowtuple.io.root_branches import Access
from flowtuple.io.root_leaves import (
    Leaf,
    make_column,
    record_shape,
    walk,
    whole_bools,
    with_whole_bools,
)

_SCAN_STEP = 16384


class RootTable:
    """A table of a ROOT file, read by ranges; it is a `TableSource`.

    Attributes:
        name: The tree's name, with its directory.
        refused: Branches that cannot be read, as `tree/branch`, with the reason.
        storage: Notes on the tree for `Dataset.storage`.
    """

    def __init__(self, path: str, name: str, access: Access) -> None:
        self._path = path
        self._access = access
        self.name = name
        self.refused: dict[str, str] = {}
        self._renamed: dict[str, str] = {}
        self._records: dict[str, Any] = {}
        self._leaves = self._find_leaves()
        noted = {"renamed": self._renamed, "records": self._records}
        self.storage = access.description() | {
            key: value for key, value in noted.items() if value
        }
        self._sharing: dict[str, list[Leaf]] = {}

    @property
    def has_columns(self) -> bool:
        """Return whether a branch can be read; no event is read for it."""
        return bool(self._leaves)

    @property
    def num_entries(self) -> int:
        return self._access.num_entries

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Return the schema; lists without counter branch are read once, for their lengths."""
        shared = self._shared_counts()
        columns: list[Column] = []
        for leaf in self._leaves.values():
            hidden = shared.get(leaf.column.name)
            if hidden is not None and hidden not in self._sharing:
                columns.append(Column(hidden, "int64", "counter", hidden=True))
            if hidden is not None:
                self._sharing.setdefault(hidden, []).append(leaf)
            columns.append(
                leaf.column if hidden is None else replace(leaf.column, counter=hidden)
            )
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
        names = {c.name for c in read}
        leaves = {
            name: self._leaves.get(name) or self._counting_leaf(name, names)
            for name in (c.name for c in read)
        }
        branches = dict.fromkeys(leaf.branch for leaf in leaves.values())
        arrays = self._fetch(list(branches), start, stop)
        values = {name: leaf.pick(arrays) for name, leaf in leaves.items()}
        data = {c.name: self._content(c, values[c.name]) for c in read}
        for column in read:
            if column.counter is not None:
                self._check_counts(column, values[column.name], data[column.counter])
        return Table(self.name, read, stop - start, data)

    def _fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        if not branches:
            return {}
        try:
            with translate_fsspec_errors(self._path):
                return self._access.fetch(branches, start, stop)
        except (InvalidArgument, MemoryError):
            raise
        except Exception:  # uproot lets through whatever it runs into
            failing = self._failing(branches, start, stop)
        raise self._unreadable(failing, start, stop)

    def _failing(self, branches: Sequence[str], start: int, stop: int) -> list[str]:
        """Return the branches that cannot be read by themselves either."""
        failing = []
        for branch in branches:
            try:
                self._access.fetch([branch], start, stop)
            except MemoryError:
                raise
            except Exception:  # as above
                failing.append(branch)
        return failing

    def _unreadable(self, failing: Sequence[str], start: int, stop: int) -> Exception:
        """Return the error that names the branches which cannot be read."""
        events = f"events {start} to {stop}"
        where = f"{self._path}: tree {self.name!r}, {events}: the data cannot be read"
        if not failing:
            why = "memory may not be enough for so many"
            return Unsupported(f"{where} together; {why}, leave columns out with `exclude=`")
        names = [leaf.column.name for leaf in self._leaves.values() if leaf.branch in failing]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        advice = f"leave it out with `exclude=` {names[0]!r}"
        if any(self._access.is_damaged(branch, start, stop) for branch in failing):
            what = f"column {names[0]!r}{more} is damaged"
            return Corrupt(f"{where}: {what}; fetch the file again, or {advice}")
        return Unsupported(
            f"{where}: uproot cannot decode column {names[0]!r}{more}; {advice}"
        )

    def _counting_leaf(self, hidden: str, names: Container[str]) -> Leaf:
        """Return a leaf with a hidden counter's lengths, one that is read anyway if possible."""
        leaves = self._sharing[hidden]
        return next((leaf for leaf in leaves if leaf.column.name in names), leaves[0])

    def _content(self, column: Column, values: Any) -> Any:
        if column.hidden:
            return _counts(values)
        if column.is_opaque:
            self._check_valid(column, values)
            return ak.to_packed(with_whole_bools(values))
        content = ak.to_numpy(
            _lists(values).content if column.counter is not None else values
        )
        content = np.ascontiguousarray(content, dtype=np.dtype(column.dtype))
        return whole_bools(content) if column.dtype == "bool" else content

    def _check_valid(self, column: Column, values: Any) -> None:
        if ak.validity_error(values):
            where = f"{self._path}: column {column.name!r} of tree {self.name!r}"
            advice = f"leave it out with `exclude=` {column.name!r}"
            raise Unsupported(f"{where}: uproot decodes its lists wrongly; {advice}")

    def _check_counts(self, column: Column, values: Any, counts: Array) -> None:
        if not np.array_equal(_counts(values), counts):
            where = f"{self._path}: column {column.name!r} of tree {self.name!r}"
            what = f"does not have as many values as {column.counter!r} says"
            raise Corrupt(f"{where} {what}; leave it out with `exclude=`")

    def _find_leaves(self) -> dict[str, Leaf]:
        branches = list(self._access.branches())
        counting = {b.count for b in branches if b.count is not None}
        leaves: dict[str, Leaf] = {}
        by_path: dict[str, str] = {}
        counts = Counter(b.name for b in branches)
        for branch in branches:
            name = branch.path.replace("/", ".") if counts[branch.name] > 1 else branch.name
            parts = [] if branch.form is None else list(walk(branch.form))
            if not parts:
                self.refused[f"{self.name}/{name}"] = branch.reason or "it holds no values"
            members: dict[tuple[str, ...], str] = {}
            for fields, (dtype, shape, is_counted) in parts:
                usual = "_".join((name, *fields))
                free = unused(usual, leaves, numbered=True)
                column = make_column(free, branch, dtype, shape)
                if branch.repeated or free != usual:
                    self._renamed[free] = "_".join((branch.name, *fields))
                is_integer = "int" in dtype and not (fields or shape or is_counted)
                if is_integer and branch.path in counting:
                    column = replace(column, role="counter")
                    by_path[branch.path] = column.name
                leaves[column.name] = Leaf(column, branch.path, fields, is_counted)
                members[fields] = column.name
            if any(members):
                self._records[name] = record_shape(branch.form, members)
        counters = {b.path: by_path.get(b.count or "") for b in branches}
        for name, leaf in leaves.items():
            if leaf.is_counted:
                column = replace(leaf.column, counter=counters[leaf.branch])
                leaves[name] = replace(leaf, column=column)
        return leaves

    def _shared_counts(self) -> dict[str, str]:
        """Return the hidden counter of each column of lists without a counter branch."""
        leaves = [
            leaf
            for leaf in self._leaves.values()
            if leaf.is_counted and leaf.column.counter is None
        ]
        # lists of equal lengths share a counter; digests of the lengths take no memory per event
        digests = {leaf.column.name: hashlib.blake2b() for leaf in leaves}
        branches = list(dict.fromkeys(leaf.branch for leaf in leaves))
        unread: set[str] = set()
        for start, stop in ranges(self.num_entries if leaves else 0, _SCAN_STEP):
            arrays, failing = self._readable(
                [b for b in branches if b not in unread], start, stop
            )
            unread.update(failing)
            for leaf in leaves:
                if leaf.branch not in unread:
                    digests[leaf.column.name].update(_counts(leaf.pick(arrays)).tobytes())
        for leaf in leaves:
            if (
                leaf.branch in unread
            ):  # a counter of its own: without it the others can be read
                digests[leaf.column.name].update(leaf.column.name.encode())
        first: dict[bytes, str] = {}
        counters: dict[str, str] = {}
        for name, digest in digests.items():
            own = unused(f"n({name})", self._leaves)
            counters[name] = first.setdefault(digest.digest(), own)
        return counters

    def _readable(
        self, branches: Sequence[str], start: int, stop: int
    ) -> tuple[Mapping[str, Any], list[str]]:
        """Values of the branches that can be read, and the others."""
        try:
            return self._fetch(branches, start, stop), []
        except (Corrupt, Unsupported):
            failing = self._failing(branches, start, stop)
        return self._fetch([b for b in branches if b not in failing], start, stop), failing


def _lists(values: Any) -> Any:
    """The layout of lists with offsets that begin at 0 and contents that end with the last list."""
    layout = ak.to_packed(values).layout
    return layout.to_ListOffsetArray64(True)


def _counts(values: Any) -> Array:
    return np.asarray(ak.to_numpy(ak.num(values, axis=1)), dtype=np.int64)
