"""Tables from keys of a ROOT file: trees that uproot reads in full, in part or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import uproot

from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.io.location import translate_fsspec_errors
from flowtuple.io.root_ntuple import NTupleAccess
from flowtuple.io.root_table import RootTable
from flowtuple.io.root_tree import TreeAccess


class UnreadableTree(Exception):
    """A tree that cannot be a table; the message is the reason for `Dataset.refused`."""


def open_tree(path: str, name: str, directory: Any, key: str) -> RootTable:
    """Return the table of a tree.

    Args:
        path: The file's path, for messages.
        name: The tree's name, with its directory.
        directory: The uproot directory that holds it.
        key: Its key there, cycle included.

    Raises:
        UnreadableTree: uproot cannot read the tree, or none of its branches.
        Unsupported: This version of uproot lacks what reading needs.
    """
    try:
        with translate_fsspec_errors(path):
            tree, in_part = _tree(directory, key)
            is_ttree = isinstance(tree, uproot.TTree)
            access = (
                TreeAccess(tree, path, in_part=in_part) if is_ttree else NTupleAccess(tree)
            )
            table = RootTable(path, name, access)
    except (InvalidArgument, Unsupported, MemoryError):
        raise
    except Exception:  # uproot lets through whatever it runs into
        raise UnreadableTree("the tree is damaged, or uproot cannot read its kind") from None
    if not table.has_columns:
        raise UnreadableTree(_no_branch(table.refused))
    return table


def _tree(directory: Any, key: str) -> tuple[Any, bool]:
    """Return the tree, and whether its user information, friends and index cannot be read."""
    try:
        return directory[key], False
    except MemoryError:
        raise
    except Exception:  # they hold objects of any class
        options = directory.file.options
        with_everything = options["minimal_ttree_metadata"]
        options["minimal_ttree_metadata"] = True
        try:
            return directory[key], True
        finally:
            options["minimal_ttree_metadata"] = with_everything


def _no_branch(refused: Mapping[str, str]) -> str:
    if not refused:
        return "the tree has no branch"
    name, reason = next(iter(refused.items()))
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    return f"the tree has no branch that can be read; {name}: {reason}{more}"
