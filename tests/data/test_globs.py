"""Selections of columns by names and globs."""

import pytest

from flowtuple.data.globs import is_glob, select_columns
from flowtuple.data.schema import Column
from flowtuple.errors import InvalidArgument

COLUMNS = (
    Column("run", "uint32", "id"),
    Column("eventNumber", "float64", "id"),
    Column("genWeight", "float32", "weight"),
    Column("nJet", "int32", "counter"),
    Column("Jet_pt", "float32", counter="nJet"),
    Column("Jet_phi", "float32", "angle", counter="nJet"),
    Column("Jet_nConstituents", "uint8", counter="nJet"),
    Column("MET_pt", "float32"),
    Column("good", "bool"),
    Column("name", "opaque"),
)
TABLES = {
    "Events": COLUMNS,
    "Runs": (Column("run", "uint32", "id"), Column("sumw", "float64")),
}


def names(selected):
    return {table: [c.name for c in columns] for table, columns in selected.items()}


def test_selected_columns_bring_their_counters():
    assert names(select_columns(TABLES, ["Jet_p*"])) == {
        "Events": ["nJet", "Jet_pt", "Jet_phi"]
    }
    assert names(select_columns(TABLES, ["run"])) == {"Events": ["run"], "Runs": ["run"]}
    assert names(select_columns(TABLES, ["Jet_*"], ["Jet_ph*", "nJet"])) == {
        "Events": ["nJet", "Jet_pt", "Jet_nConstituents"]
    }
    assert select_columns(TABLES) == TABLES
    assert names(select_columns({"empty": ()})) == {"empty": []}


@pytest.mark.parametrize(
    ("include", "exclude", "match"),
    [
        (["Jett_*"], [], r"the glob 'Jett_\*' matches no column; nearest"),
        ([], ["MET_pT"], "the name 'MET_pT' matches no column; nearest: MET_pt"),
        ([], ["*"], "no column is left"),
    ],
)
def test_selections_of_nothing_are_refused(include, exclude, match):
    with pytest.raises(InvalidArgument, match=match):
        select_columns(TABLES, include, exclude)


def test_what_a_glob_is():
    assert [is_glob(p) for p in ("Jet_*", "Jet_?", "Jet_[ab]", "Jet_pt")] == [
        True,
        True,
        True,
        False,
    ]
