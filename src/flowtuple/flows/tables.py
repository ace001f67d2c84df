"""A `RowModel` as a generator and a density: rows drawn, scored, and led to latent ones and back, as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flowtuple.data.row_columns import escaped
from flowtuple.data.row_source import read_conditions, read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, TableSource
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.flows.generated_rows import GeneratedRows
from flowtuple.flows.model import RowModel
from flowtuple.model.surprise import EVENTS, Expectation

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
        return (*self.model.columns, *self.model.given.columns)

    def drawn(
        self, n: int | None, seed: int, given: Dataset | None = None, workers: int | None = None
    ) -> TableSource:
        """Rows drawn from the model, as a table that is made while it is read; with conditions, these beside them.

        Raises:
            InvalidArgument: Without `n`, or without the conditions of a model that has some.
            Unsupported: With given columns, of a model that has no conditions.
        """
        if self.model.given.columns:
            return self._drawn_given(n, seed, given)
        if given is not None:
            raise Unsupported(
                f"{self.path}: a {self.model.kind} flow of all columns draws nothing for given ones; train one with --given"
            )
        if n is None or n < 0:
            raise InvalidArgument(f"{self.path}: how many rows are to be drawn? say it with -n")
        return self._made(n, lambda start, stop: self.model.draw(seed, start, stop))

    def _drawn_given(self, n: int | None, seed: int, given: Dataset | None) -> TableSource:
        names = self.model.given.columns
        if given is None:
            raise InvalidArgument(
                f"{self.path}: draws given {', '.join(names)}; name a file that has them with --given"
            )
        known = read_conditions(given, names).values
        count = len(known) if n is None else n
        if not 0 <= count <= len(known):
            raise InvalidArgument(
                f"{self.path}: cannot draw {count} rows from {len(known)} given ones"
            )
        return self._made(
            count, lambda start, stop: self.model.draw(seed, start, stop, known[start:stop]), known
        )

    def rows(self, dataset: Dataset) -> Rows:
        """The rows of a data set that the model speaks of, those with a NaN among them.

        Raises:
            InvalidArgument: A column of the model is missing, or one of its values has no place in the model.
        """
        names = self.model.given.columns
        rows = read_rows(
            dataset, keep_undefined=True, exactly=self.model.columns, conditions=escaped(names)
        )
        conditions = None if rows.conditions is None else rows.conditions.only(names)
        return replace(rows.only(self.model.columns), conditions=conditions)

    def labels(self, dataset: Dataset, name: str) -> Array:
        """A column with one number an event, or an object, for each row that is scored: shape (n,).

        Raises:
            InvalidArgument: There is no such column.
        """
        try:
            labels = read_rows(
                dataset, (), name, keep_undefined=True, exactly=self.model.columns
            ).weights
        except InvalidArgument as error:
            raise InvalidArgument(
                str(error).replace("column of weights", "column of labels")
            ) from None
        return np.zeros(0) if labels is None else labels

    def scored(
        self, dataset: Dataset, against: RowsModel | None = None, *, by_column: bool = False
    ) -> TableSource:
        """The scores of rows; see `flowtuple.score`.

        Raises:
            InvalidArgument: The rows lack a column of the model, or the models have different ones.
        """
        rows = self.rows(dataset)
        given = _values(rows)
        bits = self.model.bits(rows.values, given)
        some = None if given is None else _resized(given, EVENTS)
        expected = Expectation.of(
            self.model.bits(
                self.model.draw(_SEED, 0, EVENTS if some is None else len(some), some), some
            )
        )
        data: dict[str, Array] = (
            {} if rows.counter is None else {"event": rows.event.astype(np.int64)}
        )
        total = bits.sum(axis=1)
        data |= {
            "log_prob": -np.log(2.0) * total,
            "bits": total,
            "surprise": expected.surprise(bits),
        }
        if against is not None:
            if set(against.names) != set(self.names) or set(against.model.columns) != set(
                self.model.columns
            ):
                raise InvalidArgument(f"{against.path} against {self.path}: has other columns")
            theirs = against.rows(dataset)
            other = against.model.bits(theirs.values, _values(theirs)).sum(axis=1)
            data["log_ratio"] = np.log(2.0) * (other - total)
        if by_column:
            data |= {f"bits_{name}": bits[:, k] for k, name in enumerate(self.model.columns)}
        columns = tuple(Column(name, str(values.dtype)) for name, values in data.items())
        return Table("scores", columns, len(rows), data)

    def log_det(self, dataset: Dataset) -> Table:
        """What each column adds to ln|det| of the map from rows to standard normal ones, preprocessing included."""
        rows = self.rows(dataset)
        _, ladj = self.model.to_latent(rows.values, given=_values(rows))
        columns = tuple(Column(name, "float64") for name in self.model.columns)
        return Table(
            "log_det", columns, len(ladj), {c.name: ladj[:, k] for k, c in enumerate(columns)}
        )

    def to_latent(self, dataset: Dataset) -> Table:
        """The latent rows of a data set's, with what is given; a value that stands for a cell is led from its middle."""
        rows = self.rows(dataset)
        z, _ = self.model.to_latent(rows.values, given=_values(rows))
        columns = tuple(Column(name, "float64") for name in self.model.columns)
        data = {c.name: z[:, k] for k, c in enumerate(columns)} | self.beside(_values(rows))
        return Table(self.name, columns + self.given_columns, len(z), data)

    @property
    def given_columns(self) -> tuple[Column, ...]:
        """Of the conditions."""
        given = self.model.given
        return tuple(
            Column(name, dtype) for name, dtype in zip(given.columns, given.dtypes, strict=True)
        )

    def beside(self, given: Array | None) -> dict[str, Array]:
        """The conditions of some rows as columns in their types."""
        return (
            {}
            if given is None
            else {c.name: given[:, k].astype(c.dtype) for k, c in enumerate(self.given_columns)}
        )

    def from_latent(self, dataset: Dataset, workers: int | None = None) -> TableSource:
        """The rows of latent ones, as a table that is made while it is read."""
        rows = self.rows(dataset)
        z, given = rows.values, _values(rows)

        def make(start: int, stop: int) -> Array:
            return self.model.from_latent(
                z[start:stop], None if given is None else given[start:stop]
            )

        return self._made(len(z), make, given)

    def _made(
        self, n: int, make: Callable[[int, int], Array], given: Array | None = None
    ) -> GeneratedRows:
        columns = [
            Column(name, dtype)
            for name, dtype in zip(self.model.columns, self.model.dtypes, strict=True)
        ]
        return GeneratedRows(self.name, columns, n, make, self.given_columns, self.beside(given))


def _values(rows: Rows) -> Array | None:
    return None if rows.conditions is None else rows.conditions.values


def _resized(given: Array, count: int) -> Array:
    """At most so many of the rows that are defined, evenly spread; zeros where none is."""
    given = given[np.isfinite(given).all(axis=1)]
    if not len(given):
        return np.zeros((1, given.shape[1]))
    return given[
        np.linspace(0, len(given), min(count, len(given)), endpoint=False).astype(np.int64)
    ]
