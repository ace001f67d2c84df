"""Packages of extras: a missing one is named with the command that installs it."""

from __future__ import annotations

import math
import sys

import pytest

from flowtuple.errors import MissingExtra
from flowtuple.runtime.extras import require, require_torch


def test_a_module_that_is_there_is_returned() -> None:
    assert require("math", "plots", "drawing a report") is math


def test_a_missing_module_is_one_line_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra) as caught:
        require("jinja2", "plots", "drawing a report")
    line = "drawing a report needs the extra 'plots': pip install 'flowtuple[plots]'"
    assert str(caught.value) == line
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize("module", ["torch", "zuko", "safetensors", "scipy"])
def test_flows_need_all_of_their_packages(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"^training a flow needs the extra 'train'"):
        require_torch("training a flow")
