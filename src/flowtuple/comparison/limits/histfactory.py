"""The likelihood as a HistFactory model of pyhf, and the expected CLs that pyhf gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowtuple.comparison.limits.profile import Profile
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.extras import require

_VERSION = "1.0.0"  # of the schema of workspaces
_REACH = 5  # standard deviations beyond the strength that a fit may go


def workspace(profile: Profile, label: str, strength: float = 1.0) -> dict[str, Any]:
    """Return a workspace of pyhf whose observed counts are those of the background alone.

    Args:
        profile: Signal and one background.
        label: Name of the measurement.
        strength: Largest mu that is to be tested; fits may go beyond it.

    Example:
        >>> one = Profile(np.array([5.0]), np.array([100.0]), np.array([0.1]))
        >>> workspace(one, "simulated")["observations"][0]["data"]
        [100.0]
    """
    background = profile.background.tolist()
    errors = (profile.background * profile.relative).tolist()
    normalisation = {"name": "mu", "type": "normfactor", "data": None}
    statistics = {"name": "staterror_observable", "type": "staterror", "data": errors}
    samples = [
        {
            "name": "signal",
            "data": profile.signal.tolist(),
            "modifiers": [normalisation],
        },
        {"name": "background", "data": background, "modifiers": [statistics]},
    ]
    largest = strength + _REACH * float(profile.error)
    bounds = {"name": "mu", "bounds": [[0.0, largest]], "inits": [min(1.0, largest)]}
    return {
        "channels": [{"name": "observable", "samples": samples}],
        "observations": [{"name": "observable", "data": background}],
        "measurements": [
            {"name": label, "config": {"poi": "mu", "parameters": [bounds]}}
        ],
        "version": _VERSION,
    }


def cls_band(profile: Profile, strength: float) -> tuple[float, ...]:
    """Return the expected CLs of a strength for data 2 sigma below the background to 2 above.

    Args:
        profile: Signal and one background.
        strength: mu above 0.

    Returns:
        Five numbers, the third of which is the median.

    Raises:
        InvalidArgument: pyhf finds no best fit.
        MissingExtra: The extra 'fit' is not installed.
    """
    pyhf = require("pyhf", "fit", "limits")
    described = workspace(profile, "limits", strength)
    config = described["measurements"][0]["config"]
    # a schema is not looked up: the workspace is made here
    model = pyhf.Model(
        {"channels": described["channels"], "parameters": config["parameters"]},
        poi_name="mu",
        validate=False,
    )
    data = np.concatenate([profile.background, model.config.auxdata])
    try:
        _, band = pyhf.infer.hypotest(
            strength, data, model, return_expected_set=True, test_stat="qtilde"
        )
    except pyhf.exceptions.FailedMinimization:
        raise InvalidArgument(
            f"pyhf finds no best fit for the strength {strength:g}; join thin bins by fewer "
            "`edges=`, or choose other `strengths=`"
        ) from None
    return tuple(float(value) for value in band)
