"""Shifts of quantities and flips of cuts between two versions of the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowtuple.analysis.demands import Analysis, CutDemand, Demand
from flowtuple.analysis.evaluation import evaluate
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument

_BLOCKS = 20


@dataclass(frozen=True)
class DemandCheck:
    """Shift of a quantity, or flips of a cut, on some events.

    Attributes:
        name: Name of the quantity or cut.
        demand: What it may do, in words.
        value: The measured rms, maximum, quantile or number of flips.
        error: Its standard deviation, from 20 blocks of events.
        limit: What is allowed.
        rows: Rows that it was measured on.
        undefined: Rows that have no finite value or unit.
        label: `measured`, or `guaranteed` for a cut that a bound keeps.

    Example:
        >>> import flowtuple as ft
        >>> ft.DemandCheck("met", "rms abs:1", 0.9, 0.01, 1.0, 100, 0, "measured").failed
        False
    """

    name: str
    demand: str
    value: float
    error: float
    limit: float
    rows: int
    undefined: int
    label: str = "measured"

    @property
    def failed(self) -> bool:
        """True where the measured value is above the limit by more than two of its errors."""
        return self.value > self.limit + 2 * self.error

    def to_json(self) -> dict[str, Any]:
        """Return all figures and the verdict."""
        return asdict(self) | {"failed": self.failed}


def shifts(
    demand: Demand,
    table: Table,
    moved: Mapping[str, Array],
    origin: str,
    order: Mapping[str, Array] | None = None,
) -> tuple[Array, int]:
    """Return the shifts of a quantity in its unit, and the number of undefined rows.

    Args:
        demand: The quantity.
        table: The original events.
        moved: Contents by name after they moved.
        origin: Start of messages.
        order: Contents that decide the order of p_T, `None` for those that moved.

    Raises:
        InvalidArgument: The expression cannot be read, or is undefined in every row.
    """
    where = f"{origin}: [{demand.name}]"
    before = evaluate(demand.expression, table, table.data, where)[0]
    after = evaluate(demand.expression, table, moved, where, order)[0].content
    unit: Any = 1.0
    if demand.unit:
        value = evaluate(demand.unit, table, table.data, where)[0]
        unit = value.content
        if value.counter != before.counter:
            if value.counter is not None:
                raise InvalidArgument(
                    f"{where}: {demand.unit!r} is a number of objects, "
                    f"{demand.expression!r} is not"
                )
            unit = np.repeat(unit, np.asarray(table.data[str(before.counter)]))
        if demand.unit == demand.expression:
            unit = np.abs(unit)
    with np.errstate(all="ignore"):
        shift = np.asarray((after - before.content) / unit, np.float64)
        shift = np.where(np.asarray(unit) > 0, shift, np.nan)
    finite = np.isfinite(shift)
    # a value that became undefined counts as a shift without limit
    lost = np.isfinite(before.content) & ~np.isfinite(after) & (np.asarray(unit) > 0)
    shift = np.where(lost, np.inf, shift)
    if len(shift) and not (finite | lost).any():
        raise InvalidArgument(
            f"{where}: {demand.expression!r} has no finite value with a unit above 0 in any of "
            f"{len(shift):,} rows; look at its columns with inspect"
        )
    return shift[finite | lost], int(len(shift) - (finite | lost).sum())


def measure(demand: Demand, shift: Array) -> float:
    """Return the measure of a demand on shifts, shape (n,)."""
    if not len(shift):
        return 0.0
    if demand.measure == "rms":
        return float(np.sqrt(np.mean(shift**2)))
    if demand.measure == "max":
        return float(np.abs(shift).max())
    return float(np.quantile(np.abs(shift), demand.level))


def check_events(
    analysis: Analysis,
    table: Table,
    moved: Mapping[str, Array],
    guaranteed: frozenset[str] = frozenset(),
) -> list[DemandCheck]:
    """Return a check of each demand and cut.

    Args:
        analysis: The demands.
        table: The original events.
        moved: Contents by name after they moved.
        guaranteed: Names of cuts that bounds keep.

    Raises:
        InvalidArgument: An expression cannot be read.
    """
    checks = []
    for demand in analysis.demands:
        shift, undefined = shifts(demand, table, moved, analysis.origin)
        value = measure(demand, shift)
        blocks = [measure(demand, part) for part in np.array_split(shift, _BLOCKS)]
        with np.errstate(invalid="ignore"):
            error = float(np.std(blocks) / np.sqrt(_BLOCKS))
        # the largest shift is what it is
        error = 0.0 if demand.measure == "max" or not np.isfinite(error) else error
        checks.append(
            DemandCheck(
                demand.name,
                demand.text,
                value,
                error,
                demand.limit,
                len(shift),
                undefined,
            )
        )
    checks += [
        _check_cut(cut, table, moved, analysis.origin, guaranteed)
        for cut in analysis.cuts
    ]
    return checks


def _check_cut(
    cut: CutDemand,
    table: Table,
    moved: Mapping[str, Array],
    origin: str,
    guaranteed: frozenset[str],
) -> DemandCheck:
    where = f"{origin}: [cut.{cut.name}]"
    before = evaluate(cut.expression, table, table.data, where)[0].content
    after = evaluate(cut.expression, table, moved, where)[0].content
    if before.dtype != np.bool_:
        raise InvalidArgument(
            f"{where}: {cut.expression!r} is no condition; write for example 'Jet_pt > 30'"
        )
    return DemandCheck(
        cut.name,
        f"at most {cut.flips} flips of {cut.expression}",
        float((before != after).sum()),
        0.0,
        float(cut.flips),
        len(before),
        0,
        "guaranteed" if cut.name in guaranteed else "measured",
    )
