"""Public names: documented with an example, listed alone, and readable as one line or a table."""

from __future__ import annotations

import ast
import builtins
import doctest
import inspect
import re
from pathlib import Path

import awkward as ak
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
    assert {"File", "Compressed", "Comparison", "Resources"} <= set(NAMES) - set(
        FUNCTIONS
    )


def test_dir_lists_public_names_alone() -> None:
    assert dir(ft) == sorted(ft.__all__)
    assert "api" not in dir(ft)


@pytest.mark.slow
def test_results_are_one_line_and_one_table(tmp_path: Path) -> None:
    events = {"x": np.arange(100.0)}
    done = ft.compress(events, tmp_path / "x.ftup", tolerance="abs:0.25")
    assert repr(done).startswith(
        f"<Compressed: path {tmp_path}/x.ftup, events 100, size "
    )
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
        assert result._repr_html_().startswith(
            f"<table><caption>{type(result).__name__}<"
        )


def test_markup_in_names_is_escaped() -> None:
    page = ft.Recovered("<b>.ftup", {}, ())._repr_html_()
    assert "&lt;b&gt;.ftup" in page
    assert "<b>" not in page


def test_one_bound_is_for_all_columns(tmp_path: Path) -> None:
    events = {"x": [0.1, 0.2, 0.3], "y": [1.1, 1.2, 1.3]}
    one = ft.snap(events, "abs:0.25")
    assert one.tolist() == ft.snap(events, {"*": "abs:0.25"}).tolist()
    assert one.tolist() != ft.snap(events).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_example_imports_what_it_uses(name: str) -> None:
    examples = doctest.DocTestParser().get_examples(
        inspect.getdoc(getattr(ft, name)) or ""
    )
    code = ast.parse("".join(example.source for example in examples))
    words = [node for node in ast.walk(code) if isinstance(node, ast.Name)]
    known = {word.id for word in words if not isinstance(word.ctx, ast.Load)} | {
        *dir(builtins)
    }
    for node in ast.walk(code):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            known |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            known |= {node.name, *(argument.arg for argument in node.args.args)}
    assert {word.id for word in words} <= known


def test_docstring_lists_every_public_name() -> None:
    listed = re.findall(r"^    (\w+)  ", ft.__doc__ or "", re.MULTILINE)
    assert sorted(listed) == NAMES


@pytest.mark.slow
def test_types_of_results_are_public() -> None:
    draw = np.random.default_rng(0)
    events = {"x": draw.normal(0, 1, 100)}
    compared = ft.compare(events, events, tests=["ks"])
    assert isinstance(compared.outcomes[0], ft.Outcome)
    assert isinstance(
        ft.bench(events, codecs=["quantise+pcodec"]).rows[0], ft.Measurement
    )
    scores = ak.Array({"log_prob": events["x"], "label": np.arange(100) > 50})
    assert isinstance(ft.separation(scores)["-log_prob"], ft.Area)


def test_all_functions_that_work_for_long_take_resources() -> None:
    functions = {name: getattr(ft, name) for name in FUNCTIONS}
    without = {
        name
        for name, function in functions.items()
        if "resources" not in inspect.signature(function).parameters
    }
    assert without == {
        *("flow_preset", "fold_histogram", "load", "preset"),
        *("bounds_preset", "read_bounds", "write_bounds"),
        *("reliability", "score", "separation"),
    }


@pytest.mark.slow
def test_like_is_checked_before_events_are_read(tmp_path: Path) -> None:
    ft.train({"x": np.arange(40.0)}, tmp_path / "m.flow", effort="fast")
    with pytest.raises(ft.InvalidArgument, match="is not a flow over rows"):
        ft.train_flow(
            tmp_path / "absent.root", tmp_path / "rows.flow", like=tmp_path / "m.flow"
        )


def test_open_takes_external_columns_as_any_source(tmp_path: Path) -> None:
    events = {"x": [1.0, 2.0, 3.0], "y": [0.5, 1.5, 2.5]}
    ft.compress(events, tmp_path / "x.ftup", given=["y"])
    np.savez(tmp_path / "y.npz", y=events["y"])
    for given in ({"y": np.array(events["y"])}, ak.Array({"y": events["y"]})):
        with ft.open(tmp_path / "x.ftup", given=given) as file:
            assert file.arrays().tolist() == ak.Array(events).tolist()
    with ft.open(tmp_path / "x.ftup", given=tmp_path / "y.npz") as file:
        assert file["y"].tolist() == events["y"]


def test_file_without_a_density_is_named_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "x.ftup"
    ft.compress({"x": np.arange(40.0)}, path)
    advice = r"x\.ftup: column 'x'.* has no density; fit a model of all columns with `train\(\)`"
    with pytest.raises(ft.Unsupported, match=advice) as refusal:
        ft.sample(path, 5)
    assert "lean" not in str(refusal.value)
    with pytest.raises(ft.Unsupported, match=advice):
        ft.score(path, {"x": np.arange(40.0)})


@pytest.mark.slow
def test_inspect_warns_of_std_only_where_it_is_requested() -> None:
    draw = np.random.default_rng(1).normal(0, 1, 9000)
    values = np.where(np.arange(9000) % 4 == 0, -999.0, draw)
    (table,) = ft.inspect({"x": values})["tables"]
    assert "warning" not in table["columns"][0]
    for bound, warned in (("abs:0.1", False), ("std:1e-3", True)):
        (table,) = ft.inspect({"x": values}, tolerance=bound, gain=True)["tables"]
        assert ("warning" in table["columns"][0]) is warned
