"""Models used as densities: events drawn from them, and events scored by them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import awkward as ak
import numpy as np

from flowtuple.api.inputs import FilePath, check_seed, is_of_rows, refuse_simulation
from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.location import split_tree
from flowtuple.io.source import STORED, Source, WriteOptions, open_dataset, write_dataset
from flowtuple.model.model import EventModel
from flowtuple.reporting.plots import roc_png
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.notebook import Shown
from flowtuple.runtime.old_names import accepts_old, names_tree

if TYPE_CHECKING:
    from flowtuple.flows.tables import RowsModel

Density: TypeAlias = "EventModel | RowsModel"
"""A model of any flow, in tables."""

_NAMED = 8  # columns in the repr of a model


class Model(Shown):
    """A loaded model of any flow: draw and score events, map them to latent space and back.

    Args:
        density: The model, in tables; `load` makes it.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> model = ft.load(path)
        >>> sorted(set(model.sample(1000, seed=1)["n"].tolist()))
        [1, 2, 3]
        >>> model.from_latent(model.to_latent({"n": [3, 1]}))["n"].tolist()
        [3, 1]
    """

    def __init__(self, density: Density) -> None:
        self._density = density

    def facts(self) -> dict[str, object]:
        """Return path, table and columns."""
        names = list(self._density.names)
        return {
            "path": self._density.path,
            "table": self._density.name,
            "columns": len(names),
            "names": ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else ""),
        }

    def sample(
        self, n: int | None = None, seed: int = 0, *, given: Source | None = None
    ) -> ak.Array:
        """Return drawn events, the same for a seed; see `flowtuple.sample`."""
        supplied = None if given is None else open_dataset(given)
        return table_to_awkward(
            read_all(self._density.drawn(n, check_seed(seed), supplied))
        )

    def log_prob(self, events: Source) -> Array:
        """Return the natural log-density of each event, or row: float64, shape (n,)."""
        scores = read_all(self._density.scored(open_dataset(events)), ["log_prob"])
        return np.asarray(scores.data["log_prob"])

    def violations(self, events: Source) -> dict[str, int]:
        """Return how many events violate a rule of the model, by rule in words.

        Rules held for all events that the model learned from. Drawn events obey them, other events
        need not. Flows over rows have none.
        """
        if not isinstance(self._density, EventModel):
            return {}
        return self._density.violations(open_dataset(events))

    def log_det(self, events: Source) -> ak.Array:
        """Return ln|det J| of `to_latent` by event or row: a record with each column's term."""
        return table_to_awkward(self._density.log_det(open_dataset(events)))

    def to_latent(self, events: Source) -> ak.Array:
        """Return latent events: uniform numbers, or standard normal ones for flows over rows.

        The lattice flow leaves ids, counters and given columns unchanged; a value off its lattice
        becomes NaN.
        """
        return table_to_awkward(self._density.to_latent(open_dataset(events)))

    def from_latent(self, latent: Source) -> ak.Array:
        """Return the events of latent ones: the inverse of `to_latent`.

        It is exact for the lattice flow, and exact to rounding for flows over rows.

        Raises:
            Unsupported: A column has more values than latent numbers can number, as lossless
                float64 has.
        """
        return table_to_awkward(read_all(self._density.from_latent(open_dataset(latent))))


@names_tree
def load(path: FilePath) -> Model:
    """Load a model, or a compressed file of which all columns have a density.

    Args:
        path: From `train`, `train_flow` or `compress`; `PATH:TREE` for one of several tables.

    Returns:
        The model.

    Raises:
        InvalidArgument: There is no such file or table, there are several tables, or it is a
            simulation.
        MissingExtra: It is a flow over rows, and PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> ft.load(path).log_prob({"n": [3]}).round(1).tolist()
        [-0.7]
    """
    return Model(_open(path))


def _open(path: FilePath) -> Density:
    name, tree = split_tree(os.fspath(path), STORED)
    if is_of_rows(name):
        require_torch(f"loading {name}")
        from flowtuple.flows.stored import load_model
        from flowtuple.flows.tables import RowsModel

        return RowsModel(name, load_model(name))
    with File(name) as file:
        refuse_simulation(file)
        if tree is None and len(file.tables) > 1:
            names = list(file.tables)
            raise InvalidArgument(
                f"{name}: holds the trees {', '.join(names)}; choose one, such as {name}:{names[0]}"
            )
        table = file.table(tree)
        return EventModel(file.path, table.name, table.coding)


@names_tree
@accepts_old(resources=Resources)
def sample(
    model: FilePath,
    n: int | None = None,
    output: FilePath | None = None,
    *,
    seed: int = 0,
    given: Source | None = None,
    options: WriteOptions | None = None,
    first: int = 0,
    resources: Resources = Resources(),
) -> ak.Array | None:
    """Draw whole events from a model.

    The same seed gives the same events on any machine, with any number of threads.
    Values lie on the lattices of the model. Ids are new: events are numbered from 1, runs and
    luminosity blocks are 1. A flow over rows (`train_flow`) draws rows; on other machines they are
    equal to rounding.

    Args:
        model: A model, or a compressed file of which all columns have a density; `PATH:TREE` for
            one of several tables.
        n: Number of events to draw; with `given` it may be omitted.
        output: A path whose suffix names the format; `None` to return the events.
        seed: From 0 to 2^63 - 1.
        given: Events with some columns of the model. The other columns are drawn conditionally,
            once for each event.
        options: For the output.
        first: Number of events to skip, to write parts of the same events to several files.
        resources: Threads.

    Returns:
        The events; with an output `None`.

    Raises:
        Unsupported: A column has no density.
        InvalidArgument: Neither `n` nor `given` fixes the number of events, or the given columns do
            not fit.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> sorted(set(ft.sample(path, 1000, seed=1)["n"].tolist()))
        [1, 2, 3]
    """
    density = _open(model)
    drawn = density.drawn(
        n,
        check_seed(seed),
        None if given is None else open_dataset(given),
        resources.workers,
    )
    events = select(Dataset(density.path, {drawn.name: drawn}), entries=(first, None))
    return delivered(events, output, options)


def delivered(
    dataset: Dataset, output: FilePath | None, options: WriteOptions | None = None
) -> ak.Array | None:
    """Return the events of a data set's only table, or write them where an output is named."""
    if output is None:
        return table_to_awkward(read_all(dataset.only_table()))
    write_dataset(dataset, output, options or WriteOptions())
    return None


@names_tree
@accepts_old(by_column="columns")
def score(
    model: FilePath,
    source: Source,
    output: FilePath | None = None,
    *,
    against: FilePath | None = None,
    by_column: bool = False,
    label: str | None = None,
) -> ak.Array | None:
    """Return the likelihood of each event under a model.

    A lattice flow has probabilities with respect to counting measure on its lattice: divide by the
    widths of the cells for a density in the columns' units. Ids have no density and do not count. A
    flow over rows scores rows; its densities are in the columns' units, but integers and repeated
    values have probabilities.

    Args:
        model: A model, or a compressed file; `PATH:TREE` for one of several tables.
        source: Events with the columns of the model.
        output: A path whose suffix names the format; `None` to return the scores.
        against: Another model of the same columns on the same lattices (`train(..., like=model)`),
            for the likelihood ratio.
        by_column: Add the bits of each column.
        label: A column of the events to copy to the scores, whether or not the model knows it; see
            `separation`.

    Returns:
        A record array of `log_prob` (natural logarithm), `bits` (code length) and `surprise`: bits
        above the model's own expectation, column by column, in standard deviations. `against` adds
        `log_ratio` (log p of `model` less log p of `against`), `by_column` adds `bits_COLUMN`,
        objects have `event`, and `label` adds that column. With an output `None`.

    Raises:
        InvalidArgument: The events lack a column of the model, or the models do not share their
            lattices.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> ft.score(path, {"n": [3]})["bits"].to_numpy().round(1).tolist()
        [1.0]
    """
    density = _open(model)
    rival: Any = None if against is None else _open(against)
    kinds = {type(density), type(rival)}
    if rival is not None and len(kinds) > 1:
        raise InvalidArgument(
            f"{against} against {density.path}: flows of different kinds do not share a measure"
        )
    dataset = open_dataset(source)
    scores = density.scored(dataset, rival, by_column=by_column)
    if label is not None:
        if label in density.names:
            raise InvalidArgument(
                f"{density.path}: has learned the label {label!r}; train it with `exclude=` {label}"
            )
        known, labels = read_all(scores), density.labels(dataset, label)
        columns = (*known.columns, Column("label", str(labels.dtype)))
        scores = replace(known, columns=columns, data={**known.data, "label": labels})
    return delivered(Dataset(dataset.description, {"scores": scores}), output)


def separation(scores: ak.Array, plot: FilePath | None = None) -> dict[str, Area]:
    """Return the area under the ROC curve of each score, as a classifier of labelled rows.

    Large scores mean unlike the model: `-log_ratio` (optimal, if `against` is a model of the
    signal), `surprise`, and `-log_prob`, which mostly counts objects. Rows without a score are left
    out.

    Args:
        scores: From `score` with a label; rows with a label above the smallest are signal.
        plot: A PNG file for the ROC curves.

    Returns:
        The area, between 0 and 1, with its 95 % interval, by name of the score; the most promising
        first.

    Raises:
        InvalidArgument: There is no label, or all labels are equal.

    Example:
        >>> import awkward as ak
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> draw = np.random.default_rng(0)
        >>> columns = {"log_prob": draw.normal(0, 1, 100), "surprise": np.arange(100.0)}
        >>> scores = ak.Array(columns | {"label": np.arange(100) > 50})
        >>> ft.separation(scores)["surprise"].value
        1.0
    """
    if "label" not in scores.fields:
        raise InvalidArgument("the scores have no label; name its column with `label=`")
    labels = np.asarray(scores["label"], np.float64)
    event = (
        np.asarray(scores["event"])
        if "event" in scores.fields
        else np.arange(len(scores))
    )
    values = {}
    for name in ("-log_ratio", "surprise", "-log_prob"):
        field = name.removeprefix("-")
        if field in scores.fields:
            values[name] = np.asarray(scores[field]) * (1 if name == field else -1)
    defined = ~np.isnan(np.stack([labels, *values.values()])).any(axis=0)
    signal = labels[defined] > labels[defined].min(initial=np.inf)
    values = {name: numbers[defined] for name, numbers in values.items()}
    areas = {
        name: area_under_roc(numbers, signal, None, event[defined])
        for name, numbers in values.items()
    }
    if plot is not None:
        drawn = roc_png(
            values, signal, {name: area.value for name, area in areas.items()}
        )
        with atomic_path(plot) as temporary:
            temporary.write_bytes(drawn)
    return areas


def write(events: ak.Array, output: FilePath) -> None:
    """Write records in memory to a file whose suffix names the format."""
    write_dataset(open_dataset(events), output)
