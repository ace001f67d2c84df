"""Options of the codecs that have any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flowtuple.runtime.progress import Progress, silent


@dataclass(frozen=True)
class Settings:
    """The options of all codecs.

    Attributes:
        effort: Effort of flowtuple's training.
        threads: Threads of a codec that can use several.
        unit: Unit of energies, for published methods: GeV or MeV.
        model: A compressed file whose flow flowtuple takes instead of training one.
        progress: Called with each stage of flowtuple.
    """

    effort: str = "default"
    threads: int = 1
    unit: str = "GeV"
    model: Path | None = None
    progress: Progress = silent
