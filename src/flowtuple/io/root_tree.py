"""A TTree as uproot reads it: the branches that can be decoded, and values of ranges of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import uproot

from flowtuple.data.schema import unused
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_interpretation import TreeBranch, interpretation_of
from flowtuple.io.root_metadata import describe


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
        everything = list(_walk(tree, ""))
        taken = {path for path, _ in everything}
        branches: dict[str, Any] = {}
        repeated: set[str] = set()
        for usual, branch in everything:
            path = usual
            if usual in branches:
                path = unused(usual, taken, numbered=True)
                repeated.add(path)
                taken.add(path)
            branches[path] = branch
        paths = {id(branch): path for path, branch in branches.items()}
        self._branches: dict[str, TreeBranch] = {}
        for path, branch in branches.items():
            counter = paths.get(id(branch.count_branch))
            self._branches[path] = TreeBranch(
                tree, branch, path, counter, repeated=path in repeated
            )
        self._looked_up = {p for p, branch in branches.items() if _look_up(tree, p) is branch}

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        """Return events `start` to `stop` of the branches, most in one call to uproot."""
        pairs = []
        arrays: dict[str, Any] = {}
        for path in branches:
            branch = self._branches[path]
            if path in self._looked_up and branch.decoder() is None:
                pairs.append((path, branch.interpretation))
            else:
                arrays[path] = branch.read(start, stop)
        if pairs:
            events = {"entry_start": start, "entry_stop": stop}
            arrays.update(
                self._tree.arrays(pairs, library="ak", how=dict, array_cache=None, **events)
            )
        return arrays

    def branches(self) -> Iterator[Branch]:
        """Yield every branch that holds values, in order."""
        for branch in self._branches.values():
            branch.try_out(self._source)
            yield branch

    def is_damaged(self, branch: str, start: int, stop: int) -> bool:
        """Return whether the bytes of these events are damaged."""
        return self._branches[branch].is_damaged(start, stop)

    def description(self) -> dict[str, Any]:
        """Return the notes on the tree for `Dataset.storage`, as JSON."""
        return describe(self._tree, in_part=self._in_part)


def _walk(parent: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield every branch that holds values, with its usual path."""
    for branch in parent.branches:
        # a branch above others may have own values, as sizes of a split collection
        if not branch.branches or (
            branch.num_baskets > 0
            and not isinstance(interpretation_of(branch), uproot.AsGrouped)
        ):
            yield prefix + branch.name, branch
        yield from _walk(branch, f"{prefix}{branch.name}/")


def _look_up(tree: Any, path: str) -> Any:
    try:
        return tree[path]
    except LookupError:  # a name that begins with a slash, for one
        return None
