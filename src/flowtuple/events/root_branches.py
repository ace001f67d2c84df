"""The branches of a TTree and the fields of an RNTuple, seen alike: what there is, and its values as awkward arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import awkward as ak
import numpy as np
import uproot

from flowtuple.events.root_objects import DAMAGE

UNREADABLE: tuple[type[Exception], ...] = (
    *DAMAGE,
    NotImplementedError,
    TypeError,
    uproot.interpretation.objects.CannotBeAwkward,
)
_LEAF_LIST = re.compile(r"[^\s/:]+(/[A-Za-z])?(:[^\s/:]+(/[A-Za-z])?)*")


class Access(Protocol):
    """What a TTree and an RNTuple have in common."""

    num_entries: int

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        """Events `start` to `stop` of the branches as awkward arrays, in one call to uproot."""
        ...

    def branches(self) -> Iterator[Branch]:
        """Every branch that holds values, in order."""
        ...


@dataclass(frozen=True)
class Branch:
    """A branch as uproot describes it.

    Attributes:
        path: What uproot finds it by, unique in the tree.
        name: What people call it, mostly unique.
        title: Its documentation; empty where ROOT's own leaf list stands.
        form: Its awkward form; `None` where it cannot be read.
        count: Path of the branch that counts its objects.
        reason: Why it cannot be read.
        leaf_list: For a branch of lists with a counter, ROOT's own words, as `Track_cov[nTrack][3]`.
    """

    path: str
    name: str
    title: str = ""
    form: Any = None
    count: str | None = None
    reason: str = ""
    leaf_list: str = ""


class TreeAccess:
    """A TTree: branches, leaf lists and split objects."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self.num_entries = int(tree.num_entries)
        self._found = {path: b for path, b in tree.iteritems(recursive=True, full_paths=True) if not b.branches}

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        pairs = [(path, self._found[path].interpretation) for path in branches]
        arrays = self._tree.arrays(pairs, entry_start=start, entry_stop=stop, library="ak", how=dict, array_cache=None)
        return {path: arrays[path] for path in branches}

    def branches(self) -> Iterator[Branch]:
        paths = {b.cache_key: path for path, b in self._found.items()}
        for path, branch in self._found.items():
            count = branch.count_branch
            counter = None if count is None else paths.get(count.cache_key)
            form, reason = self._form(path, branch)
            leaf_list = "" if counter is None else str(branch.member("fLeaves")[0].member("fTitle"))
            yield Branch(path, branch.name, _documentation(branch), form, counter, reason, leaf_list)

    def _form(self, path: str, branch: Any) -> tuple[Any, str]:
        """The form from metadata where it is simple; other branches are tried on one event, since some fail only then."""
        interpretation = branch.interpretation
        if isinstance(interpretation, Exception):
            return None, "uproot has no interpretation for its type"
        if branch.num_entries != self.num_entries:
            return None, f"it has {branch.num_entries} entries, the tree {self.num_entries}"
        try:
            form = interpretation.awkward_form(branch.file)
            if not isinstance(interpretation, (uproot.AsDtype, uproot.AsJagged, uproot.AsStrings)):
                self.fetch([path], 0, min(1, self.num_entries))
        except UNREADABLE:
            return None, f"uproot cannot read its type {branch.typename}"
        return form, ""


class NTupleAccess:
    """An RNTuple: fields."""

    def __init__(self, ntuple: Any) -> None:
        self._ntuple = ntuple
        self.num_entries = int(ntuple.num_entries)

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        wanted = set(branches)
        array = self._ntuple.arrays(
            filter_name=lambda name: name.partition(".")[0] in wanted, entry_start=start, entry_stop=stop, array_cache=None
        )
        return {name: array[name] for name in branches}

    def branches(self) -> Iterator[Branch]:
        for field in self._ntuple.fields:
            try:
                form = self.fetch([field.name], 0, 0)[field.name].layout.form
            except UNREADABLE:
                yield Branch(field.name, field.name, reason="uproot cannot read its type")
            else:
                yield Branch(field.name, field.name, field.description or "", form)


def _documentation(branch: Any) -> str:
    """A branch's title, empty where it only repeats the name or lists the leaves (`Jet_pt[nJet]/F`)."""
    title = str(branch.title)
    is_leaf_list = "/" in title and _LEAF_LIST.fullmatch(title) is not None
    return "" if is_leaf_list or title == branch.name else title


def number_block(form: Any) -> tuple[str, tuple[int, ...]] | None:
    """The dtype and shape of a rectangular block of plain numbers, `None` for anything else."""
    shape: tuple[int, ...] = ()
    while form.is_regular:
        if form.parameter("__array__") is not None:
            return None
        form, shape = form.content, (*shape, form.size)
    if not form.is_numpy or form.parameter("__array__") is not None:
        return None
    dtype = np.dtype(ak.types.numpytype.primitive_to_dtype(form.primitive))
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        return None
    return dtype.name, (*shape, *form.inner_shape)
