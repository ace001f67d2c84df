"""Commands of flowtuple in the process of the tests: packages are imported once for all of them."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

from flowtuple import cli


def run_here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one command and return its exit code and what it wrote, as a process of its own would."""
    out, err, code, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = ["flowtuple", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
