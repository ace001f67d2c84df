"""Tables into ROOT files, each as a TTree or an RNTuple, and sentences on the changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import uproot

from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import InvalidArgument, Unsupported, name_parts
from flowtuple.io.changes import listed
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.root_forms import first_forms, kind_in_words, opaque_forms
from flowtuple.io.root_objects import restore
from flowtuple.io.root_rntuple import (
    FieldPlan,
    NTupleWriter,
    columns_of_shape,
    field_paths,
    plan_fields,
    record_shapes,
)
from flowtuple.io.root_ttree import Branch, TreeWriter, plan_branches, type_changes
from flowtuple.io.root_types import plain_type
from flowtuple.io.source import leave_out

Container = Literal["ttree", "rntuple"]
_HIGHEST_LEVEL = {"ZLIB": 9, "LZMA": 9, "LZ4": 12, "ZSTD": 22}
_ADVICE = "`drop=` leaves them out, and x.npz holds everything"


@dataclass(frozen=True)
class _Plan:
    """The plan by which a table is written.

    Attributes:
        source: The table.
        container: TTree or RNTuple.
        branches: The branches, for a TTree.
        fields: The fields, for an RNTuple.
        lost: Reasons, by column, why it is not written.
        why: Types, by column, of those that no TTree holds, where the table becomes an RNTuple for
            them.
        storage: Notes on how the input stored the table.
    """

    source: TableSource
    container: Container
    branches: tuple[Branch, ...]
    fields: FieldPlan
    lost: Mapping[str, str]
    why: Mapping[str, str]
    storage: Mapping[str, Any]


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write every table as a TTree or an RNTuple, and the carried objects as they were.

    Args:
        dataset: Tables to write; their columns keep names, order, values, types and titles, save
            for the changes returned. One that was an RNTuple becomes one again; of others, those
            become one that a TTree cannot hold.
        path: The file to make; one that exists is overwritten.
        options: Compression (default `ZSTD:5`), events a basket or cluster, container, and whether
            to drop what ROOT cannot hold.

    Raises:
        InvalidArgument: The compression is none that ROOT knows.
        Refused: A column cannot be written, and `options.drop` is off; nothing has been written
            then.
    """
    compression = _parse_compression(options.compression)
    _check_folders(dataset)
    storage = dataset.storage
    plans = [
        _plan(t, opaque_forms(t), storage.get(name, {}), options.container)
        for name, t in dataset.tables.items()
    ]
    reasons = {
        f"{plan.source.name}/{column}": reason
        for plan in plans
        for column, reason in plan.lost.items()
    }
    are_trees = all(plan.container == "ttree" for plan in plans)
    target = "as a branch" if are_trees else "to a ROOT file"
    left_out = leave_out(dataset, reasons, target, options, _ADVICE)
    with uproot.recreate(path, compression=compression) as file:
        writers = [
            _writer(file, plan, options.step)
            for plan in plans
            if plan.branches or plan.fields.paths
        ]
        restore(file, dataset.carried)
        for writer in writers:
            writer.fill()
    changes: list[str] = []
    renamed: dict[str, tuple[str, ...]] = {}
    for plan in plans:
        table = plan.source.name
        columns = [c for c in plan.source.columns if c.name not in plan.lost]
        changes += [f"{table}: {sentence}" for sentence in _changes(plan, columns)]
        renamed |= root_renamed(table, columns, _written_as(plan))
    return WriteResult(left_out, tuple(changes), renamed)


def _check_folders(dataset: Dataset) -> None:
    """Raise if a tree has the name of a folder, since names in a ROOT file are unique.

    Raises:
        Unsupported: The message names both.
    """
    names = [*dataset.tables, *dataset.carried]
    folders = {
        "/".join(name.split("/")[:k]): name
        for name in names
        for k in range(1, name.count("/") + 1)
    }
    for name in names:
        if name in folders:
            clash = f"{name!r} would be a folder, too, for {folders[name]!r}"
            raise Unsupported(
                f"{dataset.description}: {clash}; write .npz, or one of them: FILE:{folders[name]}"
            )


def root_outlook(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """Find the tables and columns that will not come back to ROOT as they were.

    The types of the first events decide, or those of all events where the first leave open whether
    a value is missing.

    Args:
        dataset: A data set from a ROOT file.

    Returns:
        The data set with notes on the trees that become RNTuples, and sentences on these and on
        columns that no ROOT file holds. A note is `back` in `Dataset.storage`: the columns that no
        TTree holds, with their types. The tree comes back as an RNTuple where one of them is
        written, and as a TTree where none is.

    Example:
        >>> import numpy as np
        >>> from flowtuple.io.source import open_dataset
        >>> _, (sentence,) = root_outlook(open_dataset({"x": [1.5], "y": np.zeros((1, 0))}))
        >>> sentence.partition(";")[0]
        'no ROOT file will hold events/y: ROOT has no arrays of length 0'
    """
    lost: dict[str, str] = {}
    sentences: list[str] = []
    stored = {name: dict(how) for name, how in dataset.storage.items()}
    for name, source in dataset.tables.items():
        how = {key: value for key, value in stored.get(name, {}).items() if key != "back"}
        plan = _planned_from_first(source, how)
        lost |= {f"{name}/{column}": reason for column, reason in plan.lost.items()}
        if plan.why:
            how["back"] = dict(plan.why)
            sentences.append(f"tree {name!r} will come back as an RNTuple: {_why(plan.why)}")
        stored |= {name: how} if how else {}
    if lost:
        sentences.append(
            f"no ROOT file will hold {name_parts(lost)}; decompress to .npz, which holds everything"
        )
    return replace(dataset, storage=stored), tuple(sentences)


def _planned_from_first(source: TableSource, storage: Mapping[str, Any]) -> _Plan:
    """Return the plan by the types of the first events, or of all where a value may be missing."""
    forms = first_forms(source)
    plan = _plan(source, forms, storage, None)
    open_types = [name for name in plan.why if name in forms and "?" in str(forms[name].type)]
    unsure = [name for name in plan.lost if name in forms] + open_types
    return (
        _plan(source, forms | opaque_forms(source, unsure), storage, None) if unsure else plan
    )


def _why(kinds: Mapping[str, str]) -> str:
    """Return words on the columns for which a table becomes an RNTuple."""
    columns = listed([f"{name} ({kind})" for name, kind in kinds.items()])
    return f"no branch of a TTree holds {columns}"


def _back(columns: Iterable[Column], storage: Mapping[str, Any]) -> dict[str, str]:
    """Return the types, by column, for which a tree becomes an RNTuple."""
    names = {c.name for c in columns}
    return {name: kind for name, kind in storage.get("back", {}).items() if name in names}


def _written_as(plan: _Plan) -> dict[str, Any]:
    """Return the notes on a table, with the container of the output."""
    stored = {key: value for key, value in plan.storage.items() if key != "back"}
    return {**stored, "kind": plan.container}


def _plan(
    source: TableSource,
    forms: Mapping[str, Any],
    storage: Mapping[str, Any],
    container: Container | None,
) -> _Plan:
    """Return the plan for a TTree, or an RNTuple if the table was one or fits better."""
    kind = container or storage.get("kind", "")
    branches, no_branch = plan_branches(source, forms)
    fields = plan_fields(source, forms, storage.get("records"))
    back = {} if kind else _back(source.columns, storage)
    is_better = container is None and len(fields.reasons) < len(no_branch)
    if kind != "rntuple" and not back and not is_better:
        return _Plan(
            source, "ttree", tuple(branches), FieldPlan({}, {}), no_branch, {}, storage
        )
    types: dict[str, str] = {}
    for column in source.columns:
        if not kind and column.name in no_branch and column.name in fields.forms:
            types[column.name] = kind_in_words(column, forms)
    return _Plan(source, "rntuple", (), fields, fields.reasons, types or back, storage)


def _writer(file: Any, plan: _Plan, step: int) -> TreeWriter | NTupleWriter:
    title = plan.storage.get("title", "")
    if plan.container == "rntuple":
        return NTupleWriter(
            file, plan.source, plan.fields, step, title, plan.storage.get("types", {})
        )
    aliases = plan.storage.get("aliases", {})
    weight = float(plan.storage.get("weight", 1))
    return TreeWriter(file, plan.source, plan.branches, step, title, aliases, weight)


def _changes(plan: _Plan, columns: Sequence[Column]) -> list[str]:
    """Return sentences on the differences between the file and the table."""
    loosened = [f"{name}: {text}" for name, text in plan.fields.loosened.items()]
    changes = [*root_changes(columns, _written_as(plan)), *loosened]
    if plan.why:
        changes.insert(0, f"written as an RNTuple, because {_why(plan.why)}")
    return changes


def root_changes(columns: Sequence[Column], storage: Mapping[str, Any]) -> list[str]:
    """Sentences on what a ROOT file written here changes from the input.

    Args:
        columns: Columns of one table.
        storage: Notes of `Dataset.storage` on the table.

    Example:
        >>> stored = {"kind": "rntuple", "aliases": {"y": "2*x"}, "friends": ["other"]}
        >>> root_changes([Column("x", "float32")], stored)
        ['alias y is not written: an RNTuple has none', 'friend tree other is not attached']
    """
    back = _back(columns, storage)
    is_tree = storage.get("kind", "ttree") != "rntuple" and not back
    records = storage.get("records", {})
    changes: list[str] = []
    if back:
        changes.append(
            f"the tree: it comes back as an RNTuple because {_why(back)}; without them as a TTree"
        )
    if is_tree:
        changes += [*type_changes(columns), *_flat_records(columns, records)]
    else:
        changes += _renamed_fields(columns, records)
    changes += _other_types(columns, storage, is_tree)
    names = {c.name for c in columns}
    for name, original in storage.get("renamed", {}).items():
        if name in names:
            changes.append(f"{name}: another name for {original!r}")
    return changes + _metadata_changes(storage, is_tree)


def _metadata_changes(storage: Mapping[str, Any], is_tree: bool) -> list[str]:
    """Return sentences on aliases and other metadata that is not written."""
    changes = []
    aliases = list(storage.get("aliases", {}))
    if aliases and not is_tree:
        changes.append(
            f"{_counted('alias', 'aliases', aliases)} not written: an RNTuple has none"
        )
    if storage.get("user_info"):
        changes.append(f"user information {listed(storage['user_info'])} is not written")
    if storage.get("friends"):
        friends = _counted("friend tree", "friend trees", storage["friends"])
        changes.append(f"{friends} not attached")
    if storage.get("index"):
        changes.append(f"the index ({storage['index']}) is not written")
    if "weight" in storage and not is_tree:
        changes.append(
            f"the weight {storage['weight']:g} is not written: an RNTuple has none"
        )
    for words in storage.get("unreadable", ()):
        changes.append(f"{words}: cannot be read and not written")
    return changes


def root_renamed(
    tree: str, columns: Sequence[Column], storage: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """Return the names in a ROOT file of the branches and fields that it renames.

    Args:
        tree: Name of the table.
        columns: Its columns.
        storage: Notes on how the input stored the table.

    Returns:
        For `TREE/NAME` of the input, the names of the branches or fields.

    Example:
        >>> columns = [Column("p_x", "float32"), Column("p_y", "float32")]
        >>> root_renamed("t", columns, {"records": {"p": {"record": [["x", "p_x"], ["y", "p_y"]]}}})
        {'t/p': ('p_x', 'p_y')}
    """
    names = [c.name for c in columns if not c.hidden]
    records = storage.get("records", {})
    units = record_shapes(names, records)
    renamed: dict[str, tuple[str, ...]] = {}
    if storage.get("kind") == "rntuple" or _back(columns, storage):
        for name, path in field_paths(list(units)).items():
            if ".".join(path) != name:
                renamed[name] = (".".join(path),)
    else:
        for name, shape in units.items():
            if not isinstance(shape, str):
                renamed[name] = tuple(columns_of_shape(shape))
    known = set(names)
    for name, original in storage.get("renamed", {}).items():
        if name in known:
            renamed[original] = (*renamed.get(original, ()), name)
    return {f"{tree}/{name}": written for name, written in renamed.items()}


def _flat_records(columns: Sequence[Column], records: Mapping[str, Any]) -> list[str]:
    """Return the records whose members become branches of their own."""
    units = record_shapes([c.name for c in columns], records)
    shapes = {
        name: columns_of_shape(shape)
        for name, shape in units.items()
        if not isinstance(shape, str)
    }
    return [
        f"{name}: a record -> branches {listed(members)}" for name, members in shapes.items()
    ]


def _renamed_fields(columns: Sequence[Column], records: Mapping[str, Any]) -> list[str]:
    units = record_shapes([c.name for c in columns if not c.hidden], records)
    paths = field_paths(list(units))
    return [
        f"{name} -> field {path[0]}" for name, path in paths.items() if ".".join(path) != name
    ]


def _other_types(
    columns: Sequence[Column], storage: Mapping[str, Any], is_tree: bool
) -> list[str]:
    """Return words on fields of an RNTuple that are written with other types."""
    units = record_shapes([c.name for c in columns], storage.get("records", {}))
    types = {name: kind for name, kind in storage.get("types", {}).items() if name in units}
    others = [
        f"{name} ({kind})" for name, kind in types.items() if is_tree or not plain_type(kind)
    ]
    return [f"types of C++ written otherwise: {listed(others)}"] if others else []


def _counted(one: str, many: str, names: Sequence[str]) -> str:
    return f"{one} {names[0]} is" if len(names) == 1 else f"{many} {listed(names)} are"


def _parse_compression(text: str | None) -> Any:
    name, colon, level = ("ZSTD:5" if text is None else text).upper().partition(":")
    if name == "NONE" and not colon:
        return None
    highest = _HIGHEST_LEVEL.get(name, -1)
    if not level.isdecimal() or int(level) > highest:
        valid = ", ".join(f"{k}:0 to {k}:{v}" for k, v in _HIGHEST_LEVEL.items())
        raise InvalidArgument(
            f"compression {text!r} is not one that ROOT knows: write {valid}, or none"
        )
    return getattr(uproot, name)(int(level))
