"""The embedded sample: a small NanoAOD-like file of simulated jets, for first steps, examples and tests."""

from __future__ import annotations

from pathlib import Path


def sample_path() -> Path:
    """Path of `jets.root`, the embedded sample; `README.md` beside it says how it was made and what its branches mean.

    Example:
        >>> import uproot
        >>> with uproot.open(sample_path()) as file:
        ...     file["Events"]["Jet_pt"].typename
        'float[]'
    """
    return Path(__file__).with_name("jets.root")
