"""Reading of parts of a file: columns, slices, records and steps equal those of the whole."""

import itertools

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.errors import InvalidArgument
from flowtuple.training import write_events

EVENTS, STEP = 48, 12
COUNTS = np.arange(EVENTS) % 4
COLUMNS = {
    "x": np.arange(EVENTS) * 0.5,
    "run": np.arange(EVENTS, dtype=np.uint64),
    "Jet_pt": ak.unflatten(np.arange(COUNTS.sum(), dtype=np.float32), COUNTS),
    "Jet_eta": ak.unflatten(np.arange(COUNTS.sum()) / 3, COUNTS),
    "block": np.arange(6 * EVENTS, dtype=np.int16).reshape(EVENTS, 3, 2),
    "text": [f"é{k}" for k in range(EVENTS)],
}
WHOLE = {name: ak.to_list(values) for name, values in COLUMNS.items()}
EDGES = (
    None,
    0,
    1,
    STEP - 1,
    STEP,
    STEP + 1,
    2 * STEP,
    EVENTS - 1,
    EVENTS,
    EVENTS + 9,
    -1,
    -STEP,
    -EVENTS,
    -EVENTS - 9,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_events, "CHUNK_ENTRIES", STEP)
        ft.compress(COLUMNS, made / "events.ftup")
        write_two(made)
    return made


def write_two(folder):
    """A file of two trees, one of them in a folder."""
    with uproot.recreate(folder / "two.root") as file:
        file.mktree("Events", {"x": "f8", "y": "i4"}).extend(
            {"x": np.arange(9.0), "y": np.arange(9, dtype="i4")}
        )
        file.mktree("Runs", {"x": "f8"}).extend({"x": np.arange(3.0) + 100})
    ft.compress(folder / "two.root", folder / "two.ftup")


@pytest.fixture(params=[1, 2], ids="{}-workers".format)
def file(folder, request):
    with ft.open(
        folder / "events.ftup", resources=ft.Resources(workers=request.param)
    ) as found:
        assert len(found.table().chunks) == 4
        yield found


@pytest.fixture
def two(folder):
    with ft.open(folder / "two.ftup") as found:
        yield found


class TestKeys:
    def test_are_columns_without_hidden_counters(self, file):
        assert file.keys() == list(COLUMNS)

    def test_of_several_trees(self, two):
        assert (two.keys("Events"), two.keys("Runs")) == (["x", "y"], ["x"])


class TestColumn:
    @pytest.mark.parametrize("name", COLUMNS)
    def test_whole(self, file, name):
        assert file[name].to_list() == WHOLE[name]

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["x", "Jet_pt", "text"])
    def test_slices(self, file, name):
        for start, stop in itertools.product(EDGES, EDGES):
            assert file[name, start:stop].to_list() == WHOLE[name][start:stop], (
                start,
                stop,
            )

    @pytest.mark.parametrize("name", COLUMNS)
    def test_single_events(self, file, name):
        for k in (0, 1, STEP, EVENTS - 1, -1, -2, -STEP, -EVENTS):
            assert ak.to_list(file[name, k]) == WHOLE[name][k], k
        assert ak.to_list(file[name, np.int64(3)]) == WHOLE[name][3]

    @pytest.mark.parametrize("k", [EVENTS, -EVENTS - 1, 10**9])
    def test_single_events_that_are_not_there(self, file, k):
        with pytest.raises(IndexError, match=rf"there is no event {k} among {EVENTS}"):
            file["x", k]

    @pytest.mark.parametrize(
        "key", [5, ("x", 1, 2), ("x", "a"), ("x", 1.5), (slice(0, 2), "x")]
    )
    def test_what_names_no_column(self, file, key):
        with pytest.raises(InvalidArgument, match="names no column; write f"):
            file[key]

    @pytest.mark.parametrize("step", [2, -1])
    def test_steps_are_refused(self, file, step):
        with pytest.raises(
            InvalidArgument,
            match=rf"events\.ftup: cannot read every {step}th event; slice the array instead",
        ):
            file["x", ::step]
        assert file["x", ::1].to_list() == WHOLE["x"]

    def test_of_a_tree(self, file, two):
        assert (
            file["events/x", 3:5].to_list() == file["x", 3:5].to_list() == WHOLE["x"][3:5]
        )
        assert two["Runs/x"].to_list() == [100, 101, 102]
        assert two["Events/x", -2].tolist() == 7

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            ("Jet_pT", r"events\.ftup: no column 'Jet_pT'; nearest: Jet_pt"),
            ("", "no column ''; there are: "),
            ("Jet_*", r"no column 'Jet_\*'"),
            ("n(Jet_pt)", r"no column 'n\(Jet_pt\)'"),
            ("event/x", r"events\.ftup: no tree 'event'; nearest: events"),
            ("events/y", r"events\.ftup: no column 'y'"),
        ],
    )
    def test_that_is_not_there(self, file, key, message):
        for part in (slice(None), slice(3, 3), 7):
            with pytest.raises(InvalidArgument, match=message):
                file[key, part]

    def test_of_several_trees_needs_a_name(self, two):
        with pytest.raises(
            InvalidArgument,
            match=r"two\.ftup: holds 2 trees \(Events, Runs\); choose one by tree=",
        ):
            two["x"]


class TestArrays:
    def test_all(self, file):
        found = file.arrays()
        assert found.fields == list(COLUMNS)
        assert {name: found[name].to_list() for name in found.fields} == WHOLE
        assert found[7].to_list() == {name: values[7] for name, values in WHOLE.items()}

    @pytest.mark.parametrize(
        ("columns", "fields"),
        [
            ("x", ["x"]),
            (["x"], ["x"]),
            ("Jet_*", ["Jet_pt", "Jet_eta"]),
            (["Jet_eta", "x"], ["x", "Jet_eta"]),
            (["*_pt", "run", "Jet_pt", "r*"], ["run", "Jet_pt"]),
            (("text", "b*"), ["block", "text"]),
            ("*", list(COLUMNS)),
            ("events/x", ["x"]),
        ],
        ids=str,
    )
    def test_of_names_and_globs(self, folder, columns, fields):
        with ft.open(folder / "events.ftup") as file:
            found, again = (
                file.arrays(columns),
                file.arrays(iter([columns] if isinstance(columns, str) else columns)),
            )
        assert found.fields == again.fields == fields
        assert {name: found[name].to_list() for name in fields} == {
            name: WHOLE[name] for name in fields
        }

    @pytest.mark.parametrize("start", EDGES)
    def test_entries_are_those_of_a_slice(self, file, start):
        for stop in EDGES:
            found = file.arrays(["x", "Jet_pt"], entry_start=start, entry_stop=stop)
            assert found.fields == ["x", "Jet_pt"]
            for name in found.fields:
                assert found[name].to_list() == WHOLE[name][start:stop], (start, stop)

    def test_of_no_columns(self, file):
        found = file.arrays([], entry_stop=7)
        assert (found.fields, len(found)) == ([], 7)

    def test_of_several_trees(self, two):
        assert two.arrays(tree="Runs").to_list() == [{"x": 100}, {"x": 101}, {"x": 102}]
        with pytest.raises(InvalidArgument, match=r"two\.ftup: holds 2 trees"):
            two.arrays("x")
        with pytest.raises(
            InvalidArgument, match=r"two\.ftup: no tree 'Event'; nearest: Events"
        ):
            two.arrays("x", tree="Event")

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                "Jet_pT",
                r"events\.ftup: the name 'Jet_pT' matches no column; nearest: Jet_pt",
            ),
            (["x", "Mu*"], r"events\.ftup: the glob 'Mu\*' matches no column"),
            (["x", ""], r"events\.ftup: the name '' matches no column"),
            (
                "n(Jet_pt)",
                r"events\.ftup: the name 'n\(Jet_pt\)' matches no column; nearest: Jet_pt",
            ),
            ("n(*", r"events\.ftup: the glob 'n\(\*' matches no column"),
        ],
    )
    def test_of_names_that_are_not_there(self, file, columns, message):
        with pytest.raises(InvalidArgument, match=message):
            file.arrays(columns)
        with pytest.raises(InvalidArgument, match=message):
            next(file.iterate(columns))


class TestIterate:
    def test_chunk_by_chunk(self, file):
        found = list(file.iterate(["x", "Jet_*"]))
        assert [len(step) for step in found] == [STEP] * 4
        assert ak.concatenate(found).to_list() == file.arrays(["x", "Jet_*"]).to_list()

    @pytest.mark.parametrize("step", [1, 5, STEP, 13, EVENTS, 1000])
    def test_by_steps(self, file, step):
        found = list(file.iterate(step_size=step))
        assert [len(part) for part in found] == [
            min(step, EVENTS - k) for k in range(0, EVENTS, step)
        ]
        assert ak.concatenate(found).to_list() == file.arrays().to_list()

    @pytest.mark.parametrize("step", [0, -5])
    def test_steps_that_lead_nowhere(self, file, step):
        with pytest.raises(
            InvalidArgument,
            match=rf"events\.ftup: steps of {step} events lead nowhere; take 1 or more",
        ):
            next(file.iterate(step_size=step))

    def test_of_several_trees(self, two):
        assert [
            part["x"].to_list() for part in two.iterate(tree="Runs", step_size=2)
        ] == [
            [100, 101],
            [102],
        ]
        with pytest.raises(InvalidArgument, match="holds 2 trees"):
            next(two.iterate("x"))

    def test_reads_no_further_than_it_is_asked(self, folder, monkeypatch):
        with ft.open(folder / "events.ftup") as file:
            table, ranges = file.table(), []
            read = type(table).read
            monkeypatch.setattr(
                type(table),
                "read",
                lambda self, n, *part: ranges.append(part) or read(self, n, *part),
            )
            next(file.iterate("x"))
        assert ranges == [(0, STEP)]


def test_tables_by_name(file, two):
    assert file.table() is file.table("events") is file.tables["events"]
    assert two.table("Runs").num_entries == 3
    with pytest.raises(
        InvalidArgument, match=r"two\.ftup: no tree 'runs'; nearest: Runs"
    ):
        two.table("runs")


def test_columns_keep_their_types(file):
    found = file.arrays()
    types = {
        name: str(ak.type(found[name])).removeprefix(f"{EVENTS} * ")
        for name in found.fields
    }
    assert types == {
        "x": "float64",
        "run": "uint64",
        "Jet_pt": "var * float32",
        "Jet_eta": "var * float64",
        "block": "3 * 2 * int16",
        "text": "string",
    }


@pytest.mark.parametrize(
    "columns",
    [{"x": np.empty(0, "f4"), "Jet_pt": ak.Array([[1.5]])[:0]}, {}],
    ids=["columns", "nothing"],
)
def test_of_no_events(tmp_path, columns):
    ft.compress(columns, tmp_path / "empty.ftup")
    with ft.open(tmp_path / "empty.ftup") as file:
        assert file.keys() == list(columns)
        assert (file.arrays().fields, len(file.arrays())) == (list(columns), 0)
        assert (
            sum(len(part) for part in file.iterate())
            == sum(len(part) for part in file.iterate(step_size=3))
            == 0
        )
        assert {name: file[name].to_list() for name in columns} == {
            name: [] for name in columns
        }


def test_closed_file_reads_no_more(folder, monkeypatch):
    monkeypatch.setattr("flowtuple.file.reader.PREFIX", 16)
    with ft.open(folder / "events.ftup") as file:
        assert file["x", 3] == 1.5
    with pytest.raises(InvalidArgument, match=r"events\.ftup: cannot be read"):
        file["x"]
