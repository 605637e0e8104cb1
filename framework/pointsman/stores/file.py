"""``file:///folder``, ``file://./folder``: a store in a folder, shared by any number of processes of one machine.

An object is one file: a line that labels it (generation, stamp, size), then the body. It is replaced whole, by a
rename under a file lock after an fsync, so label and body always belong together and readers need no lock. Nothing
here leaves the folder, follows a symbolic link in it, or touches a file that it did not write.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import unquote

import msgspec

from pointsman.errors import (
    ConfigurationError,
    Forbidden,
    NotFound,
    PreconditionFailed,
    StoreError,
    TooLarge,
    Unavailable,
)
from pointsman.stores.blocking import Threads, Ticket
from pointsman.stores.store import (
    Entry,
    Read,
    Written,
    check_name,
    check_prefix,
    local_clock,
    url_without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pointsman.stores.settings import StoreSettings

T = TypeVar("T")

_LABEL = re.compile(rb"pointsman-object/1 ([1-9][0-9]{0,18})\.([0-9a-f]{8}) ([0-9T:.+-]{25,32}) (0|[1-9][0-9]{0,14})\n")
_MAX_LABEL = 128
_LOCK = ".lock"
_INCOMING = ".incoming"
_POLL_S = 0.005
_LOCK_SHARE = 0.9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Label(msgspec.Struct, frozen=True):
    """The first line of an object's file.

    Attributes:
        count: How many writes it took to get here; for people.
        token: Random, so that no generation comes twice, even if the file was removed meanwhile.
        stamp: When it was written, by the store's clock.
        size: Length of the body, in bytes.
    """

    count: int
    token: str
    stamp: datetime
    size: int

    @property
    def generation(self) -> str:
        """The generation as the store tells it."""
        return f"{self.count}.{self.token}"

    def encode(self) -> bytes:
        """Return the line."""
        return f"pointsman-object/1 {self.generation} {self.stamp.isoformat()} {self.size}\n".encode("ascii")


class FileStore:
    """A folder of objects.

    Args:
        url: ``file:///absolute``, ``file://localhost/absolute`` or, from the working directory, ``file://./relative``.
            The folder is made by the first write.
        settings: The limits.
        clock: The store's clock; this machine's by default.
    """

    writable = True
    paced = False

    def __init__(self, url: str, settings: StoreSettings, *, clock: Callable[[], datetime] = local_clock) -> None:
        self._folder = _folder_of(url)
        self.url = self._folder.as_uri()
        self._settings = settings
        self._clock = clock
        self._threads = Threads(settings.max_threads)

    async def read(self, name: str, *, max_bytes: int, unless: str | None = None) -> Read:
        """See `Store.read`; an unchanged object still tells its stamp."""
        check_name(name)
        work = partial(self._read, name, max_bytes, unless)
        label, body = await self._off_loop(f"reading {name}", self._settings.deadline_s, work)
        return Read(body, label.generation, label.stamp, self._clock())

    async def write(self, name: str, body: bytes, *, expect: str) -> Written:
        """See `Store.write`."""
        return await self._put(name, body, expect)

    async def create(self, name: str, body: bytes) -> Written:
        """See `Store.create`."""
        return await self._put(name, body, None)

    async def list(self, prefix: str) -> Sequence[Entry]:
        """See `Store.list`; files that no store wrote are not listed."""
        check_prefix(prefix)
        return await self._off_loop(f"listing {prefix}", self._settings.deadline_s, partial(self._list, prefix))

    async def aclose(self) -> None:
        """Let the threads end; between two operations nothing else is open."""
        self._threads.close()

    async def _put(self, name: str, body: bytes, expect: str | None) -> Written:
        check_name(name)
        work = partial(self._swap, name, body, expect)
        label = await self._off_loop(f"writing {name}", self._settings.timeout_s, work)
        return Written(label.generation, label.stamp, self._clock())

    async def _off_loop(self, what: str, within_s: float, work: Callable[[Ticket], T]) -> T:
        def translated(ticket: Ticket) -> T:
            with _translated(ticket):
                return work(ticket)

        return await self._threads.run(translated, Ticket(what, within_s))

    # From here on everything runs in a thread.

    def _read(self, name: str, max_bytes: int, unless: str | None, _: Ticket) -> tuple[Label, bytes | None]:
        with _open(_place(self._root(), name)) as file:
            label = _label_of(file, name)
            if label.generation == unless:
                return label, None
            if label.size > max_bytes:
                raise TooLarge(f"Expected at most {max_bytes} bytes in {name}, found {label.size}.")
            body = file.read(label.size + 1)
        if len(body) != label.size:
            raise StoreError(
                f"Expected {label.size} bytes in {name}, found {'more' if len(body) > label.size else len(body)}.",
                hint="The file was changed by something else than a store; remove it, or put a sound copy back.",
            )
        return label, body

    def _swap(self, name: str, body: bytes, expect: str | None, ticket: Ticket) -> Label:
        self._folder.mkdir(parents=True, exist_ok=True)
        root = self._root()
        with _locked(root, ticket):
            path = _place(root, name)
            current = _current(path, name)
            found = current.generation if current else None
            if found != expect:
                raise PreconditionFailed(
                    f"Expected {name} to be {_state(expect)}, found it {_state(found)}.",
                    hint="Read it again, and decide again.",
                )
            count = current.count + 1 if current else 1
            label = Label(count, secrets.token_hex(4), self._clock().astimezone(UTC), len(body))
            _replace(root, path, label, body, ticket)
        return label

    def _list(self, prefix: str, ticket: Ticket) -> Sequence[Entry]:
        root = self._root()
        if not root.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(root))
        entries: list[Entry] = []
        for path in _walk(_place(root, prefix.rpartition("/")[0])):
            ticket.check()
            name = path.relative_to(root).as_posix()
            label = _listed(path, name) if name.startswith(prefix) else None
            if label is None:
                continue
            entries.append(Entry(name, label.generation, label.stamp, label.size))
            if len(entries) > self._settings.max_entries:
                raise TooLarge(f"Expected at most {self._settings.max_entries} objects under {prefix!r}, found more.")
        return sorted(entries, key=lambda entry: entry.name)

    def _root(self) -> Path:
        return Path(os.path.realpath(self._folder))


def _folder_of(url: str) -> Path:
    """Return the absolute folder that a URL names.

    Raises:
        ConfigurationError: It names another host, or none at all.
    """
    form = "file:///var/lib/pointsman or file://./state"
    authority, path = url_without_secrets(url, form)
    path = unquote(path)
    if authority not in {"", ".", "localhost"} or not path.strip("/") or "\0" in path:
        raise ConfigurationError(f"Expected a store's URL such as {form}, found {url!r}.")
    return Path(os.path.normpath(Path.cwd() / path.lstrip("/") if authority == "." else path))


def _place(root: Path, name: str) -> Path:
    """Return where an object lies.

    Raises:
        Forbidden: A symbolic link stands in the way.
    """
    path = root / name
    if os.path.realpath(path) != str(path):
        raise Forbidden(
            f"Expected {name} to lie in the store's folder, found a symbolic link on the way.",
            hint="A store follows no link inside its folder; the folder itself may be one.",
        )
    return path


def _open(path: Path) -> BinaryIO:
    """Open a file for reading; a folder, or a file on the way to it, means that there is no such object."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except NotADirectoryError as exc:
        raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from exc
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no such object", str(path))
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path


def _label_of(file: BinaryIO, name: str) -> Label:
    """Return the label, leaving the file at the body.

    The stamp is the later one of what the label says and when the file was last changed: a store sets both alike, so an
    old object that was copied back shows when that happened, as it would in a bucket.

    Raises:
        StoreError: The file was not written by a store.
    """
    line = file.readline(_MAX_LABEL)
    match = _LABEL.fullmatch(line)
    try:
        stamp = datetime.fromisoformat(match[3].decode("ascii")) if match else None
    except ValueError:
        stamp = None
    if match is None or stamp is None or stamp.tzinfo is None:
        raise StoreError(
            f"Expected {name} to be an object of this store, found another file.",
            hint="Objects are written with `pointsman manifest publish` and `pointsman head adopt`, not copied in.",
        )
    changed = _EPOCH + timedelta(microseconds=os.fstat(file.fileno()).st_mtime_ns // 1000)
    return Label(int(match[1]), match[2].decode("ascii"), max(stamp, changed), int(match[4]))


def _current(path: Path, name: str) -> Label | None:
    try:
        with _open(path) as file:
            return _label_of(file, name)
    except FileNotFoundError:
        return None


def _listed(path: Path, name: str) -> Label | None:
    """Return the label of what is an object; None for a file that is none, or is gone."""
    with suppress(StoreError, FileNotFoundError), _open(path) as file:
        return _label_of(file, name)
    return None


def _state(generation: str | None) -> str:
    return "absent" if generation is None else f"of generation {generation[:40]}"


def _replace(root: Path, path: Path, label: Label, body: bytes, ticket: Ticket) -> None:
    """Put a new file in place, whole or not at all, durable when this returns. Needs the lock: one file is incoming."""
    fresh = not path.parent.is_dir()
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    incoming = root / _INCOMING
    with open(os.open(incoming, flags, 0o666), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(label.encode())
        file.write(body)
        file.flush()
        written_ns = (label.stamp - _EPOCH) // timedelta(microseconds=1) * 1000
        os.utime(file.fileno(), ns=(written_ns, written_ns))
        os.fsync(file.fileno())
    ticket.commit()
    incoming.replace(path)
    _sync_folder(path.parent)
    if fresh:
        for folder in path.parent.relative_to(root).parents:
            _sync_folder(root / folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(top: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, without following links, without what starts with a dot."""
    for folder, folders, files in os.walk(top, onerror=_unless_gone):
        folders[:] = [each for each in folders if not each.startswith(".")]
        paths = (Path(folder) / each for each in files if not each.startswith("."))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _unless_gone(error: OSError) -> None:
    """Refuse to take a folder that cannot be read for an empty one."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


@contextmanager
def _locked(root: Path, ticket: Ticket) -> Iterator[None]:
    """Hold the folder's lock.

    Raises:
        Unavailable: Another writer held it all the time.
    """
    from filelock import FileLock, Timeout  # a replica that starts only reads

    patience_s = ticket.remaining_s() * _LOCK_SHARE  # so that the error names the lock, not the time
    lock = FileLock(root / _LOCK, timeout=patience_s, poll_interval=_POLL_S, thread_local=False)
    try:
        lock.acquire()
    except Timeout as exc:
        raise Unavailable(
            f"{ticket.what.capitalize()}: another writer held the folder's lock for {ticket.within_s:g} s.", sent=False
        ) from exc
    try:
        yield
    finally:
        lock.release()


_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})


@contextmanager
def _translated(ticket: Ticket) -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except FileNotFoundError as exc:
        raise NotFound(f"{ticket.what.capitalize()}: there is no such object.") from exc
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as exc:
        raise StoreError(
            f"{ticket.what.capitalize()}: expected a file, found a folder, or the reverse.",
            hint="In a folder no object can be called as the first segments of another.",
        ) from exc
    except OSError as exc:
        text = f"{ticket.what.capitalize()}: {os.strerror(exc.errno) if exc.errno else type(exc).__name__}."
        if exc.errno in _FORBIDDEN:
            raise Forbidden(text, hint="Give this process the rights to the store's folder.") from exc
        raise Unavailable(text, sent=ticket.sent) from exc
