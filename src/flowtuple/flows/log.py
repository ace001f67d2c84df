"""Log of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowtuple.runtime.extras import require


class TrainingLog:
    """Numbers by epoch, for TensorBoard; without a folder nothing is written.

    Raises:
        MissingExtra: The extra 'tensorboard' is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            purpose = "writing a log for TensorBoard"
            tensorboard = require("torch.utils.tensorboard", "tensorboard", purpose)
            self._writer = tensorboard.SummaryWriter(folder)

    def write(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers of an epoch."""
        if self._writer is not None:
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        """Write the rest and close the files."""
        if self._writer is not None:
            self._writer.close()
