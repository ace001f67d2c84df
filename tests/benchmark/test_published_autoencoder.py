"""Autoencoders: the variational one, seen values on many columns, curves for TensorBoard, the page
beside the original.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("zuko")

import torch

import flowtuple as ft
from flowtuple.api import decode_rows, encode_rows, report_rows
from flowtuple.api.reference import RowsReport
from flowtuple.benchmark.published.accuracy import measure
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.networks import (
    Pair,
    VariationalPair,
    decoder,
    divergence,
)
from flowtuple.benchmark.published.options import NETWORKS, Autoencoder, Latent
from flowtuple.benchmark.published.stored import Encoded
from flowtuple.data.resources import Resources
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Column
from flowtuple.data.table import Table
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.io.source import open_dataset
from flowtuple.reporting.row_page import DecodedRows, write_rows
from flowtuple.reporting.row_plots import (
    corner_png,
    correlations,
    correlations_png,
    difference_png,
)
from in_process import run_here

BETA = 1e-3
NETWORK = Autoencoder(
    hidden=(16, 8),
    training=ft.Training(
        epochs=2, batch=256, weight_decay=1e-2, schedule="one-cycle", patience=0
    ),
)

FLOW = Latent(model=2, training=ft.Training(epochs=2))


def flat(n: int = 1200) -> dict[str, np.ndarray]:
    """Four variables of a jet in GeV."""
    draw = np.random.default_rng(0)
    pt = 20 + draw.exponential(30, n)
    values = {
        "m": pt * draw.uniform(0.05, 0.2, n),
        "pt": pt,
        "phi": draw.uniform(-3.1, 3.1, n),
        "eta": draw.normal(0, 1.5, n),
    }
    return {name: x.astype("f4") for name, x in values.items()}


def events() -> ak.Array:
    """The same in 400 events, with a count each and one NaN."""
    jets, draw = flat(), np.random.default_rng(1)
    counts = draw.multinomial(1200, np.full(400, 1 / 400))
    jets["pt"][7] = np.nan
    fields = {f"Jet_{name}": ak.unflatten(x, counts) for name, x in jets.items()}
    fields["Jet_n"] = ak.unflatten(draw.integers(0, 5, 1200).astype("i4") * 3, counts)
    return ak.zip(fields, depth_limit=1)


JETS = ft.Selection(columns=("Jet_*",))


@pytest.fixture(scope="module")
def rows() -> Rows:
    return read_rows(open_dataset(flat()))


# -- variational
# ------------------------------------------------------------------------------------------------------------


def test_divergence_is_that_of_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = (
        torch.randn(50, 3, generator=generator),
        torch.randn(50, 3, generator=generator),
    )
    ours = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    known = torch.distributions.kl_divergence(
        ours, torch.distributions.Normal(0.0, 1.0)
    ).sum(dim=1)
    torch.testing.assert_close(divergence(mean, log_variance), known)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_loss_is_the_evidence_lower_bound(network: str) -> None:
    """Against torch.distributions: E ln p(x | z) - KL with s^2 = beta d / 2, at the very numbers
    that were drawn.
    """
    pair, x = VariationalPair(network, (4, 16, 3), seed=0, beta=BETA), torch.randn(200, 4)
    with torch.no_grad():
        loss = float(pair.loss(x, torch.Generator().manual_seed(5)).mean())
        mean, log_variance = pair.posterior(x)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(5))
        made = pair.decoder(mean + noise * torch.exp(0.5 * log_variance))
        likelihood = (
            torch.distributions.Normal(made, math.sqrt(BETA * 4 / 2))
            .log_prob(x)
            .sum(dim=1)
        )
    known = float((likelihood - divergence(mean, log_variance)).mean())
    assert loss == pytest.approx(
        -BETA * (known + 2 * math.log(math.pi * BETA * 4)), rel=1e-5
    )


def test_latent_numbers_are_drawn_and_the_mean_is_coded() -> None:
    pair, x = VariationalPair("tanh", (4, 16, 3), seed=0, beta=BETA), torch.randn(64, 4)
    with torch.no_grad():
        one, other = (
            pair.loss(x, torch.Generator().manual_seed(seed)) for seed in (0, 1)
        )
        assert not torch.equal(one, other)
        assert torch.equal(pair.encoder(x), pair.posterior(x)[0])
    plain = Pair("tanh", (4, 16, 3), seed=0)
    assert torch.equal(
        plain.loss(x, torch.Generator().manual_seed(0)),
        plain.loss(x, torch.Generator().manual_seed(1)),
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_the_decoder_of_a_file_is_that_of_the_plain_kind(network: str) -> None:
    made = VariationalPair(network, (4, 16, 3), seed=0, beta=BETA)
    assert str(made.decoder) == str(decoder(network, (4, 16, 3)))
    assert type(made.encoder[-1]) is torch.nn.Linear  # nothing limits a mean
    assert made.encoder[-1].out_features == made.log_variance.out_features == 3


@pytest.mark.slow
def test_a_large_weight_leaves_no_information_in_latent_numbers(rows: Rows) -> None:
    """Where the KL divergence counts for everything the posterior is the prior: each mean is 0."""
    asked = replace(NETWORK, training=replace(NETWORK.training, epochs=40))
    codecs = [
        AutoencoderCodec.fit(
            rows, replace(asked, variational=beta), 0, lambda share, loss: None
        )[0]
        for beta in (1e-6, 10.0)
    ]
    free, bound = (codec.latent(rows.values).std(axis=0).max() for codec in codecs)
    assert bound < 0.05 < free / 2  # 0.0106 +- 0.0022, and 0.67 +- 0.14, 12 models
    # 0.044 +- 0.005 and 0.1215 +- 0.0002, 12 models
    assert (
        codecs[0].reconstruction_error(rows.values).mean()
        < codecs[1].reconstruction_error(rows.values).mean()
    )


@pytest.mark.slow
@pytest.mark.parametrize("residuals", ["", "std:1e-3"])
def test_a_variational_file_decodes_by_itself(residuals: str, tmp_path: Path) -> None:
    asked = replace(NETWORK, network="elu-bn", variational=1e-4, residuals=residuals)
    found = encode_rows(flat(), tmp_path / "x.ref", asked)
    script = "import sys, numpy as np; from flowtuple.api import decode_rows; a = decode_rows(sys.argv[1])"
    script += (
        "; np.savez(sys.argv[2], **{name: np.asarray(a[name]) for name in a.fields})"
    )
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        script,
        str(tmp_path / "x.ref"),
        str(tmp_path / "x.npz"),
    ]
    subprocess.run(command, check=True, timeout=600)
    with np.load(tmp_path / "x.npz") as decoded:
        for column in found.accuracy:
            distance = np.abs(flat()[column.column].astype("f8") - decoded[column.column])
            assert float(distance.max()) == column.largest > 0
            assert (column.largest <= 1e-3 * column.std) == bool(residuals)


def test_variational_training_is_another_and_repeats(tmp_path: Path) -> None:
    for name, beta in (("a", 1e-4), ("b", 1e-4), ("c", 1e-2), ("d", 0.0)):
        encode_rows(flat(), tmp_path / name, replace(NETWORK, variational=beta), seed=3)
    a, b, c, d = ((tmp_path / name).read_bytes() for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3


@pytest.mark.parametrize("beta", [-1e-3, math.inf, math.nan])
def test_weights_that_are_none(beta: float) -> None:
    with pytest.raises(
        InvalidArgument,
        match=r"a KL divergence of weight .* is out of range; write 0 for none, or 1e-4",
    ):
        Autoencoder(variational=beta)


# -- many columns
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rounding_to_seen_values_counts_in_the_squared_error() -> None:
    draw = np.random.default_rng(0)
    real, count = draw.normal(size=600), draw.integers(0, 3, 600).astype("f8")
    table = Rows(
        "x",
        ("a", "n"),
        np.stack([real, count], axis=1),
        np.arange(600),
        600,
        dtypes=("float32", "int32"),
    )
    asked = replace(
        NETWORK, latent=2, training=replace(NETWORK.training, epochs=30, held_out=0.2)
    )
    codec, _ = AutoencoderCodec.fit(table, asked, 0, lambda share, loss: None)
    assert list(codec.few) == [1]
    y = np.stack(
        [chain.forward(table.values[:, k]) for k, chain in enumerate(codec.chains)],
        axis=1,
    )
    decoded = codec.decode(codec.encode(table.values), 600)
    made = np.stack(
        [chain.forward(decoded[:, k]) for k, chain in enumerate(codec.chains)], axis=1
    )
    exact = codec.reconstruction_error(table.values, rounded=True).mean()
    assert exact == pytest.approx(float(np.square(made - y).mean()), rel=1e-4)
    assert exact != pytest.approx(
        codec.reconstruction_error(table.values).mean(), rel=1e-3
    )


@pytest.mark.parametrize("columns", [5, 24, 27])
@pytest.mark.parametrize("latent", [8, 20])
def test_the_grid_has_the_published_layers(columns: int, latent: int) -> None:
    asked = Autoencoder(latent=latent)
    widths = (columns, *asked.widths(columns), latent)
    assert widths == (columns, 200, 200, 200, latent)
    layers = [
        layer
        for layer in Pair("leaky-relu-bn", widths, seed=0).modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    assert [layer.in_features for layer in layers] == [
        columns,
        200,
        200,
        200,
        latent,
        200,
        200,
        200,
    ]


# -- accuracy
# ---------------------------------------------------------------------------------------------------------------


def test_widths_of_differences_and_responses() -> None:
    draw = np.random.default_rng(0)
    x = draw.uniform(10, 20, 20_000)
    y = x * (1 - draw.normal(0.01, 0.1, 20_000))
    table = Rows("x", ("a",), x[:, None], np.arange(20_000), 20_000)
    found = measure(table, y[:, None])[0]
    assert (found.response, found.width, found.half_width) == pytest.approx(
        (0.01, 0.1, 0.1), abs=0.003
    )
    assert found.spread == pytest.approx(float(np.std(x - y)))
    x[0] = 1e-9  # one value near 0 blows up the width, not the half-width
    near = measure(table, y[:, None])[0]
    assert near.width > 1e6
    assert near.half_width == pytest.approx(0.1, abs=0.003)


# -- TensorBoard
# ------------------------------------------------------------------------------------------------------------

CODECS = {name: replace(NETWORK, network=name) for name in NETWORKS}
CODECS["variational"] = replace(NETWORK, variational=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [*CODECS.values(), FLOW], ids=[*CODECS, "latent codec"])
def test_curves_hold_training_and_held_out_loss(
    asked: Autoencoder | Latent, tmp_path: Path
) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    told: list[str] = []
    encode_rows(
        flat(),
        tmp_path / "x.ref",
        asked,
        log=str(tmp_path / "log"),
        resources=Resources(progress=lambda _, __, what: told.append(what)),
    )
    log = accumulator.EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    assert {"loss/training", "loss/held_out", "learning_rate"} <= set(
        log.Tags()["scalars"]
    )
    for name in ("loss/training", "loss/held_out"):
        curve = log.Scalars(name)
        assert [point.step for point in curve] == [1, 2]
        assert all(math.isfinite(point.value) for point in curve)
    reported = [float(words.rpartition(" ")[2]) for words in told]
    assert [point.value for point in log.Scalars("loss/held_out")] == pytest.approx(
        reported, rel=1e-5, abs=1e-6
    )
    assert log.Scalars("loss/training")[0].value != log.Scalars("loss/held_out")[0].value


# -- the page
# ---------------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Headings, rows of tables and images of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attributes))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(
    scope="module",
    params=[NETWORK, Latent(bits=10, model=2, training=ft.Training(epochs=1))],
    ids=["net", "latent"],
)
def reported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Encoded, RowsReport, dict[str, ak.Array]]:
    """What was told of a file when it was written, its report, and what it decodes to."""
    pytest.importorskip("mplhep")
    folder = tmp_path_factory.mktemp("report")
    done = encode_rows(events(), folder / "x.ref", request.param, selection=JETS)
    return (
        done,
        report_rows(folder / "x.ref", events(), folder),
        decode_rows(folder / "x.ref"),
    )


@pytest.mark.slow
def test_a_page_about_objects_of_events(
    reported: tuple[Encoded, RowsReport, dict[str, ak.Array]],
) -> None:
    done, found, _ = reported
    assert found.accuracy == done.accuracy
    assert (found.rows, found.dropped) == (1199, 1)
    page = Page(found.page)
    alts = [str(image["alt"]) for image in page.images]
    assert all(str(image["src"]).startswith("data:image/") for image in page.images)
    for name in ("Jet_m", "Jet_pt", "Jet_phi", "Jet_eta", "Jet_n"):
        assert f"Histogram of the difference of {name}." in alts
        assert f"Histogram of the response of {name}: difference over original." in alts
    assert (
        sum("against each other" in alt for alt in alts)
        == sum("Rank correlation" in alt for alt in alts)
        == 1
    )
    assert sum("Invariant mass of the two leading Jet" in alt for alt in alts) == 1
    assert "1 rows of the original hold NaN" in page.text


@pytest.mark.slow
def test_the_dijet_shift_is_that_of_the_decoded_jets(
    reported: tuple[Encoded, RowsReport, dict[str, ak.Array]],
) -> None:
    pytest.importorskip("vector")
    _, found, decoded = reported
    original = events()[["Jet_m", "Jet_pt", "Jet_phi", "Jet_eta"]]
    keep = ~np.isnan(original["Jet_pt"])
    masses = []
    for sample in ({f: original[f][keep] for f in original.fields}, decoded):
        masses.append(
            _dijet_mass(
                {
                    f.removeprefix("Jet_"): ak.values_astype(sample[f], "f8")
                    for f in original.fields
                }
            )
        )
    shift = (masses[1] - masses[0]) / masses[0]
    assert found.dijet is not None
    assert (found.dijet.events, found.dijet.left_out) == (len(shift), 0)
    assert (found.dijet.mean, found.dijet.width) == pytest.approx(
        (shift.mean(), shift.std()), rel=1e-6
    )
    assert found.dijet.largest == pytest.approx(np.abs(shift).max(), rel=1e-6)


def _dijet_mass(parts: dict[str, ak.Array]) -> np.ndarray:
    """By the library vector, of the first two jets of each event that has two."""
    import vector

    jets = ak.zip(
        {"pt": parts["pt"], "eta": parts["eta"], "phi": parts["phi"], "mass": parts["m"]}
    )
    jets = jets[ak.num(jets) >= 2]
    momenta = vector.Array(ak.with_name(jets, "Momentum4D"))
    return np.asarray((momenta[:, 0] + momenta[:, 1]).mass)


@pytest.mark.slow
def test_flat_rows_have_no_dijet_mass_and_the_page_says_so(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    encode_rows(flat(), tmp_path / "x.ref", NETWORK)
    found = report_rows(tmp_path / "x.ref", flat(), tmp_path / "new" / "folder")
    assert found.dijet is None
    page = Page(found.page)
    assert "no mass of two jets is drawn" in page.text
    assert not any("Invariant mass" in str(image["alt"]) for image in page.images)


@pytest.mark.slow
def test_columns_that_come_back_exactly_have_no_correlation(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    encode_rows(
        events(),
        tmp_path / "x.ref",
        replace(NETWORK, residuals="std:1e-3"),
        selection=JETS,
    )
    found = report_rows(tmp_path / "x.ref", events(), tmp_path)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    names = [figures["column"] for figures in content["accuracy"]]
    exact = names.index("Jet_n")
    assert content["accuracy"][exact]["largest"] == 0
    assert content["correlation"][exact] == [None] * 5
    assert content["correlation"][0][0] == pytest.approx(1)


def test_correlations_are_those_of_ranks() -> None:
    from scipy.stats import spearmanr

    x = np.random.default_rng(0).standard_cauchy((500, 3))
    x[:, 2] += x[:, 0]
    assert correlations(x) == pytest.approx(spearmanr(x).statistic)
    assert correlations(x)[0, 2] != pytest.approx(
        np.corrcoef(x, rowvar=False)[0, 2], abs=0.05
    )


@pytest.mark.slow
def test_drawings_differ_with_what_they_draw() -> None:
    pytest.importorskip("mplhep")
    draw = np.random.default_rng(0)
    x, names = draw.normal(size=(300, 3)), ["a", "b$", "c"]
    for make in (
        lambda v: difference_png(v[:, 0], "a$b"),
        lambda v: corner_png(v, names),
        lambda v: correlations_png(correlations(v), names),
    ):
        one, other = make(x), make(x**3 + x[:, ::-1])
        assert one[:8] == b"\x89PNG\r\n\x1a\n"
        assert one == make(x) != other
    for same in (np.zeros(30), np.full(30, 2.0)):  # an axis without a width
        assert difference_png(same, "a")


@pytest.mark.slow
def test_values_beyond_their_type_are_no_obstacle() -> None:
    pytest.importorskip("mplhep")
    x = np.random.default_rng(0).normal(5, 1, size=(200, 2))
    y = x + 0.1
    y[3, 0], y[4, 1] = np.inf, -np.inf
    found = measure(Rows("x", ("a", "b"), x, np.arange(200), 200), y)
    assert [column.largest for column in found] == [np.inf, np.inf]
    assert found[0].half_width == pytest.approx(0.004, rel=0.3)  # of 0.1 / x
    far = x - y
    # it is counted
    assert difference_png(far[:, 0], "a") != difference_png(np.delete(far[:, 0], 3), "a")
    assert corner_png(far, ["a", "b"]) == corner_png(
        np.delete(far, [3, 4], axis=0), ["a", "b"]
    )
    assert np.isfinite(correlations(far)).all()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 1, 30])
def test_drawings_without_a_finite_value_are_empty_axes(rows: int) -> None:
    pytest.importorskip("mplhep")
    nothing = np.full((rows, 3), np.inf)
    assert difference_png(nothing[:, 0], "a")[:8] == b"\x89PNG\r\n\x1a\n"
    assert corner_png(nothing, ["a", "b", "c"]) == corner_png(
        np.empty((0, 3)), ["a", "b", "c"]
    )
    assert corner_png(np.zeros((1, 3)), ["a", "b", "c"]) != corner_png(
        nothing, ["a", "b", "c"]
    )
    assert np.isnan(correlations(nothing)).all()


def leading(masses: list[float], alone: float) -> Table:
    """Events of two jets of one momentum, whose mass is twice that of each, and an event of one
    jet.
    """
    counts, m = np.array([2] * len(masses) + [1]), np.append(np.repeat(masses, 2), alone)
    values = {
        "pt": np.ones(len(m)),
        "eta": np.zeros(len(m)),
        "phi": np.zeros(len(m)),
        "mass": m,
    }
    columns = [
        Column("nJet", "int64", "counter"),
        *(Column(f"Jet_{n}", "float64", counter="nJet") for n in values),
    ]
    return Table(
        "rows",
        tuple(columns),
        len(counts),
        {"nJet": counts} | {f"Jet_{n}": x for n, x in values.items()},
    )


def page_of(before: list[float], after: list[float], alone: float = 1.0) -> DecodedRows:
    original, back = leading(before, 1.0), leading(after, alone)
    values = [
        np.stack([t.data[f"Jet_{n}"] for n in ("pt", "eta", "phi", "mass")], axis=1)
        for t in (original, back)
    ]
    names = tuple(column.name for column in original.columns[1:])
    found = measure(
        Rows("x", names, values[0], np.arange(len(values[0])), len(values[0])), values[1]
    )
    return DecodedRows(
        "x", "x.ref", {}, [], original, back, [vars(column) for column in found]
    )


@pytest.mark.slow
def test_events_without_a_finite_mass_are_counted_and_left_out(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    rows = page_of([3.0, 0.0, 3.0, 4.0], [3.0, 1.0, np.inf, 5.0])
    found = rows.dijet
    assert found is not None
    assert (found.events, found.left_out) == (4, 2)
    # of 0 and 1/4
    assert (found.mean, found.width, found.largest) == pytest.approx((0.125, 0.125, 0.25))
    page = Page(write_rows(rows, tmp_path, lambda stage, share, what: None))
    assert "4 events with two or more, 2 of them left out of the figures" in page.text


@pytest.mark.slow
def test_a_page_without_a_finite_decoded_value(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    rows = page_of([3.0, 4.0], [np.inf, np.inf], alone=np.inf)
    found = rows.dijet
    assert found is not None
    assert (found.events, found.left_out, math.isnan(found.mean)) == (2, 2, True)
    alts = [
        str(image["alt"])
        for image in Page(
            write_rows(rows, tmp_path, lambda stage, share, what: None)
        ).images
    ]
    assert "Histogram of the difference of Jet_mass." in alts
    assert "Histogram of the response of Jet_mass: difference over original." not in alts


def test_another_original_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    encode_rows(flat(), tmp_path / "x.ref", NETWORK)
    shorter = {name: x[:-3] for name, x in flat().items()}
    with pytest.raises(
        InvalidArgument,
        match=r"has 1197 rows .*, .*x\.ref holds 1200; give the input that it was made from",
    ):
        report_rows(tmp_path / "x.ref", shorter, tmp_path / "report")
    lacking = {name: x for name, x in flat().items() if name != "phi"}
    with pytest.raises(InvalidArgument, match="phi"):
        report_rows(tmp_path / "x.ref", lacking, tmp_path / "report")
    assert not (tmp_path / "report").exists()
    encode_rows(events(), tmp_path / "y.ref", NETWORK, selection=JETS)
    moved = ak.concatenate([events()[200:], events()[:200]])
    with pytest.raises(InvalidArgument, match=r"y\.ref holds 1199 in other events"):
        report_rows(tmp_path / "y.ref", moved, tmp_path / "report")
    (tmp_path / "z.ref").write_bytes(b"no file")
    with pytest.raises(Corrupt, match=r"z\.ref: is no file of a reference method"):
        report_rows(tmp_path / "z.ref", flat(), tmp_path / "report")


# -- command line
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("mplhep")
    np.savez(tmp_path / "jets.npz", **{name: flat()[name] for name in ("pt", "eta")})
    words = (
        "--codec",
        "autoencoder",
        "--hidden",
        "16,8",
        "--latent",
        "1",
        "--variational",
        "1e-4",
        "--epochs",
        "1",
    )
    done = run_here(
        "reference", "encode", tmp_path / "jets.npz", "-o", tmp_path / "x.ref", *words
    )
    assert done.returncode == 0, done.stderr
    done = run_here(
        "reference",
        "report",
        tmp_path / "x.ref",
        tmp_path / "jets.npz",
        "-o",
        tmp_path / "report",
    )
    assert done.returncode == 0, done.stderr
    assert "Errors of what the file decodes to" in done.stdout
    assert done.stdout.endswith(f"{tmp_path / 'report' / 'report.html'}\n")
    wrong = run_here(
        "reference",
        "report",
        tmp_path / "x.ref",
        tmp_path / "none.npz",
        "-o",
        tmp_path / "report",
    )
    assert wrong.returncode == 2
    assert "none.npz" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1
