"""An RNTuple as uproot describes it: its fields, and their values by ranges of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_forms import forms_within
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


class NTupleAccess:
    """Access to the fields of an RNTuple."""

    def __init__(self, ntuple: Any) -> None:
        require(ntuple, *_NEEDED)
        self._ntuple = ntuple
        self.num_entries = int(ntuple.num_entries)
        self._pages = Pages(ntuple)
        self._forms: dict[str, Any] = {}

    def fetch(self, branches: Sequence[str], start: int, stop: int) -> Mapping[str, Any]:
        """Return events `start` to `stop` of the fields."""
        return {name: self._array(self._forms[name], start, stop) for name in branches}

    def branches(self) -> Iterator[Branch]:
        """Yield every field, in order."""
        keys = [_Everything()]
        for field in self._ntuple.fields:
            form = None
            try:
                form = self._ntuple.field_form(field.field_id, keys)
                reason = self._reason(form)
            except MemoryError:
                raise
            except Exception as error:  # a field that fails is named, and the others are read
                kind = f"of type {field.typename}" if field.typename else "of this kind"
                reason = f"uproot cannot decode a field {kind}"
                if isinstance(error, NotImplementedError):
                    reason = f"uproot does not read fields that ROOT stores unsplit, {kind}"
            if reason:
                yield Branch(field.name, field.name, reason=reason)
            else:
                self._forms[field.name] = form
                yield Branch(field.name, field.name, field.description or "", form)

    def is_damaged(self, branch: str, start: int, stop: int) -> bool:
        """Return whether pages differ from their checksums, or cannot be decoded."""
        try:
            self._array(self._forms[branch], start, stop)
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

    def _reason(self, form: Any) -> str:
        """Return the reason why no column holds a kind of field, before anything is read.

        Raises:
            LookupError: uproot does not know how a column is encoded.
        """
        for part in forms_within(form):
            if part.is_union:
                what = "it holds a variant (std::variant)"
                return f"{what}, and no column holds values of several types"
            if part.is_record and not part.fields:
                return "it holds a struct without members"
            column = _column(part)
            if column is not None:
                self._ntuple.get_field_metadata(column)
        return ""

    def _array(self, form: Any, start: int, stop: int) -> ak.Array:
        """Return the events of a range, from the clusters that hold them."""
        parts = [form.length_zero_array(highlevel=False)]
        for number, cluster in enumerate(self._ntuple.cluster_summaries):
            first, total = cluster.num_first_entry, cluster.num_entries
            low, high = max(start, first) - first, min(stop, first + total) - first
            if low < high:
                parts.append(self._content(form, number, low, high, total))
        return ak.concatenate(parts) if len(parts) > 2 else ak.Array(parts[-1])

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
        if column is None:
            raise ValueError("lists without a column of offsets")
        if form.is_numpy and not form.form_key.endswith("-cardinality"):
            values = self._pages.elements(cluster, column, start, stop, total)
            return ak.contents.NumpyArray(values, parameters=form.parameters)
        offsets = self._offsets(cluster, column, start, stop, total)
        counts = np.diff(offsets)
        if form.is_numpy:
            dtype = ak.types.numpytype.primitive_to_dtype(form.primitive)
            return ak.contents.NumpyArray(counts.astype(dtype), parameters=form.parameters)
        inner = self._content(form.content, cluster, int(offsets[0]), int(offsets[-1]), None)
        begins = offsets - offsets[0]
        if form.is_option:
            index = ak.index.Index64(np.where(counts > 0, begins[:-1], -1))
            return ak.contents.IndexedOptionArray(index, inner, parameters=form.parameters)
        offsets = ak.index.Index64(begins)
        return ak.contents.ListOffsetArray(offsets, inner, parameters=form.parameters)

    def _offsets(
        self, cluster: int, column: int, start: int, stop: int, total: int | None
    ) -> Array:
        """Return the offsets of the lists among all elements of the cluster: int64."""
        before = max(0, start - 1)
        ends = self._pages.elements(cluster, column, before, stop, total).astype(np.int64)
        offsets = ends if start else np.concatenate([np.zeros(1, np.int64), ends])
        if np.any(np.diff(offsets, prepend=0) < 0):
            raise ValueError("lists end before they begin")
        return offsets


def _column(form: Any) -> int | None:
    """Return the number of the column that uproot's key of a form names."""
    kind, _, number = (form.form_key or "").partition("-")
    return int(number.partition("-")[0]) if kind == "column" else None
