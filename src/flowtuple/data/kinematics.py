"""Quantities of events that follow from the four-momenta of a collection: H_T, missing H_T, dijet mass and distance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.extras import require

ABSENT = -1.0  # of what takes two objects, in events with fewer
_MASSES = ("mass", "m")


def derived_rows(dataset: Dataset, collection: str, weights: str | None = None) -> Rows:
    """One row an event: number of objects, H_T, missing H_T, and of the first two objects m_jj, their p_T and Delta R.

    Args:
        dataset: With one table.
        collection: Such as `Jet`: `Jet_pt`, `Jet_eta`, `Jet_phi` and `Jet_mass` (or `Jet_m`), in rad and one unit of energy.
        weights: Name of an event column of weights.

    Raises:
        InvalidArgument: There is no such collection; the message names what is missing.
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> two = {"Jet_pt": [[30.0, 30.0]], "Jet_eta": [[0.0, 0.0]], "Jet_phi": [[0.0, np.pi]], "Jet_mass": [[0.0, 0.0]]}
        >>> rows = derived_rows(open_dataset(two), "Jet")
        >>> dict(zip(rows.columns, rows.values[0].round(6).tolist()))
        {'nJet': 2.0, 'Jet_HT': 60.0, 'Jet_MHT': 0.0, 'Jet_mjj': 60.0, 'Jet_ptjj': 0.0, 'Jet_dRjj': 3.141593}
    """
    if len(dataset.tables) != 1:
        raise InvalidArgument(
            f"{dataset.description}: choose one of its trees, such as FILE:{next(iter(dataset.tables))}"
        )
    source = next(iter(dataset.tables.values()))
    names = [
        _named(f"{collection}_{part}", source.columns, dataset.description)
        for part in ("pt", "eta", "phi")
    ]
    names.append(_mass(collection, source.columns, dataset.description))
    known = {c.name: c for c in source.columns}
    counter = known[names[0]].counter
    for name in names:
        if counter is None or known[name].counter != counter or known[name].is_opaque:
            raise InvalidArgument(
                f"{dataset.description}: {name!r} is no number of each {collection}; --derived takes a collection"
            )
    table = source.read(names, 0, source.num_entries)
    counts = np.asarray(table.data[str(counter)])
    content = {
        part: np.asarray(table.data[n], np.float64)
        for part, n in zip(("pt", "eta", "phi", "mass"), names, strict=True)
    }
    values = _quantities(counts, content)
    values = {f"n{collection}": counts.astype(np.float64)} | {
        f"{collection}_{name}": v for name, v in values.items()
    }
    made = Table("derived", tuple(Column(name, "float64") for name in values), len(counts), values)
    weighted = made if weights is None else _with_weights(made, dataset, weights)
    rows = read_rows(Dataset(dataset.description, {"derived": weighted}), (), weights)
    return replace(rows, columns=tuple(values))


def _quantities(counts: Array, content: dict[str, Array]) -> dict[str, Array]:
    """By name, shape (events,)."""
    objects = _vector().zip(
        {part: ak.unflatten(values, counts) for part, values in content.items()}
    )
    padded = ak.pad_none(objects, 2)
    first, second = padded[:, 0], padded[:, 1]
    pair = first + second

    def of_two(values: Any) -> Array:
        return np.asarray(ak.fill_none(values, ABSENT), np.float64)

    total = [
        np.asarray(ak.sum(component, axis=1), np.float64) for component in (objects.px, objects.py)
    ]
    return {
        "HT": np.asarray(ak.sum(objects.pt, axis=1), np.float64),
        "MHT": np.hypot(*total),
        "mjj": of_two(pair.mass),
        "ptjj": of_two(pair.pt),
        "dRjj": of_two(first.deltaR(second)),
    }


def _with_weights(made: Table, dataset: Dataset, weights: str) -> Table:
    source = next(iter(dataset.tables.values()))
    numbers = tuple(
        c for c in source.columns if c.counter is None and not c.is_opaque and not c.shape
    )
    column = _named(weights, numbers, dataset.description)
    values = np.asarray(source.read([column], 0, source.num_entries).data[column], np.float64)
    columns = (*made.columns, Column(weights, "float64", role="weight"))
    return Table(made.name, columns, made.num_entries, {**made.data, weights: values})


def _mass(collection: str, columns: tuple[Column, ...], described: str) -> str:
    there = {c.name for c in columns}
    found = [f"{collection}_{name}" for name in _MASSES if f"{collection}_{name}" in there]
    return found[0] if found else _named(f"{collection}_mass", columns, described)


def _named(name: str, columns: tuple[Column, ...], described: str) -> str:
    names = [c.name for c in columns]
    if name not in names:
        raise InvalidArgument(
            f"{described}: has no column {name!r}, which the derived quantities need; {nearest(name, names)}"
        )
    return name


def _vector() -> Any:
    return require("vector", "compare", "derived quantities")
