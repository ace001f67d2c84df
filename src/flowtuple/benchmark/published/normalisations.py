"""Published preprocessing of columns by their kind, in the words of `flowtuple.transforms`.

A column is p_T, mass, eta or phi by the last word of its name, after `_` or `.`: `Jet_pt`, `m`,
`JetsAuxDyn.eta`, `obj.pt_`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowtuple.benchmark.published.presets import PRESETS, Variable
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument
from flowtuple.transforms import Chain

_VARIABLES = {
    name: variable
    for variable in PRESETS["jets4"].variables
    for name in (variable.name, *variable.others)
}
_AREA = (
    "activearea4vec"  # the area of a jet as a four-vector: its pt and m are no energies
)
_OTHER = Variable("", "standard")
_NO_FORMULAS: Mapping[str, str] = {}


def variable_of(column: str) -> Variable:
    """Return p_T, mass, eta or phi with its published formula, or a variable without a name.

    Example:
        >>> [variable_of(name).name for name in ("Jet_pt", "m", "jets.obj.mass_", "Jet_area")]
        ['pt', 'm', 'm', '']
        >>> variable_of("JetsAuxDyn.ActiveArea4vec_pt").name
        ''
        >>> variable_of("JetsAuxDyn.ActiveArea4vec_eta").name
        'eta'
    """
    *before, last = re.split(r"[_.]", column.lower().rstrip("_"))
    variable = _VARIABLES.get(last, _OTHER)
    return _OTHER if variable.in_gev and _AREA in before else variable


def latent_recipe(column: str, unit: str) -> str:
    """Return the steps: ln(x + 10) in GeV of p_T and mass, standardised; others normal by rank.

    Example:
        >>> latent_recipe("Jet_pt", "MeV"), latent_recipe("Jet_eta", "MeV")
        ('divide:1000,log:10,standard', 'standard,gauss-rank')
    """
    variable = variable_of(column)
    if variable.in_gev:
        return variable.divisor(unit) + "log:10,standard"
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
    variable = variable_of(column)
    if normalisation == "custom" and column in formulas:
        return formulas[column]
    steps = {"none": "divide:1", "standard": "standard", "custom": variable.formula}
    return variable.divisor(unit) + steps[normalisation]


def fit_chains(rows: Rows, recipes: Mapping[str, str]) -> tuple[Chain, ...]:
    """Fit the preprocessing of each column.

    Raises:
        InvalidArgument: A value is outside the domain of its column's formula.
    """
    chains = []
    for column, values in zip(rows.columns, rows.values.T, strict=True):
        try:
            chains.append(Chain.fit(recipes[column], values))
        except InvalidArgument as error:
            raise InvalidArgument(
                f"{rows.source}: column {column!r}: {error}; choose another normalisation or unit"
            ) from None
    return tuple(chains)
