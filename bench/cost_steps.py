"""One step of one method, measured in this process: what `bench/costs.py` starts, with the task as JSON.

Nothing but the standard library is imported before the clock of `initialise` starts. Steps before the one that is measured are
gone through first, unmeasured, so that none pays for another.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

STEPS = ("initialise", "train", "load", "encode", "decode")
BALER_EPOCHS = 25


@dataclass
class Task:
    """What a step works on: the task as it came, and what the steps before left in memory."""

    method: str
    step: str
    folder: Path
    unit: str
    bound: str
    epochs: int
    threads: int
    model: Any = None

    def rows(self) -> Any:
        """The objects, as `Rows`."""
        import numpy as np

        from flowtuple.rows import Rows

        values, about = np.load(self.folder / "rows.npy"), json.loads((self.folder / "rows.json").read_text())
        names, dtypes = tuple(about["columns"]), tuple(about["dtypes"])
        return Rows("rows", names, values, np.arange(len(values)), len(values), dtypes=dtypes)

    def table(self) -> tuple[Any, Any]:
        """The objects as a table of events, and its bounds resolved."""
        from flowtuple.contest.inputs import layouts, surveys
        from flowtuple.progress import silent
        from flowtuple.schema import Column
        from flowtuple.table import Table

        rows = self.rows()
        columns = tuple(Column(name, dtype) for name, dtype in zip(rows.columns, rows.dtypes, strict=True))
        data = {c.name: rows.values[:, k].astype(c.dtype) for k, c in enumerate(columns)}
        tables = [Table("rows", columns, len(rows), data)]
        return tables, layouts(tables, surveys(tables, silent), {"*": self.bound}, "rows")


class Subject(Protocol):
    """A method whose steps are measured; all but the first give the work itself, with all that it needs at hand."""

    def initialise(self, task: Task) -> None: ...

    def train(self, task: Task) -> Callable[[], Any]: ...

    def load(self, task: Task) -> Callable[[], Any]: ...

    def encode(self, task: Task) -> Callable[[], Any]: ...

    def decode(self, task: Task) -> Callable[[], Any]: ...


@dataclass(frozen=True)
class Reference:
    """A method of flowtuple.reference by the name and settings of its options."""

    options: str
    settings: dict[str, Any]

    def initialise(self, task: Task) -> None:
        for module in ("flowtuple.reference.stored", "flowtuple.generative.zoo"):
            importlib.import_module(module)

    def train(self, task: Task) -> Callable[[], Any]:
        from flowtuple.reference import options
        from flowtuple.reference.fitting import fit_codec

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

            (folder / "encoder").write_bytes(save({k: v.contiguous() for k, v in codec.encoder.state_dict().items()}))

    def load(self, task: Task) -> Callable[[], Any]:
        from safetensors.torch import load

        from flowtuple.reference.autoencoder import AutoencoderCodec
        from flowtuple.reference.latent import LatentCodec
        from flowtuple.reference.networks import encoder

        def work() -> Any:
            settings, weights = json.loads((task.folder / "out.json").read_text()), (task.folder / "out.weights").read_bytes()
            if self.options == "Latent":
                return LatentCodec.restore(settings, weights, "model")
            network = encoder(settings["network"], settings["widths"])
            network.load_state_dict(load((task.folder / "encoder").read_bytes()))
            return replace(AutoencoderCodec.restore(settings, weights, "model"), encoder=network.eval())

        return work

    def encode(self, task: Task) -> Callable[[], Any]:
        from flowtuple.rivals.pieces import join

        values = task.rows().values
        return lambda: (task.folder / "out.codes").write_bytes(join(task.model.encode(values)))

    def decode(self, task: Task) -> Callable[[], Any]:
        from flowtuple.rivals.pieces import split

        count = len(task.rows())
        return lambda: task.model.decode(split((task.folder / "out.codes").read_bytes()), count)


class Baler:
    """Baler's own package; encoding and decoding load its model from its file again."""

    def initialise(self, task: Task) -> None:
        for module in ("trainer", "compressor", "decompressor", "legacy_models"):
            importlib.import_module(f"baler_compressor.{module}")

    def train(self, task: Task) -> Callable[[], Any]:
        from flowtuple.reference.baler import FILES, baler_pack
        from flowtuple.reference.baler import Baler as Asked

        importlib.import_module("torch._dynamo")
        rows = task.rows()

        def work() -> None:
            pieces = baler_pack(rows.values, rows.columns, Asked(epochs=task.epochs or BALER_EPOCHS))
            for name, content in zip(FILES, pieces, strict=True):
                (task.folder / f"out.{name}").write_bytes(content)
            (task.folder / "normalization_features.npy").write_bytes(pieces[1])  # where decoding looks for it

        return work

    def load(self, task: Task) -> Callable[[], Any]:
        from baler_compressor.data_processing import load_model

        from flowtuple.reference.baler import Baler as Asked
        from flowtuple.reference.baler import baler_config

        config, rows = baler_config(Asked()), task.rows()
        latent = -(-len(rows.columns) * 10 // 16)
        return lambda: load_model(config.model, str(task.folder / "out.model.pt"), len(rows.columns), latent)

    def encode(self, task: Task) -> Callable[[], Any]:
        import numpy as np
        from baler_compressor import compressor

        rows, (config, model) = task.rows(), self._paths(task)
        np.savez(task.folder / "rows.npz", data=rows.values, names=np.array(rows.columns))
        config.input_path = str(task.folder / "rows.npz")
        return lambda: compressor.run(config.input_path, model, None, config)

    def decode(self, task: Task) -> Callable[[], Any]:
        from baler_compressor import decompressor

        config, model = self._paths(task)
        return lambda: decompressor.run(model, str(task.folder / "out.compressed.npz"), config)

    def _paths(self, task: Task) -> tuple[Any, str]:
        from flowtuple.reference.baler import Baler as Asked
        from flowtuple.reference.baler import baler_config

        return baler_config(Asked()), str(task.folder / "out.model.pt")


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
        from flowtuple.container.file import File

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
        from flowtuple.contest.codecs import codec
        from flowtuple.contest.settings import Settings

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


def meters() -> tuple[Callable[[], Callable[[], int]], Callable[[], int]]:
    """`peak_meter` and `resident` of flowtuple.contest.memory, without flowtuple: its packages are what is to be measured."""
    package = importlib.util.find_spec("flowtuple")
    folder = Path((package.submodule_search_locations or [""])[0] if package else "")
    spec = importlib.util.spec_from_file_location("memory", folder / "contest" / "memory.py")
    if spec is None or spec.loader is None:
        raise ImportError("flowtuple is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.peak_meter, module.resident


def main() -> None:
    """Do one step and print what it took as a line of JSON."""
    content = json.loads(sys.argv[1])
    task, subject = Task(**content | {"folder": Path(content["folder"])}), METHODS[content["method"]]
    peak_meter, resident = meters()
    if task.step != "initialise":
        subject.initialise(task)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.threads)
    if task.step in ("encode", "decode"):
        task.model = subject.load(task)()
    work = partial(subject.initialise, task) if task.step == "initialise" else getattr(subject, task.step)(task)
    peak, before, cpu, start = peak_meter(), resident(), time.process_time(), time.perf_counter()
    kept = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print()
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak(), "held_bytes": resident() - before}))
    del kept


if __name__ == "__main__":
    main()
