"""Files and checkpoints of the version before the redesign are read, and give what they gave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from dissect import pieces
from flowtuple.samples import sample_path

PREVIOUS = Path(__file__).parents[1] / "golden" / "previous"
MODEL = PREVIOUS / "events.flow"
COLUMNS = ("event", "MET_pt", "HLT_Jet80", "Jet_pt", "Jet_mass")
BOUND = {"*": "rel:1e-2"}


@pytest.fixture(scope="module")
def expected() -> Iterator[np.lib.npyio.NpzFile]:
    with np.load(PREVIOUS / "expected.npz", allow_pickle=False) as arrays:
        yield arrays


@pytest.fixture(scope="module")
def sample() -> ak.Array:
    with uproot.open(sample_path()) as file:
        return file["Events"].arrays(COLUMNS)


def check(
    events: ak.Array, prefix: str, expected: np.lib.npyio.NpzFile, rtol: float = 0.0
) -> None:
    """Compare columns with those of the earlier version: the same bits, or floats within rtol."""
    names = {key.split("/")[1] for key in expected.files if key.startswith(f"{prefix}/")}
    assert set(events.fields) == names
    for name in names:
        content, known = events[name], expected[f"{prefix}/{name}"]
        if content.ndim > 1:
            assert (
                ak.num(content).tolist() == expected[f"{prefix}/{name}/counts"].tolist()
            ), name
        values = ak.to_numpy(ak.flatten(content, axis=None))
        assert values.dtype == known.dtype, name
        if rtol and known.dtype.kind == "f":
            np.testing.assert_allclose(values, known, rtol, err_msg=name)
        else:
            assert values.tobytes() == known.tobytes(), name


@pytest.mark.parametrize(("name", "model"), [("events", None), ("refers", MODEL)])
def test_events_decompress_to_the_same_bits(name, model, expected) -> None:
    check(ft.decompress(PREVIOUS / f"{name}.ftup", model=model), "events", expected)


def test_an_external_column_is_still_that_one(expected) -> None:
    met = expected["events/MET_pt"][:100]
    events = ft.decompress(PREVIOUS / "given.ftup", given={"MET_pt": met})
    assert events.MET_pt.to_numpy().tobytes() == met.tobytes()
    before = ft.decompress(PREVIOUS / "events.ftup")[:100]
    assert ak.all(abs(events.Jet_pt / before.Jet_pt - 1) < 0.011)
    with pytest.raises(ft.InvalidArgument, match="'MET_pt'"):
        ft.decompress(PREVIOUS / "given.ftup", given={"MET_pt": met[::-1].copy()})


def test_a_model_draws_and_scores_the_same_events(expected) -> None:
    events = ft.decompress(PREVIOUS / "events.ftup")[:20]
    check(ft.sample(MODEL, 20, seed=1), "sample", expected)
    check(ft.score(MODEL, events), "score", expected, rtol=1e-9)
    check(ft.load(MODEL).to_latent(events), "latent", expected, rtol=1e-9)


def test_a_model_compresses_events_to_the_same_bytes(tmp_path) -> None:
    """Compare all but the description, which names the version that wrote the file."""
    events = ft.decompress(PREVIOUS / "events.ftup")
    ft.compress(events, tmp_path / "again.ftup", model=MODEL)
    contents = [
        pieces(path)[2] for path in (tmp_path / "again.ftup", PREVIOUS / "events.ftup")
    ]
    assert contents[0] == contents[1]
    assert sum(map(len, contents[0])) > 5000


def test_a_simulation_simulates_the_same_objects(expected) -> None:
    counts = expected["generated/GenJet_pt/counts"]
    true = {"GenJet_pt": ak.unflatten(expected["generated/GenJet_pt"], counts)}
    check(
        ft.simulate(PREVIOUS / "simulation.flow", true, seed=2),
        "simulated",
        expected,
        rtol=1e-6,
    )


def test_a_flow_over_rows_draws_and_scores_the_same_rows(expected) -> None:
    model = PREVIOUS / "rows.flow"
    names = [k for k in expected.files if k.startswith("rows/") and k != "rows/log_prob"]
    rows = ft.sample(model, 20, seed=1)
    assert set(rows.fields) == {name.split("/")[1] for name in names}
    for name in rows.fields:
        np.testing.assert_allclose(
            rows[name].to_numpy(), expected[f"rows/{name}"], rtol=1e-4
        )
    known = {name.split("/")[1]: expected[name] for name in names}
    log_prob = ft.load(model).log_prob(known)
    np.testing.assert_allclose(log_prob, expected["rows/log_prob"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["latent", "autoencoder"])
def test_files_of_reference_methods_decode(name, expected) -> None:
    from flowtuple.api.reference import decode_rows

    check(decode_rows(PREVIOUS / f"{name}.ref"), f"{name}.ref", expected, rtol=1e-3)


def test_a_training_leaves_parts_of_another_alone(tmp_path, sample) -> None:
    """Models of whole events are trained otherwise than before: no part of then fits them."""
    folder = tmp_path / "parts"
    shutil.copytree(PREVIOUS / "events_checkpoint", folder)
    ft.train(
        sample,
        tmp_path / "m.flow",
        tolerance=BOUND,
        effort="fast",
        seed=3,
        resources=ft.Resources(checkpoint=folder),
    )
    before = {
        path.name: path.read_bytes()
        for path in (PREVIOUS / "events_checkpoint").iterdir()
    }
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.items() < after.items()
    assert len(ft.sample(tmp_path / "m.flow", 20, seed=1)) == 20


def test_a_training_of_a_flow_over_rows_goes_on(tmp_path, sample) -> None:
    folder = tmp_path / "rows"
    shutil.copytree(PREVIOUS / "rows_checkpoint", folder)
    shape = ft.Shape(transforms=1, hidden=(8,), bins=4)
    flow = ft.RowFlow("nsf", shape, ft.Training(epochs=2), device="cpu")
    selection = ft.Selection(columns=("Jet_pt", "Jet_mass"))
    ft.train_flow(
        sample,
        tmp_path / "m.flow",
        selection=selection,
        flow=flow,
        seed=1,
        resources=ft.Resources(checkpoint=folder),
    )
    before, after = (progress(place) for place in (PREVIOUS / "rows_checkpoint", folder))
    assert (before["epoch"], after["epoch"]) == (1, 2)
    assert after["history"][0] == before["history"][0]


def progress(folder: Path) -> dict:
    from safetensors import safe_open

    with safe_open(folder / "training.safetensors", "np") as stored:
        return json.loads(stored.metadata()["training"])["where"]
