"""Response: a reconstructed quantity relative to the generated one, in units of the resolution.

This is where a jet's p_T is predicted from its generated jet. `Response("Jet_pt", "GenJet_pt",
"ratio")` turns the pair into the number that a density learns (`forward`), and a number that was
drawn back into the jet's p_T (`inverse`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.separation import wrap_angle
from flowtuple.errors import InvalidArgument
from flowtuple.simulation.cells import Cells, find_cells

Kind = Literal["ratio", "difference", "turn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_CORE = 3.0  # widths below the median at which the core of a response begins
# float32(pi) lies beyond pi
_LARGEST_ANGLE = np.nextafter(np.float32(np.pi), np.float32(0))


@dataclass(frozen=True)
class Response:
    """An invertible map between a reconstructed column and what is learned, given the partner's.

    Attributes:
        column: The reconstructed column, such as `Jet_pt`.
        partner: The generated column, such as `GenJet_pt`.
        kind: `ratio`, reco / gen; `difference`, reco - gen; `turn`, the difference of two angles in
            [-pi, pi).
        floor: Threshold of the reconstruction, for a ratio: it stays sharp whatever gen is. Without
            cells the learned number is (reco - floor) / gen; with cells, floor / gen is the sharp
            lower end of reco / gen.
        cells: Median m and half w of the central 68 % of the response in cells of generated
            objects. The learned number is (response - b) / w with the beginning b of the core: m -
            3 w, or the sharp end where that is higher. Responses between the end and b become
            [-3, 0). So the number has one shape in all cells, and widths that change at an edge of
            the detector are right from the beginning. `None` learns the response as it is, less
            the floor.

    Example:
        >>> response = Response("Jet_pt", "GenJet_pt", "ratio", floor=15.0)
        >>> partners = {"GenJet_pt of partner": np.array([25.0])}
        >>> ratio = response.forward(np.array([30.0]), partners)
        >>> ratio, response.inverse(ratio, partners)
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
                f"column {self.column!r}: there is no response {self.kind!r}; "
                f"write {', '.join(KINDS)}"
            )

    @property
    def name(self) -> str:
        """Name of the learned column, as NanoAOD names such: `Jet_ptRatio`, `Jet_phiMinusGen`."""
        return self.column + ("Ratio" if self.kind == "ratio" else "MinusGen")

    def forward(self, reco: Array, partners: Mapping[str, Array]) -> Array:
        """Return the learned number: float64 of shape (n,).

        Args:
            reco: The reconstructed quantity, shape (n,).
            partners: Columns of the partners by the names of `conditions.partner_columns`, each of
                shape (n,).
        """
        gen, reco = self._generated(partners), reco.astype(np.float64)
        if self.cells is None:
            return self._plain(reco - self.floor, gen)
        begin, width, _, units, gap = self._core(self.cells.figure(partners), gen)
        offset = self._plain(reco, gen) - begin
        return np.where(offset < 0, units * offset / gap, offset / width)

    def inverse(self, learned: Array, partners: Mapping[str, Array]) -> Array:
        """Return the reconstructed quantity: float64 of shape (n,); angles in [-pi, pi]."""
        gen, learned = self._generated(partners), learned.astype(np.float64)
        if self.cells is None:
            return self._reconstructed(learned, gen) + self.floor
        begin, width, end, units, gap = self._core(self.cells.figure(partners), gen)
        # A draw beyond a sharp end comes to lie on it.
        below = np.maximum(begin + learned * gap / units, end)
        return self._reconstructed(
            np.where(learned < 0, below, begin + learned * width), gen
        )

    def in_cells(
        self, reco: Array, partners: Mapping[str, Array], names: Iterable[str]
    ) -> Response:
        """Return the response with cells that are fitted to these pairs.

        Args:
            reco: The reconstructed quantity, shape (n,).
            partners: Columns of the partners, as for `forward`.
            names: The columns among them to cut in.

        Returns:
            The response as it is where there are too few pairs, or a cell without width.
        """
        plain = self._plain(reco.astype(np.float64), self._generated(partners))
        partners = {name: partners[name] for name in names}
        first = find_cells(partners, plain)
        if first is None:
            return self
        # A second tree cuts where the width changes: its target is the distance from the median.
        median = first.with_figures(partners, plain, _spread).figure(partners)[:, 0]
        distance = np.abs(plain - median)
        tiny = 1e-6 * np.std(distance) + np.finfo(float).tiny
        cells = find_cells(partners, np.log(distance + tiny))
        if cells is None:
            return self
        cells = cells.with_figures(partners, plain, _spread)
        wide = all(figures[1] > 0 for figures in cells.figures if figures)
        return replace(self, cells=cells) if wide else self

    def _generated(self, partners: Mapping[str, Array]) -> Array:
        return np.asarray(partners[partner_name(self.partner)].astype(np.float64))

    def _plain(self, reco: Array, gen: Array) -> Array:
        """Return ratio, difference or turn."""
        if self.kind == "ratio":
            return reco / gen
        return reco - gen if self.kind == "difference" else wrap_angle(reco - gen)

    def _reconstructed(self, plain: Array, gen: Array) -> Array:
        """Return the inverse of `_plain`."""
        if self.kind == "ratio":
            return plain * gen
        return gen + plain if self.kind == "difference" else as_angle(gen + plain)

    def _core(
        self, figures: Array, gen: Array
    ) -> tuple[Array, Array, Array | float, float, Array]:
        """Return where the core of each response begins, its width, and the scale below it.

        The scale is the sharp lower end, and how many units its distance to the core is divided
        into, so that the end stays sharp. Without a floor it is the width, down to minus infinity.
        """
        middle, width = figures.T
        begin = middle - _CORE * width
        if not self.floor:
            return begin, width, -np.inf, 1.0, width
        end = self.floor / gen
        begin = np.maximum(begin, end)
        return begin, width, end, _CORE, np.where(begin > end, begin - end, 1.0)


def partner_name(column: str) -> str:
    """Return the name that a column of the partner has among the conditions."""
    return f"{column} of partner"


def response_from_json(data: Mapping[str, Any]) -> Response:
    """Return the response that `dataclasses.asdict` described."""
    return Response(**{**data, "cells": Cells.from_json(data.get("cells"))})


def _spread(response: Array) -> tuple[float, float]:
    """Return median and half of the central 68 %."""
    low, middle, high = np.quantile(response, [0.16, 0.5, 0.84])
    return float(middle), float(high - low) / 2


def as_angle(angle: Array) -> Array:
    """Return the equal of an angle that stays in [-pi, pi] as float32."""
    return np.clip(wrap_angle(angle), -_LARGEST_ANGLE, _LARGEST_ANGLE)
