"""Learned compression of high-energy-physics ntuples, with a bound on every value."""

from flowtuple.errors import (
    BoundViolated,
    Corrupt,
    FlowtupleError,
    InvalidArgument,
    MissingExtra,
    TooNew,
    Truncated,
    Unsupported,
)

__version__ = "0.1.0"

__all__ = [
    "BoundViolated",
    "Corrupt",
    "FlowtupleError",
    "InvalidArgument",
    "MissingExtra",
    "TooNew",
    "Truncated",
    "Unsupported",
    "__version__",
]
