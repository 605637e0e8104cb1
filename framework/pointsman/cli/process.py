"""One process that serves an application until a signal ends it, as Cloud Run runs a container.

uvicorn's server, without its command line: every address, logging left to the application, and seven seconds for
requests under way after SIGTERM. Must never import what the service does not need: no Typer, no Rich, no client.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

from pointsman.cli.applications import load_application
from pointsman.errors import ConfigurationError
from pointsman.runtime.plugins import PYDANTICS, any_declared
from pointsman.unopened import unopened

with unopened("uvicorn") as uvicorn, unopened("logging.config"), unopened("platform"):  # neither is asked for anything
    from uvicorn.config import Config
    from uvicorn.server import Server

    uvicorn.Config = Config  # type: ignore[attr-defined] # what its own modules ask it for

GRACE_S: Final = 7
"""Cloud Run kills ten seconds after SIGTERM; the rest is for the application's own end."""


class _Server(Server):
    """A server that lets garbage be collected once the application stands."""

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets)  # type: ignore[arg-type]
        gc.freeze()
        gc.enable()


def run(reference: str, port: str) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        reference: ``module:name``.
        port: As ``$PORT`` says it.

    Raises:
        ConfigurationError: There is no such application, or the port is none.
    """
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise ConfigurationError(f"PORT: expected a port from 0 to 65535, found {port!r}.")
    _spare_pydantic_its_search()
    application = load_application(reference)
    config = Config(
        application,
        host="0.0.0.0",  # noqa: S104 - Cloud Run reaches the container from outside
        port=int(port),
        lifespan="on",
        ws="auto" if application.may_speak_websocket() else "none",  # a library that takes 30 ms to load
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    _Server(config).run()


def _spare_pydantic_its_search() -> None:
    """Where no package brings a plugin for pydantic, tell it so.

    It would read all that is installed when the first model is made: a tenth of what bare Starlette takes to start.
    """
    if not any_declared(sys.path, PYDANTICS):
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
