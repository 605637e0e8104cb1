"""What every provider of ``adapter/database`` promises.

Statements carry ``?`` where a value goes; a value is never put into the text. Each statement is a transaction of its
own, and what it wrote is committed when the method returns.
"""

from typing import Any, Protocol

from pointsman.declarations import Component

Row = dict[str, Any]


class Database(Protocol):
    """SQL, one statement at a time. Concurrent tasks may share it.

    Every method raises `ProviderUnavailable` or `ProviderTimeout` when the database cannot be reached or does not
    answer in time, and `ProviderError` when it refuses the statement.
    """

    async def execute(self, statement: str, *values: object) -> int:
        """Run a statement and return how many rows it changed; 0 where that has no meaning."""
        ...

    async def fetch_one(self, statement: str, *values: object) -> Row | None:
        """Run a statement and return its first row by column names, or ``None``."""
        ...

    async def fetch_all(self, statement: str, *values: object) -> list[Row]:
        """Run a statement and return all its rows by column names, in the order of the database."""
        ...


DATABASE = Component[Database]("adapter", "database")
