"""Tasks: inputs, each with the path of its output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
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
        name: Path of the output below the folder of outputs; no two tasks share it.
        source: Path or URL of the input, with its tree if one is named.
        output: Path of the output.
    """

    name: str
    source: str
    output: str


def plan(sources: Iterable[str], folder: Path, suffix: str) -> list[Task]:
    """Return a task for each file; outputs keep the names of inputs, and folders not shared by all.

    Args:
        sources: Paths, URLs and globs, with `:TREE` to name a tree.
        folder: Folder of the outputs.
        suffix: Suffix of the outputs.

    Raises:
        InvalidArgument: A glob matches nothing, an input is named twice, two outputs would have one
            name, or one would replace an input.

    Example:
        >>> inputs = ["data/a/1.root:Events", "data/b/1.root"]
        >>> [task.name for task in plan(inputs, Path("out"), ".ftup")]
        ['a/1.ftup', 'b/1.ftup']
    """
    known = (*input_suffixes(), *STORED)
    folder = Path(_absolute(folder))  # a worker has another working directory
    inputs = [(path, tree) for text in sources for path, tree in _files(text, known)]
    levels = [path.replace("://", "/").split("/") for path, _ in inputs]
    shared = _shared([names[:-1] for names in levels])
    read = {os.path.realpath(path) for path, _ in inputs if not is_url(path)}
    tasks: dict[str, Task] = {}
    for (path, tree), names in zip(inputs, levels, strict=True):
        name = "/".join(names[shared:]).removesuffix(format_suffix(path, known)) + suffix
        source = path if tree is None else f"{path}:{tree}"
        output = str(folder / name)
        if name in tasks:
            other = tasks[name].source
            problem = f"and {other} would both become {name}; give them different names"
            if other == source:
                problem = "is named twice"
            raise InvalidArgument(f"{source}: {problem}")
        if suffix and os.path.realpath(output) in read:
            raise InvalidArgument(
                f"{output}: would replace an input; choose another folder with `output=`"
            )
        tasks[name] = Task(name, source, output)
    return list(tasks.values())


def parts(events: int, size: int, folder: Path, suffix: str) -> list[Task]:
    """Return a task for each range of events, each with a file of its own.

    Example:
        >>> [(task.name, task.source) for task in parts(250, 100, Path("out"), ".root")]
        [('0.root', '0:100'), ('1.root', '100:200'), ('2.root', '200:250')]
    """
    base = Path(_absolute(folder))
    return [
        Task(f"{k}{suffix}", f"{start}:{stop}", str(base / f"{k}{suffix}"))
        for k, (start, stop) in enumerate(ranges(events, size))
    ]


def _files(text: str, known: Iterable[str]) -> list[tuple[str, str | None]]:
    pattern, tree = split_tree(text, known)
    return [(path if is_url(path) else _absolute(path), tree) for path in expand(pattern)]


def _absolute(path: str | Path) -> str:
    return os.path.normpath(Path(path).absolute())


def _shared(folders: Sequence[Sequence[str]]) -> int:
    """Return the number of leading folders that all inputs share."""
    levels = zip(*folders, strict=False)
    return len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
