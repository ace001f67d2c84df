"""HDF5 files as h5py alone sees them: every dataset, and every field of a compound one, by its
path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import h5py
import numpy as np

from independent.parts import Contents, Group, Part

_ROOT_TABLE = "events"
_LABELS = ("names", "columns")
_OWN = ("_carried",)


def read(path: str) -> Contents:
    """The datasets of a file; one that links make twice counts once."""
    parts: list[Part] = []
    about: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        about.update({f"attribute {key}": True for key in file.attrs})
        for name, thing in _things(file, "", set()):
            about.update({f"attribute {key} of {name}": True for key in thing.attrs})
            if isinstance(thing, h5py.Dataset) and not _is_label(thing):
                parts.extend(_parts(path, name, thing))
    return Contents([Group("", "HDF5", -1, parts, about)])


def _things(group: Any, above: str, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    for key in group:
        full = f"{above}/{key}".strip("/")
        if full in _OWN:
            continue
        try:
            thing = group[key]
        except (KeyError, OSError):  # a link that leads nowhere
            continue
        if thing in seen:
            continue
        seen.add(thing)
        yield full, thing
        if isinstance(thing, h5py.Group):
            yield from _things(thing, full, seen)


def _is_label(dataset: Any) -> bool:
    """Whether a dataset of texts names the columns of a matrix beside it; as names, these are
    compared there.
    """
    if dataset.name.rpartition("/")[2] not in _LABELS or dataset.ndim != 1:
        return False
    beside = [
        thing for thing in dataset.parent.values() if isinstance(thing, h5py.Dataset)
    ]
    return any(thing.ndim == 2 and thing.shape[1] == len(dataset) for thing in beside)


def _parts(path: str, name: str, dataset: Any) -> Iterator[Part]:
    if dataset.dtype.names is None:
        yield Part(
            name,
            partial(_values, path, name),
            _other_names(name),
            partial(_columns, path, name),
        )
        return
    for field in dataset.dtype.names:
        load = partial(_values, path, name, field)
        full = f"{name}/{field}"
        yield Part(full, load, _other_names(full), partial(_columns, path, full))


def _other_names(name: str) -> tuple[str, ...]:
    """At the root a table `events`; a dataset that is a table of its own, with itself as the
    column.
    """
    last = name.rpartition("/")[2]
    own = f"{name}/{last}"
    inside = () if "/" in name else (f"{_ROOT_TABLE}/{name}",)
    return (*inside, own)


def _values(path: str, name: str, field: str | None = None) -> Any:
    with h5py.File(path, "r") as file:
        dataset = file[name]
        kind = dataset.dtype if field is None else dataset.dtype[field]
        if h5py.check_ref_dtype(kind) is not None:
            raise TypeError("references are no values")
        values = dataset[()] if field is None else dataset.fields(field)[()]
    if h5py.check_string_dtype(kind) is not None or kind.kind == "S":
        return _texts(values)
    if isinstance(values, np.ndarray) and values.dtype.hasobject:
        return [np.asarray(item).tolist() for item in values.reshape(-1)]
    return np.asarray(values)


def _texts(values: Any) -> Any:
    """Texts as bytes without the zeros that a fixed length adds."""
    flat = np.asarray(values, dtype=object).reshape(-1)
    packed = [
        t if isinstance(t, bytes) else str(t).encode("utf-8", "surrogateescape")
        for t in flat
    ]
    return [text.rstrip(b"\0") for text in packed]


def _columns(path: str, name: str, values: Any) -> Iterator[Mapping[str, Any]]:
    """A matrix as its columns, named by a dataset or an attribute beside it, or numbered."""
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        return
    group = name.rpartition("/")[0]
    for labels in (_labels(path, name, group), [f"c{i}" for i in range(values.shape[1])]):
        if labels is not None and len(labels) == values.shape[1]:
            inside = group or _ROOT_TABLE
            for above in (inside, name):
                yield {f"{above}/{label}": values[:, i] for i, label in enumerate(labels)}


def _labels(path: str, name: str, group: str) -> list[str] | None:
    with h5py.File(path, "r") as file:
        place = file[group] if group else file
        for label in _LABELS:
            for holder in (place, file[name].attrs if name in file else {}, place.attrs):
                if label in holder:
                    found = holder[label]
                    texts = found[()] if isinstance(found, h5py.Dataset) else found
                    return [
                        t.decode() if isinstance(t, bytes) else str(t)
                        for t in np.ravel(texts)
                    ]
    return None
