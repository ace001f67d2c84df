"""Section 9: models."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

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
from reference_reader.flow import (
    FUNCTIONS,
    RELATIONS,
    WITHOUT_COLUMN,
    Bins,
    Flow,
    Layer,
    Model,
    Parent,
    Prediction,
    Term,
    coding_order,
)


def parse_model(section: bytes, columns: Sequence[Column]) -> Model:
    """Section 9: the columns of a model, by name; their numbers count `columns`."""
    reader = Reader(zstd_content(section))
    model: Model = {}
    for _ in range(reader.varint()):
        name = column_name(reader, columns)
        require(name not in model, "a column twice in a model")
        model[name] = parse_flow(reader, columns)
    reader.finish()
    return model


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
    layers = [parse_layer(reader) for _ in range(reader.varint())]
    check_layers(layers, len(parents), len(bins.first))
    return Flow(bins, scale, parents, prediction, residual, layers)


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
    column = "" if relation in WITHOUT_COLUMN else column_name(reader, columns)
    through = column_name(reader, columns) if relation == "reference" else ""
    return Parent(relation, column, through)


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
