from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import Malformed, UnsupportedVersion
from pointsman.manifests.canonical import decode, decode_document, encode, peek
from pointsman.manifests.schema import MAX_INT, Capability, Control, Manifest, Release, Split
from tests.forge import Forge

FORGE = Forge()

NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner)
    ),
    max_leaves=8,
)
MANIFESTS = st.builds(
    lambda tasks, selections, settings: FORGE.manifest(
        tasks=tuple(tasks),
        selections={f"adapter/{name}": choice for name, choice in selections.items()},
        provider_settings={f"adapter/cache/{name}": values for name, values in settings.items()},
    ),
    st.lists(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), VALUES), max_size=3),
    st.dictionaries(
        NAMES, NAMES | st.builds(lambda one: Split(incumbent=one, to=(("other", 500),)), NAMES), max_size=3
    ),
    st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3),
)


@given(MANIFESTS)
def test_what_was_written_is_read_as_it_was(manifest: Manifest) -> None:
    data = encode(manifest)
    assert decode_document(Manifest, data) == manifest
    assert encode(decode_document(Manifest, data)) == data


@given(MANIFESTS, st.randoms())
def test_every_spelling_of_a_document_is_read_as_the_same(manifest: Manifest, random: Any) -> None:
    tree = json.loads(encode(manifest))
    shuffled = dict(random.sample(list(tree.items()), len(tree)))
    for text in (json.dumps(shuffled), json.dumps(shuffled, ensure_ascii=False, indent=1)):
        assert decode_document(Manifest, text.encode()) == manifest


def test_the_canonical_form_leaves_defaults_out_and_sorts_maps() -> None:
    text = encode(FORGE.manifest(selections={"b/b": "x", "a/a": "y"})).decode()
    assert text.startswith('{"type":"manifest","spec_version":1,"epoch":1,"version":5,')
    assert text.endswith('"selections":{"a/a":"y","b/b":"x"}}')


def test_an_explicit_null_or_default_is_the_same_as_none() -> None:
    entry = {"domain": "adapter", "key": "cache", "provider": "own", "factory": "a:B"}
    nulls = {**entry, "priority": None, "dag": None, "capabilities": [], "requires_secrets": False}
    texts = [json.dumps({**json.loads(encode(FORGE.manifest())), "candidates": [one]}) for one in (entry, nulls)]
    one, other = (decode_document(Manifest, text.encode()) for text in texts)
    assert one == other
    assert encode(one) == encode(other)


def test_times_and_floats_have_other_spellings() -> None:
    text = encode(FORGE.manifest()).decode().replace("12:00:00Z", "14:00:00+02:00")
    assert decode_document(Manifest, text.encode()) == FORGE.manifest()
    entry = '{"domain":"a","key":"b","provider":"c","factory":"d:E","timeout_seconds":30}'
    text = encode(FORGE.manifest()).decode()[:-1] + f',"candidates":[{entry}]}}'
    assert decode_document(Manifest, text.encode()).candidates[0].timeout_seconds == 30.0


@pytest.mark.parametrize("extra", ["", ',"a_field_of_tomorrow":[1]'])
def test_another_spec_version_is_told_apart_from_a_fault(extra: str) -> None:
    text = encode(FORGE.manifest()).decode().replace('"spec_version":1', '"spec_version":2')[:-1] + extra + "}"
    with pytest.raises(UnsupportedVersion) as refused:
        decode_document(Manifest, text.encode())
    assert refused.value.code == "unsupported-spec-version"
    with pytest.raises(Malformed):
        decode_document(Release, text.encode())


def test_a_fault_of_this_spec_version_is_a_fault() -> None:
    text = encode(FORGE.manifest()).decode()[:-1] + ',"a_field_of_tomorrow":[1]}'
    with pytest.raises(Malformed, match="a_field_of_tomorrow"):
        decode_document(Manifest, text.encode())


def test_a_refusal_says_what_was_read_and_where() -> None:
    text = encode(FORGE.manifest()).decode().replace('"epoch":1', '"epoch":"1"')
    with pytest.raises(Malformed, match=r"manifest: Expected `int`, got `str` - at `\$\.epoch`"):
        decode(Manifest, text.encode())


def test_peek_tells_kind_and_version_and_never_raises() -> None:
    found = peek(encode(FORGE.manifest()))
    assert found is not None
    assert (found.type, found.spec_version) == ("manifest", 1)
    for junk in (b"", b"{}", b"[]", b'{"type":"other"}', b"[" * 100_000):
        assert peek(junk) is None


def test_a_split_in_an_order_survives() -> None:
    control = FORGE.control(FORGE.believed_release())
    orders = {
        "adapter/cache": [
            {"op": "x", "kind": "split", "tenants": "*", "cseq": 1, "value": {"incumbent": "a", "to": [["b", 1]]}}
        ]
    }
    text = json.dumps({**json.loads(encode(control)), "orders": orders})
    order = decode_document(Control, text.encode()).orders["adapter/cache"][0]
    assert order.value == Split(incumbent="a", to=(("b", 1),))
    assert encode(Capability(name="ttl")) == b'{"name":"ttl"}'
