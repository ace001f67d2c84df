"""Figures of decoded values and their originals that several pages share."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowtuple.comparison.fidelity import dijet_masses
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.reporting import plots
from flowtuple.reporting.page import Block, Figure, Heading, two_digits

PLOTTED_COLUMNS = 24


@dataclass(frozen=True, eq=False)
class Dijet:
    """Invariant mass of the first two objects of each event; shift = (after - before) / before.

    Attributes:
        collection: Name of the collection.
        events: Number of events with two objects.
        left_out: Events of these without a shift: their mass is 0 before, or not finite before or
            after.
        mean: Mean shift; NaN, as are the others, where no event has one.
        width: Standard deviation of the shift.
        largest: Largest |shift|.
        median: Median |shift|.
        before: Masses of the original events.
        after: Masses of the decoded events.
    """

    collection: str
    events: int
    left_out: int
    mean: float
    width: float
    largest: float
    median: float
    before: Array = field(repr=False)
    after: Array = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the figures without the masses."""
        names = ("collection", "events", "left_out", "mean", "width", "largest")
        return {name: getattr(self, name) for name in names}


def dijet(original: Table, decoded: Table) -> Dijet | None:
    """Return the shift of the mass of the first two jets; `None` without a collection of jets."""
    masses, decoded_masses = dijet_masses(original), dijet_masses(decoded)
    if masses is None or decoded_masses is None or not np.isfinite(masses[1]).any():
        return None
    (collection, before), after = masses, decoded_masses[1]
    defined = np.isfinite(before) & np.isfinite(after) & (before > 0)
    shift = np.array([np.nan])
    if defined.any():
        shift = (after[defined] - before[defined]) / before[defined]
    size = np.abs(shift)
    return Dijet(
        collection,
        events=len(before),
        left_out=int((~defined).sum()),
        mean=float(shift.mean()),
        width=float(shift.std()),
        largest=float(size.max()),
        median=float(np.median(size)),
        before=before,
        after=after,
    )


def dijet_card(pair: Dijet, table: str = "") -> list[Block]:
    """Draw the mass of a pair; `table` is the name of its table where there are several."""
    name, left_out = pair.collection, ""
    if pair.left_out:
        left_out = (
            f", {pair.left_out:,} of them left out of the figures: "
            "a mass of 0, or one that is not finite"
        )
    label = f"Mass of the two leading {plots.shorten(name, 20)} (unit of its pt)"
    about = (
        f"{pair.events:,} events with two or more{left_out}. (after − before) / before: "
        f"mean {two_digits(pair.mean)}, width {two_digits(pair.width)}, "
        f"median size {two_digits(pair.median)}, largest {two_digits(pair.largest)}."
    )
    return [
        Heading(f"Mass of the two leading {name} {table}".strip(), about, 3),
        Figure(
            plots.overlay_svg(pair.before, pair.after, label),
            f"Invariant mass of the two leading {name}, original against decompressed, "
            "with their ratio below.",
        ),
    ]


def column_figures(
    name: str,
    original: Array,
    decoded: Array,
    differences: Sequence[Figure],
    response: bool = True,
) -> list[Figure]:
    """Draw a column before and after, and its response where that is defined.

    Args:
        name: Name of the column.
        original: Numbers of any shape, not all of them NaN or infinite.
        decoded: Numbers of the same shape.
        differences: Drawings of the difference, in between.
        response: False to leave the response out.
    """
    overlay = (
        f"Histogram of {name}, original against decompressed, with their ratio below."
    )
    figures = [Figure(plots.overlay_svg(original, decoded, name), overlay), *differences]
    if response:
        with contextlib.suppress(InvalidArgument):  # where none is defined
            drawing = plots.response_svg(original, decoded, name)
            words = f"Histogram of the response of {name}: difference over original."
            figures.append(Figure(drawing, words))
    return figures
