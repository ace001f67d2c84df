"""Names and globs of columns: which columns they match, and selections of columns by them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping

from flowtuple.data.schema import Column
from flowtuple.errors import InvalidArgument, nearest

_GLOB_CHARACTERS = frozenset("*?[")


def is_glob(pattern: str) -> bool:
    """Return True if a pattern can match more than the one name that it spells."""
    return bool(_GLOB_CHARACTERS & set(pattern))


def names_in_full(pattern: str, table: str, column: Column) -> bool:
    """Return True if a pattern is the full name of a column, even one with characters of globs."""
    return pattern in (column.name, f"{table}/{column.name}")


def fits_name(pattern: str, name: str) -> bool:
    """Return True if a glob matches `TREE/COLUMN`, or the column's name alone.

    Example:
        >>> fits_name("fBits", "Delphes/fBits"), fits_name("Delphes/*", "Delphes/fBits")
        (True, True)
        >>> fits_name("x", "Delphes/fBits")
        False
    """
    names = (name, name.rpartition("/")[2])
    return pattern in names or any(
        fnmatch.fnmatchcase(candidate, pattern) for candidate in names
    )


def matches(pattern: str, tables: Mapping[str, Iterable[Column]]) -> list[tuple[str, Column]]:
    """Return the columns that a name or glob matches, each with its table's name.

    A full name matches its column alone, whatever else it would match as a glob.

    Raises:
        InvalidArgument: No column matches.
    """
    hits = [
        (table, column)
        for table, columns in tables.items()
        for column in columns
        if _fits(pattern, table, column)
    ]
    if not hits:
        names = [c.name for columns in tables.values() for c in columns]
        what = "glob" if is_glob(pattern) else "name"
        raise InvalidArgument(
            f"the {what} {pattern!r} matches no column; {nearest(pattern, names)}"
        )
    return [hit for hit in hits if names_in_full(pattern, *hit)] or hits


def columns_by_name(
    tables: Mapping[str, Iterable[Column]],
) -> dict[str, list[tuple[str, Column]]]:
    """Return the columns of each full name, so that many names need no search each."""
    named: dict[str, list[tuple[str, Column]]] = {}
    for table, columns in tables.items():
        for column in columns:
            for name in {column.name, f"{table}/{column.name}"}:
                named.setdefault(name, []).append((table, column))
    return named


def select_columns(
    tables: Mapping[str, Iterable[Column]],
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> dict[str, tuple[Column, ...]]:
    """Return the columns that the globs select, with their counters, in the order of the table.

    Args:
        tables: Columns of each table, by the table's name.
        include: Globs, of which a column must match one; none selects all columns.
        exclude: Globs, of which a column may match none.

    Raises:
        InvalidArgument: A glob matches no column, or no column is left.
    """
    include = list(include)
    exclude = list(exclude)
    everything = {name: tuple(columns) for name, columns in tables.items()}
    named = columns_by_name(everything)
    for pattern in (*include, *exclude):
        if pattern not in named:
            matches(pattern, everything)
    is_included = _matcher(include)
    is_excluded = _matcher(exclude)
    selected: dict[str, tuple[Column, ...]] = {}
    for table, columns in everything.items():
        included = [c for c in columns if not include or is_included(table, c)]
        names = {c.name for c in included if not is_excluded(table, c)}
        counters = {c.counter for c in columns if c.name in names and c.counter is not None}
        # A hidden counter is read through the columns that it counts; without them it goes.
        used = {c.counter for c in columns}
        idle = {c.name for c in columns if c.hidden and c.name in used - counters}
        names = (names - (idle - set(include))) | counters
        if names or not columns:
            selected[table] = tuple(c for c in columns if c.name in names)
    if not selected:
        raise InvalidArgument(
            "no column is left after `columns=` and `exclude=`: widen the globs"
        )
    return selected


def _matcher(patterns: Iterable[str]) -> Callable[[str, Column], bool]:
    """Return a test of a column against many patterns; only globs are compared one by one."""
    names = frozenset(patterns)
    globs = [pattern for pattern in names if is_glob(pattern)]

    def matches_any(table: str, column: Column) -> bool:
        if column.name in names or f"{table}/{column.name}" in names:
            return True
        return any(_fits(pattern, table, column) for pattern in globs)

    return matches_any


def _fits(pattern: str, table: str, column: Column) -> bool:
    names = (column.name, f"{table}/{column.name}")
    return pattern in names or any(fnmatch.fnmatchcase(name, pattern) for name in names)
