"""The pages of an RNTuple: elements of a column by their place in a cluster."""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate
from typing import Any

import numpy as np
import xxhash

from flowtuple.data.schema import Array

CACHE = 1 << 27  # bytes of pages that stay in memory
_CHECKSUM = 8  # bytes behind a page


class Pages:
    """Elements of columns by pages; the last pages that were read stay in memory."""

    def __init__(self, ntuple: Any) -> None:
        self._ntuple = ntuple
        self._cache: OrderedDict[tuple[int, int, int], Array] = OrderedDict()
        self._bytes = 0
        self._ends: dict[tuple[int, int], list[int]] = {}

    def elements(
        self,
        cluster: int,
        column: int,
        start: int,
        stop: int,
        expected: int | None = None,
    ) -> Array:
        """Elements `start` to `stop` of a column within a cluster, as a new array.

        Args:
            cluster: The cluster's number.
            column: The column's number; another one takes its place where it is suppressed.
            start: First element.
            stop: Element after the last one.
            expected: Number of elements of the cluster, where that is known: a column that
                was added after the first events lacks some, which are zero.

        Raises:
            ValueError: The cluster has fewer.
        """
        stored = self._stored(cluster, column)
        ends = self._page_ends(cluster, stored)
        present = ends[-1] if ends else 0
        # a column that was added later begins with `missing` zeros, which no page has
        missing = 0
        if expected is not None and self._is_deferred(column):
            missing = max(0, expected - present)
        dtype = self._ntuple.get_field_metadata(stored).dtype_result
        pieces = [np.zeros(max(0, min(stop, missing) - start), dtype)]
        start, stop = max(0, start - missing), max(0, stop - missing)
        if stop > present:
            where = f"column {column} has {present} elements in cluster {cluster}"
            raise ValueError(f"{where}, not {stop}")
        first = int(np.searchsorted(ends, start, side="right"))
        for page in range(first, len(ends)):
            begin = ends[page - 1] if page else 0
            if begin >= stop:
                break
            pieces.append(
                self._page(cluster, stored, page)[max(0, start - begin) : stop - begin]
            )
        return np.concatenate(pieces)

    def _is_deferred(self, column: int) -> bool:
        return bool(self._ntuple.column_records[column].first_element_index)

    def _stored(self, cluster: int, column: int) -> int:
        """The column that stores the elements in this cluster: a field may change its encoding."""
        links = self._ntuple.page_link_list[cluster]
        if column >= len(links) or not links[column].suppressed:
            return column
        records = self._ntuple.column_records
        own = records[column]
        field = [r for r in records if r.field_id == own.field_id]
        place = sum(r.repr_idx == own.repr_idx and r.idx < column for r in field)
        stored = [r.idx for r in field if not links[r.idx].suppressed]
        return int(stored[place])

    def _page_ends(self, cluster: int, column: int) -> list[int]:
        key = (cluster, column)
        if key not in self._ends:
            links = self._ntuple.page_link_list[cluster]
            pages = links[column].pages if column < len(links) else []
            self._ends[key] = list(accumulate(page.num_elements for page in pages))
        return self._ends[key]

    def _page(self, cluster: int, column: int, page: int) -> Array:
        key = (cluster, column, page)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        values = self._decoded(cluster, column, page)
        self._cache[key] = values
        self._bytes += values.nbytes
        while self._bytes > CACHE and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return values

    def _decoded(self, cluster: int, column: int, page: int) -> Array:
        described = self._ntuple.page_link_list[cluster][column].pages[page]
        self._check(described)
        encoding = self._ntuple.get_field_metadata(column)
        values = np.empty(described.num_elements, encoding.dtype_result)
        self._ntuple.read_page(values, cluster, column, page, encoding)
        if encoding.dtype != encoding.dtype_result:
            values[:] = values.view(encoding.dtype)[: len(values)].copy()
        self._ntuple.post_process(values, encoding)
        return values

    def _check(self, described: Any) -> None:
        """Compare a page with its checksum, which uproot passes over.

        Raises:
            ValueError: They differ.
        """
        if not described.has_checksum:
            return
        start = described.locator.offset
        stop = start + described.locator.num_bytes
        content = bytes(self._ntuple.file.source.chunk(start, stop + _CHECKSUM).raw_data)
        stored = int.from_bytes(content[-_CHECKSUM:], "little")
        if xxhash.xxh3_64_intdigest(content[:-_CHECKSUM]) != stored:
            raise ValueError("the checksum of a page differs")
