"""Packing of a `LatticeFlow`: bins, parents and integer networks, column by column."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from flowtuple.codec.frequencies import MAX_SYMBOLS
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_signed, write_unsigned
from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt
from flowtuple.file.acceptance import pack_acceptance, unpack_acceptance
from flowtuple.file.layout import EVENT_MODELS
from flowtuple.file.model_reading import read_count, read_name
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import RELATIONS, Parent, coding_order, collection_of
from flowtuple.lattice.event_features import (
    KINDS,
    MAX_COLUMNS,
    MAX_KNOTS,
    EventFeature,
)
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import MAX_INPUTS, Layer, Network
from flowtuple.lattice.prediction import FUNCTIONS, LARGEST, Prediction, Term
from flowtuple.lattice.rules import MAX_NUMBERS, MAX_RULES, RULES, Rule
from flowtuple.lattice.tree import MAX_NODES, Tree, tree_of

MAX_TERMS = 64
MAX_LAYERS = 64
_WITH_TREE = 128  # added to the number of layers where a tree follows them
_FUNCTION_NAMES = tuple(FUNCTIONS)
_KIND_NAMES = tuple(KINDS)
_RULE_NAMES = tuple(RULES)
_DOUBLE = struct.Struct("<d")


def pack_flow(flow: LatticeFlow, columns: Sequence[Column]) -> bytes:
    """Return the flows of columns as one zstd frame, by number in the schema, in coding order."""
    numbers = {c.name: k for k, c in enumerate(columns)}
    parts = [write_unsigned([len(flow.columns)])]
    for name, column in flow.columns.items():
        parts.append(write_unsigned([numbers[name]]) + pack_column(column, numbers))
    if flow.rules or flow.acceptance:
        parts.append(pack_rules(flow.rules, numbers))
    if flow.acceptance:
        parts.append(pack_acceptance(flow.acceptance, numbers))
    return zstd(b"".join(parts))


def flags_of(flow: LatticeFlow) -> int:
    """Return the feature flags of a header that a model needs."""
    columns = flow.columns.values()
    uses = (
        bool(flow.rules or flow.acceptance)
        or any(p.feature is not None for c in columns for p in c.inputs)
        or any(c.network is not None and c.network.tree is not None for c in columns)
    )
    return EVENT_MODELS if uses else 0


def pack_column(column: ColumnFlow, numbers: Mapping[str, int]) -> bytes:
    """Return bins, scale, parents, prediction and network layers, of which there may be none."""
    layers = column.network.layers if column.network else ()
    tree = column.network.tree if column.network else None
    scales = () if column.scale is None else (column.scale,)
    parents = [_pack_parent(parent, numbers) for parent in column.parents]
    parts = [
        _pack_bins(column.bins),
        write_unsigned([len(scales)]),
        *map(_pack_bins, scales),
        write_unsigned([len(column.parents)]),
        *parents,
        _pack_prediction(column, numbers),
        write_unsigned([len(layers) + (0 if tree is None else _WITH_TREE)]),
        *map(_pack_layer, layers),
        b"" if tree is None else _pack_tree(tree),
    ]
    return b"".join(parts)


def _pack_parent(parent: Parent, numbers: Mapping[str, int]) -> bytes:
    """Return the relation and its columns; of a feature its kind, columns and knots."""
    relation, named = RELATIONS.index(parent.relation), [numbers[n] for n in parent.names]
    feature = parent.feature
    if feature is None:
        return write_unsigned([relation, *named])
    kind, knots = _KIND_NAMES.index(feature.kind), feature.knots
    return b"".join(
        [
            write_unsigned([relation, kind, len(named), *named, len(knots)]),
            *map(_DOUBLE.pack, knots),
        ]
    )


def _pack_prediction(column: ColumnFlow, numbers: Mapping[str, int]) -> bytes:
    """Return the number of terms, the flag of residuals, the period (0 for none), and each term."""
    if column.prediction is None:
        return write_unsigned([0])
    low, turn = column.prediction.period or (0, 0)
    parts = [
        write_unsigned([len(column.prediction.terms), column.residual]),
        write_signed([low]),
        write_unsigned([turn]),
    ]
    for term in column.prediction.terms:
        parts += [
            _DOUBLE.pack(term.coefficient),
            write_unsigned([_FUNCTION_NAMES.index(term.function)]),
            *(_pack_parent(parent, numbers) for parent in term.inputs),
        ]
    return b"".join(parts)


def pack_rules(rules: Sequence[Rule], numbers: Mapping[str, int]) -> bytes:
    """Return the number of rules, then each."""
    return write_unsigned([len(rules)]) + b"".join(_pack_rule(r, numbers) for r in rules)


def _pack_rule(rule: Rule, numbers: Mapping[str, int]) -> bytes:
    """Return kind, columns and numbers of a rule."""
    named = [numbers[name] for name in rule.columns]
    head = [_RULE_NAMES.index(rule.kind), len(named), *named, len(rule.numbers)]
    return write_unsigned(head) + b"".join(map(_DOUBLE.pack, rule.numbers))


def _pack_bins(bins: Bins) -> bytes:
    """Return the first index, then the gaps between bins, then the widths less 1, as varints."""
    # int64 differences may wrap; read as uint64 they are right.
    gaps = (bins.first[1:] - bins.last[:-1] - 1).view(np.uint64).tolist()
    begin = write_unsigned([len(bins.first)]) + write_signed(bins.first[:1].tolist())
    return begin + write_unsigned(gaps + bins.spans[:-1].tolist())


def _pack_layer(layer: Layer) -> bytes:
    """Return outputs and inputs, shifts, then the weights input by input."""
    outputs, inputs = layer.weights.shape
    weights = np.ascontiguousarray(layer.weights.T)
    return write_unsigned([outputs, inputs]) + layer.shifts.tobytes() + weights.tobytes()


def _pack_tree(tree: Tree) -> bytes:
    """Return the nodes in preorder, then the logits leaf by leaf."""
    nodes = zip(tree.feature.tolist(), tree.threshold.tolist(), strict=True)
    numbers = [n for f, at in nodes for n in ((f + 1, at) if f >= 0 else (0,))]
    return b"".join(
        [
            write_unsigned([len(tree.feature), *numbers]),
            tree.logits.astype("<i2").tobytes(),
        ]
    )


def unpack_flow(data: bytes, columns: Sequence[Column]) -> LatticeFlow:
    """Return the flow that `pack_flow` packed.

    Raises:
        Corrupt: The bytes describe no flow of these columns.
    """
    return unpack_content(unzstd(data), columns)


def unpack_content(
    content: bytes,
    columns: Sequence[Column],
    resolutions: Mapping[str, str] = MappingProxyType({}),
) -> LatticeFlow:
    """Return the flow from the contents of its frame; see `unpack_flow`.

    Args:
        content: The contents.
        columns: The schema.
        resolutions: Resolution by the name of its column, of the lattices of the file.

    Raises:
        Corrupt: As `unpack_flow`.
    """
    reader = Reader(content)
    flows: dict[str, ColumnFlow] = {}
    for _ in range(reader.unsigned()):
        name = read_name(reader, columns)
        if name in flows:
            raise Corrupt(f"a model has two flows for the column {name!r}")
        flows[name] = _unpack_column(reader, columns)
    rules: tuple[Rule, ...] = ()
    acceptance = None
    if reader.position != len(reader.data):
        rules = _unpack_rules(reader, columns)
        if not rules or reader.position != len(reader.data):
            acceptance = unpack_acceptance(reader, columns)
    if reader.position != len(reader.data):
        raise Corrupt("a model has more bytes than its columns, rules and acceptance")
    _check_order(flows, columns, resolutions)
    return LatticeFlow(flows, rules, acceptance)


def _unpack_rules(reader: Reader, columns: Sequence[Column]) -> tuple[Rule, ...]:
    count = reader.unsigned()
    if count > MAX_RULES:
        raise Corrupt(
            f"a model has more bytes than its columns, and {count} rules, more than {MAX_RULES}"
        )
    rules = tuple(_unpack_rule(reader, columns) for _ in range(count))
    key = {c.name: collection_of(c) for c in columns if not c.is_opaque}
    for rule in rules:
        keys = [key.get(name) for name in rule.columns]
        together = None not in keys and (rule.kind == "flag" or len(set(keys)) == 1)
        of_event = rule.kind not in ("flag", "implies") or keys[:1] == [""]
        if not (rule.is_well_formed and together and of_event):
            raise Corrupt(f"a model has a rule of kind {rule.kind!r} that makes no sense")
    return rules


def _unpack_rule(reader: Reader, columns: Sequence[Column]) -> Rule:
    kind = reader.unsigned()
    if kind >= len(_RULE_NAMES):
        raise Corrupt(f"a model has a rule of the unknown kind {kind}")
    named = tuple(
        read_name(reader, columns)
        for _ in range(read_count(reader, MAX_COLUMNS, "columns"))
    )
    count = read_count(reader, MAX_NUMBERS, "numbers")
    numbers = tuple(_DOUBLE.unpack(reader.take(_DOUBLE.size))[0] for _ in range(count))
    if not all(map(math.isfinite, numbers)):
        raise Corrupt("a model has a rule with a number that is not finite")
    return Rule(_RULE_NAMES[kind], named, numbers)


def _unpack_column(reader: Reader, columns: Sequence[Column]) -> ColumnFlow:
    bins = _unpack_bins(reader)
    scaled = reader.unsigned()
    scale = _unpack_bins(reader) if scaled else None
    parents = tuple(
        _unpack_parent(reader, columns)
        for _ in range(read_count(reader, MAX_INPUTS, "parents"))
    )
    prediction, residual = _unpack_prediction(reader, columns)
    count = read_count(reader, MAX_LAYERS + _WITH_TREE, "layers")
    if MAX_LAYERS < count < _WITH_TREE:
        raise Corrupt(f"a model has a column of {count} layers, more than {MAX_LAYERS}")
    layers = tuple(_unpack_layer(reader) for _ in range(count % _WITH_TREE))
    tree = _unpack_tree(reader, len(parents), bins) if count >= _WITH_TREE else None
    if count >= _WITH_TREE and not layers:
        raise Corrupt("a model has a tree without a network")
    network = Network(layers, tree) if layers else None
    inputs = [len(parents) + 1, *(len(layer.shifts) + 1 for layer in layers)]
    if network and (
        [layer.weights.shape[1] for layer in layers] != inputs[:-1]
        or not 2 <= network.outputs == bins.symbols
    ):
        raise Corrupt("the layers of a network do not fit one another")
    if scaled > 1:
        raise Corrupt("a model has a column with more than one scale")
    if any(p.relation == "prediction" for p in parents) and prediction is None:
        raise Corrupt("a model reads the prediction of a column that has none")
    return ColumnFlow(bins, parents, network, prediction, residual, scale)


def _check_order(
    flows: Mapping[str, ColumnFlow],
    columns: Sequence[Column],
    resolutions: Mapping[str, str],
) -> None:
    """Raise if a column reads another that is not decoded before it, or has no such relation to it.

    A column may read itself at objects before.
    """
    in_order = coding_order(columns, tuple(flows), resolutions)
    order = {c.name: k for k, c in enumerate(in_order)}
    key = {c.name: collection_of(c) for c in columns}
    for name, flow in flows.items():
        if name not in order:
            raise Corrupt(f"a model has a flow for the column {name!r}, which is opaque")
        for parent in flow.inputs:
            if parent.names and not _may_read(name, parent, order, key):
                raise Corrupt(
                    f"a model lets column {name!r} read {parent.names[0]!r}, which it cannot"
                )
            if any(read not in flows for read in parent.names):
                raise Corrupt(
                    f"a model lets column {name!r} read {parent.names[0]!r}, "
                    "which has no place in it"
                )


def _may_read(
    reader: str, parent: Parent, order: Mapping[str, int], key: Mapping[str, str]
) -> bool:
    if any(name not in order for name in parent.names):
        return False
    if parent.feature is not None:
        return _may_compute(reader, parent.feature, order, key)
    own = key[reader]
    other = key[parent.column]
    before = order[parent.column] < order[reader]
    through = parent.through
    refers = through in order and order[through] < order[reader] and key[through] == own
    before_or_itself = before or parent.column == reader
    allowed = {
        "row": before and other == own,
        "event": before and other == "",
        "previous": before_or_itself and own == other != "",
        "leading": before_or_itself and other != "",
        "same": before and "" not in (own, other) and own != other,
        "reference": before and refers and other != "",
    }
    return allowed[parent.relation]


def _may_compute(
    reader: str, feature: EventFeature, order: Mapping[str, int], key: Mapping[str, str]
) -> bool:
    """Return whether all that a feature takes is decoded before, in the collections it needs."""
    own, columns = key[reader], feature.columns
    keys = [key[name] for name in columns]
    before = [order[name] < order[reader] for name in columns]
    known = all(b or name == reader for b, name in zip(before, columns, strict=True))
    first = KINDS[feature.kind][0]
    pairs = all(
        a == b for a, b in zip(keys[first::2], keys[first + 1 :: 2], strict=False)
    )
    allowed = {
        "sum": known,
        "rest": all(before) and keys == [own],
        "mean": known and len(set(keys)) == 1,
        "length": known and pairs,
        "needed": known and keys == [own],
        "size": all(before) and keys == [own],
        "mass": all(before) and set(keys) == {own},
        "back to back": all(before) and set(keys) == {own},
        "place": all(before) and keys == [own],
        "place of size": all(before) and keys == [own],
        "energy": all(before) and set(keys) == {own},
        "left": all(before) and set(keys) == {own},
        "relative length": known and pairs and before[0] and keys[0] == own,
        "opening": known and pairs and before[0] and keys[0] == own,
        "balance": known and pairs,
        "turn of the first": known and pairs and keys[0] != "",
        "turn of the last": known and pairs and keys[0] == own,
        "distance": all(before) and keys[:2] == [own] * 2 and len(set(keys[2:])) == 1,
        "nearest": all(before)
        and keys[1:3] == [own] * 2
        and len({keys[0], *keys[3:]}) == 1,
    }
    return own != "" and allowed[feature.kind]


def _unpack_parent(reader: Reader, columns: Sequence[Column]) -> Parent:
    number = reader.unsigned()
    if number >= len(RELATIONS):
        raise Corrupt(f"a model reads a parent by the unknown relation {number}")
    relation = RELATIONS[number]
    if relation == "feature":
        return Parent(relation, feature=_unpack_feature(reader, columns))
    named = {"index": 0, "prediction": 0, "reference": 2}.get(relation, 1)
    names = [read_name(reader, columns) for _ in range(named)]
    column, through = (*names, "", "")[:2]
    return Parent(relation, column, through)


def _unpack_feature(reader: Reader, columns: Sequence[Column]) -> EventFeature:
    kind, count = reader.unsigned(), reader.unsigned()
    if kind >= len(_KIND_NAMES):
        raise Corrupt(f"a model reads a feature of the unknown kind {kind}")
    first, group = KINDS[_KIND_NAMES[kind]]
    further = count - first
    if not first <= count <= MAX_COLUMNS or (further % group if group else further):
        raise Corrupt(f"a feature of kind {kind} cannot take {count} columns")
    if group and not further:
        raise Corrupt(f"a feature of kind {kind} sums no vector")
    named = tuple(read_name(reader, columns) for _ in range(count))
    size = reader.unsigned()
    if size > MAX_KNOTS:
        raise Corrupt(f"a feature of {size} knots has more than {MAX_KNOTS}")
    knots = tuple(_DOUBLE.unpack(reader.take(_DOUBLE.size))[0] for _ in range(size))
    if not all(map(math.isfinite, knots)) or any(a >= b for a, b in pairwise(knots)):
        raise Corrupt("the knots of a feature do not increase")
    return EventFeature(_KIND_NAMES[kind], named, knots)


def _unpack_prediction(
    reader: Reader, columns: Sequence[Column]
) -> tuple[Prediction | None, bool]:
    count = reader.unsigned()
    if not count:
        return None, False
    if count > MAX_TERMS:
        raise Corrupt(f"a prediction of {count} terms has more than {MAX_TERMS}")
    residual, low, turn = reader.unsigned(), reader.signed(), reader.unsigned()
    if residual > 1 or abs(low) > LARGEST or turn > LARGEST or (low and not turn):
        raise Corrupt("a prediction is outside the limits of the format")
    terms = tuple(_unpack_term(reader, columns) for _ in range(count))
    return Prediction(terms, (low, turn) if turn else None), bool(residual)


def _unpack_term(reader: Reader, columns: Sequence[Column]) -> Term:
    coefficient, number = _DOUBLE.unpack(reader.take(_DOUBLE.size))[0], reader.unsigned()
    if not math.isfinite(coefficient) or number >= len(_FUNCTION_NAMES):
        raise Corrupt("a prediction has a term that does not exist")
    name = _FUNCTION_NAMES[number]
    inputs = tuple(_unpack_parent(reader, columns) for _ in range(FUNCTIONS[name][0]))
    if any(not parent.names for parent in inputs):
        raise Corrupt("a prediction reads a number of an object or itself")
    return Term(coefficient, name, inputs)


def _unpack_bins(reader: Reader) -> Bins:
    count = reader.unsigned()
    if count >= MAX_SYMBOLS:
        raise Corrupt(
            f"a model has a column of {count} bins, more than {MAX_SYMBOLS - 1}"
        )
    end = reader.signed() - 1 if count else 0
    first: list[int] = []
    last: list[int] = []
    for gap in [0, *(reader.unsigned() for _ in range(count - 1))][:count]:
        first.append(end + 1 + gap)
        end = first[-1] + reader.unsigned()
        last.append(end)
    if last and not -(2**63) <= first[0] <= last[-1] < 2**63:
        raise Corrupt("a model has a bin beyond 64 bits")
    return Bins(np.array(first, np.int64), np.array(last, np.int64))


def _unpack_tree(reader: Reader, inputs: int, bins: Bins) -> Tree:
    nodes = read_count(reader, MAX_NODES, "nodes")
    feature, threshold = np.full(nodes, -1, np.int64), np.zeros(nodes, np.int64)
    for node in range(nodes):
        if number := reader.unsigned():
            limit = reader.unsigned()
            if number > inputs or limit > 255:
                raise Corrupt("a tree compares what its network does not read")
            feature[node], threshold[node] = number - 1, limit
    leaves = int(np.count_nonzero(feature < 0))
    content = reader.take(2 * leaves * bins.symbols)
    logits = np.frombuffer(content, "<i2").astype(np.int16).reshape(leaves, bins.symbols)
    return tree_of(feature, threshold, logits)


def _unpack_layer(reader: Reader) -> Layer:
    outputs, inputs = reader.unsigned(), reader.unsigned()
    if not (1 <= outputs <= MAX_SYMBOLS and 1 <= inputs <= MAX_INPUTS + 1):
        raise Corrupt(
            f"a network layer of shape {(outputs, inputs)} is outside the limits of the format"
        )
    shifts = np.frombuffer(reader.take(outputs), np.uint8)
    weights: Array = np.frombuffer(reader.take(outputs * inputs), np.int8).reshape(
        inputs, outputs
    )
    return Layer(np.ascontiguousarray(weights.T), shifts)
