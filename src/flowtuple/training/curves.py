"""Curves: a column as a rising or falling function of others, fitted to training.

A resolution grows with p_T and |eta|, and an error of a position falls with p_T. Such a column is
proposed as b f(u), or as f(u) g(v), for columns b, u and v of its object. A small network reads
levels, and few objects do not teach it what is left after the curves: a narrow noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.lattice.context import Parent, collection_of
from flowtuple.lattice.event_features import EventFeature
from flowtuple.lattice.prediction import Term
from flowtuple.training.sample import RowSample, as_floats

CURVE_KNOTS = 64
_ROWS = 8192
_FEWEST_ROWS = 500
_MOST_COLUMNS = 32  # of a collection whose curves are tried
_BINS = 64
_NARROW = 0.2  # standard deviation of the logarithm about a curve that is worth a try
_LEAST_GAIN = 0.95  # of that deviation, what another curve has to leave at most
_FAR = 1e300  # no value lies below minus this


@dataclass(frozen=True, eq=False)
class _Curve:
    """A factor that rises or falls with a column, or with its size.

    Attributes:
        place: The feature whose number it is, up to a factor and a constant.
        start: Its value at place 0.
        step: Its change from each knot to the next.
        logarithm: Of the factor in each row that it was fitted to.
    """

    place: EventFeature
    start: float
    step: float
    logarithm: Array


_Axis = tuple[str, str, Array]
"""Kind of a place, its column, and what is placed in each row."""


def curves(sample: RowSample) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """Propose positive columns of objects as products of curves and another column.

    Args:
        sample: Events to search in.
    """
    by_key: dict[str, list[Column]] = {}
    for column in sample.columns:
        if column.is_float and column.role != "angle" and collection_of(column):
            by_key.setdefault(collection_of(column), []).append(column)
    for columns in by_key.values():
        if len(columns) > _MOST_COLUMNS:
            continue
        values = _sampled(sample, columns)
        for number, column in enumerate(columns):
            terms = _terms(column.name, [c.name for c in columns[:number]], values)
            if terms:
                yield column, terms


def _sampled(sample: RowSample, columns: Sequence[Column]) -> Mapping[str, Array]:
    """Return evenly spread rows of columns, without those in which one is not finite."""
    content = [as_floats(sample.context.values[c.name]) for c in columns]
    stride = max(1, len(content[0]) // _ROWS)
    matrix = np.stack([x[::stride] for x in content]).astype(np.float64)
    matrix = matrix[:, np.isfinite(matrix).all(axis=0)]
    return {c.name: x for c, x in zip(columns, matrix, strict=True)}


def _terms(
    name: str, others: Sequence[str], values: Mapping[str, Array]
) -> tuple[Term, ...]:
    """Return the product of fewest deviations, nothing if it does not follow a column closely."""
    target = values[name]
    if len(target) < _FEWEST_ROWS or not (target > 0).all():
        return ()
    whole = np.log(target)
    axes = [axis for other in others for axis in _axes(other, values[other])]
    bases = {"": whole}
    bases |= {b: whole - np.log(values[b]) for b in others if (values[b] > 0).all()}
    fitted = [
        (base, curve)
        for base, rest in bases.items()
        for axis in axes
        if axis[1] != base and (curve := _fit(axis, rest)) is not None
    ]
    if not fitted:
        return ()

    def left(base: str, curve: _Curve) -> float:
        return float((bases[base] - curve.logarithm).std())

    base, first = min(fitted, key=lambda pair: left(*pair))
    narrowest = left(base, first)
    best = _scaled(base, first) if base else _one_curve(first)
    for axis in axes:
        for curve in (c for b, c in fitted if b == "" and c.place.columns[0] != axis[1]):
            if left("", curve) > 4 * narrowest:
                continue
            second = _fit(axis, whole - curve.logarithm)
            if second is None:
                continue
            deviation = float((whole - curve.logarithm - second.logarithm).std())
            if deviation < _LEAST_GAIN * narrowest:
                narrowest, best = deviation, _two_curves(curve, second)
    return best if narrowest < min(_NARROW, _LEAST_GAIN * whole.std()) else ()


def _axes(name: str, values: Array) -> Iterator[_Axis]:
    """Return what a curve may rise or fall with: x, or |x| where x has both signs."""
    if (values < 0).any() and (values > 0).any():
        yield "place of size", name, np.abs(values)
    else:
        yield "place", name, values


def _fit(axis: _Axis, logarithm: Array) -> _Curve | None:
    """Return the curve of an axis nearest to a factor, `None` if it neither rises nor falls."""
    kind, name, x = axis
    edges = np.unique(np.quantile(x, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, x, side="right")
    counts = np.bincount(bins, minlength=len(edges) + 1)
    used = counts > 0
    if np.count_nonzero(used) < 4:
        return None
    center, mean = (
        (np.bincount(bins, y, minlength=len(counts))[used] / counts[used])
        for y in (x, logarithm)
    )
    sign = 1.0 if np.corrcoef(np.arange(len(mean)), mean)[0, 1] >= 0 else -1.0
    height = np.exp(sign * _rising(sign * mean, counts[used]))
    levels = np.linspace(height[0], height[-1], CURVE_KNOTS)
    order = slice(None, None, int(sign))
    knots = np.interp(levels, height[order], center[order])
    if height[0] == height[-1] or not (np.diff(knots) > 0).all():
        return None
    place = EventFeature(kind, (name,), tuple(knots.tolist()))
    step = float(levels[1] - levels[0])
    factor = height[0] + step * place.place(x)
    return _Curve(place, float(height[0]), step, np.log(factor))


def _rising(mean: Array, count: Array) -> Array:
    """Return the nearest sequence that rises everywhere, however little (pool adjacent violators).

    Example:
        >>> _rising(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4)).round(3).tolist()
        [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, float, int]] = []
    for pair in zip(mean.tolist(), count.tolist(), strict=True):
        (value, weight), size = pair, 1
        while pools and pools[-1][0] >= value:
            before, other, members = pools.pop()
            value = (before * other + value * weight) / (other + weight)
            weight, size = other + weight, size + members
        pools.append((value, weight, size))
    flat = np.repeat([p[0] for p in pools], [p[2] for p in pools])
    slope = 1e-6 * (flat[-1] - flat[0]) / len(flat)
    rising: Array = flat + slope * np.arange(len(flat))
    return rising


def _parent(feature: EventFeature) -> Parent:
    return Parent("feature", feature=feature)


def _scaled(base: str, curve: _Curve) -> tuple[Term, ...]:
    """Return a column times a curve."""
    scale = Parent("row", base)
    return (
        Term(curve.start, "x", (scale,)),
        Term(curve.step, "product", (scale, _parent(curve.place))),
    )


def _one_curve(curve: _Curve) -> tuple[Term, ...]:
    """Return a curve; its constant is a place above all knots."""
    one = EventFeature("place", curve.place.columns, (-_FAR, -0.5 * _FAR))
    return (
        Term(curve.start, "x", (_parent(one),)),
        Term(curve.step, "x", (_parent(curve.place),)),
    )


def _two_curves(first: _Curve, second: _Curve) -> tuple[Term, ...]:
    """Return the product of two curves."""
    places = _parent(first.place), _parent(second.place)
    constant, rise = _one_curve(first)
    return (
        Term(constant.coefficient * second.start, "x", constant.inputs),
        Term(rise.coefficient * second.start, "x", rise.inputs),
        Term(first.start * second.step, "x", places[1:]),
        Term(first.step * second.step, "product", places),
    )
