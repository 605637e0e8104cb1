from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import Malformed
from pointsman.manifests import sheet
from pointsman.manifests.canonical import LARGE_BYTES, decode, decode_document, encode
from pointsman.manifests.contents import candidate_of
from pointsman.manifests.packed import Packed, PlainEntry
from pointsman.manifests.schema import CandidateEntry, Capability, Manifest, Split, TenantEntry
from pointsman.manifests.sheet import read_in_chunks
from pointsman.resolution.listing import distinct_of
from tests.forge import Forge

FORGE = Forge()


def entry(number: int = 0, **fields: Any) -> CandidateEntry:
    said = {"domain": "adapter", "key": f"cache-{number}", "provider": "own", "factory": "acme.cache:Own"}
    return CandidateEntry(**{**said, **fields})


def who(entry: CandidateEntry) -> tuple[str, str, str]:
    return entry.domain, entry.key, entry.provider


def by_component(entries: tuple[CandidateEntry, ...]) -> list[Any]:
    """Return candidates as resolution sees them: in order where they are of one component."""
    return list(map(candidate_of, sorted(entries, key=lambda one: (one.domain, one.key))))


HIDDEN = {"domain": "task", "key": "x", "provider": "y"}
ENTRIES = st.builds(
    entry,
    st.integers(0, 9),
    provider=st.sampled_from(["own", "other", "third"]),
    priority=st.sampled_from([None, 0, 7]),
    lifetime=st.sampled_from([None, "tenant"]),
    capabilities=st.sampled_from([(), ("ttl",), ("ttl", "atomic"), (), (Capability(name="ttl", security={"a": 1}),)]),
    timeout_seconds=st.sampled_from([None, None, 5.0, 0.25]),
    description=st.sampled_from([None, "", 'a "cache" \\ [{', '"}],"tenants":{', "$ä"]),
    metadata=st.sampled_from([{}, {}, {}, {"a": [1, {"b": None}]}]),
    requires=st.sampled_from([(), (), ("redis>=5",)]),
    tenants=st.sampled_from([(), (), ("acme",)]),
)
MANY = st.lists(ENTRIES, max_size=12, unique_by=who)
NASTY = st.lists(
    st.builds(
        entry,
        st.integers(0, 99),
        metadata=st.sampled_from([{}, {"a": [HIDDEN, HIDDEN], "tasks": [1]}, {"candidates": [HIDDEN], "events": []}]),
    ),
    max_size=12,
    unique_by=who,
)


def test_a_plain_entry_is_the_beginning_of_a_whole_one() -> None:
    """Its fields keep the order of the whole, or no chunk would be canonical; what it leaves out has its defaults."""
    whole = {field.name: field for field in msgspec.structs.fields(CandidateEntry)}
    plain = [field.name for field in msgspec.structs.fields(PlainEntry)]
    assert plain == [name for name in whole if name in plain]
    bare = entry()
    left_out = [name for name in whole if name not in plain]
    assert {name: getattr(PlainEntry, name) for name in left_out} == {name: getattr(bare, name) for name in left_out}


@given(MANY, st.integers(400, 1200))
def test_chunks_say_what_the_whole_says(entries: list[CandidateEntry], size: int) -> None:
    data = encode(FORGE.manifest(candidates=tuple(entries), tasks=({"name": "a"},)))
    found = read_in_chunks(data, size)
    assert found is not None
    assert len(found.candidates) == len(entries)
    assert encode(msgspec.structs.replace(found, candidates=tuple(entries))) == data
    assert by_component(tuple(found.candidates)) == by_component(tuple(entries))


@given(NASTY, st.lists(st.sampled_from([{"candidates": [HIDDEN]}, HIDDEN]), max_size=3), st.integers(300, 600))
def test_what_looks_like_an_end_misleads_nobody(
    entries: list[CandidateEntry], tasks: list[dict[str, Any]], size: int
) -> None:
    data = encode(FORGE.manifest(candidates=tuple(entries), tasks=tuple(tasks)))
    found = read_in_chunks(data, size)
    assert found is None or by_component(tuple(found.candidates)) == by_component(tuple(entries))
    assert found is None or encode(msgspec.structs.replace(found, candidates=tuple(entries))) == data


@pytest.mark.parametrize(
    "change",
    [
        ('"candidates":[{', '"candidates": [{'), ('"candidates":[{', '"candidates":[],"candidates":[{'),
        ("}],", "}] ,"), ('},{"domain"', '}, {"domain"'), ("}],", '}],"candidates":[],'), ('"tasks"', '"selections"'),
    ],
)  # fmt: skip
def test_what_surrounds_candidates_must_be_canonical(change: tuple[str, str]) -> None:
    data = encode(FORGE.manifest(candidates=(entry(1), entry(2)), tasks=({"a": 1},)))
    other = data.decode().replace(*change).encode()
    assert read_in_chunks(data, 100) is not None
    assert other != data
    assert read_in_chunks(other, 100) is None


def test_candidates_that_stand_elsewhere_go_the_long_way() -> None:
    whole = FORGE.manifest(candidates=(entry(1),), selections={"adapter/cache-1": "own"})
    data = encode(whole).decode()
    listed = data[data.index(',"candidates"') : data.index(',"selections"')]
    moved = (data.replace(listed, "")[:-1] + listed + "}").encode()
    assert read_in_chunks(moved) is None
    assert decode(Manifest, moved) == whole


@pytest.mark.parametrize(
    "change",
    [
        '"domain":"adapt er"', '"domain":""', f'"provider":"{"x" * 129}"', '"key":"a\\nb"',
        '"key":"x","key":"y"', '"key":"a/b"', '"provider":"é"', '"factory":"ab"',
        '"priority":9007199254740992', '"priority":true', '"capabilities":["a b"]', '"capabilities":[]',
        '"metadata":{"a":1,"a":2}', '"metadata":{"a":12345678901234567890}', '"unknown":1', '"priority":null',
        '"domain": "adapter"', '"lifetime":"forever"', '"description":1',
    ],
)  # fmt: skip
def test_what_is_not_canonical_or_not_well_goes_the_long_way(change: str) -> None:
    name = json.loads("{" + change + "}").popitem()[0]
    said = {**json.loads(encode(entry(1))), name: None}
    text = ",".join(change if key == name else f"{json.dumps(key)}:{json.dumps(value)}" for key, value in said.items())
    other = encode(entry(2)).decode()
    data = encode(FORGE.manifest(tasks=()))[:-1] + f',"candidates":[{other},{{{text}}},{other}]}}'.encode()
    assert read_in_chunks(data, 150) is None


def test_a_fault_in_a_large_manifest_is_told_as_in_a_small_one() -> None:
    entries = [entry(number) for number in range(6_000)]
    entries[5_000] = entry(5_000, provider="not a name")
    data = encode(FORGE.manifest(candidates=tuple(entries)))
    assert len(data) > LARGE_BYTES
    with pytest.raises(Malformed, match=r"\$\.candidates\[5000\]\.provider"):
        decode_document(Manifest, data, packed=True)


@pytest.mark.parametrize("apart", [1, 5_000])
def test_a_large_manifest_that_says_one_twice_is_read_the_long_way(apart: int) -> None:
    entries = [entry(number) for number in range(6_000)]
    entries[apart] = entries[0]
    data = encode(FORGE.manifest(candidates=tuple(entries)))
    assert read_in_chunks(data) is None


def test_a_large_manifest_is_decoded_in_bounded_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    decoder = sheet._PLAIN

    class Spy:
        def decode(self, text: bytes) -> list[PlainEntry]:
            sizes.append(len(text))
            return decoder.decode(text)

    monkeypatch.setattr(sheet, "_PLAIN", Spy())
    entries = tuple(entry(number) for number in range(10_000))
    data = encode(FORGE.manifest(candidates=entries))
    manifest = decode_document(Manifest, data, packed=True)
    assert isinstance(manifest.candidates, Packed)
    assert tuple(map(who, manifest.candidates)) == tuple(map(who, entries))
    assert len(sizes) == len(data) // sheet.CHUNK_BYTES + 1
    assert max(sizes) < sheet.CHUNK_BYTES + 200


TENANTS = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.builds(
        TenantEntry,
        selections=st.dictionaries(
            st.sampled_from(["adapter/cache", "adapter/queue"]),
            st.sampled_from(["a", "b", Split(incumbent="a", to=(("b", 5),))]),
        ),
        provider_settings=st.dictionaries(
            st.sampled_from(["adapter/cache/a", "adapter/cache/b"]),
            st.sampled_from([{"b": [1, {"c": "d"}]}, {"tasks": {"a": {}}, "x": {}}]),
        ),
        labels=st.dictionaries(st.sampled_from(["plan", "zone"]), st.text(max_size=2)),
    ),
    max_size=12,
)


@given(TENANTS, st.integers(300, 900))
def test_tenants_are_read_as_in_the_whole_and_equal_ones_once(tenants: dict[str, TenantEntry], size: int) -> None:
    data = encode(FORGE.manifest(tenants=tenants, tasks=({"a": {"tenants": {"b": {}}}},)))
    found = read_in_chunks(data, size)
    assert found is not None
    assert found == decode(Manifest, data)
    assert len(list(distinct_of(found.tenants))) == len({encode(one) for one in tenants.values()})


@pytest.mark.parametrize("change", [('"a":{}', '"c":{}'), ('"b":{}', '"a":{}'), ('"tenants":{', '"tenants": {')])
def test_tenants_must_stand_in_order_and_once_whichever_chunk_they_are_in(change: tuple[str, str]) -> None:
    data = encode(FORGE.manifest(tenants=dict.fromkeys("abd", TenantEntry())))
    assert read_in_chunks(data, 5) is not None
    assert read_in_chunks(data.decode().replace(*change).encode(), 5) is None


def test_tenants_that_stand_elsewhere_go_the_long_way() -> None:
    whole = FORGE.manifest(tenants={"acme": TenantEntry()}, provider_settings={"adapter/cache/own": {"a": 1}})
    listed = ',"tenants":{"acme":{}}'
    moved = (encode(whole).decode().replace(listed, "")[:-1] + listed + "}").encode()
    assert read_in_chunks(moved) is None
    assert decode(Manifest, moved) == whole


@pytest.mark.parametrize(
    "tenants",
    [
        '{"a":{"labels":{"x":"1"}},"a":{}}', '{"a":{"labels":{"x":"1","x":"2"}}}', '{"":{}}', '{"a":{"unknown":1}}',
        '{"a":{"labels":{}}}', '{"a":{"provider_settings":{"adapter/cache/a":{"b":1234567890123456789}}}}',
        '{"a":{"selections":{"adapter":"b"}}}', '{"a":[]}', '{"b":{},"a":{}}',
    ],
)  # fmt: skip
def test_tenants_who_are_not_canonical_or_not_well_go_the_long_way(tenants: str) -> None:
    data = encode(FORGE.manifest())[:-1] + f',"tenants":{tenants}}}'.encode()
    assert read_in_chunks(data) is None
