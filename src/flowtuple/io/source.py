"""Open files and arrays as a `Dataset`, and write a `Dataset` to a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from flowtuple.data.table import Dataset, LeftOut, TableSource
from flowtuple.errors import InvalidArgument, Refused, Unsupported
from flowtuple.io.chain import chain
from flowtuple.io.formats import (
    ReadOptions,
    WriteOptions,
    WriteResult,
    format_of,
    input_suffixes,
    output_suffixes,
)
from flowtuple.io.location import (
    check_readable,
    expand,
    format_suffix,
    is_url,
    split_tree,
    suffix_of,
    translate_fsspec_errors,
)
from flowtuple.io.memory import dataset_from_memory, is_pandas
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.lazy_packages import awkward as ak

__all__ = [
    "STORED",
    "ReadOptions",
    "Source",
    "WriteOptions",
    "WriteResult",
    "check_stored_name",
    "leave_out",
    "open_dataset",
    "single_table",
    "write_dataset",
]

Source: TypeAlias = (
    "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Any] | Any"
)


STORED = (".ftup", ".flow")
"""Usual suffixes of compressed files and models."""


def check_stored_name(path: str | os.PathLike[str]) -> None:
    """Refuse the name of another format for a flowtuple file.

    Raises:
        InvalidArgument: It has the suffix of one.
    """
    if os.fspath(path).lower().endswith(tuple(output_suffixes())):
        advice = "end it in .ftup, or in .flow for a model alone"
        raise InvalidArgument(f"{path}: has the suffix of another format; {advice}")


_DEFAULT_READ = ReadOptions()
_DEFAULT_WRITE = WriteOptions()


def open_dataset(source: Source, options: ReadOptions = _DEFAULT_READ) -> Dataset:
    """Open the tables in a file, in many files of one kind, or in memory.

    Args:
        source: A path or URL, optionally as `FILE:TREE`; a glob or a list of paths, whose tables
            are chained; an awkward array of records, a dict of arrays, a NumPy array or a pandas
            DataFrame, which become the table `events`. Without a tree all trees are taken.
        options: Names for columns that have none.

    Returns:
        The data set; files are read when their tables are.

    Raises:
        InvalidArgument: The source is missing, of no known format, holds no table, or its files
            differ.
        MissingExtra: Its format needs a package that is not installed.

    Example:
        >>> events = open_dataset({"MET_pt": [31.5, 12.0], "Jet_pt": [[50.0, 20.0], []]})
        >>> [column.name for column in events.table("events").columns]
        ['MET_pt', 'n(Jet_pt)', 'Jet_pt']
    """
    if isinstance(source, (str, os.PathLike)):
        source = [source]
    is_list = isinstance(source, (list, tuple))
    if (
        is_list
        and source
        and all(isinstance(path, (str, os.PathLike)) for path in source)
    ):
        dataset = _open_paths([os.fspath(path) for path in source], options)
    elif isinstance(source, (Mapping, ak.Array, np.ndarray)) or is_pandas(
        source, "DataFrame"
    ):
        dataset = dataset_from_memory(source, options.names)
    else:
        kind = type(source)
        package = kind.__module__.partition(".")[0]
        what = f"an empty {kind.__name__}" if is_list and not source else kind.__name__
        if package not in ("builtins", "__main__"):
            what = f"{package}'s {what}"
        raise InvalidArgument(
            f"{what} cannot be read: give a path, a list of paths, an awkward array, "
            "a dict of arrays or a pandas DataFrame"
        )
    if not dataset.tables:
        reasons = "".join(
            f"; {name}: {reason}" for name, reason in list(dataset.refused.items())[:3]
        )
        raise InvalidArgument(
            f"{dataset.description}: holds no table{reasons}; name a file with events"
        )
    return dataset


def write_dataset(
    dataset: Dataset, path: str | os.PathLike[str], options: WriteOptions = _DEFAULT_WRITE
) -> WriteResult:
    """Write a data set as one file in the format of its suffix; it appears whole or not at all.

    Args:
        dataset: The data set to write.
        path: A local path that ends in one of `output_suffixes()`.
        options: Compression, step, and whether to leave out what the format cannot hold.

    Returns:
        The parts that were left out, and the changes that the format made necessary.

    Raises:
        InvalidArgument: The suffix is unknown, the folder cannot be written, or the writer of
            another package raised an error of its own.
        Unsupported: The format cannot hold this data set; nothing is written. `Refused`, which is
            one, where it cannot hold some parts and `options.drop` is off.
        MissingExtra: The format needs a package that is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.npz"
        >>> write_dataset(open_dataset({"x": [1.5, 2.5]}), path)
        WriteResult(left_out=(), changes=(), renamed={})
        >>> open_dataset(path).table("events").num_entries
        2
    """
    target = os.fspath(path)
    if options.container is not None and not target.lower().endswith(".root"):
        advice = "end its name in .root, or leave out `container=`"
        raise InvalidArgument(
            f"{target}: is no ROOT file, so it holds no {options.container}; {advice}"
        )
    chosen = format_of(suffix_of(target, output_suffixes()), target)
    chosen.check_writable(target)
    if is_url(target):
        advice = "name a local path and copy it afterwards"
        raise InvalidArgument(
            f"{target}: output is written to local files only; {advice}"
        )
    if options.compression is not None and not (
        chosen.package or target.lower().endswith(".root")
    ):
        advice = "end its name in .root, or leave out `compression=`"
        raise InvalidArgument(f"{target}: only ROOT files take a compression; {advice}")
    with atomic_path(target) as temporary, chosen.named_errors(target, "written"):
        return chosen.write(dataset, Path(temporary), options)


def single_table(
    dataset: Dataset, options: WriteOptions, format_name: str
) -> tuple[TableSource, tuple[LeftOut, ...]]:
    """Return the table that goes to a format which holds one table and nothing else.

    Args:
        dataset: The data set to write.
        options: Its `drop` allows carried objects to be left out.
        format_name: Name of the format, for messages.

    Returns:
        The table, and the carried objects that are left out.

    Raises:
        InvalidArgument: There is no table.
        Unsupported: There are several tables.
        Refused: There are carried objects, and `options.drop` is off.
    """
    if not dataset.tables:
        raise InvalidArgument(f"{dataset.description}: holds no table to write")
    names = list(dataset.tables)
    if len(names) > 1:
        where = f"{dataset.description}: {format_name} holds one table and there are"
        raise Unsupported(
            f"{where} {', '.join(names)}; choose one: FILE:{names[0]}, or write .npz"
        )
    reasons = dict.fromkeys(dataset.carried, f"{format_name} holds tables only")
    left_out = leave_out(dataset, reasons, f"as {format_name}", options)
    return dataset.tables[names[0]], left_out


def leave_out(
    dataset: Dataset,
    reasons: Mapping[str, str],
    target: str,
    options: WriteOptions,
    advice: str = "write .npz, or leave them out with `drop=`",
) -> tuple[LeftOut, ...]:
    """Return the parts that an output cannot hold, or refuse them where `options.drop` is off.

    Args:
        dataset: The data set to write.
        reasons: Reason by part.
        target: Last words of "cannot write PART ...", such as `as HDF5`.
        options: Its `drop` allows the parts to be left out.
        advice: The next step, for the message.

    Raises:
        Refused: There are such parts, and `options.drop` is off.
    """
    if reasons and not options.drop:
        raise Refused(dataset.description, f"write {{}} {target}", reasons, advice)
    return tuple(LeftOut(name, reason) for name, reason in reasons.items())


def _open_paths(texts: Sequence[str], options: ReadOptions) -> Dataset:
    parts: list[Dataset] = []
    named = ""
    for text in texts:
        if text.lower().endswith(STORED):
            if text.lower().endswith(".flow"):
                advice = "name events, or draw some from it with `sample()`"
                raise InvalidArgument(f"{text}: is a model and no input; {advice}")
            advice = (
                f"show it with flowtuple info {text}, code it again with flowtuple recompress,"
                " or name its original"
            )
            raise InvalidArgument(f"{text}: is a compressed file and no input; {advice}")
        pattern, tree = split_tree(text, input_suffixes())
        for path in expand(pattern):
            check_readable(path)
            suffix = format_suffix(path, input_suffixes())
            with translate_fsspec_errors(path):
                part = replace(format_of(suffix, path).read(path, options), format=suffix)
            parts.append(part if tree is None else part.only(tree))
            named = named or (text if tree is not None else "")
    if len(parts) == 1:
        return parts[0]
    # trees that were named one by one are one table, whatever their names
    if named:
        for part in parts:
            if len(part.tables) != 1:
                raise InvalidArgument(
                    f"{part.description}: holds the trees {', '.join(part.tables)}, and none is "
                    f"chosen as in {named}; name one, such as "
                    f"{part.description}:{next(iter(part.tables), 'Events')}"
                )
        parts = [part.renamed(next(iter(parts[0].tables))) for part in parts]
    return chain(parts)
