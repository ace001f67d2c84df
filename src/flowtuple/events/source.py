"""From anything that holds events to a `Dataset`, and from a `Dataset` to a file: the registry of formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """How to read an input.

    Attributes:
        names: Column names for inputs that carry none.
    """

    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class WriteOptions:
    """How to write an output.

    Attributes:
        compression: For ROOT, `ALGORITHM:LEVEL` such as `LZMA:9`; `None` for the format's default.
        step: Events handed to the format at a time; the basket, row-group or cluster size.
        drop: Leave out what the format cannot hold instead of refusing.
    """

    compression: str | None = None
    step: int = 16384
    drop: bool = False


# Each module holds `open_dataset(path: str, options: ReadOptions) -> Dataset` and
# `write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> None`.
FORMATS: dict[str, str] = {
    ".root": "flowtuple.events.root",
    ".parquet": "flowtuple.events.parquet",
    ".h5": "flowtuple.events.hdf5",
    ".hdf5": "flowtuple.events.hdf5",
    ".npz": "flowtuple.events.npz",
    ".csv": "flowtuple.events.delimited",
    ".csv.gz": "flowtuple.events.delimited",
    ".txt": "flowtuple.events.delimited",
}
