"""Piecewise linear basis functions in which the logits of a conditioner's last layer are trained.

Logits of neighbouring bins are alike. One step on the weight of a wide function moves all of them
at once, so that few steps give the rough shape of a density, and narrow functions add the detail.
The product of weights and basis is an ordinary layer, and only that is stored.
"""

from __future__ import annotations

import torch
from torch import Tensor


def linear_basis(symbols: int) -> Tensor:
    """Return one function for each symbol, then triangles of growing width.

    The triangles have height 1. They reach two symbols to each side, then four, eight and so on,
    and their centres are half of that reach away from one another.

    Returns:
        float32, shape (functions, symbols).

    Example:
        >>> linear_basis(4)[4:]
        tensor([[1.0000, 0.5000, 0.0000, 0.0000],
                [0.5000, 1.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 1.0000, 0.5000],
                [0.0000, 0.0000, 0.5000, 1.0000]])
    """
    symbol = torch.arange(symbols)
    parts = [torch.eye(symbols)]
    reach = 2
    while reach < symbols:
        centre = torch.arange(0, symbols, reach // 2)[:, None]
        parts.append((1 - (symbol - centre).abs() / reach).clamp_min(0))
        reach *= 2
    return torch.cat(parts)
