"""The objects of one collection, the leading ones of each event first, with their momenta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.data.table import Table

AXES = ("pt", "eta", "phi")
_MUON_MASS = 0.10566  # GeV
_MASSES = ("mass", "m")


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of one collection.

    Attributes:
        name: The collection, such as `Jet`.
        counts: Objects of each event, int64 of shape (E,).
        columns: float64 of shape (N,) by the name of the column; events one after another, their
            objects in falling order of p_T, or as they are stored where there is no p_T.
        roles: Role of each column by name.
    """

    name: str
    counts: Array
    columns: Mapping[str, Array]
    roles: Mapping[str, str]

    @classmethod
    def of(cls, collection: Collection, table: Table) -> Objects:
        """Return the objects of a collection, with its columns that are single numbers."""
        counts = np.asarray(table.data[collection.counter], np.int64)
        values = {
            name: np.asarray(table.data[name], np.float64) for name in collection.columns
        }
        roles = {name: table.column(name).role for name in collection.columns}
        pt = values.get(f"{collection.name}_pt")
        if pt is not None:
            event = np.repeat(np.arange(len(counts)), counts)
            order = np.lexsort((-np.nan_to_num(pt), event))
            values = {name: column[order] for name, column in values.items()}
        return cls(collection.name, counts, values, roles)

    def joined(self, other: Objects) -> Objects:
        """Return the objects of these events and then of others, with the columns of both."""
        columns = {
            name: np.concatenate([values, other.columns[name]])
            for name, values in self.columns.items()
            if name in other.columns
        }
        return Objects(
            self.name,
            np.concatenate([self.counts, other.counts]),
            columns,
            {name: self.roles[name] for name in columns},
        )

    @property
    def has_axes(self) -> bool:
        """True if there are p_T, eta and phi."""
        return all(f"{self.name}_{axis}" in self.columns for axis in AXES)

    @cached_property
    def event(self) -> Array:
        """The event of each object, int64 of shape (N,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def place(self) -> Array:
        """The place of each object in its event, from 0, int64 of shape (N,)."""
        begin = np.cumsum(self.counts) - self.counts
        place: Array = np.arange(len(self.event)) - begin[self.event]
        return place

    @cached_property
    def axes(self) -> tuple[Array, Array, Array]:
        """p_T, eta and phi, each of shape (N,); 0 where one is undefined."""
        pt, eta, phi = (
            np.nan_to_num(self.columns[f"{self.name}_{axis}"], posinf=0.0, neginf=0.0)
            for axis in AXES
        )
        return pt, eta, phi

    @cached_property
    def mass_name(self) -> str | None:
        """Name of the column of masses, if there is one."""
        names = [f"{self.name}_{mass}" for mass in _MASSES]
        return next((name for name in names if name in self.columns), None)

    @cached_property
    def momenta(self) -> Array:
        """p_x, p_y, p_z and energy, shape (4, N)."""
        pt, eta, phi = self.axes
        if self.mass_name is not None:
            mass = np.nan_to_num(self.columns[self.mass_name], posinf=0.0, neginf=0.0)
        else:
            mass = np.full(len(pt), _MUON_MASS if "Muon" in self.name else 0.0)
        eta = np.clip(eta, -20, 20)
        x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
        return np.stack([x, y, z, np.sqrt(x * x + y * y + z * z + mass * mass)])

    def at(self, values: Array, place: int) -> Array:
        """Return a number of the object at a place of each event, NaN where there is none: (E,)."""
        out = np.full(len(self.counts), np.nan)
        chosen = self.place == place
        out[self.event[chosen]] = values[chosen]
        return out

    def sums(self, values: Array) -> Array:
        """Return the sum over the objects of each event, shape (E,)."""
        return np.bincount(self.event, weights=values, minlength=len(self.counts))

    def padded(self, values: Array, most: int) -> Array:
        """Return the first values of each event, NaN where there are fewer: shape (E, most)."""
        out = np.full((len(self.counts), most), np.nan)
        inside = self.place < most
        out[self.event[inside], self.place[inside]] = values[inside]
        return out
