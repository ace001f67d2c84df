"""How well anomalies are found before and after each codec: does compression make them look normal?

usage: python bench/anomaly_after.py FILE[:TREE] --anomaly 'response > 0.5' [--columns 'Jet_*'] [--exclude ...] [--where CUT]
           [--flow lattice] [--bound rel:1e-2] [--effort default] [--latent 8] [--epochs 60] [--std 1e-3 1e-2 0.1 0.3 1]
           [--bits 8 13 20] [--mantissa 10 6 4 2 1] [--seed 0]

Rows that meet --anomaly are what is looked for; the columns that it names are shown to nobody. Events are split 60 to 40, at
random but the same each time. A flow (the lattice flow, or one over rows such as nsf) and an autoencoder learn the normal rows
of the first part, not compressed; their scores, -log p and reconstruction error, judge the second part before and after each
codec. `flowtuple` and `rounding` move values as the codec does (`snap`), SZ3 and ZFP have the same absolute bounds. The latent
codec and the autoencoder codec have learned the normal rows of the first part, as a trigger would; the latter has a seed of its
own, beside which stands the network that scores. Areas under the ROC curve have DeLong's 95 % intervals, jets of an event
counting as one; the change is of the same rows, so that its interval is narrower. "Zeros kept" is the share of values 0 that
stay 0.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import flowtuple as ft
from flowtuple.benchmark.codecs import sz3, zfp
from flowtuple.benchmark.codecs.rival import PerColumn, is_available
from flowtuple.benchmark.published.accuracy import measure, overall
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.filters import cut_rows
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.comparison.two_sample.auc import area_under_roc, gained_area
from flowtuple.data.expressions import cut_columns, evaluate
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Bound
from flowtuple.io.source import open_dataset

Score = Callable[[Array], Array]


def columns_of(rows: Rows, values: Array) -> dict[str, Array]:
    """Rows as columns of their own types."""
    return {name: values[:, k].astype(rows.dtypes[k]) for k, name in enumerate(rows.columns)}


def silent(share: float, loss: float) -> None:
    """Tell nobody of an epoch."""


def autoencoder(a: argparse.Namespace, normal: Rows, seed: int) -> AutoencoderCodec:
    """A network that has learned the normal rows."""
    training = ft.Training(
        epochs=a.epochs, batch=256, weight_decay=1e-2, schedule="one-cycle", patience=0
    )
    asked = Autoencoder(a.latent, network="elu-bn", normalisation="standard", training=training)
    return AutoencoderCodec.fit(normal, asked, seed, silent)[0]


def flow_score(a: argparse.Namespace, normal: Rows, folder: Path) -> Score:
    """-log p of each row under a flow of the normal ones."""
    model, columns = folder / "normal.flow", columns_of(normal, normal.values)
    if a.flow == "lattice":
        ft.train(columns, model, tolerance={"*": a.bound}, effort=a.effort)
    else:
        ft.train_flow(
            columns, model, flow=ft.RowFlow(a.flow, training=ft.Training(epochs=a.epochs))
        )
    return lambda values: (
        -np.asarray(ft.score(model, columns_of(normal, values))["log_prob"], np.float64)
    )


def snapped(rows: Rows, bound: str) -> Array:
    """Values as flowtuple gives them back."""
    events = ft.snap(columns_of(rows, rows.values), {"*": bound})
    return np.stack([np.asarray(events[name], np.float64) for name in rows.columns], axis=1)


def by_rival(rows: Rows, rival: PerColumn, std: float) -> Array:
    """Values as a classical codec gives them back, floats within so many standard deviations."""
    out = []
    for name, x in columns_of(rows, rows.values).items():
        amount = std * float(rows.values[:, rows.columns.index(name)].std())
        bound = Bound("abs", amount) if x.dtype.kind == "f" and amount > 0 else Bound()
        out.append(
            rival.decode_column(rival.encode_column(x, bound), x.dtype, bound).astype(np.float64)
        )
    return np.stack(out, axis=1)


def compressed(
    a: argparse.Namespace, normal: Rows, test: Rows, scores: AutoencoderCodec
) -> Iterator[tuple[str, str, Array]]:
    """Codec, setting and what becomes of the rows."""
    for std in a.std:
        yield "flowtuple", f"std:{std:g}", snapped(test, f"std:{std:g}")
        for rival in filter(is_available, (sz3.RIVAL, zfp.RIVAL)):
            yield rival.name, f"std:{std:g}", by_rival(test, rival, std)
    for bits in a.mantissa:
        yield "rounding", f"bits:{bits}", snapped(test, f"bits:{bits}")
    latent = LatentCodec.fit(normal, Latent(), a.seed, silent)[0]
    for bits in a.bits:
        codec = replace(latent, bits=bits)
        yield "latent", f"N = {bits}", codec.decode(codec.encode(test.values), len(test))
    for name, network in {
        "autoencoder": autoencoder(a, normal, a.seed + 1),
        "the one that scores": scores,
    }.items():
        yield name, f"{a.latent} numbers", network.decode(network.encode(test.values), len(test))


def judged(
    scores: dict[str, Score], before: dict[str, Array], after: Array, wanted: Array, event: Array
) -> str:
    """Cells of the table: area and change of each score."""
    cells = []
    for name, score in scores.items():
        found = score(after)
        gained = gained_area(before[name], found, wanted, event)
        area = area_under_roc(found, wanted, None, event)
        cells += [
            f"{area.value:.4f}",
            f"{gained.value:+.4f} ({gained.low:+.4f} to {gained.high:+.4f})",
        ]
    return " | ".join(cells)


def main() -> None:
    """Print a table row for each codec and setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--anomaly", required=True)
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--exclude", nargs="*", default=[])
    parser.add_argument("--where", nargs="*", default=[])
    parser.add_argument("--flow", default="lattice")
    parser.add_argument("--bound", default="rel:1e-2")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--latent", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--std", type=float, nargs="*", default=[1e-3, 1e-2, 0.1, 0.3, 1.0])
    parser.add_argument("--bits", type=int, nargs="*", default=[8, 13, 20])
    parser.add_argument("--mantissa", type=int, nargs="*", default=[10, 6, 4, 2, 1])
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    everything, _ = cut_rows(read_rows(open_dataset(a.source), a.columns), a.where)
    anomalous = evaluate(
        a.anomaly, dict(zip(everything.columns, everything.values.T, strict=True)), a.source
    )
    hidden = cut_columns(a.anomaly) | set(a.exclude)
    rows = everything.only([name for name in everything.columns if name not in hidden])
    first = (np.random.default_rng(a.seed).permutation(rows.events) < 0.6 * rows.events)[rows.event]
    normal, test, wanted = rows.some(first & ~anomalous), rows.some(~first), anomalous[~first]
    print(
        f"{len(normal)} normal rows learned; {int(wanted.sum())} anomalies among {len(test)} to judge",
        end="; ",
    )
    print(f"{len(rows.columns)} columns: {', '.join(rows.columns)}")
    with tempfile.TemporaryDirectory() as folder:
        network = autoencoder(a, normal, a.seed)
        scores = {
            "flow": flow_score(a, normal, Path(folder)),
            "autoencoder": network.reconstruction_error,
        }
        before = {name: score(test.values) for name, score in scores.items()}
        for name, found in before.items():
            print(f"before, {name}: {area_under_roc(found, wanted, None, test.event)}", flush=True)
        print(
            "| codec | setting | mean / std | max / std | zeros kept | flow | change | autoencoder | change |"
        )
        print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
        for codec, setting, after in compressed(a, normal, test, network):
            mean, most = overall(measure(test, after))
            zeros = f"{np.mean(after[test.values == 0] == 0):.3f}"
            areas = judged(scores, before, after, wanted, test.event)
            print(
                f"| {codec} | {setting} | {mean:.1e} | {most:.1e} | {zeros} | {areas} |", flush=True
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
