"""Rows left out before a method is fitted to the rest, and how many by which cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowtuple.cut import evaluate
from flowtuple.errors import InvalidArgument
from flowtuple.rows import Rows
from flowtuple.schema import Array


def cut_rows(rows: Rows, cuts: Sequence[str], columns: Mapping[str, Array] | None = None) -> tuple[Rows, dict[str, int]]:
    """The rows that pass every cut, and how many each of them left out of those that passed all before it.

    Args:
        rows: All.
        cuts: Expressions as of `flowtuple.cut.apply_cut`.
        columns: What cuts look at, shape (n,) each, by name; without it the rows' own columns.

    Raises:
        InvalidArgument: An expression is no cut, names no column, or leaves no row.

    Example:
        >>> rows = Rows("x", ("x",), np.array([[1.0], [2.0], [9.0]]), np.arange(3), 3)
        >>> kept, left_out = cut_rows(rows, ["x > 1.5", "x < 5"])
        >>> kept.values.tolist(), left_out
        ([[2.0]], {'x > 1.5': 1, 'x < 5': 1})
    """
    looked_at = dict(zip(rows.columns, rows.values.T, strict=True)) if columns is None else columns
    keep, left_out = np.ones(len(rows), bool), {}
    for cut in cuts:
        passes = evaluate(cut, looked_at, rows.source)
        left_out[cut] = int((keep & ~passes).sum())
        keep &= passes
        if not keep.any():
            raise InvalidArgument(f"{rows.source}: the cut {cut!r} leaves no row; widen it, or see whether --unit is right")
    return rows.some(keep), left_out
