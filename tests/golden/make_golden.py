"""Make the golden files: `python tests/golden/make_golden.py`. It never overwrites one: remove a
file by hand to remake it.

A golden file stands for all files of its format version that people hold. Once a release reads it,
it is never remade.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

import flowtuple as ft
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, read_all
from flowtuple.file.file import File
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.context import Parent
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.training import write_events as assemble

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

import event_made  # noqa: E402
import odd_made  # noqa: E402
from dissect import merge  # noqa: E402
from hand_made import (  # noqa: E402
    DEPENDENT_TOLERANCE,
    RELATED_PARENTS,
    dependent_events,
    of_event,
    related_events,
    related_predictions,
    write_model,
)

FLOATS = {
    "float16": 2**15 + 1,
    "float32": 2**31 + 1,
    "float64": 2**63 + 1,
}  # the smallest subnormal, negative, as bits
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def special(dtype: str) -> np.ndarray:
    """The ends of a float type, both zeros, infinities, and NaNs of other payloads and signs."""
    info, size = np.finfo(dtype), np.dtype(dtype).itemsize
    quiet = np.array([np.nan], dtype).view(f"u{size}")
    nans = np.concatenate(
        [quiet, quiet + 5, quiet | np.array([2 ** (8 * size - 1)], f"u{size}")]
    )
    tiny = np.array([1, FLOATS[dtype]], f"u{size}")
    ordinary = np.array(
        [
            0.0,
            -0.0,
            np.inf,
            -np.inf,
            info.max,
            info.min,
            info.tiny,
            1.0,
            -1.5,
            0.1,
            -999.0,
            np.pi,
        ],
        dtype,
    )
    return np.concatenate([ordinary, nans.view(dtype), tiny.view(dtype)])


def plain(path: Path) -> None:
    """Every type, lossless: special floats, the ends of integer types, fixed arrays, ragged
    columns, strings.
    """
    events: dict[str, object] = {dtype: special(dtype) for dtype in FLOATS}
    n = len(special("float32"))
    for dtype in INTEGERS:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        events[dtype] = np.array(
            [low, high, low + 1, high - 1, 0, 1, *range(10, 10 + n - 6)], dtype
        )
    events["bool"] = np.arange(n) % 3 == 0
    events["constant"] = np.full(n, 7, np.int32)
    events["block"] = np.arange(6 * n, dtype=np.float32).reshape(n, 2, 3) / 4
    events["Jet_pt"] = ak.Array([[20.5 + k, 10.25][: k % 3] for k in range(n)])
    events["name"] = ["", "η"] + ["jet"] * (n - 2)
    assemble.CHUNK_ENTRIES = 8
    ft.compress(events, path)


def bounds(path: Path) -> None:
    """Every kind of grid, with atoms, sentinels and escapes."""
    draw = np.random.default_rng(7)
    x = draw.normal(0, 30, 60)
    dtypes = {
        "abs": "float32",
        "std": "float32",
        "bits": "float32",
        "rel": "float64",
        "half": "float16",
    }
    events = {name: x.astype(dtype) for name, dtype in dtypes.items()}
    events["abs"][:12] = [np.nan, np.inf, -0.0, *[-999.0] * 9]
    events["rel"][:6] = [0.0, -0.0, 5e-324, 1e308, -np.inf, 1e-310]
    events["fine"] = x.copy()  # too fine for segments: mantissas
    events["bits"][:2] = [np.float32(3e38), np.float32(-1e-45)]
    events["decimal"] = (np.rint(x * 100) / 100).astype(np.float32)
    events["decimal"][5] = np.nan
    events["truncated"] = (
        np.float32(1) + draw.integers(0, 256, 60).astype(np.float32) / 1024
    ).astype(np.float32)
    events["truncated"][1:3] = [1e30, 1e-30]
    events["truncated"] = (
        events["truncated"].view(np.uint32) & np.uint32(0xFFFFE000)
    ).view(np.float32)
    events["counts"] = draw.integers(-1000, 1000, 60).astype(np.int16)
    events["counts"][0] = 32767
    events["large"] = draw.integers(0, 2**64, 60, dtype=np.uint64)
    tolerance = {
        "abs": "abs:0.01",
        "std": "std:1e-3",
        "bits": "bits:9",
        "rel": "rel:1e-3",
        "half": "rel:1e-2",
    }
    ft.compress(
        events,
        path,
        tolerance=tolerance
        | {"fine": "rel:1e-12", "counts": "abs:3", "large": "abs:1e6"},
    )


def flow(path: Path) -> None:
    """A flow made by hand: every relation, every formula, residuals of every kind; ragged columns,
    two chunks, an outlier.
    """
    model = path.with_suffix(".flow.part")
    table = dataset_from_memory(related_events(600, 1)).tables["events"]
    try:
        write_model(
            table,
            model,
            RELATED_PARENTS,
            DEPENDENT_TOLERANCE,
            related_predictions((-157, 315)),
        )
        assemble.CHUNK_ENTRIES = 65
        events = related_events(130, 2)
        events["b"][3] = 1e9  # type: ignore[index]
        ft.compress(events, path, model=model)
    finally:
        model.unlink(missing_ok=True)


def given_events(count: int, seed: int) -> dict[str, np.ndarray]:
    made = dependent_events(count, seed)
    a, b = np.asarray(made["a"]).copy(), np.asarray(made["b"])
    copy = np.where(np.arange(count) % 40 == 7, np.float32(0), a)
    a[:4] = np.array([0x7FC00005, 0x80000000, 0xFF800000, 0x7149F2CA], np.uint32).view(
        np.float32
    )
    return {"a": a, "b": b, "copy": copy, "alone": b.astype(np.int16)}


def given(path: Path) -> None:
    """A network and a prediction that read column `a`, which is not stored: reading the file takes
    it.
    """
    model = path.with_suffix(".flow.part")
    parents, predictions = (
        {"b": of_event("a")},
        {"copy": Prediction((Term(1.0, "x", of_event("a")),))},
    )
    try:
        table = dataset_from_memory(given_events(600, 1)).tables["events"]
        write_model(table, model, parents, DEPENDENT_TOLERANCE, predictions, ["a"])
        assemble.CHUNK_ENTRIES = 65
        ft.compress(given_events(130, 2), path, model=model)
    finally:
        model.unlink(missing_ok=True)


def parts(path: Path) -> None:
    """Three parts whose ranges lie elsewhere and within a step of the lattice; columns in several
    blocks of a chunk.
    """
    made = [path.with_suffix(f".{number}.part") for number in range(3)]
    draw = np.random.default_rng(11)
    try:
        for number, (part, count) in enumerate(zip(made, (8200, 40, 20), strict=True)):
            noise = draw.integers(0, 2**32, count, dtype=np.uint32)
            x = (100 * number + np.linspace(0.1, 9.85, count)).astype(np.float32)
            events = {
                "x": x,
                "noise": noise,
                "n": (np.arange(count) % 7).astype(np.uint8),
            }
            assemble.CHUNK_ENTRIES = 16384 if number == 0 else 16
            ft.compress(events, part, tolerance={"x": "abs:0.5"})
        merge(path, made)
    finally:
        for part in made:
            part.unlink(missing_ok=True)


def cuts(path: Path) -> None:
    """Cuts beside every kind of bound: cells split at them, values equal to them, one beyond the
    range of its type.
    """
    draw = np.random.default_rng(13)
    x = draw.normal(20, 15, 120)
    x[::10] = 30
    x[5::30] = 0.15
    events = {"half": x.astype(np.float16), "abs": x.astype(np.float32)}
    events["rel"] = x.astype(np.float32)
    events["bits"] = x.copy()
    events["whole"] = np.rint(3 * x).astype(np.int16)
    for name in ("half", "abs", "rel", "bits"):
        # both neighbours of what a cut becomes in the type of the column
        t, ends = events[name].dtype.type(0.15), (-np.inf, np.inf)
        near = [np.nextafter(t, events[name].dtype.type(end)) for end in ends]
        events[name][:6] = [np.nan, -0.0, np.inf, *near, 29.99]
    text = ",cut:30,cut:0.15,cut:-2.5,cut:20.03"
    tolerance = {"half": f"abs:0.1{text},cut:1e5", "abs": f"abs:0.05{text}"}
    tolerance |= {"rel": f"rel:0.01{text}", "bits": f"bits:3{text}"}
    ft.compress(
        events, path, tolerance=tolerance | {"whole": "abs:4,cut:90,cut:-0.5,cut:40.25"}
    )


def sigma(path: Path) -> None:
    """Bounds in units of resolutions, which come later in the schema: of objects and of events, in
    a chain, with cuts, with resolutions of every odd kind, and two chunks by a model of residuals.
    """
    model = path.with_suffix(".flow.part")

    def events(count: int, seed: int) -> dict[str, object]:
        draw = np.random.default_rng(seed)
        objects = draw.integers(0, 4, count)
        total = int(objects.sum())
        error = draw.lognormal(-5, 1, total).astype(np.float32)
        error[::9] = np.resize(
            [0, -1, np.nan, np.inf, -0.0, 1e-45, 3e38], len(error[::9])
        ).astype(np.float32)
        with np.errstate(all="ignore"):
            d = (error * draw.normal(0, 2, total)).astype(np.float32)
        d[5::11] = np.resize([-999, np.nan, -0.0, 0.02], len(d[5::11])).astype(np.float32)
        spread = draw.lognormal(0, 0.5, count)
        met = draw.exponential(30, count)
        return {
            "met": met,
            "copy": np.where(np.arange(count) % 7 == 3, 0.0, met),
            "metErr": spread * draw.normal(1, 0.1, count),
            "spread": spread.astype(np.float16),
            "d": ak.unflatten(d, objects),
            "dErr": ak.unflatten(error, objects),
        }

    tolerance = {"met": "sigma:0.1@metErr", "copy": "sigma:0.1@metErr,cut:20"}
    tolerance |= {"metErr": "sigma:0.05@spread", "spread": "rel:0.01"}
    tolerance |= {"d": "sigma:0.3@dErr,cut:0.02", "dErr": "bits:5"}
    try:
        table = dataset_from_memory(events(400, 1)).tables["events"]
        copied = Prediction((Term(1.0, "x", of_event("met")),))
        parents = {"d": (Parent("row", "dErr"), Parent("index"))}
        write_model(table, model, parents, tolerance, {"copy": copied})
        assemble.CHUNK_ENTRIES = 65
        ft.compress(events(130, 2), path, model=model)
    finally:
        model.unlink(missing_ok=True)


GOLDEN: dict[str, Callable[[Path], None]] = {
    "plain": plain,
    "bounds": bounds,
    "flow": flow,
    "given": given,
    "parts": parts,
    "awkward": odd_made.write,
    "events": event_made.write,
    "cuts": cuts,
    "sigma": sigma,
}


def plain_content(content: Any, column: Column) -> np.ndarray:
    """What an array of numbers or texts can hold of a column; nested entries as texts."""
    if not column.is_opaque:
        return content
    entries = content.to_list()
    return np.array(
        entries
        if all(isinstance(e, str) for e in entries)
        else [repr(e) for e in entries],
        dtype=str,
    )


def main() -> int:
    made = 0
    for name, make in GOLDEN.items():
        path, expected = HERE / f"{name}.ftup", HERE / f"{name}.npz"
        if path.exists() or expected.exists():
            sys.stdout.write(
                f"{path}: exists and is not overwritten; remove it and its .npz by hand to remake them\n"
            )
            continue
        assemble.CHUNK_ENTRIES = 16384
        make(path)
        contents = {}
        given_tables = (
            dataset_from_memory(given_events(130, 2)).tables | odd_made.given().tables
        )
        with File(path, given=Dataset("given", given_tables)) as file:
            for table in map(read_all, file.tables.values()):
                place = "" if table.name == "events" else f"{table.name}/"
                contents |= {
                    f"{place}{c.name}": plain_content(table[c.name], c)
                    for c in table.columns
                }
        np.savez(expected, **contents)
        sys.stdout.write(
            f"{path}: {path.stat().st_size} bytes, {sum(v.size for v in contents.values())} values\n"
        )
        made += 1
    return 0 if made == len(GOLDEN) else 1


if __name__ == "__main__":
    sys.exit(main())
