"""One protocol for every store: conditional read, compare-and-swap write, create-only, list.

A store holds bytes under names and says, with every reply, which generation they are, when that was written, and what
time the store has. It never interprets the bytes, never retries, and never writes blindly: each write names the
generation that it replaces, or that there is none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

import msgspec

from pointsman.errors import ConfigurationError, StoreError
from pointsman.stores.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*", re.ASCII)
_MAX_NAME = 512

SCHEMES: Mapping[str, str] = {
    "file": "pointsman.stores.file:FileStore",
    "gs": "pointsman.stores.gcs.store:GoogleStore",
    "https": "pointsman.stores.https:HttpsStore",
    "http": "pointsman.stores.https:HttpsStore",
    "memory": "pointsman.stores.memory:MemoryStore",
}
"""URL scheme → the class that serves it; its module is loaded when a URL names it, and not before."""


class Read(msgspec.Struct, frozen=True):
    """The answer to a read.

    Attributes:
        body: The object's bytes; None when it is unchanged since the generation that was asked about.
        generation: Which state of the object this is; opaque, and never used twice for one name.
        stamp: When this generation was written, by the store's clock (aware UTC); None where the store does not say.
        now: The store's clock at the reply (aware UTC).
    """

    body: bytes | None
    generation: str
    stamp: datetime | None
    now: datetime


class Written(msgspec.Struct, frozen=True):
    """The answer to a write; a later read of this generation tells the same stamp, perhaps cut to the second."""

    generation: str
    stamp: datetime
    now: datetime


class Entry(msgspec.Struct, frozen=True):
    """One object of a list; ``size`` is that of its body, in bytes."""

    name: str
    generation: str
    stamp: datetime
    size: int


class Store(Protocol):
    """Objects under names; concurrent tasks may share one.

    Every operation ends within the limits of ``StoreSettings``. One that is cancelled leaves no lock and no half of an
    object behind; a write may then land, or not, as after `Unavailable` with ``sent``. Who opened a store closes it.
    """

    @property
    def url(self) -> str:
        """Where it lies, in its canonical form; free of secrets."""
        ...

    @property
    def writable(self) -> bool:
        """Whether anything can be written; False over HTTPS."""
        ...

    @property
    def paced(self) -> bool:
        """Whether one object bears no more than one write a second."""
        ...

    async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
        """Return the object, or only that it is still of the generation ``unless``.

        Body and generation always belong together.

        Raises:
            NotFound: There is no such object, or no such bucket or folder.
            Forbidden: The store refuses us.
            TooLarge: The body is over ``max_bytes``; no more than that was taken in.
            Unavailable: The store did not answer, or not in time.
            StoreError: The name is malformed, or what lies there is no object.
        """
        ...

    async def write(self, name: str, body: bytes, *, expect: str) -> Written:
        """Replace the object if it is of the generation ``expect``, else change nothing.

        Raises:
            PreconditionFailed: The object is of another generation, or is gone.
            Forbidden: The store refuses us.
            Unavailable: No answer; ``sent`` says whether it may have been written, now or later.
            ReadOnlyReplica: This store cannot be written.
            StoreError: The name is malformed, or what lies there is no object.
        """
        ...

    async def create(self, name: str, body: bytes) -> Written:
        """Write an object that does not exist yet, else change nothing.

        Raises:
            PreconditionFailed: It exists.
            Forbidden: The store refuses us.
            Unavailable: No answer; ``sent`` says whether it may have been written, now or later.
            ReadOnlyReplica: This store cannot be written.
            StoreError: The name is malformed.
        """
        ...

    async def list(self, prefix: str) -> Sequence[Entry]:
        """Return every object whose name starts with ``prefix`` (any text, ``""`` for all), sorted by name.

        Raises:
            NotFound: There is no such bucket or folder.
            Forbidden: The store refuses us.
            TooLarge: More than ``max_entries`` match.
            Unavailable: The store did not answer, or not in time.
            ReadOnlyReplica: This store cannot list.
            StoreError: The prefix is malformed.
        """
        ...

    async def aclose(self) -> None:
        """Close the clients; nobody may use the store afterwards. Never raises."""
        ...


def open_store(url: str, *, settings: StoreSettings | None = None) -> Store:
    """Return the store of a URL: ``file:``, ``gs:``, ``https:`` or ``memory:``. Sends nothing yet.

    Raises:
        ConfigurationError: The scheme is unknown, or the rest of the URL is not of its form.
    """
    scheme = url.partition(":")[0].lower()
    reference = SCHEMES.get(scheme)
    if reference is None or "://" not in url:
        raise ConfigurationError(
            f"Expected a store's URL with one of the schemes {', '.join(SCHEMES)}, found {scheme[:40]!r}.",
            hint="Write file:///var/lib/pointsman, file://./state, gs://bucket/prefix or https://host/prefix.",
        )
    module, _, name = reference.partition(":")
    opener = cast("Callable[[str, StoreSettings], Store]", getattr(import_module(module), name))
    return opener(url, settings or StoreSettings())


def local_clock() -> datetime:
    """Return this machine's time, aware UTC: the clock of the stores that have none of their own."""
    return datetime.now(UTC)


def check_name(name: str) -> str:
    """Return an object's name as it is, if it can be one in every store.

    Segments of ASCII letters, digits, ``.``, ``_`` and ``-`` that do not start with ``.`` or ``-``, joined by ``/``:
    so no name is absolute, climbs, hides, or needs an escape in a URL.

    Raises:
        StoreError: It is not of this form, or longer than 512.
    """
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise StoreError(
            f"Expected an object's name such as ops/4f1c/begin, found {name[:80]!r}.",
            hint="Use segments of letters, digits, '.', '_' and '-' that do not start with '.' or '-', joined by '/'.",
        )
    return name


def check_prefix(prefix: str) -> str:
    """Return a prefix as it is: ``""``, or a name, or a name and ``/``.

    Raises:
        StoreError: It is none of these.
    """
    if prefix:
        check_name(prefix.removesuffix("/"))
    return prefix


def url_without_secrets(url: str, form: str) -> tuple[str, str]:
    """Return the authority and the path of a store's URL, refusing credentials, query and fragment.

    Args:
        url: What settings say. It is never quoted in an error, since it may hold a password.
        form: The form that was expected, for the error.

    Raises:
        ConfigurationError: The URL cannot be split, or carries one of these.
    """
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise ConfigurationError(f"Expected a store's URL such as {form}, found one that cannot be read.") from exc
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            f"Expected a store's URL such as {form}, found one with a user, a query or a fragment.",
            hint="A store's URL is shown in logs and explanations: it must not carry a credential.",
        )
    return parts.netloc, parts.path


def prefix_of(path: str, form: str) -> str:
    """Return what stands before every name in a bucket or on a host: ``""`` or ``some/prefix/``.

    Raises:
        ConfigurationError: A segment of the path could not be part of a name.
    """
    prefix = path.strip("/")
    if not prefix:
        return ""
    try:
        check_name(prefix)
    except StoreError as exc:
        raise ConfigurationError(
            f"Expected a store's URL such as {form}, found {prefix[:80]!r} where plain segments should be."
        ) from exc
    return f"{prefix}/"
