"""One codec behind another: numbers of a reference method through zstd, LZMA or pcodec, and its
values through flowtuple.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft
from flowtuple.api import decode_rows, encode_rows
from flowtuple.benchmark.published.numbers import (
    pack_numbers,
    stored_second,
    unpack_numbers,
)
from flowtuple.benchmark.published.options import SECOND, Autoencoder, Latent
from flowtuple.errors import Corrupt, InvalidArgument

GOLDEN = Path(__file__).parents[1] / "golden" / "reference"
LATENT = Latent(bits=9, model=2, training=ft.Training(epochs=1, batch=256))
AUTOENCODER = Autoencoder(
    hidden=(16, 8), training=ft.Training(epochs=2, batch=256, patience=0)
)
METHODS = {
    "latent": LATENT,
    "autoencoder": AUTOENCODER,
    "residuals": replace(AUTOENCODER, residuals="std:1e-2"),
}


def jets(n: int = 1500) -> ak.Array:
    """Jets of four variables in events, some without any."""
    draw = np.random.default_rng(0)
    pt = 20 + draw.exponential(30, n)
    values = {
        "m": pt * draw.uniform(0.05, 0.2, n),
        "pt": pt,
        "phi": draw.uniform(-3.1, 3.1, n),
        "eta": draw.normal(0, 1.5, n),
    }
    counts = draw.multinomial(n, np.full(400, 1 / 400))
    return ak.zip(
        {
            f"Jet_{name}": ak.unflatten(x.astype("f4"), counts)
            for name, x in values.items()
        },
        depth_limit=1,
    )


SELECTION = ft.Selection(columns=("Jet_*",))


def flat(events: ak.Array, column: str) -> np.ndarray:
    return np.asarray(ak.flatten(events[column]), np.float64)


# -- numbers through a codec that loses nothing
# -----------------------------------------------------------------------------


@pytest.mark.slow
@given(
    st.sampled_from(SECOND),
    st.sampled_from(["i1", "i2", "i4", "f4"]),
    st.integers(1, 200),
    st.integers(1, 5),
    st.integers(0),
)
def test_numbers_come_back_bit_for_bit(
    then: str, dtype: str, rows: int, columns: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    numbers = np.frombuffer(
        draw.bytes(rows * columns * np.dtype(dtype).itemsize), dtype
    ).reshape(rows, columns)
    back = unpack_numbers(
        pack_numbers(numbers, then), then, rows, columns, np.dtype(dtype)
    )
    assert (back.dtype, back.shape) == (numbers.dtype, numbers.shape)
    assert back.tobytes() == numbers.tobytes()


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("zstd", "declares 80 bytes where 160 are due"),
        ("lzma", "holds 80 bytes where 160 are due"),
        ("pcodec", "holds 10 numbers where 20 are due"),
    ],
)
def test_other_numbers_than_due_are_refused(then: str, message: str) -> None:
    data = pack_numbers(np.arange(20, dtype="f4").reshape(10, 2), then)
    with pytest.raises(Corrupt, match=message):
        unpack_numbers(data, then, 20, 2, np.dtype("f4"))
    with pytest.raises(Corrupt, match=r"zstd frame|LZMA stream|runs past the end"):
        unpack_numbers(data[: len(data) // 2], then, 10, 2, np.dtype("f4"))
    with pytest.raises(
        Corrupt,
        match=r"zstd frame|LZMA stream holds more bytes|2 columns of numbers are there where 1",
    ):
        unpack_numbers(data, then, 10, 1, np.dtype("f4"))


def test_a_codec_that_is_none_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match="no codec 'zst' to go on with; nearest: zstd"
    ):
        Latent(then="zst")
    with pytest.raises(InvalidArgument, match="no codec 'xz' to go on with"):
        Autoencoder(then="xz")
    with pytest.raises(Corrupt, match="went through 'gzip', which is no codec"):
        stored_second({"then": "gzip"})


# -- files
# ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=METHODS)
def plain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp("plain") / "x.ref"
    encode_rows(jets(), path, METHODS[request.param], selection=SELECTION)
    return request.param, path


DECODE = """
import sys
from flowtuple.cli import app
for path in sys.argv[1:]:
    app(["reference", "decode", path, "-o", path + ".npz"], standalone_mode=False)
"""


@pytest.mark.slow
def test_chained_files_decode_by_themselves_to_what_was_reported(
    plain: tuple[str, Path], tmp_path: Path
) -> None:
    """In a fresh process, which decodes the files of all second codecs."""
    name, first = plain
    found = {}
    for then in SECOND:
        path = tmp_path / f"{then}.ref"
        method = replace(METHODS[name], then=then)
        found[path] = encode_rows(jets(), path, method, selection=SELECTION)
        assert found[path].file_bytes == path.stat().st_size != first.stat().st_size
    command = [sys.executable, "-c", DECODE, *map(str, found)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    expected = decode_rows(first)
    for path, encoded in found.items():
        alone = ft.decompress(path)
        with np.load(f"{path}.npz") as decoded:
            for a in encoded.accuracy:
                values = flat(alone, a.column)
                assert any(
                    np.array_equal(decoded[key].astype("f8"), values)
                    for key in decoded.files
                )
                assert float(np.abs(flat(jets(), a.column) - values).max()) == a.largest
                # the second codec loses nothing
                assert np.array_equal(values, flat(expected, a.column))


@pytest.mark.slow
@pytest.mark.parametrize("then", SECOND)
def test_numbers_take_less_behind_a_second_codec(then: str, tmp_path: Path) -> None:
    sizes = [
        encode_rows(
            jets(), tmp_path / "x.ref", replace(AUTOENCODER, then=t), selection=SELECTION
        ).file_bytes
        for t in ("", then)
    ]
    assert sizes[1] < sizes[0] - 1000  # 3950 +- 700 at least, 9 models


@pytest.mark.slow
def test_values_of_a_method_go_on_through_flowtuple(
    plain: tuple[str, Path], tmp_path: Path
) -> None:
    """Lossless: what the chained file holds is bit for bit what the method's own file decodes to,
    in a fresh process.
    """
    _, first = plain
    packed = tmp_path / "x.ftup"
    command = [
        sys.executable,
        "-m",
        "flowtuple",
        "compress",
        str(first),
        "-o",
        str(packed),
        "--effort",
        "fast",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    moved = tmp_path / "elsewhere.ftup"
    packed.rename(moved)
    original = decode_rows(first)
    first_bytes = first.read_bytes()
    first.unlink()
    try:
        decoded = ft.decompress(moved)
    finally:
        first.write_bytes(first_bytes)
    assert ak.num(decoded["Jet_pt"]).tolist() == ak.num(original["Jet_pt"]).tolist()
    for name in ("Jet_m", "Jet_pt", "Jet_phi", "Jet_eta"):
        assert flat(decoded, name).tobytes() == flat(original, name).tobytes()
    assert all(column.exact == column.values for column in ft.verify(first, moved))


def test_rounded_mantissas_go_on_through_flowtuple(tmp_path: Path) -> None:
    """`bits:B` rounds, and what is rounded is then coded without loss: reading back gives what
    `snap` said.
    """
    ft.compress(jets(), tmp_path / "x.ftup", tolerance={"*": "bits:6"}, effort="fast")
    snapped, decoded = (
        ft.snap(jets(), {"*": "bits:6"}),
        ft.decompress(tmp_path / "x.ftup"),
    )
    ft.compress(snapped, tmp_path / "y.ftup", effort="fast")
    for events in (decoded, ft.decompress(tmp_path / "y.ftup")):
        assert flat(events, "Jet_pt").tobytes() == flat(snapped, "Jet_pt").tobytes()
    # 23 - 6 bits of the mantissa are 0
    cut = flat(snapped, "Jet_pt").astype("f4").view("u4") % 2**17 == 0
    assert cut.mean() > 0.99  # but for values that stand at the edge of the range


@pytest.mark.parametrize(
    "name",
    [
        "latent_1",
        "autoencoder_1",
        "latent_2",
        "latent_then_2",
        "autoencoder_2",
        "residuals_2",
    ],
)
def test_files_of_each_version_still_decode(name: str) -> None:
    decoded = decode_rows(GOLDEN / f"{name}.ref")
    with np.load(GOLDEN / f"{name}.npz") as expected:
        assert sorted(expected.files) == sorted(decoded.fields)
        for column in expected.files:
            values = np.asarray(decoded[column])
            assert values.dtype == expected[column].dtype
            # another PyTorch may give other last bits
            assert values == pytest.approx(expected[column], rel=1e-4, abs=1e-4)
