"""Arguments of the library as options of the command line, in messages."""

from __future__ import annotations

import re

_ARGUMENT = re.compile(r"`(\w+)=`")
_FUNCTION = re.compile(r"`(\w+)\(\)`")
OPTIONS = {
    "cluster": "dask",
    "container": "as",
    "cuts": "cut",
    "n": "number",
    "transforms": "transform",
}
"""Options that are not called like the argument that they set."""


def as_options(message: str) -> str:
    """Return a message of the library with options and commands for arguments and functions.

    Example:
        >>> as_options("leave out `by_column=`, or train it with `train_flow()`")
        'leave out --by-column, or train it with flowtuple train-flow'
    """
    message = _ARGUMENT.sub(lambda match: f"--{_spelled(match[1])}", message)
    return _FUNCTION.sub(lambda match: f"flowtuple {_spelled(match[1])}", message)


def _spelled(name: str) -> str:
    return OPTIONS.get(name, name).replace("_", "-")
