"""Bounds as TOML: what is written comes back, and what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtuple as ft
from flowtuple.data.bounds import KINDS
from flowtuple.data.bounds_file import format_bounds, parse_bounds

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
BOUNDS = st.sampled_from([kind.example for kind in KINDS.values()])
COMMENTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, BOUNDS, min_size=1, max_size=5), COMMENTS, COMMENTS)
def test_what_is_written_comes_back_in_order(
    bounds: dict[str, str], comment: str, title: str
) -> None:
    title = "".join(c for c in title if c.isprintable())
    text = format_bounds(bounds, dict.fromkeys(bounds, comment), title)
    back = parse_bounds(text, "b.toml")
    assert list(back.items()) == [(p, ft.Bound.parse(b)) for p, b in bounds.items()]
    words = " ".join("".join(c if c.isprintable() else " " for c in comment).split())
    assert set(back.comments.values()) <= {words}
    if words and all(p.isprintable() for p in bounds):
        assert list(back.comments) == list(bounds)


def test_file_of_a_person(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(
        '# mine\n[bounds]\n"Jet_*" = "rel:1e-3"  # all jets\n'
        "'Muon.PT' = 'bits:10' # \"quoted\" = 'x'\nMET_pt = 'abs:0.5'\n"
    )
    bounds = ft.read_bounds(path)
    assert bounds.origin == str(path)
    assert {p: str(b) for p, b in bounds.items()} == {
        "Jet_*": "rel:0.001",
        "Muon.PT": "bits:10",
        "MET_pt": "abs:0.5",
    }
    assert bounds.comments == {"Jet_*": "all jets", "Muon.PT": "\"quoted\" = 'x'"}


def test_later_bounds_take_the_last_place() -> None:
    first = parse_bounds('[bounds]\n"a" = "abs:1"\n"b" = "abs:2"\n', "b.toml")
    both = first | {"a": "abs:3", "c": ft.Bound("bits", 5)} | {"c": "bits:6"}
    assert [(p, str(b)) for p, b in both.items()] == [
        ("b", "abs:2"),
        ("a", "abs:3"),
        ("c", "bits:6"),
    ]
    assert len(both) == 3
    assert list(first) == ["a", "b"]


FAULTS = {
    "no TOML": ("[bounds]\na = \n", r"b\.toml: is not TOML \(.*line 2"),
    "no table": ("[bound]\na = 'abs:1'\n", r"b\.toml: has no table \[bounds\]"),
    "no bounds": ("[bounds]\n", r"has no table \[bounds\] with lines such as"),
    "not a table": ("bounds = 3\n", r"has no table \[bounds\]"),
    "number": (
        "[bounds]\n\nMET_pt = 0.1\n",
        r"line 3: 'MET_pt': the bound 0.1 is no text",
    ),
    "no bound": (
        "[bounds]\n'a*' = 'rl:1'\n",
        r"line 2: 'a\*': bound 'rl:1' does not parse",
    ),
    "bad amount": ('[bounds]\n"a" = "rel:2"\n', r"line 2: 'a': bound 'rel:2' allows"),
    "dots": (
        "[bounds]\nx = 'abs:1'\nMuon.PT = 'abs:1'\n",
        r"line 3: 'Muon': is a table; put names with dots in quotes, as \"Muon\.PT\"",
    ),
    "twice": ("[bounds]\na = 'abs:1'\na = 'abs:2'\n", r"is not TOML \(.*line 3"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    text, message = FAULTS[case]
    path = tmp_path / "b.toml"
    path.write_text(text)
    with pytest.raises(ft.InvalidArgument, match=message) as error:
        ft.read_bounds(path)
    assert "\n" not in str(error.value)


def test_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    ft.write_bounds(tmp_path / "bounds.toml", {"x": "abs:1"})
    with pytest.raises(ft.InvalidArgument, match=r"no such file; nearest: bounds\.toml"):
        ft.read_bounds(tmp_path / "bound.toml")


def test_old_table_is_read_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("[tolerance]\n'x' = 'abs:1'\n")
    with pytest.warns(
        DeprecationWarning, match=r"\[tolerance\] is going away; write \[bounds\]"
    ):
        assert list(ft.read_bounds(path)) == ["x"]


def test_bounds_are_a_tolerance(tmp_path: Path) -> None:
    path = ft.write_bounds(tmp_path / "b.toml", {"*": "abs:0.25", "y": "lossless"})
    events = {"x": [1.125, 2.75, -999.0], "y": [0.1, 0.2, 0.3]}
    snapped = ft.snap(events, ft.read_bounds(path))
    assert snapped["x"].tolist() == [1.0, 2.75, -999.0]
    assert snapped["y"].tolist() == [0.1, 0.2, 0.3]
