"""Bytes of a file by column and by part, which add up to the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flowtuple.codec.directory import Entry
from flowtuple.file.file import File
from flowtuple.file.layout import FRAME_SIZE, HEADER_SIZE, TRAILER_SIZE, SectionKind
from flowtuple.file.model import pack_column
from flowtuple.file.table import StoredTable

_FINE = 2**20  # parts of a byte in which shares of a frame are summed over chunks

PARTS = {
    "column": "columns",
    "given": "hashes of given columns",
    "column_model": "columns in models",
    "model": "rest of models",
    "directory": "chunk directories and checksums",
    "frame": "chunk frames",
    "description": "description",
    "carried": "carried objects",
    "header": "header and trailer",
    "index": "index",
}
"""Kinds of rows, in words; those of `MODEL_KINDS` are the sections of the models."""

MODEL_KINDS = ("column_model", "model")


@dataclass(frozen=True)
class Row:
    """Bytes of one column or of one other part.

    Attributes:
        table: Name of the table; empty for parts of the whole file.
        name: Name of the column or carried object, or the part in words.
        kind: One of `PARTS`.
        bytes: Bytes in the file.
    """

    table: str
    name: str
    kind: str
    bytes: int


class Ledger:
    """Rows of bytes that add up to the size of a file, to the byte.

    Columns that share a compressed frame have shares of it in proportion to their contents, and so
    have columns of a model. Frames of sections count with the section.

    Attributes:
        rows: The rows: each table's, then those of the whole file.
        methods: Numbers of chunks by method, by table and column.

    Args:
        file: The open file; each chunk's directory is read.
    """

    def __init__(self, file: File) -> None:
        self.rows: list[Row] = []
        self.methods: dict[tuple[str, str], Counter[str]] = {}
        for table in file.tables.values():
            self.rows += self._chunk_rows(table)
            self.rows += _model_rows(table)
        for section in file.sections:
            if section.kind is SectionKind.DESCRIPTION:
                self.rows.append(_part("", "description", section.length))
            elif section.kind is SectionKind.CARRIED:
                name = file.meta["carried"][section.owner]
                self.rows.append(Row("", name, "carried", section.length))
        ends = HEADER_SIZE + TRAILER_SIZE
        self.rows.append(_part("", "header", ends))
        self.rows.append(_part("", "index", file.index_size - ends))

    def _chunk_rows(self, table: StoredTable) -> Iterator[Row]:
        """Yield a row per column, and those of directories and frames.

        The sums go chunk by chunk: not all entries of a large table fit into memory.
        """
        nbytes = Counter({column.name: 0 for column in table.columns})
        shares: Counter[str] = Counter()
        shared = heads = 0
        methods = {name: Counter[str]() for name in nbytes}
        for directory in table.directories():
            heads += directory.head
            content = sum(map(len, directory.group.values()))
            if content:
                shared += directory.shared
            for name, entry in directory.entries.items():
                methods[name][_method(entry)] += 1
                nbytes[name] += entry.stop - entry.begin
                if name in directory.group and content:
                    shares[name] += directory.shared * entry.payload * _FINE // content
        nbytes.update(apportioned(shared, shares))
        self.methods |= {(table.name, name): used for name, used in methods.items()}
        for name, size in nbytes.items():
            kind = "given" if name in table.external else "column"
            yield Row(table.name, name, kind, size)
        yield _part(table.name, "directory", heads - shared)
        yield _part(table.name, "frame", FRAME_SIZE * len(table.chunks))

    def by_column(self, *kinds: str) -> dict[tuple[str, str], int]:
        """Return the bytes of rows of some kinds, by table and column."""
        return {(row.table, row.name): row.bytes for row in self.rows if row.kind in kinds}

    def by_kind(self) -> dict[str, int]:
        """Return the bytes of each kind of `PARTS` that the file has, in their order."""
        sizes: Counter[str] = Counter()
        for row in self.rows:
            sizes[row.kind] += row.bytes
        return {kind: sizes[kind] for kind in PARTS if sizes[kind]}


def _part(table: str, kind: str, size: int) -> Row:
    return Row(table, PARTS[kind], kind, size)


def _method(stored: Entry) -> str:
    return stored.method.name.lower() + (" of residuals" if stored.residual else "")


def _model_rows(table: StoredTable) -> Iterator[Row]:
    """Yield each column's share of the table's own model by its uncompressed size, and the rest."""
    section = table.model_section
    if section is None:
        return
    numbers = {c.name: k for k, c in enumerate(table.columns)}
    flows = table.flow.columns
    plain = {name: len(pack_column(column, numbers)) for name, column in flows.items()}
    shares = apportioned(section.head, plain)
    for name, size in shares.items():
        yield Row(table.name, name, "column_model", size)
    yield _part(table.name, "model", section.length - sum(shares.values()))


def apportioned(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return whole shares of a total by weight, which add up to it (largest remainders).

    Example:
        >>> apportioned(10, {"a": 1, "b": 1, "c": 1})
        {'a': 4, 'b': 3, 'c': 3}
    """
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(weights, 0)
    shares = {name: total * weight // whole for name, weight in weights.items()}
    left = total - sum(shares.values())
    by_remainder = sorted(weights, key=lambda name: -(total * weights[name] % whole))
    for name in by_remainder[:left]:
        shares[name] += 1
    return shares
