from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.declarations import Component
from pointsman.errors import DanglingSelection, DestinationForbidden, Malformed, SecretForbidden
from pointsman.manifests import roll
from pointsman.manifests.admission import Gate, admit
from pointsman.manifests.canonical import encode
from pointsman.manifests.contents import contribution_of
from pointsman.manifests.roll import PAGE, OnRoll, Register, Roll
from pointsman.manifests.schema import CandidateEntry, Manifest, TenantEntry
from pointsman.manifests.sheet import read_in_chunks
from pointsman.resolution.catalog import Candidates, Catalog, registrations_of
from pointsman.resolution.contribution import Source
from pointsman.resolution.eligibility import this_environment
from pointsman.runtime.requirements import check_manifest_selections
from tests.forge import Forge

FORGE = Forge()


def enrolled(said: dict[str, bytes], size: int = 100) -> Roll:
    register, ids = Register(), sorted(said)
    for start in range(0, len(ids), size):
        register.put({tenant: said[tenant] for tenant in ids[start : start + size]})
    return register.close()


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), st.sampled_from([b"1", b"2", b"3"]), min_size=1),
    st.integers(1, 40),
)
def test_a_roll_tells_who_says_the_same(said: dict[str, bytes], size: int) -> None:
    found = enrolled(said, size)
    assert [tenant for tenant, _ in found] == sorted(said)
    for _ in range(2):  # the second time it is remembered
        numbers = {tenant: found.number(tenant) for tenant in said}
        assert len(set(numbers.values())) == len(set(said.values()))
        assert all(numbers[one] == numbers[other] for one in said for other in said if said[one] == said[other])
    assert found.counts == [list(numbers.values()).count(number) for number in range(len(found.counts))]
    assert [numbers[tenant] for tenant in found.first] == list(range(len(found.first)))
    assert all(found.number(tenant) is None for tenant in ("", "zzzzz", "5555") if tenant not in said)


def test_who_was_asked_for_is_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "MAX_REMEMBERED", 3)
    found = enrolled({f"t{number}": b"1" for number in range(9)})
    for number in range(9):
        assert found.number(f"t{number}") == 0
        assert found.number(f"u{number}") is None
        assert len(found._remembered) <= 3


def test_a_tenant_twice_or_out_of_order_is_refused() -> None:
    register = Register()
    register.put({"b": b"1", "c": b"1"})
    for tenant in "ac":
        with pytest.raises(Malformed, match=f"found '{tenant}'"):
            register.put({tenant: b"1"})


def test_who_has_nothing_is_not_among_those_who_have() -> None:
    on_roll = OnRoll(enrolled({"a": b"1", "b": b"2", "c": b"1"}), [None, "x"])
    assert dict(on_roll) == {"b": "x"}
    assert len(on_roll) == 1
    assert "a" not in on_roll
    assert list(on_roll.distinct()) == [("b", "x")]
    assert not OnRoll(enrolled({"a": b"1"}), [None])


def both_ways(**said: Any) -> tuple[Manifest, Manifest]:
    """Return a manifest, and the same one as it is read when it is large."""
    whole = FORGE.manifest(**said)
    found = read_in_chunks(encode(whole), 600)
    assert found is not None
    return whole, found


def many(entry: TenantEntry, **others: TenantEntry) -> dict[str, TenantEntry]:
    return {f"t{number:03}": entry for number in range(3 * PAGE)} | others


OWN = TenantEntry(selections={"adapter/cache": "own"}, labels={"plan": "gold"})


def test_tenants_on_a_roll_bring_what_they_bring_in_a_dictionary() -> None:
    setting = TenantEntry(provider_settings={"adapter/cache/own": {"a": 1}})
    same_choice = TenantEntry(selections=OWN.selections, labels={"plan": "iron"})
    whole, read = (
        contribution_of(manifest, {})
        for manifest in both_ways(tenants=many(OWN, acme=setting, globex=TenantEntry(), initech=same_choice))
    )
    assert read == whole
    assert isinstance(read.labels, OnRoll)
    assert read.choices.tenants["t001"] is read.choices.tenants["initech"]
    assert "acme" not in read.choices.tenants
    assert read.labels.get("globex") == {}
    assert read.labels.get("nobody") is None


@pytest.mark.parametrize(
    ("tenants", "refusal", "place"),
    [
        ({"${env:A}": OWN}, SecretForbidden, "env:A"),
        ({"last": TenantEntry(labels={"a": "${secret:B}"})}, SecretForbidden, "secret:B"),
        ({"last": TenantEntry(provider_settings={"a/b/c": {"url": "http://x.example"}})}, DestinationForbidden, "last"),
    ],
)
def test_tenants_on_a_roll_pass_the_same_gate(
    tenants: dict[str, TenantEntry], refusal: type[Exception], place: str
) -> None:
    for manifest in both_ways(tenants=many(OWN, **tenants)):
        with pytest.raises(refusal, match=place):
            admit(manifest, Gate())


def test_a_selection_of_a_tenant_on_a_roll_may_not_dangle() -> None:
    entry = CandidateEntry(domain="adapter", key="cache", provider="own", factory="acme.cache:Own")
    lost = TenantEntry(selections={"adapter/cache": "lost"})
    for tenants, dangling in ((many(OWN), []), (many(OWN, u=lost, v=lost), ["u", "v"])):
        for manifest in both_ways(candidates=(entry,), tenants=tenants):
            brought = contribution_of(manifest, {})
            candidates = Candidates((registrations_of(brought, Source.MANIFEST),), this_environment())
            catalog = Catalog(1, candidates, manifest=brought)
            assert [found.tenant for found in catalog.dangling()] == dangling
            if dangling:
                with pytest.raises(DanglingSelection, match=r"manifest\(u\) selects"):
                    check_manifest_selections(catalog)
            assert catalog.selection(Component("adapter", "cache"), "t001") == ("manifest(t001)", "own")
