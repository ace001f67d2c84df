"""Columns by name for those who take them so: virtual arrays, coffea's NanoEvents and pandas."""

import warnings
from collections.abc import Mapping

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.file.table import StoredTable

COLUMNS = {
    "x": np.arange(9) * 0.5,
    "Jet_pt": ak.unflatten(np.arange(12, dtype=np.float32), [3, 0, 2, 1, 0, 0, 4, 1, 1]),
    "block": np.arange(54, dtype=np.int16).reshape(9, 3, 2),
    "text": [f"é{k}" for k in range(9)],
}


@pytest.fixture
def reads(monkeypatch):
    """Names of the columns that are read, in order."""
    found, read = [], StoredTable.read
    monkeypatch.setattr(
        StoredTable,
        "read",
        lambda self, names, *span: found.extend(names) or read(self, names, *span),
    )
    return found


@pytest.fixture
def file(tmp_path):
    ft.compress(COLUMNS, tmp_path / "events.ftup")
    with ft.open(tmp_path / "events.ftup") as found:
        yield found


class TestMapping:
    def test_holds_the_columns_by_name(self, file):
        found = file.mapping()
        assert isinstance(found, Mapping)
        assert (list(found), len(found), "x" in found, "n(Jet_pt)" in found) == (
            list(COLUMNS),
            4,
            True,
            False,
        )
        assert {name: array.to_list() for name, array in found.items()} == {
            n: ak.to_list(v) for n, v in COLUMNS.items()
        }
        assert {name: str(array.type) for name, array in found.items()} == {
            n: str(file[n].type) for n in COLUMNS
        }
        with pytest.raises(KeyError, match="Jet_pT"):
            found["Jet_pT"]

    def test_reads_what_is_touched_and_once(self, file, reads):
        found = file.mapping()
        arrays = {name: found[name] for name in ("x", "Jet_pt", "block")}
        types = [array.type for array in arrays.values()]
        assert (len(types), reads) == (3, [])
        assert ak.sum(arrays["Jet_pt"]) == 66
        assert ak.num(found["Jet_pt"]).to_list() == [3, 0, 2, 1, 0, 0, 4, 1, 1]
        assert arrays["Jet_pt"][2:4].to_list() == [[3, 4], [5]]
        assert reads == ["Jet_pt"]

    def test_of_some_columns(self, file):
        assert list(file.mapping(["Jet_*", "x"])) == ["Jet_pt", "x"]
        with pytest.raises(
            ft.InvalidArgument, match=r"events\.ftup: the glob 'Mu\*' matches no column"
        ):
            file.mapping("Mu*")

    def test_of_no_events(self, tmp_path):
        ft.compress(
            {name: values[:0] for name, values in COLUMNS.items()}, tmp_path / "none.ftup"
        )
        with ft.open(tmp_path / "none.ftup") as file:
            assert {name: array.to_list() for name, array in file.mapping().items()} == {
                name: [] for name in COLUMNS
            }


def test_data_frames(file):
    frame = ak.to_dataframe(file.arrays(["Jet_pt", "x"], entry_stop=4))
    assert frame["Jet_pt"].tolist() == [0, 1, 2, 3, 4, 5]
    assert frame["x"].tolist() == [0, 0, 0, 1, 1, 1.5]
    assert frame.index.tolist() == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (3, 0)]
    assert ak.to_dataframe(file.arrays("x"))["x"].tolist() == COLUMNS["x"].tolist()


@pytest.fixture(scope="module")
def nano(shared_data, tmp_path_factory):
    """A NanoAOD file and the same without loss; only some of its 1,499 columns, which is quicker."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("coffea.nanoevents", exc_type=ImportError)
    original, path = (
        shared_data / "nano_dy.root",
        tmp_path_factory.mktemp("nano") / "nano.ftup",
    )
    if not original.is_file():
        pytest.skip("there is no nano_dy.root")
    taken = (
        "run",
        "event",
        "luminosityBlock",
        "Events/n*",
        "Jet_*",
        "GenJet_*",
        "Electron_*",
        "GenPart_*",
        "MET_*",
        "HLT_Mu50",
    )
    ft.compress(original, path, selection=ft.Selection(columns=taken), effort="fast")
    return original, path


class TestNanoEvents:
    @pytest.fixture
    def build(self, nano):
        """NanoEvents of some columns."""
        from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

        with ft.open(nano[1]) as file, warnings.catch_warnings():
            # of cross-references to columns that are not there
            warnings.simplefilter("ignore")
            yield lambda columns: NanoEventsFactory.from_preloaded(
                file.mapping(columns, tree="Events"), schemaclass=NanoAODSchema
            ).events()

    @pytest.mark.slow
    def test_are_those_of_the_root_file(self, nano, build):
        events = build(None)
        with uproot.open(nano[0]) as file:
            tree = file["Events"]
            for collection, field in (
                ("Jet", "pt"),
                ("Jet", "btagDeepB"),
                ("GenPart", "pdgId"),
                ("MET", "phi"),
                ("HLT", "Mu50"),
            ):
                expected = tree[f"{collection}_{field}"].array()
                assert ak.array_equal(
                    events[collection][field], expected, check_parameters=False
                ), field
        assert len(events.Jet.pt.to_list()) == 40
        assert np.allclose(
            ak.flatten((events.Jet + events.Jet).pt), ak.flatten(2 * events.Jet.pt)
        )
        index = ak.local_index(events.GenJet.pt)
        followed, known = events.Jet.matched_gen.pt, events.Jet.genJetIdx
        assert ak.count(followed) == ak.sum((known >= 0) & (known < ak.num(index)))

    @pytest.mark.slow
    def test_of_some_columns_read_these_alone(self, build, reads):
        wanted = [
            "Jet_eta",
            "Jet_mass",
            "Jet_phi",
            "Jet_pt",
            "event",
            "luminosityBlock",
            "nJet",
            "run",
        ]
        events = build(wanted)
        assert set(events.Jet.fields) == {
            "eta",
            "mass",
            "phi",
            "pt",
            "charge",
        }  # the last is coffea's
        assert ak.sum(ak.num(events.Jet.pt)) > 0
        assert sorted(set(reads)) == wanted
