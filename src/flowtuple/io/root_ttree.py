"""Tables into TTrees: uproot writes the baskets, and the header is completed before the first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.awkward import number_block
from flowtuple.data.schema import Column, unused
from flowtuple.data.table import Table, TableSource, ranges
from flowtuple.io.root_forms import NUMBERS, kind_in_words, plain_reason, widened
from flowtuple.io.root_header import use_own_header
from flowtuple.io.root_private import require

_BRACKETS = re.compile(r"[\[\]]")
_NEEDED = (
    "_file._move_tree",
    "_file.sink",
    "_cascading._basket_capacity",
    "_cascading._branch_data",
    "_cascading._branch_lookup",
    "_cascading._branch_np",
    "_cascading._build_out",
    "_cascading._metadata",
    "_cascading._num_baskets",
    "_cascading._num_entries",
    "_cascading.freesegments",
    "_cascading.write_anew",
    "_cascading.write_jagged_basket",
)
# ROOT stores a counter's maximum as a signed number of its own width
_NARROW_COUNTERS = frozenset(["uint8", "uint16"])


@dataclass(frozen=True)
class Branch:
    """A branch to be written.

    Attributes:
        name: The branch's name in the file.
        column: Name of the column that it holds.
        type: Type for uproot: a NumPy dtype, or `"string"`.
        title: Documentation, `""` for ROOT's leaf list.
        counter: Name of the branch with the lengths of its lists.
        is_count: The branch has the lengths of the column's lists, not the lists.
    """

    name: str
    column: str
    type: Any
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
    names = _branch_names(columns)
    narrow = _narrow_counters(columns)
    changes = [
        f"{c.name}: hidden -> branch {names[c.name]}, int32" for c in columns if c.hidden
    ]
    changes += [f"{c.name}: {c.dtype} -> int32" for c in columns if c.name in narrow]
    changes += [f"{c.name}: float16 -> float32" for c in columns if c.dtype == "float16"]
    renamed = [c.name for c in columns if not c.hidden and names[c.name] != c.name]
    return changes + [
        f"{name} -> branch {names[name]}: ROOT finds no counter by a name in brackets"
        for name in renamed
    ]


def _counting(columns: Sequence[Column]) -> set[str]:
    """Names of columns that count others; lists of fixed arrays name theirs in the title."""
    titles = [c.title for c in columns if c.is_opaque and "[" in c.title]
    return {c.counter for c in columns if c.counter is not None} | {
        w for t in titles for w in re.findall(r"\[(\w+)\]", t)
    }


def _narrow_counters(columns: Sequence[Column]) -> set[str]:
    """Counters too narrow for ROOT."""
    counting = _counting(columns)
    return {c.name for c in columns if c.name in counting and c.dtype in _NARROW_COUNTERS}


def _branch_names(columns: Sequence[Column]) -> dict[str, str]:
    """Return a branch name by column: `nJet` for the hidden counter of Jet_pt and Jet_eta."""
    counting = _counting(columns)
    names = {c.name: c.name for c in columns if not c.hidden}
    taken = set(names)
    for name in names:
        if name in counting and _BRACKETS.search(name):
            names[name] = _take(_BRACKETS.sub("_", name), taken)
    by_counter: dict[str, list[str]] = {c.name: [] for c in columns if c.hidden}
    for column in columns:
        if column.counter in by_counter:
            by_counter[column.counter].append(column.name)
    # as NanoAOD names counters: after the collection, or after a lone column
    for hidden, counted in by_counter.items():
        collections = {name.partition("_")[0] for name in counted}
        collection = collections.pop() if len(counted) > 1 and len(collections) == 1 else ""
        name = "n" + (collection or (counted or [re.sub(r"\W", "", hidden)])[0])
        names[hidden] = _take(_BRACKETS.sub("_", name), taken)
    return names


def _take(name: str, taken: set[str]) -> str:
    """Return a free name, and add it to the taken ones."""
    free = unused(name, taken)
    taken.add(free)
    return free


def plan_branches(
    source: TableSource, forms: Mapping[str, Any]
) -> tuple[list[Branch], dict[str, str]]:
    """Return the branches of a table, and the reasons, by column, for columns that have none.

    Each counter comes before the branches that it counts, because ROOT's leaves refer backwards.

    Args:
        source: The table.
        forms: Awkward forms of its opaque columns.
    """
    columns = source.columns
    names = _branch_names(columns)
    branches: dict[str, Branch] = {}
    reasons: dict[str, str] = {}
    narrow = _narrow_counters(columns)
    taken = {*names, *names.values()}
    for column in columns:
        if column.is_opaque:
            made = _opaque_branches(column, forms[column.name], names, taken)
            reason = (
                "" if made else f"no branch of a tree holds {kind_in_words(column, forms)}"
            )
        else:
            reason = plain_reason(widened(column))
            made = [] if reason else [_plain_branch(column, names, narrow)]
        if reason:
            reasons[column.name] = reason
        branches.update({b.name: b for b in made})
    return _ordered(branches), reasons


def _ordered(branches: Mapping[str, Branch]) -> list[Branch]:
    ordered: dict[str, Branch] = {}
    for branch in branches.values():
        if branch.counter is not None:
            ordered.setdefault(branch.counter, branches[branch.counter])
        ordered.setdefault(branch.name, branch)
    return list(ordered.values())


def _plain_branch(column: Column, names: Mapping[str, str], narrow: set[str]) -> Branch:
    """Return the branch of a column of numbers."""
    dtype = np.dtype(
        "int32" if column.hidden or column.name in narrow else widened(column).dtype
    )
    counter = None if column.counter is None else names[column.counter]
    return Branch(
        names[column.name],
        column.name,
        np.dtype((dtype, column.shape)),
        column.title,
        counter,
    )


def _opaque_branches(
    column: Column, form: Any, names: dict[str, str], taken: set[str]
) -> list[Branch]:
    """Return the branches of strings, or of lists of fixed arrays; none for other types."""
    if form.parameter("__array__") == "string":
        return [Branch(column.name, column.name, "string", column.title)]
    block = (
        number_block(form.content)
        if form.is_list and form.parameter("__array__") is None
        else None
    )
    if block is None or block[0] not in NUMBERS or 0 in block[1]:
        return []
    leaf_list = re.match(re.escape(column.name) + r"\[(\w+)\]", column.title)
    known = names.get(leaf_list[1]) if leaf_list is not None else None
    counter = known or _take(_BRACKETS.sub("_", f"n{column.name}"), taken)
    branch = Branch(
        column.name, column.name, np.dtype(block), "" if leaf_list else column.title, counter
    )
    if known:
        return [branch]
    names[f"n({column.name})"] = counter
    return [Branch(counter, column.name, np.dtype("int32"), is_count=True), branch]


class TreeWriter:
    """A TTree in an open file, whose header is written at once and whose events come later.

    Args:
        file: uproot's file.
        source: The table.
        branches: From `plan_branches`, at least one.
        step: Events a basket.
        title: Title of the tree.
        aliases: Formulas by name.
        weight: Factor of all events.
    """

    def __init__(
        self,
        file: Any,
        source: TableSource,
        branches: Sequence[Branch],
        step: int,
        title: str = "",
        aliases: Mapping[str, str] | None = None,
        weight: float = 1.0,
    ) -> None:
        counters = {b.name: b.counter for b in branches if b.counter is not None}
        self._source = source
        self._branches = branches
        self._step = step
        self._tree = file.mktree(
            source.name,
            {branches[0].name: branches[0].type},
            title=title,
            counter_name=lambda counted: counters[counted],
            initial_basket_capacity=-(-source.num_entries // step) + 2,
        )
        require(self._tree, *_NEEDED)
        _add_branches(self._tree, branches)
        use_own_header(self._tree._cascading, aliases or {}, weight)
        _write_header_again(self._tree)

    def fill(self) -> None:
        """Write the events."""
        columns = list(dict.fromkeys(b.column for b in self._branches))
        for start, stop in ranges(self._source.num_entries, self._step):
            table = self._source.read(columns, start, stop)
            offsets = table.offsets_of(table.columns)
            known = {c.name: c for c in table.columns}
            self._tree.extend(
                {b.name: _values(b, known[b.column], table, offsets) for b in self._branches}
            )


def _values(branch: Branch, column: Column, table: Table, offsets: Mapping[str, Any]) -> Any:
    """Return a branch's values as uproot takes them: awkward for lists and strings."""
    content = table.data[branch.column]
    if branch.is_count:
        return ak.to_numpy(ak.num(content, axis=1)).astype(np.int32)
    if column.counter is not None:
        index = ak.index.Index64(offsets[column.counter])
        flat = content.astype(branch.type.base, copy=False)
        return ak.Array(ak.contents.ListOffsetArray(index, ak.contents.NumpyArray(flat)))
    return content if column.is_opaque else content.astype(branch.type.base, copy=False)


def _add_branches(tree: Any, branches: Sequence[Branch]) -> None:
    """Add branches to a tree that has the first of them, with their titles and counters.

    uproot's own way makes each counter an int32, just before what it counts, and has no place for
    titles. What it will write stands in one dict a branch, so the dicts are completed here; the
    header, which holds no events yet, has to be written once more.
    """
    cascade = tree._cascading
    data = {datum["fName"]: datum for datum in cascade._branch_data}
    for branch in branches:
        if branch.name not in data:
            dtype = np.dtype(str if branch.type == "string" else branch.type)
            counter = None if branch.counter is None else data[branch.counter]
            datum = data[branch.name] = cascade._branch_np(
                branch.name, branch.type, dtype, counter=counter
            )
            cascade._branch_lookup[branch.name] = len(cascade._branch_data)
            cascade._branch_data.append(datum)
        data[branch.name]["fTitle"] = branch.title or data[branch.name]["fTitle"]
    for counted in (b for b in branches if b.counter is not None):
        data[counted.counter]["kind"] = "counter"
    _keep_shapes(cascade, data)


def _keep_shapes(cascade: Any, data: Mapping[str, Any]) -> None:
    """Make uproot write lists of fixed arrays in shape: it flattens them otherwise."""
    write = cascade.write_jagged_basket

    def write_in_shape(
        sink: Any, name: str, compression: Any, content: Any, offsets: Any
    ) -> Any:
        return write(
            sink, name, compression, content.reshape(-1, *data[name]["shape"]), offsets
        )

    cascade.write_jagged_basket = write_in_shape


def _write_header_again(tree: Any) -> None:
    cascade = tree._cascading
    sink = tree._file.sink
    old = cascade.key
    cascade.write_anew(sink)
    tree._file._move_tree(old.seek_location, cascade.key.seek_location)
    cascade.freesegments.release(
        old.seek_location, old.seek_location + old.num_bytes + old.compressed_bytes
    )
    sink.set_file_length(cascade.freesegments.fileheader.end)
    sink.flush()
