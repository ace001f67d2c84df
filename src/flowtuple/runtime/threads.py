"""An ordered map over chunks, serial or in threads, with a bounded number of results waiting."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Results in the order of the items, at most two items per worker ahead of what was taken.

    Example:
        >>> list(ordered_map(abs, [-1, 2, -3], workers=2))
        [1, 2, 3]
    """
    count = default_workers() if workers is None else workers
    if count <= 1:
        for item in items:  # not map: a StopIteration of the function must not end it in silence
            yield function(item)
        return
    pool = ThreadPoolExecutor(count)
    try:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except (Exception, GeneratorExit):
        pool.shutdown(cancel_futures=True)
        raise
    except (
        BaseException
    ):  # a signal: whoever called has files to remove, and does not wait for what threads are at
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
