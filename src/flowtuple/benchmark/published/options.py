"""Options of reference methods, without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field

from flowtuple.data.bounds import Bound
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.flows.options import Shape, Training

MODELS: dict[int, Shape] = {
    1: Shape(transforms=6, hidden=(64, 64), permute=True),
    2: Shape(transforms=4, hidden=(32, 32), permute=True),
}
"""Flows of the latent codec by published number: 6 transformations of 64 hidden units, 4 of 32."""

SCALES = ("column", "all")
"""Scales of latent numbers: the largest of their column, or of all columns."""

UNITS = {"GeV": 1.0, "MeV": 1000.0}
"""Divisors of energies, momenta and masses for formulas in GeV."""

NETWORKS = ("tanh", "leaky-relu-bn", "elu-bn")
NORMALISATIONS = ("none", "standard", "custom")
SECOND = ("zstd", "lzma", "pcodec")
"""Second codecs of the numbers of a method."""
MOST_BITS = 31


def check_unit(unit: str) -> None:
    """Refuse an unknown unit of energies.

    Raises:
        InvalidArgument: It is none of `UNITS`.
    """
    _check_choice(f"unit {unit!r} of energies", unit, UNITS)


def _check_choice(words: str, choice: str, choices: Iterable[str]) -> None:
    if choice not in choices:
        raise InvalidArgument(f"there is no {words}; {nearest(choice, choices)}")


def _check_second(then: str) -> None:
    if then:
        _check_choice(f"codec {then!r} to go on with", then, SECOND)


@dataclass(frozen=True)
class Latent:
    """The latent codec: flow -> Gaussian -> erf -> whole numbers.

    Attributes:
        bits: N, from 1 to 31; a code of u 2^N has a sign, too, so that it takes N + 1 bits.
        model: Number of the published flow, 1 or 2, or the size of another.
        truncate: Cut codes off towards zero, as int() does, instead of rounding them.
        unit: Unit of energies, momenta and masses: GeV or MeV.
        then: Second codec of the codes, zstd, lzma or pcodec, instead of packing them bit by bit;
            empty for none.
        training: Training of the flow.
        scale: Scale latent numbers to 3 by the largest of `all`, or of each `column`, as the
            published notebooks do.

    Raises:
        InvalidArgument: One of them is out of range, or there is no such model, scale, unit or
            codec.

    Example:
        >>> Latent(20, model=2).shape.hidden
        (32, 32)
    """

    bits: int = 13
    _: KW_ONLY
    model: int | Shape = 1
    truncate: bool = False
    unit: str = "GeV"
    then: str = ""
    training: Training = field(default_factory=lambda: Training(epochs=30))
    scale: str = "all"

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MOST_BITS:
            raise InvalidArgument(
                f"a latent codec of {self.bits} bits is out of range; "
                f"N goes from 1 to {MOST_BITS}, 13 is usual"
            )
        if not isinstance(self.model, Shape) and self.model not in MODELS:
            raise InvalidArgument(
                f"there is no model {self.model} of the latent codec; 1 is 6 x 64, 2 is 4 x 32"
            )
        _check_choice(f"scale {self.scale!r} of latent numbers", self.scale, SCALES)
        check_unit(self.unit)
        _check_second(self.then)

    @property
    def shape(self) -> Shape:
        """Size of the flow."""
        return self.model if isinstance(self.model, Shape) else MODELS[self.model]


@dataclass(frozen=True)
class Autoencoder:
    """The autoencoder codec: a few float32 numbers a row in place of its columns.

    Attributes:
        latent: Latent numbers a row.
        network: Kind of network: tanh, leaky-relu-bn or elu-bn.
        normalisation: Preprocessing: none, standard or custom.
        hidden: Widths of the encoder's hidden layers, reversed in the decoder; without one
            200-100-50 for at most four columns, 200-200-200 for more.
        unit: Unit of energies, momenta and masses: GeV or MeV.
        residuals: Bound abs:E or std:S of every float by residuals, integers exact; empty for none.
        seen: Round columns of few values to the values of the training.
        variational: Weight beta of the KL divergence in the loss; 0 for a plain autoencoder.
        formulas: Custom normalisation by column, in the words of `flowtuple.transforms`.
        then: Second codec of the latent numbers: zstd, lzma or pcodec; empty for none.
        training: Training of both networks, with AdamW.

    Raises:
        InvalidArgument: One of them is out of range, there is no such network, normalisation, unit
            or codec, or the bound of residuals has no common step.

    Example:
        >>> Autoencoder(3, network="elu-bn").widths(columns=4)
        (200, 100, 50)
    """

    latent: int = 3
    _: KW_ONLY
    network: str = "tanh"
    normalisation: str = "custom"
    hidden: tuple[int, ...] = ()
    unit: str = "GeV"
    residuals: str = ""
    seen: bool = True
    variational: float = 0.0
    formulas: Mapping[str, str] = field(default_factory=dict)
    then: str = ""
    training: Training = field(
        default_factory=lambda: Training(
            epochs=100, batch=512, weight_decay=1e-2, schedule="one-cycle", patience=0
        )
    )

    def __post_init__(self) -> None:
        if not 1 <= self.latent <= 4096 or not all(
            1 <= width <= 4096 for width in self.hidden
        ):
            widths = f"widths {self.hidden} and {self.latent} of an autoencoder"
            raise InvalidArgument(f"{widths} are not all from 1 to 4096")
        _check_choice(f"autoencoder {self.network!r}", self.network, NETWORKS)
        _check_choice(
            f"normalisation {self.normalisation!r}", self.normalisation, NORMALISATIONS
        )
        check_unit(self.unit)
        if not 0 <= self.variational < math.inf:
            raise InvalidArgument(
                f"a KL divergence of weight {self.variational} is out of range; "
                "write 0 for none, or 1e-4"
            )
        _check_second(self.then)
        residuals = Bound.parse(self.residuals) if self.residuals else Bound("abs", 1)
        if residuals.cuts:
            raise InvalidArgument(
                f"residuals within {self.residuals!r} keep no cuts; write abs:E or std:S alone"
            )
        if residuals.kind not in ("abs", "std"):
            raise InvalidArgument(
                f"residuals within {self.residuals!r} have no common step; write abs:E or std:S"
            )

    def widths(self, columns: int) -> tuple[int, ...]:
        """Return the widths of the encoder's hidden layers for so many columns."""
        return self.hidden or ((200, 100, 50) if columns <= 4 else (200, 200, 200))
