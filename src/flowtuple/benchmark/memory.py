"""Peak memory of a piece of work, above the memory of the process before it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_meter() -> Callable[[], int]:
    """Start measuring, and return a function that returns the growth of the peak in bytes since.

    On Linux the kernel's high-water mark is set back first: `ru_maxrss` alone would hide a peak
    below an earlier one, and a new process inherits that of its parent.
    """
    with contextlib.suppress(OSError):
        _REFERENCES.write_text("5")
    before = _peak()

    def growth() -> int:
        return max(0, _peak() - before)

    return growth


def resident() -> int:
    """Return the resident bytes of the process; 0 where the system does not count them."""
    return status("VmRSS:") or 0


def _peak() -> int:
    peak = status("VmHWM:")
    if peak is not None:
        return peak
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def status(name: str) -> int | None:
    """Return a figure that the kernel counts in kB, in bytes."""
    with contextlib.suppress(OSError, StopIteration):
        line = next(
            line for line in _STATUS.read_text().splitlines() if line.startswith(name)
        )
        return int(line.split()[1]) * 1024
    return None
