"""What a contest came to: one row per codec and bound, with what it was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flowtuple.benchmark.codecs.grid_pcodec import NAME as PCODEC
from flowtuple.benchmark.codecs.rival import Promise

FORMAT = 1


@dataclass(frozen=True)
class Measurement:
    """One codec at one bound; sizes in bytes, times in seconds, rates in MB (10^6 bytes of raw columns) per second.

    Attributes:
        codec: Its name.
        promise: What it promises.
        bound: The bound as it was asked for.
        failed: Why there are no numbers; empty where there are.
        bytes: All that it wrote, model and index included.
        model_bytes: The model within that.
        index_bytes: Header and index within that, where the codec has them.
        bits_per_value: Over all values, counters included.
        violations: Values outside their bound.
        worst: Largest |x' - x| / allowed; `None` where a value moved that may not move at all.
        mean_error: Mean |x' - x| / std of floats that are no ids and no weights, a mean over their columns.
        largest_error: The largest of them.
        seconds_in: Encoding, a training included.
        seconds_out: Decoding.
        trained_seconds_in: Encoding with a model at hand; `None` for a codec without one.
        mb_per_s_in: Rate of `seconds_in`.
        mb_per_s_out: Rate of `seconds_out`.
        trained_mb_per_s_in: Rate of `trained_seconds_in`.
        peak_bytes_in: Memory of encoding above the loaded input.
        peak_bytes_out: Memory of decoding, its output included.
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
        """Whether it ran, promised a bound, and kept every value within it."""
        return self.promise != "none" and not self.failed and self.violations == 0


@dataclass(frozen=True)
class Bench:
    """All measurements of one input.

    Attributes:
        source: What was measured, as it was named.
        command: The command line, where there was one.
        effort: Of flowtuple's training.
        threads: That each codec may use where it can use several.
        unit: Of energies, as reference methods were told.
        events: Number of events by table.
        columns: Number of columns over all tables.
        values: Number of values over all columns.
        raw_bytes: Bytes of the raw columns.
        bounds: The bounds asked for, in order.
        rows: Codecs in order, for each bound in turn.
        notes: What was left out, and why.
        machine: What it ran on.
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

    def at(self, bound: str) -> list[Measurement]:
        """The rows of one bound."""
        return [row for row in self.rows if row.bound == bound]

    def ratio(self, row: Measurement) -> float | None:
        """Bytes over those of quantise+pcodec at the same bound; `None` where one of them has none."""
        rival = next((r.bytes for r in self.at(row.bound) if r.codec == PCODEC and not r.failed), 0)
        return row.bytes / rival if rival and not row.failed else None

    def best(self, bound: str) -> str | None:
        """The codec with the fewest bytes of those that keep the bound."""
        return (
            min(
                (row for row in self.at(bound) if row.holds),
                key=lambda row: row.bytes,
                default=_NOBODY,
            ).codec
            or None
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text; `ratio_to_quantise_pcodec`, `holds` and `best` stand with each row."""
        rows = [
            asdict(row)
            | {
                "ratio_to_quantise_pcodec": self.ratio(row),
                "holds": row.holds,
                "best": row.codec == self.best(row.bound),
            }
            for row in self.rows
        ]
        head = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"format": FORMAT} | head | {"rows": rows}


_NOBODY = Measurement("", "none", "")
