"""Branches of a TTree and fields of an RNTuple, and their columns with the way to the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowtuple.data.awkward import kind_of_form
from flowtuple.data.schema import OPAQUE, Column, infer_role


@dataclass
class Branch:
    """A branch as uproot describes it.

    Attributes:
        path: Name by which uproot finds it, unique in the tree.
        name: Name in ROOT, mostly unique.
        title: Documentation; empty where ROOT has its own leaf list.
        form: Awkward form; `None` where it cannot be read.
        count: Path of the branch that counts its objects.
        reason: Why it cannot be read.
        leaf_list: For a branch of lists with a counter, ROOT's own words, as
            `Track_cov[nTrack][3]`.
        repeated: Another branch has the same path; `path` then ends in a number.
    """

    path: str
    name: str
    title: str = ""
    form: Any = None
    count: str | None = None
    reason: str = ""
    leaf_list: str = ""
    repeated: bool = False


@dataclass(frozen=True)
class Leaf:
    """A column and the way to its values: a branch, then fields of records within it."""

    column: Column
    branch: Branch
    fields: tuple[str, ...]
    is_counted: bool

    def pick(self, arrays: Mapping[str, Any]) -> Any:
        """Return the values from arrays by the path of their branch."""
        values = arrays[self.branch.path]
        for name in self.fields:
            values = values[name]
        return values

    @property
    def is_counter(self) -> bool:
        """Return whether its values can be lengths of lists: one integer an event."""
        is_single = self.column.is_event_number and not (self.fields or self.is_counted)
        return is_single and self.column.is_integer


def make_leaf(name: str, branch: Branch, fields: tuple[str, ...], form: Any) -> Leaf:
    """Return the leaf of a form; its title names the counter where nothing else does.

    Args:
        name: Name of its column.
        branch: The branch that holds it.
        fields: The fields of records that lead to it.
        form: Its awkward form.

    Example:
        >>> import awkward as ak
        >>> form = ak.forms.NumpyForm("float32")
        >>> make_leaf("Jet_phi", Branch("Jet", "Jet"), ("phi",), form).column.role
        'angle'
    """
    dtype, shape, is_counted = kind_of_form(form)
    if dtype == OPAQUE:
        column = Column(name, dtype, title=branch.title or branch.leaf_list)
    else:
        column = Column(name, dtype, infer_role(name, dtype), branch.title, None, shape)
    return Leaf(column, branch, fields, is_counted)
