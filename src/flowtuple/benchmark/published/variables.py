"""Sets of variables that methods were published for: how files call them, their normalisation, which rows were used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowtuple.benchmark.published.options import UNITS
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest

_BEFORE = ("_", ".")  # what parts a collection's name from a variable's


@dataclass(frozen=True)
class Variable:
    """One variable of a set.

    Attributes:
        name: As files call it behind the name of the collection.
        formula: Its published normalisation, in the words of `flowtuple.transforms`.
        in_gev: Whether the formula, and cuts, want GeV.
        others: What else files call it.
    """

    name: str
    formula: str
    in_gev: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variables:
    """A set of variables.

    Attributes:
        name: Of the set.
        about: What it is, in a few words.
        source: Who published formulas and cuts.
        variables: In the published order.
        cuts: Which rows were used, as `flowtuple.data.expressions` reads them, by names of variables.
    """

    name: str
    about: str
    source: str
    variables: tuple[Variable, ...]
    cuts: tuple[str, ...] = ()

    def find(self, columns: Sequence[str], where: str) -> dict[str, str]:
        """The column of each variable: those of one collection, or without one.

        Args:
            columns: Names of all columns there are.
            where: What messages call the input.

        Raises:
            InvalidArgument: No collection has all variables, or several have.

        Example:
            >>> pair = Variables("two", "", "", (Variable("pt", "log10"), Variable("m", "log10:1", others=("mass",))))
            >>> pair.find(["nJet", "Jet_pt", "Jet_mass", "Muon_pt"], "events.root")
            {'pt': 'Jet_pt', 'm': 'Jet_mass'}
        """
        by_collection: dict[str, dict[str, str]] = {}
        for variable, column, collection in self._matches(columns):
            by_collection.setdefault(collection, {}).setdefault(variable, column)
        whole = [name for name, found in by_collection.items() if len(found) == len(self.variables)]
        if len(whole) > 1:
            named = " and ".join(f"{name}*" for name in whole)
            raise InvalidArgument(
                f"{where}: the {len(self.variables)} variables of {self.name} are there as {named}; "
                f"choose with --columns '{whole[0]}*'"
            )
        if not whole:
            collection, found = max(
                by_collection.items(), key=lambda item: len(item[1]), default=("", {})
            )
            missing = next(v.name for v in self.variables if v.name not in found)
            close = nearest(f"{collection}{missing}", columns)
            raise InvalidArgument(
                f"{where}: lacks {collection}{missing} of the preset {self.name}; {close}"
            )
        return {
            variable.name: by_collection[whole[0]][variable.name] for variable in self.variables
        }

    def _matches(self, columns: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Variable, column and collection wherever a name ends as a variable is called."""
        for variable in self.variables:
            for called in (variable.name, *variable.others):
                for column in columns:
                    collection = column.removesuffix(called)
                    if collection != column and (not collection or collection.endswith(_BEFORE)):
                        yield variable.name, column, collection

    def formulas(self, columns: Mapping[str, str], unit: str) -> dict[str, str]:
        """The normalisation of each column.

        Args:
            columns: From `find`.
            unit: Of energies in the file, GeV or MeV.

        Example:
            >>> Variables("one", "", "", (Variable("pt", "log10", in_gev=True),)).formulas({"pt": "Jet_pt"}, "MeV")
            {'Jet_pt': 'divide:1000,log10'}
        """
        divide = "" if UNITS[unit] == 1 else f"divide:{UNITS[unit]:g},"
        return {columns[v.name]: (divide if v.in_gev else "") + v.formula for v in self.variables}

    def values(self, rows: Rows, columns: Mapping[str, str], unit: str) -> dict[str, Array]:
        """What cuts look at: each variable of the rows, in GeV where it is an energy; arguments as of `formulas`."""
        places = {v.name: rows.columns.index(columns[v.name]) for v in self.variables}
        return {
            v.name: rows.values[:, places[v.name]] / (UNITS[unit] if v.in_gev else 1.0)
            for v in self.variables
        }
