"""Run an application in this process until a signal ends it, and end in time.

The first SIGINT or SIGTERM drains: no new connection, requests under way finish within `GRACE_S`, then the
application's own end. A second SIGINT does not wait. No thread and no task is left.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import anyio
import httpx
import uvicorn

from pointsman.cli.process import GRACE_S
from pointsman.errors import ConfigurationError, NoCatalog, PointsmanError

if TYPE_CHECKING:
    from pointsman.web.application import Pointsman

READY_S: Final = 30.0
"""How long a service may take to be ready."""
_LOOK_EVERY_S: Final = 0.05
LOOPBACK: Final = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it; uvicorn's own raises them again at the end."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()


def listening(host: str, port: int, *, or_another: bool = False) -> socket.socket:
    """Return a socket that is bound, and accepts nothing yet.

    Args:
        host: An address of this machine.
        port: 0 for any free one.
        or_another: Take any free port where this one is taken.

    Raises:
        ConfigurationError: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if or_another:
            return listening(host, 0)
        raise ConfigurationError(
            f"Expected to listen on {host}:{port}: {error.strerror}.", hint="Name another: --port 0 takes a free one."
        ) from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Return where a socket is reached from this machine."""
    host, port = bound.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - shown, not bound
        host = LOOPBACK
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: Pointsman, bound: socket.socket, *, ready: Callable[[], Awaitable[None]] | None = None) -> None:
    """Serve until a signal comes, and end in order.

    Args:
        app: What is served.
        bound: Where; closed at the end.
        ready: Called once the service answers that it is ready.

    Raises:
        ConfigurationError: The application refuses to start.
        NoCatalog: It is not ready in time.
    """
    config = uvicorn.Config(
        app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    server, failures = _Server(config), list[PointsmanError]()
    async with anyio.create_task_group() as group:
        group.start_soon(_ended_by_signals, server)
        if ready is not None:
            group.start_soon(_tell_when_ready, server, url_of(bound), ready, failures)
        try:
            await server.serve(sockets=[bound])
        except SystemExit:
            failures.append(
                ConfigurationError("The application refuses to start.", hint="The last line of its log says why.")
            )
        finally:
            bound.close()
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _ended_by_signals(server: uvicorn.Server) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            server.force_exit = server.should_exit and number == signal.SIGINT
            server.should_exit = True


async def _tell_when_ready(
    server: uvicorn.Server, url: str, ready: Callable[[], Awaitable[None]], failures: list[PointsmanError]
) -> None:
    """Call ``ready`` when it is time; where it never is, or ``ready`` fails, end the server in order."""
    try:
        with anyio.fail_after(READY_S):
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                while not await _is_ready(client):  # noqa: ASYNC110 - asked as a probe asks, from outside
                    await anyio.sleep(_LOOK_EVERY_S)
        await ready()
    except TimeoutError:
        failures.append(NoCatalog(f"Expected the service to be ready within {READY_S:g} s, found that it is not."))
        server.should_exit = True
    except PointsmanError as error:
        failures.append(error)
        server.should_exit = True


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False
