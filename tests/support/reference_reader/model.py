"""Section 9: models."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import pairwise

from reference_reader.acceptance import Acceptance, parse_acceptance
from reference_reader.base import (
    MAX_BINS,
    MAX_INPUTS,
    MAX_OUTPUTS,
    MAX_TERMS,
    REACH,
    Reader,
    require,
    zstd_content,
)
from reference_reader.description import Column, Table
from reference_reader.features import KINDS, NAMES, Feature, may_read
from reference_reader.flow import (
    RELATIONS,
    WITHOUT_COLUMN,
    Bins,
    Flow,
    Layer,
    Model,
    Parent,
    Prediction,
    Term,
    Tree,
    coding_order,
)
from reference_reader.functions import FUNCTIONS
from reference_reader.rules import KINDS as RULES
from reference_reader.rules import Rule, all_formed

MAX_LAYERS, WITH_TREE, MAX_NODES = 64, 128, 65_535
MAX_COLUMNS, MAX_KNOTS, MAX_RULES, MAX_NUMBERS = 16, 254, 4096, 512


def parse_model(
    section: bytes, columns: Sequence[Column]
) -> tuple[Model, list[Rule], Acceptance | None]:
    """Section 9: the columns of a model, by name, its rules and acceptance."""
    reader = Reader(zstd_content(section))
    model: Model = {}
    for _ in range(reader.varint()):
        name = column_name(reader, columns)
        require(name not in model, "a column twice in a model")
        model[name] = parse_flow(reader, columns)
    rules: list[Rule] = []
    acceptance = None
    if reader.left() > 0:
        count = reader.varint()
        require(count <= MAX_RULES, "another number of rules than a model may have")
        rules = [parse_rule(reader, columns) for _ in range(count)]
        require(all_formed(rules), "a rule that is not formed as its kind is")
        if count == 0 or reader.left() > 0:
            acceptance = parse_acceptance(reader, columns)
    reader.finish()
    return model, rules, acceptance


def uses_event_models(model: Model, more: bool) -> bool:
    """Section 2.1: whether bit 0 has to be set, for one with more than columns or without."""
    trees = any(flow.tree is not None for flow in model.values())
    features = any(p.feature is not None for flow in model.values() for p in flow.reads())
    return trees or features or more


def column_name(reader: Reader, columns: Sequence[Column]) -> str:
    """Section 9: the number of a column of the schema, not an opaque one."""
    number = reader.varint()
    require(number < len(columns), "no such column")
    require(not columns[number].is_opaque, "an opaque column in a model")
    return columns[number].name


def parse_flow(reader: Reader, columns: Sequence[Column]) -> Flow:
    """Section 9: one column of the model, without its number."""
    bins = parse_bins(reader)
    scale = parse_bins(reader) if parse_flag(reader) else None
    parents = [parse_parent(reader, columns) for _ in range(reader.varint())]
    term_count = reader.varint()
    require(term_count <= MAX_TERMS, "too many terms")
    residual, prediction = False, None
    if term_count > 0:
        residual = parse_flag(reader)
        period = parse_period(reader)
        prediction = Prediction(
            [parse_term(reader, columns) for _ in range(term_count)], period
        )
    count = reader.varint()
    has_tree = count >= WITH_TREE
    count -= WITH_TREE if has_tree else 0
    require(count <= MAX_LAYERS, "too many layers")
    layers = [parse_layer(reader) for _ in range(count)]
    check_layers(layers, len(parents), len(bins.first))
    require(not has_tree or layers != [], "a tree without a network")
    tree = parse_tree(reader, len(parents), len(bins.first) + 1) if has_tree else None
    return Flow(bins, scale, parents, prediction, residual, layers, tree)


def parse_flag(reader: Reader) -> bool:
    """Section 9: a varint that is 1 or 0."""
    n = reader.varint()
    require(n <= 1, "neither 1 nor 0")
    return n == 1


def parse_bins(reader: Reader) -> Bins:
    """Section 9: bins."""
    count = reader.varint()
    require(count <= MAX_BINS, "too many bins")
    if count == 0:
        return Bins([], [])
    begin = reader.svarint()
    gaps = [0] + [reader.varint() for _ in range(count - 1)]
    widths = [reader.varint() for _ in range(count)]
    first, last = [], []
    for gap, width in zip(gaps, widths, strict=True):
        begin += gap
        first.append(begin)
        last.append(begin + width)
        begin = last[-1] + 1
    require(last[-1] < 2**63, "bins beyond 2^63 - 1")
    return Bins(first, last)


def parse_parent(reader: Reader, columns: Sequence[Column]) -> Parent:
    """Section 9: a parent."""
    number = reader.varint()
    require(number < len(RELATIONS), "a reserved relation")
    relation = RELATIONS[number]
    if relation == "feature":
        return Parent(relation, feature=parse_feature(reader, columns))
    column = "" if relation in WITHOUT_COLUMN else column_name(reader, columns)
    through = column_name(reader, columns) if relation == "reference" else ""
    return Parent(relation, column, through)


def parse_feature(reader: Reader, columns: Sequence[Column]) -> Feature:
    """Section 9: a feature."""
    number, count = reader.varint(), reader.varint()
    require(number < len(NAMES), "a reserved kind of feature")
    first, group = KINDS[NAMES[number]]
    further = count - first
    fits = further > 0 and further % group == 0 if group else further == 0
    require(fits and count <= MAX_COLUMNS, "a feature of another number of columns")
    named = tuple(column_name(reader, columns) for _ in range(count))
    knots = reader.varint()
    require(knots <= MAX_KNOTS, "too many knots")
    values = finite_numbers(reader, knots)
    require(all(a < b for a, b in pairwise(values)), "knots that do not increase")
    return Feature(NAMES[number], named, values)


def finite_numbers(reader: Reader, count: int) -> tuple[float, ...]:
    """Section 9: finite `f64`."""
    numbers = tuple(reader.f64() for _ in range(count))
    require(all(map(math.isfinite, numbers)), "a number that is not finite")
    return numbers


def parse_tree(reader: Reader, parents: int, symbols: int) -> Tree:
    """Section 9: a tree; its nodes are as many as the subtrees that they begin take."""
    count = reader.varint()
    require(1 <= count <= MAX_NODES, "another number of nodes than a tree may have")
    nodes, open_ends = [], 1
    for _ in range(count):
        require(open_ends > 0, "nodes beyond the last leaf")
        number = reader.varint()
        threshold = reader.varint() if number > 0 else 0
        require(number <= parents and threshold <= 255, "a node that compares nothing")
        nodes.append((number - 1, threshold))
        open_ends += 1 if number > 0 else -1
    require(open_ends == 0, "a tree without its last leaf")
    leaves = [
        struct.unpack(f"<{symbols}h", reader.take(2 * symbols)) for i, _ in nodes if i < 0
    ]
    return Tree(nodes, leaves)


def parse_rule(reader: Reader, columns: Sequence[Column]) -> Rule:
    """Section 9: a rule."""
    kind, count = reader.varint(), reader.varint()
    require(kind < len(RULES), "a reserved kind of rule")
    require(count <= MAX_COLUMNS, "too many columns of a rule")
    by_name = {c.name: c for c in columns}
    named = tuple(by_name[column_name(reader, columns)] for _ in range(count))
    numbers = reader.varint()
    require(numbers <= MAX_NUMBERS, "too many numbers of a rule")
    return Rule(RULES[kind], named, finite_numbers(reader, numbers))


def parse_period(reader: Reader) -> tuple[int, int] | None:
    """Sections 6.7 and 9: first index and number of indices of a full turn."""
    low, turn = reader.svarint(), reader.varint()
    if turn == 0:
        require(low == 0, "a first index without a period")
        return None
    require(abs(low) <= REACH and turn <= REACH, "a period out of its limits")
    return low, turn


def parse_term(reader: Reader, columns: Sequence[Column]) -> Term:
    """Section 9: a term."""
    coefficient, function = reader.f64(), reader.varint()
    require(math.isfinite(coefficient), "a coefficient that is not finite")
    require(function < len(FUNCTIONS), "a reserved function")
    inputs = [parse_parent(reader, columns) for _ in range(FUNCTIONS[function][0])]
    require(
        all(p.relation not in WITHOUT_COLUMN for p in inputs),
        "a relation that a prediction cannot have",
    )
    return Term(coefficient, function, inputs)


def parse_layer(reader: Reader) -> Layer:
    """Section 9: a layer; the weights come input by input."""
    outputs, inputs = reader.varint(), reader.varint()
    require(
        1 <= outputs <= MAX_OUTPUTS and 1 <= inputs <= MAX_INPUTS,
        "a layer out of its limits",
    )
    shifts = list(reader.take(outputs))
    require(all(1 <= h <= 20 for h in shifts), "a shift out of its limits")
    flat = struct.unpack(f"{inputs * outputs}b", reader.take(inputs * outputs))
    require(-128 not in flat, "a weight of -128")
    return Layer([list(flat[j::outputs]) for j in range(outputs)], shifts)


def check_layers(layers: list[Layer], parents: int, bins: int) -> None:
    """Section 6.3: how many inputs and outputs layers have."""
    inputs = parents
    for layer in layers:
        require(
            len(layer.weights[0]) == inputs + 1, "a layer with another number of inputs"
        )
        inputs = len(layer.weights)
    require(
        not layers or (inputs == bins + 1 and inputs >= 2),
        "a network with another number of outputs",
    )


def check_model(model: Model, table: Table) -> None:
    """Sections 5 and 6.2: the order of a model, and what its columns may read."""
    before: set[str] = set()
    for name in coding_order(table, model):
        if name not in model:
            continue
        flow = model[name]
        for parent in flow.reads():
            check_parent(parent, table.columns[name], table, before)
        predicted = flow.prediction is not None
        require(
            predicted or all(p.relation != "prediction" for p in flow.parents),
            "no prediction to read",
        )
        before.add(name)


def check_parent(parent: Parent, reader: Column, table: Table, before: set[str]) -> None:
    """Section 6.2: the table of relations, and that columns come before their readers."""
    if parent.relation in WITHOUT_COLUMN:
        return
    if parent.feature is not None:
        check_feature(parent.feature, reader, table, before)
        return
    column = table.columns[parent.column]
    own, neither_event = (
        reader.collection == column.collection,
        not reader.is_event and not column.is_event,
    )
    fits = {
        "row": own,
        "event": column.is_event,
        "previous": own and neither_event,
        "leading": neither_event,
        "same": neither_event and not own,
        "reference": neither_event,
    }
    require(
        fits[parent.relation],
        f"{reader.name}: {column.name} cannot be read by {parent.relation}",
    )
    itself = parent.relation in {"previous", "leading"} and column is reader
    require(
        itself or column.name in before,
        f"{reader.name} reads {column.name}, which comes later or not at all",
    )
    if parent.relation == "reference":
        through = table.columns[parent.through]
        require(
            through.collection == reader.collection and through.name in before,
            f"{reader.name}: bad references",
        )


def check_feature(
    feature: Feature, reader: Column, table: Table, before: set[str]
) -> None:
    """Section 6.9: what a feature may read."""
    columns = [table.columns[name] for name in feature.columns]
    require(
        may_read(feature, reader, columns, before),
        f"{reader.name} cannot read {feature.columns} by {feature.kind}",
    )
