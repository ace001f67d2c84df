"""Merging of files of one schema and model, without coding anything again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowtuple.data.resources import Resources
from flowtuple.data.schema_diff import schema_diff
from flowtuple.data.table import LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.file.description import with_parts
from flowtuple.file.file import File
from flowtuple.file.layout import SectionKind
from flowtuple.file.table import StoredChunk, StoredTable
from flowtuple.file.writer import Writer, create
from flowtuple.io.source import check_stored_name
from flowtuple.runtime.old_names import accepts_old


@accepts_old(resources=Resources)
def merge(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    drop: bool = False,
    resources: Resources = Resources(),
) -> int:
    """Write the events of several files as one file; chunks are copied bit by bit.

    Args:
        paths: Files with the same tables, columns, bounds and model, such as those of `compress`
            with one `model`.
        output: The file to write.
        drop: Leave out carried objects that differ.
        resources: Its `progress` is called after each file.

    Returns:
        Bytes of the file.

    Raises:
        InvalidArgument: The files do not fit one another; the message names the first difference.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("a", "b"):
        ...     done = ft.compress({"x": [1.0, 2.0]}, folder / f"{name}.ftup")
        >>> size = ft.merge([folder / "a.ftup", folder / "b.ftup"], folder / "both.ftup")
        >>> ft.decompress(folder / "both.ftup")["x"].tolist()
        [1.0, 2.0, 1.0, 2.0]
    """
    check_stored_name(output)
    if len(paths) < 2:
        raise InvalidArgument(
            f"{output}: is to be merged of {len(paths)} files; name two or more"
        )
    with ExitStack() as stack, create(output) as writer:
        files = [stack.enter_context(File(path)) for path in paths]
        first = files[0]
        for other in files[1:]:
            for misfit in _misfits(first, other):
                raise InvalidArgument(f"{other.path} against {first.path}: {misfit}")
        carried = _carried(files, drop)
        tables = [
            with_parts(d, [part for f in files for part in f.tables[d["name"]].parts])
            for d in first.meta["tables"]
        ]
        origin = {"merged": [file.meta.get("provenance", {}) for file in files]}
        meta = {
            **first.meta,
            "tables": tables,
            "carried": list(carried),
            "provenance": origin,
        }
        if left_out := _left_out(files, carried):
            meta["left_out"] = [part.to_json() for part in left_out]
        writer.describe(meta)
        for section in first.sections:
            if section.kind is SectionKind.MODEL:
                head = first.read_head(section)
                writer.add_model(section.owner, head, first.flags)
        for number, name in enumerate(first.tables):
            for done, file in enumerate(files, 1):
                for chunk in file.tables[name].chunks:
                    copy_chunk(writer, number, file.tables[name], chunk)
                resources.progress(f"merge {name}", done / len(files), "")
        writer.finish(carried.values())
    return Path(output).stat().st_size


def copy_chunk(
    writer: Writer, number: int, table: StoredTable, chunk: StoredChunk
) -> None:
    """Copy a chunk, bit by bit, as a chunk of the table with this number."""
    head, body = table.copy(chunk)
    writer.add(SectionKind.CHUNK, number, head, body, chunk.section.entries)


def _left_out(files: Sequence[File], carried: Mapping[str, bytes]) -> list[LeftOut]:
    """Return the parts that a file lacks, and the objects that are not the same in all files."""
    lacking = {part.name: part for file in files for part in file.left_out}
    for name in dict.fromkeys(name for file in files for name in file.carried):
        if name not in carried:
            lacking[name] = LeftOut(name, "the merged files hold different ones")
    return list(lacking.values())


def _misfits(first: File, other: File) -> Iterator[str]:
    """Yield what keeps two files from being merged; they fit one another up to the first."""
    if list(first.tables) != list(other.tables):
        yield f"holds the trees {', '.join(other.tables)}, not {', '.join(first.tables)}"
    if first.is_model or other.is_model:
        yield "a model holds no events to merge"
    for name, table in first.tables.items():
        for misfit in _table_misfits(table, other.tables[name]):
            yield f"table {name!r}{misfit}"


def _table_misfits(table: StoredTable, other: StoredTable) -> Iterator[str]:
    if table.model_hash != other.model_hash:
        yield " is coded by another model; compress both with one `model=` first"
    for name, words in schema_diff(
        table.columns,
        other.columns,
        counters=True,
        hidden=True,
        roles=True,
        additional=True,
    ):
        yield f": column {name!r} {words}; compress both from one schema"
    names = [c.name for c in table.columns]
    if names != [c.name for c in other.columns]:
        yield ": has its columns in another order; write them in one order"
    for name in names:
        if _fixed(table, name) != _fixed(other, name):
            yield (
                f": column {name!r} has another bound or lattice; "
                "compress both with one `model=`"
            )
    if table.external or other.external:
        yield (
            ": has given columns, which would be looked for in one file; "
            "merge them decompressed"
        )


def _fixed(table: StoredTable, name: str) -> Any:
    """Return a lattice without the range, which depends on the events."""
    lattice = table.lattices.get(name)
    return lattice and replace(lattice, low=None, high=None)


def _carried(files: Sequence[File], drop: bool) -> Mapping[str, bytes]:
    """Return the objects that are the same in all files.

    Raises:
        InvalidArgument: Others are not to be dropped.
    """
    contents = [file.carried for file in files]
    same = {
        n: c for n, c in contents[0].items() if len({o.get(n) for o in contents}) == 1
    }
    for file, carried in zip(files, contents, strict=True):
        for name in carried:
            if name not in same and not drop:
                raise InvalidArgument(
                    f"{file.path}: carries {name!r}, which is not the same in all files; "
                    "leave it out with `drop=`"
                )
    return same
