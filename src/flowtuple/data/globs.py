"""Names and globs of columns: which columns they match, and selections of columns by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from flowtuple.data.schema import Column
from flowtuple.errors import InvalidArgument, nearest

_GLOB_CHARACTERS = frozenset("*?[")

Hit = tuple[str, Column]
"""A column with its table's name."""


def is_glob(pattern: str) -> bool:
    """Return True if a pattern can match more than the one name that it spells."""
    return bool(_GLOB_CHARACTERS & set(pattern))


def fits_name(pattern: str, name: str) -> bool:
    """Return True if a glob matches `TREE/COLUMN`, or the column's name alone.

    Example:
        >>> fits_name("fBits", "Delphes/fBits"), fits_name("Delphes/*", "Delphes/fBits")
        (True, True)
        >>> fits_name("x", "Delphes/fBits")
        False
    """
    return _fits(pattern, (name, name.rpartition("/")[2]))


class NamedColumns:
    """The columns of some tables by their full names, so that many names need no search each.

    Args:
        tables: Columns of each table, by the table's name.

    Example:
        >>> columns = NamedColumns({"Events": [Column("Jet_pt", "float32")]})
        >>> "Events/Jet_pt" in columns, "Jet_*" in columns, len(columns.matching("Jet_*"))
        (True, False, 1)
    """

    def __init__(self, tables: Mapping[str, Iterable[Column]]) -> None:
        self._hits = [
            (table, column) for table, columns in tables.items() for column in columns
        ]
        self._named: dict[str, list[Hit]] = {}
        for hit in self._hits:
            for name in _names(*hit):
                self._named.setdefault(name, []).append(hit)

    def __contains__(self, pattern: str) -> bool:
        """Return True for the full name of a column, even one with characters of globs."""
        return pattern in self._named

    def matching(self, pattern: str, *, names_first: bool = True) -> list[Hit]:
        """Return the columns that a name or glob matches.

        Args:
            pattern: A name or glob.
            names_first: A full name such as `a[1]` matches its column alone, and not what it
                would match as a glob, too.

        Raises:
            InvalidArgument: No column matches.
        """
        hits = self._named.get(pattern, []) if names_first or not is_glob(pattern) else []
        hits = hits or [hit for hit in self._hits if _fits(pattern, _names(*hit))]
        if not hits:
            what = "glob" if is_glob(pattern) else "name"
            names = [column.name for _, column in self._hits]
            raise InvalidArgument(
                f"the {what} {pattern!r} matches no column; {nearest(pattern, names)}"
            )
        return hits


def matches(pattern: str, tables: Mapping[str, Iterable[Column]]) -> list[Hit]:
    """Return the columns that a name or glob matches, as `NamedColumns.matching` does."""
    return NamedColumns(tables).matching(pattern)


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
    everything = {name: tuple(columns) for name, columns in tables.items()}
    named = NamedColumns(everything)
    included = {
        hit for pattern in include for hit in named.matching(pattern, names_first=False)
    }
    excluded = {
        hit for pattern in exclude for hit in named.matching(pattern, names_first=False)
    }
    selected: dict[str, tuple[Column, ...]] = {}
    for table, columns in everything.items():
        chosen = [c for c in columns if not include or (table, c) in included]
        names = {c.name for c in chosen if (table, c) not in excluded}
        counters = {
            c.counter for c in columns if c.name in names and c.counter is not None
        }
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


def _names(table: str, column: Column) -> tuple[str, str]:
    return column.name, f"{table}/{column.name}"


def _fits(pattern: str, names: tuple[str, str]) -> bool:
    return pattern in names or any(fnmatchcase(name, pattern) for name in names)
