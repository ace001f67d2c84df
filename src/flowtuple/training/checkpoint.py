"""Finished parts of a training on disk, so that an interrupted training does not repeat them.

A part is identified by a fingerprint of everything that its result depends on.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from flowtuple.lattice.network import Layer, Network
from flowtuple.runtime.atomic import atomic_path, make_folder
from flowtuple.training.plan import ColumnTask

_log = logging.getLogger(__name__)
_CHECKSUM = 8  # bytes at the end of a file: XXH3-64 of all before


def fingerprint(task: ColumnTask, *settings: object) -> str:
    """Return 16 hexadecimal digits that stand for everything that a training depends on.

    Args:
        task: Candidates with their data.
        settings: Everything else, in a form whose `repr` distinguishes values.
    """
    digest = xxhash.xxh3_64()
    digest.update(np.ascontiguousarray(task.features).tobytes())
    digest.update(task.event.astype(np.int64).tobytes())
    digest.update(b"" if task.weight is None else task.weight.tobytes())
    for c in task.candidates:
        bins = c.flow.bins
        sizes = (len(bins.first), c.inputs, c.coded.shape, task.features.shape)
        digest.update(repr(sizes).encode())
        for part in (c.coded, bins.first, bins.last, np.array(c.inputs, np.int64)):
            digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(repr(settings).encode())
    return str(digest.hexdigest())


@dataclass(frozen=True)
class Checkpoint:
    """A folder of finished trainings, one file each.

    Attributes:
        folder: The folder; `save` creates it.
    """

    folder: Path

    def save(self, key: str, networks: list[Network]) -> None:
        """Write the networks of one training.

        Args:
            key: The fingerprint of the training.
            networks: Its networks, in the order of its candidates.
        """
        make_folder(self.folder)
        arrays = {}
        for n, network in enumerate(networks):
            for k, layer in enumerate(network.layers):
                arrays[f"{n}.{k}.weights"] = layer.weights
                arrays[f"{n}.{k}.shifts"] = layer.shifts
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        data = content.getvalue()
        with atomic_path(self._path(key)) as temporary:
            temporary.write_bytes(data + _checksum(data))

    def load(self, key: str, task: ColumnTask) -> list[Network] | None:
        """Return the networks of a finished training, `None` if it is missing or damaged."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning(
                "%s: cannot be read (%s); this part is trained again",
                path,
                error.strerror,
            )
            return None
        networks = _networks(data)
        if networks is None or not _fit(networks, task):
            _log.warning(
                "%s: is damaged and counts as none; this part is trained again", path
            )
            return None
        return networks

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def _checksum(data: bytes) -> bytes:
    return int(xxhash.xxh3_64_intdigest(data)).to_bytes(_CHECKSUM, "little")


def _networks(data: bytes) -> list[Network] | None:
    """Return the networks in a file, `None` if it is damaged."""
    content = data[:-_CHECKSUM]
    if _checksum(content) != data[-_CHECKSUM:]:
        return None
    networks: dict[str, list[Layer]] = {}
    with np.load(io.BytesIO(content)) as stored:
        for name in stored.files:
            layer, _, kind = name.rpartition(".")
            if kind == "weights":
                shifts = stored[f"{layer}.shifts"]
                number = layer.partition(".")[0]
                networks.setdefault(number, []).append(Layer(stored[name], shifts))
    return [Network(tuple(layers)) for layers in networks.values()]


def _fit(networks: list[Network], task: ColumnTask) -> bool:
    """Return whether networks have the shapes that the candidates of a task need."""
    shapes = [(n.layers[0].weights.shape[1] - 1, n.outputs) for n in networks]
    return shapes == [(len(c.inputs), c.flow.bins.symbols) for c in task.candidates]
