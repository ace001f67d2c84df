"""Words of a TTree and its branches: titles, aliases, user information, friends."""

from __future__ import annotations

import re
from typing import Any

_LEAF_LIST = re.compile(r"[^\s/:]+(/[A-Za-z])?(:[^\s/:]+(/[A-Za-z])?)*")


def describe(tree: Any) -> dict[str, Any]:
    """The title, aliases, user information and friends of a TTree, as far as uproot can say."""
    found: dict[str, Any] = {"title": str(tree.title)}
    for name, ask in (("aliases", _aliases), ("user_info", _user_info), ("friends", _friends)):
        try:
            found[name] = ask(tree)
        except Exception:  # these lists hold any class, and the tree is read without them
            found[name] = None
    return {name: value for name, value in found.items() if value}


def _aliases(tree: Any) -> dict[str, str]:
    return {str(name): str(formula) for name, formula in tree.aliases.items()}


def _user_info(tree: Any) -> list[str]:
    return [_in_words(thing) for thing in tree.member("fUserInfo", none_if_missing=True) or []]


def _friends(tree: Any) -> list[str]:
    friends = tree.member("fFriends", none_if_missing=True) or []
    named = [(friend.member("fTitle"), friend.member("fTreeName")) for friend in friends]
    return [":".join(filter(None, names)) for names in named]


def _in_words(thing: Any) -> str:
    """The name and class of an object and, where uproot can say it, the value or title."""
    if isinstance(thing, str):
        return str(thing)
    value = thing.member("fVal", none_if_missing=True)
    if value is None:
        value = thing.member("fTitle", none_if_missing=True)
    name = thing.member("fName", none_if_missing=True) or ""
    return f"{name} ({thing.classname})" + (f": {value}" if value not in (None, "") else "")


def documentation(branch: Any) -> str:
    """A branch's title, empty where it only repeats the name or lists the leaves (`Jet_pt[nJet]/F`)."""
    title = str(branch.title)
    is_leaf_list = "/" in title and _LEAF_LIST.fullmatch(title) is not None
    return "" if is_leaf_list or title == branch.name else title
