"""Transforms one after another, as JSON and as a line of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.transforms.discrete import Dequantise, Ranks
from flowtuple.transforms.noise import Peak, Smear
from flowtuple.transforms.saturated import Clip
from flowtuple.transforms.smooth import Affine, Atan, Log, Logit
from flowtuple.transforms.transform import Transform

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
"""What is stored of a transform is its name here and its fields."""

FITTERS: dict[str, tuple[Callable[..., Transform], str]] = {
    "divide": (Affine.divide, "x / c"),
    "subtract": (Affine.subtract, "x - c"),
    "standard": (Affine.standard, "mean 0, standard deviation 1"),
    "min-max": (Affine.min_max, "from 0 to 1"),
    "robust": (Affine.robust, "median 0, distance of the quartiles 1"),
    "log": (Log.natural, "ln(x + c)"),
    "log1p": (Log.one_plus, "ln(1 + x)"),
    "log10": (Log.ten, "log10(x + c)"),
    "atan": (Atan.scaled, "atan(c x)"),
    "logit": (Logit.fitted, "logit of the range's share, c = beta = 1e-6 away from its ends"),
    "dequantise": (Dequantise.fitted, "x + u, u uniform, undone by rounding down"),
    "smear": (Smear.fitted, "x + c n, n normal, undone by rounding"),
    "clip": (Clip.fitted, "x from c to d, what lies beyond at the edge"),
    "peak": (
        Peak.fitted,
        "the value at or below c, apart from others, as normal noise around d of width e",
    ),
    "gauss-rank": (Ranks.fitted, "the rank's normal quantile"),
}
"""By the name that a person writes: fitted to values, with numbers of the person's where the formula has c, d, e."""

_NUMBERED = {
    "divide": (0, 1),
    "subtract": (0, 1),
    "log": (0, 1),
    "log10": (0, 1),
    "atan": (0, 1),
    "logit": (0, 1),
    "smear": (0, 1),
    "clip": (2, 2),
    "peak": (1, 3),
}
"""How many numbers a person may write, at least and at most; those who are not here take none."""


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
            InvalidArgument: The recipe is not names out of `FITTERS` between commas, with their numbers behind colons, such as
                `log:10,clip:-5:5`, or a value is outside a transform's domain.
        """
        chain: list[Transform] = []
        y = x.astype(np.float64)
        for word in recipe.split(","):
            fitted = _fit(
                word.strip(), y, after_cells=bool(chain) and isinstance(chain[-1], Dequantise)
            )
            y = fitted.forward(y)
            if not np.isfinite(y).all():
                raise InvalidArgument(
                    f"transform {word.strip()!r} is not defined for {int((~np.isfinite(y)).sum())} values"
                )
            chain.append(fitted)
        return cls(tuple(chain))

    @property
    def has_cells(self) -> bool:
        """Whether some value is spread over a cell, so that `u` matters."""
        return any(transform.has_cells for transform in self.transforms)

    def stands_for_cell(self, x: Array) -> Array:
        y, found = x.astype(np.float64), np.zeros(len(x), bool)
        for transform in self.transforms:
            found |= transform.stands_for_cell(y)
            y = transform.forward(y)
        return found

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
            total[transform.stands_for_cell(y)] = (
                0.0  # of a cell u is what varies, and not what came before it
            )
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
            return cls(
                tuple(
                    CLASSES[e["name"]](**{k: _frozen(v) for k, v in e.items() if k != "name"})
                    for e in entries
                )
            )
        except (KeyError, TypeError, InvalidArgument) as error:
            raise Corrupt(f"a model describes a transform that does not exist ({error})") from None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _fit(word: str, y: Array, after_cells: bool) -> Transform:
    name, *written = (part.strip() for part in word.split(":"))
    if name not in FITTERS:
        raise InvalidArgument(f"there is no transform {name!r}; {nearest(name, FITTERS)}")
    least, most = _NUMBERED.get(name, (0, 0))
    if written and not most:
        raise InvalidArgument(f"transform {name!r} takes no number; write {name!r} alone")
    if not least <= len(written) <= most:
        example = ":".join((name, "-5", "5")[: 1 + max(least, 1)])
        count = f"{least}" if least == most else f"{least} to {most}"
        raise InvalidArgument(
            f"transform {word!r} has {len(written)} numbers, not {count}; write for example {example}"
        )
    if name == "gauss-rank" and after_cells:
        return Ranks.of_cells(y)
    return FITTERS[name][0](y, *(_number(text, word, name) for text in written))


def _number(text: str, word: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidArgument(
            f"transform {word!r}: {text!r} is no number; write for example {name}:10"
        ) from None
