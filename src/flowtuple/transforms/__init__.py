"""Reversible preprocessing of columns, fitted once and stored with the model that was trained behind it."""

from flowtuple.transforms.chain import FITTERS, Chain
from flowtuple.transforms.discrete import OneHot
from flowtuple.transforms.transform import Transform

__all__ = ["FITTERS", "Chain", "OneHot", "Transform"]
