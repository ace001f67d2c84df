"""Tables into TTrees: uproot writes the baskets, and the branches' titles and counters are put right before the first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from flowtuple.errors import InvalidArgument, Refused
from flowtuple.events.root_branches import number_block
from flowtuple.events.root_objects import restore
from flowtuple.events.source import WriteOptions, WriteResult
from flowtuple.schema import Column
from flowtuple.table import Dataset, LeftOut, Table, TableSource, ranges, read_all

_HIGHEST_LEVEL = {"ZLIB": 9, "LZMA": 9, "LZ4": 12, "ZSTD": 22}
_WRITABLE = frozenset(["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"])
_NARROW_COUNTERS = frozenset(["uint8", "uint16"])  # ROOT keeps a counter's maximum as a signed number of its own width


@dataclass(frozen=True)
class _Branch:
    """A branch to be written.

    Attributes:
        name: The branch's name in the file.
        column: Name of the column that it holds.
        type: What uproot is told: a NumPy dtype, or `"string"`.
        title: Documentation, `""` for ROOT's leaf list.
        counter: Name of the branch that counts it.
        is_count: It holds the lengths of the column's lists, not the lists.
    """

    name: str
    column: str
    type: Any
    title: str = ""
    counter: str | None = None
    is_count: bool = False


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write every table as a TTree, and the carried objects beside them.

    Args:
        dataset: Tables to write; their columns keep names, order, values, types and titles, save for `type_changes`.
        path: The file to make; one that exists is overwritten.
        options: Compression (default `ZSTD:5`), events a basket, and whether to drop what ROOT cannot hold.

    Raises:
        InvalidArgument: The compression is none that ROOT knows.
        Unsupported: A column cannot be a branch, and `options.drop` is off; nothing has been written then.
    """
    compression = _parse_compression(options.compression)
    lost: dict[str, str] = {}
    plans = {name: _plan(source, lost) for name, source in dataset.tables.items()}
    if lost and not options.drop:
        raise Refused(
            dataset.description, "write {} as a branch", lost, "--drop leaves them out, and -o x.npz holds everything"
        )
    with uproot.recreate(path, compression=compression) as file:
        for name, branches in plans.items():
            if branches:
                _write_tree(file, dataset.tables[name], name, branches, options.step)
        restore(file, dataset.carried)
    left_out = tuple(LeftOut(name, reason) for name, reason in lost.items())
    changes = [f"{name}: {text}" for name, table in dataset.tables.items() for text in type_changes(table.columns)]
    return WriteResult(left_out, tuple(changes))


def type_changes(columns: Sequence[Column]) -> list[str]:
    """What a ROOT file written here holds otherwise than `columns` say, in words.

    Example:
        >>> counter = Column("n(x)", "int64", "counter", hidden=True)
        >>> type_changes([counter, Column("x", "float32", counter="n(x)")])
        ['n(x): hidden -> branch nx, int32']
    """
    names = _counter_names(columns)
    changes = [f"{c.name}: hidden -> branch {names[c.name]}, int32" for c in columns if c.hidden]
    return changes + [f"{c.name}: {c.dtype} -> int32" for c in columns if _is_narrow_counter(c, columns)]


def _is_narrow_counter(column: Column, columns: Sequence[Column]) -> bool:
    """Whether a column counts another and is too narrow for ROOT; lists of fixed arrays name theirs in the title."""
    if column.dtype not in _NARROW_COUNTERS:
        return False
    return any(c.counter == column.name or (c.is_opaque and f"[{column.name}]" in c.title) for c in columns)


def _parse_compression(text: str | None) -> Any:
    name, colon, level = ("ZSTD:5" if text is None else text).upper().partition(":")
    if name == "NONE" and not colon:
        return None
    highest = _HIGHEST_LEVEL.get(name, -1)
    if not level.isdecimal() or int(level) > highest:
        valid = ", ".join(f"{k}:0 to {k}:{v}" for k, v in _HIGHEST_LEVEL.items())
        raise InvalidArgument(f"compression {text!r} is not one that ROOT knows: write {valid}, or none")
    return getattr(uproot, name)(int(level))


def _counter_names(columns: Sequence[Column]) -> dict[str, str]:
    """A branch name for each hidden counter: `nJet` for Jet_pt, Jet_eta; `nx` for x alone."""
    taken = {c.name for c in columns if not c.hidden}
    names: dict[str, str] = {}
    for hidden in (c.name for c in columns if c.hidden):
        counted = [c.name for c in columns if c.counter == hidden]
        collections = {c.partition("_")[0] for c in counted}
        collection = collections.pop() if len(counted) > 1 and len(collections) == 1 else ""
        name = "n" + (collection or (counted or [re.sub(r"\W", "", hidden)])[0])
        names[hidden] = _unused(name, taken)
    return names


def _unused(name: str, taken: set[str]) -> str:
    """The name, with underscores where it is taken; it is taken from then on."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _plan(source: TableSource, lost: dict[str, str]) -> list[_Branch]:
    """The branches of one table, each counter before what it counts, because ROOT's leaves refer backwards."""
    columns = source.columns
    names = {c.name: c.name for c in columns} | _counter_names(columns)
    opaque = read_all(source, [c.name for c in columns if c.is_opaque])
    branches: dict[str, _Branch] = {}
    for column in columns:
        made = _opaque_branches(column, opaque, names) if column.is_opaque else _plain_branches(column, columns, names)
        if not made:
            lost[f"{source.name}/{column.name}"] = f"no branch of a tree holds {_kind(column, opaque)}"
        branches.update({b.name: b for b in made})
    ordered: dict[str, _Branch] = {}
    for branch in branches.values():
        if branch.counter is not None:
            ordered.setdefault(branch.counter, branches[branch.counter])
        ordered.setdefault(branch.name, branch)
    return list(ordered.values())


def _kind(column: Column, opaque: Table) -> str:
    return str(ak.type(opaque[column.name]).content) if column.is_opaque else " ".join(map(str, (column.dtype, *column.shape)))


def _plain_branches(column: Column, columns: Sequence[Column], names: Mapping[str, str]) -> list[_Branch]:
    """The branch of a column of numbers; none where ROOT has no such numbers."""
    if column.dtype not in _WRITABLE or 0 in column.shape:
        return []
    dtype = np.dtype("int32" if column.hidden or _is_narrow_counter(column, columns) else column.dtype)
    counter = None if column.counter is None else names[column.counter]
    return [_Branch(names[column.name], column.name, np.dtype((dtype, column.shape)), column.title, counter)]


def _opaque_branches(column: Column, opaque: Table, names: dict[str, str]) -> list[_Branch]:
    """The branch of strings, or of lists of fixed arrays and their counter; none for anything deeper."""
    form = ak.to_layout(opaque[column.name]).form
    if form.parameter("__array__") == "string":
        return [_Branch(column.name, column.name, "string", column.title)]
    block = number_block(form.content) if form.is_list and form.parameter("__array__") is None else None
    if block is None or block[0] not in _WRITABLE or 0 in block[1]:
        return []
    leaf_list = re.match(re.escape(column.name) + r"\[(\w+)\]", column.title)
    known = leaf_list[1] if leaf_list is not None and leaf_list[1] in names else None
    counter = known or _unused(f"n{column.name}", set(names.values()))
    branch = _Branch(column.name, column.name, np.dtype(block), "" if leaf_list else column.title, counter)
    if known:
        return [branch]
    names[f"n({column.name})"] = counter
    return [_Branch(counter, column.name, np.dtype("int32"), is_count=True), branch]


def _write_tree(file: Any, source: TableSource, name: str, branches: Sequence[_Branch], step: int) -> None:
    counters = {b.name: b.counter for b in branches if b.counter is not None}
    tree = file.mktree(
        name,
        {branches[0].name: branches[0].type},
        counter_name=lambda counted: counters[counted],
        initial_basket_capacity=-(-source.num_entries // step) + 2,
    )
    _add_branches(tree, branches)
    columns = list(dict.fromkeys(b.column for b in branches))
    for start, stop in ranges(source.num_entries, step):
        table = source.read(columns, start, stop)
        offsets = {c: table.offsets(c) for c in {k.counter for k in table.columns} if c is not None}
        tree.extend({b.name: _values(b, table, offsets) for b in branches})


def _values(branch: _Branch, table: Table, offsets: Mapping[str, Any]) -> Any:
    """One branch's values the way uproot takes them: NumPy arrays, or awkward arrays for lists and strings."""
    column, content = table.column(branch.column), table[branch.column]
    if branch.is_count:
        return ak.to_numpy(ak.num(content, axis=1)).astype(np.int32)
    if column.counter is not None:
        index = ak.index.Index64(offsets[column.counter])
        return ak.Array(ak.contents.ListOffsetArray(index, ak.contents.NumpyArray(content)))
    return content if column.is_opaque else content.astype(branch.type.base, copy=False)


def _add_branches(tree: Any, branches: Sequence[_Branch]) -> None:
    """Give a tree that was made with the first of the branches all of them, with their titles and counters.

    uproot's own way makes each counter an int32, just before what it counts, and has no place for titles. What it will
    write stands in one dict a branch, so the dicts are completed here and the header, which holds no events yet, is
    written once more. A header takes time quadratic in its branches: telling uproot of one at first saves half.
    """
    cascade = tree._cascading
    data = {datum["fName"]: datum for datum in cascade._branch_data}
    for branch in branches:
        if branch.name not in data:
            dtype = np.dtype(str if branch.type == "string" else branch.type)
            counter = None if branch.counter is None else data[branch.counter]
            datum = data[branch.name] = cascade._branch_np(branch.name, branch.type, dtype, counter=counter)
            cascade._branch_lookup[branch.name] = len(cascade._branch_data)
            cascade._branch_data.append(datum)
        data[branch.name]["fTitle"] = branch.title or data[branch.name]["fTitle"]
    for counted in (b for b in branches if b.counter is not None):
        data[counted.counter]["kind"] = "counter"
    _keep_shapes(cascade, data)
    _write_header_again(tree)


def _keep_shapes(cascade: Any, data: Mapping[str, Any]) -> None:
    """Let lists of fixed arrays reach their basket in shape: uproot flattens them, then counts offsets in numbers."""
    write = cascade.write_jagged_basket

    def write_in_shape(sink: Any, name: str, compression: Any, content: Any, offsets: Any) -> Any:
        return write(sink, name, compression, content.reshape(-1, *data[name]["shape"]), offsets)

    cascade.write_jagged_basket = write_in_shape


def _write_header_again(tree: Any) -> None:
    cascade, sink = tree._cascading, tree._file.sink
    old = cascade.key
    cascade.write_anew(sink)
    tree._file._move_tree(old.seek_location, cascade.key.seek_location)
    cascade.freesegments.release(old.seek_location, old.seek_location + old.num_bytes + old.compressed_bytes)
    sink.set_file_length(cascade.freesegments.fileheader.end)
    sink.flush()
