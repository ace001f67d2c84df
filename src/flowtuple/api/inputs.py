"""Arguments that functions share: the selected part of an input, bounds, weights, seeds."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flowtuple.data.bounds import Bound
from flowtuple.data.globs import fits_name
from flowtuple.data.resources import Resources
from flowtuple.data.schema_diff import counted_like
from flowtuple.data.selection import select, with_roles
from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument, Refused, name_parts, nearest
from flowtuple.file.file import File
from flowtuple.flows.options import RowFlow
from flowtuple.flows.presets import FLOW_PRESETS
from flowtuple.io.formats import output_suffixes
from flowtuple.io.location import split_tree
from flowtuple.io.source import (
    STORED,
    ReadOptions,
    Source,
    check_stored_name,
    open_dataset,
)
from flowtuple.runtime.atomic import new_folder

if TYPE_CHECKING:
    from flowtuple.training.lattices import ResolvedTable

FilePath: TypeAlias = "str | os.PathLike[str]"

Tolerance = Mapping[str, "str | Bound"] | str | Bound
"""Bounds by column name or glob, or one bound for all columns."""


@dataclass(frozen=True)
class Selection:
    """Part of an input to take, and roles and names of its columns.

    Attributes:
        columns: Globs of which a column must match one; none means all.
        exclude: Globs of which a column may match none.
        roles: Role by glob, where the name suggests the wrong one.
        names: Column names for inputs that have none.
        drop: Leave out what cannot be carried instead of refusing.

    Example:
        >>> import flowtuple as ft
        >>> ft.snap({"x": [1.0], "y": [2.0]}, selection=ft.Selection(columns=("x",))).fields
        ['x']
    """

    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    roles: Mapping[str, str] | None = None
    names: tuple[str, ...] | None = None
    drop: bool = False


EVERYTHING = Selection()
SPEC = "simulation"  # key of the description of a model that simulates


@dataclass(frozen=True)
class Weighted:
    """Events to learn from, with the weight of each.

    Attributes:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        weight: Column of weights, one per event; for a flow over rows also one per object. It is
            not learned. Negative weights are allowed as long as their sum is positive.
        mix: A factor for the events of each path in `source`.

    Example:
        >>> import flowtuple as ft
        >>> ft.Weighted(["background.root", "signal.root"], mix=(1.0, 0.3)).weight is None
        True
    """

    source: Source
    weight: str | None = None
    mix: Sequence[float] = ()

    @classmethod
    def of(cls, source: Source | Weighted) -> Weighted:
        """Return events with weights, all 1 where the source names none."""
        return source if isinstance(source, Weighted) else cls(source)

    def read(
        self, selection: Selection, given: tuple[str, ...]
    ) -> tuple[Dataset, dict[str, tuple[int, ...]]]:
        """Return the events and, for each table with `mix`, the number of events of each path.

        Raises:
            InvalidArgument: `mix` has not one finite number for each path.
        """
        extra = (self.weight,) if self.weight else ()
        dataset = read(self.source, selection, (*given, *extra))
        if not self.mix:
            return dataset, dict.fromkeys(dataset.tables, ())
        paths = (
            list(self.source) if isinstance(self.source, (list, tuple)) else [self.source]
        )
        if len(paths) != len(self.mix) or not all(
            math.isfinite(factor) for factor in self.mix
        ):
            raise InvalidArgument(
                f"{dataset.description}: {len(paths)} sources are mixed by {len(self.mix)} numbers;"
                " give one for each"
            )
        parts = [open_dataset(path, ReadOptions(names=selection.names)) for path in paths]
        # of trees that were named one by one, the names differ
        counts = [{n: t.num_entries for n, t in part.tables.items()} for part in parts]
        return dataset, {
            name: tuple(each.get(name, next(iter(each.values()))) for each in counts)
            for name in dataset.tables
        }


def bounds_by_glob(tolerance: Tolerance | None) -> Mapping[str, str | Bound]:
    """Return bounds by column name or glob; one bound alone means all columns.

    Example:
        >>> bounds_by_glob("rel:1e-3"), bounds_by_glob(None)
        ({'*': 'rel:1e-3'}, {})
    """
    if isinstance(tolerance, (str, Bound)):
        return {"*": tolerance}
    return tolerance or {}


def read(source: Source, selection: Selection, given: tuple[str, ...] = ()) -> Dataset:
    """Return the selected part of a source; given columns are always part of it.

    Returns:
        The data set; with `drop`, its `left_out` lists the parts that cannot be carried.

    Raises:
        Refused: A selected part cannot be carried, and `drop` is off.
        InvalidArgument: A glob matches nothing, or nothing is left.
    """
    dataset = open_dataset(source, ReadOptions(names=selection.names))
    columns = (*selection.columns, *given) if selection.columns else ()
    refused = selected_refusals(dataset, columns, selection.exclude)
    if refused and not selection.drop:
        advice = "add `drop=` to leave out all of that, or `exclude=` to leave out parts by name"
        raise Refused(dataset.description, "carry {}", refused, advice)
    left_out = (
        *dataset.left_out,
        *(LeftOut(name, reason) for name, reason in refused.items()),
    )
    exclude = column_globs(dataset, selection.exclude)
    is_part = dataset.is_part or bool(dataset.refused or left_out)
    whole = replace(dataset, refused={}, left_out=left_out, is_part=is_part)
    dataset = select(whole, columns, exclude)
    return with_roles(dataset, selection.roles) if selection.roles else dataset


def selected_refusals(
    dataset: Dataset, include: Iterable[str], exclude: Iterable[str]
) -> dict[str, str]:
    """Return the parts that cannot be carried and that globs select, with their reasons."""
    return {
        name: reason
        for name, reason in dataset.refused.items()
        if _is_selected(name, dataset.tables, include, exclude)
    }


def column_globs(dataset: Dataset, exclude: Iterable[str]) -> list[str]:
    """Return the globs without those that only parts match that cannot be carried."""
    return [pattern for pattern in exclude if not _only_refused(pattern, dataset)]


def resolved(
    dataset: Dataset,
    bounds: Mapping[str, str | Bound],
    given: tuple[str, ...],
    model: FilePath | None,
    resources: Resources,
    rounded: Collection[str] = (),
) -> list[ResolvedTable]:
    """Return tables on lattices of their own, or on those of a model with its flows.

    Columns of `rounded` (`TABLE/COLUMN`) have ranges that `bits` rounds, too.

    Raises:
        InvalidArgument: A name, glob or bound is wrong, or the data set does not fit the model.
    """
    from flowtuple.training.lattices import resolve_tables  # reading waits for none

    progress, memory = resources.progress, resources.memory
    if model is None:
        return resolve_tables(dataset, bounds, progress, given, memory, rounded=rounded)
    with File(model) as trained:
        refuse_simulation(trained)
        return resolve_tables(
            dataset, bounds, progress, memory=memory, model=trained, rounded=rounded
        )


def on_tree_of(model: FilePath, dataset: Dataset) -> tuple[str, Dataset]:
    """Return a model's path without its tree, and the events as the table that it codes.

    Tables of files find theirs in the model by name. The table of events in memory has no name of
    its own: it is the model's only one, or the one of `PATH:TREE`.

    Raises:
        InvalidArgument: The model has several tables, and none is named; or one is named for events
            of a file.
    """
    path, tree = split_tree(os.fspath(model), STORED)
    if dataset.format:
        if tree is not None:
            raise InvalidArgument(
                f"{path}:{tree}: tables of {dataset.description} find theirs in the model by name; "
                f"name the model as {path}"
            )
        return path, dataset
    with File(path) as trained:
        refuse_simulation(trained)
        names = list(trained.tables)
        if tree is None and len(names) > 1 and dataset.tables.keys().isdisjoint(names):
            raise InvalidArgument(
                f"{path}: was trained on the trees {', '.join(names)}, and "
                f"{dataset.description} names none; choose one as {path}:{names[0]}"
            )
        own, table = next(iter(dataset.tables.items()))
        stored = trained.table(own if tree is None and own in names else tree)
        events = table.read([c.name for c in table.columns], 0, table.num_entries)
        counted = counted_like(replace(events, name=stored.name), stored.columns)
    return path, replace(dataset, tables={stored.name: counted})


def left_out_notes(dataset: Dataset) -> tuple[str, ...]:
    """Return a sentence that counts and names the omitted parts of a data set, if any."""
    parts = {part.name: part.reason for part in dataset.left_out}
    return (f"left out: {name_parts(parts)}",) if parts else ()


def _is_selected(
    refused: str, trees: Iterable[str], include: Iterable[str], exclude: Iterable[str]
) -> bool:
    """Return whether globs select a part that cannot be carried.

    It is named as `TREE/COLUMN`, as a tree or as an object. Globs of columns choose among columns;
    trees and objects travel unless they are excluded.
    """
    include = (
        tuple(include) if any(refused.startswith(f"{tree}/") for tree in trees) else ()
    )
    if any(fits_name(pattern, refused) for pattern in exclude):
        return False
    return not include or any(fits_name(pattern, refused) for pattern in include)


def _only_refused(pattern: str, dataset: Dataset) -> bool:
    """Return whether a glob matches parts that cannot be carried, and no column."""
    if not any(fits_name(pattern, name) for name in dataset.refused):
        return False
    columns = (
        f"{name}/{c.name}"
        for name, table in dataset.tables.items()
        for c in table.columns
    )
    return not any(fits_name(pattern, column) for column in columns)


@contextmanager
def pages(folder: FilePath | None) -> Iterator[Path | None]:
    """Give a folder for pages, which goes again after a failure; `None` for none.

    Raises:
        MissingExtra: A folder is named, and the extra 'plots' is not installed.
    """
    if folder is None:
        yield None
        return
    from flowtuple.reporting.plots import require_plots

    require_plots()
    with new_folder(Path(folder)):
        yield Path(folder)


def check_request(path: FilePath, effort: str, seed: int) -> None:
    """Raise for an output path, an effort or a seed that cannot be, before anything is read."""
    from flowtuple.training.plan import check_effort

    check_effort(effort)
    check_seed(seed)
    check_stored_name(path)


def check_seed(seed: int) -> int:
    """Return the seed.

    Raises:
        InvalidArgument: It is not between 0 and 2^63 - 1.
    """
    if not 0 <= seed < 2**63:
        raise InvalidArgument(f"the seed {seed} is not a whole number from 0 to 2^63 - 1")
    return seed


def check_flow(flow: RowFlow) -> None:
    """Raise if a flow is named by its kind alone.

    Raises:
        InvalidArgument: It is not a `RowFlow`.
    """
    if not isinstance(flow, RowFlow):
        raise InvalidArgument(
            f"`flow=` takes a RowFlow, such as RowFlow('maf'), not {flow!r}"
        )


def is_of_rows(path: FilePath) -> bool:
    """Return whether a model is a flow over rows: safetensors has JSON behind 8 bytes."""
    try:
        with open(path, "rb") as stream:
            return stream.read(9)[8:] == b"{"
    except OSError:
        return False  # a URL, or a path that is refused where it is opened


def refuse_rows(path: FilePath) -> None:
    """Raise if a model that has to code events is a flow over rows, or is named like events.

    Raises:
        InvalidArgument: It is one of these.
    """
    if os.fspath(path).lower().endswith(tuple(output_suffixes())):
        raise InvalidArgument(
            f"{os.fspath(path)}: is not a flowtuple file, but named like events; "
            "make a model of them with `train()`"
        )
    if is_of_rows(path):
        raise InvalidArgument(
            f"{os.fspath(path)}: is a flow over rows, which codes nothing; make one with `train()`"
        )


def refuse_simulation(file: File) -> None:
    """Raise if a model that has to describe whole events is a simulation.

    Raises:
        InvalidArgument: It simulates some columns given others.
    """
    if SPEC in file.meta:
        raise InvalidArgument(
            f"{file.path}: simulates events from generated ones; use `simulate()`"
        )


_HIGGS = """label lepton_pt lepton_eta lepton_phi missing_energy_magnitude missing_energy_phi
jet1_pt jet1_eta jet1_phi jet1_btag jet2_pt jet2_eta jet2_phi jet2_btag
jet3_pt jet3_eta jet3_phi jet3_btag jet4_pt jet4_eta jet4_phi jet4_btag
m_jj m_jjj m_lv m_jlv m_bb m_wbb m_wwbb"""
_NANOAOD = (
    *("Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_area", "Jet_rawFactor"),
    *("Jet_jetId", "Jet_nConstituents", "Jet_ch*EF", "Jet_ne*EF", "Jet_muEF"),
)

PRESETS = {
    # UCI HIGGS, .csv[.gz] without header: label, 21 measured and 7 derived columns
    "higgs": Selection(names=tuple(_HIGGS.split()), roles={"label": "label"}),
    "jets4": Selection(names=("m", "pt", "phi", "eta")),
    # the 24 variables of a particle-flow jet
    "jets24": Selection(columns=("Jet_*",), exclude=("Jet_genJetIdx",)),
    **{name: Selection(columns=flow.columns) for name, flow in FLOW_PRESETS.items()},
    # kinematics, areas and energy fractions
    "nanoaod-jets": Selection(columns=_NANOAOD),
}
"""Well-known data sets by name: names and roles of their columns."""


def preset(name: str) -> Selection:
    """Return the selection for a well-known data set: its columns, their names and roles.

    Args:
        name: `higgs`, `jets4`, `jets24`, `nanoaod-jets`, or a published flow such as
            `flashsim-jets`.

    Returns:
        A selection for `compress`, `train` and others.

    Raises:
        InvalidArgument: There is no such preset.

    Example:
        >>> import flowtuple as ft
        >>> len(ft.preset("higgs").names)
        29
    """
    if name not in PRESETS:
        raise InvalidArgument(f"there is no preset {name!r}; {nearest(name, PRESETS)}")
    return PRESETS[name]
