"""Content of safetensors files: tensors by name, and the texts in the JSON header."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import load
from torch import Tensor

_LENGTH = 8  # bytes at the start of the file: the length of its header


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
