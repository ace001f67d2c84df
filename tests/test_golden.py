"""Files written once decode to the same bits for ever; a format change has to show here."""

from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.codec.column import Method
from flowtuple.schema import bit_patterns
from flowtuple.table import read_all

FOLDER = Path(__file__).parent / "golden"
NAMES = ("plain", "bounds", "flow")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["ftup", "npz"])
def test_golden_file_is_there(name, suffix):
    path = FOLDER / f"{name}.{suffix}"
    assert path.is_file(), f"{path} is missing: restore it from version control, do not make it anew"


def test_nothing_else_is_there():
    assert {p.stem for p in FOLDER.glob("*.ftup")} == {p.stem for p in FOLDER.glob("*.npz")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_file_decodes_to_the_same_bits(name):
    with ft.File(FOLDER / f"{name}.ftup") as file, np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected:
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
    kinds, methods, relations, escapes, atoms = set(), set(), set(), 0, 0
    for name in NAMES:
        with ft.File(FOLDER / f"{name}.ftup") as file:
            for table in file.tables.values():
                kinds |= {lattice.grid.kind for lattice in table.lattices.values()}
                atoms += sum(len(lattice.atoms) for lattice in table.lattices.values())
                relations |= {p.relation for flow in table.flow.columns.values() for p in flow.parents}
                for chunk in table.stored():
                    methods |= {stored.method for stored in chunk.values()}
                    escapes += sum(len(stored.escapes) > 0 for stored in chunk.values())
    assert kinds == {"ordered", "integers", "uniform", "decimal", "mantissas", "binades"}
    assert methods == set(Method)
    assert relations == {"row", "event", "index"}
    assert escapes >= 3
    assert atoms >= 6


def test_golden_flow_reads_a_parent_that_is_stored_by_values():
    with ft.File(FOLDER / "flow.ftup") as file:
        table = file.tables["events"]
        assert "weight" in {p.column for p in table.flow.columns["b"].parents}
        for chunk in table.stored():
            assert (chunk["weight"].method, chunk["b"].method) == (Method.VALUES, Method.FLOW)
