"""flowtuple and the reference reader agree beyond golden files, on random numbers and tables."""

import math
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from dissect import assemble, pieces
from flowtuple.codec import coder, packing
from flowtuple.codec.frequencies import intervals
from flowtuple.data.schema import bit_patterns
from flowtuple.data.table import read_all
from flowtuple.errors import Corrupt
from flowtuple.file.description import unpack_description
from flowtuple.file.merge import merge
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.grid import (
    ATOM,
    ESCAPE,
    MANTISSA_BITS,
    Binades,
    Decimal,
    Integers,
    Mantissas,
    Ordered,
    Uniform,
)
from flowtuple.lattice.prediction import FUNCTIONS, Prediction, _cast
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)
from reference_reader import Invalid, base, chunk, flow, functions, lattice, read_file
from reference_reader.container import INDICES, Stored

ENDS = np.array(
    [
        -(2**63),
        2**63 - 1,
        ATOM - 1,
        ATOM,
        ESCAPE,
        2**60,
        2**60 - 1,
        2**61,
        2**52,
        2**52 + 1,
        -(2**52),
        0,
    ],
    np.int64,
)
NUMBERS = np.array(
    [
        0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        0.5,
        1.5,
        64,
        -64,
        64.1,
        2**20,
        -(2**21),
        5e-324,
        1e308,
        -1e308,
        65520,
    ]
)
GRIDS = [
    *(Ordered(d, s) for d, m in MANTISSA_BITS.items() for s in (0, 1, m)),
    *(Mantissas(d, b) for d, m in MANTISSA_BITS.items() for b in (0, m // 2, m)),
    *(Uniform(d, e) for d in MANTISSA_BITS for e in (5e-324, 0.37, 8e307)),
    *(Decimal(d, k) for d in MANTISSA_BITS for k in (0, 1, 6)),
    *(Binades(d, r) for d in MANTISSA_BITS for r in (0.001, 0.3, 1 - 2.0**-53)),
    *(Binades(d, 2.0**-20) for d in ("float32", "float64")),
    *(
        Integers(d, w)
        for d in ("int8", "uint16", "int64", "uint64")
        for w in (1, 3, 2**40 + 1, 2**62 + 1)
    ),
    Integers("bool"),
]


@pytest.fixture
def draw():
    return np.random.default_rng(3)


def values_of(dtype, draw):
    if dtype == "bool":
        return np.array([False, True])
    patterns = (
        draw.integers(0, 2**64, 40, dtype=np.uint64)
        .astype(f"u{np.dtype(dtype).itemsize}")
        .view(dtype)
    )
    with np.errstate(all="ignore"):
        near = (
            np.append(NUMBERS, draw.normal(0, 30, 40))
            if "float" in dtype
            else draw.integers(0, 100, 40)
        )
        return np.concatenate([patterns, near.astype(dtype)])


def indices_of(draw):
    return np.concatenate(
        [
            draw.integers(-(2**63), 2**63 - 1, 40),
            draw.integers(-(2**20), 2**20, 40),
            np.arange(-4, 5),
            ENDS,
        ]
    )


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_grids(grid, draw):
    reference = lattice.parse_grid(grid.to_json(), base.DTYPES[grid.dtype])
    x, q = values_of(grid.dtype, draw), indices_of(draw)
    q = q[q < ATOM]
    with np.errstate(all="ignore"):
        index, value = grid.index(x), bit_patterns(grid.value(q))
    assert np.where(index < ATOM, index, ESCAPE).tolist() == [
        n if (n := reference.index(p)) < base.A else base.NONE
        for p in bit_patterns(x).tolist()
    ]
    assert value.tolist() == [reference.value(n) for n in q.tolist()]


@pytest.mark.parametrize("number", range(len(FUNCTIONS)), ids=list(FUNCTIONS))
def test_functions(number, draw):
    count, function = list(FUNCTIONS.values())[number]
    values = np.append(
        NUMBERS, draw.normal(0, 1, 400) * 10.0 ** draw.integers(-8, 9, 400)
    )
    arguments = [draw.choice(values, 1000) for _ in range(count)]
    with np.errstate(all="ignore"):
        found = function(*arguments)
    assert functions.FUNCTIONS[number][0] == count
    for row, y in zip(
        zip(*(a.tolist() for a in arguments), strict=True), found.tolist(), strict=True
    ):
        expected = functions.FUNCTIONS[number][1](*row)
        assert (
            y == expected and math.copysign(1, y) == math.copysign(1, expected)
        ) or math.isnan(y) == math.isnan(expected) is True, row


@pytest.mark.parametrize("period", [None, (-157, 315), (-(2**52), 2**52), (2**52, 1)])
def test_residuals(period, draw):
    r = np.append(indices_of(draw), np.zeros(20, np.int64))
    predicted = draw.choice(indices_of(draw), len(r))
    found = Prediction((), period).restore(r, predicted)
    assert found.tolist() == [
        flow.index_of_residual(*pair, period)
        for pair in zip(r.tolist(), predicted.tolist(), strict=True)
    ]


@pytest.mark.parametrize("dtype", base.DTYPES)
def test_totals(dtype, draw):
    totals = np.append(
        NUMBERS[np.isfinite(NUMBERS)],
        draw.normal(0, 1, 200) * 10.0 ** draw.integers(-8, 30, 200),
    )
    found = bit_patterns(_cast(totals, dtype)).tolist()
    assert found == [
        flow.pattern_of_total(t, base.DTYPES[dtype]) for t in totals.tolist()
    ]


@pytest.mark.parametrize("bins", [0, 1, 7])
def test_levels(bins, draw):
    first, last = (
        np.sort(draw.choice(np.unique(indices_of(draw)), 2 * bins, replace=False))
        .reshape(-1, 2)
        .T.copy()
    )
    q = np.concatenate([indices_of(draw), first, last])
    reference = flow.Bins(first.tolist(), last.tolist())
    assert Bins(first, last).level(q).tolist() == [reference.level(n) for n in q.tolist()]


def decoded(data, logits, bins):
    stream = coder.Decoder(data)
    q = stream.take(logits, bins.starts, bins.spans)
    try:
        stream.end()
    except Corrupt:
        return None
    return q.tolist()


def decoded_by_reference(data, logits, bins):
    reference = flow.Bins(bins.first.tolist(), bins.last.tolist())
    try:
        stream = chunk.Stream(data)
        q = [
            stream.number(i, flow.frequencies(z), reference)
            for i, z in enumerate(logits.tolist())
        ]
        stream.finish()
    except Invalid:
        return None
    return q


@pytest.mark.parametrize("rows", range(1, 30))
@pytest.mark.parametrize(
    "bit", [None, 0, 63, -1], ids=["whole", "state", "high-bit", "any"]
)
def test_streams(rows, bit, draw):
    edges = np.cumsum([-(2**59), *draw.integers(1, 2 ** int(draw.integers(1, 50)), 4)])
    bins, logits = (
        Bins(edges[:-1], edges[1:] - 1),
        draw.integers(-400, 400, (rows, 5)).astype(np.int16),
    )
    q = np.where(draw.random(rows) < 0.1, 2**62, draw.integers(edges[0], edges[-1], rows))
    symbols = bins.symbol(q)
    data = bytearray(
        coder.encode(q, symbols, *intervals(logits, symbols), bins.starts, bins.spans)
    )
    if bit is not None:
        place = int(draw.integers(0, 8 * len(data))) if bit < 0 else bit
        data[place // 8] ^= 1 << place % 8
    found = decoded(bytes(data), logits, bins)
    assert found == decoded_by_reference(bytes(data), logits, bins)
    assert found == q.tolist() or bit is not None


def test_a_position_beyond_its_bin_is_refused_by_both():
    bins, logits = (
        Bins(np.array([0]), np.array([2**20])),
        np.zeros((1, 2), np.int16),
    )  # the last place holds one of 32 numbers
    q, symbols = np.array([2**20 + 1]), np.array([0])
    data = coder.encode(q, symbols, *intervals(logits, symbols), bins.starts, bins.spans)
    assert decoded(data, logits, bins) is decoded_by_reference(data, logits, bins) is None


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "made.flow"
    write_model(
        dataset_from_memory(dependent_events(300, 1)).tables["events"],
        path,
        DEPENDENT_PARENTS,
        DEPENDENT_TOLERANCE,
    )
    return path


def assert_same(path, **others):
    with ft.File(path, **others) as file:
        table = read_all(file.tables["events"])
    others = {name: Path(other).read_bytes() for name, other in others.items()}
    found = read_file(path.read_bytes(), **others)["events"]
    for column in table.columns:
        values, others = table[column.name], found[column.name]
        assert (
            values.to_list() == others
            if column.is_opaque
            else values.tobytes() == others.tobytes()
        ), column.name


def test_a_model_in_another_file(model, tmp_path):
    ft.compress(
        dependent_events(60, 2), tmp_path / "events.ftup", model=model, model_ref=True
    )
    assert_same(tmp_path / "events.ftup", model=model)
    assert [len(v) for v in read_file(model.read_bytes())["events"].values()] == [0] * 5
    with pytest.raises(Invalid):
        read_file((tmp_path / "events.ftup").read_bytes())


def test_merged_files(model, tmp_path):
    """The files have different ranges, and one has no events."""
    paths = [tmp_path / f"{n}.ftup" for n in range(3)]
    for n, path in enumerate(paths):
        events = {
            name: ak.Array(values)[: (40, 0, 30)[n]]
            for name, values in dependent_events(40, 7 + n).items()
        }
        ft.compress(events, path, model=model)
    merge(paths, tmp_path / "all.ftup")
    assert_same(tmp_path / "all.ftup")


def changed(place, key, value):
    """A change of one key of the description, of its table, of a column, or within a column."""
    first, *within = place.split("/")

    def change(meta):
        table = meta["tables"][0]
        columns = {c["name"]: c for c in table["columns"]}
        found = {"": meta, "table": table, **columns}[first]
        for step in within:
            found = found[step]
        found[key] = value

    return change


def bounded_counter(meta):
    counter = next(c for c in meta["tables"][0]["columns"] if c.get("hidden"))
    counter["lattice"] |= {"bound": "abs:1", "range": [0, 1]}


@pytest.mark.parametrize(
    "change",
    [
        bounded_counter,
        changed("", "carried", ["one", "one"]),
        changed("", "model", True),
        changed("", "model", 1),
        changed("table", "model", ""),
        changed("table", "parts", []),
        changed("table", "parts", [{"entries": 1, "ranges": {}}]),
        changed("table", "parts", [{"entries": 2, "ranges": {"x": [1, 0]}}]),
        changed("table", "parts", [{"entries": 2, "ranges": {"n": [0, 1]}}]),
        changed("x", "name", ""),
        changed("x", "shape", None),
        changed("x", "shape", [1] * 32),
        changed("e", "shape", [0, 2**27, 2**27]),
        changed("s", "shape", [1]),
        changed("n", "role", None),
        changed("n/lattice", "bound", "abs:1"),
        changed("x/lattice", "bound", "abs:1_0"),
        changed("x/lattice", "bound", "abs:+1"),
        changed("x/lattice", "bound", " abs:1"),
        changed("x/lattice", "bound", "abs:.5"),
        changed("x/lattice", "bound", "lossless"),
        changed("n/lattice", "range", [0, 1]),
        changed("x/lattice", "range", [2, 1]),
        changed("x/lattice", "range", [None, 1]),
        changed("x/lattice", "range", [0.1, 1]),
        changed("k/lattice", "range", [1.0, 2]),
        changed("x/lattice", "atoms", [1.0]),
        changed("x/lattice", "atoms", [True]),
        changed("x/lattice", "atoms", [-1]),
        changed("x/lattice", "atoms", [2**32]),
        changed("b/lattice", "atoms", [2]),
        changed("x/lattice/grid", "half_width", True),
        changed("k/lattice/grid", "width", 3.0),
    ],
)
def test_descriptions_that_both_refuse(change, tmp_path):
    path = tmp_path / "events.ftup"
    ft.compress(EVENTS, path, tolerance={"x": "abs:0.5", "k": "abs:1"})
    assert_same(path)
    meta, sections, contents = pieces(path)
    change(meta)
    assemble(path, meta, sections, contents)
    with pytest.raises(Corrupt):
        ft.File(path)
    with pytest.raises(Invalid):
        read_file(path.read_bytes())


EVENTS = {
    "x": np.array([0.5, 1.5], np.float32),
    "k": np.array([1, 2]),
    "b": np.array([True, False]),
    "e": np.zeros((2, 0, 3)),
    "n": np.array([1, 0]),
    "s": ["a", "b"],
    "jets": ak.Array([[1.5], []]),
}


def test_numbers_that_json_has_and_an_f64_has_not():
    data = packing.zstd(b'{"tables": [], "carried": [], "x": 1e999}')
    with pytest.raises(Corrupt, match="1e999 is no number of 64 bits"):
        unpack_description(data, "here")
    with pytest.raises(Invalid):
        base.parse_json(base.zstd_content(data))


@pytest.mark.parametrize("number", [2**16, 2**16 + 1])
def test_indices_beyond_those_of_atoms(number):
    data = packing.write_signed([4]) + packing._pco(np.array([3, 4 + number], np.int64))
    stored = Stored(INDICES, False, data, b"")
    if number == 2**16:
        assert (
            packing.unpack_indices(data, 2).tolist()
            == chunk.stored_numbers(stored, 2)
            == [3, ESCAPE]
        )
        return
    with pytest.raises(Corrupt, match="no special index has the number 65537"):
        packing.unpack_indices(data, 2)
    with pytest.raises(Invalid):
        chunk.stored_numbers(stored, 2)


def test_pcodec_of_no_values_is_of_any_type():
    assert (
        packing.unpack_values(
            b"\1" + packing._pco(np.empty(0, np.float32)), 0, "float32"
        ).dtype
        == np.float32
    )


def test_nothing_follows_a_frame_of_nothing():
    assert packing.unzstd(packing.zstd(b"")) == b""
    with pytest.raises(Corrupt, match="a zstd frame of no bytes has"):
        packing.unzstd(packing.zstd(b"") + b"x")


def test_a_bool_is_neither_more_nor_less():
    assert packing.unpack_values(b"\0" + packing.zstd(b"\0\1"), 2, "bool").tolist() == [
        False,
        True,
    ]
    with pytest.raises(Corrupt, match="neither 0 nor 1"):
        packing.unpack_values(b"\0" + packing.zstd(b"\0\2"), 2, "bool")
