from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadSignature, Malformed, TooLarge
from pointsman.manifests.envelope import (
    countersign,
    decode_envelope,
    digest_of,
    pae,
    sign,
    sign_document,
    verify_signatures,
)
from tests.forge import Forge, key

FORGE = Forge()
ONE, TWO, THREE = key("one"), key("two"), key("three")
PUBLIC = (ONE.public, TWO.public, THREE.public)


@given(kind=st.text(max_size=30), other=st.text(max_size=30), body=st.binary(max_size=60), rest=st.binary(max_size=60))
def test_no_two_pairs_of_type_and_payload_are_signed_as_the_same_bytes(
    kind: str, other: str, body: bytes, rest: bytes
) -> None:
    kind, other = (text.encode("utf-8", "replace").decode() for text in (kind, other))
    if (kind, body) != (other, rest):
        assert pae(kind, body) != pae(other, rest)


@given(payload=st.binary(max_size=200), threshold=st.integers(1, 3), signers=st.sets(st.integers(0, 2), min_size=1))
def test_an_envelope_verifies_exactly_when_enough_keys_signed(
    payload: bytes, threshold: int, signers: set[int]
) -> None:
    pairs = [(ONE, TWO, THREE)[index] for index in sorted(signers)]
    opened = decode_envelope(sign("x", payload, pairs), 10_000)
    assert opened.payload == payload
    if len(pairs) >= threshold:
        assert len(verify_signatures(opened, PUBLIC, threshold)) == threshold
    else:
        with pytest.raises(BadSignature):
            verify_signatures(opened, PUBLIC, threshold)


def test_verification_stops_at_the_threshold() -> None:
    opened = decode_envelope(sign("x", b"y", [THREE, ONE, TWO]), 10_000)
    assert verify_signatures(opened, PUBLIC, 1) == (THREE.keyid,)


def test_a_second_holder_adds_a_signature_over_the_same_payload() -> None:
    first = sign_document(FORGE.manifest(), [ONE])
    both = countersign(first, [TWO], max_bytes=10_000)
    opened = decode_envelope(both, 10_000)
    assert verify_signatures(opened, PUBLIC, 2) == (ONE.keyid, TWO.keyid)
    assert countersign(both, [ONE], max_bytes=10_000) == sign_document(FORGE.manifest(), [TWO, ONE])
    assert opened.digest == digest_of(both)


def test_no_envelope_is_written_that_could_not_be_read() -> None:
    with pytest.raises(Malformed):
        sign("x", b"y", [])
    with pytest.raises(Malformed):
        sign("x", b"y", [key(str(number)) for number in range(17)])


def test_the_cap_is_on_the_bytes_as_they_came() -> None:
    data = sign("x", b"y", [ONE])
    assert decode_envelope(data, len(data)).payload == b"y"
    with pytest.raises(TooLarge):
        decode_envelope(data, len(data) - 1)


def test_an_envelope_is_compact_json_in_a_fixed_order() -> None:
    text = sign("x", b"y", [ONE]).decode()
    assert list(json.loads(text)) == ["payload", "payloadType", "signatures"]
    assert " " not in text
