"""Numbers of events made of their objects: leading ones, sums, pairs; NaN where there is none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from flowtuple.comparison.events.objects import Objects
from flowtuple.data.schema import Array
from flowtuple.data.separation import wrap_angle

LEADING = 3
MOST_PAIRED = 16
"""Leading objects of a collection whose distances are compared, pair by pair."""

_MOST_CROSSED = 5  # collections that are compared with one another
_TINY = 1e-9

Features = dict[str, Array]
"""Numbers of each event by name, float64 of shape (E,)."""


def event_features(columns: Mapping[str, Array], objects: Sequence[Objects]) -> Features:
    """Return the numbers of events, those that tell most about a whole event first.

    For a collection such as `Jet` they are its number `nJet`; of the columns of the leading three
    objects `Jet1_pt`, `Jet2_pt`, `Jet3_pt`, and of all objects `Jet_pt_sum`, `Jet_pt_max` and the
    mean weighted by p_T, `Jet_pt_mean`; `Jet_HT` and `Jet_MHT` (sums of p_T, scalar and vectorial),
    their quotient, `Jet_balance` (p_T of the second object over that of the first); masses and
    distances of the leading objects, such as `Jet12_mass` and `Jet12_dR`; Delta R of the nearest
    pair and of the second nearest, `Jet_dR_min` and `Jet_dR_min2`. Two collections have
    `Jet1_Muon1_mass`, `Jet_Muon_dR_min` and others. A missing momentum such as `MET_pt` and
    `MET_phi` has `MET_Jet_sum`, the p_T of both together, and `MET_Jet1_dphi`.

    Args:
        columns: Columns of events, shape (E,).
        objects: Objects of the same events, collection by collection.

    Example:
        >>> pt, zero = np.array([50.0, 40.0]), np.zeros(2)
        >>> jets = {"Jet_pt": pt, "Jet_eta": zero, "Jet_phi": np.array([0.0, np.pi])}
        >>> jets = Objects("Jet", np.array([2]), jets, dict.fromkeys(jets, "value"))
        >>> features = event_features({}, [jets])
        >>> [float(features[name][0]) for name in ("nJet", "Jet_HT", "Jet2_pt")]
        [2.0, 90.0, 40.0]
    """
    with_axes = [collection for collection in objects if collection.has_axes]
    whole = dict(columns)
    whole |= {f"n{o.name}": o.counts.astype(np.float64) for o in objects}
    for collection in with_axes:
        whole |= _momentum_sums(collection) | _pairs(collection)
        whole |= _missing(columns, collection)
    crossed = sorted(with_axes, key=lambda o: -len(o.event))[:_MOST_CROSSED]
    for first, second in itertools.combinations(crossed, 2):
        whole |= _across(first, second)
    parts = [dict(_columns(collection)) for collection in objects]
    for summary in (*range(LEADING), "sum", "mean", "max"):
        for part in parts:
            whole |= {n: values for (kind, n), values in part.items() if kind == summary}
    return whole


def _momentum_sums(objects: Objects) -> Features:
    name, pt = objects.name, objects.axes[0]
    x, y = (objects.sums(component) for component in objects.momenta[:2])
    scalar, missing = objects.sums(pt), np.hypot(x, y)
    first, second = (objects.at(pt, place) for place in (0, 1))
    return {
        f"{name}_HT": scalar,
        f"{name}_MHT": missing,
        f"{name}_MHT_over_HT": missing / np.maximum(scalar, _TINY),
        f"{name}_balance": second / np.maximum(first, _TINY),
    }


def _pairs(objects: Objects) -> Features:
    """Return masses and distances of leading objects, and the distances of the nearest pairs."""
    out: Features = {}
    leading = [_Leading(objects, place) for place in range(LEADING)]
    for i, j in itertools.combinations(range(LEADING), 2):
        out |= leading[i].with_other(leading[j], f"{objects.name}{i + 1}{j + 1}")
    nearest, second = _nearest(objects, None)
    return out | {f"{objects.name}_dR_min": nearest, f"{objects.name}_dR_min2": second}


def _across(first: Objects, second: Objects) -> Features:
    name = f"{first.name}1_{second.name}1"
    out = _Leading(first, 0).with_other(_Leading(second, 0), name)
    nearest, further = _nearest(first, second)
    stem = f"{first.name}_{second.name}"
    return out | {f"{stem}_dR_min": nearest, f"{stem}_dR_min2": further}


class _Leading:
    """One leading object of each event."""

    def __init__(self, objects: Objects, place: int) -> None:
        self.momentum = [objects.at(part, place) for part in objects.momenta]
        self.eta, self.phi = (objects.at(axis, place) for axis in objects.axes[1:])

    def with_other(self, other: _Leading, name: str) -> Features:
        """Return mass, Delta R, Delta phi and Delta eta of two objects."""
        x, y, z, energy = (
            a + b for a, b in zip(self.momentum, other.momentum, strict=True)
        )
        square = energy * energy - x * x - y * y - z * z
        deta, dphi = (
            np.abs(self.eta - other.eta),
            np.abs(wrap_angle(self.phi - other.phi)),
        )
        return {
            f"{name}_mass": np.sqrt(np.maximum(square, 0.0)),
            f"{name}_dR": np.hypot(deta, dphi),
            f"{name}_dphi": dphi,
            f"{name}_deta": deta,
        }


def _nearest(first: Objects, second: Objects | None) -> tuple[Array, Array]:
    """Return Delta R of the nearest pair of each event and of the next, NaN without a pair.

    Args:
        first: Objects, of which the leading 16 count.
        second: Objects of another collection, likewise; `None` for pairs among the first.
    """
    sides = [_padded(first), _padded(first if second is None else second)]
    (eta, phi), (eta_b, phi_b) = sides
    nearest, further = np.full((2, len(eta)), np.inf)
    for i in range(eta.shape[1]):
        some = np.flatnonzero(np.isfinite(eta[:, i]))
        begin = i + 1 if second is None else 0
        if not len(some) or begin >= eta_b.shape[1]:
            continue
        distance = np.hypot(
            eta[some, i, None] - eta_b[some, begin:],
            wrap_angle(phi[some, i, None] - phi_b[some, begin:]),
        )
        distance = np.where(np.isnan(distance), np.inf, distance)
        best = np.sort(distance, axis=1)[:, :2]
        both = np.column_stack([nearest[some], further[some], best])
        both.sort(axis=1)
        nearest[some], further[some] = both[:, 0], both[:, 1]
    return tuple(np.where(np.isfinite(d), d, np.nan) for d in (nearest, further))  # type: ignore[return-value]


def _padded(objects: Objects) -> tuple[Array, Array]:
    most = int(min(MOST_PAIRED, objects.counts.max(initial=0)))
    eta, phi = (objects.padded(axis, most) for axis in objects.axes[1:])
    return eta, phi


def _missing(columns: Mapping[str, Array], objects: Objects) -> Features:
    """Return what vectors of the event, such as MET, are to the objects."""
    out: Features = {}
    x, y = (objects.sums(component) for component in objects.momenta[:2])
    first = objects.at(objects.axes[2], 0)
    for name, phi in columns.items():
        stem = name.removesuffix("_phi")
        if stem != name and f"{stem}_pt" in columns:
            pt = columns[f"{stem}_pt"]
            total = np.hypot(pt * np.cos(phi) + x, pt * np.sin(phi) + y)
            out[f"{stem}_{objects.name}_sum"] = total
            out[f"{stem}_{objects.name}1_dphi"] = np.abs(wrap_angle(phi - first))
    return out


def _columns(objects: Objects) -> Iterator[tuple[tuple[int | str, str], Array]]:
    """Yield numbers of each column with their kind and name."""
    pt = objects.axes[0] if objects.has_axes else np.ones(len(objects.event))
    total = objects.sums(pt)
    first = np.cumsum(objects.counts) - objects.counts
    some = objects.counts > 0
    for name, values in objects.columns.items():
        if objects.roles[name] in ("reference", "id", "weight"):
            continue
        stem, _, rest = name.partition("_")
        for place in range(LEADING):
            leading = f"{stem}{place + 1}_{rest}" if rest else f"{name}{place + 1}"
            yield (place, leading), objects.at(values, place)
        if objects.roles[name] == "angle":
            continue
        finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        if name != f"{objects.name}_pt":
            yield ("sum", f"{name}_sum"), objects.sums(finite)
            largest = np.full(len(some), np.nan)
            if some.any():
                largest[some] = np.maximum.reduceat(finite, first[some])
            yield ("max", f"{name}_max"), largest
        mean = np.full(len(some), np.nan)
        weighed = some & (total > 0)
        mean[weighed] = objects.sums(finite * pt)[weighed] / total[weighed]
        yield ("mean", f"{name}_mean"), mean
