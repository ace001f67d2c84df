"""What was done to the values of a column, as attributes after the CF conventions."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pyarrow import parquet

import flowtuple as ft
from flowtuple.comparison.verification import Promise
from flowtuple.file.quantization import attributes_of

pytestmark = pytest.mark.slow

BOUNDS = {"a": "bits:10", "b": "abs:0.05", "c": "rel:0.01"}
KEYS = {"quantization", "algorithm", "implementation"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(5, 1, 300) for name in (*BOUNDS, "d")}
    columns["e"] = np.arange(300)
    path = tmp_path_factory.mktemp("q") / "x.ftup"
    ft.compress(columns, path, tolerance=BOUNDS, effort="fast")
    return path


def expected(name: str) -> dict[str, object]:
    return {
        "a": {
            "algorithm": "bitround",
            "quantization_nsb": 10,
            "quantization_maximum_relative_error": 2.0**-11,
        },
        "b": {"algorithm": "uniform_grid", "quantization_maximum_absolute_error": 0.05},
        "c": {"algorithm": "relative_grid", "quantization_maximum_relative_error": 0.01},
    }[name] | {
        "quantization": BOUNDS[name],
        "implementation": f"flowtuple {ft.__version__}",
    }


def test_info_has_them(packed: Path) -> None:
    (table,) = ft.info(packed)["tables"]
    for column in table["columns"]:
        if column["name"] in BOUNDS:
            assert column["quantization"] == expected(column["name"])
        else:
            assert "quantization" not in column


def test_promised_errors_hold(packed: Path) -> None:
    rng = np.random.default_rng(0)
    back = ft.decompress(packed)
    for name in BOUNDS:
        x, y = rng.normal(5, 1, 300), back[name].to_numpy()
        about = expected(name)
        if "quantization_maximum_relative_error" in about:
            assert (
                np.abs(y - x) <= about["quantization_maximum_relative_error"] * np.abs(x)
            ).all()
        else:
            assert (np.abs(y - x) <= about["quantization_maximum_absolute_error"]).all()


def test_hdf5_has_them(packed: Path, tmp_path: Path) -> None:
    ft.decompress(packed, tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        for name in BOUNDS:
            attributes = dict(file["events"][name].attrs)
            assert {k: attributes[k] for k in expected(name)} == expected(name)
        assert not KEYS & set(file["events"]["d"].attrs)
        assert not KEYS & set(file["events"]["e"].attrs)
    back = ft.compress(tmp_path / "x.h5", tmp_path / "y.ftup", effort="fast")
    assert back.left_out == ()


def test_parquet_has_them(packed: Path, tmp_path: Path) -> None:
    ft.decompress(packed, tmp_path / "x.parquet")
    schema = parquet.read_schema(tmp_path / "x.parquet")
    for name in BOUNDS:
        metadata = {
            k.decode(): v.decode() for k, v in schema.field(name).metadata.items()
        }
        assert {k: metadata[k] for k in expected(name)} == {
            k: str(v) for k, v in expected(name).items()
        }
    assert not schema.field("d").metadata
    ft.compress(tmp_path / "x.parquet", tmp_path / "y.ftup", effort="fast")
    assert ft.decompress(tmp_path / "y.ftup").tolist() == ft.decompress(packed).tolist()


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_layouts_of_other_programs_have_them(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    original = tmp_path / f"o{suffix}"
    records = np.zeros(200, [("x", "f8"), ("y", "f8")])
    records["x"], records["y"] = rng.normal(size=(2, 200))
    if suffix == ".h5":
        with h5py.File(original, "w") as file:
            file["records"] = records
            file["alone"] = records["x"]
    else:
        import pyarrow as pa

        pairs = pa.array([{"x": float(r["x"]), "y": float(r["y"])} for r in records])
        parquet.write_table(pa.table({"records": pairs, "alone": records["x"]}), original)
    packed, back = tmp_path / "o.ftup", tmp_path / f"b{suffix}"
    ft.compress(original, packed, tolerance="abs:0.125", effort="fast")
    ft.decompress(packed, back)
    if suffix == ".h5":
        with h5py.File(back) as file:
            alone, several = file["alone"].attrs, file["records"].attrs["quantization"]
            assert alone["quantization_maximum_absolute_error"] == 0.125
    else:
        schema = parquet.read_schema(back)
        assert schema.field("alone").metadata[b"quantization"] == b"abs:0.125"
        several = schema.field("records").metadata[b"quantization"].decode()
    assert several.count('"quantization": "abs:0.125"') == 2


def test_bounds_in_a_row_are_words(packed: Path, tmp_path: Path) -> None:
    ft.recompress(packed, tmp_path / "y.ftup", tolerance={"c": "abs:0.5"}, effort="fast")
    (table,) = ft.info(tmp_path / "y.ftup")["tables"]
    about = {c["name"]: c.get("quantization") for c in table["columns"]}
    assert about["c"]["quantization"] == "rel:0.01, then abs:0.5"
    assert about["c"]["algorithm"] == "chain"
    assert about["a"] == expected("a")
    chain = attributes_of(Promise.parse("abs:1 or rel:0.1"), "flowtuple")
    assert set(chain) == KEYS
