"""An RNTuple as uproot describes it: its fields, and their values by ranges of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.io.location import is_of_system
from flowtuple.io.remote import RequestFailed
from flowtuple.io.root_branches import Branch
from flowtuple.io.root_forms import forms_within
from flowtuple.io.root_pages import Pages
from flowtuple.io.root_private import require
from flowtuple.io.root_types import types_of
from flowtuple.runtime.lazy_packages import awkward as ak

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
            except (RequestFailed, MemoryError):
                raise
            except Exception as error:
                # a field that fails is named, and the others are read
                kind = f"of type {field.typename}" if field.typename else "of this kind"
                reason = f"uproot cannot decode a field {kind}"
                if isinstance(error, NotImplementedError):
                    reason = (
                        f"uproot does not read fields that ROOT stores unsplit, {kind}"
                    )
            if reason:
                yield Branch(field.name, field.name, reason=reason)
            else:
                self._forms[field.name] = form
                yield Branch(field.name, field.name, field.description or "", form)

    def is_damaged(self, branch: str, start: int, stop: int) -> bool:
        """Return whether pages differ from their checksums, or cannot be decoded."""
        try:
            self.fetch([branch], start, stop)
        except (RequestFailed, MemoryError):
            raise
        except (RuntimeError, TypeError, AttributeError):  # uproot lacks the code for it
            return False
        except Exception as error:
            # nothing is known of damaged bytes, not even how they fail
            if is_of_system(error):
                raise
            return True
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
        parts = [ak.Array(form.length_zero_array(highlevel=False))]
        for number, cluster in enumerate(self._ntuple.cluster_summaries):
            first, total = cluster.num_first_entry, cluster.num_entries
            low, high = max(start, first) - first, min(stop, first + total) - first
            if low < high:
                buffers = self._buffers(form, number, low, high, total)
                parts.append(ak.from_buffers(form, high - low, buffers))
        return ak.concatenate(parts) if len(parts) > 2 else parts[-1]

    def _buffers(
        self, form: Any, cluster: int, start: int, stop: int, total: int | None
    ) -> dict[str, Array]:
        """Read elements of a form in a cluster, which has `total` of them outside of lists.

        Returns:
            The arrays under awkward's names for them.

        Raises:
            ValueError: The offsets of lists are not in order.
        """
        buffers: dict[str, Array] = {}
        if form.is_record:
            for inner in form.contents:
                buffers |= self._buffers(inner, cluster, start, stop, total)
            return buffers
        if form.is_regular:
            size = form.size
            every = None if total is None else total * size
            return self._buffers(form.content, cluster, start * size, stop * size, every)
        key, column = form.form_key, _column(form)
        if column is None:
            raise ValueError("lists without a column of offsets")
        if form.is_numpy and not key.endswith("-cardinality"):
            values = self._pages.elements(cluster, column, start, stop, total)
            return {f"{key}-data": values.astype(form.primitive, copy=False)}
        values = self._pages.elements(cluster, column, max(0, start - 1), stop, total)
        ends = values.astype(np.int64)
        offsets = ends if start else np.concatenate([np.zeros(1, np.int64), ends])
        if np.any(np.diff(offsets, prepend=0) < 0):
            raise ValueError("lists end before they begin")
        counts, begins = np.diff(offsets), offsets - offsets[0]
        if form.is_numpy:
            return {f"{key}-data": counts.astype(form.primitive)}
        if form.is_option:
            index = np.where(counts > 0, begins[:-1], -1)
            buffers[f"{key}-index"] = index.astype(f"int{form.index[1:]}")
        else:
            buffers[f"{key}-offsets"] = begins.astype(f"int{form.offsets[1:]}")
        return buffers | self._buffers(
            form.content, cluster, int(offsets[0]), int(offsets[-1]), None
        )


def _column(form: Any) -> int | None:
    """Return the number of the column that uproot's key of a form names."""
    kind, _, number = (form.form_key or "").partition("-")
    return int(number.partition("-")[0]) if kind == "column" else None
