"""Baler, the compressor by autoencoders, with its own package (baler-compressor).

Bengtsson et al., "Baler - Machine Learning Based Compression of Scientific Data"
(arXiv:2305.02283). The settings are those of its example for CMS jets; its model for tables,
200-100-50 with LeakyReLU in float64, is the one that it ships. Its files stay as it writes them:
the whole model, encoder included, the range of each column, the latent numbers in float64.
"""

from __future__ import annotations

import importlib
import io
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.baseline.packing import join, split
from flowtuple.benchmark.published.methods import MethodCodec
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt

_MODEL, _RANGES, _LATENT = FILES = (
    "model.pt",
    "normalization_features.npy",
    "compressed.npz",
)
"""Files of Baler; the first two are its model."""


@dataclass(frozen=True)
class Baler:
    """Settings of Baler.

    Attributes:
        ratio: Columns over latent numbers, which are rounded up: 3 for 4 columns.
        epochs: Epochs of training, every row in its order.
        seed: Seed of the first weights.
    """

    ratio: float = 1.6
    epochs: int = 25
    seed: int = 0


@dataclass(frozen=True)
class BalerFiles(MethodCodec):
    """Baler's files, the contents of `FILES` one after the other; its scaling needs no unit."""

    options: Baler = field(default_factory=Baler, kw_only=True)
    requires: tuple[str, str] | None = field(
        default=("baler_compressor", "baler"), kw_only=True
    )

    def load(self) -> None:
        for module in (
            "torch._dynamo",
            "baler_compressor.legacy_models",
            "baler_compressor.trainer",
        ):
            importlib.import_module(module)

    def pack(self, rows: Rows) -> tuple[bytes, int]:
        with tempfile.TemporaryDirectory() as name, silenced(self.options.seed):
            import torch
            from baler_compressor import trainer

            folder, config = Path(name), baler_config(self.options)
            table, model = folder / "rows.npz", folder / _MODEL
            np.savez(table, data=rows.values, names=np.array(rows.columns))
            network, ranges, _ = trainer.run(str(table), config)
            torch.save(network.state_dict(), model)
            np.save(folder / _RANGES, ranges)
            write_latent(config, ranges, table, model, folder / _LATENT)
            pieces = [(folder / file).read_bytes() for file in FILES]
        return join(pieces), sum(map(len, pieces[:2]))

    def unpack(self, data: bytes) -> Array:
        pieces = split(data)
        if len(pieces) != len(FILES):
            raise Corrupt(
                f"{len(pieces)} files are not the {len(FILES)} that Baler leaves"
            )
        with tempfile.TemporaryDirectory() as name, silenced(0):
            from baler_compressor import decompressor

            folder = Path(name)
            for file, content in zip(FILES, pieces, strict=True):
                (folder / file).write_bytes(content)
            model, latent = str(folder / _MODEL), str(folder / _LATENT)
            try:
                values: Array = decompressor.run(model, latent, baler_config(Baler()))[0]
            except Exception as error:
                # of PyTorch, NumPy, zip or pickle, as the damage has it
                reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
                raise Corrupt(
                    f"Baler's files do not decode ({reason}); restore them from a copy"
                ) from None
            return values


def write_latent(config: Any, ranges: Array, rows: Path, model: Path, out: Path) -> None:
    """Encode a file of rows with a trained model, which Baler's functions leave to the caller.

    Args:
        config: Object of `baler_config`; the path of the rows is set in it.
        ranges: Ranges of each column, from the training.
        rows: An .npz with `data` of shape (n, d) and `names` of d columns.
        model: Weights in a file of PyTorch.
        out: The .npz to write, compressed.

    Raises:
        ModuleNotFoundError: baler-compressor is not installed.
    """
    from baler_compressor import compressor

    config.input_path = str(rows)
    latent, names, shape = compressor.run(str(rows), str(model), ranges, config)
    np.savez_compressed(
        out, data=latent, names=names, normalization_features=ranges, original_shape=shape
    )


def baler_config(options: Baler) -> Any:
    """Return Baler's settings; its schedule is off, since it uses an argument PyTorch dropped."""
    from baler_compressor.config import Config
    from baler_compressor.legacy_models import AE

    config = Config()
    settings = {
        "compression_ratio": options.ratio,
        "epochs": options.epochs,
        # the package calls `encoder`, its model names it `encode`
        "model": type("AE", (AE,), {"encoder": AE.encode}),
        "model_type": "dense",
        "data_dimension": 1,
        "apply_normalization": True,
        "custom_norm": False,
        "lr": 0.001,
        "lr_scheduler": False,
        "batch_size": 512,
        "early_stopping": True,
        "early_stopping_patience": 100,
        "min_delta": 0,
        "reg_param": 0.001,
        "RHO": 0.05,
        "l1": True,
        "test_size": 0,
        "deterministic_algorithm": False,
        "verbose": False,
    }
    for name, value in settings.items():
        setattr(config, name, value)
    return config


@contextmanager
def silenced(seed: int) -> Iterator[None]:
    """Run Baler without its prints and progress bars, and restore the state of the process.

    Its import adds the working folder to the path of imports; its random weights come from
    PyTorch's global generator.
    """
    import torch

    from flowtuple.runtime.torch_threads import torch_threads

    path = list(sys.path)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch_threads(1),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                yield
    finally:
        sys.path[:] = path
