"""A file's contents as an independent reader sees them: tables of parts, and objects beside the
tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


def no_pieces(_: Any) -> Iterator[Mapping[str, Any]]:
    """Yield nothing: the part comes back whole or not at all, never in pieces."""
    yield from ()


@dataclass(frozen=True)
class Part:
    """A branch, column, dataset or object.

    Attributes:
        name: What people call it.
        load: Gives its values; any exception means that the independent reader cannot read it.
        also: Other names that say the same to whoever reads the file, such as the full path of a
        branch.
        pieces: From its values the names and values of pieces that together hold them all.
        place: By position, for columns of a file without names; -1 otherwise.
    """

    name: str
    load: Callable[[], Any]
    also: tuple[str, ...] = ()
    pieces: Callable[[Any], Iterator[Mapping[str, Any]]] = no_pieces
    place: int = -1


@dataclass(frozen=True)
class Group:
    """A tree, or all columns of a file of one table.

    Attributes:
        name: Its name, with the directory; empty where the format has one table without name.
        kind: `TTree`, `RNTuple`, or the format.
        entries: Number of events; -1 where its parts have their own.
        parts: Its parts in order, those of equal names included.
        about: What is said about it: titles, aliases. A difference there is noted.
    """

    name: str
    kind: str
    entries: int
    parts: list[Part]
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """All that an independent reader finds in a file.

    Attributes:
        groups: Trees and tables.
        objects: What lies beside them: histograms and the like.
        unread: Names of groups that cannot be opened, with the reason.
        about: What is said about the file as a whole, and older cycles of its trees.
    """

    groups: list[Group] = field(default_factory=list)
    objects: list[Part] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
