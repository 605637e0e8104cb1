from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from pydantic import ValidationError

import pointsman
from pointsman.adapters.database.sqlite import SqliteSettings, sqlite_database
from pointsman.errors import ProviderError, ProviderTimeout, ProviderUnavailable

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


async def test_a_relative_path_is_made_with_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with sqlite_database(SqliteSettings(path="state/deep/notes.db")) as database:
        await database.execute("CREATE TABLE t (x)")
    assert (tmp_path / "state" / "deep" / "notes.db").is_file()


async def test_what_was_written_is_there_after_it_was_closed(tmp_path: Path) -> None:
    settings = SqliteSettings(path=str(tmp_path / "a.db"))
    async with sqlite_database(settings) as database:
        await database.execute("CREATE TABLE t (x)")
        await database.fetch_one("INSERT INTO t VALUES (1) RETURNING x")
    async with sqlite_database(settings) as database:
        assert await database.fetch_all("SELECT x FROM t") == [{"x": 1}]


async def test_a_row_that_was_returned_is_committed_for_every_other_process(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    async with sqlite_database(SqliteSettings(path=path)) as database:
        await database.execute("CREATE TABLE t (x)")
        await database.fetch_one("INSERT INTO t VALUES (1), (2) RETURNING x")
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)
            other.execute("BEGIN IMMEDIATE")


async def test_files_are_logged_ahead_and_references_are_checked(tmp_path: Path) -> None:
    async with sqlite_database(SqliteSettings(path=str(tmp_path / "a.db"))) as database:
        assert await database.fetch_one("PRAGMA journal_mode") == {"journal_mode": "wal"}
        await database.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        await database.execute("CREATE TABLE b (a INTEGER REFERENCES a)")
        with pytest.raises(ProviderError, match="FOREIGN KEY"):
            await database.execute("INSERT INTO b VALUES (7)")


async def test_two_databases_in_memory_are_two() -> None:
    settings = SqliteSettings(path=":memory:")
    async with sqlite_database(settings) as one, sqlite_database(settings) as other:
        await one.execute("CREATE TABLE t (x)")
        with pytest.raises(ProviderError, match="no such table"):
            await other.execute("INSERT INTO t VALUES (1)")


async def test_a_writer_that_another_process_holds_up_gives_up_at_its_time(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    async with sqlite_database(SqliteSettings(path=path, busy_timeout_s=0.01)) as database:
        await database.execute("CREATE TABLE t (x)")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ProviderTimeout, match="locked"):
                await database.execute("INSERT INTO t VALUES (1)")
            assert await database.fetch_all("SELECT * FROM t") == []
        assert await database.execute("INSERT INTO t VALUES (1)") == 1


async def test_a_file_that_another_process_keeps_to_itself_is_given_up_at_the_start(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ProviderTimeout, match="locked"):
            async with sqlite_database(SqliteSettings(path=path, busy_timeout_s=0.02)):
                pass


async def test_a_statement_without_end_is_stopped_and_the_next_one_runs() -> None:
    async with sqlite_database(SqliteSettings(path=":memory:", statement_timeout_s=0.05)) as database:
        with pytest.raises(ProviderTimeout, match="interrupted"):
            await database.fetch_one(ENDLESS)
        assert await database.fetch_one("SELECT 1 AS one") == {"one": 1}


async def test_the_loop_turns_while_a_statement_runs() -> None:
    async with sqlite_database(SqliteSettings(path=":memory:", statement_timeout_s=0.05)) as database:
        turns = 0
        done = anyio.Event()

        async def run() -> None:
            with pytest.raises(ProviderTimeout):
                await database.fetch_one(ENDLESS)
            done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            while not done.is_set():
                turns += 1
                await anyio.lowlevel.checkpoint()
        assert turns > 1


@pytest.mark.parametrize("what", ["a folder", "another file", "a folder that is a file"])
async def test_what_cannot_be_opened_is_unavailable(tmp_path: Path, what: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("no database " * 100)
    path = {"a folder": "folder", "another file": "file", "a folder that is a file": "file/a.db"}[what]
    with pytest.raises(ProviderUnavailable) as caught:
        async with sqlite_database(SqliteSettings(path=str(tmp_path / path))):
            pass
    assert caught.value.retryable
    assert caught.value.hint


async def test_after_it_was_closed_it_refuses() -> None:
    async with sqlite_database(SqliteSettings(path=":memory:")) as database:
        pass
    with pytest.raises(ProviderError, match="closed"):
        await database.execute("SELECT 1")


OPEN_AND_WRITE = """
import sys, anyio
from pointsman.adapters.database.sqlite import SqliteSettings, sqlite_database

async def main(path):
    async with sqlite_database(SqliteSettings(path=path)) as database:
        await database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x)")
        for number in range(20):
            await database.fetch_one("INSERT INTO t (x) VALUES (?) RETURNING id", number)

sys.stdin.readline()
anyio.run(main, sys.argv[1])
"""


async def test_processes_that_open_a_new_file_at_once_all_write(tmp_path: Path) -> None:
    root = Path(pointsman.__file__ or "").parent.parent
    path = str(tmp_path / "new" / "a.db")
    processes = [
        subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", OPEN_AND_WRITE, path],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [await anyio.to_thread.run_sync(process.wait) for process in processes] == [0] * 4
    async with sqlite_database(SqliteSettings(path=path)) as database:
        assert await database.fetch_one("SELECT count(*) AS n FROM t") == {"n": 80}


@pytest.mark.parametrize("values", [{}, {"path": ""}, {"path": "a\0b"}, {"path": "a", "busy_timeout_s": -1}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SqliteSettings(**values)
