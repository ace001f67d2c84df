"""A model at work without a file to code: events drawn from it, and events scored by it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import awkward as ak
import numpy as np

from flowtuple.api.inputs import check_seed, is_of_rows
from flowtuple.api.simulating import refuse_simulation
from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, Table, TableSource, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.io.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.model.model import EventModel
from flowtuple.reporting.roc import roc_png
from flowtuple.runtime.atomic import atomic_path


class Density(Protocol):
    """What every model can do, in tables."""

    path: str
    name: str

    @property
    def names(self) -> Sequence[str]: ...

    def drawn(
        self, n: int | None, seed: int, given: Dataset | None = None, workers: int | None = None
    ) -> TableSource: ...

    def labels(self, dataset: Dataset, name: str) -> Array: ...

    def scored(
        self, dataset: Dataset, against: Any = None, *, by_column: bool = False
    ) -> TableSource: ...

    def log_det(self, dataset: Dataset) -> Table: ...

    def to_latent(self, dataset: Dataset) -> Table: ...

    def from_latent(self, dataset: Dataset, workers: int | None = None) -> TableSource: ...


Path: TypeAlias = "str | os.PathLike[str]"


class Model:
    """A model at hand, of whatever flow: draw, score, to latent and back, in awkward arrays.

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
        self.density = density

    def sample(
        self, n: int | None = None, seed: int = 0, *, given: Source | None = None
    ) -> ak.Array:
        """Events, the same for a seed; see `flowtuple.sample`."""
        return table_to_awkward(
            read_all(
                self.density.drawn(
                    n, check_seed(seed), None if given is None else open_dataset(given)
                )
            )
        )

    def log_prob(self, events: Source) -> Array:
        """Natural logarithm of the density of each event, or row: float64, shape (n,)."""
        scores = read_all(self.density.scored(open_dataset(events)), ["log_prob"])
        return np.asarray(scores.data["log_prob"])

    def log_det(self, events: Source) -> ak.Array:
        """ln|det J| of `to_latent` as a record an event, or row: what each column adds."""
        return table_to_awkward(self.density.log_det(open_dataset(events)))

    def to_latent(self, events: Source) -> ak.Array:
        """Latent events: uniform numbers for the lattice flow, standard normal ones for the others, if the model is right.

        The lattice flow leaves ids, counters and given columns as they are; a value off its lattice is NaN.
        """
        return table_to_awkward(self.density.to_latent(open_dataset(events)))

    def from_latent(self, latent: Source) -> ak.Array:
        """The events of latent ones: the inverse of `to_latent`, exactly for the lattice flow, to rounding for the others.

        Raises:
            Unsupported: A column has more values than latent numbers tell apart, as lossless float64 has.
        """
        return table_to_awkward(read_all(self.density.from_latent(open_dataset(latent))))


def load(path: Path, tree: str | None = None) -> Model:
    """A model, or a compressed file in its place, of which all columns have a density.

    Args:
        path: From `train` or `compress`.
        tree: Table of the model; may be left out where there is one.
    """
    return Model(_open(path, tree))


def _open(path: Path, tree: str | None) -> Density:
    if is_of_rows(path):
        from flowtuple.flows.stored import load_model
        from flowtuple.flows.tables import RowsModel

        return RowsModel(os.fspath(path), load_model(path))
    with File(path) as file:
        refuse_simulation(file)
        table = file.table(tree)
        return EventModel(file.path, table.name, table.coding)


def sample(
    model: Path,
    n: int | None = None,
    output: Path | None = None,
    *,
    seed: int = 0,
    given: Source | None = None,
    tree: str | None = None,
    workers: int | None = None,
    options: WriteOptions | None = None,
    first: int = 0,
) -> ak.Array | None:
    """Draw whole events from a model; the same seed gives the same events on any machine, by any number of threads.

    Values lie on the lattices of the model. Ids are new: events are numbered from 1, runs and luminosity blocks are 1.
    A flow over rows (`train(..., flow="nsf")`) draws rows, equal to rounding on other machines.

    Args:
        model: A model from `train`, or a compressed file of which all columns have a density.
        n: Events to draw; may be left out with `given`.
        output: A path whose suffix names the format; `None` to return the events.
        seed: From 0 to 2^63 - 1.
        given: Has columns of the model; the others are drawn conditionally on these, one event for each of theirs.
        tree: Table of the model; may be left out where there is one.
        workers: Threads; `None` for one per core. The events do not depend on it.
        options: For the output.
        first: Leave out as many events at the beginning: files of parts of the same events.

    Raises:
        Unsupported: A column has no density.
        InvalidArgument: Neither `n` nor `given` says how many events, or the given columns do not fit.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> sorted(set(ft.sample(path, 1000, seed=1)["n"].tolist()))
        [1, 2, 3]
    """
    density = _open(model, tree)
    drawn = density.drawn(
        n, check_seed(seed), None if given is None else open_dataset(given), workers
    )
    events = select(Dataset(density.path, {drawn.name: drawn}), entries=(first, None))
    if output is None:
        return table_to_awkward(read_all(events.table(drawn.name)))
    write_dataset(events, output, options or WriteOptions())
    return None


def score(
    model: Path,
    source: Source,
    output: Path | None = None,
    *,
    against: Path | None = None,
    columns: bool = False,
    label: str | None = None,
    tree: str | None = None,
) -> ak.Array | None:
    """How likely a model finds events: one number, or several, for each of them.

    Densities of the lattice flow are probabilities with respect to counting measure on the model's lattice: divide by the
    cells' widths for a density in the columns' units. Ids have none and never enter. A flow over rows scores rows; its
    densities are in the columns' units, but for integers and repeated values, which have probabilities.

    Args:
        model: A model from `train`, or a compressed file.
        source: Events with the columns of the model.
        output: A path whose suffix names the format; `None` to return the scores.
        against: Another model of the same columns on the same lattices (`train(..., like=model)`); adds the likelihood ratio.
        columns: Add the bits of each column.
        label: A column of the events to copy beside the scores, whether or not the model knows it; see `separation`.
        tree: Table of the model; may be left out where there is one.

    Returns:
        A record array of `log_prob` (natural logarithm), `bits` (code length), `surprise` (bits beyond what the model
        expects of its own events, column by column, in standard deviations), with `against` also `log_ratio` (log p of
        `model` less log p of `against`), with `columns` also `bits_COLUMN`; of objects also `event`; with `label` that.

    Raises:
        InvalidArgument: The events lack a column of the model, or the models do not share their lattices.
    """
    density, rival = _open(model, tree), None if against is None else _open(against, tree)
    if rival is not None and type(rival) is not type(density):
        raise InvalidArgument(
            f"{against} against {density.path}: flows of different kinds do not share a measure"
        )
    dataset = open_dataset(source)
    scores = density.scored(dataset, rival, by_column=columns)
    if label is not None:
        if label in density.names:
            raise InvalidArgument(
                f"{density.path}: has learned the label {label!r}; train it with --exclude {label}"
            )
        scores = _labelled(read_all(scores), density.labels(dataset, label))
    if output is None:
        return table_to_awkward(read_all(scores))
    write_dataset(Dataset(dataset.description, {"scores": scores}), output, WriteOptions())
    return None


def _labelled(scores: Table, labels: Array) -> Table:
    column = Column("label", str(labels.dtype))
    return Table(
        scores.name, (*scores.columns, column), scores.num_entries, {**scores.data, "label": labels}
    )


def separation(scores: ak.Array, plot: Path | None = None) -> dict[str, Area]:
    """How well scores tell labelled rows from the others: the area under the ROC curve of each score, the best first to try.

    Large means unlike the model: `-log_ratio` (with `against` the model of what is looked for, the best there can be),
    `surprise`, and `-log_prob`, which mostly counts objects. Rows without a score are left out.

    Args:
        scores: From `score` with a label; rows whose label is above the smallest are those looked for.
        plot: A PNG file for the ROC curves.

    Raises:
        InvalidArgument: There is no label, or one value of it.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> scores = ak.Array({"log_prob": draw.normal(0, 1, 100), "surprise": np.arange(100.0), "label": np.arange(100) > 50})
        >>> separation(scores)["surprise"].value
        1.0
    """
    if "label" not in scores.fields:
        raise InvalidArgument("the scores have no label; name its column with label=")
    labels = np.asarray(scores["label"], np.float64)
    event = np.asarray(scores["event"]) if "event" in scores.fields else np.arange(len(scores))
    kinds = {"-log_ratio": "log_ratio", "surprise": "surprise", "-log_prob": "log_prob"}
    values = {
        n: np.asarray(scores[f]) * (-1 if n.startswith("-") else 1)
        for n, f in kinds.items()
        if f in scores.fields
    }
    kept = ~np.isnan(np.stack([labels, *values.values()])).any(axis=0)
    wanted = labels[kept] > labels[kept].min(initial=np.inf)
    values = {name: numbers[kept] for name, numbers in values.items()}
    found = {
        name: area_under_roc(numbers, wanted, None, event[kept]) for name, numbers in values.items()
    }
    if plot is not None:
        with atomic_path(plot) as temporary:
            temporary.write_bytes(
                roc_png(values, wanted, {name: area.value for name, area in found.items()})
            )
    return found


def write(events: ak.Array, output: Path) -> None:
    """Write records in memory to a file whose suffix names the format."""
    write_dataset(open_dataset(events), output)
