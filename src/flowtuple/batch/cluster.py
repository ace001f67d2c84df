"""Clients of Dask: of a scheduler by its address, or of workers on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from flowtuple.errors import InvalidArgument, first_line
from flowtuple.runtime.extras import require
from flowtuple.runtime.threads import default_workers

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Cluster: TypeAlias = "str | Client | None"
"""`local`, `local:N`, the address of a scheduler, a client; `serial` or `None` for this process."""

_FIRST_PORT = 1024  # no scheduler listens below; such an address is a misspelt local:2
_PATIENCE = 30  # seconds that a scheduler has to answer


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Client | None]:
    """Give a client of a cluster, `None` for this process; close it in the end if it is new.

    Args:
        cluster: The cluster, as `Cluster` describes it.

    Raises:
        MissingExtra: Dask is not installed.
        InvalidArgument: No scheduler answers at the address, or the number of workers is no number.
    """
    if cluster is None or not isinstance(cluster, str):
        yield cluster
        return
    if cluster == "serial":
        yield None
        return
    distributed = require("distributed", "dask", "work on a cluster")
    local = has_local_workers(cluster)
    port = cluster.rpartition(":")[2]
    if not (local or "://" in cluster or (port.isdigit() and int(port) >= _FIRST_PORT)):
        raise InvalidArgument(
            f"`cluster=` {cluster}: is no address; "
            "write local:N, serial, or one such as tcp://host:8786"
        )
    with contextlib.ExitStack() as stack:
        scheduler: Any = cluster
        if local:
            scheduler = stack.enter_context(_local_cluster(workers_of(cluster)))
        try:
            client = stack.enter_context(distributed.Client(scheduler, timeout=_PATIENCE))
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
        name: value for name, value in environment.items() if not name.startswith("MALLOC_")
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
