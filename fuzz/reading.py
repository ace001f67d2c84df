"""All ways to read a file, each of which ends with a right result or a typed error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import numpy as np
from inputs import file_of

import flowtuple as ft
import odd_made
from flowtuple.data.table import Dataset, Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, Truncated
from flowtuple.file.damage import check_integrity
from flowtuple.file.recover import recover
from flowtuple.io.memory import dataset_from_memory
from flowtuple.reporting.describe import info

TESTS = Path(__file__).parents[1] / "tests"
TYPED = (Corrupt, Truncated, TooNew, InvalidArgument)
_SMALL = {
    "flowtuple.codec.chunk.MAX_ROWS": 2**17,
    "flowtuple.file.description.MAX_ROWS": 2**17,
    "flowtuple.codec.chunk.MAX_ENTRIES": 2**15,
    "flowtuple.codec.packing._MOST": 2**24,
}


def given_columns() -> Dataset:
    """Return the external columns of two golden files."""
    with np.load(TESTS / "golden" / "given.npz", allow_pickle=False) as expected:
        events = dataset_from_memory({"a": expected["a"]}).tables
    return Dataset("given", events | odd_made.given().tables)


GIVEN = given_columns()


@contextmanager
def small_limits() -> Iterator[None]:
    """Lower limits of the format, so that an input at the limit takes little time and memory."""
    patches = [patch(name, value) for name, value in _SMALL.items()]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def read_input(data: bytes, folder: Path, *, save: bool = True) -> bool:
    """Read an input in all ways.

    Args:
        data: The input, see `inputs`.
        folder: Folder for files.
        save: Recover the undamaged parts, too.

    Returns:
        True if the whole input could be read.

    Raises:
        AssertionError: Two ways to read it do not agree.
        Exception: Any error other than the typed ones, which is what fuzzing looks for.
    """
    path = folder / "input.ftup"
    path.write_bytes(file_of(data))
    whole = _read_whole(path)
    damage = None
    with suppress(*TYPED):
        info(path)
    with suppress(*TYPED):
        damage = check_integrity(path)
    if save:
        _save(path, folder / "saved.ftup", whole if damage == [] else None)
    return whole is not None


def _read_whole(path: Path) -> dict[str, Table] | None:
    """Return all tables, `None` if one cannot be read; parts agree with the whole."""
    try:
        with ft.File(
            path, model=path, given=GIVEN, resources=ft.Resources(workers=1)
        ) as file:
            tables = {name: _read_table(file, name) for name in file.tables}
            whole = {name: table for name, table in tables.items() if table is not None}
            return (
                whole if file.carried is not None and len(whole) == len(tables) else None
            )
    except TYPED:
        return None


def _read_table(file: ft.File, name: str) -> Table | None:
    """Return a table, `None` if it cannot be read; ranges and single columns agree with it."""
    try:
        whole = read_all(file.tables[name])
    except TYPED:
        return None
    names = [c.name for c in whole.columns]
    start, stop = whole.num_entries // 3, whole.num_entries - whole.num_entries // 4
    part = file.tables[name].read(names, start, stop)
    _agree(difference(part, whole.read(names, start, stop)))
    for column in names[:3]:
        alone = file.tables[name].read([column], 0, whole.num_entries)
        _agree(
            difference(
                alone, whole.read([c.name for c in alone.columns], 0, whole.num_entries)
            )
        )
    return whole


def _save(path: Path, saved: Path, whole: dict[str, Table] | None) -> None:
    """Recover the undamaged parts; a file without damage is recovered whole."""
    try:
        recover(path, saved, model=None)
    except TYPED:
        return
    read = _read_whole(saved)
    for name, table in (whole or {}).items():
        _agree(
            "a saved file cannot be read"
            if read is None
            else difference(read[name], table)
        )


def _agree(differing: str | None) -> None:
    if differing is not None:
        raise AssertionError(f"two ways to read differ: {differing}")
