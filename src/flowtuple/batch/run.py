"""A job done for each of many files: what fails is named and does not stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowtuple.batch.cluster import Cluster, connected, workers_are_ours
from flowtuple.batch.jobs import Facts, Job, fingerprint, key_of
from flowtuple.batch.manifest import Manifest, Record, opened
from flowtuple.batch.tasks import Task
from flowtuple.errors import FlowtupleError
from flowtuple.runtime.atomic import remove_parts
from flowtuple.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from distributed import Client

_AHEAD = 2  # tasks for each thread that wait at the workers: none is idle, and the client holds few

Outcome = tuple[Task, Facts, str]
"""A task, what there is to tell, and why it failed; empty where it did not."""


@dataclass(frozen=True)
class Summary:
    """What came of many tasks.

    Attributes:
        done: How many ended well, those of earlier runs among them.
        skipped: How many of these had been done before.
        failed: Why, by name of the task.
        facts: Of each task that ended well, by name.
    """

    done: int
    skipped: int
    failed: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def run(
    job: Job,
    tasks: Iterable[Task],
    folder: Path,
    cluster: Cluster = None,
    progress: Progress = silent,
) -> Summary:
    """Do a job for each task that is not yet done, and keep a manifest in the folder.

    Args:
        job: What to do; see `flowtuple.batch.jobs`.
        tasks: From `flowtuple.batch.tasks.plan`.
        folder: For the manifest.
        cluster: Where: `local:N`, a scheduler's address, a client of Dask; `serial` or `None` for this process.
        progress: Told of each task that ends.

    Raises:
        InvalidArgument: The folder, its manifest or the cluster cannot be used.
    """
    todo, fixed = list(tasks), fingerprint(job)
    keys = {task.name: key_of(fixed, task) for task in todo}
    failed: dict[str, str] = {}
    with opened(folder, type(job).__name__.lower()) as manifest:
        done = {
            t.name
            for t in todo
            if job.writes and manifest.is_done(t.name, keys[t.name], Path(t.output))
        }
        waiting = [task for task in todo if task.name not in done]
        with (
            _cleared(waiting, manifest, cluster),
            connected(cluster if waiting else None) as client,
        ):
            progress("files", 0.0, "" if client is None else f"dashboard {client.dashboard_link}")
            for number, (task, facts, found) in enumerate(outcomes(job, waiting, client), 1):
                record = _record(task, keys[task.name], facts, found, job.writes)
                manifest.add(record)
                if record.reason:
                    failed[task.name] = record.reason
                progress(
                    "files",
                    number / len(waiting),
                    f"{number} of {len(waiting)}, {len(failed)} failed",
                )
        facts_of = {
            task.name: manifest.records[task.name].facts for task in todo if task.name not in failed
        }
    return Summary(len(todo) - len(failed), len(done), failed, facts_of)


@contextmanager
def _cleared(tasks: list[Task], manifest: Manifest, cluster: Cluster) -> Iterator[None]:
    """In the end remove what workers of this process left unfinished: they end with it, in the middle of a file."""
    begun = {task.name: manifest.records.get(task.name) for task in tasks}
    try:
        yield
    finally:
        for task in tasks if workers_are_ours(cluster) else ():
            record = manifest.records.get(task.name)
            if record is begun[task.name] or (record is not None and record.reason):
                remove_parts(task.output)


def _record(task: Task, key: str, facts: Facts, reason: str, writes: bool) -> Record:
    """What is written down of a task; one that left no output has failed, whatever it says."""
    output = Path(task.output)
    if reason or not writes:
        return Record(task.name, task.source, key, reason, facts=facts)
    if not output.exists():
        return Record(
            task.name,
            task.source,
            key,
            f"{output}: is not there; name a folder that all workers see",
        )
    return Record(
        task.name, task.source, key, "", output.stat().st_size, output.stat().st_mtime_ns, facts
    )


def outcomes(job: Job, tasks: Iterable[Task], client: Client | None) -> Iterator[Outcome]:
    """What comes of each task, as it ends: in this process, or on a cluster."""
    return _here(job, tasks) if client is None else _on(client, job, tasks)


def _here(job: Job, tasks: Iterable[Task]) -> Iterator[Outcome]:
    for task in tasks:
        facts, reason = attempt(job, task)
        yield task, facts, reason


def _on(client: Client, job: Job, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """Outcomes as they come; only a few tasks at a time are known to the scheduler, so that its memory does not grow."""
    from distributed import as_completed

    left, of, running = iter(tasks), dict[str, Task](), as_completed()

    def fill() -> None:
        """Let each thread that is there by now have its tasks."""
        room = max(1, _AHEAD * sum(client.nthreads().values()))
        for task in islice(left, max(0, room - len(of))):
            future = client.submit(attempt, job, task, pure=False)
            of[future.key] = task
            running.add(future)

    fill()
    for future in running:
        task = of.pop(future.key)
        if future.status == "finished":
            facts, reason = future.result()
        else:
            facts, reason = {}, _told(future.exception())
        fill()
        yield task, facts, reason


def attempt(job: Job, task: Task) -> tuple[Facts, str]:
    """Do one task; what there is to tell, and why it failed."""
    try:
        return job(task), ""
    except Exception as error:  # whatever it is, the other files are not to suffer
        return {}, _told(error)


def _told(error: BaseException | None) -> str:
    """One line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, FlowtupleError) else f"{type(error).__name__}: {first}"
