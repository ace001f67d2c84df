"""A TTree as uproot reads it: the branches that can be decoded, and values of ranges of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import uproot

from flowtuple.data.schema import unused
from flowtuple.errors import InvalidArgument
from flowtuple.io.location import translate_fsspec_errors
from flowtuple.io.root_baskets import c_strings, check_valid, counted_lists
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_interpretation import (
    HiddenError,
    array_of,
    as_read,
    form_of,
    interpretation_of,
    is_empty,
    is_plain,
    is_plain_jagged,
    type_name,
)
from flowtuple.io.root_metadata import describe, documentation

_OFFSETS_FROM_COUNTS = 1  # the bit of TIOFeatures that leaves out where the lists begin


class TreeAccess:
    """Access to a TTree: branches, leaf lists and split objects.

    Branches are known by their place: ROOT lets several have one name, of which uproot's look-up
    gives the first.
    """

    def __init__(self, tree: Any, source: str, *, in_part: bool = False) -> None:
        self._tree = tree
        self._source = source
        self._in_part = in_part
        self.num_entries = int(tree.num_entries)
        self._branches, self._repeated = _by_path(tree)
        items = self._branches.items()
        self._looked_up = {path for path, branch in items if _look_up(tree, path) is branch}
        self._counters = self._find_counters()
        self._interpretations = {path: interpretation_of(branch) for path, branch in items}

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        pairs = []
        arrays: dict[str, Any] = {}
        for path in branches:
            if path in self._looked_up and not self._decoded_here(path):
                pairs.append((path, self._interpretations[path]))
            else:
                arrays[path] = self._one(path, start, stop)
        if pairs:
            events = {"entry_start": start, "entry_stop": stop}
            arrays.update(
                self._tree.arrays(pairs, library="ak", how=dict, array_cache=None, **events)
            )
        return arrays

    def branches(self) -> Iterator[Branch]:
        for path, branch in self._branches.items():
            counter = self._counters.get(path)
            form, reason = self._form(path, branch)
            leaf_list = (
                "" if counter is None else str(branch.member("fLeaves")[0].member("fTitle"))
            )
            title = documentation(branch)
            is_repeated = path in self._repeated
            yield Branch(
                path, branch.name, title, form, counter, reason, leaf_list, is_repeated
            )

    def is_damaged(self, branch: str, start: int, stop: int) -> bool:
        read = self._branches[branch]
        try:
            for number, _ in read.entries_to_ranges_or_baskets(start, stop):
                read.basket(number)
        except MemoryError:
            raise
        except Exception:  # nothing is known of damaged bytes, not even how they fail
            return True
        return False

    def description(self) -> dict[str, Any]:
        return describe(self._tree, in_part=self._in_part)

    def _one(self, path: str, start: int, stop: int) -> Any:
        """Return values of one branch."""
        branch = self._branches[path]
        if self._decoded_here(path):
            is_text = isinstance(self._interpretations[path], uproot.AsStrings)
            decode = c_strings if is_text else counted_lists
            return decode(branch, start, stop)
        return array_of(branch, self._interpretations[path], start, stop)

    def _decoded_here(self, path: str) -> bool:
        """Return whether uproot decodes lists without offsets, or empty strings, wrongly."""
        interpretation = self._interpretations[path]
        if isinstance(interpretation, uproot.AsStrings):
            return bool(self._branches[path].member("fLeaves")[0].classname == "TLeafC")
        if path not in self._counters or not _io_features(self._tree) & _OFFSETS_FROM_COUNTS:
            return False
        return is_plain_jagged(interpretation) and bool(interpretation.header_bytes == 0)

    def _find_counters(self) -> dict[str, str]:
        """The path of the counting branch, by the path of the branch of lists that it counts."""
        paths = {id(branch): path for path, branch in self._branches.items()}
        counters = {}
        for path, branch in self._branches.items():
            count = branch.count_branch
            if count is not None and id(count) in paths:
                counters[path] = paths[id(count)]
        return counters

    def _form(self, path: str, branch: Any) -> tuple[Any, str]:
        """Return the awkward form, or `None` and why the branch cannot be read."""
        if isinstance(self._interpretations[path], Exception):
            return None, "uproot has no interpretation for its type"
        if branch.num_entries != self.num_entries:
            return None, f"it has {branch.num_entries} entries, the tree {self.num_entries}"
        if is_empty(self._interpretations[path]):
            return None, f"it is empty: {type_name(branch)} has no members of its own"
        try:
            with translate_fsspec_errors(self._source):
                return self._tried(path, branch), ""
        except (InvalidArgument, MemoryError):
            raise
        except HiddenError as error:
            return None, str(error)
        except Exception:  # a branch that fails in any way is named, and the others are read
            return None, self._why(path, branch)

    def _why(self, path: str, branch: Any) -> str:
        if self.is_damaged(path, 0, self.num_entries):
            return "its bytes are damaged or cut short; fetch the file again"
        return f"uproot cannot decode its type {type_name(branch)}"

    def _tried(self, path: str, branch: Any) -> Any:
        """Return the form; branches of other than plain numbers are read for it, in samples."""
        interpretation = self._interpretations[path]
        _ = branch.entry_offsets  # raises where its baskets do not add up
        is_counted = path in self._counters and is_plain_jagged(interpretation)
        if is_counted or (is_plain(interpretation) and not _may_hold_more(branch)):
            return form_of(branch, interpretation)
        samples = [self._one(path, *events) for events in self._samples(branch)]
        for values in samples:
            check_valid(values)
        form = form_of(branch, interpretation)
        return as_read(form, samples[0].layout.form)

    def _samples(self, branch: Any) -> list[tuple[int, int]]:
        """Return the events of the samples: first, middle and last, or all where few may fail."""
        if _may_hold_more(branch):
            return [(0, self.num_entries)]
        last = self.num_entries - 1
        return [(max(0, event), event + 1) for event in sorted({0, last // 2, last})]


def _by_path(tree: Any) -> tuple[dict[str, Any], set[str]]:
    """Every branch that holds values by a path of its own, and the paths made for repeated ones."""
    everything = list(_walk(tree, ""))
    taken = {path for path, _ in everything}
    branches: dict[str, Any] = {}
    repeated: set[str] = set()
    for path, branch in everything:
        own = path
        if path in branches:
            own = unused(path, taken, numbered=True)
            taken.add(own)
            repeated.add(own)
        branches[own] = branch
    return branches, repeated


def _walk(parent: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for branch in parent.branches:
        if not branch.branches or _holds_values(branch):
            yield prefix + branch.name, branch
        yield from _walk(branch, f"{prefix}{branch.name}/")


def _holds_values(branch: Any) -> bool:
    """Return whether a branch above others has own values, as sizes of a split collection."""
    return branch.num_baskets > 0 and not isinstance(
        interpretation_of(branch), uproot.AsGrouped
    )


def _look_up(tree: Any, path: str) -> Any:
    try:
        return tree[path]
    except LookupError:  # a name that begins with a slash, for one
        return None


def _io_features(tree: Any) -> int:
    features = tree.member("fIOFeatures", none_if_missing=True)
    return 0 if features is None else int(features.member("fIOBits"))


def _may_hold_more(branch: Any) -> bool:
    """Return whether events may have more bytes than their type, as the object of a TRef."""
    return bool(branch.name.rpartition(".")[2] == "fBits")
