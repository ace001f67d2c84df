"""HDF5 types and attributes as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

FORMAT = "hdf5"
LARGEST_ATTRIBUTE = 1024  # bytes


def type_token(dtype: Any) -> Any:
    """Return a type as JSON; `None` where it is the one that a column's own type gives.

    Example:
        >>> type_token(np.dtype("float32")), type_token(np.dtype(">f4")), type_token(np.dtype("S5"))
        (None, '>f4', 'ascii:5')
    """
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        token = text.encoding if text.length is None else f"{text.encoding}:{text.length}"
        return None if token == "utf-8" else token
    values = h5py.check_enum_dtype(dtype)
    if values is not None and dtype.kind != "b":
        return {
            "enum": {name: int(value) for name, value in values.items()},
            "base": np.dtype(dtype).base.str,
        }
    base = dtype.base if dtype.subdtype is not None else dtype
    return None if base.isnative else base.str


def type_of(token: Any, default: Any) -> Any:
    """Return the type of a token from `type_token`.

    Raises:
        ValueError, TypeError, KeyError: This is no token.
    """
    if token is None:
        return default
    if isinstance(token, Mapping):
        return h5py.enum_dtype(dict(token["enum"]), basetype=np.dtype(token["base"]))
    encoding, _, length = str(token).partition(":")
    if encoding in ("utf-8", "ascii"):
        return h5py.string_dtype(encoding, int(length) if length else None)
    return np.dtype(str(token))


def label_texts(values: Any) -> list[str]:
    """Return names of columns as text; none where the values are no names."""
    if np.ndim(values) != 1:
        return []
    return [
        text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)
        for text in values
    ]


def attribute_token(value: Any) -> Any:
    """Return an attribute as JSON; `None` for what is large or other than numbers and text."""
    if isinstance(value, str):
        return {"text": value} if len(value) <= LARGEST_ATTRIBUTE else None
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        texts = value.reshape(-1).tolist()
        plain = (
            all(isinstance(text, str) for text in texts)
            and sum(map(len, texts)) <= LARGEST_ATTRIBUTE
        )
        return {"texts": texts, "shape": list(value.shape)} if plain else None
    if (
        not isinstance(value, (np.ndarray, np.generic))
        or value.dtype.kind not in "biufcS"
    ):
        return None
    if value.nbytes > LARGEST_ATTRIBUTE:
        return None
    return {
        "type": value.dtype.str,
        "shape": list(value.shape),
        "hex": value.tobytes().hex(),
    }


def attribute_of(token: Mapping[str, Any]) -> Any:
    """Return the attribute of a token from `attribute_token`.

    Raises:
        ValueError, TypeError, KeyError: This is no token.
    """
    if "text" in token:
        return str(token["text"])
    if "texts" in token:
        texts = np.array([str(text) for text in token["texts"]], dtype=object)
        return texts.reshape(token["shape"])
    values = np.frombuffer(bytes.fromhex(token["hex"]), np.dtype(str(token["type"])))
    return values.reshape(token["shape"])[()]
