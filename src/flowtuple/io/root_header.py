"""The header of a TTree in bytes: the tree, its branches and leaves, without events.

uproot makes the same header in time quadratic in the branches, has no place for aliases, and
begins the title of each leaf with the name of its branch, whose brackets ROOT and uproot then take
for the shape of an array. Here uproot makes it for one branch after another; for any tree without
such names and aliases the bytes are those that uproot makes for all at once.
"""

from __future__ import annotations

import copy
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowtuple.runtime.lazy_packages import uproot

_TREE_VERSION = 20
_BEHIND = 3  # chunks of uproot's header behind the branches: references to leaves and null pointers
_LEAVES_HEAD = (
    b"\x00\x01\x00\x00\x00\x00\x03\x00\x00\x00\x00"  # the array does not own them
)
_BRANCHES_HEAD = b"\x00\x01\x00\x00\x00\x00\x03\x00@\x00\x00"  # the array owns them


def tree_header(cascade: Any, aliases: Mapping[str, str]) -> list[bytes]:
    """Return the bytes of a tree without its key; `cascade` gets the places of later numbers.

    Args:
        cascade: uproot's tree; its branches are the dicts `_branch_data`.
        aliases: Formulas by name.
    """
    single = copy.copy(cascade)
    branches = b""
    for datum in cascade._branch_data:
        single._branch_data = [datum]
        chunks = type(cascade)._build_out(single)
        begin = chunks.index(_BRANCHES_HEAD) + 2
        for place in (
            "metadata_start",
            "basket_metadata_start",
            "tleaf_reference_number",
        ):
            datum[place] += len(branches)
        branches += _without_brackets(datum, b"".join(chunks[begin:-_BEHIND]))
    cascade._metadata_start = single._metadata_start
    count = len(cascade._branch_data)
    places = [datum["tleaf_reference_number"] for datum in cascade._branch_data]
    leaves = np.array(places, ">u4").tobytes()
    content = b"".join(
        [
            *chunks[1 : begin - 3],
            _array(_BRANCHES_HEAD, count, branches),
            _array(_LEAVES_HEAD, count, leaves),
            _alias_list(aliases),
            # fIndexValues, fIndex, fTreeIndex, fFriends, fUserInfo, fBranchRef
            bytes(24),
        ]
    )
    return [uproot.serialization.numbytes_version(len(content), _TREE_VERSION), content]


def _without_brackets(datum: Mapping[str, Any], branch: bytes) -> bytes:
    """Return the bytes of a branch without brackets of its name in the title of the leaf."""
    name = datum["fName"]
    counter = [] if datum["counter"] is None else [datum["counter"]["fName"]]
    axes = "".join(f"[{axis}]" for axis in (*counter, *datum["shape"]))
    before, title, after = branch.rpartition(uproot.serialization.string(name + axes))
    plain = uproot.serialization.string(re.sub(r"[\[\]]", "_", name) + axes)
    return before + (plain if title else title) + after


def _array(head: bytes, count: int, items: bytes) -> bytes:
    """Return a TObjArray."""
    content = head + struct.pack(">ii", count, 0) + items
    return bytes(uproot.serialization.numbytes_version(len(content), 3)) + content


def _alias_list(aliases: Mapping[str, str]) -> bytes:
    """Return the TList of aliases, or the null pointer."""
    if not aliases:
        return bytes(4)
    pairs = []
    for name, formula in aliases.items():
        pair = uproot.models.TNamed.Model_TNamed.empty()
        pair._bases.append(uproot.models.TObject.Model_TObject.empty())
        pair._members |= {"fName": name, "fTitle": formula}
        pairs.append(pair)
    content: bytes = uproot.serialization.serialize_object_any(
        uproot.writing.identify.to_TList(pairs)
    )
    return content
