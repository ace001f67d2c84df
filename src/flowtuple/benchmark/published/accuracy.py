"""Errors of decoded rows, column by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.result import plain
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array


@dataclass(frozen=True)
class Accuracy:
    """Errors of one column; difference = original - decompressed, response = difference / original.

    Attributes:
        column: Name of the column.
        mean: Mean |difference|, in the column's unit.
        largest: Largest |difference|.
        std: Standard deviation of the original values.
        bias: Mean of the difference.
        spread: Standard deviation of the difference.
        response: Mean of the response, over values that are not 0; NaN where there are none.
        width: Standard deviation of the response.
        half_width: Half the width of the central 68 % of the responses, from 16 % to 84 %; values
            near 0 do not blow it up.
        zeros: Number of values that are 0.
        relative_mean: Mean |difference| over the standard deviation, 0 where nothing differs.
        relative_largest: The largest |difference| over the standard deviation.
    """

    column: str
    mean: float
    largest: float
    std: float
    bias: float
    spread: float
    response: float
    width: float
    half_width: float
    zeros: int
    relative_mean: float
    relative_largest: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain numbers for `json.dumps`; undefined ones are null.

        Example:
            >>> rows = Rows("x", ("x",), np.zeros((2, 1)), np.arange(2), 2)
            >>> figures = measure(rows, rows.values)[0].to_json()
            >>> figures["mean"], figures["response"]
            (0.0, None)
        """
        figures: dict[str, Any] = plain(vars(self))
        return figures


def measure(rows: Rows, decoded: Array) -> tuple[Accuracy, ...]:
    """Return the accuracy of each column.

    Args:
        rows: Original rows.
        decoded: Decoded values, shape (n, d).

    Example:
        >>> rows = Rows("x", ("x",), np.array([[0.0], [2.0]]), np.arange(2), 2)
        >>> x = measure(rows, np.array([[0.0], [1.5]]))[0]
        >>> x.mean, x.largest, x.relative_mean, x.response, x.zeros
        (0.25, 0.5, 0.25, 0.25, 1)
    """
    return tuple(
        _of_column(name, rows.values[:, k], decoded[:, k])
        for k, name in enumerate(rows.columns)
    )


def _of_column(name: str, x: Array, y: Array) -> Accuracy:
    off, other = x - y, x != 0  # a value beyond its type decodes to an infinity
    ratio = off[other] / x[other] if other.any() else np.array([np.nan])
    distance = np.abs(off)
    mean, largest, std = float(distance.mean()), float(distance.max()), float(x.std())
    with np.errstate(invalid="ignore"):
        low, high = (float(edge) for edge in np.percentile(ratio, [16, 84]))
        return Accuracy(
            name,
            mean=mean,
            largest=largest,
            std=std,
            bias=float(off.mean()),
            spread=float(off.std()),
            response=float(ratio.mean()),
            width=float(ratio.std()),
            half_width=(high - low) / 2,
            zeros=int((~other).sum()),
            relative_mean=_over(mean, std),
            relative_largest=_over(largest, std),
        )


def _over(error: float, std: float) -> float:
    if error == 0:
        return 0.0
    return error / std if std > 0 else float("inf")
