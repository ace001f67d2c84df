"""Coverage-guided fuzzing of the reader with atheris (libFuzzer).

Run `python fuzz/read_file.py fuzz/corpus -max_total_time=60`; options are those of libFuzzer.
Kernels are compiled with checks of bounds, and warnings are errors.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
import zlib
from pathlib import Path
from random import Random

# Numba reads these when it is imported; kernels with checks of bounds have a cache of their own.
os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ.setdefault(
    "NUMBA_CACHE_DIR", f"{tempfile.gettempdir()}/flowtuple-fuzz-kernels"
)

# The module `odd_made` has the external columns of golden files.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import atheris

# Numba compiles functions of these modules, so their bytecode has to stay as it is.
COMPILED = [
    "codec.coder",
    "codec.frequencies",
    "lattice.bins",
    "lattice.context",
    "lattice.network",
    "model.draw",
]
OPTIONS = ["-rss_limit_mb=2048", "-timeout=20", "-max_len=65536"]
SAVED = 4  # one input in so many is also saved

with atheris.instrument_imports(
    include=["flowtuple"], exclude=[f"flowtuple.{name}" for name in COMPILED]
):
    from mutations import mutate
    from reading import read_input, small_limits


def main() -> None:
    """Fuzz until libFuzzer ends."""
    warnings.simplefilter("error")
    folder = Path(tempfile.mkdtemp(prefix="flowtuple-fuzz-"))
    seeds = [p.read_bytes() for p in sorted((Path(__file__).parent / "corpus").iterdir())]

    def read(data: bytes) -> None:
        read_input(data, folder, save=zlib.crc32(data) % SAVED == 0)

    def change(data: bytes, most: int, seed: int) -> bytes:
        return mutate(data, most, Random(seed), atheris.Mutate, seeds)

    with small_limits():
        for seed in seeds:  # Numba compiles now, not while an input is timed
            read_input(seed, folder)
    atheris.Setup([sys.argv[0], *OPTIONS, *sys.argv[1:]], read, custom_mutator=change)
    with small_limits():
        atheris.Fuzz()


if __name__ == "__main__":
    main()
