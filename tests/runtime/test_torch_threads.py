"""PyTorch's number of threads is restored, also after an error and among several users."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from flowtuple.runtime.torch_threads import SingleTorchThread, torch_threads  # noqa: E402


@pytest.fixture(autouse=True)
def three_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_a_number_ends_with_its_block() -> None:
    with torch_threads(2):
        assert torch.get_num_threads() == 2
        with torch_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3


def test_a_number_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError, match="division"), torch_threads(1):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == 3


def test_the_last_of_several_users_restores_the_number() -> None:
    single = SingleTorchThread()
    with single:
        with single:
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
