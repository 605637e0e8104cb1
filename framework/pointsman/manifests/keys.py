"""Ed25519 keys: make them, name them, and refuse those that prove nothing.

A public key that is of small order, not canonically encoded, or off the main subgroup verifies signatures that nobody
made; none becomes a `PublicKey`. A seed is never shown, not even by ``repr``.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import field
from typing import TYPE_CHECKING, Final

from nacl.exceptions import CryptoError

from pointsman.errors import ConfigurationError
from pointsman.manifests.pieces import joined
from pointsman.unopened import unopened
from pointsman.values import frozen

with unopened("nacl.bindings"):
    from nacl.bindings.crypto_core import crypto_core_ed25519_is_valid_point
    from nacl.bindings.crypto_sign import crypto_sign_open
    from nacl.bindings.sodium_core import sodium_init

sodium_init()  # before libsodium is asked anything; its bindings do so when all of them are loaded

if TYPE_CHECKING:
    from pathlib import Path

    from nacl.signing import SigningKey as Signer

SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SEED = "ed25519-seed:"


def keyid_of(raw: bytes) -> str:
    """Return the name of a public key: the hex SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(raw).hexdigest()


@frozen
class PublicKey:
    """A public key that was looked at, 32 raw bytes.

    Raises:
        ConfigurationError: It is not 32 bytes, not canonical, of small order, or off the main subgroup.
    """

    raw: bytes
    keyid: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self.raw) != SEED_BYTES or not crypto_core_ed25519_is_valid_point(self.raw):
            raise ConfigurationError(
                f"Expected an Ed25519 public key, found {self.raw.hex()!r:.80}: not a point of the main subgroup.",
                hint="Make a key pair: pointsman keys new",
            )
        object.__setattr__(self, "keyid", keyid_of(self.raw))

    @classmethod
    def from_hex(cls, text: str) -> PublicKey:
        """Return the key that 64 lower-case hex digits say.

        Raises:
            ConfigurationError: They are not, or the key proves nothing.
        """
        if not _HEX.fullmatch(text):
            raise ConfigurationError(f"Expected a public key of 64 lower-case hex digits, found {text!r:.80}.")
        return cls(bytes.fromhex(text))

    def verifies(self, message: bytes, signature: bytes, heading: bytes = b"") -> bool:
        """Tell whether this key signed exactly these bytes, ``heading`` before them. Never raises."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            crypto_sign_open(joined((signature, heading, message)), self.raw)
        except CryptoError:
            return False
        return True

    def __str__(self) -> str:
        return self.raw.hex()


@frozen
class SigningKey:
    """A key pair. Whoever holds ``seed`` signs in its name.

    Raises:
        ConfigurationError: The seed is not 32 bytes.
    """

    seed: bytes = field(repr=False)
    public: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ConfigurationError(f"Expected a seed of {SEED_BYTES} bytes, found {len(self.seed)}.")
        object.__setattr__(self, "public", PublicKey(bytes(_signer(self.seed).verify_key)))

    @property
    def keyid(self) -> str:
        """The name of the public half."""
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return bytes(_signer(self.seed).sign(message).signature)

    def text(self) -> str:
        """Return the line that `parse_signing_key` reads; it is the secret itself."""
        return f"{_SEED}{self.seed.hex()}\n"


def _signer(seed: bytes) -> Signer:
    from nacl.signing import SigningKey as Signer  # which most replicas never load: they only verify

    return Signer(seed)


def generate() -> SigningKey:
    """Return a new key pair from the operating system's randomness."""
    return SigningKey(os.urandom(SEED_BYTES))


def parse_signing_key(text: str) -> SigningKey:
    """Return the key pair that a key file, or a secret of the same text, holds.

    Raises:
        ConfigurationError: The text is not ``ed25519-seed:`` and 64 hex digits; it is not repeated in the message.
    """
    prefix, digits = text.strip()[: len(_SEED)], text.strip()[len(_SEED) :]
    if prefix != _SEED or not _HEX.fullmatch(digits):  # a bare public key must not pass for a seed
        raise ConfigurationError(
            f"Expected a signing key as one line, {_SEED}<64 hex digits>, found other text.",
            hint="Make one: pointsman keys new",
        )
    return SigningKey(bytes.fromhex(digits))


def save_signing_key(path: Path, key: SigningKey) -> None:
    """Write a new key file that only its owner can read (mode 0600).

    Raises:
        ConfigurationError: The file exists, or cannot be written. Nothing is overwritten.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{path}: expected to write a new key file: {error.strerror}.") from error
    with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor, opened with its mode
        file.write(key.text())


def load_signing_key(path: Path) -> SigningKey:
    """Read a key file.

    Raises:
        ConfigurationError: It cannot be read, or holds no signing key.
    """
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: expected a signing key, found a file that cannot be read ({type(error).__name__}).",
            hint="Make one: pointsman keys new",
        ) from error
    return parse_signing_key(text)
