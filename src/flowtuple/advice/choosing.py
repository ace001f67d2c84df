"""Bounds chosen for an analysis: allocated, tried on events, tightened, confirmed on others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flowtuple.advice.allocation import allocate
from flowtuple.advice.checks import DemandCheck, check_events, measure, shifts
from flowtuple.advice.stored_cuts import stored_cuts
from flowtuple.analysis.demands import Analysis
from flowtuple.analysis.evaluation import evaluate
from flowtuple.baseline.sizes import PCODEC, baseline_bytes
from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_presets import BoundsPreset
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.statistics import Statistics
from flowtuple.training.preset_bounds import two_digits_down

AIM = 0.97
"""Share of each limit that is aimed at."""

_ROUNDS, _ONLY_TIGHTER = 14, 8
_STEP = 1e-4
_FIRST = {"rms": AIM, "max": 0.25, "quantile": 0.4}


@dataclass(frozen=True)
class Chosen:
    """Bounds of the columns that an analysis reads.

    Attributes:
        bounds: Bound by column.
        reasons: Reason of each bound in words.
        bits: Bits a value of each column by quantise+pcodec: lossless, and at its bound.
        chosen: Checks on the events that the bounds were chosen with.
        confirmed: Checks on other events.
    """

    bounds: Mapping[str, Bound]
    reasons: Mapping[str, str]
    bits: Mapping[str, tuple[float, float]]
    chosen: tuple[DemandCheck, ...]
    confirmed: tuple[DemandCheck, ...]


@dataclass
class Chooser:
    """The choice of bounds on a sample of events.

    Attributes:
        analysis: The demands.
        table: Events to choose with.
        others: Events to confirm on.
        floor: Preset that is never crossed, `None` for none.
        seed: Seed of the signs of steps.
        lattices: Lattice by column and bound, as far as they were needed.
    """

    analysis: Analysis
    table: Table
    others: Table
    floor: BoundsPreset | None
    seed: int = 0
    lattices: dict[tuple[str, Bound], Lattice] = field(default_factory=dict)

    def choose(self) -> Chosen:
        """Return the bounds.

        Raises:
            InvalidArgument: An expression cannot be read, or a demand cannot be met.
        """
        names = self._movable()
        if not names:
            raise InvalidArgument(
                f"{self.analysis.origin}: reads no column of floats, and whole numbers stay exact; "
                "name a quantity of float columns"
            )
        kinds = {name: self._kind(name) for name in names}
        counts = np.array([max(1, self.table[name].size) for name in names], float)
        a = np.array(
            [
                [self._squared(k, name, kinds[name]) for name in names]
                for k in range(len(self.analysis.demands))
            ]
        ).reshape(-1, len(names))
        most = np.array([self._most(name, kinds[name]) for name in names])
        bounds = self._loop(names, kinds, counts, a, most)
        cuts = stored_cuts(self.analysis.cuts, self.table, bounds)
        bounds |= {n: replace(bounds[n], cuts=t) for n, t in cuts.by_column.items()}
        guaranteed = frozenset(cuts.names)
        return Chosen(
            bounds,
            self._reasons(names, bounds, a),
            self._bits(bounds),
            tuple(
                check_events(
                    self.analysis, self.table, self._moved(self.table, bounds), guaranteed
                )
            ),
            tuple(
                check_events(
                    self.analysis,
                    self.others,
                    self._moved(self.others, bounds),
                    guaranteed,
                )
            ),
        )

    def _movable(self) -> list[str]:
        """Return the float columns that quantities and cuts read."""
        read: set[str] = set()
        expressions = [d.expression for d in self.analysis.demands]
        for expression in (*expressions, *(c.expression for c in self.analysis.cuts)):
            read |= evaluate(
                expression, self.table, self.table.data, self.analysis.origin
            )[1]
        return [
            c.name
            for c in self.table.columns
            if c.name in read and c.is_float and c.role not in ("id", "weight")
        ]

    def _kind(self, name: str) -> str:
        """Return `abs` for angles and signed values, `rel` for positive ones."""
        column, values = self.table.column(name), self.table[name]
        signed = (values < 0).mean() > 0.01 if len(values) else False
        angle = column.role == "angle" or name.lower().endswith("eta")
        return "abs" if signed or angle else "rel"

    def _squared(self, k: int, name: str, kind: str) -> float:
        """Return the mean over rows of the sum over objects of squared derivatives.

        All objects are moved at once by steps of random signs, whose cross terms are zero in the
        mean.
        """
        demand, x = self.analysis.demands[k], self.table[name].astype(np.float64)
        rng = np.random.default_rng((self.seed, k))
        size = np.abs(x) if kind == "rel" else np.ones(len(x))
        step = _STEP if kind == "rel" else _STEP * (float(np.nanstd(x)) or 1.0)
        total = []
        for _ in range(2):
            signs = rng.choice([-1.0, 1.0], len(x))
            moved = {**self.table.data, name: x + step * size * signs}
            # bounds keep the order of p_T, which such steps would not
            shift = shifts(
                demand, self.table, moved, self.analysis.origin, self.table.data
            )[0]
            shift = shift[np.isfinite(shift)]
            total.append(float(np.mean((shift / step) ** 2)) if len(shift) else 0.0)
        return float(np.mean(total))

    def _most(self, name: str, kind: str) -> float:
        """Return the E at which a column is as coarse as the floor."""
        bound = None if self.floor is None else self.floor.of(name)
        if bound is None or bound.kind == "lossless":
            return np.inf
        x = self.table[name].astype(np.float64)
        x = x[np.isfinite(x) & (x != 0)]
        size = bound.largest_difference(x) / (np.abs(x) if kind == "rel" else 1.0)
        return float(np.exp(np.mean(np.log(size)))) if len(x) else np.inf

    def _loop(
        self,
        names: list[str],
        kinds: Mapping[str, str],
        counts: Array,
        a: Array,
        most: Array,
    ) -> dict[str, Bound]:
        """Return bounds at which every measure is within its limit on the chosen events."""
        demands = self.analysis.demands
        allowed = np.array([d.limit * _FIRST[d.measure] for d in demands])
        bounds: dict[str, Bound] = {}
        free = np.ones(len(names), bool)
        for turn in range(_ROUNDS):
            errors = allocate(a * free, allowed, counts, most) if demands else most
            bounds = {
                n: self._bound(n, kinds[n], e, m)
                for n, e, m in zip(names, errors, most, strict=True)
            }
            moved = self._moved(self.table, bounds)
            # columns that lie on a lattice as coarse as this do not move
            free = np.array(
                [
                    not np.array_equal(moved[n], self.table[n], equal_nan=True)
                    for n in names
                ]
            )
            values = [
                measure(d, shifts(d, self.table, moved, self.analysis.origin)[0])
                for d in demands
            ]
            limits = np.array([d.limit for d in demands])
            ratio = AIM * limits / np.maximum(values, 1e-300)
            over = np.array(values) > limits * (1 + AIM) / 2
            if turn >= _ONLY_TIGHTER and not over.any():
                break
            change = np.clip(ratio, 0.2, 2.0)
            allowed *= np.where(
                over, np.minimum(change, 0.99), change if turn < _ONLY_TIGHTER else 1
            )
            allowed = np.clip(allowed, 1e-9 * limits, 10 * limits)
        else:
            k = int(np.argmax(over))
            raise InvalidArgument(
                f"{self.analysis.origin}: [{demands[k].name}] {demands[k].text} cannot be met "
                f"short of lossless columns: the best is {values[k]:.3g}; widen it"
            )
        return bounds

    def _bound(self, name: str, kind: str, error: float, most: float) -> Bound:
        """Return an error as a bound of two digits, or the floor."""
        floor = None if self.floor is None else self.floor.of(name)
        if floor is not None and error >= most * 0.999:
            return floor
        if not np.isfinite(error) or error <= 0:
            return Bound()
        amount = two_digits_down(float(error))
        if kind == "rel":
            amount = min(amount, 0.1)
            if amount < 2.0**-25 and self.table.column(name).dtype == "float32":
                return Bound()
        return Bound(kind, amount) if amount > 0 else Bound()

    def _lattice(self, name: str, bound: Bound) -> Lattice:
        key = (name, bound)
        if key not in self.lattices:
            self.lattices[key] = resolve(
                self.table.column(name), bound, self._statistics(name)
            )
        return self.lattices[key]

    def _statistics(self, name: str) -> Statistics:
        statistics = Statistics(self.table.column(name).dtype)
        for part in (self.table, self.others):
            statistics.update(part[name].reshape(-1))
        return statistics

    def _moved(self, table: Table, bounds: Mapping[str, Bound]) -> dict[str, Any]:
        """Return the contents of a table on the lattices of bounds."""
        moved = {n: self._lattice(n, b).snap(table[n]) for n, b in bounds.items()}
        return {**table.data, **moved}

    def _reasons(
        self, names: list[str], bounds: Mapping[str, Bound], a: Array
    ) -> dict[str, str]:
        """Return which quantity binds each column, and the share of its budget."""
        reasons = {}
        kinds = [self._kind(n) for n in names]
        for i, name in enumerate(names):
            bound = bounds[name]
            if self._lattice(name, bound).bound.kind == "lossless":
                reasons[name] = (
                    "exact: already on a lattice as coarse, or nothing limits it"
                )
                continue
            if bound.kind not in ("abs", "rel") or not len(a) or not a[:, i].any():
                reasons[name] = (
                    f"floor {self.floor.text}" if self.floor else "nothing limits it"
                )
                continue
            moves = np.array(
                [
                    bounds[n].amount if bounds[n].kind == kinds[j] else 0.0
                    for j, n in enumerate(names)
                ]
            )
            spent = a[:, i] * moves[i] ** 2 / 3
            limits = np.array([d.limit for d in self.analysis.demands])
            k = int(np.argmax(spent / limits**2))
            whole = float((a[k] * moves**2 / 3).sum())
            slack = 1 - np.sqrt(whole) / limits[k]
            reasons[name] = (
                f"{self.analysis.demands[k].name} binds: {spent[k] / whole:.0%} of its variance, "
                f"slack {max(slack, 0):.0%} (modelled)"
            )
        return reasons

    def _bits(self, bounds: Mapping[str, Bound]) -> dict[str, tuple[float, float]]:
        """Return bits a value of quantise+pcodec, lossless and at the bounds."""
        part = self.table.read(list(bounds), 0, self.table.num_entries)
        before, after = baseline_bytes(part, {}), baseline_bytes(part, bounds)
        return {
            n: (
                8 * before[n][PCODEC] / max(1, part[n].size),
                8 * after[n][PCODEC] / max(1, part[n].size),
            )
            for n in bounds
        }
