"""Reconstructed objects of some events with generated partners, and their columns of a preset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from flowtuple.data.collections import positions_of
from flowtuple.data.flat_events import unfold
from flowtuple.data.schema import Array
from flowtuple.data.separation import Directions, NearPairs, near_pairs, wrap_angle
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.flows.preset_sources import Part, Sources

CONE = 0.4  # Delta R within which objects are matched, and others are near
NO_ANGLE = 0.5  # Delta R, Delta eta and Delta phi where nothing is near
NO_PT = 0.0  # p_T and mass there
_MUON = 13  # particle number of a negative muon
_FINAL = 1  # status of a particle of the final state


class MatchedObjects:
    """Objects of some events that have a generated partner.

    Args:
        where: Name of the input in messages.
        events: The events.
        sources: Collections that objects, partners and near objects belong to.

    Attributes:
        own: Position of each matched object in its collection.
        partner: Position of its partner.
        event: Its event.
        counts: Objects, and those without a partner by reason.
    """

    def __init__(self, where: str, events: Table, sources: Sources) -> None:
        self._where = where
        self._events = events
        self._sources = sources
        event = self._event_of(sources.matching[0])
        match, valid, self.counts = self._match(event)
        self.own = np.flatnonzero(valid)
        self.partner = match[valid]
        self.event = event[valid]

    def column(self, part: Part) -> Array:
        """Return the values of a column, one for each pair, or for each event."""
        makers: dict[str, Callable[[Part], Array]] = {
            "own": lambda part: self._read(part.branches[0])[self.own],
            "partner": lambda part: self._read(part.branches[0])[self.partner],
            "event": lambda part: self._events[part.branches[0]],
            "ratio": self._ratio,
            "difference": self._difference,
            "flag": self._flag,
            "charge": self._charge,
            "near": self._nearest,
        }
        return makers[part.kind](part)

    def _ratio(self, part: Part) -> Array:
        own, partner = self._both(part)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return (own / partner).astype(np.float32)

    def _difference(self, part: Part) -> Array:
        own, partner = self._both(part)
        with np.errstate(invalid="ignore"):
            difference = own - partner
            turns = part.quantity == "phi"
            return (wrap_angle(difference) if turns else difference).astype(np.float32)

    def _both(self, part: Part) -> tuple[Array, Array]:
        """Return a quantity of the objects and of their partners, in float64."""
        own, partner = (self._read(name).astype(np.float64) for name in part.branches)
        return own[self.own], partner[self.partner]

    def _flag(self, part: Part) -> Array:
        flags = self._read(part.branches[0])[self.partner].astype(np.int64)
        return (flags >> part.rank & 1).astype(bool)

    def _charge(self, part: Part) -> Array:
        number = self._read(part.branches[0])[self.partner]
        return np.where(number > 0, -1, 1).astype(np.int32)

    def _nearest(self, part: Part) -> Array:
        pairs = self._neighbours
        pair = pairs.at_rank(part.rank)
        has = pair >= 0
        if part.quantity in ("pt", "mass"):
            branch = f"{self._sources.others}_{part.quantity}"
            values, none = self._read(branch)[pairs.second], NO_PT
        else:
            angles = {"dr": pairs.distance, "deta": pairs.d_eta, "dphi": pairs.d_phi}
            values, none = angles[part.quantity], NO_ANGLE
        out = np.full(len(pair), none, np.float32)
        out[has] = values[pair[has]]
        return out

    @cached_property
    def _neighbours(self) -> NearPairs:
        """Pairs of a partner and an object near it; second is a position in its collection."""
        others = np.flatnonzero(self._is_real(self._sources.others))
        # Partners are in the order of the objects here, which need not be theirs.
        partners = self._directions(self._sources.partner).at(self.partner)
        pairs = near_pairs(
            partners, self._directions(self._sources.others).at(others), CONE
        )
        return replace(pairs, second=others[pairs.second])

    def _match(self, event: Array) -> tuple[Array, Array, Counter[str]]:
        """Return the partner of each object, which objects have one, and counts of the others."""
        sources, counts = self._sources, Counter(objects=len(event))
        counted, real = self._counts(sources.partner), self._is_real(sources.partner)
        if sources.has_index:
            number = self._read(sources.index)
            match = positions_of(number, event, counted)
            beyond = (match < 0) & (number >= 0)
            text = f"{sources.index} beyond the {sources.partner}_* of the event"
            counts[text] = int(beyond.sum())
            counts["no generated partner"] = int((number < 0).sum())
        else:
            candidates = np.flatnonzero(real)
            second = self._directions(sources.partner).at(candidates)
            first = self._directions(sources.objects)
            found = near_pairs(first, second, CONE).one_to_one()
            match = np.where(found >= 0, np.append(candidates, -1)[found], -1)
            counts["no generated partner"] = int((match < 0).sum())
        valid = (match >= 0) & np.append(real, False)[match]
        others = int((match >= 0).sum() - valid.sum())
        counts["a partner that is no muon of the final state"] = others
        return match, valid, counts

    def _is_real(self, collection: str) -> Array:
        """Return which objects of a collection count: of `GenPart` muons of the final state."""
        if collection != "GenPart":
            return np.ones(int(self._counts(collection).sum()), bool)
        is_muon = np.abs(self._read("GenPart_pdgId").astype(np.int64)) == _MUON
        return np.asarray(is_muon & (self._read("GenPart_status") == _FINAL))

    def _directions(self, collection: str) -> Directions:
        eta, phi = (self._read(f"{collection}_{axis}") for axis in ("eta", "phi"))
        return Directions(unfold(self._counts(collection))[0], eta, phi)

    def _counts(self, collection: str) -> Array:
        """Return the number of objects of a collection in each event.

        Raises:
            InvalidArgument: Its columns differ in it.
        """
        stem = f"{collection}_"
        columns = [c for c in self._events.columns if c.name.startswith(stem)]
        counters = {c.counter: c.name for c in columns if c.counter is not None}
        counts = [np.asarray(self._events[str(c)], np.int64) for c in counters]
        for other, name in zip(counts[1:], list(counters.values())[1:], strict=True):
            if not np.array_equal(counts[0], other):
                raise InvalidArgument(
                    f"{self._where}: {name!r} has other numbers of objects than "
                    f"{columns[0].name!r}; give {collection}_* of one length in each event"
                )
        return counts[0]

    def _event_of(self, branch: str) -> Array:
        counter = self._events.column(branch).counter
        return unfold(np.asarray(self._events[str(counter)], np.int64))[0]

    def _read(self, name: str) -> Array:
        values: Array = self._events[name]
        return values
