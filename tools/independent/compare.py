"""An original and the file that came back, part by part, as an independent reader sees both."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from independent.declared import Declared
from independent.parts import Contents, Group, Part
from independent.values import difference, plain

_READERS = {
    ".root": "root_file",
    ".parquet": "parquet_file",
    ".pq": "parquet_file",
    ".h5": "hdf5_file",
    ".hdf5": "hdf5_file",
    ".csv": "text_file",
    ".csv.gz": "text_file",
    ".txt": "text_file",
    ".dat": "text_file",
    ".npz": "npz_file",
}
_MAGIC = {b"root": ".root", b"PAR1": ".parquet", b"\x89HDF": ".h5"}
_PACKED = b"PK\x03\x04"


@dataclass(frozen=True)
class Finding:
    """Outcome for one part of the original.

    Attributes:
        name: `TREE/BRANCH`, or what else the part is called.
        state: `same`, `renamed` (and declared so), `named` (left out by name), `missing`,
        `differs`, or
            `unreadable` in the original.
        detail: In words.
    """

    name: str
    state: str
    detail: str = ""


@dataclass
class Comparison:
    """All findings of two files.

    Attributes:
        findings: One for each part of the original.
        notes: Differences in what is said about the data, and parts that came beyond the
        original's.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, *states: str) -> int:
        """Count the parts that have one of these states."""
        return sum(f.state in states for f in self.findings)

    def lost(self) -> list[Finding]:
        """Parts that are missing or different and not named."""
        return [f for f in self.findings if f.state in ("missing", "differs")]

    def to_json(self) -> dict[str, Any]:
        """A JSON object; parts that are the same are counted only."""
        shown = [asdict(f) for f in self.findings if f.state != "same"]
        return {"same": self.count("same"), "findings": shown, "notes": self.notes}


@dataclass
class Readable:
    """Parts of a file that its independent reader reads.

    Attributes:
        parts: Names of the branches, columns and datasets that it reads.
        unreadable: Those that it does not, with the reason.
        objects: Names of the objects beside the tables that it reads.
        failure: Why it cannot open the file at all; empty where it can.
    """

    parts: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)
    unreadable_objects: dict[str, str] = field(default_factory=dict)
    failure: str = ""

    def reads_every_branch(self) -> bool:
        """Whether there is one at all and each can be read."""
        return bool(self.parts) and not self.unreadable and not self.failure


def suffix_of(path: str | Path) -> str:
    """The format of a file by its name, else by its first bytes; empty where it is none of them."""
    name = str(path).lower()
    for suffix in sorted(_READERS, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    with open(path, "rb") as file:
        magic = file.read(4)
    return _MAGIC.get(magic, ".npz" if magic == _PACKED and name.endswith("npz") else "")


def read(path: str | Path) -> Contents:
    """The contents of a file, read by the library of its format alone."""
    reader = importlib.import_module(f"independent.{_READERS[suffix_of(path)]}")
    contents: Contents = reader.read(str(path))
    return contents


def readable(path: str | Path) -> Readable:
    """Try every part of a file."""
    found = Readable()
    try:
        contents = read(path)
    except Exception as error:
        return Readable(failure=_in_words(error))
    found.unreadable.update(contents.unread)
    for group in contents.groups:
        for part in group.parts:
            _try(part, _full(group, part), found.parts, found.unreadable)
    for part in contents.objects:
        _try(part, part.name, found.objects, found.unreadable_objects)
    return found


def _try(part: Part, name: str, good: list[str], bad: dict[str, str]) -> None:
    try:
        part.load()
    except Exception as error:
        bad[name] = _in_words(error)
    else:
        good.append(name)


def compare(
    original: str | Path, back: str | Path, declared: Declared | None = None
) -> Comparison:
    """Hold every part of the original that can be read against the file that came back.

    Args:
        original: The input.
        back: The output, of the same format.
        declared: What is said to be left out or renamed.

    Raises:
        OriginalUnreadable: The independent reader cannot open the input.
        BackUnreadable: It cannot open the output.
    """
    declared = Declared() if declared is None else declared
    try:
        first = read(original)
    except Exception as error:
        raise OriginalUnreadable(_in_words(error)) from error
    try:
        second = read(back)
    except Exception as error:
        raise BackUnreadable(
            f"the file that came back cannot be opened: {_in_words(error)}"
        ) from error
    result = Comparison()
    for name, reason in first.unread.items():
        result.findings.append(Finding(name, "unreadable", reason))
    others = {group.name: group for group in second.groups}
    for group in first.groups:
        _compare_group(group, others.get(group.name), second, declared, result)
    _compare_parts("", first.objects, second.objects, declared, result)
    _compare_about("", first.about, second.about, declared, result)
    new = [g.name for g in second.groups if g.name not in {o.name for o in first.groups}]
    result.notes.extend(f"new: {name}" for name in new)
    return result


class OriginalUnreadable(Exception):
    """The independent reader cannot open the input, so that nothing can be compared."""


class BackUnreadable(Exception):
    """The file that came back is none that its independent reader opens."""


def _compare_group(
    one: Group,
    other: Group | None,
    back: Contents,
    declared: Declared,
    result: Comparison,
) -> None:
    if other is None:
        reason = back.unread.get(one.name, "the whole of it is missing")
        state = "named" if declared.leaves_out(one.name) else "missing"
        result.findings.append(
            Finding(one.name, state, f"{one.kind} of {one.entries} events: {reason}")
        )
        return
    if one.kind != other.kind:
        state = "renamed" if declared.says(one.name, other.kind) else "differs"
        result.findings.append(
            Finding(one.name, state, f"{one.kind} came back as {other.kind}")
        )
    if one.entries != other.entries:
        words = f"{one.entries} events against {other.entries}"
        result.findings.append(Finding(one.name, "differs", words))
    _compare_parts(one.name, one.parts, other.parts, declared, result)
    _compare_about(one.name, one.about, other.about, declared, result)


def _compare_about(
    name: str,
    one: dict[str, Any],
    other: dict[str, Any],
    declared: Declared,
    result: Comparison,
) -> None:
    """Differences in titles, aliases and the like are notes."""
    for key, value in one.items():
        if other.get(key) != value:
            gone = "is gone" if key not in other else "differs"
            named = (
                " (named)"
                if declared.says(key.rpartition(" of ")[2] or name, key.partition(" ")[0])
                else ""
            )
            result.notes.append(f"{name}: {key} {gone}{named}".removeprefix(": "))


def _compare_parts(
    group: str,
    ones: Iterable[Part],
    others: Iterable[Part],
    declared: Declared,
    result: Comparison,
) -> None:
    ones, left = list(ones), list(others)
    named = all(part.place < 0 for part in ones)
    taken: list[tuple[Part, Part | None, str]] = []
    for part in ones:
        match = _match(part, left, named)
        if match is not None:
            left.remove(match)
        taken.append((part, match, ""))
    for part, match, _ in taken:
        full = f"{group}/{part.name}".strip("/")
        try:
            values = part.load()
        except Exception as error:
            result.findings.append(Finding(full, "unreadable", _in_words(error)))
            continue
        if match is not None:
            finding = _with_type(
                _compare_values(full, part, values, match), part, match, declared
            )
            result.findings.append(_elsewhere(finding, part, values, left, declared))
        else:
            result.findings.append(_without_match(group, part, values, left, declared))
    extra = Counter(part.name for part in left)
    result.notes.extend(f"new: {group}/{name}".replace(" /", " ") for name in extra)


def _elsewhere(
    finding: Finding, part: Part, values: Any, left: list[Part], declared: Declared
) -> Finding:
    """A part that differs from the one of its name, but is said to be under another: the sizes of a
    collection.
    """
    if finding.state != "differs":
        return finding
    for other in left:
        if declared.renames(part.name, other.name):
            found = _renamed(
                _compare_values(
                    finding.name, Part(finding.name, part.load), values, other
                ),
                other.name,
            )
            if found.state == "renamed":
                left.remove(other)
                return found
    return finding


def _with_type(finding: Finding, part: Part, match: Part, declared: Declared) -> Finding:
    """A part of equal values whose type is said to be another: `name: 3 * float32 -> var *
    float32`.
    """
    if finding.state != "differs" or not finding.detail.startswith("type "):
        return finding
    if not declared.says(part.name, "->") or plain(part.load()) != plain(match.load()):
        return finding
    return Finding(finding.name, "renamed", f"said: {finding.detail}")


def _match(part: Part, others: list[Part], named: bool) -> Part | None:
    """The first part that is not taken and has the same name, another name of it, or the same
    place.
    """
    if not named:
        return next((other for other in others if other.place == part.place), None)
    for name in (part.name, *part.also):
        for other in others:
            if other.name == name:
                return other
    return next((other for other in others if part.name in other.also), None)


def _compare_values(full: str, part: Part, values: Any, match: Part) -> Finding:
    if (
        part.place >= 0
        and match.name != part.name
        and not part.name.startswith("column ")
    ):
        return Finding(full, "differs", f"came back under the name {match.name!r}")
    try:
        found = match.load()
    except Exception as error:
        return Finding(
            full,
            "differs",
            f"cannot be read in the file that came back: {_in_words(error)}",
        )
    words = difference(values, found)
    if words:
        return Finding(full, "differs", words)
    moved = "" if match.name == part.name else f"came back as {match.name}"
    return Finding(full, "same", moved)


def _without_match(
    group: str, part: Part, values: Any, left: list[Part], declared: Declared
) -> Finding:
    """A part whose name is not there: left out by name, renamed, in pieces, or lost."""
    full = f"{group}/{part.name}".strip("/")
    if declared.leaves_out(full, *(f"{group}/{name}".strip("/") for name in part.also)):
        return Finding(full, "named", declared.reason(full))
    pieces = _in_pieces(full, part, values, left, declared)
    if pieces.state != "missing":
        return pieces
    for other in left:
        if any(
            declared.renames(name, other.name) for name in (part.name, full, *part.also)
        ):
            left.remove(other)
            return _renamed(
                _compare_values(full, Part(full, part.load), values, other), other.name
            )
    return pieces


def _renamed(finding: Finding, name: str) -> Finding:
    return (
        Finding(finding.name, "renamed", f"as {name}")
        if finding.state == "same"
        else finding
    )


def _in_pieces(
    full: str, part: Part, values: Any, left: list[Part], declared: Declared
) -> Finding:
    by_name = {other.name: other for other in left}
    for pieces in part.pieces(values):
        gone = [
            n
            for n in pieces
            if n not in by_name
            and not declared.leaves_out(f"{full[: -len(part.name)]}{n}")
        ]
        if gone or not pieces:
            continue
        for name, piece in pieces.items():
            if name not in by_name:
                continue
            found = _compare_values(full, Part(name, part.load), piece, by_name[name])
            if found.state != "same":
                return Finding(full, found.state, f"its part {name}: {found.detail}")
        for name in pieces:
            if name in by_name:
                left.remove(by_name[name])
        return _state_of_pieces(full, part.name, list(pieces), declared)
    return Finding(full, "missing", _nearest(part.name, left))


def _state_of_pieces(
    full: str, name: str, pieces: list[str], declared: Declared
) -> Finding:
    """Return the state of pieces: names of ROOT or HDF5 show them, others have to be declared."""
    words = f"in pieces: {', '.join(pieces[:4])}{', ...' if len(pieces) > 4 else ''}"
    if all(piece.startswith(f"{name}.") or "/" in piece for piece in pieces):
        return Finding(full, "renamed", words)
    if all(
        declared.renames(name, piece) or declared.renames(full, piece) for piece in pieces
    ):
        return Finding(full, "renamed", words)
    return Finding(full, "missing", f"came back {words}, and nothing says so")


def _nearest(name: str, left: list[Part]) -> str:
    import difflib

    close = difflib.get_close_matches(
        name, [other.name for other in left], n=2, cutoff=0.6
    )
    return f"not there; nearest {', '.join(close)}" if close else "not there"


def _full(group: Group, part: Part) -> str:
    return f"{group.name}/{part.name}".strip("/")


def _in_words(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
