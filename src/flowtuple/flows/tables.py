"""A `RowModel` as a generator and a density of tables: draw, score, map to latent rows and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flowtuple.data.row_source import escaped, read_conditions, read_rows
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
        path: Name of the model in messages.
        model: The flow.
    """

    def __init__(self, path: str, model: RowModel) -> None:
        self.path = path
        self.model = model
        self.name = "rows"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns and conditions of the model."""
        return (*self.model.columns, *self.model.context.columns)

    def drawn(
        self,
        n: int | None,
        seed: int,
        given: Dataset | None = None,
        workers: int | None = None,
    ) -> TableSource:
        """Return drawn rows with their conditions, as a table that is made while it is read.

        Args:
            n: Number of rows; by default one for each row of the conditions.
            seed: Equal seeds give equal rows.
            given: A data set with the conditions.
            workers: Not used; a flow draws in one thread.

        Raises:
            InvalidArgument: `n` is missing or too large, or the conditions are missing.
            Unsupported: The model has no conditions.
        """
        if self.model.context.columns:
            return self._drawn_under(n, seed, given)
        if given is not None:
            raise Unsupported(
                f"{self.path}: a {self.model.kind} flow of all columns draws nothing for given "
                "ones; train one with `given=`"
            )
        if n is None or n < 0:
            raise InvalidArgument(
                f"{self.path}: how many rows are to be drawn? say it with `n=`"
            )
        return self._table(n, lambda start, stop: self.model.draw(seed, start, stop))

    def _drawn_under(self, n: int | None, seed: int, given: Dataset | None) -> TableSource:
        names = self.model.context.columns
        if given is None:
            raise InvalidArgument(
                f"{self.path}: draws given {', '.join(names)}; name a file that has them with "
                "`given=`"
            )
        context = read_conditions(given, names).values
        count = len(context) if n is None else n
        if not 0 <= count <= len(context):
            raise InvalidArgument(
                f"{self.path}: cannot draw {count} rows from {len(context)} given ones"
            )

        def make(start: int, stop: int) -> Array:
            return self.model.draw(seed, start, stop, context[start:stop])

        return self._table(count, make, context)

    def rows(self, dataset: Dataset) -> Rows:
        """Read the rows of a data set in the columns of the model, including those with a NaN.

        Raises:
            InvalidArgument: A column of the model is missing, or one of its values has no place
                in the model.
        """
        names = self.model.context.columns
        rows = read_rows(
            dataset,
            keep_undefined=True,
            exactly=self.model.columns,
            conditions=escaped(names),
        )
        conditions = None if rows.conditions is None else rows.conditions.only(names)
        return replace(rows.only(self.model.columns), conditions=conditions)

    def labels(self, dataset: Dataset, name: str) -> Array:
        """Read a column with one number for each event or object that is scored, shape (n,).

        Raises:
            InvalidArgument: There is no such column.
        """
        try:
            labels = read_rows(
                dataset, (), name, keep_undefined=True, exactly=self.model.columns
            ).weights
        except InvalidArgument as error:
            message = str(error).replace("column of weights", "column of labels")
            raise InvalidArgument(message) from None
        return np.zeros(0) if labels is None else labels

    def scored(
        self, dataset: Dataset, against: RowsModel | None = None, *, by_column: bool = False
    ) -> TableSource:
        """Score rows; see `flowtuple.score`.

        Args:
            dataset: The rows.
            against: Another model, for the logarithm of the ratio of densities.
            by_column: Add the bits of each column.

        Raises:
            InvalidArgument: The rows lack a column of the model, or the models differ in columns.
        """
        rows = self.rows(dataset)
        bits = self.model.bits(rows.values, _context(rows))
        total = bits.sum(axis=1)
        data: dict[str, Array] = {}
        if rows.counter is not None:
            data["event"] = rows.event.astype(np.int64)
        data["log_prob"] = -np.log(2.0) * total
        data["bits"] = total
        data["surprise"] = self._expectation(_context(rows)).surprise(bits)
        if against is not None:
            if set(against.names) != set(self.names) or set(against.model.columns) != set(
                self.model.columns
            ):
                raise InvalidArgument(
                    f"{against.path} against {self.path}: has other columns"
                )
            others = against.rows(dataset)
            other = against.model.bits(others.values, _context(others)).sum(axis=1)
            data["log_ratio"] = np.log(2.0) * (other - total)
        if by_column:
            data |= {f"bits_{name}": bits[:, k] for k, name in enumerate(self.model.columns)}
        columns = tuple(Column(name, str(values.dtype)) for name, values in data.items())
        return Table("scores", columns, len(rows), data)

    def _expectation(self, context: Array | None) -> Expectation:
        """Return the bits that rows of the model itself have, under conditions like these."""
        some = None if context is None else _spread(context, EVENTS)
        count = EVENTS if some is None else len(some)
        return Expectation.of(self.model.bits(self.model.draw(_SEED, 0, count, some), some))

    def log_det(self, dataset: Dataset) -> Table:
        """Return the share of each column in ln|det| of the map to latent rows."""
        rows = self.rows(dataset)
        _, ladj = self.model.to_latent(rows.values, context=_context(rows))
        columns = tuple(Column(name, "float64") for name in self.model.columns)
        data = {c.name: ladj[:, k] for k, c in enumerate(columns)}
        return Table("log_det", columns, len(ladj), data)

    def to_latent(self, dataset: Dataset) -> Table:
        """Return latent rows with their conditions; cells are taken at their middles."""
        rows = self.rows(dataset)
        z, _ = self.model.to_latent(rows.values, context=_context(rows))
        columns = tuple(Column(name, "float64") for name in self.model.columns)
        data = {c.name: z[:, k] for k, c in enumerate(columns)} | self._typed(_context(rows))
        return Table(self.name, columns + self._context_columns, len(z), data)

    def from_latent(self, dataset: Dataset, workers: int | None = None) -> TableSource:
        """Return the rows of latent ones, as a table that is made while it is read.

        Args:
            dataset: The latent rows, with their conditions.
            workers: Not used; a flow computes in one thread.
        """
        rows = self.rows(dataset)
        z, context = rows.values, _context(rows)

        def make(start: int, stop: int) -> Array:
            some = None if context is None else context[start:stop]
            return self.model.from_latent(z[start:stop], some)

        return self._table(len(z), make, context)

    @property
    def _context_columns(self) -> tuple[Column, ...]:
        context = self.model.context
        return tuple(map(Column, context.columns, context.dtypes))

    def _typed(self, context: Array | None) -> dict[str, Array]:
        """Return conditions as columns in their types."""
        if context is None:
            return {}
        return {
            c.name: context[:, k].astype(c.dtype) for k, c in enumerate(self._context_columns)
        }

    def _table(
        self, n: int, make: Callable[[int, int], Array], context: Array | None = None
    ) -> GeneratedRows:
        columns = tuple(map(Column, self.model.columns, self.model.dtypes))
        conditions = self._typed(context)
        return GeneratedRows(self.name, columns, n, make, self._context_columns, conditions)


def _context(rows: Rows) -> Array | None:
    return None if rows.conditions is None else rows.conditions.values


def _spread(context: Array, count: int) -> Array:
    """Return at most so many of the defined rows, evenly spread; one of zeros if there are none."""
    context = context[np.isfinite(context).all(axis=1)]
    if not len(context):
        return np.zeros((1, context.shape[1]))
    chosen = np.linspace(0, len(context), min(count, len(context)), endpoint=False)
    return context[chosen.astype(np.int64)]
