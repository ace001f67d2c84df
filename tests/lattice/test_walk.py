"""The walk: known values and parts that are decoded one by one take the same steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.table import Table, read_all
from flowtuple.errors import Corrupt
from flowtuple.lattice.context import Context, coding_order, make_context
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.walk import TableCoding, walk

GOLDEN = Path(__file__).parents[1] / "golden" / "flow.ftup"


@pytest.fixture(scope="module")
def golden() -> Iterator[tuple[Table, TableCoding]]:
    """Events and coding of a file with every relation: networks, predictions, residuals of both."""
    with ft.File(GOLDEN) as file:
        table = file.table()
        yield read_all(table), table.coding


def empty_context(events: Table, coding: TableCoding) -> Context:
    return make_context(coding.columns, events.num_entries, events.data)


@pytest.mark.parametrize("block", [7, 2**15])
def test_parts_take_the_steps_of_known_values(golden, monkeypatch, block: int) -> None:
    monkeypatch.setattr("flowtuple.lattice.walk.BLOCK_ROWS", block)
    events, coding = golden
    forward, backward = (empty_context(events, coding) for _ in range(2))
    with_network = reading_themselves = 0
    for known, decoded in zip(walk(coding, forward), walk(coding, backward), strict=True):
        q, escapes = known.enter(events.data[known.name].reshape(-1))
        place = np.cumsum(q == ESCAPE)
        predicted = known.predict(known.whole)
        rows = 0
        for part in decoded.parts():
            assert part.start == rows
            assert 0 < part.stop - part.start <= block
            rows = part.stop
            own = decoded.predict(part)
            expected = None if predicted is None else predicted[part]
            assert np.array_equal(own, expected) if own is not None else expected is None
            if known.flow is not None and known.flow.network is not None:
                logits = known.logits(part, expected)
                assert np.array_equal(decoded.logits(part, own), logits)
                with_network += 1
            exact = escapes[place[part][0] - (q[part][0] == ESCAPE) : place[part][-1]]
            decoded.record(part, q[part], exact)
        assert rows == len(q)
        reading_themselves += decoded.reads_itself
    assert with_network >= 7
    assert reading_themselves == 2
    for kind in ("levels", "values"):
        one, other = getattr(forward, kind), getattr(backward, kind)
        assert one.keys() == other.keys()
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_indices_come_back_from_residuals(golden) -> None:
    events, coding = golden
    context = empty_context(events, coding)
    names = []
    for state in walk(coding, context):
        q, _ = state.enter(events.data[state.name].reshape(-1))
        predicted = state.predict(state.whole)
        if predicted is not None:
            flow = state.flow
            residuals, has_residual = flow.prediction.subtract(
                q, predicted, flow.absolute
            )
            restored = state.restore(residuals, predicted)
            assert np.array_equal(restored[has_residual], q[has_residual])
            names.append(state.name)
    assert len(names) > 10


def test_columns_come_in_coding_order(golden) -> None:
    events, coding = golden
    order = [c.name for c in coding_order(coding.columns, tuple(coding.flow.columns))]
    context = empty_context(events, coding)
    assert [state.name for state in walk(coding, context)] == order
    assert [s.name for s in walk(coding, context, {"Jet_eta", "a", "wide"})] == [
        name for name in order if name in {"Jet_eta", "a", "wide"}
    ]


def test_needed_columns_are_ancestors_and_counters(golden) -> None:
    events, coding = golden
    (column,) = (c for c in coding.columns if c.name == "Jet_eta")
    needed = coding.needed([column])
    assert {"Jet_eta", "Jet_pt", "a", column.counter} <= needed
    assert "Muon_pt" not in needed
    context = empty_context(events, coding)
    for state in walk(coding, context, needed):
        state.enter(events.data[state.name].reshape(-1))
        state.predict(state.whole)
        if coding.flow.coded(state.name):
            state.logits(state.whole, state.predict(state.whole))


def test_a_column_without_network_has_no_logits(golden) -> None:
    events, coding = golden
    for state in walk(coding, empty_context(events, coding), {"one", "pdf_weight"}):
        with pytest.raises(Corrupt, match="by a flow that the file does not hold"):
            state.logits(state.whole)
        with pytest.raises(Corrupt, match="by a flow that the file does not hold"):
            state.restore(np.zeros(1, np.int64), np.zeros(1, np.int64))
