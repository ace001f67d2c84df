"""A decision tree on levels that adds logits to those of a network.

A small network is smooth; a tree cuts. Together they follow a density that changes slowly with most
columns and at once with a few, as where a detector ends or a part takes all that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.runtime.compiled import compiled

MAX_NODES = 65_535


@compiled()
def _add_leaves(
    features: Any,
    feature: Any,
    threshold: Any,
    right: Any,
    leaf: Any,
    table: Any,
    out: Any,
) -> None:
    for i in range(len(out)):
        node = 0
        while feature[node] >= 0:
            below = features[feature[node], i] <= threshold[node]
            node = node + 1 if below else right[node]
        row = table[leaf[node]]
        for k in range(len(row)):
            total = np.int32(out[i, k]) + np.int32(row[k])
            out[i, k] = min(max(total, -16384), 16384)


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes in preorder: the left child of an inner node follows it at once.

    Attributes:
        feature: Number of the level that a node compares, -1 for a leaf: int16, shape (nodes,).
        threshold: Levels up to this one go to the left: uint8, shape (nodes,).
        right: Node of the right child: int32, shape (nodes,); 0 for a leaf.
        logits: int16, shape (leaves, K), in sixteenths of a bit, leaves in preorder.
    """

    feature: Array
    threshold: Array
    right: Array
    logits: Array

    @property
    def leaf(self) -> Array:
        """Number of each node's leaf, counted in preorder: int32, shape (nodes,)."""
        numbers: Array = np.cumsum(self.feature < 0) - 1
        return numbers.astype(np.int32)

    def leaves(self, features: Array) -> Array:
        """Return the leaf of each row: int64, shape (n,), from levels, shape (inputs, n)."""
        marks = np.zeros((features.shape[1], 1), np.int16)
        counting = np.arange(len(self.logits), dtype=np.int16)[:, None]
        self._run(features, counting, marks)
        return marks[:, 0].astype(np.int64)

    def add(self, features: Array, logits: Array) -> None:
        """Add the logits of each row's leaf to `logits`, int16 of shape (n, K), within +-2^14."""
        self._run(features, self.logits, logits)

    def _run(self, features: Array, table: Array, out: Array) -> None:
        levels = np.ascontiguousarray(features)
        _add_leaves(
            levels, self.feature, self.threshold, self.right, self.leaf, table, out
        )


def tree_of(feature: Array, threshold: Array, logits: Array) -> Tree:
    """Return the tree with these nodes in preorder.

    Args:
        feature: Number of the level that a node compares, -1 for a leaf, shape (nodes,).
        threshold: Levels up to this one go to the left, shape (nodes,).
        logits: int16, shape (leaves, K).

    Raises:
        Corrupt: The nodes are no tree.
    """
    right = right_children((feature >= 0).tolist())
    return Tree(feature.astype(np.int16), threshold.astype(np.uint8), right, logits)


def right_children(inner: Sequence[bool]) -> Array:
    """Return the right child of each inner node in preorder, 0 for a leaf: int32.

    Args:
        inner: Which nodes are no leaves.

    Raises:
        Corrupt: The nodes are no tree.
    """
    right = np.zeros(len(inner), np.int32)
    waiting: list[int] = []
    is_complete = False
    for node, is_inner in enumerate(inner):
        if is_complete:
            raise Corrupt("a tree has nodes beyond its last leaf")
        if is_inner:
            waiting.append(node)
        elif waiting:
            right[waiting.pop()] = node + 1
        else:
            is_complete = True
    if not is_complete:
        raise Corrupt("a tree ends before its last leaf")
    return right
