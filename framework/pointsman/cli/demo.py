"""``pointsman demo``: the whole job on this machine, with the reference service.

Keys, a trust root and a signed manifest for the checkout's tenants are made in a folder, published to a store there,
adopted and served; five lines for ``curl`` show what there is to see. At the end nothing is left, unless ``--state``
names a folder.
"""

import contextlib
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer

from pointsman.cli.answering import answering, finish
from pointsman.cli.options import AsJson


def demo(
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0 takes a free one; unsaid: 8080, or a free one.")
    ] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep everything here, and use it again.")] = None,
    store: Annotated[
        str, typer.Option(metavar="URL", help="Where replicas agree; unsaid: a folder of the state.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """See the whole job on this machine: three tenants.

    Runs until Ctrl-C. With --json one line is printed when the service is ready: {"url", "admin", "token", "tenants",
    "state"}.
    """
    with answering(as_json=as_json), contextlib.ExitStack() as until_the_end:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folder goes, however early
        until_the_end.callback(signal.signal, signal.SIGTERM, before)
        from pointsman.cli.loopback import new_token
        from pointsman.cli.workshop import Workshop, reference_service

        checkout = reference_service()
        folder = until_the_end.enter_context(_folder(state))
        workshop = Workshop(folder, checkout, store or f"file://{folder / 'fleet'}")
        token = new_token()
        workshop.lay_out(token)
        sys.path.insert(0, str(checkout))
        until_the_end.enter_context(contextlib.chdir(folder))
        from pointsman.cli.showing import show

        finish(lambda: show(workshop, token, port, as_json=as_json))


@contextlib.contextmanager
def _folder(state: Path | None) -> Generator[Path]:
    """Give the folder of the state, absolute; one that nobody named is gone at the end."""
    from pointsman.cli.files import make_folder

    if state is not None:
        make_folder(state)
        yield state.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="pointsman-demo-") as made:
        yield Path(made).resolve()
