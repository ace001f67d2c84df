"""Results of a benchmark: one row per codec and bound, with a description of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flowtuple.baseline.sizes import PCODEC
from flowtuple.benchmark.codecs.table_codec import Promise
from flowtuple.runtime.notebook import Shown

FORMAT = 1


@dataclass(frozen=True)
class Measurement:
    """One codec at one bound; bytes, seconds, and rates in MB (10^6 bytes of raw columns) a second.

    Attributes:
        codec: Name of the codec.
        promise: Its promise.
        bound: The bound as requested.
        failed: Reason for missing numbers; empty where there are numbers.
        bytes: Size of its file, model and index included.
        model_bytes: The model within that.
        index_bytes: Header and index within that, where the codec has them.
        bits_per_value: Bits per value over all values, counters included.
        violations: Values outside their bound.
        worst: Largest |x' - x| / allowed; `None` where a value moved that may not move at all.
        mean_error: Mean |x' - x| / std of floats that are no ids and no weights, over columns.
        largest_error: The largest |x' - x| / std of them.
        seconds_in: Time of encoding, a training included.
        seconds_out: Time of decoding.
        trained_seconds_in: Time of encoding with a given model; `None` for a codec without one.
        mb_per_s_in: Rate of `seconds_in`.
        mb_per_s_out: Rate of `seconds_out`.
        trained_mb_per_s_in: Rate of `trained_seconds_in`.
        peak_bytes_in: Memory of encoding above the loaded input.
        peak_bytes_out: Memory of decoding, its output included.

    Example:
        >>> import flowtuple as ft
        >>> events = {"x": [0.1 * k for k in range(500)]}
        >>> done = ft.bench(events, tolerance="abs:0.01", codecs=["quantise+pcodec"])
        >>> done.rows[0].codec, done.rows[0].bound, done.rows[0].violations
        ('quantise+pcodec', 'abs:0.01', 0)
    """

    codec: str
    promise: Promise
    bound: str
    failed: str = ""
    bytes: int = 0
    model_bytes: int = 0
    index_bytes: int = 0
    bits_per_value: float | None = None
    violations: int | None = None
    worst: float | None = None
    mean_error: float | None = None
    largest_error: float | None = None
    seconds_in: float | None = None
    seconds_out: float | None = None
    trained_seconds_in: float | None = None
    mb_per_s_in: float | None = None
    mb_per_s_out: float | None = None
    trained_mb_per_s_in: float | None = None
    peak_bytes_in: int | None = None
    peak_bytes_out: int | None = None

    @property
    def holds(self) -> bool:
        """True if it ran, promised a bound, and returned every value within it."""
        return self.promise != "none" and not self.failed and self.violations == 0


@dataclass(frozen=True, repr=False)
class Bench(Shown):
    """All measurements of one input.

    Attributes:
        source: Name of the input.
        command: The command line, where there was one.
        effort: Effort of flowtuple's training.
        threads: Threads of each codec that can use several.
        unit: Unit of energies for published methods.
        events: Number of events by table.
        columns: Number of columns over all tables.
        values: Number of values over all columns.
        raw_bytes: Bytes of the raw columns.
        bounds: The requested bounds, in order.
        rows: Codecs in order, for each bound in turn.
        notes: Parts that were left out, with reasons.
        machine: Description of the machine.

    Example:
        >>> import flowtuple as ft
        >>> events = {"x": [0.1 * k for k in range(500)]}
        >>> ft.bench(events, tolerance="abs:0.01", codecs=["quantise+pcodec"])
        <Bench: source dict in memory, values 500, smallest at abs:0.01 quantise+pcodec>
    """

    source: str
    command: str
    effort: str
    threads: int
    unit: str
    events: Mapping[str, int]
    columns: int
    values: int
    raw_bytes: int
    bounds: tuple[str, ...]
    rows: tuple[Measurement, ...]
    notes: tuple[str, ...]
    machine: Mapping[str, Any]

    def facts(self) -> dict[str, object]:
        """Return the input, and the smallest codec that holds each bound."""
        smallest = {
            f"smallest at {bound}": self.best(bound) or "none" for bound in self.bounds
        }
        return {"source": self.source, "values": f"{self.values:,}", **smallest}

    def at(self, bound: str) -> list[Measurement]:
        """Return the rows of one bound."""
        return [row for row in self.rows if row.bound == bound]

    def ratio(self, row: Measurement) -> float | None:
        """Return bytes over those of quantise+pcodec at the same bound; `None` without one."""
        sizes = (
            r.bytes for r in self.at(row.bound) if r.codec == PCODEC and not r.failed
        )
        size = next(sizes, 0)
        return row.bytes / size if size and not row.failed else None

    def best(self, bound: str) -> str | None:
        """Return the codec with the fewest bytes of those whose values hold the bound."""
        sizes = {row.codec: row.bytes for row in self.at(bound) if row.holds}
        return min(sizes, key=lambda codec: sizes[codec], default=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and text, with the ratio, `holds` and `best` of each row."""
        rows = [
            asdict(row)
            | {
                "ratio_to_quantise_pcodec": self.ratio(row),
                "holds": row.holds,
                "best": row.codec == self.best(row.bound),
            }
            for row in self.rows
        ]
        return {"format": FORMAT} | vars(self) | {"rows": rows}
