"""The costs of each method: time, processor time per object and memory of each of its steps."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from commands import OneOf, Script, rows_of, show_header, show_row, write_json
from cost_steps import METHODS, STEPS

from flowtuple.benchmark.machine import machine
from flowtuple.benchmark.run import POOLS
from flowtuple.flows.fit import THREADS

PUBLISHED = {  # seconds of initialise, load, encode, decode; MB of encode, decode
    "autoencoder-tanh": ((2.5174, 0.05932, 0.03934, 0.02113), (0.0024, 0.1780)),
    "autoencoder-leaky-relu-bn": ((2.5903, 0.08180, 0.12613, 0.10033), (0.0076, 0.2240)),
    "autoencoder-elu-bn": ((2.4373, 0.07940, 0.16376, 0.15237), (0.0064, 0.1945)),
}
SCRIPT = Path(__file__).with_name("cost_steps.py")
script = Script(__doc__)


@script.command(
    "source",
    columns=[],
    unit="GeV",
    methods=OneOf(list(METHODS), list(METHODS)),
    threads=1,
    bound="std:2.88e-3",
    epochs=0,
    repeat=3,
    json=Path,
)
def steps(a: argparse.Namespace) -> None:
    """Measure every step of each method in a fresh process.

    initialise: from a bare interpreter to imported packages and loaded kernels; of SZ3, ZFP,
    quantise+pcodec and xz only their own packages, of the others flowtuple's too. train: the model,
    written as the method writes it, in --epochs (0: its own number). load: that model back in
    memory. encode and decode: all rows to a file and back, with the model at hand; the lattice flow
    and Baler take theirs from its file once more, and the lattice flow checks each chunk before it
    goes on. A step is measured inside its process, after those before it, and the median of
    --repeat processes is printed (of train one). "Retained" is memory that the process has more
    after the step than before it, "peak" the most it had more meanwhile. Codecs with a bound have
    --bound. Every pool of threads is pinned to --threads, PyTorch's too; latent codec and
    autoencoders always train with two threads of PyTorch and code with one, Baler trains with one,
    as in `flowtuple bench`.

    "Published" is the README of honeygupta/CompressionHEP, of the same 27,945 ATLAS jets on a Xeon
    E5-1620 v4 with PyTorch 1.4. Its notebooks show what was measured: initialising is the network
    and fastai's learner, encoding and decoding the networks alone, without preprocessing and file,
    memory what tracemalloc sees, which tensors are no part of.
    """
    rows = rows_of(a)
    description = {"columns": rows.columns, "dtypes": rows.dtypes}
    print(
        f"{len(rows)} objects of {', '.join(rows.columns)}; {a.bound} for codecs with a bound"
    )
    print(
        f"threads: {a.threads} of every pool and of PyTorch; in PyTorch latent codec and "
        f"autoencoders train with {THREADS} and code with 1, Baler trains with 1"
    )
    memory = ("retained MB", "peak MB", "published s", "published MB")
    show_header("method", "step", "seconds", "CPU us / object", *memory, text=2)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for method in a.methods:
            folder = Path(name) / method
            folder.mkdir()
            np.save(folder / "rows.npy", rows.values)
            (folder / "rows.json").write_text(json.dumps(description))
            results[method] = method_costs(a, method, len(rows), folder)
    settings = {
        "source": a.source,
        "objects": len(rows),
        "threads": a.threads,
        "bound": a.bound,
        "machine": machine(),
    }
    write_json(a.json, {**settings, "methods": results})


def method_costs(
    a: argparse.Namespace, method: str, rows: int, folder: Path
) -> dict[str, Any]:
    """Print and return the steps of one method, and the bytes of its files."""
    results: dict[str, Any] = {}
    for step in STEPS:
        repeats = 1 if step == "train" else a.repeat
        results[step] = median(
            [measure_step(a, method, step, folder) for _ in range(repeats)]
        )
        show_row(*step_cells(method, step, results[step], rows))
        if "failed" in results[step]:
            break
    results["bytes"] = sum(path.stat().st_size for path in folder.glob("out.*"))
    return results


def measure_step(
    a: argparse.Namespace, method: str, step: str, folder: Path
) -> dict[str, Any]:
    """Measure one step in a fresh process; `failed` is its last message where it fails."""
    task = {
        "method": method,
        "step": step,
        "folder": str(folder),
        "unit": a.unit,
        "bound": a.bound,
        "epochs": a.epochs,
        "threads": a.threads,
    }
    environment = os.environ | dict.fromkeys(POOLS, str(a.threads))
    command = [sys.executable, str(SCRIPT), json.dumps(task)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure; the first failure, if there is one."""
    failed = next((run for run in runs if "failed" in run), None)
    return failed or {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def step_cells(method: str, step: str, result: dict[str, Any], rows: int) -> list[object]:
    """Return a row of the table."""
    if "failed" in result:
        return [method, step, f"failed: {result['failed'][:90]}", *[""] * 5]
    published = ["", ""]
    if method in PUBLISHED and step != "train":
        seconds, megabytes = PUBLISHED[method]
        place = ("initialise", "load", "encode", "decode").index(step)
        published = [str(x) for x in (seconds[place], ("", "", *megabytes)[place])]
    memory = [f"{result[key] / 1e6:.1f}" for key in ("retained_bytes", "peak_bytes")]
    each = f"{1e6 * result['cpu_seconds'] / rows:.3g}"
    return [method, step, f"{result['seconds']:.4f}", each, *memory, *published]


if __name__ == "__main__":
    script.main()
