"""Import of packages that come with an extra."""

from __future__ import annotations

import importlib
from typing import Any

from flowtuple.errors import MissingExtra

_TRAIN = ("torch", "zuko", "safetensors", "scipy")


def require(module: str, extra: str, purpose: str) -> Any:
    """Import a module of a package that the light core does not bring.

    Args:
        module: Its dotted name.
        extra: The extra of flowtuple that installs it.
        purpose: Subject of the message, such as `"drawing a report"`.

    Returns:
        The module.

    Raises:
        MissingExtra: It is not installed.

    Example:
        >>> require("no_such_package", "plots", "drawing a report")
        Traceback (most recent call last):
        flowtuple.errors.MissingExtra: drawing a report needs the extra 'plots': pip install ...
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(extra, purpose) from error


def require_torch(purpose: str) -> None:
    """Import the packages of the extra 'train' that flows over rows need.

    Raises:
        MissingExtra: One of them is not installed.
    """
    for module in _TRAIN:
        require(module, "train", purpose)
