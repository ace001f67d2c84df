"""Make the embedded sample `jets.root`: p_T-biased QCD dijets with pile-up, as a small NanoAOD-like
file.

    python tools/make_sample.py SEED NEVENTS OUT

Pythia 8 generates the hard collision and the soft ones on top; anti-kT jets with active areas are
clustered from particles,
corrected for the pile-up density, and smeared with a calorimeter-like resolution. Momenta in GeV,
lengths in mm, angles in rad.
Needs pythia8mc and fastjet, which flowtuple itself does not: both are imported only where they are
used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

USAGE = "usage: python tools/make_sample.py SEED NEVENTS OUT"
QCD = (
    "HardQCD:all=on",
    "PhaseSpace:pTHatMin=12.",
    "PhaseSpace:bias2Selection=on",
    "PhaseSpace:bias2SelectionPow=4.",
    "PhaseSpace:bias2SelectionRef=50.",
)
MINIMUM_BIAS = ("SoftQCD:nonDiffractive=on",)
MEAN_PILEUP = 20.0
SOFT_POOL = 800
JET_PT_MIN, JET_ETA_MAX, TRACKER_ETA_MAX = 20.0, 4.7, 2.5
ETA_EDGES, PHI_EDGES = np.linspace(-5, 5, 21), np.linspace(-np.pi, np.pi, 13)
BATCH, CLUSTER_OF_EVENTS, EVENTS_PER_LUMI = 250, 2500, 200
JET = dict.fromkeys(
    ("pt", "eta", "phi", "mass", "area", "chHEF", "neEmEF", "btagScore"), "float32"
)
JET |= {"nConstituents": "uint8", "nMuons": "uint8", "partonFlavour": "int16"}
MANTISSA_BITS = {"area": 10, "chHEF": 8, "neEmEF": 8}
EVENT = {
    "run": "uint32",
    "luminosityBlock": "uint32",
    "event": "uint64",
    "genWeight": "float32",
    "Pileup_nPU": "int32",
}
EVENT |= {"MET_pt": "float32", "MET_phi": "float32", "HLT_Jet80": "bool"}
Doubles = npt.NDArray[np.float64]


class Particles(NamedTuple):
    """The n visible particles of one collision: four-momenta (n, 4) as px py pz E [GeV], and three
    columns of length n.
    """

    p4: Doubles
    pid: npt.NDArray[np.int64]
    charged: npt.NDArray[np.bool_]
    flight: Doubles  # transverse distance of the production vertex from the beam [mm]

    def select(self, which: npt.NDArray[Any]) -> Particles:
        """The particles that a mask (n,) or an array of indices names."""
        return Particles(
            self.p4[which], self.pid[which], self.charged[which], self.flight[which]
        )


class Collision(NamedTuple):
    """One hard collision: its weight, its visible particles, and its partons (m, 4) as PDG id, p_T
    [GeV], eta, phi.
    """

    weight: float
    particles: Particles
    partons: Doubles


def round_mantissa(values: npt.ArrayLike, bits: int) -> npt.NDArray[np.float32]:
    """Values of any shape as float32 with `bits` explicit mantissa bits, rounded half up in
    magnitude, as NanoAOD stores them.

    Example:
        >>> round_mantissa([0.7853982, 1.0], 10).tolist()
        [0.78515625, 1.0]
    """
    dropped = np.uint32(23 - bits)
    half, step = np.uint32(1) << (dropped - np.uint32(1)), np.uint32(1) << dropped
    pattern = np.asarray(values, np.float32).view(np.uint32)
    rounded: npt.NDArray[np.float32] = ((pattern + half) // step * step).view(np.float32)
    return rounded


def resolution(pt: Doubles, eta: Doubles) -> Doubles:
    """Relative jet p_T resolution for p_T [GeV] and eta, all shape (n,): 80 %/sqrt(p_T) and 4 %,
    coarser beyond |eta| = 3.

    Example:
        >>> resolution(np.array([100.0, 100.0]), np.array([0.0, 3.5])).round(3).tolist()
        [0.089, 0.144]
    """
    forward = np.abs(eta) > 3.0
    stochastic, constant = np.where(forward, 1.2, 0.8), np.where(forward, 0.08, 0.04)
    width: Doubles = np.hypot(stochastic / np.sqrt(pt), constant)
    return width


def delta_r(eta: Doubles, phi: Doubles, eta0: float, phi0: float) -> Doubles:
    """Distances in the (eta, phi) plane of n directions from one, shape (n,), with phi periodic.

    Example:
        >>> delta_r(np.array([0.0]), np.array([3.1]), 0.0, -3.1).round(4).tolist()
        [0.0832]
    """
    distance: Doubles = np.hypot(eta - eta0, (phi - phi0 + np.pi) % (2 * np.pi) - np.pi)
    return distance


def _pt_eta_phi(p4: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    pt = np.hypot(p4[:, 0], p4[:, 1])
    return pt, np.arcsinh(p4[:, 2] / pt), np.arctan2(p4[:, 1], p4[:, 0])


def _generator(seed: int, settings: tuple[str, ...]) -> Any:
    """Pythia at 13.6 TeV; hadrons that live longer than c tau = 10 mm stay undecayed, as they would
    reach the detector.
    """
    import pythia8mc  # only making the sample needs it

    pythia = pythia8mc.Pythia("", False)
    common = (
        "Print:quiet=on",
        "Beams:eCM=13600.",
        "ParticleDecays:limitTau0=on",
        "Random:setSeed=on",
        f"Random:seed={seed}",
    )
    for setting in (*common, *settings):
        pythia.readString(setting)
    pythia.init()
    return pythia


def _momenta(particles: Any) -> Doubles:
    return np.stack(
        [ak.to_numpy(ak.flatten(particles.p[axis])) for axis in ("px", "py", "pz", "e")],
        axis=1,
    )


def _final_states(pythia: Any, record: Any) -> list[Particles]:
    """Particles with p_T > 0.3 GeV and |eta| < 5 that leave a signal, one entry for each event of
    the record.
    """
    pt = np.hypot(record.p.px, record.p.py)
    species = abs(record.id)
    invisible = (species == 12) | (species == 14) | (species == 16)
    seen = record[
        (record.status > 0)
        & ~invisible
        & (pt > 0.3)
        & (abs(record.p.pz) < pt * np.sinh(5.0))
    ]
    pid = ak.to_numpy(ak.flatten(seen.id)).astype(np.int64)
    known, where = np.unique(pid, return_inverse=True)
    charged = np.array([pythia.particleData.charge(int(one)) != 0 for one in known])[
        where
    ]
    vertex = seen.vProd
    flight = ak.to_numpy(ak.flatten(ak.fill_none(np.hypot(vertex.px, vertex.py), 0.0)))
    cuts = np.cumsum(ak.to_numpy(ak.num(seen)))[:-1]
    columns = (
        np.split(column, cuts) for column in (_momenta(seen), pid, charged, flight)
    )
    return [Particles(*event) for event in zip(*columns, strict=True)]


def _partons(record: Any) -> list[Doubles]:
    """Quarks and gluons just before hadronisation (Pythia status 71 to 79) above 3 GeV, one array
    for each event.
    """
    status, species = abs(record.status), abs(record.id)
    coloured = (species <= 5) | (species == 21)
    chosen = record[
        (status >= 71)
        & (status <= 79)
        & coloured
        & (np.hypot(record.p.px, record.p.py) > 3.0)
    ]
    rows = np.stack(
        [ak.to_numpy(ak.flatten(chosen.id)), *_pt_eta_phi(_momenta(chosen))], axis=1
    )
    return np.split(rows, np.cumsum(ak.to_numpy(ak.num(chosen)))[:-1])


def _collisions(pythia: Any) -> Iterator[Collision]:
    while True:
        batch = pythia.nextBatch(BATCH)
        weights = ak.to_numpy(batch.info.weights[:, 0]).tolist()
        yield from map(
            Collision, weights, _final_states(pythia, batch.prt), _partons(batch.prt)
        )


def _rotated(soft: Particles, angle: float) -> Particles:
    c, s = np.cos(angle), np.sin(angle)
    px, py, pz, energy = soft.p4.T
    return soft._replace(
        p4=np.stack([c * px - s * py, s * px + c * py, pz, energy], axis=1)
    )


def _overlay(
    hard: Particles, pool: list[Particles], count: int, rng: np.random.Generator
) -> Particles:
    """The hard collision and `count` soft ones at random azimuth, less 95 % of the pile-up tracks
    (they miss the vertex).
    """
    soft = [
        _rotated(pool[k], rng.uniform(-np.pi, np.pi))
        for k in rng.integers(len(pool), size=count)
    ]
    together = Particles(
        *(np.concatenate(column) for column in zip(hard, *soft, strict=True))
    )
    _, eta, _ = _pt_eta_phi(together.p4)
    pileup_track = (
        together.charged
        & (np.abs(eta) < TRACKER_ETA_MAX)
        & (np.arange(len(eta)) >= len(hard.pid))
    )
    return together.select(~(pileup_track & (rng.random(len(eta)) < 0.95)))


def _pileup_density(particles: Particles) -> tuple[float, float]:
    """Median p_T for each unit of (eta, phi) area [GeV], inside and outside the tracker, where
    tracks were removed.
    """
    pt, eta, phi = _pt_eta_phi(particles.p4)
    cells, _, _ = np.histogram2d(eta, phi, (ETA_EDGES, PHI_EDGES), weights=pt)
    cells /= np.diff(ETA_EDGES)[:, None] * np.diff(PHI_EDGES)[None, :]
    inside = np.abs(ETA_EDGES[:-1] + ETA_EDGES[1:]) / 2 < TRACKER_ETA_MAX
    return float(np.median(cells[inside])), float(np.median(cells[~inside]))


def _clustered(particles: Particles) -> tuple[Doubles, list[npt.NDArray[np.int64]]]:
    """Anti-kT jets with R = 0.4 above 8 GeV: rows of pt, eta, phi, mass, active area; and the
    indices of their particles.
    """
    import fastjet  # only making the sample needs it

    inputs = []
    for index, momentum in enumerate(particles.p4.tolist()):
        inputs.append(fastjet.PseudoJet(*momentum))
        inputs[-1].set_user_index(index)
    area = fastjet.AreaDefinition(
        fastjet.active_area, fastjet.GhostedAreaSpec(5.0, 1, 0.01)
    )
    sequence = fastjet.ClusterSequenceArea(
        inputs, fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4), area
    )
    jets = [jet for jet in sequence.inclusive_jets(8.0) if abs(jet.eta()) < JET_ETA_MAX]
    rows = [
        (jet.perp(), jet.eta(), jet.phi_std(), max(jet.m(), 0.0), jet.area())
        for jet in jets
    ]
    members = [np.array([one.user_index() for one in jet.constituents()]) for jet in jets]
    return np.array(rows, np.float64).reshape(-1, 5), members


def _heavy_flavour_score(
    members: Particles, pt: float, eta: float, rng: np.random.Generator
) -> float:
    """Discriminator in (0, 1) from the momentum carried by displaced tracks; -1 where there is no
    track to judge by.
    """
    tracks = members.charged & (members.flight < 30.0)
    if abs(eta) > TRACKER_ETA_MAX or not tracks.any():
        return -1.0
    track_pt = np.hypot(members.p4[tracks, 0], members.p4[tracks, 1])
    displaced = float(np.sum(track_pt * np.tanh(members.flight[tracks] / 2.0))) / pt
    return float(1.0 / (1.0 + np.exp(3.0 - 15.0 * displaced - rng.normal(0.0, 1.2))))


def _parton_flavour(partons: Doubles, eta: float, phi: float) -> int:
    """PDG id of the parton the jet comes from: the hardest b within R = 0.4, else c, else any; 0
    where there is none.
    """
    near = partons[delta_r(partons[:, 2], partons[:, 3], eta, phi) < 0.4]
    if len(near) == 0:
        return 0
    species = np.abs(near[:, 0])
    rank = np.where(species == 5, 2, np.where(species == 4, 1, 0))
    return int(near[np.lexsort((near[:, 1], rank))[-1], 0])


def _composition(members: Particles) -> dict[str, float]:
    """Particle counts and energy fractions of one jet, before any correction (corrections cancel in
    the fractions).
    """
    energy, species = members.p4[:, 3], np.abs(members.pid)
    hadrons = members.charged & (species != 11) & (species != 13)
    return {
        "nConstituents": min(len(energy), 255),
        "chHEF": float(energy[hadrons].sum() / energy.sum()),
        "neEmEF": float(energy[species == 22].sum() / energy.sum()),
        "nMuons": int(np.count_nonzero(species == 13)),
    }


def _jets(
    particles: Particles, partons: Doubles, rng: np.random.Generator
) -> tuple[list[dict[str, float]], Doubles]:
    """Reconstructed jets of one event, hardest first, and the p_x, p_y [GeV] that smearing added to
    all of them.
    """
    rows, members = _clustered(particles)
    pt, eta, phi, mass, area = rows.T
    inside, outside = _pileup_density(particles)
    corrected = np.maximum(
        pt - area * np.where(np.abs(eta) < TRACKER_ETA_MAX, inside, outside), 1.0
    )
    smeared = corrected * np.maximum(rng.normal(1.0, resolution(corrected, eta)), 0.05)
    added = np.array(
        [
            np.sum((smeared - corrected) * np.cos(phi)),
            np.sum((smeared - corrected) * np.sin(phi)),
        ]
    )
    jets = []
    for k in np.argsort(-smeared, kind="stable"):
        if smeared[k] < JET_PT_MIN:
            break
        inputs = particles.select(members[k])
        jet = {
            "pt": smeared[k],
            "eta": eta[k],
            "phi": phi[k],
            "mass": mass[k] * smeared[k] / pt[k],
            "area": area[k],
        }
        score = _heavy_flavour_score(inputs, float(pt[k]), float(eta[k]), rng)
        flavour = _parton_flavour(partons, float(eta[k]), float(phi[k]))
        jets.append(
            jet | _composition(inputs) | {"btagScore": score, "partonFlavour": flavour}
        )
    return jets, added


def _events(
    seed: int, count: int
) -> Iterator[tuple[dict[str, float], list[dict[str, float]]]]:
    """`count` events in turn: the event's own columns, and its jets."""
    rng = np.random.default_rng(seed)
    minimum_bias = _generator(seed + 1, MINIMUM_BIAS)
    pool = _final_states(minimum_bias, minimum_bias.nextBatch(SOFT_POOL).prt)
    for index, hard in zip(
        range(count), _collisions(_generator(seed, QCD)), strict=False
    ):
        pileup = int(rng.poisson(MEAN_PILEUP))
        particles = _overlay(hard.particles, pool, pileup, rng)
        jets, added = _jets(particles, hard.partons, rng)
        missing_x, missing_y = -particles.p4[:, :2].sum(axis=0) - added
        online = max((jet["pt"] for jet in jets), default=0.0) * rng.normal(1.0, 0.05)
        event = {
            "run": 1,
            "luminosityBlock": index // EVENTS_PER_LUMI + 1,
            "event": index + 1,
            "genWeight": hard.weight,
            "Pileup_nPU": pileup,
            "MET_pt": np.hypot(missing_x, missing_y),
            "MET_phi": np.arctan2(missing_y, missing_x),
            "HLT_Jet80": online > 80.0,
        }
        yield event, jets


def _columns(
    events: list[dict[str, float]], jets: list[list[dict[str, float]]]
) -> dict[str, Any]:
    """Return what uproot writes: event branches as columns, jets as a ragged record array."""
    flat = {
        name: np.array([event[name] for event in events]).astype(dtype)
        for name, dtype in EVENT.items()
    }
    counts = [len(event) for event in jets]
    ragged = {}
    for name, dtype in JET.items():
        values = np.array([jet[name] for event in jets for jet in event]).astype(dtype)
        bits = MANTISSA_BITS.get(name)
        ragged[name] = ak.unflatten(
            values if bits is None else round_mantissa(values, bits), counts
        )
    return flat | {"Jet": ak.zip(ragged)}


def _write(out: str, columns: dict[str, Any]) -> None:
    weights = columns["genWeight"].astype(np.float64)
    jet_type = (
        "var * {" + ", ".join(f'"{name}": {dtype}' for name, dtype in JET.items()) + "}"
    )
    with uproot.recreate(out, compression=uproot.LZMA(9)) as file:
        events = file.mktree(
            "Events",
            EVENT | {"Jet": jet_type},
            title="QCD dijets, 13.6 TeV; momenta in GeV, angles in rad",
        )
        for start in range(0, len(weights), CLUSTER_OF_EVENTS):
            events.extend(
                {
                    name: column[start : start + CLUSTER_OF_EVENTS]
                    for name, column in columns.items()
                }
            )
        runs = file.mktree(
            "Runs", {"run": "uint32", "genEventCount": "int64", "genEventSumw": "float64"}
        )
        counted = {
            "genEventCount": np.array([len(weights)]),
            "genEventSumw": weights.sum(keepdims=True),
        }
        runs.extend({"run": np.ones(1, np.uint32)} | counted)
        file["pileup"] = np.histogram(columns["Pileup_nPU"], bins=40, range=(0, 40))


def main(arguments: list[str]) -> None:
    """Generate NEVENTS events from SEED and write OUT; the same versions of the packages give the
    same values again.

    Raises:
        SystemExit: The arguments are not SEED NEVENTS OUT, with two positive integers.

    Example:
        >>> main(["1"])
        Traceback (most recent call last):
        SystemExit: usage: python tools/make_sample.py SEED NEVENTS OUT
    """
    if len(arguments) != 3 or not all(
        number.isdecimal() and int(number) > 0 for number in arguments[:2]
    ):
        raise SystemExit(USAGE)
    seed, count, out = int(arguments[0]), int(arguments[1]), arguments[2]
    events: list[dict[str, float]] = []
    jets: list[list[dict[str, float]]] = []
    for event, its_jets in _events(seed, count):
        events.append(event)
        jets.append(its_jets)
        if len(events) % 500 == 0:
            print(
                f"{len(events)} of {count} events, {sum(map(len, jets))} jets", flush=True
            )
    _write(out, _columns(events, jets))


if __name__ == "__main__":
    main(sys.argv[1:])
