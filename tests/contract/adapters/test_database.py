"""What every database must do alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio
import pytest

from pointsman.adapters.database.sqlite import SqliteSettings, sqlite_database
from pointsman.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pointsman.adapters.database.protocol import Database


@pytest.fixture(params=["sqlite in a file", "sqlite in memory"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    path = ":memory:" if request.param.endswith("memory") else str(tmp_path / "data" / "test.db")
    async with sqlite_database(SqliteSettings(path=path)) as database:
        await database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size REAL, body BLOB)")
        yield database


async def test_values_come_back_as_they_went_in(database: Database) -> None:
    values = (2**62, "naïve ☃ ' \"; DROP TABLE things", 0.1, b"\x00\xff")
    assert await database.execute("INSERT INTO things VALUES (?, ?, ?, ?)", *values) == 1
    row = await database.fetch_one("SELECT id, name, size, body FROM things WHERE name = ?", values[1])
    assert row == dict(zip(("id", "name", "size", "body"), values, strict=True))


async def test_nothing_found_is_none_or_an_empty_list(database: Database) -> None:
    assert await database.fetch_one("SELECT * FROM things") is None
    assert await database.fetch_all("SELECT * FROM things") == []


async def test_rows_come_in_the_order_of_the_statement(database: Database) -> None:
    for name in "bca":
        await database.execute("INSERT INTO things (name) VALUES (?)", name)
    rows = await database.fetch_all("SELECT name FROM things ORDER BY name DESC")
    assert rows == [{"name": "c"}, {"name": "b"}, {"name": "a"}]
    assert await database.fetch_one("SELECT name FROM things ORDER BY name") == {"name": "a"}


async def test_executing_tells_how_many_rows_changed(database: Database) -> None:
    assert await database.execute("CREATE TABLE more (id INTEGER)") == 0
    assert await database.execute("INSERT INTO things (name) VALUES (?), (?), (?)", "a", "b", "c") == 3
    assert await database.execute("UPDATE things SET size = ? WHERE name > ?", 1.0, "a") == 2
    assert await database.execute("DELETE FROM things WHERE name = ?", "z") == 0
    assert await database.execute("DELETE FROM things RETURNING id") == 3
    assert await database.execute("SELECT 1") == 0


async def test_an_insert_returns_its_row_and_is_committed(database: Database) -> None:
    row = await database.fetch_one("INSERT INTO things (name) VALUES (?) RETURNING id, name", "a")
    assert row == {"id": 1, "name": "a"}
    assert await database.fetch_all("INSERT INTO things (name) VALUES ('b'), ('c') RETURNING id") == [
        {"id": 2}, {"id": 3},
    ]  # fmt: skip
    assert await database.fetch_one("INSERT INTO things (name) VALUES ('d'), ('e') RETURNING id") == {"id": 4}
    assert await database.fetch_one("SELECT count(*) AS n FROM things") == {"n": 5}


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("SELEC 1", ()),
        ("SELECT * FROM nowhere", ()),
        ("SELECT ?", ()),
        ("SELECT ?", (1, 2)),
        ("SELECT ?", (object(),)),
        ("SELECT ?", (2**70,)),
        ("SELECT ?", ("\ud800",)),
        ("SELECT 1; SELECT 2", ()),
    ],
)
async def test_a_statement_that_cannot_run_is_refused_and_does_no_harm(
    database: Database, statement: str, values: tuple[object, ...]
) -> None:
    for method in (database.execute, database.fetch_one, database.fetch_all):
        with pytest.raises(ProviderError) as caught:
            await method(statement, *values)
        assert not caught.value.retryable
    assert await database.fetch_one("SELECT 1 AS one") == {"one": 1}


async def test_a_broken_constraint_is_told_without_the_value(database: Database) -> None:
    await database.execute("INSERT INTO things (name) VALUES (?)", "s3cret")
    with pytest.raises(ProviderError, match=r"UNIQUE constraint failed: things\.name") as caught:
        await database.fetch_one("INSERT INTO things (name) VALUES (?) RETURNING id", "s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("opening", ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT here"])
async def test_a_transaction_cannot_be_left_open_for_others(database: Database, opening: str) -> None:
    with pytest.raises(ProviderError, match="leaves a transaction open"):
        await database.execute(opening)
    await database.execute("INSERT INTO things (name) VALUES (?)", "kept")
    assert await database.fetch_one("SELECT name FROM things") == {"name": "kept"}


async def test_concurrent_inserts_lose_nothing_and_get_ids_of_their_own(database: Database) -> None:
    ids: list[int] = []

    async def insert(number: int) -> None:
        row = await database.fetch_one("INSERT INTO things (name) VALUES (?) RETURNING id", f"{number}")
        assert row is not None
        ids.append(row["id"])

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(insert, number)
    assert sorted(ids) == list(range(1, 101))
    assert await database.fetch_one("SELECT count(*) AS n FROM things") == {"n": 100}


async def test_a_caller_who_goes_away_leaves_nothing_open(database: Database) -> None:
    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.fetch_one, "INSERT INTO things (size) VALUES (?) RETURNING id", math.pi)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    before = await database.fetch_one("SELECT count(*) AS n FROM things")
    await database.execute("INSERT INTO things (size) VALUES (1)")
    after = await database.fetch_one("SELECT count(*) AS n FROM things")
    assert before is not None
    assert after == {"n": before["n"] + 1}


async def test_it_says_that_it_is_well(database: Database) -> None:
    assert await database.health()
