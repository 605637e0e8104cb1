from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from handlers.notes import Draft, Note, SqlNotes, create, index, show, sql_notes, summary
from handlers.summarizers import Lead, LeadSettings
from pointsman import Tenant
from pointsman.adapters.cache.memory import MemoryCacheSettings, memory_cache
from pointsman.adapters.database.sqlite import SqliteSettings, sqlite_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pointsman.adapters.cache.memory import MemoryCache
    from pointsman.adapters.database.sqlite import SqliteDatabase

DRAFT = Draft(title="Rails", text="Points move. Trains follow.")


@pytest.fixture
async def database() -> AsyncIterator[SqliteDatabase]:
    async with sqlite_database(SqliteSettings(path=":memory:")) as database:
        yield database


@pytest.fixture
def cache() -> MemoryCache:
    return memory_cache(MemoryCacheSettings())


@pytest.fixture
async def notes(database: SqliteDatabase, cache: MemoryCache) -> AsyncIterator[SqlNotes]:
    async with sql_notes(Tenant("acme"), database, cache) as notes:
        yield notes


async def test_a_note_is_kept_with_a_number_of_its_own(notes: SqlNotes) -> None:
    first, second = await create(DRAFT, notes), await create(DRAFT, notes)
    assert first == Note(id=first.id, title=DRAFT.title, text=DRAFT.text)
    assert first.id != second.id
    assert await show(first.id, notes) == await show(first.id, notes) == first


async def test_the_newest_note_comes_first(notes: SqlNotes) -> None:
    kept = [await create(DRAFT, notes) for _ in range(3)]
    assert await index(notes, limit=2) == [kept[2], kept[1]]


async def test_no_tenant_sees_anothers_notes_even_in_one_table_and_one_cache(
    notes: SqlNotes, database: SqliteDatabase, cache: MemoryCache
) -> None:
    note = await create(DRAFT, notes)
    assert await show(note.id, notes) == note
    async with sql_notes(Tenant("globex"), database, cache) as others:
        assert await others.latest(100) == []
        assert await others.find(note.id) is None


async def test_a_note_is_read_from_the_cache_once_it_was_read(notes: SqlNotes, database: SqliteDatabase) -> None:
    note = await create(DRAFT, notes)
    await show(note.id, notes)
    await database.execute("DELETE FROM notes")
    assert await show(note.id, notes) == note


@pytest.mark.parametrize("note_id", [0, -1, 7, 2**63 - 1])
async def test_a_note_that_is_not_there_is_404(notes: SqlNotes, note_id: int) -> None:
    with pytest.raises(HTTPException) as caught:
        await show(note_id, notes)
    assert caught.value.status_code == 404


async def test_a_summary_is_made_by_the_summarizer_that_is_given(notes: SqlNotes) -> None:
    note = await create(DRAFT, notes)
    answer = await summary(note.id, notes=notes, summarizer=Lead(LeadSettings(sentences=1)))
    assert answer.sentences == ["Points move."]


@pytest.mark.parametrize(
    "values", [{"title": "", "text": "x"}, {"title": "x" * 201, "text": "x"}, {"title": "x", "text": "x" * 20_001}]
)
def test_a_draft_has_its_limits(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Draft(**values)
