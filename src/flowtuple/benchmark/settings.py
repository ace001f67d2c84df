"""What codecs are told beside the events and their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flowtuple.runtime.progress import Progress, silent


@dataclass(frozen=True)
class Settings:
    """The options of codecs that have any.

    Attributes:
        effort: Of flowtuple's training.
        threads: That a codec may use where it can use several.
        unit: Of energies, for reference methods: GeV or MeV.
        model: A compressed file whose flow flowtuple takes instead of training one.
        progress: Told of flowtuple's stages.
    """

    effort: str = "default"
    threads: int = 1
    unit: str = "GeV"
    model: Path | None = None
    progress: Progress = silent
