"""Collections of objects: their columns, and the columns that point from one to another."""

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
        name: The first part of the columns' names, such as `Jet`.
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
    """Return the collections of some columns: one for each counter, named by its first column.

    Raises:
        InvalidArgument: The first columns of two counters begin alike.

    Example:
        >>> find_collections([Column("nJet", "int32"), Column("Jet_pt", "float32", counter="nJet")])
        [Collection(name='Jet', counter='nJet', columns=('Jet_pt',), axes=())]
    """
    by_counter: dict[str, list[str]] = {}
    for column in columns:
        if column.counter is not None:
            by_counter.setdefault(column.counter, []).append(column.name)
    out: list[Collection] = []
    for counter, names in by_counter.items():
        stem = names[0].partition("_")[0]
        axes = tuple(f"{stem}_{quantity}" for quantity in ("pt", "eta", "phi"))
        if stem in {c.name for c in out}:
            raise InvalidArgument(
                f"column {names[0]!r} begins like those of another collection, "
                "which another column counts; rename one kind"
            )
        out.append(
            Collection(
                stem, counter, tuple(names), axes if set(axes) <= set(names) else ()
            )
        )
    return out


def find_links(
    match: Iterable[str],
    reconstructed: Sequence[Collection],
    generated: Sequence[Collection],
) -> dict[str, tuple[str, str]]:
    """Return, by reconstructed collection, its index column and the collection of its partners.

    Args:
        match: Index columns, as `COL` or `COL=COLLECTION`; none means those whose names show their
            target, such as `Jet_genJetIdx`.
        reconstructed: Collections with index columns.
        generated: Collections of partners.

    Raises:
        InvalidArgument: A named column belongs to no reconstructed collection, or its target is no
            generated collection.

    Example:
        >>> jets = Collection("Jet", "nJet", ("Jet_genJetIdx",))
        >>> partners = Collection("GenJet", "nGenJet", ("GenJet_pt",))
        >>> find_links((), [jets], [partners])
        {'Jet': ('Jet_genJetIdx', 'GenJet')}
    """
    by_stem = {c.name.lower(): c.name for c in generated}
    owners = {name: c.name for c in reversed(reconstructed) for name in c.columns}
    names = [name for c in reconstructed for name in c.columns]
    texts = list(match) or [
        n for n in names if "Idx" in n and reference_target(n) in by_stem
    ]
    links: dict[str, tuple[str, str]] = {}
    for text in texts:
        column, _, target = text.partition("=")
        if column not in owners:
            raise InvalidArgument(
                f"the match {column!r} is no column of reconstructed objects; "
                f"{nearest(column, names)}"
            )
        target = target or reference_target(column)
        if target.lower() not in by_stem:
            raise InvalidArgument(
                f"the match {column!r} points to no given collection; "
                f"{nearest(target, by_stem.values())}; write {column}=COLLECTION"
            )
        links.setdefault(owners[column], (column, by_stem[target.lower()]))
    return links


def positions_of(number: Array, event: Array, counts: Array) -> Array:
    """Return positions among all objects of a collection, from numbers of objects within events.

    Args:
        number: Number of an object within its event, shape (n,); any other number means no object.
        event: Event of each number, shape (n,).
        counts: Objects of the collection in each event, shape (events,).

    Returns:
        int64 of shape (n,); -1 for no object.

    Example:
        >>> number, event = np.array([1, 0, -1, 7]), np.array([0, 1, 1, 1])
        >>> positions_of(number, event, np.array([2, 3])).tolist()
        [1, 2, -1, -1]
    """
    number = np.asarray(number).astype(np.int64)
    begin = np.cumsum(counts) - counts
    exists = (number >= 0) & (number < counts[event])
    return np.where(exists, begin[event] + number, -1)
