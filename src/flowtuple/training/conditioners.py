"""The conditioners of one collection as batched tensors: trained together in floats, then made integers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from flowtuple.lattice.network import MAX_SHIFT, Layer, Network
from flowtuple.training.hats import hats
from flowtuple.training.plan import Candidate, ColumnTask

UNIT = 128.0  # activation 1.0 is stored as 128
LARGEST = 255 / UNIT
LOGIT_UNITS = (
    16 / math.log(2) / UNIT
)  # nats of a logit, per unit of activation, in sixteenths of a bit
HELD_OUT = 0.05
WEIGHT_LIMITS = (
    31,
    63,
    127,
)  # tried in this order; training sees the first, which saves a quarter of the model's bytes
FINE_WEIGHTS = (127,)  # where the density counts, not its bytes

Progress = Callable[[int, float], None]
"""Called with steps done and the held-out loss so far, in bits per value."""


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train; counted in steps, never in seconds, so that the result can be repeated.

    `wide` trains logits of neighbouring bins together, see `hats`: better densities, and weights that fit fewer bits worse.
    """

    steps: int
    batch: int
    rate: float = 0.012
    quantised_share: float = 0.25
    patience: int = 8
    decay: float = 0.0
    limits: tuple[int, ...] = WEIGHT_LIMITS
    wide: bool = False


def integer_weights(
    weights: Tensor, scale: float, limit: int = WEIGHT_LIMITS[0]
) -> tuple[Tensor, Tensor]:
    """Weights of shape (..., inputs, outputs) as whole numbers within +-limit, and the shift of each output.

    An output's shift is the largest that keeps its weights within range: w_int = w scale 2^shift.
    """
    largest = (weights.detach() * scale).abs().amax(dim=-2, keepdim=True).clamp_min(1e-12)
    shift = torch.floor(torch.log2(limit / largest)).clamp(1, MAX_SHIFT)
    return torch.clamp(torch.round(weights.detach() * scale * 2**shift), -limit, limit), shift


def log_shares(symbols: np.ndarray, count: int, weight: np.ndarray | None) -> np.ndarray:
    """Logarithm of each symbol's share over the largest one, shape (count,); where weights cancel it is hardly there."""
    counts = np.maximum(np.bincount(symbols, weight, minlength=count), 0.0) + 0.1
    shares: np.ndarray = np.log(counts / counts.max())
    return shares


class Conditioners(torch.nn.Module):
    """D networks of two hidden layers side by side; inputs and symbols are padded to the largest.

    With `wide` the last layer is trained as a combination of `hats`, and multiplied out before it is used.

    Args:
        task: The collection.
        hidden: Widths of the two hidden layers.
        seed: For the initial weights.
        wide: As in `Schedule`.
    """

    inputs: Tensor
    mask: Tensor
    absent: Tensor
    shapes: Tensor

    def __init__(
        self, task: ColumnTask, hidden: tuple[int, int], seed: int, *, wide: bool = False
    ) -> None:
        super().__init__()
        columns, inputs = len(task.candidates), max(1, *(len(c.inputs) for c in task.candidates))
        symbols = max(c.flow.bins.symbols for c in task.candidates)
        draw = torch.Generator().manual_seed(seed)
        shapes = hats(symbols) if wide else torch.eye(symbols)
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

    def _set_up(self, d: int, candidate: Candidate, weight: np.ndarray | None) -> None:
        used, bins = len(candidate.inputs), candidate.flow.bins
        self.inputs[d, :used] = torch.tensor(candidate.inputs, dtype=torch.long)
        self.mask[d, :used] = 1
        self.mask[d, -1] = 1
        self.absent[d, 0, bins.symbols :] = -1e4
        marginal = log_shares(bins.symbol(candidate.coded), bins.symbols, weight)
        self.weights[-1][d, -1, : bins.symbols] = torch.from_numpy(marginal / LARGEST)

    def _layers(self) -> list[Tensor]:
        """Weights of each layer, shape (D, inputs + 1, outputs)."""
        first, *inner, last = self.weights
        return [first * self.mask, *inner, last @ self.shapes]

    def forward(self, features: Tensor, limit: int | None = None) -> Tensor:
        """Logits of shape (D, n, symbols) from uint8 features of shape (n, C); with a limit of weights as whole numbers."""
        levels = features.T.contiguous().index_select(
            0, self.inputs.flatten()
        )  # row by row, not value by value
        x = levels.view(*self.inputs.shape, -1).transpose(1, 2).to(torch.float32) / UNIT
        last = len(self.weights) - 1
        for k, weights in enumerate(self._layers()):
            used = weights
            if limit is not None:
                scale = LOGIT_UNITS if k == last else 1.0
                whole, shift = integer_weights(weights, scale, limit)
                used = weights + (whole / (scale * 2**shift) - weights).detach()
            x = torch.baddbmm(
                used[:, -1:], x, used[:, :-1], beta=LARGEST
            )  # the last input is a constant, for the bias
            if k < last:
                x = x.clamp(0, LARGEST)
                x = (
                    x + (torch.floor(x * UNIT + 0.5) / UNIT - x).detach()
                    if limit is not None
                    else x
                )
        return x + self.absent

    def network(self, d: int, candidate: Candidate, limit: int = WEIGHT_LIMITS[0]) -> Network:
        """The integer network of candidate d, with weights within +-limit."""
        layers = []
        rows = [*range(len(candidate.inputs)), self.inputs.shape[1]]
        for k, weights in enumerate(self._layers()):
            last = k == len(self.weights) - 1
            used = weights[d][rows] if k == 0 else weights[d]
            used = used[:, : candidate.flow.bins.symbols] if last else used
            whole, shift = integer_weights(used, LOGIT_UNITS if last else 1.0, limit)
            layers.append(
                Layer(
                    whole.T.contiguous().numpy().astype(np.int8), shift[0].numpy().astype(np.uint8)
                )
            )
        return Network(tuple(layers))


def train_conditioners(
    task: ColumnTask,
    hidden: tuple[int, int],
    schedule: Schedule,
    seed: int,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> Conditioners:
    """Minimise the mean code length over the rows of a task; the last part of training sees the integer weights.

    A twentieth of the events is held out; training ends early when their loss has not fallen for `patience` looks.
    `check` is called at every step, and may raise to end it.
    """
    model = Conditioners(task, hidden, seed, wide=schedule.wide)
    features = torch.from_numpy(np.ascontiguousarray(task.features.T))
    symbols = torch.from_numpy(np.stack([c.flow.bins.symbol(c.coded) for c in task.candidates]))
    held = torch.from_numpy(held_out(task.event, seed))
    weight = None if task.weight is None else torch.from_numpy(task.weight.astype(np.float32))
    training, looked_at = torch.nonzero(~held)[:, 0], torch.nonzero(held)[:8192, 0]
    draw = torch.Generator().manual_seed(seed + 1)
    optimiser = torch.optim.AdamW(
        model.parameters(), schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.decay
    )
    cosine = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.steps, pct_start=0.1
    )
    look, best, waited, within = max(1, schedule.steps // 40), math.inf, 0, _bits_within_bins(task)
    for step in range(schedule.steps):
        check()
        limit = (
            schedule.limits[0] if step >= schedule.steps * (1 - schedule.quantised_share) else None
        )
        batch = training[torch.randint(len(training), (schedule.batch,), generator=draw)]
        loss = _loss(
            model(features[batch], limit),
            symbols[:, batch],
            None if weight is None else weight[batch],
        ).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0 * math.sqrt(len(task.candidates)))
        optimiser.step()
        cosine.step()
        if (step + 1) % look == 0:
            with torch.no_grad():
                some = None if weight is None else weight[looked_at]
                bits = float(
                    _loss(model(features[looked_at], limit), symbols[:, looked_at], some).mean()
                ) / math.log(2)
            progress(step + 1, bits + within)
            best, waited = (bits, 0) if bits < best - 1e-4 else (best, waited + 1)
            if waited >= schedule.patience and limit is not None:
                break
    return model


def _loss(logits: Tensor, symbols: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean nats of each column, shape (D,), each row times its weight where there are weights."""
    nats = cross_entropy(logits.flatten(0, 1), symbols.flatten(), reduction="none").view(
        symbols.shape
    )
    return (nats if weight is None else nats * weight).mean(dim=1)


def float_bits(model: Conditioners, task: ColumnTask, rows: slice) -> np.ndarray:
    """Bits per value of each candidate under the float model, on some of the rows: shape (D,)."""
    pairs = [(c.flow.bins, c.coded[rows]) for c in task.candidates]
    symbols = torch.from_numpy(np.stack([b.symbol(q) for b, q in pairs]))
    with torch.no_grad():
        nats = _loss(
            model(torch.from_numpy(np.ascontiguousarray(task.features[:, rows].T))), symbols
        ).numpy()
    within = [np.log2(b.spans.astype(np.float64) + 1)[b.symbol(q)].mean() for b, q in pairs]
    bits: np.ndarray = nats / math.log(2) + within
    return bits


def _bits_within_bins(task: ColumnTask) -> float:
    """Bits per value for the places within bins: what every model of these bins pays alike."""
    pairs = [(c.flow.bins, c.coded) for c in task.candidates]
    return float(
        np.mean([np.log2(b.spans.astype(np.float64) + 1)[b.symbol(q)].mean() for b, q in pairs])
    )


def held_out(event: np.ndarray, seed: int) -> np.ndarray:
    """Which rows belong to the twentieth of the events that training does not see: bool, shape of `event`."""
    chosen = np.random.default_rng(seed).random(int(event.max()) + 1) < HELD_OUT
    held: np.ndarray = chosen[event]
    return held if held.any() and not held.all() else np.arange(len(event)) == 0
