"""Shared by all tests: one hypothesis profile, one environment, and the larger samples where they
are present.

Training gives other models on other processors. A comment such as `0.02 +- 0.004, 13 models` next
to a threshold gives mean and standard deviation of what is judged: over nine seeds of the training,
and seed 0 once more on one thread and with the kernels of PyTorch, MKL, OpenBLAS, NumPy and Numba
limited to SSE4.2, to AVX2 and to AVX-512. Seeds make nearly all of the difference. Thresholds are
four standard deviations away or more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Variables of the machine or its batch system that change what the commands print or how they
# train.
TERMINAL = (
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "PY_COLORS",
    "GITHUB_ACTIONS",
    "NO_COLOR",
    "COLUMNS",
    "LINES",
    "TERM",
)
PROCESSES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)
for name in (*TERMINAL, *PROCESSES):
    os.environ.pop(name, None)
for name in ("no_proxy", "NO_PROXY"):
    os.environ[name] = "127.0.0.1,localhost"  # servers of the tests

settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


collect_ignore = ["golden/previous"]  # made by code of the version before


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of larger samples that lies beside the repository; tests that need it skip without
    it.
    """
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the larger samples are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """A client of a cluster of Dask with two workers, made once in each test process."""
    pytest.importorskip("distributed")
    from flowtuple.batch.run import connected

    with connected("local:2") as client:
        yield client
