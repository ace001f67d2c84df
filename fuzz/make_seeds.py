"""Make the seeds in fuzz/corpus, from golden files and small files: `python fuzz/make_seeds.py`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from inputs import FRAMED, RAW, Part, Parts, pack, parts_of

from flowtuple import api
from flowtuple.codec.packing import opaque_bytes
from flowtuple.file.merge import merge
from flowtuple.io.memory import dataset_from_memory
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

TESTS = Path(__file__).parents[1] / "tests"
CORPUS = Path(__file__).parent / "corpus"
WHOLE = ["plain", "given"]
IN_PARTS = ["plain", "bounds", "given", "events", "cuts", "sigma"]
BY_TABLES = "awkward"


def events(count: int, seed: int) -> dict[str, object]:
    """Return a few events for most methods, grids and a flow."""
    made = dependent_events(count, seed)
    numbers = np.float32([1.5, np.nan, 2.25, 1e30, 7, -0.0, 0.1, 3])
    return {
        **made,
        "text": ["é"] * count,
        "q": np.resize(numbers, count),
        "block": np.ones((count, 2), np.int16),
    }


def write_small(folder: Path) -> list[Path]:
    """Write a file coded by a flow, its model, and a file of two parts."""
    model = folder / "model.flow"
    small = folder / "small.ftup"
    second = folder / "second.ftup"
    merged = folder / "merged.ftup"
    table = dataset_from_memory(events(40, 1)).tables["events"]
    write_model(
        table,
        model,
        DEPENDENT_PARENTS,
        DEPENDENT_TOLERANCE | {"q": "lossless", "block": "lossless"},
    )
    api.compress(events(40, 1), small, model=model)
    api.compress(events(12, 2), second, model=model)
    merge([small, second], merged)
    return [small, model, merged]


def of_opaque() -> Parts:
    """Return parts with a column of each layout of Awkward Array, of three events."""
    offsets = ak.index.Index64(np.array([0, 2, 2, 3]))
    index = ak.index.Index64(np.array([2, -1, 0]))
    numbers = ak.contents.NumpyArray(np.array([1.5, 2.5, np.nan]))
    layouts = [
        ak.Array(["a", "", "bc"]),
        ak.Array([[[1], []], [], [[2, 3]]]),
        ak.Array(
            [{"a": 1, "b": [True]}, {"a": None, "b": []}, {"a": 2, "b": [False, True]}]
        ),
        ak.Array([1, "x", [2.5]]),
        ak.Array(np.array(["2026-01-01", "NaT", "1970-01-01"], "M8[s]")),
        ak.Array(np.arange(12, dtype=np.uint16).reshape(3, 2, 2)),
        ak.Array([(1, 2j), (3, 4j), (5, 6j)]),
        ak.Array(ak.contents.ListOffsetArray(offsets, numbers)),
        ak.Array(ak.contents.IndexedOptionArray(index, numbers)),
        ak.Array(
            ak.contents.IndexedArray(
                offsets[:3], numbers, parameters={"__array__": "categorical"}
            )
        ),
        ak.Array(
            ak.contents.ByteMaskedArray(
                ak.index.Index8(np.array([1, 0, 1])), numbers, True
            )
        ),
        ak.Array(
            ak.contents.BitMaskedArray(
                ak.index.IndexU8(np.array([5], np.uint8)), numbers, True, 3, True
            )
        ),
        ak.Array(ak.contents.UnmaskedArray(numbers)),
        ak.Array(ak.contents.RegularArray(ak.contents.EmptyArray(), 0, 3)),
    ]
    columns = [{"name": f"c{k}", "dtype": "opaque"} for k in range(len(layouts))]
    meta = {"tables": [{"name": "t", "entries": 3, "columns": columns}], "carried": []}
    pieces = [
        piece
        for layout in layouts
        for piece in (bytes([FRAMED]) + opaque_bytes(layout), b"")
    ]
    return Parts(
        json.dumps(meta).encode(),
        b"",
        [Part(2, 0, 3, [bytes([5] * len(layouts)), *pieces])],
    )


def by_tables(parts: Parts) -> Iterator[tuple[str, Parts]]:
    """Yield each table of a file as a file, and its carried objects as another."""
    meta = json.loads(parts.description)
    for number, table in enumerate(meta["tables"]):
        own = [
            replace(s, owner=0)
            for s in parts.sections
            if s.owner == number and s.kind in (1, 2)
        ]
        yield table["name"], _of({"tables": [table], "carried": []}, own)
    carried = [s for s in parts.sections if s.kind == 3]
    yield "carried", _of({"tables": [], "carried": meta["carried"]}, carried)


def _of(meta: dict[str, object], sections: list[Part]) -> Parts:
    return Parts(json.dumps(meta).encode(), b"", sections)


def main() -> None:
    """Write the seeds."""
    CORPUS.mkdir(exist_ok=True)
    golden = {name: TESTS / "golden" / f"{name}.ftup" for name in (*IN_PARTS, BY_TABLES)}
    with tempfile.TemporaryDirectory() as folder:
        made = write_small(Path(folder))
        for path in [*made, *(golden[name] for name in IN_PARTS)]:
            (CORPUS / f"seed-{path.stem}-parts").write_bytes(pack(parts_of(path)))
        for path in [made[0], *(golden[name] for name in WHOLE)]:
            (CORPUS / f"seed-{path.stem}-file").write_bytes(
                bytes([RAW]) + path.read_bytes()
            )
        for path in [made[0], golden["plain"]]:
            (CORPUS / f"seed-{path.stem}-listed").write_bytes(
                pack(parts_of(path, listed=True))
            )
    (CORPUS / "seed-opaque").write_bytes(pack(of_opaque()))
    for name, parts in by_tables(parts_of(golden[BY_TABLES])):
        (CORPUS / f"seed-{BY_TABLES}-{name}").write_bytes(pack(parts))


if __name__ == "__main__":
    main()
