"""Rows encoded by reference methods, decoded and drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import awkward as ak

from flowtuple.api.inputs import EVERYTHING, Selection, check_seed, left_out_notes, read
from flowtuple.benchmark.published.filters import EventFilter
from flowtuple.benchmark.published.layout import read_parts
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.published.presets import reference_preset
from flowtuple.benchmark.published.tables import ROWS, open_dataset
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.table import Dataset, read_all
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.io.source import (
    ReadOptions,
    Source,
    WriteOptions,
    check_stored_name,
    write_dataset,
)
from flowtuple.runtime.extras import require_torch

if TYPE_CHECKING:
    from flowtuple.benchmark.published.stored import Encoded

Method: TypeAlias = Latent | Autoencoder


def encode_rows(
    source: Source,
    path: str | os.PathLike[str],
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
        lambda share, loss: resources.progress("train", share, f"held-out loss {loss:.6f}"),
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
    return (codec, *event_filter.apply(read_rows(dataset, exactly=list(columns.values()))))


def decode_rows(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
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
    dataset = open_dataset(os.fspath(path), ReadOptions())
    if output is not None:
        write_dataset(dataset, output, options or WriteOptions())
        return None
    return table_to_awkward(read_all(dataset.table(ROWS)))


def sample_rows(
    path: str | os.PathLike[str],
    n: int,
    output: str | os.PathLike[str] | None = None,
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
    dataset = Dataset(where, {ROWS: codec.drawn(ROWS, n, seed)})
    if output is not None:
        write_dataset(dataset, output, options or WriteOptions())
        return None
    return table_to_awkward(read_all(dataset.table(ROWS)))
