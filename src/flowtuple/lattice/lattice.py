"""The lattice of one column: a grid, exact values between its points (atoms), and a range."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.cuts import onto_own_sides, walls
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.lattice.grid import (
    ATOM,
    ESCAPE,
    MANTISSA_BITS,
    Grid,
    Integers,
    Mantissas,
    Ordered,
    Steps,
    Uniform,
    grid_from_json,
    relative_grid,
)
from flowtuple.lattice.statistics import Statistics, log_spacing

_NUMBER = r"(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_CUTS = rf"(,cut:-?{_NUMBER})*"
_BOUND = re.compile(rf"lossless|(abs|rel|bits):{_NUMBER}{_CUTS}")
_SIGMA = re.compile(rf"sigma:{_NUMBER}@")


@dataclass(frozen=True)
class Lattice:
    """Values of one column <-> int64 indices, within a bound that is checked value by value.

    `decode(encode(x))` depends on x and on this object only. It equals x bit for bit at atoms, is
    within the bound elsewhere, and takes the values `escapes` where no index is within it.

    Attributes:
        dtype: NumPy dtype name of the values.
        bound: The resolved bound: `lossless`, `abs`, `rel`, `bits` or `sigma`, perhaps with cuts.
        grid: Points of the ordinary values.
        atoms: Bit patterns that stay exact, each with an index of its own from `ATOM` on.
        low: Smallest decoded grid value: lower ones are raised to it; `None` for no limit.
        high: Largest decoded grid value.
        columns: Decoded values of the bound's resolution in certain rows, which `at` takes; such a
            lattice maps values of these rows only.
    """

    dtype: str
    bound: Bound
    grid: Grid
    atoms: tuple[int, ...] = ()
    low: float | int | None = None
    high: float | int | None = None
    columns: Mapping[str, Array] | None = field(default=None, compare=False, repr=False)

    @property
    def resolution(self) -> str:
        """Name of the column that a `sigma` bound counts in; empty for all others."""
        return self.bound.resolution

    def at(self, columns: Mapping[str, Array]) -> Lattice:
        """Return the lattice of certain rows, which differs only under a `sigma` bound.

        Args:
            columns: Decoded columns of these rows, flat, with the resolution.
        """
        if not isinstance(self.grid, Steps):
            return self
        resolution = np.ascontiguousarray(self.bound.resolution_in(columns)).reshape(-1)
        of_rows = {self.resolution: resolution}
        return replace(self, grid=self.grid.at(resolution), columns=of_rows)

    def encode(self, x: Array) -> Array:
        """Return indices of values, shape (n,); `ESCAPE` where none is within the bound."""
        x = np.ascontiguousarray(x)
        q = self.nearest(x)
        decoded = self._grid_value(q)
        broken = (q < ATOM) & ~self.bound.holds(x, decoded, self.columns)
        if self.bound.cuts and broken.any():
            return np.where(broken, self._across_cuts(x, decoded), q)
        return np.where(broken, ESCAPE, q)

    def _across_cuts(self, x: Array, decoded: Array) -> Array:
        """Return indices on the other side of a cut for values that the grid takes across it."""
        q = self.nearest(onto_own_sides(x, decoded, self.bound.cuts))
        within = self.bound.holds(x, self.decode(q), self.columns)
        return np.where(within & (q != ESCAPE), q, ESCAPE)

    def nearest(self, x: Array) -> Array:
        """Return indices of the nearest atoms or grid points, regardless of the bound."""
        x = np.ascontiguousarray(x)
        q = self.grid.index(x)
        q = np.where(q < ATOM, q, ESCAPE)
        if self.atoms:
            table = np.array(sorted(self.atoms), dtype=f"u{x.dtype.itemsize}")
            patterns = bit_patterns(x)
            place = np.minimum(np.searchsorted(table, patterns), len(table) - 1)
            q = np.where(table[place] == patterns, ATOM + place, q)
        return q

    def decode(self, q: Array, escapes: Array | None = None) -> Array:
        """Return the values of indices, shape (n,).

        Args:
            q: int64 indices, shape (n,).
            escapes: Exact values of the `ESCAPE` among them, in order.

        Raises:
            Corrupt: An index is that of an atom that the lattice does not have.
        """
        values = self._grid_value(q)
        special = np.flatnonzero(q >= ATOM)
        if len(special):
            rank = q[special] - ATOM
            if ((rank >= len(self.atoms)) != (q[special] == ESCAPE)).any():
                raise Corrupt(f"an index stands for none of {len(self.atoms)} atoms")
            patterns = [*sorted(self.atoms), 0]
            atoms = np.array(patterns, f"u{values.dtype.itemsize}").view(self.dtype)
            values[special] = atoms[np.minimum(rank, len(self.atoms))]
            if escapes is not None:
                values[q == ESCAPE] = escapes
        return values

    def snap(self, x: Array) -> Array:
        """Return the decoded values of encoded values, of any shape."""
        flat = x.reshape(-1)
        q = self.encode(flat)
        return self.decode(q, flat[q == ESCAPE]).reshape(x.shape)

    def _grid_value(self, q: Array) -> Array:
        values = self.grid.value(np.where(q >= ATOM, 0, q))
        if (
            self.bound.kind != "lossless"
            and self.low is not None
            and self.high is not None
        ):
            low, high = (
                np.asarray(self.low, self.dtype),
                np.asarray(self.high, self.dtype),
            )
            # Not np.clip: it may turn 0.0 into a limit of -0.0, or not.
            values = np.where(values < low, low, values)
            values = np.where(values > high, high, values)
        return values

    def with_range(self, statistics: Statistics, *, round_ends: bool = False) -> Lattice:
        """Return the same lattice with the range of other data; `round_ends` as in `resolve`."""
        if self.bound.kind == "lossless":
            return self
        low, high = _ends(self.grid, self.bound, statistics, round_ends)
        return replace(self, low=low, high=high)

    def within(self, low: Any, high: Any) -> Lattice:
        """Return the same lattice with a range from a file.

        Raises:
            Corrupt: It is no range of this type, or the lattice needs none.
        """
        try:
            low, high = _range(self.dtype, low, high)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise Corrupt(
                f"the file describes a range that does not exist ({error})"
            ) from None
        if self.bound.kind == "lossless":
            raise Corrupt("the file gives a range to a lossless column")
        return replace(self, low=low, high=high)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns back into an equal lattice."""
        out: dict[str, Any] = {"bound": str(self.bound), "grid": self.grid.to_json()}
        if self.atoms:
            out["atoms"] = list(self.atoms)
        if self.bound.kind != "lossless":
            out["range"] = [self.low, self.high]
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lattice:
        """Return a lattice from the object of `to_json`.

        Raises:
            Corrupt: The object describes no lattice.
        """
        try:
            grid = grid_from_json(data["grid"])
            bound, atoms = Bound.parse(data["bound"]), tuple(data.get("atoms", ()))
            low, high = _range(grid.dtype, *data.get("range", (None, None)))
            most = (
                1
                if grid.dtype == "bool"
                else 2 ** (8 * np.dtype(grid.dtype).itemsize) - 1
            )
            if not all(type(a) is int and 0 <= a <= most for a in atoms):
                raise ValueError("an atom is no value")
            if not len(set(atoms)) == len(atoms) <= ESCAPE - ATOM:
                raise ValueError("too many atoms")
            ranged = bound.kind != "lossless"
            if bound.kind == "sigma":
                is_stored = _is_sigma(data["bound"], bound, grid)
            else:
                plain = _BOUND.fullmatch(data["bound"])
                is_stored = plain is not None and grid.kind != "steps"
            if not is_stored or ranged != ("range" in data):
                raise ValueError("no stored bound, or a range without one")
        except (
            KeyError,
            TypeError,
            ValueError,
            ArithmeticError,
            AttributeError,
        ) as error:
            raise Corrupt(
                f"the file describes a lattice that does not exist: {str(data)[:200]} ({error})"
            ) from None
        return cls(grid.dtype, bound, grid, atoms, low, high)


def _is_sigma(text: str, bound: Bound, grid: Grid) -> bool:
    """Return True for the text of a `sigma` bound as files have it, with the grid of its factor."""
    matched = _SIGMA.match(text)
    if matched is None or not isinstance(grid, Steps) or grid.factor != bound.amount:
        return False
    further = text[matched.end() :].removeprefix(bound.resolution)
    return re.fullmatch(_CUTS, further) is not None


def _range(
    dtype: str, low: Any, high: Any
) -> tuple[float | int | None, float | int | None]:
    """Return a range from a file; both ends are numbers of the type, or both are missing.

    Raises:
        ValueError: It is no range.
    """
    if low is None and high is None:
        return None, None
    kinds = (int, float) if "float" in dtype else (int,)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = all(
            type(end) in kinds and np.asarray(end, dtype).item() == end
            for end in (low, high)
        )
    if not exact or low > high:
        raise ValueError(f"no range of {dtype}: {low} to {high}")
    return low, high


def resolutions_of(lattices: Mapping[str, Lattice]) -> dict[str, str]:
    """Return the column of resolutions of each column that has one."""
    return {name: own.resolution for name, own in lattices.items() if own.resolution}


def resolve(
    column: Column,
    bound: Bound,
    statistics: Statistics,
    resolution: Statistics | None = None,
    *,
    round_ends: bool = False,
) -> Lattice:
    """Return the lattice for a column of known statistics at a requested bound.

    `resolve_statistics` resolves the bound first. Where the data lie on an exact grid that is no
    finer than the bounded one, the exact grid is taken: it costs no more.

    Args:
        column: The column.
        bound: The requested bound.
        statistics: Statistics of all of its values.
        resolution: Those of its resolution, for a `sigma` bound.
        round_ends: At `bits`, round the ends of the range as well, in place of raising and lowering
            decoded values to them. Then no decoded value has more bits than the bound, and some
            may pass the ends.
    """
    bound = resolve_statistics(bound, statistics)
    exact = statistics.exact_grid()
    grid = (
        exact
        if bound.kind == "lossless"
        else _coarser(
            _bounded_grid(column.dtype, bound),
            exact,
            statistics.sample,
            None if resolution is None else resolution.sample,
        )
    )
    bound = Bound() if grid is exact else bound
    low, high = (
        (None, None) if grid is exact else _ends(grid, bound, statistics, round_ends)
    )
    return Lattice(column.dtype, bound, grid, _atoms(grid, bound, statistics), low, high)


def _ends(
    grid: Grid, bound: Bound, statistics: Statistics, round_ends: bool
) -> tuple[float | int | None, float | int | None]:
    """Return the range of decoded values: that of the column, perhaps rounded by the grid."""
    low, high = statistics.low, statistics.high
    if not round_ends or bound.kind != "bits" or low is None or high is None:
        return low, high
    ends = np.array([low, high], statistics.dtype)
    q = grid.index(ends)
    rounded = grid.value(np.where(q < ATOM, q, 0))
    low, high = np.where(bound.holds(ends, rounded), rounded, ends).tolist()
    return low, high


def _atoms(grid: Grid, bound: Bound, statistics: Statistics) -> tuple[int, ...]:
    """Return special values that the grid lacks, and sentinels that it would move."""
    if isinstance(grid, Integers):
        return tuple(sorted(_split_cells(grid, bound)))
    if grid == Ordered(statistics.dtype):
        return ()
    if isinstance(grid, Steps):
        sentinels = statistics.frequent()
    else:
        sentinels = statistics.sentinels(grid) if bound.kind != "lossless" else []
    cut = _split_cells(grid, bound)
    return tuple(sorted({*statistics.specials, *sentinels, *cut}))


def _split_cells(grid: Grid, bound: Bound) -> set[int]:
    """Return the bit patterns that stand for the parts of cells beyond a cut.

    They follow from grid and cuts alone, so that decoded values are the same for all data. A part
    costs a dozen bytes once, where each of its values would cost an escape otherwise.
    """
    dtype = np.dtype(grid.dtype)
    parts: set[int] = set()
    for wall in walls(bound.cuts, dtype):
        values = np.array(wall.values, dtype)
        if isinstance(grid, Steps):
            # each row has cells of its own
            parts.update(bit_patterns(values).tolist())
            continue
        q = grid.index(values)
        reached = grid.value(np.where(q < ATOM, q, 0))
        crossed = (q < ATOM) & (wall.side(values) != wall.side(reached))
        parts.update(bit_patterns(values[crossed]).tolist())
    return parts


def resolve_statistics(bound: Bound, statistics: Statistics) -> Bound:
    """Return a statistical bound as an `abs` bound for this column; others are unchanged.

    It is lossless where the statistic is zero or undefined.
    """
    if not bound.is_statistical:
        return bound
    half_width = bound.amount * _unit(bound, statistics)
    return (
        Bound("abs", half_width, bound.cuts)
        if math.isfinite(half_width) and half_width > 0
        else Bound()
    )


def _unit(bound: Bound, statistics: Statistics) -> float:
    """Return the statistic that a bound counts in."""
    if bound.kind == "std":
        return statistics.std
    raise InvalidArgument(f"no statistic of the column resolves {bound} to abs")


def _bounded_grid(dtype: str, bound: Bound) -> Grid:
    if "float" not in dtype:
        return Integers(dtype, 2 * min(math.floor(bound.amount), 2**61) + 1)
    if bound.kind == "abs":
        return Uniform(dtype, bound.amount)
    if bound.kind == "rel":
        return relative_grid(dtype, bound.amount)
    if bound.kind == "bits":
        coarse = bound.amount < MANTISSA_BITS[dtype]
        return Mantissas(dtype, int(bound.amount)) if coarse else Ordered(dtype)
    if bound.kind == "sigma":
        return Steps(dtype, bound.amount)
    raise InvalidArgument(f"there is no grid for {bound}")


def _coarser(
    bounded: Grid, exact: Grid, sample: Array, resolution: Array | None = None
) -> Grid:
    """Return the grid of wider average spacing around non-zero sample values; `exact` on a tie."""
    if isinstance(bounded, Steps):
        steps = bounded.step(np.empty(0) if resolution is None else resolution)
        spacing = np.log2(steps[steps > 0]).mean() if (steps > 0).any() else -math.inf
        return bounded if spacing > log_spacing(exact, sample) else exact
    if isinstance(bounded, Integers):
        return exact if bounded.width == 1 else bounded
    return bounded if log_spacing(bounded, sample) > log_spacing(exact, sample) else exact
