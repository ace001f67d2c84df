"""uproot's interpretations of branches, and the awkward forms of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import uproot

from flowtuple.data.schema import unused

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
    """A branch that uproot reads without showing any of its members."""


def interpretation_of(branch: Any) -> Any:
    """Return uproot's interpretation or error; leaf lists with repeated names get one, too."""
    try:
        return branch.interpretation
    except MemoryError:
        raise
    except Exception as error:  # uproot lets through whatever its streamers run into
        leaves = branch.member("fLeaves", none_if_missing=True) or []
        names = [leaf.member("fName") for leaf in leaves]
        if len(set(names)) == len(names):
            return error
        kinds = [_LEAVES.get(leaf.classname) for leaf in leaves]
        return error if None in kinds else uproot.AsDtype(_leaf_list(leaves))


def _leaf_list(leaves: Sequence[Any]) -> np.dtype[Any]:
    """Return the bytes of a leaf list, with a number behind names that repeat."""
    fields: dict[str, Any] = {}
    for leaf in leaves:
        code = _LEAVES[leaf.classname]
        if leaf.member("fIsUnsigned"):
            code = code.replace("i", "u")
        length = leaf.member("fLen")
        fields[unused(leaf.member("fName"), fields, numbered=True)] = (
            (code, (length,)) if length > 1 else code
        )
    return np.dtype(list(fields.items()))


def array_of(branch: Any, interpretation: Any, start: int, stop: int) -> Any:
    """Values of a branch, of the events from `start` to `stop`."""
    events = {"entry_start": start, "entry_stop": stop}
    return branch.array(interpretation, library="ak", array_cache=None, **events)


def form_of(branch: Any, interpretation: Any) -> Any:
    """The form that uproot gives, or the form of zero events for leaf lists where it gives none."""
    try:
        return interpretation.awkward_form(branch.file)
    except MemoryError:
        raise
    except Exception:
        if not (is_plain(interpretation) or is_plain_jagged(interpretation)):
            raise
        return array_of(branch, interpretation, 0, 0).layout.form


def as_read(form: Any, actual: Any) -> Any:
    """Return a form without the members that uproot leaves out when it reads, such as `@fBits`.

    Args:
        form: The form that uproot announces.
        actual: The form of values that uproot has read.

    Raises:
        HiddenError: No member is left, or two have one name, by which only the first can be read.
    """
    if form.is_record and actual.is_record:
        if len(set(actual.fields)) < len(actual.fields):
            twice = next(name for name in actual.fields if actual.fields.count(name) > 1)
            raise HiddenError(f"two of its members are called {twice!r}")
        names = [name for name in form.fields if name in actual.fields]
        if not names:
            raise HiddenError("it holds no member that uproot reads")
        contents = [as_read(form.content(name), actual.content(name)) for name in names]
        return form.copy(fields=None if form.is_tuple else names, contents=contents)
    if form.is_list and actual.is_list:
        return form.copy(content=as_read(form.content, actual.content))
    return form


def is_empty(interpretation: Any) -> bool:
    """Return whether a class has no member of its own: uproot lists only entries named `@...`.

    The base of ATLAS's auxiliary containers is such a class.
    """
    if not isinstance(interpretation, uproot.AsStridedObjects):
        return False
    return all(name.startswith("@") for name, _ in interpretation.members)


def is_plain(interpretation: Any) -> bool:
    """Return whether values are numbers or fixed arrays of them, and nothing else."""
    return type(interpretation) is uproot.AsDtype


def is_plain_jagged(interpretation: Any) -> bool:
    """Return whether values are lists of numbers or of fixed arrays."""
    return isinstance(interpretation, uproot.AsJagged) and is_plain(interpretation.content)


def type_name(branch: Any) -> str:
    """Return the C++ type of a branch, as far as uproot knows it."""
    try:
        return str(branch.typename)
    except MemoryError:
        raise
    except Exception:
        return "unknown"
