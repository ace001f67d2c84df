"""Files written once decode to the same bits for ever; a format change has to show here."""

from pathlib import Path

import numpy as np
import pytest

import event_made
import flowtuple as ft
import odd_made
from flowtuple.codec.column import Method
from flowtuple.data.schema import bit_patterns
from flowtuple.data.table import Dataset, read_all
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.context import RELATIONS
from flowtuple.lattice.event_features import KINDS
from flowtuple.lattice.event_quantities import QUANTITIES
from flowtuple.lattice.prediction import FUNCTIONS
from flowtuple.lattice.rules import RULES

FOLDER = Path(__file__).parents[1] / "golden"
NAMES = (
    "plain",
    "bounds",
    "flow",
    "given",
    "parts",
    "awkward",
    "events",
    "cuts",
    "sigma",
)
LATER = {
    "events": "0100" + "01000000",
    "cuts": "0100" + "02000000",
    "sigma": "0100" + "02000000",
}  # minor version and flags, if not 0


def open_golden(name):
    """A golden file, with the columns that two of them need to be read."""
    with np.load(FOLDER / "given.npz", allow_pickle=False) as expected:
        events = dataset_from_memory({"a": expected["a"]}).tables
    return ft.File(
        FOLDER / f"{name}.ftup", given=Dataset("given", events | odd_made.given().tables)
    )


def texts(entries):
    """Entries of an opaque column as the arrays beside the golden files have them."""
    return (
        entries
        if all(isinstance(e, str) for e in entries)
        else [repr(e) for e in entries]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["ftup", "npz"])
def test_golden_file_is_there(name, suffix):
    path = FOLDER / f"{name}.{suffix}"
    assert path.is_file(), (
        f"{path} is missing: restore it from version control, do not make it anew"
    )


def test_nothing_else_is_there():
    assert (
        {p.stem for p in FOLDER.glob("*.ftup")}
        == {p.stem for p in FOLDER.glob("*.npz")}
        == set(NAMES)
    )


@pytest.mark.parametrize("name", NAMES)
def test_golden_file_is_of_this_format(name):
    later = LATER.get(name, "0000" + "00000000")
    header = (FOLDER / f"{name}.ftup").read_bytes()[:16]
    assert header.hex() == "89465455500d0a1a" + "0100" + later


@pytest.mark.parametrize("name", NAMES)
def test_golden_file_decodes_to_the_same_bits(name):
    with (
        open_golden(name) as file,
        np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected,
    ):
        tables = {
            "" if name == "events" else f"{name}/": read_all(stored)
            for name, stored in file.tables.items()
        }
        assert set(expected.files) == {
            f"{place}{c.name}" for place, table in tables.items() for c in table.columns
        }
        for place, table in tables.items():
            stored = file.tables[table.name]
            for column in table.columns:
                values, known = table[column.name], expected[f"{place}{column.name}"]
                if column.is_opaque:
                    assert texts(values.to_list()) == known.tolist(), column.name
                else:
                    assert (values.dtype, values.shape) == (known.dtype, known.shape), (
                        column.name
                    )
                    assert np.array_equal(bit_patterns(values), bit_patterns(known)), (
                        column.name
                    )
                part = stored.read([column.name], 3, 5)[column.name]
                if column.is_opaque:
                    assert texts(part.to_list()) == known[3:5].tolist()
                elif column.counter is None:
                    assert part.tobytes() == known[3:5].tobytes()


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
                for chunk in (d.entries for d in table.directories()):
                    methods |= {
                        (stored.method, stored.residual) for stored in chunk.values()
                    }
                    escapes += sum(stored.escapes > 0 for stored in chunk.values())
    assert kinds == {
        *("ordered", "integers", "uniform", "decimal", "mantissas", "binades", "steps")
    }
    assert methods == {(m, False) for m in Method} | {
        (m, True) for m in (Method.CONSTANT, Method.INDICES, Method.GROUP)
    }
    assert read == set(RELATIONS)
    assert predicted == set(RELATIONS) - {"index", "prediction"}
    assert functions == set(FUNCTIONS)
    assert escapes >= 3
    assert atoms >= 6


def test_golden_files_hold_every_feature_rule_and_quantity():
    read, predicted, itself, rules, trees = set(), set(), set(), set(), 0
    quantities = set()
    with open_golden("events") as file:
        for table in file.tables.values():
            acceptance = table.flow.acceptance
            quantities |= {q.kind for q in acceptance.quantities} if acceptance else set()
            rules |= {rule.kind for rule in table.flow.rules}
            for name, flow in table.flow.columns.items():
                trees += flow.network is not None and flow.network.tree is not None
                terms = flow.prediction.terms if flow.prediction else ()
                read |= {p.feature.kind for p in flow.parents if p.feature}
                of_terms = {p.feature for term in terms for p in term.inputs if p.feature}
                predicted |= {feature.kind for feature in of_terms}
                of_itself = (p.feature for p in flow.inputs if p.feature)
                itself |= {f.kind for f in of_itself if name in f.columns}
    assert read == predicted == set(KINDS)
    assert itself == set(event_made.WALKS)
    assert rules == set(RULES)
    assert quantities == set(QUANTITIES)
    assert trees > len(KINDS)


@pytest.fixture(scope="module")
def flow_file():
    with ft.File(FOLDER / "flow.ftup") as file:
        table = file.tables["events"]
        yield table.flow.columns, [d.entries for d in table.directories()]


def test_golden_flow_reads_a_parent_that_is_stored_by_values(flow_file):
    flows, chunks = flow_file
    assert "pdf_weight" in {p.column for p in flows["Jet_pt"].parents}
    for chunk in chunks:
        assert (chunk["pdf_weight"].method, chunk["Jet_pt"].method) == (
            Method.VALUES,
            Method.FLOW,
        )


@pytest.mark.parametrize(
    ("name", "is_so"),
    [
        ("moved", lambda flow: flow.residual and flow.absolute.tolist() == [0]),
        ("Jet_phi", lambda flow: flow.residual and flow.prediction.period is not None),
        ("Jet_eta", lambda flow: "Jet_eta" in flow.sources),
        (
            "Muon_pt",
            lambda flow: {"reference", "same"} <= {p.relation for p in flow.parents},
        ),
    ],
    ids=[
        "residuals beside kept indices",
        "residuals of a period",
        "itself",
        "references",
    ],
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
        flows, chunks = table.flow.columns, [d.entries for d in table.directories()]
    assert table.external == {"a"}
    assert (
        [p.column for p in flows["b"].parents]
        == [p.column for p in flows["copy"].inputs]
        == ["a"]
    )
    assert {(chunk["a"].method, chunk["b"].method) for chunk in chunks} == {
        (Method.GIVEN, Method.FLOW)
    }
    assert all(chunk["copy"].residual for chunk in chunks)


def test_golden_parts_have_their_own_ranges_and_blocks():
    with open_golden("parts") as file:
        (table,) = file.tables.values()
        assert [c.begin for c in table.chunks] == [0, 8200, 8210, 8220, 8230, 8240, 8250]
        assert (
            len(
                {
                    (c.part.lattices["x"].low, c.part.lattices["x"].high)
                    for c in table.chunks
                }
            )
            == 3
        )
        assert [len(table.directory(chunk)[0].blocks) > 1 for chunk in table.chunks] == [
            True
        ] + [False] * 6


def test_golden_given_is_refused_without_it():
    with (
        ft.File(FOLDER / "given.ftup") as file,
        pytest.raises(ft.InvalidArgument, match="`given=`"),
    ):
        read_all(file.tables["events"])


def test_golden_awkward_holds_what_others_lack():
    with open_golden("awkward") as file:
        held = {name: table.num_entries for name, table in file.tables.items()}
        chunks = {
            name: [d.entries for d in table.directories()]
            for name, table in file.tables.items()
        }
        flows = {name: table.flow.columns for name, table in file.tables.items()}
        assert list(file.carried) == ["note"]
    assert (
        held["empty"],
        len(chunks["empty"]),
        held["nothing"],
        len(chunks["nothing"]),
    ) == (
        0,
        1,
        0,
        0,
    )
    values = {
        c.dtype for c in file.tables["values"].columns if c.name in chunks["values"][0]
    }
    assert {"int8", "uint64", "float16", "opaque"} <= values
    (given,), (objects,) = chunks["given"], chunks["objects"]
    assert [name for name, entry in given.items() if entry.method is Method.GIVEN] == [
        "n",
        "g",
        "m",
    ]
    assert objects["A_self"].method is objects["B_all"].method is Method.FLOW
    assert objects["A_self"].escapes > 0
    assert {
        len(flow.network.layers)
        for flow in (flows["objects"]["A_self"], flows["raw"]["q"])
    } == {1, 3}
    spans = flows["raw"]["q"].bins.spans[:-1].tolist()
    assert [span.bit_length() - 16 for span in spans] == list(odd_made.RAW_BITS)
    assert {entry.residual for entry in chunks["formulas"][0].values()} == {True, False}
