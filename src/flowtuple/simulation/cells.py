"""Cells of generated objects that a detector treats alike, as a regression tree finds them: sharp edges in eta among them.

Breiman, Friedman, Olshen, Stone, "Classification and regression trees" (1984).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.runtime.extras import require

LEAST = 200  # objects in a cell, so that its figures are good to some per cent
PARTS = 200  # or one of so many parts of all objects, where that is more
MOST = 64  # cells


@dataclass(frozen=True)
class Cells:
    """A binary tree over some columns, with a figure for each of its leaves.

    Attributes:
        columns: Names of the columns that are looked at.
        column: By node, which of them is; -1 in a leaf.
        edge: By node, the largest value that goes left; float32 values are compared with it.
        left: By node, the node for values up to the edge.
        right: By node, the node for larger values.
        figures: By node, numbers that describe a leaf; empty in other nodes.

    Example:
        >>> halves = Cells(("x",), (0, -1, -1), (0.5, 0.0, 0.0), (1, -1, -1), (2, -1, -1), ((), (10.0,), (20.0,)))
        >>> halves.figure({"x": np.array([0.1, 0.9])})
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
        """The leaf of each row, shape (n,), from columns of that shape."""
        rows = _rows([values[name] for name in self.columns])
        column, edge = np.array(self.column), np.array(self.edge)
        left, right = np.array(self.left), np.array(self.right)
        node = np.zeros(rows.shape[1], np.int64)
        while True:
            inner = np.flatnonzero(column[node] >= 0)
            if not len(inner):
                return node
            at = node[inner]
            node[inner] = np.where(rows[column[at], inner] <= edge[at], left[at], right[at])

    def figure(self, values: Mapping[str, Array]) -> Array:
        """The figures of each row's leaf: float64 of shape (n, figures)."""
        width = max(len(f) for f in self.figures)
        table = np.array([f or (np.nan,) * width for f in self.figures])
        found: Array = table[self.leaf(values)]
        return found

    def described(
        self,
        values: Mapping[str, Array],
        target: Array,
        figures: Callable[[Array], tuple[float, ...]],
    ) -> Cells:
        """The same cells with figures of a quantity in each of them.

        Args:
            values: Columns of shape (n,) that put at least one row in each cell.
            target: The quantity, shape (n,).
            figures: Told of the quantity in one cell.
        """
        leaf = self.leaf(values)
        order = np.argsort(leaf, kind="stable")
        leaves, begin = np.unique(leaf[order], return_index=True)
        found = dict(
            zip(leaves.tolist(), map(figures, np.split(target[order], begin[1:])), strict=True)
        )
        return replace(self, figures=tuple(found.get(k, ()) for k in range(len(self.column))))

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Cells | None:
        """What `dataclasses.asdict` has made of cells, or of none.

        Raises:
            Corrupt: The tree does not end, or a node is described in part.
        """
        if data is None:
            return None
        cells = cls(
            tuple(data["columns"]),
            tuple(data["column"]),
            tuple(data["edge"]),
            tuple(data["left"]),
            tuple(data["right"]),
            tuple(tuple(f) for f in data["figures"]),
        )
        nodes = range(len(cells.column))
        below = [n for k in nodes if cells.column[k] >= 0 for n in (cells.left[k], cells.right[k])]
        later = all(cells.left[k] > k and cells.right[k] > k for k in nodes if cells.column[k] >= 0)
        fits = all(
            len(part) == len(nodes) > 0
            for part in (cells.edge, cells.left, cells.right, cells.figures)
        )
        widths = {len(cells.figures[k]) for k in nodes if cells.column[k] < 0}
        fits = fits and len(widths) == 1 and 0 not in widths
        if not (
            fits
            and later
            and all(n < len(nodes) for n in below)
            and max(cells.column, default=-1) < len(cells.columns)
        ):
            raise Corrupt("the cells of a response are no tree")
        return cells


def find_cells(values: Mapping[str, Array], target: Array) -> Cells | None:
    """Cells in which a quantity is about constant, without figures; `None` where there are too few rows for two.

    Args:
        values: Columns of shape (n,) to cut in.
        target: The quantity, shape (n,).

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    least = max(LEAST, len(target) // PARTS)
    if len(target) < 2 * least:
        return None
    trees = require("sklearn.tree", "train", "learning to simulate")
    tree = trees.DecisionTreeRegressor(min_samples_leaf=least, max_leaf_nodes=MOST, random_state=0)
    fitted = tree.fit(_rows(values.values()).T, target).tree_
    return Cells(
        tuple(values),
        tuple(np.where(fitted.children_left >= 0, fitted.feature, -1).tolist()),
        tuple(fitted.threshold.tolist()),
        tuple(fitted.children_left.tolist()),
        tuple(fitted.children_right.tolist()),
        ((),) * fitted.node_count,
    )


def _rows(columns: Iterable[Array]) -> Array:
    """Columns as a tree compares them: float32 of shape (columns, n), NaN as 0."""
    return np.stack([np.nan_to_num(np.asarray(content, np.float32)) for content in columns])
