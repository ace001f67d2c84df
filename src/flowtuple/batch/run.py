"""Jobs on many files, here or on a cluster of Dask: one that fails is named and stops no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from flowtuple.batch.jobs import Facts, Job, fingerprint, key_of
from flowtuple.batch.manifest import Manifest, Record, opened
from flowtuple.batch.tasks import Task
from flowtuple.errors import FlowtupleError, InvalidArgument, first_line
from flowtuple.runtime.atomic import remove_parts
from flowtuple.runtime.extras import require
from flowtuple.runtime.progress import Progress, silent
from flowtuple.runtime.threads import default_workers

if TYPE_CHECKING:
    from distributed import Client, LocalCluster


Cluster: TypeAlias = "str | Client | None"
"""`local`, `local:N`, the address of a scheduler, a client; `serial` or `None` for this process."""

_FIRST_PORT = 1024  # no scheduler listens below; such an address is a misspelt local:2
_PATIENCE = 30  # seconds that a scheduler has to answer
_AHEAD = 2  # tasks for each thread that wait at the workers: none is idle, and the client holds few

Outcome = tuple[Task, Facts, str]
"""A task, its facts, and the reason of its failure; empty for none."""


@dataclass(frozen=True)
class Summary:
    """Outcome of many tasks.

    Attributes:
        done: Number of successful tasks, with those of earlier runs.
        skipped: Number of tasks that earlier runs had done.
        failed: Reasons of failures by name of the task.
        facts: Facts of successful tasks by name.
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
    """Do a job for each task that is not yet done, with a manifest in the folder.

    Args:
        job: The job; see `flowtuple.batch.jobs`.
        tasks: Tasks of `flowtuple.batch.tasks.plan`.
        folder: Folder of the manifest.
        cluster: `local:N`, a scheduler's address, a client of Dask; `serial` or `None` for this
            process.
        progress: Reports each task that ends.

    Raises:
        InvalidArgument: The folder, its manifest or the cluster cannot be used.
    """
    tasks = list(tasks)
    job_key = fingerprint(job)
    keys = {task.name: key_of(job_key, task) for task in tasks}
    failed: dict[str, str] = {}
    with opened(folder, type(job).__name__.lower()) as manifest:
        waiting = [
            task
            for task in tasks
            if not (
                job.writes
                and manifest.is_done(task.name, keys[task.name], Path(task.output))
            )
        ]
        cluster = cluster if waiting else None
        with _cleared(waiting, manifest, cluster), connected(cluster) as client:
            progress(
                "files",
                0.0,
                "" if client is None else f"dashboard {client.dashboard_link}",
            )
            for number, (task, facts, reason) in enumerate(
                outcomes(job, waiting, client), 1
            ):
                record = _record(task, keys[task.name], facts, reason, job.writes)
                manifest.add(record)
                if record.reason:
                    failed[task.name] = record.reason
                detail = f"{number} of {len(waiting)}, {len(failed)} failed"
                progress("files", number / len(waiting), detail)
        successful = [task.name for task in tasks if task.name not in failed]
        facts_of = {name: manifest.records[name].facts for name in successful}
    return Summary(len(successful), len(tasks) - len(waiting), failed, facts_of)


@contextmanager
def _cleared(tasks: list[Task], manifest: Manifest, cluster: Cluster) -> Iterator[None]:
    """Remove unfinished files of local workers in the end, which end with this process."""
    begun = {task.name: manifest.records.get(task.name) for task in tasks}
    try:
        yield
    finally:
        for task in tasks if has_local_workers(cluster) else ():
            record = manifest.records.get(task.name)
            if record is begun[task.name] or (record is not None and record.reason):
                remove_parts(task.output)


def _record(task: Task, key: str, facts: Facts, reason: str, writes: bool) -> Record:
    """Return the record of a task; a task without its output has failed, whatever it reports."""
    record = Record(task.name, task.source, key, reason, facts=facts)
    output = Path(task.output)
    if reason or not writes:
        return record
    if not output.exists():
        reason = f"{output}: is not there; name a folder that all workers see"
        return replace(record, reason=reason, facts={})
    state = output.stat()
    return replace(record, nbytes=state.st_size, written=state.st_mtime_ns)


def outcomes(job: Job, tasks: Iterable[Task], client: Client | None) -> Iterator[Outcome]:
    """Yield the outcome of each task when it ends: in this process, or on a cluster."""
    if client is not None:
        yield from _outcomes_on(client, job, tasks)
        return
    for task in tasks:
        yield task, *attempt(job, task)


def _outcomes_on(client: Client, job: Job, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """Yield outcomes when tasks end; the scheduler knows a few at a time, to bound its memory."""
    from distributed import as_completed

    left = iter(tasks)
    submitted: dict[str, Task] = {}
    running = as_completed(loop=client.loop)

    def fill() -> None:
        """Submit tasks for each thread that has joined by now."""
        room = max(1, _AHEAD * sum(client.nthreads().values()))
        for task in islice(left, max(0, room - len(submitted))):
            future = client.submit(attempt, job, task, pure=False)
            submitted[future.key] = task
            running.add(future)

    fill()
    for future in running:
        task = submitted.pop(future.key)
        if future.status == "finished":
            facts, reason = future.result()
        else:
            facts, reason = {}, _reason(future.exception())
        fill()
        yield task, facts, reason


def attempt(job: Job, task: Task) -> tuple[Facts, str]:
    """Do one task.

    Returns:
        Its facts, and the reason of its failure; empty for none.
    """
    try:
        return job(task), ""
    except Exception as error:  # one file that fails must not stop the others
        return {}, _reason(error)


def _reason(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, FlowtupleError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def connected(cluster: Cluster) -> Iterator[Client | None]:
    """Give a client of a cluster, `None` for this process; close it in the end if it is new.

    Args:
        cluster: The cluster, as `Cluster` describes it.

    Raises:
        MissingExtra: Dask is not installed.
        InvalidArgument: No scheduler answers at the address, or the number of workers is no number.
    """
    if not isinstance(cluster, str) or cluster == "serial":
        yield None if isinstance(cluster, str) else cluster
        return
    distributed = require("distributed", "dask", "work on a cluster")
    local = has_local_workers(cluster)
    port = cluster.rpartition(":")[2]
    if not (local or "://" in cluster or (port.isdigit() and int(port) >= _FIRST_PORT)):
        raise InvalidArgument(
            f"`cluster=` {cluster}: is no address; "
            "write local:N, serial, or one such as tcp://host:8786"
        )
    with ExitStack() as stack:
        scheduler: Any = cluster
        if local:
            scheduler = stack.enter_context(_local_cluster(workers_of(cluster)))
        try:
            # Other computations of the same process stay with their own scheduler.
            client = distributed.Client(
                scheduler, timeout=_PATIENCE, set_as_default=False
            )
            stack.enter_context(client)
        except (OSError, ValueError) as error:
            raise InvalidArgument(
                f"`cluster=` {cluster}: no scheduler answers ({first_line(error)}); "
                "write local:N, serial, or an address such as tcp://host:8786"
            ) from None
        yield client


def has_local_workers(cluster: Cluster) -> bool:
    """Return True if the workers are processes that begin and end with this one.

    Example:
        >>> has_local_workers("local:2"), has_local_workers("tcp://host:8786")
        (True, False)
    """
    return isinstance(cluster, str) and cluster.partition(":")[0] == "local"


def _local_cluster(count: int) -> LocalCluster:
    """Return a cluster of processes with one thread each.

    By default Dask makes its workers return freed memory at once (MALLOC_TRIM_THRESHOLD_), which
    makes short-lived arrays half as slow again; these workers do not.
    """
    import dask
    from distributed import LocalCluster

    setting = "distributed.nanny.pre-spawn-environ"
    environment = dask.config.get(setting, {})
    reduced = {
        name: value
        for name, value in environment.items()
        if not name.startswith("MALLOC_")
    }
    with dask.config.set({setting: reduced}):
        return LocalCluster(count, threads_per_worker=1, dashboard_address=":0")


def workers_of(text: str) -> int:
    """Return the number of workers of `local` or `local:N`: one for each core, or N.

    Raises:
        InvalidArgument: N is no positive number.

    Example:
        >>> workers_of("local:3")
        3
    """
    _, colon, number = text.partition(":")
    if not colon:
        return default_workers()
    if not number.isdigit() or int(number) < 1:
        raise InvalidArgument(
            f"`cluster=` {text}: is not of the form local:N with N workers, such as local:2"
        )
    return int(number)
