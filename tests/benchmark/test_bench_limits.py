"""The command behind the figures of docs/limits.md, on made events: a biased generator fails."""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pyhf")
pytest.importorskip("mplhep")

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
def test_model_passes_and_biased_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCH)
    bench = runpy.run_path(str(BENCH / "limits.py"))
    draw = np.random.default_rng(0)
    analysis = bench["Analysis"](
        {"m": draw.normal(90, 3, 12000)},
        draw.normal(95, 1.5, 2000),
        "m",
        [82, 85, 88, 90, 92, 94, 96, 98],
        50.0,
        500.0,
    )
    settings = argparse.Namespace(
        bound="std:2.88e-3", effort="fast", seeds=[0], output=tmp_path
    )
    results = bench["closure_of"]("made", analysis, settings, 0)
    assert [result.rejected for result in results.values()] == [False, True]
    printed = capsys.readouterr().out
    assert "6000 background events learned" in printed
    assert printed.count("| expected CLs, mu = ") == 6
    assert "): passes" in printed
    assert "m x 1.02" in printed
    names = {"limits-made.png", "limits-made-curve.png"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    passed, _, spurious, _ = bench["summary"](list(results.values()))
    assert passed == "1 of 2"
    assert spurious.startswith("-")
