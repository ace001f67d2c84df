"""File systems behind URLs, which try requests over HTTP again that fail for a while.

Three tries of a request, each given up when the server sends nothing for 30 seconds, end after a
minute and a half. The option `timeout` of `flowtuple` in fsspec's configuration sets other seconds:
`FSSPEC_FLOWTUPLE_TIMEOUT=5` in the environment, or
`fsspec.config.conf["flowtuple"] = {"timeout": 5}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from flowtuple.errors import FlowtupleError, InvalidArgument, first_line
from flowtuple.runtime.lazy_packages import asyncio, fsspec

TIMEOUT = 30.0  # seconds without a byte
TRIES = 3
_PAUSE = 1 / 60  # of the time-out, before the second try; doubled before each further one
_TRANSIENT = (429, 500, 502, 503, 504)  # the server is busy or restarts
_PARTIAL = 206


class RequestFailed(FlowtupleError):
    """A request over HTTP that failed for good; the message has no URL.

    It is no OSError, so that no reader takes it for damaged bytes.
    """

    def __getitem__(self, part: object) -> Any:
        """Raise the error: fsspec returns it among ranges, of which uproot takes parts."""
        raise self


@dataclass(frozen=True)
class Patience:
    """A middleware of aiohttp that repeats a request where another try can help.

    A request for a range is answered with all its bytes, so that a stall within them counts. Only
    GET is repeated: after a HEAD that fails fsspec sends a GET.

    Attributes:
        timeout: Seconds without a byte after which a try is given up.

    Raises:
        RequestFailed: No try succeeds, or the server sends the whole file for a part.
    """

    timeout: float

    async def __call__(
        self, request: Any, handler: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        import aiohttp

        tries = TRIES if request.method == "GET" else 1
        for number in range(tries):
            if number:
                await asyncio.sleep(self.timeout * _PAUSE * 2 ** (number - 1))
            try:
                response = await handler(request)
                if response.status not in _TRANSIENT:
                    await _receive_range(request, response)
                    return response
                response.close()
                problem = f"{response.status} {response.reason}"
            except TimeoutError:
                problem = f"the server sends nothing for {self.timeout:g} s"
            except aiohttp.ClientConnectorError:  # nobody listens there
                raise
            except (
                aiohttp.ClientOSError,
                aiohttp.ClientPayloadError,
                aiohttp.ServerDisconnectedError,
            ) as error:
                problem = f"the connection breaks: {first_line(error)}"
        raise RequestFailed(f"{problem}; tried {tries} times")


async def _receive_range(request: Any, response: Any) -> None:
    """Read the body of an answer to a request for a range.

    Raises:
        RequestFailed: The body is another part of the file, or all of it.
    """
    wanted = request.headers.get("Range", "").removeprefix("bytes=")
    if not wanted or not response.ok:
        return
    first, _, last = wanted.partition("-")
    is_whole = first == "0" and response.content_length == int(last) + 1
    if response.status != _PARTIAL and not is_whole:
        response.close()
        raise RequestFailed("the server cannot send it by ranges, only the whole file")
    await response.read()


def storage_options(url: str) -> dict[str, Any]:
    """Return the options with which fsspec opens a URL: patience where it leads over HTTP.

    Options of the user's configuration of fsspec stay.

    Raises:
        InvalidArgument: The configured time-out is no number of seconds.
    """
    schemes = [scheme for scheme in ("http", "https") if f"{scheme}://" in url]
    if not schemes:
        return {}
    from aiohttp import ClientTimeout

    configured = fsspec.config.conf.get("flowtuple", {}).get("timeout", TIMEOUT)
    try:
        timeout = float(configured)
    except (TypeError, ValueError):
        timeout = 0.0
    if not timeout > 0:
        raise InvalidArgument(
            f"{url}: fsspec's option flowtuple.timeout is {configured!r}; give it seconds above 0"
        )
    client = {
        "timeout": ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
        "middlewares": (Patience(timeout),),
    }
    own = {scheme: fsspec.config.conf.get(scheme, {}) for scheme in schemes}
    return {
        scheme: {"client_kwargs": client | own[scheme].get("client_kwargs", {})}
        for scheme in schemes
    }


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system behind a URL, and the name of the file in it."""
    system, name = fsspec.core.url_to_fs(url, **storage_options(url))
    return system, name


def is_http(system: Any) -> bool:
    """Return True for the file system of HTTP itself."""
    return "http" in system.protocol


def size_in(system: Any, name: str) -> int | None:
    """Return the bytes of a file; `None` where the server does not tell them."""
    size = system.size(name)
    if size is None and is_http(system):
        size = fsspec.asyn.sync(system.loop, _size_by_range, system, name)
    return None if size is None else int(size)


async def _size_by_range(system: Any, url: str) -> int | None:
    """Return the size that comes with any range."""
    session = await system.set_session()
    headers = {**system.kwargs.get("headers", {}), "Range": "bytes=0-0"}
    options = {**system.kwargs, "headers": headers}
    async with session.get(system.encode_url(url), **options) as response:
        response.raise_for_status()
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None
