"""Residuals within a window: indices beyond it stand for themselves, and come back as they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtuple.codec.chunk import decode_chunk, encode_chunk
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, difference
from flowtuple.file.model import pack_flow, unpack_flow
from flowtuple.lattice.bins import FIRST_ABSOLUTE, Bins, fit_bins
from flowtuple.lattice.context import Parent
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.grid import ATOM, ESCAPE, Integers
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import ABSOLUTE, LARGEST, Prediction, Term
from flowtuple.lattice.walk import TableCoding
from flowtuple.training.relations import class_bits, windowed
from flowtuple.training.train import frequency_table

COPY = (Term(1.0, "x", (Parent("row", "a"),)),)
NONE = np.empty(0, np.int64)

near = st.integers(-40, 40)
ordinary = near | st.integers(-(2**55), 2**55)
index = ordinary | st.integers(ATOM, ATOM + 9) | st.just(int(ESCAPE))
window = st.tuples(st.integers(-30, 5), st.integers(-5, 30)).map(sorted)
period = st.none() | st.tuples(st.integers(-20, 0), st.integers(1, 50))


@given(st.lists(st.tuples(index, index), min_size=1), window, period, st.sets(near))
def test_every_index_comes_back(
    pairs: list[tuple[int, int]],
    window: list[int],
    period: tuple[int, int] | None,
    absolute: set[int],
) -> None:
    q, predicted = np.array(pairs, np.int64).T
    prediction = Prediction(COPY, period)
    own = np.array(sorted(absolute), np.int64)
    low, high = window
    r, countable = prediction.subtract(q, predicted, own, (low, high))
    assert np.array_equal(prediction.restore(r, predicted)[countable], q[countable])
    # A row without a prediction whose index is the predicted one has residual 0 whatever it is.
    unusable = (predicted < -LARGEST) | (predicted > LARGEST)
    inside = (r >= low) & (r <= high) | (r >= FIRST_ABSOLUTE) | (unusable & (r == 0))
    assert inside[countable].all()
    assert countable[(np.abs(q) <= LARGEST) | (q >= ATOM)].all()


def test_what_lies_within() -> None:
    q, predicted = np.int64([7, 8, 12, 13, 0]), np.full(5, 10, np.int64)
    r, _ = Prediction(COPY).subtract(q, predicted, NONE, (-2, 2))
    assert r.tolist() == [ABSOLUTE + 7, -2, 2, ABSOLUTE + 13, ABSOLUTE]
    wide, _ = Prediction(COPY).subtract(q, predicted, NONE)
    assert wide.tolist() == [-3, -2, 2, 3, -10]


def flow_of(first: list[int], last: list[int], *, residual: bool = True) -> ColumnFlow:
    bins = Bins(np.int64(first), np.int64(last))
    return ColumnFlow(bins, prediction=Prediction(COPY), residual=residual)


def test_the_window_of_a_flow() -> None:
    there = flow_of([-3, 1, ABSOLUTE, ABSOLUTE + 5], [0, 4, ABSOLUTE + 4, ABSOLUTE + 9])
    assert there.window == (-3, 4)
    # only single indices stand for themselves: the residuals of all others count
    assert flow_of([-3, 1, ABSOLUTE + 5], [0, 4, ABSOLUTE + 5]).window is None
    assert flow_of([-3, 1], [0, 4]).window is None
    assert flow_of([ABSOLUTE], [ABSOLUTE + 9]).window is None
    assert flow_of([-3, ATOM], [0, ATOM + 1]).window is None
    assert flow_of([-3, ABSOLUTE], [4, ABSOLUTE + 4], residual=False).window is None


def parts(seed: int = 1, rows: int = 4000) -> tuple[Array, Array]:
    """Totals, and what takes all of it to rounding, or is small."""
    draw = np.random.default_rng(seed)
    total = draw.integers(500, 5000, rows)
    some = draw.integers(0, 60, rows)
    q = np.where(draw.random(rows) < 0.5, total + draw.integers(-3, 4, rows), some)
    return q.astype(np.int64), total.astype(np.int64)


def test_the_window_of_fewest_bits() -> None:
    q, predicted = parts()
    r, classes = q - predicted, np.zeros(len(q), np.int64)
    found = windowed(q, r, classes)
    counted = found < FIRST_ABSOLUTE
    assert np.array_equal(found[counted], r[counted])
    assert np.array_equal(found[~counted], ABSOLUTE + q[~counted])
    assert np.abs(found[counted]).max() == 3
    assert class_bits(found, classes) < class_bits(r, classes) - 2
    for power in range(1, 14):
        limit = np.where(np.abs(r) <= 2**power, r, ABSOLUTE + q)
        assert class_bits(found, classes) <= class_bits(limit, classes)


def test_residuals_that_are_small_have_no_window() -> None:
    q, predicted = parts()
    r = np.random.default_rng(2).integers(-3, 4, len(q))
    assert windowed(predicted + r, r, np.zeros(len(q), np.int64)) is r
    # what stands for itself already, and atoms, stay as they are
    q, predicted = parts()
    r = q - predicted
    r[:5], r[5:9] = ABSOLUTE, ATOM
    found = windowed(q, r, np.zeros(len(q), np.int64))
    assert found[:9].tolist() == [ABSOLUTE] * 5 + [ATOM] * 4


@pytest.mark.parametrize("seed", [1, 2])
def test_a_column_with_large_residuals_is_coded(seed: int) -> None:
    """A flow learned from some rows codes others, whose residuals lie anywhere."""
    q, predicted = parts(seed)
    found = windowed(q, q - predicted, np.zeros(len(q), np.int64))
    bins = fit_bins(found, 40)
    net = frequency_table(bins, found)
    flow = ColumnFlow(bins, (), net, Prediction(COPY), True, fit_bins(q, 40))
    assert flow.window is not None
    assert flow.window[0] >= -3
    assert flow.window[1] <= 3
    columns = (Column("a", "int64"), Column("b", "int64"))
    lattices = {n: Lattice("int64", Bound(), Integers("int64")) for n in "ab"}
    made = LatticeFlow({"a": ColumnFlow(Bins(NONE, NONE)), "b": flow})
    model = unpack_flow(pack_flow(made, columns), columns)
    assert model.columns["b"].window == flow.window
    others, totals = parts(seed + 10)
    others[:6] = [2**51, -(2**51), -1, 0, totals[4] + 4, totals[5] - 4]
    table = Table("t", columns, len(others), {"a": totals, "b": others})
    coding = TableCoding(columns, lattices, model)
    data = encode_chunk(table, coding)
    assert difference(decode_chunk(data, "t", len(others), coding), table) is None
