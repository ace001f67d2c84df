"""One step of one method, measured in this process: what `bench/costs.py` starts, with the task as JSON.

Nothing but the standard library is imported before the clock of `initialise` starts. Steps before the one that is measured are
gone through first, unmeasured, so that none pays for another.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cost_subjects import METHODS
from cost_task import Task


def meters() -> tuple[Callable[[], Callable[[], int]], Callable[[], int]]:
    """`peak_meter` and `resident` of flowtuple.benchmark.memory, without flowtuple: its packages are what is to be measured."""
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
    task, subject = (
        Task(**content | {"folder": Path(content["folder"])}),
        METHODS[content["method"]],
    )
    peak_meter, resident = meters()
    if task.step != "initialise":
        subject.initialise(task)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(task.threads)
    if task.step in ("encode", "decode"):
        task.model = subject.load(task)()
    work = (
        partial(subject.initialise, task)
        if task.step == "initialise"
        else getattr(subject, task.step)(task)
    )
    peak, before, cpu, start = peak_meter(), resident(), time.process_time(), time.perf_counter()
    kept = work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu,
                "peak_bytes": peak(),
                "held_bytes": resident() - before,
            }
        )
    )
    del kept


if __name__ == "__main__":
    main()
