"""Resources of one piece of work: threads, memory, progress and checkpoints."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flowtuple.data.memory import MEMORY
from flowtuple.runtime.progress import Progress, silent


@dataclass(frozen=True)
class Resources:
    """Resources of one piece of work, which do not change its results.

    Attributes:
        workers: Number of threads; `None` for one per core.
        memory: Memory limit in bytes. A long input is read, coded and learned in parts.
        progress: Called with the stage, its finished share (0 to 1) and a detail.
        checkpoint: Folder for finished parts of a training; a second run resumes from them.

    Example:
        >>> import flowtuple as ft
        >>> events = {"x": [1.0, 2.0]}
        >>> ft.snap(events, resources=ft.Resources(workers=1, memory=10**9))["x"].tolist()
        [1.0, 2.0]
    """

    workers: int | None = None
    memory: int = MEMORY
    progress: Progress = silent
    checkpoint: str | os.PathLike[str] | None = None

    @property
    def folder(self) -> Path | None:
        """The checkpoint folder as a path."""
        return None if self.checkpoint is None else Path(self.checkpoint)
