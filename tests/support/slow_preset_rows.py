"""Columns of the published flows by loops over objects, as their definitions read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

Event = Mapping[str, Any]
Row = dict[str, float]
CONE, FAR = 0.4, 0.5


def rows_of(event: Event, preset: str) -> Iterator[Row]:
    """Yield the rows of an event, in the order of its jets or muons."""
    objects, partner, index = "Jet", "GenJet", "Jet_genJetIdx"
    if preset == "flashsim-muons":
        objects, partner, index = "Muon", "GenPart", "Muon_genPartIdx"
    if partner == "GenPart" and "GenPart_pt" not in event:
        partner, index = "GenMuon", "Muon_genMuonIdx"
    for own, number in enumerate(event[index]):
        if not 0 <= number < len(event[f"{partner}_pt"]):
            continue
        if partner == "GenPart" and number not in muons_of(event):
            continue
        row = row_of(event, objects, own, partner, number)
        if all(math.isfinite(value) for value in row.values()):
            yield row


def row_of(event: Event, objects: str, own: int, partner: str, number: int) -> Row:
    """Return everything that is known of an object and its partner."""
    row: Row = {
        name: values[own]
        for name, values in event.items()
        if name.startswith(f"{objects}_") and "Idx" not in name
    }
    truth = {
        name.partition("_")[2]: values[number]
        for name, values in event.items()
        if name.startswith(f"{partner}_")
    }
    eta, phi, pt = (row[f"{objects}_{q}"] for q in ("eta", "phi", "pt"))
    row[f"{objects}_ptRatio"] = pt / truth["pt"]
    row[f"{objects}_etaMinusGen"] = eta - truth["eta"]
    row[f"{objects}_phiMinusGen"] = turn(phi - truth["phi"])
    if objects == "Jet":
        mass, true = row["Jet_mass"], truth["mass"]
        row["Jet_massRatio"] = mass / true if true else math.inf
        row |= {f"GenJet_{name}": value for name, value in truth.items()}
        row |= closest(event, truth, muon_prefix(event), muons_of(event), "Muon")
        return row
    row |= {f"GenMuon_{q}": truth[q] for q in ("pt", "eta", "phi")}
    if partner == "GenPart":
        row["GenMuon_charge"] = -1 if truth["pdgId"] == 13 else 1
        for bit in range(15):
            row[f"GenPart_statusFlags{bit}"] = truth["statusFlags"] // 2**bit % 2
    else:
        row["GenMuon_charge"] = truth["charge"]
    row |= {name: v for name, v in event.items() if name.startswith("Pileup_")}
    return row | closest(event, truth, "GenJet", range(len(event["GenJet_pt"])), "Jet")


def muon_prefix(event: Event) -> str:
    return "GenPart" if "GenPart_pt" in event else "GenMuon"


def muons_of(event: Event) -> list[int]:
    """Return the places of generated muons of the final state."""
    if "GenPart_pt" not in event:
        return list(range(len(event["GenMuon_pt"])))
    particles = zip(event["GenPart_pdgId"], event["GenPart_status"], strict=True)
    return [
        k for k, (pdg, status) in enumerate(particles) if abs(pdg) == 13 and status == 1
    ]


def closest(
    event: Event, truth: Mapping[str, float], prefix: str, places: Any, name: str
) -> Row:
    """Return the conditions of the nearest object of a kind, and of the second nearest muon."""
    near = []
    for k in places:
        d_eta = truth["eta"] - event[f"{prefix}_eta"][k]
        d_phi = turn(truth["phi"] - event[f"{prefix}_phi"][k])
        if math.sqrt(d_eta**2 + d_phi**2) < CONE:
            near.append((math.sqrt(d_eta**2 + d_phi**2), k, d_eta, d_phi))
    near.sort()
    row: Row = {}
    for rank, stem in enumerate(
        ("Closest", "SecondClosest")[: 2 if name == "Muon" else 1]
    ):
        d_r, k, d_eta, d_phi = near[rank] if rank < len(near) else (FAR, -1, FAR, FAR)
        row |= {f"{stem}{name}_dr": d_r, f"{stem}{name}_deta": d_eta}
        row[f"{stem}{name}_dphi"] = d_phi
        for quantity in ("pt",) if name == "Muon" else ("pt", "mass"):
            value = event[f"{prefix}_{quantity}"][k] if k >= 0 else 0.0
            row[f"{stem}{name}_{quantity}"] = value
    return row


def turn(angle: float) -> float:
    """Return the equal of an angle in [-pi, pi)."""
    while angle >= math.pi:
        angle -= 2 * math.pi
    while angle < -math.pi:
        angle += 2 * math.pi
    return angle
