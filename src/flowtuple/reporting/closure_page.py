"""One HTML page about a simulation held against the truth: what is not good enough, every figure, every column.

The page carries everything it shows and fetches nothing. It needs the extra 'plots'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.reporting.closure_plots import curves_png
from flowtuple.reporting.page import image, write_page
from flowtuple.reporting.two_samples import shares_png


def write_closure(found: Mapping[str, Any], folder: Path) -> Path:
    """Write `compare.html` into a folder that is there.

    Args:
        found: The closure as plain numbers and text.
        folder: Where to write; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    collections = [_collection(objects) for objects in found["objects"]]
    return write_page(
        "closure", folder / "compare.html", {"found": found, "collections": collections}
    )


def _collection(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Tables and drawings of one kind of objects, each line of the other sample beside that of real events."""
    other, real = objects["other"], objects["real"]
    verdicts = {(v["quantity"], v["grid"]): v for v in real["verdicts"]}
    distances = {d["column"]: d for d in (*real["columns"], *real["derived"])}
    named = [*other["columns"], *other["derived"]]
    return {
        "about": objects,
        "verdicts": [(v, verdicts.get((v["quantity"], v["grid"]))) for v in other["verdicts"]],
        "distances": sorted(
            ((d, distances.get(d["column"])) for d in named), key=lambda pair: -_excess(*pair)
        ),
        "cuts": list(zip(other["cuts"], real["cuts"], strict=True)),
        "images": [
            *_figures(other["curves"]),
            *(_spectrum(spectrum) for spectrum in other["spectra"]),
        ],
    }


def _excess(distance: Mapping[str, Any], real: Mapping[str, Any] | None) -> float:
    return float(distance["w1"]) - (float(real["w1"]) if real else 0.0)


def _figures(curves: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A drawing of each figure, its parts together; those without a bin are left out."""
    grids: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for curve in curves:
        if any(value is not None for value in curve["reference"]):
            grids.setdefault((curve["quantity"], curve["grid"]), []).append(curve)
    return [
        image(
            curves_png(parts),
            f"{quantity.capitalize()} against {grid} in both samples, with their ratio below.",
        )
        for (quantity, grid), parts in grids.items()
    ]


def _spectrum(spectrum: Mapping[str, Any]) -> dict[str, str]:
    edges, *numbers = (
        np.array(spectrum[name])
        for name in ("edges", "reference", "reference_error", "other", "other_error")
    )
    drawing = shares_png(
        (numbers[0], numbers[1]), (numbers[2], numbers[3]), edges, spectrum["column"]
    )
    return image(
        drawing, f"Histogram of {spectrum['column']} in both samples, with their ratio below."
    )
