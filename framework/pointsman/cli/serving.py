"""``pointsman serve``: run the application as Cloud Run does, or on the loopback for a developer."""

import os
from typing import Annotated

import typer

from pointsman.cli.answering import answering, finish, note, say_json
from pointsman.cli.options import App, AsJson

_ON_CLOUD_RUN = "K_SERVICE"


def serve(
    *,
    host: Annotated[str, typer.Option(help="The address; unsaid: the loopback, on Cloud Run every one.")] = "",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="0 takes a free one.")] = 8080,
    dev: Annotated[
        bool, typer.Option("--dev", help="On the loopback, with an operator's token that is good there alone.")
    ] = False,
    reference: App = "",
    as_json: AsJson = False,
) -> None:
    """Serve the application until SIGTERM or Ctrl-C.

    Requests under way then have 7 seconds to finish. With --json one line says where: {"url", "token"}.
    """
    with answering(as_json=as_json):
        from pointsman.cli.applications import load_application
        from pointsman.cli.loopback import loopback_operator
        from pointsman.cli.server import LOOPBACK, listening, url_of
        from pointsman.cli.server import serve as run
        from pointsman.errors import ConfigurationError
        from pointsman.observability.logging import configure_logging

        if dev and host not in {"", LOOPBACK, "::1"}:
            raise ConfigurationError(f"--dev serves the loopback only, found --host {host}.", hint="Leave one out.")
        everywhere = _ON_CLOUD_RUN in os.environ and not dev
        with loopback_operator(os.environ, wanted=dev) as token:
            application = load_application(reference)
            runtime = application.assembly.runtime
            settings = runtime.settings
            undo = configure_logging(settings.logging, environment=settings.environment, scrubber=runtime.scrubber)
            try:
                bound = listening(host or ("0.0.0.0" if everywhere else LOOPBACK), port)  # noqa: S104 - Cloud Run
                if as_json:
                    say_json({"url": url_of(bound), "token": token or None}, indent=None)
                else:
                    note(f"Serving {url_of(bound)}")
                    note(f"Operator's token, good here alone: {token}" if token else "Ctrl-C ends it.")
                finish(lambda: run(application, bound))
            finally:
                undo()
