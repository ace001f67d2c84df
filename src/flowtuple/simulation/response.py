"""What is learned in place of a reconstructed quantity: how it differs from the generated one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from flowtuple.errors import InvalidArgument
from flowtuple.schema import Array

Kind = Literal["ratio", "difference", "turn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_TURN = 2 * math.pi
_LARGEST_ANGLE = np.nextafter(np.float32(np.pi), np.float32(0))  # float32(pi) itself lies beyond pi


@dataclass(frozen=True)
class Response:
    """A reconstructed column as a function of the partner's, and back: an invertible pair, declared and kept as data.

    Attributes:
        column: The reconstructed column, such as `Jet_pt`.
        partner: The generated one, such as `GenJet_pt`.
        kind: `ratio`, (reco - floor) / gen; `difference`, reco - gen; `turn`, the difference of two angles in [-pi, pi).
        floor: What a ratio is counted from, so that a threshold of the reconstruction stays sharp whatever gen is.

    Example:
        >>> above = Response("Jet_pt", "GenJet_pt", "ratio", floor=15.0)
        >>> ratio = above.forward(np.array([30.0]), np.array([25.0]))
        >>> ratio, above.inverse(ratio, np.array([25.0]))
        (array([0.6]), array([30.]))
    """

    column: str
    partner: str
    kind: Kind
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidArgument(f"column {self.column!r}: there is no response {self.kind!r}; write {', '.join(KINDS)}")

    @property
    def name(self) -> str:
        """What the learned column is called, in the manner of NanoAOD: `Jet_ptRatio`, `Jet_phiMinusGen`."""
        return self.column + ("Ratio" if self.kind == "ratio" else "MinusGen")

    def forward(self, reco: Array, gen: Array) -> Array:
        """What is learned: float64 of their shape."""
        reco, gen = reco.astype(np.float64), gen.astype(np.float64)
        if self.kind == "ratio":
            return (reco - self.floor) / gen
        return reco - gen if self.kind == "difference" else turned(reco - gen)

    def inverse(self, learned: Array, gen: Array) -> Array:
        """The reconstructed quantity: float64 of their shape; angles in [-pi, pi]."""
        learned, gen = learned.astype(np.float64), gen.astype(np.float64)
        if self.kind == "ratio":
            return learned * gen + self.floor
        return gen + learned if self.kind == "difference" else as_angle(gen + learned)


def turned(difference: Array) -> Array:
    """An angle's equal in [-pi, pi)."""
    out: Array = (difference + math.pi) % _TURN - math.pi
    return out


def as_angle(angle: Array) -> Array:
    """An angle's equal that float32 keeps in [-pi, pi]."""
    out: Array = np.clip(turned(angle), -_LARGEST_ANGLE, _LARGEST_ANGLE)
    return out
