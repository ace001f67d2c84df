"""Cuts on stored columns, which a bound keeps by itself."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowtuple.analysis.demands import CutDemand
from flowtuple.data.bounds import Bound
from flowtuple.data.table import Table


@dataclass(frozen=True)
class StoredCuts:
    """Cuts that bounds keep.

    Attributes:
        by_column: Thresholds by column.
        names: Names of the cuts.
    """

    by_column: Mapping[str, tuple[float, ...]]
    names: tuple[str, ...]


def stored_cuts(
    cuts: Sequence[CutDemand], table: Table, bounds: Mapping[str, Bound]
) -> StoredCuts:
    """Return the cuts without flips that compare a stored column with a number.

    Example:
        >>> import numpy as np
        >>> from flowtuple.data.schema import Column
        >>> table = Table("t", (Column("x", "float32"),), 1, {"x": np.zeros(1, "f4")})
        >>> cuts = [CutDemand("a", "x > 30", 0), CutDemand("b", "x * x > 2", 0)]
        >>> stored_cuts(cuts, table, {"x": Bound("abs", 0.1)})
        StoredCuts(by_column={'x': (30.0,)}, names=('a',))
    """
    by_column: dict[str, tuple[float, ...]] = {}
    names = []
    known = {c.name for c in table.columns}
    for cut in cuts:
        match ast.parse(cut.expression.strip(), mode="eval").body:
            case ast.Compare(ast.Name(name), [_], [threshold]) if (
                cut.flips == 0 and name in known
            ):
                number = _number(threshold)
                if number is None:
                    continue
                names.append(cut.name)
                if bounds.get(name, Bound()).kind != "lossless":
                    by_column[name] = (*by_column.get(name, ()), number)
    return StoredCuts(by_column, tuple(names))


def _number(node: ast.expr) -> float | None:
    """Return the number of a constant, perhaps with a sign."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(ast.USub(), ast.Constant(value=int() | float() as number)):
            return -float(number)
    return None
