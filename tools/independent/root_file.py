"""ROOT files as uproot alone sees them: branches of trees, fields of RNTuples, objects with all
their members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import uproot

from independent.parts import Contents, Group, Part
from independent.values import is_awkward, plain

_TREES = ("TTree", "TNtuple", "TNtupleD")
_NTUPLES = ("ROOT::RNTuple", "ROOT::Experimental::RNTuple")
_FOLDERS = ("TDirectory", "TDirectoryFile")
_UNSTABLE = ("fUniqueID", "fBits", "@fUniqueID", "@fBits", "fDirectory", "fSize", "fN")
_LEAF_LIST = re.compile(r".*\[.*|.*/[A-Za-z]$|.*/[A-Za-z]:.*", re.DOTALL)


def read(path: str) -> Contents:
    """The newest cycle of each tree and object of a file, in sub-directories too."""
    stream = open(path, "rb")  # noqa: SIM115 (branches are read later); uproot would take :: in a path for a chain
    directory = uproot.open(stream, object_cache=None, array_cache=None)
    contents = Contents()
    newest, older = _newest(directory)
    contents.about.update({f"older cycle {key}": True for key in older})
    for name, (key, kind) in newest.items():
        if kind in _FOLDERS:
            continue
        if kind not in (*_TREES, *_NTUPLES):
            contents.objects.append(Part(name, partial(_members_of, directory, key)))
            continue
        try:
            contents.groups.append(_group(name, kind, directory[key]))
        except Exception as error:
            contents.unread[name] = _first_line(error)
    return contents


def _newest(directory: Any) -> tuple[dict[str, tuple[str, str]], list[str]]:
    newest: dict[str, tuple[str, str]] = {}
    older: list[str] = []
    for key, kind in directory.iterclassnames(recursive=True, cycle=True):
        name, _, cycle = key.rpartition(";")
        if name in newest and int(cycle) <= int(newest[name][0].rpartition(";")[2]):
            older.append(key)
            continue
        if name in newest:
            older.append(newest[name][0])
        newest[name] = (key, kind)
    return newest, older


def _group(name: str, kind: str, tree: Any) -> Group:
    if kind in _NTUPLES:
        load = _ntuple_loader(tree)
        parts = [
            Part(f.name, partial(load, f.name), pieces=partial(_pieces, f.name))
            for f in tree.fields
        ]
        parts += [_member_part(load, path) for path in _member_paths(load, tree.fields)]
        about = {
            f"description of {f.name}": f.description
            for f in tree.fields
            if f.description
        }
        return Group(name, "RNTuple", int(tree.num_entries), parts, about)
    branches = list(_leaf_branches(tree, ""))
    parts = [
        Part(b.name, partial(_values, b), _other_names(full), partial(_pieces, b.name))
        for full, b in branches
    ]
    return Group(name, "TTree", int(tree.num_entries), parts, _about(tree, branches))


def _member_paths(load: Any, fields: Any) -> Iterator[tuple[str, ...]]:
    """Members of records, which `ntuple["record.member"]` and RDataFrame give by their dotted
    names.
    """
    for field in fields:
        try:
            form = load(field.name).layout.form
        except Exception:
            continue
        yield from _inside(form, (field.name,))


def _inside(form: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if form.is_record:
        for name, inner in zip(form.fields, form.contents, strict=True):
            yield (*path, name)
            yield from _inside(inner, (*path, name))


def _member_part(load: Any, path: tuple[str, ...]) -> Part:
    def values() -> Any:
        found = load(path[0])
        for name in path[1:]:
            found = found[name]
        return found

    return Part(".".join(path), values, pieces=partial(_pieces, ".".join(path)))


def _other_names(full: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((full, full.replace("/", "."), full.rpartition("/")[2])))


def _leaf_branches(owner: Any, above: str) -> Iterator[tuple[str, Any]]:
    """Branches that hold values, by full path; those of one name each."""
    for branch in owner.branches:
        full = f"{above}/{branch.name}".strip("/")
        inner = list(branch.branches)
        yield from _leaf_branches(branch, full)
        if not inner or not isinstance(
            branch.interpretation, uproot.interpretation.grouped.AsGrouped
        ):
            yield full, branch


def _values(branch: Any) -> Any:
    """The branch's values as awkward arrays, or as objects where there is no such array."""
    if isinstance(branch.interpretation, Exception):
        raise branch.interpretation
    try:
        return branch.array(library="ak")
    except Exception:
        values = branch.array(library="np")
    if values.dtype.hasobject:
        return [_plain_object(item) for item in values]
    return values


def _ntuple_loader(ntuple: Any) -> Any:
    """Reads all fields in one call, since each call costs; field by field where that fails."""

    @cache
    def everything() -> Any:
        try:
            return ntuple.arrays()
        except Exception:
            return None

    def load(name: str) -> Any:
        arrays = everything()
        if arrays is not None and name in arrays.fields:
            return arrays[name]
        return ntuple.arrays(filter_name=lambda n: n.partition(".")[0] == name)[name]

    return load


def _pieces(name: str, values: Any) -> Iterator[Mapping[str, Any]]:
    """A branch of records as its members: `branch.member`, as ROOT says, or `branch_member`."""
    if isinstance(values, np.ndarray) and values.dtype.names is not None:
        for mark in (".", "_"):
            yield {f"{name}{mark}{field}": values[field] for field in values.dtype.names}
    elif is_awkward(values):
        for mark in (".", "_"):
            found = dict(_record_pieces(name, values, mark))
            if list(found) != [name]:
                yield found


def _record_pieces(name: str, values: Any, mark: str) -> Iterator[tuple[str, Any]]:
    layout = values.layout
    inner = layout.content if layout.is_list and not layout.is_regular else layout
    if inner.is_record and inner.fields:
        for field in inner.fields:
            yield from _record_pieces(f"{name}{mark}{field}", values[field], mark)
    else:
        yield name, values


def _about(tree: Any, branches: list[tuple[str, Any]]) -> dict[str, Any]:
    """Titles, aliases, names of friends and user information."""
    about: dict[str, Any] = {"title": str(tree.title)}
    for full, branch in branches:
        title = str(branch.title)
        if title and title != branch.name and not _LEAF_LIST.match(title):
            about[f"title of {full}"] = title
    for what, member in (
        ("aliases", "fAliases"),
        ("friends", "fFriends"),
        ("user info", "fUserInfo"),
    ):
        try:
            found = tree.member(member, none_if_missing=True)
            if found is not None and len(found):
                about[what] = _plain_object(found)
        except Exception:
            about[what] = "unreadable there"
    return about


def _members_of(directory: Any, key: str) -> Any:
    thing = directory[key]
    if "Unknown" in type(thing).__name__:
        raise TypeError(f"uproot reads nothing of {type(thing).__name__}")
    found = _plain_object(thing)
    if isinstance(found, dict):
        found.pop("fName", None)  # the key is its name in the file
    return found


def _plain_object(thing: Any, above: tuple[int, ...] = ()) -> Any:
    """Return an object as its class and members; a member that leads back to it is cut."""
    if id(thing) in above or len(above) > 40:
        return "(further up)"
    inside = (*above, id(thing))
    if isinstance(thing, uproot.model.Model):
        return _plain_model(thing, inside)
    if isinstance(thing, (list, tuple)) or type(thing).__name__ in (
        "STLVector",
        "STLSet",
    ):
        return [_plain_object(item, inside) for item in thing]
    if isinstance(thing, Mapping) or type(thing).__name__ == "STLMap":
        return {str(key): _plain_object(value, inside) for key, value in thing.items()}
    if isinstance(thing, np.ndarray) and thing.dtype.hasobject:
        return [_plain_object(item, inside) for item in thing]
    return plain(thing)


def _plain_model(thing: Any, inside: tuple[int, ...]) -> Any:
    if isinstance(thing, str):
        return str(thing)
    members = {
        name: _plain_object(value, inside)
        for name, value in thing.all_members.items()
        if name not in _UNSTABLE
    }
    # older versions lack some
    full = {
        name: value for name, value in members.items() if value not in (None, "", [], {})
    }
    held: dict[str, Any] = {"class": thing.classname, **full}
    if hasattr(thing, "_data"):
        held["data"] = _plain_object(thing._data, inside)
    if hasattr(thing, "_options"):
        held["options"] = _plain_object(list(thing._options), inside)
    return held


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
