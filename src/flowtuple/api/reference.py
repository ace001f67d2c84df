"""Rows encoded by reference methods, decoded, drawn, and compared with their original."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from flowtuple.api.generating import delivered
from flowtuple.api.inputs import (
    EVERYTHING,
    FilePath,
    Selection,
    check_seed,
    left_out_notes,
    read,
)
from flowtuple.benchmark.published.filters import EventFilter
from flowtuple.benchmark.published.layout import read_parts
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.published.presets import reference_preset
from flowtuple.benchmark.published.tables import ROWS, rows_table
from flowtuple.benchmark.published.tables import open_dataset as open_rows
from flowtuple.comparison.two_sample.result import plain
from flowtuple.data.resources import Resources
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.io.source import (
    ReadOptions,
    Source,
    WriteOptions,
    check_stored_name,
    open_dataset,
)
from flowtuple.reporting.decoded_figures import Dijet
from flowtuple.reporting.page import format_bytes, format_number
from flowtuple.reporting.plots import require_plots
from flowtuple.reporting.row_page import DecodedRows, write_rows
from flowtuple.runtime.atomic import new_folder
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.lazy_packages import awkward as ak

if TYPE_CHECKING:
    from flowtuple.benchmark.published.stored import Encoded
if TYPE_CHECKING:
    from flowtuple.benchmark.published.accuracy import Accuracy


Method: TypeAlias = Latent | Autoencoder


def encode_rows(
    source: Source,
    path: FilePath,
    codec: Method,
    *,
    selection: Selection = EVERYTHING,
    preset: str = "",
    cuts: Sequence[str] = (),
    seed: int = 0,
    log: str | None = None,
    resources: Resources = Resources(),
) -> Encoded:
    """Fit a reference method to objects of one collection, or to events, and write them.

    The errors that it gives are those of the values that the file decodes to. Rows with NaN or
    infinite values are left out and counted.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        path: The file to write, usually ending in `.ref`.
        codec: Which method, and its options.
        selection: Part of the input to take.
        preset: A published set of variables: `jets4`, `cms24` or `atlas27`. Its columns alone are
            taken, rows that its event filter rejects are left out, and `custom` normalisation is
            the published one.
        cuts: Further conditions that rows have to meet, such as `Jet_pt > 30`.
        seed: The same input, options and seed give the same file on one machine.
        log: A folder for TensorBoard.
        resources: Its `progress` is called after each epoch.

    Raises:
        InvalidArgument: The columns are of several collections or lack one of the preset, too few
            rows are left, or a value is outside of the domain of its column's preprocessing.
        MissingExtra: PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ref"
        >>> draw = np.random.default_rng(0)
        >>> events = {"eta": draw.normal(size=500).astype("f4")}
        >>> events["phi"] = draw.uniform(-3, 3, 500).astype("f4")
        >>> codec = Latent(bits=20, model=2, training=ft.Training(epochs=1))
        >>> done = encode_rows(events, path, codec)
        >>> difference = np.asarray(decode_rows(path)["phi"], "f8") - events["phi"]
        >>> bool(np.abs(difference).max() == done.accuracy[1].largest)
        True
    """
    check_seed(seed)
    check_stored_name(path)
    require_torch("a reference method")
    from flowtuple.benchmark.published.stored import fit_codec, write

    event_filter = EventFilter(preset, tuple(cuts), codec.unit)
    dataset = read(source, selection)
    codec, rows, left_out = _prepared(dataset, codec, event_filter)
    fitted, _ = fit_codec(
        rows,
        codec,
        seed,
        lambda share, loss: resources.progress(
            "train", share, f"held-out loss {loss:.6f}"
        ),
        log,
    )
    return replace(
        write(fitted, rows, path, event_filter),
        left_out=left_out,
        notes=left_out_notes(dataset),
    )


def _prepared(
    dataset: Dataset, codec: Method, event_filter: EventFilter
) -> tuple[Method, Rows, dict[str, int]]:
    """Return the method with the preset's formulas, the rows, and numbers of removed rows."""
    if not event_filter.preset:
        return (codec, *event_filter.apply(read_rows(dataset)))
    variables = reference_preset(event_filter.preset)
    names = [c.name for table in dataset.tables.values() for c in table.columns]
    columns = variables.find(names, dataset.description)
    if isinstance(codec, Autoencoder):
        codec = replace(codec, formulas=variables.formulas(columns, codec.unit))
    return (
        codec,
        *event_filter.apply(read_rows(dataset, exactly=list(columns.values()))),
    )


def decode_rows(
    path: FilePath,
    output: FilePath | None = None,
    options: WriteOptions | None = None,
) -> ak.Array | None:
    """Decode the file of a reference method, which needs PyTorch but nothing else than the file.

    Args:
        path: From `encode_rows`.
        output: A path whose suffix names the format; `None` to return the events.
        options: For the output.

    Raises:
        InvalidArgument: It cannot be opened, or the suffix of the output names no format.
        Corrupt: It is no such file, or a damaged one.
        Truncated: It is shorter than any.
        TooNew: It was written by a later flowtuple.
        Unsupported: It has residuals, and this machine's arithmetic is not the writer's.
        MissingExtra: PyTorch is not installed.
    """
    return delivered(open_rows(os.fspath(path), ReadOptions()), output, options)


def sample_rows(
    path: FilePath,
    n: int,
    output: FilePath | None = None,
    *,
    seed: int = 0,
    options: WriteOptions | None = None,
) -> ak.Array | None:
    """Draw rows from the flow in a file of the latent codec.

    Row k of a seed has the same bits however many are drawn and however they are read, on one
    machine; on others it is equal to rounding.

    Args:
        path: From `encode_rows` with `Latent`.
        n: Rows to draw; objects come without events.
        output: A path whose suffix names the format; `None` to return the rows.
        seed: From 0 to 2^63 - 1.
        options: For the output.

    Raises:
        InvalidArgument: A number of rows below 0, or no such seed.
        Unsupported: The file is of an autoencoder, which has no density.
        Corrupt: It is none of a reference method, or a damaged one.
        MissingExtra: PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ref"
        >>> events = {"phi": np.random.default_rng(0).uniform(-3, 3, 500).astype("f4")}
        >>> done = encode_rows(events, path, Latent(model=2, training=ft.Training(epochs=1)))
        >>> many, few = sample_rows(path, 1000, seed=1), sample_rows(path, 10, seed=1)
        >>> many["phi"][:10].tolist() == few["phi"].tolist()
        True
    """
    check_seed(seed)
    if n < 0:
        raise InvalidArgument(
            f"{os.fspath(path)}: cannot draw {n} rows; say how many with `n=`"
        )
    parts, where = read_parts(path), os.fspath(path)
    require_torch(f"drawing from {where}")
    from flowtuple.benchmark.published.latent import LatentCodec
    from flowtuple.benchmark.published.stored import codec_of

    codec = codec_of(parts)
    if not isinstance(codec, LatentCodec):
        raise Unsupported(
            f"{where}: an {codec.name} has no density to draw rows from;"
            " encode with `codec=` latent"
        )
    return delivered(Dataset(where, {ROWS: codec.drawn(ROWS, n, seed)}), output, options)


@dataclass(frozen=True, eq=False)
class RowsReport:
    """Errors of a decoded file; difference = original - decompressed.

    Attributes:
        page: The HTML page.
        rows: That were compared.
        dropped: Rows of the original that hold NaN or infinite values and are not in the file.
        left_out: Further rows of it that are not, by the cut that the file was made with.
        accuracy: Of each column.
        correlation: Spearman's, of the columns' differences, shape (d, d); NaN where a column came
            back exactly.
        dijet: Mass of the two leading jets before and after; `None` without a collection of jets.
    """

    page: Path
    rows: int
    dropped: int
    left_out: Mapping[str, int]
    accuracy: tuple[Accuracy, ...]
    correlation: Array
    dijet: Dijet | None

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text; what is undefined is `None`."""
        figures = [a.to_json() for a in self.accuracy]
        pair = None if self.dijet is None else plain(self.dijet.to_json())
        correlation = plain(self.correlation.tolist())
        return vars(self) | {
            "page": str(self.page),
            "accuracy": figures,
            "correlation": correlation,
            "dijet": pair,
        }


def report_rows(
    path: FilePath,
    original: Source,
    folder: FilePath,
    *,
    names: tuple[str, ...] | None = None,
    resources: Resources = Resources(),
) -> RowsReport:
    """Write one self-contained HTML page about the file of a reference method and its original.

    Rows that the file was made without, by a preset or by cuts, are left out of the original again
    and counted.

    Args:
        path: From `encode_rows`.
        original: The input that it was made from.
        folder: Where `report.html` goes; made where it is missing.
        names: Column names for inputs that have none.
        resources: Its `progress` is called for each drawing.

    Raises:
        InvalidArgument: The original lacks a column of the file, or has other rows.
        Corrupt: It is no such file, or a damaged one.
        MissingExtra: PyTorch, or the extra 'plots', is not installed.
    """
    require_plots()
    require_torch(f"decoding {os.fspath(path)}")
    from flowtuple.benchmark.published.accuracy import measure
    from flowtuple.benchmark.published.stored import decode

    parts = read_parts(path)
    decoded, event_filter = decode(parts), parts.event_filter
    everything = read_rows(
        open_dataset(original, ReadOptions(names=names)), exactly=decoded.columns
    ).only(decoded.columns)
    rows, left_out = event_filter.apply(everything)
    _check_same(rows, decoded, event_filter)
    accuracy = measure(rows, decoded.values)
    content = DecodedRows(
        rows.source,
        os.fspath(path),
        _facts(rows, Path(path).stat().st_size),
        _notes(rows, left_out),
        rows_table(replace(decoded, values=rows.values)),
        rows_table(decoded),
        [vars(column) for column in accuracy],
    )
    with new_folder(Path(folder)):
        page = write_rows(content, Path(folder), resources.progress)
    figures = accuracy, content.correlation, content.dijet
    return RowsReport(page, len(rows), rows.dropped, left_out, *figures)


def _check_same(rows: Rows, decoded: Rows, event_filter: EventFilter) -> None:
    same = len(rows) == len(decoded) and rows.counter == decoded.counter
    if same and rows.counter is not None:
        same = rows.events == decoded.events and np.array_equal(rows.event, decoded.event)
    if not same:
        cuts = " that pass the file's cuts" if event_filter else ""
        has = f"has {len(rows)} rows without NaN or infinite values{cuts}"
        decoded_rows = f"{decoded.source} holds {len(decoded)}" + (
            "" if len(rows) != len(decoded) else " in other events"
        )
        raise InvalidArgument(
            f"{rows.source}: {has}, {decoded_rows}; give the input that it was made from"
        )


def _facts(rows: Rows, size: int) -> dict[str, str]:
    kind = "Events" if rows.counter is None else f"Objects of {rows.events:,} events"
    bits = format_number(8 * size / rows.values.size)
    return {
        kind: f"{len(rows):,}",
        "Columns": f"{len(rows.columns)}",
        "File": f"{format_bytes(size)}, {bits} bits per value",
    }


def _notes(rows: Rows, left_out: Mapping[str, int]) -> list[str]:
    notes = []
    if rows.dropped:
        notes.append(
            f"{rows.dropped:,} rows of the original hold NaN or infinite values"
            " and are not in the file."
        )
    notes += [
        f"{count:,} rows of the original are not in the file: not {cut}."
        for cut, count in left_out.items()
        if count
    ]
    if rows.counter is None:
        notes.append(
            "Rows are events here: which of them belong together is not known,"
            " so that no mass of two jets is drawn."
        )
    return notes
