"""Trainings of few steps, for tests that ask whether a file is right and not how small it is."""

from __future__ import annotations

import pytest

from flowtuple.training.plan import EFFORTS, EffortPreset


def shorten_training(patch: pytest.MonkeyPatch) -> None:
    """Give the fast effort a quarter of its steps: networks are still learned and stored."""
    patch.setitem(EFFORTS, "fast", EffortPreset((0.7,), 200))
