"""Resolutions: columns of uncertainties that the bounds of other columns count in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.errors import InvalidArgument, nearest

_SPLITTER = 2.0**27 + 1  # halves of 26 bits, whose products are exact (Veltkamp 1968)


def product_below(factor: float, values: Array) -> Array:
    """Return the largest float64 that is at most factor * value, computed without rounding up.

    Args:
        factor: A positive number.
        values: Floats of any shape.

    Returns:
        Numbers of the same shape; 0 where the value is no positive, finite number.

    Example:
        >>> product_below(0.5, np.array([3.0, 0.0, -1.0, np.nan])).tolist()
        [1.5, 0.0, 0.0, 0.0]
    """
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        x = values.astype(np.float64)
        usable = np.isfinite(x) & (x > 0)
        a, of_factor = math.frexp(factor)
        b, of_values = np.frexp(np.where(usable, x, 1.0))
        product = a * b
        # Dekker (1971): the exact error of the product
        high = a * _SPLITTER - (a * _SPLITTER - a)
        top = b * _SPLITTER - (b * _SPLITTER - b)
        low, rest = a - high, b - top
        error = low * rest - (((product - high * top) - low * top) - high * rest)
        product = np.where(error < 0, np.nextafter(product, 0.0), product)
        scaled = np.ldexp(product, of_factor + of_values)
        coarse = scaled < np.finfo(np.float64).tiny
        scaled = np.where(coarse, np.nextafter(scaled, 0.0), scaled)
        scaled = np.minimum(scaled, np.finfo(np.float64).max)
    return np.where(usable, scaled, 0.0)


def check_resolutions(
    table: str, tables: Mapping[str, Iterable[Column]], resolutions: Mapping[str, str]
) -> None:
    """Raise for the first resolution that its column cannot count in.

    Args:
        table: Name of the table.
        tables: Columns of each table.
        resolutions: Name of the resolution by the name of the column.

    Raises:
        InvalidArgument: The message names the column, the fault and the next step.
    """
    columns = {c.name: c for c in tables[table]}
    faults = list(resolution_faults(columns, resolutions))
    faults += [
        (name, "is an id and no uncertainty; name a column of floats")
        for name, resolution in resolutions.items()
        if resolution in columns and columns[resolution].role == "id"
    ]
    for name, fault in faults:
        words = fault
        if resolutions[name] not in columns:
            others = [
                t for t, cs in tables.items() if resolutions[name] in {c.name for c in cs}
            ]
            words += f", but in table {others[0]!r}" if others else ""
            words += f"; {nearest(resolutions[name], columns)}"
        raise InvalidArgument(
            f"column {name!r} cannot be bounded by the resolution {resolutions[name]!r}, "
            f"which {words}"
        )


def resolution_faults(
    columns: Mapping[str, Column], resolutions: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield columns whose resolution makes no sense, and half a sentence about it.

    Args:
        columns: The schema of a table by name.
        resolutions: Name of the resolution by the name of the column.
    """
    for name, resolution in resolutions.items():
        own, other = columns[name], columns.get(resolution)
        if other is None:
            yield name, "is not in its table"
        elif not other.is_float:
            yield name, f"is of type {other.dtype}; name a column of floats"
        elif (own.counter, own.shape) != (other.counter, other.shape):
            yield (
                name,
                "has other objects or another shape; name a column of the same collection",
            )
    for name in _in_circles(resolutions):
        yield name, "needs this column in turn; give one of the two another bound"


def _in_circles(resolutions: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns from which the chain of resolutions does not end."""
    ending: set[str] = set()
    for name in resolutions:
        chain = dict.fromkeys([name])
        at = resolutions[name]
        while at in resolutions and at not in ending and at not in chain:
            chain[at] = None
            at = resolutions[at]
        if at in chain:
            yield name
            return
        ending |= chain.keys()
