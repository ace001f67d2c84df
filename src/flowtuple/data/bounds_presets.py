"""Presets of bounds: the precision that experiments keep, by name and version, as TOML files.

The files in `presets/` have a table `[preset]` before their `[bounds]`. Other packages add presets
by entry points of the group `flowtuple.bounds`, each named after its preset, which give the path
of such a file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_file import Bounds, parse_bounds, read_bounds
from flowtuple.data.globs import is_glob
from flowtuple.errors import InvalidArgument, first_line, nearest

ENTRY_POINTS = "flowtuple.bounds"
"""Entry-point group of presets; an entry point is named after its preset."""

UNITS = {"eV": 1e-9, "keV": 1e-6, "MeV": 1e-3, "GeV": 1.0, "TeV": 1e3}
"""Units of energy in GeV."""


@dataclass(frozen=True)
class Magnitudes:
    """Columns that show the unit of a file, and the range of their low values.

    Attributes:
        columns: Names or globs of energies or momenta.
        least: Smallest 10 % quantile of their magnitudes, in the unit of the preset.
        most: Largest one.
    """

    columns: tuple[str, ...] = ()
    least: float = 0.0
    most: float = float("inf")


@dataclass(frozen=True, eq=False)
class BoundsPreset(Bounds):
    """Bounds of a preset, with units and sources.

    A mapping from patterns to bounds, which every `tolerance` argument takes.

    Attributes:
        by_pattern: The bounds. Exact names go before globs; of several globs the last one wins.
        origin: The preset in words, such as `the preset nanoaod (v5)`.
        comments: Remark by pattern, for those that have one.
        overrides: Further bounds, which come after those of the preset.
        name: Name of the preset.
        version: Version of the files that it is for.
        title: One line on it.
        energy: Unit of energies, such as `GeV`.
        length: Unit of lengths.
        rounded: True where production writes files that are rounded already. Then a column that
            is off the table's lattice stays lossless, unless the table names it in full.
        magnitudes: Columns that show the unit.
        sources: Addresses of the sources.
        remarks: Choices that were regretted, and limits.
        columns: Columns that only files of this version have.
        package: Package that adds the preset; empty for a built-in one.
        others: The same preset for other versions.

    Example:
        >>> import flowtuple as ft
        >>> preset = ft.bounds_preset("nanoaod")
        >>> preset.version, preset.energy, str(preset.of("Jet_pt")), preset.of("Muon_pt")
        ('v5', 'GeV', 'bits:10', None)
    """

    name: str = ""
    version: str = ""
    title: str = ""
    energy: str = ""
    length: str = ""
    rounded: bool = False
    magnitudes: Magnitudes = Magnitudes()
    sources: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    package: str = ""
    others: tuple[BoundsPreset, ...] = field(default=(), repr=False)

    def of(self, column: str) -> Bound | None:
        """Return the bound of a column's exact name, else that of the last glob, else none."""
        if self.names(column):
            return self.by_pattern[column]
        globs = [p for p in self.by_pattern if is_glob(p) and fnmatchcase(column, p)]
        return self.by_pattern[globs[-1]] if globs else None

    def names(self, column: str) -> bool:
        """Return whether the preset has the exact name of a column."""
        return column in self.by_pattern

    def for_columns(self, names: Collection[str]) -> BoundsPreset:
        """Return the version of the preset for a file with these columns."""
        for other in self.others:
            if any(column in names for column in other.columns):
                return replace(other, overrides=self.overrides)
        return self

    @property
    def text(self) -> str:
        """The name with the version."""
        return f"{self.name}:{self.version}"

    def to_json(self) -> dict[str, Any]:
        """Return all of the preset as plain text and numbers."""
        return {
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "energy": self.energy,
            "length": self.length,
            "rounded": self.rounded,
            "package": self.package,
            "sources": list(self.sources),
            "remarks": list(self.remarks),
            "bounds": {pattern: str(bound) for pattern, bound in self.by_pattern.items()},
            "comments": dict(self.comments),
        }


def bounds_preset(name: str) -> BoundsPreset:
    """Return a preset of bounds: the precision that an experiment keeps.

    Args:
        name: A name from `flowtuple presets`, such as `nanoaod`, or one with its version, such as
            `nanoaod:v13`. Without one the columns of a file choose the version.

    Returns:
        The bounds by pattern, which `tolerance` arguments take.

    Raises:
        InvalidArgument: There is no such preset or version, or the package that adds it is broken.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.bounds_preset("nanoaod")["Jet_eta"]), ft.bounds_preset("lhcb").energy
        ('bits:12', 'MeV')
    """
    family, _, version = name.partition(":")
    plugins = _plugins()
    if family in plugins:
        points = plugins[family]
        if len(points) > 1 or family in _built_in():
            packages = " and ".join(map(_package, points))
            raise InvalidArgument(
                f"the preset {family!r} is added twice, by {packages}; uninstall one package"
            )
        versions = [_loaded(points[0])]
    elif family in _built_in():
        versions = list(_built_in()[family])
    else:
        raise InvalidArgument(
            f"there is no preset of bounds {name!r}; {nearest(name, preset_names())}"
        )
    if not version:
        return replace(versions[0], others=tuple(versions[1:]))
    for preset in versions:
        if preset.version == version:
            return preset
    known = (preset.text for preset in versions)
    raise InvalidArgument(
        f"there is no preset of bounds {name!r}; {nearest(name, known)}"
    )


def named_bounds(name: str) -> Bounds:
    """Return a preset by its name, or the bounds of a TOML file.

    Args:
        name: A path that ends in `.toml` or has a folder, the name of a preset, or a file.

    Raises:
        InvalidArgument: There is no such preset, or the file has no bounds.

    Example:
        >>> named_bounds("alice").origin
        'the preset alice (run3)'
    """
    path = Path(name)
    is_path = path.suffix.lower() == ".toml" or path.name != name
    if is_path or (name.partition(":")[0] not in preset_names() and path.exists()):
        return read_bounds(path)
    return bounds_preset(name)


def preset_names() -> list[str]:
    """Return the names of all presets, without loading other packages.

    Example:
        >>> "nanoaod" in preset_names()
        True
    """
    return sorted({*_built_in(), *_plugins()})


def all_presets() -> tuple[list[BoundsPreset], list[str]]:
    """Return every preset in every version, and what is wrong with those of other packages."""
    presets, faults = [], []
    for name in preset_names():
        try:
            first = bounds_preset(name)
        except InvalidArgument as error:
            faults.append(str(error))
            continue
        presets += [replace(first, others=()), *first.others]
    return presets, faults


def parse_preset(text: str, origin: str, package: str = "") -> BoundsPreset:
    """Return the preset of a TOML text with the tables `[preset]` and `[bounds]`.

    Args:
        text: The text.
        origin: Name of the file, for messages.
        package: Package that adds the preset.

    Raises:
        InvalidArgument: It is no TOML, a table or a name lacks, or a value is no bound.
    """
    bounds = parse_bounds(text, origin)
    about = tomllib.loads(text).get("preset", {})
    try:
        about = {k: tuple(v) if isinstance(v, list) else v for k, v in about.items()}
        magnitudes = dict(about.pop("magnitudes", {}))
        magnitudes["columns"] = tuple(magnitudes.get("columns", ()))
        base = about.pop("extends", "")
        if base:
            return _extended(base, bounds, about)
        preset = BoundsPreset(
            bounds.by_pattern,
            comments=bounds.comments,
            package=package,
            magnitudes=Magnitudes(**magnitudes),
            **about,
        )
    except (TypeError, AttributeError) as error:
        raise InvalidArgument(
            f"{origin}: the table [preset] does not fit ({first_line(error)}); "
            "write name, version, title, energy, length, sources"
        ) from None
    if not preset.name or preset.energy not in UNITS:
        raise InvalidArgument(
            f"{origin}: the table [preset] needs a name and energy, one of {', '.join(UNITS)}"
        )
    return replace(preset, origin=f"the preset {preset.name} ({preset.version})")


def _extended(base: str, bounds: Bounds, about: Mapping[str, Any]) -> BoundsPreset:
    """Return a version of a built-in preset, with its other bounds."""
    first = parse_preset(_text(base), base)
    # a version may name what the base has as a glob; exact names go first in any order
    return replace(
        first,
        by_pattern={**first.by_pattern, **bounds.by_pattern},
        comments={
            **{p: c for p, c in first.comments.items() if p not in bounds.by_pattern},
            **bounds.comments,
        },
        origin=f"the preset {first.name} ({about['version']})",
        **about,
    )


def _text(name: str) -> str:
    return (files("flowtuple.data") / "presets" / f"{name}.toml").read_text("utf-8")


@cache
def _built_in() -> dict[str, tuple[BoundsPreset, ...]]:
    """Return the presets of this package by name, the usual version first."""
    families: dict[str, tuple[BoundsPreset, ...]] = {}
    for name in _file_names():
        preset = parse_preset(_text(name), f"{name}.toml")
        later = families.get(preset.name, ())
        # the one without columns of its own is the usual one
        families[preset.name] = (*later, preset) if preset.columns else (preset, *later)
    return families


def _file_names() -> Iterator[str]:
    for entry in sorted((files("flowtuple.data") / "presets").iterdir(), key=str):
        if entry.name.endswith(".toml"):
            yield entry.name.removesuffix(".toml")


def _plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points of other packages by preset; none is loaded."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        points.setdefault(point.name, []).append(point)
    return points


def _loaded(point: EntryPoint) -> BoundsPreset:
    """Return the preset of an entry point: a path of a TOML file, or a function that gives one.

    Raises:
        InvalidArgument: It cannot be loaded, or gives no such path.
    """
    where = f"the package {_package(point)}, which adds the preset {point.name},"
    advice = "update or uninstall it"
    try:
        path = point.load()
        path = path() if callable(path) else path
        with open(os.fspath(path), encoding="utf-8") as file:
            text = file.read()
    except Exception as error:  # whatever the code of the other package raises
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InvalidArgument(f"{where} cannot be loaded ({reason}); {advice}") from None
    preset = parse_preset(text, os.fspath(path), _package(point))
    if preset.name != point.name:
        raise InvalidArgument(f"{where} gives the preset {preset.name!r}; {advice}")
    return preset


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
