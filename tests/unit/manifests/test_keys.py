from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from pointsman.errors import ConfigurationError
from pointsman.manifests.keys import (
    PublicKey,
    SigningKey,
    generate,
    keyid_of,
    load_signing_key,
    parse_signing_key,
    save_signing_key,
)
from tests.forge import key


def test_a_key_is_named_by_the_digest_of_its_bytes() -> None:
    pair = key("one")
    assert pair.keyid == hashlib.sha256(pair.public.raw).hexdigest() == keyid_of(pair.public.raw)


def test_a_key_verifies_what_it_signed_and_nothing_else() -> None:
    pair, other = key("one"), key("two")
    signature = pair.sign(b"message")
    assert pair.public.verifies(b"message", signature)
    assert not pair.public.verifies(b"message.", signature)
    assert not other.public.verifies(b"message", signature)
    assert not pair.public.verifies(b"message", signature[:-1])


def test_signing_agrees_with_the_first_vector_of_rfc_8032() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    pair = SigningKey(seed)
    assert str(pair.public) == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert pair.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


def test_a_seed_is_shown_by_nothing_but_its_own_text() -> None:
    pair = key("one")
    assert pair.seed.hex() not in f"{pair!r} {pair}"
    assert pair.seed.hex() in pair.text()


def test_new_keys_differ() -> None:
    assert generate().seed != generate().seed


def test_a_key_file_is_read_as_it_was_written_and_by_its_owner_only(tmp_path: Path) -> None:
    path, pair = tmp_path / "control.key", key("one")
    before = os.umask(0)
    try:
        save_signing_key(path, pair)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_signing_key(path) == pair
    with pytest.raises(ConfigurationError, match="File exists"):
        save_signing_key(path, key("two"))
    assert load_signing_key(path) == pair


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"ed25519-seed:00", b"ed25519-seed:" + b"g" * 64, b"0" * 64])
def test_what_holds_no_key_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "control.key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        load_signing_key(path)
    assert "0" * 64 not in str(refused.value)
    with pytest.raises(ConfigurationError):
        load_signing_key(tmp_path / "absent.key")


def test_a_public_key_does_not_pass_for_a_seed() -> None:
    with pytest.raises(ConfigurationError):
        parse_signing_key(str(key("one").public))
    assert parse_signing_key(f"\n{key('one').text()}\n") == key("one")


@pytest.mark.parametrize("text", ["", "00", "G" * 64, "AB" * 32, " " + "0" * 63])
def test_a_public_key_is_sixty_four_lower_case_digits(text: str) -> None:
    with pytest.raises(ConfigurationError):
        PublicKey.from_hex(text)


def test_a_seed_is_thirty_two_bytes() -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        SigningKey(b"short")
