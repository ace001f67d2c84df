"""The header of a TTree in bytes: the tree, its branches and leaves, without events.

uproot writes the same header in time quadratic in the branches, has no place for titles and
aliases, and gives each leaf the name of its branch, whose brackets ROOT and uproot then take for
the shape of an array. For any other tree the bytes here are those that uproot writes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import uproot
from uproot.models import TBranch, TLeaf, TTree
from uproot.serialization import numbytes_version, string
from uproot.writing import _cascadetree

from flowtuple.data.schema import unused
from flowtuple.io.root_private import private

_MUST_CLEANUP = 0x00000008
_IS_ON_HEAP = 0x01000000
_NOT_DELETED = 0x02000000
_BRANCH_BIT = 0x00400000
_TREE_VERSION = 20
_BRANCH_VERSION = 13
_ANY = 8  # bytes before an object of any class: its size and a tag
_FRAME = 6  # bytes of a size and a version
_MAP_OFFSET = 2  # ROOT counts references from here
_ATTRIBUTES = (  # TAttLine, TAttFill and TAttMarker as ROOT has them by default
    b"@\x00\x00\x08\x00\x02\x02Z\x00\x01\x00\x01"
    b"@\x00\x00\x06\x00\x02\x00\x00\x03\xe9"
    b"@\x00\x00\n\x00\x02\x00\x01\x00\x01?\x80\x00\x00"
)
_FILL = b"@\x00\x00\x06\x00\x02\x00\x00\x03\xe9"
_FEATURES = b"@\x00\x00\x07\x00\x00\x1a\xa1/\x10\x00"  # ROOT::TIOFeatures
_EMPTY_ARRAY = b"@\x00\x00\x15\x00\x03\x00\x01\x00\x00\x00\x00\x03" + bytes(12)  # TObjArray
_ARRAY_HEAD = (
    b"\x00\x01\x00\x00\x00\x00\x03\x00\x00\x00\x00"  # of leaves, which the array does not own
)
_BRANCHES_HEAD = b"\x00\x01\x00\x00\x00\x00\x03\x00@\x00\x00"  # of branches, which it owns
_LEAF_VALUES = {
    "O": "_tleafO1_format1",
    "B": "_tleafb1_format1",
    "S": "_tleafs1_format1",
    "I": "_tleafi1_format1",
    "G": "_tleafl1_format0",
    "L": "_tleafl1_format0",
    "F": "_tleaff1_format1",
    "D": "_tleafd1_format1",
    "C": "_tleafc1_format1",
}


def leaf_words(branches: Mapping[str, Any]) -> dict[str, str]:
    """The word that begins the title of each branch's leaf: the branch's name, without brackets.

    Example:
        >>> leaf_words({"pt": None, "w[2]": None, "w_2_": None})
        {'pt': 'pt', 'w[2]': 'w_2__', 'w_2_': 'w_2_'}
    """
    taken = {name for name in branches if "[" not in name and "]" not in name}
    names: dict[str, str] = {}
    for branch in branches:
        leaf = re.sub(r"[\[\]]", "_", branch)
        leaf = branch if leaf == branch else unused(leaf, taken)
        taken.add(leaf)
        names[branch] = leaf
    return names


def use_own_header(cascade: Any, aliases: Mapping[str, str], weight: float = 1.0) -> None:
    """Make uproot write the header of a tree that has no events yet as `tree_header` makes it."""
    cascade._metadata["fWeight"] = weight
    cascade._build_out = lambda: tree_header(cascade, aliases)


def tree_header(cascade: Any, aliases: Mapping[str, str]) -> list[bytes]:
    """Return the bytes of a tree without its key; `cascade` gets the places of later numbers.

    Args:
        cascade: uproot's tree; its branches are the dicts `_branch_data`.
        aliases: Formulas by name.
    """
    texts = ("TTree", cascade._name, cascade._title)
    key_length = private(uproot.reading, "_key_format_big").size + sum(
        len(string(text)) for text in texts
    )
    begin = _named(cascade._name, cascade._title, _MUST_CLEANUP) + _ATTRIBUTES
    cascade._metadata_start = _FRAME + len(begin)
    metadata = private(TTree, "_ttree20_format1").pack(
        cascade._num_entries, *cascade._metadata.values()
    )
    begin += metadata + bytes(2) + _FEATURES  # no ranges of clusters
    branches = [datum for datum in cascade._branch_data if datum["kind"] != "record"]
    leaves = leaf_words({datum["fName"]: None for datum in branches})
    position = _FRAME + len(begin) + _FRAME + len(_ARRAY_HEAD) + 8
    parts: list[bytes] = []
    for datum in branches:
        part = _branch(cascade, datum, leaves, position, key_length)
        parts.append(part)
        position += len(part)
    array = _BRANCHES_HEAD + struct.pack(">ii", len(parts), 0) + b"".join(parts)
    begin += numbytes_version(len(array), 3) + array
    references = np.array(
        [datum["tleaf_reference_number"] for datum in branches], ">u4"
    ).tobytes()
    head = _ARRAY_HEAD + struct.pack(">ii", len(parts), 0)
    begin += numbytes_version(len(head) + len(references), 3) + head + references
    # then fIndexValues, fIndex, fTreeIndex, fFriends, fUserInfo and fBranchRef, all empty
    begin += _alias_list(aliases) + bytes(24)
    return [numbytes_version(len(begin), _TREE_VERSION), begin]


def _named(name: str, title: str, bits: int) -> bytes:
    """Return a TNamed."""
    content: bytes = (
        struct.pack(">HII", 1, 0, bits | _IS_ON_HEAP | _NOT_DELETED)
        + string(name)
        + string(title)
    )
    return bytes(numbytes_version(len(content), 1)) + content


def _any(classname: str, content: bytes) -> bytes:
    """Return an object of any class, as a pointer to it is written."""
    name = classname.encode() + b"\x00"
    size = (len(name) + len(content) + 4) | int(uproot.const.kByteCountMask)
    return struct.pack(">II", size, int(uproot.const.kNewClassTag)) + name + content


def _alias_list(aliases: Mapping[str, str]) -> bytes:
    """Return the TList of aliases, or the null pointer."""
    if not aliases:
        return bytes(4)
    items = b"".join(
        _any("TNamed", _named(name, formula, 0)) + b"\x00"
        for name, formula in aliases.items()
    )
    head = (
        struct.pack(">HII", 1, 0, _IS_ON_HEAP | _NOT_DELETED)
        + string("")
        + struct.pack(">i", len(aliases))
    )
    return _any("TList", bytes(numbytes_version(len(head) + len(items), 5)) + head + items)


def _branch(
    cascade: Any,
    datum: dict[str, Any],
    leaves: Mapping[str, str],
    position: int,
    key_length: int,
) -> bytes:
    """Return a TBranch with its leaf, `position` bytes after the tree's key."""
    inside = position + _ANY + len(b"TBranch\x00") + _FRAME
    begin = _named(datum["fName"], datum["fTitle"], _BRANCH_BIT) + _FILL
    datum["metadata_start"] = inside + len(begin)
    # a compression of 0, whatever the baskets have: so ROOT looks at each basket
    baskets = (
        0,
        datum["fBasketSize"],
        datum["fEntryOffsetLen"],
        cascade._num_baskets,
        cascade._num_entries,
    )
    begin += private(TBranch, "_tbranch13_format1").pack(*baskets) + _FEATURES
    sizes = (
        datum["fOffset"],
        cascade._basket_capacity,
        datum["fSplitLevel"],
        cascade._num_entries,
    )
    begin += private(TBranch, "_tbranch13_format2").pack(
        *sizes, datum["fFirstEntry"], datum["fTotBytes"], datum["fZipBytes"]
    )
    begin += _EMPTY_ARRAY
    array = _ARRAY_HEAD + struct.pack(">ii", 1, 0)
    where = key_length + inside + len(begin) + _FRAME + len(array)
    datum["tleaf_reference_number"] = where + _MAP_OFFSET
    array += _leaf(datum, leaves)
    begin += numbytes_version(len(array), 3) + array + _EMPTY_ARRAY
    datum["basket_metadata_start"] = inside + len(begin)
    for name in ("fBasketBytes", "fBasketEntry", "fBasketSeek"):
        begin += b"\x01" + datum[name].tobytes()
    begin += b"\x00"  # no file of its own
    return _any("TBranch", bytes(numbytes_version(len(begin), _BRANCH_VERSION)) + begin)


def _leaf(datum: dict[str, Any], leaves: Mapping[str, str]) -> bytes:
    """Return the only TLeaf of a branch; its title has the shape."""
    letter = private(_cascadetree, "_dtype_to_char")[datum["dtype"]]
    values = datum["tleaf_special_struct"] = private(TLeaf, _LEAF_VALUES[letter.upper()])
    counter = datum["counter"]
    title = leaves[datum["fName"]]
    axes = ([] if counter is None else [leaves[counter["fName"]]]) + list(
        map(str, datum["shape"])
    )
    length = int(np.prod(datum["shape"], dtype=np.int64))
    is_range = datum["kind"] == "counter"
    is_unsigned = letter != letter.upper()
    numbers = private(TLeaf, "_tleaf2_format0").pack(
        length, datum["dtype"].itemsize, 0, is_range, is_unsigned
    )
    count = struct.pack(">I", 0 if counter is None else counter["tleaf_reference_number"])
    content = (
        _named(datum["fName"], title + "".join(f"[{axis}]" for axis in axes), 0)
        + numbers
        + count
    )
    content = bytes(numbytes_version(len(content), 2)) + content + values.pack(0, 0)
    return _any(f"TLeaf{letter.upper()}", bytes(numbytes_version(len(content), 1)) + content)
