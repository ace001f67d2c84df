"""Real processes: two train as one does, none waits for ever for one that is gone, and a killed
training goes on exactly.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")
pytest.importorskip("safetensors")

from safetensors import SafetensorError, safe_open  # noqa: E402

import flowtuple as ft  # noqa: E402
from flowtuple.flows.blocks import SampledRows  # noqa: E402
from flowtuple.flows.options import RowFlow, Shape, Training  # noqa: E402
from flowtuple.flows.stored import load_model  # noqa: E402
from flowtuple.flows.train_state import NAME  # noqa: E402

EVENTS, EPOCHS = 2500, 4
WORDS = ("--hidden", "16,16", "--bins", "6", "--steps", "2", "--device", "cpu")
WORDS += ("--normalisation", "batch")
SHAPE = Shape(2, (16, 16), 6, normalisation="batch")


def batch_with_a_rest_of_one() -> int:
    """Rows of a step so that the last one of an epoch has a row for one of two processes only."""
    event = np.arange(EVENTS)
    training = int(
        (
            ~SampledRows(
                lambda rows, u: u, (EVENTS, 3), event, np.ones(EVENTS)
            ).validation(0.1, 0)
        ).sum()
    )
    return next(batch for batch in range(201, 1000) if training % batch == 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Correlated columns, one of whole numbers."""
    path, draw = (
        tmp_path_factory.mktemp("processes") / "events.npz",
        np.random.default_rng(0),
    )
    x = draw.normal(size=EVENTS)
    y = x + 0.3 * draw.normal(size=EVENTS)
    np.savez(path, x=x.astype("f4"), y=y.astype("f4"), k=draw.poisson(np.exp(0.5 * x)))
    return path


def history(path: Path) -> np.ndarray:
    return np.array(load_model(path).about["history"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nsf", "flow-matching", "flashsim"])
def test_two_processes_train_as_one_does(data: Path, tmp_path: Path, kind: str) -> None:
    """The flow of FlashSim normalises over the rows of both."""
    batch = batch_with_a_rest_of_one()
    one, two = tmp_path / "one.flow", tmp_path / "two.flow"
    ft.train_flow(
        data,
        one,
        flow=RowFlow(kind, SHAPE, Training(epochs=EPOCHS, batch=batch), device="cpu"),
    )
    asked = [
        str(data),
        "-o",
        str(two),
        "--flow",
        kind,
        "--epochs",
        str(EPOCHS),
        "--batch",
        str(batch),
        *WORDS,
    ]
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    torchrun += [
        "--local-addr",
        "127.0.0.1",
    ]  # the machine's own name may have no address
    done = subprocess.run(
        [*torchrun, "-m", "flowtuple", "train-flow", *asked],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1  # of the process that wrote the file
    assert "waited for data" in done.stdout
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["one.flow", "two.flow"]
    alone, together = history(one), history(two)
    assert together[-1, 2] == pytest.approx(alone[-1, 2], rel=0.01)
    assert together[-1, 2] < together[0, 2]
    assert len(ft.sample(two, 10)) == 10
    if kind != "flow-matching":  # flow matching draws noise, and each process its own
        assert np.allclose(together, alone, rtol=1e-4)
        assert load_model(one).about["watched"] != []
        weights = [load_model(path).flow.state_dict() for path in (one, two)]
        assert all(
            torch.allclose(value.double(), weights[1][name].double(), atol=1e-3)
            for name, value in weights[0].items()
        )


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def start(words: Sequence[str], rank: int, port: int) -> subprocess.Popen[str]:
    """One of two processes, as torchrun would start it."""
    told = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    command = [sys.executable, "-m", "flowtuple", "train-flow", *words]
    return subprocess.Popen(
        command,
        env=os.environ | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def epochs_done(folder: Path) -> int:
    """As the checkpoint says."""
    try:
        with safe_open(folder / NAME, "np") as stored:
            return int(json.loads(stored.metadata()["training"])["where"]["epoch"])
    except (SafetensorError, OSError):
        return 0


def wait_for_epoch(number: int, folder: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 600
    while epochs_done(folder) < number:
        ended = process.poll() is not None and epochs_done(folder) < number
        assert not ended, process.stderr and process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_is_gone_is_not_waited_for(
    data: Path, tmp_path: Path, lost: int
) -> None:
    output, folder, port = tmp_path / "m.flow", tmp_path / "c", free_port()
    words = [
        str(data),
        "-o",
        str(output),
        "--flow",
        "maf",
        "--epochs",
        "9999",
        "--patience",
        "0",
        "--checkpoint",
        str(folder),
    ]
    both = [start([*words, *WORDS], rank, port) for rank in range(2)]
    try:
        wait_for_epoch(1, folder, both[0])
        both[lost].send_signal(signal.SIGKILL)
        _, error = both[1 - lost].communicate(timeout=600)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[1 - lost].returncode == 2
    assert f"flowtuple: process {1 - lost} of 2 lost another one (" in error
    assert "with --checkpoint it goes on after the last epoch" in error
    assert not output.exists()


def killed_after_two_epochs(words: Sequence[str], folder: Path) -> bool:
    """Whether a training of ten epochs was killed before its end."""
    command = [sys.executable, "-m", "flowtuple", "train-flow", *words]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_epoch(2, folder, process)
        time.sleep(0.05)  # some of the 140 steps of the next epoch
        process.send_signal(signal.SIGKILL)
        return process.wait(600) == -signal.SIGKILL and epochs_done(folder) < 10


@pytest.mark.slow
def test_a_training_killed_in_the_middle_of_an_epoch_goes_on_exactly(
    data: Path, tmp_path: Path
) -> None:
    whole, resumed, folder = (
        tmp_path / "whole.flow",
        tmp_path / "resumed.flow",
        tmp_path / "c",
    )
    asked = RowFlow("maf", SHAPE, Training(epochs=10, batch=16), device="cpu")
    ft.train_flow(data, whole, flow=asked)
    words = [
        str(data),
        "-o",
        str(resumed),
        "--flow",
        "maf",
        "--epochs",
        "10",
        "--batch",
        "16",
        "--checkpoint",
        str(folder),
    ]
    for _ in range(5):
        if killed_after_two_epochs([*words, *WORDS], folder):
            break
        # a busy machine woke this process when the training was over
        shutil.rmtree(folder)
        resumed.unlink(missing_ok=True)
    assert 2 <= epochs_done(folder) < 10
    assert not resumed.exists()
    assert [
        path.name
        for path in folder.iterdir()
        if path.name != NAME and ".part" not in path.name
    ] == []
    ft.train_flow(data, resumed, flow=asked, resources=ft.Resources(checkpoint=folder))
    assert np.array_equal(history(resumed), history(whole))
    assert len(history(whole)) == 10
    assert resumed.read_bytes() == whole.read_bytes()
