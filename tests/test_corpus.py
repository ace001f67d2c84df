"""The corpus tool: each class of its table is recognised, and its comparison stands on other
libraries' readers alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from corpus import files_in, shown
from independent.compare import (
    BackUnreadable,
    OriginalUnreadable,
    compare,
    readable,
    suffix_of,
)
from independent.declared import Declared
from independent.values import difference
from journey import CRASHED, LOST, NAMED, REFUSED, SLOW, UNCOMPARED, WHOLE, WRONG, travel
from running import Limits, Ran, run_flowtuple, run_forked

TOOLS = Path(__file__).parent.parent / "tools"
LIMITS = Limits(20, 0)
N = 12


def columns() -> dict[str, Any]:
    counts = np.arange(N) % 3
    jets = ak.unflatten(np.arange(counts.sum(), dtype=np.float32), counts)
    return {
        "x": np.arange(N, dtype=np.float32),
        "v": jets,
        "s": [f"e{i}" for i in range(N)],
    }


def write_tree(file: Any, name: str, data: Mapping[str, Any]) -> None:
    kinds = {
        key: "string"
        if isinstance(v, list)
        else ak.type(v).content
        if isinstance(v, ak.Array)
        else v.dtype
        for key, v in data.items()
    }
    file.mktree(name, kinds).extend(dict(data))


def write_root(path: Path, **changed: Any) -> Path:
    with uproot.recreate(path) as file:
        write_tree(file, "Events", columns() | changed)
        file["h"] = np.histogram([0.5, 0.5, 1.5], bins=3, range=(0, 3))
    return path


def states(
    original: Path, back: Path, declared: Declared | None = None
) -> dict[str, str]:
    return {
        f.name: f.state
        for f in compare(original, back, declared).findings
        if f.state != "same"
    }


def test_the_same_file_is_whole(tmp_path: Path) -> None:
    found = compare(write_root(tmp_path / "a.root"), write_root(tmp_path / "b.root"))
    assert found.lost() == []
    assert found.count("same") == 5  # with the counter of v, and the histogram


@pytest.mark.parametrize(
    "changed",
    [
        {"x": np.arange(N, dtype=np.float32) + 1e-6},
        {"x": np.arange(N, dtype=np.float64)},
        {"x": np.where(np.arange(N) == 0, -0.0, np.arange(N)).astype(np.float32)},
        {"v": ak.unflatten(np.arange(N, dtype=np.float32), 1)},
        {"s": ["e"] * N},
    ],
    ids=["value", "type", "sign of zero", "lengths", "text"],
)
def test_a_changed_value_is_lost(tmp_path: Path, changed: dict[str, Any]) -> None:
    back = write_root(tmp_path / "b.root", **changed)
    found = states(write_root(tmp_path / "a.root"), back)
    assert found[f"Events/{next(iter(changed))}"] == "differs"


def test_a_branch_that_is_gone_is_lost_unless_it_is_named(tmp_path: Path) -> None:
    original = write_root(tmp_path / "a.root", w=np.arange(N))
    back = write_root(tmp_path / "b.root")
    assert states(original, back) == {"Events/w": "missing"}
    declared = Declared()
    declared.add_json({"left_out": [{"name": "Events/w", "reason": "too odd"}]})
    assert states(original, back, declared) == {"Events/w": "named"}
    other = Declared()
    other.add_json(
        {
            "left_out": [{"name": "Events/other", "reason": "too odd"}],
            "tables": [{"columns": [{"name": "w"}]}],
        }
    )
    assert states(original, back, other) == {"Events/w": "missing"}


@pytest.mark.parametrize(
    "said",
    [
        {"renamed": {"Events/w": "w_2"}},
        {"renamed": [{"name": "w", "to": "w_2"}]},
        {"notes": ["w: named w_2"]},
    ],
)
def test_a_renamed_branch_has_to_be_declared(
    tmp_path: Path, said: dict[str, Any]
) -> None:
    original = write_root(tmp_path / "a.root", w=np.arange(N))
    back = write_root(tmp_path / "b.root", w_2=np.arange(N))
    declared = Declared()
    declared.add_json(said)
    assert states(original, back) == {"Events/w": "missing"}
    assert states(original, back, declared) == {"Events/w": "renamed"}
    wrong = write_root(tmp_path / "c.root", w_2=np.arange(N) + 1)
    assert states(original, wrong, declared) == {"Events/w": "differs"}


def test_each_of_two_branches_of_one_name_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path, compression=None) as file:
        write_tree(file, "Events", {"aaaa_x": np.arange(N), "bbbb_x": np.arange(N) * 2})
    twice = tmp_path / "twice.root"
    twice.write_bytes(path.read_bytes().replace(b"bbbb_x", b"aaaa_x"))
    once = tmp_path / "once.root"
    with uproot.recreate(once) as file:
        write_tree(file, "Events", {"aaaa_x": np.arange(N)})
    assert states(twice, twice) == {}
    assert states(twice, once) == {"Events/aaaa_x": "missing"}


def test_a_histogram_is_compared_bin_by_bin(tmp_path: Path) -> None:
    original, back = write_root(tmp_path / "a.root"), tmp_path / "b.root"
    with uproot.recreate(back) as file:
        write_tree(file, "Events", columns())
        file["h"] = np.histogram([0.5, 1.5, 1.5], bins=3, range=(0, 3))
    assert states(original, back) == {"h": "differs"}


def test_another_kind_of_tree_has_to_be_declared(tmp_path: Path) -> None:
    original, back = tmp_path / "a.root", tmp_path / "b.root"
    with uproot.recreate(original) as file:
        file.mkrntuple("Events", {"x": np.arange(N)})
    with uproot.recreate(back) as file:
        write_tree(file, "Events", {"x": np.arange(N)})
    declared = Declared()
    declared.add_text("tree 'Events' is written as a TTree")
    assert states(original, back) == {"Events": "differs"}
    assert states(original, back, declared) == {"Events": "renamed"}


def test_events_that_are_gone_are_lost(tmp_path: Path) -> None:
    original, back = tmp_path / "a.root", tmp_path / "b.root"
    for path, length in ((original, N), (back, N - 1)):
        with uproot.recreate(path) as file:
            write_tree(file, "d/t", {"x": np.arange(length)})
    assert states(original, back) == {"d/t": "differs", "d/t/x": "differs"}


def test_nan_payloads_count() -> None:
    payloads = np.array([0x7FC00001, 0x7FC00002], np.uint32).view(np.float32)
    assert difference(payloads, payloads.copy()) == ""
    assert "values differ" in difference(payloads, payloads[::-1].copy())
    assert "values differ" in difference(
        ak.Array([payloads]), ak.Array([payloads[::-1].copy()])
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (ak.Array([[1, None]]), ak.Array([[None, 1]])),
        (ak.Array([[[1], []]]), ak.Array([[[], [1]]])),
        (ak.Array([{"a": 1}]), ak.Array([{"b": 1}])),
        (ak.Array(["a"]), ak.Array([["a"]])),
        (ak.Array([1, "a"]), ak.Array([1, "b"])),
        (pa.array([1, None]), pa.array([None, 1])),
        (pa.array([1], pa.int8()), pa.array([1], pa.int16())),
        (pa.array([[1], None]), pa.array([[1], []])),
        (pa.array([{"a": 1.0}]), pa.array([{"a": -1.0}])),
        (pa.array([0.0]), pa.array([-0.0])),
        (pa.array([b"a"]), pa.array(["a"])),
        (np.zeros(2, [("a", "f4")]), np.ones(2, [("a", "f4")])),
        ([{"a": float("nan")}], [{"a": 0.0}]),
    ],
)
def test_values_of_every_kind_differ(left: object, right: object) -> None:
    assert difference(left, left) == ""
    assert difference(left, right) != ""


def test_what_is_laid_out_otherwise_is_the_same() -> None:
    assert difference(np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")) == ""
    assert difference(pa.array(["a"]), pa.array(["a"], pa.large_string())) == ""
    assert (
        difference(pa.array(["a", None]).dictionary_encode(), pa.array(["a", None])) == ""
    )
    assert difference(ak.Array([[1, 2], [3]])[1:], ak.Array([[3]])) == ""
    assert (
        difference(ak.to_regular(ak.Array([[1, 2]])), ak.from_numpy(np.array([[1, 2]])))
        == ""
    )


def test_parquet_columns_of_one_name_count(tmp_path: Path) -> None:
    twice, once = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(
        pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["x", "x"]), twice
    )
    pq.write_table(pa.table({"x": [1, 2]}), once)
    assert states(twice, twice) == {}
    assert states(twice, once) == {"x": "missing"}


def test_a_member_of_a_compound_dataset_counts(tmp_path: Path) -> None:
    original, back = tmp_path / "a.h5", tmp_path / "b.h5"
    with h5py.File(original, "w") as file:
        file["jets"] = np.zeros(N, [("pt", "f4"), ("c", "c8")])
        file["top"] = np.arange(N)
    with h5py.File(back, "w") as file:
        file["jets/pt"], file["events/top"] = np.zeros(N, "f4"), np.arange(N)
    assert states(original, back) == {"jets/c": "missing"}


def test_text_is_compared_by_value_and_a_header_in_a_comment_is_one(
    tmp_path: Path,
) -> None:
    original, back, shifted = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"
    original.write_text("# made today\n#run:fill,lumi\n1:7,1.50\n2:7,2e0\n#end\n")
    back.write_text("run:fill,lumi\n1:7,1.5\n2:7,2.0\n")
    shifted.write_text("1:7,1.5\n2:7,2.0\n")
    assert states(original, back) == {}
    assert set(states(original, shifted).values()) == {"differs"}


def test_files_that_cannot_be_opened_are_told_apart(tmp_path: Path) -> None:
    good, bad = write_root(tmp_path / "a.root"), tmp_path / "b.root"
    bad.write_bytes(b"root, but no more")
    with pytest.raises(BackUnreadable, match="cannot be opened"):
        compare(good, bad)
    with pytest.raises(OriginalUnreadable, match="Error"):
        compare(bad, good)
    assert readable(bad).failure
    assert readable(good).reads_every_branch()


def test_files_are_known_by_suffix_or_first_bytes(tmp_path: Path) -> None:
    grid = write_root(tmp_path / "x.tmp.root").rename(tmp_path / "DAOD.pool.root.1")
    (tmp_path / "README.md").write_text("root\n")
    (tmp_path / "notes.log").write_text("nothing")
    assert suffix_of(grid) == ".root"
    assert suffix_of(tmp_path / "notes.log") == ""
    assert list(files_in(tmp_path, "*.1")) == [grid]
    assert shown("a\x1b[31m") == "a\\x1b[31m"


class Flow:
    """A stand-in for flowtuple: what it gives back and says is settled beforehand."""

    def __init__(self, back: Path, **said: Ran | list[Ran]) -> None:
        self._back = back
        self._said = {
            command: list(ran) if isinstance(ran, list) else [ran]
            for command, ran in said.items()
        }
        self.commands: list[list[str]] = []

    def __call__(self, arguments: list[str], limits: Limits, folder: Path) -> Ran:
        self.commands.append(arguments)
        said = self._said.get(arguments[0])
        ran = (said.pop(0) if len(said) > 1 else said[0]) if said else Ran(0)
        if arguments[0] == "decompress" and ran.code == 0:
            shutil.copy(self._back, arguments[arguments.index("-o") + 1])
        return ran


def kind_of(
    original: Path, back: Path, folder: Path, **said: Ran | list[Ran]
) -> tuple[str, str]:
    made = folder / "journey"
    made.mkdir()
    outcome = travel(original, made, Flow(back, **said), LIMITS)
    return outcome.kind, outcome.reason


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """An original with one column more than the file that comes back."""
    original, back = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(original, x=np.arange(N), y=np.ones(N))
    np.savez(back, x=np.arange(N))
    return original, back


REFUSAL = Ran(
    2,
    err="flowtuple: a.npz: cannot carry events/y: it is odd; leave it out with --drop\n",
)
LEFT_OUT = Ran(0, out=json.dumps({"left_out": [{"name": "y", "reason": "it is odd"}]}))


def test_whole(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert kind_of(pair[0], pair[0], tmp_path) == (WHOLE, "")


def test_lost(pair: tuple[Path, Path], tmp_path: Path) -> None:
    kind, reason = kind_of(*pair, tmp_path)
    assert kind == LOST
    assert "y" in reason


def test_lost_where_verify_fails(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert kind_of(pair[0], pair[0], tmp_path, verify=Ran(1))[0] == LOST


def test_whole_but_for_what_was_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert kind_of(*pair, tmp_path, info=LEFT_OUT)[0] == NAMED


def test_a_refusal_is_wrong_where_everything_can_be_read(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assert kind_of(*pair, tmp_path, compress=[REFUSAL, LEFT_OUT])[0] == WRONG


def test_a_whole_refusal_is_wrong_where_everything_can_be_read(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assert kind_of(*pair, tmp_path, compress=REFUSAL)[0] == WRONG


def test_a_refusal_is_right_where_something_cannot_be_read(tmp_path: Path) -> None:
    original = tmp_path / "a.npz"
    np.savez(original, x=np.arange(N), y=np.array([[1], [1, 2]], dtype=object))
    kind, reason = kind_of(original, original, tmp_path, compress=REFUSAL)
    assert kind == REFUSED
    assert "1 of 2" in reason


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    original = tmp_path / "a.root"
    original.write_bytes(b"nothing of the kind")
    assert kind_of(original, original, tmp_path, compress=REFUSAL)[0] == REFUSED


def test_a_format_that_cannot_hold_it_is_right_only_if_it_was_said_before(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    refusal = Ran(
        2,
        err="flowtuple: column 'y' cannot be npz; write .parquet, or leave it out with --drop\n",
    )
    warned = Ran(0, out=json.dumps({"warnings": ["column y cannot be npz"]}))
    flow = [refusal, Ran(0), Ran(0)]  # the format that is advised, then --drop
    assert kind_of(*pair, tmp_path, decompress=list(flow))[0] == WRONG
    (tmp_path / "again").mkdir()
    assert (
        kind_of(*pair, tmp_path / "again", compress=warned, decompress=list(flow))[0]
        == NAMED
    )


@pytest.mark.parametrize(
    "ran",
    [
        Ran(1, err="Traceback (most recent call last):\n  File 'x'\nKeyError: 'y'\n"),
        Ran(2, err="Traceback (most recent call last):\nKeyError: 'y'\n"),
        Ran(-11),
        Ran(1, err="MemoryError"),
        Ran(2, err="Usage: flowtuple\n\nError: No such option: --json"),
    ],
    ids=["traceback", "traceback with 2", "signal", "memory", "usage"],
)
def test_crashed(pair: tuple[Path, Path], tmp_path: Path, ran: Ran) -> None:
    assert kind_of(*pair, tmp_path, compress=ran)[0] == CRASHED


def test_slow(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert kind_of(*pair, tmp_path, compress=Ran(-9, late=True))[0] == SLOW


def test_what_the_independent_reader_cannot_open_is_not_compared(tmp_path: Path) -> None:
    original = tmp_path / "a.npz"
    original.write_bytes(b"nothing of the kind")
    assert kind_of(original, original, tmp_path)[0] == UNCOMPARED


def _endless() -> None:
    while True:
        pass


def _greedy() -> None:
    bytearray(1 << 34)


def _refusing() -> None:
    sys.stdout.write("out")
    sys.stderr.write("err")
    sys.exit(2)


@pytest.mark.parametrize(
    ("work", "limits", "code"),
    [
        (_endless, Limits(0.3, 0), -9),
        (_greedy, Limits(20, 8 << 30), 1),
        (_refusing, LIMITS, 2),
        (lambda: None, LIMITS, 0),
    ],
)
def test_a_step_has_limits(
    tmp_path: Path, work: Callable[[], None], limits: Limits, code: int
) -> None:
    ran = run_forked(work, limits, tmp_path)
    assert ran.code == code
    assert ran.late == (code == -9)
    assert (ran.out, ran.err) == ("out", "err") or code != 2


@pytest.mark.slow
def test_a_file_goes_through_flowtuple_and_back(tmp_path: Path) -> None:
    original = tmp_path / "a.npz"
    np.savez(original, x=np.arange(N), y=np.linspace(0, 1, N))
    outcome = travel(original, tmp_path, run_flowtuple, Limits(60, 0))
    assert outcome.kind == WHOLE, outcome.message
    assert outcome.parts == {"same": 2}
    assert len(outcome.sizes) == 3


@pytest.mark.slow
def test_the_comparison_needs_no_flowtuple() -> None:
    readers = ", ".join(
        f"independent.{path.stem}"
        for path in (TOOLS / "independent").glob("*.py")
        if path.stem != "__init__"
    )
    code = f"import sys, {readers}; sys.exit(any(name.startswith('flowtuple') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], cwd=TOOLS, check=True)


def test_without_root_the_script_for_it_says_so() -> None:
    code = "import sys; sys.modules['ROOT'] = None; import root_check"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=TOOLS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "pip install root" in ran.stderr
