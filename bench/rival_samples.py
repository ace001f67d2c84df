"""Rows and events that rivals learn, those that judge, and the relations among their columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import awkward as ak
import numpy as np
from commands import Columns, part
from event_numbers import is_reference

import flowtuple as ft
from flowtuple.data.rows import Rows

OBJECTS = {"lepton": 1, "a": 6, "b": 10, "c": 14, "d": 18}
"""First of the columns p_T, eta and phi of each object of HIGGS."""

TURN = np.pi / 1.7435
"""Radians of a unit of phi in HIGGS, whose columns are in units of their standard deviations."""

UNITS = {"x22": 0.27, "x26": 0.31}
"""Logarithm of the mass of the right two jets over a mass column, where most rows have it."""

SUMS = {
    "chEmE": ("eleE",),
    "chMuE": ("muE",),
    "neEmE": ("phoE", "hfEmE"),
    "chN": ("chHadN", "eleN", "muN"),
    "neN": ("neHadN", "phoN", "hfHadN", "hfEmN"),
}
PARTS = ("chHad", "neHad", "pho", "ele", "mu", "hfHad", "hfEm")
PADDING = -1000.0  # far from any value, so that trees part it first
MOST = 12  # jets of an event that padded rows hold


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of one kind.

    Attributes:
        train: Columns that each method learns.
        judge: Columns of rows that no method has seen.
        relations: Returns numbers that columns make together.
        drawn: Rows to draw.
    """

    train: Columns
    judge: Columns
    relations: Callable[[Columns], Columns]
    drawn: int


def as_rows(columns: Columns) -> Rows:
    """Return columns as rows, each an event of its own."""
    values = np.stack([np.asarray(x, np.float64) for x in columns.values()], axis=1)
    return Rows("rows", tuple(columns), values, np.arange(len(values)), len(values))


def higgs(path: str) -> Sample:
    """Return the first half of the rows to learn, and the other to judge."""
    table = ft.snap(path, "lossless")
    columns = {name: ak.to_numpy(table[name]) for name in table.fields}
    half = len(table) // 2
    judge = part(columns, slice(half, None))
    return Sample(part(columns, slice(half)), judge, higgs_relations, half)


def jets(train: ak.Array, judge: ak.Array, rows: int, drawn: int) -> Sample:
    """Return the first jets of some events to learn, and as many of others to judge."""
    flat = [part(flatten(events), slice(rows)) for events in (train, judge)]
    return Sample(*flat, jet_relations, drawn)


def flatten(events: ak.Array) -> Columns:
    """Return all columns of jets but references, a row for each jet."""
    names = [n for n in events.fields if n.startswith("Jet_") and not is_reference(n)]
    return {n: ak.to_numpy(ak.flatten(events[n])) for n in names}


# -- relations ------------------------------------------------------------------------------------


def higgs_relations(columns: Columns) -> Columns:
    """Return masses of all pairs of jets, what balances them, and how near mass columns are."""
    x = {name: values.astype(np.float64) for name, values in columns.items()}
    objects = {
        name: (x[f"x{k}"], x[f"x{k + 1}"], x[f"x{k + 2}"] * TURN)
        for name, k in OBJECTS.items()
    }
    jets = [name for name in objects if name != "lepton"]
    out = {
        f"mass {i}{j}": pair_mass(objects[i], objects[j])
        for i, j in itertools.combinations(jets, 2)
    }
    pairs = np.log(np.stack(list(out.values()), axis=1))
    for name, unit in UNITS.items():
        miss = np.abs(pairs - np.log(x[name])[:, None] - unit)
        out[f"{name} against pairs"] = np.log(miss.min(axis=1) + 1e-4)
    missing, angle = x["x4"], x["x5"] * TURN
    px, py = missing * np.cos(angle), missing * np.sin(angle)
    for pt, _, phi in objects.values():
        px, py = px + pt * np.cos(phi), py + pt * np.sin(phi)
    pt, _, phi = objects["lepton"]
    transverse = 2 * pt * missing * (1 - np.cos(phi - angle))
    out |= {"balance": np.hypot(px, py), "transverse mass": np.sqrt(transverse)}
    out["H_T"] = sum(objects[name][0] for name in jets)
    return out


def pair_mass(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the mass of two massless objects of p_T, eta and phi."""
    (p, eta, phi), (q, eta_q, phi_q) = one, other
    square = 2 * p * q * (np.cosh(eta - eta_q) - np.cos(phi - phi_q))
    return np.sqrt(np.maximum(square, 1e-12))


def jet_relations(columns: Columns) -> Columns:
    """Return sums of parts against the whole, counts against energies, and energies a particle."""
    x = {n.removeprefix("Jet_"): v.astype(np.float64) for n, v in columns.items()}
    out = {f"{k} less its parts": x[k] - sum(x[p] for p in v) for k, v in SUMS.items()}
    energy = np.sqrt((x["pt"] * np.cosh(x["eta"])) ** 2 + x["mass"] ** 2)
    total = sum(x[f"{p}E"] for p in PARTS)
    out["parts against the whole"] = np.log10(np.abs(total / energy - 1) + 1e-9)
    out["contradictions"] = sum(
        ((x[f"{p}E"] > 0) != (x[f"{p}N"] > 0)).astype(float) for p in PARTS
    )
    for p in PARTS:
        out[f"{p}E of one"] = x[f"{p}E"] / np.maximum(x[f"{p}N"], 1)
    return out


# -- events of rows -------------------------------------------------------------------------------


def deal(jets: Columns, counts: np.ndarray, seed: int) -> ak.Array:
    """Return events of independent jets, sorted by p_T; their numbers are those of training.

    Raises:
        SystemExit: There are fewer jets than the events need.
    """
    total = int(counts.sum())
    available = len(next(iter(jets.values())))
    if available < total:
        raise SystemExit(f"{available} jets are too few for events of {total}")
    order = np.random.default_rng(seed).permutation(available)[:total]
    pt = ak.unflatten(jets["Jet_pt"][order], counts)
    by_pt = ak.argsort(pt, axis=1, ascending=False, stable=True)
    events = {n: ak.unflatten(v[order], counts)[by_pt] for n, v in jets.items()}
    return ak.Array({"nJet": counts.astype(np.int32), **events})


def pad(events: ak.Array, names: list[str]) -> np.ndarray:
    """Return the leading jets of each event side by side, shape (events, jets x columns)."""
    filled = [
        ak.to_numpy(ak.fill_none(ak.pad_none(events[n], MOST, clip=True), PADDING))
        for n in names
    ]
    return np.stack(filled, axis=2).reshape(len(events), -1).astype(np.float64)


def unpad(rows: np.ndarray, like: ak.Array, names: list[str]) -> ak.Array:
    """Return events of padded rows; a jet is there where none of its columns is padding."""
    cube = rows.reshape(len(rows), MOST, len(names))
    present = (cube != PADDING).all(axis=2)
    counts = present.sum(axis=1)
    flat, types = cube[present], {n: v.dtype for n, v in flatten(like).items()}
    events = {
        name: ak.unflatten(flat[:, k].astype(types[name]), counts)
        for k, name in enumerate(names)
    }
    return ak.Array({"nJet": counts.astype(np.int32), **events})
