"""Trees that correct a trained network: where it is wrong, and nowhere else."""

import numpy as np
import pytest

from flowtuple.data.schema import Array
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.tree import Tree
from flowtuple.training.trees import grow_tree

ROWS = 4000
SHARES = np.array([[0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]])
"""Shares of four symbols at levels up to 127 of the first input, and beyond."""


def network(shares: Array) -> Network:
    """A network that gives symbols these shares whatever its two inputs are."""
    weights = np.zeros((len(shares), 3), np.int8)
    # the bias input is 255
    weights[:, -1] = np.rint(16 * np.log2(shares / shares.max()) * 16 / 255)
    return Network((Layer(weights, np.full(len(shares), 4, np.uint8)),))


def rows(seed: int = 1, count: int = ROWS, *, alike: bool = False) -> tuple[Array, Array]:
    """Levels of two inputs and the symbols that follow the first."""
    draw = np.random.default_rng(seed)
    levels = draw.integers(0, 256, (2, count)).astype(np.uint8)
    side = np.zeros(count, int) if alike else (levels[0] > 127).astype(int)
    edges = np.cumsum(SHARES, axis=1)[side]
    return levels, np.minimum((draw.random((count, 1)) > edges).sum(axis=1), 3)


def bits(net: Network, levels: Array, symbols: Array) -> Array:
    logits = net.logits(levels).astype(float) / 16
    norm = np.log2(np.exp2(logits).sum(axis=1))
    found: Array = norm - logits[np.arange(len(symbols)), symbols]
    return found


def grown(
    net: Network, levels: Array, symbols: Array, weight: Array | None = None
) -> Tree:
    made = grow_tree(net, levels, symbols, weight)
    assert made is not None
    return made


def test_a_network_that_is_wrong_on_one_side() -> None:
    plain = network(SHARES[0])
    tree = grown(plain, *rows())
    assert len(tree.logits) == 2
    assert tree.feature.tolist() == [0, -1, -1]
    assert abs(int(tree.threshold[0]) - 127) <= 4  # levels are compared in steps of four
    levels, symbols = rows(2)
    gain = bits(plain, levels, symbols) - bits(
        Network(plain.layers, tree), levels, symbols
    )
    wrong = levels[0] > 131
    right = levels[0] <= 123
    entropy = -(SHARES[1] * np.log2(SHARES[1])).sum()
    assert gain[wrong].mean() == pytest.approx(2 - entropy, abs=0.06)
    assert abs(gain[right].mean()) < 0.01


def test_a_network_that_is_right_gets_no_tree() -> None:
    many = np.full(16, 1 / 16)
    for seed in range(5):
        levels, symbols = rows(seed, alike=True)
        symbols += 4 * np.random.default_rng(seed + 99).integers(0, 4, ROWS)
        assert grow_tree(network(many), levels, symbols) is None


@pytest.mark.parametrize("count", [0, 1, 10, 39])
def test_few_rows_get_no_tree(count: int) -> None:
    assert grow_tree(network(SHARES[0]), *rows(1, count)) is None


def test_one_symbol_gets_no_tree() -> None:
    levels, symbols = rows()
    assert grow_tree(network(SHARES[0]), levels, 0 * symbols) is None


def test_leaves_have_enough_rows() -> None:
    levels, symbols = rows()
    leaf = grown(network(SHARES[0]), levels, symbols).leaves(levels)
    assert np.bincount(leaf).min() >= 100


def test_equal_rows_give_equal_trees() -> None:
    one, two = (grown(network(SHARES[0]), *rows()) for _ in range(2))
    for name in ("feature", "threshold", "right", "logits"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_weights_fill_the_leaves() -> None:
    """Symbol 0 counts four times: leaves learn the weighted shares."""
    levels, symbols = rows()
    plain = network(SHARES[0])
    weight = np.where(symbols == 0, 4.0, 1.0)
    tree = grown(plain, levels, symbols, weight)
    logits = Network(plain.layers, tree).logits(np.uint8([[250], [9]])).astype(float)[0]
    found = np.exp2(logits / 16) / np.exp2(logits / 16).sum()
    expected = SHARES[1] * [4, 1, 1, 1] / (SHARES[1] * [4, 1, 1, 1]).sum()
    assert found == pytest.approx(expected, abs=0.03)
    same = grown(plain, levels, symbols, np.full(ROWS, 1.0))
    assert np.array_equal(same.logits, grown(plain, levels, symbols).logits)


def test_weights_that_cancel_leave_finite_logits() -> None:
    levels, symbols = rows()
    weight = np.where(np.arange(ROWS) % 2 == 0, 1.0, -1.0)
    tree = grown(network(SHARES[0]), levels, symbols, weight)
    assert np.abs(tree.logits.astype(int)).max() <= 1024


def test_the_tree_adds_the_logits_of_its_leaves() -> None:
    levels, symbols = rows()
    symbols = np.where(levels[1] > 200, 3, symbols)
    plain = network(SHARES[0])
    tree = grown(plain, levels, symbols)
    assert len(tree.logits) >= 3
    added = plain.logits(levels)
    tree.add(levels, added)
    expected = plain.logits(levels) + tree.logits[tree.leaves(levels)]
    assert np.array_equal(added, expected)
    assert np.array_equal(Network(plain.layers, tree).logits(levels), expected)
