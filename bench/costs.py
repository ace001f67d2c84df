"""What each method costs: time, processor time per object and memory of each of its steps, every step in a fresh process.

usage: python bench/costs.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--methods latent-1 sz3 ...] [--threads 1]
           [--bound std:2.88e-3] [--epochs 0] [--repeat 3] [--json OUT.json]

initialise: from a bare interpreter to imported packages and loaded kernels; of SZ3, ZFP, quantise+pcodec and xz only their
own packages, of the others flowtuple's too. train: the model, written as the method writes it. load: that model back in
memory. encode and decode: all rows to a file and back, with the model at hand; the lattice flow and Baler take theirs from its
file once more, and the lattice flow checks each chunk before it goes on. A step is measured inside its process, after
those before it, and the median of --repeat processes is printed (of train one). "held" is memory that the process has more
after the step than before it, "peak" the most it had more meanwhile. Codecs with a bound have --bound. Every pool of threads
is pinned to --threads, PyTorch's too; whatever is asked, latent codec and autoencoders train with two threads of PyTorch and
code with one, Baler trains with one, as `flowtuple bench` has it.

"published" is the README of honeygupta/CompressionHEP, of the same 27,945 ATLAS jets on a Xeon E5-1620 v4 with PyTorch 1.4. Its
notebooks tell what was measured: initialising is the network and fastai's learner, encoding and decoding the networks alone,
without preprocessing and file, memory what tracemalloc sees, which tensors are no part of.
"""

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
from cost_subjects import METHODS
from cost_task import STEPS

from flowtuple.benchmark.machine import machine
from flowtuple.benchmark.run import POOLS
from flowtuple.data.row_source import read_rows
from flowtuple.flows.fit import THREADS
from flowtuple.io.source import open_dataset

PUBLISHED = {  # seconds of initialise, load, encode, decode; MB of encode, decode
    "autoencoder-tanh": ((2.5174, 0.05932, 0.03934, 0.02113), (0.0024, 0.1780)),
    "autoencoder-leaky-relu-bn": ((2.5903, 0.08180, 0.12613, 0.10033), (0.0076, 0.2240)),
    "autoencoder-elu-bn": ((2.4373, 0.07940, 0.16376, 0.15237), (0.0064, 0.1945)),
}
SCRIPT = Path(__file__).with_name("cost_steps.py")


def measured(a: argparse.Namespace, method: str, step: str, folder: Path) -> dict[str, Any]:
    """What a fresh process says of one step; `failed` where it said nothing."""
    task = {
        "method": method,
        "step": step,
        "folder": str(folder),
        "unit": a.unit,
        "bound": a.bound,
        "epochs": a.epochs,
    }
    environment = os.environ | dict.fromkeys(POOLS, str(a.threads))
    command = [sys.executable, str(SCRIPT), json.dumps(task | {"threads": a.threads})]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure; the first failure, if there is one."""
    failed = next((run for run in runs if "failed" in run), None)
    return failed or {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def published(method: str, step: str) -> str:
    """Seconds and MB, where there are any."""
    if method not in PUBLISHED or step == "train":
        return " | "
    seconds, megabytes = PUBLISHED[method]
    memory = dict(zip(("encode", "decode"), megabytes, strict=True)).get(step, "")
    return f"{seconds[('initialise', 'load', 'encode', 'decode').index(step)]} | {memory}"


def line(method: str, step: str, found: dict[str, Any], rows: int) -> str:
    """A row of the table."""
    if "failed" in found:
        return f"| {method} | {step} | failed: {found['failed'][:90]} | | | | | |"
    each = f"{1e6 * found['cpu_seconds'] / rows:.3g}"
    memory = " | ".join(f"{found[key] / 1e6:.1f}" for key in ("held_bytes", "peak_bytes"))
    return f"| {method} | {step} | {found['seconds']:.4f} | {each} | {memory} | {published(method, step)} |"


def costs(a: argparse.Namespace, method: str, rows: int, folder: Path) -> dict[str, Any]:
    """Print and return the steps of one method, and how many bytes it came to."""
    found: dict[str, Any] = {}
    for step in STEPS:
        runs = [
            measured(a, method, step, folder) for _ in range(1 if step == "train" else a.repeat)
        ]
        found[step] = median(runs)
        print(line(method, step, found[step], rows), flush=True)
        if "failed" in found[step]:
            break
    found["bytes"] = sum(path.stat().st_size for path in folder.glob("out.*"))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument(
        "--epochs", type=int, default=0, help="0: as many as each method has by itself"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    rows = read_rows(open_dataset(a.source), a.columns)
    about = {"columns": rows.columns, "dtypes": rows.dtypes}
    print(f"{len(rows)} objects of {', '.join(rows.columns)}; {a.bound} for codecs with a bound")
    print(
        f"threads: {a.threads} of every pool and of PyTorch; in PyTorch latent codec and autoencoders ",
        end="",
    )
    print(f"train with {THREADS} and code with 1, Baler trains with 1")
    print(
        "| method | step | seconds | CPU us / object | held MB | peak MB | published s | published MB |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for method in a.methods:
            folder = Path(name) / method
            folder.mkdir()
            np.save(folder / "rows.npy", rows.values)
            (folder / "rows.json").write_text(json.dumps(about))
            found[method] = costs(a, method, len(rows), folder)
    if a.json:
        content = {
            "source": a.source,
            "objects": len(rows),
            "threads": a.threads,
            "bound": a.bound,
            "machine": machine(),
        }
        a.json.write_text(json.dumps(content | {"methods": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
