"""The processes that train one flow together, from torchrun's environment; without PyTorch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flowtuple.errors import InvalidArgument

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Process:
    """One of the processes of a training.

    Attributes:
        rank: Its number, from 0.
        size: Number of processes.
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
        """Return this process as torchrun describes it, or the only one without torchrun.

        Raises:
            InvalidArgument: A variable of the environment is not a whole number.
        """
        environment = os.environ
        if not all(name in environment for name in _VARIABLES):
            return cls()
        try:
            return cls(
                int(environment["RANK"]),
                int(environment["WORLD_SIZE"]),
                int(environment.get("LOCAL_RANK", "0")),
            )
        except ValueError:
            raise InvalidArgument(
                "RANK, WORLD_SIZE or LOCAL_RANK is no whole number; "
                "start with torchrun, or unset them"
            ) from None

    @property
    def is_main(self) -> bool:
        """True for the process that reports and writes."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return this process's part of so many rows; the parts cover every row once."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)
