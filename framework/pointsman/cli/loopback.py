"""An operator's token that is good on this machine's loopback alone, and for one run."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")
"""Host names that a browser cannot be led to by somebody else's DNS."""
NAME: Final = "loopback"


def new_token() -> str:
    """Return a token of 256 bits."""
    return secrets.token_urlsafe(32)


def admin_section(token: str) -> dict[str, Any]:
    """Return the section ``admin`` that lets its bearer operate; it holds the token's digest only."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {
        "authenticators": [{"name": NAME, "role": "operator", "token_sha256": digest}],
        "allowed_hosts": list(LOOPBACK_HOSTS),
    }


@contextmanager
def loopback_operator(environ: MutableMapping[str, str], *, wanted: bool) -> Generator[str]:
    """Let one operator in for the time of the block, instead of those of the settings; gives the token, or ``""``."""
    if not wanted:
        yield ""
        return
    token = new_token()
    given = {f"POINTSMAN_ADMIN__{name.upper()}": json.dumps(value) for name, value in admin_section(token).items()}
    before = {name: environ[name] for name in given if name in environ}
    environ.update(given)
    try:
        yield token
    finally:
        for name in given:
            del environ[name]
        environ.update(before)
