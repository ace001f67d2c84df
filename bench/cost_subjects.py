"""The methods whose steps bench/costs.py measures: published ones, Baler, and the codecs of `flowtuple bench`.

Nothing but the standard library is imported before a clock starts.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cost_task import Subject, Task


@dataclass(frozen=True)
class Reference:
    """A method of flowtuple.benchmark.published by the name and settings of its options."""

    options: str
    settings: dict[str, Any]

    def initialise(self, task: Task) -> None:
        for module in ("flowtuple.benchmark.published.stored", "flowtuple.flows.registry"):
            importlib.import_module(module)

    def train(self, task: Task) -> Callable[[], Any]:
        from flowtuple.benchmark.published import options
        from flowtuple.benchmark.published.fitting import fit_codec

        importlib.import_module("torch._dynamo")  # which the first optimiser of a process imports
        asked = getattr(options, self.options)(unit=task.unit, **self.settings)
        if task.epochs:
            asked = replace(asked, training=replace(asked.training, epochs=task.epochs))
        rows = task.rows()

        def work() -> None:
            codec, _ = fit_codec(rows, asked, 0, lambda share, loss: None)
            (task.folder / "out.weights").write_bytes(codec.weights())
            (task.folder / "out.json").write_text(json.dumps(codec.settings()))
            self._save_encoder(codec, task.folder)

        return work

    def _save_encoder(self, codec: Any, folder: Path) -> None:
        """What an autoencoder's file leaves out, because a decoder needs none."""
        if getattr(codec, "encoder", None) is not None:
            from safetensors.torch import save

            (folder / "encoder").write_bytes(
                save({k: v.contiguous() for k, v in codec.encoder.state_dict().items()})
            )

    def load(self, task: Task) -> Callable[[], Any]:
        from safetensors.torch import load

        from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
        from flowtuple.benchmark.published.latent import LatentCodec
        from flowtuple.benchmark.published.networks import encoder

        def work() -> Any:
            settings, weights = (
                json.loads((task.folder / "out.json").read_text()),
                (task.folder / "out.weights").read_bytes(),
            )
            if self.options == "Latent":
                return LatentCodec.restore(settings, weights, "model")
            network = encoder(settings["network"], settings["widths"])
            network.load_state_dict(load((task.folder / "encoder").read_bytes()))
            return replace(
                AutoencoderCodec.restore(settings, weights, "model"), encoder=network.eval()
            )

        return work

    def encode(self, task: Task) -> Callable[[], Any]:
        from flowtuple.baseline.pieces import join

        values = task.rows().values
        return lambda: (task.folder / "out.codes").write_bytes(join(task.model.encode(values)))

    def decode(self, task: Task) -> Callable[[], Any]:
        from flowtuple.baseline.pieces import split

        count = len(task.rows())
        return lambda: task.model.decode(split((task.folder / "out.codes").read_bytes()), count)


class Baler:
    """Baler's own package; encoding and decoding load its model from its file again."""

    def initialise(self, task: Task) -> None:
        for module in ("trainer", "compressor", "decompressor", "legacy_models"):
            importlib.import_module(f"baler_compressor.{module}")

    def train(self, task: Task) -> Callable[[], Any]:
        from flowtuple.benchmark.published import baler

        importlib.import_module("torch._dynamo")
        rows, asked = task.rows(), baler.Baler()
        asked = replace(asked, epochs=task.epochs or asked.epochs)

        def work() -> None:
            pieces = baler.baler_pack(rows.values, rows.columns, asked)
            for name, content in zip(baler.FILES, pieces, strict=True):
                (task.folder / f"out.{name}").write_bytes(content)
            (task.folder / "normalization_features.npy").write_bytes(
                pieces[1]
            )  # where decoding looks for it

        return work

    def load(self, task: Task) -> Callable[[], Any]:
        from baler_compressor.data_processing import load_model

        from flowtuple.benchmark.published import baler

        columns, asked = len(task.rows().columns), baler.Baler()
        config, latent = baler.baler_config(asked), math.ceil(columns / asked.ratio)
        return lambda: load_model(config.model, str(task.folder / "out.model.pt"), columns, latent)

    def encode(self, task: Task) -> Callable[[], Any]:
        import numpy as np

        from flowtuple.benchmark.published import baler

        rows, folder = task.rows(), task.folder
        np.savez(folder / "rows.npz", data=rows.values, names=np.array(rows.columns))
        config, ranges = (
            baler.baler_config(baler.Baler()),
            np.load(folder / "normalization_features.npy"),
        )
        paths = folder / "rows.npz", folder / "out.model.pt", folder / "out.compressed.npz"
        return lambda: baler.write_latent(config, ranges, *paths)

    def decode(self, task: Task) -> Callable[[], Any]:
        from baler_compressor import decompressor

        from flowtuple.benchmark.published import baler

        config = baler.baler_config(baler.Baler())
        model, codes = (str(task.folder / name) for name in ("out.model.pt", "out.compressed.npz"))
        return lambda: decompressor.run(model, codes, config)


@dataclass(frozen=True)
class Rival:
    """A codec of `flowtuple bench`; one that trains takes its model from the file of its training."""

    name: str
    packages: tuple[str, ...]
    trains: bool = False

    def initialise(self, task: Task) -> None:
        for package in self.packages:
            importlib.import_module(package)
        if self.trains:
            self._codec(task).load()

    def train(self, task: Task) -> Callable[[], Any]:
        if not self.trains:
            return lambda: None
        tables, described = task.table()
        codec = replace(self._codec(task), model=None)
        codec.load()
        return lambda: codec.encode(tables, described, self._path(task, "trained"))

    def load(self, task: Task) -> Callable[[], Any]:
        if not self.trains:
            return lambda: None
        from flowtuple.file.file import File

        return lambda: File(self._path(task, "trained"), task.threads)

    def encode(self, task: Task) -> Callable[[], Any]:
        (tables, described), codec = task.table(), self._codec(task)
        codec.load()
        return lambda: codec.encode(tables, described, self._path(task, "out"))

    def decode(self, task: Task) -> Callable[[], Any]:
        (_, described), codec = task.table(), self._codec(task)
        codec.load()
        return lambda: codec.decode(self._path(task, "out"), described)

    def _codec(self, task: Task) -> Any:
        from flowtuple.benchmark.registry import codec
        from flowtuple.benchmark.settings import Settings

        model = self._path(task, "trained") if self.trains else None
        return codec(self.name, Settings(threads=task.threads, model=model))

    def _path(self, task: Task, name: str) -> Path:
        return task.folder / f"{name}.bin"


METHODS: dict[str, Subject] = {
    "latent-1": Reference("Latent", {"bits": 13, "model": 1}),
    "latent-2": Reference("Latent", {"bits": 13, "model": 2}),
    "autoencoder-tanh": Reference("Autoencoder", {"network": "tanh"}),
    "autoencoder-leaky-relu-bn": Reference("Autoencoder", {"network": "leaky-relu-bn"}),
    "autoencoder-elu-bn": Reference("Autoencoder", {"network": "elu-bn"}),
    "autoencoder-variational": Reference("Autoencoder", {"network": "tanh", "variational": 1e-4}),
    "baler": Baler(),
    "sz3": Rival("sz3", ("numpy", "pysz")),
    "zfp": Rival("zfp", ("numpy", "zfpy")),
    "quantise+pcodec": Rival("quantise+pcodec", ("numpy", "pcodec")),
    "xz": Rival("lzma-9", ("numpy", "lzma")),
    "lattice flow": Rival("flowtuple", ("flowtuple",), trains=True),
}
