"""Promises of the columns of a file, also as attributes after the CF conventions.

CF 1.12, section 8.4, describes values whose precision was reduced by `quantization`, `algorithm`,
`implementation`, and by `quantization_nsb` or `quantization_maximum_relative_error`. There
`quantization` names a variable that holds algorithm and implementation; here a column has them
itself, and `quantization` is its bound as text. An `abs` bound, for which the conventions have no
name, is `quantization_maximum_absolute_error`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from flowtuple.comparison.verification import Promise, first_bounds
from flowtuple.data.bounds import Bound
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.lattice import Lattice


def column_promises(
    meta: Mapping[str, Any], table: str, lattices: Mapping[str, Lattice]
) -> dict[str, Bound | Promise]:
    """Return the promise of each column of numbers, to the first original after recompression.

    Args:
        meta: Description of the file, with its provenance.
        table: Name of the table.
        lattices: Lattice by column name.
    """
    said = first_bounds(meta.get("provenance"))
    out: dict[str, Bound | Promise] = {}
    for column, lattice in lattices.items():
        out[column] = lattice.bound
        with contextlib.suppress(InvalidArgument):
            # what another version says that this one does not know
            promise = Promise.parse(said.get(f"{table}/{column}", str(lattice.bound)))
            out[column] = promise.bound or promise
    return out


def quantization(
    meta: Mapping[str, Any], table: str, lattices: Mapping[str, Lattice]
) -> dict[str, dict[str, Any]]:
    """Return the attributes of each column of a table whose values may have moved.

    Args:
        meta: Description of the file, with its provenance.
        table: Name of the table.
        lattices: Lattice by column name.
    """
    provenance = meta.get("provenance")
    version = provenance.get("flowtuple", "") if isinstance(provenance, dict) else ""
    return {
        column: attributes_of(promise, f"flowtuple {version}".strip())
        for column, promise in column_promises(meta, table, lattices).items()
        if promise.kind != "lossless"
    }


def attributes_of(promise: Bound | Promise, implementation: str) -> dict[str, Any]:
    """Return the attributes of a column with a promise.

    Args:
        promise: The promise, not lossless.
        implementation: Name and version of the program that moved the values.

    Example:
        >>> attributes = attributes_of(Bound.parse("bits:10"), "flowtuple 0.1.0")
        >>> attributes["algorithm"], attributes["quantization_nsb"]
        ('bitround', 10)
        >>> attributes["quantization_maximum_relative_error"] == 2.0**-11
        True
    """
    out: dict[str, Any] = {
        "quantization": str(promise),
        "algorithm": "chain",
        "implementation": implementation,
    }
    if not isinstance(promise, Bound):
        return out
    if promise.kind == "bits":
        out["algorithm"] = "bitround"
        out["quantization_nsb"] = int(promise.amount)
        out["quantization_maximum_relative_error"] = 2.0 ** -(promise.amount + 1)
    elif promise.kind == "rel":
        out["algorithm"] = "relative_grid"
        out["quantization_maximum_relative_error"] = promise.amount
    elif promise.kind == "sigma":
        out["algorithm"] = "grid_of_resolution"
        out["quantization_resolution"] = promise.resolution
        out["quantization_maximum_error_over_resolution"] = promise.amount
    elif promise.kind == "abs":
        out["algorithm"] = "uniform_grid"
        out["quantization_maximum_absolute_error"] = promise.amount
    else:
        out["algorithm"] = promise.kind
    return out
