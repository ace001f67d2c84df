"""Packing of the acceptance of a model: quantities of events, and trees on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowtuple.codec.varint import Reader, write_signed, write_unsigned
from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt
from flowtuple.file.model_reading import read_count, read_name
from flowtuple.lattice.acceptance import (
    MAX_NODES,
    MAX_QUANTITIES,
    MAX_TREES,
    Acceptance,
    AcceptanceTree,
    acceptance_tree,
)
from flowtuple.lattice.context import collection_of
from flowtuple.lattice.event_quantities import MAX_COLUMNS, QUANTITIES, Quantity

_KIND_NAMES = tuple(QUANTITIES)
_LARGEST_OBJECT = 2**16
_LARGEST_OFFSET = 2**20


def pack_acceptance(acceptance: Acceptance, numbers: Mapping[str, int]) -> bytes:
    """Return an acceptance in bytes.

    Args:
        acceptance: What to pack.
        numbers: Number of each column in the schema.
    """
    parts = [write_unsigned([len(acceptance.quantities)])]
    for quantity in acceptance.quantities:
        columns = [numbers[name] for name in quantity.columns]
        kind = _KIND_NAMES.index(quantity.kind)
        parts.append(write_unsigned([kind, len(columns), *columns, *quantity.objects]))
    parts.append(write_unsigned([len(acceptance.trees)]))
    parts += [_pack_tree(tree) for tree in acceptance.trees]
    return b"".join([*parts, write_signed([acceptance.offset])])


def _pack_tree(tree: AcceptanceTree) -> bytes:
    """Return quantities, thresholds and leaves, each kind of number by itself."""
    inner = tree.quantity >= 0
    thresholds: Array = tree.threshold[inner].astype("<f4")
    leaves: Array = tree.value[~inner].astype("<i2")
    nodes = write_unsigned([len(inner), *(tree.quantity + 1).tolist()])
    return nodes + thresholds.tobytes() + leaves.tobytes()


def unpack_acceptance(reader: Reader, columns: Sequence[Column]) -> Acceptance:
    """Read an acceptance.

    Args:
        reader: At its first byte.
        columns: The schema.

    Raises:
        Corrupt: The bytes are none of an acceptance.
    """
    key = {c.name: collection_of(c) for c in columns if not c.is_opaque}
    count = read_count(reader, MAX_QUANTITIES, "quantities")
    quantities = tuple(_unpack_quantity(reader, columns, key) for _ in range(count))
    trees = tuple(
        _unpack_tree(reader, count)
        for _ in range(read_count(reader, MAX_TREES, "trees of an acceptance"))
    )
    offset = reader.signed()
    if not (quantities and trees) or abs(offset) > _LARGEST_OFFSET:
        raise Corrupt(
            "an acceptance has no quantities, no trees, or an offset outside the limits"
        )
    return Acceptance(quantities, trees, offset)


def _unpack_quantity(
    reader: Reader, columns: Sequence[Column], key: Mapping[str, str]
) -> Quantity:
    kind = reader.unsigned()
    if kind >= len(_KIND_NAMES):
        raise Corrupt(f"an acceptance reads a quantity of the unknown kind {kind}")
    name = _KIND_NAMES[kind]
    count = read_count(reader, MAX_COLUMNS, "columns of a quantity")
    named = tuple(read_name(reader, columns) for _ in range(count))
    objects = tuple(
        read_count(reader, _LARGEST_OBJECT, "objects before another")
        for _ in range(QUANTITIES[name][2])
    )
    quantity = Quantity(name, named, objects)
    groups = [{key.get(c) for c in group} for group in quantity.collections]
    together = all(len(group) == 1 and None not in group for group in groups)
    if not (quantity.is_well_formed and together):
        raise Corrupt(
            f"an acceptance has a quantity of kind {name!r} that makes no sense"
        )
    return quantity


def _unpack_tree(reader: Reader, quantities: int) -> AcceptanceTree:
    nodes = read_count(reader, MAX_NODES, "nodes")
    numbers = [reader.unsigned() for _ in range(nodes)]
    if max(numbers, default=0) > quantities:
        raise Corrupt("an acceptance compares a quantity that it does not have")
    quantity = np.array(numbers, np.int64) - 1
    inner = quantity >= 0
    threshold, value = np.zeros(nodes, np.float32), np.zeros(nodes, np.int16)
    content = reader.take(4 * int(np.count_nonzero(inner)))
    threshold[inner] = np.frombuffer(content, "<f4")
    value[~inner] = np.frombuffer(reader.take(2 * int(np.count_nonzero(~inner))), "<i2")
    if not np.isfinite(threshold).all():
        raise Corrupt("an acceptance has a threshold that is not finite")
    return acceptance_tree(quantity, threshold, value)
