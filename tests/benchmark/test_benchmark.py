"""Codecs side by side: every codec comes back within its bound, and what `flowtuple bench` says is
what was measured.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.baseline.packing import pack_exceptions, with_exceptions
from flowtuple.baseline.quantise import quantise_shifted, restore
from flowtuple.benchmark import child, pages, registry
from flowtuple.benchmark.codecs import grids
from flowtuple.benchmark.codecs.grids import QUANTISE_PCODEC
from flowtuple.benchmark.codecs.table_codec import (
    Settings,
    TableCodec,
    TableLayout,
    is_available,
)
from flowtuple.benchmark.flowtuple_codec import Flowtuple
from flowtuple.benchmark.inputs import (
    layouts,
    numeric_tables,
    read_layouts,
    read_tables,
    write_layouts,
    write_tables,
)
from flowtuple.benchmark.result import Bench, Measurement
from flowtuple.benchmark.run import run
from flowtuple.data.awkward_tables import table_from_awkward
from flowtuple.data.bounds import Bound
from flowtuple.data.table import Dataset, Table, difference
from flowtuple.errors import InvalidArgument, MissingExtra
from flowtuple.io.source import open_dataset
from flowtuple.reporting.rate_distortion import rate_distortion_png
from flowtuple.runtime.progress import silent
from in_process import run_here

CODECS: dict[str, TableCodec] = {c.name: c for c in (*registry.CODECS, Flowtuple())}
BOUNDS = ["lossless", "abs:0.05", "rel:1e-3", "rel:0.3", "std:1e-2", "bits:7"]


def made_tables(events: int = 400) -> list[Table]:
    """Two tables: ragged collections with a visible and a hidden counter, every special value,
    integers, booleans, arrays.
    """
    draw = np.random.default_rng(3)
    counts = draw.integers(0, 4, events)
    total = int(counts.sum())
    pt = draw.exponential(30, total).astype("f4")
    pt[:6] = [np.nan, np.inf, -np.inf, -0.0, 0.0, -999.0]
    fields = {
        "nJet": counts.astype("i4"),
        "Jet_pt": ak.unflatten(pt, counts),
        "Jet_flavour": ak.unflatten(draw.integers(-5, 22, total).astype("i8"), counts),
        "Muon_pt": ak.unflatten(draw.normal(0, 5, total), counts[::-1].copy()),
        "event": np.arange(events, dtype="u8") + 2**63,
        "weight": draw.normal(1, 0.1, events),
        "pass": draw.random(events) > 0.5,
        "small": draw.integers(0, 255, events).astype("u1"),
        "cov": draw.normal(size=(events, 3)).astype("f4"),
        "constant": np.full(events, 2.5, "f4"),
    }
    counters = {"Jet_pt": "nJet", "Jet_flavour": "nJet"}
    runs = table_from_awkward(
        "Runs", ak.Array({"run": np.uint32([1, 2]), "sumw": [0.5, np.nan]})
    )
    return [table_from_awkward("Events", ak.Array(fields), counters=counters), runs]


TABLES = made_tables()


def made_layouts(tables: list[Table], bound: str, **named: str) -> list[TableLayout]:
    return layouts(tables, [{"*": bound, **named}], "made", silent)[0]


def installed(name: str) -> TableCodec:
    if not is_available(CODECS[name]):
        pytest.skip(f"{name} is not installed")
    return CODECS[name]


@pytest.mark.slow
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("name", CODECS)
def test_every_codec_comes_back_within_its_bound(
    name: str, bound: str, tmp_path: Path
) -> None:
    codec, described = installed(name), made_layouts(TABLES, bound)
    path = tmp_path / f"out{codec.suffix}"
    codec.load()
    codec.encode(TABLES, described, path)
    decoded = codec.decode(path, described)
    errors = child.compare(TABLES, decoded, described)
    violations, worst = errors["violations"], errors["worst"]
    assert (violations, worst is not None and worst <= 1) == (0, True), (
        f"{name} at {bound}: {violations} outside, worst {worst}"
    )
    if codec.promise == "lossless" or bound == "lossless":
        assert [difference(a, b) for a, b in zip(TABLES, decoded, strict=True)] == [
            None,
            None,
        ], name
        assert worst == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CODECS)
def test_every_codec_takes_tables_without_events(name: str, tmp_path: Path) -> None:
    codec = installed(name)
    tables = [t.read([c.name for c in t.columns], 0, 0) for t in TABLES]
    bounds = {"Events": {"Jet_pt": Bound("rel", 1e-3)}}
    described = [
        TableLayout(t.name, t.columns, 0, bounds.get(t.name, {})) for t in tables
    ]
    codec.encode(tables, described, tmp_path / f"out{codec.suffix}")
    decoded = codec.decode(tmp_path / f"out{codec.suffix}", described)
    assert [difference(a, b) for a, b in zip(tables, decoded, strict=True)] == [
        None,
        None,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quantise+pcodec", "quantise+lzma", "flowtuple"])
def test_bounded_integers(name: str, tmp_path: Path) -> None:
    codec, described = (
        CODECS[name],
        made_layouts(TABLES, "lossless", Jet_flavour="abs:2", small="abs:3"),
    )
    codec.encode(TABLES, described, tmp_path / "out")
    decoded = codec.decode(tmp_path / "out", described)
    assert child.compare(TABLES, decoded, described)["violations"] == 0


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int64", "uint64"])
@pytest.mark.parametrize("amount", [1.0, 2.5, 60.0, 300.0])
def test_integer_cells_and_their_exceptions_hold_at_the_ends_of_the_type(
    dtype: str, amount: float
) -> None:
    ends, bound = np.iinfo(dtype), Bound("abs", amount)
    x = np.array([ends.min, ends.min + 1, ends.max - 1, ends.max, 0, 1, 5, 100], dtype)
    numbers, shift = quantise_shifted(x, bound)
    decoded = restore(numbers, bound, x.dtype, shift)
    assert bound.holds(
        x, with_exceptions(decoded, pack_exceptions(x, decoded, bound))
    ).all()


def test_ids_weights_and_counters_stay_exact_under_a_glob() -> None:
    assert set(made_layouts(TABLES, "rel:1e-3")[0].bounds) == {
        "Jet_pt",
        "Muon_pt",
        "cov",
        "constant",
    }
    # its standard deviation is zero
    assert "constant" not in made_layouts(TABLES, "std:1e-3")[0].bounds
    deviation = float(TABLES[0]["cov"].astype("f8").std())
    assert made_layouts(TABLES, "std:1e-3")[0].bounds["cov"].amount == pytest.approx(
        1e-3 * deviation
    )


def test_the_smaller_of_two_grids_is_kept() -> None:
    values = np.random.default_rng(1).exponential(30, 5000).astype("f4")
    bound = Bound("rel", 1e-3)
    cells = grids._cells(values.dtype, bound)
    numbers, shift, exceptions = grids._on_grid(values, bound)
    plain = grids._joined(grids._PLAIN, shift, exceptions, numbers)
    both = [plain, grids._on_cells(values, bound, cells)]
    assert len(QUANTISE_PCODEC.compress(values, bound)) == min(map(len, both))
    for data in both:
        assert bound.holds(
            values, QUANTISE_PCODEC.decompress(data, values.dtype, bound)
        ).all()


def test_exceptions_are_stored_only_where_needed() -> None:
    x = np.arange(10.0)
    assert pack_exceptions(x, x + 0.5, Bound("abs", 0.5)) == b""
    np.testing.assert_array_equal(
        with_exceptions(x + 1, pack_exceptions(x, x + 1, Bound("abs", 0.5))), x
    )


def test_inputs_travel_unchanged(tmp_path: Path) -> None:
    described = made_layouts(TABLES, "rel:1e-3")
    write_tables(TABLES, tmp_path)
    write_layouts(described, tmp_path / "layouts.json")
    found = read_layouts(tmp_path / "layouts.json")
    assert found == described
    assert [
        difference(a, b)
        for a, b in zip(TABLES, read_tables(found, tmp_path), strict=True)
    ] == [None, None]


def test_histograms_and_opaque_columns_are_left_out_with_a_note() -> None:
    table = table_from_awkward("t", ak.Array({"x": [1.0, 2.0], "name": ["a", "b"]}))
    tables, notes = numeric_tables(Dataset("made", {"t": table}, carried={"pileup": b""}))
    assert [c.name for c in tables[0].columns] == ["x"]
    assert notes == [
        "pileup is left out: it is no table",
        "t/name is left out: it holds no plain numbers",
    ]
    with pytest.raises(InvalidArgument, match="made: holds no numbers"):
        numeric_tables(Dataset("made", {"t": table.read(["name"], 0, 2)}))


def test_comparison_counts_what_broke() -> None:
    columns = TABLES[1].columns
    before, after = (
        Table("Runs", columns, 2, {"run": np.uint32([1, 2]), "sumw": w})
        for w in (np.ones(2), np.array([1, 1.3]))
    )
    bounded = TableLayout("Runs", columns, 2, {"sumw": Bound("abs", 0.1)})
    errors = child.compare([before], [after], [bounded])
    assert (errors["violations"], errors["worst"]) == (1, pytest.approx(3.0))
    errors = child.compare([before], [after], [replace(bounded, bounds={})])
    assert (errors["violations"], errors["worst"]) == (1, None)


def shared_definition() -> ModuleType:
    path = Path(__file__).parents[2].parent / "shared" / "rival.py"
    if not path.is_file():
        pytest.skip(f"the definition is not at {path}")
    spec = importlib.util.spec_from_file_location("rival", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "kind", "amount"),
    [("atlas_trigger_jets.root", "std", 2.88e-3), ("uproot-HZZ.root", "rel", 1e-3)],
)
def test_quantise_pcodec_is_the_one_defined(
    shared_data: Path, tmp_path: Path, name: str, kind: str, amount: float
) -> None:
    """Container and exceptions cost at most half a percent; under `rel` a smaller grid may win that
    back.
    """
    module = shared_definition()
    expected = module.rival_bytes(
        module.columns(str(shared_data / name)), **{kind: amount}
    )
    tables, _ = numeric_tables(open_dataset(shared_data / name))
    described = made_layouts(tables, f"{kind}:{amount}")
    QUANTISE_PCODEC.encode(tables, described, tmp_path / "out")
    ratio = (tmp_path / "out").stat().st_size / expected
    assert ratio < 1.005
    assert ratio > 0.995 or kind == "rel"


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "nano.root"
    draw = np.random.default_rng(5)
    with uproot.recreate(path) as file:
        branches = {
            "MET_pt": draw.exponential(20, 300).astype("f4"),
            "run": np.full(300, 7, "u4"),
        }
        file.mktree("Events", {"MET_pt": "float32", "run": "uint32"}).extend(branches)
        file.mktree("Runs", {"sumw": "float64"}).extend({"sumw": [0.5, 1.5]})
    return path


def call(*arguments: str | Path) -> tuple[int, str, str]:
    done = run_here(*arguments)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_command_writes_json_tables_and_a_plot(nano: Path, tmp_path: Path) -> None:
    options = [
        "--scan",
        "rel:1e-2,rel:1e-3",
        "--codecs",
        "gzip-9,quantise+pcodec,flowtuple",
        "--effort",
        "fast",
        "-o",
        tmp_path / "out",
        "--json",
    ]
    code, out, err = call("bench", nano, *options)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found == json.loads((tmp_path / "out" / "bench.json").read_text())
    assert (found["events"], found["values"], found["raw_bytes"]) == (
        {"Events": 300, "Runs": 2},
        602,
        2416,
    )
    assert found["command"].startswith("flowtuple bench ")
    assert [(r["bound"], r["codec"]) for r in found["rows"]] == [
        (bound, name)
        for bound in ("rel:0.01", "rel:0.001")
        for name in ("gzip-9", "quantise+pcodec", "flowtuple")
    ]
    for row in found["rows"]:
        assert (row["failed"], row["violations"], row["holds"]) == ("", 0, True), row
        assert row["bits_per_value"] == pytest.approx(8 * row["bytes"] / 602)
        assert row["mb_per_s_in"] > 0
        assert row["mb_per_s_out"] > 0
        assert row["peak_bytes_in"] >= 0
    pcodec = found["rows"][1]
    assert pcodec["ratio_to_quantise_pcodec"] == 1
    assert 0 < pcodec["worst"] <= 1
    assert sum(row["best"] for row in found["rows"]) == 2
    page = (tmp_path / "out" / "bench.md").read_text()
    assert "## rel:0.001" in page
    assert f"| quantise+pcodec | {pcodec['bytes']} |" in page.replace("**", "")
    assert (tmp_path / "out" / "rate_distortion.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.slow
def test_command_shows_a_table(nano: Path) -> None:
    code, out, err = call(
        "bench",
        f"{nano}:Events",
        "-t",
        "*=abs:0.1",
        "--columns",
        "MET_pt",
        "--codecs",
        "pcodec,quantise+pcodec",
    )
    assert (code, err) == (0, "")
    assert re.search(r"nano\.root at abs:0\.1: 300 values, 1\.20 kB", out)
    assert re.search(r"quantise\+pcodec \* .* 1\.0000 ", out)


BAD_REQUESTS = {
    "codec": (
        ["--codecs", "gzip-9,quantize+pcodec"],
        "no codec 'quantize+pcodec'",
        "nearest: quantise+pcodec",
    ),
    "no codec": (["--codecs", ""], "no codec is named", "there are: gzip-9"),
    "bound": (
        ["--scan", "std:1e-3,1e-2"],
        "--scan 'std:1e-3,1e-2'",
        "'1e-2' does not parse",
    ),
    "tolerance": (["-t", "*=rel"], "--tolerance '*=rel'", "rel:1e-3"),
    "column": (
        ["-t", "MET=rel:1e-3"],
        "nano.root: ",
        "'MET' matches no column",
        "nearest: MET_pt",
    ),
    "effort": (["--effort", "maximal"], "'maximal'", "fast, default, best"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_request_is_one_line(nano: Path, case: str) -> None:
    options, *words = BAD_REQUESTS[case]
    code, out, err = call("bench", nano, *options)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"flowtuple: [^\n]+\n", err)
    assert all(word in err for word in words), err


def test_missing_file_is_one_line(nano: Path) -> None:
    code, _, err = call("bench", nano.with_name("nanoo.root"))
    assert code == 2
    assert re.fullmatch(
        r"flowtuple: [^\n]*nanoo\.root: no such file[^\n]*nearest: nano\.root[^\n]*\n",
        err,
    )


def test_folder_that_is_a_file_is_refused_before_anything_runs(
    nano: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowtuple.api.measuring.run", None)
    with pytest.raises(InvalidArgument, match="cannot be made"):
        ft.bench(nano, codecs=["pcodec"], folder=nano)
    with pytest.raises(InvalidArgument, match="0 threads cannot work"):
        ft.bench(nano, resources=ft.Resources(workers=0))


def test_missing_package_is_a_note_or_where_it_is_named_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "is_available", lambda codec: codec.name != "sz3")
    chosen, notes = registry.choose(None)
    assert "sz3" not in chosen
    assert chosen[-1] == "flowtuple"
    (note,) = notes
    assert (
        note
        == "sz3 is left out: the codec sz3 (pysz) needs the extra 'bench': pip install 'flowtuple[bench]'"
    )
    with pytest.raises(MissingExtra, match=re.escape("pip install 'flowtuple[bench]'")):
        registry.choose(["gzip-9", "sz3"])


@pytest.mark.slow
def test_a_codec_that_fails_is_a_row_that_says_so() -> None:
    """ROOT holds one thing under a name; the others go on."""
    tables = {
        name: table_from_awkward(name, ak.Array({"x": np.arange(50, dtype="f4")}))
        for name in ("t", "t/u")
    }
    found = run(
        Dataset("made", tables),
        {"lossless": {}},
        ["root-lzma-9", "pcodec"],
        Settings("fast"),
        "",
    )
    root, pcodec = found.rows
    assert root.failed.startswith("Unsupported: ")
    assert (root.holds, pcodec.holds, found.best("lossless")) == (False, True, "pcodec")
    assert pages.cells(found, root)[:2] == ["root-lzma-9", "failed"]
    assert "root-lzma-9 failed at lossless: Unsupported" in pages.markdown(found)


def made_bench(**changes: object) -> Bench:
    row = Measurement(
        "quantise+pcodec",
        "bounded",
        "abs:1",
        bytes=50,
        bits_per_value=4.0,
        violations=0,
        worst=0.9,
    )
    broken = replace(
        row, codec="wild", bytes=10, bits_per_value=0.8, violations=3, worst=None
    )
    machine = {
        "date": "",
        "processor": "",
        "cores": 1,
        "memory_bytes": None,
        "system": "",
        "python": "",
        "versions": {},
    }
    bench = Bench(
        "made",
        "",
        "fast",
        1,
        "GeV",
        {"t": 100},
        1,
        100,
        400,
        ("abs:1",),
        (row, broken),
        (),
        machine,
    )
    return replace(bench, **changes)


def test_a_codec_that_breaks_its_bound_is_marked_and_not_best() -> None:
    found = made_bench()
    assert found.best("abs:1") == "quantise+pcodec"
    assert found.ratio(found.rows[1]) == 0.2
    assert "3 BREAKS" in pages.cells(found, found.rows[1])
    assert "unbounded" in pages.cells(found, found.rows[1])
    assert [row["best"] for row in found.to_json()["rows"]] == [True, False]
    assert made_bench(rows=found.rows[1:]).best("abs:1") is None


def test_flowtuple_counts_its_whole_file(tmp_path: Path) -> None:
    described = made_layouts(TABLES, "rel:1e-3")
    Flowtuple().encode(TABLES, described, tmp_path / "out.ftup")
    info = ft.info(tmp_path / "out.ftup")
    assert Flowtuple().overhead(tmp_path / "out.ftup") == (
        info["sections"]["model"],
        info["sections"]["index"],
    )
    assert sum(info["sections"].values()) == (tmp_path / "out.ftup").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize(
    "bounds",
    [
        ["abs:1"],
        ["x=abs:1, y=rel:0.1"],
        ["abs:1", "abs:2"],
        ["bits:3", "bits:5"],
        ["abs:1", "rel:0.1"],
    ],
)
def test_drawing_takes_any_bounds_and_gaps(bounds: list[str]) -> None:
    curves = {
        "flowtuple": [8.0] * len(bounds),
        "broken": [None] * len(bounds),
        "other": [9.0, *[None] * (len(bounds) - 1)],
    }
    assert rate_distortion_png(bounds, curves, "title").startswith(b"\x89PNG")
    assert rate_distortion_png(bounds, {}, "").startswith(b"\x89PNG")
