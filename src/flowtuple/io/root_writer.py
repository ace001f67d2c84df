"""Tables into ROOT files, each as a TTree or an RNTuple, and sentences on the changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from flowtuple.data.table import Dataset, TableSource
from flowtuple.errors import InvalidArgument, Unsupported, name_parts
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.root_changes import because, root_changes, root_renamed, types_back
from flowtuple.io.root_forms import first_forms, kind_in_words, opaque_forms
from flowtuple.io.root_objects import restore
from flowtuple.io.root_rntuple import NTupleWriter
from flowtuple.io.root_ttree import TreeWriter
from flowtuple.io.source import leave_out
from flowtuple.runtime.lazy_packages import uproot

_HIGHEST_LEVEL = {"ZLIB": 9, "LZMA": 9, "LZ4": 12, "ZSTD": 22}
_ADVICE = "`drop=` leaves them out, and x.npz holds everything"
_Plan: TypeAlias = tuple[TreeWriter | NTupleWriter, Mapping[str, str]]
"""A table's writer and, where it becomes an RNTuple for them, the types that no TTree holds."""


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
    plans = [
        _plan(t, opaque_forms(t), dataset.storage.get(name, {}), options.container)
        for name, t in dataset.tables.items()
    ]
    lost = {
        f"{writer.source.name}/{column}": reason
        for writer, _ in plans
        for column, reason in writer.lost.items()
    }
    are_trees = all(writer.kind == "ttree" for writer, _ in plans)
    target = "as a branch" if are_trees else "to a ROOT file"
    left_out = leave_out(dataset, lost, target, options, _ADVICE)
    with uproot.recreate(path, compression=compression) as file:
        writers = [writer for writer, _ in plans if not writer.is_empty]
        for writer in writers:
            writer.begin(file, options.step)
        restore(file, dataset.carried)
        for writer in writers:
            writer.fill()
    changes: list[str] = []
    renamed: dict[str, tuple[str, ...]] = {}
    for writer, why in plans:
        table = writer.source.name
        columns = [c for c in writer.source.columns if c.name not in writer.lost]
        notes = _without_back(writer.notes) | {"kind": writer.kind}
        sentences = [f"written as an RNTuple, because {because(why)}"] if why else []
        sentences += [*root_changes(columns, notes), *writer.loosened]
        changes += [f"{table}: {sentence}" for sentence in sentences]
        renamed |= root_renamed(table, columns, notes)
    return WriteResult(left_out, tuple(changes), renamed)


def _check_folders(dataset: Dataset) -> None:
    """Raise if a tree has the name of a folder, since names in a ROOT file are unique.

    Raises:
        Unsupported: The message names both.
    """
    names = [*dataset.tables, *dataset.carried]
    folders = {
        str(folder): name for name in names for folder in PurePosixPath(name).parents
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
    stored = dict(dataset.storage)
    for name, source in dataset.tables.items():
        notes = _without_back(stored.get(name, {}))
        writer, why = _planned_from_first(source, notes)
        lost |= {f"{name}/{column}": reason for column, reason in writer.lost.items()}
        if why:
            notes["back"] = dict(why)
            sentences.append(
                f"tree {name!r} will come back as an RNTuple: {because(why)}"
            )
        changes = root_changes(
            writer.source.columns, _without_back(notes) | {"kind": writer.kind}
        )
        sentences += [f"tree {name!r} will come back changed: {c}" for c in changes]
        if notes or name in stored:
            stored[name] = notes
    if lost:
        sentences.append(
            f"no ROOT file will hold {name_parts(lost)}; decompress to .npz, which holds everything"
        )
    return replace(dataset, storage=stored), tuple(sentences)


def _planned_from_first(source: TableSource, notes: Mapping[str, Any]) -> _Plan:
    """Return the plan by the types of the first events, or of all where a value may be missing."""
    forms = first_forms(source)
    writer, why = _plan(source, forms, notes, None)
    is_open = any(name in forms and "?" in str(forms[name].type) for name in why)
    if is_open or any(name in forms for name in writer.lost):
        return _plan(source, opaque_forms(source), notes, None)
    return writer, why


def _plan(
    source: TableSource,
    forms: Mapping[str, Any],
    notes: Mapping[str, Any],
    container: str | None,
) -> _Plan:
    """Return the plan for a TTree, or an RNTuple if the table was one or fits better."""
    kind = container or notes.get("kind", "")
    tree, ntuple = TreeWriter(source, forms, notes), NTupleWriter(source, forms, notes)
    back = {} if kind else types_back(source.columns, notes)
    is_better = container is None and len(ntuple.lost) < len(tree.lost)
    if kind != "rntuple" and not back and not is_better:
        return tree, {}
    types = {
        name: kind_in_words(form)
        for name, form in forms.items()
        if not kind and name in tree.lost and name not in ntuple.lost
    }
    return ntuple, types or back


def _without_back(notes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in notes.items() if key != "back"}


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
