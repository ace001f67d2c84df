"""Output line by line: results and JSON on standard output, messages on standard error."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any

from flowtuple.cli.arguments import as_options
from flowtuple.errors import visible


def write(*lines: object) -> None:
    """Print lines on standard output, with control characters as escapes."""
    for line in lines:
        sys.stdout.write(f"{visible(str(line))}\n")


def print_json(content: Any) -> None:
    """Print indented JSON on standard output; results may be anywhere in the content."""
    sys.stdout.write(json.dumps(content, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    return vars(value) if is_dataclass(value) else str(value)


def say(message: str) -> None:
    """Write a line on standard error, with options for arguments and visible characters."""
    with suppress(OSError):  # a lost message changes neither the work nor its exit code
        sys.stderr.write(f"flowtuple: {visible(as_options(message))}\n")


def warn(*messages: str) -> None:
    """Write warnings on standard error."""
    for message in messages:
        say(f"warning: {message}")


def note(*messages: str) -> None:
    """Write notes on standard error."""
    for message in messages:
        say(f"note: {message}")
