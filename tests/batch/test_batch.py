"""Many files: failures are named and stop no other, a second run does the rest, workers may die."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pytest
import typer
import uproot
from typer.testing import CliRunner

import flowtuple as ft
from flowtuple.batch.histograms import Moments, compare_histograms
from flowtuple.batch.jobs import (
    Compress,
    Decompress,
    Examine,
    Sample,
    Score,
    Simulate,
    Verify,
)
from flowtuple.batch.manifest import Manifest, Record, opened
from flowtuple.batch.run import connected, run, workers_of
from flowtuple.batch.tasks import Task, parts, plan
from flowtuple.cli.app import app
from flowtuple.errors import InvalidArgument

pytest.importorskip("torch")

FILES = 6


@dataclass(frozen=True)
class Idle:
    """Says that it has done something, and has not."""

    writes: ClassVar[bool] = True

    def __call__(self, task: Task) -> dict[str, Any]:
        return {}


def events(seed: int, n: int = 600) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    counts = draw.poisson(2, n)
    pt = ak.unflatten(draw.exponential(30, counts.sum()).astype(np.float32) + 20, counts)
    return {"Jet_pt": pt, "MET_pt": draw.exponential(20, n).astype(np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files in two folders, and a model of the first."""
    path = tmp_path_factory.mktemp("batch")
    for k in range(FILES):
        (path / "data" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        np_events = events(k)
        ft.api.write(ak.Array(np_events), path / "data" / "ab"[k % 2] / f"{k}.parquet")
    ft.train(
        path / "data" / "a" / "0.parquet",
        path / "m.flow",
        tolerance={"*": "rel:1e-3"},
        effort="fast",
    )
    return path


@pytest.fixture
def sources(folder: Path) -> list[str]:
    return [str(folder / "data" / "*" / "*.parquet")]


def job(folder: Path) -> Compress:
    return Compress(str(folder / "m.flow"))


class TestTasks:
    @pytest.mark.slow
    def test_outputs_keep_the_folders_that_tell_inputs_apart(
        self, folder: Path, sources: list[str]
    ) -> None:
        names = [task.name for task in plan(sources, Path("out"), ".ftup")]
        assert names == [
            "a/0.ftup",
            "a/2.ftup",
            "a/4.ftup",
            "b/1.ftup",
            "b/3.ftup",
            "b/5.ftup",
        ]

    def test_one_file_and_a_tree(self) -> None:
        here = Path.cwd()
        task = Task("x.ftup", f"{here}/data/x.root:Events", f"{here}/out/x.ftup")
        assert plan(["data/x.root:Events"], Path("out"), ".ftup") == [task]

    def test_outputs_stay_in_their_folder_and_replace_no_input(
        self, tmp_path: Path
    ) -> None:
        tasks = plan(
            [str(tmp_path / "a" / "1.root"), "b/2.root", "a/../../x/3.root"],
            tmp_path / "out",
            ".root",
        )
        assert all(
            Path(task.output).is_relative_to(tmp_path / "out") and ".." not in task.name
            for task in tasks
        )
        with pytest.raises(
            InvalidArgument,
            match=r"a/1.root: would replace an input; choose another folder",
        ):
            plan([str(tmp_path / "a" / "1.root")], tmp_path / "a", ".root")

    def test_addresses(self) -> None:
        urls = ["root://a.cern.ch//store/x/1.root", "root://a.cern.ch//store/y/1.root"]
        assert [task.name for task in plan(urls, Path("out"), ".ftup")] == [
            "x/1.ftup",
            "y/1.ftup",
        ]

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            (["a/x.root", "a/x.parquet"], "would both become x.ftup"),
            (["a/x.root", "a/x.root"], "x.root: is named twice"),
            (["a/*.root"], "the glob matches no file"),
            (["a/x.doc"], "unknown suffix '.doc'"),
        ],
    )
    def test_bad_inputs(self, inputs: list[str], message: str) -> None:
        with pytest.raises(InvalidArgument, match=message):
            plan(inputs, Path("out"), ".ftup")


class TestManifest:
    def test_the_last_record_of_a_task_counts(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"1234")
        manifest = Manifest(tmp_path, "job")
        manifest.add(Record("x", "x.root", "key", reason="no room"))
        assert not Manifest(tmp_path, "job").is_done("x", "key", tmp_path / "x")
        manifest.add(
            Record(
                "x",
                "x.root",
                "key",
                nbytes=4,
                written=(tmp_path / "x").stat().st_mtime_ns,
            )
        )
        again = Manifest(tmp_path, "job")
        assert again.is_done("x", "key", tmp_path / "x")
        assert not again.is_done("x", "another", tmp_path / "x")
        os.utime(tmp_path / "x", ns=(1, 1))
        # as large, and written by another run
        assert not again.is_done("x", "key", tmp_path / "x")
        (tmp_path / "x").write_bytes(b"123")
        assert not again.is_done("x", "key", tmp_path / "x")

    def test_a_line_that_a_crash_cut_off_is_not_there(self, tmp_path: Path) -> None:
        manifest = Manifest(tmp_path, "job")
        manifest.add(Record("x", "x.root", "key"))
        whole = manifest.path.read_bytes()
        manifest.path.write_bytes(whole + b'{"task": "y", "sou')
        again = Manifest(tmp_path, "job")
        assert list(again.records) == ["x"]
        again.add(Record("z", "z.root", "key"))
        assert list(Manifest(tmp_path, "job").records) == ["x", "z"]

    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        refused = pytest.raises(
            InvalidArgument, match="another flowtuple does the same here"
        )
        with opened(tmp_path, "job"), refused, opened(tmp_path, "job"):
            pass

    def test_another_file_of_that_name_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "job.jsonl").write_text("hello\nworld\n")
        with pytest.raises(
            InvalidArgument, match=r"job.jsonl: line 1 is no record of a task"
        ):
            Manifest(tmp_path, "job")


class TestHere:
    @pytest.mark.slow
    def test_what_fails_is_named_and_a_second_run_does_what_is_missing(
        self, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        bad = folder / "data" / "a" / "2.parquet"
        good = bad.read_bytes()
        bad.write_bytes(good[:500])
        try:
            tasks = plan(sources, tmp_path, ".ftup")
            first = run(job(folder), tasks, tmp_path)
            assert (first.done, first.skipped, list(first.failed)) == (5, 0, ["a/2.ftup"])
            assert "2.parquet" in first.failed["a/2.ftup"]
            assert not (tmp_path / "a" / "2.ftup").exists()
        finally:
            bad.write_bytes(good)
        times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.ftup")}
        second = run(job(folder), tasks, tmp_path)
        assert (second.done, second.skipped, dict(second.failed)) == (6, 5, {})
        assert {p: p.stat().st_mtime_ns for p in times} == times
        assert second.facts["a/2.ftup"]["events"] == 600

    @pytest.mark.slow
    def test_changed_options_do_all_again(
        self, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        tasks = plan(sources, tmp_path, ".ftup")
        run(job(folder), tasks, tmp_path)
        assert (
            run(Compress(str(folder / "m.flow"), model_ref=True), tasks, tmp_path).skipped
            == 0
        )

    @pytest.mark.slow
    def test_another_source_under_the_name_is_done(
        self, folder: Path, tmp_path: Path
    ) -> None:
        sources = [folder / "data" / name for name in ("a/0.parquet", "b/1.parquet")]
        for source in sources:
            assert (
                run(
                    job(folder),
                    [Task("x.ftup", str(source), str(tmp_path / "x.ftup"))],
                    tmp_path,
                ).skipped
                == 0
            )
        assert ft.decompress(tmp_path / "x.ftup")["MET_pt"][0] == pytest.approx(
            events(1)["MET_pt"][0], rel=1e-3
        )

    @pytest.mark.slow
    def test_what_only_looks_looks_again(
        self, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        tasks = plan(sources, tmp_path, ".ftup")
        run(job(folder), tasks, tmp_path)
        compressed = plan([str(tmp_path / "*" / "*.ftup")], tmp_path, "")
        for looking, what in ((Verify(), tasks), (Examine(), compressed)):
            assert run(looking, what, tmp_path).failed == {}
        path = tmp_path / "a" / "2.ftup"
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        for looking, what in ((Verify(), tasks), (Examine(), compressed)):
            assert [
                name.removesuffix(".ftup") for name in run(looking, what, tmp_path).failed
            ] == ["a/2"]

    def test_a_task_without_an_output_has_failed(self, tmp_path: Path) -> None:
        summary = run(Idle(), [Task("x", "x.root", str(tmp_path / "x"))], tmp_path)
        assert "name a folder that all workers see" in summary.failed["x"]

    @pytest.mark.slow
    def test_files_of_one_sample(self, folder: Path, tmp_path: Path) -> None:
        """Together they are the events of one file, and another number of them does all again."""
        model = str(folder / "m.flow")
        for size in (100, 150):
            assert (
                run(
                    Sample(model, seed=3),
                    parts(250, size, tmp_path, ".parquet"),
                    tmp_path,
                ).skipped
                == 0
            )
        whole = ft.sample(model, 250, seed=3)["MET_pt"].tolist()
        assert [
            x
            for k in range(2)
            for x in ak.from_parquet(tmp_path / f"{k}.parquet")["MET_pt"].tolist()
        ] == whole

    @pytest.mark.slow
    def test_a_model_that_is_not_there(self, sources: list[str], tmp_path: Path) -> None:
        with pytest.raises(InvalidArgument, match=r"nomodel.flow: no such file"):
            run(
                Compress(str(tmp_path / "nomodel.flow")),
                plan(sources, tmp_path, ".ftup"),
                tmp_path,
            )

    @pytest.mark.slow
    def test_there_and_back(
        self, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        packed, back = tmp_path / "packed", tmp_path / "back"
        tasks = plan(sources, packed, ".ftup")
        run(job(folder), tasks, packed)
        assert run(Verify(), tasks, tmp_path / "verified").failed == {}
        inverse = plan([str(packed / "*" / "*.ftup")], back, ".root")
        assert run(Decompress(), inverse, back).done == FILES
        assert len(ft.decompress(packed / "a" / "0.ftup")) == len(events(0)["MET_pt"])
        scored = plan(sources, tmp_path / "scores", ".parquet")
        assert (
            run(Score(str(folder / "m.flow")), scored, tmp_path / "scores").done == FILES
        )

    @pytest.mark.slow
    def test_values_outside_their_bounds_fail(
        self, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        tasks = plan(sources, tmp_path, ".ftup")
        run(job(folder), tasks, tmp_path)
        swapped = [Task(tasks[0].name, tasks[1].source, tasks[0].output)]
        assert (
            "has 1180 values against 1219"
            in run(Verify(), swapped, tmp_path / "verified").failed[tasks[0].name]
        )
        moved = ak.from_parquet(tasks[0].source)
        moved["MET_pt"] = moved["MET_pt"] * np.float32(1.01)
        ft.api.write(moved, tmp_path / "moved.parquet")
        moved_tasks = [
            Task(tasks[0].name, str(tmp_path / "moved.parquet"), tasks[0].output)
        ]
        reason = run(Verify(), moved_tasks, tmp_path / "verified").failed[tasks[0].name]
        assert "column 'MET_pt' and 0 others have values outside their bounds" in reason


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with m.flow, which simulates jets, and two files of the same generated ones."""
    folder = tmp_path_factory.mktemp("generated")
    gen = [[20.0 + k % 80] for k in range(2000)]
    both = {
        "GenJet_pt": gen,
        "Jet_pt": [[0.9 * x * (1 + 0.1 * np.sin(9 * k))] for k, [x] in enumerate(gen)],
    }
    ft.train_simulation(
        both | {"Jet_genJetIdx": [[0]] * 2000},
        folder / "m.flow",
        target=["Jet_*"],
        given=["GenJet_*"],
        effort="fast",
    )
    for name in ("x", "y"):
        ft.api.write(ak.Array({"GenJet_pt": gen[:200]}), folder / f"{name}.parquet")
    return folder


@pytest.mark.slow
def test_each_simulated_file_has_random_numbers_of_its_own(
    generated: Path, tmp_path: Path
) -> None:
    tasks = plan([str(generated / "?.parquet")], tmp_path / "out", ".root")
    assert (
        run(Simulate(str(generated / "m.flow"), seed=1), tasks, tmp_path / "out").done
        == 2
    )

    def made() -> list[list[Any]]:
        return [
            uproot.open(tmp_path / "out" / f"{name}.root")["events/Jet_pt"]
            .array()
            .tolist()
            for name in ("x", "y")
        ]

    first = made()
    assert first[0] != first[1]
    run(Simulate(str(generated / "m.flow"), seed=1), tasks, tmp_path / "again")
    assert made() == first


class TestHistograms:
    def test_moments_add_up(self) -> None:
        x = np.random.default_rng(0).normal(3, 2, 1000)
        both = Moments.of(x[:300]) + Moments.of(x[300:])
        assert (both.count, both.low, both.high) == (1000, x.min(), x.max())
        assert (both.mean, both.std) == (pytest.approx(x.mean()), pytest.approx(x.std()))

    @pytest.mark.slow
    def test_samples_of_one_kind_and_of_another(
        self, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        tasks = plan(sources, tmp_path, ".json")
        same = {d.column: d for d in compare_histograms(tasks[:3], tasks[3:])}
        assert set(same) == {"Jet_pt", "MET_pt"}
        assert min(d.p_value for d in same.values()) > 1e-3
        shifted = events(9)
        shifted["MET_pt"] = shifted["MET_pt"] * np.float32(2)
        ft.api.write(ak.Array(shifted), tmp_path / "s.parquet")
        other = plan([str(tmp_path / "s.parquet")], tmp_path, ".json")
        found = {d.column: d for d in compare_histograms(tasks, other)}
        assert found["MET_pt"].p_value < 1e-4
        assert found["Jet_pt"].p_value > 1e-3
        assert found["MET_pt"].moments[0].count == FILES * 600

    @pytest.mark.slow
    def test_p_values_are_even_where_events_repeat_their_entries(
        self, tmp_path: Path
    ) -> None:
        """Objects of an event are alike: counted as independent they would give p-values near 0."""
        draw, found = np.random.default_rng(1), []
        for k in range(60):
            for name in "ab":
                x = draw.normal(size=400)
                ft.api.write(
                    ak.Array({"x": [[v] * 4 for v in x]}), tmp_path / f"{name}{k}.npz"
                )
            tasks = [
                plan([str(tmp_path / f"{name}{k}.npz")], tmp_path, ".json")
                for name in "ab"
            ]
            found.append(compare_histograms(*tasks)[0].p_value)
        assert 0.3 < np.mean(found) < 0.7
        assert np.mean(np.array(found) < 0.05) < 0.2
        assert np.mean(np.array(found) > 0.95) < 0.2

    @pytest.mark.slow
    def test_a_sample_beside_itself(self, sources: list[str], tmp_path: Path) -> None:
        tasks = plan(sources, tmp_path, ".json")
        assert {d.p_value for d in compare_histograms(tasks, tasks)} == {1.0}

    def test_files_without_events_change_nothing(self, tmp_path: Path) -> None:
        x = np.random.default_rng(0).normal(size=500)
        for name, values in (("full", x), ("other", x + 0.1), ("none", x[:0])):
            ft.api.write(ak.Array({"x": values}), tmp_path / f"{name}.parquet")
        full, other, none = (
            plan([str(tmp_path / f"{n}.parquet")], tmp_path, ".json")
            for n in ("full", "other", "none")
        )
        with_none, without = (
            compare_histograms(part, other)[0] for part in ([*none, *full], full)
        )
        assert with_none.to_json() == without.to_json()

    def test_two_trees_are_not_added_up(self, tmp_path: Path) -> None:
        with uproot.recreate(tmp_path / "two.root") as file:
            file["A"], file["B"] = {"x": np.arange(5.0)}, {"x": np.arange(5.0)}
        tasks = plan([str(tmp_path / "two.root")], tmp_path, ".json")
        with pytest.raises(
            InvalidArgument, match=r"holds the trees A, B; choose one, such as FILE:A"
        ):
            compare_histograms(tasks, tasks)

    @pytest.mark.slow
    def test_a_column_that_one_sample_lacks_is_named(
        self, sources: list[str], tmp_path: Path
    ) -> None:
        ft.api.write(ak.Array({"Jet_pT": [1.0]}), tmp_path / "s.parquet")
        with pytest.raises(
            InvalidArgument,
            match=r"s\.parquet: lacks column 'Jet_pt' of .*; nearest: Jet_pT; leave it out",
        ):
            compare_histograms(
                plan(sources, tmp_path, ".json"),
                plan([str(tmp_path / "s.parquet")], tmp_path, ".json"),
            )


@dataclass(frozen=True)
class Fragile:
    """Kills its worker the first time it is done for one of the tasks."""

    writes: ClassVar[bool] = True
    marks: str
    victim: str

    def __call__(self, task: Task) -> dict[str, Any]:
        mark = Path(self.marks) / "killed"
        if task.name == self.victim and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        Path(task.output).write_text(task.name)
        return {}


@pytest.mark.filterwarnings("ignore")
class TestOnDask:
    @pytest.mark.slow
    def test_the_bytes_are_those_of_a_serial_run(
        self, client: Any, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        here, there = tmp_path / "here", tmp_path / "there"
        run(job(folder), plan(sources, here, ".ftup"), here)
        summary = run(job(folder), plan(sources, there, ".ftup"), there, client)
        assert (summary.done, dict(summary.failed)) == (FILES, {})
        for path in here.rglob("*.ftup"):
            assert (there / path.relative_to(here)).read_bytes() == path.read_bytes()

    @pytest.mark.slow
    def test_a_worker_needs_no_pytorch(
        self, folder: Path, generated: Path, sources: list[str], tmp_path: Path
    ) -> None:
        model, tasks = str(folder / "m.flow"), plan(sources, tmp_path, ".ftup")
        with connected("local:2") as new:  # workers that have loaded nothing
            run(job(folder), tasks, tmp_path, new)
            jobs = [
                (Verify(), tasks),
                (
                    Decompress(),
                    plan([str(tmp_path / "*" / "*.ftup")], tmp_path / "back", ".root"),
                ),
                (Sample(model), parts(20, 10, tmp_path / "drawn", ".root")),
                (Score(model), plan(sources, tmp_path / "scores", ".parquet")),
                (
                    Simulate(str(generated / "m.flow")),
                    plan([str(generated / "?.parquet")], tmp_path / "made", ".root"),
                ),
            ]
            for what, many in jobs:
                summary = run(what, many, tmp_path / type(what).__name__, new)
                assert (summary.done, dict(summary.failed)) == (len(many), {})
            loaded = new.run(
                lambda: sorted(
                    {"torch", "zuko", "matplotlib", "dask_awkward"} & set(sys.modules)
                )
            )
        assert set(map(tuple, loaded.values())) == {()}

    @pytest.mark.slow
    def test_a_killed_worker_costs_no_file(self, client: Any, tmp_path: Path) -> None:
        tasks = [
            Task(f"{k}.txt", f"{k}.root", str(tmp_path / f"{k}.txt")) for k in range(20)
        ]
        summary = run(Fragile(str(tmp_path), "7.txt"), tasks, tmp_path, client)
        assert (tmp_path / "killed").exists()
        assert (summary.done, dict(summary.failed)) == (20, {})
        lines = [
            json.loads(line)
            for line in (tmp_path / "fragile.jsonl").read_text().splitlines()
        ]
        assert sorted(line["task"] for line in lines) == sorted(
            task.name for task in tasks
        )

    @pytest.mark.slow
    def test_samples_are_compared(
        self, client: Any, sources: list[str], tmp_path: Path
    ) -> None:
        tasks = plan(sources, tmp_path, ".json")
        found = compare_histograms(tasks[:3], tasks[3:], (), client)
        assert [d.to_json() for d in found] == [
            d.to_json() for d in compare_histograms(tasks[:3], tasks[3:])
        ]


@pytest.mark.parametrize(("text", "workers"), [("local:1", 1), ("local:12", 12)])
def test_workers(text: str, workers: int) -> None:
    assert workers_of(text) == workers


@pytest.mark.parametrize("text", ["local:", "local:0", "local:two"])
def test_numbers_of_workers_that_are_none(text: str) -> None:
    with pytest.raises(
        InvalidArgument, match=r"is not of the form local:N with N workers"
    ):
        workers_of(text)


@pytest.mark.parametrize("text", ["locl:2", "here", "host:two"])
def test_addresses_that_are_none(text: str) -> None:
    pytest.importorskip("distributed")
    with (
        pytest.raises(
            InvalidArgument, match=f"`cluster=` {text}: is no address; write local:N"
        ),
        connected(text),
    ):
        pass


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("flowtuple.batch.run._PATIENCE", 1)
    with (
        pytest.raises(
            InvalidArgument, match=r"`cluster=` tcp://127.0.0.1:9: no scheduler answers"
        ),
        connected("tcp://127.0.0.1:9"),
    ):
        pass


# Options that have an effect together with --dask, by command; all others are refused.
EFFECTIVE = {
    "compress x.root -o out --model m.flow": "output model tolerance bounds columns exclude role "
    "names drop preset model_ref memory as_json",
    "decompress x.ftup -o out": "output columns compression step drop model memory container "
    "as_json",
    "verify x.root out": "model as_json",
    "sample m.flow -n 1 -o out": "output number seed tree run per_file",
    "simulate m.flow x.root -o out": "output oversample weight flag seed drop",
    "score m.flow x.root -o out": "output against by_column label calibration tree as_json",
    "compare x.root y.root": "columns level fail as_json",
}


def without_effect() -> Iterator[tuple[list[str], str]]:
    for line, effective in EFFECTIVE.items():
        words = line.split()
        for option in typer.main.get_command(app).commands[words[0]].params:
            known = {*effective.split(), "dask"}
            if option.param_type_name == "option" and option.name not in known:
                value = {"entries": "0:1", "memory": "1GB"}.get(option.name, "1")
                named = [option.opts[0]] if option.is_flag else [option.opts[0], value]
                yield [*words, *named], option.opts[0]


class TestCommands:
    @pytest.fixture
    def call(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
        monkeypatch.chdir(tmp_path)
        return lambda *words: CliRunner().invoke(app, [str(word) for word in words])

    @pytest.mark.slow
    def test_files_there_and_back(
        self, call: Any, folder: Path, sources: list[str], tmp_path: Path
    ) -> None:
        model = folder / "m.flow"
        assert (
            call(
                "compress", *sources, "-o", "packed", "--model", model, "--dask", "serial"
            ).stdout
            == "packed: 6 files done\n"
        )
        again = call(
            "compress", *sources, "-o", "packed", "--model", model, "--dask", "serial"
        )
        assert again.stdout == "packed: 6 files done, 6 of them before\n"
        assert (
            call("verify", *sources, "packed", "--dask", "serial").stdout
            == "packed: 6 files done\n"
        )
        assert (
            call("verify", "packed", "--dask", "serial").stdout
            == "packed: 6 files done\n"
        )
        assert (
            call(
                "decompress", "packed/*/*.ftup", "-o", "back/*.npz", "--dask", "serial"
            ).stdout
            == "back: 6 files done\n"
        )
        assert len(list((tmp_path / "back").rglob("*.npz"))) == FILES
        assert (
            call(
                "sample",
                model,
                "-n",
                50,
                "-o",
                "drawn",
                "--per-file",
                20,
                "--dask",
                "serial",
            ).stdout
            == "drawn: 3 files done\n"
        )
        assert (
            call("score", model, *sources, "-o", "scores", "--dask", "serial").stdout
            == "scores: 6 files done\n"
        )
        compared = call("compare", *sources, *sources, "--dask", "serial", "--json")
        assert {d["p_value"] for d in json.loads(compared.stdout)} == {1.0}

    @pytest.mark.slow
    def test_a_file_that_fails_is_named(
        self, call: Any, folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.parquet").write_bytes(b"no Parquet")
        source = folder / "data" / "a" / "0.parquet"
        ended = call(
            "compress",
            source,
            "bad.parquet",
            "-o",
            "packed",
            "--model",
            folder / "m.flow",
            "--dask",
            "serial",
        )
        assert ended.exit_code == 1
        assert "1 files done; 1 failed, run again to do these alone" in ended.stdout
        assert ended.stderr.startswith("flowtuple: failed: ")
        assert "bad.parquet" in ended.stderr

    @pytest.mark.parametrize(("words", "option"), list(without_effect()))
    def test_options_that_would_have_no_effect(
        self, call: Any, tmp_path: Path, words: list[str], option: str
    ) -> None:
        ended = call(*words, "--dask", "serial")
        assert isinstance(ended.exception, InvalidArgument)
        assert (
            str(ended.exception)
            == f"{option} does not go with --dask; leave out one of them"
        )
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    def test_without_a_model(self, call: Any) -> None:
        ended = call("compress", "x.root", "-o", "out", "--dask", "serial")
        assert "name the model that the files share with --model" in str(ended.exception)
