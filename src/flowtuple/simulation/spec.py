"""What is simulated and from what, as data: collections, partners, responses; kept in the model as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt
from flowtuple.simulation.cells import Cells
from flowtuple.simulation.response import Response, response_from_json

VERSION = 1


@dataclass(frozen=True)
class Target:
    """A collection that is simulated.

    Attributes:
        objects: The reconstructed objects.
        through: Column with the number of each object's generated partner, -1 for none; empty where none have any.
        partners: Name of the given collection it points to.
        responses: Columns that are learned relative to the partner's, in the order they are drawn.
        references: Other columns of references, by name, with the collection they point to.
        mass: Column of the mass, where `shares` need it.
        shares: Columns that add up to the energy, learned as shares of what is left of it.
        sums: Columns that are sums of others, by name, which follow from these.
        hypots: The same for roots of sums of squares.
        scales: Columns that are learned as multiples of others, by name.
        efficiency: Cells of generated objects with how often each of these is found on average; `None` where few are known.
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

    @property
    def properties(self) -> tuple[str, ...]:
        """What is learned of objects with a partner, beside responses."""
        return tuple(name for name in self.alone if name not in {r.column for r in self.responses})

    @property
    def alone(self) -> tuple[str, ...]:
        """What is learned of objects without a partner: columns, or what is learned in their place."""
        apart = (self.through, *self.references, *self.sums, *self.hypots)
        return tuple(self.learned(name) for name in self.objects.columns if name not in apart)

    def learned(self, column: str) -> str:
        """What is learned in place of a column: its share, its multiple of another, or the column itself."""
        if column in self.shares:
            return f"{column}Share"
        return (
            f"{column}Over{self.scales[column].rpartition('_')[2]}"
            if column in self.scales
            else column
        )


@dataclass(frozen=True)
class Recoil:
    """A transverse vector of the event as a sum of others, and what is left to learn: (x, y) of the difference.

    Attributes:
        pt: Column of its magnitude.
        phi: Column of its direction.
        given: Columns of the generated vector's magnitude and direction; empty where there is none.
        coefficients: Of the generated vector; then, by target, of reconstructed less generated p_T vectors of objects with
            a partner, and of p_T vectors of those without.
    """

    pt: str
    phi: str
    given: tuple[str, ...]
    coefficients: tuple[float, ...]

    @property
    def learned(self) -> tuple[str, str]:
        """Names of what is learned: x and y of the difference from the sum."""
        return f"{self.pt}_x", f"{self.pt}_y"


@dataclass(frozen=True)
class SimulationSpec:
    """All that a simulation does, but for the densities themselves.

    Attributes:
        table: Name of the table.
        columns: Schema of all given and all simulated columns, in the order of the table.
        given: Collections of generated objects.
        conditions: Given columns with one number an event that densities may read.
        targets: In the order in which they are simulated.
        event: Simulated columns with one number an event, but for those of `recoils`.
        recoils: Simulated transverse vectors of the event.
        left_out: Columns that were to be simulated and cannot be; they are not copied either.
        seen: By given column the values met in training, where they are few, or the smallest and the largest.
    """

    table: str
    columns: tuple[Column, ...]
    given: tuple[Collection, ...]
    conditions: tuple[str, ...]
    targets: tuple[Target, ...]
    event: tuple[str, ...] = ()
    recoils: tuple[Recoil, ...] = ()
    left_out: tuple[str, ...] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def given_columns(self) -> tuple[Column, ...]:
        """What a file of generated events has to hold."""
        made = set(self.simulated)
        return tuple(c for c in self.columns if c.name not in made)

    @property
    def simulated(self) -> tuple[str, ...]:
        """Names of the columns that are made."""
        ragged = [name for t in self.targets for name in (t.objects.counter, *t.objects.columns)]
        return (*ragged, *self.event, *(name for r in self.recoils for name in (r.pt, r.phi)))

    def collection(self, name: str) -> Collection:
        """A given or a simulated collection."""
        return next(c for c in (*self.given, *(t.objects for t in self.targets)) if c.name == name)

    def column(self, name: str) -> Column:
        """The schema of one column."""
        return next(c for c in self.columns if c.name == name)

    def counts_first(self, names: Iterable[str]) -> tuple[str, ...]:
        """Names in the order to learn them: whole numbers before others, which tells what is there before how much it is."""
        return tuple(sorted(names, key=lambda name: "float" in self.dtype(name)))

    def dtype(self, name: str) -> str:
        """The type of a column, or of one that is learned in its place."""
        return next((c.dtype for c in self.columns if c.name == name), "float32")

    def learned_dtype(self, column: str) -> str:
        """The type of a response of a column."""
        return "float64" if self.column(column).dtype == "float64" else "float32"

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` turns back into an equal recipe."""
        return (
            {"version": VERSION} | asdict(self) | {"columns": [c.to_json() for c in self.columns]}
        )

    @classmethod
    def from_json(cls, data: Any) -> SimulationSpec:
        """The inverse of `to_json`.

        Raises:
            Corrupt: The object describes no simulation.
        """
        try:
            content = {f.name: data[f.name] for f in fields(cls)}
            content["columns"] = tuple(Column.from_json(c) for c in content["columns"])
            content["given"] = tuple(_collection(c) for c in content["given"])
            content["targets"] = tuple(_target(t) for t in content["targets"])
            content["recoils"] = tuple(
                Recoil(r["pt"], r["phi"], tuple(r["given"]), tuple(r["coefficients"]))
                for r in content["recoils"]
            )
            spec = cls(
                **content
                | {name: tuple(content[name]) for name in ("conditions", "event", "left_out")}
            )
            for name in (
                *spec.simulated,
                *spec.conditions,
                *(n for c in spec.given for n in c.columns),
            ):
                spec.column(name)
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise Corrupt(
                f"the file describes a simulation that does not exist ({error})"
            ) from None
        return spec


def _collection(data: Mapping[str, Any]) -> Collection:
    return Collection(data["name"], data["counter"], tuple(data["columns"]), tuple(data["axes"]))


def _target(data: Mapping[str, Any]) -> Target:
    responses = tuple(response_from_json(r) for r in data["responses"])
    return Target(
        _collection(data["objects"]),
        data["through"],
        data["partners"],
        responses,
        dict(data["references"]),
        data["mass"],
        tuple(data["shares"]),
        {name: tuple(parts) for name, parts in data["sums"].items()},
        {name: tuple(parts) for name, parts in data["hypots"].items()},
        dict(data["scales"]),
        Cells.from_json(data.get("efficiency")),
    )
