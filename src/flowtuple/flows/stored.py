"""A `RowModel` as one safetensors file: weights as tensors, all else as JSON in its header."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from flowtuple.errors import Corrupt, TooNew, first_line
from flowtuple.flows.model import ContextColumns, RowModel
from flowtuple.flows.options import KINDS, Shape
from flowtuple.flows.registry import build
from flowtuple.runtime.atomic import atomic_path
from flowtuple.transforms import Chain, OneHot

VERSION = 3  # version 1 had no conditions, version 2 fewer kinds of flows and of layers
_VERSION_OF = {
    "nice": 3,
    "glow": 3,
    "made": 3,
}  # of other kinds 2, which older readers know
_KEY = "flowtuple rows"
_ONE_HOT = "values"  # field of a one-hot code
Steps = TypeVar("Steps", Chain, Chain | OneHot)
_LENGTH = 8  # bytes at the start of the file: the length of its header


def save_model(model: RowModel, path: str | os.PathLike[str]) -> None:
    """Write a model; the file appears complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(pack_model(model))


def pack_model(model: RowModel) -> bytes:
    """Return a model as the bytes of a safetensors file."""
    content = {
        "version": _version(model),
        "columns": model.columns,
        "dtypes": model.dtypes,
        "counter": model.counter,
        "chains": [chain.config() for chain in model.chains],
        "kind": model.kind,
        "shape": _stored_shape(model),
        "about": model.about,
        "given": {
            "columns": model.context.columns,
            "dtypes": model.context.dtypes,
            "chains": [chain.config() for chain in model.context.chains],
        },
    }
    tensors = {
        name: (value.float() if value.is_floating_point() else value).contiguous()
        for name, value in model.flow.state_dict().items()
    }
    return save(tensors, {_KEY: json.dumps(content)})


def _stored_shape(model: RowModel) -> dict[str, Any]:
    """Return the size of a flow without the numbers of later versions that it does not use."""
    content = asdict(model.shape)
    if model.kind != "made":
        del content["components"]
    if not _has_other_layers(model):
        del content["activation"], content["normalisation"]
    return content


def _version(model: RowModel) -> int:
    """Return the lowest version of which readers know the model."""
    is_coded = any(isinstance(chain, OneHot) for chain in model.context.chains)
    is_new = is_coded or _has_other_layers(model)
    return max(_VERSION_OF.get(model.kind, 2), 3 if is_new else 2)


def _has_other_layers(model: RowModel) -> bool:
    """Return whether the flow has layers that only readers of version 3 know."""
    layers = model.shape.activation, model.shape.normalisation
    return model.kind == "flashsim" and layers != (
        Shape.activation,
        Shape.normalisation,
    )


def load_model(path: str | os.PathLike[str]) -> RowModel:
    """Read a model.

    Raises:
        Corrupt: The file is not a model of rows, or it is damaged.
        TooNew: A later flowtuple wrote it.
    """
    return unpack_model(Path(path).read_bytes(), os.fspath(path))


def unpack_model(data: bytes, name: str) -> RowModel:
    """Return the model in bytes that `pack_model` made.

    Args:
        data: The bytes.
        name: Name of the bytes in messages.

    Raises:
        Corrupt: The bytes are not a model of rows, or they are damaged.
        TooNew: A later flowtuple wrote them.
    """
    try:
        tensors, texts = read_tensors(data)
        content = json.loads(texts[_KEY])
    except SafetensorError as error:
        advice = "restore it from a copy, or train it again"
        raise Corrupt(
            f"{name}: is no model of flowtuple, or is damaged ({error}); {advice}"
        ) from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise Corrupt(
            f"{name}: is no model of flowtuple; name one that `train_flow()` wrote"
        ) from None
    try:
        if int(content["version"]) > VERSION:
            raise TooNew(
                f"{name}: is a model of version {content['version']}, this flowtuple reads "
                f"{VERSION}; update flowtuple"
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
        reason = first_line(error)
        raise Corrupt(f"{name}: describes no model ({reason}); train it again") from None


def _model(content: Mapping[str, Any], tensors: Mapping[str, Any]) -> RowModel:
    columns, dtypes, chains = _columns(content, "columns", Chain.from_config)
    context = ContextColumns()
    if content["version"] > 1:
        context = ContextColumns(*_columns(content["given"], "conditions", _condition))
    kind = content["kind"]
    if kind not in KINDS:
        raise ValueError(f"there is no flow {kind!r}")
    shape = Shape(**(content["shape"] | {"hidden": tuple(content["shape"]["hidden"])}))
    stored = sum(tensor.numel() for tensor in tensors.values())
    if _least_weights(kind, shape, len(columns)) > stored:
        raise ValueError("a flow larger than the file")
    flow = build(kind, len(columns), shape, seed=0, context=context.width)
    flow.load_state_dict(dict(tensors))
    counter, about = content["counter"], content["about"]
    return RowModel(
        columns, dtypes, counter, chains, kind, shape, flow.double(), about, context
    )


def _condition(config: Mapping[str, Any]) -> Chain | OneHot:
    """Return the preprocessing of a condition."""
    if _ONE_HOT in config:
        return OneHot(tuple(float(value) for value in config[_ONE_HOT]))
    return Chain.from_config(config)


def _columns(
    content: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any]], Steps]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Steps, ...]]:
    """Return names, types and preprocessing of columns; errors call them by a name."""
    columns, dtypes = tuple(content["columns"]), tuple(content["dtypes"])
    chains = tuple(read(config) for config in content["chains"])
    if not len(columns) == len(dtypes) == len(chains):
        raise ValueError(f"{name}, types and transforms do not fit")
    if any(np.dtype(dtype).kind not in "biuf" for dtype in dtypes):
        raise ValueError("a column's type is none of numbers")
    return columns, dtypes, chains


def _least_weights(kind: str, shape: Shape, columns: int) -> int:
    """Return a lower limit on the weights of a flow.

    A small file must not make its reader allocate more than that.
    """
    if kind == "flashsim":
        return shape.transforms_or(columns) * 2 * shape.blocks * shape.hidden[0] ** 2
    steps = shape.transforms_or(1)
    between_layers = sum(a * b for a, b in pairwise(shape.hidden))
    if kind == "flow-matching":
        return between_layers
    if columns == 1:
        return 0
    if kind == "made":
        return between_layers + shape.hidden[-1] * shape.components * columns
    mixings = columns**2 if kind == "glow" else 0
    return steps * (between_layers + mixings)


def read_tensors(data: bytes) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Return the tensors and the texts in the bytes of a file.

    Raises:
        SafetensorError: The bytes are damaged.
        KeyError: There are no texts.
    """
    tensors = load(data)
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    texts: Mapping[str, str] = json.loads(data[_LENGTH:end])["__metadata__"]
    return tensors, texts
