"""Settings of limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flowtuple.errors import InvalidArgument

_LEAST = {"toys": 100, "replicas": 20}


@dataclass(frozen=True)
class LimitOptions:
    """Settings of limits that mostly stay as they are.

    Attributes:
        signal_yield: Expected signal events for mu = 1, before the edges. `None` takes the sum of
            the signal's weights.
        background_yield: Expected background events, before the edges. `None` takes the sum of the
            simulated background's weights. The generated background is scaled to the same.
        strengths: Signal strengths mu that are tested. None means half of the expected limit, the
            limit and one and a half of it.
        toys: Pseudo-experiments without signal, for the coverage.
        replicas: Samples of the bootstrap behind every sigma.
        weight: Column of event weights: of the simulated background, and of the other samples
            where they have it.
        names: Column names for inputs that have none.

    Example:
        >>> import flowtuple as ft
        >>> ft.LimitOptions(background_yield=500, strengths=[0.5, 1]).toys
        500
    """

    signal_yield: float | None = None
    background_yield: float | None = None
    strengths: Sequence[float] = ()
    toys: int = 500
    replicas: int = 200
    weight: str | None = None
    names: tuple[str, ...] | None = None

    def check(self) -> None:
        """Raise for a number that cannot be, before anything is read.

        Raises:
            InvalidArgument: A yield or a strength is not above 0, or there are too few toys.
        """
        for name in ("signal_yield", "background_yield"):
            check_events(name, getattr(self, name))
        for strength in self.strengths:
            if not 0 < strength < math.inf:
                raise InvalidArgument(
                    f"the strength {strength:g} is not a number above 0; the signal as it is "
                    "has strength 1"
                )
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise InvalidArgument(
                    f"`{name}=` is {getattr(self, name)}; at least {least} are needed"
                )


def check_events(name: str, value: float | None) -> None:
    """Raise if a number of events is named and is not above 0.

    Raises:
        InvalidArgument: It is zero, negative, infinite or NaN.

    Example:
        >>> check_events("signal_yield", 0)
        Traceback (most recent call last):
        flowtuple.errors.InvalidArgument: `signal_yield=` is 0; it takes a number of events above 0
    """
    if value is not None and not 0 < value < math.inf:
        raise InvalidArgument(
            f"`{name}=` is {value:g}; it takes a number of events above 0"
        )
