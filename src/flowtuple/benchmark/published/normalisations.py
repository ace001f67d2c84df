"""Published preprocessing of columns by their kind, in the words of `flowtuple.transforms`.

A column is p_T, mass, eta or phi by the last word of its name, after `_` or `.`: `Jet_pt`, `m`,
`JetsAuxDyn.eta`, `obj.pt_`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowtuple.benchmark.published.options import UNITS
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms import Chain

_KINDS: Mapping[str, str] = {
    "pt": "pt",
    "m": "mass",
    "mass": "mass",
    "eta": "eta",
    "phi": "phi",
}
_ENERGIES = ("pt", "mass")
_AREA = "activearea4vec"  # the area of a jet as a four-vector: its pt and m are no energies
_CUSTOM: Mapping[str, str] = {
    "mass": "log10:1,divide:1.8",
    "pt": "log10,subtract:1.3,divide:1.2",
    "phi": "divide:3",
    "eta": "divide:5",
}
_NO_FORMULAS: Mapping[str, str] = {}


def kind_of(column: str) -> str:
    """Return `pt`, `mass`, `eta`, `phi`, or empty for anything else.

    Example:
        >>> kind_of("Jet_pt"), kind_of("m"), kind_of("jets.obj.mass_"), kind_of("Jet_area")
        ('pt', 'mass', 'mass', '')
        >>> kind_of("JetsAuxDyn.ActiveArea4vec_pt"), kind_of("JetsAuxDyn.ActiveArea4vec_eta")
        ('', 'eta')
    """
    *before, last = re.split(r"[_.]", column.lower().rstrip("_"))
    kind = _KINDS.get(last, "")
    return "" if kind in _ENERGIES and _AREA in before else kind


def latent_recipe(column: str, unit: str) -> str:
    """Return the steps: ln(x + 10) in GeV of p_T and mass, standardised; others normal by rank.

    Example:
        >>> latent_recipe("Jet_pt", "MeV"), latent_recipe("Jet_eta", "MeV")
        ('divide:1000,log:10,standard', 'standard,gauss-rank')
    """
    if kind_of(column) in _ENERGIES:
        return _in_gev(column, unit) + "log:10,standard"
    return "standard,gauss-rank"


def autoencoder_recipe(
    column: str, normalisation: str, unit: str, formulas: Mapping[str, str] = _NO_FORMULAS
) -> str:
    """Return the steps: nothing, standardised, or the custom formula.

    Custom: log10(m + 1) / 1.8, (log10 p_T - 1.3) / 1.2, phi / 3, eta / 5, in GeV; or the entry of
    `formulas` for the column; columns without a custom formula are standardised.

    Example:
        >>> autoencoder_recipe("pt", "custom", "GeV"), autoencoder_recipe("pt", "none", "MeV")
        ('log10,subtract:1.3,divide:1.2', 'divide:1000,divide:1')
    """
    if normalisation == "none":
        return _in_gev(column, unit) + "divide:1"
    if normalisation == "custom" and column in formulas:
        return formulas[column]
    custom = _CUSTOM.get(kind_of(column)) if normalisation == "custom" else None
    return _in_gev(column, unit) + (custom or "standard")


def _in_gev(column: str, unit: str) -> str:
    return (
        f"divide:{UNITS[unit]:g},"
        if UNITS[unit] != 1 and kind_of(column) in _ENERGIES
        else ""
    )


def fit_chains(rows: Rows, recipes: Mapping[str, str]) -> tuple[Chain, ...]:
    """Fit the preprocessing of each column.

    Raises:
        InvalidArgument: A value is outside the domain of its column's formula.
    """
    return tuple(
        _fit(rows.source, name, rows.values[:, k], recipes[name])
        for k, name in enumerate(rows.columns)
    )


def _fit(source: str, column: str, values: Array, recipe: str) -> Chain:
    try:
        return Chain.fit(recipe, values)
    except InvalidArgument as error:
        raise InvalidArgument(
            f"{source}: column {column!r}: {error}; choose another normalisation or unit"
        ) from None
