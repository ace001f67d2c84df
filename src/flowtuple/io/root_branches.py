"""One interface to branches of a TTree and fields of an RNTuple."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Access(Protocol):
    """The interface that a TTree and an RNTuple have in common."""

    num_entries: int

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        """Events `start` to `stop` of the branches as awkward arrays, in one call to uproot."""
        ...

    def branches(self) -> Iterator[Branch]:
        """Return every branch that holds values, in order."""
        ...

    def is_damaged(self, branch: str, start: int, stop: int) -> bool:
        """Return whether the bytes of these events are damaged."""
        ...

    def description(self) -> dict[str, Any]:
        """Return the notes on the tree for `Dataset.storage`, as JSON."""
        ...


@dataclass(frozen=True)
class Branch:
    """A branch as uproot describes it.

    Attributes:
        path: Name by which uproot finds it, unique in the tree.
        name: Name in ROOT, mostly unique.
        title: Documentation; empty where ROOT has its own leaf list.
        form: Awkward form; `None` where it cannot be read.
        count: Path of the branch that counts its objects.
        reason: Why it cannot be read.
        leaf_list: For a branch of lists with a counter, ROOT's own words, as
            `Track_cov[nTrack][3]`.
        repeated: Another branch has the same path; `path` then ends in a number.
    """

    path: str
    name: str
    title: str = ""
    form: Any = None
    count: str | None = None
    reason: str = ""
    leaf_list: str = ""
    repeated: bool = False
