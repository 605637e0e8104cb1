from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.declarations import Candidate, Component
from pointsman.errors import Malformed
from pointsman.manifests.contents import candidate_of, contribution_of
from pointsman.manifests.entries import Entries
from pointsman.manifests.packed import packed
from pointsman.manifests.schema import CandidateEntry, TenantEntry
from pointsman.resolution.catalog import Candidates, registrations_of
from pointsman.resolution.contribution import Contribution, Source
from pointsman.resolution.eligibility import this_environment
from tests.forge import Forge

FORGE = Forge()
CACHE = Component[Any]("adapter", "cache")
ENVIRONMENT = this_environment()


def entry(key: str = "cache", provider: str = "own", **fields: Any) -> CandidateEntry:
    return CandidateEntry(domain="adapter", key=key, provider=provider, **{"factory": "acme.cache:Own", **fields})


def test_only_what_is_asked_for_is_made() -> None:
    made: list[str] = []

    def make(entry: CandidateEntry, mark: Candidate | None) -> Candidate:
        made.append(entry.provider)
        return candidate_of(entry, mark)

    entries = Entries(packed([entry("cache", "one"), entry("queue", "two"), entry("cache", "three")]), {}, make)
    found = Candidates((registrations_of(Contribution(entries), Source.MANIFEST),), ENVIRONMENT)
    assert not made
    first = found.of(CACHE)
    assert made == ["one", "three"]
    assert found.of(CACHE) is first
    assert not list(found.at_hand())
    assert found.of(Component("adapter", "nothing")) == ()
    assert made == ["one", "three"]


def test_an_entry_twice_is_refused_and_named() -> None:
    with pytest.raises(Malformed, match="adapter/cache/two once"):
        packed([entry(provider="one"), entry(provider="two"), entry(provider="two")])


def test_a_factory_at_hand_is_found() -> None:
    mark = Candidate("adapter", "cache", "own", object)
    listed = packed([entry(), entry("queue", factory="acme.cache:Other")])
    entries = Entries(listed, {"acme.cache:Own": mark}, candidate_of)
    found = Candidates((registrations_of(Contribution(entries), Source.MANIFEST),), ENVIRONMENT)
    assert [registration.candidate.component for registration in found.at_hand()] == [CACHE]


@given(
    st.lists(
        st.builds(
            entry,
            key=st.sampled_from(["cache", "queue", "store"]),
            provider=st.sampled_from(["one", "two", "three", "four"]),
            priority=st.sampled_from([None, 0, 1]),
            stack_level=st.sampled_from([None, 0, 1]),
            os_platform=st.sampled_from([None, ("plan9",)]),
        ),
        unique_by=lambda one: (one.key, one.provider),
    )
)
def test_a_listing_ranks_as_candidates_that_were_all_made_do(entries: list[CandidateEntry]) -> None:
    own = Contribution((Candidate("adapter", "cache", "code", "acme:Code"),))
    listed = Contribution(Entries(packed(entries), {}, candidate_of))
    made = Contribution(tuple(candidate_of(one) for one in entries))
    one, other = (
        Candidates((registrations_of(own, Source.CODE), registrations_of(group, Source.MANIFEST)), ENVIRONMENT)
        for group in (listed, made)
    )
    assert list(one) == list(other)
    for component in one:
        assert [(entry.candidate, entry.priority, one.barrier(entry)) for entry in one.of(component)] == [
            (entry.candidate, entry.priority, other.barrier(entry)) for entry in other.of(component)
        ]
    assert sorted(map(str, listed.candidates)) == sorted(map(str, made.candidates))
    assert len(listed.candidates) == len(entries)


def test_tenants_that_say_the_same_share_one_mapping() -> None:
    said = {
        "acme": TenantEntry(selections={"adapter/cache": "own"}, labels={"plan": "gold"}),
        "globex": TenantEntry(selections={"adapter/cache": "own"}, labels={"plan": "gold"}),
        "initech": TenantEntry(selections={"adapter/cache": "other"}, labels={}),
    }
    found = contribution_of(FORGE.manifest(tenants=said), {})
    assert found.choices.tenants["acme"] is found.choices.tenants["globex"]
    assert found.choices.tenants["acme"] is not found.choices.tenants["initech"]
    assert found.labels["acme"] is found.labels["globex"]
