"""The objects of a collection that are made already: what the next object of an event may read.

Objects are made round by round: the first of every event, then the second, and so on. Late ones,
of which few events have some, are made several at a time. All sums are those of earlier rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from flowtuple.data.flat_events import begin_of, spans
from flowtuple.data.schema import Array
from flowtuple.data.separation import wrap_angle
from flowtuple.lattice.arithmetic import arctangent, sine_cosine

_SINGLE = 8  # objects of an event that are made one at a time
_EDGES = np.array([*range(1, _SINGLE), *(_SINGLE + 2 * (2**k - 1) for k in range(40))])
"""Numbers of objects at which the next round begins; from the ninth on rounds double."""

FAR = np.inf
"""Distance of an object to the nearest one where there is none."""


def rounds(number: Array) -> Iterator[Array]:
    """Yield the positions of the objects that are made together, at least one round.

    Args:
        number: Number of each object within its event, shape (n,).

    Example:
        >>> [part.tolist() for part in rounds(np.array([0, 1, 0, 1, 2]))]
        [[0, 2], [1, 3], [4]]
    """
    if not len(number):
        yield np.arange(0)
    turn = np.searchsorted(_EDGES, number, side="right")
    order = np.argsort(turn, kind="stable")
    ends = np.cumsum(np.bincount(turn))
    begin = 0
    for end in ends.tolist():
        if end > begin:
            yield order[begin:end]
        begin = end


class Made:
    """Sums over the objects made so far of each event, and where these are.

    Attributes:
        count: Number of objects, shape (events,).

    Args:
        events: Number of events.
    """

    def __init__(self, events: int) -> None:
        self.count = np.zeros(events, np.int64)
        self._vector = np.zeros((2, events))
        self._scalar = np.zeros(events)
        self._change = np.zeros((2, events))
        self._gain = np.zeros(events)
        self._pulls = {name: np.zeros(events) for name in ("first", "last", "sum")}
        self._extra = {name: np.zeros(events) for name in ("sum", "pt", "eta", "phi")}
        self._lead = np.zeros(events)
        self._where = [np.empty(0, np.int64), np.empty(0), np.empty(0)]

    def add_pulls(self, event: Array, pull: Array) -> None:
        """Add the first response of objects with a partner, as it is learned, shape (n,)."""
        pull = pull.astype(np.float64)
        new = self.count[event] == 0
        # Backwards, so that the first of several objects of an event is written last.
        self._pulls["first"][event[new][::-1]] = pull[new][::-1]
        self._pulls["last"][event] = pull
        np.add.at(self._pulls["sum"], event, pull)
        np.add.at(self.count, event, 1)

    def add_vectors(self, event: Array, axes: Sequence[Array]) -> None:
        """Add the p_T, eta and phi of objects, each of shape (n,)."""
        pt, eta, phi = (content.astype(np.float64) for content in axes)
        self._lead = np.where(self._scalar > 0, self._lead, 0.0)
        new = self._scalar[event] == 0
        self._lead[event[new][::-1]] = phi[new][::-1]
        self._add(self._vector, event, pt, phi)
        np.add.at(self._scalar, event, pt)
        parts = zip(self._where, (event, eta, phi), strict=True)
        self._where = [np.concatenate(pair) for pair in parts]

    def add_changes(
        self, event: Array, axes: Sequence[Array], own: Sequence[Array]
    ) -> None:
        """Add what objects have gained from their partners: p_T, eta and phi of both."""
        pt, partner = axes[0].astype(np.float64), own[0].astype(np.float64)
        self._add(self._change, event, pt, axes[2].astype(np.float64))
        self._add(self._change, event, -partner, own[2].astype(np.float64))
        np.add.at(self._gain, event, pt - partner)

    def add_extras(self, event: Array, axes: Sequence[Array]) -> None:
        """Add the p_T, eta and phi of objects without a partner."""
        for name, content in zip(("pt", "eta", "phi"), axes, strict=True):
            self._extra[name][event] = content
        np.add.at(self._extra["sum"], event, axes[0].astype(np.float64))

    def responses(self, event: Array, phi: Array | None) -> dict[str, Array]:
        """Return what the response of the next objects may read, each of shape (n,).

        Args:
            event: Event of each object.
            phi: Direction of each partner; `None` where it has none.
        """
        out: dict[str, Array] = {"made": self.count[event].astype(np.int16)}
        pulls = self._pulls["sum"] / np.maximum(self.count, 1)
        out |= {f"{name} pull": self._pulls[name][event] for name in ("first", "last")}
        out["mean pull"] = pulls[event]
        if phi is not None:
            x, y = self._change[:, event]
            sine, cosine = sine_cosine(phi.astype(np.float64))
            out |= {
                "gain": self._gain[event],
                "gain along": x * cosine + y * sine,
                "gain across": y * cosine - x * sine,
            }
        return _narrow(out)

    def summary(self) -> dict[str, Array]:
        """Return what the number of objects without a partner may read, of shape (events,)."""
        x, y = self._change
        out: dict[str, Array] = {
            "made": self.count.astype(np.int16),
            "mean pull": self._pulls["sum"] / np.maximum(self.count, 1),
            "gain": self._gain,
            "size of gain": np.sqrt(x * x + y * y),
            "made pt": self._scalar,
            "size of sum": self._size(np.arange(len(self.count))),
        }
        return _narrow(out)

    def directions(self, event: Array) -> Array:
        """Return the direction opposite to the sum of each event: 0 where there is none."""
        x, y = self._vector[:, event]
        return np.asarray(arctangent(-y, -x))

    def extras(self, event: Array) -> dict[str, Array]:
        """Return what the next objects without a partner may read, each of shape (n,)."""
        ahead = self.directions(event)
        there = self._extra["sum"][event] > 0
        lead = np.where(self._scalar[event] > 0, wrap_angle(self._lead[event] - ahead), 0)
        last = np.where(there, wrap_angle(self._extra["phi"][event] - ahead), 0.0)
        out: dict[str, Array] = {
            "last pt": self._extra["pt"][event],
            "last eta": self._extra["eta"][event],
            "last turn": last,
            "leading turn": lead,
            "extra pt": self._extra["sum"][event],
            "sum pt": self._scalar[event],
            "size of sum": self._size(event),
        }
        return _narrow(out)

    def nearest(self, event: Array, axes: Sequence[Array], proposed: Array) -> Array:
        """Return Delta R of objects to the nearest one that is made, infinite for none.

        Args:
            event: Event of each object, shape (n,), increasing.
            axes: Their eta and phi, each of shape (n,).
            proposed: Which of them are no further than proposals, shape (n,), bool: others are as
                if made, and a proposal also looks at earlier proposals of its event. Only these
                have a distance.
        """
        index = np.arange(len(event))
        made, eta, phi = self._where
        own = np.concatenate([np.full(len(made), -1), index])
        others = [
            np.concatenate([there, here.astype(np.float64)])
            for there, here in zip((made, eta, phi), (event, *axes), strict=True)
        ]
        owner = others[0].astype(np.int64)
        order = np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=len(self.count))
        rows = np.flatnonzero(proposed)
        near = counts[event[rows]]
        one = np.repeat(rows, near)
        two = order[spans(begin_of(counts)[event[rows]], near)]
        there = own[two]
        # A proposal looks at what is made, at what is settled, and at proposals before it.
        seen = (there < 0) | ((there != one) & (~proposed[there] | (there < one)))
        one, two = one[seen], two[seen]
        d_eta = others[1][two] - axes[0].astype(np.float64)[one]
        d_phi = wrap_angle(others[2][two] - axes[1].astype(np.float64)[one])
        out = np.full(len(event), FAR)
        np.minimum.at(out, one, np.sqrt(d_eta * d_eta + d_phi * d_phi))
        return out

    def _size(self, event: Array) -> Array:
        x, y = self._vector[:, event]
        return np.asarray(np.sqrt(x * x + y * y))

    @staticmethod
    def _add(total: Array, event: Array, pt: Array, phi: Array) -> None:
        sine, cosine = sine_cosine(phi)
        np.add.at(total[0], event, pt * cosine)
        np.add.at(total[1], event, pt * sine)


def _narrow(columns: dict[str, Array]) -> dict[str, Array]:
    """Return the columns with float32 in place of float64."""
    return {
        name: content.astype(np.float32) if content.dtype == np.float64 else content
        for name, content in columns.items()
    }
