"""One item ahead: a thread makes the next one while this one is used, and the time spent waiting for it is known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """An iterator whose items a thread of its own makes, each while the one before is used.

    Items come in their order and an error of the maker comes where its item would; leaving the `with` ends the thread.

    Attributes:
        waited: Seconds that its user has spent waiting for items.

    Example:
        >>> with Prefetcher(n * n for n in range(3)) as squares:
        ...     list(squares)
        [0, 1, 4]
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.waited = 0.0
        self._items = iter(items)
        self._thread = ThreadPoolExecutor(1, "flowtuple-ahead")
        self._next = self._thread.submit(self._make)

    def _make(self) -> list[Item]:
        """The next item, or none; no future carries a StopIteration."""
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
