"""Metadata of a TTree: titles, aliases, user information, friends, index and weight."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_LEAF_LIST = re.compile(r"[^\s/:]+(/[A-Za-z])?(:[^\s/:]+(/[A-Za-z])?)*")


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
        except MemoryError:
            raise
        except Exception:  # these lists hold any class, and the tree is read without them
            unreadable.append(words)
    notes["unreadable"] = list(dict.fromkeys([*unreadable, *(_IN_WORDS if in_part else ())]))
    return {name: value for name, value in notes.items() if value}


def _member(thing: Any, name: str) -> Any:
    return thing.member(name, none_if_missing=True)


def _aliases(tree: Any) -> dict[str, str]:
    return {str(name): str(formula) for name, formula in tree.aliases.items()}


def _user_info(tree: Any) -> list[str]:
    return [_in_words(thing) for thing in _member(tree, "fUserInfo") or []]


def _friends(tree: Any) -> list[str]:
    named = [
        (friend.member("fTitle"), friend.member("fTreeName"))
        for friend in _member(tree, "fFriends") or []
    ]
    return [":".join(filter(None, names)) for names in named]


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


def documentation(branch: Any) -> str:
    """Return a branch's title; empty where it is the name or the leaf list."""
    title = str(branch.title)
    is_leaf_list = "/" in title and _LEAF_LIST.fullmatch(title) is not None
    return "" if is_leaf_list or title == branch.name else title
