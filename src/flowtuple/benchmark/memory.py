"""How much memory a piece of work takes at its peak, above what the process held before it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_meter() -> Callable[[], int]:
    """Start measuring; the function returned gives the growth of the peak in bytes since.

    On Linux the kernel's high-water mark is set back first: `ru_maxrss` alone would hide what stays below an earlier
    peak, and a new process inherits its parent's.
    """
    with contextlib.suppress(OSError):
        _REFERENCES.write_text("5")
    before = _peak()

    def growth() -> int:
        return max(0, _peak() - before)

    return growth


def resident() -> int:
    """Bytes of memory that the process holds; 0 where the system does not say."""
    return _status("VmRSS:") or 0


def _peak() -> int:
    peak = _status("VmHWM:")
    if peak is not None:
        return peak
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _status(name: str) -> int | None:
    """A figure that the kernel keeps in kB, in bytes."""
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024
    return None
