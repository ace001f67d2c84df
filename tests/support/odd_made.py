"""A file of odd cases, every column stored by a method that is chosen and not found: what no
ordinary file is sure to hold.
"""

import itertools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
import zstandard

from flowtuple.codec import column as coding_of
from flowtuple.codec import directory, packing
from flowtuple.codec.column import Method, StoredColumn
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.data.table import Dataset, Table
from flowtuple.file.layout import SectionKind
from flowtuple.file.model import pack_flow
from flowtuple.file.writer import create
from flowtuple.lattice.acceptance import Acceptance
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent, Relation, coding_order, make_context
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import (
    Binades,
    Decimal,
    Grid,
    Integers,
    Mantissas,
    Ordered,
    Uniform,
)
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import FUNCTIONS, Prediction, Term
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.walk import ColumnState, TableCoding, walk

NO_BINS = Bins(np.empty(0, np.int64), np.empty(0, np.int64))
EXACT = Bound()
RAW_BITS = range(1, 41)


@dataclass(frozen=True)
class Way:
    """How to store a column: its method, whether by residuals, and for VALUES whether by pcodec."""

    method: Method
    residual: bool = False
    pcodec: bool = True


@dataclass
class Maker:
    """A table in the making: columns with contents, lattices, flows and ways."""

    name: str
    events: int
    columns: list[Column] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    lattices: dict[str, Lattice] = field(default_factory=dict)
    flows: dict[str, ColumnFlow] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    acceptance: Acceptance | None = None

    def add(
        self,
        name: str,
        values: Any,
        way: Way,
        grid: Grid | None = None,
        bound: Bound = EXACT,
        *,
        flow: ColumnFlow | None = None,
        counter: str | None = None,
        atoms: Sequence[int] = (),
    ) -> None:
        """One column; without a grid each value is its own index."""
        values = np.asarray(values)
        dtype = values.dtype.name
        grid = grid or (Ordered(dtype) if "float" in dtype else Integers(dtype))
        self.columns.append(Column(name, dtype, counter=counter, shape=values.shape[1:]))
        inside = values[np.isfinite(values)] if "float" in dtype else values
        low, high = (
            (inside.min().item(), inside.max().item())
            if bound.kind != "lossless" and inside.size
            else (None, None)
        )
        self.lattices[name] = Lattice(dtype, bound, grid, tuple(atoms), low, high)
        self.data[name], self.ways[name] = values, way
        if flow is not None:
            self.flows[name] = flow

    def add_opaque(self, name: str, values: ak.Array) -> None:
        self.columns.append(Column(name, "opaque"))
        self.data[name], self.ways[name] = values, Way(Method.OPAQUE)

    @property
    def table(self) -> Table:
        return Table(self.name, tuple(self.columns), self.events, self.data)

    @property
    def coding(self) -> TableCoding:
        order = [c.name for c in coding_order(self.columns, tuple(self.flows))]
        flows = {name: self.flows[name] for name in order if name in self.flows}
        given = frozenset(n for n, way in self.ways.items() if way.method is Method.GIVEN)
        return TableCoding(
            tuple(self.columns),
            self.lattices,
            LatticeFlow(flows, self.rules, self.acceptance),
            given,
        )

    def description(self, entries: int) -> dict[str, Any]:
        """Its part of the description of a file."""
        described = []
        for column in self.columns:
            lattice = (
                {"lattice": self.lattices[column.name].to_json()}
                if column.name in self.lattices
                else {}
            )
            given = (
                {"given": True} if self.ways[column.name].method is Method.GIVEN else {}
            )
            described.append(column.to_json() | lattice | given)
        return {"name": self.name, "entries": entries, "columns": described}

    def chunk(self) -> tuple[bytes, bytes]:
        """Head and body of its events in one chunk."""
        coding, table = self.coding, self.table
        context = make_context(coding.columns, self.events, table.data)
        stored = {
            c.name: StoredColumn(Method.OPAQUE, packing.pack_opaque(self.data[c.name]))
            for c in coding.columns
            if c.is_opaque
        }
        for state in walk(coding, context):
            values = self.data[state.name].reshape(-1)
            stored[state.name] = _store(self.ways[state.name], values, state)
        return directory.join([stored[c.name] for c in coding.columns])


def _store(way: Way, values: Array, state: ColumnState) -> StoredColumn:
    if way.method is Method.GIVEN:
        return coding_of.encode_external(values, state)
    name, flow = state.name, state.flow
    in_rows, escapes = state.enter(values)
    q, coded = state.rows.unsort(in_rows), in_rows
    predicted = state.predict(state.whole)
    if way.residual or (way.method is Method.FLOW and flow.residual):
        coded, countable = flow.prediction.subtract(in_rows, predicted, flow.absolute)
        assert countable.all(), f"{name} cannot be stored by residuals"
    exact = packing.zstd(escapes.tobytes()) if len(escapes) else b""
    if way.method is Method.FLOW:
        return StoredColumn(
            Method.FLOW, coding_of.encode_flow(coded, state, predicted), exact
        )
    if way.method is Method.VALUES:
        coded_values = (
            b"\1" + packing._pco(values)
            if way.pcodec
            else b"\0" + packing.zstd(values.tobytes())
        )
        return StoredColumn(Method.VALUES, coded_values)
    pack = {
        Method.CONSTANT: packing.pack_constant,
        Method.INDICES: packing.pack_indices,
        Method.GROUP: packing.pack_raw,
    }
    payload = pack[way.method](coded if way.residual else q)
    assert payload is not None, f"{name} is not constant"
    return StoredColumn(way.method, payload, exact, way.residual)


def alone(
    relation: Relation, column: str, through: str = "", factor: float = 1.0
) -> Prediction:
    """The prediction by one other column."""
    return Prediction((Term(factor, "x", (Parent(relation, column, through),)),))


def predicted_by(*terms: Term, period: tuple[int, int] | None = None) -> ColumnFlow:
    return ColumnFlow(NO_BINS, prediction=Prediction(terms, period))


def network(seed: int, inputs: int, outputs: int, hidden: Sequence[int] = ()) -> Network:
    """Layers of small random weights."""
    draw = np.random.default_rng(seed)
    widths = [inputs, *hidden, outputs]
    layers = []
    for wide, narrow in itertools.pairwise(widths):
        shifts = (
            np.full(narrow, 6, np.uint8)
            if narrow != outputs
            else np.full(narrow, 8, np.uint8)
        )
        layers.append(
            Layer(draw.integers(-60, 61, (narrow, wide + 1)).astype(np.int8), shifts)
        )
    return Network(tuple(layers))


def bins_of(*edges: int) -> Bins:
    """Bins that follow one another."""
    return Bins(np.array(edges[:-1], np.int64), np.array(edges[1:], np.int64) - 1)


INDICES, GROUP, CONSTANT = (
    Way(m, residual=True) for m in (Method.INDICES, Method.GROUP, Method.CONSTANT)
)
PLAIN, FLOW = Way(Method.GROUP), Way(Method.FLOW)
VALUES, RAW = Way(Method.VALUES), Way(Method.VALUES, pcodec=False)
GRIDS: Mapping[str, tuple[Grid, Bound]] = {
    "ordered16": (Ordered("float16", 3), Bound("abs", 0.1)),
    "ordered64": (Ordered("float64", 20), Bound("abs", 0.1)),
    "uniform16": (Uniform("float16", 0.02), Bound("abs", 0.02)),
    "uniform64": (Uniform("float64", 1e-5), Bound("abs", 1e-5)),
    "decimal64": (Decimal("float64", 6), Bound("abs", 1e-6)),
    "mantissas32": (Mantissas("float32", 9), Bound("bits", 9)),
    "mantissas64": (Mantissas("float64", 20), Bound("bits", 20)),
    "binades16": (Binades("float16", 0.02), Bound("rel", 0.02)),
    "binades32": (Binades("float32", 1e-5), Bound("rel", 1e-5)),
    "integers8": (Integers("int8", 5), Bound("abs", 2)),
    "integers16": (Integers("uint16", 7), Bound("abs", 3)),
    "integers64": (Integers("int64", 2**40 + 1), Bound("abs", 2.0**39)),
    "unsigned64": (Integers("uint64", 2**40 + 1), Bound("abs", 2.0**39)),
}


def grids() -> Maker:
    """On every kind of grid a column predicted from another: atoms and escapes among residuals,
    predictions that are none.
    """
    made, draw = Maker("grids", 9), np.random.default_rng(5)
    for k, (name, (grid, bound)) in enumerate(GRIDS.items()):
        dtype, size = grid.dtype, np.dtype(grid.dtype).itemsize
        if "float" in dtype:
            source = np.array(
                [draw.normal(), -2.5, 0.0, -0.0, np.nan, np.inf, -np.inf, 1e4, 1e-7],
                dtype,
            )
            target = np.array(
                [source[0], -2.45, 0.0, 0.0, np.nan, 17, -0.0, 1e4, 1e-7], dtype
            )
            nan, zero = bit_patterns(np.array([np.nan, -0.0], dtype)).tolist()
            made.add(
                f"{name}_from", source, VALUES if k % 2 else RAW, flow=ColumnFlow(NO_BINS)
            )
            flow = ColumnFlow(NO_BINS, prediction=alone("row", f"{name}_from"))
            made.add(
                name,
                target,
                (INDICES, GROUP)[k % 2],
                grid,
                bound,
                flow=flow,
                atoms=[nan, zero],
            )
        else:
            info = np.iinfo(dtype)
            source = np.array(
                [info.min, info.max, info.max // 2, 0, 1, 60, 100, 3, info.min + 1], dtype
            )
            target = np.array(
                [info.min + 1, info.max - 1, info.max // 2, 1, 0, 61, 90, 3, info.max],
                dtype,
            )
            made.add(
                f"{name}_from",
                source,
                VALUES if size > 1 else RAW,
                flow=ColumnFlow(NO_BINS),
            )
            flow = ColumnFlow(NO_BINS, prediction=alone("row", f"{name}_from"))
            made.add(name, target, (INDICES, GROUP)[k % 2], grid, bound, flow=flow)
    return made


def formulas() -> Maker:
    """Every function at the places where it changes its way, coefficients, and totals that no dtype
    holds.
    """
    made = Maker("formulas", 10)
    x = np.array([1.0, -1.0, -0.0, 0.0, 3.0, -3.0, 1e200, np.inf, 70.0, 2.0**21])
    y = np.array([-2.0, -0.5, -1.0, 0.0, np.nan, -1e-300, 1e200, 1.0, -70.0, -0.25])
    made.add("x", x, VALUES, flow=ColumnFlow(NO_BINS))
    made.add("y", y, RAW, flow=ColumnFlow(NO_BINS))
    made.add("flag", x > 0, RAW, flow=ColumnFlow(NO_BINS))
    made.add(
        "large",
        np.array([2**64 - 1, 2**63 + 1025, 2**53 + 1, 0, 1, 2, 3, 4, 5, 6], np.uint64),
        VALUES,
        flow=ColumnFlow(NO_BINS),
    )
    for k, (name, (count, function)) in enumerate(FUNCTIONS.items()):
        names = ("x", "y", "x", "y", "y", "x")[:count]
        with np.errstate(all="ignore"):
            value = -0.5 * function(*({"x": x, "y": y}[n] for n in names))
        wanted = np.where(np.isfinite(value) & (np.abs(value) < 1e4), value, 0.25)
        term = Term(-0.5, name, tuple(Parent("row", n) for n in names))
        made.add(
            f"f{k}",
            wanted,
            INDICES,
            Uniform("float64", 1e-12),
            Bound("abs", 1e-12),
            flow=predicted_by(term),
        )
    sums = (
        Term(3.0, "x", (Parent("row", "x"),)),
        Term(-0.25, "product", (Parent("row", "flag"), Parent("row", "y"))),
    )
    half = np.array(
        [3.5, -2.88, 0.0, 0.0, 1.0, -9.0, np.inf, -1.0, 227.5, 1.0], np.float16
    )
    made.add(
        "half",
        half,
        INDICES,
        Uniform("float16", 0.02),
        Bound("abs", 0.02),
        flow=predicted_by(*sums),
    )
    from_large = Term(1.0, "x", (Parent("row", "large"),))
    made.add(
        "single",
        np.array([1.8446744e19, 2.0**63, 2.0**53, *range(7)], np.float32),
        GROUP,
        flow=predicted_by(from_large),
    )
    for dtype in ("bool", "uint16", "int64"):
        values = np.resize(np.array([3, 0, 1, 2, 100], np.int64), 10).astype(dtype)
        made.add(f"to_{dtype}", values, INDICES, flow=predicted_by(*sums[:1]))
        made.add(f"large_to_{dtype}", values, GROUP, flow=predicted_by(from_large))
    near = np.where(np.isfinite(x), np.rint(np.clip(3 * x, 0, 2.0**52)), 7).astype(
        np.uint64
    )
    # too far from 0 to be subtracted
    made.add("to_uint64", near, INDICES, flow=predicted_by(*sums[:1]), atoms=[7])
    made.add(
        "large_to_uint64", made.data["large"], INDICES, flow=predicted_by(from_large)
    )
    made.add(
        "constant",
        x > 0,
        CONSTANT,
        flow=ColumnFlow(NO_BINS, prediction=alone("row", "flag")),
    )
    phi = np.array([3.1, -3.1, 0.0, 1.0, 2.0, -2.0, 3.0, -3.0, 1.5, 5.0])
    turn = predicted_by(Term(1.0, "x", (Parent("row", "y"),)), period=(-314, 629))
    made.add(
        "phi", phi, INDICES, Uniform("float64", 0.005), Bound("abs", 0.005), flow=turn
    )
    return made


def objects() -> Maker:
    """Collections of several counters and shapes that read one another and themselves, by networks
    and predictions.
    """
    made = Maker("objects", 6)
    made.add("nA", np.array([3, 0, 2, 1, 0, 4], np.uint8), PLAIN)
    made.add("nB", np.array([1, 2, 0, 4, 0, 3], np.int64), VALUES)
    made.add("nC", np.zeros(6, np.int32), Way(Method.CONSTANT))
    made.add(
        "e",
        np.array([1.5, -0.0, np.nan, 3.0, 70000.0, 2.0], np.float32),
        PLAIN,
        flow=ColumnFlow(NO_BINS),
    )
    a = np.array([1.0, 1.5, 2.0, 7.0, 7.5, np.nan, 3.0, 3.25, 3.5, 3.75], np.float32)
    walk = ColumnFlow(NO_BINS, prediction=alone("previous", "A_walk"))
    made.add(
        "A_walk",
        a,
        INDICES,
        Uniform("float32", 0.01),
        Bound("abs", 0.01),
        flow=walk,
        counter="nA",
    )
    itself = (
        Parent("previous", "A_self"),
        Parent("leading", "A_self"),
        Parent("prediction"),
        Parent("index"),
    )
    terms = (
        Term(0.5, "x", (Parent("previous", "A_self"),)),
        Term(0.75, "x", (Parent("leading", "A_self"),)),
    )
    flow = ColumnFlow(
        bins_of(-200, -3, 0, 1, 60, 500),
        itself,
        network(1, 4, 6, (5, 4)),
        Prediction(terms),
        True,
        bins_of(-5, 90, 200),
    )
    # escapes: read as they are
    own = np.array(
        [1.0, 1.25, 1.5, 0.75, 0.5, -90.0, 1e30, np.inf, 3.5, 3.75], np.float32
    )
    made.add(
        "A_self",
        own,
        FLOW,
        Uniform("float32", 0.01),
        Bound("abs", 0.01),
        flow=flow,
        counter="nA",
    )
    made.add(
        "A_flat",
        np.repeat(np.float16(0.5), 10),
        Way(Method.CONSTANT),
        flow=ColumnFlow(NO_BINS),
        counter="nA",
    )
    idx = np.array([0, -1, 2, 3, 1, 0, 5, 0, 1, 127], np.int8)
    made.add("B_idx", idx, PLAIN, flow=ColumnFlow(NO_BINS), counter="nB")
    real = np.array(
        [0.0, -0.0, 0.5, np.nan, 1e30, 0.0, -1.0, 2.0, np.inf, 3.0], np.float64
    )
    made.add("B_real", real, VALUES, flow=ColumnFlow(NO_BINS), counter="nB")
    b = np.array([1.0, 2.0, 3.0, 3.0, 7.5, 0.5, 4.0, 3.0, 3.25, 3.5], np.float32)
    relations: Mapping[str, Parent] = {
        "B_int": Parent("reference", "A_walk", "B_idx"),
        "B_float": Parent("reference", "A_walk", "B_real"),
        "B_same": Parent("same", "A_self"),
        "B_lead": Parent("leading", "A_walk"),
        "B_event": Parent("event", "e"),
        "B_none": Parent("same", "C"),
    }
    made.add("C", np.empty(0, np.float32), VALUES, flow=ColumnFlow(NO_BINS), counter="nC")
    made.add(
        "C_flow",
        np.empty(0, np.int16),
        FLOW,
        flow=ColumnFlow(bins_of(0, 2), (Parent("row", "C"),), network(2, 1, 2)),
        counter="nC",
    )
    made.add("C_raw", np.empty(0, np.int16), PLAIN, counter="nC")
    made.add(
        "C_bounded",
        np.empty(0, np.float32),
        PLAIN,
        Uniform("float32", 0.5),
        Bound("abs", 0.5),
        counter="nC",
    )
    made.add("C_indices", np.empty(0, np.int16), Way(Method.INDICES), counter="nC")
    for name, parent in relations.items():
        flow = predicted_by(Term(0.5, "x", (parent,)), Term(0.5, "x", (parent,)))
        made.add(
            name,
            b,
            INDICES,
            Uniform("float32", 0.01),
            Bound("abs", 0.01),
            flow=flow,
            counter="nB",
        )
    everything = (
        *relations.values(),
        Parent("prediction"),
        Parent("leading", "B_idx"),
        Parent("row", "B_same"),
    )
    reads = ColumnFlow(
        bins_of(0, 40, 160, 400),
        everything,
        network(3, 9, 4, (7,)),
        alone("reference", "A_self", "B_idx"),
        scale=None,
    )
    made.add(
        "B_all",
        b,
        FLOW,
        Uniform("float32", 0.01),
        Bound("abs", 0.01),
        flow=reads,
        counter="nB",
    )
    made.add(
        "one", np.arange(6, dtype=np.int16).reshape(6, 1), PLAIN, flow=ColumnFlow(NO_BINS)
    )
    made.add(
        "square",
        np.arange(24, dtype=np.uint16).reshape(6, 2, 2),
        VALUES,
        flow=ColumnFlow(NO_BINS),
    )
    made.add("none", np.empty((6, 2, 0), np.float64), VALUES)
    flow = predicted_by(
        Term(2.0, "x", (Parent("row", "square"),)),
        Term(1.0, "x", (Parent("previous", "line"),)),
    )
    made.add("line", np.arange(0, 72, 3, dtype=np.int32).reshape(6, 4), GROUP, flow=flow)
    made.add(
        "from_one",
        np.arange(24, dtype=np.int16).reshape(6, 4),
        INDICES,
        flow=predicted_by(Term(4.0, "x", (Parent("same", "one"),))),
    )
    return made


def raw_bits() -> Maker:
    """Bins with 1 to 40 bits that no cell tells, and a number outside of all; and the special
    indices in a stream.
    """
    made = Maker("raw", len(RAW_BITS) + 2)
    # the last cell of each is cut off
    widths = [3 * 2 ** (14 + raw) - 1 for raw in RAW_BITS]
    edges = np.cumsum([-(2**56), *widths])
    bins = bins_of(*edges.tolist())
    within = np.array(widths) * np.linspace(0, 1, len(widths), endpoint=False)
    values = np.concatenate(
        [edges[:-1] + within.astype(np.int64), [2**62, edges[-1] - 1]]
    )
    made.add("q", values, FLOW, flow=ColumnFlow(bins, (), network(4, 0, bins.symbols)))
    reads = Parent("row", "q"), Parent("prediction")
    flow = ColumnFlow(
        bins_of(-(2**61), 0, 2**61), reads, network(5, 2, 3, (3,)), alone("row", "q")
    )
    x = np.where(np.arange(len(values)) % 5 == 0, np.nan, np.arange(len(values)) - 9.5)
    atom = bit_patterns(np.array([np.nan])).tolist()
    copy = np.where(np.arange(len(values)) % 3 == 0, values, 7)
    made.add("q_again", copy, FLOW, flow=flow)
    kept = ColumnFlow(
        bins_of(2**63 - 2**50, 2**63 - 2**50 + 1), reads[:1], network(6, 1, 2)
    )
    made.add(
        "special",
        x,
        FLOW,
        Uniform("float64", 0.2),
        Bound("abs", 0.2),
        flow=kept,
        atoms=atom,
    )
    return made


def kept() -> Maker:
    """VALUES of every dtype, opaque columns of every structure."""
    made = Maker("values", 4)
    for dtype in (
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ):
        values = np.array([0, 1, 100, 7]).astype(dtype)
        made.add(dtype, values, RAW if np.dtype(dtype).itemsize == 1 else VALUES)
    made.add("block", np.arange(8, dtype=np.float32).reshape(4, 1, 2), RAW)
    made.add_opaque("nested", ak.Array([[[1, 2], []], [], [[3]], [[], [4, 5]]]))
    made.add_opaque(
        "records",
        ak.Array(
            [
                [{"x": 1.5, "y": [1]}],
                [],
                [{"x": -0.0, "y": []}],
                [{"x": 2.5, "y": [2, 3]}],
            ]
        ),
    )
    made.add_opaque("options", ak.Array([None, "η", ["a", None], 3]))
    made.add_opaque("texts", ak.Array([["a", "bc"], [], [""], ["def"]]))
    made.add_opaque(
        "big", ak.Array(ak.contents.NumpyArray(np.arange(4, dtype=np.complex128)))
    )
    return made


def supplied() -> Maker:
    """Given columns of every structure, read by a network and by a prediction."""
    made = Maker("given", 5)
    given = Way(Method.GIVEN)
    made.add("n", np.array([2, 0, 1, 3, 0], np.uint32), given)
    made.add(
        "g",
        np.array([0.5, -0.0, np.nan, 2.5, 3.5, 4.5], np.float32),
        given,
        flow=ColumnFlow(NO_BINS),
        counter="n",
    )
    made.add(
        "m", np.arange(10, dtype=np.int16).reshape(5, 2), given, flow=ColumnFlow(NO_BINS)
    )
    flow = ColumnFlow(
        bins_of(0, 2, 6), (Parent("row", "g"), Parent("same", "m")), network(7, 2, 3)
    )
    made.add(
        "by_network", np.array([0, 1, 2, 3, 9, 5], np.int8), FLOW, flow=flow, counter="n"
    )
    flow = ColumnFlow(NO_BINS, prediction=alone("row", "g"))
    made.add(
        "copy",
        np.array([0.5, 0.0, np.nan, 2.5, 3.5, 4.25], np.float32),
        GROUP,
        flow=flow,
        counter="n",
    )
    return made


def no_events() -> Maker:
    """A chunk of no events, which the type of an opaque column stands in."""
    made = Maker("empty", 0)
    made.add("x", np.empty(0, np.float32), PLAIN)
    made.add("n", np.empty(0, np.int32), Way(Method.INDICES))
    made.add("list", np.empty(0, np.int8), RAW, counter="n")
    made.add_opaque("text", ak.Array([["a"]])[:0])
    return made


def padded(head: bytes) -> bytes:
    """The head of a chunk with numbers longer than they need be."""
    reader = Reader(head)
    lengths = [reader.unsigned(), reader.unsigned()]
    numbers, frames = (
        Reader(packing.unzstd(reader.take(lengths[0]))),
        head[reader.position :],
    )
    parts = [_padded(number) for number in _all(numbers)]
    longer = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(
        b"".join(parts)
    )
    return _padded(len(longer)) + _padded(lengths[1]) + longer + frames


def _all(reader: Reader) -> list[int]:
    found = []
    while reader.position < len(reader.data):
        found.append(reader.unsigned())
    return found


def _padded(number: int) -> bytes:
    data = bytearray(write_unsigned([number]))
    data[-1] |= 0x80
    return bytes(data) + b"\x80\x00"


def carried_object(path: Path) -> bytes:
    """A ROOT file that holds one object, with the same bytes at any time."""
    with uproot.recreate(path, uuid_function=lambda: uuid.UUID(int=1)) as file:
        file["note"] = "carried along"
    data = path.read_bytes()
    path.unlink()
    return data


TABLES = (grids, formulas, objects, raw_bits, kept, supplied, no_events)


def write(path: Path) -> None:
    """The file: all tables, a table of nothing, and a carried object; one chunk a table, a model
    before it.
    """
    made = [make() for make in TABLES]
    nothing = Maker("nothing", 0)
    nothing.add("x", np.empty(0, np.float32), PLAIN)
    note = carried_object(path.with_suffix(".root"))
    tables = [m.description(m.events) for m in (*made, nothing)]
    with create(path) as writer:
        writer.describe(
            {
                "tables": tables,
                "carried": ["note"],
                "provenance": {"flowtuple": "by hand"},
            }
        )
        writer.add(SectionKind.CARRIED, 0, packing.zstd(note))
        for number, m in enumerate(made):
            head, body = m.chunk()
            if m.flows:
                writer.add(
                    SectionKind.MODEL, number, pack_flow(m.coding.flow, m.coding.columns)
                )
            writer.add(
                SectionKind.CHUNK,
                number,
                padded(head) if m.name == "objects" else head,
                body,
                m.events,
            )
        writer.finish()


def given() -> Dataset:
    """What the file does not hold."""
    return Dataset("by hand", {"given": supplied().table})
