"""Files written once decode to the same bits for ever; a format change has to show here."""

from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.codec.column import Method
from flowtuple.events.memory import dataset_from_memory
from flowtuple.lattice.context import RELATIONS
from flowtuple.lattice.prediction import FUNCTIONS
from flowtuple.schema import bit_patterns
from flowtuple.table import read_all

FOLDER = Path(__file__).parent / "golden"
NAMES = ("plain", "bounds", "flow", "given")


def open_golden(name):
    """A golden file, with the column that one of them needs to be read."""
    with np.load(FOLDER / "given.npz", allow_pickle=False) as expected:
        return ft.File(FOLDER / f"{name}.ftup", given=dataset_from_memory({"a": expected["a"]}))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["ftup", "npz"])
def test_golden_file_is_there(name, suffix):
    path = FOLDER / f"{name}.{suffix}"
    assert path.is_file(), f"{path} is missing: restore it from version control, do not make it anew"


def test_nothing_else_is_there():
    assert {p.stem for p in FOLDER.glob("*.ftup")} == {p.stem for p in FOLDER.glob("*.npz")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_file_decodes_to_the_same_bits(name):
    with open_golden(name) as file, np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected:
        (stored,) = file.tables.values()
        table = read_all(stored)
        assert set(expected.files) == {c.name for c in table.columns}
        for column in table.columns:
            values, known = table[column.name], expected[column.name]
            if column.is_opaque:
                assert values.to_list() == known.tolist(), column.name
            else:
                assert (values.dtype, values.shape) == (known.dtype, known.shape), column.name
                assert np.array_equal(bit_patterns(values), bit_patterns(known)), column.name
            part = stored.read([column.name], 3, 5)[column.name]
            if column.counter is None:
                assert part.to_list() == known[3:5].tolist() if column.is_opaque else part.tobytes() == known[3:5].tobytes()


def test_golden_files_hold_every_grid_method_and_relation():
    kinds, methods, escapes, atoms = set(), set(), 0, 0
    read, predicted, functions = set(), set(), set()
    for name in NAMES:
        with open_golden(name) as file:
            for table in file.tables.values():
                kinds |= {lattice.grid.kind for lattice in table.lattices.values()}
                atoms += sum(len(lattice.atoms) for lattice in table.lattices.values())
                for flow in table.flow.columns.values():
                    terms = flow.prediction.terms if flow.prediction else ()
                    read |= {p.relation for p in flow.parents}
                    predicted |= {p.relation for term in terms for p in term.inputs}
                    functions |= {term.function for term in terms}
                for chunk in table.stored():
                    methods |= {(stored.method, stored.residual) for stored in chunk.values()}
                    escapes += sum(len(stored.escapes) > 0 for stored in chunk.values())
    assert kinds == {"ordered", "integers", "uniform", "decimal", "mantissas", "binades"}
    assert methods == {(m, False) for m in Method} | {(m, True) for m in (Method.CONSTANT, Method.INDICES, Method.GROUP)}
    assert read == set(RELATIONS)
    assert predicted >= {"row", "event"}
    assert functions == set(FUNCTIONS)
    assert escapes >= 3
    assert atoms >= 6


@pytest.fixture(scope="module")
def flow_file():
    with ft.File(FOLDER / "flow.ftup") as file:
        table = file.tables["events"]
        yield table.flow.columns, list(table.stored())


def test_golden_flow_reads_a_parent_that_is_stored_by_values(flow_file):
    flows, chunks = flow_file
    assert "pdf_weight" in {p.column for p in flows["Jet_pt"].parents}
    for chunk in chunks:
        assert (chunk["pdf_weight"].method, chunk["Jet_pt"].method) == (Method.VALUES, Method.FLOW)


@pytest.mark.parametrize(
    ("name", "is_so"),
    [
        ("moved", lambda flow: flow.residual and flow.kept.tolist() == [0]),
        ("Jet_phi", lambda flow: flow.residual and flow.prediction.period is not None),
        ("Jet_eta", lambda flow: flow.reads("Jet_eta")),
        ("Muon_pt", lambda flow: {"reference", "same"} <= {p.relation for p in flow.parents}),
    ],
    ids=["residuals beside kept indices", "residuals of a period", "itself", "references"],
)
def test_golden_flow_codes_by_networks(flow_file, name, is_so):
    flows, chunks = flow_file
    assert is_so(flows[name])
    assert {chunk[name].method for chunk in chunks} == {Method.FLOW}


@pytest.mark.parametrize("name", ["weight_again", "both", "wide_more"])
def test_golden_flow_codes_by_predictions_alone(flow_file, name):
    flows, chunks = flow_file
    assert flows[name].network is None
    assert all(chunk[name].residual for chunk in chunks)
    assert flows[name].prediction.is_copy == (name != "both")


def test_golden_given_is_read_by_a_network_and_a_prediction():
    with open_golden("given") as file:
        (table,) = file.tables.values()
        flows, chunks = table.flow.columns, list(table.stored())
    assert table.given == {"a"}
    assert [p.column for p in flows["b"].parents] == [p.column for p in flows["copy"].inputs] == ["a"]
    assert {(chunk["a"].method, chunk["b"].method) for chunk in chunks} == {(Method.GIVEN, Method.FLOW)}
    assert all(chunk["copy"].residual for chunk in chunks)


def test_golden_given_is_refused_without_it():
    with ft.File(FOLDER / "given.ftup") as file, pytest.raises(ft.InvalidArgument, match="--given"):
        read_all(file.tables["events"])
