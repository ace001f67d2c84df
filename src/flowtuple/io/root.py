"""ROOT files: every TTree and RNTuple as a table, with histograms carried along.

Opening a file reads metadata only; `RootTable` reads the events, a range at a time, and
`root_objects` the objects that are no trees. `root_writer` writes.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import uproot

from flowtuple.data.table import Dataset, LeftOut, TableSource
from flowtuple.errors import InvalidArgument, first_line
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import is_url, translate_fsspec_errors
from flowtuple.io.root_objects import DAMAGE, FOLDERS, carry
from flowtuple.io.root_opening import UnreadableTree, open_tree

_TREES = frozenset(["TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple"])


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    """Open the trees and histograms of a ROOT file.

    Args:
        path: A local path, or a URL that uproot can open.
        options: Without effect, since ROOT branches have names.

    Returns:
        One table for each TTree and RNTuple, in sub-directories too (`dir/tree`), the newest cycle
        of each; no table at all where the file holds no tree. What cannot be read or carried is in
        `refused` with the reason; older cycles of trees and objects, which ROOT leaves as backups,
        are in `left_out` as `tree;1`, as are empty folders.

    Raises:
        InvalidArgument: The file is missing, is no ROOT file, or is damaged.

    Example:
        >>> import tempfile, pathlib, numpy as np
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.root"
        >>> with uproot.recreate(path) as file:
        ...     tree = file.mktree("Events", {"MET_pt": "float32"})
        ...     _ = tree.extend({"MET_pt": np.ones(3, "float32")})
        >>> open_dataset(str(path), ReadOptions()).table("Events").num_entries
        3
    """
    directory = _open_file(path)
    size = _size(path, directory)
    if 0 < size < directory.file.fEND:
        raise InvalidArgument(
            f"{path}: is cut short, {size} of {directory.file.fEND} bytes; fetch it again"
        )
    tables: dict[str, TableSource] = {}
    carried: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    storage: dict[str, dict[str, Any]] = {}
    keys = _keys(path, directory)
    for name, (key, classname) in _newest(keys).items():
        if classname in _TREES:
            try:
                tree = open_tree(path, name, directory, key)
            except UnreadableTree as error:
                refused[name] = str(error)
                continue
            tables[name] = tree
            refused.update(tree.refused)
            if tree.storage:
                storage[name] = tree.storage
        elif classname not in FOLDERS:
            content, reason = carry(directory, key, name, classname)
            if content:
                carried[name] = content
            else:
                refused[name] = reason
    left_out = (*_older(keys, {*tables, *carried}), *_empty_folders(keys))
    return Dataset(path, tables, carried, refused, size, storage, left_out)


def _open_file(path: str) -> Any:
    try:
        with translate_fsspec_errors(path):
            return _opened(path)
    except InvalidArgument:
        raise
    except FileNotFoundError:
        raise InvalidArgument(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise InvalidArgument(f"{path}: is a folder; name a ROOT file inside it") from None
    except PermissionError:
        raise InvalidArgument(
            f"{path}: may not be read; ask its owner for permission"
        ) from None
    except ImportError as error:
        raise InvalidArgument(
            f"{path}: {first_line(error)}; install that package or copy the file here first"
        ) from None
    except DAMAGE as error:
        raise InvalidArgument(f"{path}: {_what_is_wrong(path, error)}") from None


def _opened(path: str) -> Any:
    """Open the file so that trees come with all their metadata."""
    options: dict[str, Any] = {}
    if "::" in path and not is_url(path):
        # other sources take `a::b` for a protocol
        options["handler"] = uproot.source.file.MemmapSource
    # a dict keeps colons in the path from being read as an object's name
    return uproot.open({path: None}, minimal_ttree_metadata=False, **options)


def _what_is_wrong(path: str, error: Exception) -> str:
    """Return words on an unreachable URL, a file of another kind, or a damaged ROOT file."""
    local = Path(path)
    if not local.exists():
        advice = "check the address, or copy the file here first"
        return f"cannot be opened ({first_line(error)}); {advice}"
    try:
        with local.open("rb") as file:
            magic = file.read(4)
    except OSError as failure:
        return f"cannot be read ({failure.strerror}); check the disk and the permissions"
    if not magic:
        return "is empty; make or fetch it again"
    if magic != b"root":
        advice = "name a ROOT file, or give it the suffix of its format"
        return f"is not a ROOT file (it does not begin with 'root'); {advice}"
    return "begins as a ROOT file but is cut short or damaged; fetch it again"


def _keys(path: str, directory: Any) -> dict[str, list[tuple[int, str, str]]]:
    """Return every cycle of each name with its key and class, in the order of the file."""
    keys: dict[str, list[tuple[int, str, str]]] = {}
    try:
        for key, classname in directory.iterclassnames(recursive=True, cycle=True):
            name, _, cycle = key.rpartition(";")
            keys.setdefault(name, []).append((int(cycle), key, classname))
    except DAMAGE:
        raise InvalidArgument(
            f"{path}: its list of contents is damaged; fetch it again"
        ) from None
    return keys


def _newest(keys: Mapping[str, Sequence[tuple[int, str, str]]]) -> dict[str, tuple[str, str]]:
    """Return the key with the highest cycle of each name, and its class."""
    return {name: max(cycles)[1:] for name, cycles in keys.items()}


def _older(
    keys: Mapping[str, Sequence[tuple[int, str, str]]], names: Container[str]
) -> tuple[LeftOut, ...]:
    """Return the cycles before the newest of each of the names, the highest first."""
    return tuple(
        LeftOut(key, f"an older cycle of {name}")
        for name, cycles in keys.items()
        if name in names
        for _, key, _ in sorted(cycles, reverse=True)[1:]
    )


def _empty_folders(keys: Mapping[str, Sequence[tuple[int, str, str]]]) -> tuple[LeftOut, ...]:
    """Return the folders in which there is nothing."""
    filled = {name.rpartition("/")[0] for name in keys}
    folders = [name for name, cycles in keys.items() if cycles[0][2] in FOLDERS]
    return tuple(LeftOut(name, "an empty folder") for name in folders if name not in filled)


def _size(path: str, directory: Any) -> int:
    local = Path(path)
    return (
        local.stat().st_size if local.is_file() else int(directory.file.source.num_bytes or 0)
    )
