"""Signals and closed streams: cleaning up, one line, and the exit code that a shell expects."""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from flowtuple.cli.lines import say

_ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_ESCAPED = "flowtuple.escaped"
_BASE = 128  # what a shell adds to the number of a signal


class Stopped(BaseException):
    """A signal to end this process; no `except Exception` on the way may go on instead."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stopping() -> Iterator[None]:
    """End a command by signal N as Ctrl-C does: remove its files, exit with 128 + N.

    Signals that somebody wants to be ignored, as `nohup` does, stay ignored.
    """
    # elsewhere Python allows no handlers
    here = threading.current_thread() is threading.main_thread()
    ours = [n for n in _ENDING if here and signal.getsignal(n) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _stop)
    try:
        yield
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        say(f"stopped by {name}; what was not complete is removed")
        sys.exit(_BASE + stopped.number)
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    """Unwind the stack, which removes temporary files; ignore a second signal meanwhile."""
    for other in _ENDING:
        if signal.getsignal(other) is _stop:
            signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


@contextmanager
def streams() -> Iterator[None]:
    """Run without a traceback if standard output or error is missing, closed or full."""
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPED)
    ours = sys.stdout, sys.stderr
    code: str | int | None = 0
    try:
        yield
    except BrokenPipeError:  # whoever reads has seen enough
        pass
    except SystemExit as ended:
        # typer and rich take a broken pipe for a failure
        code = 0 if isinstance(ended.__context__, BrokenPipeError) else ended.code
    finally:
        sys.stdout, sys.stderr = ours
    lost = undelivered(sys.stdout)
    if lost is not None and lost.errno != errno.EPIPE:
        say(f"standard output: cannot be written ({lost.strerror}); send it elsewhere")
        code = 2
    undelivered(sys.stderr)
    sys.exit(code)


def _escape(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write bytes of a file's name unchanged, and characters unknown to the terminal as escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


codecs.register_error(_ESCAPED, _escape)


def undelivered(stream: TextIO) -> OSError | None:
    """Flush a stream; if it fails, discard the rest, since Python would try again at the end."""
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
