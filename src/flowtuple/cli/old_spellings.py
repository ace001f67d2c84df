"""Commands and options of the last release, which work once more, with a note."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flowtuple.flows.presets import FLOW_PRESETS

_OPTIONS = {"--threads": "--workers", "--weights": "--weight"}


def current_spelling(words: Sequence[str]) -> list[str]:
    """Return the words of a command line in the spelling of this release.

    Example:
        >>> current_spelling(["train", "f.root", "-o", "m.flow"])
        ['train', 'f.root', '-o', 'm.flow']
    """
    words = list(words)
    for k, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in _OPTIONS:
            note(option, _OPTIONS[option])
            words[k] = f"{_OPTIONS[option]}{equals}{value}"
    if words[:1] == ["train"] and "--flow" in words[:-1]:
        place = words.index("--flow")
        if words[place + 1] == "lattice":
            note("train --flow lattice", "train")
            del words[place : place + 2]
    command = _new_command(words)
    if command != words[:1]:
        note(" ".join([*words[:1], command[1]]), command[0])
    return [command[0], *words[1:]] if words else []


def note(old: str, new: str) -> None:
    """Name the new spelling of an old one on standard error."""
    sys.stderr.write(f"flowtuple: note: {old} is going away; write {new}\n")


def _new_command(words: Sequence[str]) -> list[str]:
    """Return the command of this release, and the option by which the old one chose it."""
    options = {word.partition("=")[0] for word in words[1:]}
    if words[:1] == ["compare"] and "--given" in options:
        return ["closure", "--given"]
    if words[:1] != ["train"]:
        return list(words[:1])
    if "--target" in options:
        return ["train-simulation", "--target"]
    if "--flow" in options:
        return ["train-flow", "--flow"]
    if FLOW_PRESETS.keys() & set(words):
        return ["train-flow", "--preset"]
    return ["train"]
