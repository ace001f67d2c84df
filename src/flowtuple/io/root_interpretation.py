"""A branch of a TTree as uproot interprets it, and the awkward form of its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowtuple.data.schema import unused
from flowtuple.errors import InvalidArgument
from flowtuple.io.location import is_of_system, translate_fsspec_errors
from flowtuple.io.remote import RequestFailed
from flowtuple.io.root_baskets import c_strings, counted_lists
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_forms import forms_within
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.lazy_packages import uproot

_OFFSETS_FROM_COUNTS = 1  # the bit of TIOFeatures that leaves out where the lists begin
_LEAF_LIST = re.compile(r"[^\s/:]+(/[A-Za-z])?(:[^\s/:]+(/[A-Za-z])?)*")
_LEAVES = {
    "TLeafO": "?",
    "TLeafB": "i1",
    "TLeafS": ">i2",
    "TLeafI": ">i4",
    "TLeafL": ">i8",
    "TLeafF": ">f4",
    "TLeafD": ">f8",
}


class HiddenError(Exception):
    """A branch that cannot be a column; the message is the reason."""


class TreeBranch(Branch):
    """One branch of a TTree.

    Args:
        tree: uproot's tree.
        branch: uproot's branch.
        path: A name of its own in the tree.
        counter: The path of the branch that counts its lists.
        repeated: Another branch has the same path.
    """

    def __init__(
        self, tree: Any, branch: Any, path: str, counter: str | None, *, repeated: bool
    ) -> None:
        title = documentation(branch)
        super().__init__(path, branch.name, title, count=counter, repeated=repeated)
        if counter is not None:
            self.leaf_list = str(branch.member("fLeaves")[0].member("fTitle"))
        self._tree = tree
        self._branch = branch
        self.interpretation = interpretation_of(branch)
        self._is_plain = type(self.interpretation) is uproot.AsDtype
        self._is_plain_jagged = (
            isinstance(self.interpretation, uproot.AsJagged)
            and type(self.interpretation.content) is uproot.AsDtype
        )
        # events may have more bytes than their type, as the object of a TRef
        self._may_hold_more = branch.name.rpartition(".")[2] == "fBits"

    def decoder(self) -> Callable[[Any, int, int], Any] | None:
        """Return the function for lists without offsets or strings, where uproot's is wrong."""
        if isinstance(self.interpretation, uproot.AsStrings):
            is_c_string = self._branch.member("fLeaves")[0].classname == "TLeafC"
            return c_strings if is_c_string else None
        if not self._is_plain_jagged or self.count is None:
            return None
        features = self._tree.member("fIOFeatures", none_if_missing=True)
        bits = 0 if features is None else int(features.member("fIOBits"))
        is_without = bits & _OFFSETS_FROM_COUNTS and self.interpretation.header_bytes == 0
        return counted_lists if is_without else None

    def read(self, start: int, stop: int) -> Any:
        """Return the values of the events from `start` to `stop`."""
        decode = self.decoder()
        if decode is not None:
            return decode(self._branch, start, stop)
        events = {"entry_start": start, "entry_stop": stop}
        return self._branch.array(
            self.interpretation, library="ak", array_cache=None, **events
        )

    def is_damaged(self, start: int, stop: int) -> bool:
        """Return whether the bytes of these events are damaged."""
        try:
            for number, _ in self._branch.entries_to_ranges_or_baskets(start, stop):
                self._branch.basket(number)
        except (RequestFailed, MemoryError):
            raise
        except Exception as error:
            # nothing is known of damaged bytes, not even how they fail
            if is_of_system(error):
                raise
            return True
        return False

    def try_out(self, source: str) -> None:
        """Find its form, or the reason why it has none.

        Args:
            source: The file, for messages.
        """
        try:
            with translate_fsspec_errors(source):
                self.form = self._form()
        except (InvalidArgument, MemoryError):
            raise
        except HiddenError as error:
            self.reason = str(error)
        except Exception:
            # a branch that fails in any way is named, and the others are read
            self.reason = f"uproot cannot decode its type {type_name(self._branch)}"
            if self.is_damaged(0, self._tree.num_entries):
                self.reason = "its bytes are damaged or cut short; fetch the file again"

    def _form(self) -> Any:
        """Return the awkward form; branches of other than plain numbers are read in samples.

        Raises:
            HiddenError: The branch cannot be a column.
        """
        branch, total = self._branch, self._tree.num_entries
        if isinstance(self.interpretation, Exception):
            raise HiddenError("uproot has no interpretation for its type")
        if branch.num_entries != total:
            raise HiddenError(f"it has {branch.num_entries} entries, the tree {total}")
        # the base of ATLAS's auxiliary containers is such a class
        if isinstance(self.interpretation, uproot.AsStridedObjects) and all(
            name.startswith("@") for name, _ in self.interpretation.members
        ):
            raise HiddenError(
                f"it is empty: {type_name(branch)} has no members of its own"
            )
        _ = branch.entry_offsets  # raises where its baskets do not add up
        is_counted = self.count is not None and self._is_plain_jagged
        if is_counted or (self._is_plain and not self._may_hold_more):
            try:
                return self.interpretation.awkward_form(branch.file)
            except (RequestFailed, MemoryError):
                raise
            except Exception:  # leaf lists for which uproot announces none
                return self.read(0, 0).layout.form
        last = total - 1
        samples = [(max(0, event), event + 1) for event in sorted({0, last // 2, last})]
        values = [
            self.read(*s) for s in ([(0, total)] if self._may_hold_more else samples)
        ]
        for sample in values:
            if problem := ak.validity_error(sample):  # uproot misunderstands the bytes
                raise ValueError(problem)
        # without the members that uproot announces and leaves out when it reads, as `@fBits`
        form = values[0].layout.form
        check_members(form)
        return form


def interpretation_of(branch: Any) -> Any:
    """Return uproot's interpretation or error; leaf lists with repeated names get one, too."""
    try:
        return branch.interpretation
    except (RequestFailed, MemoryError):
        raise
    except Exception as error:  # uproot lets through whatever its streamers run into
        leaves = branch.member("fLeaves", none_if_missing=True) or []
        names = [leaf.member("fName") for leaf in leaves]
        is_plain = all(leaf.classname in _LEAVES for leaf in leaves)
        is_repeated = len(set(names)) < len(names)
        return uproot.AsDtype(_leaf_list(leaves)) if is_plain and is_repeated else error


def _leaf_list(leaves: Sequence[Any]) -> np.dtype[Any]:
    """Return the bytes of a leaf list, with a number behind names that repeat."""
    fields: dict[str, Any] = {}
    for leaf in leaves:
        code = _LEAVES[leaf.classname]
        if leaf.member("fIsUnsigned"):
            code = code.replace("i", "u")
        length = leaf.member("fLen")
        name = unused(leaf.member("fName"), fields, numbered=True)
        fields[name] = (code, (length,)) if length > 1 else code
    return np.dtype(list(fields.items()))


def check_members(form: Any) -> None:
    """Raise if a record in a form has no member, or two of one name: only one can be read.

    Raises:
        HiddenError: It has none, or two.
    """
    for record in (part for part in forms_within(form) if part.is_record):
        twice = [name for name, number in Counter(record.fields).items() if number > 1]
        if twice:
            raise HiddenError(f"two of its members are called {twice[0]!r}")
        if not record.fields:
            raise HiddenError("it holds no member that uproot reads")


def type_name(branch: Any) -> str:
    """Return the C++ type of a branch, as far as uproot knows it."""
    try:
        return str(branch.typename)
    except (RequestFailed, MemoryError):
        raise
    except Exception:
        return "unknown"


def documentation(branch: Any) -> str:
    """Return a branch's title; empty where it is the name or the leaf list."""
    title = str(branch.title)
    is_leaf_list = "/" in title and _LEAF_LIST.fullmatch(title) is not None
    return "" if is_leaf_list or title == branch.name else title
