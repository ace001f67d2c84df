"""What may be asked of a flow over rows, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowtuple.errors import InvalidArgument, nearest

KINDS = ("maf", "nsf", "coupling", "realnvp", "flashsim", "flow-matching")
SCHEDULES = ("constant", "plateau", "cosine", "warm-restarts", "one-cycle")
DEVICES = ("auto", "cpu", "cuda")
_LARGEST = {"transforms": 64, "hidden": 4096, "bins": 1024, "steps": 1024, "blocks": 64}


@dataclass(frozen=True)
class Shape:
    """Size of a flow; what a kind of flow has no use for is ignored.

    Attributes:
        transforms: Autoregressive or coupling steps; without a number one a column for `flashsim`, three for others.
        hidden: Widths of the conditioner's hidden layers; of a residual network the first is its width.
        bins: Pieces of a spline.
        steps: Steps of the solver of a continuous flow.
        blocks: Blocks of a residual network, of two layers each.
        permute: Whether each step of `maf` and `nsf` takes the columns in an order drawn at random; otherwise forwards and
            backwards in turn.
    """

    transforms: int | None = None
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 16
    steps: int = 32
    blocks: int = 2
    permute: bool = False

    def __post_init__(self) -> None:
        one = {
            "transforms": self.transforms_or(1),
            "bins": self.bins,
            "steps": self.steps,
            "blocks": self.blocks,
        }
        sizes = {"hidden": self.hidden} | {name: (size,) for name, size in one.items()}
        for name, values in sizes.items():
            if not 1 <= len(values) <= 16 or not all(
                1 + (name == "bins") <= v <= _LARGEST[name] for v in values
            ):
                raise InvalidArgument(
                    f"{name} {getattr(self, name)} is out of range; the most is {_LARGEST[name]}"
                )

    def transforms_or(self, usual: int) -> int:
        """The number of transforms, or the usual one where none was asked for."""
        return usual if self.transforms is None else self.transforms


@dataclass(frozen=True)
class Training:
    """Options of a training.

    Attributes:
        epochs: Passes over the rows, at most.
        batch: Rows of a step.
        learning_rate: The largest.
        weight_decay: Decoupled, as of AdamW.
        schedule: Of the learning rate: constant, plateau, cosine, warm-restarts or one-cycle.
        clip: Largest norm of a step's gradient; 0 for any.
        patience: Epochs without a better loss on held-out events after which training stops; 0 to go on.
        held_out: Share of the events that only judge.
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
        if self.schedule not in SCHEDULES:
            raise InvalidArgument(
                f"there is no schedule {self.schedule!r}; {nearest(self.schedule, SCHEDULES)}"
            )
        fine = {
            "epochs": self.epochs >= 1,
            "batch": self.batch >= 1,
            "learning_rate": self.learning_rate > 0,
        }
        fine |= {
            "weight_decay": self.weight_decay >= 0,
            "clip": self.clip >= 0,
            "patience": self.patience >= 0,
        }
        fine |= {"held_out": 0 < self.held_out < 1}
        for name, holds in fine.items():
            if not holds:
                usual = Training.__dataclass_fields__[name].default
                raise InvalidArgument(
                    f"{name.replace('_', ' ')} {getattr(self, name)} is out of range; {usual} is usual"
                )


@dataclass(frozen=True)
class RowFlow:
    """A flow over rows (events, or objects of one collection) in place of the lattice flow.

    Attributes:
        kind: maf, nsf, coupling, realnvp, flashsim or flow-matching.
        shape: Its size.
        training: How it is trained.
        transforms: Preprocessing by name or glob of a column or a condition, such as `{"Jet_pt": "log:10,standard"}`; the
            last match wins. Without one, integers of many values are dequantised, and every column goes to its normal
            quantile by rank; so do conditions, which are kept within 5 of it.
        log: A folder for TensorBoard.
        device: What it is trained on: cpu, cuda, or auto for a GPU where there is one.
    """

    kind: str = "nsf"
    shape: Shape = Shape()
    training: Training = Training()
    transforms: Mapping[str, str] = field(default_factory=dict)
    log: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise InvalidArgument(
                f"there is no device {self.device!r}; {nearest(self.device, DEVICES)}"
            )
        if self.kind not in KINDS:
            raise InvalidArgument(
                f"there is no flow {self.kind!r}; {nearest(self.kind, ['lattice', *KINDS])}"
            )
