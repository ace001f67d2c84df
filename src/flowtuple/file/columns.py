"""Lazily read columns of a table as a mapping, which tools such as coffea take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.table import with_counters
from flowtuple.file.table import StoredTable, no_events
from flowtuple.runtime.lazy_packages import awkward as ak


class Columns(Mapping[str, "ak.Array"]):
    """Columns by name: virtual arrays, each read whole on its first use and then cached.

    Attributes:
        metadata: `uuid`, `num_rows` and `object_path`, which coffea's
            `NanoEventsFactory.from_preloaded` needs.
    """

    def __init__(self, table: StoredTable, names: Sequence[str], path: str) -> None:
        self._table = table
        self._arrays: dict[str, ak.Array | None] = dict.fromkeys(names)
        self.metadata: dict[str, Any] = {
            "uuid": path,
            "num_rows": table.num_entries,
            "object_path": table.name,
        }

    def __getitem__(self, name: str) -> ak.Array:
        array = self._arrays[name]
        if array is None:
            array = self._arrays[name] = self._virtual(name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def _read(self, name: str) -> ak.Array:
        return table_to_awkward(self._table.read([name], 0, self._table.num_entries))[
            name
        ]

    def _virtual(self, name: str) -> ak.Array:
        columns = with_counters(self._table.columns, [name])
        if any(c.is_opaque for c in columns):  # only its values tell its type
            return self._read(name)
        form, _, keys = ak.to_buffers(
            table_to_awkward(no_events(self._table.name, columns))[name]
        )
        buffers = cache(lambda: ak.to_buffers(self._read(name))[2])
        virtual = {key: partial(lambda k: buffers()[k], key) for key in keys}
        return ak.from_buffers(form, self._table.num_entries, virtual)
