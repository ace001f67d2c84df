"""The trees `Runs` and `LuminosityBlocks` beside drawn events, as NanoAOD has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, TableSource, ranges
from flowtuple.errors import InvalidArgument

_IDS = ("run", "luminosityBlock", "event")
_WEIGHT = "genWeight"
_STEP = 2**16  # events whose weights are read at a time
_RUNS = (
    Column("run", "uint32"),
    Column("genEventCount", "int64"),
    Column("genEventSumw", "float64"),
    Column("genEventSumw2", "float64"),
)
_BLOCKS = (Column("run", "uint32"), Column("luminosityBlock", "uint32"))


class DrawnRun:
    """Drawn events of one run, whose weights are summed while they are read.

    Args:
        source: The events; their luminosity block is 1.
        run: Number of the run.
    """

    def __init__(self, source: TableSource, run: int) -> None:
        self._source, self._run = source, run
        self._sums: dict[int, tuple[int, Array]] = {}  # by first event
        self.name = source.name
        self.columns = source.columns
        self.num_entries = source.num_entries

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events, with the number of the run."""
        table = self._source.read(columns, start, stop)
        data = dict(table.data)
        if "run" in data:
            data["run"] = np.full_like(data["run"], self._run)
        if _WEIGHT in data:
            weight = np.asarray(data[_WEIGHT], np.float64)
            end = start + table.num_entries
            if end > self._sums.get(start, (start, None))[0]:
                sums = np.array([weight.sum(), np.square(weight).sum()])
                self._sums[start] = (end, sums)
        return replace(table, data=data)

    def weight_sums(self) -> Array:
        """Return the sums of the weights and of their squares, float64 of shape (2,).

        Events without a column `genWeight` have the weight 1.
        """
        if _WEIGHT not in {column.name for column in self.columns}:
            return np.full(2, float(self.num_entries))
        total, position = self._summed()
        if position < self.num_entries:
            # The events were not read one after another.
            self._sums.clear()
            for start, stop in ranges(self.num_entries, _STEP):
                self.read([_WEIGHT], start, stop)
            total, position = self._summed()
        return total

    def _summed(self) -> tuple[Array, int]:
        """Return the sums of the events from the first to one before a gap, and its place."""
        total, position = np.zeros(2), 0
        while position in self._sums:
            position, sums = self._sums[position]
            total += sums
        return total, position


class _Runs:
    """The tree `Runs` with one row, which is made when it is read: after the events."""

    name = "Runs"
    columns = _RUNS
    num_entries = 1

    def __init__(self, events: DrawnRun, run: int) -> None:
        self._events, self._run = events, run

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read the row."""
        sums = self._events.weight_sums()
        whole = Table(
            self.name,
            self.columns,
            1,
            {
                "run": np.array([self._run], np.uint32),
                "genEventCount": np.array([self._events.num_entries], np.int64),
                "genEventSumw": sums[:1],
                "genEventSumw2": sums[1:],
            },
        )
        return whole.read(columns, start, stop)


def with_run_trees(dataset: Dataset, run: int) -> Dataset:
    """Return drawn events with `Runs` and `LuminosityBlocks` beside them.

    The sums are those of all events of the data set: an efficiency of later cuts is the sum of the
    weights that pass over `genEventSumw`. Sums of several files add up.

    Args:
        dataset: One table with whole numbers in the columns `run`, `luminosityBlock` and `event`;
            any other is returned as it is.
        run: Number of the run.

    Raises:
        InvalidArgument: The number does not fit into the column of runs, or one of the three
            columns is absent or holds no whole numbers.

    Example:
        >>> ids = {name: np.ones(3, np.uint32) for name in ("run", "luminosityBlock", "event")}
        >>> columns = tuple(Column(name, "uint32") for name in ids)
        >>> drawn = Dataset("drawn", {"Events": Table("Events", columns, 3, ids)})
        >>> tables = with_run_trees(drawn, run=7).tables
        >>> tables["Runs"].read(["run", "genEventSumw"], 0, 1).data["genEventSumw"].tolist()
        [3.0]
    """
    events = dataset.only_table()
    by_name = {column.name: column for column in events.columns}
    if "run" not in by_name and run != 1:
        raise InvalidArgument(
            f"{dataset.description}: the model has no column 'run' to number; leave out `run=`"
        )
    unfit = [
        name
        for name in _IDS
        if name not in by_name or np.dtype(by_name[name].dtype).kind not in "iu"
    ]
    if unfit:
        if run != 1:
            raise InvalidArgument(
                f"{dataset.description}: a number of the run needs whole numbers in "
                f"{', '.join(_IDS)}, and the model has none in {', '.join(unfit)}; "
                "leave out `run=`"
            )
        return dataset
    most = min(np.iinfo(np.uint32).max, int(np.iinfo(by_name["run"].dtype).max))
    if not 1 <= run <= most:
        raise InvalidArgument(
            f"the run {run} is out of range; give a number from 1 to {most}"
        )
    drawn = DrawnRun(events, run)
    block = {"run": np.array([run], np.uint32), "luminosityBlock": np.ones(1, np.uint32)}
    tables: dict[str, TableSource] = {
        events.name: drawn,
        "Runs": _Runs(drawn, run),
        "LuminosityBlocks": Table("LuminosityBlocks", _BLOCKS, 1, block),
    }
    return replace(dataset, tables=tables)
