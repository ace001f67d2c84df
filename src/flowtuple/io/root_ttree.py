"""Tables into TTrees: uproot writes the baskets, and the header is completed before the first."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.awkward import number_block
from flowtuple.data.schema import Column, unused
from flowtuple.data.table import Table, TableSource, ranges
from flowtuple.io.root_forms import NUMBERS, kind_in_words, plain_reason, stored_dtype
from flowtuple.io.root_header import tree_header
from flowtuple.io.root_private import require
from flowtuple.runtime.lazy_packages import awkward as ak

_BRACKETS = re.compile(r"[\[\]]")
_NEEDED = (
    "_file.sink",
    "_cascading._branch_data",
    "_cascading._branch_lookup",
    "_cascading._branch_np",
    "_cascading._build_out",
    "_cascading._metadata",
    "_cascading._relocate",
    "_cascading.write_jagged_basket",
)


@dataclass(frozen=True)
class Branch:
    """A branch to be written.

    Attributes:
        name: The branch's name in the file.
        column: Name of the column that it holds.
        type: Its NumPy dtype, with the shape of arrays; `str` for strings.
        title: Documentation, `""` for ROOT's leaf list.
        counter: Name of the branch with the lengths of its lists.
        is_count: The branch has the lengths of the column's lists, not the lists.
    """

    name: str
    column: str
    type: np.dtype[Any]
    title: str = ""
    counter: str | None = None
    is_count: bool = False


def type_changes(columns: Sequence[Column]) -> list[str]:
    """Return sentences on columns that a TTree holds under other names or types.

    Example:
        >>> counter = Column("n(x)", "int64", "counter", hidden=True)
        >>> type_changes([counter, Column("x", "float32", counter="n(x)")])
        ['n(x): hidden -> branch nx, int32']
    """
    counting = _counting(columns)
    names = _branch_names(columns, counting)
    changes = []
    for column in columns:
        name, dtype = column.name, _branch_dtype(column, counting)
        if column.hidden:
            changes.append(f"{name}: hidden -> branch {names[name]}, {dtype}")
            continue
        if dtype != column.dtype:
            changes.append(f"{name}: {column.dtype} -> {dtype}")
        if names[name] != name:
            why = "ROOT finds no counter by a name in brackets"
            changes.append(f"{name} -> branch {names[name]}: {why}")
    return changes


def _counting(columns: Sequence[Column]) -> set[str]:
    """Names of columns that count others; lists of fixed arrays name theirs in the title."""
    titles = " ".join(c.title for c in columns if c.is_opaque)
    named = re.findall(r"\[(\w+)\]", titles)
    return {c.counter for c in columns if c.counter is not None}.union(named)


def _branch_dtype(column: Column, counting: Container[str]) -> str:
    # ROOT stores a counter's maximum as a signed number of its own width
    is_narrow = column.name in counting and column.dtype in ("uint8", "uint16")
    return "int32" if column.hidden or is_narrow else stored_dtype(column)


def _branch_names(columns: Sequence[Column], counting: Container[str]) -> dict[str, str]:
    """Return a branch name by column: `nJet` for the hidden counter of Jet_pt and Jet_eta."""
    names = {c.name: c.name for c in columns if not c.hidden}
    taken = set(names)
    for name in names:
        if name in counting and _BRACKETS.search(name):
            names[name] = _take(name, taken)
    # as NanoAOD names counters: after the collection, or after a lone column
    for hidden in (c.name for c in columns if c.hidden):
        counted = [c.name for c in columns if c.counter == hidden]
        collections = {name.partition("_")[0] for name in counted}
        owner = (counted or [re.sub(r"\W", "", hidden)])[0]
        if len(counted) > 1 and len(collections) == 1:
            owner = collections.pop() or owner
        names[hidden] = _take(f"n{owner}", taken)
    return names


def _take(name: str, taken: set[str]) -> str:
    """Return a free name without brackets, and add it to the taken ones."""
    free = unused(_BRACKETS.sub("_", name), taken)
    taken.add(free)
    return free


def _opaque_branches(
    column: Column, form: Any, names: Mapping[str, str], taken: set[str]
) -> list[Branch]:
    """Return the branches of strings, or of lists of fixed arrays; none for other types."""
    name = column.name
    if form.parameter("__array__") == "string":
        return [Branch(name, name, np.dtype(str), column.title)]
    is_plain_list = form.is_list and form.parameter("__array__") is None
    block = number_block(form.content) if is_plain_list else None
    if block is None or block[0] not in NUMBERS or 0 in block[1]:
        return []
    leaf_list = re.match(re.escape(name) + r"\[(\w+)\]", column.title)
    known = None if leaf_list is None else names.get(leaf_list[1])
    counter = known or _take(f"n{name}", taken)
    lengths = [] if known else [Branch(counter, name, np.dtype("int32"), is_count=True)]
    title = "" if leaf_list else column.title
    return [*lengths, Branch(name, name, np.dtype(block), title, counter)]


class TreeWriter:
    """A table that becomes a TTree.

    Args:
        source: The table.
        forms: Awkward forms of its opaque columns.
        notes: Notes on how the input stored the table.

    Attributes:
        kind: The container, for notes.
        source: The table.
        notes: The notes.
        lost: Reasons, by column, why it has no branch.
        loosened: Sentences on types that a TTree has less strictly.
        is_empty: No column has a branch.
    """

    kind = "ttree"
    loosened: Sequence[str] = ()

    def __init__(
        self, source: TableSource, forms: Mapping[str, Any], notes: Mapping[str, Any]
    ) -> None:
        self.source = source
        self.notes = notes
        self.lost: dict[str, str] = {}
        counting = _counting(source.columns)
        names = _branch_names(source.columns, counting)
        taken = {*names, *names.values()}
        self._branches: list[Branch] = []
        for column in source.columns:
            if column.is_opaque:
                made = _opaque_branches(column, forms[column.name], names, taken)
                reason = f"no branch of a tree holds {kind_in_words(forms[column.name])}"
            else:
                dtype = np.dtype((_branch_dtype(column, counting), column.shape))
                counter = None if column.counter is None else names[column.counter]
                name = names[column.name]
                branch = Branch(name, column.name, dtype, column.title, counter)
                reason = plain_reason(column)
                made = [] if reason else [branch]
            if not made:
                self.lost[column.name] = reason
            self._branches += made
        self.is_empty = not self._branches

    def begin(self, file: Any, step: int) -> None:
        """Write the header, without events, into uproot's file.

        Args:
            file: uproot's file.
            step: Events a basket.
        """
        self._step = step
        counters = {b.name: b.counter for b in self._branches}
        self._tree = file.mktree(
            self.source.name,
            {"none": "bool"},
            title=self.notes.get("title", ""),
            counter_name=counters.get,
            initial_basket_capacity=-(-self.source.num_entries // step) + 2,
        )
        require(self._tree, *_NEEDED)
        cascade = self._tree._cascading
        _set_branches(cascade, self._branches)
        cascade._metadata["fWeight"] = float(self.notes.get("weight", 1))
        aliases = self.notes.get("aliases", {})
        cascade._build_out = lambda: tree_header(cascade, aliases)
        # the header, which has no events yet, is written once more
        cascade._relocate(self._tree._file, self._tree._file.sink)

    def fill(self) -> None:
        """Write the events."""
        columns = list(dict.fromkeys(b.column for b in self._branches))
        for start, stop in ranges(self.source.num_entries, self._step):
            table = self.source.read(columns, start, stop)
            offsets = table.offsets_of(table.columns)
            self._tree.extend(
                {b.name: _values(b, table, offsets) for b in self._branches}
            )


def _values(branch: Branch, table: Table, offsets: Mapping[str, Any]) -> Any:
    """Return a branch's values as uproot takes them: awkward for lists and strings."""
    column = table.column(branch.column)
    content = table.data[branch.column]
    if branch.is_count:
        return ak.to_numpy(ak.num(content, axis=1)).astype(np.int32)
    if column.is_opaque:
        return content
    flat = content.astype(branch.type.base, copy=False)
    if column.counter is None:
        return flat
    index = ak.index.Index64(offsets[column.counter])
    return ak.Array(ak.contents.ListOffsetArray(index, ak.contents.NumpyArray(flat)))


def _set_branches(cascade: Any, branches: Sequence[Branch]) -> None:
    """Give uproot's tree its branches, with their titles and counters.

    uproot's own way makes each counter an int32, just before what it counts, has no place for
    titles, and flattens lists of fixed arrays. What it will write stands in one dict a branch.
    """
    data: dict[str | None, Any] = {}
    by_name = {branch.name: branch for branch in branches}
    for counted in branches:
        # each counter before the branches that it counts: ROOT's leaves refer backwards
        for branch in (by_name.get(counted.counter or ""), counted):
            if branch is None or branch.name in data:
                continue
            kind, counter = branch.type, data.get(branch.counter)
            datum = cascade._branch_np(branch.name, kind, kind, counter=counter)
            datum["fTitle"] = branch.title or datum["fTitle"]
            if counter is not None:
                counter["kind"] = "counter"
            data[branch.name] = datum
    cascade._branch_data = list(data.values())
    cascade._branch_lookup = {name: number for number, name in enumerate(data)}
    write = cascade.write_jagged_basket

    def write_in_shape(
        sink: Any, name: str, compression: Any, content: Any, offsets: Any
    ) -> Any:
        values = content.reshape(-1, *data[name]["shape"])
        return write(sink, name, compression, values, offsets)

    cascade.write_jagged_basket = write_in_shape
