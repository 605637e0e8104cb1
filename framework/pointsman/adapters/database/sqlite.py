"""A database in one file, or in memory, on this replica.

One connection in autocommit mode, one thread at a time: a statement runs, is fetched and is closed in a single visit to
the thread, so what it wrote is committed before anybody else's turn, ``INSERT … RETURNING`` too, and a caller who goes
away leaves nothing open. Nothing here may block the event loop.
"""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from pydantic import BaseModel, Field

from pointsman.adapters.database.protocol import Database, Row
from pointsman.errors import ProviderError, ProviderTimeout, ProviderUnavailable

T = TypeVar("T")
_TIMEOUT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT})
_UNAVAILABLE = frozenset({
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
})  # fmt: skip
_STEPS_BETWEEN_LOOKS = 10_000


class SqliteSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of ``database/sqlite``.

    Attributes:
        path: Of the file, relative to the working directory; its folders are made. ``:memory:`` is gone with the
            instance.
        busy_timeout_s: How long a statement waits for another process that writes.
        statement_timeout_s: How long a statement may run, its wait included.
    """

    path: Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]
    busy_timeout_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    statement_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into ours; their texts name tables and columns, never values."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        found = f"adapter/database=sqlite: {error}"
        if code in _TIMEOUT:
            raise ProviderTimeout(
                f"{found}.", hint="Shorten what writes, or raise busy_timeout_s or statement_timeout_s."
            ) from error
        if code in _UNAVAILABLE:
            raise ProviderUnavailable(
                f"{found}.", hint="Look at the file that path names, its folder, and the space left."
            ) from error
        raise ProviderError(f"{found}.") from error


def _changed(cursor: sqlite3.Cursor) -> int:
    for _ in cursor:  # RETURNING counts when its rows have been read
        pass
    return max(cursor.rowcount, 0)


def _first(cursor: sqlite3.Cursor) -> Row | None:
    row = cursor.fetchone()
    return None if row is None else dict(zip(_names(cursor), row, strict=True))


def _rows(cursor: sqlite3.Cursor) -> list[Row]:
    names = _names(cursor)
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _names(cursor: sqlite3.Cursor) -> list[str]:
    return [column[0] for column in cursor.description or ()]


class SqliteDatabase(Database):
    """The one connection to a file; made by `sqlite_database`, which closes it."""

    def __init__(self, connection: sqlite3.Connection, statement_timeout_s: float) -> None:
        self._connection = connection
        self._statement_timeout_s = statement_timeout_s
        self._turn = CapacityLimiter(1)

    async def execute(self, statement: str, *values: object) -> int:
        """Run a statement and return how many rows it changed; 0 where that has no meaning.

        Raises:
            ProviderError: SQLite refuses the statement or a value, or a transaction would stay open.
            ProviderTimeout: Another process kept the file locked, or the statement ran too long.
            ProviderUnavailable: The file cannot be read or written.
        """
        return await self._run(_changed, statement, values)

    async def fetch_one(self, statement: str, *values: object) -> Row | None:
        """Run a statement and return its first row, or ``None``; raises as `execute` does."""
        return await self._run(_first, statement, values)

    async def fetch_all(self, statement: str, *values: object) -> list[Row]:
        """Run a statement and return all its rows; raises as `execute` does."""
        return await self._run(_rows, statement, values)

    async def health(self) -> bool:
        """Read from the file; raises as `execute` does."""
        await self._run(_first, "SELECT count(*) FROM sqlite_schema", ())
        return True

    async def aclose(self) -> None:
        """Close the connection after the statement under way."""
        with CancelScope(shield=True):
            await to_thread.run_sync(self._connection.close, limiter=self._turn)

    async def _run(self, collect: Callable[[sqlite3.Cursor], T], statement: str, values: tuple[object, ...]) -> T:
        with _translated():
            return await to_thread.run_sync(self._visit, collect, statement, values, limiter=self._turn)

    def _visit(self, collect: Callable[[sqlite3.Cursor], T], statement: str, values: tuple[object, ...]) -> T:
        """Run, collect and close one statement, in the thread."""
        ends_at = monotonic() + self._statement_timeout_s
        self._connection.set_progress_handler(lambda: monotonic() > ends_at, _STEPS_BETWEEN_LOOKS)
        with closing(self._connection.execute(statement, values)) as cursor:
            result = collect(cursor)
        if self._connection.in_transaction:
            self._connection.rollback()
            raise ProviderError(
                "adapter/database=sqlite: expected one statement that is a transaction of its own, found one that "
                "leaves a transaction open for whoever comes next; it was rolled back."
            )
        return result


@asynccontextmanager
async def sqlite_database(settings: SqliteSettings) -> AsyncGenerator[SqliteDatabase]:
    """Make the folders, open the file in WAL mode, and close it at the end.

    Raises:
        ProviderUnavailable: A folder cannot be made, or the file is none that SQLite can open.
        ProviderTimeout: Another process kept the file locked.
    """
    with _translated():
        connection = await to_thread.run_sync(_open, settings)
    database = SqliteDatabase(connection, settings.statement_timeout_s)
    try:
        yield database
    finally:
        await database.aclose()


def _open(settings: SqliteSettings) -> sqlite3.Connection:
    if settings.path != ":memory:":
        try:
            Path(settings.path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ProviderUnavailable(
                f"adapter/database=sqlite: expected a folder for {settings.path!r}, found {error.strerror}.",
                hint="Let provider_settings database/sqlite.path name a place that can be written.",
            ) from error
    connection = sqlite3.connect(
        settings.path, timeout=settings.busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        _switch_to_wal(connection, monotonic() + settings.busy_timeout_s)
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection, ends_at: float) -> None:
    """Turn on write-ahead logging, in the thread; several processes that open a new file at once take turns.

    Source: SQLite does not call the busy handler where two connections would wait for each other
    (sqlite.org/c3ref/busy_handler.html), and this switch is such a place.
    """
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > ends_at:
                raise
            sleep(0.01)
