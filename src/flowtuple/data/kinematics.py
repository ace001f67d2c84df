"""Event quantities from four-momenta of a collection: H_T, missing H_T, dijet mass and distance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from flowtuple.data.event_weights import check_column, check_finite
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.extras import require
from flowtuple.runtime.lazy_packages import awkward as ak

ABSENT = -1.0  # value of a quantity of two objects in events with fewer


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
    source, where = dataset.only_table(), dataset.description
    columns = {c.name: c for c in source.columns}
    names = {part: f"{collection}_{part}" for part in ("pt", "eta", "phi", "mass")}
    if names["mass"] not in columns and f"{collection}_m" in columns:
        names["mass"] = f"{collection}_m"
    for name in names.values():
        _check_name(name, columns, where)
    counter = columns[names["pt"]].counter
    for name in names.values():
        if counter is None or columns[name].counter != counter or columns[name].is_opaque:
            raise InvalidArgument(
                f"{where}: {name!r} is no number of each {collection}; "
                "`derived=` takes a collection"
            )
    table = source.read(list(names.values()), 0, source.num_entries)
    counts = np.asarray(table.data[str(counter)])
    content = {part: np.asarray(table.data[name]) for part, name in names.items()}
    values = _quantities(collection, counts, content)
    weight = None
    if weights is not None:
        check_column(where, weights, source.columns)
        read = source.read([weights], 0, source.num_entries)[weights]
        weight = check_finite(np.asarray(read, np.float64), where, weights)
    return Rows(
        where,
        tuple(values),
        np.stack(list(values.values()), axis=1),
        np.arange(len(counts)),
        len(counts),
        weight,
        dtypes=("float64",) * len(values),
    ).finite()


def _quantities(
    collection: str, counts: Array, content: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the quantities of events by name, each of shape (events,)."""
    vector: Any = require("vector", "compare", "derived quantities")
    objects = vector.zip(
        {part: ak.unflatten(x.astype(np.float64), counts) for part, x in content.items()}
    )
    padded = ak.pad_none(objects, 2)
    first, second = padded[:, 0], padded[:, 1]
    pair = first + second
    px, py, ht = (ak.sum(part, axis=1) for part in (objects.px, objects.py, objects.pt))
    quantities = {
        f"n{collection}": counts,
        f"{collection}_HT": ht,
        f"{collection}_MHT": np.hypot(px, py),
        f"{collection}_mjj": pair.mass,
        f"{collection}_ptjj": pair.pt,
        f"{collection}_dRjj": first.deltaR(second),
    }
    return {
        name: np.asarray(ak.fill_none(values, ABSENT), np.float64)
        for name, values in quantities.items()
    }


def _check_name(name: str, names: Collection[str], where: str) -> None:
    if name not in names:
        raise InvalidArgument(
            f"{where}: has no column {name!r}, which the derived quantities need; "
            f"{nearest(name, names)}"
        )
