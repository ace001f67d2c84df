"""What a second codec makes of a reference method's file, and flowtuple of the values that it decodes to.

usage: python bench/chaining.py FILE[:TREE] [--columns 'Jet_*'] [--preset jets4] [--unit MeV] [--bits 8 13 20] [--latent 3]
           [--network elu-bn] [--flow-epochs 30] [--epochs 100] [--effort default]

Each method is fitted once, to the rows that it codes. "as it is" is its file, then the same with its numbers through zstd, LZMA
and pcodec; "then flowtuple" is a flowtuple file of what it decodes to, lossless, which needs no network to be read. Bits per
value count the whole file. Errors are those of what each file decodes to, over the standard deviation.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import flowtuple as ft
from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import overall
from flowtuple.benchmark.published.filters import cut_rows
from flowtuple.benchmark.published.fitting import fit_codec
from flowtuple.benchmark.published.options import SECOND, Autoencoder, Latent
from flowtuple.benchmark.published.presets import reference_preset
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.io.source import open_dataset


def rows_of(a: argparse.Namespace) -> tuple[Rows, dict[str, str]]:
    """The preset's rows, and its formulas."""
    dataset, preset = open_dataset(a.source), reference_preset(a.preset)
    names = [c.name for table in dataset.tables.values() for c in table.columns]
    columns = preset.find(
        [n for n in names if not a.columns or any(Path(n).match(g) for g in a.columns)], a.source
    )
    rows = read_rows(dataset, exactly=list(columns.values()))
    return cut_rows(rows, preset.cuts, preset.values(rows, columns, a.unit))[0], preset.formulas(
        columns, a.unit
    )


def main() -> None:
    """Print a table row for each method and second codec."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--preset", default="jets4")
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--bits", type=int, nargs="*", default=[8, 13, 20])
    parser.add_argument("--latent", type=int, default=3)
    parser.add_argument("--network", default="elu-bn")
    parser.add_argument("--flow-epochs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--effort", default="default")
    a = parser.parse_args()
    rows, formulas = rows_of(a)
    asked = Autoencoder(a.latent, network=a.network, unit=a.unit, formulas=formulas)
    asked = replace(asked, training=replace(asked.training, epochs=a.epochs))
    flow = fit_codec(
        rows,
        Latent(unit=a.unit, training=ft.Training(epochs=a.flow_epochs)),
        0,
        lambda share, loss: None,
    )[0]
    network = fit_codec(rows, asked, 0, lambda share, loss: None)[0]
    methods = {f"latent, N = {bits}": replace(flow, bits=bits) for bits in a.bits} | {
        f"autoencoder, {a.latent}": network
    }
    print(f"{len(rows)} rows of {', '.join(rows.columns)}")
    print(
        "| method | as it is | "
        + " | ".join(f"then {t}" for t in SECOND)
        + " | then flowtuple | mean / std | max / std |"
    )
    print("|---|" + "---:|" * (len(SECOND) + 4))
    with tempfile.TemporaryDirectory() as folder:
        path, packed = Path(folder) / "x.ref", Path(folder) / "x.ftup"
        for name, codec in methods.items():
            sizes = [
                stored.write(replace(codec, then=then), rows, path).bits_per_value
                for then in ("", *SECOND)
            ]
            found = stored.write(codec, rows, path)
            sizes.append(
                8 * ft.compress(path, packed, effort=a.effort).file_bytes / rows.values.size
            )
            mean, most = overall(found.accuracy)
            print(
                f"| {name} | "
                + " | ".join(f"{size:.3f}" for size in sizes)
                + f" | {mean:.2e} | {most:.2e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
