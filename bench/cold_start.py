"""The cost of a start: processor time of fresh processes, in units of `import numpy`."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from commands import Script, show_header, show_row

import flowtuple as ft

_NUMPY = ("-c", "import numpy")
_COMMAND = ("-m", "flowtuple")
script = Script(__doc__)


@script.command("source", bound="std:2.88e-3", effort="default", repeat=9)
def starts(a: argparse.Namespace) -> None:
    """Measure what starts, in fresh processes of this interpreter.

    SOURCE is compressed first. Each command runs once unmeasured, which stores machine code, then
    --repeat times, each after a run of `import numpy`. The time is user and system time of all
    threads, by the operating system; medians are printed, and the median of the ratios to the run
    before.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, output = str(Path(folder, "events.ftup")), str(Path(folder, "events.npz"))
        ft.compress(a.source, path, tolerance=a.bound, effort=a.effort)
        rows = {
            "`flowtuple --version`": (*_COMMAND, "--version"),
            "`flowtuple --help`": (*_COMMAND, "--help"),
            "`import flowtuple`": ("-c", "import flowtuple"),
            "`flowtuple info`": (*_COMMAND, "info", path),
            "`flowtuple decompress -o events.npz`": (
                *_COMMAND,
                "decompress",
                path,
                "-o",
                output,
            ),
        }
        print(f"The file: {Path(path).stat().st_size} bytes.\n")
        show_header("start", "s", "numpy, s", "ratio")
        for name, command in rows.items():
            _processor_time(command)
            pairs = [
                (_processor_time(_NUMPY), _processor_time(command))
                for _ in range(a.repeat)
            ]
            numpy, own = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(t / unit for unit, t in pairs)
            show_row(name, f"{own:.3f}", f"{numpy:.3f}", f"{ratio:.1f}")


def _processor_time(arguments: Sequence[str]) -> float:
    """Return the user and system time of a new interpreter, in seconds."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    script.main()
