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
    """Return the number of cores that this process may use."""
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yield results in the order of the items, at most two items per worker ahead of the last one.

    Args:
        function: Called with each item, in threads where there are several workers.
        items: Items, taken one by one.
        workers: Number of threads; `None` for one per core, 1 for none.

    Example:
        >>> list(ordered_map(abs, [-1, 2, -3], workers=2))
        [1, 2, 3]
    """
    count = default_workers() if workers is None else workers
    if count <= 1:
        for item in items:
            # not map, which a StopIteration of the function would end in silence
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
    except BaseException:
        # a signal: the caller has files to remove and does not wait for the threads
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
