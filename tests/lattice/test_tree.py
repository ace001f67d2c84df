"""Trees beside networks, against a plain walk from the root."""

import numpy as np
import pytest

from event_made import tree
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.lattice.network import LOGIT_LIMIT, Network
from flowtuple.lattice.tree import Tree, tree_of
from odd_made import network


def leaf_by_walk(made: Tree, levels: Array) -> int:
    """The leaf of a row, by skipping the left subtree node by node."""
    feature, threshold = made.feature.tolist(), made.threshold.tolist()
    node = leaf = 0
    while feature[node] >= 0:
        left = levels[feature[node]] <= threshold[node]
        node += 1
        if not left:
            open_ends = 1
            while open_ends:
                leaf += feature[node] < 0
                open_ends += 1 if feature[node] >= 0 else -1
                node += 1
    return leaf


@pytest.mark.parametrize("leaves", [1, 2, 3, 40])
@pytest.mark.parametrize("seed", range(3))
def test_as_a_plain_walk_does(leaves: int, seed: int) -> None:
    made = tree(seed, 4, 5, leaves)
    levels = np.random.default_rng(seed).integers(0, 256, (4, 300)).astype(np.uint8)
    expected = [leaf_by_walk(made, row) for row in levels.T]
    assert made.leaves(levels).tolist() == expected
    out = np.random.default_rng(9).integers(-(2**14), 2**14 + 1, (300, 5))
    logits = out.astype(np.int16)
    made.add(levels, logits)
    total = out + made.logits.astype(np.int64)[expected]
    assert logits.dtype == np.int16
    assert logits.tolist() == np.clip(total, -LOGIT_LIMIT, LOGIT_LIMIT).tolist()


def test_sums_end_at_the_limits() -> None:
    made = tree_of(np.array([-1]), np.array([0]), np.int16([[32767, -32768, 1]]))
    logits = np.full((2, 3), [[16384], [-16384]], np.int16)
    made.add(np.empty((0, 2), np.uint8), logits)
    assert logits.tolist() == [[16384, -16384, 16384], [16383, -16384, -16383]]


def test_levels_up_to_the_threshold_go_left() -> None:
    made = tree_of(np.array([0, -1, -1]), np.array([7, 0, 0]), np.int16([[0], [1]]))
    assert made.leaves(np.array([[6, 7, 8, 255]], np.uint8)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("order", ["C", "F"])
def test_beside_a_network(order: str) -> None:
    inner, made = network(3, 4, 5, (6,)), tree(3, 4, 5)
    levels = np.random.default_rng(3).integers(0, 256, (4, 200)).astype(np.uint8)
    expected = Network(inner.layers).logits(levels)
    made.add(levels, expected)
    found = Network(inner.layers, made).logits(np.asarray(levels, order=order))
    assert np.array_equal(found, expected)
    blocks = [Network(inner.layers, made).logits(levels[:, k : k + 7]) for k in (0, 7)]
    assert np.array_equal(np.concatenate(blocks), expected[:14])


@pytest.mark.parametrize(
    "nodes",
    [[], [0], [0, -1], [0, 0, -1, -1], [-1, -1], [-1, 0, -1, -1], [0, -1, -1, -1]],
)
def test_nodes_that_are_no_tree_are_corrupt(nodes: list[int]) -> None:
    leaves = nodes.count(-1)
    with pytest.raises(Corrupt, match=r"a tree (ends before|has nodes beyond)"):
        tree_of(np.array(nodes), np.zeros(len(nodes)), np.zeros((leaves, 2), np.int16))
