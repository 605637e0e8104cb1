from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pointsman.control.head import apply
from pointsman.control.sealing import RESERVE_BYTES, Seal, fitted
from pointsman.errors import ControlFull, DigestMismatch, ReadOnlyReplica
from pointsman.manifests.canonical import encode
from pointsman.manifests.envelope import digest_of, sign_document
from pointsman.manifests.keys import SigningKey
from pointsman.manifests.limits import Limits
from pointsman.manifests.root import load_root
from pointsman.manifests.schema import Audience, Role, Root
from pointsman.manifests.trust import Trust

AUDIENCE = Audience("shop", "production")
KEYS = {name: SigningKey(name.encode().ljust(32, b".")) for name in ("root", "manifest", "release", "control", "other")}


def trust(now, *, threshold: int = 1, max_head_bytes: int = 64 * 1024) -> Trust:
    held = {"root": ("root",), "manifest": ("manifest",), "release": ("release",), "control": ("control", "other")}
    document = Root(
        spec_version=1,
        epoch=1,
        version=1,
        issued_at=now,
        expires=now + timedelta(days=365),
        audience=AUDIENCE,
        keys={one.keyid: one.public.raw.hex() for one in KEYS.values()},
        roles={
            name: Role(keyids=tuple(KEYS[each].keyid for each in keys), threshold=threshold if name == "control" else 1)
            for name, keys in held.items()
        },
    )
    root = load_root(sign_document(document, [KEYS["root"]]))
    return Trust(root, AUDIENCE, Limits(max_head_bytes=max_head_bytes))


def beside(control, release):
    envelope = sign_document(release, [KEYS["release"]])
    adopted = replace(control.release, digest=digest_of(encode(release)))
    return envelope, replace(control, release=adopted)


def test_only_a_key_whose_signature_alone_is_believed_may_sign(now):
    assert Seal(KEYS["control"]).may_sign(trust(now))
    assert not Seal(KEYS["control"]).may_sign(trust(now, threshold=2))
    assert not Seal(KEYS["release"]).may_sign(trust(now))
    assert not Seal().may_sign(trust(now))
    with pytest.raises(ReadOnlyReplica):
        Seal().check(trust(now))


def test_where_no_root_could_judge_a_signature_there_is_none(now, control, release):
    bare = Trust(None, AUDIENCE, unsigned=True)
    document = encode(release())
    beside = replace(control, release=replace(control.release, digest=digest_of(document)))
    assert Seal(KEYS["control"]).may_sign(bare)
    sealed = Seal(KEYS["control"]).seal(document, beside, bare, now)
    assert sealed.head.control.signers == ()
    assert not Seal(KEYS["control"]).may_sign(Trust(None, AUDIENCE))


def test_what_replicas_would_refuse_is_not_sealed(now, control, release):
    envelope, _ = beside(control, release())
    with pytest.raises(DigestMismatch):
        Seal(KEYS["control"]).seal(envelope, control, trust(now), now)


def test_a_head_over_its_cap_is_not_sealed(now, control, release):
    envelope, fitting = beside(control, release())
    assert Seal(KEYS["control"]).seal(envelope, fitting, trust(now), now).head.control.document == fitting
    with pytest.raises(ControlFull):
        Seal(KEYS["control"]).seal(envelope, fitting, trust(now, max_head_bytes=1024), now)


def test_a_clear_makes_room_by_forgetting_old_tombstones_and_a_swap_does_not(now, control, release, swap):
    envelope, full = beside(control, release())
    for number in range(40):
        full = apply(full, swap(clear=True, tenants=(f"tenant-{number}",)), now, f"op{number}")
    size = len(Seal(KEYS["control"]).seal(envelope, full, trust(now), now).data)
    tight = trust(now, max_head_bytes=size + 256)
    after = apply(full, swap(clear=True), now, "clear")
    fits = fitted(after, envelope, swap(clear=True), tight)
    assert 0 < len(fits.gone) < len(after.gone)
    assert fits.gone_floor > 0
    with pytest.raises(ControlFull):
        fitted(apply(full, swap(), now, "swap"), envelope, swap(), tight)
    with pytest.raises(ControlFull):
        fitted(after, envelope, swap(clear=True), trust(now, max_head_bytes=RESERVE_BYTES // 4))
