"""Event quantities from four-momenta of a collection: H_T, missing H_T, dijet mass and distance."""

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

ABSENT = -1.0  # value of a quantity of two objects in events with fewer
_MASSES = ("mass", "m")


def derived_rows(dataset: Dataset, collection: str, weights: str | None = None) -> Rows:
    """Return one row an event, of quantities of its objects.

    These are their number, H_T and missing H_T; and m_jj, p_T and Delta R of the first two.

    Args:
        dataset: With one table.
        collection: Name such as `Jet`, for `Jet_pt`, `Jet_eta`, `Jet_phi` and `Jet_mass` (or
            `Jet_m`), in rad and one unit of energy.
        weights: Name of an event column of weights.

    Raises:
        InvalidArgument: There is no such collection; the message names what is missing.
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> jets = {"Jet_pt": [[30.0, 30.0]], "Jet_phi": [[0.0, np.pi]]}
        >>> jets |= {"Jet_eta": [[0.0, 0.0]], "Jet_mass": [[0.0, 0.0]]}
        >>> rows = derived_rows(open_dataset(jets), "Jet")
        >>> rows.columns
        ('nJet', 'Jet_HT', 'Jet_MHT', 'Jet_mjj', 'Jet_ptjj', 'Jet_dRjj')
        >>> rows.values[0].round(6).tolist()
        [2.0, 60.0, 0.0, 60.0, 0.0, 3.141593]
    """
    source = dataset.only_table()
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
                f"{dataset.description}: {name!r} is no number of each {collection}; "
                "`derived=` takes a collection"
            )
    table = source.read(names, 0, source.num_entries)
    counts = np.asarray(table.data[str(counter)])
    parts = zip(("pt", "eta", "phi", "mass"), names, strict=True)
    content = {part: np.asarray(table.data[name], np.float64) for part, name in parts}
    values = {f"n{collection}": counts.astype(np.float64)}
    for name, quantity in _quantities(counts, content).items():
        values[f"{collection}_{name}"] = quantity
    columns = [Column(name, "float64") for name in values]
    read = dict(values)
    if weights is not None:
        numbers = tuple(c for c in source.columns if c.is_event_number)
        _named(weights, numbers, dataset.description)
        read[weights] = np.asarray(
            source.read([weights], 0, source.num_entries)[weights], np.float64
        )
        columns.append(Column(weights, "float64", role="weight"))
    derived = Table("derived", tuple(columns), len(counts), read)
    rows = read_rows(Dataset(dataset.description, {"derived": derived}), (), weights)
    return replace(rows, columns=tuple(values))


def _quantities(counts: Array, content: dict[str, Array]) -> dict[str, Array]:
    """Return the quantities of events by name, each of shape (events,)."""
    fields = {part: ak.unflatten(values, counts) for part, values in content.items()}
    objects = _vector().zip(fields)
    padded = ak.pad_none(objects, 2)
    first, second = padded[:, 0], padded[:, 1]
    pair = first + second

    def of_two(values: Any) -> Array:
        return np.asarray(ak.fill_none(values, ABSENT), np.float64)

    def total(component: Any) -> Array:
        return np.asarray(ak.sum(component, axis=1), np.float64)

    return {
        "HT": total(objects.pt),
        "MHT": np.hypot(total(objects.px), total(objects.py)),
        "mjj": of_two(pair.mass),
        "ptjj": of_two(pair.pt),
        "dRjj": of_two(first.deltaR(second)),
    }


def _mass(collection: str, columns: tuple[Column, ...], description: str) -> str:
    names = {c.name for c in columns}
    for name in _MASSES:
        if f"{collection}_{name}" in names:
            return f"{collection}_{name}"
    return _named(f"{collection}_mass", columns, description)


def _named(name: str, columns: tuple[Column, ...], description: str) -> str:
    names = [c.name for c in columns]
    if name not in names:
        raise InvalidArgument(
            f"{description}: has no column {name!r}, which the derived quantities need; "
            f"{nearest(name, names)}"
        )
    return name


def _vector() -> Any:
    return require("vector", "compare", "derived quantities")
