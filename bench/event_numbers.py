"""Numbers of whole events: what objects are together, and what they are to one another."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import awkward as ak
import numpy as np

from flowtuple.data.schema import infer_role

LEADING = 3
MUON_MASS = 0.10566  # GeV
Numbers = dict[str, np.ndarray]
"""By name a number of each event, NaN where it has none; all of shape (events,)."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one collection in padded matrices.

    Attributes:
        name: The collection.
        counts: Objects of each event, shape (events,).
        columns: By name without that of the collection, float64 of shape (events, most objects),
            NaN where there is no object.
    """

    name: str
    counts: np.ndarray
    columns: Mapping[str, np.ndarray]

    @cached_property
    def pt(self) -> np.ndarray:
        """Transverse momenta, 0 where there is no object."""
        return np.nan_to_num(self.columns["pt"])

    @cached_property
    def momenta(self) -> np.ndarray:
        """p_x, p_y, p_z and energy, 0 where there is no object, shape (4, events, objects)."""
        eta, phi, mass = (
            np.nan_to_num(self.columns[name]) if name in self.columns else 0.0 * self.pt
            for name in ("eta", "phi", "mass")
        )
        if self.name.startswith("Muon") and "mass" not in self.columns:
            mass = np.where(self.pt > 0, MUON_MASS, 0.0)
        x, y, z = self.pt * np.cos(phi), self.pt * np.sin(phi), self.pt * np.sinh(eta)
        return np.stack([x, y, z, np.sqrt(x * x + y * y + z * z + mass * mass)])

    @cached_property
    def parts(self) -> dict[str, str]:
        """Columns of energies and of the counts of what the energies are of, such as muE: muN."""
        pairs = {name: f"{name[:-1]}N" for name in self.columns if name.endswith("E")}
        return {energy: n for energy, n in pairs.items() if n in self.columns}

    @property
    def contradictions(self) -> np.ndarray:
        """Parts of each object of which either the count or the energy is zero, not both."""
        pairs = [
            (self.columns[e] > 0) != (self.columns[n] > 0) for e, n in self.parts.items()
        ]
        return np.sum(pairs, axis=0, initial=0) * np.ones_like(self.pt)

    def leading(self, column: str, place: int) -> np.ndarray:
        """Return a column of the object of some place in its event, NaN where there is none."""
        values = self.columns[column]
        if place >= values.shape[1]:
            return np.full(len(values), np.nan)
        return values[:, place]

    def mass(self, i: int, j: int) -> np.ndarray:
        """Return the mass of two objects, NaN where there are fewer."""
        if self.pt.shape[1] <= max(i, j):
            return np.full(len(self.pt), np.nan)
        x, y, z, energy = self.momenta[:, :, i] + self.momenta[:, :, j]
        square = np.maximum(energy * energy - x * x - y * y - z * z, 0.0)
        return np.where(self.counts > max(i, j), np.sqrt(square), np.nan)


def collections_of(events: ak.Array) -> list[str]:
    """Return the collections with p_T, eta and phi by their names, as `Jet` of `Jet_pt`."""
    stems = [name.removesuffix("_pt") for name in events.fields if name.endswith("_pt")]
    axes = ("pt", "eta", "phi")
    return [
        stem
        for stem in stems
        if all(
            f"{stem}_{axis}" in events.fields and events[f"{stem}_{axis}"].ndim == 2
            for axis in axes
        )
    ]


def objects_of(events: ak.Array, name: str) -> Objects:
    """Return the objects of one collection without their references to others."""
    columns, most = {}, int(ak.max(ak.num(events[f"{name}_pt"]), initial=0))
    for field in events.fields:
        short = field.removeprefix(f"{name}_")
        if short != field and events[field].ndim == 2 and not is_reference(field):
            padded = ak.pad_none(ak.values_astype(events[field], np.float64), most)
            columns[short] = ak.to_numpy(ak.fill_none(padded, np.nan))
    return Objects(name, ak.to_numpy(ak.num(events[f"{name}_pt"])), columns)


def is_reference(name: str) -> bool:
    """Return whether a column points to objects of a collection."""
    return infer_role(name, "int32") == "reference"


def numbers_of(events: ak.Array, name: str) -> Numbers:
    """Return the numbers of one collection, and of the missing momentum where there is any."""
    objects = objects_of(events, name)
    out: Numbers = {"n": objects.counts.astype(float)}
    out |= _columns(objects) | _sums(objects) | _pairs(objects) | _nearest(events, name)
    if objects.parts:
        out |= _parts(objects)
    if {"MET_pt", "MET_phi"} <= set(events.fields):
        out |= _missing(events, objects)
    return out


def event_columns(events: ak.Array) -> Numbers:
    """Return numbers that an event has once, those that count objects and ids left out."""
    counters = {f"n{name}" for name in collections_of(events)}
    out = {}
    for name in events.fields:
        if events[name].ndim == 1 and name not in counters:
            values = ak.to_numpy(events[name])
            if infer_role(name, str(values.dtype)) != "id":
                out[name] = values.astype(float)
    return out


def _columns(objects: Objects) -> Numbers:
    """Return each column of leading objects, its sum, its largest value and its mean by p_T."""
    out: Numbers = {}
    total = np.maximum(objects.pt.sum(axis=1), 1e-9)
    for name, values in objects.columns.items():
        for place in range(LEADING):
            out[f"{name} of {place}"] = objects.leading(name, place)
        out[f"sum of {name}"] = np.nansum(values, axis=1)
        highest = np.max(values, axis=1, initial=-np.inf, where=~np.isnan(values))
        out[f"largest {name}"] = np.where(objects.counts > 0, highest, np.nan)
        out[f"mean {name} by p_T"] = np.nansum(values * objects.pt, axis=1) / total
    return out


def _sums(objects: Objects) -> Numbers:
    x, y = objects.momenta[:2].sum(axis=2)
    scalar, missing = objects.pt.sum(axis=1), np.hypot(x, y)
    ratio = objects.leading("pt", 1) / objects.leading("pt", 0)
    share = missing / np.maximum(scalar, 1.0)
    return {
        "H_T": scalar,
        "missing H_T": missing,
        "missing share": share,
        "balance": ratio,
    }


def _pairs(objects: Objects) -> Numbers:
    """Return masses and angles of the leading objects two by two."""
    out: Numbers = {}
    for i, j in itertools.combinations(range(LEADING), 2):
        deta = np.abs(objects.leading("eta", i) - objects.leading("eta", j))
        dphi = np.abs(turned(objects.leading("phi", i) - objects.leading("phi", j)))
        pair = f"{i}{j}"
        out |= {
            f"mass {pair}": objects.mass(i, j),
            f"delta R {pair}": np.hypot(deta, dphi),
        }
        out |= {f"delta eta {pair}": deta, f"delta phi {pair}": dphi}
    return out


def _nearest(events: ak.Array, name: str) -> Numbers:
    """Return Delta R of the nearest pair of an event and of the second nearest."""
    eta, phi = (
        ak.values_astype(events[f"{name}_{x}"], np.float64) for x in ("eta", "phi")
    )
    (eta_a, eta_b), (phi_a, phi_b) = (ak.unzip(ak.combinations(x, 2)) for x in (eta, phi))
    by_distance = ak.sort(np.hypot(eta_a - eta_b, turned(phi_a - phi_b)), axis=1)
    first = ak.to_numpy(ak.fill_none(ak.pad_none(by_distance, 2, clip=True), np.nan))
    return {"nearest pair": first[:, 0], "second nearest pair": first[:, 1]}


def _parts(objects: Objects) -> Numbers:
    """Return by how much parts miss the whole at most, and parts that contradict their counts."""
    total = np.sum([objects.columns[name] for name in objects.parts], axis=0)
    energy = objects.momenta[3]
    with np.errstate(invalid="ignore", divide="ignore"):
        miss = np.log10(np.abs(total / energy - 1) + 1e-9)
    worst = np.max(miss, axis=1, initial=-9.0, where=np.isfinite(miss))
    return {
        "parts against the whole": worst,
        "contradictions": objects.contradictions.sum(axis=1),
    }


def _missing(events: ak.Array, objects: Objects) -> Numbers:
    pt, phi = (ak.to_numpy(events[f"MET_{x}"]).astype(float) for x in ("pt", "phi"))
    x, y = objects.momenta[:2].sum(axis=2)
    rest = np.hypot(pt * np.cos(phi) + x, pt * np.sin(phi) + y)
    angle = np.abs(turned(phi - objects.leading("phi", 0)))
    return {"MET": pt, "MET and objects": rest, "MET from the leading object": angle}


def turned(angle: np.ndarray) -> np.ndarray:
    """Return angles in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def opposite_mass(events: ak.Array, name: str) -> np.ndarray:
    """Return masses of the leading two objects of events where their charges are opposite."""
    objects = objects_of(events, name)
    charges = objects.leading("charge", 0) * objects.leading("charge", 1)
    return objects.mass(0, 1)[charges < 0]


def event_keys(events: ak.Array) -> list[bytes]:
    """Return the bytes of each event, ids left out: equal where all values are."""
    keys = [b""] * len(events)
    for fields in _by_shape(events).values():
        first = events[fields[0]]
        counts = (
            np.ones(len(events), int) if first.ndim == 1 else ak.to_numpy(ak.num(first))
        )
        flat = [np.asarray(ak.flatten(events[f], axis=None), np.float64) for f in fields]
        rows, ends = np.stack(flat, axis=1), np.cumsum(counts)
        keys = [
            key + rows[end - n : end].tobytes() + b"|"
            for key, n, end in zip(keys, counts, ends, strict=True)
        ]
    return keys


def _by_shape(events: ak.Array) -> dict[str, list[str]]:
    """Return the columns of each collection, and those of the events."""
    out: dict[str, list[str]] = {}
    for name in events.fields:
        role = infer_role(name, "int32")
        if role != "id":
            key = "" if events[name].ndim == 1 else name.partition("_")[0]
            out.setdefault(key, []).append(name)
    return out


def share_identical(events: ak.Array, others: ak.Array) -> float:
    """Return the share of events, those without objects left out, that equal one of others."""
    known, keys = set(event_keys(others)), event_keys(events)
    names = collections_of(events)
    counts = sum(ak.to_numpy(ak.num(events[f"{name}_pt"])) for name in names)
    filled = np.flatnonzero(counts > 0) if names else np.arange(len(events))
    return float(np.mean([keys[k] in known for k in filled])) if len(filled) else 0.0
