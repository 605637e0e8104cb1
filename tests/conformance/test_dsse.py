"""Our envelopes and those of two other implementations: each verifies what the others wrote."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from pointsman.errors import BadSignature
from pointsman.manifests.envelope import decode_envelope, pae, sign, sign_document, verify_signatures
from pointsman.manifests.keys import PublicKey, SigningKey
from pointsman.manifests.schema import Manifest, payload_type
from pointsman.manifests.verification import verify_manifest
from tests.forge import NOW, Forge, key

VECTORS = json.loads((Path(__file__).parent / "dsse.json").read_text(encoding="utf-8"))
FORGE = Forge()


def foreign(pair: SigningKey) -> SSlibKey:
    return SSlibKey(pair.keyid, "ed25519", "ed25519", {"public": str(pair.public)})


def signer(pair: SigningKey) -> CryptoSigner:
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(pair.seed), foreign(pair))


@pytest.mark.parametrize("vector", VECTORS["pae"], ids=lambda vector: vector["payload_type"] or "empty")
def test_what_is_signed_is_what_the_specification_says(vector: dict[str, str]) -> None:
    assert pae(vector["payload_type"], base64.b64decode(vector["payload"])) == base64.b64decode(vector["pae"])


@pytest.mark.parametrize("vector", VECTORS["envelopes"], ids=lambda vector: vector["name"])
def test_an_envelope_of_another_implementation_is_judged_as_it_should_be(vector: dict[str, Any]) -> None:
    keys = {name: PublicKey.from_hex(text) for name, text in vector["keys"].items()}
    opened = decode_envelope(json.dumps(vector["envelope"]).encode(), 10_000)
    assert opened.payload == base64.b64decode(vector["payload"])
    if vector["signers"] is None:
        with pytest.raises(BadSignature):
            verify_signatures(opened, tuple(keys.values()), vector["threshold"])
    else:
        met = verify_signatures(opened, tuple(keys.values()), vector["threshold"])
        assert sorted(met) == sorted(keys[name].keyid for name in vector["signers"])


def test_the_seeds_of_the_vectors_are_the_names_of_the_signers() -> None:
    for vector in VECTORS["envelopes"]:
        for name, text in vector["keys"].items():
            assert str(SigningKey(hashlib.sha256(name.encode()).digest()).public) == text


def test_securesystemslib_verifies_what_we_sign() -> None:
    one, two = FORGE.holders["manifest"]
    envelope = Envelope.from_dict(json.loads(sign_document(FORGE.manifest(), [one, two])))
    assert set(envelope.verify([foreign(one), foreign(two)], 2)) == {one.keyid, two.keyid}
    with pytest.raises(VerificationError):
        Envelope.from_dict(json.loads(sign_document(FORGE.manifest(), [one]))).verify([foreign(one), foreign(two)], 2)


def test_we_verify_what_securesystemslib_signs() -> None:
    payload = json.dumps(json.loads(FORGE_PAYLOAD), indent=2).encode()
    envelope = Envelope(payload, payload_type(Manifest), {})
    for pair in FORGE.holders["manifest"]:
        envelope.sign(signer(pair))
    verified = verify_manifest(json.dumps(envelope.to_dict()).encode(), FORGE.trust, NOW)
    assert verified.document == FORGE.manifest()


def test_the_two_write_the_same_signatures() -> None:
    pair = key("manifest")
    envelope = Envelope(FORGE_PAYLOAD, payload_type(Manifest), {})
    envelope.sign(signer(pair))
    assert json.loads(sign(payload_type(Manifest), FORGE_PAYLOAD, [pair])) == envelope.to_dict()


def test_cryptography_verifies_what_we_sign() -> None:
    pair = key("one")
    envelope = json.loads(sign("http://example.com/HelloWorld", b"hello world", [pair]))
    public = Ed25519PublicKey.from_public_bytes(pair.public.raw)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    message = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    public.verify(signature, message)
    with pytest.raises(InvalidSignature):
        public.verify(signature, message + b".")


FORGE_PAYLOAD = decode_envelope(FORGE.sealed(FORGE.manifest()), 10_000).payload
