"""Files compressed again: bounds add up and are said so, what keeps its bound keeps its values, bit
for bit.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from dissect import assemble, pieces
from flowtuple import cli
from flowtuple.api import recompress
from flowtuple.data.bounds import Bound
from flowtuple.data.table import Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.file.merge import merge
from flowtuple.io.memory import dataset_from_memory
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

EVENTS = 300


def made_events(seed: int = 1) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 4, EVENTS)
    x = draw.normal(50, 10, EVENTS)
    x[draw.random(EVENTS) < 0.2] = -999.25
    return {
        "x": x,
        "y": draw.normal(0, 3, EVENTS).astype(np.float32),
        "k": draw.integers(0, 1000, EVENTS),
        "special": np.where(
            draw.random(EVENTS) < 0.1, np.nan, draw.exponential(5, EVENTS)
        ),
        "Jet_pt": ak.unflatten(
            draw.exponential(30, counts.sum()).astype(np.float32), counts
        ),
        "text": [f"é{k}" for k in range(EVENTS)],
    }


FINE = {"x": "abs:0.125", "y": "std:1e-3", "special": "rel:1e-3", "Jet_*": "bits:12"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recompressing")
    ft.compress(made_events(), made / "fine.ftup", tolerance=FINE)
    return made


def table_of(path: Path, **more: Any) -> Table:
    with ft.File(path, **more) as file:
        return read_all(file.table())


def farthest(values: Any, originals: Any) -> Fraction:
    """The largest distance in exact arithmetic, of numbers."""
    pairs = zip(np.asarray(values).tolist(), np.asarray(originals).tolist(), strict=True)
    return max(abs(Fraction(a) - Fraction(b)) for a, b in pairs if np.isfinite(b))


class TestBounds:
    @pytest.mark.parametrize("coarse", [0.1, 0.13, 0.25, 0.30000000000000004, 1 / 3, 2.0])
    @pytest.mark.parametrize("fine", ["abs:0.1", "abs:0.12341", "abs:0.05"])
    def test_of_abs_add_up(self, tmp_path: Path, fine: str, coarse: float) -> None:
        events = made_events(3)
        ft.compress({"x": events["x"]}, tmp_path / "fine.ftup", tolerance={"x": fine})
        if coarse < float(fine[4:]):
            with pytest.raises(
                ft.InvalidArgument,
                match=r"fine.ftup: column 'x' is within abs:.* cannot bring it nearer",
            ):
                recompress(
                    tmp_path / "fine.ftup",
                    tmp_path / "coarse.ftup",
                    tolerance={"x": f"abs:{coarse!r}"},
                )
            return
        found = recompress(
            tmp_path / "fine.ftup",
            tmp_path / "coarse.ftup",
            tolerance={"x": f"abs:{coarse!r}"},
        )
        if f"abs:{coarse!r}" == fine:
            assert found.bounds == {}
            return
        bound, sum_of_both = (
            Bound.parse(found.bounds["events/x"]),
            Fraction(coarse) + Fraction(float(fine[4:])),
        )
        assert (
            sum_of_both
            <= Fraction(bound.amount)
            <= sum_of_both * (1 + Fraction(2) ** -52)
        )
        assert farthest(
            ft.decompress(tmp_path / "coarse.ftup")["x"], events["x"]
        ) <= Fraction(bound.amount)
        assert [
            c.violations for c in ft.verify({"x": events["x"]}, tmp_path / "coarse.ftup")
        ] == [0]

    def test_said_is_as_far_as_values_may_move(self, tmp_path: Path) -> None:
        """There are values that move by nearly both bounds together, more than by either."""
        x = np.random.default_rng(1).uniform(0, 100, 5000)
        ft.compress({"x": x}, tmp_path / "fine.ftup", tolerance={"x": "abs:0.3"})
        recompress(
            tmp_path / "fine.ftup", tmp_path / "coarse.ftup", tolerance={"x": "abs:0.4"}
        )
        distance = farthest(ft.decompress(tmp_path / "coarse.ftup")["x"], x)
        assert Fraction(0.65) < distance <= Fraction(0.3) + Fraction(0.4)

    @pytest.mark.parametrize(
        ("column", "coarse", "said"),
        [
            ("x", "rel:0.01", "abs:0.125, then rel:0.01"),
            ("x", "bits:3", "abs:0.125, then bits:3"),
            ("special", "rel:0.01", "rel:0.001, then rel:0.01"),
            ("special", "abs:0.25", "rel:0.001, then abs:0.25"),
            ("k", "abs:3", "abs:3"),
            ("Jet_pt", "abs:0.5", "bits:12, then abs:0.5"),
        ],
    )
    def test_of_other_kinds_are_named_in_turn(
        self, folder: Path, tmp_path: Path, column: str, coarse: str, said: str
    ) -> None:
        found = recompress(
            folder / "fine.ftup", tmp_path / "coarse.ftup", tolerance={column: coarse}
        )
        assert found.bounds == {f"events/{column}": said}
        fine, again = (
            ft.decompress(folder / "fine.ftup")[column],
            ft.decompress(tmp_path / "coarse.ftup")[column],
        )
        flat = [ak.to_numpy(ak.flatten(values, axis=None)) for values in (fine, again)]
        assert Bound.parse(coarse).holds(*flat).all()

    def test_add_up_over_three_files(self, folder: Path, tmp_path: Path) -> None:
        recompress(
            folder / "fine.ftup",
            tmp_path / "1.ftup",
            tolerance={"x": "abs:0.25", "special": "rel:1e-2"},
        )
        found = recompress(
            tmp_path / "1.ftup",
            tmp_path / "2.ftup",
            tolerance={"x": "abs:0.5", "k": "abs:2"},
        )
        bound = Bound.parse(found.bounds["events/x"])
        assert found.bounds == {"events/x": str(bound), "events/k": "abs:2"}
        assert bound.amount == 0.875
        assert farthest(
            ft.decompress(tmp_path / "2.ftup")["x"], made_events()["x"]
        ) <= Fraction(bound.amount)
        with ft.File(tmp_path / "2.ftup") as file:
            said = file.meta["provenance"]["bounds"]
        assert said["events/special"] == "rel:0.001, then rel:0.01"
        third = recompress(
            tmp_path / "2.ftup", tmp_path / "3.ftup", tolerance={"special": "abs:0.5"}
        )
        assert third.bounds == {
            "events/special": "rel:0.001, then rel:0.01, then abs:0.5"
        }

    def test_are_not_forgotten_where_values_came_to_lie_on_an_exact_grid(
        self, tmp_path: Path
    ) -> None:
        """Halves rounded to whole numbers look like an exact column; they are not."""
        x = np.random.default_rng(1).uniform(0, 100, 500)
        ft.compress({"x": x}, tmp_path / "0.ftup", tolerance={"x": "abs:0.5"})
        recompress(tmp_path / "0.ftup", tmp_path / "1.ftup", tolerance={"x": "abs:1"})
        recompress(tmp_path / "1.ftup", tmp_path / "2.ftup")
        found = recompress(
            tmp_path / "2.ftup", tmp_path / "3.ftup", tolerance={"x": "abs:2"}
        )
        bound = Bound.parse(found.bounds["events/x"])
        assert farthest(ft.decompress(tmp_path / "3.ftup")["x"], x) <= Fraction(
            bound.amount
        )
        assert bound.amount >= 3.5

    @pytest.mark.parametrize(
        "provenance",
        [
            None,
            [],
            "x",
            {"bounds": 3},
            {"bounds": {"events/x": 1}},
            {"merged": 5},
            {"merged": [1]},
        ],
    )
    def test_of_a_strange_provenance(
        self, folder: Path, tmp_path: Path, provenance: Any
    ) -> None:
        meta, sections, contents = pieces(folder / "fine.ftup")
        assemble(
            tmp_path / "strange.ftup",
            meta | {"provenance": provenance},
            sections,
            contents,
        )
        found = recompress(
            tmp_path / "strange.ftup", tmp_path / "out.ftup", tolerance={"x": "abs:0.25"}
        )
        assert list(found.bounds) == ["events/x"]


class TestValues:
    def test_stay_without_a_bound(self, folder: Path, tmp_path: Path) -> None:
        found = recompress(folder / "fine.ftup", tmp_path / "same.ftup")
        assert found.bounds == {}
        assert (
            difference(table_of(tmp_path / "same.ftup"), table_of(folder / "fine.ftup"))
            is None
        )
        assert found.result.events == EVENTS

    @pytest.mark.parametrize("times", [1, 3])
    def test_stay_where_the_same_bounds_are_asked_for(
        self, folder: Path, tmp_path: Path, times: int
    ) -> None:
        """Those of `std`, too: the spread of the new values is another, what it came to is kept."""
        source = folder / "fine.ftup"
        for number in range(times):
            found = recompress(source, tmp_path / f"{number}.ftup", tolerance=FINE)
            assert found.bounds == {}
            source = tmp_path / f"{number}.ftup"
        assert difference(table_of(source), table_of(folder / "fine.ftup")) is None
        with ft.File(source) as again, ft.File(folder / "fine.ftup") as first:
            assert again.table().requested == first.table().requested
            assert {n: k.bound for n, k in again.table().lattices.items()} == {
                n: k.bound for n, k in first.table().lattices.items()
            }

    def test_stay_where_the_bound_that_std_came_to_is_asked_for(
        self, folder: Path, tmp_path: Path
    ) -> None:
        with ft.File(folder / "fine.ftup") as file:
            bound = file.table().lattices["y"].bound
        assert bound.kind == "abs"
        assert (
            recompress(
                folder / "fine.ftup", tmp_path / "same.ftup", tolerance={"y": bound}
            ).bounds
            == {}
        )
        assert (
            difference(table_of(tmp_path / "same.ftup"), table_of(folder / "fine.ftup"))
            is None
        )

    def test_of_columns_that_no_pattern_matches_stay(
        self, folder: Path, tmp_path: Path
    ) -> None:
        recompress(
            folder / "fine.ftup",
            tmp_path / "coarse.ftup",
            tolerance={"x": "abs:2", "Jet_*": "rel:0.1"},
        )
        fine, coarse = table_of(folder / "fine.ftup"), table_of(tmp_path / "coarse.ftup")
        moved = {
            c.name
            for c in fine.columns
            if not ak.array_equal(fine[c.name], coarse[c.name], equal_nan=True)
        }
        assert moved == {"x", "Jet_pt"}
        names = [c.name for c in fine.columns if c.name not in moved]
        assert (
            difference(fine.read(names, 0, EVENTS), coarse.read(names, 0, EVENTS)) is None
        )

    def test_of_merged_files_stay(self, tmp_path: Path) -> None:
        """Ends of the ranges of the parts lie beside the grid, in the midst of the others' values."""
        for number, shift in enumerate((0, 3.3, -2.7)):
            ft.compress(
                {"x": np.linspace(0.1, 9.85, 40) + shift},
                tmp_path / f"{number}.ftup",
                tolerance={"x": "abs:0.5"},
            )
        merge(
            [tmp_path / f"{number}.ftup" for number in range(3)], tmp_path / "merged.ftup"
        )
        for tolerance in ({}, {"x": "abs:0.5"}):
            assert (
                recompress(
                    tmp_path / "merged.ftup", tmp_path / "same.ftup", tolerance=tolerance
                ).bounds
                == {}
            )
            assert (
                difference(
                    table_of(tmp_path / "same.ftup"), table_of(tmp_path / "merged.ftup")
                )
                is None
            )

    def test_of_files_with_a_model_of_other_events_stay(self, tmp_path: Path) -> None:
        """The model has an atom that the file holds once."""
        train, x = (
            np.random.default_rng(1).normal(0, 10, 2000),
            np.random.default_rng(2).normal(0, 10, 300),
        )
        train[::3], x[7] = -999.3, -999.3
        ft.train(
            {"x": train}, tmp_path / "m.flow", tolerance={"x": "abs:0.5"}, effort="fast"
        )
        ft.compress({"x": x}, tmp_path / "x.ftup", model=tmp_path / "m.flow")
        assert table_of(tmp_path / "x.ftup")["x"][7] == -999.3
        assert recompress(tmp_path / "x.ftup", tmp_path / "same.ftup").bounds == {}
        assert (
            difference(table_of(tmp_path / "same.ftup"), table_of(tmp_path / "x.ftup"))
            is None
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(6))
    def test_stay_whatever_they_are(self, tmp_path: Path, seed: int) -> None:
        draw = np.random.default_rng(seed)
        values = draw.choice(
            [0.0, -0.0, np.nan, np.inf, -999.3, 1e30, 1e-30, 0.1], 200
        ) * 10.0 ** draw.integers(-3, 3, 200)
        mixed = np.where(draw.random(200) < 0.5, values, draw.normal(0, 100, 200))
        kinds = {"abs": "abs:0.3", "rel": "rel:0.02", "std": "std:0.01", "bits": "bits:5"}
        events = {
            f"{kind}_{size}": mixed.astype(f"f{size}")
            for kind in kinds
            for size in (4, 8)
        }
        with np.errstate(over="ignore"):
            ft.compress(
                events,
                tmp_path / "x.ftup",
                tolerance={f"{kind}_*": bound for kind, bound in kinds.items()},
            )
        assert recompress(tmp_path / "x.ftup", tmp_path / "same.ftup").bounds == {}
        assert (
            difference(table_of(tmp_path / "same.ftup"), table_of(tmp_path / "x.ftup"))
            is None
        )


class TestProvenance:
    def test_tells_of_the_file_before(self, folder: Path, tmp_path: Path) -> None:
        recompress(
            folder / "fine.ftup",
            tmp_path / "coarse.ftup",
            tolerance={"x": "abs:0.5"},
            seed=4,
        )
        with (
            ft.File(tmp_path / "coarse.ftup") as file,
            ft.File(folder / "fine.ftup") as first,
        ):
            found = file.meta["provenance"]
            assert found["recompressed"] == first.meta["provenance"]
            assert (found["seed"], found["source"]) == (4, [])
            assert set(found["bounds"]) == {
                f"events/{name}" for name in ("x", "y", "special", "Jet_pt")
            }
            assert found["bounds"]["events/x"] == "abs:0.625"
            assert found["bounds"]["events/special"] == "rel:0.001"

    def test_of_merged_files_tells_of_all(self, folder: Path, tmp_path: Path) -> None:
        paths = [tmp_path / "0.ftup", tmp_path / "1.ftup"]
        for path, fine in zip(paths, ("abs:0.125", "abs:0.25"), strict=True):
            ft.compress(
                {"x": made_events()["x"]}, tmp_path / "fine.ftup", tolerance={"x": fine}
            )
            recompress(tmp_path / "fine.ftup", path, tolerance={"x": "abs:0.5"})
        merge(paths, tmp_path / "merged.ftup")
        found = recompress(
            tmp_path / "merged.ftup",
            tmp_path / "coarse.ftup",
            tolerance={"x": "rel:0.01"},
        )
        assert found.bounds == {"events/x": "abs:0.625 or abs:0.75, then rel:0.01"}

    def test_same_seed_same_file(self, folder: Path, tmp_path: Path) -> None:
        for name in ("a", "b"):
            recompress(folder / "fine.ftup", tmp_path / name, tolerance={"x": "abs:0.5"})
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class TestInputs:
    def test_over_itself(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "x.ftup").write_bytes((folder / "fine.ftup").read_bytes())
        recompress(tmp_path / "x.ftup", tmp_path / "x.ftup", tolerance={"x": "abs:1"})
        assert ft.info(tmp_path / "x.ftup")["tables"][0]["events"] == EVENTS

    def test_with_the_model_elsewhere(self, tmp_path: Path) -> None:
        table = dataset_from_memory(dependent_events(2000, 1)).tables["events"]
        write_model(table, tmp_path / "m.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
        ft.compress(
            dependent_events(300, 2),
            tmp_path / "x.ftup",
            model=tmp_path / "m.flow",
            model_ref=True,
        )
        with pytest.raises(InvalidArgument, match=r"x\.ftup: needs the model .*`model=`"):
            recompress(tmp_path / "x.ftup", tmp_path / "y.ftup")
        recompress(tmp_path / "x.ftup", tmp_path / "y.ftup", model=tmp_path / "m.flow")
        assert (
            difference(
                table_of(tmp_path / "y.ftup"),
                table_of(tmp_path / "x.ftup", model=tmp_path / "m.flow"),
            )
            is None
        )

    def test_given_columns_stay_given(self, tmp_path: Path) -> None:
        events = dependent_events(300, 2)
        ft.compress(events, tmp_path / "x.ftup", given=["a"], tolerance={"b": "abs:0.01"})
        with pytest.raises(
            InvalidArgument,
            match=r"column 'a' .*was given when it was compressed.*`given=`",
        ):
            recompress(tmp_path / "x.ftup", tmp_path / "y.ftup")
        found = recompress(
            tmp_path / "x.ftup",
            tmp_path / "y.ftup",
            given=events,
            tolerance={"b": "abs:0.1"},
        )
        assert list(found.bounds) == ["events/b"]
        with ft.File(tmp_path / "y.ftup") as file:
            assert file.table().external == {"a"}
        assert (
            ft.decompress(tmp_path / "y.ftup", given=events)["a"].to_list()
            == events["a"].tolist()
        )
        with pytest.raises(InvalidArgument, match="'a'"):
            recompress(
                tmp_path / "x.ftup",
                tmp_path / "y.ftup",
                given=events,
                tolerance={"a": "abs:0.1"},
            )

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ({"tolerance": {"z": "abs:1"}}, "the name 'z' matches no column"),
            ({"tolerance": {"x": "abs:-1"}}, "must be a positive, finite number"),
            (
                {"tolerance": {"text": "abs:1"}},
                "column 'text' is of type opaque and can only be lossless",
            ),
            ({"effort": "none"}, "effort"),
            ({"seed": -1}, "the seed -1 is not a whole number"),
        ],
        ids=["column", "bound", "opaque", "effort", "seed"],
    )
    def test_errors(
        self, folder: Path, tmp_path: Path, more: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidArgument, match=message):
            recompress(folder / "fine.ftup", tmp_path / "out.ftup", **more)
        assert not list(tmp_path.iterdir())

    def test_no_events(self, folder: Path, tmp_path: Path) -> None:
        ft.train({"x": np.arange(3)}, tmp_path / "m.flow")
        with pytest.raises(
            InvalidArgument,
            match=r"m\.flow: is a model and holds no events to compress again",
        ):
            recompress(tmp_path / "m.flow", tmp_path / "out.ftup")
        with pytest.raises(
            InvalidArgument, match=r"out\.root: has the suffix of another format"
        ):
            recompress(folder / "fine.ftup", tmp_path / "out.root")

    def test_damage(self, folder: Path, tmp_path: Path) -> None:
        with ft.File(folder / "fine.ftup") as file:
            section = file.table().chunks[0].section
        data = bytearray((folder / "fine.ftup").read_bytes())
        data[section.stop - 1] ^= 1
        (tmp_path / "damaged.ftup").write_bytes(data)
        with pytest.raises(
            Corrupt, match=r"damaged\.ftup: events .*: column '.*' is damaged"
        ):
            recompress(tmp_path / "damaged.ftup", tmp_path / "out.ftup")
        assert not (tmp_path / "out.ftup").exists()


@pytest.mark.slow
def test_command(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(code: int, *words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["flowtuple", "recompress", *map(str, words)])
        with pytest.raises(SystemExit, match=f"^{code}$"):
            cli.main()
        shown = capsys.readouterr()
        return shown.err if code else shown.out

    source, target = folder / "fine.ftup", tmp_path / "out.ftup"
    assert run(0, source, "-o", target, "-t", "x=abs:0.5").endswith(
        "events/x: now within abs:0.625 of its original\n"
    )
    assert json.loads(run(0, source, "-o", target, "-t", "x=rel:0.5", "--json"))[
        "bounds"
    ] == {"events/x": "abs:0.125, then rel:0.5"}
    assert run(2, source, "-o", target, "-t", "z=abs:0.5").count("\n") == 1
    assert run(2, source, "-o", target, "--memory", "5MB").count("\n") == 1
