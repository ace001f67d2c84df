"""Cuts on columns, such as `Jet_pt > 30 and abs(Jet_eta) < 2.4`, applied to two samples."""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
}
_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "cos": np.cos,
}
_LONGEST = 1000  # characters


@dataclass(frozen=True)
class Cut:
    """Effect of a cut on two samples; shares are shares of weights.

    Attributes:
        expression: The cut as it was written.
        reference: Share of the reference's rows that pass.
        reference_error: Standard deviation of that share; rows of one event vary together.
        other: Share of the other sample's rows that pass.
        other_error: Standard deviation of that share.
        gained: Number of rows that pass in the other sample and not in the reference; `None` if the
            samples do not consist of the same rows.
        lost: Number of rows that pass in the reference and not in the other sample.
        efficiency: Share, of the rows that pass in the reference, of those that pass in both.
        purity: Share, of the rows that pass in the other sample, of those that pass in both.
    """

    expression: str
    reference: float
    reference_error: float
    other: float
    other_error: float
    gained: int | None = None
    lost: int | None = None
    efficiency: float | None = None
    purity: float | None = None


def apply_cut(expression: str, reference: Rows, other: Rows, *, paired: bool) -> Cut:
    """Apply a cut to two samples.

    Args:
        expression: Comparisons of columns and numbers, joined by `and`, `or`, `not` (or `&`, `|`,
            `~`, with brackets); `+ - * /` and abs, sqrt, log, exp, cos.
        reference: The reference sample.
        other: Another sample with the same columns.
        paired: True if row k of one sample is row k of the other, as before and after compression.

    Raises:
        InvalidArgument: The expression is no cut, or names a column that does not exist.

    Example:
        >>> rows = Rows("a", ("x",), np.array([[1.0], [2.0], [3.0]]), np.arange(3), 3)
        >>> apply_cut("x > 1.5 and not x > 2.5", rows, rows, paired=True).gained
        0
    """
    before, after = (
        evaluate(expression, dict(zip(s.columns, s.values.T, strict=True)), s.source)
        for s in (reference, other)
    )
    cut = Cut(expression, *_share(reference, before), *_share(other, after))
    if not paired:
        return cut
    both = int((before & after).sum())
    return replace(
        cut,
        gained=int((after & ~before).sum()),
        lost=int((before & ~after).sum()),
        efficiency=both / int(before.sum()) if before.any() else None,
        purity=both / int(after.sum()) if after.any() else None,
    )


def _share(sample: Rows, passes: Array) -> tuple[float, float]:
    """Return the share of weights that pass, and its standard deviation."""
    weight = np.ones(len(sample)) if sample.weights is None else sample.weights
    if not weight.sum() > 0:
        raise InvalidArgument(
            f"{sample.source}: the weights sum to {weight.sum():g}; a share needs more than 0"
        )
    share = float(weight @ passes / weight.sum())
    # Rows of one event are not independent: the terms of the variance are sums over events.
    by_event = np.bincount(sample.event, weights=weight * (passes - share) / weight.sum())
    return share, math.sqrt(float(np.square(by_event).sum()))


def cut_columns(expression: str) -> set[str]:
    """Return the names of the columns of a cut; an expression that is no cut has none.

    Example:
        >>> sorted(cut_columns("Jet_pt > 30 and abs(Jet_eta) < 2.4"))
        ['Jet_eta', 'Jet_pt']
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - set(
        _FUNCTIONS
    )


def evaluate(expression: str, columns: Mapping[str, Array], where: str) -> Array:
    """Return True for each row that passes a cut: bool, shape (n,).

    Only the operations that `apply_cut` lists are ever carried out.

    Args:
        expression: The cut.
        columns: Values by name, each of shape (n,).
        where: Name of the sample in messages.

    Raises:
        InvalidArgument: The expression is no cut.
    """
    if len(expression) > _LONGEST:
        raise InvalidArgument(
            f"a cut of {len(expression)} characters is too long; the most is {_LONGEST}"
        )
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        with np.errstate(all="ignore"):
            passes = np.asarray(_Evaluator(columns, where).visit(tree.body))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(
            f"the cut {expression!r} cannot be read; "
            "write for example 'Jet_pt > 30 and abs(Jet_eta) < 2.4'"
        ) from None
    if passes.dtype != np.bool_ or passes.ndim != 1:
        raise InvalidArgument(
            f"the cut {expression!r} is no condition on columns; write for example 'Jet_pt > 30'"
        )
    return passes


class _Evaluator(ast.NodeVisitor):
    """The value of an expression, node by node; a node without a method here is refused."""

    def __init__(self, columns: Mapping[str, Array], where: str) -> None:
        self._columns = columns
        self._where = where

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, (int, float)):
            return float(node.value)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id not in self._columns:
            raise InvalidArgument(
                f"{self._where}: the cut names column {node.id!r}, which is not there; "
                f"{nearest(node.id, self._columns)}"
            )
        return self._columns[node.id]

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        join = {ast.BitAnd: np.logical_and, ast.BitOr: np.logical_or}.get(type(node.op))
        if join is not None:
            return join(self._condition(node.left), self._condition(node.right))
        operation = _BINARY.get(type(node.op))
        if operation is None:
            return self.generic_visit(node)
        return operation(self._number(node.left), self._number(node.right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, (ast.Not, ast.Invert)):
            return np.logical_not(self._condition(node.operand))
        value = self._number(node.operand)
        return -value if isinstance(node.op, ast.USub) else value

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return functools.reduce(join, [self._condition(part) for part in node.values])

    def visit_Compare(self, node: ast.Compare) -> Any:
        sides = [self._number(part) for part in (node.left, *node.comparators)]
        comparisons = [
            _COMPARISONS.get(type(op)) or self.generic_visit(node) for op in node.ops
        ]
        pairs = zip(comparisons, sides[:-1], sides[1:], strict=True)
        return functools.reduce(np.logical_and, [np.asarray(c(a, b)) for c, a, b in pairs])

    def visit_Call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _FUNCTIONS or len(node.args) != 1 or node.keywords:
            return self.generic_visit(node)
        return _FUNCTIONS[name](self._number(node.args[0]))

    def _condition(self, node: ast.expr) -> Any:
        value = np.asarray(self.visit(node))
        if value.dtype != np.bool_:
            raise InvalidArgument(
                f"the cut joins {ast.unparse(node)!r}, which is no condition; "
                "put conditions in brackets"
            )
        return value

    def _number(self, node: ast.expr) -> Any:
        value = self.visit(node)
        if np.asarray(value).dtype == np.bool_:
            raise InvalidArgument(
                f"the cut calculates with {ast.unparse(node)!r}, which is a condition and no number"
            )
        return value

    def generic_visit(self, node: ast.AST) -> Any:
        what = "comparisons, and, or, not, + - * / and " + ", ".join(_FUNCTIONS)
        raise InvalidArgument(f"the cut cannot hold {ast.unparse(node)!r}; it takes {what}")
