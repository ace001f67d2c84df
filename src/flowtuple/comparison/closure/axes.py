"""Binning of figures: p_T, |eta|, numbers of the event, and kinds of generated objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.comparison.folds import bin_numbers
from flowtuple.data.schema import Array

# GeV. Fine where the efficiency rises, from 10 to 25; then as wide as there are objects.
# fmt: off
TURN_ON = (
    3, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22.5, 25, 30, 40, 60, 100, 200, 500, 1000, 7000
)
# fmt: on
PT = (3, 5, 10, 12, 15, 20, 25, 40, 60, 100, 200, 7000)
ABS_ETA = (0, 0.4, 0.8, 1.3, 1.7, 2.1, 2.5, 3, 4, 5)
REGIONS = (0, 1.3, 2.5, 5)
_MEV = 1000.0
_EVENT_BINS = 8
_KINDS = ("b", "c", "light", "gluon", "other")


@dataclass(frozen=True)
class Axis:
    """Bins of a quantity; the last holds its upper edge.

    Attributes:
        label: The quantity, such as `GenJet_pt` or `|GenJet_eta|`.
        edges: k + 1 increasing edges of k bins.
        names: Names of the bins; empty where their edges are their names.
        open: True if values beyond the ends count to the outermost bins.
    """

    label: str
    edges: tuple[float, ...]
    names: tuple[str, ...] = ()
    open: bool = False

    def __len__(self) -> int:
        return len(self.edges) - 1

    def place(self, values: Array) -> Array:
        """Return the bin of each value, -1 outside."""
        if self.open:
            values = np.clip(values, self.edges[0], self.edges[-1])
        return bin_numbers(values, self.edges)

    def name(self, k: int) -> str:
        """Return the name of bin k."""
        return (
            self.names[k] if self.names else f"{self.edges[k]:g} to {self.edges[k + 1]:g}"
        )


@dataclass(frozen=True)
class AxisGrid:
    """Bins along one axis, for each of several parts.

    Attributes:
        along: The axis of a figure.
        parts: The axis that separates the parts; `None` for one part, which is everything.
    """

    along: Axis
    parts: Axis | None = None

    @property
    def label(self) -> str:
        """The quantities in words: `GenJet_pt and |GenJet_eta|`."""
        parts = "" if self.parts is None else f" and {self.parts.label}"
        return f"{self.along.label}{parts}"

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts; an empty name for everything."""
        if self.parts is None:
            return ("",)
        return tuple(self.parts.name(k) for k in range(len(self.parts)))

    @property
    def cells(self) -> int:
        """Number of cells, part after part."""
        return len(self.along) * len(self.part_names)

    def place(self, columns: Mapping[str, Array]) -> Array:
        """Return the cell of each row, -1 outside; columns by the labels of the axes."""
        along = self.along.place(columns[self.along.label])
        if self.parts is None:
            return along
        part = self.parts.place(columns[self.parts.label])
        return np.where((along >= 0) & (part >= 0), part * len(self.along) + along, -1)


def pt_axes(label: str, pt: Array) -> tuple[Axis, Axis]:
    """Return the fine axis of p_T and the one for figures in parts.

    Args:
        label: Column of p_T.
        pt: Values that decide the unit: MeV where none lies below 1000, else GeV.

    Example:
        >>> pt_axes("GenJet_pt", np.array([12000.0, 35000.0]))[1].edges[:3]
        (3000.0, 5000.0, 10000.0)
    """
    unit = _MEV if len(pt) and pt.min() > _MEV else 1.0
    fine, coarse = (
        Axis(label, tuple(unit * edge for edge in edges)) for edges in (TURN_ON, PT)
    )
    return fine, coarse


def event_axis(label: str, values: Array) -> Axis | None:
    """Return at most eight bins with about equal numbers of rows, open at the ends.

    Whole numbers lie in the middle of a bin. `None` if there is only one value.

    Example:
        >>> event_axis("Pileup_nPU", np.array([3, 3, 4, 5])).edges
        (2.5, 3.5, 4.5, 5.5)
    """
    levels = np.unique(values)
    if len(levels) < 2:
        return None
    shares = np.linspace(0, 1, _EVENT_BINS + 1)
    if values.dtype.kind not in "iu":
        edges = np.unique(np.quantile(values, shares))
    elif len(levels) <= _EVENT_BINS:
        edges = np.append(levels - 0.5, levels[-1] + 0.5)
    else:
        inner = np.quantile(values, shares[1:-1], method="inverted_cdf")
        edges = np.unique([levels[0] - 0.5, *(inner + 0.5), levels[-1] + 0.5])
    return Axis(label, tuple(map(float, edges)), open=True) if len(edges) > 2 else None


def kinds(flavour: Array) -> Array:
    """Return kinds of flavours as numbers: b (5), c (4), light (1 to 3), gluon (21), others.

    Example:
        >>> kinds(np.array([-5, 4, 2, 21, 0])).tolist()
        [0, 1, 2, 3, 4]
    """
    size = np.abs(flavour.astype(np.int64))
    return np.select(
        [size == 5, size == 4, (size >= 1) & (size <= 3), size == 21], [0, 1, 2, 3], 4
    )


def kind_axis(columns: Sequence[str], flavours: Sequence[Array]) -> Axis | None:
    """Return the axis of the column that separates most kinds; `None` if none separates two.

    Where no light quark and no gluon has a number of its own, as with hadron flavour, 0 means both.

    Example:
        >>> kind_axis(["GenJet_hadronFlavour"], [np.array([5, 0, 4])]).names
        ('b', 'c', 'light', 'gluon', 'light or gluon')
    """
    present = {
        column: set(np.unique(kinds(flavour)).tolist())
        for column, flavour in zip(columns, flavours, strict=True)
    }
    best = max(present, key=lambda column: len(present[column]), default="")
    if len(present.get(best, ())) < 2:
        return None
    names = _KINDS if present[best] & {2, 3} else (*_KINDS[:-1], "light or gluon")
    return Axis(best, tuple(k - 0.5 for k in range(len(names) + 1)), names)
