"""Notes: the routes of the resource, and the component that keeps them.

`sql_notes` is made once a tenant and puts the tenant into every statement and cache key, so that it stays right with
a cache or a database that knows nothing of tenants.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Protocol

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from handlers.summarizers import SUMMARIZER, Summarizer, Summary
from pointsman import Component, Router, Tenant, Use, provides
from pointsman.adapters.cache.protocol import CACHE, Cache
from pointsman.adapters.database.protocol import DATABASE, Database

router = Router()

NoteId = Annotated[int, Field(le=2**63 - 1)]
_CACHED_FOR_S = 300
_TABLE = "id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL"


class Draft(BaseModel):
    """A note that has no number yet."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class Note(Draft):
    """A note that is kept; notes never change."""

    id: int


class Notes(Protocol):
    """The notes of one tenant."""

    async def add(self, draft: Draft) -> Note:
        """Keep a draft, and return it with its number."""
        ...

    async def find(self, note_id: int) -> Note | None:
        """Return a note, or ``None`` where this tenant has none of that number."""
        ...

    async def latest(self, limit: int) -> list[Note]:
        """Return the newest notes, the newest first."""
        ...


NOTES = Component[Notes]("service", "notes")


@router.post("/notes", status=201)
async def create(draft: Draft, notes: Annotated[Notes, Use(NOTES)]) -> Note:
    """Keep a note."""
    return await notes.add(draft)


@router.get("/notes")
async def index(notes: Annotated[Notes, Use(NOTES)], limit: Annotated[int, Field(ge=1, le=100)] = 20) -> list[Note]:
    """List the newest notes."""
    return await notes.latest(limit)


@router.get("/notes/{note_id}")
async def show(note_id: NoteId, notes: Annotated[Notes, Use(NOTES)]) -> Note:
    """Show one note, or 404."""
    note = await notes.find(note_id)
    if note is None:
        raise HTTPException(404, f"There is no note {note_id}.")
    return note


@router.get("/notes/{note_id}/summary")
async def summary(
    note_id: NoteId, notes: Annotated[Notes, Use(NOTES)], summarizer: Annotated[Summarizer, Use(SUMMARIZER)]
) -> Summary:
    """Shorten one note as the tenant chose, or 404."""
    note = await show(note_id, notes)
    return await summarizer.summarize(note.text)


class SqlNotes(Notes):
    """Rows of one table, read through a cache."""

    def __init__(self, tenant: Tenant, database: Database, cache: Cache) -> None:
        self._tenant, self._database, self._cache = tenant.id, database, cache

    async def add(self, draft: Draft) -> Note:
        """Insert a row."""
        row = await self._database.fetch_one(
            "INSERT INTO notes (tenant, title, text) VALUES (?, ?, ?) RETURNING id, title, text",
            self._tenant, draft.title, draft.text,
        )  # fmt: skip
        return Note.model_validate(row)

    async def find(self, note_id: int) -> Note | None:
        """Look in the cache, then in the table."""
        key = f"notes/{self._tenant}/{note_id}"
        if cached := await self._cache.get(key):
            return Note.model_validate_json(cached)
        row = await self._database.fetch_one(
            "SELECT id, title, text FROM notes WHERE tenant = ? AND id = ?", self._tenant, note_id
        )
        if row is None:
            return None
        note = Note.model_validate(row)
        await self._cache.set(key, note.model_dump_json().encode(), ttl_s=_CACHED_FOR_S)
        return note

    async def latest(self, limit: int) -> list[Note]:
        """Read the table alone: a list changes with every note."""
        rows = await self._database.fetch_all(
            "SELECT id, title, text FROM notes WHERE tenant = ? ORDER BY id DESC LIMIT ?", self._tenant, limit
        )
        return [Note.model_validate(row) for row in rows]


@provides(NOTES, "sql", lifetime="tenant")
@asynccontextmanager
async def sql_notes(
    tenant: Tenant, database: Annotated[Database, Use(DATABASE)], cache: Annotated[Cache, Use(CACHE)]
) -> AsyncGenerator[SqlNotes]:
    """Make the table where it is missing; nothing is left to close."""
    await database.execute(f"CREATE TABLE IF NOT EXISTS notes ({_TABLE})")
    await database.execute("CREATE INDEX IF NOT EXISTS notes_of_tenant ON notes (tenant, id)")
    yield SqlNotes(tenant, database, cache)
