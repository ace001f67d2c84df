"""Sets of variables of published methods: their names in files, normalisations and cuts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowtuple.benchmark.published.options import UNITS
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest

_BEFORE = ("_", ".")  # between the names of a collection and a variable


@dataclass(frozen=True)
class Variable:
    """One variable of a set.

    Attributes:
        name: Name in files after that of the collection.
        formula: Its published normalisation, in the words of `flowtuple.transforms`.
        in_gev: Whether formula and cuts are in GeV.
        others: Other names in files.
    """

    name: str
    formula: str
    in_gev: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variables:
    """A set of variables.

    Attributes:
        name: Name of the set.
        about: Description in a few words.
        source: Publication of formulas and cuts.
        variables: Variables in the published order.
        cuts: Expressions on names of variables, which every row meets.
    """

    name: str
    about: str
    source: str
    variables: tuple[Variable, ...]
    cuts: tuple[str, ...] = ()

    def find(self, columns: Sequence[str], where: str) -> dict[str, str]:
        """Return the column of each variable, all of one collection or all without one.

        Args:
            columns: Names of all columns.
            where: Name of the input in messages.

        Raises:
            InvalidArgument: No collection has all variables, or several have.

        Example:
            >>> mass = Variable("m", "log10:1", others=("mass",))
            >>> pair = Variables("two", "", "", (Variable("pt", "log10"), mass))
            >>> pair.find(["nJet", "Jet_pt", "Jet_mass", "Muon_pt"], "events.root")
            {'pt': 'Jet_pt', 'm': 'Jet_mass'}
        """
        by_collection: dict[str, dict[str, str]] = {}
        for variable, column, collection in self._matches(columns):
            by_collection.setdefault(collection, {}).setdefault(variable, column)
        whole = [name for name, x in by_collection.items() if len(x) == len(self.variables)]
        if len(whole) > 1:
            named = " and ".join(f"{name}*" for name in whole)
            raise InvalidArgument(
                f"{where}: holds the {len(self.variables)} variables of {self.name} as {named}; "
                f"choose with `columns=` '{whole[0]}*'"
            )
        if not whole:
            collection = max(
                by_collection, key=lambda name: len(by_collection[name]), default=""
            )
            present = by_collection.get(collection, {})
            missing = next(v.name for v in self.variables if v.name not in present)
            close = nearest(f"{collection}{missing}", columns)
            raise InvalidArgument(
                f"{where}: lacks {collection}{missing} of the preset {self.name}; {close}"
            )
        return {v.name: by_collection[whole[0]][v.name] for v in self.variables}

    def _matches(self, columns: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Yield variable, column and collection of each name that ends with a variable's name."""
        for variable in self.variables:
            for called in (variable.name, *variable.others):
                for column in columns:
                    collection = column.removesuffix(called)
                    if collection != column and (
                        not collection or collection.endswith(_BEFORE)
                    ):
                        yield variable.name, column, collection

    def formulas(self, columns: Mapping[str, str], unit: str) -> dict[str, str]:
        """Return the normalisation of each column.

        Args:
            columns: From `find`.
            unit: Unit of energies in the file, GeV or MeV.

        Example:
            >>> one = Variables("one", "", "", (Variable("pt", "log10", in_gev=True),))
            >>> one.formulas({"pt": "Jet_pt"}, "MeV")
            {'Jet_pt': 'divide:1000,log10'}
        """
        divide = "" if UNITS[unit] == 1 else f"divide:{UNITS[unit]:g},"
        return {
            columns[v.name]: (divide if v.in_gev else "") + v.formula for v in self.variables
        }

    def values(self, rows: Rows, columns: Mapping[str, str], unit: str) -> dict[str, Array]:
        """Return each variable for cuts, energies in GeV; arguments as in `formulas`."""
        values = dict(zip(rows.columns, rows.values.T, strict=True))
        return {
            v.name: values[columns[v.name]] / (UNITS[unit] if v.in_gev else 1.0)
            for v in self.variables
        }
