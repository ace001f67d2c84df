"""Description of the machine of a measurement, for those who repeat it."""

from __future__ import annotations

import contextlib
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from flowtuple.runtime.threads import default_workers

PACKAGES = (
    "flowtuple",
    "numpy",
    "numba",
    "torch",
    "zuko",
    "uproot",
    "pcodec",
    "zstandard",
    "blosc2",
    "pysz",
    "zfpy",
    "baler-compressor",
)


def machine() -> dict[str, Any]:
    """Return date, processor, usable cores, memory in bytes, system, Python and package versions.

    Example:
        >>> machine()["cores"] >= 1
        True
    """
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": default_workers(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": _versions(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.partition(":")[2].strip()
            for line in lines
            if line.startswith("model name")
        )
    return platform.processor() or "unknown"


def _memory() -> int | None:
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
