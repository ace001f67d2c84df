"""Models of format 1.1: the header tells of them, and hostile ones end in a typed error."""

import contextlib
import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import event_made
import flowtuple as ft
from dissect import assemble, join, methods, pieces
from flowtuple import api
from flowtuple.codec.chunk import decode_chunk, encode_chunk
from flowtuple.codec.column import Method
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import write_signed, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table, difference, read_all
from flowtuple.errors import Corrupt, TooNew, Truncated
from flowtuple.file import layout
from flowtuple.file.damage import check_integrity
from flowtuple.file.layout import SectionKind
from flowtuple.file.model import flags_of, pack_flow, unpack_flow
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.acceptance import MAX_NODES as MOST_NODES
from flowtuple.lattice.acceptance import Acceptance, acceptance_tree
from flowtuple.lattice.context import Parent, make_context
from flowtuple.lattice.event_features import KINDS, MAX_COLUMNS, MAX_KNOTS, EventFeature
from flowtuple.lattice.event_quantities import (
    MISSING,
    QUANTITIES,
    EventQuantities,
    Quantity,
)
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import Integers, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.rules import MAX_NUMBERS, MAX_RULES, RULES, Rule
from flowtuple.lattice.tree import MAX_NODES
from flowtuple.lattice.walk import MAX_OBJECTS, TableCoding
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)
from odd_made import NO_BINS, bins_of, network
from reference_reader import Invalid, base, description, read_file
from reference_reader import model as model_of_page
from reference_reader.acceptance import Tree as PageTree
from reference_reader.files import read_probabilities

PLAIN = "89465455500d0a1a" + "0100" + "0000" + "00000000"
EVENT_MODELS = "89465455500d0a1a" + "0100" + "0100" + "01000000"


def header(path):
    return path.read_bytes()[:16].hex()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def made(folder):
    """The file of every feature, tree and rule."""
    path = folder / "made.ftup"
    event_made.write(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    """A model that reads a feature, as `train` would write it."""
    parents = dict(DEPENDENT_PARENTS)
    summed = Parent("feature", feature=EventFeature("sum", ("Jet_pt",), (20.0, 80.0)))
    parents["Jet_eta"] = (*parents["Jet_eta"], summed)
    table = dataset_from_memory(dependent_events(200, 1)).tables["events"]
    write_model(table, folder / "model.flow", parents, DEPENDENT_TOLERANCE)
    return folder / "model.flow"


@pytest.fixture(scope="module")
def events(folder, model):
    api.compress(dependent_events(60, 2), folder / "events.ftup", model=model)
    return folder / "events.ftup"


def same_events(path, other):
    with ft.File(path) as one, ft.File(other) as two:
        return difference(read_all(one.tables["events"]), read_all(two.tables["events"]))


@pytest.mark.parametrize("seed", range(1, 6))
def test_both_readers_decode_the_same_bits(tmp_path, seed):
    path = tmp_path / "events.ftup"
    event_made.write(path, seed)
    found = read_file(path.read_bytes())
    with ft.File(path) as file:
        for name, stored in file.tables.items():
            table = read_all(stored)
            for column in table.columns:
                values = table[column.name]
                assert values.tobytes() == found[name][column.name].tobytes()


def test_header_tells_of_models(made, model, events):
    assert [header(path) for path in (made, model, events)] == [EVENT_MODELS] * 3
    assert ft.info(events)["format"] == "1.1"
    with ft.File(events) as file:
        assert (file.version, file.flags) == ("1.1", layout.EVENT_MODELS)
    assert check_integrity(events) == []


def test_files_without_such_models_are_of_the_first_version(folder):
    path = folder / "plain.ftup"
    table = dataset_from_memory(dependent_events(200, 1)).tables["events"]
    write_model(table, folder / "plain.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
    api.compress(dependent_events(60, 2), path, model=folder / "plain.flow")
    assert header(path) == header(folder / "plain.flow") == PLAIN
    assert ft.info(path)["format"] == "1.0"


@pytest.mark.parametrize("damaged", [False, True])
def test_merged_and_recovered_files_keep_the_flag(folder, events, damaged):
    merged, saved = folder / "merged.ftup", folder / "saved.ftup"
    ft.merge([events, events], merged)
    data = bytearray(merged.read_bytes())
    if damaged:
        data[8:] = data[8:-40]  # neither the version nor the index is there
        data[10:16] = bytes(6)
    (folder / "damaged.ftup").write_bytes(data)
    assert ft.recover(folder / "damaged.ftup", saved).events == {"events": (120, 120)}
    assert header(merged) == header(saved) == EVENT_MODELS
    assert same_events(merged, saved) is None


def test_a_damaged_header_is_no_later_format(folder, events):
    data = bytearray(events.read_bytes())
    data[12] = 5
    (folder / "flipped.ftup").write_bytes(data)
    with pytest.raises(TooNew, match="the unknown feature flags 0x4"):
        ft.File(folder / "flipped.ftup")
    assert [d.events for d in check_integrity(folder / "flipped.ftup")] == [None]
    data[12] = 0
    (folder / "flipped.ftup").write_bytes(data)
    with pytest.raises(Corrupt, match="its index is damaged"):
        ft.File(folder / "flipped.ftup")


def test_a_file_that_refers_to_a_model_leaves_the_flag_to_it(folder, events, model):
    path = folder / "refers.ftup"
    api.compress(dependent_events(60, 2), path, model=model, model_ref=True)
    assert header(path) == PLAIN
    with ft.File(path, model=model) as file, ft.File(events) as other:
        tables = (read_all(f.tables["events"]) for f in (file, other))
        assert difference(*tables) is None


def test_recompressed_files_have_the_flags_of_their_own_model(folder, events):
    path = folder / "again.ftup"
    ft.recompress(events, path, tolerance="abs:0.1", effort="fast")
    with ft.File(path) as file:
        assert file.flags == flags_of(file.tables["events"].flow)


def test_a_model_without_its_flag_is_corrupt(folder, made, events):
    for path in (made, events):
        target = folder / "unflagged.ftup"
        assemble(target, *pieces(path), flags=layout.EVENT_MODELS)
        assert target.read_bytes() == path.read_bytes()
        assemble(target, *pieces(path))
        with (
            ft.File(target) as file,
            pytest.raises(Corrupt, match=r"unflagged\.ftup: the model of table .* 1\.1"),
        ):
            read_all(next(iter(file.tables.values())))


def test_a_flag_without_such_a_model_is_read(folder):
    plain, flagged = folder / "none.ftup", folder / "flagged.ftup"
    api.compress({"x": [1.0, 2.0]}, plain)
    assemble(flagged, *pieces(plain), flags=layout.EVENT_MODELS)
    assert same_events(plain, flagged) is None


@pytest.mark.parametrize(
    ("flow", "flags"),
    [
        (LatticeFlow({"x": ColumnFlow(NO_BINS)}), 0),
        (LatticeFlow({"x": ColumnFlow(NO_BINS)}, (Rule("falling", ("x",)),)), 1),
        (event_made.single_tree().coding.flow, 1),
        (replace(event_made.whole_events().coding.flow, rules=(), acceptance=None), 1),
    ],
    ids=["none", "rules", "tree", "features"],
)
def test_flags_of_a_model(flow, flags):
    assert flags_of(flow) == flags


@pytest.mark.parametrize("number", [0, 1])
def test_files_with_changed_models_end_well(folder, made, number):
    """Some are other models, with which the chunk means other values or nothing."""
    meta, sections, contents = pieces(made)
    target, draw, read = folder / "changed.ftup", np.random.default_rng(4), 0
    models = [k for k, s in enumerate(sections) if s.kind is SectionKind.MODEL]
    content = unzstd(contents[models[number]])
    for _ in range(40):
        damaged = bytearray(content)
        damaged[draw.integers(len(content))] ^= int(draw.integers(1, 256))
        others = list(contents)
        others[models[number]] = zstd(bytes(damaged))
        assemble(target, meta, sections, others, flags=layout.EVENT_MODELS)
        message = refusal(target)
        assert message is None or str(target) in message
        assert "\n" not in (message or "")
        read += message is None
    assert read > 0


def refusal(path):
    """The message of the typed error that reading ends in, None if the file reads."""
    try:
        with ft.File(path, resources=ft.Resources(workers=1)) as file:
            for table in file.tables.values():
                read_all(table)
    except (Corrupt, Truncated, TooNew) as error:
        return str(error)
    return None


COLUMNS = (
    Column("a", "float32"),
    Column("n", "int64", "counter"),
    *(Column(name, "float32", counter="n") for name in "pqr"),
    Column("s", "opaque"),
    *(Column(name, "float64", shape=(2,)) for name in "xy"),
)
A, N, P, Q, R, S, X, Y = range(8)
TABLE = {
    c.name: description.Column(
        c.name,
        None if c.is_opaque else base.DTYPES[c.dtype],
        c.counter,
        c.shape,
        False,
        None,
    )
    for c in COLUMNS
}
FEATURE = 8
NUMBER = {kind: number for number, kind in enumerate(KINDS)}
RULE = {kind: number for number, kind in enumerate(RULES)}


def by_reference(data):
    """Whether the reference reader, too, takes a model of these columns."""
    table = description.Table("t", 0, TABLE, None, [])
    try:
        read, *_ = model_of_page.parse_model(data, list(TABLE.values()))
        model_of_page.check_model(read, table)
    except Invalid:
        return False
    return True


def unpack(data, columns=COLUMNS):
    """The flow, by both readers: each refuses what the other does."""
    try:
        flow = unpack_flow(data, columns)
    except Corrupt:
        assert columns is not COLUMNS or not by_reference(data)
        raise
    assert columns is not COLUMNS or by_reference(data)
    return flow


def doubles(*numbers):
    return struct.pack(f"<{len(numbers)}d", *numbers)


def computed(kind, columns, knots=b"\0"):
    """A parent that reads a feature."""
    number = NUMBER.get(kind, kind)
    return write_unsigned([FEATURE, number, len(columns), *columns]) + knots


def bare(column, *parents, layers=b"\0", prediction=b"\0", bins=b"\0"):
    head = write_unsigned([column]) + bins + b"\0" + write_unsigned([len(parents)])
    return head + b"".join(parents) + prediction + layers


def model_of(*columns, rules=b""):
    return zstd(write_unsigned([len(columns)]) + b"".join(columns) + rules)


BEFORE = (bare(A), bare(N), bare(P), bare(Q), bare(X), bare(Y))
READS = [
    ("sum", [R], None),
    ("sum", [A], None),
    ("sum", [X], None),
    ("sum", [S], "cannot"),
    ("rest", [P], None),
    ("rest", [R], "cannot"),
    ("rest", [X], "cannot"),
    ("rest", [A], "cannot"),
    ("mean", [P, R], None),
    ("mean", [X, Y], None),
    ("mean", [P, X], "cannot"),
    ("length", [P, R, X, Y, A, N], None),
    ("length", [P, X], "cannot"),
    ("length", [P, Q, X, A], "cannot"),
    ("balance", [R, R], None),
    ("balance", [A, P], "cannot"),
    ("turn of the first", [R, P, R], None),
    ("turn of the first", [X, P, Q], None),
    ("turn of the first", [A, P, Q], "cannot"),
    ("turn of the first", [P, P, X], "cannot"),
    ("turn of the last", [R, P, R], None),
    ("turn of the last", [X, X, Y], "cannot"),
    ("turn of the last", [A, P, Q], "cannot"),
    ("distance", [P, Q, P, Q], None),
    ("distance", [P, Q, X, Y], None),
    ("distance", [P, Q, A, N], None),
    ("distance", [P, R, P, Q], "cannot"),
    ("distance", [P, Q, P, R], "cannot"),
    ("distance", [X, Y, P, Q], "cannot"),
    ("distance", [P, Q, X, P], "cannot"),
    ("nearest", [P, P, Q, P, Q], None),
    ("nearest", [X, P, Q, X, Y], None),
    ("nearest", [P, P, Q, X, Y], "cannot"),
    ("nearest", [R, P, Q, P, Q], "cannot"),
    ("nearest", [X, X, Y, X, Y], "cannot"),
    ("relative length", [P, P, R], None),
    ("relative length", [P, X, Y], None),
    ("relative length", [R, P, Q], "cannot"),
    ("relative length", [X, P, Q], "cannot"),
    ("opening", [P, P, R], None),
    ("opening", [R, P, Q], "cannot"),
    ("opening", [A, P, Q], "cannot"),
    ("size", [P], None),
    ("size", [R], "cannot"),
    ("size", [X], "cannot"),
    ("energy", [P, Q, P], None),
    ("energy", [P, Q, R], "cannot"),
    ("energy", [P, Q, A], "cannot"),
    ("left", [P, Q, P, Q], None),
    ("left", [P, Q, P, Q, R], "cannot"),
    ("left", [P, Q, P, X], "cannot"),
    ("needed", [P], None),
    ("needed", [R], None),
    ("needed", [X], "cannot"),
    ("needed", [A], "cannot"),
    ("mass", [P, Q, P], None),
    ("mass", [P, Q, R], "cannot"),
    ("mass", [P, Q, X], "cannot"),
    ("back to back", [P, Q], None),
    ("back to back", [R, Q], "cannot"),
    ("back to back", [A, N], "cannot"),
    ("place", [P], None),
    ("place", [R], "cannot"),
    ("place", [X], "cannot"),
    ("place of size", [P], None),
    ("place of size", [R], "cannot"),
    ("place of size", [A], "cannot"),
]


def test_each_kind_is_read_and_refused():
    for refused in (False, True):
        kinds = {kind for kind, _, message in READS if (message is not None) == refused}
        assert kinds == set(KINDS)


@pytest.mark.parametrize(("kind", "columns", "message"), READS)
def test_features_take_what_is_decoded_before(kind, columns, message):
    data = model_of(*BEFORE, bare(R, computed(kind, columns)))
    if message is None:
        (parent,) = unpack(data, COLUMNS).columns["r"].parents
        names = tuple(COLUMNS[number].name for number in columns)
        assert parent.feature == EventFeature(kind, names)
        return
    with pytest.raises(Corrupt, match=f"lets column 'r' read .*, which it {message}"):
        unpack(data, COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_column_reads_features(kind):
    first, group = KINDS[kind]
    data = model_of(bare(N), bare(A, computed(kind, [N] * (first + group))))
    with pytest.raises(Corrupt, match="lets column 'a' read 'n', which it cannot"):
        unpack(data, COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
def test_features_read_what_is_in_the_model(kind):
    first, group = KINDS[kind]
    data = model_of(bare(R, computed(kind, [P] * (first + group))))
    with pytest.raises(Corrupt, match=r"which it cannot|which has no place in it"):
        unpack(data, COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", [-1, 1])
def test_features_take_as_many_columns_as_their_kind(kind, change):
    first, group = KINDS[kind]
    count = first + group + change
    if group == 1 and change == 1:
        count = MAX_COLUMNS + 1
    data = model_of(*BEFORE, bare(R, computed(kind, [P] * count)))
    with pytest.raises(Corrupt, match=r"cannot take \d+ columns|sums no vector"):
        unpack(data, COLUMNS)


TOO_MANY = write_unsigned([MAX_KNOTS + 1]) + doubles(*range(MAX_KNOTS + 1))


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        (computed(len(KINDS), [P]), f"feature of the unknown kind {len(KINDS)}"),
        (computed("sum", [9]), "speaks of column number 9 of 8"),
        (computed("length", [P] * 18), "cannot take 18 columns"),
        (computed("sum", [P], b"\2" + doubles(1, 1)), "do not increase"),
        (computed("sum", [P], b"\2" + doubles(0.0, -0.0)), "do not increase"),
        (computed("sum", [P], b"\2" + doubles(1, 0)), "do not increase"),
        (computed("sum", [P], b"\1" + doubles(np.nan)), "do not increase"),
        (computed("sum", [P], b"\1" + doubles(np.inf)), "do not increase"),
        (computed("sum", [P], TOO_MANY), "a feature of 255 knots has more than 254"),
        (computed("sum", [P], write_unsigned([2**63])), "has more than 254"),
        (write_unsigned([FEATURE, 0, 2**62]), "cannot take 4611686018427387904 columns"),
    ],
)
def test_impossible_features_are_corrupt(parent, message):
    with pytest.raises(Corrupt, match=message):
        unpack(model_of(*BEFORE, bare(R, parent)), COLUMNS)


BINS = bytes([1, 0, 0])  # one bin, of the index 0
LAYER = bytes([129, 1, 2, 1, 1, 1, 0, 0])  # then a tree


def with_tree(nodes, leaves, parents=(), layer=None):
    """A column with a network of two symbols and a tree of these numbers."""
    layer = layer or write_unsigned([129, 2, len(parents) + 1]) + b"\1\1" + bytes(
        2 * (len(parents) + 1)
    )
    tree = write_unsigned([len(nodes), *(n for node in nodes for n in node)])
    tree += (np.arange(2 * leaves) % 2**15).astype("<i2").tobytes()
    return bare(R, *parents, layers=layer + tree, bins=BINS)


INDEX = bytes([2])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (with_tree([], 0), "ends before its last leaf"),
        (with_tree([(1, 0), (0,)], 1, [INDEX]), "ends before its last leaf"),
        (with_tree([(1, 0)], 0, [INDEX]), "ends before its last leaf"),
        (with_tree([(1, 0), (1, 0), (0,), (0,)], 2, [INDEX]), "ends before its last"),
        (with_tree([(0,), (0,)], 2), "nodes beyond its last leaf"),
        (with_tree([(1, 0), (0,), (0,), (0,)], 3, [INDEX]), "nodes beyond its last"),
        (with_tree([(0,), (1, 0), (0,)], 2, [INDEX]), "nodes beyond its last leaf"),
        (with_tree([(1, 0), (0,), (0,)], 2), "compares what its network does not read"),
        (with_tree([(2, 0), (0,), (0,)], 2, [INDEX]), "compares what its network"),
        (with_tree([(1, 256), (0,), (0,)], 2, [INDEX]), "compares what its network"),
        (with_tree([(2**64 - 1, 0), (0,), (0,)], 2, [INDEX]), "compares what"),
        (with_tree([(1, 2**64 - 1), (0,), (0,)], 2, [INDEX]), "compares what"),
        (with_tree([(1, 7), (0,), (0,)], 1, [INDEX]), "past the end"),
        (with_tree([(0,)], 1, layer=b"\x80\x01"), "a tree without a network"),
        (with_tree([(0,)], 1, layer=write_unsigned([193])), "193 layers"),
        (with_tree([(0,)], 1, layer=write_unsigned([65])), "of 65 layers"),
        (with_tree([(0,)], 1, layer=write_unsigned([127])), "of 127 layers"),
        (with_tree([(0,)] * (MAX_NODES + 1), 0), "of 65536 nodes, more than 65535"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_impossible_trees_are_corrupt(column, message):
    with pytest.raises(Corrupt, match=message):
        unpack(model_of(column), COLUMNS)


def test_trees_at_the_limits_are_read():
    column = with_tree([(1, 255), (0,), (1, 0), (0,), (0,)], 3, [INDEX])
    tree = unpack(model_of(column), COLUMNS).columns["r"].network.tree
    assert tree.right.tolist() == [2, 0, 4, 0, 0]
    assert tree.leaf.tolist() == [-1, 0, 0, 1, 2]
    assert tree.logits.tolist() == [[0, 1], [2, 3], [4, 5]]
    chain = [(1, 0), (0,)] * (MAX_NODES // 2) + [(0,)]
    flow = unpack(model_of(with_tree(chain, len(chain) // 2 + 1, [INDEX])), COLUMNS)
    levels = np.array([[0, 1, 255]], np.uint8)
    assert len(flow.columns["r"].network.tree.feature) == MAX_NODES
    assert len(flow.columns["r"].network.logits(levels)) == 3


def rule_of(kind, columns, numbers=(), count=None):
    head = [RULE.get(kind, kind), len(columns), *columns]
    head.append(len(numbers) if count is None else count)
    return write_unsigned(head) + doubles(*numbers)


GOOD = [
    ("zeros", [P, Q], []),
    ("zeros", [A, N], []),
    ("falling", [X], []),
    ("implies", [A, N], []),
    ("flag", [A, P, P, X, N], [1, 20, 0, 90, 0, -0.0, 1, 1]),
    ("distance", [P, Q], [0.5]),
    ("distance", [P, Q], [0.1, 0.4, 0, 1, 0.5]),
    ("parts", [P, Q, R, N, A], [0, 0]),
    ("least", [A], [0.5]),
    ("least", [P, Q], [1e-300]),
    ("excess", [P], [-1, 1, 0.25]),
    ("mass", [P, Q], [0.25]),
    ("mass", [P, Q, R], [-1, 1, 0.25]),
    ("excess", [P, Q], [0.25]),
]
BAD = [
    ("zeros", [], []),
    ("zeros", [P], []),
    ("zeros", [P, P], []),
    ("zeros", [P, X], []),
    ("zeros", [P, Q, R], []),
    ("zeros", [P, Q], [1]),
    ("zeros", [P, S], []),
    ("falling", [], []),
    ("falling", [P, Q], []),
    ("falling", [S], []),
    ("falling", [P], [0]),
    ("implies", [P, Q], []),
    ("implies", [A, A], []),
    ("implies", [A], []),
    ("implies", [A, P], []),
    ("flag", [], []),
    ("flag", [A], []),
    ("flag", [P, Q], [1, 2]),
    ("flag", [A, P], [1]),
    ("flag", [A, P], [2, 5]),
    ("flag", [A, P], [0.5, 5]),
    ("flag", [A, A], [1, 5]),
    ("flag", [A, P, Q], [1, 5]),
    ("flag", [A, S], [1, 5]),
    ("distance", [P], [0.5]),
    ("distance", [P, P], [0.5]),
    ("distance", [P, X], [0.5]),
    ("distance", [P, Q], []),
    ("distance", [P, Q], [0.1, 1]),
    ("distance", [P, Q], [0.1, 1, 1.5]),
    ("distance", [P, Q], [0.1, 1, -0.5]),
    ("distance", [P, Q], [0.4, 0.1, 0, 1, 0.5]),
    ("distance", [P, Q], [0.4, 0.4, 0, 1, 0.5]),
    ("parts", [P, Q, R, N], [0, 0]),
    ("parts", [P, Q, R, P, Q], [0, 0]),
    ("parts", [P, Q, R, X, Y], [0, 0]),
    ("parts", [P, Q, R], [0, 0]),
    ("parts", [], [0, 0]),
    ("mass", [P], [1]),
    ("mass", [P, Q, X], [1]),
    ("mass", [P, Q, R], [1, 1]),
    ("excess", [], [1]),
    ("excess", [P, Q, R], [1]),
    ("excess", [P, P], [1]),
    ("excess", [P, X], [1]),
    ("excess", [P], [1, 1]),
    ("excess", [P], [0, 1, 2]),
    ("excess", [P], [2, 1, 1, 1, 1]),
    ("least", [], [1]),
    ("least", [P], []),
    ("least", [P], [0]),
    ("least", [P], [-1]),
    ("least", [P, P], [1]),
    ("least", [P, X], [1]),
    ("least", [P, Q, R], [1]),
]


def test_each_rule_is_taken_and_refused():
    assert {kind for kind, *_ in GOOD} == {kind for kind, *_ in BAD} == set(RULES)


@pytest.mark.parametrize(("kind", "columns", "numbers"), GOOD)
def test_rules_are_read(kind, columns, numbers):
    many = [Column(f"p{k}", "float32", counter="n") for k in range(5)]
    schema = (*COLUMNS, *many)
    columns = list(range(8, 13)) if kind == "parts" else columns
    rules = write_unsigned([2]) + rule_of(kind, columns, numbers) * 2
    flow = unpack(model_of(bare(A), rules=rules), schema)
    names = tuple(schema[number].name for number in columns)
    assert flow.rules == (Rule(kind, names, tuple(map(float, numbers))),) * 2
    assert str(flow.rules[0])
    assert unpack(pack_flow(flow, schema), schema).rules == flow.rules


@pytest.mark.parametrize(("kind", "columns", "numbers"), BAD)
def test_rules_that_make_no_sense_are_corrupt(kind, columns, numbers):
    rules = b"\1" + rule_of(kind, columns, numbers)
    with pytest.raises(Corrupt, match=f"a rule of kind '{kind}' that makes no sense"):
        unpack(model_of(bare(A), rules=rules), COLUMNS)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (b"\0", "past the end"),
        (b"\1" + rule_of(len(RULES), [P]), f"rule of the unknown kind {len(RULES)}"),
        (b"\1" + rule_of("falling", [8]), "speaks of column number 8 of 8"),
        (b"\1" + rule_of("falling", [P] * 17), "17 columns, more than 16"),
        (b"\1" + rule_of("distance", [P, Q], [np.nan]), "a number that is not finite"),
        (b"\1" + rule_of("parts", [P, Q], [0, np.inf]), "a number that is not finite"),
        (b"\1" + rule_of("distance", [P, Q], count=MAX_NUMBERS + 1), "513 numbers"),
        (b"\1" + rule_of("distance", [P, Q], count=2**63), "numbers, more than 512"),
        (b"\2" + rule_of("falling", [P]), "past the end"),
        (
            b"\1" + rule_of("falling", [P]) + b"\0\0\0",
            "no quantities, no trees",
        ),
        (write_unsigned([MAX_RULES + 1]), "4097 rules, more than 4096"),
        (write_unsigned([2**64 - 1]), "rules, more than 4096"),
    ],
)
def test_impossible_rules_are_corrupt(rules, message):
    with pytest.raises(Corrupt, match=message):
        unpack(model_of(bare(A), rules=rules), COLUMNS)


QUANTITY = {kind: number for number, kind in enumerate(QUANTITIES)}
TAKEN = {
    "object": ([A], [3]),
    "sum": ([P], []),
    "largest": ([X], []),
    "mean": ([P, Q], []),
    "length": ([P, Q, X, Y], []),
    "delta phi": ([P, A], [0, 0]),
    "delta eta": ([P, P], [0, 1]),
    "pair mass": ([P, Q, R, P, Q, R], [0, 2**16]),
    "nearest pair": ([P, Q], []),
    "nearest other": ([P, Q, X, Y], []),
    "closure": ([P, Q, R, P, Q], []),
}


def quantity_of(kind, columns, objects=()):
    return write_unsigned([QUANTITY.get(kind, kind), len(columns), *columns, *objects])


def leafy(nodes, thresholds, leaves):
    limits = struct.pack(f"<{len(thresholds)}f", *thresholds)
    return (
        write_unsigned([len(nodes), *nodes])
        + limits
        + struct.pack(f"<{len(leaves)}h", *leaves)
    )


CUT = leafy([1, 0, 0], [0.5], [1, -1])


def accepted(quantities=None, trees=(CUT,), offset=-3):
    """The bytes of an acceptance."""
    if quantities is None:
        quantities = [quantity_of(kind, *parts) for kind, parts in TAKEN.items()]
    head = write_unsigned([len(quantities)]) + b"".join(quantities)
    tail = write_unsigned([len(trees)]) + b"".join(trees)
    return head + tail + write_signed([offset])


@pytest.mark.parametrize("rules", [b"\0", b"\1" + rule_of("falling", [P])])
def test_an_acceptance_is_read(rules):
    flow = unpack(model_of(bare(A), rules=rules + accepted()))
    assert [q.kind for q in flow.acceptance.quantities] == list(QUANTITIES)
    assert flow.acceptance.quantities[0].columns == ("a",)
    assert flow.acceptance.quantities[7].objects == (0, 2**16)
    (tree,) = flow.acceptance.trees
    assert tree.quantity.tolist() == [0, -1, -1]
    assert tree.value.tolist() == [0, 1, -1]
    assert flow.acceptance.offset == -3
    packed = pack_flow(flow, COLUMNS)
    assert unpack(packed).acceptance.quantities == flow.acceptance.quantities
    assert flags_of(flow) == 1


ONE = [quantity_of("sum", [P])]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (accepted([], [leafy([0], [], [1])]), "no quantities"),
        (accepted(ONE, ()), "no trees"),
        (accepted(ONE, offset=2**20 + 1), "offset outside the limits"),
        (accepted(ONE, offset=-(2**20) - 1), "offset outside the limits"),
        (accepted([quantity_of(11, [P])]), "unknown kind 11"),
        (accepted([quantity_of("sum", [P, Q])]), "'sum' that makes no sense"),
        (accepted([quantity_of("length", [P, Q, P])]), "'length' that makes no sense"),
        (accepted([quantity_of("mean", [P, A])]), "'mean' that makes no sense"),
        (accepted([quantity_of("pair mass", [P, Q, X] * 2, [0, 0])]), "no sense"),
        (accepted([quantity_of("closure", [P, Q, R, P])]), "no sense"),
        (accepted([quantity_of("sum", [S])]), "no sense"),
        (accepted([quantity_of("sum", [8])]), "column number 8 of 8"),
        (accepted([quantity_of("length", [P] * 18)]), "18 columns of a quantity"),
        (accepted([quantity_of("object", [P], [2**16 + 1])]), "objects before another"),
        (accepted(ONE, [leafy([2, 0, 0], [0.0], [0, 0])]), "does not have"),
        (accepted(ONE, [leafy([1, 0, 0], [np.nan], [0, 0])]), "not finite"),
        (accepted(ONE, [leafy([1, 0, 0], [-np.inf], [0, 0])]), "not finite"),
        (accepted(ONE, [leafy([1, 0], [0.0], [0])]), "ends before its last leaf"),
        (accepted(ONE, [leafy([0, 0], [], [0, 0])]), "beyond its last leaf"),
        (accepted(ONE, [leafy([], [], [])]), "tree"),
        (accepted(ONE, [leafy([0] * 4096, [], [0] * 4096)]), "4096 nodes"),
        (accepted(ONE) + b"\0", "rules and acceptance"),
        (write_unsigned([1025]), "1025 quantities"),
        (b"\1" + ONE[0] + write_unsigned([2**40]), "trees of an acceptance"),
    ],
)
def test_impossible_acceptances_are_corrupt(stored, message):
    with pytest.raises(Corrupt, match=message):
        unpack(model_of(bare(A), rules=b"\0" + stored))


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_both_readers_accept_with_the_same_probability(tmp_path, seed):
    path = tmp_path / "events.ftup"
    event_made.write(path, seed)
    expected = np.array(read_probabilities(path.read_bytes(), 0))
    with ft.File(path) as file:
        stored = next(iter(file.tables.values()))
        acceptance, table = stored.flow.acceptance, read_all(stored)
    context = make_context(table.columns, table.num_entries, table.data)
    for column in table.columns:
        rows = context.rows(context.collection[column.name])
        context.values[column.name] = rows.sort(table.data[column.name].reshape(-1))
    known = EventQuantities(context)
    numbers = np.stack([known.evaluate(q) for q in acceptance.quantities])
    assert ((numbers == np.float32(MISSING)).any(axis=1)).sum() >= 8
    found = acceptance.probability(context)
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) > 10


def test_a_chain_of_left_children_is_followed():
    """As long as a tree may be; both readers come to the leaf at its end, and to the first one."""
    depth = MOST_NODES // 2
    nodes, leaves = [1] * depth + [0] * (depth + 1), list(range(depth + 1))
    page = PageTree(tuple(nodes), (0.5,) * depth, tuple(leaves))
    values = np.zeros(len(nodes))
    values[depth:] = leaves
    own = acceptance_tree(np.array(nodes) - 1, np.full(len(nodes), 0.5), values)
    acceptance = Acceptance((Quantity("sum", ("a",)),), (own,), 0)
    numbers = np.array([[0.0], [1.0]], np.float32)
    expected = [page.leaf([0.0]), page.leaf([1.0])]
    assert acceptance.total(numbers).tolist() == expected == [0, depth]


def every_part():
    """Contents of a small model of every kind of feature, rule and quantity, and trees."""
    read = {kind: columns for kind, columns, message in READS if message is None}
    parents = [
        computed(kind, columns, b"\1" + doubles(k))
        for k, (kind, columns) in enumerate(read.items())
    ]
    nodes = [(1, 7), (0,), (len(parents), 255), (0,), (0,)]
    rules = {kind: rule_of(kind, *parts) for kind, *parts in GOOD if kind != "parts"}
    content = write_unsigned([len(BEFORE) + 1]) + b"".join(BEFORE)
    content += with_tree(nodes, 3, parents)
    ruled = content + write_unsigned([len(rules)]) + b"".join(rules.values())
    return content, ruled, ruled + accepted()


def test_every_prefix_of_a_model_is_corrupt():
    unruled, ruled, content = every_part()
    flow = unpack(zstd(content), COLUMNS)
    assert len(flow.rules) == len(RULES) - 1
    assert {q.kind for q in flow.acceptance.quantities} == set(QUANTITIES)
    for length in set(range(len(content))) - {len(unruled), len(ruled)}:
        with pytest.raises(Corrupt):
            unpack(zstd(content[:length]), COLUMNS)


def test_changed_models_are_others_or_corrupt():
    *_, content = every_part()
    draw = np.random.default_rng(3)
    read = 0
    for _ in range(4000):
        damaged = bytearray(content)
        for _ in range(draw.integers(1, 4)):
            damaged[draw.integers(len(content))] = draw.choice([0, 1, 127, 128, 255])
        with contextlib.suppress(Corrupt):
            flow = unpack(zstd(bytes(damaged)), COLUMNS)
            read += pack_flow(flow, COLUMNS) is not None
    assert read > 50


@pytest.mark.parametrize(
    "data",
    [
        model_of(bare(R, write_unsigned([FEATURE, 0, 2**40]))),
        model_of(bare(R, computed("sum", [P], write_unsigned([2**40])))),
        model_of(with_tree([(0,)] * 60_000, 0)),
        model_of(bare(A), rules=write_unsigned([2**40])),
        model_of(
            bare(A), rules=write_unsigned([4096]) + rule_of("falling", [P], count=2**40)
        ),
    ],
    ids=len,
)
def test_declared_parts_take_no_memory(data):
    tracemalloc.start()
    with pytest.raises(Corrupt):
        unpack(data, COLUMNS)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


@pytest.mark.parametrize("objects", [MAX_OBJECTS, MAX_OBJECTS + 1])
def test_the_nearest_of_too_many_objects_is_not_searched(objects):
    """A search for each of a million objects would take hours."""
    columns = (
        Column("n", "int64", "counter"),
        *(Column(name, "float32", counter="n") for name in ("eta", "phi", "x")),
    )
    feature = EventFeature("distance", ("eta", "phi", "eta", "phi"), (0.5,))
    bins = bins_of(-9, 0, 9)
    reads = ColumnFlow(bins, (Parent("feature", feature=feature),), network(1, 1, 3))
    read = {name: ColumnFlow(NO_BINS) for name in ("n", "eta", "phi")}
    flow = LatticeFlow({**read, "x": reads})
    uniform = Lattice("float32", Bound("abs", 0.1), Uniform("float32", 0.1))
    counter = Lattice("int64", Bound(), Integers("int64"))
    lattices = {c.name: uniform for c in columns} | {"n": counter}
    values = np.linspace(-1, 1, objects).astype(np.float32)
    data = {"n": np.array([objects]), "eta": values, "phi": values, "x": values}
    coding = TableCoding(columns, lattices, flow)
    chunk = encode_chunk(Table("t", columns, 1, data), coding, prefer_flow)
    is_coded = methods(chunk, columns)["x"].method is Method.FLOW
    assert is_coded == (objects <= MAX_OBJECTS)
    decoded = decode_chunk(chunk, "t", 1, coding)
    assert np.abs(decoded["x"] - values).max() <= 0.1001
    forged = methods(chunk, columns)
    forged["x"] = replace(forged["x"], method=Method.FLOW, payload=bytes(16))
    message = (
        "does not end" if is_coded else "searches the nearest object, where an event has"
    )
    with pytest.raises(Corrupt, match=message):
        decode_chunk(join([forged[c.name] for c in columns]), "t", 1, coding)


def prefer_flow(stored):
    return (stored.method is not Method.FLOW) * len(stored.payload)
