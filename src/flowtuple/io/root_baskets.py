"""Baskets of a TTree that uproot decodes wrongly, decoded here."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from flowtuple.runtime.lazy_packages import awkward as ak


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
    content, counter = branch.interpretation.content, branch.count_branch
    stored, dtype = content.from_dtype, content.to_dtype.base
    parts = [ak.unflatten(np.zeros((0, *stored.shape), dtype), np.zeros(0, np.int64))]
    for first, low, high, basket in _baskets(branch, start, stop):
        events = {"entry_start": first, "entry_stop": first + basket.num_entries}
        counts = counter.array(library="np", array_cache=None, **events)
        values = basket.data.view(stored.base).reshape(-1, *stored.shape)
        if counts.sum() != len(values):
            raise ValueError(f"a basket holds {len(values)} values, not {counts.sum()}")
        parts.append(ak.unflatten(values.astype(dtype), counts)[low:high])
    return ak.to_packed(ak.concatenate(parts))


def c_strings(branch: Any, start: int, stop: int) -> Any:
    """Return strings of a C array; ROOT writes nothing for an empty one.

    Args:
        branch: A branch with a leaf of type `/C`.
        start: First event.
        stop: Event after the last one.

    Raises:
        ValueError: A string is longer than its bytes.
    """
    parts = [ak.Array([""])[:0]]
    for _, low, high, basket in _baskets(branch, start, stop):
        data = np.asarray(basket.data, np.uint8)
        offsets = np.asarray(basket.byte_offsets, np.int64)[low : high + 1]
        begin, end = offsets[:-1], offsets[1:]
        # the length is in a byte, or in four behind 255
        begin = begin + (end > begin) * np.where(np.append(data, 0)[begin] == 255, 5, 1)
        if np.any(begin > end):
            raise ValueError("a string is longer than its bytes")
        characters = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
        places = ak.index.Index64(begin), ak.index.Index64(end)
        string = {"__array__": "string"}
        parts.append(
            ak.Array(ak.contents.ListArray(*places, characters, parameters=string))
        )
    return ak.to_packed(ak.concatenate(parts))


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
