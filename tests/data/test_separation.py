"""Near pairs and one-to-one matches against loops over all pairs."""

import math

import numpy as np
import pytest

from flowtuple.data.separation import Directions, near_pairs, wrap_angle

CONE = 0.4


def directions(draw: np.random.Generator, events: int, most: int) -> Directions:
    """Objects close enough together that many are near; some events have none."""
    event = np.repeat(np.arange(events), draw.integers(0, most, events))
    n = len(event)
    # Tenths make equal distances common.
    return Directions(event, draw.integers(-4, 5, n) / 10, draw.integers(-33, 34, n) / 10)


def distance(one: Directions, i: int, two: Directions, j: int) -> float:
    turn = (one.phi[i] - two.phi[j] + math.pi) % (2 * math.pi) - math.pi
    return math.sqrt((one.eta[i] - two.eta[j]) ** 2 + turn**2)


def slow_match(one: Directions, two: Directions) -> list[int]:
    """Match the nearest pair of all, then the nearest of what is left."""
    pairs = sorted(
        (distance(one, i, two, j), i, j)
        for i in range(len(one.event))
        for j in range(len(two.event))
        if one.event[i] == two.event[j]
    )
    match = [-1] * len(one.event)
    for d, i, j in pairs:
        if d < CONE and match[i] < 0 and j not in match:
            match[i] = j
    return match


@pytest.mark.parametrize("seed", range(8))
def test_pairs_and_matches_are_those_of_loops(seed: int) -> None:
    draw = np.random.default_rng(seed)
    one, two = directions(draw, 9, 7), directions(draw, 9, 5)
    pairs = near_pairs(one, two, CONE)
    every = [
        (i, j)
        for i in range(len(one.event))
        for j in range(len(two.event))
        if one.event[i] == two.event[j] and distance(one, i, two, j) < CONE
    ]
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == every
    assert pairs.one_to_one().tolist() == slow_match(one, two)
    for rank in range(3):
        pair = pairs.at_rank(rank)
        for i in range(len(one.event)):
            near = sorted((distance(one, i, two, j), j) for k, j in every if k == i)
            expected = near[rank][1] if rank < len(near) else -1
            assert (pairs.second[pair[i]] if pair[i] >= 0 else -1) == expected


def test_the_cone_reaches_across_the_ends_of_phi() -> None:
    one = Directions(np.array([0]), np.array([0.0]), np.array([-3.1]))
    two = Directions(np.array([0]), np.array([0.0]), np.array([3.1]))
    pairs = near_pairs(one, two, CONE)
    assert pairs.d_phi == pytest.approx(2 * math.pi - 6.2)
    assert near_pairs(two, one, CONE).d_phi == pytest.approx(6.2 - 2 * math.pi)


def test_undefined_directions_are_near_to_nothing() -> None:
    one = Directions(np.array([0]), np.array([np.nan]), np.array([0.0]))
    two = Directions(np.array([0]), np.array([0.0]), np.array([0.0]))
    assert len(near_pairs(one, two, CONE).first) == 0
    assert near_pairs(two, one, CONE).at_rank(0).tolist() == [-1]


def test_half_a_turn_is_negative() -> None:
    assert wrap_angle(np.array([math.pi, -math.pi, 7.0])) == pytest.approx(
        [-math.pi, -math.pi, 7 - 2 * math.pi]
    )
