"""Cells of generated objects that a detector treats alike, cut by a regression tree.

Sharp edges in eta are among the cuts. Breiman, Friedman, Olshen, Stone, "Classification and
regression trees" (1984).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.runtime.extras import require

LEAST = 200  # objects in a cell, so that its figures are good to some per cent
PARTS = 200  # a cell holds at least 1 / PARTS of all objects, where that is more
MOST = 64  # cells


@dataclass(frozen=True)
class Cells:
    """A binary tree over some columns, with figures for each of its leaves.

    Attributes:
        columns: Names of the columns that the tree cuts in.
        column: By node, number of the column that is cut; -1 in a leaf.
        edge: By node, the largest value that goes left; float32 values are compared with it.
        left: By node, the node for values up to the edge.
        right: By node, the node for larger values.
        figures: By node, numbers that describe a leaf; empty in other nodes.

    Example:
        >>> nodes = (0, -1, -1), (0.5, 0.0, 0.0), (1, -1, -1), (2, -1, -1)
        >>> Cells(("x",), *nodes, ((), (10.0,), (20.0,))).figure({"x": np.array([0.1, 0.9])})
        array([[10.],
               [20.]])
    """

    columns: tuple[str, ...]
    column: tuple[int, ...]
    edge: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    figures: tuple[tuple[float, ...], ...]

    def leaf(self, values: Mapping[str, Array]) -> Array:
        """Return the leaf of each row, shape (n,), from columns of that shape."""
        rows = _rows(values[name] for name in self.columns)
        column, edge, left, right = map(
            np.array, (self.column, self.edge, self.left, self.right)
        )
        node = np.zeros(rows.shape[1], np.int64)
        while True:
            # All rows go down one level at a time, until each stands in a leaf.
            inner = np.flatnonzero(column[node] >= 0)
            if not len(inner):
                return node
            at = node[inner]
            node[inner] = np.where(
                rows[column[at], inner] <= edge[at], left[at], right[at]
            )

    def figure(self, values: Mapping[str, Array]) -> Array:
        """Return the figures of each row's leaf: float64 of shape (n, figures)."""
        width = max(map(len, self.figures))
        table = np.array([figures or (np.nan,) * width for figures in self.figures])
        return np.asarray(table[self.leaf(values)])

    def with_figures(
        self,
        values: Mapping[str, Array],
        target: Array,
        figures: Callable[[Array], tuple[float, ...]],
    ) -> Cells:
        """Return the same cells with figures of a quantity in each of them.

        Args:
            values: Columns of shape (n,) that put at least one row in each cell.
            target: The quantity, shape (n,).
            figures: Computes the figures from the quantity in one cell.
        """
        leaf = self.leaf(values)
        described = {
            node: figures(target[leaf == node]) for node in np.unique(leaf).tolist()
        }
        nodes = range(len(self.column))
        return replace(self, figures=tuple(described.get(node, ()) for node in nodes))

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Cells | None:
        """Return the cells that `dataclasses.asdict` described; `None` for `None`.

        Raises:
            Corrupt: The tree does not end, or a node is described in part.
        """
        if data is None:
            return None
        lists = {f.name: tuple(data[f.name]) for f in fields(cls)}
        cells = cls(**lists | {"figures": tuple(map(tuple, lists["figures"]))})
        if not cells._is_tree():
            raise Corrupt("the cells of a response are no tree")
        return cells

    def _is_tree(self) -> bool:
        nodes = len(self.column)
        by_node = (self.edge, self.left, self.right, self.figures)
        if not all(len(part) == nodes > 0 for part in by_node):
            return False
        inner = [k for k, column in enumerate(self.column) if column >= 0]
        widths = {len(self.figures[k]) for k in range(nodes) if self.column[k] < 0}
        return (
            # Children come after their parents, so that every way down ends.
            all(
                k < child < nodes
                for k in inner
                for child in (self.left[k], self.right[k])
            )
            and max(self.column) < len(self.columns)
            and len(widths) == 1
            and 0 not in widths
        )


def find_cells(values: Mapping[str, Array], target: Array) -> Cells | None:
    """Return cells in which a quantity is about constant, without figures.

    Args:
        values: Columns of shape (n,) to cut in.
        target: The quantity, shape (n,).

    Returns:
        The cells; `None` where there are too few rows for two of them.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    least = max(LEAST, len(target) // PARTS)
    if len(target) < 2 * least:
        return None
    trees = require("sklearn.tree", "train", "learning to simulate")
    tree = trees.DecisionTreeRegressor(
        min_samples_leaf=least, max_leaf_nodes=MOST, random_state=0
    )
    nodes = tree.fit(_rows(values.values()).T, target).tree_
    return Cells(
        tuple(values),
        tuple(np.where(nodes.children_left >= 0, nodes.feature, -1).tolist()),
        tuple(nodes.threshold.tolist()),
        tuple(nodes.children_left.tolist()),
        tuple(nodes.children_right.tolist()),
        ((),) * nodes.node_count,
    )


def _rows(columns: Iterable[Array]) -> Array:
    """Return columns as a tree compares them: float32 of shape (columns, n), NaN as 0."""
    return np.stack(
        [np.nan_to_num(np.asarray(content, np.float32)) for content in columns]
    )
