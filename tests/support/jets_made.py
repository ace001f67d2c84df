"""Jets with a known efficiency and response: generated ones, reconstructed ones, and some without a
partner.
"""

from __future__ import annotations

import awkward as ak
import numpy as np

EFFICIENCY, SCALE, WIDTH, EXTRAS = 0.8, 0.9, 0.1, 0.5
FLAVOURS = np.array([5, -4, 1, 21, 0], np.int32)


def events(
    n: int,
    seed: int,
    *,
    efficiency: float = EFFICIENCY,
    scale: float = SCALE,
    width: float = WIDTH,
    extras: float = EXTRAS,
) -> ak.Array:
    """Jets of 20 to 55 GeV found with an efficiency and a response, and jets without a partner at
    the end of each event.
    """
    draw = np.random.default_rng(seed)
    counts = draw.poisson(2.0, n)
    m = int(counts.sum())
    pt, eta, phi = (
        draw.uniform(20, 55, m),
        draw.uniform(-2.4, 2.4, m),
        draw.uniform(-3, 3, m),
    )
    found = draw.random(m) < efficiency
    number = np.arange(m) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = np.repeat(np.arange(n), counts)
    more = np.repeat(np.arange(n), draw.poisson(extras, n))
    k = len(more)
    own = {
        "event": np.concatenate([entry[found], more]),
        "genJetIdx": np.concatenate([number[found], np.full(k, -1)]).astype("i4"),
        "pt": np.concatenate(
            [pt[found] * draw.normal(scale, width, found.sum()), draw.uniform(15, 60, k)]
        ),
        "eta": np.concatenate([eta[found], draw.uniform(-2.4, 2.4, k)]),
        "phi": np.concatenate([phi[found], draw.uniform(-3, 3, k)]),
    }
    order = np.argsort(own["event"], kind="stable")
    own = {name: content[order] for name, content in own.items()}
    jets = np.bincount(own.pop("event"), minlength=n)
    fields = {f"Jet_{name}": ak.unflatten(content, jets) for name, content in own.items()}
    fields["Jet_mass"] = 0.1 * fields["Jet_pt"]
    given = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "partonFlavour": FLAVOURS[draw.integers(0, 5, m)],
    }
    fields |= {
        f"GenJet_{name}": ak.unflatten(content, counts) for name, content in given.items()
    }
    return ak.zip(
        {**fields, "Pileup_nPU": draw.poisson(10, n).astype("i4")}, depth_limit=1
    )


def folded(sample: ak.Array, times: int) -> ak.Array:
    """Each event so many times over, as `simulate --oversample` writes folds."""
    copies = sample[np.repeat(np.arange(len(sample)), times)]
    return ak.with_field(
        copies, np.tile(np.arange(times, dtype="i4"), len(sample)), "fold"
    )
