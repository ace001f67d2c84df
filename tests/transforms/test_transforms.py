"""Laws of every transform, formulas against tables, exactness of what stands for cells."""

import json

import numpy as np
import pytest

from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.transforms import FITTERS, Chain, OneHot
from flowtuple.transforms.ranks import Ranks

DRAW = np.random.default_rng(5)
POSITIVE = DRAW.exponential(20.0, 4000) + 0.5
NORMAL = DRAW.normal(3.0, 2.0, 4000)
SPIKED = np.where(DRAW.random(4000) < 0.3, -999.0, NORMAL)
WHOLE = DRAW.poisson(4.0, 4000).astype(np.float64)
ZEROS = np.where(DRAW.random(4000) < 0.3, 0.0, POSITIVE)
WIDE = np.rint(DRAW.normal(0, 3000, 4000))

CHAINS = {
    "divide": ("divide:100", POSITIVE),
    "mirrored": ("divide:-1,log10:1,divide:1.6", -POSITIVE),
    "standard": ("standard", NORMAL),
    "min-max": ("min-max", NORMAL),
    "robust": ("robust", NORMAL),
    "log": ("log:10,standard", POSITIVE),
    "log10": ("log10:1", POSITIVE),
    "log1p": ("log1p", POSITIVE),
    "atan of a ratio": ("subtract:3,atan:0.1", NORMAL),
    "clip": ("clip:-100:100,standard", NORMAL),
    "smear": ("smear:0.1", WHOLE),
    "smear, standard": ("smear:0.2,standard", WIDE),
    "peak below": ("peak:-7:-9:0.5,standard", SPIKED),
    "peak of a logarithm": ("log:1e-5,peak:-7.5,standard", ZEROS),
    "atan": ("atan:100", NORMAL / 100),
    "logit": ("logit", NORMAL),
    "logit of its own": ("logit:1e-3", NORMAL),
    "gauss-rank": ("gauss-rank", NORMAL),
    "gauss-rank of a spike": ("gauss-rank", SPIKED),
    "gauss-rank of a spike behind a logarithm": ("log:1000,gauss-rank", SPIKED),
    "gauss-rank of few values": ("gauss-rank", WHOLE),
    "dequantise": ("dequantise", WHOLE),
    "dequantise, standard": ("dequantise,standard", WIDE),
    "dequantise, gauss-rank": ("dequantise,gauss-rank", WHOLE),
    "dequantise, gauss-rank of many": ("dequantise,gauss-rank", WIDE),
    "one value": ("gauss-rank", np.full(100, 7.0)),
}
WHOLE_CHAINS = [
    name
    for name, (recipe, _) in CHAINS.items()
    if "dequantise" in recipe or "smear" in recipe
]
PEAKS = {"peak below": -999.0, "peak of a logarithm": 0.0}
APART = (*WHOLE_CHAINS, *PEAKS)
SMOOTH_CHAINS = [
    name
    for name in CHAINS
    if name not in APART and "spike" not in name and "value" not in name
]


@pytest.mark.parametrize("name", CHAINS)
def test_inverse(name: str) -> None:
    recipe, x = CHAINS[name]
    chain = Chain.fit(recipe, x)
    for u in (0.0, 0.3, DRAW.random(len(x)), 1.0):
        y = chain.forward(x, u)
        assert np.isfinite(y).all()
        back = chain.inverse(y)
        assert np.allclose(back, x, rtol=1e-9, atol=1e-9 * np.abs(x).max())


@pytest.mark.parametrize(
    "name",
    [*WHOLE_CHAINS, "gauss-rank of a spike", "gauss-rank of few values", "one value"],
)
def test_values_that_stand_for_cells_come_back_exactly(name: str) -> None:
    recipe, x = CHAINS[name]
    chain = Chain.fit(recipe, x)
    assert chain.has_cells
    assert chain.stands_for_cell(x).mean() > 0.2
    values, counts = np.unique(x, return_counts=True)
    exact = (
        np.isin(x, values[counts >= 10])
        if recipe == "gauss-rank"
        else np.ones(len(x), bool)
    )
    assert exact.mean() > 0.2
    for u in (0.0, DRAW.random(len(x)), 0.999999):
        assert np.array_equal(chain.inverse(chain.forward(x, u))[exact], x[exact])


@pytest.mark.parametrize("name", PEAKS)
def test_a_peak_comes_back_and_lies_apart(name: str) -> None:
    recipe, x = CHAINS[name]
    chain, peak = Chain.fit(recipe, x), x == PEAKS[name]
    for u in (0.0, DRAW.random(len(x)), 1.0):
        y = chain.forward(x, u)
        assert np.abs(chain.inverse(y)[peak] - PEAKS[name]).max() < 1e-12
        assert y[peak].max() < y[~peak].min()
    assert np.ptp(y[peak]) == 0  # one place, one image
    assert chain.forward(x, DRAW.random(len(x)))[peak].std() > 0.01


def test_clip_keeps_what_lies_within_and_saturates_the_rest() -> None:
    chain = Chain.fit("clip:0:3", NORMAL)
    y = chain.forward(NORMAL)
    within = (NORMAL >= 0) & (NORMAL <= 3)
    assert np.array_equal(y[within], NORMAL[within])
    assert set(y[~within]) == {0.0, 3.0}
    assert chain.inverse(np.array([-9.0, 9.0])).tolist() == [0.0, 3.0]


@pytest.mark.parametrize("name", ["smear", *PEAKS])
def test_noise_is_a_density_of_its_cell(name: str) -> None:
    """Within a cell exp(log_det) is dy/du."""
    recipe, x = CHAINS[name]
    chain, places, step = Chain.fit(recipe, x), np.linspace(0.01, 0.99, 99), 1e-6
    values = np.full(len(places), PEAKS.get(name, 4.0))
    slope = (
        chain.forward(values, places + step) - chain.forward(values, places - step)
    ) / (2 * step)
    assert np.allclose(np.exp(chain.log_det(values, places)), slope, rtol=1e-4)


@pytest.mark.parametrize("name", SMOOTH_CHAINS)
def test_log_det_is_the_slope(name: str) -> None:
    recipe, x = CHAINS[name]
    chain = Chain.fit(recipe, x)
    inside = np.sort(x)[200:-200:37] + 1e-5 * x.std()
    step = 1e-7 * x.std()
    slope = (chain.forward(inside + step) - chain.forward(inside - step)) / (2 * step)
    assert np.allclose(np.exp(chain.log_det(inside)), np.abs(slope), rtol=2e-3)


@pytest.mark.parametrize(
    "name",
    [n for n in CHAINS if "spike" in n or "few" in n or "dequantise, gauss-rank" in n],
)
def test_probabilities_of_cells_are_those_of_a_normal_image(name: str) -> None:
    """Under a standard normal y the mean over u of p(y) e^(log det) is the share of a value that
    the ranks have seen.
    """
    recipe, x = CHAINS[name]
    chain, values = (
        Chain.fit(recipe, x),
        np.unique(x)[:40] if "spike" not in name else np.array([-999.0]),
    )
    places = (np.arange(200) + 0.5) / 200
    y = np.stack([chain.forward(values, u) for u in places])
    density = (
        np.exp(-0.5 * y**2)
        / np.sqrt(2 * np.pi)
        * np.exp(np.stack([chain.log_det(values, u) for u in places]))
    )
    seen = np.array([(x == v).mean() for v in values])
    few = len(np.unique(x)) > 256 and "spike" not in name
    assert np.allclose(density.mean(axis=0), seen, rtol=0.05, atol=2e-3 if few else 5e-4)


@pytest.mark.parametrize(
    ("recipe", "x", "y"),
    [
        ("divide:5", [10.0], [2.0]),
        ("log:10", [np.e - 10], [1.0]),
        ("log10", [1000.0], [3.0]),
        ("atan:100", [0.01], [np.pi / 4]),
        ("min-max", [2.0, 4.0, 3.0], [0.0, 1.0, 0.5]),
        ("standard", [1.0, 3.0], [-1.0, 1.0]),
        ("robust", [0.0, 1.0, 2.0, 3.0, 4.0], [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (
            "logit",
            [0.0, 1.0, 0.5],
            [np.log(1e-6 / (1 - 1e-6)), np.log((1 - 1e-6) / 1e-6), 0.0],
        ),
        ("log,log", [np.e], [0.0]),
        ("log1p", [0.0, np.e - 1], [0.0, 1.0]),
        ("subtract:1,atan:10", [1.1], [np.pi / 4]),
        ("clip:-1:1", [-5.0, 0.5], [-1.0, 0.5]),
    ],
)
def test_formulas(recipe: str, x: list[float], y: list[float]) -> None:
    assert np.allclose(
        Chain.fit(recipe, np.array(x)).forward(np.array(x)), y, rtol=1e-9, atol=1e-12
    )


def test_peak_brings_what_lies_below_near_its_place() -> None:
    x = np.array([-10.0, 0.3])
    assert np.allclose(
        Chain.fit("peak:-0.05:-0.1:0.005", x).forward(x), [-0.1, 0.3], rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("name", CHAINS)
def test_json_and_any_y(name: str) -> None:
    recipe, x = CHAINS[name]
    chain = Chain.fit(recipe, x)
    again = Chain.from_config(json.loads(json.dumps(chain.config())))
    assert again == chain
    assert np.array_equal(again.forward(x, 0.25), chain.forward(x, 0.25))
    assert np.isfinite(again.inverse(np.linspace(-6, 6, 101))).all()


def test_values_outside_the_range_that_was_fitted() -> None:
    chain = Chain.fit("gauss-rank", NORMAL)
    far = np.array([NORMAL.min() - 5, NORMAL.max() + 5])
    assert np.allclose(chain.inverse(chain.forward(far)), far)
    assert np.isfinite(chain.log_det(far)).all()
    assert (np.diff(chain.forward(np.sort(np.concatenate([far, NORMAL])))) >= 0).all()


def test_ranks_make_a_normal_distribution() -> None:
    from scipy.stats import kstest

    chain = Chain.fit("gauss-rank", SPIKED)
    assert kstest(chain.forward(SPIKED, DRAW.random(len(SPIKED))), "norm").pvalue > 1e-3
    assert len(chain.transforms[0].config()["x"]) < 300


def test_one_hot() -> None:
    x = np.array([21.0, 1.0, -5.0, 21.0])
    coded = OneHot.fitted(x)
    assert coded.forward(x).sum(axis=1).tolist() == [1, 1, 1, 1]
    assert np.array_equal(coded.inverse(coded.forward(x)), x)
    assert coded.forward(np.array([4.0])).sum() == 0


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("standart", "no transform 'standart'; nearest: standard"),
        ("standard:3", "takes no number"),
        ("log:x", "'x' is no number"),
        ("log", "not defined for 2 values"),
        ("divide:0", "cannot be undone"),
        ("atan:0", "cannot be undone"),
        ("atan:-1", "cannot be undone"),
        ("logit:0.5", "cannot be undone"),
        ("standard,dequantise", "is for whole numbers"),
        ("divide:2,smear", "smear is for whole numbers"),
        ("smear:0", "smears nothing"),
        ("clip:1:0", "leaves nothing; write for example clip:-5:5"),
        ("clip:1", "has 1 numbers, not 2; write for example clip:-5:5"),
        ("peak", "has 0 numbers, not 1 to 3; write for example peak:-5"),
        ("peak:-0.5:0", "below the edge -0.5"),
    ],
)
def test_bad_recipes(recipe: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Chain.fit(recipe, np.array([-1.0, 0.0, 3.0]))


def test_a_config_that_is_none() -> None:
    for config in (
        {},
        {"transforms": [{"name": "exec"}]},
        {"transforms": [{"name": "affine", "shift": 1.0}]},
    ):
        with pytest.raises(Corrupt, match="transform that does not exist"):
            Chain.from_config(config)
    with pytest.raises(Corrupt, match="cannot be undone"):
        Chain.from_config(
            {"transforms": [{"name": "affine", "shift": 1.0, "scale": 0.0}]}
        )


def test_every_fitter_is_tested() -> None:
    used = {
        word.partition(":")[0].strip()
        for recipe, _ in CHAINS.values()
        for word in recipe.split(",")
    }
    assert used == set(FITTERS)


def test_a_cell_never_seen_keeps_a_little() -> None:
    cells = Ranks.of_cells(np.array([1.5, 1.5, 3.5, 3.5, 3.5]))
    assert np.isfinite(cells.log_det(np.array([2.5]))).all()
