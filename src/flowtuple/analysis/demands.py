"""Demands of an analysis: quantities with what they may move, resolutions, cuts, a floor."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.nearby import nearest_file

TABLES = {
    "quantity": ("expression", "rms", "max", "quantile", "widening", "resolution"),
    "resolution": ("column", "widening"),
    "cut": ("expression", "flips"),
    "floor": ("preset",),
}
"""Keys of each table of an analysis."""

_FORM = "such as 'rel:1e-3' or 'abs:0.1'"


@dataclass(frozen=True)
class Demand:
    """A quantity with one limit on its shift.

    Attributes:
        name: Name of the quantity.
        expression: The quantity in terms of columns.
        measure: `rms`, `max` or `quantile` of the magnitude of the shifts.
        limit: Largest value of the measure.
        level: Level of the quantile, from 0 to 1.
        unit: Expression that shifts are divided by: the quantity itself for relative limits, its
            resolution for a widening, empty for absolute limits.
        text: The limit as it was written.
    """

    name: str
    expression: str
    measure: str
    limit: float
    level: float = 1.0
    unit: str = ""
    text: str = ""


@dataclass(frozen=True)
class CutDemand:
    """A cut with the number of rows that may change sides.

    Attributes:
        name: Name of the cut.
        expression: The cut, such as `Jet_pt > 30`.
        flips: Largest number of rows that pass on one side only.
    """

    name: str
    expression: str
    flips: int


@dataclass(frozen=True)
class Analysis:
    """Quantities, resolutions and cuts that must survive compression.

    Attributes:
        origin: Path of the file, for messages.
        demands: Limits on quantities.
        cuts: Cuts.
        floor: Preset of bounds that is never crossed, or `none`; empty for the default.
    """

    origin: str
    demands: tuple[Demand, ...]
    cuts: tuple[CutDemand, ...] = ()
    floor: str = ""


def read_analysis(path: str | os.PathLike[str]) -> Analysis:
    """Read an analysis from a TOML file.

    Args:
        path: The file, with tables such as `[quantity.mjj]`.

    Raises:
        InvalidArgument: The file is missing or no TOML, or a table, key or value is wrong.
    """
    path = Path(path)
    try:
        return parse_analysis(path.read_text(encoding="utf-8"), os.fspath(path))
    except FileNotFoundError:
        problem = f"no such file; {nearest_file(path, ['.toml'])}"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError as error:
        problem = f"is not TOML ({error})"
    raise InvalidArgument(f"{path}: {problem}")


def parse_analysis(text: str, origin: str) -> Analysis:
    r"""Return the analysis of a TOML text.

    Args:
        text: The text.
        origin: Name of the file, for messages.

    Raises:
        InvalidArgument: The text is no TOML, or a table, key or value is wrong.

    Example:
        >>> text = '[quantity.met]\nexpression = "MET_pt"\nrms = "abs:0.1"'
        >>> parse_analysis(text, "a.toml").demands[0].limit
        0.1
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{origin}: is not TOML ({error})") from None
    for table, entries in content.items():
        if table not in TABLES:
            raise InvalidArgument(
                f"{origin}: no table [{table}]; {nearest(table, TABLES)}"
            )
        if not isinstance(entries, dict):
            raise InvalidArgument(f"{origin}: {table} is no table; write [{table}.NAME]")
    demands: list[Demand] = []
    for name, entry in content.get("quantity", {}).items():
        demands += _quantity(name, _keys(origin, "quantity", name, entry), origin)
    for name, entry in content.get("resolution", {}).items():
        demands.append(
            _resolution(name, _keys(origin, "resolution", name, entry), origin)
        )
    cuts = tuple(
        _cut(name, _keys(origin, "cut", name, entry), origin)
        for name, entry in content.get("cut", {}).items()
    )
    if not demands and not cuts:
        raise InvalidArgument(
            f"{origin}: names nothing that must survive; add [quantity.NAME] with "
            "expression and rms"
        )
    floor = _keys(origin, "floor", "", content.get("floor", {})).get("preset", "")
    return Analysis(origin, tuple(demands), cuts, str(floor))


def _keys(origin: str, table: str, name: str, entry: Any) -> Mapping[str, Any]:
    """Return the keys of a table after a check of their names."""
    where = f"{origin}: [{table}{'.' if name else ''}{name}]"
    if not isinstance(entry, dict):
        raise InvalidArgument(f"{where} is no table; write [{table}.NAME] and its keys")
    for key in entry:
        if key not in TABLES[table]:
            raise InvalidArgument(
                f"{where} has no key {key!r}; {nearest(key, TABLES[table])}"
            )
    return entry


def _quantity(name: str, entry: Mapping[str, Any], origin: str) -> list[Demand]:
    where = f"{origin}: [quantity.{name}]"
    expression = _text(entry, "expression", where)
    demands = []
    for measure in ("rms", "max", "quantile"):
        if measure not in entry:
            continue
        value, level = entry[measure], 1.0
        if measure == "quantile":
            if not (isinstance(value, list) and len(value) == 2):
                raise InvalidArgument(
                    f"{where} quantile: write a level and a limit, as ['0.99', 'rel:1e-2']"
                )
            level = _number(value[0], f"{where} quantile")
            value = value[1]
            if not 0 < level < 1:
                raise InvalidArgument(
                    f"{where} quantile: {level:g} is not within 0 and 1"
                )
        kind, _, number = str(value).partition(":")
        if kind not in ("rel", "abs"):
            raise InvalidArgument(f"{where} {measure}: {value!r} is no limit, {_FORM}")
        limit = _number(number, f"{where} {measure}")
        unit = expression if kind == "rel" else ""
        words = f"{measure} {value}"
        demands.append(Demand(name, expression, measure, limit, level, unit, words))
    if ("widening" in entry) != ("resolution" in entry):
        raise InvalidArgument(f"{where} needs both widening and resolution, or neither")
    if "widening" in entry:
        unit = _text(entry, "resolution", where)
        demands.append(_widening(name, expression, unit, entry["widening"], where))
    if not demands:
        raise InvalidArgument(f"{where} has no limit; add rms = 'rel:1e-3' or another")
    return demands


def _widening(name: str, expression: str, unit: str, value: Any, where: str) -> Demand:
    """Return the demand of a widening e: rms of shift over resolution of sqrt((1 + e)^2 - 1)."""
    number = _number(value, f"{where} widening")
    limit = math.sqrt((1 + number) ** 2 - 1)
    return Demand(name, expression, "rms", limit, 1.0, unit, f"widening {number:g}")


def _resolution(name: str, entry: Mapping[str, Any], origin: str) -> Demand:
    where = f"{origin}: [resolution.{name}]"
    column = _text(entry, "column", where)
    if "widening" not in entry:
        raise InvalidArgument(f"{where} has no widening; write widening = 1e-3")
    return _widening(name, name, column, entry["widening"], where)


def _cut(name: str, entry: Mapping[str, Any], origin: str) -> CutDemand:
    where = f"{origin}: [cut.{name}]"
    flips = entry.get("flips", 0)
    if not isinstance(flips, int) or isinstance(flips, bool) or flips < 0:
        raise InvalidArgument(f"{where} flips: {flips!r} is no number of rows from 0 on")
    return CutDemand(name, _text(entry, "expression", where), flips)


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    if not isinstance(entry.get(key), str) or not entry[key].strip():
        raise InvalidArgument(f"{where} has no {key}; write {key} = 'MET_pt' or another")
    return str(entry[key])


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise InvalidArgument(f"{where}: {value!r} is no number above 0")
    return number
