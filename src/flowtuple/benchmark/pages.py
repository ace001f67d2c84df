"""Files of a benchmark: `bench.json`, `bench.md` and `rate_distortion.png`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowtuple.benchmark.result import Bench, Measurement
from flowtuple.reporting.page import format_bytes, format_number
from flowtuple.reporting.rate_distortion import rate_distortion_png
from flowtuple.runtime.atomic import atomic_path

HEADINGS = (
    "codec",
    "bytes",
    "model",
    "bits/value",
    "/ q+pcodec",
    "max/bound",
    "outside",
    "mean/std",
    "max/std",
    "MB/s in",
    "MB/s out",
    "peak MB in",
    "peak MB out",
)

_LEGEND = """\
Every byte of each codec counts, model and index included; other codecs get the schema for free.
Bold is the smallest that keeps its bound; a codec without one, marked "no bound", is never that,
however small. max/bound is the largest error over what the bound allows; mean/std and max/std are
errors over the standard deviation of their column, of floats that are no ids and no weights: a
mean over columns, and the largest of all. A rate is 10^6 bytes of raw columns a second, in a
fresh process; a training is part of it. Peak memory is that of encoding or decoding above the
loaded input, in 10^6 bytes."""


def write_bench(bench: Bench, folder: Path) -> None:
    """Write the three files; each appears whole or not at all.

    Raises:
        InvalidArgument: The folder cannot be written.
        MissingExtra: The extra 'plots' is not installed.
    """
    bits: dict[str, list[float | None]] = {row.codec: [] for row in bench.rows}
    for row in bench.rows:
        bits[row.codec].append(row.bits_per_value if row.holds else None)
    image = rate_distortion_png(bench.bounds, bits, Path(bench.source).name)
    contents = {
        "bench.json": (json.dumps(bench.to_json(), indent=1) + "\n").encode(),
        "bench.md": markdown(bench).encode(),
        "rate_distortion.png": image,
    }
    for name, content in contents.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)


def cells(bench: Bench, row: Measurement) -> list[str]:
    """Return a row as text under `HEADINGS`; a codec that failed has the word in place of bytes."""
    if row.failed:
        return [row.codec, "failed", *[""] * (len(HEADINGS) - 2)]
    return [
        row.codec,
        str(row.bytes),
        str(row.model_bytes) if row.model_bytes else "",
        f"{row.bits_per_value:.3f}",
        f"{ratio:.4f}" if (ratio := bench.ratio(row)) else "",
        format_number(row.worst) if row.worst is not None else "unbounded",
        _outside(row),
        *(
            format_number(error) if error is not None else ""
            for error in (row.mean_error, row.largest_error)
        ),
        format_number(row.mb_per_s_in),
        format_number(row.mb_per_s_out),
        *(
            format_number((peak or 0) / 1e6)
            for peak in (row.peak_bytes_in, row.peak_bytes_out)
        ),
    ]


def _outside(row: Measurement) -> str:
    """Return the number of values outside the bound, and whether it is broken or not promised."""
    if row.promise == "none":
        return f"{row.violations}, no bound"
    return f"{row.violations}" if row.holds else f"{row.violations} BREAKS"


def cells_with_model(row: Measurement) -> list[str] | None:
    """Return a second row for a codec that trains: its rate with a given model."""
    if row.trained_mb_per_s_in is None:
        return None
    return [
        f"{row.codec}, model at hand",
        *[""] * 8,
        format_number(row.trained_mb_per_s_in),
        *[""] * 3,
    ]


def markdown(bench: Bench) -> str:
    """Return a page with a table per bound, and a description of the machine."""
    return "\n".join(_lines(bench)) + "\n"


def _lines(bench: Bench) -> Iterator[str]:
    events = ", ".join(
        f"{count} events in {name}" for name, count in bench.events.items()
    )
    yield f"# {Path(bench.source).name}: codecs side by side"
    yield ""
    raw = format_bytes(bench.raw_bytes)
    yield f"{events}; {bench.columns} columns, {bench.values} values, {raw} raw."
    for bound in bench.bounds:
        yield from ("", f"## {bound}", "")
        yield from _table(bench, bound)
    yield ""
    yield _LEGEND
    yield ""
    yield from (f"- {note}" for note in bench.notes)
    yield from (
        f"- {row.codec} failed at {row.bound}: {row.failed}"
        for row in bench.rows
        if row.failed
    )
    yield from _machine(bench)


def _table(bench: Bench, bound: str) -> Iterator[str]:
    yield _row(HEADINGS)
    yield "|---|" + "---:|" * (len(HEADINGS) - 1)
    for row in bench.at(bound):
        texts = cells(bench, row)
        best = row.codec == bench.best(bound)
        yield _row(
            [
                f"**{text}**" if best and text and k < 5 else text
                for k, text in enumerate(texts)
            ]
        )
        if trained := cells_with_model(row):
            yield _row(trained)


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _machine(bench: Bench) -> Iterator[str]:
    machine = bench.machine
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items()
    )
    memory = (
        f"{machine['memory_bytes'] / 2**30:.3g} GiB"
        if machine["memory_bytes"]
        else "memory unknown"
    )
    threads = f"{bench.threads} thread{'' if bench.threads == 1 else 's'} a codec"
    cores = f"{machine['cores']} cores, {memory}, {machine['system']}"
    yield f"- Made on {machine['date']}: {machine['processor']}, {cores};"
    yield f"  Python {machine['python']}, {versions}; effort {bench.effort}, {threads}."
    if bench.command:
        yield f"- By `{bench.command}`"
