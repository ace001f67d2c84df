"""Jobs on files: values that are sent to a worker, called with a task there, and return facts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import xxhash

from flowtuple import api
from flowtuple.api import EVERYTHING, Selection
from flowtuple.batch.tasks import Task
from flowtuple.data.bounds import Bound
from flowtuple.data.memory import MEMORY
from flowtuple.data.resources import Resources
from flowtuple.data.table import LeftOut
from flowtuple.errors import BoundViolated, Corrupt
from flowtuple.file.damage import check_integrity
from flowtuple.io.formats import input_suffixes
from flowtuple.io.location import check_readable, is_url, split_tree
from flowtuple.io.source import STORED, WriteOptions
from flowtuple.runtime.atomic import make_folder

Facts = dict[str, Any]


class Job(Protocol):
    """Interface of a job.

    A job depends only on its fields and on the files that they name; equal jobs write equal
    events of equal inputs.

    Attributes:
        writes: True if a task has an output, which is not made again; a job without outputs is done
            each time.
    """

    writes: ClassVar[bool] = True

    def __call__(self, task: Task) -> Facts:
        """Do a task and return the facts to report."""
        ...


@dataclass(frozen=True)
class Compress(Job):
    """Compression with an existing model; the arguments are those of `flowtuple.compress`."""

    model: str
    tolerance: Mapping[str, str | Bound] = field(default_factory=dict)
    selection: Selection = EVERYTHING
    model_ref: bool = False
    memory: int = MEMORY

    def __call__(self, task: Task) -> Facts:
        """Write the task's output."""
        done = api.compress(
            task.source,
            _ready(task),
            tolerance=self.tolerance,
            selection=self.selection,
            model=self.model,
            model_ref=self.model_ref,
            resources=Resources(1, self.memory),
        )
        return {
            "events": done.events,
            "values": done.values,
            "raw_bytes": done.raw_bytes,
            "input_bytes": done.input_bytes,
            "warnings": done.warnings,
            **_left_out_facts(done.left_out),
        }


@dataclass(frozen=True)
class Decompress(Job):
    """Decompression; the arguments are those of `flowtuple.decompress`."""

    columns: tuple[str, ...] = ()
    model: str | None = None
    memory: int = MEMORY
    options: WriteOptions = field(default_factory=WriteOptions)

    def __call__(self, task: Task) -> Facts:
        """Write the task's output."""
        done = api.decompress(
            task.source,
            _ready(task),
            columns=self.columns,
            model=self.model,
            options=self.options,
            resources=Resources(1, self.memory),
        )
        if not isinstance(done, api.Decompressed):
            return {}
        facts = _left_out_facts(done.left_out)
        if done.changes:
            facts["changes"] = list(done.changes)
        if done.renamed:
            facts["renamed"] = {name: list(names) for name, names in done.renamed.items()}
        return facts


def _left_out_facts(parts: Sequence[LeftOut]) -> Facts:
    """Return the parts that an output does not contain, if there are any."""
    return {"left_out": [part.to_json() for part in parts]} if parts else {}


@dataclass(frozen=True)
class Verify(Job):
    """Check of compressed files against their originals, every value against its bound.

    The output of a task is the compressed file.
    """

    writes: ClassVar[bool] = False
    model: str | None = None

    def __call__(self, task: Task) -> Facts:
        """Count the values outside their bounds.

        Raises:
            BoundViolated: There are some.
        """
        verified = api.verify(task.source, task.output, model=self.model)
        outside = [column.column for column in verified if column.violations]
        if outside:
            raise BoundViolated(
                f"{task.output}: column {outside[0]!r} and {len(outside) - 1} others "
                "have values outside their bounds"
            )
        facts: Facts = {"columns": len(verified)}
        if verified.absent:
            named = ", ".join(verified.absent[:3])
            lacking = (
                f"lacks {len(verified.absent)} parts of the original, {named} among them"
            )
            facts["warnings"] = [lacking]
        return facts


@dataclass(frozen=True)
class Simulate(Job):
    """Simulation of generated events; each file has random numbers of its own, by its name."""

    model: str
    seed: int = 0
    oversample: int = 1
    weight: str | None = None
    flag: bool = False
    drop: bool = False

    def __call__(self, task: Task) -> Facts:
        """Write the task's output."""
        seed = (
            xxhash.xxh3_64_intdigest(task.name.rpartition(".")[0].encode(), self.seed)
            >> 1
        )
        notes = api.simulate(
            self.model,
            task.source,
            _ready(task),
            seed=seed,
            oversample=self.oversample,
            weight=self.weight,
            flag=self.flag,
            options=WriteOptions(drop=self.drop),
            resources=Resources(1),
        )
        return {"warnings": list(notes)}


@dataclass(frozen=True)
class Sample(Job):
    """Generation of events; the source of a task is a range of the events of a seed."""

    model: str
    seed: int = 0
    run: int = 1

    def __call__(self, task: Task) -> Facts:
        """Write the task's output."""
        start, stop = (int(word) for word in task.source.split(":"))
        api.sample(
            self.model,
            stop,
            _ready(task),
            seed=self.seed,
            first=start,
            run=self.run,
            resources=Resources(1),
        )
        return {"events": stop - start}


@dataclass(frozen=True)
class Examine(Job):
    """Check of all checksums of a compressed file, without its original."""

    writes: ClassVar[bool] = False

    def __call__(self, task: Task) -> Facts:
        """Look for damage.

        Raises:
            Corrupt: There is some.
        """
        damage = check_integrity(task.source)
        if damage:
            raise Corrupt(
                f"{task.source}: {damage[0].reason}; see flowtuple verify {task.source}"
            )
        return {}


@dataclass(frozen=True)
class Score(Job):
    """Scores of events; the arguments are those of `flowtuple.score`."""

    model: str
    against: str | None = None
    by_column: bool = False
    label: str | None = None
    calibration: str | None = None

    def __call__(self, task: Task) -> Facts:
        """Write the task's output."""
        api.score(
            self.model,
            task.source,
            _ready(task),
            against=self.against,
            by_column=self.by_column,
            label=self.label,
            calibration=self.calibration,
        )
        return {}


def fingerprint(job: Job) -> str:
    """Return a hash of a job, of the models that it names and of their calibration.

    Raises:
        InvalidArgument: A model cannot be read.
    """
    content = type(job).__name__, asdict(job)  # type: ignore[call-overload]
    digest = xxhash.xxh3_64(repr(content).encode())
    for name in ("model", "against"):
        named = getattr(job, name, None)
        path = None if named is None else split_tree(named, STORED)[0]
        if path is not None and not is_url(path):
            check_readable(path)
            digest.update(Path(path).read_bytes())
    stored = (
        api.calibration_path(job.model, job.calibration)
        if isinstance(job, Score)
        else None
    )
    if stored is not None and stored.exists():
        digest.update(stored.read_bytes())
    return str(digest.hexdigest())


def key_of(job: str, task: Task) -> str:
    """Return a hash of everything that a task's output depends on.

    These are the fingerprint of the job, and path, size and time of the input.
    """
    digest = xxhash.xxh3_64(repr((job, task)).encode())
    path, _ = split_tree(task.source, (*input_suffixes(), *STORED))
    if not is_url(path) and os.path.lexists(path):
        state = Path(path).stat()
        digest.update(repr((state.st_size, state.st_mtime_ns)).encode())
    return str(digest.hexdigest())


def _ready(task: Task) -> Path:
    """Return the path of the output, and create its folder."""
    path = Path(task.output)
    make_folder(path.parent)
    return path
