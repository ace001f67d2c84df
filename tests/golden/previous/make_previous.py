"""Write the files of this folder with the version on the path: see README.md.

It runs with the version before the redesign only, and never with a later one.
"""

import sys
from contextlib import suppress
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from flowtuple.reference.options import Autoencoder, Latent
from flowtuple.workflow.reference import decode_rows, encode_rows

import flowtuple as ft
from flowtuple.samples import sample_path

COLUMNS = ("event", "MET_pt", "HLT_Jet80", "Jet_pt", "Jet_mass")
with uproot.open(sample_path()) as file:
    EVENTS = file["Events"].arrays(COLUMNS)
JETS = ft.Selection(columns=("Jet_pt", "Jet_mass"))
BOUND = {"*": "rel:1e-2"}


def generated(events: int) -> ak.Array:
    """Generated jets, and a reconstructed one for four of five."""
    draw = np.random.default_rng(1)
    counts = draw.poisson(2.0, events)
    total = int(counts.sum())
    pt = np.rint(draw.exponential(20, total) + 20).astype("f4")
    number = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    event = np.repeat(np.arange(events), counts)
    has_jet = draw.random(total) < 0.8
    own = np.rint(2 * pt * draw.normal(0.9, 0.1, total)) / 2
    jets = np.bincount(event[has_jet], minlength=events)
    fields = {
        "GenJet_pt": ak.unflatten(pt, counts),
        "Jet_pt": ak.unflatten(own[has_jet].astype("f4"), jets),
        "Jet_genJetIdx": ak.unflatten(number[has_jet].astype("i4"), jets),
    }
    return ak.zip(fields, depth_limit=1)


def arrays(prefix: str, events: ak.Array) -> dict[str, np.ndarray]:
    """Columns as flat arrays, with the lengths of lists."""
    out = {}
    for name in events.fields:
        content = events[name]
        if content.ndim > 1:
            out[f"{prefix}/{name}/counts"] = ak.to_numpy(ak.num(content))
        out[f"{prefix}/{name}"] = ak.to_numpy(ak.flatten(content, axis=None))
    return out


def lattice_files(folder: Path) -> dict[str, np.ndarray]:
    """An event model with its checkpoint, files that embed it and refer to it, and what they give."""
    model = folder / "events.flow"
    ft.train(
        EVENTS,
        model,
        tolerance=BOUND,
        effort="fast",
        seed=3,
        checkpoint=folder / "events_checkpoint",
    )
    events = ft.snap(EVENTS, model=model)[:200]
    ft.compress(events, folder / "events.ftup", model=model)
    ft.compress(events, folder / "refers.ftup", model=model, refer=True)
    ft.compress(
        events[:100],
        folder / "given.ftup",
        tolerance=BOUND,
        given=["MET_pt"],
        effort="fast",
    )
    return (
        arrays("events", ft.decompress(folder / "events.ftup"))
        | arrays("sample", ft.sample(model, 20, seed=1))
        | arrays("score", ft.score(model, events[:20]))
        | arrays("latent", ft.load(model).to_latent(events[:20]))
    )


def simulation_files(folder: Path) -> dict[str, np.ndarray]:
    """A simulation, and what it makes of some generated jets."""
    model = folder / "simulation.flow"
    ft.train(generated(4000), model, target=["Jet_*"], given=["GenJet_*"], effort="fast")
    true = generated(30)[["GenJet_pt"]]
    return arrays("generated", true) | arrays(
        "simulated", ft.simulate(model, true, seed=2)
    )


def row_files(folder: Path) -> dict[str, np.ndarray]:
    """A flow over rows, the checkpoint of one that stopped after an epoch, and what the first
    gives.
    """
    shape = ft.Shape(transforms=1, hidden=(8,), bins=4)
    flow = ft.RowFlow("nsf", shape, ft.Training(epochs=2), device="cpu")
    model = folder / "rows.flow"
    ft.train(EVENTS, model, selection=JETS, flow=flow, seed=1)

    def stop(stage: str, share: float, detail: str) -> None:
        if (folder / "rows_checkpoint" / "training.safetensors").exists():
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        ft.train(
            EVENTS,
            folder / "half.flow",
            selection=JETS,
            flow=flow,
            seed=1,
            checkpoint=folder / "rows_checkpoint",
            progress=stop,
        )
    rows = ft.sample(model, 20, seed=1)
    return arrays("rows", rows) | {"rows/log_prob": ft.load(model).log_prob(rows)}


def reference_files(folder: Path) -> dict[str, np.ndarray]:
    """Files of both reference methods, and the rows that they decode to."""
    training = ft.Training(epochs=1, batch=64)
    methods = {
        "latent": Latent(13, model=2, training=training),
        "autoencoder": Autoencoder(1, hidden=(8,), network="tanh", training=training),
    }
    out = {}
    for name, method in methods.items():
        path = folder / f"{name}.ref"
        some = ft.snap(EVENTS, model=folder / "events.flow")[["Jet_pt", "Jet_mass"]][:100]
        encode_rows(some, path, method)
        out |= arrays(f"{name}.ref", decode_rows(path))
    return out


def main() -> None:
    folder = Path(sys.argv[1])
    expected = (
        lattice_files(folder)
        | simulation_files(folder)
        | row_files(folder)
        | reference_files(folder)
    )
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
