"""Reference methods compared with other codecs: what they code comes back, is counted, and is never
called the smallest.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft
from flowtuple.baseline.packing import join, split
from flowtuple.benchmark import child, pages, registry
from flowtuple.benchmark import run as contest
from flowtuple.benchmark.codecs.table_codec import Settings, TableLayout
from flowtuple.benchmark.published.baler import (
    FILES,
    Baler,
    BalerFiles,
    silenced,
)
from flowtuple.benchmark.published.methods import MethodCodec, Stored
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.registry import PUBLISHED
from flowtuple.benchmark.result import Bench, Measurement
from flowtuple.benchmark.run import run
from flowtuple.data.awkward_tables import table_from_awkward
from flowtuple.data.bounds import Bound
from flowtuple.data.rows import Rows
from flowtuple.data.table import Dataset, Table, difference
from flowtuple.errors import Corrupt, InvalidArgument, MissingExtra

SHORT = ft.Training(epochs=1, batch=256, patience=0)
QUICK: dict[str, MethodCodec] = {
    "latent": Stored("latent", options=Latent(bits=20, model=2, training=SHORT)),
    "autoencoder": Stored(
        "autoencoder",
        options=Autoencoder(hidden=(16, 8), normalisation="standard", training=SHORT),
    ),
    "baler": BalerFiles("baler", options=Baler(epochs=1)),
}
needs_baler = pytest.mark.skipif(
    importlib.util.find_spec("baler_compressor") is None, reason="Baler is not installed"
)
METHODS = [
    pytest.param(name, marks=[needs_baler] if name == "baler" else []) for name in QUICK
]


def made_tables(events: int = 500) -> list[Table]:
    """Two tables: jets with NaN, infinity and a whole number each, ids, weights, arrays; a table of
    few events.
    """
    draw = np.random.default_rng(3)
    counts = draw.integers(0, 5, events)
    total = int(counts.sum())
    pt = 20 + draw.exponential(30, total).astype("f4")
    eta, phi = (draw.normal(0, 1.5, total).astype("f4") for _ in range(2))
    pt[5], eta[9] = np.nan, np.inf
    jets = {
        "Jet_pt": pt,
        "Jet_eta": eta,
        "Jet_phi": phi,
        "Jet_mass": pt * 0.1,
        "Jet_n": draw.integers(-2, 9, total),
    }
    fields = {name: ak.unflatten(x, counts) for name, x in jets.items()}
    fields |= {
        "nJet": counts.astype("i4"),
        "event": np.arange(events) + 2**60,
        "MET_pt": draw.exponential(20, events),
    }
    fields |= {
        "genWeight": draw.normal(1, 0.1, events),
        "cov": draw.normal(size=(events, 3)).astype("f4"),
    }
    table = table_from_awkward(
        "Events", ak.Array(fields), counters=dict.fromkeys(jets, "nJet")
    )
    return [
        table,
        table_from_awkward(
            "Runs", ak.Array({"run": np.uint32([1, 2]), "x": [0.5, np.nan]})
        ),
    ]


TABLES = made_tables()
LAYOUTS = [
    TableLayout(
        t.name,
        t.columns,
        t.num_entries,
        {c.name: Bound("abs", 1e-12) for c in t.columns if c.is_float},
    )
    for t in TABLES
]
MOVED = {"Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "MET_pt"}


def jets(n: int = 600) -> Rows:
    draw = np.random.default_rng(1)
    values = np.float32(draw.normal(50, 10, (n, 4))).astype("f8")
    return Rows(
        "jets",
        ("pt", "eta", "phi", "m"),
        values,
        np.arange(n),
        n,
        dtypes=("float32",) * 4,
    )


# -- one method as a codec
# --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_only_floats_of_rows_move(name: str, tmp_path: Path) -> None:
    codec = QUICK[name]
    codec.load()
    codec.encode(TABLES, LAYOUTS, tmp_path / "out.bin")
    decoded = codec.decode(tmp_path / "out.bin", LAYOUTS)
    for before, after in zip(TABLES, decoded, strict=True):
        moved = {
            c.name
            for c in before.columns
            if not np.array_equal(before[c.name], after[c.name], equal_nan=c.is_float)
        }
        assert moved == (MOVED if before.name == "Events" else set())
        assert [after[c.name].dtype for c in after.columns] == [
            np.dtype(c.dtype) for c in before.columns
        ]
    apart = ~np.isfinite(TABLES[0]["Jet_pt"]) | ~np.isfinite(TABLES[0]["Jet_eta"])
    assert apart.sum() == 2
    for column in MOVED - {"MET_pt"}:
        np.testing.assert_array_equal(decoded[0][column][apart], TABLES[0][column][apart])
        assert np.isfinite(decoded[0][column][~apart]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_model_is_part_of_the_bytes(name: str, tmp_path: Path) -> None:
    codec = QUICK[name]
    codec.encode(TABLES, LAYOUTS, tmp_path / "out.bin")
    model, index = codec.overhead(tmp_path / "out.bin")
    assert index == 0
    # two collections, two models
    expected = {"latent": 2 * 10_000, "autoencoder": 2 * 500, "baler": 2 * 400_000}[name]
    assert expected < model < (tmp_path / "out.bin").stat().st_size


@pytest.mark.parametrize("name", METHODS)
def test_few_rows_are_kept_as_they_are(name: str, tmp_path: Path) -> None:
    codec = QUICK[name]
    tables = [
        t.read([c.name for c in t.columns], 0, min(100, t.num_entries)) for t in TABLES
    ]
    layouts = [TableLayout(t.name, t.columns, t.num_entries, {}) for t in tables]
    codec.encode(tables, layouts, tmp_path / "out.bin")
    decoded = codec.decode(tmp_path / "out.bin", layouts)
    assert [difference(a, b) for a, b in zip(tables, decoded, strict=True)] == [
        None,
        None,
    ]
    assert codec.overhead(tmp_path / "out.bin") == (0, 0)


@pytest.mark.slow
def test_more_bits_bring_the_latent_codec_closer() -> None:
    rows = jets()
    errors = []
    for bits in (8, 13, 20):
        method = Stored("latent", options=Latent(bits=bits, model=2, training=SHORT))
        errors.append(np.abs(method.unpack(method.pack(rows)[0]) - rows.values).mean())
    assert errors[0] > 8 * errors[1] > 64 * errors[2] > 0


def test_units_reach_the_options() -> None:
    for codec in PUBLISHED:
        method = registry.codec(codec.name, Settings(unit="MeV"))
        assert isinstance(method, BalerFiles) or method.options.unit == "MeV"
    with pytest.raises(InvalidArgument, match="no unit 'TeV' of energies"):
        ft.bench({"x": [1.0]}, unit="TeV")


# -- Baler
# ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_baler
def test_baler_learns_and_keeps_its_own_files() -> None:
    rows = jets(2000)
    # one of four columns follows, and three numbers are enough
    rows.values[:, 1] = rows.values[:, 0] * 2 + 1
    errors = []
    for epochs in (1, 15):
        method = BalerFiles("baler", options=Baler(epochs=epochs))
        data, model = method.pack(rows)
        pieces = split(data)
        assert len(pieces) == len(FILES)
        assert model == len(pieces[0]) + len(pieces[1])
        errors.append(np.abs(method.unpack(data) - rows.values).mean())
    assert errors[1] < errors[0] / 2  # 0.272 +- 0.014, 13 models
    # three float64 numbers a row: no smaller than four float32
    assert len(pieces[2]) > 0.8 * 2000 * 3 * 8
    with pytest.raises(Corrupt, match="2 files are not the 3 that Baler leaves"):
        method.unpack(join(pieces[:2]))


@pytest.fixture(scope="module")
def baler_pieces() -> list[bytes]:
    return split(QUICK["baler"].pack(jets())[0])


@needs_baler
def test_baler_leaves_the_process_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    rows = jets()
    before = (
        list(sys.path),
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
    )
    method = QUICK["baler"]
    first, _ = method.pack(rows)
    assert (
        list(sys.path),
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
    ) == before
    assert capfd.readouterr() == ("", "")
    assert (method.unpack(first) == method.unpack(method.pack(rows)[0])).all()


def test_a_call_that_fails_leaves_the_process_as_it_was() -> None:
    import torch

    def failing() -> None:
        sys.path.append("elsewhere")
        raise RuntimeError(f"drew {torch.rand(1).item()}")

    before = (
        list(sys.path),
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
        sys.stdout,
    )
    with pytest.raises(RuntimeError, match="drew 0"), silenced(3):
        failing()
    assert (
        list(sys.path),
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
        sys.stdout,
    ) == before


def test_what_baler_fails_at_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether Baler is installed or not: another package stands in for it."""

    def run(model: str, latent: str, config: object) -> tuple[np.ndarray]:
        assert config.compression_ratio == 1.6
        with zipfile.ZipFile(latent):
            return (np.zeros(3),)

    parts = {".decompressor": {"run": run}, ".config": {"Config": type("Config", (), {})}}
    parts |= {"": {}, ".legacy_models": {"AE": type("AE", (), {"encode": None})}}
    for name, content in parts.items():
        module = ModuleType(f"baler_compressor{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(
        Corrupt,
        match=r"Baler's files do not decode \(BadZipFile: File is not a zip file\); restore them",
    ):
        BalerFiles("baler").unpack(join([b"model", b"ranges", b"numbers"]))
    with pytest.raises(Corrupt, match="1 files are not the 3 that Baler leaves"):
        BalerFiles("baler").unpack(join([b"model"]))


@pytest.mark.slow
@needs_baler
# NumPy leaves a file open that is no archive
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("place", range(len(FILES)), ids=FILES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_files_that_are_cut_off_are_damaged(
    place: int, share: float, baler_pieces: list[bytes]
) -> None:
    damaged = [*baler_pieces]
    damaged[place] = damaged[place][: int(share * len(damaged[place]))]
    with pytest.raises(
        Corrupt,
        match=r"Baler's files do not decode \(\w+: .*\); restore them from a copy",
    ):
        QUICK["baler"].unpack(join(damaged))


# -- the contest
# ------------------------------------------------------------------------------------------------------------


def test_reference_methods_take_part_where_they_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {codec.name for codec in PUBLISHED}
    assert not names & set(registry.choose(None)[0])
    assert registry.choose(["latent-13", "pcodec"])[0] == ["latent-13", "pcodec"]
    monkeypatch.setattr(registry, "is_available", lambda codec: codec.name != "baler")
    with pytest.raises(MissingExtra, match=re.escape("pip install 'flowtuple[baler]'")):
        registry.choose(["baler"])


@pytest.mark.slow
def test_naming_them_loads_no_torch() -> None:
    script = (
        "import sys, flowtuple.benchmark.registry as c; "
        "c.codec('baler'); c.codec('latent-13'); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert done.stdout == "False\n"


def made_bench() -> Bench:
    row = Measurement(
        "quantise+pcodec",
        "bounded",
        "abs:1",
        bytes=50,
        bits_per_value=4.0,
        violations=0,
        worst=0.9,
    )
    free = Measurement(
        "latent-13",
        "none",
        "abs:1",
        bytes=10,
        bits_per_value=0.8,
        violations=0,
        worst=0.5,
        largest_error=3.0,
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
    return Bench(
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
        (row, free),
        (),
        machine,
    )


def test_without_a_promise_nothing_is_the_smallest() -> None:
    """Not even where every value happens to lie within the bound."""
    found = made_bench()
    assert found.best("abs:1") == "quantise+pcodec"
    assert [row["holds"] for row in found.to_json()["rows"]] == [True, False]
    cells = dict(zip(pages.HEADINGS, pages.cells(found, found.rows[1]), strict=True))
    assert (cells["outside"], cells["max/std"]) == ("0, no bound", "3.00")
    assert "| latent-13 | 10 |" in pages.markdown(found)
    assert "| **quantise+pcodec** | **50** |" in pages.markdown(found)


@pytest.mark.slow
def test_a_bound_changes_nothing_and_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each task in this process; other tests measure it in one of its own."""
    operations = []

    def counted(
        shared: contest._Run, task: dict[str, object], bound: str
    ) -> dict[str, object]:
        operations.append((task["operation"], bound))
        return child.perform({**shared.task, **task})

    monkeypatch.setattr(contest, "_child", counted)
    short = Stored("latent-13", options=Latent(bits=13, model=2, training=SHORT))
    monkeypatch.setattr(registry, "PUBLISHED", (short,))
    rows = jets(600)
    table = table_from_awkward(
        "t",
        ak.Array(
            {name: np.float32(rows.values[:, k]) for k, name in enumerate(rows.columns)}
        ),
    )
    points = {bound: {"*": bound} for bound in ("abs:1e-9", "abs:1e9")}
    found = run(
        Dataset("made", {"t": table}), points, ["latent-13", "pcodec"], Settings(), ""
    )
    fine, coarse = (row for row in found.rows if row.codec == "latent-13")
    assert operations[:3] == [
        ("encode", "abs:1e-9"),
        ("decode", "abs:1e-9"),
        ("encode", "abs:1e-9"),
    ]
    assert [o for o in operations if o[1] == "abs:1e9"] == [("decode", "abs:1e9")]
    assert (fine.bytes, fine.largest_error, coarse.bound) == (
        coarse.bytes,
        coarse.largest_error,
        "abs:1e9",
    )
    assert fine.violations > 0 == coarse.violations
    assert 0 < fine.mean_error < fine.largest_error
    assert fine.model_bytes > 0
    assert (fine.trained_seconds_in, found.best("abs:1e9")) == (None, "pcodec")


def errors_over_std(before: list[Table], after: list[Table]) -> tuple[float, float]:
    layouts = [TableLayout(t.name, t.columns, t.num_entries, {}) for t in before]
    errors = child.compare(before, after, layouts)
    return errors["mean_error"], errors["largest_error"]


def test_errors_over_std_are_of_floats_that_may_move() -> None:
    before = TABLES[0]
    data = {c.name: before[c.name].copy() for c in before.columns}
    data["MET_pt"][3] += 2 * before["MET_pt"].std()
    data["genWeight"] += 7  # a weight is no such column
    moving = [c for c in before.columns if c.is_float and c.role not in ("id", "weight")]
    changed = Table(before.name, before.columns, before.num_entries, data)
    assert errors_over_std([before], [changed]) == (
        pytest.approx(2 / 500 / len(moving)),
        pytest.approx(2),
    )
    data["MET_pt"][3] = np.nan
    broken = Table(before.name, before.columns, before.num_entries, data)
    assert errors_over_std([before], [broken]) == (np.inf, np.inf)
    assert errors_over_std(TABLES[1:], TABLES[1:]) == (
        0,
        0,
    )  # no column with two different values


# -- what measures them
# -----------------------------------------------------------------------------------------------------


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Modules of bench/ by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    return importlib.import_module


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sz3", "zfp", "quantise+pcodec"])
def test_the_search_finds_the_bound_of_a_mean_error(
    name: str, script: Callable[[str], ModuleType]
) -> None:
    found = script("published")
    codec = {c.name: c for c in found.CODECS}[name]
    if codec.requires is not None:
        pytest.importorskip(codec.requires[0])
    rows = jets(3000)
    for mean in (1e-3, 0.3):
        point, bounds = found.at_equal_error(
            codec, rows, [mean * s for s in rows.values.std(axis=0)]
        )
        assert point.mean <= mean * 1.001
        # ZFP's bounds are powers of two
        assert (
            point.mean > mean * {"sz3": 0.85, "zfp": 0.4, "quantise+pcodec": 0.98}[name]
        )
        assert all(
            bound.kind == "abs" and bound.amount > mean for bound in bounds.values()
        )


@pytest.mark.slow
def test_equal_error_prints_what_was_measured(
    tmp_path: Path,
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, rows = script("published"), jets(800)
    np.savez(
        tmp_path / "x.npz",
        **{name: np.float32(rows.values[:, k]) for k, name in enumerate(rows.columns)},
    )
    monkeypatch.setattr(
        found,
        "Latent",
        lambda bits=13, unit="GeV": Latent(bits, model=2, unit=unit, training=SHORT),
    )
    for package in ("pysz", "zfpy"):
        pytest.importorskip(package)
    options = [
        "--methods",
        "latent-13",
        "latent-20",
        "--effort",
        "fast",
        "--held-out",
        "0.2",
        "--json",
        tmp_path / "x.json",
    ]
    monkeypatch.setattr(
        sys,
        "argv",
        ["published.py", "equal-error", *map(str, [tmp_path / "x.npz", *options])],
    )
    found.script.main()
    points = json.loads((tmp_path / "x.json").read_text())["points"]
    assert [p["method"]["codec"] for p in points] == ["latent-13", "latent-20"]
    for p in points:
        assert [o["codec"] for o in p["others"]] == [
            "sz3",
            "zfp",
            "quantise+pcodec",
            "lattice flow",
        ]
        # near the floats' own steps
        assert p["others"][2]["mean"] == pytest.approx(p["method"]["mean"], rel=0.1)
        assert p["method"]["largest"] > 3 * p["others"][2]["largest"]
    coarse, fine = (p["method"] for p in points)
    assert fine["bits"] - coarse["bits"] == pytest.approx(7, abs=0.1)
    assert fine["mean"] < coarse["mean"] / 32
    assert (
        len(
            [
                line
                for line in capsys.readouterr().out.splitlines()
                if line.startswith("| latent-")
            ]
        )
        == 4
    )


@pytest.mark.slow
def test_costs_are_measured_step_by_step(
    tmp_path: Path,
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = jets(800)
    np.savez(
        tmp_path / "x.npz",
        **{name: np.float32(rows.values[:, k]) for k, name in enumerate(rows.columns)},
    )
    options = [
        "--methods",
        "latent-2",
        "xz",
        "--epochs",
        "5",
        "--repeat",
        "1",
        "--json",
        tmp_path / "x.json",
    ]
    monkeypatch.setattr(
        sys, "argv", ["costs.py", "steps", *map(str, [tmp_path / "x.npz", *options])]
    )
    script("costs").script.main()
    found = json.loads((tmp_path / "x.json").read_text())["methods"]
    for steps in found.values():
        assert list(steps) == ["initialise", "train", "load", "encode", "decode", "bytes"]
    latent, xz = found["latent-2"], found["xz"]
    # PyTorch
    assert latent["initialise"]["retained_bytes"] > 5 * xz["initialise"]["retained_bytes"]
    assert latent["initialise"]["seconds"] > 5 * latent["load"]["seconds"]
    assert latent["train"]["cpu_seconds"] > 20 * xz["train"]["cpu_seconds"]
    # 25 times and more
    assert latent["train"]["cpu_seconds"] > 5 * latent["load"]["cpu_seconds"]
    assert (
        latent["train"]["peak_bytes"] > 5 * rows.values.nbytes > xz["train"]["peak_bytes"]
    )
    assert xz["bytes"] > 0.5 * 4 * rows.values.size
    printed = capsys.readouterr().out
    assert "failed" not in printed
    assert "train with 2 and code with 1, Baler trains with 1" in printed
    assert (
        len(
            [
                line
                for line in printed.splitlines()
                if line.startswith(("| latent-2", "| xz"))
            ]
        )
        == 10
    )


@pytest.mark.slow
@needs_baler
def test_balers_encoding_writes_its_file(
    tmp_path: Path, script: Callable[[str], ModuleType]
) -> None:
    rows, found = jets(800), script("costs")
    np.save(tmp_path / "rows.npy", rows.values)
    (tmp_path / "rows.json").write_text(
        json.dumps({"columns": rows.columns, "dtypes": rows.dtypes})
    )
    asked = type(
        "Asked", (), {"unit": "GeV", "bound": "std:1e-3", "epochs": 1, "threads": 1}
    )()
    assert "failed" not in found.measure_step(asked, "baler", "train", tmp_path)
    (tmp_path / "out.compressed.npz").unlink()
    assert "failed" not in found.measure_step(asked, "baler", "encode", tmp_path)
    with np.load(tmp_path / "out.compressed.npz") as written:
        assert written["data"].shape == (800, 3)


@pytest.mark.slow
def test_a_step_that_fails_says_why(
    tmp_path: Path, script: Callable[[str], ModuleType]
) -> None:
    found = script("costs")
    asked = type(
        "Asked", (), {"unit": "GeV", "bound": "std:1e-3", "epochs": 1, "threads": 1}
    )()
    measured = found.measure_step(asked, "xz", "decode", tmp_path)
    assert set(measured) == {"failed"}
    assert "No such file" in measured["failed"]
    cells = found.step_cells("xz", "decode", found.median([measured]), 10)
    assert cells[:2] == ["xz", "decode"]
    assert cells[2].startswith("failed: FileNotFoundError")
