"""The acceptance of a model: both readers compute it alike, and hostile bytes end in an error."""

import contextlib
import struct
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest

import event_made
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import write_signed, write_unsigned
from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt
from flowtuple.file.model import flags_of, pack_flow, unpack_flow
from flowtuple.lattice.acceptance import (
    MAX_NODES,
    MAX_QUANTITIES,
    MAX_TREES,
    Acceptance,
)
from flowtuple.lattice.context import Context, collection_counts, make_context
from flowtuple.lattice.event_quantities import (
    MISSING,
    QUANTITIES,
    EventQuantities,
    Quantity,
)
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.rules import Rule
from odd_made import NO_BINS, Maker
from reference_reader import Invalid, base, description
from reference_reader import acceptance as page
from reference_reader.model import parse_model
from reference_reader.rows import Rows

SEEDS = range(20, 24)


@dataclass
class Known:
    """A column in stored order, as the plain loops take one."""

    column: description.Column
    rows: Rows
    values: Array

    def number(self, position: int) -> int | float:
        return self.values[position].item()


def described(columns: tuple[Column, ...]) -> list[description.Column]:
    return [
        description.Column(
            c.name,
            None if c.is_opaque else base.DTYPES[c.dtype],
            c.counter,
            c.shape,
            False,
            None,
        )
        for c in columns
    ]


def context_of(made: Maker) -> Context:
    context = make_context(made.columns, made.events, made.data)
    for column in made.columns:
        rows = context.rows(context.collection[column.name])
        context.values[column.name] = rows.sort(made.data[column.name])
    return context


def events_of(made: Maker) -> list[page.Event]:
    chunk = {}
    for c, column in zip(made.columns, described(tuple(made.columns)), strict=True):
        counts = collection_counts(c, made.data, made.events)
        chunk[c.name] = Known(column, Rows(counts.tolist()), made.data[c.name])
    return [page.Event(chunk, k) for k in range(made.events)]


@pytest.fixture(scope="module")
def tables() -> list[tuple[Context, list[page.Event]]]:
    """Events with values that formulas are wary of."""
    made = [event_made.whole_events(seed) for seed in SEEDS]
    return [(context_of(m), events_of(m)) for m in made]


JETS, MUONS, MET = event_made.JETS, event_made.MUONS, event_made.MET
AXES, WHOLE = event_made.AXES, event_made.WHOLE
MUON_AXES = event_made.MUON_AXES
MORE = (
    *(Quantity("object", ("Jet_pt",), (j,)) for j in (0, 2, 9)),
    *(Quantity("object", (c,), (0,)) for c in ("Jet_id", "HLT_one", "nJet")),
    *(Quantity("sum", (c,)) for c in ("Jet_pt", "Muon_pt", "Jet_id", "nJet", "MET_pt")),
    *(Quantity("largest", (c,)) for c in ("Jet_eta", "Muon_pt", "MET_pt")),
    *(Quantity("mean", c) for c in (("Jet_pt", "Jet_eta"), MET, ("Jet_a", "Jet_b"))),
    *(Quantity("length", c) for c in (JETS, MET)),
    Quantity("delta phi", ("Jet_phi", "Jet_phi"), (0, 1)),
    Quantity("delta phi", ("Muon_phi", "MET_phi"), (1, 5)),
    Quantity("delta eta", ("Jet_eta", "Jet_eta"), (1, 0)),
    Quantity("pair mass", ("Jet_pt", *AXES, "Jet_pt", *AXES), (0, 1)),
    Quantity("nearest pair", MUON_AXES),
    Quantity("nearest other", (*AXES, "Jet_eta", "Jet_walk")),
    Quantity("nearest other", (*MET, *AXES)),
    Quantity("closure", (*WHOLE, "Jet_b", "Jet_a", "Jet_pt")),
)


def test_kinds_are_those_of_the_page() -> None:
    """Their order is part of the format."""
    assert list(QUANTITIES.items()) == list(page.KINDS.items())
    assert {q.kind for q in MORE} == set(QUANTITIES) == set(page.FORMULAS)


@pytest.mark.parametrize("wanted", [*event_made.QUANTITIES, *MORE], ids=str)
def test_quantities_are_those_of_the_page(
    tables: list[tuple[Context, list[page.Event]]], wanted: Quantity
) -> None:
    """Zeros of both signs are equal: no threshold tells them apart."""
    assert wanted.is_well_formed
    other = page.Quantity(wanted.kind, wanted.columns, wanted.objects)
    numbers: set[float] = set()
    for context, events in tables:
        found = EventQuantities(context).evaluate(wanted)
        assert found.tolist() == [other.of(event) for event in events]
        numbers |= set(found.tolist())
    assert len(numbers - {MISSING}) > 1
    every = ("sum", "HLT_one", "nJet", "MET_pt")
    assert MISSING in numbers or any(name in str(wanted) for name in every)


def test_what_no_event_has_is_missing(
    tables: list[tuple[Context, list[page.Event]]],
) -> None:
    context, events = tables[0]
    wanted = Quantity("object", ("Jet_pt",), (2**16,))
    found = EventQuantities(context).evaluate(wanted).tolist()
    assert found == [MISSING] * len(events)
    other = page.Quantity(wanted.kind, wanted.columns, wanted.objects)
    assert [other.of(event) for event in events] == found


@pytest.mark.parametrize("offset", [-(2**20), 2**20])
def test_probabilities_have_ends(
    tables: list[tuple[Context, list[page.Event]]], offset: int
) -> None:
    context, events = tables[0]
    wanted = replace(event_made.acceptance(1), offset=offset)
    found = wanted.probability(context)
    leaf = page.Tree((0,), (), (0,))
    other = page.Acceptance([], [leaf], offset)
    expected = {other.probability(event.chunk, event.number) for event in events}
    assert set(found.tolist()) == expected
    assert found[0] == pytest.approx(1 if offset > 0 else np.exp(-32), rel=1e-14)


COLUMNS = (
    Column("a", "float32"),
    Column("n", "int64", "counter"),
    *(Column(name, "float32", counter="n") for name in "pqr"),
    Column("s", "opaque"),
    *(Column(name, "float64", shape=(2,)) for name in "xy"),
)
A, N, P, Q, R, S, X, Y = range(8)
NUMBER = {kind: number for number, kind in enumerate(QUANTITIES)}
BARE = b"\1" + bytes([A, 0, 0, 0, 0, 0])  # one column, of which others read


def by_reference(data: bytes) -> bool:
    """Whether the reference reader, too, takes a model of these columns."""
    try:
        parse_model(data, described(COLUMNS))
    except Invalid:
        return False
    return True


def unpack(content: bytes) -> Acceptance | None:
    """The acceptance, by both readers: each refuses what the other does."""
    try:
        flow = unpack_flow(zstd(content), COLUMNS)
    except Corrupt:
        assert not by_reference(zstd(content))
        raise
    assert by_reference(zstd(content))
    return flow.acceptance


def quantity(kind: str | int, columns: list[int], *objects: int) -> bytes:
    number = NUMBER[kind] if isinstance(kind, str) else kind
    return write_unsigned([number, len(columns), *columns, *objects])


FIRST = quantity("object", [A], 0)


def nodes_of(
    nodes: list[int], thresholds: tuple[float, ...] = (), leaves: tuple[int, ...] = ()
) -> bytes:
    content = struct.pack(f"<{len(thresholds)}f", *thresholds)
    content += struct.pack(f"<{len(leaves)}h", *leaves)
    return write_unsigned([len(nodes), *nodes]) + content


LEAF = nodes_of([0], (), (5,))


def model_of(
    quantities: tuple[bytes, ...] = (FIRST,),
    trees: tuple[bytes, ...] = (LEAF,),
    offset: int = 0,
    rules: bytes = b"\0",
) -> bytes:
    parts = [BARE, rules, write_unsigned([len(quantities)]), *quantities]
    parts += [write_unsigned([len(trees)]), *trees, write_signed([offset])]
    return b"".join(parts)


READS: list[tuple[str, list[int], tuple[int, ...], bool]] = [
    ("object", [A], (0,), True),
    ("object", [P], (2**16,), True),
    ("object", [X], (1,), True),
    ("object", [], (0,), False),
    ("object", [S], (0,), False),
    ("object", [P, Q], (0,), False),
    ("sum", [N], (), True),
    ("sum", [P], (), True),
    ("sum", [S], (), False),
    ("sum", [P, Q], (), False),
    ("largest", [R], (), True),
    ("largest", [], (), False),
    ("mean", [P, Q], (), True),
    ("mean", [A, N], (), True),
    ("mean", [P, X], (), False),
    ("mean", [P], (), False),
    ("length", [P, Q], (), True),
    ("length", [P, Q, A, N, X, Y, P, Q], (), True),
    ("length", [P, Q] * 8, (), True),
    ("length", [], (), False),
    ("length", [P, Q, R], (), False),
    ("length", [P, X], (), False),
    ("length", [P, Q, X, A], (), False),
    ("delta phi", [P, X], (0, 3), True),
    ("delta phi", [P, S], (0, 0), False),
    ("delta phi", [P], (0, 0), False),
    ("delta eta", [A, Y], (0, 1), True),
    ("delta eta", [S, S], (0, 1), False),
    ("delta eta", [P, Q, R], (0, 1), False),
    ("pair mass", [P, Q, R, A, N, A], (0, 0), True),
    ("pair mass", [P, Q, R, P, Q, R], (0, 2**16), True),
    ("pair mass", [P, Q, A, P, Q, R], (0, 1), False),
    ("pair mass", [P, Q, R, P, Q, X], (0, 1), False),
    ("pair mass", [P, Q, R, P], (0, 1), False),
    ("nearest pair", [P, Q], (), True),
    ("nearest pair", [P, A], (), False),
    ("nearest pair", [P, Q, P], (), False),
    ("nearest other", [P, Q, X, Y], (), True),
    ("nearest other", [P, Q, P, Q], (), True),
    ("nearest other", [P, X, P, X], (), False),
    ("nearest other", [P, Q], (), False),
    ("closure", [P, Q, R, P, Q], (), True),
    ("closure", [P, Q, R, *[P] * 13], (), True),
    ("closure", [P, Q, R, P], (), False),
    ("closure", [P, Q, R, P, X], (), False),
    ("closure", [P, Q, S, P, Q], (), False),
]


def test_each_kind_is_taken_and_refused() -> None:
    for taken in (False, True):
        assert {kind for kind, *_, fits in READS if fits == taken} == set(QUANTITIES)


@pytest.mark.parametrize(("kind", "columns", "objects", "fits"), READS)
def test_quantities_take_columns_of_their_kind(
    kind: str, columns: list[int], objects: tuple[int, ...], fits: bool
) -> None:
    content = model_of((FIRST, quantity(kind, columns, *objects)))
    if not fits:
        with pytest.raises(Corrupt, match=f"a quantity of kind '{kind}' that makes no"):
            unpack(content)
        return
    acceptance = unpack(content)
    assert acceptance is not None
    read = acceptance.quantities[1]
    names = tuple(COLUMNS[number].name for number in columns)
    assert (read.kind, read.columns, read.objects) == (kind, names, objects)


TWO = (1.5, -2.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BARE + b"\0", "past the end"),
        (model_of(quantities=()), "no quantities, no trees"),
        (model_of(trees=()), "no quantities, no trees"),
        (model_of(offset=2**20 + 1), "an offset outside the limits"),
        (model_of(offset=-(2**20) - 1), "an offset outside the limits"),
        (model_of(offset=2**63 - 1), "an offset outside the limits"),
        (model_of() + b"\0", "more bytes than its columns, rules and acceptance"),
        (model_of((quantity(len(NUMBER), [A]),)), f"unknown kind {len(NUMBER)}"),
        (model_of((quantity(2**64 - 1, [A]),)), "of the unknown kind"),
        (model_of((quantity("sum", [8]),)), "speaks of column number 8 of 8"),
        (model_of((quantity("object", [A], 2**16 + 1),)), "objects before another"),
        (model_of((quantity("length", [P] * 18),)), "18 columns of a quantity"),
        (model_of((FIRST,) * (MAX_QUANTITIES + 1)), "1025 quantities, more than 1024"),
        (model_of(trees=(LEAF,) * (MAX_TREES + 1)), "1025 trees of an acceptance"),
        (model_of(trees=(nodes_of([]),)), "tree"),
        (model_of(trees=(nodes_of([1], TWO[:1]),)), "ends before its last leaf"),
        (model_of(trees=(nodes_of([1, 0], TWO[:1], (1,)),)), "ends before its last"),
        (model_of(trees=(nodes_of([0, 0], (), (1, 2)),)), "beyond its last leaf"),
        (
            model_of(trees=(nodes_of([1, 0, 0, 0], TWO[:1], (1, 2, 3)),)),
            "beyond its last leaf",
        ),
        (
            model_of(trees=(nodes_of([0, 1, 0], TWO[:1], (1, 2)),)),
            "beyond its last leaf",
        ),
        (
            model_of(trees=(nodes_of([2, 0, 0], TWO[:1], (1, 2)),)),
            "compares a quantity that it does not have",
        ),
        (
            model_of(trees=(nodes_of([2**64 - 1, 0, 0], TWO[:1], (1, 2)),)),
            "compares a quantity that it does not have",
        ),
        (
            model_of(trees=(nodes_of([1, 0, 0], (np.nan,), (1, 2)),)),
            "a threshold that is not finite",
        ),
        (
            model_of(trees=(nodes_of([1, 0, 0], (-np.inf,), (1, 2)),)),
            "a threshold that is not finite",
        ),
        (
            model_of(trees=(nodes_of([0] * (MAX_NODES + 1)),)),
            "4096 nodes, more than 4095",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_impossible_acceptances_are_corrupt(content: bytes, message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        unpack(content)


def test_acceptances_at_the_limits_are_read() -> None:
    chain = [1, 0] * (MAX_NODES // 2) + [0]
    inner = MAX_NODES // 2
    thresholds = (3.4028234663852886e38,) * inner
    large = nodes_of(chain, thresholds, (-(2**15),) * (inner + 1))
    trees = (large, *[LEAF] * (MAX_TREES - 1))
    read = unpack(model_of((FIRST,) * MAX_QUANTITIES, trees, -(2**20)))
    assert read is not None
    assert (len(read.quantities), len(read.trees)) == (MAX_QUANTITIES, MAX_TREES)
    assert read.offset == -(2**20)
    numbers = np.full((2, MAX_QUANTITIES), MISSING, np.float32)
    expected = read.offset + 5 * (MAX_TREES - 1) - 2**15
    assert read.total(numbers).tolist() == [expected] * 2


def test_what_is_at_the_threshold_goes_to_the_left_and_what_is_missing_to_the_right() -> (
    None
):
    read = unpack(model_of(trees=(nodes_of([1, 0, 0], (0.1,), (-7, 9)),), offset=3))
    assert read is not None
    third = np.float32(0.1)
    numbers = [third, np.nextafter(third, np.float32(1)), MISSING, -MISSING]
    found = read.total(np.array(numbers, np.float32)[:, np.newaxis])
    assert found.tolist() == [-4, 12, 12, -4]


@pytest.mark.parametrize("rules", [(), (Rule("falling", ("p",)),)])
def test_models_come_back_byte_for_byte(rules: tuple[Rule, ...]) -> None:
    read = unpack(every_part())
    flow = LatticeFlow({"a": ColumnFlow(NO_BINS)}, rules, read)
    data = pack_flow(flow, COLUMNS)
    again = unpack_flow(data, COLUMNS)
    assert again.rules == rules
    assert again.acceptance is not None
    assert read is not None
    assert again.acceptance.quantities == read.quantities
    assert pack_flow(again, COLUMNS) == data
    assert flags_of(again) == 1
    assert flags_of(replace(again, rules=(), acceptance=None)) == 0


def every_part(rules: bytes = b"\0") -> bytes:
    """A model with a quantity of every kind, and trees of one leaf and of several."""
    taken = {kind: quantity(kind, c, *o) for kind, c, o, fits in READS if fits}
    tree = nodes_of([1, 0, len(taken), 0, 0], TWO, (-300, 2**15 - 1, -(2**15)))
    return model_of(tuple(taken.values()), (LEAF, tree, tree), -99, rules)


FALLING = b"\1" + write_unsigned([1, 1, P, 0])


@pytest.mark.parametrize("rules", [b"\0", FALLING])
def test_every_prefix_is_corrupt(rules: bytes) -> None:
    """Only columns alone, and columns with rules, are whole models."""
    content = every_part(rules)
    assert unpack(content) is not None
    whole = {len(BARE)} | ({len(BARE + rules)} if rules == FALLING else set())
    for length in range(len(content)):
        if length in whole:
            assert unpack(content[:length]) is None
            continue
        with pytest.raises(Corrupt):
            unpack(content[:length])


def test_changed_bytes_are_another_acceptance_or_corrupt() -> None:
    content = every_part(FALLING)
    draw = np.random.default_rng(3)
    read = refused = 0
    for _ in range(3000):
        damaged = bytearray(content)
        for _ in range(draw.integers(1, 4)):
            at = draw.integers(len(BARE), len(content))
            damaged[at] = draw.choice([0, 1, 5, 127, 128, 255])
        refused += 1
        with contextlib.suppress(Corrupt):
            read += unpack(bytes(damaged)) is not None
            refused -= 1
    assert read > 200
    assert refused > 200


@pytest.mark.parametrize(
    "content",
    [
        BARE + write_unsigned([0, 2**40]),
        BARE + write_unsigned([0, 1, 0, 2**40]),
        BARE + b"\0\1" + FIRST + write_unsigned([2**40]),
        BARE + b"\0\1" + FIRST + write_unsigned([1024, 2**40]),
        BARE + b"\0\1" + FIRST + write_unsigned([1024, 4095]) + bytes(100),
    ],
    ids=len,
)
def test_declared_parts_take_no_memory(content: bytes) -> None:
    data = zstd(content)
    tracemalloc.start()
    with pytest.raises(Corrupt):
        unpack_flow(data, COLUMNS)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_models_without_acceptance_keep_their_bytes() -> None:
    made = event_made.whole_events()
    flow = replace(made.coding.flow, acceptance=None)
    with_one = unzstd(pack_flow(made.coding.flow, made.columns))
    without = unzstd(pack_flow(flow, made.columns))
    assert with_one[: len(without)] == without
    assert len(without) < len(with_one)
