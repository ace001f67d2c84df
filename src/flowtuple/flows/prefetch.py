"""Prefetch of one item: a thread makes the next one while the present one is used."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """An iterator whose next item is made in a thread.

    Items come in order, and an error comes in place of its item. The thread ends with the `with`.

    Attributes:
        waited: Seconds that the user has waited for items.

    Example:
        >>> with Prefetcher(n * n for n in range(3)) as squares:
        ...     list(squares)
        [0, 1, 4]
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.waited = 0.0
        self._items = iter(items)
        self._thread = ThreadPoolExecutor(1, "flowtuple-prefetch")
        self._next = self._thread.submit(self._make)

    def _make(self) -> list[Item]:
        """Return the next item, or an empty list at the end: a future carries no StopIteration."""
        for item in self._items:
            return [item]
        return []

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        begin = time.perf_counter()
        made = self._next.result()
        self.waited += time.perf_counter() - begin
        if not made:
            raise StopIteration
        self._next = self._thread.submit(self._make)
        return made[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
