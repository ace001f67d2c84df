"""Flows over rows as the second engine of a simulation: they draw properties, lattices counts."""

import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from test_simulation import GIVEN, TARGET, generated, make_events
from typer.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft  # noqa: E402
from flowtuple.api.simulating import load_rows, single_torch_thread  # noqa: E402
from flowtuple.cli.app import app  # noqa: E402
from flowtuple.data.awkward_tables import table_to_awkward  # noqa: E402
from flowtuple.errors import Corrupt, InvalidArgument  # noqa: E402
from flowtuple.file.file import File  # noqa: E402
from flowtuple.flows.options import RowFlow, Shape, Training  # noqa: E402
from flowtuple.io.source import open_dataset  # noqa: E402
from flowtuple.simulation.sampler import Sampler  # noqa: E402
from flowtuple.simulation.simulator import SimulatedTable  # noqa: E402
from flowtuple.simulation.spec import SimulationSpec  # noqa: E402

SMALL = Shape(transforms=3, hidden=(24, 24), bins=8)
FLOW = RowFlow("nsf", SMALL, Training(epochs=4, batch=512, learning_rate=5e-3))


@pytest.fixture(scope="module")
def events() -> ak.Array:
    return make_events(2000, 1)


@pytest.fixture(scope="module")
def model(events: ak.Array, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("engines") / "sim.flow"
    assert (
        ft.train_simulation(
            events, path, target=TARGET, given=GIVEN, effort="fast", flow=FLOW
        )
        == ()
    )
    return str(path)


@pytest.mark.slow
def test_counts_are_of_the_lattice_and_properties_of_rows(model: str) -> None:
    with File(model) as file:
        rows, lattice = load_rows(file.meta["flows"], file.path), set(file.tables)
    assert set(rows) == {
        "Jet response",
        "Jet properties",
        "Jet extra axes",
        "Jet extra properties",
        "Muon response",
        "event MET_pt",
    }
    assert lattice == {
        "Jet found",
        "Jet extras",
        "Muon found",
        "Muon extras",
        "Muon Muon_jetIdx",
    }
    assert rows["Jet response"].columns == (
        "Jet_ptRatio",
        "Jet_etaMinusGen",
        "Jet_phiMinusGen",
    )
    assert "GenJet_pt of partner" in rows["Jet response"].context.columns


@pytest.mark.slow
def test_same_seed_same_bits(model: str, events: ak.Array) -> None:
    given = generated(events)
    whole = ft.simulate(model, given, seed=5)
    for workers in (1, 2, 3):
        assert ak.array_equal(
            whole,
            ft.simulate(model, given, seed=5, resources=ft.Resources(workers=workers)),
        )
    assert ak.array_equal(whole[:101], ft.simulate(model, given[:101], seed=5))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert ak.array_equal(whole, ft.simulate(model, given, seed=5))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert not ak.array_equal(
        whole["Jet_pt"], ft.simulate(model, given, seed=6)["Jet_pt"]
    )


@pytest.mark.slow
def test_any_range_is_the_same(model: str, events: ak.Array) -> None:
    given = generated(events)
    whole = ft.simulate(model, given, seed=5)
    with File(model) as file:
        codings = {name: table.coding for name, table in file.tables.items()}
        spec, flows = (
            SimulationSpec.from_json(file.meta["simulation"]),
            load_rows(file.meta["flows"], file.path),
        )
    sampler = Sampler(spec, codings, flows, 5)
    made = SimulatedTable(sampler, open_dataset(given).table("events"))
    names = [c.name for c in made.columns]
    with single_torch_thread(flows):
        for start, stop in ((137, 1500), (0, 1), (1999, 2000), (40, 40)):
            assert ak.array_equal(
                table_to_awkward(made.read(names, start, stop)), whole[start:stop]
            )


@pytest.mark.slow
def test_folds_begin_with_the_events_simulated_once(model: str, events: ak.Array) -> None:
    given = generated(events[:200])
    once, thrice = (
        ft.simulate(model, given, seed=5),
        ft.simulate(model, given, seed=5, oversample=3),
    )
    for name in once.fields:
        if name != "genWeight":
            assert ak.array_equal(thrice[::3][name], once[name]), name
    assert not ak.array_equal(thrice[1::3]["Jet_pt"], once["Jet_pt"])


@pytest.mark.slow
def test_physics_is_learned(model: str) -> None:
    true = make_events(2000, 2)
    with pytest.warns(UserWarning, match="values outside those that the model has seen"):
        made = ft.simulate(model, generated(true), seed=1)
    matched = [sample["Jet_genJetIdx"] >= 0 for sample in (made, true)]
    response = [
        ak.to_numpy(
            ak.flatten(
                sample["Jet_pt"][has] / sample["GenJet_pt"][sample["Jet_genJetIdx"][has]]
            )
        )
        for sample, has in zip((made, true), matched, strict=True)
    ]
    # -0.004 +- 0.003, 13 models
    assert np.median(response[0]) == pytest.approx(np.median(response[1]), abs=0.02)
    width = [np.subtract(*np.quantile(r, [0.84, 0.16])) for r in response]
    assert width[0] == pytest.approx(width[1], rel=0.3)  # -0.02 +- 0.01, 13 models
    assert ak.all(abs(made["Jet_phi"]) <= np.pi)
    assert ak.all(made["Jet_pt"][:, :-1] >= made["Jet_pt"][:, 1:])
    assert set(np.unique(ak.to_numpy(ak.flatten(made["Jet_neN"])))) <= {0, 1}
    assert made["HLT_Jet40"].type.content.primitive == "bool"
    assert [made[n].type.content for n in true.fields] == [
        true[n].type.content for n in true.fields
    ]


@pytest.mark.slow
def test_by_command_and_taken_up_again(events: ak.Array, tmp_path: Path) -> None:
    ak.to_parquet(events[:1200], tmp_path / "both.parquet")
    words = [
        "train-simulation",
        str(tmp_path / "both.parquet"),
        "--effort",
        "fast",
        "--flow",
        "flashsim",
        "--epochs",
        "1",
    ]
    words += [
        "--steps",
        "2",
        "--hidden",
        "8",
        "--bins",
        "4",
        "--blocks",
        "1",
        "--checkpoint",
        str(tmp_path / "c"),
    ]
    words += [
        word
        for name in ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_genJetIdx")
        for word in ("--target", name)
    ]
    words += ["--given", "GenJet_*"]
    for name in ("a.flow", "b.flow"):
        ended = CliRunner().invoke(app, [*words, "-o", str(tmp_path / name)])
        assert ended.exit_code == 0, ended.output
    assert (tmp_path / "a.flow").read_bytes() == (tmp_path / "b.flow").read_bytes()
    ended = CliRunner().invoke(
        app,
        [
            "simulate",
            str(tmp_path / "a.flow"),
            str(tmp_path / "both.parquet"),
            "-o",
            str(tmp_path / "s.root"),
        ],
    )
    assert ended.exit_code == 0, ended.output


@pytest.mark.slow
def test_without_pytorch_the_extra_is_named(model: str) -> None:
    program = (
        "import sys; sys.modules['torch'] = None; import flowtuple as ft; "
        f"ft.simulate({model!r}, {{'GenJet_pt': [[20.0]]}})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "MissingExtra: simulating with the flows over rows of" in ended.stderr
    assert (
        "sim.flow needs the extra 'train': pip install 'flowtuple[train]'" in ended.stderr
    )


@pytest.mark.slow
def test_bad_requests(model: str, events: ak.Array, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match="a simulation chooses its own, leave it out"
    ):
        ft.train_simulation(
            events,
            tmp_path / "m.flow",
            target=TARGET,
            given=GIVEN,
            flow=RowFlow("nsf", transforms={"*": "standard"}),
        )
    with File(model) as file:
        flows, path = file.meta["flows"], file.path
    for text, message in (
        ("AAAA", "Jet response: is no model of flowtuple"),
        ("?", "are no text of base64"),
    ):
        with pytest.raises(Corrupt, match=f"sim.flow: .*{message}"):
            load_rows({**flows, "Jet response": text}, path)
    with pytest.raises(Corrupt, match=r"sim.flow: its flows over rows are no text"):
        load_rows(["Jet response"], path)
