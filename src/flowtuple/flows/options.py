"""Options of a flow over rows, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowtuple.errors import InvalidArgument, check_name

KINDS = (
    "maf",
    "nsf",
    "coupling",
    "realnvp",
    "nice",
    "glow",
    "made",
    "flashsim",
    "flow-matching",
)
SCHEDULES = ("constant", "plateau", "cosine", "warm-restarts", "one-cycle")
ACTIVATIONS = ("relu", "leaky-relu", "elu", "gelu", "silu", "tanh")
NORMALISATIONS = ("layer", "batch", "none")
DEVICES = ("auto", "cpu", "cuda")
_RANGES = {
    "transforms": (1, 64),
    "hidden": (1, 4096),
    "bins": (2, 1024),
    "components": (1, 256),
    "steps": (1, 1024),
    "blocks": (1, 64),
}
_MOST_LAYERS = 16


@dataclass(frozen=True)
class Shape:
    """Size of a flow; a kind of flow ignores numbers that it does not use.

    Attributes:
        transforms: Autoregressive or coupling steps; by default one for each column in
            `flashsim`, three in other kinds. `made` has one network in any case.
        hidden: Widths of the conditioner's hidden layers; the first is the width of a residual
            network.
        bins: Pieces of a spline.
        steps: Solver steps of a continuous flow.
        blocks: Blocks of a residual network, of two layers each.
        permute: Draw the order of columns in each step of `maf` and `nsf` at random, instead of
            forwards and backwards in turn, and in `made`, instead of their own.
        components: Gaussians of each column's mixture in `made`.
        activation: Activation of a residual network: relu, leaky-relu, elu, gelu, silu or tanh.
        normalisation: Normalisation in a residual network: of each row (layer), over the rows of a
            step (batch), or none.

    Example:
        >>> import flowtuple as ft
        >>> ft.Shape(hidden=(128, 128)).bins
        16
    """

    transforms: int | None = None
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 16
    steps: int = 32
    blocks: int = 2
    permute: bool = False
    components: int = 8
    activation: str = "relu"
    normalisation: str = "layer"

    def __post_init__(self) -> None:
        check_name("activation", self.activation, ACTIVATIONS)
        check_name("normalisation", self.normalisation, NORMALISATIONS)
        for name, (least, most) in _RANGES.items():
            value = self.transforms_or(1) if name == "transforms" else getattr(self, name)
            sizes: tuple[int, ...] = value if isinstance(value, tuple) else (value,)
            if not (
                1 <= len(sizes) <= _MOST_LAYERS and all(least <= n <= most for n in sizes)
            ):
                raise InvalidArgument(
                    f"{name} {getattr(self, name)} is out of range; the most is {most}"
                )

    def transforms_or(self, default: int) -> int:
        """Return the number of transforms, or the default of a kind of flow."""
        return default if self.transforms is None else self.transforms


@dataclass(frozen=True)
class Training:
    """Options of a training.

    Attributes:
        epochs: Largest number of passes over the rows.
        batch: Rows of a step.
        learning_rate: Largest learning rate.
        weight_decay: Decoupled weight decay, as of AdamW.
        schedule: Schedule of the learning rate: constant, plateau, cosine, warm-restarts or
            one-cycle.
        clip: Largest norm of a step's gradient; 0 for any.
        patience: Epochs without a better validation loss after which training stops; 0 for no
            such stop.
        held_out: Share of the events for validation.

    Example:
        >>> import flowtuple as ft
        >>> ft.Training(epochs=100, schedule="one-cycle").batch
        1024
    """

    epochs: int = 60
    batch: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"
    clip: float = 5.0
    patience: int = 15
    held_out: float = 0.1

    def __post_init__(self) -> None:
        check_name("schedule", self.schedule, SCHEDULES)
        in_range = {
            "epochs": self.epochs >= 1,
            "batch": self.batch >= 1,
            "learning_rate": self.learning_rate > 0,
            "weight_decay": self.weight_decay >= 0,
            "clip": self.clip >= 0,
            "patience": self.patience >= 0,
            "held_out": 0 < self.held_out < 1,
        }
        for name, valid in in_range.items():
            if not valid:
                usual = Training.__dataclass_fields__[name].default
                raise InvalidArgument(
                    f"{name.replace('_', ' ')} {getattr(self, name)} is out of range; "
                    f"{usual} is usual"
                )


@dataclass(frozen=True)
class RowFlow:
    """A flow over rows (events, or objects of one collection) in place of the lattice flow.

    Attributes:
        kind: maf, nsf, coupling, realnvp, nice, glow, made, flashsim or flow-matching.
        shape: Size of the flow.
        training: Options of its training.
        transforms: Preprocessing by name or glob of a column or a condition, such as
            `{"Jet_pt": "log:10,standard"}`; the last match wins. By default integers of many
            values are dequantised, and every column becomes the normal quantile of its rank;
            conditions are then limited to 5.
        log: A folder for TensorBoard.
        device: Device of the training: cpu, cuda, or auto for a GPU if there is one.

    Example:
        >>> import flowtuple as ft
        >>> flow = ft.RowFlow("maf", ft.Shape(transforms=5), transforms={"Jet_pt": "log:10"})
        >>> flow.kind
        'maf'
    """

    kind: str = "nsf"
    shape: Shape = Shape()
    training: Training = Training()
    transforms: Mapping[str, str] = field(default_factory=dict)
    log: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        check_name("device", self.device, DEVICES)
        check_name("flow", self.kind, KINDS)
