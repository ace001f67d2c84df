"""A TTree as uproot reads it: its branches, values of ranges of events, and its metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flowtuple.data.schema import unused
from flowtuple.io.remote import RequestFailed
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_interpretation import TreeBranch, interpretation_of
from flowtuple.runtime.lazy_packages import uproot


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
        self._looked_up = {
            p for p, branch in branches.items() if _look_up(tree, p) is branch
        }

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
                self._tree.arrays(
                    pairs, library="ak", how=dict, array_cache=None, **events
                )
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


def describe(tree: Any, *, in_part: bool = False) -> dict[str, Any]:
    """Return the title, aliases, user information, friends, index and weight of a TTree.

    Args:
        tree: uproot's tree.
        in_part: uproot read the tree without the metadata after its branches, which cannot be
            read.

    Returns:
        The metadata that is there, by name; `unreadable` lists the rest in words.
    """
    notes: dict[str, Any] = {"title": str(tree.title)}
    unreadable: list[str] = []
    for name, (words, read) in _READERS.items():
        try:
            notes[name] = read(tree)
        except (RequestFailed, MemoryError):
            raise
        except Exception:  # these lists hold any class, and the tree is read without them
            unreadable.append(words)
    notes["unreadable"] = list(
        dict.fromkeys([*unreadable, *(_IN_WORDS if in_part else ())])
    )
    return {name: value for name, value in notes.items() if value}


def _member(thing: Any, name: str) -> Any:
    return thing.member(name, none_if_missing=True)


def _aliases(tree: Any) -> dict[str, str]:
    return {str(name): str(formula) for name, formula in tree.aliases.items()}


def _user_info(tree: Any) -> list[str]:
    return [_in_words(thing) for thing in _member(tree, "fUserInfo") or []]


def _friends(tree: Any) -> list[str]:
    friends = _member(tree, "fFriends") or []
    names = ([f.member("fTitle"), f.member("fTreeName")] for f in friends)
    return [":".join(filter(None, pair)) for pair in names]


def _index(tree: Any) -> str:
    """Return the formulas of an index, as `run, event`, or else its number of events."""
    index = _member(tree, "fTreeIndex")
    if index is not None:
        names = [_member(index, key) for key in ("fMajorName", "fMinorName")]
        return ", ".join(map(str, filter(None, names))) or index.classname
    events = _member(tree, "fIndex")
    return "" if events is None or not len(events) else f"of {len(events)} events"


def _weight(tree: Any) -> float | None:
    """Return the factor of all events; none where it is 1."""
    weight = _member(tree, "fWeight")
    return None if weight is None or weight == 1 else float(weight)


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "aliases": ("aliases", _aliases),
    "user_info": ("user information", _user_info),
    "friends": ("friend trees", _friends),
    "index": ("the index", _index),
    "weight": ("the weight", _weight),
}
_IN_WORDS = [_READERS[name][0] for name in ("user_info", "friends", "index")]


def _in_words(thing: Any) -> str:
    """Return the name and class of an object and, where uproot can say it, the value or title."""
    if isinstance(thing, str):
        return str(thing)
    if not hasattr(thing, "member"):
        return f"({thing.classname})"  # of a class that the file does not describe
    value = _member(thing, "fVal")
    if value is None:
        value = _member(thing, "fTitle")
    words = f"{_member(thing, 'fName') or ''} ({thing.classname})".lstrip()
    return words if value in (None, "") else f"{words}: {value}"
