"""The trust root: which keys, and how many of them, may sign what; and how one root follows another.

A root comes with the image, or is signed by the one before it. Nothing that arrives over the network can start a
chain, skip a link, lower an epoch, or bring a key that proves nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, get_args

import msgspec
from msgspec.structs import replace

from pointsman.errors import (
    BadSignature,
    ConfigurationError,
    ManifestError,
    NotYetValid,
    UntrustedRoot,
    WrongAudience,
    WrongEpoch,
    WrongType,
)
from pointsman.manifests.canonical import decode_document
from pointsman.manifests.envelope import Opened, decode_envelope, digest_of, verify_signatures
from pointsman.manifests.keys import PublicKey
from pointsman.manifests.limits import DEFAULT_LIMITS, Limits
from pointsman.manifests.schema import Audience, RoleName, Root, payload_type

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLES: Final[tuple[RoleName, ...]] = get_args(RoleName)
MAX_CHAIN: Final = 64
"""Roots fetched in one go; a hint that names a higher one is followed by and by."""


class RoleKeys(msgspec.Struct, frozen=True):
    """Who may sign one kind of document, and how many of them must."""

    keys: tuple[PublicKey, ...]
    threshold: int


class TrustRoot(msgspec.Struct, frozen=True):
    """A root that is believed.

    Attributes:
        roles: By ``root``, ``manifest``, ``release``, ``control``: all four.
        anchor: ``issued_at`` of the root that came with the image; no honest clock is earlier.
        digest: Of its payload.
    """

    version: int
    epoch: int
    issued_at: datetime
    expires: datetime
    audience: Audience
    roles: Mapping[str, RoleKeys]
    anchor: datetime
    digest: str

    def expired(self, now: datetime) -> bool:
        """Tell whether it is time for the next root; an expired one goes on being believed, with an alarm."""
        return now >= self.expires


def load_root(data: bytes, limits: Limits = DEFAULT_LIMITS) -> TrustRoot:
    """Return the trust root that came with the image: an envelope that its own ``root`` role has signed.

    Raises:
        ConfigurationError: It is not that; or a key is in two roles, under two ids, or proves nothing; or a role is
            missing, or asks for more signatures than it has keys.
    """
    try:
        opened = _open(data, limits)
        document = decode_document(Root, opened.payload)
        root = _trusted(document, opened, limits)
        verify_signatures(opened, root.roles["root"].keys, root.roles["root"].threshold)
    except ManifestError as error:
        raise ConfigurationError(
            f"The trust root cannot be believed [{error.code}]: {error.message}",
            hint="Make one: pointsman keys root",
        ) from error
    return root


def rotate(root: TrustRoot, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS) -> TrustRoot:
    """Return the root that follows ``root``, if ``data`` is it.

    Raises:
        ManifestError: See `decode_envelope`; ``WrongType`` for another document.
        UntrustedRoot: It is not signed by the thresholds of both roots, is not the next version, or its keys would
            not do for a root of the image.
        WrongEpoch: Its epoch is neither the same nor the next.
        WrongAudience: It is for another service or environment.
        NotYetValid: It was issued in the future.
    """
    opened = _open(data, limits)
    _check_signed(opened, root.roles["root"], f"root {root.version}, before it")
    document = decode_document(Root, opened.payload)
    try:
        following = _trusted(document, opened, limits)
    except ConfigurationError as error:
        raise UntrustedRoot(f"Root {document.version}: {error.message}") from error
    _check_signed(opened, following.roles["root"], f"root {following.version} itself")
    if following.version != root.version + 1:
        raise UntrustedRoot(f"Expected root {root.version + 1}, found root {following.version}.")
    if following.epoch not in {root.epoch, root.epoch + 1}:
        raise WrongEpoch(f"Expected a root of epoch {root.epoch} or {root.epoch + 1}, found {following.epoch}.")
    if following.audience != root.audience:
        raise WrongAudience(f"Expected a root for {root.audience}, found one for {following.audience}.")
    if following.issued_at > now + limits.skew:
        raise NotYetValid(f"Root {following.version} was issued at {following.issued_at}, and it is {now}.")
    return replace(following, anchor=root.anchor)


def check_min_root(root: TrustRoot, min_root: int) -> None:
    """Refuse to start on a root that the image, or the environment, calls too old.

    Raises:
        UntrustedRoot: It is older than ``min_root``, so a newer one was withheld.
    """
    if root.version < min_root:
        raise UntrustedRoot(
            f"Expected root {min_root} or newer, found root {root.version}: the chain roots/{root.version + 1} "
            f"to roots/{min_root} was not to be had.",
            hint="Publish the missing roots, or deploy an image that carries the newest.",
        )


def missing_roots(root: TrustRoot, wanted: int) -> range:
    """Return the versions to fetch, in order, to come from ``root`` to ``wanted``; at most 64 at once."""
    return range(root.version + 1, min(wanted, root.version + MAX_CHAIN) + 1)


def _open(data: bytes, limits: Limits) -> Opened:
    opened = decode_envelope(data, limits.max_root_bytes)
    if opened.payload_type != payload_type(Root):
        raise WrongType(f"Expected a root, found {opened.payload_type}.")
    return opened


def _check_signed(opened: Opened, role: RoleKeys, whose: str) -> None:
    try:
        verify_signatures(opened, role.keys, role.threshold)
    except BadSignature as error:
        raise UntrustedRoot(f"The next root is not signed by {whose}: {error.message}") from error


def _trusted(document: Root, opened: Opened, limits: Limits) -> TrustRoot:
    """Return the root as a value to be believed, its keys looked at; who signed it is another question."""
    lifetime = document.expires - document.issued_at
    if not timedelta(0) < lifetime <= timedelta(seconds=limits.max_root_lifetime_s):
        raise ConfigurationError(
            f"Expected a root to live for at most {limits.max_root_lifetime_s} s, found {document.issued_at} "
            f"to {document.expires}."
        )
    return TrustRoot(
        version=document.version,
        epoch=document.epoch,
        issued_at=document.issued_at,
        expires=document.expires,
        audience=document.audience,
        roles=_roles(document, _keys(document)),
        anchor=document.issued_at,
        digest=digest_of(opened.payload),
    )


def _keys(document: Root) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    ids: dict[str, str] = {}
    for keyid, text in document.keys.items():
        if text in ids:
            raise ConfigurationError(f"Expected each public key under one id, found {text} under two.")
        ids[text] = keyid
        keys[keyid] = PublicKey.from_hex(text)
    for keyid, key in keys.items():
        if key.keyid != keyid:
            raise ConfigurationError(f"Expected the key id {key.keyid} for {key}, found {keyid}.")
    return keys


def _roles(document: Root, keys: Mapping[str, PublicKey]) -> Mapping[str, RoleKeys]:
    holder: dict[str, str] = {}
    roles: dict[str, RoleKeys] = {}
    for name in ROLES:
        role = document.roles.get(name)
        if role is None:
            raise ConfigurationError(f"Expected the roles {', '.join(ROLES)} in a root, found no {name}.")
        for keyid in role.keyids:
            if keyid not in keys:
                raise ConfigurationError(f"Role {name}: expected ids of the root's keys, found {keyid}.")
            if keyid in holder:
                raise ConfigurationError(
                    f"Expected each key once, in one role, found {keyid} in {holder[keyid]} and {name}."
                )
            holder[keyid] = name
        if role.threshold > len(role.keyids):
            raise ConfigurationError(
                f"Role {name}: expected a threshold of at most {len(role.keyids)}, its keys, found {role.threshold}."
            )
        roles[name] = RoleKeys(tuple(keys[keyid] for keyid in role.keyids), role.threshold)
    return MappingProxyType(roles)
