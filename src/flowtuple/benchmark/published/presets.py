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

from collections.abc import Mapping

from flowtuple.benchmark.published.variables import Variable, Variables
from flowtuple.errors import InvalidArgument, nearest

_WULFF = "Wulff (2020), AE-Compression-pytorch"
_PT = Variable("pt", "log10,subtract:1.3,divide:1.2", in_gev=True)
_ETA = Variable("eta", "divide:5")
_PHI = Variable("phi", "divide:3")
_MASS = Variable("m", "log10:1,divide:1.8", in_gev=True, others=("mass",))

_ATLAS_VARIABLES = (
    _PT,
    _ETA,
    _PHI,
    _MASS,
    Variable("ActiveArea", "divide:0.8"),
    Variable("ActiveArea4vec_pt", "divide:0.7"),
    Variable("ActiveArea4vec_eta", "divide:5"),
    Variable("ActiveArea4vec_phi", "divide:3"),
    Variable("ActiveArea4vec_m", "divide:0.18,subtract:0.15"),
    Variable("AverageLArQF", "log10:100,subtract:2,divide:2.5"),
    Variable("NegativeE", "divide:-1,log10:1,divide:1.6", in_gev=True),  # log10(1 - E) / 1.6
    Variable("HECQuality", "divide:1"),
    Variable("LArQuality", "divide:0.6"),
    Variable("Width", "divide:0.6"),
    Variable("WidthPhi", "divide:0.6"),
    Variable("CentroidR", "log10,subtract:3,divide:0.8"),
    Variable("DetectorEta", "divide:5"),
    Variable("LeadingClusterCenterLambda", "log10:100,subtract:2,divide:2"),
    Variable("LeadingClusterPt", "log10,divide:1.2", in_gev=True),
    # the public code divides these two by 1,000 with the energies, lengths squared though they are
    Variable("LeadingClusterSecondLambda", "log10:100,subtract:2,divide:1", in_gev=True),
    Variable("LeadingClusterSecondR", "log10:100,subtract:2,divide:0.6", in_gev=True),
    Variable("N90Constituents", "divide:20"),
    Variable("EMFrac", "divide:1.6"),
    Variable("HECFrac", "divide:1"),
    Variable("Timing", "divide:40"),
    Variable("OotFracClusters10", "log10:1,divide:0.3"),
    Variable("OotFracClusters5", "log10:1,divide:0.3"),
)

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
        "jets4", "four-momenta of jets", _WULFF, (_MASS, _PT, _PHI, _ETA), ("abs(m) > 1e-9",)
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
