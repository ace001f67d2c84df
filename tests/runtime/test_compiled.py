"""Compiled functions are stored on disk where a folder can be written, and work where none can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import flowtuple.codec.coder, flowtuple.model.draw, flowtuple.lattice.network
from flowtuple.runtime.compiled import compiled

@compiled(fastmath={"contract"})
def double(x):
    return 2 * x

print(double(21), type(double.dispatcher._cache).__name__)
"""
NOWHERE = "/proc/nowhere"  # not even the superuser makes a folder there


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="needs a place in which nobody makes folders"
)
@pytest.mark.parametrize("is_writable", [True, False])
def test_machine_code_is_stored_where_it_can_be(
    tmp_path: Path, is_writable: bool
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    home = str(tmp_path) if is_writable else NOWHERE
    environment = {
        name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"
    }
    environment |= {
        "HOME": home,
        "XDG_CACHE_HOME": home,
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserWideCacheLocator",
    }
    command = [sys.executable, "-W", "error", str(tmp_path / "script.py")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["42", "FunctionCache" if is_writable else "NullCache"]
