"""Published sets of variables by name, with normalisations and event filters.

- Four variables and 27: E. Wulff, "Deep Autoencoders for Compression in High Energy Physics" (Lund
  University, 2020), and the code that continues it, AE-Compression-pytorch
  (`utils/processing_ATLASData_utils.py`), the source of custom normalisation and selection. The 27
  are the scalar variables of an ATLAS jet, trigger-level or offline.
- 24: Bengtsson Folkesson et al., "Baler - Machine Learning Based Compression of Scientific Data"
  (arXiv:2305.02283): those of a CMS particle-flow jet in AOD, each from 0 to 1. Rows with a missing
  value are left out, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def divisor(self, unit: str) -> str:
        """Return the step that brings values of a unit to GeV, with its comma; empty for none."""
        return f"divide:{UNITS[unit]:g}," if self.in_gev and UNITS[unit] != 1 else ""


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
        for variable in self.variables:
            for called in (variable.name, *variable.others):
                for column in (c for c in columns if c.endswith(called)):
                    collection = column.removesuffix(called)
                    if not collection or collection.endswith(_BEFORE):
                        by_collection.setdefault(collection, {}).setdefault(
                            variable.name, column
                        )
        whole = [
            name for name, x in by_collection.items() if len(x) == len(self.variables)
        ]
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
        return {columns[v.name]: v.divisor(unit) + v.formula for v in self.variables}

    def values(
        self, rows: Rows, columns: Mapping[str, str], unit: str
    ) -> dict[str, Array]:
        """Return each variable for cuts, energies in GeV; arguments as in `formulas`."""
        values = dict(zip(rows.columns, rows.values.T, strict=True))
        return {
            v.name: values[columns[v.name]] / (UNITS[unit] if v.in_gev else 1.0)
            for v in self.variables
        }


_WULFF = "Wulff (2020), AE-Compression-pytorch"

# The public code divides the two SecondLambda and SecondR by 1,000 with the energies, lengths
# squared though they are. NegativeE becomes log10(1 - E) / 1.6.
_ATLAS = """
pt                         log10,subtract:1.3,divide:1.2         GeV
eta                        divide:5
phi                        divide:3
m                          log10:1,divide:1.8                    GeV
ActiveArea                 divide:0.8
ActiveArea4vec_pt          divide:0.7
ActiveArea4vec_eta         divide:5
ActiveArea4vec_phi         divide:3
ActiveArea4vec_m           divide:0.18,subtract:0.15
AverageLArQF               log10:100,subtract:2,divide:2.5
NegativeE                  divide:-1,log10:1,divide:1.6          GeV
HECQuality                 divide:1
LArQuality                 divide:0.6
Width                      divide:0.6
WidthPhi                   divide:0.6
CentroidR                  log10,subtract:3,divide:0.8
DetectorEta                divide:5
LeadingClusterCenterLambda log10:100,subtract:2,divide:2
LeadingClusterPt           log10,divide:1.2                      GeV
LeadingClusterSecondLambda log10:100,subtract:2,divide:1         GeV
LeadingClusterSecondR      log10:100,subtract:2,divide:0.6       GeV
N90Constituents            divide:20
EMFrac                     divide:1.6
HECFrac                    divide:1
Timing                     divide:40
OotFracClusters10          log10:1,divide:0.3
OotFracClusters5           log10:1,divide:0.3
"""


def _of_atlas(line: str) -> Variable:
    """Return a variable from its name, its formula, and GeV for an energy."""
    name, formula, *unit = line.split()
    return Variable(name, formula, in_gev=bool(unit), others=("mass",) * (name == "m"))


_ATLAS_VARIABLES = tuple(map(_of_atlas, _ATLAS.strip().splitlines()))
_PT, _ETA, _PHI, _MASS = _ATLAS_VARIABLES[:4]

_ATLAS_CUTS = (
    "abs(EMFrac) < 5",
    "not (abs(EMFrac) < 0.05 and abs(eta) >= 2)",
    "not (AverageLArQF > 0.8 and EMFrac > 0.95 and LArQuality > 0.8 and abs(eta) < 2.8)",
    "abs(NegativeE) < 300",
    "not (AverageLArQF > 0.8 and abs(HECQuality) > 0.5 and abs(HECFrac) > 0.5)",
    "OotFracClusters10 > -0.1",
    "OotFracClusters5 > -0.1",
    "abs(Width) < 5",
    "Width != -1",
    "abs(WidthPhi) < 5",
    "abs(Timing) < 125",
    "LArQuality < 4",
    "abs(HECQuality) < 2.5",
)

_AOD_NAMES = """pt:pt_ eta:eta_ phi:phi_ mass:mass_ area:mJetArea
chHadE:mChargedHadronEnergy neHadE:mNeutralHadronEnergy
phoE:mPhotonEnergy eleE:mElectronEnergy muE:mMuonEnergy hfHadE:mHFHadronEnergy hfEmE:mHFEMEnergy
chHadN:mChargedHadronMultiplicity neHadN:mNeutralHadronMultiplicity phoN:mPhotonMultiplicity
eleN:mElectronMultiplicity muN:mMuonMultiplicity hfHadN:mHFHadronMultiplicity
hfEmN:mHFEMMultiplicity chEmE:mChargedEmEnergy chMuE:mChargedMuEnergy
neEmE:mNeutralEmEnergy chN:mChargedMultiplicity neN:mNeutralMultiplicity"""


def _of_aod(pair: str) -> Variable:
    """Return a variable scaled from 0 to 1; most lie in a structure of the jet."""
    name, stored = pair.split(":")
    return Variable(name, "min-max", others=(stored, f"m_specific.{stored}"))


PRESETS: Mapping[str, Variables] = {
    "jets4": Variables(
        "jets4",
        "four-momenta of jets",
        _WULFF,
        (_MASS, _PT, _PHI, _ETA),
        ("abs(m) > 1e-9",),
    ),
    "cms24": Variables(
        "cms24",
        "a CMS particle-flow jet in AOD",
        "Baler (arXiv:2305.02283)",
        tuple(map(_of_aod, _AOD_NAMES.split())),
    ),
    "atlas27": Variables(
        "atlas27",
        "an ATLAS jet, offline or trigger-level",
        _WULFF,
        _ATLAS_VARIABLES,
        _ATLAS_CUTS,
    ),
}


def reference_preset(name: str) -> Variables:
    """Return a published set of variables.

    Raises:
        InvalidArgument: There is no such preset.

    Example:
        >>> len(reference_preset("cms24").variables), len(reference_preset("atlas27").variables)
        (24, 27)
    """
    if name not in PRESETS:
        raise InvalidArgument(
            f"there is no preset {name!r} of the reference methods; {nearest(name, PRESETS)}"
        )
    return PRESETS[name]
