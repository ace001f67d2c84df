"""Progress of long work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float, str], None]
"""Callback: name of the stage, its share done (0 to 1), and a detail such as the loss."""


def silent(stage: str, share: float, detail: str) -> None:
    """Ignore progress."""


def losses(progress: Progress, stage: str) -> Callable[[float, float], None]:
    """Return a callback for the share of a training that is done, and its held-out loss."""
    return lambda share, loss: progress(stage, share, f"held-out loss {loss:.4f} per row")
