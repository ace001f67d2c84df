"""Frequencies, entropy coder, packing and chunks: exact references, round trips, and what damaged
bytes give.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dissect import join, methods, with_block_checksums
from flowtuple.codec import chunk, coder, packing
from flowtuple.codec.chunk import decode_chunk, encode_chunk
from flowtuple.codec.column import Method, StoredColumn
from flowtuple.codec.directory import read_directory
from flowtuple.codec.frequencies import EXP2, intervals
from flowtuple.codec.varint import Reader, write_signed, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table, difference
from flowtuple.errors import BoundViolated, Corrupt
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import (
    Parent,
    coding_order,
    collection_counts,
    collection_of,
)
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import ATOM, ESCAPE, Integers, Ordered, Uniform
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import ABSOLUTE, LARGEST, Prediction, Term
from flowtuple.lattice.rows import RowSet
from flowtuple.lattice.statistics import Statistics
from flowtuple.lattice.walk import TableCoding

LOWEST, HIGHEST = -(2**63), 2**63 - 1
NUMBERS = [
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
]
INDEX = (
    st.integers(LOWEST, HIGHEST)
    | st.integers(-300, 300)
    | st.sampled_from([LOWEST, -1, 0, ATOM - 1, ATOM, ATOM + 3, ESCAPE])
)


def slow_frequencies(logits: list[int]) -> list[int]:
    """The formulas of the format in Python's whole numbers."""
    top = max(logits)
    weights = []
    for z in logits:
        d = min(top - z, 511)
        power = 2 ** (320 - d) if d <= 320 else 0
        weights.append(math.isqrt(math.isqrt(math.isqrt(math.isqrt(power)))))
    reciprocal = (2**16 - len(logits)) * 2**32 // sum(weights)
    f = [1 + w * reciprocal // 2**32 for w in weights]
    return [*f[:-1], 2**16 - sum(f[:-1])]


def frequencies(logits: np.ndarray) -> np.ndarray:
    """Every symbol's frequency by the intervals of all symbols, which follow one another from 0 to
    2^16.
    """
    rows, symbols = logits.shape
    edges = np.zeros((rows, symbols + 1), np.int64)
    for k in range(symbols):
        below, frequency = intervals(logits, np.full(rows, k))
        assert below.dtype == frequency.dtype == np.uint32
        assert np.array_equal(below, edges[:, k]), (
            f"symbol {k} does not begin where the one before it ends"
        )
        edges[:, k + 1] = edges[:, k] + frequency
    return np.diff(edges)


class TestFrequencies:
    def test_exp2_is_the_integer_root(self) -> None:
        for d, w in enumerate(EXP2.tolist()):
            assert w**16 * 2**d <= 2**320 < (w + 1) ** 16 * 2**d
        assert (EXP2[0], EXP2[16], EXP2[320], EXP2[321], len(EXP2)) == (
            2**20,
            2**19,
            1,
            0,
            512,
        )

    @given(
        logits=st.lists(
            st.integers(-(2**14), 2**14) | st.integers(-40, 40), min_size=2, max_size=60
        )
    )
    def test_against_whole_numbers(self, logits: list[int]) -> None:
        actual = frequencies(np.array([logits, logits[::-1]], np.int16))
        assert actual.tolist() == [
            slow_frequencies(logits),
            slow_frequencies(logits[::-1]),
        ]

    @pytest.mark.parametrize("symbols", [2, 3, 300, 4096])
    def test_sums(self, symbols: int) -> None:
        rng = np.random.default_rng(symbols)
        logits = np.concatenate(
            [
                rng.integers(-(2**14), 2**14, (5, symbols)),
                rng.normal(0, 60, (5, symbols)).astype(int),
                np.zeros((1, symbols)),
                np.full((1, symbols), -(2**14)),
            ]
        ).astype(np.int16)
        actual = frequencies(np.asfortranarray(logits))
        assert (actual.sum(axis=1) == 2**16).all()
        assert actual.min() >= 1
        assert actual[0].tolist() == slow_frequencies(logits[0].tolist())

    def test_each_row_has_its_own_symbol(self) -> None:
        rng = np.random.default_rng(4)
        logits, symbols = (
            rng.integers(-99, 99, (300, 7)).astype(np.int16),
            rng.integers(0, 7, 300),
        )
        below, frequency = intervals(logits, symbols)
        table = [slow_frequencies(row) for row in logits.tolist()]
        assert frequency.tolist() == [
            row[k] for row, k in zip(table, symbols, strict=True)
        ]
        assert below.tolist() == [
            sum(row[:k]) for row, k in zip(table, symbols, strict=True)
        ]

    def test_no_rows(self) -> None:
        assert frequencies(np.empty((0, 5), np.int16)).shape == (0, 5)


SPANS = st.sampled_from(
    [
        0,
        1,
        2,
        65534,
        65535,
        65536,
        65537,
        2**24,
        2**32 - 1,
        2**32,
        2**48,
        2**63,
        2**64 - 2,
        2**64 - 1,
    ]
)


class Stream:
    """Rows to be coded: logits, symbols, and a place within each symbol's span."""

    def __init__(
        self, seed: int, rows: int, spans: list[int], concentration: float = 1.0
    ) -> None:
        rng, k = np.random.default_rng(seed), len(spans)
        shares = rng.dirichlet(np.full(k, concentration), rows).reshape(rows, k)
        self.logits = np.rint(16 * np.log2(shares + 1e-30)).astype(np.int16)
        table = frequencies(self.logits)
        self.spans = np.array(spans, np.uint64)
        self.starts = rng.integers(LOWEST, HIGHEST, k)
        drawn = rng.random((rows, 1)) * 2**16
        likely = (np.cumsum(table, axis=1) <= drawn).sum(axis=1)
        self.symbols = np.where(rng.random(rows) < 0.8, likely, rng.integers(0, k, rows))
        self.below, self.frequency = intervals(self.logits, self.symbols)
        self.q = self._places(rng)

    def _places(self, rng: np.random.Generator) -> np.ndarray:
        widest = self.spans[self.symbols]
        anywhere = rng.integers(0, 2**64, len(widest), np.uint64)
        below = np.where(
            widest == 2**64 - 1,
            anywhere,
            anywhere % np.where(widest == 2**64 - 1, 1, widest + np.uint64(1)),
        )
        place = np.choose(
            rng.integers(0, 4, len(widest)), [below, below, np.zeros_like(below), widest]
        )
        return (self.starts[self.symbols].view(np.uint64) + place).view(np.int64)

    def encode(self) -> bytes:
        return coder.encode(
            self.q, self.symbols, self.below, self.frequency, self.starts, self.spans
        )

    def decode(self, data: bytes, blocks: Sequence[int] = ()) -> np.ndarray:
        """All rows, in blocks that end at the places given."""
        decoder = coder.Decoder(data)
        parts = [
            decoder.take(logits, self.starts, self.spans)
            for logits in np.split(self.logits, blocks)
        ]
        decoder.end()
        return np.concatenate(parts)

    @property
    def code_length(self) -> float:
        return coder.code_length(self.frequency, self.symbols, self.spans)


class TestCoder:
    @given(
        seed=st.integers(0, 2**32),
        rows=st.integers(0, 40),
        spans=st.lists(SPANS | st.integers(0, 2**64 - 1), min_size=2, max_size=300),
    )
    def test_round_trip(self, seed: int, rows: int, spans: list[int]) -> None:
        stream = Stream(seed, rows, spans)
        data = stream.encode()
        assert np.array_equal(stream.decode(data), stream.q)
        assert len(data) * 8 <= stream.code_length * 1.001 + 32 * 8

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "spans",
        [[0, 0], [0] * 300, [5] * 40, [2**40] * 3, [0, 2**64 - 1], [65535, 65536] * 8],
        ids=["coin", "points", "narrow", "wide", "all", "edge"],
    )
    def test_size(self, spans: list[int]) -> None:
        stream = Stream(1, 5000, spans)
        expected = stream.code_length / 8
        assert expected - 1 <= len(stream.encode()) <= 1.001 * expected + 16

    def test_code_length_is_the_sum_of_logarithms(self) -> None:
        stream = Stream(2, 300, [0, 9, 2**20 - 1])
        table = [slow_frequencies(row) for row in stream.logits.tolist()]
        bits = [
            16 - math.log2(table[i][k]) + math.log2(int(stream.spans[k]) + 1)
            for i, k in enumerate(stream.symbols)
        ]
        assert stream.code_length == pytest.approx(sum(bits), rel=1e-12)

    def test_certain_symbols_cost_next_to_nothing(self) -> None:
        logits = np.tile(np.array([2**14, -(2**14)], np.int16), (4000, 1))
        zeros = np.zeros(4000, np.int64)
        below, frequency = intervals(logits, zeros)
        assert set(frequency.tolist()) == {65535}
        data = coder.encode(
            zeros, zeros, below, frequency, np.zeros(2, np.int64), np.zeros(2, np.uint64)
        )
        assert len(data) == 16

    @given(
        seed=st.integers(0, 99),
        blocks=st.lists(st.integers(0, 41), max_size=6).map(sorted),
    )
    def test_blocks_of_any_size(self, seed: int, blocks: list[int]) -> None:
        """Rows take the two lanes in turn across blocks, odd and empty ones among them."""
        stream = Stream(seed, 41, [0, 7, 2**17, 2**64 - 1])
        assert np.array_equal(stream.decode(stream.encode(), blocks), stream.q)

    @pytest.mark.parametrize("rows", [0, 1, 40])
    def test_the_end_comes_after_the_last_row(self, rows: int) -> None:
        stream = Stream(0, 41, [3, 900, 2**40])
        decoder = coder.Decoder(stream.encode())
        decoder.take(stream.logits[:rows], stream.starts, stream.spans)
        with pytest.raises(Corrupt, match="does not end where its rows end"):
            decoder.end()

    def test_rows_that_are_not_there(self) -> None:
        stream = Stream(0, 41, [3, 900, 2**40])
        decoder = coder.Decoder(stream.encode())
        for _ in range(2):
            decoder.take(stream.logits, stream.starts, stream.spans)
        with pytest.raises(Corrupt, match="does not end where its rows end"):
            decoder.end()

    @settings(max_examples=100)
    @given(seed=st.integers(0, 99), damage=st.data())
    def test_damage(self, seed: int, damage: st.DataObject) -> None:
        stream = Stream(seed, 30, [0, 7, 2**17, 2**64 - 1])
        data = bytearray(stream.encode())
        if damage.draw(st.booleans()):
            data = data[: damage.draw(st.integers(0, len(data) - 1))]
            with pytest.raises(Corrupt, match="entropy-coded stream"):
                stream.decode(bytes(data))
            return
        data[damage.draw(st.integers(0, len(data) - 1))] ^= damage.draw(
            st.integers(1, 255)
        )
        try:
            actual = stream.decode(bytes(data))
        except Corrupt:
            return
        assert not np.array_equal(actual, stream.q)

    @pytest.mark.parametrize("length", [0, 15, 17, 18, 19])
    def test_impossible_lengths(self, length: int) -> None:
        with pytest.raises(Corrupt, match=f"stream of {length} bytes cannot be one"):
            Stream(0, 3, [0, 5]).decode(bytes(length))

    def test_bytes_too_many(self) -> None:
        stream = Stream(0, 30, [0, 500])
        with pytest.raises(Corrupt, match="does not end where its rows end"):
            stream.decode(stream.encode() + bytes(4))

    def test_noise(self) -> None:
        rng, stream = np.random.default_rng(0), Stream(0, 50, [0, 500, 2**64 - 1])
        for _ in range(50):
            with pytest.raises(Corrupt, match="does not end where its rows end"):
                stream.decode(rng.bytes(4 * int(rng.integers(4, 60))))


class TestVarint:
    @given(numbers=st.lists(st.integers(0, 2**64 - 1)))
    def test_unsigned(self, numbers: list[int]) -> None:
        reader = Reader(write_unsigned(numbers))
        assert [reader.unsigned() for _ in numbers] == numbers
        assert reader.position == len(reader.data)

    @given(numbers=st.lists(st.integers(LOWEST, HIGHEST)))
    def test_signed(self, numbers: list[int]) -> None:
        reader = Reader(write_signed(numbers))
        assert [reader.signed() for _ in numbers] == numbers

    @given(number=st.integers(0, 2**64 - 1))
    def test_length(self, number: int) -> None:
        assert len(write_unsigned([number])) == max(1, -(-number.bit_length() // 7))

    @pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff"])
    def test_cut(self, data: bytes) -> None:
        with pytest.raises(Corrupt, match="runs past the end"):
            Reader(data).unsigned()

    @pytest.mark.parametrize(
        "data",
        [b"\x80" * 10 + b"\x00", write_unsigned([2**64]), write_unsigned([2**69])],
        ids=["eleven-bytes", "2^64", "2^69"],
    )
    def test_too_long(self, data: bytes) -> None:
        with pytest.raises(Corrupt, match="longer than 64 bits"):
            Reader(data).unsigned()

    def test_take(self) -> None:
        reader = Reader(b"abc", 1)
        assert (reader.take(2), reader.take(0)) == (b"bc", b"")
        with pytest.raises(Corrupt, match="block of 1 bytes runs past"):
            reader.take(1)


INDICES = arrays(np.int64, st.integers(0, 60), elements=INDEX)


def plausible(dtype: str, rng: np.random.Generator, rows: int) -> np.ndarray:
    """Values of a type with its extremes and, for floats, its specials."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(rows) < 0.5
    values = (
        rng.normal(40, 10, rows) if kind.kind in "fi" else rng.exponential(30, rows)
    ).astype(kind)
    if kind.kind == "f":
        info = np.finfo(kind)
        edges = [
            np.nan,
            np.inf,
            -np.inf,
            -0.0,
            0.0,
            info.max,
            -info.max,
            info.smallest_subnormal,
            -999,
        ]
    else:
        edges = [np.iinfo(kind).min, np.iinfo(kind).max]
    values[: len(edges)] = np.array(edges[:rows], kind)
    return rng.permutation(values)


class TestPacking:
    @given(q=INDICES)
    def test_indices(self, q: np.ndarray) -> None:
        if (q[q >= ATOM] <= ESCAPE).all():
            assert np.array_equal(
                packing.unpack_indices(packing.pack_indices(q), len(q)), q
            )
        assert np.array_equal(packing.unpack_raw(packing.pack_raw(q), len(q)), q)

    @given(q=INDEX, rows=st.integers(1, 5))
    def test_constant(self, q: int, rows: int) -> None:
        data = packing.pack_constant(np.full(rows, q, np.int64))
        assert data is not None
        assert packing.unpack_constant(data, rows).tolist() == [q] * rows

    @pytest.mark.parametrize("q", [[], [1, 1, 2], [LOWEST, HIGHEST]])
    def test_no_constant(self, q: list[int]) -> None:
        assert packing.pack_constant(np.array(q, np.int64)) is None

    @pytest.mark.parametrize("dtype", NUMBERS)
    @pytest.mark.parametrize("rows", [0, 1, 9, 3000])
    def test_values(self, dtype: str, rows: int) -> None:
        values = plausible(dtype, np.random.default_rng(rows), rows)
        actual = packing.unpack_values(packing.pack_values(values), rows, dtype)
        assert actual.dtype == values.dtype
        assert actual.tobytes() == values.tobytes()

    def test_values_of_another_type(self) -> None:
        data = packing.pack_values(np.random.default_rng(0).normal(size=900))
        with pytest.raises(
            Corrupt, match=r"900 values of type float32 does not decode .* does not match"
        ):
            packing.unpack_values(data, 900, "float32")
        with pytest.raises(
            Corrupt, match=r"900 values of type int64 does not decode .* does not match"
        ):
            packing.unpack_values(data, 900, "int64")

    @pytest.mark.parametrize(
        ("rows", "actual"), [(899, "more"), (901, "900"), (0, "more")]
    )
    def test_values_of_another_number(self, rows: int, actual: str) -> None:
        data = packing.pack_values(np.random.default_rng(0).normal(size=900))
        with pytest.raises(
            Corrupt, match=f"a pcodec stream holds {actual} values where {rows} are due"
        ):
            packing.unpack_values(data, rows, "float64")

    @given(content=st.binary(max_size=200))
    def test_zstd(self, content: bytes) -> None:
        frame = packing.zstd(content)
        assert packing.unzstd(frame) == packing.unzstd(frame, len(content)) == content
        with pytest.raises(Corrupt, match="declares"):
            packing.unzstd(frame, len(content) + 1)

    @pytest.mark.parametrize(
        "array",
        [
            ak.Array([["a", "bc"], [], None, ["xyz"]]),
            ak.Array([[[1, 2], []], [], [[3]]]),
            ak.Array(["one", "", "two\u00e9"]),
            ak.Array([{"x": 1, "y": [1.5]}, {"x": 2, "y": []}])[[1, 0, 1]],
            ak.Array([]),
        ],
        ids=["options", "nested", "strings", "records", "empty"],
    )
    def test_opaque(self, array: ak.Array) -> None:
        actual = packing.unpack_opaque(packing.pack_opaque(array), len(array))
        assert actual.to_list() == array.to_list()
        with pytest.raises(Corrupt, match="entries where"):
            packing.unpack_opaque(packing.pack_opaque(array), len(array) + 1)


UNPACKERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "constant": (write_signed([2**62]), lambda data: packing.unpack_constant(data, 3)),
    "indices": (
        packing.pack_indices(np.append(np.arange(300) % 37, [ATOM, ESCAPE])),
        lambda data: packing.unpack_indices(data, 302),
    ),
    "values": (
        packing.pack_values(np.sqrt(np.arange(400)).astype("float32")),
        lambda data: packing.unpack_values(data, 400, "float32"),
    ),
    "bytes": (
        packing.pack_values(np.arange(50, dtype="uint8")),
        lambda data: packing.unpack_values(data, 50, "uint8"),
    ),
    "raw": (
        packing.pack_raw(np.arange(-200, 200)),
        lambda data: packing.unpack_raw(data, 400),
    ),
    "opaque": (
        packing.pack_opaque(ak.Array([["a", "bc"], []] * 9)),
        lambda data: packing.unpack_opaque(data, 18),
    ),
    "opaque content": (
        packing.unzstd(packing.pack_opaque(ak.Array([["a", "bc"], []] * 9))),
        lambda data: packing.unpack_opaque(packing.zstd(data), 18),
    ),
}


class TestDamagedPacking:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", UNPACKERS)
    @settings(max_examples=150)
    @given(data=st.data())
    def test_changed_bytes(self, name: str, data: st.DataObject) -> None:
        good, unpack = UNPACKERS[name]
        damaged = bytearray(good)
        for _ in range(data.draw(st.integers(1, 2))):
            damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(
                st.integers(0, 255)
            )
        try:
            unpack(bytes(damaged))
        except Corrupt as error:
            assert str(error)  # noqa: PT017 - either outcome is right, another exception is not

    @pytest.mark.parametrize("name", UNPACKERS)
    def test_cut(self, name: str) -> None:
        good, unpack = UNPACKERS[name]
        for length in range(0, len(good), max(1, len(good) // 40)):
            with pytest.raises(
                Corrupt,
                match=r"past the end|does not decode|declares|cannot hold|where|holds",
            ):
                unpack(good[:length])

    @pytest.mark.parametrize("name", ["constant", "indices"])
    def test_numbers_beyond_64_bits(self, name: str) -> None:
        good, unpack = UNPACKERS[name]
        with pytest.raises(Corrupt, match="longer than 64 bits"):
            unpack(write_unsigned([2**69]) + good[1:])

    def test_a_frame_that_declares_more_than_memory(self) -> None:
        frame = bytes.fromhex("28b52ffde0") + (2**46).to_bytes(8, "little") + bytes(8)
        with pytest.raises(Corrupt, match="frame"):
            packing.unzstd(frame)


def statistics_of(values: np.ndarray) -> Statistics:
    statistics = Statistics(str(values.dtype))
    statistics.update(values)
    return statistics


def coding_of(
    table: Table, bounds: Mapping[str, str] | None = None, flow: LatticeFlow | None = None
) -> TableCoding:
    lattices = {
        c.name: resolve(
            c,
            Bound.parse((bounds or {}).get(c.name, "lossless")),
            statistics_of(table.data[c.name].reshape(-1)),
        )
        for c in table.columns
        if not c.is_opaque
    }
    return TableCoding(table.columns, lattices, flow or LatticeFlow())


def prefer(wanted: Callable[[StoredColumn], bool]) -> Callable[[StoredColumn], int]:
    """Return a cost that takes a wanted way to store a column, however long, where there is one."""
    return lambda stored: len(stored) + (0 if wanted(stored) else 2**40)


def by_flow(stored: StoredColumn) -> bool:
    return stored.method is Method.FLOW


def random_flow(table: Table, coding: TableCoding, seed: int) -> LatticeFlow:
    """Random networks and predictions that read every column before them by every relation: all are
    valid flows.
    """
    rng = np.random.default_rng(seed)
    flows: dict[str, ColumnFlow] = {}
    before: dict[str, list[str]] = {}
    for column in coding_order(table.columns):
        key = collection_of(column)
        rows = RowSet(collection_counts(column, table.data, table.num_entries))
        q = coding.lattices[column.name].encode(table.data[column.name].reshape(-1))[
            rows.order
        ]
        parents = readable(column.name, key, before)
        prediction, residual = None, bool(rng.random() < 0.5)
        if values := [p for p in parents if p.column and p.relation != "event"]:
            terms = [
                Term(1.0, "x", (values[k],))
                for k in rng.integers(0, len(values), rng.integers(1, 3))
            ]
            prediction = Prediction(
                tuple(terms), (-200, 401) if rng.random() < 0.3 else None
            )
            parents.append(Parent("prediction"))
        bins = fit_bins(residuals_of(q) if prediction and residual else q, 9)
        if bins.symbols < 2:
            bins = Bins(np.array([0]), np.array([0]))
        scale = fit_bins(q, 5) if rng.random() < 0.5 else None
        layers = [
            Layer(
                rng.integers(-127, 128, (b, a + 1)).astype(np.int8),
                rng.integers(5, 12, b).astype(np.uint8),
            )
            for a, b in itertools.pairwise([len(parents), 6, bins.symbols])
        ]
        network = Network(tuple(layers))
        flows[column.name] = ColumnFlow(
            bins,
            tuple(parents),
            network,
            prediction,
            bool(prediction) and residual,
            scale,
        )
        before.setdefault(key, []).append(column.name)
    return LatticeFlow(flows)


def readable(name: str, key: str, before: Mapping[str, Sequence[str]]) -> list[Parent]:
    """Everything that a column may read, itself at objects before among it."""
    own, around = before.get(key, []), ("previous", "leading")
    actual = [Parent("row", other) for other in own] + [Parent("index")]
    if key:
        actual += [Parent("event", other) for other in before.get("", [])]
        actual += [
            Parent(relation, other) for other in [*own, name] for relation in around
        ]
    for others in (names for k, names in before.items() if k not in ("", key)):
        actual += [Parent("leading", other) for other in others[-3:]]
        actual += [Parent("same", other) for other in others[-3:]] if key else []
        actual += [
            Parent("reference", others[0], through) for through in own if "int" in through
        ]
    return actual


def residuals_of(q: np.ndarray) -> np.ndarray:
    """Numbers as residuals may be: small ones, indices that stand for themselves, atoms."""
    small = np.abs(q) <= LARGEST
    return np.concatenate([np.arange(-20, 20), ABSOLUTE + q[small][::3], q[q >= ATOM]])


def every_kind(events: int, seed: int = 0, jets: int = 3, opaque: bool = True) -> Table:
    """Every type as event column, counted column and fixed array, with strings beside them."""
    rng = np.random.default_rng(seed)
    columns, data = (
        [Column("nJet", "uint16", "counter")],
        {"nJet": rng.integers(0, jets + 1, events).astype("uint16")},
    )
    objects = int(data["nJet"].sum())
    for dtype in NUMBERS:
        columns += [
            Column(f"Jet_{dtype}", dtype, counter="nJet"),
            Column(dtype, dtype),
            Column(f"x_{dtype}", dtype, shape=(2, 3)),
        ]
        data[f"Jet_{dtype}"] = plausible(dtype, rng, objects)
        data[dtype] = plausible(dtype, rng, events)
        data[f"x_{dtype}"] = plausible(dtype, rng, 6 * events).reshape(events, 2, 3)
    if opaque:
        columns.append(Column("text", "opaque"))
        data["text"] = ak.Array([["a", str(k)] for k in range(events)])
    return Table("Events", tuple(columns), events, data)


BOUNDS = {
    "Jet_float32": "abs:0.3",
    "float32": "rel:1e-3",
    "float64": "std:0.01",
    "x_float16": "bits:4",
    "Jet_int32": "abs:2",
    "uint64": "abs:9",
}


class TestChunk:
    @pytest.mark.parametrize("events", [0, 1, 2, 500])
    @pytest.mark.parametrize("bounds", [{}, BOUNDS], ids=["lossless", "bounded"])
    def test_round_trip(self, events: int, bounds: dict[str, str]) -> None:
        table = every_kind(events)
        coding = coding_of(table, bounds)
        data = encode_chunk(table, coding)
        decoded = decode_chunk(data, "Events", events, coding)
        stored = methods(data, table.columns)
        assert list(stored) == [c.name for c in table.columns]
        alone = sum(len(s) for s in stored.values() if s.method is not Method.GROUP)
        assert (
            alone
            <= len(data)
            <= sum(len(s) for s in stored.values()) + 10 * len(stored) + 40
        )
        assert [c.name for c in decoded.columns] == [c.name for c in table.columns]
        for column in table.columns:
            one = Table(
                "x",
                (replace(column, counter=None),),
                len(decoded[column.name]),
                {column.name: table[column.name]},
            )
            other = replace(one, data={column.name: decoded[column.name]})
            if column.name not in bounds:
                assert difference(one, other) is None
            else:
                bound = coding.lattices[column.name].bound
                assert bound.holds(table[column.name], decoded[column.name]).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("events", [0, 1, 400])
    @pytest.mark.parametrize("seed", [1, 2])
    @pytest.mark.parametrize(
        "wanted",
        [Method.FLOW, Method.INDICES, None],
        ids=["flow", "residuals", "smallest"],
    )
    def test_every_column_by_the_flow(
        self,
        events: int,
        seed: int,
        wanted: Method | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """With NaN, infinities, extremes and escapes among the parents, which are read as levels
        and values all the same.
        """
        cost: Callable[[StoredColumn], int] = len
        if wanted is not None:
            monkeypatch.setattr(chunk, "_group_small", lambda stored, small: stored)
            cost = prefer(
                lambda s: s.method is wanted and s.residual == (wanted is not Method.FLOW)
            )
        table = every_kind(events, seed, opaque=False)
        coding = coding_of(table, BOUNDS)
        coding = replace(coding, flow=random_flow(table, coding, seed))
        data = encode_chunk(table, coding, cost)
        stored = methods(data, table.columns).values()
        if wanted is Method.INDICES:
            assert events < 400 or sum(s.residual for s in stored) > 10
        elif wanted is Method.FLOW:  # residuals of far indices cannot be counted
            unreachable = (
                {Method.FLOW}
                if events < 1
                else {Method.FLOW, Method.INDICES, Method.VALUES, Method.CONSTANT}
            )
            assert {Method.FLOW} <= {s.method for s in stored} <= unreachable
        decoded = decode_chunk(data, "Events", events, coding)
        for column in table.columns:
            lattice = coding.lattices[column.name]
            assert lattice.bound.holds(table[column.name], decoded[column.name]).all()
            part = decode_chunk(data, "Events", events, coding, [column.name])
            assert difference(part, decoded.read([column.name], 0, events)) is None
        exact = [c.name for c in table.columns if c.name not in BOUNDS]
        assert (
            difference(table.read(exact, 0, events), decoded.read(exact, 0, events))
            is None
        )

    @pytest.mark.parametrize("wanted", [Method.FLOW, Method.INDICES])
    def test_escapes_are_stored_in_row_order(
        self, wanted: Method, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunk, "_group_small", lambda stored, small: stored)
        x = np.array([1, 1e30, 2e30, 4, 3e30, 6, 7e30], "float32")
        counts = np.array([3, 0, 1, 3], "uint8")
        columns = (Column("n", "uint8", "counter"), Column("x", "float32", counter="n"))
        table = Table("t", columns, 4, {"n": counts, "x": x})
        lattices = {"n": Lattice("uint8", Bound(), Integers("uint8"))}
        lattices["x"] = Lattice("float32", Bound("abs", 0.1), Uniform("float32", 0.1))
        marginal = Network((Layer(np.zeros((2, 1), np.int8), np.ones(2, np.uint8)),))
        flow = LatticeFlow(
            {"x": ColumnFlow(Bins(np.array([0]), np.array([99])), (), marginal)}
        )
        coding = TableCoding(columns, lattices, flow)
        data = encode_chunk(table, coding, prefer(lambda s: s.method is wanted))
        stored = methods(data, columns)["x"]
        assert stored.method is wanted
        assert (
            np.frombuffer(packing.unzstd(stored.escapes), "float32").tolist()
            == np.float32([3e30, 1e30, 2e30, 7e30]).tolist()
        )
        assert (
            decode_chunk(data, "t", 4, coding)["x"][[1, 2, 4, 6]].tolist()
            == x[[1, 2, 4, 6]].tolist()
        )

    @pytest.mark.parametrize(
        "wanted",
        [["Jet_a"], ["Jet_c"], ["met"], ["nJet"], ["Jet_b", "text"], ["text"], []],
    )
    def test_only_ancestors_are_decoded(
        self, wanted: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = self.chain()
        coding = coding_of(table)
        rng = np.random.default_rng(0)
        reads = {
            "nJet": ["met"],
            "Jet_a": [],
            "Jet_b": ["met"],
            "Jet_c": ["Jet_b"],
            "ht": [],
        }
        flows = {
            name: ColumnFlow(
                fit_bins(coding.lattices[name].encode(table[name]), 6),
                tuple(
                    Parent("row" if p.startswith("Jet") or name == "nJet" else "event", p)
                    for p in parents
                ),
            )
            for name, parents in reads.items()
        }
        flows = {
            name: replace(
                f,
                network=Network(
                    (
                        Layer(
                            rng.integers(
                                -9, 9, (f.bins.symbols, len(f.parents) + 1)
                            ).astype(np.int8),
                            np.full(f.bins.symbols, 5, np.uint8),
                        ),
                    )
                ),
            )
            for name, f in flows.items()
        }
        read = {
            "met": ColumnFlow(fit_bins(coding.lattices["met"].encode(table["met"]), 6))
        }
        coding = replace(coding, flow=LatticeFlow(read | flows))
        data = encode_chunk(table, coding, prefer(by_flow))
        assert {n for n, s in methods(data, table.columns).items() if by_flow(s)} == set(
            reads
        )
        touched: list[str] = []
        decode = chunk.decode_column
        monkeypatch.setattr(
            chunk,
            "decode_column",
            lambda s, state: touched.append(state.name) or decode(s, state),
        )
        actual = decode_chunk(data, "Events", table.num_entries, coding, wanted)
        assert difference(actual, table.read(wanted, 0, table.num_entries)) is None
        needed = coding.flow.ancestors(
            [*wanted, *(["nJet"] if any(w.startswith("Jet") for w in wanted) else [])]
        )
        assert sorted(touched) == sorted(needed - {"text"})

    @staticmethod
    def chain() -> Table:
        rng = np.random.default_rng(3)
        counts = rng.integers(0, 4, 200).astype("int32")
        jets = int(counts.sum())
        columns = [Column(f"Jet_{k}", "float32", counter="nJet") for k in "abc"]
        columns = [
            columns[0],
            Column("nJet", "int32", "counter"),
            *columns[1:],
            Column("text", "opaque"),
            Column("ht", "float64"),
        ]
        columns.insert(0, Column("met", "float32"))
        data = {f"Jet_{k}": rng.normal(size=jets).astype("float32") for k in "abc"}
        data |= {
            "nJet": counts,
            "met": rng.normal(size=200).astype("float32"),
            "ht": rng.normal(size=200),
        }
        return Table(
            "Events",
            tuple(columns),
            200,
            data | {"text": ak.Array([str(k) for k in range(200)])},
        )

    def test_subsets_of_every_kind(self) -> None:
        table = every_kind(60)
        coding = coding_of(table)
        coding = replace(coding, flow=random_flow(table, coding, 5))
        data = encode_chunk(table, coding)
        for column in table.columns:
            actual = decode_chunk(data, "Events", 60, coding, [column.name])
            assert difference(actual, table.read([column.name], 0, 60)) is None

    def test_each_method_is_used_where_it_is_best(self) -> None:
        rng, rows = np.random.default_rng(0), 20_000
        x = rng.normal(size=rows).astype("float32")
        data = {
            "constant": np.full(rows, 7.5, "float32"),
            "bounded": x,
            "small": (rng.random(rows) < 0.01).astype("int8")[:rows],
            "text": ak.Array(["a"] * rows),
        }
        kinds = {
            "constant": "float32",
            "bounded": "float32",
            "small": "int8",
            "text": "opaque",
        }
        table = Table("t", tuple(Column(n, d) for n, d in kinds.items()), rows, data)
        stored = methods(
            encode_chunk(table, coding_of(table, {"bounded": "abs:0.01"})), table.columns
        )
        assert [stored[n].method for n in ("constant", "bounded", "text")] == [
            Method.CONSTANT,
            Method.INDICES,
            Method.OPAQUE,
        ]

    def test_small_columns_share_a_frame(self) -> None:
        rng = np.random.default_rng(0)
        table = Table(
            "t",
            tuple(Column(f"c{k}", "int16") for k in range(30)),
            40,
            {f"c{k}": rng.integers(0, 9, 40).astype("int16") for k in range(30)},
        )
        coding = coding_of(table)
        data = encode_chunk(table, coding)
        assert {s.method for s in methods(data, table.columns).values()} == {Method.GROUP}
        assert difference(decode_chunk(data, "t", 40, coding), table) is None

    @pytest.mark.parametrize("dtype", ["int64", "uint64"])
    def test_integers_at_their_extremes(self, dtype: str) -> None:
        limits = np.iinfo(dtype)
        values = np.array(
            [
                limits.min,
                limits.max,
                limits.max - 2**50,
                limits.max - 2**50 + 1,
                limits.min + 1,
                5,
            ]
            * 3,
            dtype,
        )
        table = Table("t", (Column("x", dtype),), len(values), {"x": values})
        for bound in ("lossless", "abs:1", "abs:1e18"):
            coding = coding_of(table, {"x": bound})
            data = encode_chunk(table, coding)
            decoded = decode_chunk(data, "t", len(values), coding)["x"]
            distance = [
                abs(int(a) - int(b)) for a, b in zip(values, decoded, strict=True)
            ]
            assert max(distance) <= (
                0 if bound == "lossless" else coding.lattices["x"].bound.amount
            )


def test_fixed_arrays_without_elements() -> None:
    table = Table(
        "t", (Column("x", "float32", shape=(0,)),), 3, {"x": np.zeros((3, 0), "f4")}
    )
    lattices = {"x": resolve(table.columns[0], Bound(), Statistics("float32"))}
    coding = TableCoding(table.columns, lattices, LatticeFlow())
    data = encode_chunk(table, coding)
    assert difference(decode_chunk(data, "t", 3, coding), table) is None


class TestBoundViolated:
    @pytest.mark.parametrize(
        ("bound", "dtype", "move"),
        [
            ("abs:0.01", "float32", lambda y: y + np.float32(0.02)),
            ("lossless", "float64", lambda y: np.nextafter(y, np.inf)),
            ("rel:1e-3", "float32", np.negative),
            ("lossless", "int32", lambda y: y + 1),
            ("abs:3", "float32", lambda y: np.where(np.abs(y) < 1, -y, y)),
        ],
        ids=["abs", "lossless", "sign", "integers", "small-sign"],
    )
    def test_a_broken_lattice(
        self,
        bound: str,
        dtype: str,
        move: Callable[..., np.ndarray],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        x = (np.random.default_rng(0).normal(size=300) * 7).astype(dtype)
        lattice = Lattice(
            dtype,
            Bound.parse(bound),
            Ordered(dtype) if "float" in dtype else Integers(dtype),
        )
        table = Table(
            "t",
            (Column("bad", dtype), Column("good", "int8")),
            300,
            {"bad": x, "good": np.zeros(300, "int8")},
        )
        coding = TableCoding(
            table.columns,
            {"bad": lattice, "good": Lattice("int8", Bound(), Integers("int8"))},
            LatticeFlow(),
        )
        cost = prefer(lambda stored: stored.method is Method.INDICES)
        encode_chunk(table, coding, cost)
        decode = Lattice.decode
        monkeypatch.setattr(
            Lattice,
            "decode",
            lambda self, q, e=None: (
                move(decode(self, q, e)) if self is lattice else decode(self, q, e)
            ),
        )
        returned = None
        with pytest.raises(
            BoundViolated, match="'bad' did not come back within its bound"
        ):
            returned = encode_chunk(table, coding, cost)
        assert returned is None

    def test_a_broken_flow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table = every_kind(50, opaque=False)
        coding = coding_of(table)
        coding = replace(coding, flow=random_flow(table, coding, 0))
        take = coder.Decoder.take
        monkeypatch.setattr(coder.Decoder, "take", lambda *a: take(*a) ^ 1)
        with pytest.raises(
            (BoundViolated, Corrupt),
            match=r"within its bound|exact values|does not end where",
        ):
            encode_chunk(table, coding, prefer(by_flow))

    def test_a_lost_string(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table = Table("t", (Column("text", "opaque"),), 2, {"text": ak.Array(["a", "b"])})
        monkeypatch.setattr(
            packing, "unpack_opaque", lambda data, rows: ak.Array(["a", "c"])
        )
        with pytest.raises(BoundViolated, match="'text' did not come back"):
            encode_chunk(table, coding_of(table))


@pytest.fixture(scope="module")
def coded() -> tuple[bytes, TableCoding]:
    table = TestChunk.chain()
    coding = coding_of(table, {"Jet_a": "abs:0.01"})
    return encode_chunk(table, coding), coding


class TestCorruptChunk:
    def test_too_long(self, coded: tuple[bytes, TableCoding]) -> None:
        with pytest.raises(
            Corrupt, match=r"a chunk has \d+ bytes where its directory lists \d+"
        ):
            decode_chunk(coded[0] + b"abc", "Events", 200, coded[1])

    def test_cut(self, coded: tuple[bytes, TableCoding]) -> None:
        data, coding = coded
        for length in range(0, len(data), len(data) // 60):
            with pytest.raises(
                Corrupt,
                match=r"past the end|does not decode|declares|where its directory lists",
            ):
                decode_chunk(data[:length], "Events", 200, coding)

    @pytest.mark.parametrize(
        ("method", "message"),
        [
            (7, "unknown method 7"),
            (8 + 7, "unknown method"),
            (17, "unknown method"),
            (Method.OPAQUE, "by the method OPAQUE"),
            (Method.FLOW, "a flow that the file does not hold"),
            (8 + Method.FLOW, "by residuals under the method FLOW"),
            (8 + Method.VALUES, "by residuals under the method VALUES"),
            (8 + Method.OPAQUE, "by the method OPAQUE"),
            (8 + Method.CONSTANT, "a flow that the file does not hold"),
            (8 + Method.INDICES, "a flow that the file does not hold"),
            (8 + Method.GROUP, "a flow that the file does not hold"),
        ],
    )
    def test_methods(self, method: int, message: str) -> None:
        table = Table("t", (Column("x", "int8"),), 3, {"x": np.array([1, 2, 3], "int8")})
        directory = packing.zstd(write_unsigned([method, 0, 0]))
        data = write_unsigned([len(directory), 0]) + directory
        with pytest.raises(Corrupt, match=message):
            decode_chunk(data, "t", 3, coding_of(table))

    def test_escapes_that_are_missing(self) -> None:
        lattice = Lattice("float32", Bound("abs", 0.1), Uniform("float32", 0.1))
        table = Table(
            "t", (Column("x", "float32"),), 3, {"x": np.array([1, 1e30, 2], "float32")}
        )
        coding = TableCoding(table.columns, {"x": lattice}, LatticeFlow())
        stored = methods(encode_chunk(table, coding), table.columns)["x"]
        assert stored.escapes
        data = join([replace(stored, escapes=b"")])
        with pytest.raises(Corrupt, match="0 exact values for 1 escapes"):
            decode_chunk(data, "t", 3, coding)

    @given(data=st.data())
    def test_changed_bytes(
        self, data: st.DataObject, coded: tuple[bytes, TableCoding]
    ) -> None:
        """Under right checksums of the blocks, so that the payloads themselves are decoded."""
        good, coding = coded
        damaged = bytearray(good)
        place = data.draw(st.integers(0, len(good) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
        in_head = place < read_directory(good, coding.columns).head
        try:
            actual = decode_chunk(
                bytes(damaged)
                if in_head
                else with_block_checksums(bytes(damaged), coding.columns),
                "Events",
                200,
                coding,
            )
        except Corrupt:
            return
        assert actual.num_entries == 200
