"""A residual network as a conditioner: pre-activated blocks of two layers, gated by conditions.

He et al., "Identity mappings in deep residual networks" (2016); gated linear units as in Dauphin
et al., "Language modeling with gated convolutional networks" (2017). Layers are normalised row by
row (Ba et al., "Layer normalization", 2016) and not over the batch, so that the result of a row
does not depend on the other rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import LayerNorm, Linear, ReLU, Sequential

_SMALL = (
    1e-3  # initial weights of last layers, so that blocks and splines start as the identity
)


class Block(torch.nn.Module):
    """h + gate(context) f(h), with f two layers after their activations.

    Args:
        width: Width of the hidden rows.
        embedded: Width of the embedded context; 0 for no gate.
    """

    def __init__(self, width: int, embedded: int) -> None:
        super().__init__()
        self.layers = Sequential(
            LayerNorm(width),
            ReLU(),
            Linear(width, width),
            LayerNorm(width),
            ReLU(),
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
        width: Width of the hidden layers, and of the embedded conditions.
        blocks: Number of blocks of two layers.
    """

    def __init__(
        self, columns: int, context: int, outputs: int, width: int, blocks: int
    ) -> None:
        super().__init__()
        self.reads = columns + context > 0
        self.first = Linear(columns + context or 1, width)
        self.embed = Sequential(Linear(context, width), ReLU()) if context else None
        self.blocks = torch.nn.ModuleList(
            Block(width, width if context else 0) for _ in range(blocks)
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
