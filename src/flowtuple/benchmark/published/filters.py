"""Cuts that leave rows out before a method is fitted, with a count for each cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from flowtuple.benchmark.published.options import UNITS
from flowtuple.benchmark.published.presets import reference_preset
from flowtuple.data.expressions import evaluate
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument


def cut_rows(
    rows: Rows, cuts: Sequence[str], columns: Mapping[str, Array] | None = None
) -> tuple[Rows, dict[str, int]]:
    """Return the rows that pass every cut, and the rows that each cut left out after those before.

    Args:
        rows: All rows.
        cuts: Expressions as in `flowtuple.data.expressions.apply_cut`.
        columns: Columns of the cuts, shape (n,) each, by name; without it the rows' own columns.

    Raises:
        InvalidArgument: An expression is no cut, names no column, or leaves no row.

    Example:
        >>> rows = Rows("x", ("x",), np.array([[1.0], [2.0], [9.0]]), np.arange(3), 3)
        >>> some, left_out = cut_rows(rows, ["x > 1.5", "x < 5"])
        >>> some.values.tolist(), left_out
        ([[2.0]], {'x > 1.5': 1, 'x < 5': 1})
    """
    inputs = (
        dict(zip(rows.columns, rows.values.T, strict=True))
        if columns is None
        else columns
    )
    left_out: dict[str, int] = {}
    keep = np.ones(len(rows), bool)
    for cut in cuts:
        passes = evaluate(cut, inputs, rows.source)
        left_out[cut] = left_out.get(cut, 0) + int((keep & ~passes).sum())
        keep &= passes
        if not keep.any():
            raise InvalidArgument(
                f"{rows.source}: the cut {cut!r} leaves no row; widen it, or check the unit"
            )
    return rows.some(keep), left_out


@dataclass(frozen=True)
class EventFilter:
    """Choice of the rows of an input, as the file of a method stores it.

    Attributes:
        preset: A published set of variables with its cuts; empty for none.
        cuts: Further cuts.
        unit: Unit of energies in the input, for the cuts of the preset: GeV or MeV.
    """

    preset: str = ""
    cuts: tuple[str, ...] = ()
    unit: str = "GeV"

    def __bool__(self) -> bool:
        return bool(self.preset or self.cuts)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the filter that `to_json` described.

        Raises:
            ValueError: It describes none.
        """
        preset, cuts, unit = content["preset"], tuple(content["cuts"]), content["unit"]
        if (
            not all(isinstance(text, str) for text in (preset, *cuts))
            or unit not in UNITS
        ):
            raise ValueError("its rows were chosen by what is no cut")
        return cls(preset, cuts, unit)

    def to_json(self) -> dict[str, Any]:
        """Return plain text for `json.dumps`."""
        return vars(self) | {"cuts": list(self.cuts)}

    def apply(self, rows: Rows) -> tuple[Rows, dict[str, int]]:
        """Return the rows that pass, and the number left out by each cut, the preset's first.

        Args:
            rows: Rows of the coded columns, and no others.

        Raises:
            InvalidArgument: There is no such preset, the rows lack a variable of it, or as in
                `cut_rows`.

        Example:
            >>> values = np.array([[0.0, 9, 1, 2], [3, 9, 1, 2]])
            >>> rows = Rows("x", ("m", "pt", "phi", "eta"), values, np.arange(2), 2)
            >>> EventFilter("jets4").apply(rows)[1]
            {'abs(m) > 1e-9': 1}
        """
        published: dict[str, int] = {}
        if self.preset:
            variables = reference_preset(self.preset)
            columns = variables.find(rows.columns, rows.source)
            rows, published = cut_rows(
                rows, variables.cuts, variables.values(rows, columns, self.unit)
            )
        rows, further = cut_rows(rows, self.cuts)
        return rows, {
            cut: published.get(cut, 0) + further.get(cut, 0)
            for cut in published | further
        }


EVERY_ROW = EventFilter()
