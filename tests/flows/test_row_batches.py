"""Batches of shuffled blocks: every row once an epoch, the same for a seed, shared among processes,
made one ahead.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import flowtuple as ft  # noqa: E402
from flowtuple.data.schema import Array  # noqa: E402
from flowtuple.errors import InvalidArgument  # noqa: E402
from flowtuple.flows import blocks, prefetch  # noqa: E402
from flowtuple.flows.blocks import Batch, SampledRows, Shuffled  # noqa: E402
from flowtuple.flows.device import choose_device, inner_layers, mixed_precision, narrowed  # noqa: E402
from flowtuple.flows.fit import fit  # noqa: E402
from flowtuple.flows.options import RowFlow, Shape, Training  # noqa: E402
from flowtuple.flows.prefetch import Prefetcher  # noqa: E402
from flowtuple.flows.processes import Process  # noqa: E402
from flowtuple.flows.registry import build  # noqa: E402
from flowtuple.flows.train_state import NAME  # noqa: E402

ALONE = Process()
SMALL = Shape(transforms=2, hidden=(16, 16), bins=6)


def numbered(n: int) -> SampledRows:
    """Rows that are their own number, and their place; conditions and weights tell it too."""
    number = np.arange(n)
    context = np.stack([number, -number], axis=1).astype(float)
    return SampledRows(
        lambda rows, u: np.stack([rows, u[:, 1]], axis=1),
        (n, 2),
        number,
        number / n,
        context,
    )


def batches(
    n: int, batch: int, epoch: int = 0, process: Process = ALONE, seed: int = 0
) -> list[Batch]:
    held = np.arange(n) % 7 == 0
    return [
        b
        for piece in Shuffled(numbered(n), ~held, batch, seed, process).pieces(epoch)
        for b in piece
    ]


def numbers(found: list[Batch]) -> Array:
    return torch.cat([b.x[:, 0] for b in found]).numpy().astype(int)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 100)
    monkeypatch.setattr(blocks, "GROUP", 3)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("batch", [1, 32, 100, 450, 5000])
@pytest.mark.parametrize("n", [20, 100, 2345])
def test_every_row_comes_once_an_epoch(n: int, batch: int) -> None:
    found = batches(n, batch)
    expected = np.flatnonzero(np.arange(n) % 7)
    assert np.array_equal(np.sort(numbers(found)), expected)
    assert [len(b.x) for b in found[:-1]] == [batch] * (len(found) - 1)
    assert all(b.total == len(b.x) for b in found)
    assert len(found) == -(-len(expected) // batch)
    whole = Batch(
        *(
            torch.cat([getattr(b, name) for b in found])
            for name in ("x", "weight", "context")
        ),
        n,
    )
    assert torch.equal(whole.context[:, 1], -whole.x[:, 0])
    assert torch.allclose(whole.weight, whole.x[:, 0] / n)


@pytest.mark.usefixtures("small_blocks")
def test_another_order_and_other_places_each_epoch_and_seed() -> None:
    first, again, later, other = (
        batches(2345, 64, e, seed=s) for e, s in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    assert all(torch.equal(a.x, b.x) for a, b in zip(first, again, strict=True))
    place = {
        k: dict(torch.cat([b.x for b in f]).tolist())
        for k, f in enumerate((first, later, other))
    }
    for k, found in ((1, later), (2, other)):
        assert not np.array_equal(numbers(first), numbers(found))
        assert np.mean([place[0][n] == place[k][n] for n in place[0]]) < 0.01


@pytest.mark.usefixtures("small_blocks")
def test_rows_of_a_group_of_blocks_are_mixed_and_blocks_come_in_any_order() -> None:
    order = numbers(batches(3000, 10))
    groups = [
        np.unique(order[k : k + 257] // 100) for k in range(0, 2570, 257)
    ]  # 6/7 of 300 rows
    assert all(len(group) <= 7 for group in groups)
    assert sum(bool((np.diff(group) > 1).any()) for group in groups) > 5
    assert abs(np.corrcoef(order[:250], np.arange(250))[0, 1]) < 0.2


def test_a_sample_of_one_group_is_shuffled_as_a_whole() -> None:
    order = numbers(batches(7000, 100))
    assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.05
    assert (
        np.median(np.abs(np.diff(order))) > 1500
    )  # of 7,000: a third of the range lies between neighbours


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("size", [2, 3, 5])
def test_processes_share_each_batch(size: int) -> None:
    alone = batches(1234, 57)
    shares = [batches(1234, 57, process=Process(rank, size)) for rank in range(size)]
    for k, whole in enumerate(alone):
        parts = [share[k] for share in shares]
        assert all(part.total == len(whole.x) for part in parts)
        for name in ("x", "weight", "context"):
            assert torch.equal(
                torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)
            )
        assert max(len(p.x) for p in parts) - min(len(p.x) for p in parts) <= 1


def test_items_are_made_one_ahead_and_no_more() -> None:
    made: list[int] = []
    ready = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for k in range(5):
            made.append(k)
            ready.release()
            yield k

    with Prefetcher(items()) as taken:
        assert ready.acquire(
            timeout=600
        )  # before anyone takes it, however late the thread is
        for k in taken:
            assert k == 4 or ready.acquire(timeout=600)
            time.sleep(0.05)  # for one more than there should be
            assert made == list(range(min(5, k + 2)))
    assert not [
        t for t in threading.enumerate() if t.name.startswith("flowtuple-prefetch")
    ]


def test_the_time_spent_waiting_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the maker of items turns on, an hour each, so that no other work of the
    machine counts.
    """
    hours = [0]
    begun, ready = threading.Semaphore(0), threading.Semaphore(0)
    readings = itertools.count()

    def clock() -> float:
        if next(readings) % 2 == 0:  # the first of the two of an item
            begun.release()
        return float(hours[0])

    def slow(wait: bool) -> Iterator[int]:
        for k in range(4):
            assert not wait or begun.acquire(timeout=600)
            hours[0] += 1
            ready.release()
            yield k

    monkeypatch.setattr(prefetch, "time", SimpleNamespace(perf_counter=clock))
    with Prefetcher(
        slow(wait=True)
    ) as idle:  # each item is begun when it is already waited for
        assert list(idle) == [0, 1, 2, 3]
    assert idle.waited == 4
    ready = threading.Semaphore(0)
    with Prefetcher(slow(wait=False)) as busy:  # each item is there before it is taken
        for k in range(4):
            assert ready.acquire(timeout=600)
            assert next(busy) == k
    assert busy.waited == 0


def test_what_goes_wrong_in_the_thread_is_raised_where_the_item_would_be() -> None:
    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("of the maker")

    with Prefetcher(breaks()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="of the maker"):
            next(items)


def test_weights_do_not_depend_on_when_the_thread_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 128)
    monkeypatch.setattr(
        "flowtuple.flows.fit.THREADS", 1
    )  # two wait long for each other on a busy machine
    x = np.random.default_rng(0).normal(0, 1, (700, 2))
    draw = np.random.default_rng()

    def late(rows: Array, u: Array) -> Array:
        time.sleep(0.01 * draw.random())
        return x[rows] + 0.01 * u

    found = []
    for spread in (lambda rows, u: x[rows] + 0.01 * u, late):
        flow = build("maf", 2, SMALL, 0)
        sample = SampledRows(spread, x.shape, np.arange(len(x)), np.ones(len(x)))
        fitted = fit(
            flow, sample, Training(epochs=3, batch=50), 0, lambda share, loss: None
        )
        assert 0 <= fitted.waited < 1  # a share of the time
        found.append((fitted.history, flow.state_dict()))
    assert found[0][0] == found[1][0]
    assert all(
        torch.equal(value, found[1][1][name]) for name, value in found[0][1].items()
    )


def test_rows_in_a_mapped_file_give_the_same_model(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data = {
        "x": draw.normal(size=900).astype("f4"),
        "k": draw.integers(0, 4, 900),
        "w": draw.random(900),
    }
    asked = RowFlow("maf", SMALL, Training(epochs=2, batch=128))
    told: list[str] = []
    for memory in (1000, 2**31):
        ft.train_flow(
            ft.Weighted(data, weight="w"),
            tmp_path / f"{memory}.flow",
            flow=asked,
            resources=ft.Resources(
                memory=memory, progress=lambda s, p, d: told.append(d)
            ),
        )
        assert "waited for data" in told[-1]
    content = (tmp_path / "1000.flow").read_bytes()
    assert content == (tmp_path / f"{2**31}.flow").read_bytes()
    assert (
        b"waited" not in content
    )  # no time of day or speed of the machine is in a model


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path: Path) -> None:
    asked, data = RowFlow("maf", SMALL, Training(epochs=1)), {"x": np.arange(300.0)}
    ft.train_flow(
        data, tmp_path / "m.flow", flow=asked, resources=ft.Resources(checkpoint=tmp_path)
    )
    with safe_open(tmp_path / NAME, "pt") as stored:
        content = json.loads(stored.metadata()["training"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no mapping)
    del content["version"], content["where"]["watched"]  # as it was before there were any
    save_file(tensors, tmp_path / NAME, {"training": json.dumps(content)})
    with pytest.raises(
        InvalidArgument,
        match="is of another version of flowtuple; remove it to begin again",
    ):
        ft.train_flow(
            data,
            tmp_path / "m.flow",
            flow=asked,
            resources=ft.Resources(checkpoint=tmp_path),
        )


def test_too_many_processes_for_the_rows() -> None:
    from flowtuple.flows.fit import _Training
    from flowtuple.flows.process_group import ProcessGroup

    team = ProcessGroup(Process(0, 4), torch.device("cpu"))
    with pytest.raises(
        InvalidArgument,
        match=r"rows in batches of 3 are too few for 4 processes; start fewer",
    ):
        _Training(
            build("maf", 2, SMALL, 0), numbered(90), Training(batch=3), 0, team, None
        )


def test_a_context_is_handed_to_the_loss() -> None:
    from flowtuple.flows.process_group import losses

    class Told:
        def loss(self, x: object, generator: object, context: object = None) -> object:
            return context

    generator, batch = torch.Generator(), batches(50, 10)[0]
    assert losses(Told(), batch, generator) is batch.context
    assert losses(Told(), Batch(batch.x, batch.weight, None, 10), generator) is None


def test_the_process_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Process.here() == Process(0, 1, 0)
    for name, value in {
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
    }.items():
        assert Process.here() == Process(
            0, 1, 0
        )  # some words of it alone are of another program
        monkeypatch.setenv(name, value)
    assert Process.here() == Process(5, 8, 1)
    assert not Process.here().is_main
    with pytest.raises(InvalidArgument, match="torchrun is for flows over rows"):
        ft.train({"x": np.arange(100.0)}, "never.flow")
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(InvalidArgument, match="is no whole number; start with torchrun"):
        Process.here()


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(
        InvalidArgument,
        match="none that PyTorch can use; start fewer processes, or say `device=` cpu",
    ):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto", 1) == torch.device("cuda", 1)
    with pytest.raises(InvalidArgument, match="2 of them for process 2 of this machine"):
        choose_device("auto", 2)
    with pytest.raises(InvalidArgument, match="there is no device 'gpu'"):
        RowFlow("nsf", device="gpu")


@pytest.mark.parametrize("kind", ["nsf", "flow-matching"])
def test_inner_layers_in_bfloat16(kind: str) -> None:
    flow, x = (
        build(kind, 3, SMALL, 1),
        torch.randn((500, 3), generator=torch.Generator().manual_seed(0)),
    )
    layers = inner_layers(flow)
    assert len(layers) == (
        4 if kind == "nsf" else 2
    )  # two hidden layers of each network, not the one that gives its result

    def loss() -> torch.Tensor:
        return flow.loss(x, torch.Generator().manual_seed(0)).mean()

    exact = float(loss().detach())
    with narrowed(layers, "cpu"):
        near = loss()
        near.backward()
        assert near.dtype == torch.float32
    assert all(
        p.grad is not None and p.grad.dtype == torch.float32 for p in flow.parameters()
    )
    assert float(near.detach()) != exact
    assert float(near.detach()) == pytest.approx(exact, rel=1e-2)
    assert float(loss().detach()) == exact
    with mixed_precision(flow, torch.device("cpu")):
        assert float(loss().detach()) == exact  # only a GPU is faster at it
