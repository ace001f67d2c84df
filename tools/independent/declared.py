"""Declarations of a compressed file and its commands: parts that are left out or renamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_OLD = ("name", "from", "old", "column", "original")
_NEW = ("to", "as", "new", "written", "branch", "renamed")
_LISTS = ("left_out", "refused")


@dataclass
class Declared:
    """Names that are said to be left out, names that are said to change, and all that is said in
    words.

    Attributes:
        left_out: Reasons by name (`TREE/COLUMN`).
        renamed: Pairs of an old name and a new one.
        texts: Messages, warnings and other words.
    """

    left_out: dict[str, str] = field(default_factory=dict)
    renamed: set[tuple[str, str]] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)

    def add_json(self, found: Any) -> None:
        """Take what a JSON object says under `left_out`, `refused` and names with `renam`, at any
        depth.
        """
        for key, value in _items(found):
            if key in _LISTS:
                self.left_out.update(_reasons(value))
            if "renam" in key:
                self.renamed.update(_pairs(value))
            if isinstance(value, str) and key != "name":
                self.texts.append(value)
            elif isinstance(value, list):
                self.texts.extend(item for item in value if isinstance(item, str))

    def add_text(self, text: str) -> None:
        """Take messages; a line or a whole that is JSON as such."""
        for words in (text, *text.splitlines()):
            if words.lstrip().startswith(("{", "[")):
                try:
                    self.add_json(json.loads(words))
                except ValueError:
                    continue
        self.texts.extend(line for line in text.splitlines() if line.strip())

    def leaves_out(self, *names: str) -> bool:
        """Whether one of the names, or what it lies in, is said to be left out."""
        return any(self._named(name) or self._in_text(name) for name in names)

    def _named(self, name: str) -> bool:
        return any(
            name == out or name.startswith((f"{out}/", f"{out}."))
            for out in self.left_out
        )

    def _in_text(self, name: str) -> bool:
        """Whether a message names it: in full as a word, or its last part in quotes."""
        last = name.rpartition("/")[2]
        return any(
            (_stands_in(name, text) and "/" in name) or f"'{last}'" in text
            for text in self.texts
        )

    def reason(self, name: str) -> str:
        """Return the declared reason for leaving a part out."""
        return next(
            (why for out, why in self.left_out.items() if name.startswith(out)),
            "named in a message",
        )

    def renames(self, old: str, new: str) -> bool:
        """Whether the one name is said to become the other."""
        return (old, new) in self.renamed or self.says(old, new)

    def says(self, *names: str) -> bool:
        """Whether one line names all of these."""
        return any(all(_stands_in(name, text) for name in names) for text in self.texts)


def _stands_in(name: str, text: str) -> bool:
    if not name[:1].isalnum() and not name.startswith("_"):
        return name in text
    return re.search(rf"(?<![\w.]){re.escape(name)}(?![\w])", text) is not None


def _items(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield str(key), value
            yield from _items(value)
    elif isinstance(found, list):
        for value in found:
            yield from _items(value)


def _reasons(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(name): str(reason) for name, reason in value.items()}
    reasons: dict[str, str] = {}
    for item in value if isinstance(value, list) else []:
        if isinstance(item, Mapping):
            reasons[str(item.get("name", ""))] = str(item.get("reason", ""))
        else:
            reasons[str(item)] = ""
    return {name: reason for name, reason in reasons.items() if name}


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    """Old and new names out of a dict by old name, or a list of objects; the tree's name in front
    is optional.
    """
    if isinstance(value, Mapping):
        for old, new in value.items():
            for name in new if isinstance(new, list) else [new]:
                if isinstance(name, str):
                    yield from _short(str(old), name)
                else:
                    yield from _pairs(name)
    for item in value if isinstance(value, list) else []:
        if isinstance(item, Mapping):
            old = next((item[key] for key in _OLD if key in item), None)
            new = next((item[key] for key in _NEW if key in item), None)
            if old is not None and new is not None:
                yield from _short(str(old), str(new))


def _short(old: str, new: str) -> Iterator[tuple[str, str]]:
    for one in {old, old.rpartition("/")[2]}:
        for other in {new, new.rpartition("/")[2]}:
            yield one, other
