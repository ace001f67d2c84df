"""The latent codec's scales, other sizes, rows drawn from its flow, and what `info` says of its
file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft
from flowtuple.api import decode_rows, encode_rows, sample_rows
from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.erf_codes import from_codes, largest, to_codes
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.layout import describe
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.published.stored import fit_codec
from flowtuple.cli import app
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.errors import Corrupt, InvalidArgument, Unsupported
from flowtuple.flows.options import Shape
from flowtuple.io.source import open_dataset, write_dataset
from in_process import run_here

QUICK = ft.Training(epochs=1, batch=256)


def jets(n: int = 1500) -> dict[str, np.ndarray]:
    """Four variables of a jet in GeV, mass and p_T correlated."""
    draw = np.random.default_rng(0)
    pt = 20 + draw.exponential(30, n)
    values = {
        "m": pt * draw.uniform(0.05, 0.2, n),
        "pt": pt,
        "phi": draw.uniform(-3.1, 3.1, n),
        "eta": draw.normal(0, 1.5, n),
    }
    return {name: x.astype("f4") for name, x in values.items()}


@pytest.fixture(scope="module")
def rows() -> Rows:
    return read_rows(open_dataset(jets()))


@pytest.fixture(scope="module")
def codec(rows: Rows) -> LatentCodec:
    asked = Latent(bits=13, model=2, training=replace(QUICK, epochs=40, patience=0))
    return fit_codec(rows, asked, 0, lambda share, loss: None)[0]


@pytest.fixture(scope="module")
def path(
    codec: LatentCodec, rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("latent") / "jets.ref"
    stored.write(codec, rows, path)
    return path


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("autoencoder") / "jets.ref"
    encode_rows(jets(), path, Autoencoder(hidden=(8,), training=QUICK))
    return path


# -- scales
# -----------------------------------------------------------------------------------------------------------------


def test_each_column_reaches_the_largest_code_by_its_own_scale() -> None:
    z = np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 0.1]
    own, same = largest(z, by_column=True), largest(z)
    assert own.tolist() == np.abs(z).max(axis=0).tolist()
    assert same.tolist() == [np.abs(z).max()]
    assert np.abs(to_codes(z, own, 10)).max(axis=0).tolist() == [1023, 1023]
    assert np.abs(to_codes(z, same, 10)).max(axis=0)[1] < 500
    errors = [
        np.median(np.abs(from_codes(to_codes(z, scale, 10), scale, 10) - z), axis=0)
        for scale in (own, same)
    ]
    assert errors[0][1] < errors[1][1] / 2


@pytest.mark.slow
def test_a_file_holds_as_many_scales_as_were_asked_for(
    codec: LatentCodec, rows: Rows, tmp_path: Path
) -> None:
    files = {
        scale: stored.write(replace(codec, scale=scale), rows, tmp_path / scale)
        for scale in ("column", "all")
    }
    codes = {
        scale: describe(found.path)["sections"]["codes"] for scale, found in files.items()
    }
    assert codes["column"] - codes["all"] == 3 * 8
    assert files["column"].accuracy != files["all"].accuracy
    for scale, found in files.items():
        decoded = decode_rows(tmp_path / scale)
        off = np.abs(np.asarray(decoded["pt"], "f8") - jets()["pt"])
        assert float(off.max()) == found.accuracy[1].largest


@pytest.mark.slow
def test_files_that_name_no_scale_have_one_for_all_columns(
    codec: LatentCodec, rows: Rows
) -> None:
    one = replace(codec, scale="all")
    old = {name: value for name, value in one.settings().items() if name != "scale"}
    restored = LatentCodec.restore(old, one.weights(), "x.ref")
    assert (
        restored.decode(one.encode(rows.values), len(rows))
        == one.decode(one.encode(rows.values), len(rows))
    ).all()


@pytest.mark.slow
def test_unknown_scales_are_refused(codec: LatentCodec) -> None:
    with pytest.raises(
        InvalidArgument,
        match="there is no scale 'colum' of latent numbers; nearest: column",
    ):
        Latent(scale="colum")
    with pytest.raises(
        Corrupt,
        match=r"x\.ref: has latent numbers scaled by 'row'; restore it from a copy",
    ):
        LatentCodec.restore(
            {**codec.settings(), "scale": "row"}, codec.weights(), "x.ref"
        )


@pytest.mark.slow
def test_one_scale_for_all_columns_unless_another_is_asked_for(rows: Rows) -> None:
    codec, _ = fit_codec(
        rows, Latent(model=2, training=QUICK), 0, lambda share, loss: None
    )
    assert codec.scale == Latent().scale == "all"
    with pytest.raises(TypeError, match="positional argument"):
        Latent(13, 1)  # what is behind the number of bits goes by its name
    with pytest.raises(TypeError, match="positional argument"):
        Autoencoder(3, "tanh")


@pytest.mark.slow
def test_the_outermost_numbers_of_each_column_come_back(
    codec: LatentCodec, rows: Rows
) -> None:
    z, fine = codec.latent(rows.values), replace(codec, bits=20, scale="column")
    back = fine.decode_latent(fine.encode(rows.values), len(rows))
    assert np.abs(back - z)[np.abs(z).argmax(axis=0), np.arange(4)].max() < 0.05


# -- sizes
# ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_flow_of_any_size_can_be_asked_for(rows: Rows) -> None:
    asked = Latent(
        model=Shape(transforms=2, hidden=(16, 16), permute=True), training=QUICK
    )
    flow = fit_codec(rows, asked, 0, lambda share, loss: None)[0].model
    assert flow.shape.transforms == 2
    assert {
        layer.out_features
        for layer in flow.flow.modules()
        if hasattr(layer, "out_features")
    } == {8, 16}
    assert Latent(model=1).shape.hidden == (64, 64)
    with pytest.raises(
        InvalidArgument,
        match="there is no model 3 of the latent codec; 1 is 6 x 64, 2 is 4 x 32",
    ):
        Latent(model=3)


# -- rows drawn
# -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rows_drawn_are_the_same_bits_however_many_are_drawn(codec: LatentCodec) -> None:
    rows = codec.draw(7, 0, 5000)
    for start, stop in ((0, 1), (255, 257), (4090, 4100), (4999, 5000)):
        assert (codec.draw(7, start, stop) == rows[start:stop]).all()
    assert not (codec.draw(8, 0, 100) == rows[:100]).any()


@pytest.mark.slow
def test_rows_drawn_have_the_roles_of_decoded_ones(
    codec: LatentCodec, path: Path
) -> None:
    roles = {column.name: column.role for column in codec.drawn("rows", 3, 0).columns}
    assert roles == {
        column.name: column.role for column in open_dataset(path).table("rows").columns
    }
    assert roles["phi"] == "angle"


@pytest.mark.slow
def test_rows_drawn_are_alike_those_learned(path: Path) -> None:
    drawn, learned = sample_rows(path, 4000, seed=1), jets(4000)
    for name, x in learned.items():
        y = np.asarray(drawn[name])
        assert y.dtype == np.float32
        low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
        assert np.abs(
            np.quantile(y, [0.25, 0.5, 0.75]) - [low, middle, high]
        ).max() < 0.25 * (high - low)
    together = np.corrcoef(
        np.log(np.maximum(drawn["m"], 0.1)), np.log(np.maximum(drawn["pt"], 0.1))
    )[0, 1]
    # 0.74 +- 0.03, 13 models; in the input 0.76; columns drawn each by itself have 0
    assert together > 0.5


@pytest.mark.slow
def test_rows_drawn_go_to_a_file(path: Path, tmp_path: Path) -> None:
    sample_rows(path, 300, tmp_path / "more.root", seed=3)
    sample_rows(path, 300, tmp_path / "more.npz", seed=3)
    table = open_dataset(tmp_path / "more.root").table("rows")
    assert table.num_entries == 300
    with np.load(tmp_path / "more.npz") as drawn:
        assert {"eta", "m", "phi", "pt"} <= set(drawn)
        assert (
            drawn["pt"] == np.asarray(sample_rows(path, 1000, seed=3)["pt"])[:300]
        ).all()


def test_objects_are_drawn_without_events(tmp_path: Path) -> None:
    flat = {f"Jet_{name}": ak.unflatten(x, np.full(300, 5)) for name, x in jets().items()}
    encode_rows(
        ak.zip(flat, depth_limit=1), tmp_path / "x.ref", Latent(model=2, training=QUICK)
    )
    drawn = sample_rows(tmp_path / "x.ref", 50)
    assert sorted(drawn.fields) == ["Jet_eta", "Jet_m", "Jet_phi", "Jet_pt"]
    assert drawn["Jet_pt"].ndim == 1


def test_an_autoencoder_draws_nothing(autoencoder: Path) -> None:
    with pytest.raises(
        Unsupported,
        match=r"jets\.ref: an autoencoder has no density to draw rows from; encode with `codec=` latent",
    ):
        sample_rows(autoencoder, 10)


@pytest.mark.slow
def test_what_is_no_number_of_rows_is_refused(path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match=r"jets\.ref: cannot draw -1 rows; say how many with `n=`"
    ):
        sample_rows(path, -1)
    with pytest.raises(InvalidArgument, match="the seed -1 is not a whole number"):
        sample_rows(path, 1, seed=-1)


# -- the command line
# -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_draws_what_the_function_draws(path: Path, tmp_path: Path) -> None:
    done = run_here(
        "reference", "sample", path, "-n", 200, "-o", tmp_path / "x.npz", "--seed", 5
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "x.npz: 200 rows, " in done.stdout
    with np.load(tmp_path / "x.npz") as drawn:
        assert (drawn["m"] == np.asarray(sample_rows(path, 200, seed=5)["m"])).all()


@pytest.mark.slow
def test_the_command_refuses_an_autoencoder_in_one_line(
    autoencoder: Path, tmp_path: Path
) -> None:
    done = run_here(
        "reference", "sample", autoencoder, "-n", 200, "-o", tmp_path / "x.npz"
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "an autoencoder has no density" in done.stderr
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["latent", "autoencoder"])
def test_info_adds_up_to_the_file(
    kind: str, path: Path, autoencoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = {"latent": path, "autoencoder": autoencoder}[kind]
    app(["info", str(file), "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["codec"] == kind
    assert found["bytes"] == file.stat().st_size == sum(found["sections"].values())
    assert (found["rows"], found["events"], found["counter"]) == (1500, 1500, None)
    assert [column["name"] for column in found["columns"]] == ["m", "pt", "phi", "eta"]
    assert found["ratio"] == 4 * 4 * 1500 / found["bytes"]
    if kind == "latent":
        assert found["settings"] == {"bits": 13, "truncate": False, "scale": "all"}
        assert found["sections"]["codes"] == 8 + 1500 * 4 * 14 // 8


@pytest.mark.slow
def test_info_in_words(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["info", str(path)], standalone_mode=False)
    text = capsys.readouterr().out
    for word in (
        "latent codec",
        "1500 events",
        "float32",
        "weights",
        "codes",
        f"{path.stat().st_size} bytes, raw",
    ):
        assert word in text
    assert re.search(r"bits +13\b", text)


@pytest.mark.slow
def test_info_needs_no_torch(path: Path) -> None:
    script = (
        "import sys; from flowtuple.cli import app; app(sys.argv[1:], standalone_mode=False); "
        "print(sorted({'torch', 'zuko', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, "info", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=True
    )
    assert "latent codec" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_info_of_a_damaged_file_is_refused(path: Path, tmp_path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "x.ref").write_bytes(damaged)
    with pytest.raises(
        Corrupt,
        match=r"x\.ref: is damaged or cut off, its checksum is wrong; restore it from a copy$",
    ):
        describe(tmp_path / "x.ref")


@pytest.mark.slow
def test_verify_checks_the_checksum_of_a_whole_and_of_a_damaged_file(
    path: Path, tmp_path: Path
) -> None:
    done = run_here("verify", path)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"ok: {path}: every checksum is right\n",
        "",
    )
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "x.ref").write_bytes(damaged)
    done = run_here("verify", tmp_path / "x.ref", "--json")
    assert done.returncode == 1
    reason = "is damaged or cut off, its checksum is wrong; restore it from a copy"
    assert json.loads(done.stdout) == {
        "damage": [{"table": "", "events": None, "columns": [], "reason": reason}]
    }


@pytest.mark.slow
def test_verify_needs_no_torch_for_a_checksum(path: Path) -> None:
    script = f"import sys; from flowtuple.cli import app; app(['verify', {str(path)!r}], standalone_mode=False)"
    script += "; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert done.stdout.endswith("is right\nFalse\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [ft.verify, lambda *files: ft.report(*files, "report")],
    ids=["verify", "report"],
)
def test_values_of_a_reference_method_have_a_report_of_their_own(
    call, path: Path
) -> None:
    with pytest.raises(
        InvalidArgument,
        match=r"jets\.ref: is of a reference method and .* flowtuple reference report FILE\.ref",
    ):
        call(jets(), path)


@pytest.mark.slow
def test_such_a_file_is_an_input_like_others(path: Path, tmp_path: Path) -> None:
    phi = decode_rows(path)["phi"].tolist()
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(path.read_bytes())
    for source, times in (
        (path, 1),
        ([path, path], 2),
        (f"{path.parent}/*.ref", 1),
        (unnamed, 1),
    ):
        table = open_dataset(source).table("rows")
        assert table.read(["phi"], 0, table.num_entries)["phi"].tolist() == times * phi
    done = run_here("inspect", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rows" in done.stdout
    with pytest.raises(
        InvalidArgument, match=r"y\.ref: unknown suffix '\.ref'; the formats are"
    ):
        write_dataset(open_dataset(path), tmp_path / "y.ref")


@pytest.mark.slow
def test_columns_that_are_not_the_models_are_refused(
    codec: LatentCodec, rows: Rows
) -> None:
    data, _ = stored.pack(codec, replace(rows, columns=("m", "pt", "phi", "y")))
    with pytest.raises(
        Corrupt,
        match=r"x\.ref: its columns are not those of its model; restore it from a copy",
    ):
        stored.unpack(data, "x.ref")
