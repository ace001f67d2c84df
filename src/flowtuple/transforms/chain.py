"""Chains of transforms, written as JSON or as a line of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.transforms.noise import Dequantise, Peak, Smear
from flowtuple.transforms.ranks import Ranks
from flowtuple.transforms.smooth import Affine, Atan, Clip, Log, Logit
from flowtuple.transforms.transform import Image, Transform

CLASSES: dict[str, type[Any]] = {
    "affine": Affine,
    "log": Log,
    "atan": Atan,
    "logit": Logit,
    "dequantise": Dequantise,
    "smear": Smear,
    "ranks": Ranks,
    "clip": Clip,
    "peak": Peak,
}
"""A transform is stored as its name here and its fields."""

FITTERS: dict[str, tuple[Callable[..., Transform], str]] = {
    "divide": (lambda x, c=1.0: Affine(0.0, c), "x / c"),
    "subtract": (lambda x, c=0.0: Affine(c, 1.0), "x - c"),
    "standard": (
        lambda x: Affine(float(x.mean()), float(x.std()) or 1.0),
        "mean 0, standard deviation 1; constant values keep their scale",
    ),
    "min-max": (
        lambda x: Affine(float(x.min()), float(np.ptp(x)) or 1.0),
        "from 0 to 1",
    ),
    "robust": (Affine.robust, "median 0, distance of the quartiles 1"),
    "log": (lambda x, c=0.0: Log(c), "ln(x + c)"),
    "log1p": (lambda x: Log(1.0), "ln(1 + x)"),
    "log10": (lambda x, c=0.0: Log(c, 10.0), "log10(x + c)"),
    "atan": (lambda x, c=1.0: Atan(c), "atan(c x)"),
    "logit": (
        Logit.fitted,
        "logit of the range's share, c = beta = 1e-6 away from its ends",
    ),
    "dequantise": (lambda x: Dequantise(), "x + u, u uniform, inverted by rounding down"),
    "smear": (lambda x, c=0.1: Smear(c), "x + c n, n normal, inverted by rounding"),
    "clip": (lambda x, c, d: Clip(c, d), "x from c to d, values beyond at the edge"),
    "peak": (Peak.fitted, "a value at or below c, as normal noise around d of width e"),
    "gauss-rank": (Ranks.fitted, "the rank's normal quantile"),
}
"""Fit and formula by the name that a user writes; c, d and e are numbers that the user writes."""


@dataclass(frozen=True)
class Chain(Transform):
    """Transforms applied one after another.

    Example:
        >>> chain = Chain.fit("log:10, standard", np.array([0.0, 10.0, 90.0]))
        >>> chain.inverse(chain.forward(np.array([10.0]))).round(9).tolist()
        [10.0]
    """

    transforms: tuple[Transform, ...] = ()

    @classmethod
    def fit(cls, recipe: str, x: Array) -> Self:
        """Fit one transform after another.

        Args:
            recipe: Names in `FITTERS` between commas, each with its numbers after colons, such as
                `log:10,clip:-5:5`.
            x: Values, shape (n,).

        Raises:
            InvalidArgument: The recipe is invalid, or a value is outside the domain of a
                transform.
        """
        chain: list[Transform] = []
        y = x.astype(np.float64)
        for word in (part.strip() for part in recipe.split(",")):
            fitted = _fit(word, y, bool(chain) and isinstance(chain[-1], Dequantise))
            y = fitted.forward(y)
            undefined = int((~np.isfinite(y)).sum())
            if undefined:
                raise InvalidArgument(
                    f"transform {word!r} is not defined for {undefined} values"
                )
            chain.append(fitted)
        return cls(tuple(chain))

    @property
    def has_cells(self) -> bool:
        return any(transform.has_cells for transform in self.transforms)

    def image(self, x: Array, u: Array | float) -> Image:
        y, total, cells = x, np.zeros(len(x)), np.zeros(len(x), bool)
        for transform in self.transforms:
            y, slope, some = transform.image(y, u)
            # Within a cell y varies with u alone, so the slopes of earlier transforms do not count.
            total = np.where(some, 0.0, total) + slope
            cells |= some
        return Image(y, total, cells)

    def inverse(self, y: Array) -> Array:
        x = y
        for transform in reversed(self.transforms):
            x = transform.inverse(x)
        return x

    def config(self) -> Mapping[str, Any]:
        names = {kind: name for name, kind in CLASSES.items()}
        return {
            "transforms": [
                {"name": names[type(t)], **t.config()} for t in self.transforms
            ]
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the chain that `config` described.

        Raises:
            Corrupt: The description is invalid.
        """
        try:
            return cls(tuple(_from_config(**entry) for entry in config["transforms"]))
        except (KeyError, TypeError, InvalidArgument) as error:
            raise Corrupt(
                f"a model describes a transform that does not exist ({error})"
            ) from None


def _from_config(name: str, **fields: Any) -> Transform:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    transform: Transform = CLASSES[name](**values)
    return transform


def _fit(word: str, y: Array, after_cells: bool) -> Transform:
    """Fit one transform of a recipe; ranks after dequantisation keep the edges of cells."""
    name, *texts = (part.strip() for part in word.split(":"))
    if name not in FITTERS:
        raise InvalidArgument(f"there is no transform {name!r}; {nearest(name, FITTERS)}")
    fitter = FITTERS[name][0]
    _, *parameters = signature(fitter).parameters.values()
    least, most = sum(p.default is p.empty for p in parameters), len(parameters)
    if texts and not most:
        raise InvalidArgument(f"transform {name!r} takes no number; write {name!r} alone")
    if not least <= len(texts) <= most:
        example = ":".join((name, "-5", "5")[: 1 + max(least, 1)])
        count = f"{least}" if least == most else f"{least} to {most}"
        raise InvalidArgument(
            f"transform {word!r} has {len(texts)} numbers, not {count}; write for example {example}"
        )
    if name in ("dequantise", "smear") and (y != np.rint(y)).any():
        raise InvalidArgument(
            f"{name} is for whole numbers; leave it out, or round before"
        )
    if name == "gauss-rank" and after_cells:
        return Ranks.of_cells(y)
    return fitter(y, *(_number(text, word, name) for text in texts))


def _number(text: str, word: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidArgument(
            f"transform {word!r}: {text!r} is no number; write for example {name}:10"
        ) from None
