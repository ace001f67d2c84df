"""Relations between columns: those that are there are found, others are not, and files with them
give every value back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from dissect import methods
from flowtuple.codec.chunk import decode_chunk, encode_chunk
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column, infer_role
from flowtuple.data.table import Table, difference
from flowtuple.file.model import pack_flow, unpack_flow
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent, coding_order
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.lattice.statistics import Statistics
from flowtuple.lattice.walk import TableCoding
from flowtuple.training.choose import choose
from flowtuple.training.plan import make_plan
from flowtuple.training.relations import References, decoding_order, find_predictions

Relations = Mapping[str, Prediction]
EVENTS = 3000


def lattices_of(table: Table, bound: str) -> dict[str, Lattice]:
    out = {}
    for column in table.columns:
        statistics = Statistics(column.dtype)
        statistics.update(table.data[column.name].reshape(-1))
        out[column.name] = resolve(
            column, Bound.parse(bound if column.is_float else "lossless"), statistics
        )
    return out


def table_of(counters: Mapping[str, str] | None = None, **data: np.ndarray) -> Table:
    """A table whose collections are named by `counters`: column to counter."""
    counters = counters or {}
    columns = tuple(
        Column(
            name,
            str(x.dtype),
            "counter" if name in counters.values() else infer_role(name, str(x.dtype)),
            counter=counters.get(name),
            shape=x.shape[1:],
        )
        for name, x in data.items()
    )
    entries = next(len(x) for name, x in data.items() if name not in counters)
    return Table("Events", columns, entries, data)


def f4(x: np.ndarray) -> np.ndarray:
    return x.astype("float32")


def angle(x: np.ndarray) -> np.ndarray:
    """Within [-pi, pi] as float32."""
    return f4(np.clip((x + np.pi) % (2 * np.pi) - np.pi, -3.1415925, 3.1415925))


def terms_of(prediction: Prediction) -> dict[tuple[str, ...], tuple[str, float]]:
    return {
        tuple(p.column for p in t.inputs): (t.function, t.coefficient)
        for t in prediction.terms
    }


class Made:
    """A table with the relations found in it, and its chunk under a flow of these relations alone."""

    def __init__(self, table: Table, bound: str) -> None:
        self.table, self.lattices = table, lattices_of(table, bound)
        self.found = find_predictions(table, self.lattices)
        order = decoding_order(table.columns, self.found)
        empty = Bins(np.empty(0, np.int64), np.empty(0, np.int64))
        flows = {
            c.name: ColumnFlow(empty, (), None, self.found.get(c.name)) for c in order
        }
        self.flow = unpack_flow(
            pack_flow(LatticeFlow(flows), table.columns), table.columns
        )
        self.coding = TableCoding(table.columns, self.lattices, self.flow)
        self.data = encode_chunk(table, self.coding)
        self.stored = methods(self.data, table.columns)

    def check(self) -> None:
        """Every bound holds, and each column alone is the same as in the whole."""
        n = self.table.num_entries
        whole = decode_chunk(self.data, "Events", n, self.coding)
        for column in self.table.columns:
            lattice = self.lattices[column.name]
            assert lattice.bound.holds(
                self.table[column.name], whole[column.name]
            ).all(), column.name
            alone = decode_chunk(self.data, "Events", n, self.coding, [column.name])
            assert difference(alone, whole.read([column.name], 0, n)) is None, column.name

    def bytes_without(self, name: str) -> int:
        """What the column takes where no relation is known."""
        plain = TableCoding(self.table.columns, self.lattices, LatticeFlow())
        return len(methods(encode_chunk(self.table, plain), self.table.columns)[name])


def copies() -> Table:
    rng = np.random.default_rng(1)
    a = f4(rng.normal(size=EVENTS))
    a[::9], a[5::50], a[7::40] = np.nan, np.inf, -0.0
    n = rng.integers(0, 5, EVENTS).astype("int32")
    return table_of(
        noise=f4(rng.normal(size=EVENTS)), a=a, again=a.copy(), n=n, n64=n.astype("int64")
    )


def sums() -> Table:
    rng = np.random.default_rng(2)
    parts = rng.poisson(6, (3, EVENTS)).astype("int32")
    other = rng.poisson(9, EVENTS).astype("int32")
    return table_of(
        ne=parts[0],
        nmu=parts[1],
        other=other,
        ntau=parts[2],
        nlep=parts[0] + parts[1] + parts[2],
    )


def momenta(*targets: str, prefix: str = "") -> Table:
    """One object as pt, eta, phi and m, and what follows from them."""
    rng = np.random.default_rng(3)
    pt, eta, phi = (
        rng.exponential(40, EVENTS) + 5,
        rng.normal(0, 1.5, EVENTS).clip(-5, 5),
        rng.uniform(-3.14, 3.14, EVENTS),
    )
    made = {
        "pt": f4(pt),
        "eta": f4(eta),
        "phi": f4(phi),
        "m": f4(rng.exponential(5, EVENTS)),
    }
    pt, eta, phi, m = (x.astype("float64") for x in made.values())
    follow = {
        "e": np.sqrt((pt * np.cosh(eta)) ** 2 + m**2),
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
    }
    follow |= {"pz": pt * np.sinh(eta), "p": pt * np.cosh(eta)}
    made |= {name: f4(follow[name]) for name in targets}
    return table_of(**{prefix + name: x for name, x in made.items()})


def angles() -> Table:
    """met_phi lies opposite to lead_phi, over the edge at pi more often than not."""
    rng = np.random.default_rng(4)
    lead = rng.uniform(-np.pi, np.pi, EVENTS)
    data = {"x": f4(rng.normal(size=EVENTS)), "lead_phi": angle(lead)}
    met = angle(lead + 0.05 * rng.normal(size=EVENTS))
    met[:2] = -3.1415925, 3.1415925
    return table_of(**data, met_phi=met)


def matched() -> Table:
    """Jets point to generated jets by their index; some to none, and one to no object at all."""
    rng = np.random.default_rng(5)
    gens, jets = (
        rng.integers(0, 4, EVENTS).astype("int32"),
        rng.integers(0, 5, EVENTS).astype("int32"),
    )
    event = np.repeat(np.arange(EVENTS), jets)
    number = rng.integers(-1, 4, len(event))
    number = np.where(number < gens[event], number, -1)
    gen_pt = f4(rng.exponential(30, gens.sum()) + 10)
    begin = np.cumsum(gens) - gens
    target = gen_pt[np.where(number >= 0, begin[event] + number, 0)]
    pt = np.where(
        number >= 0,
        target * rng.normal(1, 0.002, len(event)),
        rng.exponential(30, len(event)) + 10,
    )
    number = number.astype("int32")
    number[7] = 99
    counters = {"GenJet_pt": "nGenJet", "Jet_pt": "nJet", "Jet_genJetIdx": "nJet"}
    data = {
        "nGenJet": gens,
        "nJet": jets,
        "Jet_pt": f4(pt),
        "Jet_genJetIdx": number,
        "GenJet_pt": gen_pt,
    }
    return table_of(counters, **data)


def shower() -> Table:
    """The particles of a jet lie around its first, whose angle is anywhere; one event has 300."""
    rng = np.random.default_rng(6)
    counts = rng.integers(0, 9, EVENTS).astype("int32")
    counts[11] = 300
    centre = np.repeat(rng.uniform(-np.pi, np.pi, EVENTS), counts)
    phi = angle(centre + 0.04 * rng.normal(size=len(centre)))
    return table_of({"part_phi": "n"}, n=counts, part_phi=phi)


TABLES = {
    "copies": (copies, "abs:1e-3", {"again", "n64"}),
    "copies lossless": (copies, "lossless", {"again", "n64"}),
    "sums": (sums, "lossless", {"nlep"}),
    "energy": (lambda: momenta("e", "px"), "lossless", {"e", "px"}),
    "everything": (lambda: momenta("e", "px", "py", "pz"), "lossless", {"e"}),
    "angles": (angles, "abs:1e-3", {"met_phi"}),
    "matched": (matched, "abs:1e-2", {"Jet_pt"}),
    "shower": (shower, "abs:1e-3", {"part_phi"}),
}


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    return {name: Made(make(), bound) for name, (make, bound, _) in TABLES.items()}


class TestFound:
    @pytest.mark.parametrize("name", ["copies", "copies lossless"])
    def test_copies_with_nan(self, made: dict[str, Made], name: str) -> None:
        found = made[name].found
        assert set(found) == {"again", "n64"}
        assert found["again"] == Prediction((Term(1.0, "x", (Parent("row", "a"),)),))
        assert found["n64"] == Prediction((Term(1.0, "x", (Parent("row", "n"),)),))

    def test_a_sum_of_counts(self, made: dict[str, Made]) -> None:
        found = made["sums"].found
        assert set(found) == {"nlep"}
        assert terms_of(found["nlep"]) == {
            ("ne",): ("x", 1.0),
            ("nmu",): ("x", 1.0),
            ("ntau",): ("x", 1.0),
        }

    @pytest.mark.parametrize(
        ("target", "inputs", "function"),
        [
            ("e", ("pt", "eta", "m"), "energy"),
            ("px", ("pt", "phi"), "pt cos phi"),
            ("py", ("pt", "phi"), "pt sin phi"),
            ("p", ("pt", "eta"), "pt cosh eta"),
        ],
    )
    @pytest.mark.parametrize("prefix", ["", "Jet_", "lep.", "mu"])
    @pytest.mark.parametrize("bound", ["lossless", "rel:1e-4"])
    def test_kinematics_by_name(
        self, target: str, inputs: tuple[str, ...], function: str, prefix: str, bound: str
    ) -> None:
        table = momenta(target, prefix=prefix)
        found = find_predictions(table, lattices_of(table, bound))
        assert set(found) == {prefix + target}
        assert terms_of(found[prefix + target]) == {
            tuple(prefix + i for i in inputs): (function, 1.0)
        }

    def test_components_in_either_direction(self) -> None:
        """pz follows from pt and eta, and eta from pt and pz: one of them is found."""
        table = momenta("pz")
        found = find_predictions(table, lattices_of(table, "lossless"))
        ways = {
            "pz": {("pt", "eta"): ("pt sinh eta", 1.0)},
            "eta": {("pt", "pz"): ("pseudorapidity", 1.0)},
        }
        assert len(found) == 1
        assert all(terms_of(p) == ways[name] for name, p in found.items())

    def test_momenta_from_components(self) -> None:
        whole = momenta("px", "py", "pz", "e")
        table = table_of(
            **{n: whole[n] for n in ("px", "py", "pz", "pt", "eta", "phi", "m", "e")}
        )
        found = find_predictions(table, lattices_of(table, "lossless"))
        assert len(found) >= 3
        assert "e" in found

    def test_an_angle_from_another(self, made: dict[str, Made]) -> None:
        found = made["angles"].found
        assert set(found) == {"met_phi"}
        assert found["met_phi"].terms == (Term(1.0, "x", (Parent("row", "lead_phi"),)),)
        low, turn = found["met_phi"].period or (0, 0)
        assert abs(turn * 2e-3 - 2 * np.pi) < 4e-3
        assert abs(low * 2e-3 + np.pi) < 4e-3

    def test_a_reference_through_an_index(self, made: dict[str, Made]) -> None:
        found = made["matched"].found
        assert found["Jet_pt"].terms == (
            Term(1.0, "x", (Parent("reference", "GenJet_pt", "Jet_genJetIdx"),)),
        )

    def test_the_leading_angle_of_a_collection(self, made: dict[str, Made]) -> None:
        found = made["shower"].found
        assert set(found) == {"part_phi"}
        assert found["part_phi"].terms == (
            Term(1.0, "x", (Parent("leading", "part_phi"),)),
        )
        assert found["part_phi"].period is not None

    def test_lossless_angles_have_no_period(self) -> None:
        table = angles()
        found = find_predictions(table, lattices_of(table, "lossless"))
        assert all(p.period is None for p in found.values())


class TestNotFound:
    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(4))
    def test_noise(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        counts = rng.integers(0, 4, EVENTS).astype("int32")
        event = {
            n: f4(rng.normal(50, 9, EVENTS)) for n in ("pt", "eta", "m", "e", "x", "y")
        }
        jets = {
            f"Jet_{n}": f4(rng.normal(50, 9, counts.sum()))
            for n in ("pt", "px", "phi", "z")
        }
        whole = {
            "k": rng.integers(0, 99, EVENTS).astype("int16"),
            "l": rng.integers(0, 99, EVENTS).astype("int16"),
        }
        table = table_of(
            dict.fromkeys(jets, "nJet"), nJet=counts, **event, **whole, **jets
        )
        assert find_predictions(table, lattices_of(table, "abs:1e-2")) == {}

    def test_angles_that_lie_anywhere(self) -> None:
        rng = np.random.default_rng(0)
        table = table_of(
            a_phi=angle(rng.uniform(-4, 4, EVENTS)),
            b_phi=angle(rng.uniform(-np.pi, np.pi, EVENTS)),
        )
        assert "b_phi" not in find_predictions(table, lattices_of(table, "abs:1e-3"))

    @pytest.mark.parametrize("rows", [0, 1, 2, 30])
    def test_tables_of_few_rows(self, rows: int) -> None:
        rng = np.random.default_rng(rows)
        a = f4(rng.normal(size=rows))
        table = table_of(
            a=a, b=f4(rng.normal(size=rows)), n=rng.integers(0, 3, rows).astype("int8")
        )
        assert find_predictions(table, lattices_of(table, "abs:1e-3")) == {}

    def test_constants_and_ids_are_no_copies(self) -> None:
        run = np.arange(EVENTS, dtype="uint32")
        table = table_of(
            one=np.ones(EVENTS, "int8"),
            two=np.ones(EVENTS, "int8"),
            run=run,
            event=run.copy(),
        )
        assert find_predictions(table, lattices_of(table, "lossless")) == {}


def reads(found: Relations) -> dict[str, set[str]]:
    return {
        n: {c for p in f.inputs for c in (p.column, p.through) if c} - {n}
        for n, f in found.items()
    }


class TestOrder:
    @pytest.mark.parametrize("name", TABLES)
    def test_no_circle(self, made: dict[str, Made], name: str) -> None:
        found, waiting = dict(made[name].found), reads(made[name].found)
        while waiting:
            ready = [n for n, r in waiting.items() if not r & set(waiting)]
            assert ready, f"a circle among {sorted(waiting)}"
            for n in ready:
                del waiting[n]
        order = [c.name for c in decoding_order(made[name].table.columns, found)]
        assert sorted(order) == sorted(c.name for c in made[name].table.columns)
        for column, inputs in reads(found).items():
            assert all(order.index(i) < order.index(column) for i in inputs), column

    @pytest.mark.parametrize("seed", range(6))
    def test_no_circle_in_any_order_of_columns(self, seed: int) -> None:
        """px, py tell pt and phi, which tell px and py: only one way can be taken."""
        rng, table = np.random.default_rng(seed), momenta("e", "px", "py", "pz")
        names = rng.permutation([c.name for c in table.columns]).tolist()
        table = table_of(**{n: table[n] for n in names})
        made = Made(table, "lossless")
        assert len(made.found) >= 3
        order = [c.name for c in coding_order(table.columns, tuple(made.flow.columns))]
        for column, inputs in reads(made.found).items():
            assert all(order.index(i) < order.index(column) for i in inputs), column
        made.check()

    def test_references_come_first_in_their_collection(self) -> None:
        table = matched()
        order = [c.name for c in decoding_order(table.columns, {})]
        assert order.index("Jet_genJetIdx") < order.index("Jet_pt")
        pairs = [
            (t.name, [o.name for o in others])
            for t, others in References(table.columns).of(table.column("Jet_pt"))
        ]
        assert pairs == [("Jet_genJetIdx", ["GenJet_pt"])]
        assert list(References(table.columns).of(table.column("GenJet_pt"))) == []


NEXT_TO_NOTHING = 40  # bytes: a constant residual, or a few rows beside it
DEPENDENT = [
    (name, column)
    for name, (_, _, columns) in TABLES.items()
    for column in sorted(columns)
]


class TestCoded:
    @pytest.mark.parametrize("name", TABLES)
    def test_round_trip(self, made: dict[str, Made], name: str) -> None:
        made[name].check()

    @pytest.mark.parametrize(("name", "column"), DEPENDENT)
    def test_only_the_dependent_column(
        self, made: dict[str, Made], name: str, column: str
    ) -> None:
        m = made[name]
        whole = decode_chunk(m.data, "Events", m.table.num_entries, m.coding)
        alone = decode_chunk(
            m.data, "Events", m.table.num_entries, m.coding, wanted=[column]
        )
        counter = m.table.column(column).counter
        assert [c.name for c in alone.columns] == [c for c in (counter, column) if c]
        assert difference(alone, whole.read([column], 0, m.table.num_entries)) is None

    @pytest.mark.parametrize(
        ("name", "column"),
        [p for p in DEPENDENT if p[0] in ("copies", "sums", "copies lossless")],
    )
    def test_exact_relations_cost_next_to_nothing(
        self, made: dict[str, Made], name: str, column: str
    ) -> None:
        stored = made[name].stored[column]
        assert stored.residual
        assert len(stored.payload) <= NEXT_TO_NOTHING
        assert len(stored) < made[name].bytes_without(column) / 20

    @pytest.mark.parametrize(
        ("name", "column", "share"),
        [
            ("energy", "e", 0.1),
            ("energy", "px", 0.1),
            ("everything", "e", 0.1),
            ("angles", "met_phi", 0.75),
            ("matched", "Jet_pt", 0.95),
        ],
    )
    def test_near_relations_cost_less(
        self, made: dict[str, Made], name: str, column: str, share: float
    ) -> None:
        stored = made[name].stored[column]
        assert stored.residual
        assert len(stored) < share * made[name].bytes_without(column)

    @pytest.mark.parametrize("name", TABLES)
    def test_the_flow_chosen_without_training_is_a_model(
        self, made: dict[str, Made], name: str
    ) -> None:
        """Relations pay for their bytes of the model, or are left out; what is chosen packs and
        codes.
        """
        m = made[name]
        flow = choose(make_plan(m.table, m.lattices, m.found), {})
        assert {n for n, f in flow.columns.items() if f.prediction} >= TABLES[name][2]
        again = unpack_flow(pack_flow(flow, m.table.columns), m.table.columns)
        coding = TableCoding(m.table.columns, m.lattices, again)
        data = encode_chunk(m.table, coding)
        assert {
            n for n, s in methods(data, m.table.columns).items() if s.residual
        } >= TABLES[name][2] - {"part_phi"}
        whole = decode_chunk(m.data, "Events", m.table.num_entries, m.coding)
        assert (
            difference(decode_chunk(data, "Events", m.table.num_entries, coding), whole)
            is None
        )
        if name != "shower":  # in stored order its neighbours tell pcodec as much
            plain = encode_chunk(
                m.table, TableCoding(m.table.columns, m.lattices, LatticeFlow())
            )
            assert len(data) + len(pack_flow(flow, m.table.columns)) < len(plain)

    def test_copies_keep_every_bit_of_nan(self, made: dict[str, Made]) -> None:
        m = made["copies lossless"]
        decoded = decode_chunk(m.data, "Events", EVENTS, m.coding, ["again"])
        assert decoded["again"].tobytes() == m.table["again"].tobytes()


def test_references_of_events_into_collections_are_left_alone(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    counts = draw.integers(1, 5, 400)
    jets = ak.unflatten(draw.normal(50, 10, counts.sum()).astype("f4"), counts)
    first = draw.integers(0, counts)
    best = ak.to_numpy(jets[np.arange(400), first])
    data = {"jetIdx": first.astype("i4"), "best_pt": best, "Jet_pt": jets}
    ft.compress(data, tmp_path / "r.ftup")
    assert ft.decompress(tmp_path / "r.ftup")["best_pt"].tolist() == best.tolist()
