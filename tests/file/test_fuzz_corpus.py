"""The corpus of the fuzzer, read in all ways without a fuzzer, with a few mutations."""

from pathlib import Path
from random import Random

import pytest
from inputs import RAW, file_of, pack, unpack
from mutations import mutate
from reading import read_input, small_limits

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus").iterdir())
SEEDS = [path.read_bytes() for path in CORPUS if path.name.startswith("seed-")]


@pytest.fixture(autouse=True)
def limits():
    with small_limits():
        yield


def flipped(random: Random):
    """Plain bytes changed by hand, in place of what libFuzzer does."""

    def change(data: bytes, most: int) -> bytes:
        at = random.randint(0, len(data))
        new = random.randbytes(random.choice([0, 1, 1, 2]))
        return (data[:at] + new + data[at + random.choice([0, 1, len(new)]) :])[:most]

    return change


def test_the_corpus_is_small():
    assert len(SEEDS) >= 15
    assert sum(path.stat().st_size for path in CORPUS) < 300_000


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_input_of_the_corpus_ends_well(path, tmp_path):
    whole = read_input(path.read_bytes(), tmp_path)
    assert whole or not path.name.startswith("seed-")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_changed_input_ends_well(seed, tmp_path):
    random = Random(seed)
    read = 0
    for _ in range(40):
        data = mutate(random.choice(SEEDS), 2**16, random, flipped(random), SEEDS)
        read += read_input(data, tmp_path)
    assert read > 0


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\1", b"\1\xff", b"\1\2{}", b"\1\0\0\4\2\0\0\2", bytes(range(1, 200))],
)
def test_any_bytes_are_an_input(data, tmp_path):
    assert not read_input(data, tmp_path)
    assert data[:1] in (b"", bytes([RAW])) or file_of(pack(unpack(data))) == file_of(data)
