"""Growth of the tree that corrects a trained network.

A network is smooth. Where a density changes at once, as at the end of a detector or where a part
takes all that is left, the network misses it in places that a few cuts describe. A leaf adds the
logarithm of observed over expected counts to the logits of its rows.

A split has to gain more log-likelihood than the counts that it distinguishes would gain by chance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.network import Network
from flowtuple.lattice.tree import Tree, tree_of
from flowtuple.runtime.compiled import compiled

LEAST_ROWS = 100  # of a leaf
MAX_LEAVES = 200
PRIOR_ROWS = 50.0  # that each leaf adds to its own, distributed as in its parent node
COST = 1.5  # nats for each group of symbols
GROUPS = 16  # of symbols, for the choice of splits
GROWN_ROWS = 60_000  # that choose the splits; all rows fill the leaves
_SHIFT = 2  # levels are compared in steps of four
_LARGEST = 1024  # sixteenths of a bit
_BLOCK = 2**15


@compiled()
def _gain(observed: Any, expected: Any) -> Any:
    """Return the sum of o log(o / e), the log-likelihood that a correction of a node gains."""
    total, out = 0.0, 0.0
    for k in range(len(observed)):
        if observed[k] > 0 and expected[k] > 0:
            out += observed[k] * math.log(observed[k] / expected[k])
        total += observed[k] - expected[k]
    return out - total


@compiled()
def _best_split(
    levels: Any, symbols: Any, shares: Any, rows: Any, least: Any, bins: Any
) -> Any:
    """Return feature, level and gain in nats of the best split of some rows."""
    groups = shares.shape[1]
    total_o, total_e = np.zeros(groups), np.zeros(groups)
    for r in rows:
        total_o[symbols[r]] += 1
        for k in range(groups):
            total_e[k] += shares[r, k]
    base = _gain(total_o, total_e)
    best_gain, best_feature, best_level = 0.0, -1, 0
    observed, expected = np.empty((bins, groups)), np.empty((bins, groups))
    size = np.empty(bins, np.int64)
    for f in range(len(levels)):
        observed[:], expected[:], size[:] = 0.0, 0.0, 0
        for r in rows:
            level = levels[f, r]
            size[level] += 1
            observed[level, symbols[r]] += 1
            for k in range(groups):
                expected[level, k] += shares[r, k]
        left_o, left_e, count = np.zeros(groups), np.zeros(groups), 0
        for level in range(bins - 1):
            if size[level] == 0:
                continue
            count += size[level]
            left_o += observed[level]
            left_e += expected[level]
            if least <= count <= len(rows) - least:
                gain = _gain(left_o, left_e) + _gain(total_o - left_o, total_e - left_e)
                if gain - base > best_gain:
                    best_gain, best_feature, best_level = gain - base, f, level
    return best_feature, best_level, best_gain


@compiled()
def _partition(compared: Any, at: Any, order: Any, begin: Any, end: Any) -> Any:
    """Put rows with levels up to `at` first, and return the place of the first other one."""
    i, j = begin, end - 1
    while i <= j:
        if compared[order[i]] <= at:
            i += 1
        else:
            order[i], order[j] = order[j], order[i]
            j -= 1
    return i


@compiled()
def _grow(
    levels: Any, symbols: Any, shares: Any, least: Any, cost: Any, most: Any, bins: Any
) -> Any:
    """Return features, levels and left children of the nodes, in order of growth."""
    order = np.arange(levels.shape[1])
    start, stop = np.zeros(2 * most, np.int64), np.zeros(2 * most, np.int64)
    feature = np.full(2 * most, -1, np.int64)
    level, left = np.zeros(2 * most, np.int64), np.zeros(2 * most, np.int64)
    stop[0] = len(order)
    count, node = 1, 0
    # Nodes are split in the order in which they came up, so that a limit cuts all branches alike.
    while node < count:
        rows = order[start[node] : stop[node]]
        if len(rows) >= 2 * least and count + 2 <= 2 * most:
            f, at, gain = _best_split(levels, symbols, shares, rows, least, bins)
            if f >= 0 and gain > cost:
                middle = _partition(levels[f], at, order, start[node], stop[node])
                feature[node], level[node], left[node] = f, at, count
                start[count], stop[count] = start[node], middle
                start[count + 1], stop[count + 1] = middle, stop[node]
                count += 2
        node += 1
    return feature[:count], level[:count], left[:count]


def grow_tree(
    network: Network, features: Array, symbols: Array, weight: Array | None = None
) -> Tree | None:
    """Return the tree that corrects a network; `None` if no split is worth it.

    Args:
        network: The network.
        features: uint8 levels, shape (inputs, n).
        symbols: The symbol of each row, shape (n,).
        weight: Weight of each row, shape (n,); `None` for equal weights.
    """
    if not len(symbols):
        return None
    some = slice(None, None, -(-len(symbols) // GROWN_ROWS))
    group = _groups(symbols, network.outputs)
    count = int(group.max()) + 1
    shares = np.concatenate(
        [
            _group_sums(p, group, count)
            for _, p in _probabilities(network, features[:, some])
        ]
    )
    feature, level, left = _grow(
        np.ascontiguousarray(features[:, some] >> _SHIFT),
        group[symbols[some]],
        shares,
        max(LEAST_ROWS * len(shares) // len(symbols), 20),
        COST * count,
        MAX_LEAVES,
        256 >> _SHIFT,
    )
    if len(feature) == 1:
        return None
    nodes = _preorder(feature, left)
    threshold = np.where(feature >= 0, ((level + 1) << _SHIFT) - 1, 0)[nodes]
    leaves = nodes[feature[nodes] < 0]
    blank = np.zeros((len(leaves), network.outputs), np.int16)
    tree = tree_of(feature[nodes], threshold, blank)
    observed, expected = np.zeros((2, len(feature), network.outputs))
    for part, p in _probabilities(network, features):
        leaf = leaves[tree.leaves(features[:, part])]
        own = np.ones(len(leaf)) if weight is None else weight[part]
        np.add.at(observed, (leaf, symbols[part]), own)
        np.add.at(expected, leaf, p * own[:, None])
    logits = _corrections(feature, left, observed, expected)
    return tree_of(feature[nodes], threshold, logits[leaves])


def _probabilities(network: Network, features: Array) -> Any:
    """Yield blocks of rows with the probabilities of all symbols, shape (n, K)."""
    for start in range(0, features.shape[1], _BLOCK):
        part = slice(start, min(start + _BLOCK, features.shape[1]))
        logits = network.logits(features[:, part]).astype(np.float32)
        weights = np.exp2((logits - logits.max(axis=1, keepdims=True)) / 16)
        yield part, weights / weights.sum(axis=1, keepdims=True)


def _groups(symbols: Array, count: int) -> Array:
    """Return the group of each symbol: neighbours in about `GROUPS` groups of equal counts."""
    counts = np.bincount(symbols, minlength=count)
    middle = np.cumsum(counts) - counts / 2
    wanted = (middle * GROUPS / counts.sum()).astype(np.int64)
    group: Array = np.unique(wanted, return_inverse=True)[1]
    return group


def _group_sums(p: Array, group: Array, count: int) -> Array:
    indicator = np.zeros((len(group), count), np.float32)
    indicator[np.arange(len(group)), group] = 1
    sums: Array = p @ indicator
    return sums


def _corrections(feature: Array, left: Array, observed: Array, expected: Array) -> Array:
    """Return the logits of each node, int16 of shape (nodes, K), from the counts of its leaves."""
    inner = np.flatnonzero(feature >= 0)
    for node in inner[::-1]:
        for counts in (observed, expected):
            counts[node] = counts[left[node]] + counts[left[node] + 1]
    factor = np.ones_like(expected)
    for node in inner:
        for child in (left[node], left[node] + 1):
            likely = expected[child] * factor[node]
            likely /= max(likely.sum(), 1e-300)
            seen = np.maximum(observed[child], 0.0)
            rows = seen.sum()
            ratio = (seen + PRIOR_ROWS * likely) / ((rows + PRIOR_ROWS) * likely + 1e-300)
            factor[child] = factor[node] * np.maximum(ratio, 1e-30)
    logits: Array = np.rint(16 * np.log2(factor))
    return np.clip(logits, -_LARGEST, _LARGEST).astype(np.int16)


def _preorder(feature: Array, left: Array) -> Array:
    """Return the nodes in preorder."""
    nodes, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if feature[node] >= 0:
            waiting += [int(left[node]) + 1, int(left[node])]
    return np.array(nodes)
