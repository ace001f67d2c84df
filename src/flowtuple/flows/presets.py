"""Published flows over rows, as data: columns, conditions, preprocessing, size and training.

The two of FlashSim follow the public code of its prototype (github.com/francesco-vaselli/FlashSim:
`preprocessing/` for columns and transforms, `docs/trainings.md` for sizes and training), on which
Vaselli et al., "End-to-end simulation of particle physics events with flow matching and generator
oversampling" (2024) builds. Names are those of NanoAOD, with `Jet_ptRatio` for p_T over the
generated one, `Jet_etaMinusGen` for a difference, and `ClosestMuon_*` for the nearest generated
muon within Delta R = 0.4.

Sizes, activation, batch normalisation and the schedule are those of the prototype's
`trainings/*.py`: Adam with a cosine schedule and no clipping of gradients, batches of 2,048, for
jets 600 epochs from 1e-5, for muons 1,000 epochs from 1e-4.

There are six differences. Every chain ends in `standard`, because the splines end at 5; there they
end at 1. Conditions are limited to 5 standard deviations. The number of constituents and the zeros
of the muon fraction are dequantised, as the flags are; the prototype leaves them. Events without
energy out of time stay, with log1p in place of log; the prototype drops them. Between coupling
steps the prototype also has a linear map of the columns. The weights of the best epoch are kept;
there those of the last one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from flowtuple.errors import check_name
from flowtuple.flows.options import RowFlow, Shape, Training

_FLAG = "smear:0.1,standard"
_SCORE = "peak:-0.01:-0.1:0.02,standard"  # a negative score means "none"
_SEEN = "standard,clip:-5:5"
_PT, _PT_OR_0 = f"log,{_SEEN}", f"log1p,{_SEEN}"
_ZERO = "log:1e-5,peak:-7.5:-11.51:1,standard"  # of isolations


@dataclass(frozen=True)
class FlowPreset:
    """A published flow over rows.

    Attributes:
        targets: Preprocessing by target column.
        conditions: Preprocessing by condition.
        shape: Size of the flow, which is of kind `flashsim`.
        training: Options of its training.

    Example:
        >>> import flowtuple as ft
        >>> ft.flow_preset("flashsim-jets").flow.kind
        'flashsim'
    """

    targets: Mapping[str, str]
    conditions: Mapping[str, str]
    shape: Shape
    training: Training

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return tuple(self.targets)

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return tuple(self.conditions)

    @property
    def flow(self) -> RowFlow:
        """The flow as an option of `flowtuple.train`."""
        return RowFlow(
            "flashsim", self.shape, self.training, {**self.targets, **self.conditions}
        )

    def only(self, names: Collection[str]) -> FlowPreset:
        """Return the preset with some of its columns and conditions.

        Example:
            >>> import flowtuple as ft
            >>> ft.flow_preset("flashsim-jets").only(["Jet_ptRatio", "GenJet_pt"]).given
            ('GenJet_pt',)
        """
        targets = {n: steps for n, steps in self.targets.items() if n in names}
        conditions = {n: steps for n, steps in self.conditions.items() if n in names}
        return replace(self, targets=targets, conditions=conditions)


_JET = {
    "Jet_area": "standard",
    "Jet_btagCMVA": "standard",
    "Jet_btagCSVV2": _SCORE,
    "Jet_btagDeepB": _SCORE,
    "Jet_btagDeepC": _SCORE,
    "Jet_btagDeepFlavB": "standard",
    "Jet_btagDeepFlavC": "standard",
    "Jet_etaMinusGen": "standard",
    "Jet_bRegCorr": "standard",
    "Jet_massRatio": "clip:0:7,standard",
    "Jet_nConstituents": "dequantise,standard",
    "Jet_phiMinusGen": "standard",
    "Jet_ptRatio": "clip:0:3,standard",
    "Jet_qgl": _SCORE,
    "Jet_muEF": "peak:0:-0.1:0.02,standard",
    "Jet_puId": _FLAG,
    "Jet_jetId": _FLAG,
}
_GIVEN_JET = {
    **{
        f"{which}Muon_{what}": _SEEN
        for which in ("Closest", "SecondClosest")
        for what in ("dr", "deta", "dphi")
    },
    **{f"{which}Muon_pt": _PT_OR_0 for which in ("Closest", "SecondClosest")},
    **{
        f"GenJet_{what}": _SEEN
        for what in ("eta", "phi", "partonFlavour", "hadronFlavour")
    },
    "GenJet_mass": _PT_OR_0,
    "GenJet_pt": _PT,
}
_MUON = {
    "Muon_etaMinusGen": "atan:100,standard",
    "Muon_phiMinusGen": "atan:80,standard",
    "Muon_ptRatio": "subtract:1,atan:10,standard",
    "Muon_dxy": "atan:150,standard",
    "Muon_dxyErr": "clip:0:1,log1p,standard",
    "Muon_dz": "clip:-20:20,atan:50,standard",
    "Muon_dzErr": "clip:0:1,log:1e-3,standard",
    "Muon_ip3d": "clip:0:1,log:1e-3,standard",
    **{f"Muon_{what}": _FLAG for what in ("isGlobal", "isPFcand", "isTracker")},
    "Muon_jetPtRelv2": "clip:0:200,log:1e-3,peak:-4:-6.9:1,standard",
    "Muon_jetRelIso": "clip:-0.079:100,log:0.08,standard",
    "Muon_mediumId": _FLAG,
    "Muon_pfRelIso03_all": f"clip:0:100,{_ZERO}",
    "Muon_pfRelIso03_chg": f"clip:0:40,{_ZERO}",
    "Muon_pfRelIso04_all": f"clip:0:70,{_ZERO}",
    "Muon_ptErr": "clip:0:300,log:1e-3,standard",
    "Muon_sip3d": "clip:0:1000,log1p,standard",
    "Muon_softId": _FLAG,
    "Muon_softMva": "standard",
    "Muon_softMvaId": _FLAG,
}
_GIVEN_MUON = {
    **{f"GenMuon_{what}": _SEEN for what in ("eta", "phi", "charge")},
    "GenMuon_pt": _PT,
    **{f"GenPart_statusFlags{bit}": _SEEN for bit in range(15)},
    **{f"ClosestJet_{what}": _SEEN for what in ("dr", "deta", "dphi")},
    **{f"ClosestJet_{what}": _PT_OR_0 for what in ("pt", "mass")},
    **{
        f"Pileup_{what}": _SEEN for what in ("gpudensity", "nPU", "nTrueInt", "pudensity")
    },
    **{f"Pileup_{what}": _PT_OR_0 for what in ("sumEOOT", "sumLOOT")},
}
_JET_TRAINING = Training(
    epochs=600, batch=2048, learning_rate=1e-5, schedule="cosine", clip=0.0, patience=0
)
_MUON_TRAINING = replace(_JET_TRAINING, epochs=1000, learning_rate=1e-4)
_SHAPE = Shape(bins=128, blocks=10, activation="relu", normalisation="batch")

FLOW_PRESETS: dict[str, FlowPreset] = {
    "flashsim-jets": FlowPreset(
        _JET, _GIVEN_JET, replace(_SHAPE, hidden=(298,)), _JET_TRAINING
    ),
    "flashsim-muons": FlowPreset(
        _MUON, _GIVEN_MUON, replace(_SHAPE, hidden=(256,)), _MUON_TRAINING
    ),
}


def flow_preset(name: str) -> FlowPreset:
    """Return a published flow over rows.

    Args:
        name: `flashsim-jets` or `flashsim-muons`.

    Returns:
        The columns, their preprocessing, and the flow.

    Raises:
        InvalidArgument: There is no such preset.

    Example:
        >>> import flowtuple as ft
        >>> jets = ft.flow_preset("flashsim-jets")
        >>> len(jets.columns), len(jets.given), jets.flow.shape.bins
        (17, 14, 128)
    """
    check_name("preset of a flow", name, FLOW_PRESETS)
    return FLOW_PRESETS[name]
