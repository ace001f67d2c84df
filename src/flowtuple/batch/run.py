"""A job done for each of many files: what fails is named and does not stop the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowtuple.batch.cluster import Cluster, connected
from flowtuple.batch.jobs import Facts, Job, key_of
from flowtuple.batch.manifest import Manifest, Record
from flowtuple.batch.tasks import Task
from flowtuple.errors import FlowtupleError
from flowtuple.progress import Progress, silent

if TYPE_CHECKING:
    from distributed import Client, Future

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


def run(job: Job, tasks: Iterable[Task], folder: Path, cluster: Cluster = None, progress: Progress = silent) -> Summary:
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
    manifest, todo = Manifest(folder, type(job).__name__.lower()), list(tasks)
    keys = {task.name: key_of(job, task) for task in todo}
    waiting = [task for task in todo if not manifest.is_done(task.name, keys[task.name], Path(task.output))]
    failed: dict[str, str] = {}
    with connected(cluster if waiting else None) as client:
        progress("files", 0.0, "" if client is None else f"dashboard {client.dashboard_link}")
        for number, (task, facts, reason) in enumerate(outcomes(job, waiting, client), 1):
            output = Path(task.output)
            size = output.stat().st_size if not reason and output.exists() else 0
            manifest.add(Record(task.name, task.source, keys[task.name], reason, size, facts))
            if reason:
                failed[task.name] = reason
            progress("files", number / len(waiting), f"{number} of {len(waiting)}, {len(failed)} failed")
    facts_of = {task.name: manifest.records[task.name].facts for task in todo if task.name not in failed}
    return Summary(len(todo) - len(failed), len(todo) - len(waiting), failed, facts_of)


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

    left, of = iter(tasks), {}

    def submit() -> Future | None:
        task = next(left, None)
        if task is None:
            return None
        future = client.submit(attempt, job, task, pure=False)
        of[future.key] = task
        return future

    room = max(1, _AHEAD * sum(client.nthreads().values()))
    running = as_completed([f for f in (submit() for _ in range(room)) if f is not None])
    for future in running:
        task = of.pop(future.key)
        if future.status == "finished":
            facts, reason = future.result()
        else:
            facts, reason = {}, _told(future.exception())
        following = submit()
        if following is not None:
            running.add(following)
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
