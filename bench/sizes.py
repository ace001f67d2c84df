"""Bytes of flowtuple beside its rivals on the same values at the same bounds, every byte of the file counted.

usage: python bench/sizes.py [--effort fast|default|best] [--bound std:2.88e-3]... [FILE ...]

Without files the embedded sample is measured. Rivals count their payload only: no container, no header.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import flowtuple as ft
from flowtuple.io.source import open_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.report import totals
from flowtuple.samples import sample_path


def measure(path: Path, bound: str, effort: str) -> dict[str, Any]:
    """Sizes in bytes and ratios for one file at one bound."""
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "out.ftup"
        ft.compress(
            path, packed, tolerance={} if bound == "lossless" else {"*": bound}, effort=effort
        )
        with ft.open(packed) as file:
            return totals(report_input(open_dataset(path), file, ""))


COLUMNS = ("bits_per_value", "bytes", "model_bytes", "gzip", "quantise+pcodec", "violations")


def main() -> None:
    """Print one table row per file and bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument(
        "--bound",
        action="append",
        help="repeat for several; default: lossless, std:2.88e-3, rel:1e-3",
    )
    parser.add_argument("--effort", default="default")
    arguments = parser.parse_args()
    print(
        "| file | bound | bits/value | bytes | of it model | gzip | quantise+pcodec | outside bound | ours / q+pcodec |"
    )
    print("|---|---|" + "---:|" * 7)
    for path in arguments.files or [sample_path()]:
        for bound in arguments.bound or ["lossless", "std:2.88e-3", "rel:1e-3"]:
            row = measure(path, bound, arguments.effort)
            numbers = " | ".join(
                f"{row[c]:.3f}" if c == "bits_per_value" else f"{row[c]}" for c in COLUMNS
            )
            ratio = row["bytes"] / row["quantise+pcodec"]
            print(f"| {path.name} | {bound} | {numbers} | {ratio:.4f} |", flush=True)


if __name__ == "__main__":
    main()
