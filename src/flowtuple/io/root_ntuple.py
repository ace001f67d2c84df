"""An RNTuple as uproot describes it: its fields, and their values by ranges of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_objects import DAMAGE
from flowtuple.io.root_pages import Pages
from flowtuple.io.root_private import require
from flowtuple.io.root_types import types_of

_NEEDED = (
    "cluster_summaries",
    "column_records",
    "field_form",
    "field_records",
    "get_field_metadata",
    "page_link_list",
    "post_process",
    "read_page",
)


class _Everything(str):
    """A key that begins like every field, since uproot compares each field with all keys."""

    __slots__ = ()

    def startswith(self, *_: Any) -> bool:
        return True


class _UncarriedError(Exception):
    """A kind of field that no column holds; the message names the kind."""


class NTupleAccess:
    """Access to the fields of an RNTuple."""

    def __init__(self, ntuple: Any) -> None:
        require(ntuple, *_NEEDED)
        self._ntuple = ntuple
        self.num_entries = int(ntuple.num_entries)
        self._pages = Pages(ntuple)
        self._forms: dict[str, Any] = {}

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        spans = list(self._spans(start, stop))
        return {name: self._array(self._forms[name], spans) for name in branches}

    def branches(self) -> Iterator[Branch]:
        keys = [_Everything()]
        for field in self._ntuple.fields:
            try:
                form = self._ntuple.field_form(field.field_id, keys)
                self._check(form)
            except _UncarriedError as error:
                yield Branch(field.name, field.name, reason=str(error))
            except MemoryError:
                raise
            except Exception as error:  # a field that fails is named, and the others are read
                yield Branch(field.name, field.name, reason=_why(error, field))
            else:
                self._forms[field.name] = form
                yield Branch(field.name, field.name, field.description or "", form)

    def is_damaged(self, branch: str, start: int, stop: int) -> bool:
        """Return whether pages differ from their checksums, or cannot be decoded."""
        try:
            self._array(self._forms[branch], list(self._spans(start, stop)))
        except DAMAGE:
            return True
        except MemoryError:
            raise
        except Exception:  # uproot lacks the code for it
            return False
        return False

    def description(self) -> dict[str, Any]:
        title = str(self._ntuple.header.ntuple_description or "")
        notes = {"title": title, "types": types_of(self._ntuple, self._forms)}
        return {"kind": "rntuple"} | {key: note for key, note in notes.items() if note}

    def _check(self, form: Any) -> None:
        """Refuse what cannot be carried, before anything is read.

        Raises:
            _UncarriedError: It is a variant, or a struct without members.
            LookupError: uproot does not know how a column is encoded.
        """
        if form.is_union:
            what = "it holds a variant (std::variant)"
            raise _UncarriedError(f"{what}, and no column holds values of several types")
        if form.is_record:
            if not form.fields:
                raise _UncarriedError("it holds a struct without members")
            for inner in form.contents:
                self._check(inner)
            return
        column = _column(form)
        if column is not None:
            self._ntuple.get_field_metadata(column)
        if form.is_list or form.is_option:
            self._check(form.content)

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield number, first and last event, and events, of clusters with events of a range."""
        for number, cluster in enumerate(self._ntuple.cluster_summaries):
            first = cluster.num_first_entry
            low, high = max(start, first), min(stop, first + cluster.num_entries)
            if low < high:
                yield number, low - first, high - first, cluster.num_entries

    def _array(self, form: Any, spans: Sequence[tuple[int, int, int, int]]) -> ak.Array:
        parts = [ak.Array(self._content(form, *span)) for span in spans]
        if not parts:
            return ak.Array(form.length_zero_array(highlevel=False))
        return parts[0] if len(parts) == 1 else ak.concatenate(parts)

    def _content(
        self, form: Any, cluster: int, start: int, stop: int, total: int | None
    ) -> Any:
        """Return elements of a form in a cluster, which has `total` of them outside of lists."""
        if form.is_record:
            events = (cluster, start, stop, total)
            contents = [self._content(inner, *events) for inner in form.contents]
            names = None if form.is_tuple else form.fields
            return ak.contents.RecordArray(contents, names, length=stop - start)
        if form.is_regular:
            size = form.size
            every = None if total is None else total * size
            inner = self._content(form.content, cluster, start * size, stop * size, every)
            return ak.contents.RegularArray(
                inner, size, stop - start, parameters=form.parameters
            )
        column = _column(form)
        if (
            form.is_numpy
            and column is not None
            and not form.form_key.endswith("-cardinality")
        ):
            values = self._pages.elements(cluster, column, start, stop, total)
            return ak.contents.NumpyArray(values, parameters=form.parameters)
        offsets = self._offsets(cluster, column, start, stop, total)
        if form.is_numpy:
            dtype = ak.types.numpytype.primitive_to_dtype(form.primitive)
            counts = np.diff(offsets).astype(dtype)
            return ak.contents.NumpyArray(counts, parameters=form.parameters)
        inner = self._content(form.content, cluster, int(offsets[0]), int(offsets[-1]), None)
        if form.is_option:
            index = _index(offsets)
            return ak.contents.IndexedOptionArray(index, inner, parameters=form.parameters)
        begins = ak.index.Index64(offsets - offsets[0])
        return ak.contents.ListOffsetArray(begins, inner, parameters=form.parameters)

    def _offsets(
        self, cluster: int, column: int | None, start: int, stop: int, total: int | None
    ) -> Array:
        """Return the offsets of the lists among all elements of the cluster: int64.

        Raises:
            ValueError: The column is none of offsets.
        """
        if column is None:
            raise ValueError("lists without a column of offsets")
        before = max(0, start - 1)
        ends = self._pages.elements(cluster, column, before, stop, total).astype(np.int64)
        offsets = ends if start else np.concatenate([np.zeros(1, np.int64), ends])
        if np.any(np.diff(offsets) < 0) or (len(offsets) and offsets[0] < 0):
            raise ValueError("lists end before they begin")
        return offsets


def _column(form: Any) -> int | None:
    """Return the number of the column that uproot's key of a form names."""
    key = (form.form_key or "").removesuffix("-optional").removesuffix("-cardinality")
    kind, _, number = key.partition("-")
    return int(number) if kind == "column" else None


def _index(offsets: Array) -> Any:
    """Return the place of the element of each list that has one, -1 for empty lists."""
    is_there = np.diff(offsets) > 0
    return ak.index.Index64(np.where(is_there, offsets[:-1] - offsets[0], -1))


def _why(error: Exception, field: Any) -> str:
    kind = f"of type {field.typename}" if field.typename else "of this kind"
    if isinstance(error, NotImplementedError):
        return f"uproot does not read fields that ROOT stores unsplit, {kind}"
    return f"uproot cannot decode a field {kind}"
