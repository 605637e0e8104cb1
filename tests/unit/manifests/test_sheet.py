from __future__ import annotations

import inspect
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import Malformed
from pointsman.manifests import sheet
from pointsman.manifests.canonical import decode, encode, encode_all, has_long_number
from pointsman.manifests.contents import candidate_of
from pointsman.manifests.schema import CandidateEntry, Manifest, TenantEntry
from pointsman.manifests.sheet import LARGE_BYTES, PlainEntry, read_in_chunks
from tests.forge import Forge

FORGE = Forge()


def entry(number: int = 0, **fields: Any) -> CandidateEntry:
    said = {"domain": "adapter", "key": f"cache-{number}", "provider": "own", "factory": "acme.cache:Own"}
    return CandidateEntry(**{**said, **fields})


ENTRIES = st.builds(
    entry,
    st.integers(0, 9),
    priority=st.sampled_from([None, 0, 7]),
    lifetime=st.sampled_from([None, "tenant"]),
    capabilities=st.sampled_from([(), ("ttl",), ("ttl", "atomic")]),
    description=st.sampled_from([None, "", 'a "cache" \\ [{']),
    metadata=st.sampled_from([{}, {}, {}, {"a": [1, {"b": None}]}]),
    requires=st.sampled_from([(), (), ("redis>=5",)]),
    tenants=st.sampled_from([(), (), ("acme",)]),
)


def test_a_plain_entry_is_the_beginning_of_a_whole_one() -> None:
    """Its fields keep the order of the whole, or no chunk would be canonical; what it leaves out has its defaults."""
    whole = {field.name: field for field in msgspec.structs.fields(CandidateEntry)}
    plain = [field.name for field in msgspec.structs.fields(PlainEntry)]
    assert plain == [name for name in whole if name in plain]
    bare = entry()
    left_out = [name for name in whole if name not in plain]
    assert {name: getattr(PlainEntry, name) for name in left_out} == {name: getattr(bare, name) for name in left_out}


@given(st.lists(ENTRIES, max_size=7), st.integers(1, 4))
def test_chunks_say_what_the_whole_says(entries: list[CandidateEntry], size: int) -> None:
    data = encode(FORGE.manifest(candidates=tuple(entries), tasks=({"name": "a"},)))
    found = read_in_chunks(data, has_long_number, size)
    assert found is not None
    assert encode(found) == data
    whole = decode(Manifest, data)
    assert list(map(candidate_of, found.candidates)) == list(map(candidate_of, whole.candidates))


@pytest.mark.parametrize(
    "change",
    [
        '"domain":"adapt er"', '"domain":""', '"key":"x","key":"y"', '"key":"a/b"', '"provider":"é"', '"factory":"ab"',
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
    assert read_in_chunks(data, has_long_number, 2) is None


def test_a_fault_in_a_large_manifest_is_told_as_in_a_small_one() -> None:
    entries = [entry(number) for number in range(3 * sheet.CHUNK)]
    entries[5_000] = entry(5_000, provider="not a name")
    data = encode(FORGE.manifest(candidates=tuple(entries)))
    assert len(data) > LARGE_BYTES
    with pytest.raises(Malformed, match=r"\$\.candidates\[5000\]\.provider"):
        decode(Manifest, data)


def test_a_large_manifest_is_decoded_in_bounded_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    decoder = sheet._PLAIN

    class Spy:
        def decode(self, text: bytes) -> list[PlainEntry]:
            found = decoder.decode(text)
            sizes.append(len(found))
            return found

    monkeypatch.setattr(sheet, "_PLAIN", Spy())
    entries = tuple(entry(number) for number in range(2 * sheet.CHUNK + 1))
    manifest = decode(Manifest, encode(FORGE.manifest(candidates=entries)))
    assert sizes == [sheet.CHUNK, sheet.CHUNK, 1]
    assert encode_all(manifest.candidates) == encode_all(entries)
    assert inspect.signature(read_in_chunks).parameters["size"].default == sheet.CHUNK


TENANTS = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.builds(
        TenantEntry,
        selections=st.dictionaries(st.sampled_from(["adapter/cache", "adapter/queue"]), st.sampled_from(["a", "b"])),
        provider_settings=st.dictionaries(st.just("adapter/cache/a"), st.just({"b": [1, {"c": "d"}]})),
        labels=st.dictionaries(st.sampled_from(["plan", "zone"]), st.text(max_size=2)),
    ),
    max_size=6,
)


@given(TENANTS, st.integers(1, 4))
def test_tenants_are_read_as_in_the_whole_and_equal_ones_once(tenants: dict[str, TenantEntry], size: int) -> None:
    data = encode(FORGE.manifest(tenants=tenants))
    found = read_in_chunks(data, has_long_number, size)
    assert found is not None
    assert found == decode(Manifest, data)
    assert len({id(one) for one in found.tenants.values()}) == len({encode(one) for one in found.tenants.values()})


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
    assert read_in_chunks(data, has_long_number) is None


def test_what_many_plain_entries_say_alike_is_one_object() -> None:
    entries = [entry(number, key="cache", provider=f"p{number}", capabilities=("ttl",)) for number in range(5)]
    found = read_in_chunks(encode(FORGE.manifest(candidates=tuple(entries))), has_long_number, 2)
    assert found is not None
    for name in ("domain", "key", "capabilities"):
        assert len({id(getattr(one, name)) for one in found.candidates}) == 1
