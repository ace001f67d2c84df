"""Models used as densities: events drawn from them, and events scored by them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from flowtuple.api.inputs import FilePath, check_seed, is_of_rows, refuse_simulation
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Array
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.location import split_tree
from flowtuple.io.source import STORED, Source, WriteOptions, open_dataset, write_dataset
from flowtuple.model.model import EventModel
from flowtuple.model.run_trees import with_run_trees
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.lazy_packages import awkward as ak
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
    return Model(open_density(path))


def open_density(path: FilePath) -> Density:
    """Open a model of any flow; arguments and errors as of `load`."""
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
    run: int = 1,
    resources: Resources = Resources(),
) -> ak.Array | None:
    """Draw whole events from a model.

    The same seed gives the same events on any machine, with any number of threads.
    Values lie on the lattices of the model. Ids are new: events are numbered from 1, all of one run
    and of luminosity block 1. Beside events with these three ids, a ROOT file holds the trees
    `Runs`, with the sums of `genWeight`, and `LuminosityBlocks`, as NanoAOD. A flow over rows
    (`train_flow`) draws rows; on other machines they are equal to rounding.

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
        run: Number of the run of all events; another for each seed keeps their ids apart.
        resources: Threads.

    Returns:
        The events; with an output `None`.

    Raises:
        Unsupported: A column has no density.
        InvalidArgument: Neither `n` nor `given` fixes the number of events, the given columns do
            not fit, or the run is out of range.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> sorted(set(ft.sample(path, 1000, seed=1)["n"].tolist()))
        [1, 2, 3]
    """
    if given is not None and run != 1:
        raise InvalidArgument("`run=` numbers drawn events; with `given=` leave it out")
    density = open_density(model)
    drawn = density.drawn(
        n,
        check_seed(seed),
        None if given is None else open_dataset(given),
        resources.workers,
    )
    events = select(Dataset(density.path, {drawn.name: drawn}), entries=(first, None))
    if given is None:
        events = with_run_trees(events, run)
        if output is None or not os.fspath(output).lower().endswith(".root"):
            # Other formats, and arrays, hold one table.
            events = Dataset(events.description, {drawn.name: events.tables[drawn.name]})
    return delivered(events, output, options)


def delivered(
    dataset: Dataset, output: FilePath | None, options: WriteOptions | None = None
) -> ak.Array | None:
    """Return the events of a data set's only table, or write them where an output is named."""
    if output is None:
        return table_to_awkward(read_all(dataset.only_table()))
    write_dataset(dataset, output, options or WriteOptions())
    return None


def write(events: ak.Array, output: FilePath) -> None:
    """Write records in memory to a file whose suffix names the format."""
    write_dataset(open_dataset(events), output)
