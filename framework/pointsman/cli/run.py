"""``python -m pointsman.cli.run app.main:app``: serve an application as Cloud Run wants it, and start at once.

uvicorn's server, without its command line: one process, every address, ``$PORT``, logging left to the application, and
seven seconds for requests under way after SIGTERM. Garbage is collected only once the service stands: what a start
makes lives as long as the process, and is never looked through again. Must never import what the service does not
need: no Typer, no Rich, no client.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

import uvicorn

from pointsman.cli.applications import DEFAULT, load_application
from pointsman.errors import ConfigurationError, PointsmanError

GRACE_S: Final = 7
"""Cloud Run kills ten seconds after SIGTERM; the rest is for the application's own end."""


class _Server(uvicorn.Server):
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
    gc.disable()
    config = uvicorn.Config(
        load_application(reference),
        host="0.0.0.0",  # noqa: S104 - Cloud Run reaches the container from outside
        port=int(port),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    _Server(config).run()


def main() -> int:
    """Serve what the process's argument and ``$PORT`` name; the exit status."""
    try:
        run(sys.argv[1] if len(sys.argv) > 1 else DEFAULT, os.environ.get("PORT", "8080"))
    except PointsmanError as error:
        print(error.render(), file=sys.stderr)  # noqa: T201 - the process's only words
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
