"""A `RowModel` as a generator and a density of tables: draw, score, map to latent rows and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from flowtuple.data.row_source import escaped, read_conditions, read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, TableSource, ranges
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.flows.model import BLOCK, RowModel
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
        names = self.model.context.columns
        if given is not None and not names:
            raise Unsupported(
                f"{self.path}: a {self.model.kind} flow of all columns draws nothing for given "
                "ones; train one with `given=`"
            )
        if given is None and names:
            raise InvalidArgument(
                f"{self.path}: draws given {', '.join(names)}; name a file that has them with "
                "`given=`"
            )
        if given is None:
            if n is None or n < 0:
                raise InvalidArgument(
                    f"{self.path}: how many rows are to be drawn? say it with `n=`"
                )
            return self._table(n, partial(self.model.draw, seed), np.empty((n, 0)))
        context = read_conditions(given, names).values
        count = len(context) if n is None else n
        if not 0 <= count <= len(context):
            raise InvalidArgument(
                f"{self.path}: cannot draw {count} rows from {len(context)} given ones"
            )
        return self._table(count, partial(self.model.draw, seed), context)

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
        return rows.only(self.model.columns, names)

    def labels(self, dataset: Dataset, name: str, kind: str = "labels") -> Array:
        """Read labels or weights, one for each event or object that is scored, shape (n,).

        Raises:
            InvalidArgument: There is no such column.
        """
        try:
            labels = read_rows(
                dataset, (), name, keep_undefined=True, exactly=self.model.columns
            ).weights
        except InvalidArgument as error:
            message = str(error).replace("column of weights", f"column of {kind}")
            raise InvalidArgument(message) from None
        return np.zeros(0) if labels is None else labels

    def scored(
        self,
        dataset: Dataset,
        against: RowsModel | None = None,
        *,
        by_column: bool = False,
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
        bits = self.model.bits(rows.values, rows.context)
        total = bits.sum(axis=1)
        data: dict[str, Array] = {}
        if rows.counter is not None:
            data["event"] = rows.event.astype(np.int64)
        data["log_prob"] = -np.log(2.0) * total
        data["bits"] = total
        data["surprise"] = self._expectation(rows.context).surprise(bits)
        if against is not None:
            if set(against.names) != set(self.names) or set(against.model.columns) != set(
                self.model.columns
            ):
                raise InvalidArgument(
                    f"{against.path} against {self.path}: has other columns"
                )
            others = against.rows(dataset)
            other = against.model.bits(others.values, others.context)
            data["log_ratio"] = np.log(2.0) * (other.sum(axis=1) - total)
        if by_column:
            names = self.model.columns
            data |= {f"bits_{name}": bits[:, k] for k, name in enumerate(names)}
            if against is not None:
                places = [against.model.columns.index(name) for name in names]
                shares = np.log(2.0) * (other[:, places] - bits)
                data |= {
                    f"log_ratio_{name}": shares[:, k] for k, name in enumerate(names)
                }
        return _as_table("scores", data)

    def _expectation(self, context: Array) -> Expectation:
        """Return the bits that rows of the model itself have, under conditions like these."""
        some = np.empty((EVENTS, 0))
        if self.model.context.columns:
            some = _spread(context, EVENTS)
        drawn = self.model.draw(_SEED, 0, len(some), some)
        return Expectation.of(self.model.bits(drawn, some))

    def log_det(self, dataset: Dataset) -> Table:
        """Return the share of each column in ln|det| of the map to latent rows."""
        rows = self.rows(dataset)
        _, ladj = self.model.to_latent(rows.values, context=rows.context)
        return _as_table("log_det", dict(zip(self.model.columns, ladj.T, strict=True)))

    def to_latent(self, dataset: Dataset) -> Table:
        """Return latent rows with their conditions; cells are taken at their middles."""
        rows = self.rows(dataset)
        z, _ = self.model.to_latent(rows.values, context=rows.context)
        latent = dict(zip(self.model.columns, z.T, strict=True))
        return _as_table(self.name, latent | self._typed(rows.context))

    def from_latent(self, dataset: Dataset, workers: int | None = None) -> TableSource:
        """Return the rows of latent ones, as a table that is made while it is read.

        Args:
            dataset: The latent rows, with their conditions.
            workers: Not used; a flow computes in one thread.
        """
        rows = self.rows(dataset)

        def make(start: int, stop: int, context: Array) -> Array:
            return self.model.from_latent(rows.values[start:stop], context)

        return self._table(len(rows), make, rows.context)

    def _typed(self, context: Array) -> dict[str, Array]:
        """Return conditions as columns in their types."""
        given = self.model.context
        return {
            name: context[:, k].astype(given.dtypes[k])
            for k, name in enumerate(given.columns)
        }

    def _table(
        self, n: int, make: Callable[[int, int, Array], Array], context: Array
    ) -> GeneratedRows:
        """Return rows that are made from their numbers and conditions."""
        columns = tuple(map(Column, self.model.columns, self.model.dtypes))
        return GeneratedRows(
            self.name,
            columns,
            n,
            lambda start, stop: make(start, stop, context[start:stop]),
            self._typed(context),
        )


def _as_table(name: str, data: Mapping[str, Array]) -> Table:
    """Return columns of one length as a table."""
    columns = tuple(Column(column, str(values.dtype)) for column, values in data.items())
    return Table(name, columns, len(next(iter(data.values()))), data)


def _spread(context: Array, count: int) -> Array:
    """Return at most so many of the defined rows, evenly spread; one of zeros if there are none."""
    context = context[np.isfinite(context).all(axis=1)]
    if not len(context):
        return np.zeros((1, context.shape[1]))
    chosen = np.linspace(0, len(context), min(count, len(context)), endpoint=False)
    return context[chosen.astype(np.int64)]


class GeneratedRows:
    """Drawn rows in the types of their columns, with the conditions that they were drawn under.

    Args:
        name: Name of the table.
        columns: The d columns that are drawn.
        n: Number of rows.
        make: Returns rows from one number to another, float64 of shape (m, d).
        context: Conditions by name, in the types of their columns, shape (n,).

    Example:
        >>> x = Column("x", "float32")
        >>> table = GeneratedRows("rows", (x,), 5, lambda a, b: np.arange(a, b)[:, None] / 2)
        >>> table.read(["x"], 3, 9).data["x"].tolist()
        [1.5, 2.0]
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        n: int,
        make: Callable[[int, int], Array],
        context: Mapping[str, Array] | None = None,
    ) -> None:
        self.name = name
        self.num_entries = n
        self._drawn = tuple(columns)
        self._make = make
        self._context = dict(context or {})
        given = (
            Column(name, str(values.dtype)) for name, values in self._context.items()
        )
        self.columns = (*self._drawn, *given)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return a range of the rows."""
        stop = min(stop, self.num_entries)
        parts = [
            self._make(start + a, start + b)
            for a, b in ranges(max(0, stop - start), BLOCK)
        ]
        values = np.concatenate(parts) if parts else np.empty((0, len(self._drawn)))
        data = {c.name: values[:, k].astype(c.dtype) for k, c in enumerate(self._drawn)}
        data |= {name: x[start:][: len(values)] for name, x in self._context.items()}
        return Table(self.name, self.columns, len(values), data).read(
            columns, 0, len(values)
        )
