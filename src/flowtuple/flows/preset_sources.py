"""Branches that the columns of a published flow are made from, and which of them a file has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Column
from flowtuple.data.table import TableSource
from flowtuple.errors import InvalidArgument

_RATIO = re.compile(r"(pt|mass)Ratio")
_DIFFERENCE = re.compile(r"(eta|phi)MinusGen")
_FLAG = re.compile(r"GenPart_statusFlags(\d+)")
_CLOSEST = re.compile(r"(Second)?Closest(Muon|Jet)_(\w+)")
_PARTICLE, _REDUCED = "GenPart", "GenMuon"  # collections that hold generated muons
_AXES = ("eta", "phi")


@dataclass(frozen=True)
class Part:
    """One column as what is taken of an object, its partner, an object near that, or the event.

    Attributes:
        kind: own, ratio, difference, partner, flag, charge, near or event.
        quantity: Name behind the collection's, such as `pt`.
        branches: Branches that it is made from.
        rank: Number of nearer ones, of `near`; number of the bit, of `flag`.
    """

    kind: str
    quantity: str
    branches: tuple[str, ...]
    rank: int = 0


@dataclass(frozen=True)
class Sources:
    """Collections of a file that the columns of a preset are made from.

    Attributes:
        objects: Reconstructed objects, `Jet` or `Muon`.
        partner: Generated objects that they are matched to.
        others: Generated objects near to those.
        index: Branch with the number of each object's partner in its event.
        has_index: True if objects are matched by it, in place of Delta R.
        columns: The columns of the file by name.
    """

    objects: str
    partner: str
    others: str
    index: str
    has_index: bool
    columns: Mapping[str, Column]

    @classmethod
    def of(cls, objects: str, table: TableSource, by_distance: bool) -> Sources:
        """Return the collections of a table; muons of `GenPart` go before those of `GenMuon`."""
        columns = {c.name: c for c in table.columns}
        muons = _PARTICLE
        if f"{_PARTICLE}_pdgId" not in columns and f"{_REDUCED}_pt" in columns:
            muons = _REDUCED
        partner, others = (muons, "GenJet") if objects == "Muon" else ("GenJet", muons)
        index = f"{objects}_{partner[0].lower()}{partner[1:]}Idx"
        has_index = index in columns and not by_distance
        return cls(objects, partner, others, index, has_index, columns)

    def part(self, column: str) -> Part:
        """Return how a column of the preset is made."""
        collection, _, quantity = column.partition("_")
        if flag := _FLAG.fullmatch(column):
            branch = f"{_PARTICLE}_statusFlags"
            return Part("flag", quantity, (branch,), rank=int(flag[1]))
        if near := _CLOSEST.fullmatch(column):
            quantity = near[3]
            read = [*self._axes(self.partner), *self._axes(self.others)]
            if quantity in ("pt", "mass"):
                read.append(f"{self.others}_{quantity}")
            read += self._identity(self.others)
            return Part("near", quantity, tuple(read), rank=1 if near[1] else 0)
        if collection == self.objects:
            return self._own(quantity)
        if collection in (self.partner, _REDUCED):
            if self.partner == _PARTICLE and quantity == "charge":
                return Part("charge", quantity, (f"{_PARTICLE}_pdgId",))
            return Part("partner", quantity, (f"{self.partner}_{quantity}",))
        return Part("event", quantity, (column,))

    def _own(self, quantity: str) -> Part:
        """Return a column of the objects, or of an object relative to its partner."""
        for pattern, kind in ((_RATIO, "ratio"), (_DIFFERENCE, "difference")):
            if relative := pattern.fullmatch(quantity):
                name = relative[1]
                read = f"{self.objects}_{name}", f"{self.partner}_{name}"
                return Part(kind, name, read)
        return Part("own", quantity, (f"{self.objects}_{quantity}",))

    @property
    def matching(self) -> tuple[str, ...]:
        """Branches that objects and partners are matched by."""
        identity = self._identity(self.partner)
        if self.has_index:
            return (self.index, *(identity or (f"{self.partner}_pt",)))
        return (*self._axes(self.objects), *self._axes(self.partner), *identity)

    def _axes(self, collection: str) -> tuple[str, ...]:
        return tuple(f"{collection}_{axis}" for axis in _AXES)

    def _identity(self, collection: str) -> tuple[str, ...]:
        """Return the branches that tell muons of the final state from other particles."""
        names = (f"{_PARTICLE}_pdgId", f"{_PARTICLE}_status")
        return names if collection == _PARTICLE else ()

    def absent(self, part: Part) -> list[str]:
        """Return the branches of a column that the file lacks, or has in another form."""
        return [name for name in part.branches if not self._has(name, part.kind)]

    def _has(self, name: str, kind: str = "own") -> bool:
        column = self.columns.get(name)
        if column is None or column.is_opaque or column.shape:
            return False
        return (column.counter is None) == (kind == "event")

    def check(
        self, names: Sequence[str], preset: str, where: str, *, available: bool
    ) -> dict[str, list[str]]:
        """Return the columns that cannot be made, with the branches that are absent.

        Args:
            names: Columns of the preset.
            preset: Its name.
            where: Name of the file in messages.
            available: Columns that cannot be made are no error.

        Raises:
            InvalidArgument: A branch that objects are matched by is absent or holds no whole
                numbers, or one of a column is absent; the message names all of them.
        """
        lost = [name for name in self.matching if not self._has(name)]
        if lost:
            index = "" if self.index in lost else f", or {self.index} in their place"
            raise InvalidArgument(
                f"{where}: lacks {', '.join(lost)}, which match {self.objects}_* and "
                f"{self.partner}_*; name a file with them{index}"
            )
        if self.has_index and np.dtype(self.columns[self.index].dtype).kind not in "iu":
            raise InvalidArgument(
                f"{where}: {self.index} is of type {self.columns[self.index].dtype}, and an index "
                "is of whole numbers; convert it, or match by Delta R with `by_distance=`"
            )
        absent = {name: self.absent(self.part(name)) for name in names}
        absent = {name: branches for name, branches in absent.items() if branches}
        if absent and (not available or len(absent) == len(names)):
            raise InvalidArgument(
                f"{where}: lacks {', '.join(_unique(absent.values()))}, from which "
                f"{len(absent)} of the {len(names)} columns of {preset} are made; "
                "`available=` makes those that can be made"
            )
        return absent


def _unique(parts: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))
