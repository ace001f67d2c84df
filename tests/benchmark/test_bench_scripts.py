"""The commands that the docs take figures of reference methods from: each runs, on few made-up
rows, to its last line.
"""

from __future__ import annotations

import importlib
import json
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("zuko")
pytest.importorskip("mplhep")

from flowtuple.benchmark.codecs.absolute import SZ3, ZFP
from flowtuple.benchmark.codecs.table_codec import is_available
from flowtuple.data.rows import Rows

BENCH = Path(__file__).parents[2] / "bench"
CLASSICAL = sum(map(is_available, (SZ3, ZFP)))  # beside those that are always there


@dataclass(frozen=True)
class Case:
    """One command: its options, where each of its tables begins and how many rows that has, and the
    files of -o.
    """

    name: str
    command: str
    options: str
    tables: dict[str, int]
    files: tuple[str, ...] = ()


CASES = (
    Case(
        "latent",
        "scan",
        "--model 2 --epochs 1 --bits 4 13 --lattice 13 --effort fast",
        {"codec | N | raw / file": 5},
    ),
    Case("latent", "choices", "--epochs 1 --seeds 1", {"model | scale | codes": 8}),
    Case(
        "latent",
        "grid",
        "--epochs 1 --layers 1 --hidden 4",
        {"layers x hidden | parameters": 1},
        ("grid.json", "grid.png"),
    ),
    Case(
        "latent",
        "normality",
        "--model 2 --epochs 1 --bits 4 8",
        {"latent column | skewness | excess kurtosis | before | N = 4 | N = 8": 4},
        ("normality.json", "normality.png"),
    ),
    Case(
        "latent",
        "ratio",
        "--model 2 --epochs 1 --bits 4 13",
        {"N | R file | R codes": 2},
        ("error.png", "ratio.json", "ratio.png"),
    ),
    Case(
        "latent",
        "repeats",
        "--models 2 --epochs 1 --sets 2",
        {"model | test set | R file": 4},
    ),
    Case(
        "latent",
        "response",
        "--model 2 --epochs 1 --bits 8 20",
        {"column | N | difference mean": 8},
        ("response.json", "response.png"),
    ),
    Case(
        "published",
        "autoencoder",
        "--networks tanh --normalisations standard --epochs 1 --batch 64 --sizes 100 200 --each",
        {
            "network | normalisation | latent | rows": 2,
            "network | normalisation | latent | column": 8,
        },
    ),
    Case(
        "published",
        "chaining",
        "--network tanh --bits 8 --flow-epochs 1 --epochs 1 --effort fast",
        {"method | as it is | then zstd | then lzma | then pcodec | then flowtuple": 2},
    ),
    Case(
        "sizes",
        "files",
        "--bound std:0.1 --effort fast",
        {"file | bound | bits/value | bytes": 1},
    ),
    Case("sizes", "row-before", "--bound std:0.1", {"file | bytes | event columns": 1}),
    Case(
        "scores",
        "anomaly",
        "--anomaly pt>60 --flow maf --latent 2 --epochs 1 --std 0.1 --bits 8 --mantissa 4",
        {"codec | setting | mean / std | max / std | zeros kept": 5 + CLASSICAL},
    ),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four variables of 300 jets in GeV, mass and p_T correlated."""
    draw, n = np.random.default_rng(0), 300
    pt = 20 + draw.exponential(30, n)
    values = {
        "m": pt * draw.uniform(0.05, 0.2, n),
        "pt": pt,
        "phi": draw.uniform(-3.1, 3.1, n),
        "eta": draw.normal(0, 1.5, n),
    }
    values["phi"][::30] = 0  # which responses leave out
    path = tmp_path_factory.mktemp("benches") / "jets.npz"
    np.savez(path, **{name: x.astype("f4") for name, x in values.items()})
    return path


def tables(printed: str) -> list[list[str]]:
    """Of each table in Markdown the heading, and its rows."""
    found: list[list[str]] = []
    inside = False
    for line in printed.splitlines():
        if line.startswith("|---"):
            continue
        if line.startswith("|") and not inside:
            found.append([])
        inside = line.startswith("|")
        if inside:
            found[-1].append(line)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command)
def test_a_command_prints_its_tables(
    case: Case,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    folder = ["-o", str(tmp_path / "out")] if case.files else []
    arguments = [case.name, case.command, str(source), *case.options.split(), *folder]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(BENCH / f"{case.name}.py"), run_name="__main__")
    found = tables(capsys.readouterr().out)
    assert [len(rows) for _, *rows in found] == list(case.tables.values())
    for (heading, *rows), begin in zip(found, case.tables, strict=True):
        assert heading.startswith(f"| {begin} |")
        assert {row.count("|") for row in rows} == {heading.count("|")}
        assert not any(re.search(r"\b(nan|inf)\b", row) for row in rows)
    assert sorted(path.name for path in tmp_path.glob("out/*")) == list(case.files)
    for path in tmp_path.glob("out/*.json"):
        content = json.loads(path.read_text())
        # runpy gives the first while it runs
        assert content["command"][1:] == sys.argv[1:]
        assert content["results"]
    for path in tmp_path.glob("out/*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_calibrated_ratios_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, n = np.random.default_rng(0), 900
    label = np.arange(n) % 2
    columns = {f"x{k}": draw.normal(label * 0.5, 1).astype("f4") for k in (1, 2)}
    np.savez(tmp_path / "events.npz", label=label, **columns)
    arguments = ["calibrated", str(tmp_path / "events.npz"), "--label", "label"]
    options = ["--columns", "x2", "x*", "--effort", "fast", "--calibrate", "0.4"]
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.setattr(sys, "argv", ["scores", *arguments, *options])
    runpy.run_path(str(BENCH / "scores.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert (
        "378 events to train on, 252 to calibrate on, 270 to judge; 2 columns" in printed
    )
    ((heading, *rows),) = tables(printed)
    assert heading == "| score | log-loss | slope | area under the ROC curve |"
    assert [row.split(" | ")[0] for row in rows[:3]] == [
        *("| log_ratio", "| probability", "| classifier_probability")
    ]
    assert len(rows) == 7
    assert "gained by a refit in sample where all is true: 0.0" in printed


def test_an_infinite_error_is_the_largest_and_in_no_mean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    figures = importlib.import_module("latent").response_figures
    x = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 2.0], [4.0, 5.0]])
    decoded = x - 0.5
    decoded[2, 0] = np.inf
    response = (x - decoded) / np.where(x == 0, np.nan, x)
    (a, b), left_out = figures(
        Rows("x", ("a", "b"), x, np.arange(4), 4), decoded, response
    )
    assert left_out == 1
    assert a["difference"] == (0.5, 0, np.inf)
    assert a["of_std"] == np.inf
    assert a["response"] == (
        pytest.approx(np.mean([0.5, 0.25, 0.125])),
        pytest.approx(np.std([0.5, 0.25, 0.125])),
        np.inf,
    )
    assert b["difference"] == (0.5, 0, 0.5)
    assert b["response"] == (
        pytest.approx(0.3),
        pytest.approx(0.2),
        0.5,
    )  # of 1 and 5; 2 is of the row left out, 0 has none
    assert (a["zeros"], b["zeros"]) == (0, 1)
