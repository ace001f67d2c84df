"""The world around a command: names, owners, signals, full disks, pipes, damaged checkpoints, files that claim too much."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from flowtuple.batch.manifest import Manifest, Record, opened
from flowtuple.errors import InvalidArgument
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


class TestManifests:
    LINES = (
        '{"task": [], "source": "", "key": ""}',
        '{"task": "a", "source": "b", "key": "c", "nbytes": "x"}',
        "[" * 10**5,
        "null",
    )

    @pytest.mark.parametrize("line", [*LINES, '{"task": "a", "source": "b", "key": "c", "facts": null}', "\xff"])
    def test_a_line_of_something_else_is_named(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "job.jsonl").write_text(f"{line}\n", encoding="latin-1")
        with pytest.raises(InvalidArgument, match=r"job\.jsonl: line 1 is no record .* remove that line to do its task again"):
            Manifest(tmp_path, "job")

    def test_every_changed_byte_is_noticed(self, tmp_path: Path) -> None:
        record = Record("x", "x.root", "key", nbytes=123, written=5, facts={"events": 100})
        Manifest(tmp_path, "job").add(record)
        path = tmp_path / "job.jsonl"
        whole = path.read_bytes()
        assert Manifest(tmp_path, "job").records == {"x": record}
        for position in range(len(whole) - 1):
            data = bytearray(whole)
            data[position] ^= 1
            path.write_bytes(data)
            with pytest.raises(InvalidArgument, match=r"job\.jsonl: line [12] is no record"):
                Manifest(tmp_path, "job")

    def test_lines_of_earlier_versions_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "job.jsonl").write_text('{"task": "a", "source": "b", "key": "c"}\n')
        assert Manifest(tmp_path, "job").records == {"a": Record("a", "b", "c")}

    def test_a_folder_in_its_place_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "job.jsonl").mkdir()
        with pytest.raises(InvalidArgument, match=r"job\.jsonl: cannot be written \(Is a directory\)"), opened(tmp_path, "job"):
            pass
