"""Cuts on columns, such as `Jet_pt > 30 and abs(Jet_eta) < 2.4`, applied to two samples."""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest

Operation = Callable[..., Any]
_FUNCTIONS: dict[str, Operation] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "cos": np.cos,
}
_ON_NUMBERS: dict[Any, Operation] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    **_FUNCTIONS,
}
_ON_CONDITIONS: dict[Any, Operation] = {
    ast.And: np.logical_and,
    ast.BitAnd: np.logical_and,
    ast.Or: np.logical_or,
    ast.BitOr: np.logical_or,
    ast.Not: np.logical_not,
    ast.Invert: np.logical_not,
}
_LONGEST = 1000  # characters
_EXAMPLE = "'Jet_pt > 30 and abs(Jet_eta) < 2.4'"


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
    weight = sample.weight
    if not weight.sum() > 0:
        raise InvalidArgument(
            f"{sample.source}: the weights sum to {weight.sum():g}; a share needs more than 0"
        )
    share = float(weight @ passes / weight.sum())
    # Rows of one event are not independent: the terms of the variance are sums over events.
    by_event = np.bincount(sample.event, weights=weight * (passes - share) / weight.sum())
    return share, math.sqrt(float(np.square(by_event).sum()))


def cut_columns(expression: str) -> set[str]:
    """Return the names of the columns of an expression; one that cannot be read has none.

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
    passes = _value(expression, columns, where, "cut", _EXAMPLE)
    if passes.dtype != np.bool_ or passes.ndim != 1:
        raise InvalidArgument(
            f"the cut {expression!r} is no condition on columns; write for example 'Jet_pt > 30'"
        )
    return passes


def calculate(expression: str, columns: Mapping[str, Array], where: str) -> Array:
    """Return a number of each row: float64, shape (n,).

    Args:
        expression: Columns and numbers with `+ - * /` and abs, sqrt, log, exp, cos. A condition
            gives 1 where it holds and 0 elsewhere.
        columns: Values by name, each of shape (n,).
        where: Name of the sample in messages.

    Raises:
        InvalidArgument: The expression cannot be read, or is a number for all rows.

    Example:
        >>> calculate("x * x", {"x": np.array([1.0, 3.0])}, "toy").tolist()
        [1.0, 9.0]
    """
    values = _value(expression, columns, where, "expression", "'Jet_mass / Jet_pt'")
    if values.ndim != 1:
        raise InvalidArgument(
            f"the expression {expression!r} names no column; write for example "
            "'Jet_mass / Jet_pt'"
        )
    return values.astype(np.float64)


def _value(
    expression: str, columns: Mapping[str, Array], where: str, what: str, example: str
) -> Array:
    """Return the values of an expression of some rows.

    Raises:
        InvalidArgument: It cannot be read.
    """
    if len(expression) > _LONGEST:
        raise InvalidArgument(
            f"{'an' if what[0] == 'e' else 'a'} {what} of {len(expression)} characters is too "
            f"long; the most is {_LONGEST}"
        )
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        with np.errstate(all="ignore"):
            return np.asarray(_Evaluator(columns, where, what).value(tree.body))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(
            f"the {what} {expression!r} cannot be read; write for example {example}"
        ) from None


@dataclass(frozen=True)
class _Evaluator:
    """Values of the parts of an expression; a part without a case here is refused."""

    columns: Mapping[str, Array]
    where: str
    what: str = "cut"

    def value(self, node: ast.expr) -> Any:
        """Return the value of a part: numbers or conditions, of each row or of all."""
        operation: type[ast.AST] | str
        operands: Sequence[ast.expr]
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(name):
                return self._column(name)
            case ast.Compare(left, ops, others):
                pairs = zip(ops, [left, *others], others, strict=False)
                results = [self._applied(node, type(op), pair) for op, *pair in pairs]
                return functools.reduce(np.logical_and, results)
            case ast.BinOp(left, op, right):
                operation, operands = type(op), (left, right)
            case ast.UnaryOp(op, operand):
                operation, operands = type(op), (operand,)
            case ast.BoolOp(op, values):
                operation, operands = type(op), values
            case ast.Call(ast.Name(name), [argument], []):
                operation, operands = name, (argument,)
            case _:
                self._refuse(node)
        return self._applied(node, operation, operands)

    def _column(self, name: str) -> Array:
        if name not in self.columns:
            raise InvalidArgument(
                f"{self.where}: the {self.what} names column {name!r}, which is not there; "
                f"{nearest(name, self.columns)}"
            )
        return self.columns[name]

    def _applied(
        self, node: ast.expr, name: type[ast.AST] | str, operands: Sequence[ast.expr]
    ) -> Any:
        """Return the result of an operation on numbers, or on conditions."""
        on_conditions = name in _ON_CONDITIONS
        operation = (_ON_CONDITIONS if on_conditions else _ON_NUMBERS).get(name)
        if operation is None:
            self._refuse(node)
        values = [self.value(operand) for operand in operands]
        for operand, value in zip(operands, values, strict=True):
            if (np.asarray(value).dtype == np.bool_) != on_conditions:
                text = repr(ast.unparse(operand))
                fault = (
                    f"joins {text}, which is no condition; put conditions in brackets"
                    if on_conditions
                    else f"calculates with {text}, which is a condition and no number"
                )
                raise InvalidArgument(f"the {self.what} {fault}")
        return (
            operation(*values)
            if len(values) == 1
            else functools.reduce(operation, values)
        )

    def _refuse(self, node: ast.expr) -> NoReturn:
        what = "comparisons, and, or, not, + - * / and " + ", ".join(_FUNCTIONS)
        raise InvalidArgument(
            f"the {self.what} cannot hold {ast.unparse(node)!r}; it takes {what}"
        )
