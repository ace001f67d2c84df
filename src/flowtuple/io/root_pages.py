"""The pages of an RNTuple: elements of a column by their place in a cluster."""

from __future__ import annotations

from itertools import accumulate, pairwise
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
        self._cache: dict[tuple[int, ...], Array] = {}
        self._bytes = 0

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
        links = self._ntuple.page_link_list[cluster]
        records = self._ntuple.column_records
        stored = column
        if column < len(links) and links[column].suppressed:
            # a field may change its encoding: the column at the same place of another one
            field = [r for r in records if r.field_id == records[column].field_id]
            alike = [r.idx for r in field if r.repr_idx == records[column].repr_idx]
            others = [r.idx for r in field if not links[r.idx].suppressed]
            stored = others[alike.index(column)]
        pages = links[stored].pages if stored < len(links) else []
        ends = list(accumulate((page.num_elements for page in pages), initial=0))
        # a column that was added later begins with `missing` zeros, which no page has
        missing = 0
        if expected is not None and records[column].first_element_index:
            missing = max(0, expected - ends[-1])
        dtype = self._ntuple.get_field_metadata(stored).dtype_result
        pieces = [np.zeros(max(0, min(stop, missing) - start), dtype)]
        first, last = max(0, start - missing), max(0, stop - missing)
        if last > ends[-1]:
            where = f"column {column} has {ends[-1]} elements in cluster {cluster}"
            raise ValueError(f"{where}, not {last}")
        for page, (begin, end) in enumerate(pairwise(ends)):
            if begin < last and first < end:
                values = self._page(cluster, stored, page)
                pieces.append(values[max(0, first - begin) : last - begin])
        return np.concatenate(pieces)

    def _page(self, *key: int) -> Array:
        """Return a page by the numbers of its cluster, its column and itself."""
        values = self._cache.pop(key, None)
        if values is None:
            values = self._decoded(*key)
            self._bytes += values.nbytes
        self._cache[key] = values  # the last of the dict
        while self._bytes > CACHE and len(self._cache) > 1:
            self._bytes -= self._cache.pop(next(iter(self._cache))).nbytes
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
