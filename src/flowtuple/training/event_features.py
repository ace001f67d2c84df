"""Features of the event so far that a column may read, proposed by the names of branches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowtuple.data.schema import Column
from flowtuple.lattice.context import Parent, collection_of
from flowtuple.lattice.event_features import EventFeature
from flowtuple.lattice.prediction import Prediction
from flowtuple.training.kinematics import families

KNOTS = 63
"""Levels of a feature less one; as fine as the bins of the columns that read it."""

_Axes = dict[str, str]
"""Names of the columns of objects by quantity: pt, eta, phi."""


def propose_features(
    column: Column, columns: Sequence[Column], earlier: Sequence[Column]
) -> Iterator[EventFeature]:
    """Propose the features that a column of objects may read.

    Args:
        column: The reader, of a collection.
        columns: The schema.
        earlier: Columns that are decoded before it.
    """
    key = collection_of(column)
    readable = {c.name for c in earlier} | {column.name}
    own = _axes(columns, key, readable)
    if column.is_float:
        yield EventFeature("sum", (column.name,))
    yield from _of_momenta(column.name, own)
    yield from _of_masses(column.name, own)
    for vectors in vector_groups(column, columns, earlier):
        yield from _of_vectors(column.name, own, vectors)
    others = {
        collection_of(c): None for c in earlier if collection_of(c) not in ("", key)
    }
    yield from _of_neighbours(column.name, own, own)
    for other in others:
        yield from _of_neighbours(column.name, own, _axes(columns, other, readable))


def _of_vectors(
    name: str, own: _Axes, vectors: tuple[str, ...]
) -> Iterator[EventFeature]:
    """Propose how a vector sum compares with an object, and where it points."""
    yield EventFeature("length", vectors)
    if "pt" in own and own["pt"] != name:
        yield EventFeature("relative length", (own["pt"], *vectors))
        yield EventFeature("opening", (own["pt"], *vectors))
    if own.get("phi") in vectors:
        yield EventFeature("turn of the first", (own["phi"], *vectors))
        yield EventFeature("turn of the last", (own["phi"], *vectors))


def _of_neighbours(name: str, own: _Axes, other: _Axes) -> Iterator[EventFeature]:
    """Propose the nearest object of a collection, and the p_T sum of another one."""
    place = tuple(own[axis] for axis in ("eta", "phi") if axis in own)
    there = tuple(other[axis] for axis in ("eta", "phi") if axis in other)
    if other is not own and "pt" in other:
        yield EventFeature("sum", (other["pt"],))
    if len(place) == len(there) == 2 and name not in place:
        yield EventFeature("distance", (*place, *there))
        if "pt" in other and other["pt"] != name:
            yield EventFeature("nearest", (other["pt"], *place, *there))


def _of_momenta(name: str, own: _Axes) -> Iterator[EventFeature]:
    """Propose |eta|, and sums and means of p_T of the collection."""
    if "eta" in own and own["eta"] != name:
        yield EventFeature("size", (own["eta"],))
    if "pt" in own:
        yield EventFeature("needed", (own["pt"],))
    if "pt" not in own or own["pt"] == name:
        return
    yield EventFeature("sum", (own["pt"],))
    yield EventFeature("rest", (own["pt"],))
    if "eta" in own:
        yield EventFeature("mean", (own["pt"], own["eta"]))


def _of_masses(name: str, own: _Axes) -> Iterator[EventFeature]:
    """Propose the mass of an object and the first one, or the largest that it may become."""
    axes = tuple(own[axis] for axis in ("pt", "eta", "phi") if axis in own)
    if len(axes) == 3 and name not in axes:
        yield EventFeature("mass", axes)
    elif len(axes) > 1 and own.get("eta") == axes[1] and name not in axes[:2]:
        yield EventFeature("back to back", axes[:2])


def energy_features(prediction: Prediction | None) -> Iterator[EventFeature]:
    """Propose the energy and what parts leave of it, for a column that is predicted by the rest."""
    if prediction is not None and prediction.terms[0].function == "energy":
        total, *known = prediction.terms
        axes = tuple(parent.column for parent in total.inputs)
        yield EventFeature("energy", axes)
        if all((term.function, term.coefficient) == ("x", -1.0) for term in known):
            yield EventFeature("left", (*axes, *(t.inputs[0].column for t in known)))


def vector_groups(
    column: Column, columns: Sequence[Column], earlier: Sequence[Column]
) -> Iterator[tuple[str, ...]]:
    """Propose vector sums that tell where an object goes: names of p_T and phi, group by group.

    They are of its own collection, of that and vectors of the event, and of all collections.

    Args:
        column: The reader, of a collection.
        columns: The schema.
        earlier: Columns that are decoded before it.
    """
    key = collection_of(column)
    readable = {c.name for c in earlier} | {column.name}
    pairs = {
        other: _pairs(columns, other, readable)
        for other in (key, *{collection_of(c): None for c in earlier})
    }
    groups = pairs.pop(key)
    if groups and groups[0] == column.name:  # the p_T of later objects is not known yet
        return
    seen = set[tuple[str, ...]]()
    rest = tuple(name for other in pairs for name in pairs[other] if other)
    for vectors in (
        groups,
        groups + pairs.get("", ()),
        groups + pairs.get("", ()) + rest,
    ):
        if vectors and vectors not in seen:
            seen.add(vectors)
            yield vectors


def balances(
    column: Column, columns: Sequence[Column], earlier: Sequence[Column]
) -> Iterator[Parent]:
    """Propose directions that balance the event so far, for the angle phi of objects."""
    own = _axes(columns, collection_of(column), {c.name for c in columns})
    if own.get("phi") == column.name:
        for vectors in vector_groups(column, columns, earlier):
            yield Parent("feature", feature=EventFeature("balance", vectors))


def _axes(columns: Sequence[Column], key: str, readable: set[str]) -> _Axes:
    """Return p_T, eta and phi of a collection, as far as they are readable."""
    for (collection, _, number), family in families(columns).items():
        if collection == key and not number and {"pt", "phi"} <= family.keys():
            return {
                axis: family[axis].name
                for axis in ("pt", "eta", "phi")
                if axis in family and family[axis].name in readable
            }
    return {}


def _pairs(columns: Sequence[Column], key: str, readable: set[str]) -> tuple[str, ...]:
    """Return p_T and phi of each vector of a collection whose two columns are readable."""
    return tuple(
        family[axis].name
        for (collection, _, _), family in families(columns).items()
        if collection == key and {"pt", "phi"} <= family.keys()
        if {family["pt"].name, family["phi"].name} <= readable
        for axis in ("pt", "phi")
    )
