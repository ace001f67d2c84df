"""Transforms one after another, as JSON and as a line of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.schema import Array
from flowtuple.transforms.discrete import Dequantise, Ranks
from flowtuple.transforms.smooth import Affine, Atan, Log, Logit
from flowtuple.transforms.transform import Transform

CLASSES: dict[str, type[Any]] = {
    "affine": Affine,
    "log": Log,
    "atan": Atan,
    "logit": Logit,
    "dequantise": Dequantise,
    "ranks": Ranks,
}
"""What is stored of a transform is its name here and its fields."""

FITTERS: dict[str, tuple[Callable[..., Transform], str]] = {
    "divide": (Affine.divide, "x / c"),
    "standard": (Affine.standard, "mean 0, standard deviation 1"),
    "min-max": (Affine.min_max, "from 0 to 1"),
    "robust": (Affine.robust, "median 0, distance of the quartiles 1"),
    "log": (Log.natural, "ln(x + c)"),
    "log10": (Log.ten, "log10(x + c)"),
    "atan": (Atan.scaled, "atan(c x)"),
    "logit": (Logit.fitted, "logit of the range's share, c = beta = 1e-6 away from its ends"),
    "dequantise": (Dequantise.fitted, "x + u, u uniform, undone by rounding down"),
    "gauss-rank": (Ranks.fitted, "the rank's normal quantile"),
}
"""By the name that a person writes: fitted to values, with a number of the person's where the formula has a c."""

_NUMBERED = ("divide", "log", "log10", "atan", "logit")


@dataclass(frozen=True)
class Chain:
    """Transforms in the order of `forward`; itself one.

    Example:
        >>> chain = Chain.fit("log:10, standard", np.array([0.0, 10.0, 90.0]))
        >>> chain.inverse(chain.forward(np.array([10.0]))).round(9).tolist()
        [10.0]
    """

    transforms: tuple[Transform, ...] = ()

    @classmethod
    def fit(cls, recipe: str, x: Array) -> Self:
        """Fit one transform after another to values of shape (n,).

        Raises:
            InvalidArgument: The recipe is not names out of `FITTERS` between commas, such as `log:10,standard`, or a value is
                outside a transform's domain.
        """
        chain: list[Transform] = []
        y = x.astype(np.float64)
        for word in recipe.split(","):
            fitted = _fit(word.strip(), y, after_cells=bool(chain) and isinstance(chain[-1], Dequantise))
            y = fitted.forward(y)
            if not np.isfinite(y).all():
                raise InvalidArgument(f"transform {word.strip()!r} is not defined for {int((~np.isfinite(y)).sum())} values")
            chain.append(fitted)
        return cls(tuple(chain))

    @property
    def has_cells(self) -> bool:
        """Whether some value is spread over a cell, so that `u` matters."""
        return any(transform.has_cells for transform in self.transforms)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        y = x.astype(np.float64)
        for transform in self.transforms:
            y = transform.forward(y, u)
        return y

    def inverse(self, y: Array) -> Array:
        x = y
        for transform in reversed(self.transforms):
            x = transform.inverse(x)
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        y, total = x.astype(np.float64), np.zeros(len(x))
        for transform in self.transforms:
            total += transform.log_det(y, u)
            y = transform.forward(y, u)
        return total

    def config(self) -> Mapping[str, Any]:
        names = {kind: name for name, kind in CLASSES.items()}
        return {"transforms": [{"name": names[type(t)], **t.config()} for t in self.transforms]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The inverse of `config`.

        Raises:
            Corrupt: It describes no transforms.
        """
        try:
            entries: Sequence[Mapping[str, Any]] = config["transforms"]
            return cls(tuple(CLASSES[e["name"]](**{k: _frozen(v) for k, v in e.items() if k != "name"}) for e in entries))
        except (KeyError, TypeError, InvalidArgument) as error:
            raise Corrupt(f"a model describes a transform that does not exist ({error})") from None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _fit(word: str, y: Array, after_cells: bool) -> Transform:
    name, colon, number = (part.strip() for part in word.partition(":"))
    if name not in FITTERS:
        raise InvalidArgument(f"there is no transform {name!r}; {nearest(name, FITTERS)}")
    if colon and name not in _NUMBERED:
        raise InvalidArgument(f"transform {name!r} takes no number; write {name!r} alone")
    if name == "gauss-rank" and after_cells:
        return Ranks.of_cells(y)
    try:
        numbers = [float(number)] if colon else []
    except ValueError:
        raise InvalidArgument(f"transform {word!r}: {number!r} is no number; write for example {name}:10") from None
    return FITTERS[name][0](y, *numbers)
