"""A client of Dask from what a person asks for: a scheduler's address, or workers on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from flowtuple.errors import InvalidArgument
from flowtuple.runtime.extras import require
from flowtuple.runtime.threads import default_workers

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Cluster: TypeAlias = "str | Client | None"
"""`local`, `local:N`, the address of a scheduler, a client; `serial` or `None` for this process."""

_FIRST_PORT = (
    1024  # below, no scheduler listens: it is a misspelt local:2 that nobody should wait for
)
_PATIENCE = 30  # seconds that a scheduler has to answer


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Client | None]:
    """A client, closed at the end where it was opened here.

    Raises:
        MissingExtra: Dask is not installed.
        InvalidArgument: Nothing answers at the address, or the number of workers is none.
    """
    if cluster is None or not isinstance(cluster, str) or cluster == "serial":
        yield None if cluster == "serial" else cluster
        return
    distributed = require("distributed", "dask", "work on a cluster")
    port = cluster.rpartition(":")[2]
    if (
        cluster.partition(":")[0] != "local"
        and "://" not in cluster
        and not (port.isdigit() and int(port) >= _FIRST_PORT)
    ):
        raise InvalidArgument(
            f"--dask {cluster}: is no address; write local:N, serial, or one such as tcp://host:8786"
        )
    with contextlib.ExitStack() as stack:
        where: Any = cluster
        if workers_are_ours(cluster):
            where = stack.enter_context(_workers_here(workers_of(cluster)))
        try:
            client = stack.enter_context(distributed.Client(where, timeout=_PATIENCE))
        except (OSError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise InvalidArgument(
                f"--dask {cluster}: no scheduler answers ({first}); write local:N, serial, or an address such as tcp://host:8786"
            ) from None
        yield client


def workers_are_ours(cluster: Cluster) -> bool:
    """Whether the workers are processes that begin and end with this one.

    Example:
        >>> workers_are_ours("local:2"), workers_are_ours("tcp://host:8786")
        (True, False)
    """
    return isinstance(cluster, str) and cluster.partition(":")[0] == "local"


def _workers_here(count: int) -> LocalCluster:
    """Processes of one thread that keep the memory that they free.

    Dask tells its workers to give freed memory back at once (MALLOC_TRIM_THRESHOLD_), which makes arrays that come and go half
    as slow again.
    """
    import dask
    from distributed import LocalCluster

    environment = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    kept = {name: value for name, value in environment.items() if not name.startswith("MALLOC_")}
    with dask.config.set({"distributed.nanny.pre-spawn-environ": kept}):
        return LocalCluster(count, threads_per_worker=1, dashboard_address=":0")


def workers_of(text: str) -> int:
    """Workers of `local` and `local:N`: one for each core, or N.

    Example:
        >>> workers_of("local:3")
        3
    """
    _, colon, number = text.partition(":")
    if not colon:
        return default_workers()
    if not number.isdigit() or int(number) < 1:
        raise InvalidArgument(
            f"--dask {text}: is not of the form local:N with N workers, such as local:2"
        )
    return int(number)
