"""Which inputs there are, and where the output of each goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowtuple.data.table import ranges
from flowtuple.errors import InvalidArgument
from flowtuple.io.formats import input_suffixes
from flowtuple.io.location import expand, format_suffix, is_url, split_tree
from flowtuple.io.source import STORED


@dataclass(frozen=True)
class Task:
    """One input and its output.

    Attributes:
        name: What the output is called below its folder; no two tasks share it.
        source: Path or URL, with its tree where one is named.
        output: Path.
    """

    name: str
    source: str
    output: str


def plan(sources: Iterable[str], folder: Path, suffix: str) -> list[Task]:
    """A task for each file, its output named like the input, below the folders that the inputs do not share.

    Args:
        sources: Paths, URLs and globs, with `:TREE` where a tree is named.
        folder: Where outputs go.
        suffix: Of the outputs.

    Raises:
        InvalidArgument: A glob matches nothing, an input is named twice, two outputs would have one name, or one would replace
            an input.

    Example:
        >>> [task.name for task in plan(["data/a/1.root:Events", "data/b/1.root"], Path("out"), ".ftup")]
        ['a/1.ftup', 'b/1.ftup']
    """
    known, folder = (*input_suffixes(), *STORED), Path(_absolute(folder))  # a worker is elsewhere
    inputs = [(path, tree) for text in sources for path, tree in _files(text, known)]
    levels = [path.replace("://", "/").split("/") for path, _ in inputs]
    shared = _shared([names[:-1] for names in levels])
    read = {os.path.realpath(path) for path, _ in inputs if not is_url(path)}
    tasks: dict[str, Task] = {}
    for (path, tree), names in zip(inputs, levels, strict=True):
        name = "/".join(names[shared:]).removesuffix(format_suffix(path, known)) + suffix
        source, output = path if tree is None else f"{path}:{tree}", str(folder / name)
        if name in tasks:
            other = tasks[name].source
            what = (
                "is named twice"
                if other == source
                else f"and {other} would both become {name}; give them different names"
            )
            raise InvalidArgument(f"{source}: {what}")
        if suffix and os.path.realpath(output) in read:
            raise InvalidArgument(
                f"{output}: would replace an input; choose another folder with --output"
            )
        tasks[name] = Task(name, source, output)
    return list(tasks.values())


def parts(events: int, size: int, folder: Path, suffix: str) -> list[Task]:
    """Ranges of events, each a file of its own.

    Example:
        >>> [(task.name, task.source) for task in parts(250, 100, Path("out"), ".root")]
        [('0.root', '0:100'), ('1.root', '100:200'), ('2.root', '200:250')]
    """
    folder = Path(_absolute(folder))
    names = [
        (f"{k}{suffix}", f"{start}:{stop}") for k, (start, stop) in enumerate(ranges(events, size))
    ]
    return [Task(name, source, str(folder / name)) for name, source in names]


def _files(text: str, known: Iterable[str]) -> list[tuple[str, str | None]]:
    pattern, tree = split_tree(text, known)
    return [(path if is_url(path) else _absolute(path), tree) for path in expand(pattern)]


def _absolute(path: str | Path) -> str:
    return os.path.normpath(Path(path).absolute())


def _shared(folders: Sequence[Sequence[str]]) -> int:
    """How many folders all inputs have in common, from the first on."""
    count = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        count += 1
    return count
