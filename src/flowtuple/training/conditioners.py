"""The conditioners of one collection as batched tensors: trained in floats, then made integers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import hardtanh

from flowtuple.data.schema import Array
from flowtuple.lattice.network import MAX_SHIFT, Layer, Network
from flowtuple.training.linear_basis import linear_basis
from flowtuple.training.plan import Candidate, ColumnTask

UNIT = 128.0  # activation 1.0 is stored as 128
LARGEST = 255 / UNIT
# sixteenths of a bit in one nat, per unit of activation
LOGIT_UNITS = 16 / math.log(2) / UNIT
VALIDATION_SHARE = 0.05  # of the events
VALIDATION_ROWS = 8192  # at most, in each look at the loss
LEAST_SHARE = 1e-30  # of a symbol, so that its logarithm is a number
LOOKS = 40  # at the validation loss during a training
WEIGHT_LIMITS = (31, 63, 127)  # tried in turn; training sees the first, for small models
FINE_WEIGHTS = (127,)  # for models whose density matters more than their bytes

Progress = Callable[[int, float], None]
"""Called with the number of steps and the validation loss in bits per value."""


@dataclass(frozen=True)
class Schedule:
    """Length and strength of a training, in steps and never in seconds, so that it can be repeated.

    Attributes:
        steps: Largest number of steps.
        batch: Rows of a step.
        rate: Largest learning rate.
        quantised_share: Share of the steps, the last ones, that see integer weights.
        looks: Looks at the validation loss.
        patience: Looks without a better one after which training ends.
        decay: Weight decay, as of AdamW.
        limits: Largest integer weights to try, in this order.
        wide: Train the last layer in `linear_basis`. Densities are better, and weights need more
            bits.
    """

    steps: int
    batch: int
    rate: float = 0.012
    quantised_share: float = 0.25
    looks: int = LOOKS
    patience: int = 8
    decay: float = 0.0
    limits: tuple[int, ...] = WEIGHT_LIMITS
    wide: bool = False


def integer_weights(
    weights: Tensor, scale: float, limit: int = WEIGHT_LIMITS[0]
) -> tuple[Tensor, Tensor]:
    """Round weights to whole numbers w_int = w scale 2^shift within +-limit.

    Args:
        weights: Shape (..., inputs, outputs).
        scale: Factor on all weights.
        limit: Largest integer weight.

    Returns:
        The integer weights, and the shift of each output: the largest that stays within the limit.
    """
    scaled = weights.detach() * scale
    largest = scaled.abs().amax(dim=-2, keepdim=True).clamp_min(1e-12)
    shift = torch.floor(torch.log2(limit / largest)).clamp(1, MAX_SHIFT)
    return torch.clamp(torch.round(scaled * 2**shift), -limit, limit), shift


def log_shares(symbols: Array, count: int, weight: Array | None) -> Array:
    """Return the logarithm of each symbol's share over the largest one, shape (count,).

    A symbol whose weights cancel has a small positive share.
    """
    counts = np.maximum(np.bincount(symbols, weight, minlength=count), 0.0) + 0.1
    shares: Array = np.log(counts / counts.max())
    return shares


class _Rounded(torch.autograd.Function):
    """Activations in whole units; the gradient passes through the rounding."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.mul(UNIT).add_(0.5).floor_().div_(UNIT)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Nats(torch.autograd.Function):
    """The cross-entropy of each row, with a gradient of one multiplication.

    PyTorch's own takes the exponentials of all logits twice.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, symbols: Tensor) -> Tensor:
        p, at = torch.softmax(logits, dim=-1), symbols.unsqueeze(-1)
        ctx.save_for_backward(p, at)
        return -p.gather(-1, at).squeeze(-1).clamp_min_(LEAST_SHARE).log_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        p, at = ctx.saved_tensors
        each = gradient.unsqueeze(-1)
        # The graph is used once, so that the probabilities may give way to their gradient.
        return p.mul_(each).scatter_add_(-1, at, -each), None


class Conditioners(torch.nn.Module):
    """D networks of two hidden layers in one batch; inputs and symbols are padded to the largest.

    Args:
        task: The collection.
        hidden: Widths of the two hidden layers.
        seed: Seed of the initial weights.
        wide: Train the last layer in `linear_basis`.
    """

    inputs: Tensor
    mask: Tensor
    absent: Tensor
    shapes: Tensor

    def __init__(
        self, task: ColumnTask, hidden: tuple[int, int], seed: int, *, wide: bool = False
    ) -> None:
        super().__init__()
        columns, inputs = (
            len(task.candidates),
            max(1, *(len(c.inputs) for c in task.candidates)),
        )
        symbols = max(c.flow.bins.symbols for c in task.candidates)
        draw = torch.Generator().manual_seed(seed)
        shapes = linear_basis(symbols) if wide else torch.eye(symbols)
        widths = (inputs, *hidden, len(shapes))
        self.weights = torch.nn.ParameterList(
            torch.randn(columns, a + 1, b, generator=draw) / math.sqrt(a + 1)
            for a, b in itertools.pairwise(widths)
        )
        self.register_buffer("inputs", torch.zeros(columns, inputs, dtype=torch.long))
        self.register_buffer("mask", torch.zeros(columns, inputs + 1, 1))
        self.register_buffer("absent", torch.zeros(columns, 1, symbols))
        self.register_buffer("shapes", shapes)
        with torch.no_grad():
            self.weights[-1].zero_()
            for d in range(columns):
                self._set_up(d, task.candidates[d], task.weight)

    def _set_up(self, d: int, candidate: Candidate, weight: Array | None) -> None:
        used, bins = len(candidate.inputs), candidate.flow.bins
        self.inputs[d, :used] = torch.tensor(candidate.inputs, dtype=torch.long)
        self.mask[d, :used] = 1
        self.mask[d, -1] = 1
        self.absent[d, 0, bins.symbols :] = -1e4
        marginal = log_shares(bins.symbol(candidate.coded), bins.symbols, weight)
        self.weights[-1][d, -1, : bins.symbols] = torch.from_numpy(marginal / LARGEST)

    def _layers(self) -> list[Tensor]:
        """Return the weights of each layer, shape (D, inputs + 1, outputs)."""
        first, *inner, last = self.weights
        return [first * self.mask, *inner, last @ self.shapes]

    def forward(self, features: Tensor, limit: int | None = None) -> Tensor:
        """Return logits of shape (D, n, symbols).

        Args:
            features: uint8 levels, shape (n, C).
            limit: Round weights to integers up to this size and activations to their units;
                `None` computes in floats.
        """
        # Whole rows of the transposed features are copied, which is faster than single values.
        levels = features.T.contiguous().index_select(0, self.inputs.flatten())
        x = levels.view(*self.inputs.shape, -1).transpose(1, 2).to(torch.float32) / UNIT
        last = len(self.weights) - 1
        for k, weights in enumerate(self._layers()):
            used = weights
            if limit is not None:
                scale = LOGIT_UNITS if k == last else 1.0
                whole, shift = integer_weights(weights, scale, limit)
                # The gradient passes through the rounding (straight-through estimator).
                used = weights + (whole / (scale * 2**shift) - weights).detach()
            # The last input is the constant LARGEST, for the bias.
            bias = used[:, -1:] * LARGEST
            x = torch.baddbmm(bias + self.absent if k == last else bias, x, used[:, :-1])
            if k < last:
                # The same as `clamp`, with a gradient in one pass.
                x = hardtanh(x, 0.0, LARGEST, inplace=True)
                if limit is not None:
                    x = _Rounded.apply(x)  # type: ignore[no-untyped-call]
        return x

    def network(
        self, d: int, candidate: Candidate, limit: int = WEIGHT_LIMITS[0]
    ) -> Network:
        """Return the integer network of candidate d, with weights within +-limit."""
        layers = []
        rows = [*range(len(candidate.inputs)), self.inputs.shape[1]]
        for k, weights in enumerate(self._layers()):
            last = k == len(self.weights) - 1
            used = weights[d][rows] if k == 0 else weights[d]
            used = used[:, : candidate.flow.bins.symbols] if last else used
            layers.append(integer_layer(used, LOGIT_UNITS if last else 1.0, limit))
        return Network(tuple(layers))


def integer_layer(weights: Tensor, scale: float, limit: int = WEIGHT_LIMITS[0]) -> Layer:
    """Return an integer layer from weights of shape (inputs + 1, outputs)."""
    whole, shift = integer_weights(weights, scale, limit)
    rows = whole.T.contiguous().numpy().astype(np.int8)
    return Layer(rows, shift[0].numpy().astype(np.uint8))


class TaskRows:
    """Rows of a task as tensors.

    Attributes:
        features: uint8, shape (n, C).
        symbols: Symbol of each candidate, shape (D, n).
        within: Bits per value for the places within bins, which no conditioner can save, of each
            candidate.

    Args:
        task: The collection.
        rows: The rows to take.
    """

    def __init__(self, task: ColumnTask, rows: slice = slice(None)) -> None:
        self.features = torch.from_numpy(np.ascontiguousarray(task.features[:, rows].T))
        bins = [c.flow.bins for c in task.candidates]
        symbols = [
            b.symbol(c.coded[rows]) for b, c in zip(bins, task.candidates, strict=True)
        ]
        self.symbols = torch.from_numpy(np.stack(symbols))
        self.within = [
            np.log2(b.spans.astype(np.float64) + 1)[s].mean()
            for b, s in zip(bins, symbols, strict=True)
        ]

    def loss(
        self,
        model: Conditioners,
        rows: Tensor | slice,
        limit: int | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss of each candidate in nats, weighted by rows, shape (D,)."""
        symbols = self.symbols[:, rows]
        logits = model(self.features[rows], limit)
        nats: Tensor = _Nats.apply(logits, symbols)  # type: ignore[no-untyped-call]
        return (nats if weight is None else nats * weight[rows]).mean(dim=1)


def train_conditioners(
    task: ColumnTask,
    hidden: tuple[int, int],
    schedule: Schedule,
    seed: int,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> Conditioners:
    """Minimise the mean code length over the rows of a task.

    A share of the events is for validation. Training ends early once it sees integer weights and
    the validation loss has not fallen for `patience` looks.

    Args:
        task: The collection.
        hidden: Widths of the two hidden layers.
        schedule: Length and strength of the training.
        seed: Seed of weights, split and batches.
        progress: Called at every look at the validation loss.
        check: Called at every step; may raise to end the training.
    """
    model = Conditioners(task, hidden, seed, wide=schedule.wide)
    rows, weight = TaskRows(task), None
    if task.weight is not None:
        weight = torch.from_numpy(task.weight.astype(np.float32))
    chosen = torch.from_numpy(validation_rows(task.event, seed))
    training = torch.nonzero(~chosen)[:, 0]
    if schedule.wide:
        training = training[torch.from_numpy(first_objects_often(task.event[~chosen]))]
    validation = torch.nonzero(chosen)[:VALIDATION_ROWS, 0]
    generator = torch.Generator().manual_seed(seed + 1)
    optimiser = torch.optim.AdamW(
        model.parameters(), schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.decay
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.steps, pct_start=0.1
    )
    interval = max(1, schedule.steps // schedule.looks)
    within = float(np.mean(rows.within))
    best, waited = math.inf, 0
    for step in range(schedule.steps):
        check()
        quantised = step >= schedule.steps * (1 - schedule.quantised_share)
        limit = schedule.limits[0] if quantised else None
        drawn = torch.randint(len(training), (schedule.batch,), generator=generator)
        optimiser.zero_grad()
        loss = rows.loss(model, training[drawn], limit, weight).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(
            model.parameters(), 10.0 * math.sqrt(len(task.candidates))
        )
        optimiser.step()
        cycle.step()
        if (step + 1) % interval == 0:
            with torch.no_grad():
                nats = float(rows.loss(model, validation, limit, weight).mean())
            bits = nats / math.log(2)
            progress(step + 1, bits + within)
            best, waited = (bits, 0) if bits < best - 1e-4 else (best, waited + 1)
            if waited >= schedule.patience and quantised:
                break
    return model


def first_objects_often(event: Array) -> Array:
    """Return places of rows, all of them and first objects again, for whole events.

    The first objects of events are few rows, and decide most of what an analysis looks at. How
    often a row is seen depends on the object's number, which every conditioner may read: so the
    conditional densities stay right.

    Args:
        event: Event of each row, in the order (object number, event).

    Example:
        >>> first_objects_often(np.array([0, 1, 0, 1, 1])).tolist()
        [0, 1, 2, 3, 4, 0, 2, 4]
    """
    number = np.concatenate([[0], np.cumsum(np.diff(event) <= 0)])
    classes = [np.flatnonzero(np.minimum(number, 3) == k) for k in range(4)]
    members = [c for c in classes if len(c)]
    every = np.arange(len(event))
    if len(members) == 1:
        return every
    share = len(event) // len(members)
    return np.concatenate([every, *(np.resize(m, share) for m in members)])


def float_bits(
    model: Conditioners, task: ColumnTask, rows: slice, limit: int | None = None
) -> Array:
    """Return bits per value of each candidate under the float model, on some rows: shape (D,).

    Args:
        model: The trained conditioners.
        task: Their task.
        rows: The rows to measure on.
        limit: Round weights to integers up to this size, as `Conditioners.forward`.
    """
    some = TaskRows(task, rows)
    with torch.no_grad():
        nats = some.loss(model, slice(None), limit).numpy()
    bits: Array = nats / math.log(2) + some.within
    return bits


def validation_rows(event: Array, seed: int) -> Array:
    """Return which rows belong to validation events: bool, shape of `event`."""
    chosen = np.random.default_rng(seed).random(int(event.max()) + 1) < VALIDATION_SHARE
    validation: Array = chosen[event]
    if validation.all() or not validation.any():
        validation = np.arange(len(event)) == 0
    return validation
