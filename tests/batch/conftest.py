"""A cluster of Dask with two workers, which the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flowtuple.batch.run import connected


@pytest.fixture(scope="package")
def client() -> Iterator[Any]:
    pytest.importorskip("distributed")
    with connected("local:2") as found:
        yield found
