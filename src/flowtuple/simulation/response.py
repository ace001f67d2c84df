"""What is learned in place of a reconstructed quantity: how it differs from the generated one, in units of the resolution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.simulation.cells import Cells, find_cells

Kind = Literal["ratio", "difference", "turn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_TURN = 2 * math.pi
_CORE = 3.0  # widths below the median at which the core of a response begins
_LARGEST_ANGLE = np.nextafter(np.float32(np.pi), np.float32(0))  # float32(pi) itself lies beyond pi


@dataclass(frozen=True)
class Response:
    """A reconstructed column as a function of the partner's, and back: an invertible pair, declared and kept as data.

    Attributes:
        column: The reconstructed column, such as `Jet_pt`.
        partner: The generated one, such as `GenJet_pt`.
        kind: `ratio`, (reco - floor) / gen; `difference`, reco - gen; `turn`, the difference of two angles in [-pi, pi).
        floor: What a ratio is counted from, so that a threshold of the reconstruction stays sharp whatever gen is.
        cells: Median and half of the central 68 % in cells of generated objects, which the response is counted in: what is
            learned then has one shape for all of them, and widths that change at an edge of the detector are right from the
            beginning. `None` for the response as it is.

    Example:
        >>> above = Response("Jet_pt", "GenJet_pt", "ratio", floor=15.0)
        >>> ratio = above.forward(np.array([30.0]), {"GenJet_pt of partner": np.array([25.0])})
        >>> ratio, above.inverse(ratio, {"GenJet_pt of partner": np.array([25.0])})
        (array([0.6]), array([30.]))
    """

    column: str
    partner: str
    kind: Kind
    floor: float = 0.0
    cells: Cells | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidArgument(
                f"column {self.column!r}: there is no response {self.kind!r}; write {', '.join(KINDS)}"
            )

    @property
    def name(self) -> str:
        """What the learned column is called, in the manner of NanoAOD: `Jet_ptRatio`, `Jet_phiMinusGen`."""
        return self.column + ("Ratio" if self.kind == "ratio" else "MinusGen")

    def forward(self, reco: Array, partners: Mapping[str, Array]) -> Array:
        """What is learned: float64 of shape (n,).

        Args:
            reco: The reconstructed quantity, shape (n,).
            partners: What is known of the partners, columns named as in `conditions.of_themselves`, of shape (n,).
        """
        gen, reco = self._generated(partners), reco.astype(np.float64)
        if self.cells is None:
            return self._plain(reco - self.floor, gen)
        return _in_widths(self._plain(reco, gen), *self._core(self.cells.figure(partners), gen))

    def inverse(self, learned: Array, partners: Mapping[str, Array]) -> Array:
        """The reconstructed quantity: float64 of shape (n,); angles in [-pi, pi]."""
        learned, gen = learned.astype(np.float64), self._generated(partners)
        if self.cells is None:
            return self._restored(learned, gen) + self.floor
        return self._restored(
            _from_widths(learned, *self._core(self.cells.figure(partners), gen)), gen
        )

    def in_cells(
        self, reco: Array, partners: Mapping[str, Array], names: Iterable[str]
    ) -> Response:
        """The response with cells found in these pairs; as it is where they are few, or of no width in a cell.

        Args:
            reco: The reconstructed quantity, shape (n,).
            partners: As for `forward`.
            names: The columns among these to cut in.
        """
        plain = self._plain(reco.astype(np.float64), self._generated(partners))
        partners = {name: partners[name] for name in names}
        first = find_cells(partners, plain)
        if first is None:
            return self
        away = np.abs(plain - first.described(partners, plain, _spread).figure(partners)[:, 0])
        cells = find_cells(partners, np.log(away + 1e-6 * np.std(away) + np.finfo(float).tiny))
        cells = None if cells is None else cells.described(partners, plain, _spread)
        wide = cells is not None and all(f[1] > 0 for f in cells.figures if f)
        return replace(self, cells=cells) if wide else self

    def _generated(self, partners: Mapping[str, Array]) -> Array:
        gen: Array = partners[of_partner(self.partner)].astype(np.float64)
        return gen

    def _plain(self, reco: Array, gen: Array) -> Array:
        """Ratio, difference or turn."""
        if self.kind == "ratio":
            return reco / gen
        return reco - gen if self.kind == "difference" else turned(reco - gen)

    def _restored(self, plain: Array, gen: Array) -> Array:
        if self.kind == "ratio":
            return plain * gen
        return gen + plain if self.kind == "difference" else as_angle(gen + plain)

    def _core(self, figures: Array, gen: Array) -> tuple[Array, Array, Array]:
        """Of each response where its core begins, its width, and where it ends: at a threshold of the ratio, or nowhere."""
        middle, width = figures.T
        end = self.floor / gen if self.floor else np.full(len(gen), -np.inf)
        return np.maximum(middle - _CORE * width, end), width, end


def of_partner(column: str) -> str:
    """What a column of the partner is called among conditions."""
    return f"{column} of partner"


def response_from_json(data: Mapping[str, Any]) -> Response:
    """A response from what `dataclasses.asdict` made of it."""
    return Response(**{**data, "cells": Cells.from_json(data.get("cells"))})


def _spread(response: Array) -> tuple[float, float]:
    """Median and half of the central 68 %."""
    low, middle, high = np.quantile(response, [0.16, 0.5, 0.84])
    return float(middle), float(high - low) / 2


def _in_widths(response: Array, begin: Array, width: Array, end: Array) -> Array:
    """Widths from where the core begins; what lies between a sharp end and there goes to [-3, 0), so that the end stays one."""
    above = (response - begin) / width
    return np.where(
        (above < 0) & np.isfinite(end), _CORE * (response - begin) / _gap(begin, end), above
    )


def _from_widths(learned: Array, begin: Array, width: Array, end: Array) -> Array:
    """The inverse of `_in_widths`; what was drawn beyond a sharp end comes to lie on it."""
    below = np.maximum(begin + learned * _gap(begin, end) / _CORE, end)
    return np.where((learned < 0) & np.isfinite(end), below, begin + learned * width)


def _gap(begin: Array, end: Array) -> Array:
    """From the sharp end to the core: 1 where there is no such end, or the core begins at it and all lies above."""
    return np.where(
        np.isfinite(end) & (begin > end), begin - np.where(np.isfinite(end), end, 0.0), 1.0
    )


def turned(difference: Array) -> Array:
    """An angle's equal in [-pi, pi)."""
    out: Array = (difference + math.pi) % _TURN - math.pi
    return out


def as_angle(angle: Array) -> Array:
    """An angle's equal that float32 keeps in [-pi, pi]."""
    out: Array = np.clip(turned(angle), -_LARGEST_ANGLE, _LARGEST_ANGLE)
    return out
