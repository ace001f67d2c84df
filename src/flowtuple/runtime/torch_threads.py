"""The number of PyTorch's own threads: it decides the last bits of sums and products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use this number of threads until the `with` ends."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class SingleTorchThread:
    """One PyTorch thread while any thread of this process is inside the context.

    The first one in sets the number, and the last one out restores it. Threads that begin in
    between start with one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = 1

    def __enter__(self) -> None:
        import torch

        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        import torch

        with self._lock:
            self._users -= 1
            if not self._users:
                torch.set_num_threads(self._before)
