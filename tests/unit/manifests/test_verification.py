from __future__ import annotations

import pytest

from pointsman.errors import Malformed, TooLarge
from pointsman.manifests.envelope import digest_of
from pointsman.manifests.limits import Limits
from pointsman.manifests.verification import Freshness, decode_head, encode_head, verify_head, verify_manifest
from tests.forge import NOW, Forge

FORGE = Forge()
TRUST = FORGE.trust


def test_an_honest_manifest_is_what_it_says() -> None:
    data = FORGE.sealed(FORGE.manifest())
    verified = verify_manifest(data, TRUST, NOW, entry=FORGE.approved(data), release=FORGE.believed_release())
    assert verified.document == FORGE.manifest()
    assert verified.freshness is Freshness.FRESH
    assert (verified.envelope_digest, verified.length) == (digest_of(data), len(data))
    assert verified.signers == (FORGE.holders["manifest"][0].keyid,)


def test_an_honest_head_is_two_documents_that_belong_together() -> None:
    head = verify_head(FORGE.head(), TRUST, NOW)
    assert head.release.document == FORGE.release()
    assert head.control.document.release.digest == head.release.payload_digest


def test_a_head_gives_its_envelopes_back_byte_for_byte() -> None:
    release, control = b'{"a" :\t1}', b'{"b":[ ]}'
    head = decode_head(encode_head(release + b"\n", control), TRUST)
    assert (bytes(head.release), bytes(head.control)) == (release, control)


def test_a_head_over_its_cap_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        decode_head(b"x" * (64 * 1024 + 1), TRUST)
    small = Forge(limits=Limits(max_head_bytes=100))
    with pytest.raises(TooLarge):
        verify_head(FORGE.head(), small.trust, NOW)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"release":{}}',
        b'{"release":{},"control":{},"manifest":{}}',
        b'{"release":{},"release":{},"control":{}}',
    ],
)
def test_what_is_no_head_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_head(data, TRUST)


def test_a_release_that_contradicts_itself_is_malformed() -> None:
    data = FORGE.sealed(FORGE.manifest())
    with pytest.raises(Malformed, match="current"):
        FORGE.believed_release(FORGE.release(current="0" * 64))
    with pytest.raises(Malformed, match="once"):
        FORGE.believed_release(FORGE.release(approved=(FORGE.approved(data), FORGE.approved(data))))
