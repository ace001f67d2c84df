"""What a measurement ran on, for whoever repeats it."""

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
    """Day, processor, cores that this process may use, memory in bytes, Python, system and versions of packages.

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
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    return platform.processor() or "unknown"


def _memory() -> int | None:
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
