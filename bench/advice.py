"""Bytes of advised bounds against those of one number for all columns, at the same mass."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import awkward as ak
import numpy as np
from commands import Script, show_header, show_row

import flowtuple as ft
from flowtuple.analysis.demands import parse_analysis

_PARTS = ("pt", "eta", "phi", "mass")
_HALVINGS = 12

script = Script(__doc__)


@script.command("source", asked=1e-3)
def dijets(a: argparse.Namespace) -> None:
    """Compare advised bounds of jets with `rel:R` for p_T and mass, and `abs:R` for eta and phi.

    The analysis asks for the root mean square of the relative move of the mass of the two leading
    jets. R is searched for by halving, until it moves this mass as the advised bounds do. Both
    files are written at default effort with these four columns. The mass is calculated here, of
    the second half of the events, which did not choose the bounds, as the files give them back.
    """
    text = f'[quantity.mjj]\nexpression = "mass(Jet[0], Jet[1])"\nrms = "rel:{a.asked}"'
    analysis = parse_analysis(f'{text}\n[floor]\npreset = "none"', "dijets")
    columns = [f"Jet_{part}" for part in _PARTS]
    selection = ft.Selection(columns=columns)
    before = ft.snap(a.source, "lossless", selection=selection)
    advice = ft.advise(a.source, analysis)
    half = len(before) // 2
    other = before[half:]

    def move(after: ak.Array) -> float:
        return relative_move(masses(other), masses(after[half:]))

    show_header("bounds", "bytes", "bits a jet", "rms(dm/m) of other events")
    jets = int(ak.num(before["Jet_pt"], axis=1).to_numpy().sum())
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jets.ftup"
        ft.compress(a.source, path, tolerance=dict(advice.bounds), selection=selection)
        advised = move(ft.decompress(path))
        sizes.append(path.stat().st_size)
        words = ", ".join(f"{n} {b}" for n, b in advice.bounds.items())
        show(words, sizes[-1], jets, advised)
        low, high = np.log(a.asked / 100), np.log(a.asked * 100)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            moved = move(
                ft.snap(a.source, uniform(float(np.exp(middle))), selection=selection)
            )
            low, high = (middle, high) if moved < advised else (low, middle)
        one = uniform(float(np.exp((low + high) / 2)))
        ft.compress(a.source, path, tolerance=one, selection=selection)
        sizes.append(path.stat().st_size)
        show(one["Jet_pt"] + " or abs", sizes[-1], jets, move(ft.decompress(path)))
    print(f"\nadvised over uniform: {sizes[0] / sizes[1]:.3f}")


def masses(events: ak.Array) -> np.ndarray:
    """Return the mass of the two jets of largest p_T, of events with two."""
    jets = ak.zip({part: events[f"Jet_{part}"] for part in _PARTS})
    jets = ak.values_astype(jets[ak.num(jets.pt) > 1], np.float64)
    order = ak.argsort(jets.pt, axis=1, ascending=False, stable=True)
    one, two = (jets[order][:, k] for k in (0, 1))
    momenta = [
        (j.pt * np.cos(j.phi), j.pt * np.sin(j.phi), j.pt * np.sinh(j.eta))
        for j in (one, two)
    ]
    energies = [
        np.sqrt(sum(p**2 for p in momentum) + j.mass**2)
        for momentum, j in zip(momenta, (one, two), strict=True)
    ]
    square = sum(energies) ** 2 - sum((p + q) ** 2 for p, q in zip(*momenta, strict=True))
    return np.sqrt(np.asarray(square))


def relative_move(before: np.ndarray, after: np.ndarray) -> float:
    """Return the root mean square of the relative move."""
    return float(np.sqrt(np.mean(np.square(after / before - 1))))


def uniform(amount: float) -> dict[str, str]:
    """Return one number as `rel` for p_T and mass, and as `abs` for eta and phi."""
    kinds = {"pt": "rel", "mass": "rel", "eta": "abs", "phi": "abs"}
    return {f"Jet_{part}": f"{kind}:{amount:.4g}" for part, kind in kinds.items()}


def show(words: str, size: int, jets: int, moved: float) -> None:
    """Print a line of the table."""
    show_row(words, f"{size:,}", f"{8 * size / jets:.2f}", f"{moved:.3e}")


if __name__ == "__main__":
    script.main()
