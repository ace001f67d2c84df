"""Objects of events: which columns make a collection, and which column says what object of another one is meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column, reference_target
from flowtuple.errors import InvalidArgument, nearest


@dataclass(frozen=True)
class Collection:
    """Objects of one kind: columns that one counter counts.

    Attributes:
        name: What the columns begin with, such as `Jet`.
        counter: Name of the counter.
        columns: Names of the columns that are read or learned, in the order of the schema.
        axes: Names of p_T, eta and phi; empty where they are not all there.
    """

    name: str
    counter: str
    columns: tuple[str, ...]
    axes: tuple[str, ...] = ()


def plain_columns(columns: Sequence[Column]) -> list[Column]:
    """Return columns of single numbers, without counters and numbers of runs and events.

    Example:
        >>> columns = [Column("nJet", "int32"), Column("Jet_pt", "float32", counter="nJet")]
        >>> [c.name for c in plain_columns(columns)]
        ['Jet_pt']
    """
    counters = {c.counter for c in columns}
    return [
        c
        for c in columns
        if not c.is_opaque and not c.shape and c.role != "id" and c.name not in counters
    ]


def find_collections(columns: Iterable[Column]) -> list[Collection]:
    """The collections of some columns, by their counters, named by what their columns begin with.

    Raises:
        InvalidArgument: The columns of two counters begin alike.

    Example:
        >>> find_collections([Column("nJet", "int32"), Column("Jet_pt", "float32", counter="nJet")])
        [Collection(name='Jet', counter='nJet', columns=('Jet_pt',), axes=())]
    """
    found: dict[str, list[str]] = {}
    for column in columns:
        if column.counter is not None:
            found.setdefault(column.counter, []).append(column.name)
    out: list[Collection] = []
    for counter, names in found.items():
        stem = names[0].partition("_")[0]
        axes = tuple(f"{stem}_{quantity}" for quantity in ("pt", "eta", "phi"))
        if stem in {c.name for c in out}:
            raise InvalidArgument(
                f"column {names[0]!r} begins like those of another collection, counted otherwise; rename one kind"
            )
        out.append(Collection(stem, counter, tuple(names), axes if set(axes) <= set(names) else ()))
    return out


def find_links(
    match: Iterable[str], reconstructed: Sequence[Collection], given: Sequence[Collection]
) -> dict[str, tuple[str, str]]:
    """By reconstructed collection, the column that points to partners and the given collection they are in.

    Args:
        match: Such columns, as `COL` or `COL=COLLECTION`; none means those whose names say so.
        reconstructed: Collections that may point.
        given: Collections that may be pointed to.

    Raises:
        InvalidArgument: A column that is named belongs to no reconstructed collection, or points to no given one.

    Example:
        >>> jets, given = Collection("Jet", "nJet", ("Jet_genJetIdx",)), Collection("GenJet", "nGenJet", ("GenJet_pt",))
        >>> find_links((), [jets], [given])
        {'Jet': ('Jet_genJetIdx', 'GenJet')}
    """
    by_stem = {c.name.lower(): c.name for c in given}
    asked = list(match)
    if not asked:
        asked = [
            n
            for c in reconstructed
            for n in c.columns
            if "Idx" in n and reference_target(n) in by_stem
        ]
    links: dict[str, tuple[str, str]] = {}
    for text in asked:
        column, _, named = text.partition("=")
        owner = next((c for c in reconstructed if column in c.columns), None)
        if owner is None:
            names = [n for c in reconstructed for n in c.columns]
            raise InvalidArgument(
                f"the match {column!r} is no column of reconstructed objects; {nearest(column, names)}"
            )
        partners = by_stem.get((named or reference_target(column)).lower())
        if partners is None:
            close = nearest(named or reference_target(column), [c.name for c in given])
            raise InvalidArgument(
                f"the match {column!r} points to no given collection; {close}; write {column}=COLLECTION"
            )
        links.setdefault(owner.name, (column, partners))
    return links


def pointed(number: Array, event: Array, counts: Array) -> Array:
    """Positions, among all objects of a collection, of those that numbers within events mean.

    Args:
        number: Of an object of the collection in the event, shape (n,); what is no such number means none.
        event: Each number's event, shape (n,).
        counts: Objects of the collection in each event, shape (events,).

    Returns:
        int64 of shape (n,); -1 where none is meant.

    Example:
        >>> pointed(np.array([1, 0, -1, 7]), np.array([0, 1, 1, 1]), np.array([2, 3])).tolist()
        [1, 2, -1, -1]
    """
    number = np.asarray(number).astype(np.int64)
    begin = np.cumsum(counts) - counts
    there = (number >= 0) & (number < counts[event])
    return np.where(there, begin[event] + number, -1)
