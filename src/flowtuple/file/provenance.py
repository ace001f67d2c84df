"""Provenance of a file: version, options and inputs."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xxhash

from flowtuple.io.formats import input_suffixes
from flowtuple.io.location import expand, is_url, split_tree
from flowtuple.io.source import Source


def provenance(effort: str, seed: int, source: Source) -> dict[str, Any]:
    """Return version, options, and size and XXH3 of each input on disk.

    There is no time, user or path in it, so that equal inputs give equal files.
    """
    out: dict[str, Any] = {
        "flowtuple": version("flowtuple"),
        "effort": effort,
        "seed": seed,
    }
    sources = source if isinstance(source, (list, tuple)) else [source]
    texts = [os.fspath(s) for s in sources if isinstance(s, (str, os.PathLike))]
    patterns = [split_tree(text, input_suffixes())[0] for text in texts]
    paths = [
        path for pattern in patterns if not is_url(pattern) for path in expand(pattern)
    ]
    return out | {"source": [fingerprint(Path(path)) for path in paths]}


def fingerprint(path: Path) -> dict[str, Any]:
    """Return the size and the XXH3 of a file."""
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, xxhash.xxh3_64)
    return {"bytes": path.stat().st_size, "xxh3": digest.hexdigest()}
