from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadSignature, Malformed, TooLarge
from pointsman.manifests import envelope
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


SPELLINGS = {
    "padded": lambda text: text,
    "bare": lambda text: text.rstrip("="),
    "url-safe": lambda text: text.replace("+", "-").replace("/", "_"),
    "escaped": lambda text: text.replace("/", "\\/"),
    "padded within": lambda text: f"{text[:8]}====={text[8:]}",
    "ended within": lambda text: f"{text[:6]}=={text[8:]}",
    "shifted": lambda text: f"A{text}",
    "with junk": lambda text: f"{text[:5]} {text[5:]}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(payload=st.binary(min_size=20, max_size=60) | st.just(b"\xff\xef\xbf" * 12))
def test_a_payload_is_the_same_in_however_many_pieces_it_is_decoded(spelling: str, payload: bytes) -> None:
    text = base64.b64encode(payload).decode()
    data = sign("x", payload, [ONE]).decode().replace(text, SPELLINGS[spelling](text)).encode()
    found = []
    for size in (8, 16, 96 * 1024):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(envelope, "_PIECE", size)
            try:
                found.append(decode_envelope(data, len(data)).payload)
            except Malformed:
                found.append(None)
    assert found == [found[-1]] * 3
    assert (found[-1] == payload) is (spelling in {"padded", "bare", "url-safe", "escaped"})


def test_a_digest_that_was_taken_is_not_taken_again() -> None:
    data = sign("x", b"y", [ONE])
    assert decode_envelope(data, len(data)).digest == digest_of(data)
    assert decode_envelope(data, len(data), "taken").digest == "taken"


def test_a_signature_of_another_length_lends_no_byte_to_what_is_signed() -> None:
    text = pae("x", b"y")
    opened = decode_envelope(sign("x", b"y", [ONE]), 1_000)
    (signed,) = opened.signatures
    assert ONE.public.verifies(b"y", signed.signature, text[:-1])
    longer = ONE.sign(b"DSSEv1 " + text)
    spoilt = msgspec.structs.replace(opened, signatures=(msgspec.structs.replace(signed, signature=longer + text[:7]),))
    with pytest.raises(BadSignature):
        verify_signatures(spoilt, PUBLIC, 1)
