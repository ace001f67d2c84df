"""A `RowModel` as one file: safetensors for the weights, JSON in its header for all else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from flowtuple.errors import Corrupt, TooNew
from flowtuple.flows.model import Given, RowModel
from flowtuple.flows.options import KINDS, Shape
from flowtuple.flows.registry import build
from flowtuple.runtime.atomic import atomic_path
from flowtuple.transforms import Chain

VERSION = 2  # 1 knew no conditions
_KEY = "flowtuple rows"
_LENGTH = 8  # bytes that say how long the header of a safetensors file is, which is JSON


def save_model(model: RowModel, path: str | os.PathLike[str]) -> None:
    """Write a model; it appears whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack_model(model))


def pack_model(model: RowModel) -> bytes:
    """A model as the bytes of a safetensors file."""
    content = {
        "version": VERSION,
        "columns": model.columns,
        "dtypes": model.dtypes,
        "counter": model.counter,
        "chains": [chain.config() for chain in model.chains],
        "kind": model.kind,
        "shape": asdict(model.shape),
        "about": model.about,
        "given": {
            "columns": model.given.columns,
            "dtypes": model.given.dtypes,
            "chains": [chain.config() for chain in model.given.chains],
        },
    }
    tensors = {
        name: value.float() if value.is_floating_point() else value
        for name, value in model.flow.state_dict().items()
    }
    return save({k: v.contiguous() for k, v in tensors.items()}, {_KEY: json.dumps(content)})


def load_model(path: str | os.PathLike[str]) -> RowModel:
    """Read a model.

    Raises:
        Corrupt: The file is no model of rows, or a damaged one.
        TooNew: It was written by a later flowtuple.
    """
    return unpack_model(Path(path).read_bytes(), os.fspath(path))


def unpack_model(data: bytes, where: str) -> RowModel:
    """The inverse of `pack_model`; `where` is what messages call the bytes.

    Raises:
        Corrupt: They are no model of rows, or a damaged one.
        TooNew: It was written by a later flowtuple.
    """
    try:
        tensors = load(data)
        content = json.loads(
            json.loads(data[_LENGTH : _LENGTH + int.from_bytes(data[:_LENGTH], "little")])[
                "__metadata__"
            ][_KEY]
        )
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise Corrupt(f"{where}: is no model of flowtuple ({error}); train it again") from None
    try:
        if int(content["version"]) > VERSION:
            raise TooNew(
                f"{where}: is a model of version {content['version']}, this flowtuple reads {VERSION}; update flowtuple"
            )
        return _model(content, tensors)
    except (
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RuntimeError,
        Corrupt,
    ) as error:
        raise Corrupt(
            f"{where}: describes no model ({str(error).splitlines()[0]}); train it again"
        ) from None


def _model(content: Mapping[str, Any], tensors: Mapping[str, Any]) -> RowModel:
    columns, dtypes = tuple(content["columns"]), tuple(content["dtypes"])
    chains = tuple(Chain.from_config(config) for config in content["chains"])
    given = _given(content["given"]) if content["version"] > 1 else Given()
    if not len(columns) == len(dtypes) == len(chains) or content["kind"] not in KINDS:
        raise ValueError("columns, types and transforms do not fit")
    if any(np.dtype(dtype).kind not in "biuf" for dtype in (*dtypes, *given.dtypes)):
        raise ValueError("a column's type is none of numbers")
    shape = Shape(**(content["shape"] | {"hidden": tuple(content["shape"]["hidden"])}))
    if _least_weights(content["kind"], shape, len(columns)) > sum(
        tensor.numel() for tensor in tensors.values()
    ):
        raise ValueError("a flow larger than the file")
    flow = build(content["kind"], len(columns), shape, seed=0, context=len(given.columns))
    flow.load_state_dict(dict(tensors))
    return RowModel(
        columns,
        dtypes,
        content["counter"],
        chains,
        content["kind"],
        shape,
        flow.double(),
        content["about"],
        given,
    )


def _given(content: Mapping[str, Any]) -> Given:
    columns, dtypes = tuple(content["columns"]), tuple(content["dtypes"])
    chains = tuple(Chain.from_config(config) for config in content["chains"])
    if not len(columns) == len(dtypes) == len(chains):
        raise ValueError("conditions, types and transforms do not fit")
    return Given(columns, dtypes, chains)


def _least_weights(kind: str, shape: Shape, columns: int) -> int:
    """How many weights such a flow has at least: what a small file may not make a reader allocate."""
    if kind == "flashsim":
        return shape.transforms_or(columns) * 2 * shape.blocks * shape.hidden[0] ** 2
    networks = 1 if kind == "flow-matching" else shape.transforms_or(1) * (columns > 1)
    return networks * sum(a * b for a, b in pairwise(shape.hidden))
