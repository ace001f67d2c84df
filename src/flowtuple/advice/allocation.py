"""Allocation of allowed shifts to columns: a convex problem, solved by water-filling."""

from __future__ import annotations

import numpy as np

from flowtuple.data.schema import Array

_ROUNDS = 2000


def allocate(sensitivity: Array, allowed: Array, counts: Array, most: Array) -> Array:
    """Return the largest error of each column that keeps every quantity.

    Bits are sum_i n_i (-log2 E_i). An error that is uniform within E has the variance E^2 / 3, so
    that quantity q moves by sqrt(sum_i a_qi E_i^2 / 3) in the root mean square. The stationary
    point is E_i^2 = n_i / sum_q lambda_q a_qi; multiplicative updates find the lambdas. For one
    quantity this is E_i = sigma sqrt(3 n_i / sum n) / sqrt(a_i), reverse water-filling.

    Args:
        sensitivity: Mean squared derivative a, shape (quantities, columns).
        allowed: Largest root mean square of each quantity, shape (quantities,).
        counts: Stored values n of each column, shape (columns,).
        most: Largest E of each column, infinite for none.

    Returns:
        E, shape (columns,); infinite for columns that nothing reads and nothing limits.

    Example:
        >>> one = np.array([1.0, 1.0])
        >>> allocate(np.array([[1.0, 4.0]]), np.array([1.0]), one, np.inf * one).round(4).tolist()
        [1.2247, 0.6124]
    """
    weights = sensitivity / (3 * allowed[:, None] ** 2)
    force = np.full(len(allowed), float(counts.sum()))
    squared = most**2
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(_ROUNDS):
            squared = np.minimum(counts / (force @ weights), most**2)
            used = np.where(weights > 0, weights * squared, 0.0).sum(axis=1)
            before = force
            force = np.maximum(force * np.sqrt(used), 1e-300)
            if np.allclose(force, before, rtol=1e-9, atol=counts.sum() * 1e-12):
                break
        worst = np.nanmax(np.append(np.sqrt(used), 1.0))
        errors: Array = np.minimum(np.sqrt(squared) / worst, most)
    return errors
