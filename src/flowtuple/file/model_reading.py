"""Numbers of columns and of parts, as all parts of a stored model have them."""

from __future__ import annotations

from collections.abc import Sequence

from flowtuple.codec.varint import Reader
from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt


def read_name(reader: Reader, columns: Sequence[Column]) -> str:
    """Read the number of a column, and return its name."""
    number = reader.unsigned()
    if number >= len(columns):
        raise Corrupt(f"a model speaks of column number {number} of {len(columns)}")
    return columns[number].name


def read_count(reader: Reader, most: int, what: str) -> int:
    """Read a number of parts, of which a small frame could declare a great many."""
    count = reader.unsigned()
    if count > most:
        raise Corrupt(f"a model has a part of {count} {what}, more than {most}")
    return count
