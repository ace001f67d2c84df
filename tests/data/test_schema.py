"""Roles of columns, their JSON, and the comparison of schemas."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowtuple.data.schema import ROLES, Column, bit_patterns, infer_role
from flowtuple.data.schema_diff import check_same_columns, schema_diff
from flowtuple.errors import InvalidArgument


def test_bit_patterns_have_the_width_of_their_type():
    assert bit_patterns(np.array([1.0, -0.0], np.float32)).tolist() == [
        0x3F800000,
        0x80000000,
    ]
    assert bit_patterns(np.array([True, False])).dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "dtype", "role"),
    [
        ("run", "uint32", "id"),
        ("luminosityBlock", "uint32", "id"),
        ("event", "bool", "value"),
        ("genWeight", "float32", "weight"),
        ("LHEWeight_scale", "float32", "weight"),
        ("nWeights", "int32", "value"),
        ("Jet_genJetIdx", "int16", "reference"),
        ("Muon_genIdxG", "int32", "reference"),
        ("Jet_phi", "float32", "angle"),
        ("phi1", "float64", "angle"),
        ("Jet_phi", "int32", "value"),
        ("aMCphi2pt", "float32", "value"),
        ("label", "int64", "label"),
        ("Jet_pt", "float32", "value"),
    ],
)
def test_roles_follow_from_names_and_types(name, dtype, role):
    assert infer_role(name, dtype) == role


@pytest.mark.slow
@given(
    st.builds(
        Column,
        name=st.text(min_size=1),
        dtype=st.sampled_from(["float32", "opaque"]),
        role=st.sampled_from(ROLES),
        title=st.text(),
        counter=st.none() | st.text(),
        shape=st.lists(st.integers(0, 5)).map(tuple),
        hidden=st.booleans(),
    )
)
@example(Column("x", "bool"))
def test_a_column_survives_json(column):
    assert Column.from_json(column.to_json()) == column


JETS = (
    Column("n(Jet_pt)", "int64", "counter", hidden=True),
    Column("Jet_pt", "float32", counter="n(Jet_pt)"),
    Column("nMuon", "int32", "counter"),
    Column("Muon_pt", "float32", counter="nMuon"),
    Column("x", "float64"),
)


def changed(name, **changes):
    return [replace(c, **changes) if c.name == name else c for c in JETS]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (changed("x", dtype="int64"), "is int64, not float64"),
        (changed("x", shape=(2, 3)), "is float64 [2, 3], not float64"),
        (changed("Muon_pt", counter=None), "is float32, not float32 lists"),
        (
            [c for c in JETS if c.name != "x"],
            "is missing; there are: n(Jet_pt), Jet_pt, nMuon, ...",
        ),
    ],
)
def test_a_column_that_differs_is_described(other, words):
    ((name, found),) = schema_diff(JETS, other)
    assert name in ("x", "Muon_pt")
    assert found.startswith(words)
    with pytest.raises(InvalidArgument, match=rf"^here: column '{name}' is "):
        check_same_columns(JETS, other, "here")


def renamed_counter():
    """The same columns, whose hidden counter has another name."""
    counter = replace(JETS[0], name="lengths")
    return [counter, replace(JETS[1], counter="lengths"), *JETS[2:]]


def test_titles_order_and_names_of_hidden_counters_are_free():
    titled = [replace(c, title="p_T") for c in reversed(renamed_counter())]
    assert (
        list(schema_diff(JETS, titled, counters=True, roles=True, additional=True)) == []
    )


def test_hidden_counters_are_compared_on_request():
    named = dict(schema_diff(JETS, renamed_counter(), counters=True, hidden=True))
    assert named == {
        "n(Jet_pt)": "is missing; nearest: Jet_pt, Muon_pt",
        "Jet_pt": "is float32 lists counted by 'lengths', not float32 lists counted by 'n(Jet_pt)'",
    }


def test_counters_roles_and_additional_columns_are_compared_on_request():
    other = [*changed("Muon_pt", counter="n(Jet_pt)", role="weight"), Column("y", "bool")]
    assert list(schema_diff(JETS, other)) == []
    assert dict(schema_diff(JETS, other, counters=True)) == {
        "Muon_pt": "is float32 lists counted by their own lengths, "
        "not float32 lists counted by 'nMuon'"
    }
    assert dict(schema_diff(JETS, other, roles=True)) == {
        "Muon_pt": "is float32 lists of role 'weight', not float32 lists of role 'value'"
    }
    assert [name for name, _ in schema_diff(JETS, other, additional=True)] == ["y"]
