"""Training: what it gains, that it repeats bit for bit, and that integers keep what floats learned."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest

from flowtuple.codec.chunk import decode_chunk, encode_chunk, methods
from flowtuple.codec.column import Method, TableCoding
from flowtuple.codec.packing import pack_indices
from flowtuple.container.model import pack_flow, unpack_flow
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.context import Parent, Rows, gather
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.statistics import Statistics
from flowtuple.schema import Bound, Column
from flowtuple.table import Table, difference

torch = pytest.importorskip("torch")

from flowtuple.training import plan as planning  # noqa: E402 - torch has to be there
from flowtuple.training import train  # noqa: E402
from flowtuple.training.conditioners import Schedule, _loss, train_conditioners  # noqa: E402
from flowtuple.training.plan import Recipe, bin_count, check_effort, make_plan  # noqa: E402
from flowtuple.training.train import flow_bits, frequency_table, hidden_widths, train_flow  # noqa: E402

Lattices = Mapping[str, Lattice]


def silent(share: float, bits: float) -> None:
    """Nobody watches."""


def lattices_of(table: Table, bound: str) -> dict[str, Lattice]:
    out = {}
    for column in table.columns:
        statistics = Statistics(column.dtype)
        statistics.update(table.data[column.name].reshape(-1))
        out[column.name] = resolve(column, Bound.parse(bound if column.is_float else "lossless"), statistics)
    return out


def table_of(**data: np.ndarray) -> Table:
    return Table("t", tuple(Column(name, str(x.dtype)) for name, x in data.items()), len(next(iter(data.values()))), data)


def correlated(rows: int = 6000) -> Table:
    """b and c follow a, d is noise of its own."""
    rng = np.random.default_rng(1)
    a = rng.normal(0, 1, rows)
    b = np.sin(a) + 0.02 * rng.normal(size=rows)
    c = a * b + 0.02 * rng.normal(size=rows)
    return table_of(**{n: x.astype("float32") for n, x in zip("abcd", [a, b, c, rng.normal(size=rows)], strict=True)})


@pytest.fixture(scope="module", autouse=True)
def short_training() -> object:
    """Few steps: these tests ask whether it works, not how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(planning.RECIPES, "fast", Recipe((1.0,), 250))
        yield


@pytest.fixture(scope="module")
def trained() -> tuple[Table, Lattices, LatticeFlow]:
    table = correlated()
    lattices = lattices_of(table, "abs:0.003")
    return table, lattices, train_flow(table, lattices, "fast", 5, silent)


class TestGain:
    def test_fewer_bits_than_packing(self, trained: tuple[Table, Lattices, LatticeFlow]) -> None:
        table, lattices, flow = trained
        packed = sum(len(pack_indices(lattices[n].encode(table[n]))) for n in "bc")
        data, sizes = encode_chunk(table, TableCoding(table.columns, lattices, flow))
        model = len(pack_flow(flow, table.columns))
        assert sum(sizes[1:3]) + model < 0.95 * packed
        assert {n: s.method for n, s in methods(data, table.columns).items()}["b"] is Method.FLOW

    def test_round_trip(self, trained: tuple[Table, Lattices, LatticeFlow]) -> None:
        table, lattices, flow = trained
        coding = TableCoding(table.columns, lattices, flow)
        data = encode_chunk(table, coding)
        decoded = decode_chunk(data, "t", table.num_entries, coding)
        again = TableCoding(table.columns, lattices, unpack_flow(pack_flow(flow, table.columns), table.columns))
        assert difference(decode_chunk(data, "t", table.num_entries, again), decoded) is None
        assert all(lattices[n].bound.holds(table[n], decoded[n]).all() for n in "abcd")

    def test_parents_are_those_that_tell(self, trained: tuple[Table, Lattices, LatticeFlow]) -> None:
        _, _, flow = trained
        assert flow.columns["b"].parents == (Parent("row", "a"),)
        assert set(flow.columns["c"].parents) == {Parent("row", "a"), Parent("row", "b")}

    def test_noise_gets_no_conditioner(self, trained: tuple[Table, Lattices, LatticeFlow]) -> None:
        _, _, flow = trained
        assert "d" not in flow.columns or flow.columns["d"].parents == ()

    def test_only_noise(self) -> None:
        rng = np.random.default_rng(3)
        table = table_of(**{n: rng.normal(size=9000).astype("float32") for n in "abc"})
        flow = train_flow(table, lattices_of(table, "abs:0.01"), "fast", 0, silent)
        assert all(f.parents == () for f in flow.columns.values())

    def test_small_tables_get_none(self) -> None:
        table = correlated(planning.MIN_ROWS - 1)
        assert train_flow(table, lattices_of(table, "abs:0.003"), "fast", 0, silent).columns == {}

    def test_no_rows(self) -> None:
        table = table_of(a=np.empty(0, "float32"), b=np.empty(0, "int32"))
        assert train_flow(table, lattices_of(table, "abs:0.1"), "fast", 0, silent).columns == {}


class TestRepeats:
    @pytest.mark.parametrize("threads", [1, 2])
    def test_same_seed_same_bytes(self, trained: tuple[Table, Lattices, LatticeFlow], threads: int) -> None:
        table, lattices, flow = trained
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        torch.manual_seed(threads)
        try:
            again = train_flow(correlated(), lattices, "fast", 5, silent)
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
        assert pack_flow(again, table.columns) == pack_flow(flow, table.columns)

    def test_another_seed_other_bytes(self, trained: tuple[Table, Lattices, LatticeFlow]) -> None:
        table, lattices, flow = trained
        other = train_flow(table, lattices, "fast", 6, silent)
        assert pack_flow(other, table.columns) != pack_flow(flow, table.columns)

    def test_progress_is_reported(self) -> None:
        seen: list[tuple[float, float]] = []
        table = correlated(4000)
        train_flow(table, lattices_of(table, "abs:0.01"), "fast", 0, lambda *report: seen.append(report))
        shares = [share for share, _ in seen]
        assert shares == sorted(shares)
        assert 0 < shares[0] <= shares[-1] <= 1
        assert all(math.isfinite(bits) for _, bits in seen)


class TestIntegers:
    """The integer network costs next to nothing over the float network that it was made from."""

    @pytest.fixture(scope="class")
    @staticmethod
    def fitted() -> tuple[planning.Task, object]:
        table = correlated()
        task = make_plan(table, lattices_of(table, "abs:0.003")).tasks[0]
        return task, train_conditioners(task, (32, 16), Schedule(400, 1024, patience=10**9), 5, lambda step, bits: None)

    def float_bits(self, fitted: tuple, quantised: bool) -> np.ndarray:
        task, model = fitted
        symbols = torch.from_numpy(np.stack([b.symbol(q) for b, q in zip(task.bins, task.indices, strict=True)]))
        with torch.no_grad():
            nats = _loss(model(torch.from_numpy(task.features), quantised), symbols).numpy() / math.log(2)
        places = [
            np.log2(b.spans.astype("float64") + 1)[b.symbol(q)].mean() for b, q in zip(task.bins, task.indices, strict=True)
        ]
        return nats + places

    def integer_bits(self, fitted: tuple) -> np.ndarray:
        task, model = fitted
        bits = []
        for d, q in enumerate(task.indices):
            flow = train.ColumnFlow(task.bins[d], task.parents[d], model.network(d, task))
            bits.append(flow_bits(flow, q, task.features[:, list(task.inputs[d])]) / len(q))
        return np.array(bits)

    def test_cost(self, fitted: tuple) -> None:
        integers, floats = self.integer_bits(fitted), self.float_bits(fitted, quantised=False)
        assert (integers <= floats * 1.0005 + 0.005).all(), integers - floats

    def test_training_sees_the_integer_network(self, fitted: tuple) -> None:
        integers, seen = self.integer_bits(fitted), self.float_bits(fitted, quantised=True)
        assert integers == pytest.approx(seen, abs=0.005)

    def test_frequency_table_is_the_marginal_entropy(self, fitted: tuple) -> None:
        task, _ = fitted
        for bins, q in zip(task.bins, task.indices, strict=True):
            symbols = bins.symbol(q)
            shares = np.bincount(symbols) / len(q)
            entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
            places = np.log2(bins.spans.astype("float64") + 1)[symbols].mean()
            flow = train.ColumnFlow(bins, (), frequency_table(bins, q))
            bits = flow_bits(flow, q, np.empty((len(q), 0), np.uint8)) / len(q)
            assert entropy + places - 1e-9 <= bits <= entropy + places + 0.01

    def test_no_network_no_density(self, fitted: tuple) -> None:
        task, _ = fitted
        with pytest.raises(InvalidArgument, match="without a network has no density"):
            flow_bits(train.ColumnFlow(task.bins[0]), task.indices[0], np.empty((0, 0), np.uint8))


class TestAwkwardData:
    def test_specials_and_sentinels(self) -> None:
        rng = np.random.default_rng(7)
        a = rng.normal(0, 10, 5000)
        b = a + rng.normal(0, 0.1, 5000)
        holes, sky = rng.random(5000), np.where(a > 5, 1e30, a * 2)
        a[holes < 0.1], b[holes > 0.95], b[(holes > 0.1) & (holes < 0.15)] = np.nan, np.inf, -np.inf
        table = table_of(a=a.astype("float32"), b=b, sky=sky.astype("float32"), n=np.rint(sky.clip(-90, 90)).astype("int8"))
        lattices = lattices_of(table, "abs:0.05")
        seen: list[float] = []
        flow = train_flow(table, lattices, "fast", 0, lambda share, bits: seen.append(bits))
        assert seen
        assert all(math.isfinite(bits) for bits in seen)
        assert flow.coded("sky")
        coding = TableCoding(table.columns, lattices, flow)
        decoded = decode_chunk(encode_chunk(table, coding), "t", 5000, coding)
        assert all(lattices[c.name].bound.holds(table[c.name], decoded[c.name]).all() for c in table.columns)

    def test_every_dtype_and_extremes(self) -> None:
        rng = np.random.default_rng(8)
        a = rng.integers(-120, 120, 5000)
        data = {dtype: np.abs(a).astype(dtype) if dtype[0] == "u" else a.astype(dtype) for dtype in ("int8", "int64", "uint64")}
        data |= {
            "wide": np.where(a > 0, 2**62, -(2**62)) + a,
            "exact": rng.normal(size=5000) * 1e300 * np.sign(a),
            "bool": a > 7,
        }
        table = table_of(**data)
        lattices = lattices_of(table, "lossless")
        flow = train_flow(table, lattices, "fast", 0, silent)
        coding = TableCoding(table.columns, lattices, flow)
        assert difference(decode_chunk(encode_chunk(table, coding), "t", 5000, coding), table) is None

    def test_collections(self) -> None:
        rng = np.random.default_rng(9)
        counts = rng.integers(0, 4, 4500).astype("uint8")
        met = rng.exponential(30, 4500).astype("float32")
        jet = (np.repeat(met, counts) * rng.normal(1, 0.02, counts.sum())).astype("float32")
        columns = (Column("Jet_pt", "float32", counter="nJet"), Column("met", "float32"), Column("nJet", "uint8", "counter"))
        columns += (Column("run", "uint32", "id"), Column("p", "float32", shape=(2,)))
        p = np.stack([met, met * rng.normal(2, 0.02, 4500)], axis=1).astype("float32")
        table = Table(
            "t", columns, 4500, {"Jet_pt": jet, "met": met, "nJet": counts, "run": np.arange(4500, dtype="uint32"), "p": p}
        )
        lattices = lattices_of(table, "abs:0.05")
        flow = train_flow(table, lattices, "fast", 0, silent)
        assert "run" not in flow.columns
        assert Parent("event", "met") in flow.columns["Jet_pt"].parents
        assert Parent("event", "met") in flow.columns["p"].parents
        coding = TableCoding(columns, lattices, flow)
        data = encode_chunk(table, coding)
        assert methods(data, columns)["Jet_pt"].method is Method.FLOW
        whole = decode_chunk(data, "t", 4500, coding)
        assert difference(decode_chunk(data, "t", 4500, coding, ["Jet_pt"]), whole.read(["Jet_pt"], 0, 4500)) is None

    def test_the_number_of_an_object_tells(self) -> None:
        """Jets come sorted by p_T: their number is the first thing to read, also where an event has few."""
        rng = np.random.default_rng(10)
        counts = np.full(3000, 3, "uint8")
        pt = (100 * np.exp2(-np.tile(np.arange(3), 3000)) + rng.normal(0, 1, 9000)).astype("float32")
        columns = (Column("nJet", "uint8", "counter"), Column("Jet_pt", "float32", counter="nJet"))
        table = Table("t", columns, 3000, {"nJet": counts, "Jet_pt": pt})
        task = make_plan(table, lattices_of(table, "abs:0.1")).tasks[-1]
        assert task.parents == ((Parent("index"),),)

    def test_features_are_what_a_decoder_gathers(self) -> None:
        table = correlated(4000)
        lattices = lattices_of(table, "abs:0.01")
        plan = make_plan(table, lattices)
        rows = Rows(np.ones(4000, np.int64))
        levels = {n: plan.bins[n].level(lattices[n].encode(table[n])) for n in "abcd"}
        for task in plan.tasks:
            for d, parents in enumerate(task.parents):
                assert np.array_equal(task.features[:, list(task.inputs[d])], gather(parents, levels, rows))


class TestSizes:
    def test_widths_grow_with_the_data(self) -> None:
        rows = [0 + 10**k for k in range(2, 9)]
        for size in (0.5, 1.0, 2.0, 4.0):
            widths = [hidden_widths(n, size) for n in rows]
            assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(widths))
            assert max(widths[-1]) <= 64 * size
        assert [hidden_widths(50_000, s)[0] for s in (0.5, 1.0, 2.0)] == [8, 16, 32]

    def test_bins_grow_with_the_data(self) -> None:
        counts = [bin_count(n) for n in (0, 19_999, 20_000, 100_000, 500_000, 10**9)]
        assert counts == sorted(counts)
        assert (counts[0], counts[-1]) == (24, 64)

    def test_efforts(self) -> None:
        assert [check_effort(e) for e in ("fast", "default", "best")] == ["fast", "default", "best"]
        with pytest.raises(InvalidArgument, match="effort 'fastest' is not one of fast, default, best"):
            check_effort("fastest")
