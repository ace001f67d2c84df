"""The description of a simulation: collections, partners, responses; in the model as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt
from flowtuple.simulation.cells import Cells
from flowtuple.simulation.flag_rules import FlagRule
from flowtuple.simulation.response import Response, response_from_json
from flowtuple.simulation.spacing import Spacing

VERSION = 1
_REST = "LessGenerated"


@dataclass(frozen=True)
class Target:
    """A collection that is simulated.

    Attributes:
        objects: The reconstructed objects.
        through: Column with the number of each object's generated partner, -1 for none; empty for a
            collection without partners.
        partners: Name of the generated collection that `through` points to.
        responses: Columns that are learned relative to the partner's, in the order they are drawn.
        references: Other columns of references, by name, with the collection they point to.
        mass: Column of the mass, where `shares` need it.
        shares: Columns that add up to the energy, learned as shares of what is left of it.
        sums: Columns that are sums of others, by name, with these.
        hypots: Columns that are roots of sums of squares of others, by name, with these.
        scales: Columns that are learned as multiples of another, by name, with that one.
        efficiency: Cells of generated objects with the mean number of reconstructed objects of one;
            `None` where there are too few objects.
        counts: By column of `shares` the count that is zero exactly where it is.
        contents: By column of `shares` the generated collection whose energy within the object it
            mostly is, such as that of muons.
        numbers: The counts that go with these parts, with the same collections; learned as the
            difference from the number of generated objects within.
        hidden: A generated collection and its flag that marks objects which partners hold and the
            simulated objects do not, such as prompt muons; empty for none.
        ordered: Objects are made one after another and read those made before; models of earlier
            versions make them all at once.
    """

    objects: Collection
    through: str = ""
    partners: str = ""
    responses: tuple[Response, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    mass: str = ""
    shares: tuple[str, ...] = ()
    sums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hypots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scales: Mapping[str, str] = field(default_factory=dict)
    efficiency: Cells | None = None
    counts: Mapping[str, str] = field(default_factory=dict)
    ordered: bool = False
    contents: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    @property
    def properties(self) -> tuple[str, ...]:
        """Learned columns of objects with a partner, without the responses."""
        responses = {r.column for r in self.responses}
        return tuple(name for name in self._learned if name not in responses)

    @property
    def extra_properties(self) -> tuple[str, ...]:
        """Learned columns of objects without a partner, without `extra_axes`."""
        return tuple(n for n in self._learned if n not in self._own_axes)

    @property
    def extra_axes(self) -> tuple[str, ...]:
        """Columns that place an object without a partner, drawn one object after another.

        p_T, eta, and phi relative to the direction opposite to the sum of the objects made so far.
        """
        return (*self._own_axes[:2], f"{self._own_axes[2]}Turn") if self._own_axes else ()

    @property
    def _own_axes(self) -> tuple[str, ...]:
        return self.objects.axes if self.ordered else ()

    @property
    def _learned(self) -> tuple[str, ...]:
        derived = (self.through, *self.references, *self.sums, *self.hypots)
        return tuple(
            self.learned(name) for name in self.objects.columns if name not in derived
        )

    def learned(self, column: str) -> str:
        """Return what is learned for a column: its share, its multiple, or the column itself.

        Of a count in `numbers` it is what generated objects leave of it.
        """
        if column in self.numbers:
            return f"{column}{_REST}"
        if column in self.shares:
            return f"{column}Share"
        if column in self.scales:
            return f"{column}Over{self.scales[column].rpartition('_')[2]}"
        return column


@dataclass(frozen=True)
class Recoil:
    """A transverse vector of the event, learned as (x, y) of its difference from a sum.

    Attributes:
        pt: Column of its magnitude.
        phi: Column of its direction.
        generated: Columns of the generated vector's magnitude and direction; empty for none.
        coefficients: Coefficient of the generated vector, then for each target of the change of p_T
            from generated to reconstructed objects and of the p_T of objects without a partner.
        cells: Half-width of the difference in cells of events; the difference is learned in units
            of it. `None` learns it as it is.
        turned: The difference is learned along and across the leading simulated object, and the sum
            has further terms.
        blend: Coefficients in cells of events, in place of `coefficients`; `None` for one kind.
        scale: Factor of the drawn difference, so that the vector is as wide as the true one.
    """

    pt: str
    phi: str
    generated: tuple[str, ...]
    coefficients: tuple[float, ...]
    cells: Cells | None = None
    turned: bool = False
    blend: Cells | None = None
    scale: float = 1.0

    @property
    def learned(self) -> tuple[str, str]:
        """Names of the learned columns: x and y of the difference."""
        return f"{self.pt}_x", f"{self.pt}_y"


@dataclass(frozen=True)
class SimulationSpec:
    """All of a simulation but the densities.

    Attributes:
        table: Name of the table.
        columns: Schema of all generated and simulated columns, in the order of the table.
        generated: Collections of generated objects.
        conditions: Generated columns with one number an event that densities may read.
        targets: Simulated collections, in the order in which they are simulated.
        event: Simulated columns with one number an event, without those of `recoils`.
        recoils: Simulated transverse vectors of the event.
        left_out: Columns that cannot be simulated although they were requested; nor are they
            copied.
        seen: By generated column the values of the training, where they are few, or their range.
        rules: Flags of the event that follow from objects, and are not drawn.
        spacing: By step how often a draw is accepted, by its distance to the nearest object.
    """

    table: str
    columns: tuple[Column, ...]
    generated: tuple[Collection, ...]
    conditions: tuple[str, ...]
    targets: tuple[Target, ...]
    event: tuple[str, ...] = ()
    recoils: tuple[Recoil, ...] = ()
    left_out: tuple[str, ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[FlagRule, ...] = ()
    spacing: Mapping[str, Spacing] = field(default_factory=dict)

    @property
    def drawn_event(self) -> tuple[str, ...]:
        """Columns of `event` that are drawn: those that no rule explains."""
        ruled = {rule.flag for rule in self.rules}
        return tuple(name for name in self.event if name not in ruled)

    @property
    def generated_columns(self) -> tuple[Column, ...]:
        """Columns that a file of generated events has to have."""
        simulated = set(self.simulated)
        return tuple(c for c in self.columns if c.name not in simulated)

    @property
    def simulated(self) -> tuple[str, ...]:
        """Names of the simulated columns."""
        ragged = [
            name for t in self.targets for name in (t.objects.counter, *t.objects.columns)
        ]
        return (
            *ragged,
            *self.event,
            *(name for r in self.recoils for name in (r.pt, r.phi)),
        )

    @property
    def collections(self) -> tuple[Collection, ...]:
        """The generated collections, then the simulated ones."""
        return (*self.generated, *(t.objects for t in self.targets))

    def collection(self, name: str) -> Collection:
        """Return the generated or simulated collection of a name."""
        return next(c for c in self.collections if c.name == name)

    def column(self, name: str) -> Column:
        """Return the schema of a column."""
        return next(c for c in self.columns if c.name == name)

    def counts_first(self, names: Iterable[str]) -> tuple[str, ...]:
        """Sort names for learning: whole numbers first, which say what an object is made of.

        Among them those come first that are predicted from generated objects.
        """

        def rank(name: str) -> int:
            return 0 if name.endswith(_REST) else 1 + ("float" in self.dtype(name))

        return tuple(sorted(names, key=rank))

    def dtype(self, name: str) -> str:
        """Return the type of a column, or of one that is learned in its place."""
        return next((c.dtype for c in self.columns if c.name == name), "float32")

    def response_dtype(self, column: str) -> str:
        """Return the type of the response of a column."""
        return "float64" if self.column(column).dtype == "float64" else "float32"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns back into an equal spec."""
        content = asdict(self)
        for part in (content, *content["recoils"]):
            part["given"] = part.pop("generated")  # the key in files
        columns = [c.to_json() for c in self.columns]
        for rule, part in zip(self.rules, content["rules"], strict=True):
            part["text"] = str(rule)
        return {"version": VERSION} | content | {"columns": columns}

    @classmethod
    def from_json(cls, data: Any) -> SimulationSpec:
        """Return the spec that `to_json` described.

        Raises:
            Corrupt: The object describes no simulation.
        """
        try:
            content = _tuples(data)
            spec = cls(
                content["table"],
                tuple(map(Column.from_json, data["columns"])),
                tuple(Collection(**collection) for collection in content["given"]),
                content["conditions"],
                tuple(map(_target, content["targets"])),
                content["event"],
                tuple(
                    Recoil(
                        r["pt"],
                        r["phi"],
                        r["given"],
                        r["coefficients"],
                        Cells.from_json(r.get("cells")),
                        r.get("turned", False),
                        Cells.from_json(r.get("blend")),
                        float(r.get("scale", 1.0)),
                    )
                    for r in content["recoils"]
                ),
                content["left_out"],
                data["seen"],
                tuple(map(FlagRule.from_json, content.get("rules", ()))),
                {
                    step: Spacing.from_json(part)
                    for step, part in content.get("spacing", {}).items()
                },
            )
            generated = [name for c in spec.generated for name in c.columns]
            cut = [cut.column for rule in spec.rules for cut in rule.cuts]
            for name in (*spec.simulated, *spec.conditions, *generated, *cut):
                spec.column(name)
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise Corrupt(
                f"the file describes a simulation that does not exist ({error})"
            ) from None
        return spec


def transverse(spec: SimulationSpec) -> set[str]:
    """Return the conditions of events that are magnitudes of vectors, such as `GenMET_pt`."""
    known = {c.name for c in spec.columns}
    ends = {
        n: f"{n.removesuffix('_pt')}_phi" for n in spec.conditions if n.endswith("_pt")
    }
    return {name for name, phi in ends.items() if phi in known}


def _tuples(data: Any) -> Any:
    """Return JSON with tuples in place of lists."""
    if isinstance(data, Mapping):
        return {name: _tuples(part) for name, part in data.items()}
    return tuple(map(_tuples, data)) if isinstance(data, list | tuple) else data


def _target(data: Mapping[str, Any]) -> Target:
    objects = Collection(**data["objects"])
    responses = tuple(map(response_from_json, data["responses"]))
    efficiency = Cells.from_json(data.get("efficiency"))
    parts = {"objects": objects, "responses": responses, "efficiency": efficiency}
    return Target(**{**data, **parts})
