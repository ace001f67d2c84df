"""One step in a process of its own: with an end to its time and memory, and an account of both."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_PAUSE = 0.02
_RAISED = re.compile(
    r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Warning|Exit|Missing|Unsupported|Corrupt)\w*(:|$)"
)
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Limits:
    """Limits of one command.

    Attributes:
        seconds: Of wall time.
        memory: Bytes of address space; 0 for no limit.
    """

    seconds: float = 60.0
    memory: int = 8 << 30


@dataclass(frozen=True)
class Ran:
    """Outcome of a command.

    Attributes:
        code: Exit code; negative for a signal.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
        seconds: Wall time.
        processor: Seconds of processor time, which do not grow on a busy machine.
        peak: Largest resident memory in bytes, that of this program at its start included.
        late: It was stopped because its time was over.
    """

    code: int
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    processor: float = 0.0
    peak: int = 0
    late: bool = False

    def has_crashed(self, allowed: tuple[int, ...] = (0, 2)) -> bool:
        """Whether it ended in any way but one of these exit codes, or with a traceback."""
        return not self.late and (self.code not in allowed or _TRACEBACK in self.err)

    @property
    def message(self) -> str:
        """The line of standard error that says what is wrong: that of the exception after a
        traceback, else the last.
        """
        lines = [line.rstrip() for line in self.err.splitlines() if line.strip()]
        raised = (
            [line for line in lines if _RAISED.match(line)]
            if _TRACEBACK in self.err
            else []
        )
        return (raised or lines or [""])[-1].strip()


class Runner(Protocol):
    """Anything that runs flowtuple with arguments."""

    def __call__(self, arguments: list[str], limits: Limits, folder: Path) -> Ran:
        """Run a command; `folder` is for what it writes to its standard streams."""
        ...


def run_flowtuple(arguments: list[str], limits: Limits, folder: Path) -> Ran:
    """A command of flowtuple in a fork of this process, where it is imported once."""
    from flowtuple.cli import main

    def command() -> None:
        sys.argv = ["flowtuple", *arguments]
        main()

    return run_forked(command, limits, folder)


def run_forked(work: Callable[[], None], limits: Limits, folder: Path) -> Ran:
    """Some work in a fork of this process."""
    streams = folder / "stdout", folder / "stderr"
    start = time.monotonic()
    with warnings.catch_warnings():
        # threads of NumPy's algebra do nothing meanwhile
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _become(work, limits, streams)
    status, usage, late = _wait(child, start + limits.seconds)
    code = os.waitstatus_to_exitcode(status)
    out, err = (stream.read_text("utf-8", "replace") for stream in streams)
    peak = usage.ru_maxrss * 1024
    processor = usage.ru_utime + usage.ru_stime
    return Ran(code, out, err, time.monotonic() - start, processor, peak, late)


def _wait(child: int, end: float) -> tuple[int, resource.struct_rusage, bool]:
    late = False
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return status, usage, late
        if time.monotonic() > end and not late:
            late = True
            _stop(child)
        time.sleep(_PAUSE)


def _stop(child: int) -> None:
    """End the child and what it started."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)


def _become(work: Callable[[], None], limits: Limits, streams: tuple[Path, Path]) -> None:
    """In the child: set limits and streams, do the work, and end; this never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        for number, stream in enumerate(streams, 1):
            handle = os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(handle, number)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (open until the end)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if limits.memory:
            resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for written in (sys.stdout, sys.stderr):
            try:
                written.flush()
            except (OSError, ValueError):
                code = code or 1
        os._exit(code)
