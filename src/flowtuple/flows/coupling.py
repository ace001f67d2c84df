"""The flow of CMS FlashSim: coupling steps of splines under residual networks, one for each column.

Vaselli, Cattafesta, Asenov, Rizzi, "End-to-end simulation of particle physics events with flow
matching and generator oversampling" (2024), and the code of the prototype before it
(github.com/francesco-vaselli/FlashSim). These are neural spline flows (Durkan et al., 2019) of as
many coupling steps as columns, with a random permutation before each. Their conditioners are
residual networks that read the unchanged half and the generated quantities. The splines are those
of zuko, linear beyond 5 standard deviations.

The residual networks have pre-activated blocks of two layers, gated by conditions: He et al.,
"Identity mappings in deep residual networks" (2016); gated linear units as in Dauphin et al.,
"Language modeling with gated convolutional networks" (2017). `Shape` names activation and
normalisation; the prototype has relu and batch normalisation.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Sequential
from zuko.transforms import MonotonicRQSTransform

from flowtuple.flows.bijection import LikelihoodFlow, Step
from flowtuple.flows.layers import ACTIVATIONS, NORMALISATIONS
from flowtuple.flows.options import Shape

_SMALL = 1e-3  # initial weights of last layers, so that blocks and splines start as the identity


class Block(torch.nn.Module):
    """h + gate(context) f(h), with f two layers after their activations.

    Args:
        shape: Width of the hidden rows, activation and normalisation.
        embedded: Width of the embedded context; 0 for no gate.
    """

    def __init__(self, shape: Shape, embedded: int) -> None:
        super().__init__()
        width = shape.hidden[0]
        normalisation = NORMALISATIONS[shape.normalisation]
        activation = ACTIVATIONS[shape.activation]
        self.layers = Sequential(
            normalisation(width),
            activation(),
            Linear(width, width),
            normalisation(width),
            activation(),
            Linear(width, width),
        )
        self.gate = Linear(embedded, width) if embedded else None
        _shrink(self.layers[-1])

    def forward(self, h: Tensor, embedded: Tensor | None) -> Tensor:
        """Return hidden rows of shape (n, width)."""
        change: Tensor = self.layers(h)
        return h + (
            change if self.gate is None else change * torch.sigmoid(self.gate(embedded))
        )


class ResidualNetwork(torch.nn.Module):
    """A network of columns and conditions; a layer embeds the conditions, which gate every block.

    Args:
        columns: Number of columns that it reads, 0 or more.
        context: Number of conditions c, 0 or more.
        outputs: Number of outputs for each row.
        shape: Width of the hidden layers and of the embedded conditions, number of blocks of two
            layers, activation and normalisation.
    """

    def __init__(self, columns: int, context: int, outputs: int, shape: Shape) -> None:
        super().__init__()
        width, activation = shape.hidden[0], ACTIVATIONS[shape.activation]
        self.reads = columns + context > 0
        self.first = Linear(columns + context or 1, width)
        self.embed = Sequential(Linear(context, width), activation()) if context else None
        self.blocks = torch.nn.ModuleList(
            Block(shape, width if context else 0) for _ in range(shape.blocks)
        )
        self.last = Linear(width, outputs)
        _shrink(self.last)

    def forward(self, columns: Tensor, context: Tensor | None = None) -> Tensor:
        """Return shape (n, outputs) from columns (n, columns) and a context (n, c)."""
        read = columns if context is None else torch.cat([columns, context], dim=-1)
        h = self.first(read if self.reads else columns.new_ones((len(columns), 1)))
        embedded = None if self.embed is None else self.embed(context)
        for block in self.blocks:
            h = block(h, embedded)
        out: Tensor = self.last(h)
        return out


def _shrink(layer: torch.nn.Module) -> None:
    for weights in layer.parameters():
        torch.nn.init.uniform_(weights, -_SMALL, _SMALL)


class CouplingStep(torch.nn.Module):
    """A step that maps some columns by splines; a network computes the knots from the others.

    Args:
        moved: Numbers of the columns that are transformed, shape (m,).
        kept: Numbers of the unchanged columns, shape (d - m,).
        context: Number of conditions c.
        shape: Width and blocks of the network, bins of the splines.
    """

    moved: Tensor
    kept: Tensor

    def __init__(self, moved: Tensor, kept: Tensor, context: int, shape: Shape) -> None:
        super().__init__()
        self.bins = shape.bins
        self.register_buffer("moved", moved.clone())
        self.register_buffer("kept", kept.clone())
        outputs = len(moved) * (3 * shape.bins - 1)
        self.network = ResidualNetwork(len(kept), context, outputs, shape)

    def splines(self, x: Tensor, context: Tensor | None) -> MonotonicRQSTransform:
        """Return one spline of `bins` pieces for each moved column of each row."""
        knots = self.network(x[:, self.kept], context).unflatten(
            -1, (len(self.moved), -1)
        )
        return MonotonicRQSTransform(
            *knots.split([self.bins, self.bins, self.bins - 1], dim=-1)
        )

    def forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return rows and the share of each column in ln|det|."""
        y, ladj = self.splines(x, context).call_and_ladj(x[:, self.moved])
        return x.index_copy(1, self.moved, y), torch.zeros_like(x).index_copy(
            1, self.moved, ladj
        )

    def inverse(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Return the rows that `forward` maps to these."""
        return y.index_copy(1, self.moved, self.splines(y, context).inv(y[:, self.moved]))


class Coupling(LikelihoodFlow):
    """A sequence of coupling steps.

    A random half of the columns has the effect of a random permutation followed by a cut in
    halves, and leaves the columns in their order. Every second step moves the half that the step
    before left, so that every column is moved.

    Args:
        features: Number of columns d.
        context: Number of conditions c.
        shape: Its size; by default it has one transform for each column.
    """

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        halves: list[tuple[Tensor, Tensor]] = []
        steps = shape.transforms_or(features)
        while len(halves) < steps:
            parts = torch.randperm(features).tensor_split([(features + 1) // 2])
            first, second = (part.sort()[0] for part in parts)
            halves += (
                [(first, second), (second, first)] if len(second) else [(first, second)]
            )
        self.steps = torch.nn.ModuleList(
            CouplingStep(*half, context, shape) for half in halves[:steps]
        )

    def steps_under(self, context: Tensor | None) -> list[Step]:
        steps: Iterable[Any] = self.steps
        return [
            (partial(step, context=context), partial(step.inverse, context=context))
            for step in steps
        ]
