"""A `RowModel` as a generator and a density: rows drawn, scored, and led to latent ones and back, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flowtuple.density.surprise import EVENTS, Expectation
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.generative.model import BLOCK, RowModel
from flowtuple.rows import Rows, read_rows
from flowtuple.schema import Array, Column
from flowtuple.table import Dataset, Table, TableSource, ranges

_SEED = 0x5EED


class RowsModel:
    """A flow over rows under the name of its file.

    Args:
        path: What the model is called in messages.
        model: The flow.
    """

    def __init__(self, path: str, model: RowModel) -> None:
        self.path, self.model = path, model
        self.name = "rows"

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns that the model knows."""
        return self.model.columns

    def drawn(self, n: int | None, seed: int, given: Dataset | None = None, workers: int | None = None) -> TableSource:
        """Rows drawn from the model, as a table that is made while it is read.

        Raises:
            InvalidArgument: Without `n`.
            Unsupported: With given columns.
        """
        if given is not None:
            raise Unsupported(
                f"{self.path}: a {self.model.kind} flow of all columns draws nothing for given ones; train --flow lattice"
            )
        if n is None or n < 0:
            raise InvalidArgument(f"{self.path}: how many rows are to be drawn? say it with -n")
        return _Made(self, n, lambda start, stop: self.model.draw(seed, start, stop))

    def rows(self, dataset: Dataset) -> Rows:
        """The rows of a data set that the model speaks of, those with a NaN among them.

        Raises:
            InvalidArgument: A column of the model is missing, or one of its values has no place in the model.
        """
        rows = read_rows(dataset, keep_undefined=True, exactly=self.model.columns)
        return rows.only(self.model.columns)

    def labels(self, dataset: Dataset, name: str) -> Array:
        """A column with one number an event, or an object, for each row that is scored: shape (n,).

        Raises:
            InvalidArgument: There is no such column.
        """
        try:
            labels = read_rows(dataset, (), name, keep_undefined=True, exactly=self.model.columns).weights
        except InvalidArgument as error:
            raise InvalidArgument(str(error).replace("column of weights", "column of labels")) from None
        return np.zeros(0) if labels is None else labels

    def scored(self, dataset: Dataset, against: RowsModel | None = None, *, by_column: bool = False) -> TableSource:
        """The scores of rows; see `flowtuple.score`.

        Raises:
            InvalidArgument: The rows lack a column of the model, or the models have different ones.
        """
        rows = self.rows(dataset)
        bits = self.model.bits(rows.values)
        expected = Expectation.of(self.model.bits(self.model.draw(_SEED, 0, EVENTS)))
        data: dict[str, Array] = {} if rows.counter is None else {"event": rows.event.astype(np.int64)}
        total = bits.sum(axis=1)
        data |= {"log_prob": -np.log(2.0) * total, "bits": total, "surprise": expected.surprise(bits)}
        if against is not None:
            if set(against.model.columns) != set(self.model.columns):
                raise InvalidArgument(f"{against.path} against {self.path}: has other columns")
            other = against.model.bits(rows.only(against.model.columns).values).sum(axis=1)
            data["log_ratio"] = np.log(2.0) * (other - total)
        if by_column:
            data |= {f"bits_{name}": bits[:, k] for k, name in enumerate(self.model.columns)}
        columns = tuple(Column(name, str(values.dtype)) for name, values in data.items())
        return Table("scores", columns, len(rows), data)

    def log_det(self, dataset: Dataset) -> Table:
        """What each column adds to ln|det| of the map from rows to standard normal ones, preprocessing included."""
        _, ladj = self.model.to_latent(self.rows(dataset).values)
        columns = tuple(Column(name, "float64") for name in self.model.columns)
        return Table("log_det", columns, len(ladj), {c.name: ladj[:, k] for k, c in enumerate(columns)})

    def to_latent(self, dataset: Dataset) -> Table:
        """The latent rows of a data set's; a value that stands for a cell is led from its middle."""
        z, _ = self.model.to_latent(self.rows(dataset).values)
        columns = tuple(Column(name, "float64") for name in self.model.columns)
        return Table(self.name, columns, len(z), {c.name: z[:, k] for k, c in enumerate(columns)})

    def from_latent(self, dataset: Dataset, workers: int | None = None) -> TableSource:
        """The rows of latent ones, as a table that is made while it is read."""
        z = self.rows(dataset).values
        return _Made(self, len(z), lambda start, stop: self.model.from_latent(z[start:stop]))


class _Made:
    """Rows in the columns' types, a `TableSource` that makes what is read of it."""

    def __init__(self, model: RowsModel, n: int, make: Callable[[int, int], Array]) -> None:
        self.name, self.num_entries = model.name, n
        self.columns = tuple(Column(name, d) for name, d in zip(model.model.columns, model.model.dtypes, strict=True))
        self._make = make

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """A range of the rows."""
        stop = min(stop, self.num_entries)
        parts = [self._make(start + a, start + b) for a, b in ranges(max(0, stop - start), BLOCK)]
        values = np.concatenate(parts) if parts else np.empty((0, len(self.columns)))
        kept = [(k, c) for k, c in enumerate(self.columns) if c.name in columns]
        data = {c.name: values[:, k].astype(c.dtype) for k, c in kept}
        return Table(self.name, tuple(c for _, c in kept), len(values), data)
