"""Fidelity, rival sizes, plots and the report, against slow obvious references."""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
from html.parser import HTMLParser
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pcodec import ChunkConfig, standalone

from flowtuple.baseline.packing import pcodec_bytes
from flowtuple.baseline.quantise import quantise, round_mantissa
from flowtuple.baseline.sizes import baseline_bytes
from flowtuple.comparison.fidelity import (
    ColumnFidelity,
    Spread,
    column_fidelity,
    compare_tables,
    dijet_mass,
    dijet_masses,
    merge_columns,
)
from flowtuple.data.awkward_tables import table_from_awkward
from flowtuple.data.binning import find_binning
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument, MissingExtra
from flowtuple.file.ledger import Ledger, Row
from flowtuple.reporting import plots, report
from flowtuple.reporting.page import format_number
from flowtuple.reporting.report import (
    ReportInput,
    summary_rows,
    totals,
    write_report,
)

FLOATS = st.floats(-1e6, 1e6, width=32)
SPECIAL = [math.nan, math.inf, -math.inf, -0.0]


def events(seed: int = 1, count: int = 400) -> Table:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, count)
    jets = int(counts.sum())
    jet = {
        "pt": rng.exponential(40, jets) + 20,
        "eta": rng.normal(0, 2, jets),
        "phi": rng.uniform(-math.pi, math.pi, jets),
        "mass": rng.exponential(8, jets),
    }
    fields = {f"Jet_{k}": ak.unflatten(v.astype("f4"), counts) for k, v in jet.items()}
    met = rng.exponential(30, count).astype("f4")
    met[::9] = -999
    met[5:9] = SPECIAL
    record = {
        "event": np.arange(count),
        "nJet": counts.astype("i4"),
        "MET_pt": met,
        "flag": met > 20,
        "tag": ["a", "bc"] * (count // 2),
    }
    return table_from_awkward(
        "Events", ak.Array({**record, **fields}), counters=dict.fromkeys(fields, "nJet")
    )


def rounded(table: Table, bounds: dict[str, Bound]) -> Table:
    """What a codec that keeps its promises might give back."""
    data = dict(table.data)
    for name, bound in bounds.items():
        x = table.data[name]
        near = (np.round(x.astype("f8") / (2 * bound.amount)) * 2 * bound.amount).astype(
            x.dtype
        )
        data[name] = np.where(bound.holds(x, near), near, x)
    return Table(table.name, table.columns, table.num_entries, data)


BOUNDS = {
    name: Bound("abs", 0.01)
    for name in ("MET_pt", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")
}


@given(st.lists(st.tuples(FLOATS, st.floats(-2, 2, width=32)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_fidelity_equals_a_loop_over_the_values(pairs: list[tuple[float, float]]) -> None:
    x = np.array([p[0] for p in pairs], "f4")
    y = (x + np.array([p[1] for p in pairs], "f4")).astype("f4")
    found = column_fidelity("t", "x", Bound("abs", 1.0), x, y)
    differences = [float(a) - float(b) for a, b in zip(x, y, strict=True)]
    std = statistics.pstdev(float(a) for a in x)
    responses = [d / float(a) for a, d in zip(x, differences, strict=True) if a != 0]
    broken = [
        d
        for a, b, d in zip(x, y, differences, strict=True)
        if abs(d) > 1 or (a == 0 and math.copysign(1, a) < 0 and str(a) != str(b))
    ]
    assert found.violations == len(broken)
    assert found.difference.largest == max(map(abs, differences))
    assert found.difference.mean == pytest.approx(
        statistics.fmean(map(abs, differences)), rel=1e-9, abs=1e-12
    )
    assert found.original.std == pytest.approx(std, rel=1e-9, abs=1e-6)
    assert found.zeros == len(x) - len(responses)
    assert found.response.count == len(responses)
    if responses:
        assert found.response.mean == pytest.approx(
            statistics.fmean(responses), rel=1e-6, abs=1e-9
        )
        rms = math.sqrt(statistics.fmean(r * r for r in responses))
        assert found.response.rms == pytest.approx(rms, rel=1e-6, abs=1e-9)


@given(st.lists(FLOATS, max_size=30), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_merged_spread_is_the_spread_of_everything(values: list[float], cut: int) -> None:
    x = np.array(values)
    whole, merged = Spread.of(x), Spread.of(x[:cut]).merge(Spread.of(x[cut:]))
    assert (merged.count, merged.largest) == (whole.count, whole.largest)
    if values:
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
        assert merged.std == pytest.approx(float(np.std(x)), rel=1e-9, abs=1e-9)


def test_special_values_are_counted_and_their_change_is_a_violation() -> None:
    x = np.array([*SPECIAL, 0.0, 1.0], "f4")
    assert column_fidelity("t", "x", Bound("abs", 9.0), x, x).violations == 0
    y = np.array([1.0, 2.0, 3.0, 0.0, 0.0, math.nan], "f4")
    found = column_fidelity("t", "x", Bound("abs", 9.0), x, y)
    assert (found.special, found.zeros, found.violations, found.exact) == (4, 2, 5, 1)
    assert found.difference.count == 2
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_differences_of_large_integers_do_not_wrap(dtype: str) -> None:
    ends = np.iinfo(dtype)
    x, y = np.array([ends.min, ends.max], dtype), np.array([ends.max, ends.min], dtype)
    found = column_fidelity("t", "x", Bound("abs", 3), x, y)
    assert (found.violations, found.difference.largest) == (2, float(2**64 - 1))
    near = column_fidelity("t", "x", Bound("abs", 3), x[:1], x[:1] + x.dtype.type(3))
    assert (near.violations, near.difference.largest) == (0, 3.0)


def test_a_constant_column_that_moves_has_no_difference_in_units_of_its_std() -> None:
    found = column_fidelity("t", "x", Bound("abs", 1), np.full(3, 2.0), np.full(3, 2.5))
    assert math.isnan(found.max_over_std)
    assert found.to_json()["max_over_std"] is None
    assert column_fidelity("t", "x", Bound(), np.zeros(0), np.zeros(0)).exact_share == 1.0


def test_chunks_merge_to_the_whole_and_violations_add_up() -> None:
    table = events()
    decoded = rounded(table, BOUNDS)
    decoded.data["Jet_pt"][[3, 500]] += 1  # type: ignore[index]
    whole = compare_tables(table, decoded, BOUNDS)
    names = [c.name for c in table.columns]
    chunks = [
        (table.read(names, a, a + 77), decoded.read(names, a, a + 77))
        for a in range(0, 400, 77)
    ]
    merged = merge_columns(compare_tables(x, y, BOUNDS) for x, y in chunks)
    assert {f.column: f.violations for f in whole if f.violations} == {"Jet_pt": 2}
    for one, other in zip(whole, merged, strict=True):
        for (name, a), b in zip(
            one.to_json().items(), other.to_json().values(), strict=True
        ):
            assert a == b or a == pytest.approx(b, rel=1e-9, abs=1e-15), name


def test_an_opaque_column_is_equal_or_not() -> None:
    words = ak.Array(["a", "b"])
    same = column_fidelity("t", "s", Bound(), words, ak.Array(["a", "b"]))
    other = column_fidelity("t", "s", Bound(), words, ak.Array(["a", "c"]))
    assert (same.violations, same.exact, other.violations, other.exact) == (0, 2, 2, 0)


def test_what_does_not_fit_together_is_named() -> None:
    table = events()
    names = [c.name for c in table.columns]
    with pytest.raises(InvalidArgument, match="399 events decoded against 400"):
        compare_tables(table, table.read(names, 0, 399), {})
    with pytest.raises(InvalidArgument, match="only in the original: MET_pt"):
        compare_tables(table, table.read([n for n in names if n != "MET_pt"], 0, 400), {})
    with pytest.raises(
        InvalidArgument, match="no column 'Jet_pT' to bound; nearest: Jet_pt"
    ):
        compare_tables(table, table, {"Jet_pT": Bound("abs", 1)})
    with pytest.raises(InvalidArgument, match=r"'x' is float64.* against float32"):
        column_fidelity("t", "x", Bound(), np.zeros(2, "f4"), np.zeros(2))
    with pytest.raises(InvalidArgument, match="std bound has no meaning"):
        column_fidelity("t", "x", Bound("std", 0.1), np.zeros(2), np.ones(2))
    with pytest.raises(
        InvalidArgument, match=r"t/x/lossless and t/y/lossless do not merge"
    ):
        ColumnFidelity("t", "x", "lossless", 1).merge(
            ColumnFidelity("t", "y", "lossless", 1)
        )


def test_dijet_mass_by_hand() -> None:
    # Massless at eta = 0: m^2 = 2 pt1 pt2 (1 - cos dphi); massive and back to back at rest in z: m
    # = E1 + E2.
    pt, zero = np.array([[30.0, 40.0], [3.0, 3.0]]), np.zeros((2, 2))
    phi, mass = (
        np.array([[0.0, math.pi / 2], [0.0, math.pi]]),
        np.array([[0.0, 0.0], [4.0, 4.0]]),
    )
    assert dijet_mass(pt, zero, phi, mass) == pytest.approx(
        [math.sqrt(2 * 30 * 40), 10.0]
    )
    # One object twice: 2m, and the general massless formula 2 pt1 pt2 (cosh deta - cos dphi).
    assert dijet_mass(pt[1:] * 0 + 7, zero[1:] + 2, zero[1:], mass[1:]) == pytest.approx(
        [8.0]
    )
    eta = np.array([[1.0, -0.5]])
    assert dijet_mass(pt[:1], eta, phi[:1], zero[:1]) == pytest.approx(
        [math.sqrt(2 * 30 * 40 * math.cosh(1.5))]
    )


def test_dijets_are_found_by_name_and_taken_as_stored() -> None:
    jets = {
        "jet_pt": [[5.0, 9.0, 1.0], [], [2.0], [3.0, 4.0]],
        "jet_eta": 0,
        "jet_phi": 0,
        "jet_m": 1,
    }
    array = {
        k: v if isinstance(v, list) else ak.ones_like(ak.Array(jets["jet_pt"])) * v
        for k, v in jets.items()
    }
    found = dijet_masses(table_from_awkward("t", ak.Array(array)))
    assert found is not None
    prefix, masses = found
    expected = dijet_mass(
        np.array([[5.0, 9.0], [3.0, 4.0]]),
        np.zeros((2, 2)),
        np.zeros((2, 2)),
        np.ones((2, 2)),
    )
    assert prefix == "jet"
    np.testing.assert_array_equal(masses, expected)


def test_tables_without_a_collection_have_no_dijets() -> None:
    flat = {name: np.ones(3) for name in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")}
    assert dijet_masses(table_from_awkward("t", ak.Array(flat))) is None
    assert (
        dijet_masses(table_from_awkward("t", ak.Array({"Jet_pt": [[1.0], [2.0, 3.0]]})))
        is None
    )


def packed(values: np.ndarray) -> int:
    return len(
        standalone.simple_compress(
            np.ascontiguousarray(values), ChunkConfig(compression_level=8)
        )
    )


def test_rivals_are_pcodec_on_the_grid() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 3, 5000).astype("f4")
    x[::50] = 0
    grid = [round(float(v) / 0.02) for v in x]
    step = math.log(1.01 / 0.99)
    logs = [0 if v == 0 else round(math.log(abs(float(v))) / step) for v in x]
    lowest = min(q for q, v in zip(logs, x, strict=True) if v != 0)
    logarithmic = [
        0 if v == 0 else int(math.copysign(q - lowest + 1, v))
        for q, v in zip(logs, x, strict=True)
    ]
    data = {
        "a": x,
        "r": x,
        "l": x,
        "i": np.arange(5000, dtype="i8"),
        "b": x > 0,
        "s": np.arange(5000).astype("i1"),
    }
    table = Table(
        "t", tuple(Column(k, v.dtype.name) for k, v in data.items()), 5000, data
    )
    found = baseline_bytes(table, {"a": Bound("abs", 0.01), "r": Bound("rel", 0.01)})
    expected = {
        "a": packed(np.array(grid, "i4")),
        "r": packed(np.array(logarithmic, "i4")),
        "l": packed(x),
        "i": packed(np.arange(5000, dtype="i4")),
        "b": packed((x > 0).astype("u2")),
        "s": packed(data["s"].astype("i2")),
    }
    assert {k: v["quantise+pcodec"] for k, v in found.items()} == expected
    assert {k: v["raw"] for k, v in found.items()} == {
        k: v.nbytes for k, v in data.items()
    }
    assert 0 < found["i"]["gzip"] < found["i"]["raw"]


@given(st.lists(st.floats(width=32), min_size=1, max_size=30), st.integers(0, 25))
@settings(max_examples=80, deadline=None)
def test_rounded_mantissas_hold_their_bound(values: list[float], bits: int) -> None:
    x = np.array(values, "f4")
    normal = np.isfinite(x) & ((np.abs(x) >= np.finfo("f4").tiny) | (x == 0))
    assert Bound("bits", bits).holds(x, round_mantissa(x, bits))[normal].all()


@given(
    st.lists(st.floats(width=32), min_size=1, max_size=30),
    st.sampled_from([1e-30, 1e-3, 7.0]),
)
@settings(max_examples=60, deadline=None)
def test_grids_take_any_value(values: list[float], amount: float) -> None:
    x = np.array([*values, *SPECIAL], "f4")
    for bound in (Bound("abs", amount), Bound("rel", 1e-3)):
        assert len(pcodec_bytes(quantise(x, bound))) > 0


def test_integer_cells_opaque_buffers_and_unresolved_bounds() -> None:
    np.testing.assert_array_equal(
        quantise(np.array([-4, -1, 0, 5, 250], "i2"), Bound("abs", 1.5)),
        [-2, -1, 0, 1, 83],
    )
    np.testing.assert_array_equal(
        quantise(np.array([0, 255], "u1"), Bound("abs", 200)), [0, 0]
    )
    words = baseline_bytes(events(), {})["tag"]
    assert words["raw"] >= 600
    assert words["quantise+pcodec"] < words["raw"]
    with pytest.raises(
        InvalidArgument, match="std bound has no meaning before it is resolved"
    ):
        baseline_bytes(events(), {"MET_pt": Bound("std", 0.1)})


def test_binning_leaves_sentinels_out_and_centres_integers() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, 10_000)
    x[::4], x[1::50], x[2] = -999, 9999, math.nan
    found = find_binning(x)
    assert found.sentinels == (-999, 9999)
    assert -6 < found.edges[0] < found.edges[-1] < 6
    counts = find_binning(rng.integers(0, 7, 1000), integer=True)
    np.testing.assert_array_equal(counts.edges, np.arange(8) - 0.5)
    flavours = find_binning(rng.choice([0, 1, 2, 3, 21], 1000), integer=True)
    assert flavours.sentinels == ()
    np.testing.assert_array_equal(flavours.edges, np.arange(23) - 0.5)
    for extreme in (np.array([2**64 - 1, 0], "u8"), np.array([2**60, 2**60 + 1])):
        assert (np.diff(find_binning(extreme, integer=True).edges) > 0).all()
    for extreme in (
        np.full(9, 5.0),
        np.array([1e-310, 2e-310]),
        np.array([-1.0, 1.0]) * np.finfo("f8").max,
    ):
        assert (np.diff(find_binning(extreme).edges) > 0).all()
    with pytest.raises(InvalidArgument, match="without finite values"):
        find_binning(np.array([math.nan]))


@pytest.mark.parametrize("text", ["abs:0.3", "rel:0.01", "bits:7"])
def test_allowed_difference_is_where_the_bound_ends(text: str) -> None:
    bound, x = Bound.parse(text), np.array([-7.3, 0.02, 1.0, 1.999, 4096.5])
    allowed = bound.largest_difference(x)
    assert bound.holds(x, x + 0.999 * allowed).all()
    assert not bound.holds(x, x + 1.001 * allowed).any()
    with pytest.raises(InvalidArgument, match="lossless bound is no unit"):
        Bound().largest_difference(x)


@pytest.mark.slow
def test_plots_are_the_same_text_every_time_and_say_what_they_leave_out() -> None:
    for module in ("matplotlib", "mplhep"):
        pytest.importorskip(module)
    table = events()
    x = table["MET_pt"]
    y = rounded(table, BOUNDS)["MET_pt"]
    for draw in (
        lambda: plots.overlay_svg(x, y, "MET_$pt$"),
        lambda: plots.difference_svg(Bound("abs", 0.01), x, y, "MET_pt"),
        lambda: plots.response_svg(x, y, "MET_pt"),
        lambda: plots.bits_svg(["MET_pt"], {"flowtuple": [7.0], "raw": [32.0]}),
    ):
        assert draw() == draw()
        assert "<dc:date>" not in draw()
    # the glyphs of a text come after a comment with the text
    overlay = plots.overlay_svg(x, y, "MET_pt")
    for note in (f"not drawn: {np.count_nonzero(x == -999)} at -999", "not finite: 3"):
        assert f"<!-- {note} -->" in overlay
    assert "<!-- 2 values break abs:0.01 -->" in plots.difference_svg(
        Bound("abs", 0.01), x[:2], x[:2] + 1, "MET_pt"
    )
    with pytest.raises(InvalidArgument, match="no response"):
        plots.response_svg(np.zeros(3), np.zeros(3), "x")


def test_a_missing_extra_is_named_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mplhep", None)
    with pytest.raises(MissingExtra, match=r"pip install 'flowtuple\[plots\]'"):
        plots.require_plots()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match="drawing a report"):
        write_report(report_input(events(), events()), tmp_path)
    assert not list(tmp_path.iterdir())


def report_input(original: Table, decoded: Table, title: str = "Jets") -> ReportInput:
    names = [c.name for c in original.columns]
    rows = [
        Row("Events", name, "column", 150 if name == "Jet_pt" else 100) for name in names
    ]
    rows += [Row("Events", name, "column_model", 10) for name in names]
    rows += [Row("Events", "rest of the model", "model", 3)]
    rows += [Row("", "description", "description", 70), Row("", "index", "index", 40)]
    methods = {("Events", name): {"flow": 2} for name in names}
    methods["Events", "Jet_pt"] = {"flow": 1, "pcodec": 1}
    bounds = {"Events": BOUNDS}
    ledger, pairs = Ledger(rows, methods), [(original, decoded)]
    return ReportInput(title, "in.root", "out.ftz", 9000, False, ledger, pairs, bounds)


def test_rows_and_totals_count_every_byte() -> None:
    table = events()
    given_input = report_input(table, rounded(table, BOUNDS))
    rows = {r["column"]: r for r in summary_rows(given_input)}
    rivals = baseline_bytes(table, BOUNDS)
    assert list(rows) == [c.name for c in table.columns]
    jets = rows["Jet_pt"]
    assert (jets["bytes"], jets["coded_bytes"], jets["model_bytes"]) == (160, 150, 10)
    assert jets["method"] == "flow, pcodec"
    assert jets["bits_per_value"] == 8 * 160 / len(table["Jet_pt"])
    assert (
        rows["nJet"]["ratio_quantise+pcodec"] == rivals["nJet"]["quantise+pcodec"] / 110
    )
    found, size = totals(given_input), 110 * len(rows) + 50 + 3 + 70 + 40
    assert found["bytes"] == sum(found["parts"].values()) == size
    assert (found["model_bytes"], found["index_bytes"]) == (10 * len(rows) + 3, 40)
    assert found["ratio_input"] == 9000 / size
    assert found["raw"] == sum(r["raw"] for r in rivals.values())
    assert found["ratio_gzip"] == sum(r["gzip"] for r in rivals.values()) / size
    assert found["violations"] == 0


class _Page(HTMLParser):
    """Collects what an accessibility check looks at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Table]:
    for module in ("matplotlib", "mplhep", "jinja2"):
        pytest.importorskip(module)
    table = events()
    folder = tmp_path_factory.mktemp("report") / "new"
    path = write_report(report_input(table, rounded(table, BOUNDS), "Jets <b>&"), folder)
    assert [p.name for p in folder.iterdir()] == ["report.html"]
    return path.read_text("utf-8"), table


@pytest.mark.slow
def test_the_report_stands_alone_and_names_every_column(page: tuple[str, Table]) -> None:
    html, table = page
    assert not re.search(r"https?://", html.replace("http://www.w3.org", ""))
    assert not re.search(r"<(link|iframe)\b|@import|url\(|<script[^>]+src", html)
    for column in table.columns:
        assert f">{column.name}</th>" in html
    assert "Every value within its bound" in html
    assert "Jets &lt;b&gt;&amp;" in html
    assert "<b>&" not in html


@pytest.mark.slow
def test_the_bytes_of_the_report_add_up(page: tuple[str, Table]) -> None:
    html, table = page
    stripped = re.sub(r"<[^>]+>", "|", html)
    found = re.findall(r"\|of which ([\w ]+)\|+[^|]+\|+([\d,]+)\|", stripped)
    parts = {name: int(size.replace(",", "")) for name, size in found}
    whole = sum(parts.values())
    assert re.search(rf"\|flowtuple file\|+[^|]+\|+{whole:,}\|", stripped)
    rows = re.findall(r"<tr><th[^>]+title=.*?</tr>", html, re.DOTALL)
    cells = [re.findall(r'<td data-value="([^"]*)"', row) for row in rows]
    of_columns = [row[7:9] for row in cells]
    assert len(of_columns) == len(table.columns)
    assert sum(int(coded) for coded, _ in of_columns) == parts["columns"]
    assert sum(int(model) for _, model in of_columns) == parts["model"] - 3  # its rest


@pytest.mark.slow
def test_the_report_is_accessible(page: tuple[str, Table]) -> None:
    parsed = _Page(page[0])
    assert parsed.tags.count("h1") == 1
    assert parsed.tags.count("table") == parsed.tags.count("caption") == 2
    assert len(parsed.images) > len(BOUNDS)
    assert all(
        i["alt"] and str(i["src"]).startswith("data:image/svg+xml;base64,")
        for i in parsed.images
    )


@pytest.mark.slow
def test_the_report_says_where_bounds_are_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("matplotlib", "mplhep", "jinja2"):
        pytest.importorskip(module)
    monkeypatch.setattr(report, "PLOTTED_COLUMNS", 2)
    table = events()
    decoded = rounded(table, BOUNDS)
    decoded.data["Jet_eta"][:3] += 5  # type: ignore[index]
    said: list[str] = []
    html = write_report(report_input(table, decoded), tmp_path, said.append).read_text(
        "utf-8"
    )
    values = sum(len(table.data[c.name]) for c in table.columns)
    assert f"3 of {values:,} values are not within their bound" in html
    assert "In Jet_eta (3)." in html
    assert "Every value within" not in html
    assert said[1] == "drawing Events/Jet_eta (1 of 2)"
    assert f"The 2 columns with the most bytes, of {len(table.columns)}" in html


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    for module in ("matplotlib", "mplhep", "jinja2"):
        pytest.importorskip(module)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgument, match="cannot be made"):
        write_report(report_input(events(count=20), events(count=20)), tmp_path / "file")


def test_numbers_keep_their_significant_digits() -> None:
    shown = [format_number(v) for v in (0.0, 1e-5, -2.5e-7, 999.6, 1e7, None, 0.00099996)]
    times, minus = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
    assert shown == [
        "0",
        f"1.00{times}10⁻⁵",
        f"{minus}2.50{times}10⁻⁷",
        "1000",
        f"1.00{times}10⁷",
        "\N{EN DASH}",
        "0.00100",
    ]
