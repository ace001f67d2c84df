"""A `LatticeFlow` as bytes: bins, parents and integer networks, column by column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.codec.frequencies import MAX_SYMBOLS
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_signed, write_unsigned
from flowtuple.errors import Corrupt
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent, Relation, coding_order, collection_of
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import MAX_INPUTS, Layer, Network
from flowtuple.schema import Array, Column

_RELATIONS: tuple[Relation, ...] = ("row", "event", "index")


def pack_flow(flow: LatticeFlow, columns: Sequence[Column]) -> bytes:
    """One zstd frame; each column with a flow by its number in the schema, in increasing order."""
    numbers = {c.name: k for k, c in enumerate(columns)}
    present = sorted(flow.columns, key=numbers.__getitem__)
    parts = [write_unsigned([len(present)])]
    for name in present:
        parts.append(write_unsigned([numbers[name]]) + pack_column(flow.columns[name], numbers))
    return zstd(b"".join(parts))


def pack_column(column: ColumnFlow, numbers: dict[str, int]) -> bytes:
    """Bins, parents, then the layers of the network, of which there may be none."""
    parents = [n for p in column.parents for n in (_RELATIONS.index(p.relation), numbers.get(p.column, 0))]
    head = [len(column.parents), *parents, len(column.network.layers) if column.network else 0]
    layers = column.network.layers if column.network else ()
    return _pack_bins(column.bins) + write_unsigned(head) + b"".join(map(_pack_layer, layers))


def _pack_bins(bins: Bins) -> bytes:
    """First index, gap to the bin before and width - 1 of each bin, as variable-length numbers."""
    first, last = bins.first.tolist(), bins.last.tolist()
    gaps = [b - a - 1 for a, b in zip(last, first[1:], strict=False)]
    widths = [b - a for a, b in zip(first, last, strict=True)]
    return write_unsigned([len(first)]) + write_signed(first[:1]) + write_unsigned(gaps) + write_unsigned(widths)


def _pack_layer(layer: Layer) -> bytes:
    """Outputs and inputs, shifts, then the weights input by input."""
    outputs, inputs = layer.weights.shape
    weights = np.ascontiguousarray(layer.weights.T)
    return write_unsigned([outputs, inputs]) + layer.shifts.tobytes() + weights.tobytes()


def unpack_flow(data: bytes, columns: Sequence[Column]) -> LatticeFlow:
    """The inverse of `pack_flow`.

    Raises:
        Corrupt: The bytes describe no flow of these columns.
    """
    reader = Reader(unzstd(data))
    flows: dict[str, ColumnFlow] = {}
    numbers = []
    for _ in range(reader.unsigned()):
        numbers.append(reader.unsigned())
        name = _name(numbers[-1], columns)
        bins = _unpack_bins(reader)
        parents = tuple(_unpack_parent(reader, columns) for _ in range(reader.unsigned()))
        layers = tuple(_unpack_layer(reader) for _ in range(reader.unsigned()))
        flows[name] = ColumnFlow(bins, parents, _network(layers, bins, parents) if layers else None)
    if reader.position != len(reader.data):
        raise Corrupt("a model has more bytes than its columns")
    if sorted(set(numbers)) != numbers:
        raise Corrupt("the columns of a model are out of order")
    _check_parents(flows, columns)
    return LatticeFlow(flows)


def _check_parents(flows: dict[str, ColumnFlow], columns: Sequence[Column]) -> None:
    """Every parent comes before its reader, has bins, and lies where the relation says."""
    order = {c.name: k for k, c in enumerate(coding_order(columns))}
    key = {c.name: collection_of(c) for c in columns}
    for name, flow in flows.items():
        if name not in order:
            raise Corrupt(f"a model has a flow for the column {name!r}, which is opaque")
        for parent in flow.parents:
            if parent.relation == "index":
                continue
            there = parent.column in flows and order[parent.column] < order[name]
            if not there or key[parent.column] != (key[name] if parent.relation == "row" else ""):
                raise Corrupt(f"a model lets column {name!r} read {parent.column!r}, which it cannot")


def _name(number: int, columns: Sequence[Column]) -> str:
    if number >= len(columns):
        raise Corrupt(f"a model speaks of column number {number} of {len(columns)}")
    return columns[number].name


def _unpack_parent(reader: Reader, columns: Sequence[Column]) -> Parent:
    relation, number = reader.unsigned(), reader.unsigned()
    if relation >= len(_RELATIONS):
        raise Corrupt(f"a model reads a parent by the unknown relation {relation}")
    kind = _RELATIONS[relation]
    return Parent(kind) if kind == "index" else Parent(kind, _name(number, columns))


def _unpack_bins(reader: Reader) -> Bins:
    count = reader.unsigned()
    if count >= MAX_SYMBOLS:
        raise Corrupt(f"a model has a column of {count} bins, more than {MAX_SYMBOLS - 1}")
    begin = reader.signed() if count else 0
    gaps = [0] + [reader.unsigned() for _ in range(count - 1)]
    first: list[int] = []
    last: list[int] = []
    for k in range(count):
        begin = last[-1] + 1 + gaps[k] if last else begin
        first.append(begin)
        last.append(begin + reader.unsigned())
    if last and not -(2**63) <= first[0] <= last[-1] < 2**63:
        raise Corrupt("a model has a bin beyond 64 bits")
    return Bins(np.array(first, np.int64), np.array(last, np.int64))


def _unpack_layer(reader: Reader) -> Layer:
    outputs, inputs = reader.unsigned(), reader.unsigned()
    if not (1 <= outputs <= MAX_SYMBOLS and 1 <= inputs <= MAX_INPUTS + 1):
        raise Corrupt(f"a network layer of shape {(outputs, inputs)} is outside the limits of the format")
    shifts = np.frombuffer(reader.take(outputs), np.uint8)
    weights: Array = np.frombuffer(reader.take(outputs * inputs), np.int8).reshape(inputs, outputs)
    return Layer(np.ascontiguousarray(weights.T), shifts)


def _network(layers: tuple[Layer, ...], bins: Bins, parents: tuple[Parent, ...]) -> Network:
    widths = [len(parents)] + [len(layer.shifts) for layer in layers]
    fits = all(layer.weights.shape[1] == inputs + 1 for layer, inputs in zip(layers, widths, strict=False))
    if not fits or widths[-1] != bins.symbols or widths[-1] < 2:
        raise Corrupt("the layers of a network do not fit one another")
    return Network(layers)
