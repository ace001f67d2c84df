"""Acceptance of whole drawn events: trees that tell true events from drawn ones.

Columns are drawn one after another, each from a density that is nearly right, and small errors add
up over an event. Trees on numbers of whole events learn the ratio r of the true density to that of
drawn events. An event is accepted with the probability min(1, r / M), and drawn anew otherwise
(acceptance-rejection sampling; von Neumann 1951, and Azadi et al., arXiv:1810.06758, for ratios
that are learned).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import exponential
from flowtuple.lattice.context import Context
from flowtuple.lattice.event_quantities import EventQuantities, Quantity
from flowtuple.lattice.tree import right_children
from flowtuple.runtime.compiled import compiled

MAX_QUANTITIES = 1024
MAX_TREES = 1024
MAX_NODES = 4095  # of one tree
UNIT = 1 / 1024
"""Natural logarithm of a ratio that one unit of a leaf stands for."""

_LEAST = -32.0  # logarithm of a probability


@dataclass(frozen=True, eq=False)
class AcceptanceTree:
    """A binary tree in preorder: the left child of an inner node follows it at once.

    Attributes:
        quantity: Number of the quantity that a node compares, -1 for a leaf: int16, shape (nodes,).
        threshold: Quantities up to this one go to the left: float32, shape (nodes,).
        value: Of a leaf, what it adds: int16, shape (nodes,).
        right: Node of each inner node's right child, 0 for a leaf: int32, shape (nodes,).
    """

    quantity: Array
    threshold: Array
    value: Array
    right: Array


def acceptance_tree(quantity: Array, threshold: Array, value: Array) -> AcceptanceTree:
    """Return the tree with these nodes in preorder; see `AcceptanceTree`.

    Raises:
        Corrupt: The nodes are no tree.
    """
    right = right_children((quantity >= 0).tolist())
    return AcceptanceTree(
        quantity.astype(np.int16),
        threshold.astype(np.float32),
        value.astype(np.int16),
        right,
    )


@dataclass(frozen=True, eq=False)
class Acceptance:
    """With which probability each drawn event is accepted.

    Attributes:
        quantities: What the trees compare.
        trees: The trees.
        offset: What is added to the sum of the leaves.
    """

    quantities: tuple[Quantity, ...]
    trees: tuple[AcceptanceTree, ...]
    offset: int

    def __str__(self) -> str:
        return f"{len(self.trees)} trees on {len(self.quantities)} numbers of the event"

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of all columns that the quantities take."""
        return frozenset(c for q in self.quantities for c in q.columns)

    def probability(self, context: Context) -> Array:
        """Return the probability of each event: float64, shape (events,).

        Args:
            context: The events, with the values of `columns`.
        """
        known = EventQuantities(context)
        numbers = [known.evaluate(quantity) for quantity in self.quantities]
        total = self.total(np.stack(numbers, axis=1))
        return exponential(np.clip(UNIT * total, _LEAST, 0.0))

    def total(self, numbers: Array) -> Array:
        """Return offset and leaves of each event added up: int64, shape (events,).

        Args:
            numbers: The quantities, float32 of shape (events, quantities).
        """
        out = np.full(len(numbers), self.offset, np.int64)
        for tree in self.trees:
            _add(numbers, tree.quantity, tree.threshold, tree.right, tree.value, out)
        return out


@compiled()
def _add(
    numbers: Any, quantity: Any, threshold: Any, right: Any, value: Any, out: Any
) -> None:
    for i in range(len(out)):
        node = 0
        while quantity[node] >= 0:
            below = numbers[i, quantity[node]] <= threshold[node]
            node = node + 1 if below else right[node]
        out[i] += value[node]
