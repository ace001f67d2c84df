"""What is measured of a method in bench/costs.py: its steps, what they work on, and what a method has to offer.

Nothing but the standard library is imported before a clock starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

STEPS = ("initialise", "train", "load", "encode", "decode")


@dataclass
class Task:
    """What a step works on: the task as it came, and what the steps before left in memory."""

    method: str
    step: str
    folder: Path
    unit: str
    bound: str
    epochs: int
    threads: int
    model: Any = None

    def rows(self) -> Any:
        """The objects, as `Rows`."""
        import numpy as np

        from flowtuple.data.rows import Rows

        values, about = (
            np.load(self.folder / "rows.npy"),
            json.loads((self.folder / "rows.json").read_text()),
        )
        names, dtypes = tuple(about["columns"]), tuple(about["dtypes"])
        return Rows("rows", names, values, np.arange(len(values)), len(values), dtypes=dtypes)

    def table(self) -> tuple[Any, Any]:
        """The objects as a table of events, and its bounds resolved."""
        from flowtuple.benchmark.inputs import layouts, surveys
        from flowtuple.data.schema import Column
        from flowtuple.data.table import Table
        from flowtuple.runtime.progress import silent

        rows = self.rows()
        columns = tuple(
            Column(name, dtype) for name, dtype in zip(rows.columns, rows.dtypes, strict=True)
        )
        data = {c.name: rows.values[:, k].astype(c.dtype) for k, c in enumerate(columns)}
        tables = [Table("rows", columns, len(rows), data)]
        return tables, layouts(tables, surveys(tables, silent), {"*": self.bound}, "rows")


class Subject(Protocol):
    """A method whose steps are measured; all but the first give the work itself, with all that it needs at hand."""

    def initialise(self, task: Task) -> None: ...

    def train(self, task: Task) -> Callable[[], Any]: ...

    def load(self, task: Task) -> Callable[[], Any]: ...

    def encode(self, task: Task) -> Callable[[], Any]: ...

    def decode(self, task: Task) -> Callable[[], Any]: ...
