"""Functions of a symbol's number, narrow and wide ones together: what a conditioner's last layer is trained in.

Logits of neighbouring bins are alike. A step on the weight of a wide function moves all of them at once, so that few steps
find the rough shape of a density and the narrow functions keep what is left. Multiplied out it is an ordinary layer: what is
stored, and how it is computed, does not change.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hats(symbols: int) -> Tensor:
    """One function for each symbol, then triangles of height 1, two symbols wide to each side, four, eight, ...

    Triangles lie half as far apart as they reach.

    Returns:
        float32, shape (functions, symbols).

    Example:
        >>> hats(4)[4:]
        tensor([[1.0000, 0.5000, 0.0000, 0.0000],
                [0.5000, 1.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 1.0000, 0.5000],
                [0.0000, 0.0000, 0.5000, 1.0000]])
    """
    place, parts, reach = torch.arange(symbols), [torch.eye(symbols)], 2
    while reach < symbols:
        centre = torch.arange(0, symbols, reach // 2)[:, None]
        parts.append((1 - (place - centre).abs() / reach).clamp_min(0))
        reach *= 2
    return torch.cat(parts)
