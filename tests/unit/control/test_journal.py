from __future__ import annotations

import pytest

from pointsman.control.journal import Begin, End, Journal
from pointsman.errors import Malformed, NotFound, StoreError, Unavailable
from pointsman.stores.gate import Gate
from pointsman.stores.memory import MemoryStore

BEGIN = Begin(body="a" * 64, base=3, who="ada", reason="down", command={"kind": "pause"})


async def test_the_first_claim_stands_and_every_later_one_reads_it():
    journal = Journal(MemoryStore())
    assert await journal.begun("op") is None
    assert await journal.claim("op", BEGIN) == BEGIN
    assert await journal.claim("op", Begin(body="b" * 64, base=9, who="eve", reason="up")) == BEGIN


async def test_the_first_outcome_stands():
    journal = Journal(MemoryStore())
    assert await journal.ended("op") is None
    refused = End(outcome="refused", cseq=4, code="conflict", detail="moved")
    assert await journal.conclude("op", refused) == refused
    assert await journal.conclude("op", End(outcome="applied", cseq=5)) == refused
    assert await journal.ended("op") == refused


async def test_an_operation_is_told_with_its_times():
    journal = Journal(MemoryStore())
    await journal.claim("op", BEGIN)
    open_ended = await journal.record("op")
    assert (open_ended.end, open_ended.ended_at) == (None, None)
    assert open_ended.as_dict()["end"] is None
    await journal.conclude("op", End(outcome="applied", cseq=5))
    told = (await journal.record("op")).as_dict()
    assert told["end"] == {"outcome": "applied", "cseq": 5}
    assert (told["who"], told["command"]) == ("ada", {"kind": "pause"})
    with pytest.raises(NotFound):
        await journal.record("other")


async def test_the_newest_operations_come_first_and_what_is_not_ours_is_left_out():
    store = MemoryStore()
    journal = Journal(store)
    for name in ("c", "a", "b"):
        await journal.claim(name, BEGIN)
    await store.create("ops/junk/begin", b"{")
    await store.create("ops/half/end", b"{}")
    assert [record.operation for record in await journal.recent(10)] == ["b", "a", "c"]
    assert [record.operation for record in await journal.recent(2)] == ["b", "a"]
    with pytest.raises(Malformed):
        await journal.begun("junk")


async def test_a_store_that_is_away_is_not_an_absent_record():
    gate = Gate()
    store = MemoryStore().connect(gate)
    gate.refuse("read")
    with pytest.raises(Unavailable):
        await Journal(store).begun("op")
    with pytest.raises(StoreError):
        await Journal(store).record("op")
