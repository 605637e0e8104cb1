"""What every provider of secrets refuses alike: bad names, absent ones, versions that are not kept.

Pure. No message holds a value.
"""

import re

from pointsman.adapters.secrets.protocol import LATEST
from pointsman.errors import ProviderError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)


def check_name(name: str, provider: str) -> None:
    """Refuse a name that Secret Manager would not take, so that secrets can move between providers.

    Raises:
        ProviderError: It is not ``[A-Za-z0-9_-]{1,255}``.
    """
    if not _NAME.fullmatch(name):
        raise ProviderError(
            f"adapter/secrets={provider}: expected a secret's name of letters, digits, '_' and '-', found {name!r}."
        )


def check_latest(name: str, version: str | None, provider: str) -> None:
    """Refuse a version where only the newest is kept.

    Raises:
        ProviderError: Another one than ``latest`` was asked for.
    """
    if version not in {None, LATEST}:
        raise ProviderError(
            f"adapter/secrets={provider}: expected version latest of secret {name!r}, found {version!r}; "
            "this provider keeps no others."
        )


def encoded(name: str, value: str, provider: str) -> bytes:
    """Return a new value as it is stored.

    Raises:
        ProviderError: It is empty, or no text.
    """
    if not value:
        raise missing(name, provider, "a value that is not empty")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise no_text(name, provider) from None  # its cause would carry the value along


def decoded(name: str, body: bytes, provider: str) -> str:
    """Return a value that was stored.

    Raises:
        ProviderError: It is empty, or no text.
    """
    if not body:
        raise missing(name, provider, "a value that is not empty")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise no_text(name, provider) from None  # its cause would carry the value along


def no_text(name: str, provider: str) -> ProviderError:
    """Return the error for a secret that is not UTF-8."""
    return ProviderError(f"adapter/secrets={provider}: expected UTF-8 in secret {name!r}, found something else.")


def missing(name: str, provider: str, where: str) -> ProviderError:
    """Return the error for a secret that is absent or empty; ``where`` is what would supply it."""
    return ProviderError(
        f"adapter/secrets={provider}: expected a value for secret {name!r}, found none.", hint=f"Set {where}."
    )
