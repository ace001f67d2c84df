"""Commands and options of the last release, which work once more, with a note."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from flowtuple.cli.lines import say

_OPTIONS = {"--threads": "--workers", "--weights": "--weight"}


def current_spelling(words: Sequence[str], valued: Collection[str]) -> list[str]:
    """Return the words of a command line in the spelling of this release.

    Args:
        words: The command and its arguments.
        valued: Options that take the next word as their value.

    Example:
        >>> current_spelling(["train", "f.root", "-o", "m.flow", "--flow=lattice"], {"-o"})
        ['train', 'f.root', '-o', 'm.flow']
    """
    words = list(words)
    values: dict[str, str] = {}
    for place in reversed(list(_option_places(words, {*valued, *_OPTIONS}))):
        option, equals, value = words[place].partition("=")
        if option in _OPTIONS:
            note_old_spelling(option, _OPTIONS[option])
            words[place] = f"{_OPTIONS[option]}{equals}{value}"
        length = 1 if equals else 2
        value = value if equals else "".join(words[place + 1 : place + 2])
        if words[0] == "train" and (option, value) == ("--flow", "lattice"):
            note_old_spelling("train --flow lattice", "train")
            del words[place : place + length]
        else:
            values[option] = value
    command, chosen = _new_command(words, values)
    if chosen:
        note_old_spelling(f"{words[0]} {chosen}", command)
    return [command, *words[1:]] if words else []


def note_old_spelling(old: str, new: str) -> None:
    """Name the new spelling of an old one on standard error."""
    say(f"note: {old} is going away; write {new}")


def _option_places(words: Sequence[str], valued: Collection[str]) -> Iterator[int]:
    """Yield the places of options, which are neither values of others nor behind `--`."""
    place = 1
    while place < len(words) and words[place] != "--":
        if words[place].startswith("-"):
            yield place
        place += 2 if words[place] in valued else 1


def _new_command(words: Sequence[str], values: dict[str, str]) -> tuple[str, str]:
    """Return the command of this release, and the option by which an old one chose it."""
    command = "".join(words[:1])
    if command == "compare" and "--given" in values:
        return "closure", "--given"
    if command != "train":
        return command, ""
    for option in ("--target", "--flow"):
        if option in values:
            return {"--target": "train-simulation", "--flow": "train-flow"}[
                option
            ], option
    from flowtuple.flows.presets import FLOW_PRESETS  # no other command waits for it

    if values.get("--preset") in FLOW_PRESETS:
        return "train-flow", "--preset"
    return command, ""
