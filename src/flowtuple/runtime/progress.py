"""How long work reports on itself, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float, str], None]
"""Called with the stage, the share of it that is done (0 to 1) and a detail such as the loss."""


def silent(stage: str, share: float, detail: str) -> None:
    """Listens to nothing."""
