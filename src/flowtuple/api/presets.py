"""Well-known data sets by name: names and roles of their columns."""

from __future__ import annotations

from flowtuple.api.inputs import Selection
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.flows.presets import FLOW_PRESETS

_HIGGS = """label lepton_pt lepton_eta lepton_phi missing_energy_magnitude missing_energy_phi
jet1_pt jet1_eta jet1_phi jet1_btag jet2_pt jet2_eta jet2_phi jet2_btag
jet3_pt jet3_eta jet3_phi jet3_btag jet4_pt jet4_eta jet4_phi jet4_btag
m_jj m_jjj m_lv m_jlv m_bb m_wbb m_wwbb"""
_KINEMATIC = ("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")
_NANOAOD = (
    *_KINEMATIC,
    "Jet_area",
    "Jet_rawFactor",
    "Jet_jetId",
    "Jet_nConstituents",
    "Jet_ch*EF",
    "Jet_ne*EF",
    "Jet_muEF",
)

PRESETS: dict[str, tuple[Selection, str]] = {
    "higgs": (
        Selection(names=tuple(_HIGGS.split()), roles={"label": "label"}),
        "UCI HIGGS, .csv[.gz] without header: label, 21 measured and 7 derived columns",
    ),
    "jets4": (
        Selection(names=("m", "pt", "phi", "eta")),
        "jets of four columns: m, pt, phi, eta",
    ),
    "jets24": (
        Selection(columns=("Jet_*",), exclude=("Jet_genJetIdx",)),
        "the 24 variables of a particle-flow jet, as Jet_*",
    ),
    **{
        name: (Selection(columns=flow.columns), f"{name} of FlashSim, with its flow")
        for name, flow in FLOW_PRESETS.items()
    },
    "nanoaod-jets": (
        Selection(columns=_NANOAOD),
        "kinematics, areas and energy fractions of NanoAOD's jets",
    ),
}


def preset(name: str) -> Selection:
    """Return the selection for a well-known data set: its columns, their names and roles.

    Args:
        name: `higgs`, `jets4`, `jets24`, `nanoaod-jets`, or a published flow such as
            `flashsim-jets`.

    Returns:
        A selection for `compress`, `train` and others.

    Raises:
        InvalidArgument: There is no such preset.

    Example:
        >>> import flowtuple as ft
        >>> len(ft.preset("higgs").names)
        29
    """
    if name not in PRESETS:
        raise InvalidArgument(f"there is no preset {name!r}; {nearest(name, PRESETS)}")
    return PRESETS[name][0]
