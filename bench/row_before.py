"""What the row before would tell of event columns, against what they cost today.

usage: python bench/row_before.py FILE... [--bound std:2.88e-3] [--effort fast]

Of each file: bytes of its event columns and of its ids, as shares of the file; and the most that the row before could save,
which is the information between the levels of a column in one event and the event before, bias corrected, no more than what
the column costs now. Columns that pcodec stores see earlier rows already, as differences, so that they are listed apart.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import flowtuple as ft
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset
from flowtuple.lattice.bins import fit_bins
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.selection import information

LEAST = 0.003  # bits; below, it is noise


def measure(source: str, bound: str, effort: str) -> dict[str, float]:
    """Bytes of the whole file, of event columns, of ids, and what could be saved at columns of the flow and at others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.ftup"
        whole = ft.compress(source, path, tolerance={"*": bound}, effort=effort).file_bytes
        stored = {t["name"]: t["columns"] for t in ft.info(path)["tables"]}
    out = {
        "file": float(whole),
        "event columns": 0.0,
        "ids": 0.0,
        "saved by flow": 0.0,
        "saved elsewhere": 0.0,
    }
    for prepared in resolve_tables(open_dataset(source), {"*": bound}, silent):
        table = read_all(prepared.source)
        columns = {c.name: c for c in table.columns}
        for column in stored[table.name]:
            found = columns[column["name"]]
            if found.is_opaque or found.shape or found.counter is not None:
                continue
            out["event columns"] += column["bytes"]
            out["ids"] += column["bytes"] if found.role == "id" else 0
            q = prepared.coding.lattices[found.name].encode(table.data[found.name])
            level = fit_bins(q, 40).level
            bits = information(level(q[1:]), level(q[:-1])[None])[0] if len(q) > 1 else 0.0
            kind = "saved by flow" if "flow" in column["methods"] else "saved elsewhere"
            out[kind] += min(column["bytes"], max(0.0, bits - LEAST) * len(q) / 8)
    return out


def main() -> None:
    """Print a table row per file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument("--effort", default="fast")
    a = parser.parse_args()
    print(
        "| file | bytes | event columns | of them ids | at most saved, columns of the flow | the same, other columns |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for source in a.sources:
        found = measure(source, a.bound, a.effort)
        whole = found.pop("file")
        shares = " | ".join(f"{x / whole:.2%}" for x in found.values())
        print(f"| {Path(source).name} | {whole:.0f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
