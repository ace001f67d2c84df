"""The processes that train one flow together, as torchrun tells each of them; without PyTorch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flowtuple.errors import InvalidArgument

_TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Process:
    """One of the processes of a training.

    Attributes:
        rank: Its number, from 0; the first one judges by physics and writes.
        size: How many there are.
        local_rank: Its number on its machine.

    Example:
        >>> [Process(rank, 3).share(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def here(cls) -> Process:
        """This one, out of what torchrun put into the environment; the only one without that.

        Raises:
            InvalidArgument: The environment holds other than whole numbers there.
        """
        if not all(name in os.environ for name in _TOLD):
            return cls()
        try:
            return cls(
                int(os.environ["RANK"]),
                int(os.environ["WORLD_SIZE"]),
                int(os.environ.get("LOCAL_RANK", "0")),
            )
        except ValueError:
            raise InvalidArgument(
                "RANK, WORLD_SIZE or LOCAL_RANK is no whole number; start with torchrun, or unset them"
            ) from None

    @property
    def is_main(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Its part of so many rows; the parts of all are every row once."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)
