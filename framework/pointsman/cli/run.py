"""``python -m pointsman.cli.run app.main:app``: serve an application on ``$PORT``, and start at once.

Garbage is collected only once the service stands: what a start makes lives as long as the process, and is never looked
through. So this module must import nothing before that is said.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Serve what the process's argument and ``$PORT`` name; the exit status."""
    gc.disable()

    from pointsman.unopened import unopened, without

    with without("typing_extensions"), unopened("msgspec.inspect"), unopened("textwrap"):
        # Of the first it asks for what Python has since 3.11, of the others when it makes a JSON Schema.
        import msgspec  # noqa: F401 - first of all, since everything else imports it

    from pointsman.cli.applications import DEFAULT
    from pointsman.cli.process import run
    from pointsman.errors import PointsmanError

    try:
        run(sys.argv[1] if len(sys.argv) > 1 else DEFAULT, os.environ.get("PORT", "8080"))
    except PointsmanError as error:
        print(error.render(), file=sys.stderr)  # noqa: T201 - the process's only words
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
