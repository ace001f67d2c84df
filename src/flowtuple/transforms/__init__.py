"""Reversible preprocessing of columns, fitted once and stored with the model trained on it.

A flow learns real numbers of mean 0 and spread 1 best. A transform takes the values of one column
there and back. Integers and repeated values stand for cells: they are spread over an interval, at
a position `u` that the caller draws, and come back exactly.

In: values of one column as an array of shape (n,), and a recipe such as `log:10,standard`, names
from `FITTERS` with numbers after colons. Out: a `Chain`, which maps arrays to arrays and whose
`config` is JSON. `OneHot` makes one column into several and is no part of a chain.

Used by `flows` and by `benchmark`. The package itself knows arrays alone, no tables and no
PyTorch.

Laws, tested by `tests/transforms/test_transforms.py` for every transform and for chains of them:

- `inverse(forward(x, u))` is x: exactly for cells, to rounding for all other values;
- `log_det` is the logarithm of the slope of `forward`, in `u` for a cell and in x for all others;
- `image` returns both in one pass;
- `inverse` takes any finite y;
- `Chain.from_config(chain.config())` is the same chain, and an invalid description is the error
  `Corrupt`.

Names in stored files (`CLASSES`) and field names of the transforms are part of the model format
and never change.
"""

from flowtuple.transforms.chain import FITTERS, Chain
from flowtuple.transforms.one_hot import OneHot
from flowtuple.transforms.transform import Transform

__all__ = ["FITTERS", "Chain", "OneHot", "Transform"]
