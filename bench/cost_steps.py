"""One step of one method, measured in this process: `bench/costs.py` starts it with a task as JSON.

Nothing but the standard library is imported before the clock of `initialise` starts. Steps before
the one that is measured run first, unmeasured, so that none pays for another.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

STEPS = ("initialise", "train", "load", "encode", "decode")
Work = Callable[[], Any]


@dataclass
class Task:
    """The task as it came, and what the steps before left in memory."""

    method: str
    step: str
    folder: Path
    unit: str
    bound: str
    epochs: int
    threads: int
    model: Any = None

    def rows(self) -> Any:
        """Return the objects as `Rows`."""
        import numpy as np

        from flowtuple.data.rows import Rows

        values = np.load(self.folder / "rows.npy")
        description = json.loads((self.folder / "rows.json").read_text())
        names, dtypes = tuple(description["columns"]), tuple(description["dtypes"])
        return Rows(
            "rows", names, values, np.arange(len(values)), len(values), dtypes=dtypes
        )

    def table(self) -> tuple[Any, Any]:
        """Return the objects as a table of events, and its bounds resolved."""
        from flowtuple.benchmark.inputs import layouts
        from flowtuple.data.schema import Column
        from flowtuple.data.table import Table
        from flowtuple.runtime.progress import silent

        rows = self.rows()
        columns = tuple(map(Column, rows.columns, rows.dtypes))
        data = {c.name: rows.values[:, k].astype(c.dtype) for k, c in enumerate(columns)}
        tables = [Table("rows", columns, len(rows), data)]
        return tables, layouts(tables, [{"*": self.bound}], "rows", silent)[0]


class Method(Protocol):
    """A method whose steps are measured; all but the first return work, with its input ready."""

    def initialise(self, task: Task) -> None: ...

    def train(self, task: Task) -> Work: ...

    def load(self, task: Task) -> Work: ...

    def encode(self, task: Task) -> Work: ...

    def decode(self, task: Task) -> Work: ...


@dataclass(frozen=True)
class Published:
    """A method of flowtuple.benchmark.published by the name and settings of its options."""

    options: str
    settings: dict[str, Any]

    def initialise(self, task: Task) -> None:
        for module in (
            "flowtuple.benchmark.published.stored",
            "flowtuple.flows.registry",
        ):
            importlib.import_module(module)

    def train(self, task: Task) -> Work:
        from safetensors.torch import save

        from flowtuple.benchmark.published import options
        from flowtuple.benchmark.published.stored import fit_codec

        # which the first optimiser of a process imports
        importlib.import_module("torch._dynamo")
        wanted = getattr(options, self.options)(unit=task.unit, **self.settings)
        if task.epochs:
            wanted = replace(
                wanted, training=replace(wanted.training, epochs=task.epochs)
            )
        rows = task.rows()

        def work() -> None:
            codec, _ = fit_codec(rows, wanted, 0, lambda share, loss: None)
            (task.folder / "out.weights").write_bytes(codec.weights())
            (task.folder / "out.json").write_text(json.dumps(codec.settings()))
            if self.options == "Autoencoder":
                # its file has no encoder: a decoder needs none
                weights = codec.encoder.state_dict().items()
                content = save({name: value.contiguous() for name, value in weights})
                (task.folder / "encoder").write_bytes(content)

        return work

    def load(self, task: Task) -> Work:
        from safetensors.torch import load

        from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
        from flowtuple.benchmark.published.latent import LatentCodec
        from flowtuple.benchmark.published.networks import encoder

        def work() -> Any:
            settings = json.loads((task.folder / "out.json").read_text())
            weights = (task.folder / "out.weights").read_bytes()
            if self.options == "Latent":
                return LatentCodec.restore(settings, weights, "model")
            network = encoder(settings["network"], settings["widths"])
            network.load_state_dict(load((task.folder / "encoder").read_bytes()))
            codec = AutoencoderCodec.restore(settings, weights, "model")
            return replace(codec, encoder=network.eval())

        return work

    def encode(self, task: Task) -> Work:
        from flowtuple.baseline.packing import join

        values = task.rows().values
        return lambda: (task.folder / "out.codes").write_bytes(
            join(task.model.encode(values))
        )

    def decode(self, task: Task) -> Work:
        from flowtuple.baseline.packing import split

        count = len(task.rows())
        return lambda: task.model.decode(
            split((task.folder / "out.codes").read_bytes()), count
        )


class Baler:
    """Baler's own package; encoding and decoding load its model from its file again."""

    def initialise(self, task: Task) -> None:
        for module in ("trainer", "compressor", "decompressor", "legacy_models"):
            importlib.import_module(f"baler_compressor.{module}")

    def train(self, task: Task) -> Work:
        from flowtuple.benchmark.published import baler

        importlib.import_module("torch._dynamo")
        from flowtuple.baseline.packing import split

        rows, options = task.rows(), baler.Baler()
        options = replace(options, epochs=task.epochs or options.epochs)

        def work() -> None:
            pieces = split(baler.BalerFiles("baler", options=options).pack(rows)[0])
            for name, content in zip(baler.FILES, pieces, strict=True):
                (task.folder / f"out.{name}").write_bytes(content)
            # where decoding looks for it
            (task.folder / "normalization_features.npy").write_bytes(pieces[1])

        return work

    def load(self, task: Task) -> Work:
        from baler_compressor.data_processing import load_model

        from flowtuple.benchmark.published import baler

        columns, options = len(task.rows().columns), baler.Baler()
        config, latent = baler.baler_config(options), math.ceil(columns / options.ratio)
        return lambda: load_model(
            config.model, str(task.folder / "out.model.pt"), columns, latent
        )

    def encode(self, task: Task) -> Work:
        import numpy as np

        from flowtuple.benchmark.published import baler

        rows, folder = task.rows(), task.folder
        np.savez(folder / "rows.npz", data=rows.values, names=np.array(rows.columns))
        config = baler.baler_config(baler.Baler())
        limits = np.load(folder / "normalization_features.npy")
        paths = (
            folder / "rows.npz",
            folder / "out.model.pt",
            folder / "out.compressed.npz",
        )
        return lambda: baler.write_latent(config, limits, *paths)

    def decode(self, task: Task) -> Work:
        from baler_compressor import decompressor

        from flowtuple.benchmark.published import baler

        config = baler.baler_config(baler.Baler())
        model, codes = (
            str(task.folder / name) for name in ("out.model.pt", "out.compressed.npz")
        )
        return lambda: decompressor.run(model, codes, config)


@dataclass(frozen=True)
class Codec:
    """A codec of `flowtuple bench`; one that trains reads its model from the file of `train`."""

    name: str
    packages: tuple[str, ...]
    trains: bool = False

    def initialise(self, task: Task) -> None:
        for package in self.packages:
            importlib.import_module(package)
        if self.trains:
            self._codec(task).load()

    def train(self, task: Task) -> Work:
        if not self.trains:
            return lambda: None
        tables, layouts = task.table()
        codec = self._codec(task, trained=False)
        codec.load()
        return lambda: codec.encode(tables, layouts, task.folder / "trained.bin")

    def load(self, task: Task) -> Work:
        if not self.trains:
            return lambda: None
        from flowtuple.data.resources import Resources
        from flowtuple.file.file import File

        resources = Resources(task.threads)
        return lambda: File(task.folder / "trained.bin", resources=resources)

    def encode(self, task: Task) -> Work:
        (tables, layouts), codec = task.table(), self._codec(task)
        codec.load()
        return lambda: codec.encode(tables, layouts, task.folder / "out.bin")

    def decode(self, task: Task) -> Work:
        (_, layouts), codec = task.table(), self._codec(task)
        codec.load()
        return lambda: codec.decode(task.folder / "out.bin", layouts)

    def _codec(self, task: Task, *, trained: bool = True) -> Any:
        from flowtuple.benchmark.codecs.table_codec import Settings
        from flowtuple.benchmark.registry import codec

        model = task.folder / "trained.bin" if self.trains and trained else None
        return codec(self.name, Settings(threads=task.threads, model=model))


METHODS: dict[str, Method] = {
    "latent-1": Published("Latent", {"bits": 13, "model": 1}),
    "latent-2": Published("Latent", {"bits": 13, "model": 2}),
    "autoencoder-tanh": Published("Autoencoder", {"network": "tanh"}),
    "autoencoder-leaky-relu-bn": Published("Autoencoder", {"network": "leaky-relu-bn"}),
    "autoencoder-elu-bn": Published("Autoencoder", {"network": "elu-bn"}),
    "autoencoder-variational": Published(
        "Autoencoder", {"network": "tanh", "variational": 1e-4}
    ),
    "baler": Baler(),
    "sz3": Codec("sz3", ("numpy", "pysz")),
    "zfp": Codec("zfp", ("numpy", "zfpy")),
    "quantise+pcodec": Codec("quantise+pcodec", ("numpy", "pcodec")),
    "xz": Codec("lzma-9", ("numpy", "lzma")),
    "lattice flow": Codec("flowtuple", ("flowtuple",), trains=True),
}


def memory_module() -> Any:
    """Return flowtuple.benchmark.memory without importing flowtuple, which is to be measured."""
    package = importlib.util.find_spec("flowtuple")
    folder = Path((package.submodule_search_locations or [""])[0] if package else "")
    spec = importlib.util.spec_from_file_location(
        "memory", folder / "benchmark" / "memory.py"
    )
    if spec is None or spec.loader is None:
        raise ImportError("flowtuple is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run one step and print its time and memory as a line of JSON."""
    content = json.loads(sys.argv[1])
    task = Task(**content | {"folder": Path(content["folder"])})
    method, memory = METHODS[task.method], memory_module()
    if task.step != "initialise":
        method.initialise(task)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.threads)
    if task.step in ("encode", "decode"):
        task.model = method.load(task)()
    initialise = partial(method.initialise, task)
    work = initialise if task.step == "initialise" else getattr(method, task.step)(task)
    peak, before = memory.peak_meter(), memory.resident()
    cpu, start = time.process_time(), time.perf_counter()
    result = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_bytes": peak(),
        "retained_bytes": memory.resident() - before,
    }
    print("\n" + json.dumps(figures))
    del result  # which was to stay in memory until it had been measured


if __name__ == "__main__":
    main()
