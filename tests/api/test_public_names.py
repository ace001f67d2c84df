"""Public names: documented with an example, listed alone, and readable as one line or a table."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft

NAMES = sorted(set(ft.__all__) - {"__version__"})
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(ft, name))]


@pytest.mark.parametrize("name", NAMES)
def test_has_a_documented_example(name: str) -> None:
    text = inspect.getdoc(getattr(ft, name)) or ""
    assert "Example:" in text
    assert ">>>" in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_documents_arguments_result_and_errors(name: str) -> None:
    function = getattr(ft, name)
    text = inspect.getdoc(function) or ""
    for heading in ("Args:", "Returns:", "Raises:"):
        assert heading in text
    for argument in inspect.signature(function).parameters:
        assert f"\n    {argument}: " in text


@pytest.mark.parametrize("name", [n for n in NAMES if n not in FUNCTIONS])
def test_class_documents_its_fields(name: str) -> None:
    kind = getattr(ft, name)
    text = inspect.getdoc(kind) or ""
    for field in getattr(kind, "__dataclass_fields__", {}):
        assert f"\n    {field}: " in text


def test_functions_and_classes_are_among_the_names() -> None:
    assert {"compress", "train_flow", "closure", "inspect"} <= set(FUNCTIONS)
    assert {"File", "Compressed", "Comparison", "Resources"} <= set(NAMES) - set(FUNCTIONS)


def test_dir_lists_public_names_alone() -> None:
    assert dir(ft) == sorted(ft.__all__)
    assert "api" not in dir(ft)


@pytest.mark.slow
def test_results_are_one_line_and_one_table(tmp_path: Path) -> None:
    events = {"x": np.arange(100.0)}
    done = ft.compress(events, tmp_path / "x.ftup", tolerance="abs:0.25")
    assert repr(done).startswith(f"<Compressed: path {tmp_path}/x.ftup, events 100, size ")
    with ft.open(tmp_path / "x.ftup") as file:
        assert repr(file).endswith("kind events, events 100 events, 1 columns>")
        assert "<th>events</th><td>100 events, 1 columns</td>" in file._repr_html_()
    shown = (
        done,
        ft.verify(events, tmp_path / "x.ftup"),
        ft.decompress(tmp_path / "x.ftup", tmp_path / "x.npz"),
        ft.compare(events, events, tests=["ks"]),
    )
    for result in shown:
        assert "\n" not in repr(result)
        assert result._repr_html_().startswith(f"<table><caption>{type(result).__name__}<")


def test_markup_in_names_is_escaped() -> None:
    page = ft.Recovered("<b>.ftup", {}, ())._repr_html_()
    assert "&lt;b&gt;.ftup" in page
    assert "<b>" not in page


def test_one_bound_is_for_all_columns(tmp_path: Path) -> None:
    events = {"x": [0.1, 0.2, 0.3], "y": [1.1, 1.2, 1.3]}
    one = ft.snap(events, "abs:0.25")
    assert one.tolist() == ft.snap(events, {"*": "abs:0.25"}).tolist()
    assert one.tolist() != ft.snap(events).tolist()
