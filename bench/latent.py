"""The latent codec (flow -> Gaussian -> erf -> N-bit integers): sizes, errors and what they depend
on.

Each command fits the codec to the rows that it codes, unless it says otherwise. A file holds
everything that decoding needs: weights (float32), preprocessing, scale and description. Errors
are those of what the file decodes to, over the standard deviation of the column: a mean over
rows and columns, and the largest of all. With -o DIR a command writes JSON and drawings there.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import latent_drawings
import numpy as np
import torch
from commands import (
    OneOf,
    Script,
    decoded_by,
    lattice_file,
    no_report,
    overall,
    rows_of,
    save,
    show_header,
    show_row,
    timed,
)
from scipy.stats import kurtosis, normaltest, skew

import flowtuple as ft
from flowtuple.baseline.quantise import round_mantissa
from flowtuple.benchmark.codecs.grids import QUANTISE_PCODEC
from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import Accuracy, measure
from flowtuple.benchmark.published.erf_codes import largest, to_codes
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.options import MODELS, SCALES, Latent
from flowtuple.benchmark.published.stored import fit_codec
from flowtuple.data.bounds import Bound
from flowtuple.data.rows import Rows
from flowtuple.flows.fit import Fitted
from flowtuple.flows.options import Shape

SOURCE = "github.com/igordt/CMEPDA, cmepda/originale_model{1,2}.ipynb, last cell"
ABOUT = "five test sets of 200,000 CMS jets (p_T, eta, phi, mass), N = 13"
PUBLISHED = {  # ratio by number of the model and kind of file, mean and deviation over test sets
    1: {".txt": "2.682 +- 0.011", ".npz": "2.309 +- 0.0048"},
    2: {".txt": "2.702 +- 0.0067", ".npz": "2.308 +- 0.0035"},
}
MANTISSA = 23  # bits of a float32
COUNT = 4  # bytes of the number of objects of an event, raw
RATIOS = ("file", "codes", ".npz", ".txt", "savetxt")
ERRORS = ("latent", "gzip as the file", "gzip as the codes")
REPEATED = ("R file", "R codes", ".npz", ".txt", "mean / std", "largest / std")
THREE = ("mean", "width", "largest")
COMMON = {
    "columns": [],
    "unit": "GeV",
    "epochs": 30,
    "seed": 0,
    "truncate": False,
    "scale": OneOf(SCALES, "column"),
}
script = Script(__doc__)


def fit(
    a: argparse.Namespace, rows: Rows, model: int | Shape, seed: int, patience: int = 15
) -> tuple[LatentCodec, Fitted]:
    """Train a codec on rows, with 13 bits unless --bits is one number."""
    options = Latent(
        a.bits if isinstance(a.bits, int) else 13,
        model=model,
        truncate=a.truncate,
        unit=a.unit,
        training=ft.Training(epochs=a.epochs, patience=patience),
        scale=a.scale,
    )
    codec, fitted = fit_codec(rows, options, seed, no_report)
    if not isinstance(codec, LatentCodec):
        raise TypeError("the options are those of a latent codec")
    return codec, fitted


def codes_of(codec: LatentCodec, z: np.ndarray, bits: int) -> np.ndarray:
    """Return the codes of latent rows, int64 of shape (n, d)."""
    return to_codes(
        z, largest(z, by_column=codec.scale == "column"), bits, truncate=codec.truncate
    )


def encode_rows(codec: LatentCodec, rows: Rows) -> stored.Encoded:
    """Write the file of a codec and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        return stored.write(codec, rows, Path(folder) / "x.ref")


def show_input(a: argparse.Namespace, rows: Rows) -> None:
    """Print one line on the rows and the flow."""
    settings = f"model {a.model}, {a.epochs} epochs, scale by {a.scale}"
    print(f"{len(rows)} rows of {', '.join(rows.columns)}; {settings}")


# -- sizes ----------------------------------------------------------------------------------------


@script.command(
    "source",
    **COMMON,
    model=1,
    bits=list(range(1, 32)),
    lattice=[13, 20],
    effort="default",
)
def scan(a: argparse.Namespace) -> None:
    """Compare the latent codec with other codecs at equal mean error, for each N.

    The other codecs get for each column the absolute bound of twice the codec's mean |residual|
    there: values that are spread evenly over their cells then have the same mean |residual|.
    quantise+pcodec has no header and no counts of objects; the lattice flow is the whole file, its
    model trained at --effort, for the N of --lattice. "Without model" leaves out weights,
    preprocessing and description, as the published ratios do.
    """
    rows = rows_of(a)
    (codec, fitted), seconds = timed(lambda: fit(a, rows, a.model, a.seed))
    loss = min(loss for _, _, loss in fitted.history)
    show_input(a, rows)
    print(f"{seconds:.1f} s of training, held-out loss {loss:.4f} nats per row")
    show_header(
        "codec",
        "N",
        "raw / file",
        "bits per value",
        "without model",
        "mean / std",
        "max / std",
    )
    for bits in a.bits:
        encoded = encode_rows(replace(codec, bits=bits), rows)
        bounds = {
            c.column: Bound("abs", 2 * c.mean) if c.mean > 0 else Bound()
            for c in encoded.accuracy
        }
        nbytes, decoded = decoded_by(QUANTISE_PCODEC, rows, bounds)
        results = {
            "latent": (encoded.file_bytes, encoded.accuracy),
            "quantise+pcodec": (nbytes, measure(rows, decoded)),
        }
        if bits in a.lattice:
            with tempfile.TemporaryDirectory() as folder:
                results["lattice flow"] = lattice_file(
                    a.source, rows, bounds, a.effort, Path(folder)
                )
        for name, (size, accuracy) in results.items():
            bare = size - encoded.model_bytes
            show_row(
                name,
                bits,
                f"{encoded.raw_bytes / size:.3f}",
                f"{8 * size / rows.values.size:.3f}",
                f"{8 * bare / rows.values.size:.3f}" if name == "latent" else "",
                *(f"{error:.3e}" for error in overall(accuracy)),
            )


@dataclass(frozen=True)
class InputSizes:
    """Sizes of the rows in the kinds of files that published ratios were measured on.

    The public notebooks of the latent codec divide the size of the input, written as decimal
    numbers (its source has 12 digits of each float32), by that of the codes, written as decimal
    integers; or float64 by int64 values, both in a compressed .npz.

    Attributes:
        text: With 12 digits.
        savetxt: As np.savetxt writes by itself, with 19 digits.
        npz: float64 in a compressed .npz.
    """

    text: int
    savetxt: int
    npz: int

    @classmethod
    def measure(cls, values: np.ndarray) -> InputSizes:
        """Measure rows of shape (n, d)."""
        rounded = np.array([float(f"{value:.12g}") for value in values.ravel()])
        npz = npz_bytes(rounded.reshape(values.shape))
        return cls(text_bytes(values, "%.12g"), text_bytes(values, "%.18e"), npz)

    def ratios(self, codes: np.ndarray) -> dict[str, float]:
        """Return the ratio by kind of file, codes being written in the same kind."""
        text, npz = text_bytes(codes, "%d"), npz_bytes(codes)
        return {
            ".txt": self.text / text,
            "savetxt": self.savetxt / text,
            ".npz": self.npz / npz,
        }


def text_bytes(values: np.ndarray, form: str) -> int:
    """Return the bytes of a text with one row a line."""
    stream = io.BytesIO()
    np.savetxt(stream, values, form)
    return stream.tell()


def npz_bytes(values: np.ndarray) -> int:
    """Return the bytes of a compressed .npz."""
    stream = io.BytesIO()
    np.savez_compressed(stream, data=values)
    return stream.tell()


@dataclass(frozen=True)
class Gzipped:
    """Rows with rounded mantissas under gzip.

    Attributes:
        bits: Explicit bits of the mantissas.
        ratio: Raw bytes over those of gzip, counts of objects among both.
        accuracy: Errors of the rounded values.
    """

    bits: int
    ratio: float
    accuracy: tuple[Accuracy, ...]


def gzip_rows(rows: Rows) -> list[Gzipped]:
    """Compress at every number of mantissa bits, the most first; each column alone at level 9."""
    counts = np.bincount(rows.event, minlength=rows.events).astype(np.int32)
    extra = 0 if rows.counter is None else len(gzip.compress(counts.tobytes(), 9))
    raw = 4 * rows.values.size + (0 if rows.counter is None else COUNT * rows.events)
    results = []
    for bits in range(MANTISSA, -1, -1):
        rounded = [
            round_mantissa(column.astype(np.float32), bits) for column in rows.values.T
        ]
        size = extra + sum(len(gzip.compress(column.tobytes(), 9)) for column in rounded)
        accuracy = measure(rows, np.stack(rounded, axis=1).astype(np.float64))
        results.append(Gzipped(bits, raw / size, accuracy))
    return results


@script.command("source", **COMMON, model=1, bits=list(range(1, 32)), output=Path)
def ratio(a: argparse.Namespace) -> None:
    """Measure the compression ratio over N: true, as published, and of gzip at equal ratio.

    R is raw float32 columns over the whole file; "codes" leaves the model out. R of .txt, savetxt
    and .npz is input over codes, both written in that kind of file. gzip is of raw columns with
    mantissas rounded to as many bits as make it at least as small, once as the whole file and
    once as the codes.
    """
    rows = rows_of(a)
    codec, _ = fit(a, rows, a.model, a.seed)
    show_input(a, rows)
    headings = [f"{name} {which}" for name in ERRORS for which in ("mean", "largest")]
    show_header("N", *(f"R {name}" for name in RATIOS), *headings)
    sizes, gzipped, z = (
        InputSizes.measure(rows.values),
        gzip_rows(rows),
        codec.latent(rows.values),
    )
    results = []
    for bits in a.bits:
        row = ratio_row(rows, replace(codec, bits=bits), sizes, gzipped, z)
        results.append(row)
        cells = [f"{row['ratio'][name]:.3f}" for name in RATIOS]
        for name in ERRORS:
            cells += [f"{error:.2e}" for error in row["error"][name] or ()] or ["", ""]
        show_row(bits, *cells)
    ratios = {name: [row["ratio"][name] for row in results] for name in RATIOS}
    curves = {f"{name}, mean": error_curve(results, name, 0) for name in ERRORS}
    curves["latent, largest"] = error_curve(results, "latent", 1)
    lines = latent_drawings.lines_png
    save(
        a.output,
        "ratio",
        results,
        ratio=lambda: lines(
            a.bits, ratios, "Compression ratio", logarithmic=True, line=1.0
        ),
        error=lambda: lines(a.bits, curves, "|Difference| / std", logarithmic=True),
    )


def ratio_row(
    rows: Rows,
    codec: LatentCodec,
    sizes: InputSizes,
    gzipped: list[Gzipped],
    z: np.ndarray,
) -> dict[str, Any]:
    """Return ratios and errors at one N."""
    encoded = encode_rows(codec, rows)
    codes = encoded.raw_bytes / (encoded.file_bytes - encoded.model_bytes)
    wanted = {"gzip as the file": encoded.ratio, "gzip as the codes": codes}
    equal = {
        name: next((one for one in gzipped if one.ratio >= least), None)
        for name, least in wanted.items()
    }
    errors = {name: one and overall(one.accuracy) for name, one in equal.items()}
    return {
        "N": codec.bits,
        "ratio": {
            "file": encoded.ratio,
            "codes": codes,
            **sizes.ratios(codes_of(codec, z, codec.bits)),
        },
        "error": {"latent": overall(encoded.accuracy), **errors},
        "mantissa": {name: one and one.bits for name, one in equal.items()},
    }


def error_curve(
    results: list[dict[str, Any]], name: str, place: int
) -> list[float | None]:
    """Return the mean (place 0) or largest (1) errors over N, `None` where there are none."""
    return [row["error"][name] and row["error"][name][place] for row in results]


@script.command("source", **COMMON, models=[1, 2], bits=13, sets=5, train=0.5)
def repeats(a: argparse.Namespace) -> None:
    """Train on some of the events, and code several sets of others.

    Events are drawn at random for training; the others are divided evenly. R is as in `ratio`.
    The published scale is fitted to each set, as it is here, and so is the published
    preprocessing, which here is that of the training.
    """
    rows = rows_of(a)
    place = (
        np.random.default_rng(a.seed).permutation(rows.events)[rows.event] / rows.events
    )
    train = rows.some(place < a.train)
    part = np.floor((place - a.train) / (1 - a.train) * a.sets).astype(int)
    tests = [
        renumbered(rows.some((place >= a.train) & (part == k))) for k in range(a.sets)
    ]
    print(
        f"{len(train)} rows of {', '.join(rows.columns)} to train on; N = {a.bits}, ",
        end="",
    )
    print(f"{a.epochs} epochs, scale by {a.scale}\npublished: {ABOUT} ({SOURCE})")
    show_header("model", "test set", *REPEATED, text=2)
    for model in a.models:
        show_repeats(a, model, train, tests)


def show_repeats(
    a: argparse.Namespace, model: int, train: Rows, tests: list[Rows]
) -> None:
    """Print the rows of one model."""
    codec, _ = fit(a, train, model, a.seed)
    forms = ["{:.3f}" if name.startswith(("R", ".")) else "{:.2e}" for name in REPEATED]
    results = []
    for number, rows in enumerate(tests, 1):
        encoded, z = encode_rows(codec, rows), codec.latent(rows.values)
        published = InputSizes.measure(rows.values).ratios(codes_of(codec, z, codec.bits))
        codes = encoded.raw_bytes / (encoded.file_bytes - encoded.model_bytes)
        figures = [encoded.ratio, codes, published[".npz"], published[".txt"]]
        results.append([*figures, *overall(encoded.accuracy)])
        cells = [form.format(x) for form, x in zip(forms, results[-1], strict=True)]
        show_row(model, f"set {number}, {len(rows)} rows", *cells)
    pairs = zip(forms, np.mean(results, axis=0), np.std(results, axis=0), strict=True)
    spreads = [
        f"{form.format(mean)} +- {form.format(spread)}" for form, mean, spread in pairs
    ]
    show_row(model, "mean and spread", *spreads)
    if a.bits == 13:
        known = PUBLISHED[model]
        show_row(model, "published", "", "", known[".npz"], known[".txt"], "", "")


def renumbered(rows: Rows) -> Rows:
    """Return the same rows, their events numbered without a gap."""
    events, event = np.unique(rows.event, return_inverse=True)
    return replace(rows, event=event, events=len(events))


# -- errors ---------------------------------------------------------------------------------------


@script.command("source", **COMMON, bits=13, seeds=5)
def choices(a: argparse.Namespace) -> None:
    """Show how errors depend on choices that the publication leaves open, and on chance.

    Both models are fitted with each seed; each fit is coded with a scale for each column and with
    one for all, rounded and truncated. Printed are the smallest and largest over the seeds.
    "Inside" is the largest error of rows none of whose codes is the outermost one of its column.
    """
    rows = rows_of(a)
    print(f"{len(rows)} rows of {', '.join(rows.columns)}, N = {a.bits}, {a.seeds} seeds")
    show_header(
        "model", "scale", "codes", "mean / std", "largest / std", "inside / std", text=3
    )
    for model in MODELS:
        fits = [fit(a, rows, model, seed)[0] for seed in range(a.seeds)]
        latents = [codec.latent(rows.values) for codec in fits]
        for scale, truncate in product(SCALES, (False, True)):
            errors = [
                choice_errors(replace(codec, scale=scale, truncate=truncate), rows, z)
                for codec, z in zip(fits, latents, strict=True)
            ]
            limits = zip(np.min(errors, axis=0), np.max(errors, axis=0), strict=True)
            ranges = [f"{low:.2e} to {high:.2e}" for low, high in limits]
            show_row(model, scale, "truncated" if truncate else "rounded", *ranges)


def choice_errors(
    codec: LatentCodec, rows: Rows, z: np.ndarray
) -> tuple[float, float, float]:
    """Return the mean error, the largest, and the largest without the outermost codes."""
    decoded = codec.decode(codec.encode(rows.values), len(rows))
    off = np.abs(decoded - rows.values) / rows.values.std(axis=0)
    codes = np.abs(codes_of(codec, z, codec.bits))
    inside = (codes < codes.max(axis=0)).all(axis=1)
    return float(off.mean()), float(off.max()), float(off[inside].max())


@script.command(
    "source",
    **COMMON,
    layers=[2, 4, 6, 8],
    hidden=[16, 32, 64, 128],
    bits=13,
    output=Path,
)
def grid(a: argparse.Namespace) -> None:
    """Train the grid of 16 flows that the latent codec was chosen from.

    Every flow is trained for all epochs on nine tenths of the events; the loss in nats per row is
    of the tenth held out, at the best epoch. Parameters are those that the masks let through.
    """
    rows, results = rows_of(a), []
    print(
        f"{len(rows)} rows of {', '.join(rows.columns)}, {a.epochs} epochs, N = {a.bits}"
    )
    sizes = ("parameters", "model bytes", "seconds", "best epoch", "held-out loss")
    show_header("layers x hidden", *sizes, f"mean / std at N = {a.bits}", "largest / std")
    for layers, hidden in product(a.layers, a.hidden):
        one = grid_flow(a, rows, layers, hidden)
        results.append(one)
        show_row(
            f"{layers} x {hidden}",
            one["parameters"],
            one["model_bytes"],
            f"{one['seconds']:.1f}",
            one["best_epoch"],
            f"{one['loss']:.4f}",
            f"{one['mean']:.2e}",
            f"{one['largest']:.2e}",
        )
    save(a.output, "grid", results, grid=lambda: latent_drawings.losses_png(results))


def grid_flow(
    a: argparse.Namespace, rows: Rows, layers: int, hidden: int
) -> dict[str, Any]:
    """Fit one flow and measure it."""
    shape = Shape(transforms=layers, hidden=(hidden, hidden), permute=True)
    codec, fitted = fit(a, rows, shape, a.seed, patience=0)
    encoded = encode_rows(codec, rows)
    mean, most = overall(encoded.accuracy)
    losses = [loss for _, _, loss in fitted.history]
    return {
        "layers": layers,
        "hidden": hidden,
        "parameters": count_parameters(codec.model.flow),
        "seconds": fitted.seconds,
        "model_bytes": encoded.model_bytes,
        "ratio": encoded.ratio,
        "best_epoch": fitted.best_epoch,
        "loss": min(losses),
        "mean": mean,
        "largest": most,
        "held_out": losses,
        "training": [loss for _, loss, _ in fitted.history],
    }


def count_parameters(flow: torch.nn.Module) -> int:
    """Count weights that are not behind a mask, and biases."""
    masks = {
        id(m.weight): int(m.mask.sum())
        for m in flow.modules()
        if isinstance(getattr(m, "mask", None), torch.Tensor)
    }
    return sum(masks.get(id(p), p.numel()) for p in flow.parameters())


@script.command("source", **COMMON, model=1, bits=[4, 8, 13], output=Path)
def normality(a: argparse.Namespace) -> None:
    """Test how normal the latent columns are before and after compression.

    D'Agostino and Pearson's s^2 + k^2 of each latent column with its p-value: about 2 for a normal
    column, with a uniform p-value. With many rows a statistic of a hundred is no large departure:
    skewness and excess kurtosis say how large it is.
    """
    rows = rows_of(a)
    codec, _ = fit(a, rows, a.model, a.seed)
    show_input(a, rows)
    before, after = codec.latent(rows.values), {}
    for bits in a.bits:
        coded = replace(codec, bits=bits)
        after[f"N = {bits}"] = coded.decode_latent(coded.encode(rows.values), len(rows))
    show_header("latent column", "skewness", "excess kurtosis", "before", *after)
    results = []
    for k, name in enumerate(rows.columns):
        tests = {
            label: normaltest(z[:, k]) for label, z in {"before": before, **after}.items()
        }
        moments = float(skew(before[:, k])), float(kurtosis(before[:, k]))
        cells = [f"{t.statistic:.1f} (p {t.pvalue:.1e})" for t in tests.values()]
        show_row(name, *(f"{m:+.3f}" for m in moments), *cells)
        figures = {n: (float(t.statistic), float(t.pvalue)) for n, t in tests.items()}
        results.append({"column": name, "moments": moments, **figures})
    shown = dict(list(after.items())[-2:])  # coarser ones hide the others
    latents = np.asarray(before)
    save(
        a.output,
        "normality",
        results,
        normality=lambda: latent_drawings.latents_png(latents, shown, rows.columns),
    )


@script.command("source", **COMMON, model=1, bits=[13, 20], output=Path)
def response(a: argparse.Namespace) -> None:
    """Measure difference and response of each variable.

    Difference = original - decompressed, in the column's unit; response = difference / original,
    values that are 0 left out and counted. Mean, width (standard deviation) and largest absolute
    one of each. Rows of which a value does not come back finite are left out of means and widths
    and counted below the table; the largest is of all. The histograms of -o leave out the half per
    cent farthest out.
    """
    rows = rows_of(a)
    codec, _ = fit(a, rows, a.model, a.seed)
    show_input(a, rows)
    differences = [f"difference {x}" for x in THREE]
    show_header(
        "column",
        "N",
        *differences,
        "largest / std",
        *(f"response {x}" for x in THREE),
        "zeros",
    )
    kinds: dict[str, dict[str, np.ndarray]] = {"difference": {}, "response": {}}
    left_out: dict[str, int] = {}
    results: list[dict[str, Any]] = []
    for bits in a.bits:
        coded, label = replace(codec, bits=bits), f"N = {bits}"
        decoded = coded.decode(coded.encode(rows.values), len(rows))
        off = rows.values - decoded
        relative = off / np.where(rows.values == 0, np.nan, rows.values)
        kinds["difference"][label], kinds["response"][label] = off, relative
        columns, left_out[label] = response_figures(rows, decoded, relative)
        for one in columns:
            numbers = (*one["difference"], one["of_std"], *one["response"])
            show_row(one["column"], bits, *(f"{x:.2e}" for x in numbers), one["zeros"])
            results.append({"N": bits, **one})
    counts = ", ".join(f"{count} at {label}" for label, count in left_out.items())
    print(f"rows left out of means and widths: {counts}")
    labels = ("Difference of", "Response of")
    save(
        a.output,
        "response",
        {"columns": results, "left_out": left_out},
        response=lambda: latent_drawings.residuals_png(kinds, rows.columns, labels),
    )


def response_figures(
    rows: Rows, decoded: np.ndarray, relative: np.ndarray
) -> tuple[list[dict[str, Any]], int]:
    """Return mean, width and largest of each column, and the number of rows that are left out."""
    finite = np.isfinite(decoded).all(axis=1)
    pairs = zip(
        measure(rows.some(finite), decoded[finite]), measure(rows, decoded), strict=True
    )
    results = []
    for k, (inside, every) in enumerate(pairs):
        most = np.abs(relative[rows.values[:, k] != 0, k]).max(initial=0.0)
        results.append(
            {
                "column": every.column,
                "difference": (inside.bias, inside.spread, every.largest),
                "of_std": every.relative_largest,
                "response": (inside.response, inside.width, float(most)),
                "zeros": every.zeros,
            }
        )
    return results, int((~finite).sum())


if __name__ == "__main__":
    script.main()
