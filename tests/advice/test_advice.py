"""Analyses read and evaluated; bounds that they allow; one line for each fault."""

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.advice.allocation import allocate
from flowtuple.advice.stored_cuts import stored_cuts
from flowtuple.analysis.demands import CutDemand, parse_analysis
from flowtuple.analysis.evaluation import evaluate
from flowtuple.data.schema import Column
from flowtuple.data.table import Table

MJJ = '[quantity.mjj]\nexpression = "mass(Jet[0], Jet[1])"\nrms = "rel:1e-3"\n'
NONE = '[floor]\npreset = "none"\n'


def jets(events: int = 4000, seed: int = 1) -> Table:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, events).astype("int32")
    n = int(counts.sum())
    data = {
        "nJet": counts,
        "Jet_pt": (20 + rng.exponential(40, n)).astype("f4"),
        "Jet_eta": rng.normal(0, 1.5, n).astype("f4"),
        "Jet_phi": rng.uniform(-3, 3, n).astype("f4"),
        "Jet_mass": (2 + rng.exponential(8, n)).astype("f4"),
        "MET_pt": rng.exponential(30, events).astype("f4"),
        "MET_sigma": rng.uniform(5, 9, events).astype("f4"),
    }
    # the order of p_T within events
    event = np.repeat(np.arange(events), counts)
    order = np.lexsort((-data["Jet_pt"], event))
    data |= {k: x[order] for k, x in data.items() if k.startswith("Jet_")}
    columns = [
        Column(k, x.dtype.name, counter="nJet" if k.startswith("Jet_") else None)
        for k, x in data.items()
    ]
    return Table("Events", tuple(columns), events, data)


def events(table: Table):
    import awkward as ak

    counts = table["nJet"]
    return {
        k: ak.unflatten(x, counts) if k.startswith("Jet_") else x
        for k, x in table.data.items()
        if k != "nJet"
    }


def test_masses_sums_and_distances_equal_a_slow_reference():
    table = jets(60)
    start = table.offsets("nJet")

    def value(expression):
        return evaluate(expression, table, table.data, "a.toml")[0].content

    mass, total = value("mass(Jet[0], Jet[1])"), value("sum(Jet_pt)")
    distance = value("deltaR(Jet[0], Jet[1])")
    for k in range(60):
        x = {
            p: table[f"Jet_{p}"][start[k] : start[k + 1]].astype(float)
            for p in ("pt", "eta", "phi", "mass")
        }
        assert total[k] == pytest.approx(x["pt"].sum())
        if len(x["pt"]) < 2:
            assert np.isnan(mass[k])
            continue
        p = [
            [pt * np.cos(f), pt * np.sin(f), pt * np.sinh(e)]
            for pt, e, f in zip(x["pt"], x["eta"], x["phi"], strict=True)
        ]
        energy = [
            np.sqrt(np.dot(q, q) + m * m) for q, m in zip(p, x["mass"], strict=True)
        ]
        whole = np.sum(p[:2], axis=0)
        assert mass[k] == pytest.approx(
            np.sqrt(sum(energy[:2]) ** 2 - whole @ whole), rel=1e-6
        )
        turn = abs(x["phi"][0] - x["phi"][1])
        turn = min(turn, 2 * np.pi - turn)
        assert distance[k] == pytest.approx(np.hypot(x["eta"][0] - x["eta"][1], turn))


def test_allocation_of_one_demand_is_the_closed_form():
    a, n = np.array([[4.0, 0.25, 9.0]]), np.array([10.0, 20.0, 5.0])
    errors = allocate(a, np.array([0.3]), n, np.full(3, np.inf))
    assert errors == pytest.approx(
        0.3 * np.sqrt(3 * n / n.sum()) / np.sqrt(a[0]), rel=1e-6
    )


def test_allocation_of_two_demands_is_that_of_scipy():
    from scipy.optimize import minimize

    a = np.array([[4.0, 0.25, 9.0], [0.1, 6.0, 1.0]])
    allowed, n, most = (
        np.array([0.3, 0.2]),
        np.array([3.0, 2.0, 1.0]),
        np.array([9, 9, 0.05]),
    )
    best = minimize(
        lambda u: -(n * u).sum(),
        np.full(3, -4.0),
        constraints=[
            {
                "type": "ineq",
                "fun": lambda u, k=k: (
                    1 - (a[k] * np.exp(2 * u)).sum() / (3 * allowed[k] ** 2)
                ),
            }
            for k in range(2)
        ],
        bounds=[(None, np.log(m)) for m in most],
    )
    assert allocate(a, allowed, n, most) == pytest.approx(np.exp(best.x), rel=1e-3)


@pytest.fixture
def analysis(tmp_path):
    def write(text):
        path = tmp_path / "a.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.slow
def test_advice_keeps_every_demand_and_files_keep_it(analysis, tmp_path):
    source = events(jets())
    met = '[quantity.met]\nexpression = "MET_pt"\nwidening = 1e-3\nresolution = "MET_sigma"\n'
    path = analysis(MJJ + met + '[cut.met]\nexpression = "MET_pt > 50"\n' + NONE)
    advice = ft.advise(source, path, tmp_path / "out")
    assert not advice.failed
    assert [c.label for c in advice.confirmed] == ["measured", "measured", "guaranteed"]
    assert all(0.85 * c.limit < c.value <= c.limit for c in advice.chosen[:2])
    assert advice.bounds["MET_pt"].cuts == (50.0,)
    bounds = ft.read_bounds(tmp_path / "out" / "bounds.toml")
    assert dict(bounds) == dict(advice.bounds)
    done = tmp_path / "x.ftup"
    ft.compress(source, done, tolerance=bounds, effort="fast")
    assert not any(check.failed for check in ft.check_analysis(source, done, path))
    ft.compress(source, done, tolerance="rel:0.01", effort="fast")
    assert ft.check_analysis(source, done, path)[0].failed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[quantity.a]\nexpresion = 'x'", "no key 'expresion'; nearest: expression"),
        ("[quantty.a]\nexpression = 'x'", r"no table \[quantty\]; nearest: quantity"),
        ("[quantity.a]\nexpression = 'x'", "has no limit"),
        ("[quantity.a]\nexpression = 'x'\nrms = 3", "'?3'? is no limit"),
        ("[quantity.a]\nexpression = 'x'\nrms = 'rel:-1'", "no number above 0"),
        ("[cut.a]\nexpression = 'x > 1'\nflips = -1", "no number of rows"),
        ("x = ", "is not TOML"),
        ("", "names nothing that must survive"),
    ],
)
def test_faults_of_analyses(text, message):
    with pytest.raises(ft.InvalidArgument, match=message):
        parse_analysis(text, "a.toml")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("MET_pT", "'MET_pT' is no column and no collection; nearest: MET_pt"),
        ("mas(Jet[0], Jet[1])", "no function 'mas'; nearest: mass"),
        ("MET_pt / 0", "no finite value"),
        ("Jet", "is an object and no number"),
        ("MET_pt +", "is no expression"),
        ("3", "names no column"),
    ],
)
def test_faults_of_expressions(analysis, expression, message):
    path = analysis(f'[quantity.a]\nexpression = "{expression}"\nrms = "abs:1e-3"')
    with pytest.raises(ft.InvalidArgument, match=message):
        ft.advise(events(jets(300)), path)


def test_a_cut_on_a_derived_quantity_is_not_stored():
    table = jets(10)
    cuts = [CutDemand("a", "sum(Jet_pt) > 30", 0), CutDemand("b", "MET_pt > -3", 0)]
    found_cuts = stored_cuts(cuts, table, {"MET_pt": ft.Bound.parse("abs:1")})
    assert found_cuts.by_column == {"MET_pt": (-3.0,)}


def test_whole_numbers_have_no_bounds_to_choose() -> None:
    analysis = parse_analysis('[quantity.n]\nexpression = "n"\nrms = "abs:1"', "a.toml")
    with pytest.raises(ft.InvalidArgument, match="reads no column of floats"):
        ft.advise({"n": np.arange(300), "x": np.zeros(300, "f4")}, analysis)
