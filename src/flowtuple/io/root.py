"""ROOT files: every TTree and RNTuple as a table, with histograms carried along.

Opening a file reads metadata only; `RootTable` reads the events, a range at a time, and
`root_objects` the objects that are no trees. `root_writer` writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowtuple.data.table import Dataset, LeftOut, TableSource
from flowtuple.errors import InvalidArgument, Unsupported, first_line
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import check_readable, is_url, translate_fsspec_errors
from flowtuple.io.remote import RequestFailed, storage_options
from flowtuple.io.root_ntuple import NTupleAccess
from flowtuple.io.root_objects import FOLDERS, carry
from flowtuple.io.root_table import RootTable
from flowtuple.io.root_tree import TreeAccess
from flowtuple.runtime.lazy_packages import uproot

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
    local = Path(path)
    is_local = local.is_file()
    size = local.stat().st_size if is_local else int(directory.file.source.num_bytes or 0)
    if 0 < size < directory.file.fEND:
        raise InvalidArgument(
            f"{path}: is cut short, {size} of {directory.file.fEND} bytes; fetch it again"
        )
    tables: dict[str, TableSource] = {}
    carried: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    storage: dict[str, dict[str, Any]] = {}
    older: list[LeftOut] = []
    empty: list[LeftOut] = []
    keys = _keys(path, directory)
    filled = {name.rpartition("/")[0] for name in keys}
    for name, cycles in keys.items():
        (_, key, classname), *others = sorted(cycles, reverse=True)
        reason = ""
        if classname in _TREES:
            table, reason = _open_tree(path, name, directory, key)
            if table is not None:
                tables[name] = table
                refused.update(table.refused)
                storage |= {name: table.storage} if table.storage else {}
        elif classname not in FOLDERS:
            content, reason = carry(directory, key, name, classname)
            carried |= {name: content} if content else {}
        elif name not in filled:
            empty.append(LeftOut(name, "an empty folder"))
        if reason:
            refused[name] = reason
        elif classname not in FOLDERS:
            older += [LeftOut(old, f"an older cycle of {name}") for _, old, _ in others]
    return Dataset(path, tables, carried, refused, size, storage, (*older, *empty))


def _open_file(path: str) -> Any:
    """Open the file so that trees come with all their metadata."""
    check_readable(path)
    options: dict[str, Any] = {"minimal_ttree_metadata": False}
    if is_url(path):
        options |= storage_options(path)
    if "::" in path and not is_url(path):
        # other sources take `a::b` for a protocol
        options["handler"] = uproot.source.file.MemmapSource
    try:
        with translate_fsspec_errors(path):
            # a dict keeps colons in the path from being read as an object's name
            return uproot.open({path: None}, **options)
    except (InvalidArgument, MemoryError):
        raise
    except ImportError as error:
        raise InvalidArgument(
            f"{path}: {first_line(error)}; install that package or copy the file here first"
        ) from None
    except FileNotFoundError:
        raise InvalidArgument(f"{path}: no such file; check the address") from None
    except Exception as error:  # uproot lets through whatever it runs into
        raise InvalidArgument(f"{path}: {_what_is_wrong(path, error)}") from None


def _what_is_wrong(path: str, error: Exception) -> str:
    """Return words on an unreachable URL, a file of another kind, or a damaged ROOT file."""
    if is_url(path):
        advice = "check the address, or copy the file here first"
        return f"cannot be opened ({first_line(error)}); {advice}"
    with open(path, "rb") as file:
        magic = file.read(4)
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
    except (RequestFailed, MemoryError):
        raise
    except Exception:  # as above
        raise InvalidArgument(
            f"{path}: its list of contents is damaged; fetch it again"
        ) from None
    return keys


def _open_tree(
    path: str, name: str, directory: Any, key: str
) -> tuple[RootTable | None, str]:
    """Return the table of a tree, or the reason why there is none.

    Raises:
        Unsupported: This version of uproot lacks what reading needs.
    """
    try:
        with translate_fsspec_errors(path):
            tree, in_part = _tree(directory, key)
            is_ttree = isinstance(tree, uproot.TTree)
            access = (
                TreeAccess(tree, path, in_part=in_part)
                if is_ttree
                else NTupleAccess(tree)
            )
            table = RootTable(path, name, access)
    except (InvalidArgument, Unsupported, MemoryError):
        raise
    except Exception:  # uproot lets through whatever it runs into
        return None, "the tree is damaged, or uproot cannot read its kind"
    if table.has_columns:
        return table, ""
    if not table.refused:
        return None, "the tree has no branch"
    branch, reason = next(iter(table.refused.items()))
    more = f" (and {len(table.refused) - 1} more)" if len(table.refused) > 1 else ""
    return None, f"the tree has no branch that can be read; {branch}: {reason}{more}"


def _tree(directory: Any, key: str) -> tuple[Any, bool]:
    """Return the tree, and whether its user information, friends and index cannot be read."""
    try:
        return directory[key], False
    except (RequestFailed, MemoryError):
        raise
    except Exception:  # they hold objects of any class
        options = directory.file.options
        options["minimal_ttree_metadata"] = True
        try:
            return directory[key], True
        finally:
            options["minimal_ttree_metadata"] = False
