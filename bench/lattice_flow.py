"""The lattice flow on the columns of rows: what stands beside other codecs in latent.py and equal_error.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np

import flowtuple as ft
from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.data.bounds import Bound
from flowtuple.data.rows import Rows


def lattice(
    source: str, rows: Rows, bounds: Mapping[str, Bound], effort: str, folder: Path
) -> tuple[int, tuple[Accuracy, ...]]:
    """Bytes of a whole file of these columns of a sample, its model among them, and its errors."""
    path = folder / "lattice.ftup"
    ft.compress(
        source, path, tolerance=bounds, selection=ft.Selection(columns=rows.columns), effort=effort
    )
    events = ft.decompress(path)
    decoded = [np.asarray(ak.flatten(events[name], axis=None), np.float64) for name in rows.columns]
    return path.stat().st_size, measure(rows, np.stack(decoded, axis=1))
