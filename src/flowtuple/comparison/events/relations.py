"""Relations of columns that hold in one sample: sums, common zeros, flags that are thresholds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.comparison.events.objects import Objects
from flowtuple.data.schema import Array
from flowtuple.runtime.extras import require

FEWEST = 40
"""Objects that show a relation; with fewer it may be chance."""

_FITTED = 2000  # objects that a sum is fitted to
_VALUES = 20  # different values that a sum has to explain
_LOOSE = 0.01  # of the value: the largest residual of a relation
_FLOOR = (
    0.01  # of the standard deviation, added to the value that a residual is divided by
)
_EXACT = 1e-6  # rounding of float32
_MARGIN = 2.0  # residuals of other events may be this much larger than the largest
_MOST_COLUMNS = 48  # columns of a collection among which relations are looked for


@dataclass(frozen=True, eq=False)
class Relation:
    """A relation, with what every object of both samples is to it.

    Attributes:
        text: The relation in words.
        event: Event of each object, int64 of shape (N,).
        broken: True for objects that break it, bool of shape (N,).
        residual: Residuals in units of the value, shape (N,); `None` where there are none.
    """

    text: str
    event: Array
    broken: Array
    residual: Array | None = None


def find_relations(objects: Sequence[Objects], events: Array) -> list[Relation]:
    """Return the relations that all objects of some events obey.

    A value is the sum of others, the energy of an object among them; two columns are zero in the
    same objects; a flag of an event says that the leading p_T is above a threshold.

    Args:
        objects: Objects of all events, collection by collection; columns of events are one, without
            a name.
        events: True for the events that show relations, bool of shape (E,).

    Raises:
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> draw = np.random.default_rng(1).exponential(size=(2, 60))
        >>> columns = {"J_a": draw[0], "J_b": draw[1], "J_c": draw[0] + draw[1]}
        >>> jets = Objects("J", np.ones(60, int), columns, dict.fromkeys(columns, "value"))
        >>> [relation.text for relation in find_relations([jets], np.arange(60) < 50)]
        ['J_c = J_a + J_b']
    """
    out: list[Relation] = []
    for collection in objects:
        shown = events[collection.event]
        if shown.sum() < FEWEST:
            continue
        sums = list(_sums(collection, shown))
        out += [relation for relation, _ in sums]
        out += _zeros(collection, shown, [names for _, names in sums])
    return out + list(_flags(objects, events))


def _columns(objects: Objects) -> dict[str, Array]:
    """Return the columns that relations are made of, finite ones only."""
    kinds = ("reference", "id", "weight", "angle")
    named = {n: v for n, v in objects.columns.items() if objects.roles[n] not in kinds}
    finite = {n: v for n, v in named.items() if np.isfinite(v).all()}
    return dict(itertools.islice(finite.items(), _MOST_COLUMNS))


def _sums(objects: Objects, shown: Array) -> Iterator[tuple[Relation, frozenset[str]]]:
    """Yield columns that are sums of others, and the names of the columns of each relation."""
    columns = _columns(objects)
    targets = dict(columns)
    if objects.has_axes and objects.mass_name is not None:
        name = objects.name
        energy = f"E({name}_pt, {name}_eta, {objects.mass_name})"
        targets = {energy: objects.momenta[3], **targets}
    some = np.flatnonzero(shown)[:_FITTED]
    known: set[frozenset[str]] = set()
    for target, values in targets.items():
        if len(np.unique(values[some])) < _VALUES or values[some].min() < 0:
            continue
        parts = _parts(columns, target, values, some)
        names = frozenset({target, *parts})
        if not parts or names in known:
            continue
        known.add(names)
        total = np.sum([columns[part] for part in parts], axis=0)
        floor = _FLOOR * values[shown].std() or 1.0
        residual = np.abs(values - total) / (np.abs(values) + floor)
        largest = float(residual[shown].max())
        if largest <= _LOOSE:
            text = f"{target} = {' + '.join(parts)}"
            broken = residual > _MARGIN * max(largest, _EXACT)
            yield Relation(text, objects.event, broken, residual), names


def _parts(
    columns: dict[str, Array], target: str, values: Array, some: Array
) -> list[str]:
    """Return the columns that add up to some values, none where whole numbers of them do not."""
    y = values[some]
    reach = y * (1 + _LOOSE) + _FLOOR * y.std()
    parts = [
        name
        for name, column in columns.items()
        if name != target
        and column[some].any()
        and (column[some] >= 0).all()
        and (column[some] <= reach).all()
    ]
    if not parts:
        return []
    matrix = np.stack([columns[name][some] for name in parts], axis=1)
    scale = 1 / (y + _FLOOR * y.std() + 1e-12)
    nnls = require("scipy.optimize", "compare", "comparing samples").nnls
    factors, _ = nnls(matrix * scale[:, None], y * scale)
    return [name for name, factor in zip(parts, factors, strict=True) if factor > 0.5]


def _zeros(
    objects: Objects, shown: Array, sums: Sequence[frozenset[str]]
) -> Iterator[Relation]:
    """Yield pairs of columns that are zero in the same objects, copies left out."""
    first: dict[bytes, str] = {}
    columns = _columns(objects)
    for name, values in columns.items():
        zero = values[shown] == 0
        if min(zero.sum(), (~zero).sum()) < FEWEST:
            continue
        other = first.setdefault(np.packbits(zero).tobytes(), name)
        if other != name and frozenset({name, other}) not in sums:
            broken = (values == 0) != (columns[other] == 0)
            yield Relation(f"{name} is 0 where {other} is", objects.event, broken)


def _flags(objects: Sequence[Objects], events: Array) -> Iterator[Relation]:
    """Yield flags of events that say that the leading p_T is above a threshold."""
    flags = {
        name: values
        for collection in objects
        if not collection.name
        for name, values in collection.columns.items()
        if set(np.unique(values)) == {0.0, 1.0}
    }
    leading = {o.name: np.nan_to_num(o.at(o.axes[0], 0)) for o in objects if o.has_axes}
    for (flag, values), (name, pt) in itertools.product(flags.items(), leading.items()):
        is_set = values == 1
        on, off = events & is_set, events & ~is_set
        if min(on.sum(), off.sum()) < FEWEST:
            continue
        low, high = float(pt[off].max()), float(pt[on].min())
        if low < high:
            broken = np.where(is_set, pt <= low, pt >= high)
            text = f"{flag} = {name}1_pt > {_roundest(low, high):g}"
            yield Relation(text, np.arange(len(pt)), broken)


def _roundest(low: float, high: float) -> float:
    """Return the number of fewest digits from one number up to below another.

    Example:
        >>> _roundest(59.73, 60.02), _roundest(0.0, 0.4)
        (60.0, 0.0)
    """
    for digits in range(1, 17):
        for value in (float(f"{low:.{digits}g}"), float(f"{high:.{digits}g}")):
            if low <= value < high:
                return value
    return low
