"""Bits per value at equal mean error: methods without a bound of their own, and what keeps one where its mean error is theirs.

usage: python bench/equal_error.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--methods latent-13 ...]
           [--effort default] [--baler-epochs 25 100] [--held-out 0.2] [--json OUT.json]

Each method is trained on the rows that it codes, and everything that decoding needs is counted; "without model" leaves
weights, preprocessing and description out. Errors are those of what the bytes decode to, over the column's standard
deviation: the mean over rows and columns, and the largest of all. For SZ3, ZFP and quantise+pcodec a bound is sought for each
column that brings their own mean error there to the method's, from below; the lattice flow has the bounds of
quantise+pcodec. A cell gives bits per value and the largest error, and the mean error where it is more than 2 % off: ZFP
rounds bounds down to powers of two. SZ3, ZFP and quantise+pcodec count neither header nor numbers of
objects; methods and the lattice flow count whole files, the flow with its model trained at `--effort`. With --held-out each
method but Baler is trained once more, without that share of the events, and a row says what its errors on these are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from lattice_flow import lattice

from flowtuple.baseline.quantise import quantise_shifted, restore
from flowtuple.benchmark.codecs import grid_pcodec, sz3, zfp
from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import Accuracy, measure, overall
from flowtuple.benchmark.published.baler import Baler
from flowtuple.benchmark.published.fitting import fit_codec
from flowtuple.benchmark.published.methods import BalerFiles
from flowtuple.benchmark.published.options import NETWORKS, Autoencoder, Latent
from flowtuple.data.bounds import Bound
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.io.source import open_dataset

LATENT = {"latent-13": 13, "latent-20": 20}
AUTOENCODERS = {
    f"{network} {normalisation}": (network, normalisation)
    for network in NETWORKS
    for normalisation in ("custom", "standard")
}
RIVALS: tuple[PerColumn, ...] = (sz3.RIVAL, zfp.RIVAL, grid_pcodec.RIVAL)
SCAN, STEPS = 96, 12  # of a search for a bound: 6 % apart at first, then halved
REACH = 256  # times the mean error: no bound is sought above


@dataclass(frozen=True)
class Point:
    """What a codec came to; errors over std: mean over rows and columns, and the largest."""

    codec: str
    bits: float
    bare_bits: float | None
    mean: float
    largest: float


def point(
    codec: str, rows: Rows, nbytes: int, accuracy: tuple[Accuracy, ...], model: int | None = None
) -> Point:
    """The figures of a codec from its bytes and the errors of its columns."""
    count = rows.values.size
    bare = None if model is None else 8 * (nbytes - model) / count
    return Point(codec, 8 * nbytes / count, bare, *overall(accuracy))


def coded_by_methods(
    a: argparse.Namespace, rows: Rows
) -> Iterator[tuple[str, bytes, int, np.ndarray]]:
    """Name, bytes, bytes of the model among them, and decoded rows of each method asked for."""
    wanted = [name for name in LATENT if name in a.methods]
    if wanted:  # one training serves every N
        codec, _ = fit_codec(rows, Latent(unit=a.unit), a.seed, lambda share, loss: None)
        for name in wanted:
            data, model = stored.pack(replace(codec, bits=LATENT[name]), rows)
            yield name, data, model, stored.unpack(data, name).values
    for name in (name for name in AUTOENCODERS if name in a.methods):
        data, model = stored.pack(
            fit_codec(rows, autoencoder(name, a.unit), a.seed, lambda share, loss: None)[0], rows
        )
        yield name, data, model, stored.unpack(data, name).values
    for epochs in a.baler_epochs if "baler" in a.methods else ():
        method = BalerFiles(Baler(epochs=epochs))
        data, model = method.pack(rows)
        yield f"baler, {epochs} epochs", data, model, method.unpack(data)


def autoencoder(name: str, unit: str) -> Autoencoder:
    """The options of an autoencoder by its name in the table."""
    network, normalisation = AUTOENCODERS[name]
    return Autoencoder(latent=3, network=network, normalisation=normalisation, unit=unit)


def bound_for(mean: float, error_at: Callable[[float], float]) -> Bound:
    """The largest `abs` bound at which the mean error is at most `mean`.

    A compressor that changes its mind between methods, as SZ3 does, has errors that go down here and there as bounds go up:
    bounds are tried from above until one fits, and between that one and the one before by bisection.
    """
    if mean <= 0:
        return Bound()
    high = low = REACH * mean
    while error_at(low) > mean and low > mean:  # no error is above its bound
        high, low = low, low / REACH ** (1 / SCAN)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if error_at(middle) <= mean else (low, middle)
    return Bound("abs", low)


def decoded_by(rival: PerColumn, values: np.ndarray, bound: Bound) -> tuple[int, np.ndarray]:
    """Bytes of a column, and what it decodes to; for the search on a grid the grid alone is enough."""
    data = rival.encode_column(values, bound)
    return len(data), rival.decode_column(data, values.dtype, bound)


def error_at(rival: PerColumn, values: np.ndarray, amount: float) -> float:
    """The mean |residual| of a column at an `abs` bound."""
    bound = Bound("abs", amount)
    if rival is grid_pcodec.RIVAL:
        decoded = restore(quantise_shifted(values, bound)[0], bound, values.dtype)
    else:
        decoded = decoded_by(rival, values, bound)[1]
    return float(np.abs(decoded.astype(np.float64) - values).mean())


def at_equal_error(
    rival: PerColumn, rows: Rows, means: list[float]
) -> tuple[Point, dict[str, Bound]]:
    """A rival with a bound for each column at which its mean error is that of `means`, and these bounds."""
    size, decoded, bounds = 0, [], {}
    for k, name in enumerate(rows.columns):
        values = rows.values[:, k].astype(rows.dtypes[k])
        bounds[name] = bound_for(means[k], partial(error_at, rival, values))
        nbytes, found = decoded_by(rival, values, bounds[name])
        size += nbytes
        decoded.append(found.astype(np.float64))
    return point(rival.name, rows, size, measure(rows, np.stack(decoded, axis=1))), bounds


def cell(found: Point, mean: float) -> str:
    """Bits and largest error, and the mean error where it is not the one sought."""
    off = f"; mean {found.mean:.1e}" if abs(found.mean / mean - 1) > 0.02 else ""
    return f"{found.bits:.2f} ({found.largest:.1e}{off})"


def held_out(a: argparse.Namespace, rows: Rows) -> Iterator[str]:
    """For each method trained on some of the events the errors on these, and on the others."""
    shuffled = np.random.default_rng(a.seed).permutation(rows.events)[rows.event]
    test, train = (
        rows.some(keep)
        for keep in (shuffled < a.held_out * rows.events, shuffled >= a.held_out * rows.events)
    )
    asked: dict[str, Latent | Autoencoder] = {
        n: Latent(LATENT[n], unit=a.unit) for n in LATENT if n in a.methods
    }
    asked |= {name: autoencoder(name, a.unit) for name in AUTOENCODERS if name in a.methods}
    for name, method in asked.items():
        codec, _ = fit_codec(train, method, a.seed, lambda share, loss: None)
        found = [
            measure(part, codec.decode(codec.encode(part.values), len(part)))
            for part in (train, test)
        ]
        points = [
            point(name, part, 0, accuracy)
            for part, accuracy in zip((train, test), found, strict=True)
        ]
        yield f"| {name} | " + " | ".join(f"{p.mean:.3e} | {p.largest:.2e}" for p in points) + " |"


def main() -> None:
    """Print the tables."""
    methods = [*LATENT, *AUTOENCODERS, "baler"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--methods", nargs="+", default=methods, choices=methods)
    parser.add_argument("--effort", default="default")
    parser.add_argument("--baler-epochs", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--held-out", type=float, default=0.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    rows = read_rows(open_dataset(a.source), a.columns)
    found = []
    print(f"{len(rows)} rows of {', '.join(rows.columns)}")
    print(
        "| method | bits per value | without model | mean / std | max / std | "
        + " | ".join(r.name for r in RIVALS),
        end="",
    )
    print(" | lattice flow |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, data, model, decoded in coded_by_methods(a, rows):
            accuracy = measure(rows, decoded)
            own = point(name, rows, len(data), accuracy, model)
            sought = [at_equal_error(rival, rows, [c.mean for c in accuracy]) for rival in RIVALS]
            flow = point(
                "lattice flow",
                rows,
                *lattice(a.source, rows, sought[-1][1], a.effort, Path(folder)),
            )
            others = [*(p for p, _ in sought), flow]
            print(
                f"| {name} | {own.bits:.3f} | {own.bare_bits:.3f} | {own.mean:.2e} | {own.largest:.1e} | ",
                end="",
            )
            print(" | ".join(cell(p, own.mean) for p in others) + " |", flush=True)
            found.append({"method": asdict(own), "others": [asdict(p) for p in others]})
    if a.held_out:
        print(
            f"\ntrained without {a.held_out:.0%} of the events\n| method | mean, trained on | max | mean, held out | max |"
        )
        print("|---|---:|---:|---:|---:|")
        for line in held_out(a, rows):
            print(line, flush=True)
    if a.json:
        a.json.write_text(
            json.dumps({"source": a.source, "rows": len(rows), "points": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
