"""The reference methods: formulas, widths, files that decode by themselves to what was reported."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft
from flowtuple.api import decode_rows, encode_rows, write
from flowtuple.benchmark.published import layout, stored
from flowtuple.benchmark.published.corrections import (
    add_residuals,
    pack_residuals,
    resolve,
)
from flowtuple.benchmark.published.erf_codes import from_codes, largest, to_codes
from flowtuple.benchmark.published.networks import Pair, decoder
from flowtuple.benchmark.published.normalisations import autoencoder_recipe, latent_recipe
from flowtuple.benchmark.published.numbers import pack_bits, unpack_bits
from flowtuple.benchmark.published.options import (
    MODELS,
    NETWORKS,
    NORMALISATIONS,
    Autoencoder,
    Latent,
)
from flowtuple.benchmark.published.stored import fit_codec
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, Truncated, Unsupported
from flowtuple.flows.registry import build
from flowtuple.io.source import open_dataset
from flowtuple.transforms import Chain
from in_process import run_here

BITS = range(1, 32)
FLOW = Latent(bits=13, model=2, training=ft.Training(epochs=1, batch=256))
NETWORK = Autoencoder(
    hidden=(16, 8),
    training=ft.Training(epochs=2, batch=256, weight_decay=1e-2, patience=0),
)


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


def ragged() -> ak.Array:
    """Jets in events, the last of them empty, with a whole number each and a NaN."""
    flat, draw = jets(), np.random.default_rng(1)
    counts = np.append(draw.multinomial(1500, np.full(400, 1 / 400)), 0)
    flat["pt"][7] = np.nan
    fields = {f"Jet_{name}": ak.unflatten(x, counts) for name, x in flat.items()}
    fields["Jet_n"] = ak.unflatten(draw.integers(0, 5, 1500).astype("i4") * 3, counts)
    return ak.zip(fields, depth_limit=1)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return read_rows(open_dataset(jets()))


@pytest.fixture(scope="module")
def flow(rows: Rows) -> stored.LatentCodec:
    return fit_codec(rows, FLOW, 0, lambda share, loss: None)[0]


# -- formulas
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "unit", "value", "expected"),
    [
        ("m", "GeV", 9.0, 1 / 1.8),  # log10(9 + 1) / 1.8
        ("Jet_mass", "GeV", 0.0, 0.0),
        ("m", "MeV", 99_000.0, 2 / 1.8),
        ("pt", "GeV", 100.0, 0.7 / 1.2),  # (2 - 1.3) / 1.2
        ("Jet_pt", "MeV", 1_000_000.0, 1.7 / 1.2),
        ("pt", "GeV", 10.0, -0.25),
        ("phi", "MeV", -1.5, -0.5),
        ("Jet_eta", "GeV", 2.5, 0.5),
        ("AntiKt4EMPFlowJetsAuxDyn.pt", "MeV", 100_000.0, 0.7 / 1.2),
        ("AntiKt4EMPFlowJetsAuxDyn.eta", "MeV", 2.5, 0.5),
        ("recoPFJets_ak5PFJets__RECO.obj.pt_", "GeV", 100.0, 0.7 / 1.2),
        ("recoPFJets_ak5PFJets__RECO.obj.mass_", "GeV", 9.0, 1 / 1.8),
        ("JetsAuxDyn.ActiveArea4vec_phi", "MeV", -1.5, -0.5),
    ],
)
def test_custom_normalisation(
    column: str, unit: str, value: float, expected: float
) -> None:
    chain = Chain.fit(
        autoencoder_recipe(column, "custom", unit), np.array([value, 2 * abs(value) + 1])
    )
    assert chain.forward(np.array([value]))[0] == pytest.approx(expected, abs=1e-12)
    assert chain.inverse(np.array([expected]))[0] == pytest.approx(
        value, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize(
    ("recipe", "values", "expected"),
    [
        (
            latent_recipe("pt", "GeV"),
            [np.e - 10, np.e**3 - 10],
            [-1, 1],
        ),  # ln(x + 10) is 1 and 3: mean 2, deviation 1
        (latent_recipe("m", "MeV"), [1000 * (np.e - 10), 1000 * (np.e**3 - 10)], [-1, 1]),
        (autoencoder_recipe("Jet_area", "custom", "GeV"), [1.0, 5.0], [-1, 1]),
        (autoencoder_recipe("pt", "standard", "MeV"), [1000.0, 3000.0], [-1, 1]),
        (autoencoder_recipe("pt", "none", "MeV"), [1000.0, 3000.0], [1, 3]),
        (autoencoder_recipe("eta", "none", "MeV"), [-1.0, 3.0], [-1, 3]),
        (latent_recipe("recoPFJets.obj.pt_", "GeV"), [np.e - 10, np.e**3 - 10], [-1, 1]),
        (
            latent_recipe("JetsAuxDyn.m", "MeV"),
            [1000 * (np.e - 10), 1000 * (np.e**3 - 10)],
            [-1, 1],
        ),
        (
            autoencoder_recipe("JetsAuxDyn.ActiveArea4vec_pt", "custom", "MeV"),
            [1.0, 5.0],
            [-1, 1],
        ),  # no energy
        (autoencoder_recipe("Jet_ActiveArea4vec_m", "none", "MeV"), [1.0, 5.0], [1, 5]),
    ],
)
def test_other_preprocessing(
    recipe: str, values: list[float], expected: list[float]
) -> None:
    x = np.array(values)
    assert Chain.fit(recipe, x).forward(x) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "column", ["JetsAuxDyn.ActiveArea4vec_pt", "ActiveArea4vec_m", "Jet_area"]
)
def test_areas_are_no_energies(column: str) -> None:
    assert latent_recipe(column, "MeV") == "standard,gauss-rank"


def test_columns_of_the_latent_codec_are_normal_by_rank_where_they_are_no_energies() -> (
    None
):
    x = np.random.default_rng(0).uniform(-3, 3, 20_000)
    y = Chain.fit(latent_recipe("Jet_phi", "GeV"), x).forward(x)
    assert np.std(y) == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(y) < 1) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize(("number", "steps", "width"), [(1, 6, 64), (2, 4, 32)])
def test_flows_have_the_published_sizes(number: int, steps: int, width: int) -> None:
    flow = build("maf", 4, MODELS[number], seed=0)
    transforms = flow.flow.transform.transforms
    assert len(transforms) == steps
    assert all(transform.hyper[0].out_features == width for transform in transforms)
    # drawn at random, not there and back
    assert len({tuple(transform.order.tolist()) for transform in transforms}) > 2


def test_networks_have_the_published_layers() -> None:
    tanh = Pair("tanh", (4, 200, 100, 50, 3), seed=0)
    parameters = sum(p.numel() for p in tanh.parameters())
    pairs = [
        (4, 200),
        (200, 100),
        (100, 50),
        (50, 3),
        (3, 50),
        (50, 100),
        (100, 200),
        (200, 4),
    ]
    assert parameters == sum(a * b + b for a, b in pairs)
    kinds = [type(layer).__name__ for layer in decoder("leaky-relu-bn", (4, 200, 3))]
    assert kinds == ["Linear", "LeakyReLU", "BatchNorm1d", "Linear"]
    assert [type(layer).__name__ for layer in decoder("tanh", (4, 200, 3))] == [
        "Tanh",
        "Linear",
        "Tanh",
        "Linear",
    ]
    assert Autoencoder().widths(4) == (200, 100, 50)
    assert Autoencoder().widths(24) == (200, 200, 200)


# -- codes
# ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", BITS)
def test_codes_round_trip(bits: int) -> None:
    z = np.random.default_rng(bits).normal(size=1000) * 1.3
    scale = largest(z)
    codes = to_codes(z, scale, bits)
    assert np.abs(codes).max() < 2**bits
    assert (to_codes(from_codes(codes, scale, bits), scale, bits) == codes).all()
    inside = np.abs(codes) < 2**bits - 1
    assert (
        np.abs(from_codes(codes, scale, bits) - z)[inside] * 3 / scale
        <= _half_cell(z * 3 / scale, bits)[inside]
    ).all()
    assert (
        unpack_bits(pack_bits(codes + 2**bits, bits + 1), bits + 1, len(codes)) - 2**bits
        == codes
    ).all()


def _half_cell(z: np.ndarray, bits: int) -> np.ndarray:
    """At most so far does half a step of u lead in z: over the smaller of the densities on either
    side.
    """
    from scipy.special import erf, erfinv

    edge = np.minimum(np.abs(erf(z)) + 0.5 / 2**bits, 1 - 1e-16)
    density = 2 / np.sqrt(np.pi) * np.exp(-np.square(erfinv(edge)))
    return 0.5 / 2**bits / density * (1 + 1e-6) + 1e-9


def test_truncation_goes_towards_zero_and_rounding_to_the_nearest() -> None:
    # erf(0.06) 2^4 = 1.08; erf(3) 2^4 = 15.9996, cut to 15
    z = np.array([-0.06, 0.06, 3.0])
    assert to_codes(z, 3.0, 4, truncate=True).tolist() == [-1, 1, 15]
    z = np.array([-0.1, 0.1])  # 1.799
    assert to_codes(z, 3.0, 4, truncate=True).tolist() == [-1, 1]
    assert to_codes(z, 3.0, 4).tolist() == [-2, 2]


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(0, 300), st.integers(0, 2**32))
def test_packing_takes_the_real_width(width: int, count: int, seed: int) -> None:
    numbers = np.random.default_rng(seed).integers(0, 2**width, count)
    data = pack_bits(numbers, width)
    assert len(data) == -(-count * width // 8)
    assert (unpack_bits(data, width, count) == numbers).all()


@pytest.mark.parametrize("width", [3, 13])
def test_packing_across_blocks(width: int) -> None:
    numbers = np.random.default_rng(0).integers(0, 2**width, 2**16 + 5)
    assert (unpack_bits(pack_bits(numbers, width), width, len(numbers)) == numbers).all()


def test_bits_of_another_number_of_numbers_are_refused() -> None:
    with pytest.raises(Corrupt, match="2 bytes do not hold 6 numbers of 3 bits"):
        unpack_bits(bytes(2), 3, 6)


# -- files
# ------------------------------------------------------------------------------------------------------------------


def test_errors_of_the_latent_codec_shrink_with_bits(
    flow: stored.LatentCodec, rows: Rows, tmp_path: Path
) -> None:
    found = [
        stored.write(replace(flow, bits=bits), rows, tmp_path / "x.ref")
        for bits in (4, 8, 13, 20)
    ]
    for coarse, fine in pairwise(found):
        assert all(
            b.mean < a.mean / 4
            for a, b in zip(coarse.accuracy, fine.accuracy, strict=True)
        )
        assert fine.file_bytes > coarse.file_bytes
    one, other = found[1].file_bytes, found[2].file_bytes
    assert other - one == pytest.approx(5 * rows.values.size / 8, abs=3)


def test_every_byte_is_counted(
    flow: stored.LatentCodec, rows: Rows, tmp_path: Path
) -> None:
    found = stored.write(flow, rows, tmp_path / "x.ref")
    assert found.file_bytes == (tmp_path / "x.ref").stat().st_size
    assert found.raw_bytes == 4 * rows.values.size
    codes = -(-rows.values.size * 14 // 8)
    assert 0 < found.file_bytes - found.model_bytes - codes < 60
    assert found.ratio == found.raw_bytes / found.file_bytes


def test_zeroed_weights_behind_masks_change_nothing(
    rows: Rows, flow: stored.LatentCodec
) -> None:
    masked = [
        m for m in flow.model.flow.modules() if getattr(m, "mask", None) is not None
    ]
    assert masked
    assert all(bool((layer.weight[~layer.mask] == 0).all()) for layer in masked)
    assert sum(int((~layer.mask).sum()) for layer in masked) > 100


FRESH = """
import sys, numpy as np, flowtuple
from flowtuple.api import decode_rows
events = decode_rows(sys.argv[1])
np.savez(sys.argv[2], **{name: np.asarray(events[name]) for name in events.fields})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [FLOW, NETWORK, replace(NETWORK, residuals="std:1e-3")],
    ids=["latent", "plain", "residuals"],
)
def test_a_fresh_process_decodes_what_was_reported(
    asked: Latent | Autoencoder, tmp_path: Path
) -> None:
    original = jets()
    found = encode_rows(original, tmp_path / "x.ref", asked)
    script = [
        sys.executable,
        "-W",
        "error",
        "-c",
        FRESH,
        str(tmp_path / "x.ref"),
        str(tmp_path / "x.npz"),
    ]
    subprocess.run(script, check=True, timeout=600)
    with np.load(tmp_path / "x.npz") as decoded:
        for column in found.accuracy:
            distance = np.abs(
                original[column.column].astype("f8") - decoded[column.column]
            )
            assert decoded[column.column].dtype == np.float32
            assert float(distance.max()) == column.largest
            assert float(distance.mean()) == pytest.approx(column.mean, rel=1e-12)
            assert column.largest > 0


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_residuals_keep_the_bound_of_every_value(
    network: str, normalisation: str, tmp_path: Path
) -> None:
    events = ragged()
    asked = replace(
        NETWORK, network=network, normalisation=normalisation, residuals="std:1e-3"
    )
    found = encode_rows(
        events, tmp_path / "x.ref", asked, selection=ft.Selection(columns=("Jet_*",))
    )
    assert found.dropped == 1
    keep = ~np.isnan(ak.flatten(events["Jet_pt"]))
    decoded = ft.decompress(tmp_path / "x.ref")
    for name in ("Jet_m", "Jet_pt", "Jet_phi", "Jet_eta"):
        original = np.asarray(ak.flatten(events[name]), "f8")[keep]
        assert (
            np.abs(np.asarray(ak.flatten(decoded[name]), "f8") - original).max()
            <= 1e-3 * original.std()
        )
    assert (
        np.asarray(ak.flatten(decoded["Jet_n"]))
        == np.asarray(ak.flatten(events["Jet_n"]))[keep]
    ).all()


def test_without_residuals_the_same_network_breaks_the_bound(tmp_path: Path) -> None:
    found = encode_rows(jets(), tmp_path / "x.ref", NETWORK)
    assert max(column.relative_largest for column in found.accuracy) > 0.1


def test_events_keep_their_objects(tmp_path: Path) -> None:
    events = ragged()
    write(events, tmp_path / "events.root")
    encode_rows(tmp_path / "events.root", tmp_path / "x.ref", FLOW)
    decode_rows(tmp_path / "x.ref", tmp_path / "x.root")
    decoded = ft.decompress(tmp_path / "x.ref")
    expected = ak.sum(~np.isnan(events["Jet_pt"]), axis=1)
    assert ak.num(decoded["Jet_eta"]).tolist() == expected.tolist()
    assert decoded["nJet"].tolist() == expected.tolist()
    assert np.asarray(ak.flatten(decoded["Jet_n"])).dtype == np.int32
    assert open_dataset(tmp_path / "x.root").table("rows").num_entries == len(events)


def test_few_values_come_back_as_they_were_seen(tmp_path: Path) -> None:
    selection = ft.Selection(columns=("Jet_*",))
    for seen in (True, False):
        encode_rows(
            ragged(), tmp_path / "x.ref", replace(NETWORK, seen=seen), selection=selection
        )
        values = set(ak.flatten(decode_rows(tmp_path / "x.ref")["Jet_n"]).tolist())
        assert (values <= {0, 3, 6, 9, 12}) == seen


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    for asked in (FLOW, NETWORK):
        for name in ("a", "b"):
            encode_rows(jets(), tmp_path / name, asked, seed=3)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# -- residuals
# --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [0.0, np.inf, -1e30, np.nan])
def test_residuals_bridge_whatever_a_network_gives(base: float) -> None:
    x = np.float32(np.random.default_rng(0).normal(50, 20, 500)).astype("f8")
    bound = resolve("abs:0.01", x, "float32")
    given_ = np.full(500, base)
    decoded = add_residuals(
        pack_residuals(x, given_, bound, "float32"), given_, bound, "float32"
    )
    assert bound.holds(x.astype("f4"), decoded.astype("f4")).all()


def test_residuals_of_other_arithmetic_are_refused() -> None:
    x, base = np.linspace(0, 1, 50), np.linspace(0, 1.1, 50)
    bound = resolve("abs:0.01", x, "float32")
    data = pack_residuals(x, base, bound, "float32")
    with pytest.raises(
        Unsupported, match="arithmetic gives other values than the writer's"
    ):
        add_residuals(data, base + 0.02, bound, "float32")


# -- refusals
# ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(flow: stored.LatentCodec, rows: Rows) -> bytes:
    return stored.pack(flow, rows)[0]


@pytest.mark.parametrize("place", [0.01, 0.3, 0.9, 0.9999])
def test_a_damaged_file_is_refused(data: bytes, place: float, tmp_path: Path) -> None:
    damaged = bytearray(data)
    damaged[max(8, int(place * len(data)))] ^= 4
    (tmp_path / "x.ref").write_bytes(damaged)
    with pytest.raises(
        Corrupt,
        match=r"x\.ref: is damaged or cut off, its checksum is wrong; restore it from a copy$",
    ):
        decode_rows(tmp_path / "x.ref")


def test_what_is_no_such_file_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(Truncated, match="ends after 10 bytes"):
        stored.unpack(data[:10], "x.ref")
    with pytest.raises(Corrupt, match="checksum is wrong"):
        stored.unpack(data[:-1], "x.ref")
    with pytest.raises(
        Corrupt,
        match="is no file of a reference method; flowtuple reference encode makes one",
    ):
        stored.unpack(b"PK" + data, "x.ref")
    with pytest.raises(InvalidArgument, match=r"no\.ref: cannot be read"):
        decode_rows(tmp_path / "no.ref")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 3}, TooNew, "has version 3 .* reads 2; update flowtuple"),
        ({"codec": "other"}, Corrupt, "describes no rows"),
        ({"rows": 10**9}, Corrupt, r"x\.ref: 10500 bytes do not hold 4000000000 numbers"),
        ({"settings": {"bits": 99}}, Corrupt, "has codes of 99 bits"),
        ({"settings": []}, Corrupt, "describes no rows"),
    ],
)
def test_what_a_file_may_not_say(
    change: dict[str, object],
    error: type[Exception],
    message: str,
    flow: stored.LatentCodec,
    rows: Rows,
    monkeypatch,
) -> None:
    dumps = layout.json.dumps
    monkeypatch.setattr(
        layout.json,
        "dumps",
        lambda content: dumps({**content, **change} if "codec" in content else content),
    )
    changed = stored.pack(flow, rows)[0]
    with pytest.raises(error, match=message):
        stored.unpack(changed, "x.ref")


def test_an_autoencoder_file_does_not_make_a_reader_allocate(rows: Rows) -> None:
    codec, _ = fit_codec(rows, NETWORK, 0, lambda share, loss: None)
    settings = {**codec.settings(), "widths": (4, 4000, 4000, 4000, 3)}
    with pytest.raises(Corrupt, match=r"x\.ref: describes no autoencoder"):
        type(codec).restore(settings, codec.weights(), "x.ref")


def test_undefined_rows_are_dropped_and_counted_or_refused(tmp_path: Path) -> None:
    values = jets()
    values["m"][:3], values["eta"][5] = np.nan, np.inf
    found = encode_rows(values, tmp_path / "x.ref", FLOW)
    assert (found.dropped, found.rows, len(decode_rows(tmp_path / "x.ref"))) == (
        4,
        1496,
        1496,
    )
    values["phi"][:] = np.nan
    with pytest.raises(
        InvalidArgument,
        match="has no row without NaN or infinite values; nothing can be encoded",
    ):
        encode_rows(values, tmp_path / "y.ref", FLOW)
    assert not (tmp_path / "y.ref").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Latent(bits=0),
            "a latent codec of 0 bits is out of range; N goes from 1 to 31",
        ),
        (lambda: Latent(bits=32), "32 bits"),
        (lambda: Latent(model=3), "no model 3 of the latent codec; 1 is 6 x 64"),
        (
            lambda: Latent(unit="TeV"),
            "no unit 'TeV' of energies; nearest: MeV, GeV|nearest: GeV, MeV",
        ),
        (lambda: Autoencoder(network="relu"), "no autoencoder 'relu'; nearest: elu-bn"),
        (lambda: Autoencoder(normalisation="costum"), "nearest: custom"),
        (
            lambda: Autoencoder(residuals="rel:1e-3"),
            "have no common step; write abs:E or std:S",
        ),
        (lambda: Autoencoder(latent=0), "not all from 1 to 4096"),
    ],
)
def test_options_out_of_range(make, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_a_value_without_a_logarithm_is_refused(tmp_path: Path) -> None:
    values = jets()
    values["pt"][3] = -1
    with pytest.raises(
        InvalidArgument,
        match="column 'pt': transform 'log10' is not defined for 1 values; choose another",
    ):
        encode_rows(values, tmp_path / "x.ref", NETWORK)


# -- command line
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", **jets())
    done = run_here(
        "reference",
        "encode",
        tmp_path / "jets.npz",
        "-o",
        tmp_path / "x.ref",
        "--bits",
        "9",
        "--model",
        "2",
        "--epochs",
        "1",
    )
    assert done.returncode == 0, done.stderr
    assert "bits per value (model" in done.stdout
    for command in (("reference", "decode"), ("decompress",)):
        assert (
            run_here(*command, tmp_path / "x.ref", "-o", tmp_path / "out.npz").returncode
            == 0
        )
        with np.load(tmp_path / "out.npz") as decoded:
            assert decoded["pt"].shape == (1500,)
    wrong = run_here(
        "reference",
        "encode",
        tmp_path / "jets.npz",
        "-o",
        tmp_path / "y.ref",
        "--codec",
        "latin",
    )
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "flowtuple: there is no codec 'latin' among the reference methods; nearest: latent\n",
    )


@pytest.mark.slow
def test_figures_that_are_undefined_are_null_in_json(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", **jets(), empty=np.zeros(1500, "f4"))
    words = ("--codec", "autoencoder", "--hidden", "8", "--epochs", "1", "--json")
    done = run_here(
        "reference", "encode", tmp_path / "jets.npz", "-o", tmp_path / "x.ref", *words
    )
    assert done.returncode == 0, done.stderr

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    found = json.loads(done.stdout, parse_constant=refuse)
    figures = {column["column"]: column for column in found["accuracy"]}
    assert figures["empty"]["response"] is figures["empty"]["width"] is None
    assert figures["pt"]["relative_mean"] == figures["pt"]["mean"] / figures["pt"]["std"]
