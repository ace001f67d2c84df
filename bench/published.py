"""Published methods: errors of autoencoders, second codecs, and sizes at equal mean error."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from commands import (
    OneOf,
    Script,
    decoded_by,
    lattice_file,
    no_report,
    overall,
    rows_of,
    show_header,
    show_row,
    timed,
    write_json,
)

import flowtuple as ft
from flowtuple.baseline.quantise import quantise_shifted, restore
from flowtuple.benchmark.codecs.absolute import SZ3, ZFP
from flowtuple.benchmark.codecs.grids import QUANTISE_PCODEC
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.baler import Baler, BalerFiles
from flowtuple.benchmark.published.filters import cut_rows
from flowtuple.benchmark.published.normalisations import variable_of
from flowtuple.benchmark.published.options import (
    NETWORKS,
    NORMALISATIONS,
    SECOND,
    Autoencoder,
    Latent,
)
from flowtuple.benchmark.published.presets import reference_preset
from flowtuple.benchmark.published.stored import fit_codec
from flowtuple.data.bounds import Bound
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.io.source import open_dataset

FOUR = {  # mean squared error of four variables
    ("tanh", "none"): "5.181e-1",
    ("tanh", "standard"): "1.111e-2",
    ("tanh", "custom"): "7.314e-4",
    ("leaky-relu-bn", "custom"): "5.750e-4",
    ("elu-bn", "custom"): "5.754e-4",
}
MANY = {  # mean squared error of 25 variables by latent size
    8: "4.53e-4",
    10: "2.16e-4",
    12: "9.03e-5",
    14: "3.57e-5",
    16: "1.40e-5",
    18: "4.54e-6",
    20: "2.47e-6",
}
MEANS = {  # of (x' - x) / x: m, p_T, phi, eta
    ("tanh", "none"): ("-5.7e-3", "-2.0e-6", "-4.8e-3", "-1.01"),
    ("tanh", "standard"): ("1.3e-3", "1.6e-2", "-1.8e-2", "6.0e-2"),
    ("tanh", "custom"): ("1.1e-2", "-1.0e-4", "7.4e-4", "2.6e-3"),
    ("leaky-relu-bn", "custom"): ("4.9e-3", "-1.1e-3", "8.1e-3", "-2.5e-2"),
    ("elu-bn", "custom"): ("5.5e-3", "-7.6e-4", "-3.1e-3", "-2.2e-4"),
}
KINDS = ("m", "pt", "phi", "eta")
LATENT = {"latent-13": 13, "latent-20": 20}
AUTOENCODERS = {
    f"{network} {normalisation}": (network, normalisation)
    for network in NETWORKS
    for normalisation in ("custom", "standard")
}
METHODS = [*LATENT, *AUTOENCODERS, "baler"]
CODECS: tuple[ColumnCodec, ...] = (SZ3, ZFP, QUANTISE_PCODEC)
SCAN, STEPS = 96, 12  # of a search for a bound: 6 % apart at first, then halved
REACH = 256  # times the mean error: no bound is sought above
script = Script(__doc__)


# -- autoencoders ---------------------------------------------------------------------------------


@script.command(
    "source",
    columns=[],
    exclude=[],
    unit="GeV",
    latent=[3],
    epochs=100,
    batch=512,
    learning_rate=2e-3,
    networks=list(NETWORKS),
    normalisations=list(NORMALISATIONS),
    variational=[0.0],
    held_out=0.2,
    sizes=[int],
    seed=0,
    each=False,
)
def autoencoder(a: argparse.Namespace) -> None:
    """Measure the reconstruction error of autoencoders on rows of held-out events.

    One network is trained for each combination of the options that take several values. A tenth of
    the training rows chooses the best epoch. The mean squared error is over all columns in
    normalised space; figures of different normalisations are in different units. "Rounded" is the
    same with columns of few values rounded to the values of the training; all else is of the
    decoded values, rounded. Several --latent with all columns of a collection, such as 8 10 12 14
    16 18 20, are the grid n-200-200-200-z-200-200-200-n. --variational is the weight of the KL
    divergence, 0 for a plain autoencoder. --sizes gives a learning curve: numbers of rows to train
    on, judged by the same rows. --each prints relative residuals (x' - x) / x of each column, zeros
    left out: mean, width (standard deviation), and the median and half-width that holds 68 %, which
    values near 0 do not blow up.

    Published figures: of four variables from the README of github.com/honeygupta/CompressionHEP,
    networks trained on 111,778 ATLAS jets and judged by the 27,945 of `atlas_trigger_jets.root`; of
    latent sizes from 8 to 20 the "minimum validation loss" of github.com/erwulff/lth_thesis_project
    for 25 variables of ATLAS jets (the 27 without Width and WidthPhi), LeakyReLU with batch
    normalisation and custom normalisation, 1,500 epochs.
    """
    rows = rows_of(a)
    place = shuffled_events(rows, a.seed)
    held_out = place < a.held_out * rows.events
    test, numbers = rows.some(held_out), np.flatnonzero(~held_out)
    print(
        f"{len(rows)} rows of {', '.join(rows.columns)}; {len(test)} held out; {a.epochs} epochs"
    )
    names = ("network", "normalisation", "latent")
    errors = (
        "MSE held out",
        "rounded",
        "training",
        "published",
        "mean / std",
        "max / std",
    )
    show_header(*names, "rows", "parameters", *errors, "seconds", text=2)
    training = ft.Training(
        a.epochs, a.batch, a.learning_rate, 1e-2, "one-cycle", patience=0
    )
    residuals: list[list[str]] = []
    for size in a.sizes or [len(numbers)]:
        mask = np.zeros(len(rows), bool)
        mask[numbers[np.argsort(place[numbers], kind="stable")][:size]] = True
        for network, normalisation, beta, latent in product(
            a.networks, a.normalisations, a.variational, a.latent
        ):
            options = Autoencoder(
                latent,
                network=network,
                normalisation=normalisation,
                unit=a.unit,
                variational=beta,
                training=training,
            )
            residuals += show_autoencoder(rows.some(mask), test, options, a.seed)
    if a.each:
        print()
        figures = ("width", "median", "68 % half-width", "max / std")
        show_header(*names, "column", "mean (x' - x)/x", "published", *figures, text=2)
        for line in residuals:
            show_row(*line)


def shuffled_events(rows: Rows, seed: int) -> np.ndarray:
    """Return a random place of each row's event: files may be ordered by kind of event."""
    return np.random.default_rng(seed).permutation(rows.events)[rows.event]


def show_autoencoder(
    train: Rows, test: Rows, options: Autoencoder, seed: int
) -> list[list[str]]:
    """Print the row of one network, and return its rows of the table of residuals."""
    (codec, _), seconds = timed(
        lambda: AutoencoderCodec.fit(train, options, seed, no_report)
    )
    decoded = codec.decode(codec.encode(test.values), len(test))
    accuracy = measure(test, decoded)
    networks = filter(None, (codec.encoder, codec.decoder))
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    errors = (
        codec.reconstruction_error(test.values).mean(),
        codec.reconstruction_error(test.values, rounded=True).mean(),
        codec.reconstruction_error(train.values).mean(),
    )
    beta = f" beta {options.variational:g}" if options.variational else ""
    name = [f"{options.network}{beta}", options.normalisation, str(options.latent)]
    published = published_error(options, len(accuracy))
    show_row(
        *name,
        len(train),
        parameters,
        *(f"{error:.3e}" for error in errors),
        published,
        *(f"{error:.2e}" for error in overall(accuracy)),
        f"{seconds:.0f}",
    )
    lines = []
    for k, column in enumerate(accuracy):
        x, kind = test.values[:, k], variable_of(column.column).name
        relative = (decoded[:, k] - x)[x != 0] / x[x != 0]
        known = published and kind in KINDS and len(accuracy) == len(KINDS)
        means = MEANS[options.network, options.normalisation] if known else ()
        figures = (
            column.width,
            np.median(relative),
            column.half_width,
            column.relative_largest,
        )
        mean = means[KINDS.index(kind)] if means else ""
        cells = [f"{x:.2e}" for x in figures]
        lines.append([*name, column.column, f"{-column.response:.2e}", mean, *cells])
    return lines


def published_error(options: Autoencoder, columns: int) -> str:
    """Return the published mean squared error of such a network, empty without one."""
    kind = (options.network, options.normalisation)
    if options.variational:
        return ""
    if columns > len(KINDS):
        return MANY.get(options.latent, "") if kind == ("leaky-relu-bn", "custom") else ""
    return FOUR.get(kind, "") if options.latent == 3 else ""


# -- second codecs --------------------------------------------------------------------------------


@script.command(
    "source",
    columns=[],
    preset="jets4",
    unit="GeV",
    bits=[8, 13, 20],
    latent=3,
    network="elu-bn",
    flow_epochs=30,
    epochs=100,
    effort="default",
)
def chaining(a: argparse.Namespace) -> None:
    """Compress the file of a published method with a second codec, and its values with flowtuple.

    Each method is fitted once, to the rows that it codes. "As it is" is its file, then the same
    with its numbers through zstd, LZMA and pcodec; "then flowtuple" is a flowtuple file of what it
    decodes to, lossless, which needs no network to be read. Bits per value count the whole file.
    Errors are those of what each file decodes to, over the standard deviation.
    """
    rows, formulas = preset_rows(a)
    options = Autoencoder(a.latent, network=a.network, unit=a.unit, formulas=formulas)
    options = replace(options, training=replace(options.training, epochs=a.epochs))
    latent = Latent(unit=a.unit, training=ft.Training(epochs=a.flow_epochs))
    flow, _ = fit_codec(rows, latent, 0, no_report)
    methods = {f"latent, N = {bits}": replace(flow, bits=bits) for bits in a.bits}
    methods[f"autoencoder, {a.latent}"], _ = fit_codec(rows, options, 0, no_report)
    print(f"{len(rows)} rows of {', '.join(rows.columns)}")
    second = [f"then {name}" for name in (*SECOND, "flowtuple")]
    show_header("method", "as it is", *second, "mean / std", "max / std")
    with tempfile.TemporaryDirectory() as folder:
        path, packed = Path(folder) / "x.ref", Path(folder) / "x.ftup"
        for name, codec in methods.items():
            written = [
                stored.write(replace(codec, then=then), rows, path)
                for then in (*SECOND, "")
            ]
            sizes = [one.bits_per_value for one in (written[-1], *written[:-1])]
            nbytes = ft.compress(path, packed, effort=a.effort).file_bytes
            sizes.append(8 * nbytes / rows.values.size)
            errors = [f"{error:.2e}" for error in overall(written[-1].accuracy)]
            show_row(name, *(f"{size:.3f}" for size in sizes), *errors)


def preset_rows(a: argparse.Namespace) -> tuple[Rows, dict[str, str]]:
    """Return the rows of the preset, and its formulas."""
    dataset, preset = open_dataset(a.source), reference_preset(a.preset)
    names = [c.name for table in dataset.tables.values() for c in table.columns]
    chosen = [
        n for n in names if not a.columns or any(Path(n).match(g) for g in a.columns)
    ]
    columns = preset.find(chosen, a.source)
    rows = read_rows(dataset, exactly=list(columns.values()))
    rows, _ = cut_rows(rows, preset.cuts, preset.values(rows, columns, a.unit))
    return rows, preset.formulas(columns, a.unit)


# -- sizes at equal mean error --------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """Size and errors of a codec; errors over std: mean over rows and columns, and the largest."""

    codec: str
    bits: float
    bare_bits: float | None
    mean: float
    largest: float


def point(
    codec: str,
    rows: Rows,
    nbytes: int,
    accuracy: tuple[Accuracy, ...],
    model: int | None = None,
) -> Point:
    """Return the figures of a codec from its bytes and the errors of its columns."""
    count = rows.values.size
    bare = None if model is None else 8 * (nbytes - model) / count
    return Point(codec, 8 * nbytes / count, bare, *overall(accuracy))


@script.command(
    "source",
    columns=[],
    unit="GeV",
    methods=OneOf(METHODS, METHODS),
    effort="default",
    baler_epochs=[25, 100],
    held_out=0.0,
    json=Path,
    seed=0,
)
def equal_error(a: argparse.Namespace) -> None:
    """Compare bits per value at equal mean error.

    Each method is trained on the rows that it codes, and everything that decoding needs is counted;
    "without model" leaves out weights, preprocessing and description. Errors are those of what the
    bytes decode to, over the column's standard deviation: the mean over rows and columns, and the
    largest of all. For SZ3, ZFP and quantise+pcodec a bound is sought for each column that brings
    their mean error there to the method's, from below; the lattice flow has the bounds of
    quantise+pcodec. A cell gives bits per value and the largest error, and the mean error where it
    is more than 2 % off: ZFP rounds bounds down to powers of two. SZ3, ZFP and quantise+pcodec
    count neither header nor numbers of objects; methods and the lattice flow count whole files, the
    flow with its model trained at --effort. With --held-out each method but Baler is trained once
    more, without that share of the events, and a row gives its errors on these.
    """
    rows = rows_of(a)
    print(f"{len(rows)} rows of {', '.join(rows.columns)}")
    own = ("bits per value", "without model", "mean / std", "max / std")
    show_header("method", *own, *(codec.name for codec in CODECS), "lattice flow")
    results = []
    for name, data, model, decoded in coded_by_methods(a, rows):
        accuracy = measure(rows, decoded)
        method = point(name, rows, len(data), accuracy, model)
        means = [c.mean for c in accuracy]
        sought = [at_equal_error(codec, rows, means) for codec in CODECS]
        with tempfile.TemporaryDirectory() as folder:
            file = lattice_file(a.source, rows, sought[-1][1], a.effort, Path(folder))
        others = [*(found for found, _ in sought), point("lattice flow", rows, *file)]
        bits = [f"{x:.3f}" for x in (method.bits, method.bare_bits)]
        errors = f"{method.mean:.2e}", f"{method.largest:.1e}"
        show_row(name, *bits, *errors, *(cell(p, method.mean) for p in others))
        results.append({"method": asdict(method), "others": [asdict(p) for p in others]})
    if a.held_out:
        show_held_out(a, rows)
    write_json(a.json, {"source": a.source, "rows": len(rows), "points": results})


def coded_by_methods(
    a: argparse.Namespace, rows: Rows
) -> Iterator[tuple[str, bytes, int, np.ndarray]]:
    """Yield name, bytes, bytes of the model among them, and decoded rows of each method."""
    bits = {name: LATENT[name] for name in LATENT if name in a.methods}
    if bits:  # one training serves every N
        codec, _ = fit_codec(rows, Latent(unit=a.unit), a.seed, no_report)
        for name, width in bits.items():
            data, model = stored.pack(replace(codec, bits=width), rows)
            yield name, data, model, stored.unpack(data, name).values
    for name in (name for name in AUTOENCODERS if name in a.methods):
        network, _ = fit_codec(rows, network_options(name, a.unit), a.seed, no_report)
        data, model = stored.pack(network, rows)
        yield name, data, model, stored.unpack(data, name).values
    for epochs in a.baler_epochs if "baler" in a.methods else ():
        method = BalerFiles("baler", options=Baler(epochs=epochs))
        data, model = method.pack(rows)
        yield f"baler, {epochs} epochs", data, model, method.unpack(data)


def network_options(name: str, unit: str) -> Autoencoder:
    """Return the options of an autoencoder by its name in the table."""
    network, normalisation = AUTOENCODERS[name]
    return Autoencoder(latent=3, network=network, normalisation=normalisation, unit=unit)


def bound_for(mean: float, error_at: Callable[[float], float]) -> Bound:
    """Return the largest `abs` bound at which the mean error is at most `mean`.

    The errors of a compressor that changes its method, as SZ3 does, fall here and there as bounds
    rise: bounds are tried from above until one fits, and between that one and the one before by
    bisection.
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


def error_at(codec: ColumnCodec, values: np.ndarray, amount: float) -> float:
    """Return the mean |residual| of a column at an `abs` bound."""
    bound = Bound("abs", amount)
    if codec is QUANTISE_PCODEC:  # its grid alone is enough
        decoded = restore(quantise_shifted(values, bound)[0], bound, values.dtype)
    else:
        decoded = codec.decompress(codec.compress(values, bound), values.dtype, bound)
    return float(np.abs(decoded.astype(np.float64) - values).mean())


def at_equal_error(
    codec: ColumnCodec, rows: Rows, means: list[float]
) -> tuple[Point, dict[str, Bound]]:
    """Return a codec's figures and bounds where each column's mean error is that of `means`."""
    bounds = {
        name: bound_for(mean, partial(error_at, codec, x.astype(dtype)))
        for name, x, dtype, mean in zip(
            rows.columns, rows.values.T, rows.dtypes, means, strict=True
        )
    }
    size, decoded = decoded_by(codec, rows, bounds)
    return point(codec.name, rows, size, measure(rows, decoded)), bounds


def cell(result: Point, mean: float) -> str:
    """Return bits and largest error, and the mean error where it is not the one sought."""
    off = f"; mean {result.mean:.1e}" if abs(result.mean / mean - 1) > 0.02 else ""
    return f"{result.bits:.2f} ({result.largest:.1e}{off})"


def show_held_out(a: argparse.Namespace, rows: Rows) -> None:
    """Train each method on some of the events; print its errors on these, and on the others."""
    print(f"\ntrained without {a.held_out:.0%} of the events")
    show_header("method", "mean, trained on", "max", "mean, held out", "max")
    test = shuffled_events(rows, a.seed) < a.held_out * rows.events
    parts = rows.some(~test), rows.some(test)
    options: dict[str, Latent | Autoencoder] = {
        n: Latent(LATENT[n], unit=a.unit) for n in LATENT if n in a.methods
    }
    options |= {n: network_options(n, a.unit) for n in AUTOENCODERS if n in a.methods}
    for name, method in options.items():
        codec, _ = fit_codec(parts[0], method, a.seed, no_report)
        cells: list[str] = []
        for part in parts:
            decoded = codec.decode(codec.encode(part.values), len(part))
            mean, most = overall(measure(part, decoded))
            cells += [f"{mean:.3e}", f"{most:.2e}"]
        show_row(name, *cells)


if __name__ == "__main__":
    script.main()
