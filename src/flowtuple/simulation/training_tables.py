"""From events of both levels, generated and reconstructed, to the training tables of the steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.separation import wrap_angle
from flowtuple.data.table import Table, TableSource, concatenate, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress
from flowtuple.simulation.block import Block
from flowtuple.simulation.conditions import of_the_process
from flowtuple.simulation.fit_spec import fit_spec
from flowtuple.simulation.out_of_range import merge_seen
from flowtuple.simulation.shares import zero_together
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.step import Step
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_targets import training_targets

STEP = 16384  # events at a time
FITTED = 65536  # events that thresholds and coefficients are fitted to


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """The rows that one step learns from.

    Attributes:
        table: Conditions, then the columns to draw.
        conditions: Names of the conditions.
    """

    table: Table
    conditions: tuple[str, ...]

    @property
    def drawn(self) -> list[str]:
        """Names of the columns to draw."""
        return [c.name for c in self.table.columns if c.name not in self.conditions]


class TrainingTargets:
    """A `DrawSource` that knows the true events, and records the rows of each step as a table.

    Attributes:
        tables: The rows that were requested, in the order of the steps.

    Args:
        block: Events with all columns, generated and simulated.
        spec: The simulation.
    """

    def __init__(self, block: Block, spec: SimulationSpec) -> None:
        self._targets, self._spec = training_targets(block, spec), spec
        self.tables: list[TrainingTable] = []

    def __call__(self, step: Step) -> dict[str, Array]:
        drawn = {name: self._targets[step.name][name] for name in step.columns}
        if step.rows is not None:
            drawn = {name: content[step.rows] for name, content in drawn.items()}
        if step.ahead is not None:
            turn = step.columns[-1]
            drawn[turn] = wrap_angle(drawn[turn].astype(np.float64) - step.ahead)
        if drawn:
            unread = of_the_process(self._spec, step.name)
            read = {n: v for n, v in step.conditions.items() if n not in unread}
            table = replace(step, conditions=read).table(drawn)
            self.tables.append(TrainingTable(table, tuple(read)))
        return drawn


def training_tables(
    source: TableSource, spec: SimulationSpec, progress: Progress
) -> tuple[SimulationSpec, list[TrainingTable], list[str]]:
    """Run the steps on true events and collect what they learn from.

    Args:
        source: Events with all columns of the spec, generated and simulated.
        spec: From `build_spec`.
        progress: Receives the share of the events that is done.

    Returns:
        The fitted spec, the rows of each step that has some, and notes for the user.

    Raises:
        InvalidArgument: There are no events, or a generated object has an axis that is not finite.
    """
    if not source.num_entries:
        raise InvalidArgument(f"table {source.name!r} holds no events to learn from")
    fitted = fit_spec(spec, read_block(source, spec, 0, min(FITTED, source.num_entries)))
    spec = without_rules(fitted)
    parts: dict[str, list[TrainingTable]] = {}
    dangling: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for start, stop in ranges(source.num_entries, STEP):
        true = read_block(source, spec, start, stop)
        seen = {n: merge_seen(before, true.values[n]) for n, before in spec.seen.items()}
        spec = replace(spec, seen=seen)
        dangling.update(_dangling(true, spec))
        broken.update(count_broken(true, fitted))
        targets = TrainingTargets(true, spec)
        run(true.without(spec.simulated, spec.generated), spec, targets)
        for rows in targets.tables:
            parts.setdefault(rows.table.name, []).append(rows)
        progress("arrange events", stop / source.num_entries, "")
    tables = [
        TrainingTable(concatenate([part.table for part in rows]), rows[0].conditions)
        for rows in parts.values()
    ]
    spec = with_rules(spec, fitted, {text for text, count in broken.items() if count})
    tables = [_without(rows, {rule.flag for rule in spec.rules}) for rows in tables]
    return (
        spec,
        [rows for rows in tables if rows.table.num_entries and rows.drawn],
        _notes(spec, dangling, broken),
    )


def _dangling(block: Block, spec: SimulationSpec) -> dict[str, int]:
    """Return by column of references how many point to no object."""
    out = {}
    for target in spec.targets:
        if target.through:
            name = target.through
            position = block.positions(name, target.objects.name, target.partners)
            lost = (position < 0) & (block.values[name].astype(np.int64) != -1)
            out[name] = int(lost.sum())
    return out


def without_rules(spec: SimulationSpec) -> SimulationSpec:
    """Return the spec that learns flags and parts like other columns.

    So they are learned until it is known that rules hold for all events.
    """
    targets = tuple(replace(target, counts={}) for target in spec.targets)
    return replace(spec, rules=(), targets=targets)


def with_rules(
    spec: SimulationSpec, fitted: SimulationSpec, broken: Collection[str]
) -> SimulationSpec:
    """Return the spec with the rules of another one, but for those that are broken."""
    rules = tuple(rule for rule in fitted.rules if str(rule) not in broken)
    targets = []
    for target, other in zip(spec.targets, fitted.targets, strict=True):
        pairs = other.counts.items()
        counts = {part: n for part, n in pairs if zero_together(part, n) not in broken}
        targets.append(replace(target, counts=counts))
    return replace(spec, rules=rules, targets=tuple(targets))


def count_broken(block: Block, spec: SimulationSpec) -> dict[str, int]:
    """Return how often each rule is contradicted, by its text."""
    targets = [target.objects for target in spec.targets]
    out = {}
    for rule in spec.rules:
        flag = block.values[rule.flag].astype(bool)
        out[str(rule)] = int((rule.apply(block, targets) != flag).sum())
    for target in spec.targets:
        for part, count in target.counts.items():
            zero = [block.values[name] == 0 for name in (part, count)]
            out[zero_together(part, count)] = int((zero[0] != zero[1]).sum())
    return out


def _without(rows: TrainingTable, flags: set[str]) -> TrainingTable:
    """Return the rows of a step without columns that are not drawn."""
    gone = flags.intersection(rows.drawn)
    columns = tuple(c for c in rows.table.columns if c.name not in gone)
    data = {c.name: rows.table.data[c.name] for c in columns}
    return replace(rows, table=replace(rows.table, columns=columns, data=data))


def _notes(
    spec: SimulationSpec, dangling: Mapping[str, int], broken: Mapping[str, int]
) -> list[str]:
    left_out = "is none that can be simulated and is left out"
    pointing = "values point to no object of their event and count as without a partner"
    return [
        *(f"column {name!r} {left_out}" for name in spec.left_out),
        *(f"column {name!r}: {n} {pointing}" for name, n in dangling.items() if n),
        *(
            f"the rule {rule!r} is contradicted {n} times and dropped"
            for rule, n in broken.items()
            if n
        ),
    ]


def read_block(source: TableSource, spec: SimulationSpec, start: int, stop: int) -> Block:
    """Return events with all columns, which are checked.

    Args:
        source: Events with all columns of the spec, generated and simulated.
        spec: The simulation.
        start: The first event.
        stop: The event after the last.
    """
    table = source.read([c.name for c in spec.columns], start, stop)
    block = Block.of(table, spec.collections)
    check_finite(block, spec, start)
    return block


def check_finite(block: Block, spec: SimulationSpec, first: int) -> None:
    """Raise if an object has no direction, or a ratio no denominator.

    Args:
        block: The events; columns that it lacks are not checked.
        spec: The simulation.
        first: Number of the first event, for the message.

    Raises:
        InvalidArgument: An axis, or a column that a response is relative to, is NaN or infinite, or
            not above 0 where it divides.
    """
    owners = {name: c.name for c in spec.collections for name in c.axes}
    owners |= {r.partner: t.partners for t in spec.targets for r in t.responses}
    owners |= {n: "" for r in spec.recoils for n in (*r.generated, r.pt, r.phi)}
    divided = {r.partner for t in spec.targets for r in t.responses if r.kind == "ratio"}
    for name, owner in owners.items():
        if name not in block.values:
            continue
        values = block.values[name]
        fine: Array = np.isfinite(values)
        what = "NaN or infinite"
        if name in divided:
            fine, what = fine & (values > 0), "NaN, infinite or not above 0"
        bad = np.flatnonzero(~fine)
        if len(bad):
            event = first + int(block.event(owner)[bad[0]] if owner else bad[0])
            raise InvalidArgument(
                f"column {name!r}: {len(bad)} values are {what}, the first in event {event}; "
                "leave them out"
            )
