"""Baskets of a TTree that uproot decodes wrongly, decoded here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.schema import Array


def counted_lists(branch: Any, start: int, stop: int) -> Any:
    """Return lists from baskets without offsets, whose lengths are in their counter.

    uproot takes the counter's basket of the same number, which may hold other events.

    Args:
        branch: A branch of lists of numbers, or of fixed arrays, with a counter.
        start: First event.
        stop: Event after the last one.

    Raises:
        ValueError: A basket does not hold as many values as the counter says.
    """
    content = branch.interpretation.content
    inner = content.from_dtype.shape
    pieces: list[Array] = [np.zeros((0, *inner), content.to_dtype.base)]
    for first, low, high, basket in _baskets(branch, start, stop):
        counts = _counts(branch, first, first + basket.num_entries)
        ends = np.concatenate([[0], np.cumsum(counts)])
        values = basket.data.view(content.from_dtype.base).reshape(-1, *inner)
        if ends[-1] != len(values):
            raise ValueError(f"a basket holds {len(values)} values, not {ends[-1]}")
        pieces.append(values[ends[low] : ends[high]].astype(content.to_dtype.base))
    return ak.unflatten(np.concatenate(pieces), _counts(branch, start, stop))


def c_strings(branch: Any, start: int, stop: int) -> Any:
    """Return strings of a C array; ROOT writes nothing for an empty one.

    Args:
        branch: A branch with a leaf of type `/C`.
        start: First event.
        stop: Event after the last one.

    Raises:
        ValueError: A string is longer than its bytes.
    """
    pieces = [_strings(np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for _, low, high, basket in _baskets(branch, start, stop):
        offsets = np.asarray(basket.byte_offsets, np.int64)
        begin, end = offsets[low:high], offsets[low + 1 : high + 1]
        data = np.asarray(basket.data, np.uint8)
        is_there = end > begin
        length = np.zeros(len(begin), np.int64)
        length[is_there] = np.where(data[begin[is_there]] == 255, 5, 1)
        if np.any(begin + length > end):
            raise ValueError("a string is longer than its bytes")
        pieces.append(_strings(data, begin + length, end))
    return ak.concatenate(pieces)


def _strings(data: Array, begin: Array, end: Array) -> Any:
    characters = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
    begins, ends = ak.index.Index64(begin), ak.index.Index64(end)
    text = ak.contents.ListArray(begins, ends, characters, parameters={"__array__": "string"})
    return ak.to_packed(ak.Array(text))


def _baskets(branch: Any, start: int, stop: int) -> Iterator[tuple[int, int, int, Any]]:
    """Yield first event, the range counted from there, and basket, for baskets of a range."""
    for number, (first, last) in enumerate(pairwise(branch.entry_offsets)):
        if first < stop and start < last:
            yield (
                first,
                max(start, first) - first,
                min(stop, last) - first,
                branch.basket(number),
            )


def _counts(branch: Any, start: int, stop: int) -> Array:
    counter = branch.count_branch
    counts = counter.array(entry_start=start, entry_stop=stop, library="np", array_cache=None)
    return np.asarray(counts, np.int64)
