"""`flowtuple advise` and `verify --analysis`: exit codes, and one line for each fault."""

import json

import numpy as np
import pytest

import flowtuple as ft
from in_process import run_here


@pytest.fixture
def folder(tmp_path):
    x = np.random.default_rng(1).normal(size=3000)
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "a.toml").write_text('[quantity.x]\nexpression = "x"\nmax = "abs:0.1"')
    return tmp_path


def test_advice_is_shown_and_verified(folder):
    a = ("--analysis", str(folder / "a.toml"))
    ended = run_here("advise", str(folder / "x.npz"), *a, "-o", str(folder / "out"))
    assert "abs:0.097" in ended.stdout
    assert json.loads((folder / "out" / "evidence.json").read_text())["failed"] is False
    for bound, code in (("abs:0.09", 0), ("abs:0.5", 1)):
        path = folder / "x.ftup"
        ft.compress(folder / "x.npz", path, tolerance=bound, effort="fast")
        ended = run_here("verify", folder / "x.npz", path, *a, "--json")
        assert ended.returncode == code
        assert json.loads(ended.stdout)["analysis"][0]["failed"] is bool(code)


def test_a_fault_is_one_line(folder):
    (folder / "a.toml").write_text('[quantity.x]\nexpression = "y"\nmax = "abs:0.1"')
    a = ("--analysis", str(folder / "a.toml"))
    ended = run_here("advise", folder / "x.npz", *a, "-o", folder / "out")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "'y' is no column" in ended.stderr
