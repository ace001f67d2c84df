"""The page about a simulation and the truth: bins beyond the tolerance, every figure and column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.reporting.closure_plots import NUMBERS, curves_png
from flowtuple.reporting.page import image, write_page
from flowtuple.reporting.two_samples import shares_image


def write_closure(closure: Mapping[str, Any], folder: Path) -> Path:
    """Write `compare.html` into an existing folder.

    Args:
        closure: The closure as plain numbers and text.
        folder: Folder of the page; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    collections = [_collection(objects) for objects in closure["objects"]]
    content = {"found": closure, "collections": collections}
    return write_page("closure", folder / "compare.html", content)


def _collection(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables and drawings of a kind of objects, each figure with that of real events."""
    other, real = objects["other"], objects["real"]
    verdicts = {(v["quantity"], v["grid"]): v for v in real["verdicts"]}
    distances = {d["column"]: d for d in (*real["columns"], *real["derived"])}
    pairs = [(d, distances.get(d["column"])) for d in (*other["columns"], *other["derived"])]
    return {
        "about": objects,
        "verdicts": [
            (v, verdicts.get((v["quantity"], v["grid"]))) for v in other["verdicts"]
        ],
        "distances": sorted(pairs, key=lambda pair: -_excess(*pair)),
        "cuts": list(zip(other["cuts"], real["cuts"], strict=True)),
        "images": [*_figures(other["curves"]), *map(_spectrum, other["spectra"])],
    }


def _excess(distance: Mapping[str, Any], real: Mapping[str, Any] | None) -> float:
    return float(distance["w1"]) - (float(real["w1"]) if real else 0.0)


def _figures(curves: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Draw each figure, its parts together; figures without a bin are left out."""
    grids: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for curve in curves:
        if any(value is not None for value in curve["reference"]):
            grids.setdefault((curve["quantity"], curve["grid"]), []).append(curve)
    images = []
    for (quantity, grid), parts in grids.items():
        words = (
            f"{quantity.capitalize()} against {grid} in both samples, with their ratio below."
        )
        images.append(image(curves_png(parts), words))
    return images


def _spectrum(spectrum: Mapping[str, Any]) -> dict[str, str]:
    edges, *numbers = (np.array(spectrum[name]) for name in NUMBERS)
    return shares_image(tuple(numbers[:2]), tuple(numbers[2:]), edges, spectrum["column"])
