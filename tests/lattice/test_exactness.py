"""A flow trained on the embedded sample: what coding costs over the model, what integers cost over
floats, and that
every arithmetic gives the same logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from test_network import random_network, slow_logits

import flowtuple as ft
from flowtuple.api.measuring import DEMO_TOLERANCE
from flowtuple.codec import coder
from flowtuple.codec.column import Method
from flowtuple.lattice.network import LOGIT_LIMIT, MAX_INPUTS, Network
from flowtuple.samples import sample_path

torch = pytest.importorskip("torch")

from flowtuple.training import train as training  # noqa: E402
from flowtuple.training.choose import flow_bits  # noqa: E402
from flowtuple.training.conditioners import Conditioners, float_bits  # noqa: E402
from flowtuple.training.plan import ColumnTask  # noqa: E402


@dataclass(frozen=True)
class Trained:
    """The compressed sample, the trainings behind it, and the model's bits of every stream that was
    coded.
    """

    path: Path
    trainings: list[tuple[ColumnTask, Conditioners]]
    bits: dict[bytes, float]

    def streams(self) -> Iterator[tuple[str, bytes]]:
        with ft.File(self.path) as file:
            for table in file.tables.values():
                for chunk in table.chunks:
                    directory, fetch = table.directory(chunk)
                    flowing = [
                        name
                        for name, entry in directory.entries.items()
                        if entry.method is Method.FLOW
                    ]
                    yield from (
                        (name, s.payload)
                        for name, s in directory.take(flowing, fetch).items()
                    )

    def networks(self) -> Iterator[tuple[str, Network, np.ndarray]]:
        """Every trained network with the features that it was trained on."""
        for task, model in self.trainings:
            for c, network in zip(
                task.candidates, training.exported(model, task), strict=True
            ):
                yield c.name, network, task.features[list(c.inputs)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    made = Trained(tmp_path_factory.mktemp("sample") / "jets.ftup", [], {})
    train_conditioners, encode = training.train_conditioners, coder.encode

    def keep_training(task: ColumnTask, *arguments: object) -> Conditioners:
        model = train_conditioners(task, *arguments)
        made.trainings.append((task, model))
        return model

    def keep_bits(
        q: np.ndarray,
        symbols: np.ndarray,
        below: np.ndarray,
        frequency: np.ndarray,
        *bins: np.ndarray,
    ) -> bytes:
        data = encode(q, symbols, below, frequency, *bins)
        made.bits[data] = coder.code_length(frequency, symbols, bins[1])
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_conditioners", keep_training)
        patch.setattr(coder, "encode", keep_bits)
        ft.compress(
            sample_path(),
            made.path,
            tolerance=DEMO_TOLERANCE,
            effort="fast",
            resources=ft.Resources(workers=1),
        )
    return made


class TestCost:
    @pytest.mark.slow
    def test_streams_take_the_cross_entropy_of_the_integer_model(
        self, trained: Trained
    ) -> None:
        actual = list(trained.streams())
        assert len(actual) >= 10
        over = {
            name: len(data) - trained.bits[data] / 8 * 1.001 - 16 for name, data in actual
        }
        assert {name: excess for name, excess in over.items() if excess > 0} == {}

    @pytest.mark.slow
    def test_integers_cost_next_to_nothing_over_floats(self, trained: Trained) -> None:
        over, total, limits = {}, 0.0, 0.0
        for task, model in trained.trainings:
            floats = float_bits(model, task, slice(None))
            networks = training.exported(model, task)
            for d, c in enumerate(task.candidates):
                flow = replace(c.flow, network=networks[d])
                integers = flow_bits(flow, c.coded, task.features[list(c.inputs)]) / len(
                    c.coded
                )
                # Of this limit the worst column takes 0.32 +- 0.16, all together -0.34 +- 0.30, 11
                # models.
                limit = 0.00075 * floats[d] + 0.0075
                total, limits = (
                    total + (integers - floats[d]) * len(c.coded),
                    limits + limit * len(c.coded),
                )
                if integers - floats[d] > limit:
                    over[c.name] = integers - floats[d]
        assert over == {}
        assert total <= limits


def torch_logits(
    network: Network, features: np.ndarray, batch: int, device: str
) -> np.ndarray:
    """The format's formulas as float32 matrix products of another library, `batch` rows at a time."""
    pieces = []
    for start in range(0, features.shape[1], batch):
        x = torch.from_numpy(features[:, start : start + batch].T.astype(np.float32)).to(
            device
        )
        for k, layer in enumerate(network.layers):
            weights, offset = (
                torch.from_numpy(np.ascontiguousarray(part)).to(device)
                for part in layer.scaled
            )
            y = torch.floor(x @ weights.T + offset)
            x = (
                y.clamp(0, 255)
                if k < len(network.layers) - 1
                else y.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
            )
        pieces.append(x.cpu().numpy().astype(np.int16))
    return np.concatenate(pieces)


@pytest.fixture(scope="module")
def networks(trained: Trained) -> list[tuple[str, Network, np.ndarray]]:
    """The trained networks, and one of the largest sums that the format allows; about 2000 rows for
    each.
    """
    rng = np.random.default_rng(3)
    large = (
        random_network(rng, [MAX_INPUTS, 40, 30, 33], 120, (1, 12)),
        rng.integers(250, 256, (MAX_INPUTS, 700)),
    )
    actual = [
        (name, network, features[:, :: max(1, features.shape[1] // 2000)])
        for name, network, features in trained.networks()
    ]
    return [*actual, ("largest", large[0], large[1].astype(np.uint8))]


@pytest.fixture(params=[1, 2], ids="{}-threads".format)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


class TestSameLogits:
    @pytest.mark.slow
    def test_as_whole_numbers(
        self, networks: list[tuple[str, Network, np.ndarray]]
    ) -> None:
        for name, network, features in networks:
            assert np.array_equal(
                network.logits(features), slow_logits(network, features)
            ), name

    @pytest.mark.slow
    @pytest.mark.parametrize("batch", [1, 7, 1000, 10**6])
    def test_as_torch_on_a_processor(
        self, networks: list[tuple[str, Network, np.ndarray]], batch: int, threads: int
    ) -> None:
        for name, network, features in networks:
            some = features[:, : 100 * batch]
            assert np.array_equal(
                network.logits(some), torch_logits(network, some, batch, "cpu")
            ), (name, threads)

    @pytest.mark.slow
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    @pytest.mark.parametrize("batch", [7, 1000, 10**6])
    def test_as_torch_on_a_gpu(
        self, networks: list[tuple[str, Network, np.ndarray]], batch: int
    ) -> None:
        for name, network, features in networks:
            some = features[:, : 100 * batch]
            assert np.array_equal(
                network.logits(some), torch_logits(network, some, batch, "cuda")
            ), name


@pytest.mark.slow
@pytest.mark.parametrize("entries", [(None, None), (17, 9001)], ids=["all", "some"])
def test_decoding_does_not_depend_on_threads(
    trained: Trained, entries: tuple[int | None, int | None]
) -> None:
    one, two = (
        ft.decompress(
            trained.path, entries=entries, resources=ft.Resources(workers=workers)
        )
        for workers in (1, 2)
    )
    assert set(one) == set(two)
    for name in one:
        assert ak.array_equal(one[name], two[name], equal_nan=True, dtype_exact=True), (
            name
        )
