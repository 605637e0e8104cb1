"""Attacks 1 to 20, 82 and 83: what is signed, by whom, and what the bytes may hold. All pure."""

from __future__ import annotations

import base64
import json
import sys
import tracemalloc
from typing import Any

import msgspec
import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import (
    BadSignature,
    ConfigurationError,
    Malformed,
    ManifestError,
    TooLarge,
    Unsigned,
    WrongType,
)
from pointsman.manifests.canonical import encode
from pointsman.manifests.envelope import pae, sign
from pointsman.manifests.keys import PublicKey, keyid_of
from pointsman.manifests.root import load_root
from pointsman.manifests.schema import Control, Manifest, Release, Role, Root, payload_type
from pointsman.manifests.trust import establish_trust
from pointsman.manifests.verification import Verified, verify_control, verify_head, verify_manifest, verify_release
from tests.forge import AUDIENCE, NOW, Forge, key, keys_of

FORGE = Forge()
TRUST = FORGE.trust
MANIFEST = payload_type(Manifest)
HONEST = FORGE.sealed(FORGE.manifest())
ORDER = 2**252 + 27742317777372353535851937790883648493
LOW_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
)


def verify(data: bytes, forge: Forge = FORGE) -> Verified[Manifest]:
    return verify_manifest(data, forge.trust, NOW)


def opened(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data)
    return found


def closed(envelope: dict[str, Any]) -> bytes:
    return json.dumps(envelope).encode()


def payload_signed(payload: bytes, kind: type[Any] = Manifest) -> bytes:
    """Sign bytes as they are: what a holder of the key could do, and nobody else."""
    return sign(payload_type(kind), payload, [FORGE.holders["manifest"][0]])


def honest_text() -> str:
    return encode(FORGE.manifest()).decode()


# --- who signed ---


def test_a01_an_unsigned_manifest_is_refused() -> None:
    with pytest.raises(Unsigned) as refused:
        verify(encode(FORGE.manifest()))
    assert refused.value.code == "unsigned"
    envelope = opened(HONEST)
    envelope["signatures"] = []
    with pytest.raises(Unsigned):
        verify(closed(envelope))


def test_a01_unsigned_is_read_in_development_and_nowhere_else() -> None:
    forge = Forge(audience=msgspec.structs.replace(AUDIENCE, environment="development"))
    trust = establish_trust(None, forge.audience, {})
    assert verify_manifest(encode(forge.manifest()), trust, NOW).signers == ()
    with pytest.raises(ConfigurationError, match="K_SERVICE"):
        establish_trust(None, forge.audience, {"K_SERVICE": "notebook"})


def test_a02_a_signed_manifest_without_a_trust_root_is_a_start_up_error() -> None:
    with pytest.raises(ConfigurationError, match="trust root"):
        establish_trust(None, AUDIENCE, {})
    forge = Forge(audience=msgspec.structs.replace(AUDIENCE, environment="development"))
    with pytest.raises(ConfigurationError, match="trust root"):
        verify_manifest(forge.sealed(forge.manifest()), establish_trust(None, forge.audience, {}), NOW)


@given(bit=st.integers(0, 64 * 8 - 1))
def test_a03_a_flipped_bit_in_the_signature_is_refused(bit: int) -> None:
    envelope = opened(HONEST)
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[bit // 8] ^= 1 << bit % 8
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    with pytest.raises(BadSignature):
        verify(closed(envelope))


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a03_a_flipped_bit_in_the_payload_is_refused(where: float, bit: int) -> None:
    envelope = opened(HONEST)
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[int(where * len(payload))] ^= 1 << bit
    envelope["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(BadSignature):
        verify(closed(envelope))


def test_a04_one_key_twice_is_one_signature() -> None:
    forge = Forge(thresholds={"root": 1, "manifest": 2, "release": 1, "control": 1})
    first, second = forge.holders["manifest"]
    assert verify(forge.sealed(forge.manifest(), first, second), forge).signers == (first.keyid, second.keyid)
    with pytest.raises(BadSignature, match="found 1"):
        verify(forge.sealed(forge.manifest(), first, first), forge)


def test_a04_one_key_under_other_names_is_one_signature() -> None:
    forge = Forge(thresholds={"root": 1, "manifest": 2, "release": 1, "control": 1})
    first, second = forge.holders["manifest"]
    envelope = opened(forge.sealed(forge.manifest(), first))
    sig = envelope["signatures"][0]["sig"]
    envelope["signatures"] = [
        {"sig": sig},
        {"sig": sig, "keyid": second.keyid},
        {"sig": sig, "keyid": first.keyid},
        {"sig": sig + "==", "keyid": "x"},
    ]
    envelope["signatures"][3]["sig"] = sig.replace("+", "-").replace("/", "_")
    with pytest.raises(BadSignature, match="found 1"):
        verify(closed(envelope), forge)


def test_a05_one_public_key_under_two_ids_is_a_start_up_error() -> None:
    pair = key("manifest")
    root = FORGE.root()
    twice = {**root.keys, "0" * 64: str(pair.public)}
    with pytest.raises(ConfigurationError, match="under two"):
        load_root(FORGE.sealed(FORGE.root(keys=twice)))
    alone = {**root.keys, "0" * 64: str(key("another").public)}
    with pytest.raises(ConfigurationError, match="key id"):
        load_root(FORGE.sealed(FORGE.root(keys=alone)))


@pytest.mark.parametrize("other", ["root", "release", "control"])
def test_a05_one_key_in_two_roles_is_a_start_up_error(other: str) -> None:
    roles = FORGE.root().roles
    shared = Role(keyids=(roles[other].keyids[0],), threshold=1)
    with pytest.raises(ConfigurationError, match="in one role"):
        load_root(FORGE.sealed(FORGE.root(roles={**roles, "manifest": shared})))


def test_a06_two_entries_of_one_key_id_of_which_one_is_valid_count_once() -> None:
    forge = Forge(thresholds={"root": 1, "manifest": 2, "release": 1, "control": 1})
    first, _ = forge.holders["manifest"]
    envelope = opened(forge.sealed(forge.manifest(), first))
    junk = {"sig": base64.b64encode(bytes(64)).decode(), "keyid": first.keyid}
    envelope["signatures"].insert(0, junk)
    with pytest.raises(BadSignature, match="found 1"):
        verify(closed(envelope), forge)
    assert verify(closed(envelope), FORGE).signers == (first.keyid,)


@pytest.mark.parametrize("outsider", ["root", "release", "control", "stranger"])
def test_a07_a_valid_signature_by_a_key_outside_of_the_role_is_refused(outsider: str) -> None:
    with pytest.raises(BadSignature):
        verify(FORGE.sealed(FORGE.manifest(), key(outsider)))


def test_a08_a_right_signature_over_another_kind_is_refused() -> None:
    release = FORGE.believed_release()
    control = FORGE.sealed(FORGE.control(release))
    with pytest.raises(WrongType) as refused:
        verify(control)
    assert refused.value.code == "wrong-type"
    with pytest.raises(WrongType):
        verify_control(FORGE.sealed(FORGE.release()), TRUST, NOW, release)
    with pytest.raises(WrongType):
        verify_release(HONEST, TRUST, NOW)


def test_a08_a_payload_of_another_kind_under_the_right_type_is_refused() -> None:
    with pytest.raises(Malformed):
        verify(payload_signed(encode(FORGE.release())))


def test_a08_the_type_is_part_of_what_is_signed() -> None:
    envelope = opened(sign(payload_type(Control), encode(FORGE.manifest()), [FORGE.holders["manifest"][0]]))
    envelope["payloadType"] = MANIFEST
    with pytest.raises(BadSignature):
        verify(closed(envelope))


@pytest.mark.parametrize(
    "kind", ["application/vnd.pointsman.mänifest+json", MANIFEST + " ", MANIFEST + "\0", "", "а" * 40]
)
def test_a09_a_payload_type_outside_of_ascii_is_refused(kind: str) -> None:
    envelope = opened(HONEST)
    envelope["payloadType"] = kind
    with pytest.raises((Malformed, WrongType)):
        verify(closed(envelope))


def test_a09_lengths_count_bytes_not_characters() -> None:
    payload = encode(FORGE.manifest(selections={}, workflows=({"title": "Ærøskøbing"},)))
    text = payload.decode()
    by_characters = b"DSSEv1 %d %b %d %b" % (len(MANIFEST), MANIFEST.encode(), len(text), payload)
    assert by_characters != pae(MANIFEST, payload)
    envelope = opened(payload_signed(payload))
    assert verify(closed(envelope)).document.workflows == ({"title": "Ærøskøbing"},)
    envelope["signatures"][0]["sig"] = base64.b64encode(FORGE.holders["manifest"][0].sign(by_characters)).decode()
    with pytest.raises(BadSignature):
        verify(closed(envelope))


@pytest.mark.parametrize("hint", ["second", "", "nobody", None])
def test_a10_a_key_id_is_a_hint_and_no_more(hint: str | None) -> None:
    first, second = FORGE.holders["manifest"]
    envelope = opened(HONEST)
    envelope["signatures"][0]["keyid"] = second.keyid if hint == "second" else hint
    if hint is None:
        del envelope["signatures"][0]["keyid"]
    assert verify(closed(envelope)).signers == (first.keyid,)


@pytest.mark.parametrize("text", LOW_ORDER)
def test_a11_a82_a_public_key_of_small_order_is_a_start_up_error(text: str) -> None:
    raw = bytes.fromhex(text)
    with pytest.raises(ConfigurationError, match="main subgroup"):
        PublicKey(raw)
    root = FORGE.root()
    keys = {**root.keys, keyid_of(raw): text}
    with pytest.raises(ConfigurationError, match="main subgroup"):
        load_root(FORGE.sealed(FORGE.root(keys=keys)))


@pytest.mark.parametrize("torsion", [LOW_ORDER[2], LOW_ORDER[6], LOW_ORDER[10], LOW_ORDER[12]])
def test_a82_a_public_key_off_the_main_subgroup_is_a_start_up_error(torsion: str) -> None:
    mixed = nacl.bindings.crypto_core_ed25519_add(key("manifest").public.raw, bytes.fromhex(torsion))
    with pytest.raises(ConfigurationError, match="main subgroup"):
        PublicKey(mixed)


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), b"\xff" * 32, b"\x02" + bytes(31)])
def test_a82_what_is_no_point_at_all_is_a_start_up_error(raw: bytes) -> None:
    with pytest.raises(ConfigurationError):
        PublicKey(raw)


def test_a12_a_signature_of_the_wrong_length_or_beyond_the_order_is_refused() -> None:
    good = base64.b64decode(opened(HONEST)["signatures"][0]["sig"])
    lifted = good[:32] + (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")
    for signature in (b"", good[:32], good[:63], good + b"\0", lifted, bytes(64), b"\1" + bytes(63)):
        envelope = opened(HONEST)
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
        with pytest.raises(BadSignature):
            verify(closed(envelope))


@pytest.mark.parametrize("spoil", ["{} ", " {}", "{}\n", "{}!", "{}=", "{}====", "={}", "{}A", "ü{}", "{}%3D", "{}\0"])
def test_a13_base64_with_junk_is_refused(spoil: str) -> None:
    for place in ("payload", "sig"):
        envelope = opened(HONEST)
        where = envelope if place == "payload" else envelope["signatures"][0]
        where[place] = spoil.format(where[place])
        with pytest.raises(ManifestError) as refused:
            verify(closed(envelope))
        assert refused.value.code in {"malformed", "bad-signature"}


def test_a13_both_alphabets_are_read_padded_or_not_and_never_mixed() -> None:
    payload = encode(FORGE.manifest(tasks=({"note": "ÿþ>?ÿþ"},)))
    for length in range(3):
        data = payload_signed(payload + b" " * length)
        envelope = opened(data)
        for text in _spellings(envelope["payload"]):
            envelope["payload"] = text
            assert verify(closed(envelope)).document.tasks
        envelope["signatures"][0]["sig"] = "+-" + envelope["signatures"][0]["sig"][2:]
        with pytest.raises(Malformed):
            verify(closed(envelope))


def _spellings(text: str) -> list[str]:
    safe = text.replace("+", "-").replace("/", "_")
    return [text, safe, text.rstrip("="), safe.rstrip("=")]


# --- what the bytes hold ---


def test_a14_duplicate_keys_are_refused_in_envelope_payload_and_values() -> None:
    text = HONEST.decode()
    for doubled in (
        text.replace('{"payload"', '{"payload":"","payload"', 1),
        text.replace('"signatures":', '"signatures":[],"signatures":', 1),
        text.replace('{"sig"', '{"sig":"","sig"', 1),
    ):
        with pytest.raises(Malformed, match="once"):
            verify(doubled.encode())
    payload = encode(FORGE.manifest(selections={"adapter/cache": "redis"}, tasks=({"a": {"b": 1}},))).decode()
    for doubled in (
        payload.replace('"version":5', '"version":4,"version":5', 1),
        payload.replace('{"adapter/cache"', '{"adapter/cache":"memory","adapter/cache"', 1),
        payload.replace('{"b":1}', '{"b":1,"b":1}', 1),
        payload.replace('{"b":1}', '{"b":1,"\\u0062":1}', 1),
        payload.replace('"type":"manifest"', '"type":"manifest","type":"manifest"', 1),
    ):
        assert doubled != payload
        with pytest.raises(Malformed, match="once"):
            verify(payload_signed(doubled.encode()))


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "9007199254740992", "18446744073709551616", "5.0", "5e0", "true", "0",
     "-1", '"5"', "null", "0x5", "05", "+5", "1" * 5000],
)  # fmt: skip
def test_a15_a_version_that_is_no_bounded_integer_is_refused(number: str) -> None:
    text = honest_text().replace('"version":5', f'"version":{number}')
    with pytest.raises(Malformed):
        verify(payload_signed(text.encode()))


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "9007199254740992", "-9007199254740992", "1" * 400])
def test_a15_numbers_that_readers_disagree_about_are_refused_in_free_form_values(number: str) -> None:
    text = encode(FORGE.manifest(tasks=({"size": 12345},))).decode().replace("12345", number)
    with pytest.raises(Malformed):
        verify(payload_signed(text.encode()))


def test_a15_the_largest_integer_is_kept_exactly() -> None:
    manifest = FORGE.manifest(version=2**53 - 1, tasks=({"size": -(2**53 - 1), "share": 0.1234567890123456},))
    assert verify(FORGE.sealed(manifest)).document == manifest


@pytest.mark.parametrize("depth", [65, 100_000])
def test_a16_deep_nesting_is_a_bounded_error(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    text = honest_text()[:-1] + f',"tasks":[{{"a":{nested}}}]}}'
    with pytest.raises(Malformed, match="nesting"):
        verify(payload_signed(text.encode()))
    with pytest.raises(Malformed, match="nesting"):
        verify(nested.encode())


def test_a16_sixty_levels_are_read() -> None:
    value: object = "leaf"
    for _ in range(60):
        value = [value]
    assert verify(FORGE.sealed(FORGE.manifest(tasks=({"a": value},)))).document.tasks == ({"a": value},)


def test_a16_what_is_too_large_is_refused_before_it_is_read() -> None:
    large = b'{"payload":"' + b"A" * 10_000_000 + b'"}'
    tracemalloc.start()
    with pytest.raises(TooLarge) as refused:
        verify(large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code == "too-large"
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "filler",
    [b'["x"' * 400_000, b'"' + b'\\"' * 1_000_000, b"[1," * 700_000, b"{}" * 1_000_000, b"[" + b"1," * 1_000_000],
)
def test_a16_a_million_of_anything_is_a_typed_error_in_bounded_memory(filler: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ManifestError):
        verify(b'{"payload":' + filler)
    with pytest.raises(ManifestError):
        verify(
            payload_signed(honest_text()[:-1].encode() + b',"tasks":[{"a":' + filler)[: TRUST.limits.max_manifest_bytes]
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120_000_000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-32"),
        lambda text: b"type: manifest\nversion: 5\n",
        lambda text: text.encode() + b"\0",
        lambda text: text.encode() * 2,
        lambda text: text.replace("notebook", "note\\ud800book").encode(),
        lambda text: text.encode().replace(b"notebook", b"note\xffbook"),
        lambda text: text.encode().replace(b"notebook", b"note\xed\xa0\x80book"),
        lambda text: text.replace('"type":"manifest",', "").encode(),
        lambda text: text.replace('"', "'").encode(),
        lambda text: text.replace("{", "{/* */", 1).encode(),
        lambda _: b"",
        lambda _: b"null",
    ],
)
def test_a19_what_is_no_plain_json_document_is_refused(spoil: Any) -> None:
    with pytest.raises(Malformed):
        verify(payload_signed(spoil(honest_text())))


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a19_an_envelope_in_another_encoding_is_refused(codec: str) -> None:
    with pytest.raises(Malformed):
        verify(HONEST.decode().encode(codec))


def test_a20_more_than_sixteen_signatures_are_refused_before_any_is_verified() -> None:
    envelope = opened(HONEST)
    valid = envelope["signatures"][0]
    envelope["signatures"] = [valid, *({"sig": "AAAA"} for _ in range(15))]
    assert verify(closed(envelope)).signers
    envelope["signatures"].append({"sig": "AAAA"})
    with pytest.raises(Malformed, match="at most 16"):
        verify(closed(envelope))


def test_a20_junk_in_front_does_not_use_up_the_attempts_of_an_honest_signature() -> None:
    many = tuple(key(f"manifest {number}") for number in range(16))
    forge = Forge(holders={**FORGE.holders, "manifest": many})
    envelope = opened(forge.sealed(forge.manifest(), many[15]))
    junk = {"sig": base64.b64encode(bytes(range(64))).decode()}
    envelope["signatures"] = [junk] * 15 + envelope["signatures"]
    assert verify(closed(envelope), forge).signers == (many[15].keyid,)


def test_a20_attempts_are_bounded_however_many_keys_and_signatures_there_are() -> None:
    many = tuple(key(f"manifest {number}") for number in range(16))
    forge = Forge(holders={**FORGE.holders, "manifest": many})
    envelope = opened(forge.sealed(forge.manifest(), many[15]))
    del envelope["signatures"][0]["keyid"]
    junk = {"sig": base64.b64encode(bytes(range(64))).decode()}
    envelope["signatures"] = [junk] * 15 + envelope["signatures"]
    with pytest.raises(BadSignature, match="in 32 attempts"):
        verify(closed(envelope), forge)


def test_a83_a_million_nested_arrays_with_a_raised_recursion_limit_are_a_typed_error() -> None:
    nested = b"[" * 1_000_000 + b"]" * 1_000_000
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**8)
    try:
        for data in (
            b'{"unknown":' + nested + b"}",
            HONEST[:-1] + b',"unknown":' + nested + b"}",
            b'{"payload":' + nested + b',"payloadType":"x","signatures":[]}',
            b'{"type":"manifest","spec_version":' + nested + b"}",
            payload_signed(honest_text()[:-1].encode() + b',"tasks":[{"a":' + nested + b"}]}"),
        ):
            with pytest.raises(ManifestError):
                verify(data)
        with pytest.raises(ManifestError):
            verify_head(b'{"release":' + nested[:30_000] + nested[-30_000:] + b',"control":{}}', TRUST, NOW)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("field", ["unknown", "Version", "version ", "__class__"])
def test_a83_unknown_fields_are_refused_everywhere(field: str) -> None:
    for document in (FORGE.manifest(), FORGE.release(), FORGE.control(FORGE.believed_release())):
        text = encode(document).decode()[:-1] + f',"{field}":1}}'
        role = document.__struct_config__.tag
        data = sign(payload_type(type(document)), text.encode(), [FORGE.holders[str(role)][0]])
        with pytest.raises(Malformed, match="unknown field"):
            _verify_any(document, data)
    with pytest.raises(Malformed, match="unknown field"):
        verify(HONEST[:-1] + f',"{field}":1}}'.encode())
    with pytest.raises(ConfigurationError, match="unknown field"):
        load_root(sign(payload_type(Root), encode(FORGE.root())[:-1] + b',"x":1}', [FORGE.holders["root"][0]]))


def _verify_any(document: object, data: bytes) -> None:
    if isinstance(document, Manifest):
        verify_manifest(data, TRUST, NOW)
    elif isinstance(document, Release):
        verify_release(data, TRUST, NOW)
    else:
        verify_control(data, TRUST, NOW, FORGE.believed_release())


@given(data=st.binary(max_size=200))
def test_no_bytes_at_all_crash_the_reader(data: bytes) -> None:
    for judge in (verify, lambda one: verify_head(one, TRUST, NOW), lambda one: verify_release(one, TRUST, NOW)):
        with pytest.raises(ManifestError):
            judge(data)


@given(cut=st.integers(0, len(HONEST) - 1), patch=st.binary(max_size=8))
def test_no_mutation_of_an_honest_envelope_is_taken_for_another_manifest(cut: int, patch: bytes) -> None:
    mutated = HONEST[:cut] + patch + HONEST[cut + len(patch) :]
    try:
        verified = verify(mutated)
    except ManifestError:
        return
    assert verified.document == FORGE.manifest()


def test_keys_of_a_root_are_named_by_their_bytes() -> None:
    assert keys_of(key("a")) == {key("a").keyid: key("a").public.raw.hex()}
