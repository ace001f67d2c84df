"""Bytes of a file by column and by part, which add up to the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from flowtuple.codec.directory import Entry
from flowtuple.file.acceptance import pack_acceptance
from flowtuple.file.file import File
from flowtuple.file.layout import FRAME_SIZE, HEADER_SIZE, TRAILER_SIZE, SectionKind
from flowtuple.file.model import pack_column, pack_rules
from flowtuple.file.table import StoredTable

_FINE = 2**20  # parts of a byte in which shares of a frame are summed over chunks

_Key = TypeVar("_Key")

PARTS = {
    "column": "columns",
    "given": "hashes of given columns",
    "column_model": "model",
    "model": "model",
    "directory": "chunk directories",
    "frame": "chunk frames",
    "description": "description",
    "carried": "carried objects",
    "header": "header and index",
    "index": "header and index",
}
"""Part of the file, in words, by kind of row."""


@dataclass(frozen=True)
class Row:
    """Bytes of one column or of one other part.

    Attributes:
        table: Name of the table; empty for parts of the whole file.
        name: Name of the column or carried object, or the part in words.
        kind: A key of `PARTS`.
        bytes: Bytes in the file.
    """

    table: str
    name: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class Ledger:
    """Rows of bytes that add up to the size of a file, to the byte.

    Columns that share a compressed frame, of a chunk or of the model, have shares of it in
    proportion to their contents. The frame before a section other than a chunk counts with it.

    Attributes:
        rows: The rows: each table's, then those of the whole file.
        methods: Numbers of chunks by method, by table and column.
    """

    rows: Sequence[Row]
    methods: Mapping[tuple[str, str], Mapping[str, int]]

    @classmethod
    def of(cls, file: File) -> Ledger:
        """Return the ledger of an open file; each chunk's directory is read."""
        rows: list[Row] = []
        methods: dict[tuple[str, str], Counter[str]] = {}
        for table in file.tables.values():
            rows += _chunk_rows(table, methods)
            rows += _model_rows(table)
        for section in file.sections:
            if section.kind is SectionKind.DESCRIPTION:
                rows.append(Row("", "description", "description", section.length))
            elif section.kind is SectionKind.CARRIED:
                name = file.meta["carried"][section.owner]
                rows.append(Row("", name, "carried", section.length))
        ends = HEADER_SIZE + TRAILER_SIZE
        rows.append(Row("", "header and trailer", "header", ends))
        rows.append(Row("", "index", "index", file.index_size - ends))
        return cls(rows, methods)

    @cached_property
    def columns(self) -> dict[tuple[str, str], int]:
        """Coded bytes by table and column."""
        return self._by_column("column", "given")

    @cached_property
    def column_models(self) -> dict[tuple[str, str], int]:
        """Bytes of models by table and column."""
        return self._by_column("column_model")

    def _by_column(self, *kinds: str) -> dict[tuple[str, str], int]:
        return {
            (row.table, row.name): row.bytes for row in self.rows if row.kind in kinds
        }

    @cached_property
    def parts(self) -> dict[str, int]:
        """Bytes of the parts that the file has, in words."""
        sizes = dict.fromkeys(PARTS.values(), 0)
        for row in self.rows:
            sizes[PARTS[row.kind]] += row.bytes
        return {part: size for part, size in sizes.items() if size}


def _chunk_rows(
    table: StoredTable, methods: dict[tuple[str, str], Counter[str]]
) -> Iterator[Row]:
    """Yield a row per column, and those of directories and frames; add the methods.

    The sums go chunk by chunk: not all entries of a large table fit into memory.
    """
    nbytes = Counter({column.name: 0 for column in table.columns})
    methods |= {(table.name, name): Counter() for name in nbytes}
    shares: Counter[str] = Counter()
    shared = heads = 0
    for directory in table.directories():
        heads += directory.head
        content = sum(map(len, directory.group.values()))
        shared += directory.shared if content else 0
        for name, entry in directory.entries.items():
            methods[table.name, name][_method(entry)] += 1
            nbytes[name] += entry.stop - entry.begin
            if content and name in directory.group:
                shares[name] += directory.shared * entry.payload * _FINE // content
    nbytes.update(apportioned(shared, shares))
    for name, size in nbytes.items():
        kind = "given" if name in table.external else "column"
        yield Row(table.name, name, kind, size)
    yield Row(table.name, "directories and checksums", "directory", heads - shared)
    yield Row(table.name, "frames", "frame", FRAME_SIZE * len(table.chunks))


def _method(stored: Entry) -> str:
    return stored.method.name.lower() + (" of residuals" if stored.residual else "")


def _model_rows(table: StoredTable) -> Iterator[Row]:
    """Yield the shares of the table's own model by their uncompressed sizes, and the rest.

    Columns have shares, and so have rules and acceptance, which no column needs.
    """
    section = table.model_section
    if section is None:
        return
    numbers = {c.name: k for k, c in enumerate(table.columns)}
    flow = table.flow
    sizes = {
        ("column_model", name): len(pack_column(column, numbers))
        for name, column in flow.columns.items()
    }
    if flow.rules:
        sizes["model", "rules"] = len(pack_rules(flow.rules, numbers))
    if flow.acceptance:
        sizes["model", "acceptance"] = len(pack_acceptance(flow.acceptance, numbers))
    shares = apportioned(section.head, sizes)
    for (kind, name), size in shares.items():
        yield Row(table.name, name, kind, size)
    rest = section.length - sum(shares.values())
    yield Row(table.name, "rest of the model", "model", rest)


def apportioned(total: int, weights: Mapping[_Key, int]) -> dict[_Key, int]:
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
