"""What the world does to a command: names, owners, signals, full disks, pipes, damaged checkpoints, files that claim too much."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.training.checkpoint import Checkpoint
from flowtuple.training.plan import Candidate, Task


class TestCheckpoints:
    def test_every_changed_byte_of_a_part_counts_as_none(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        flow = ColumnFlow(Bins(np.array([0]), np.array([5])))
        task = Task((Candidate("x", flow, np.arange(3), (0,)),), np.empty((1, 3)), np.arange(3))
        network = Network((Layer(np.zeros((2, 2), np.int8), np.ones(2, np.uint8)),))
        Checkpoint(tmp_path).save("key", [network])
        path = tmp_path / "key.npz"
        whole = path.read_bytes()
        assert Checkpoint(tmp_path).load("key", task) is not None
        for position in range(len(whole)):
            data = bytearray(whole)
            data[position] ^= 1
            path.write_bytes(data)
            caplog.clear()
            assert Checkpoint(tmp_path).load("key", task) is None, position
            assert caplog.messages == [f"{path}: is damaged and counts as none; this part is trained again"]
        path.unlink()
        caplog.clear()
        assert Checkpoint(tmp_path).load("key", task) is None
        assert caplog.messages == []

    def test_every_changed_byte_of_a_row_flow_counts_as_none(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        torch = pytest.importorskip("torch")
        from flowtuple.generative import state

        def parts() -> tuple[torch.nn.Module, torch.optim.Optimizer, object]:
            module = torch.nn.Linear(2, 1)
            optimiser = torch.optim.Adam(module.parameters())
            module(torch.ones(1, 2)).sum().backward()
            optimiser.step()
            return module, optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser)

        module, optimiser, schedule = parts()
        where = state.Progressed("print", 3, (0.5, 2), [(0.1, 1.0, 0.9)])
        state.save(tmp_path, where, module, state.weights_of(module), optimiser, schedule)
        path = tmp_path / state.NAME
        whole = path.read_bytes()
        found = state.load(tmp_path, "print", *parts())
        assert found is not None
        assert found[0] == where
        caplog.set_level(logging.WARNING)
        into = parts()
        for position in range(len(whole)):
            data = bytearray(whole)
            data[position] ^= 1
            path.write_bytes(data)
            caplog.clear()
            assert state.load(tmp_path, "print", *into) is None, position
            assert caplog.messages == [f"{path}: is damaged and counts as none; the training begins again"]
