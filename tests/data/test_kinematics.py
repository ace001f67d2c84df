"""Cuts, derived quantities, density ratios, areas under ROC curves, and presets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from typer.testing import CliRunner

import flowtuple as ft
from flowtuple.cli import app
from flowtuple.comparison.fidelity import dijet_mass
from flowtuple.comparison.two_sample.auc import area_under_roc
from flowtuple.comparison.two_sample.ratio import density_ratio
from flowtuple.data.expressions import apply_cut, evaluate
from flowtuple.data.kinematics import ABSENT, derived_rows
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import open_dataset

COLUMNS = {"x": np.array([1.0, 2.0, 3.0, 4.0]), "y": np.array([-1.0, 0.0, 1.0, -2.0])}


def rows(name: str, *columns: np.ndarray, per_event: int = 1) -> Rows:
    values = np.stack(columns, axis=1)
    event = np.arange(len(values)) // per_event
    return Rows(
        name, tuple("xyzuvw"[: len(columns)]), values, event, int(event.max()) + 1
    )


class TestCuts:
    @pytest.mark.parametrize(
        ("expression", "passes"),
        [
            ("x > 2", [0, 0, 1, 1]),
            ("x >= 2 and y < 1", [0, 1, 0, 1]),
            ("not x > 2 or abs(y) == 2", [1, 1, 0, 1]),
            ("1 < x < 4", [0, 1, 1, 0]),
            ("(x > 1) & ~(y > 0)", [0, 1, 0, 1]),
            ("(x < 2) | (y == 1)", [1, 0, 1, 0]),
            ("x + 2 * y - 1 > -y / 2", [0, 1, 1, 0]),
            ("sqrt(x) != 2", [1, 1, 1, 0]),
            ("log(y) > 0", [0, 0, 0, 0]),
            ("exp(+x) > 20 and cos(y) < 1", [0, 0, 1, 1]),
            ("1 < 2 < x", [0, 0, 1, 1]),
        ],
    )
    def test_values(self, expression: str, passes: list[int]) -> None:
        assert evaluate(expression, COLUMNS, "a").astype(int).tolist() == passes

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("x >", "cannot be read"),
            ("z > 1", "a: the cut names column 'z'"),
            ("x + 1", "is no condition"),
            ("3 > 2", "is no condition"),
            ("__import__('os').system('true')", "cannot hold"),
            ("x.real > 1", "cannot hold"),
            ("x[0] > 1", "cannot hold"),
            ("[x for x in y] == 1", "cannot hold"),
            ("x ** 9999 > 1", "cannot hold"),
            ("x is y", "cannot hold"),
            ("'a' == x", "cannot hold"),
            ("abs(x, y) > 1", "cannot hold"),
            ("(" * 900 + "x" + ")" * 900, "1801 characters is too long"),
            ("(" * 400 + "x" + ")" * 400, "cannot be read"),
            ("-" * 900 + "x > 1", "cannot be read"),
            ("x > " + "9" * 400, "cannot be read"),
            ("x > 0" + " " * 996 + "and x > 100", "too long"),
            (
                "x > 1 & y < 2",
                "joins 'x > .*', which is no condition|joins '1', which is no condition",
            ),
            ("x > 1 and 1", "joins '1', which is no condition"),
            ("-(x > 1)", "calculates with 'x > 1'"),
            ("(x > 1) - (y > 1) > 0", "calculates with 'x > 1'"),
        ],
    )
    def test_what_is_no_cut(self, expression: str, message: str) -> None:
        with pytest.raises(InvalidArgument, match=message):
            evaluate(expression, COLUMNS, "a")

    def test_weights_that_sum_to_nothing(self) -> None:
        x = rows("a", np.array([1.0, 2.0]))
        none = Rows("b", x.columns, x.values, x.event, x.events, np.zeros(2))
        with pytest.raises(InvalidArgument, match="b: the weights sum to 0"):
            apply_cut("x > 1", x, none, paired=False)

    def test_paired_rows_are_counted(self) -> None:
        before, after = (
            rows("a", np.array([1.0, 2.0, 3.0, 4.0])),
            rows("b", np.array([2.5, 1.9, 3.0, 4.0])),
        )
        cut = apply_cut("x > 1.95", before, after, paired=True)
        assert (cut.gained, cut.lost) == (1, 1)
        assert (cut.efficiency, cut.purity) == (2 / 3, 2 / 3)
        assert (cut.reference, cut.other) == (0.75, 0.75)
        assert apply_cut("x > 9", before, after, paired=True).efficiency is None
        assert apply_cut("x > 2", before, after, paired=False).gained is None

    def test_errors_know_of_events(self) -> None:
        """Five equal rows an event carry no more than one: the error is that of the events."""
        draw = np.random.default_rng(0)
        x = np.repeat(draw.normal(0, 1, 400), 5)
        alone, together = rows("a", x), rows("b", x, per_event=5)
        cut = apply_cut("x > 0", alone, together, paired=False)
        assert cut.reference_error == pytest.approx(np.sqrt(0.25 / 2000), rel=0.02)
        assert cut.other_error == pytest.approx(np.sqrt(0.25 / 400), rel=0.02)


class TestDerived:
    def events(self) -> ak.Array:
        draw = np.random.default_rng(3)
        counts = draw.integers(0, 5, 300)
        n = counts.sum()
        columns = {
            "pt": draw.exponential(50, n),
            "eta": draw.normal(0, 2, n),
            "phi": draw.uniform(-np.pi, np.pi, n),
        }
        columns["mass"] = draw.exponential(5, n)
        record = {f"Jet_{k}": ak.unflatten(v, counts) for k, v in columns.items()}
        return ak.zip({**record, "w": draw.uniform(0.5, 1.5, 300)}, depth_limit=1)

    def test_formulas(self) -> None:
        events = self.events()
        found = derived_rows(open_dataset(events), "Jet")
        got = dict(zip(found.columns, found.values.T, strict=True))
        two = ak.num(events["Jet_pt"]) >= 2
        leading = [
            ak.to_numpy(events[two][f"Jet_{k}"][:, :2])
            for k in ("pt", "eta", "phi", "mass")
        ]
        assert np.allclose(
            got["Jet_mjj"][ak.to_numpy(two)], dijet_mass(*leading), rtol=1e-6
        )
        assert (got["Jet_mjj"][~ak.to_numpy(two)] == ABSENT).all()
        assert np.allclose(got["Jet_HT"], ak.to_numpy(ak.sum(events["Jet_pt"], axis=1)))
        phi = leading[2]
        dphi = np.angle(np.exp(1j * (phi[:, 0] - phi[:, 1])))
        assert np.allclose(
            got["Jet_dRjj"][ak.to_numpy(two)],
            np.hypot(leading[1][:, 0] - leading[1][:, 1], dphi),
        )
        px = ak.to_numpy(ak.sum(events["Jet_pt"] * np.cos(events["Jet_phi"]), axis=1))
        py = ak.to_numpy(ak.sum(events["Jet_pt"] * np.sin(events["Jet_phi"]), axis=1))
        assert np.allclose(got["Jet_MHT"], np.hypot(px, py))
        assert np.allclose(got["nJet"], ak.to_numpy(ak.num(events["Jet_pt"])))
        assert np.array_equal(
            derived_rows(open_dataset(events), "Jet", "w").weights,
            ak.to_numpy(events["w"]),
        )

    def test_what_is_missing_is_named(self) -> None:
        events = self.events()
        with pytest.raises(
            InvalidArgument, match=r"no column 'Jets_pt'.*nearest: Jet_pt"
        ):
            derived_rows(open_dataset(events), "Jets")
        with pytest.raises(InvalidArgument, match="no column 'Jet_mass'"):
            derived_rows(open_dataset(events[["Jet_pt", "Jet_eta", "Jet_phi"]]), "Jet")
        flat = {f"Jet_{k}": np.ones(3) for k in ("pt", "eta", "phi", "mass")}
        with pytest.raises(
            InvalidArgument,
            match="is no number of each Jet; `derived=` takes a collection",
        ):
            derived_rows(open_dataset(flat), "Jet")

    def test_compared(self) -> None:
        a, b = self.events(), self.events()
        b["Jet_pt"] = 3 * b["Jet_pt"]
        found = ft.compare(
            a,
            b,
            tests=["ks"],
            options=ft.ComparisonOptions(derived="Jet", permutations=700),
        )
        assert {o.column for o in found.outcomes if o.rejected} >= {"Jet_HT", "Jet_MHT"}
        with pytest.raises(InvalidArgument, match="leave out `columns=`"):
            ft.compare(
                a, b, columns=["Jet_*"], options=ft.ComparisonOptions(derived="Jet")
            )


class TestRatio:
    @pytest.mark.slow
    def test_known_ratio(self) -> None:
        """Two normals shifted by d have the AUC Phi(d / sqrt 2), and ln r = d^2 / 2 - d x."""
        draw = np.random.default_rng(1)
        a = rows("a", draw.normal(0, 1, 4000), draw.normal(0, 1, 4000))
        b = rows("b", draw.normal(1, 1, 4000), draw.normal(0, 1, 4000))
        found = density_ratio(a, b, seed=2)
        # 0.743 and 0.764 +- 0.0011, 12 models
        assert found.auc.low < 0.7602 < found.auc.high + 0.01
        assert found.columns[0][0] == "x"
        assert abs(found.columns[1][1]) < 0.01
        truth = 0.5 - b.values[:, 0]
        assert np.corrcoef(found.other, truth)[0, 1] > 0.9  # 0.963 +- 0.0014, 12 models
        # 0.986 +- 0.006, 12 models
        assert np.polyfit(truth, found.other, 1)[0] == pytest.approx(1, abs=0.1)
        weight = np.exp(found.other)
        assert found.effective == pytest.approx(
            weight.sum() ** 2 / len(weight) / np.square(weight).sum()
        )
        # 0.237 +- 0.047, 12 models; e^-1 for the true ratio
        assert 0.05 < found.effective < 0.8
        worst = [f for f in found.failures if f.sample == "other"]
        assert len(worst) == 10
        assert all(
            abs(f.log_ratio) >= np.quantile(np.abs(found.other), 0.99) for f in worst
        )

    @pytest.mark.slow
    def test_equal_samples(self) -> None:
        draw = np.random.default_rng(1)
        found = density_ratio(
            rows("a", draw.normal(0, 1, 1000)), rows("b", draw.normal(0, 1, 1000))
        )
        error = (found.auc.high - found.auc.low) / (2 * 1.96)
        assert abs(found.auc.value - 0.5) < 4 * error  # -0.13 +- 0.63 errors, 12 models
        assert found.effective > 0.7  # 0.882 +- 0.022, 12 models

    def test_too_few(self) -> None:
        few = rows("a", np.arange(50.0))
        with pytest.raises(
            InvalidArgument,
            match=r"a: has 50 rows in 50 events; .* needs 100 in 50 of each",
        ):
            density_ratio(few, few)
        crowded = Rows(
            "b", ("x",), np.arange(120.0)[:, None], np.zeros(120, np.int64), 30
        )
        with pytest.raises(InvalidArgument, match="b: has 120 rows in 1 events"):
            density_ratio(crowded, crowded)
        negative = Rows(
            "c",
            ("x",),
            np.arange(120.0)[:, None],
            np.arange(120),
            120,
            np.where(np.arange(120) % 9, 1.0, -1.0),
        )
        with pytest.raises(InvalidArgument, match="c: has negative weights"):
            density_ratio(negative, negative)

    @pytest.mark.slow
    def test_weights_count_in_what_the_other_sample_is_worth(self) -> None:
        x = np.random.default_rng(0).normal(0, 1, 2000)
        weights = np.where(np.arange(2000) % 2, 1000.0, 1.0)
        weighted = Rows("b", ("x",), x[:, None], np.arange(2000), 2000, weights)
        found = density_ratio(rows("a", -x), weighted)
        weight = weights * np.exp(found.other)
        assert found.effective == pytest.approx(
            weight.sum() ** 2 / len(weight) / np.square(weight).sum()
        )
        # 0.40 +- 0.04, 13 models; 0.9 if weights did not count
        assert found.effective < 0.6

    @pytest.mark.slow
    def test_in_a_comparison(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(1)
        a, b = {"x": draw.normal(0, 1, 600)}, {"x": draw.normal(2, 1, 600)}
        found = ft.compare(
            a,
            b,
            tmp_path / "out",
            tests=["ks"],
            options=ft.ComparisonOptions(
                permutations=100, ratio=True, cuts=["x > 1"], paired=True
            ),
        )
        content = json.loads((tmp_path / "out" / "compare.json").read_text())
        assert content["ratio"]["auc"]["value"] == found.ratio.auc.value
        assert content["cuts"][0]["gained"] == found.cuts[0].gained > 300
        stored = open_dataset(tmp_path / "out" / "ratio.npz").tables
        assert np.array_equal(
            stored["other"].read(["log_ratio"], 0, 600).data["log_ratio"],
            found.ratio.other,
        )
        with pytest.raises(InvalidArgument, match="leave out `paired=`"):
            ft.compare(
                a,
                {"x": b["x"][:500]},
                options=ft.ComparisonOptions(cuts=["x > 1"], paired=True),
            )
        with pytest.raises(
            InvalidArgument,
            match="1 rows with NaN or infinite values were dropped; leave out `paired=`",
        ):
            ft.compare(
                a,
                {"x": np.append(b["x"][:599], np.nan)},
                options=ft.ComparisonOptions(cuts=["x > 1"], paired=True),
            )
        with pytest.raises(
            InvalidArgument, match="`paired=` counts the rows that cuts gain and lose"
        ):
            ft.compare(a, b, options=ft.ComparisonOptions(paired=True))


class TestSeparation:
    def test_area_by_sklearn(self) -> None:
        from sklearn.metrics import roc_auc_score

        draw = np.random.default_rng(0)
        scores, wanted, weight = (
            np.round(draw.normal(0, 1, 500), 1),
            draw.random(500) < 0.3,
            draw.random(500),
        )
        found = area_under_roc(scores, wanted, weight)
        assert found.value == pytest.approx(
            roc_auc_score(wanted, scores, sample_weight=weight), rel=1e-12
        )

    def test_the_interval_covers(self) -> None:
        inside = 0
        for seed in range(200):
            draw = np.random.default_rng(seed)
            wanted = np.arange(300) < 100
            found = area_under_roc(draw.normal(0, 1, 300) + wanted, wanted)
            inside += found.low < 0.7602499 < found.high
        assert 178 <= inside <= 198

    @pytest.mark.slow
    def test_label(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(0)
        signal = np.arange(4000) % 4 == 0
        x = np.where(signal, draw.normal(0, 0.1, 4000), draw.normal(0, 1, 4000))
        data = {"x": x, "label": signal.astype(np.int32)}
        ft.train(
            {"x": x[~signal]},
            tmp_path / "b.flow",
            tolerance={"x": "abs:0.01"},
            effort="fast",
        )
        ft.train(
            {"x": x[signal]}, tmp_path / "s.flow", like=tmp_path / "b.flow", effort="fast"
        )
        scores = ft.score(
            tmp_path / "b.flow", data, against=tmp_path / "s.flow", label="label"
        )
        found = ft.separation(scores, tmp_path / "roc.png")
        assert list(found) == ["-log_ratio", "surprise", "-log_prob"]
        assert found["-log_ratio"].low > 0.8
        assert found["surprise"].value < 0.5  # signal lies where background is densest
        assert (tmp_path / "roc.png").read_bytes()[:4] == b"\x89PNG"
        np.savez(tmp_path / "data.npz", **data)
        arguments = [
            "score",
            str(tmp_path / "b.flow"),
            str(tmp_path / "data.npz"),
            "--against",
            str(tmp_path / "s.flow"),
        ]
        ended = CliRunner().invoke(
            app, [*arguments, "--label", "label", "--json", "-o", str(tmp_path / "s.npz")]
        )
        assert (
            json.loads(ended.stdout)["-log_ratio"]["value"] == found["-log_ratio"].value
        )
        assert open_dataset(tmp_path / "s.npz").table("events").num_entries == 4000
        with pytest.raises(InvalidArgument, match=r"no column 'lable'.*nearest: label"):
            ft.score(tmp_path / "b.flow", data, label="lable")
        with pytest.raises(
            InvalidArgument, match="has learned the label 'x'; train it with `exclude=` x"
        ):
            ft.score(tmp_path / "b.flow", data, label="x")
        with pytest.raises(InvalidArgument, match="have no label"):
            ft.separation(ft.score(tmp_path / "b.flow", data))
        with pytest.raises(InvalidArgument, match="all rows have the same label"):
            ft.separation(
                ft.score(
                    tmp_path / "b.flow", {"x": x, "label": np.ones(4000)}, label="label"
                )
            )


class TestPresets:
    def test_higgs(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(0)
        lines = [
            ",".join(f"{v:.3e}" for v in [k % 2, *draw.normal(0, 1, 28)])
            for k in range(60)
        ]
        (tmp_path / "HIGGS.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
        higgs = ft.preset("higgs")
        table = open_dataset(
            tmp_path / "HIGGS.csv.gz", ft.io.source.ReadOptions(names=higgs.names)
        ).table("events")
        assert [c.name for c in table.columns][:2] == ["label", "lepton_pt"]
        assert len(table.columns) == 29
        out = str(tmp_path / "h.ftup")
        ended = CliRunner().invoke(
            app,
            ["compress", str(tmp_path / "HIGGS.csv.gz"), "-o", out, "--preset", "higgs"],
        )
        assert ended.exit_code == 0
        with ft.open(out) as file:
            assert {c.name: c.role for c in file.table().columns}["label"] == "label"

    def test_unknown(self) -> None:
        with pytest.raises(InvalidArgument, match="no preset 'higs'; nearest: higgs"):
            ft.preset("higs")


class TestTrainCommand:
    @pytest.mark.slow
    def test_mix_flow_and_report(self, tmp_path: Path) -> None:
        draw = np.random.default_rng(0)
        for name, mean in (("a", 0.0), ("b", 10.0)):
            np.savez(
                tmp_path / f"{name}.npz",
                x=draw.normal(mean, 1, 500),
                y=draw.normal(0, 1, 500),
            )
        sources = [str(tmp_path / "a.npz"), f"{tmp_path / 'b.npz'}:0"]
        options = [
            "--flow",
            "maf",
            "--epochs",
            "40",
            "--batch",
            "64",
            "--hidden",
            "8,8",
            "--transform",
            "y=standard",
        ]
        options += ["--report", str(tmp_path / "r")]
        ended = CliRunner().invoke(
            app, ["train-flow", *sources, "-o", str(tmp_path / "m.flow"), *options]
        )
        assert ended.exit_code == 0, ended.output
        assert "loss" in (tmp_path / "r" / "train.html").read_text().lower()
        # 0.087 +- 0.015, 13 models
        assert float(np.mean(ft.sample(tmp_path / "m.flow", 2000)["x"] > 5)) < 0.2

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--flow", "nfs"], "no flow 'nfs'"),
            (["--hidden", "a"], "is not whole numbers"),
            (["--transform", "x"], "is not of the form GLOB=STEPS"),
            (["--schedule", "cos"], "no schedule 'cos'; nearest: cosine"),
        ],
    )
    def test_bad_options(self, tmp_path: Path, options: list[str], message: str) -> None:
        np.savez(tmp_path / "a.npz", x=np.arange(50.0))
        ended = CliRunner().invoke(
            app,
            [
                "train-flow",
                str(tmp_path / "a.npz"),
                "-o",
                str(tmp_path / "m.flow"),
                *options,
            ],
        )
        assert isinstance(ended.exception, InvalidArgument)
        assert message in str(ended.exception)


def test_rows_with_nan_can_be_kept() -> None:
    data = {"x": np.array([1.0, np.nan]), "y": np.array([2.0, 3.0])}
    assert len(read_rows(open_dataset(data))) == 1
    assert len(read_rows(open_dataset(data), keep_undefined=True)) == 2
