"""Attacks 21 to 34: what is old, what is new, whose it is, and what a manifest names. The pure parts."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import (
    ArtifactsDisabled,
    BadLifetime,
    BadSignature,
    DigestMismatch,
    Equivocation,
    Expired,
    FactoryForbidden,
    Malformed,
    ManifestError,
    NotYetValid,
    Rollback,
    UntrustedRoot,
    WrongAudience,
    WrongEpoch,
)
from pointsman.manifests.admission import Gate, admit
from pointsman.manifests.canonical import encode
from pointsman.manifests.envelope import sign
from pointsman.manifests.release import Step, accept, approved_entry, effective, runnable, take
from pointsman.manifests.root import load_root, rotate
from pointsman.manifests.schema import Audience, Bad, CandidateEntry, Good, Manifest, Role, Root, payload_type, tag_of
from pointsman.manifests.trust import establish_trust
from pointsman.manifests.verification import (
    Freshness,
    life_spent,
    verify_control,
    verify_head,
    verify_manifest,
    verify_release,
)
from tests.forge import AUDIENCE, DAY, NOW, Forge, key

FORGE = Forge()
TRUST = FORGE.trust
SECOND = timedelta(seconds=1)
LIFE = FORGE.manifest().expires - FORGE.manifest().issued_at


def rotated_forge(epoch: int) -> tuple[Forge, bytes]:
    """Return the publisher after a rotation of every key, and root 2, signed by the old and the new keys."""
    fresh = Forge(holders={name: (key(f"{name} new"), key(f"{name} newer")) for name in FORGE.holders})
    document = fresh.root(version=2, epoch=epoch, issued_at=NOW - DAY)
    return fresh, fresh.sealed(document, FORGE.holders["root"][0], fresh.holders["root"][0])


# --- old and new ---


def test_a21_an_older_release_is_a_rollback() -> None:
    seen = FORGE.believed_release(FORGE.release(version=7))
    with pytest.raises(Rollback) as refused:
        accept(seen, FORGE.believed_release(FORGE.release(version=6)))
    assert refused.value.code == "rollback"


def test_a21_a_newer_release_with_a_lower_floor_is_a_rollback() -> None:
    seen = FORGE.believed_release(FORGE.release(floor=3))
    with pytest.raises(Rollback, match="floor"):
        accept(seen, FORGE.believed_release(FORGE.release(version=8, floor=2)))


def test_a21_a_manifest_below_the_floor_is_a_rollback_whatever_the_release_says_of_it() -> None:
    old = FORGE.sealed(FORGE.manifest(version=2))
    current = FORGE.sealed(FORGE.manifest())
    lying = (FORGE.approved(current), FORGE.approved(old, 4))
    release = FORGE.believed_release(FORGE.release(approved=lying))
    with pytest.raises(Rollback):
        verify_manifest(old, TRUST, NOW, entry=lying[1], release=release)


def test_a22_at_a_cold_start_the_floor_refuses_the_images_own_old_manifest() -> None:
    release = FORGE.believed_release(FORGE.release(floor=3))
    with pytest.raises(Rollback):
        verify_manifest(FORGE.sealed(FORGE.manifest(version=2)), TRUST, NOW, release=release)
    assert verify_manifest(FORGE.sealed(FORGE.manifest(version=3)), TRUST, NOW, release=release)


def test_a22_a_release_that_contradicts_its_own_floor_is_refused() -> None:
    with pytest.raises(Malformed, match="floor"):
        FORGE.believed_release(FORGE.release(floor=6))


def test_a22_a_release_runs_nothing_below_its_floor() -> None:
    new, old = FORGE.sealed(FORGE.manifest()), FORGE.sealed(FORGE.manifest(version=2))
    release = FORGE.release(
        approved=(FORGE.approved(old, 2), FORGE.approved(new, 5)), current=FORGE.approved(new).digest
    )
    assert [entry.version for entry in runnable(release)] == [5]
    assert approved_entry(release, FORGE.approved(old).digest) is None
    assert approved_entry(release, FORGE.approved(new).digest) == FORGE.approved(new)


def test_a21_going_back_is_a_new_release_and_nothing_else() -> None:
    new, old = FORGE.sealed(FORGE.manifest()), FORGE.sealed(FORGE.manifest(version=4))
    forward = FORGE.believed_release(FORGE.release(new, old))
    back = FORGE.believed_release(FORGE.release(new, old, version=8, current=FORGE.approved(old).digest))
    assert accept(forward, back) is Step.NEWER
    assert runnable(back.document)[0].version == 4


def test_a23_one_release_with_two_contents_is_an_alarm() -> None:
    seen = FORGE.believed_release(FORGE.release())
    with pytest.raises(Equivocation) as refused:
        accept(seen, FORGE.believed_release(FORGE.release(min_control_seq=2)))
    assert refused.value.code == "equivocation"


def test_a23_one_manifest_with_two_contents_is_an_alarm() -> None:
    seen = FORGE.believed()
    with pytest.raises(Equivocation):
        take(seen, FORGE.believed(FORGE.manifest(selections={"adapter/cache": "redis"})))
    assert take(seen, FORGE.believed(FORGE.manifest(version=4))) is Step.NEWER
    assert take(None, seen) is Step.NEWER


def test_a24_the_same_again_changes_nothing() -> None:
    seen = FORGE.believed_release()
    assert accept(seen, FORGE.believed_release()) is Step.UNCHANGED
    assert accept(seen, FORGE.believed_release(at=NOW + 60 * DAY)) is Step.UNCHANGED
    assert take(FORGE.believed(), FORGE.believed()) is Step.UNCHANGED


def test_a25_life_is_spent_linearly_so_that_eighty_percent_can_be_warned_of() -> None:
    release = FORGE.release(issued_at=NOW - 8 * DAY, expires=NOW + 2 * DAY)
    assert life_spent(release.issued_at, release.expires, NOW) == 0.8


def test_a25_an_expired_release_is_aged_and_never_adopted_anew() -> None:
    release = FORGE.release()
    late = release.expires
    assert FORGE.believed_release(release, at=late - SECOND).freshness is Freshness.FRESH
    aged = FORGE.believed_release(release, at=late)
    assert aged.freshness is Freshness.AGED
    with pytest.raises(Expired):
        accept(None, aged)
    with pytest.raises(Expired):
        accept(FORGE.believed_release(FORGE.release(version=6)), aged)


def test_a26_an_expired_manifest_has_its_life_again_while_a_fresh_release_names_it() -> None:
    data = FORGE.sealed(FORGE.manifest())
    entry, expires = FORGE.approved(data), FORGE.manifest().expires
    long = FORGE.release(issued_at=NOW, expires=NOW + 90 * DAY)

    def freshness(at: datetime) -> Freshness:
        release = FORGE.believed_release(long, at=at)
        return verify_manifest(data, TRUST, at, entry=entry, release=release).freshness

    assert freshness(expires - SECOND) is Freshness.FRESH
    assert freshness(expires) is Freshness.DEGRADED
    assert freshness(expires + LIFE - SECOND) is Freshness.DEGRADED
    with pytest.raises(Expired) as refused:
        freshness(expires + LIFE)
    assert refused.value.code == "expired"


def test_a26_there_is_no_grace_without_a_release_or_with_an_aged_one() -> None:
    data, at = FORGE.sealed(FORGE.manifest()), FORGE.manifest().expires
    fresh = FORGE.believed_release(FORGE.release(expires=NOW + 60 * DAY), at=at)
    aged = FORGE.believed_release(at=at)
    with pytest.raises(Expired):
        verify_manifest(data, TRUST, at)
    with pytest.raises(Expired):
        verify_manifest(data, TRUST, at, release=fresh)
    with pytest.raises(Expired):
        verify_manifest(data, TRUST, at, entry=FORGE.approved(data), release=aged)


def test_a26_what_comes_next_is_good_then_approved() -> None:
    envelopes = [FORGE.sealed(FORGE.manifest(version=version)) for version in (5, 4, 3)]
    release = FORGE.believed_release(FORGE.release(*envelopes))
    entries = {entry.version: entry for entry in release.document.approved}
    good = (Good(digest=entries[3].digest, version=3), Good(digest="f" * 64, version=1))
    control = FORGE.control(release, good=good)
    assert [one.version for one in effective(release.document, control, "r1")] == [5, 3, 4]
    bad = (Bad(digest=entries[5].digest, revision="r1", by=("a", "b"), rule="preflight-failed"),)
    control = FORGE.control(release, good=good, bad=bad)
    assert [one.version for one in effective(release.document, control, "r1")] == [3, 4]
    assert [one.version for one in effective(release.document, control, "r2")] == [5, 3, 4]


@pytest.mark.parametrize("ahead", [301, 86_400, 10**9])
def test_a27_what_was_issued_in_the_future_is_refused(ahead: int) -> None:
    later = NOW + timedelta(seconds=ahead)
    for judge, data in _of_every_kind(later, later + DAY):
        with pytest.raises(NotYetValid) as refused:
            judge(data)
        assert refused.value.code == "not-yet-valid"


def test_a27_five_minutes_ahead_are_forgiven() -> None:
    later = NOW + timedelta(seconds=300)
    for judge, data in _of_every_kind(later, later + DAY):
        judge(data)


@pytest.mark.parametrize("life", [-DAY, timedelta(0), 90 * DAY + SECOND, 3650 * DAY])
def test_a27_a_life_that_ends_before_it_begins_or_lasts_for_years_is_refused(life: timedelta) -> None:
    for judge, data in _of_every_kind(NOW - DAY, NOW - DAY + life):
        with pytest.raises(BadLifetime) as refused:
            judge(data)
        assert refused.value.code == "bad-lifetime"


def test_a27_the_last_day_of_the_calendar_is_no_overflow() -> None:
    end = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
    for judge, data in _of_every_kind(NOW - DAY, end):
        with pytest.raises(BadLifetime):
            judge(data)
    for judge, data in _of_every_kind(datetime.min.replace(tzinfo=timezone(timedelta(hours=12))), NOW):
        with pytest.raises(BadLifetime):
            judge(data)


def _of_every_kind(issued: datetime, expires: datetime) -> list[tuple[Any, bytes]]:
    release = FORGE.believed_release()
    control = FORGE.control(release, signed_at=issued, expires=expires)
    return [
        (
            lambda data: verify_manifest(data, TRUST, NOW),
            FORGE.sealed(FORGE.manifest(issued_at=issued, expires=expires)),
        ),
        (lambda data: verify_release(data, TRUST, NOW), FORGE.sealed(FORGE.release(issued_at=issued, expires=expires))),
        (lambda data: verify_control(data, TRUST, NOW, release), FORGE.sealed(control)),
    ]


def test_a28_a_version_fast_forwarded_by_a_stolen_key_is_forgotten_with_the_epoch() -> None:
    stolen = FORGE.believed_release(FORGE.release(version=2**53 - 1, floor=3))
    with pytest.raises(Rollback):
        accept(stolen, FORGE.believed_release(FORGE.release(version=8)))
    fresh, root_2 = rotated_forge(epoch=2)
    trust = establish_trust(rotate(FORGE.trust_root, root_2, NOW), AUDIENCE, {})
    first = fresh.sealed(fresh.manifest(version=1, epoch=2))
    proposed = fresh.release(first, version=1, epoch=2, floor=1, approved=(fresh.approved(first, 1),))
    assert accept(stolen, verify_release(fresh.sealed(proposed), trust, NOW)) is Step.NEWER
    with pytest.raises(BadSignature):
        verify_release(FORGE.sealed(FORGE.release(version=8)), trust, NOW)
    with pytest.raises(WrongEpoch):
        verify_release(fresh.sealed(fresh.release(version=8)), trust, NOW)


def test_a28_an_older_epoch_never_follows() -> None:
    fresh, root_2 = rotated_forge(epoch=2)
    trust = establish_trust(rotate(FORGE.trust_root, root_2, NOW), AUDIENCE, {})
    seen = verify_release(fresh.sealed(fresh.release(version=1, epoch=2)), trust, NOW)
    with pytest.raises(Rollback):
        accept(seen, FORGE.believed_release(FORGE.release(version=99)))


@pytest.mark.parametrize("version", [2**53, 2**63, 2**64])
def test_a28_a_version_beyond_what_every_reader_keeps_is_refused(version: int) -> None:
    for judge, document, says in (
        (verify_manifest, FORGE.manifest(), b'"version":5'),
        (verify_release, FORGE.release(), b'"version":7'),
    ):
        text = encode(document).replace(says, b'"version":%d' % version, 1)
        data = sign(payload_type(type(document)), text, [FORGE.holders[tag_of(type(document))][0]])
        with pytest.raises(Malformed):
            judge(data, TRUST, NOW)


@pytest.mark.parametrize(
    "audience", [Audience("notebook", "staging"), Audience("ledger", "production"), Audience("Notebook", "production")]
)
def test_a29_a_document_for_others_is_refused(audience: Audience) -> None:
    other = Forge(audience=audience)
    release = FORGE.believed_release()
    for judge in (
        lambda: verify_manifest(other.sealed(other.manifest()), TRUST, NOW),
        lambda: verify_release(other.sealed(other.release()), TRUST, NOW),
        lambda: verify_control(other.sealed(FORGE.control(release, audience=audience)), TRUST, NOW, release),
    ):
        with pytest.raises(WrongAudience) as refused:
            judge()
        assert refused.value.code == "wrong-audience"


def test_a30_the_bytes_of_another_manifest_are_a_digest_mismatch() -> None:
    new, old = FORGE.sealed(FORGE.manifest()), FORGE.sealed(FORGE.manifest(version=4))
    release = FORGE.believed_release(FORGE.release(new, old))
    for data in (old, new + b" ", new[:-1], b""):
        with pytest.raises(DigestMismatch) as refused:
            verify_manifest(data, TRUST, NOW, entry=FORGE.approved(new), release=release)
        assert refused.value.code == "digest-mismatch"
    assert len(old) == len(new)


def test_a30_the_digest_is_looked_at_before_any_signature() -> None:
    unsigned = encode(FORGE.manifest())
    with pytest.raises(DigestMismatch):
        verify_manifest(unsigned, TRUST, NOW, entry=FORGE.approved(FORGE.sealed(FORGE.manifest())))


def test_a30_bytes_that_say_another_version_than_the_release_are_refused() -> None:
    data = FORGE.sealed(FORGE.manifest())
    with pytest.raises(DigestMismatch, match="version 9"):
        verify_manifest(data, TRUST, NOW, entry=FORGE.approved(data, 9), release=FORGE.believed_release())


# --- what a manifest names ---


def entry(**fields: Any) -> CandidateEntry:
    given = {
        "domain": "adapter",
        "key": "cache",
        "provider": "own",
        "factory": "pointsman.adapters.cache.memory:memory_cache",
    }
    return CandidateEntry(**{**given, **fields})


@pytest.mark.parametrize(
    "artifact",
    [
        {"uri": "https://packages.example/own.whl", "sha256": "0" * 64},
        {"uri": "../../own.whl"},
        {"uri": "file:///tmp/own.whl"},
        {"uri": "gs://another-bucket/own.whl"},
        {"uri": "http://packages.example/own.whl"},
        {"uri": ""},
        {"sha256": "0" * 64},
    ],
)
def test_a31_a_candidate_with_an_artifact_is_refused(artifact: dict[str, str]) -> None:
    with pytest.raises(ArtifactsDisabled) as refused:
        admit(FORGE.manifest(candidates=(entry(**artifact),)), Gate())
    assert refused.value.code == "artifacts-disabled"


@pytest.mark.parametrize(
    "factory",
    [
        "os:system",
        "subprocess:Popen",
        "antigravity:fly",
        "builtins:eval",
        "pointsman.adapters:cache",
        "pointsman.adapters.cache.memory:memory_cache.__globals__",
        "pointsman.adapters.cache.memory:os.system",
        "pointsman.adapters.cache.memory:_private",
        "pointsman.adapters._hidden:Cache",
        "pointsman.adapters.cache.memory",
        "pointsman.adapters.cache.memory:",
        ":memory_cache",
        "pointsman.adapters..memory:Cache",
        "pointsman.adapters.cache.memory:memory_cache ",
        "pointsman.adapters.cache.memory:mémoire",
        "pointsman.adapters.сache.memory:memory_cache",
        "pointsman.adaptersX.cache:Cache",
        "pointsman.adapters.cache.memory:memory_cache:x",
        "pointsman.adapters.cache.memory:*",
        "pointsman.adapters.cache.memory:memory_cache\n",
    ],
)
def test_a32_a_factory_outside_of_the_grants_is_refused_and_nothing_is_imported(factory: str) -> None:
    before = set(sys.modules)
    with pytest.raises(FactoryForbidden) as refused:
        admit(FORGE.manifest(candidates=(entry(factory=factory),)), Gate())
    assert refused.value.code == "factory-forbidden"
    assert set(sys.modules) == before


# --- roots ---


def test_a33_a_root_is_followed_by_the_next_and_by_no_other() -> None:
    fresh, root_2 = rotated_forge(epoch=1)
    assert rotate(FORGE.trust_root, root_2, NOW).version == 2
    skipped = fresh.sealed(fresh.root(version=3), FORGE.holders["root"][0], fresh.holders["root"][0])
    again = FORGE.sealed(FORGE.root(version=1))
    for data in (skipped, again):
        with pytest.raises(UntrustedRoot, match="Expected root 2") as refused:
            rotate(FORGE.trust_root, data, NOW)
        assert refused.value.code == "untrusted-root"


@pytest.mark.parametrize("side", ["old", "new"])
def test_a33_the_next_root_needs_the_thresholds_of_both(side: str) -> None:
    fresh, _ = rotated_forge(epoch=1)
    signers = {"old": FORGE.holders["root"], "new": fresh.holders["root"]}[side]
    data = fresh.sealed(fresh.root(version=2), *signers)
    with pytest.raises(UntrustedRoot, match="not signed by"):
        rotate(FORGE.trust_root, data, NOW)


def test_a33_half_of_the_old_threshold_is_not_enough() -> None:
    careful = Forge(thresholds={"root": 2, "manifest": 1, "release": 1, "control": 1})
    fresh, _ = rotated_forge(epoch=1)
    document = fresh.root(version=2)
    with pytest.raises(UntrustedRoot):
        rotate(careful.trust_root, fresh.sealed(document, careful.holders["root"][0], *fresh.holders["root"]), NOW)
    assert rotate(careful.trust_root, fresh.sealed(document, *careful.holders["root"], *fresh.holders["root"]), NOW)


def test_a33_a_manifest_whose_key_was_rotated_away_no_longer_verifies() -> None:
    fresh, root_2 = rotated_forge(epoch=1)
    trust = establish_trust(rotate(FORGE.trust_root, root_2, NOW), AUDIENCE, {})
    with pytest.raises(BadSignature):
        verify_manifest(FORGE.sealed(FORGE.manifest()), trust, NOW)
    assert verify_manifest(fresh.sealed(FORGE.manifest()), trust, NOW).document == FORGE.manifest()


@pytest.mark.parametrize("epoch", [3, 2**53 - 1])
def test_a33_an_epoch_rises_by_one_at_most(epoch: int) -> None:
    with pytest.raises(WrongEpoch):
        rotate(FORGE.trust_root, rotated_forge(epoch)[1], NOW)


def test_a33_an_epoch_never_falls() -> None:
    later = Forge(holders=FORGE.holders)
    root = load_root(later.sealed(later.root(epoch=2)))
    with pytest.raises(WrongEpoch):
        rotate(root, rotated_forge(epoch=1)[1], NOW)


def test_a33_a_rotation_brings_no_key_that_proves_nothing_and_no_key_twice() -> None:
    fresh, _ = rotated_forge(epoch=1)
    honest = fresh.root(version=2)
    both = (FORGE.holders["root"][0], fresh.holders["root"][0])
    shared = {**honest.roles, "control": Role(keyids=honest.roles["manifest"].keyids, threshold=1)}
    zero = {**honest.keys, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925": "0" * 64}
    for spoilt in (fresh.root(version=2, roles=shared), fresh.root(version=2, keys=zero)):
        with pytest.raises(UntrustedRoot):
            rotate(FORGE.trust_root, fresh.sealed(spoilt, *both), NOW)


def test_a33_a_rotation_is_for_the_same_audience_and_not_of_tomorrow() -> None:
    fresh, _ = rotated_forge(epoch=1)
    both = (FORGE.holders["root"][0], fresh.holders["root"][0])
    with pytest.raises(WrongAudience):
        rotate(FORGE.trust_root, fresh.sealed(fresh.root(version=2, audience=Audience("x", "y")), *both), NOW)
    with pytest.raises(NotYetValid):
        rotate(FORGE.trust_root, fresh.sealed(fresh.root(version=2, issued_at=NOW + DAY), *both), NOW)
    with pytest.raises(UntrustedRoot, match="live"):
        rotate(FORGE.trust_root, fresh.sealed(fresh.root(version=2, expires=NOW + 3650 * DAY), *both), NOW)
    with pytest.raises(ManifestError):
        rotate(FORGE.trust_root, FORGE.sealed(FORGE.manifest()), NOW)


# --- clocks ---


def test_a34_a_clock_behind_the_images_root_is_refused_and_a_little_behind_is_set_right() -> None:
    issued = NOW - 30 * DAY
    data = FORGE.sealed(FORGE.manifest(issued_at=issued, expires=issued + DAY))
    with pytest.raises(NotYetValid, match="clock"):
        verify_manifest(data, TRUST, issued - timedelta(seconds=301))
    assert verify_manifest(data, TRUST, issued - timedelta(seconds=300)).freshness is Freshness.FRESH


def test_a34_a_clock_that_jumps_a_day_ahead_and_back_gives_the_same_verdict_as_before() -> None:
    data = FORGE.head()
    before = verify_head(data, TRUST, NOW)
    verify_head(data, TRUST, NOW + DAY)
    assert verify_head(data, TRUST, NOW) == before


def test_a34_the_anchor_survives_a_rotation() -> None:
    root = rotate(FORGE.trust_root, rotated_forge(epoch=1)[1], NOW)
    assert root.anchor == FORGE.root().issued_at


@pytest.mark.parametrize(
    "text",
    ["2026-01-14T12:00:00", "2026-01-14", "2025-02-29T00:00:00Z", "2026-01-14T24:00:00Z", "1768392000", "now", ""],
)
def test_a34_a_time_without_a_zone_or_of_no_day_is_refused(text: str) -> None:
    payload = encode(FORGE.manifest()).replace(b'"2026-01-14T12:00:00Z"', f'"{text}"'.encode())
    data = sign(payload_type(Manifest), payload, [FORGE.holders["manifest"][0]])
    with pytest.raises(Malformed):
        verify_manifest(data, TRUST, NOW)


def test_a34_the_leap_day_and_other_zones_are_times_like_any() -> None:
    leap = datetime(2028, 2, 29, 23, 59, tzinfo=timezone(timedelta(hours=14)))
    forge = Forge()
    data = forge.sealed(forge.manifest(issued_at=leap, expires=leap + DAY))
    verified = verify_manifest(data, forge.trust, leap.astimezone(UTC))
    assert verified.document.issued_at == leap


@given(offset=st.integers(-400, 400), life=st.integers(-10, 100))
def test_a34_a_verdict_depends_on_the_order_of_times_alone(offset: int, life: int) -> None:
    issued = NOW + timedelta(hours=offset)
    manifest = FORGE.manifest(issued_at=issued, expires=issued + life * DAY)
    expected: type[ManifestError] | None = None
    if offset > 0:
        expected = NotYetValid
    elif not 0 < life <= 90:
        expected = BadLifetime
    elif manifest.expires <= NOW:
        expected = Expired
    if expected is None:
        assert FORGE.believed(manifest).freshness is Freshness.FRESH
    else:
        with pytest.raises(expected):
            FORGE.believed(manifest)


def test_a_root_tells_when_it_is_time_for_the_next() -> None:
    root = FORGE.trust_root
    assert not root.expired(NOW)
    assert root.expired(FORGE.root().expires)
    assert payload_type(Root) == "application/vnd.pointsman.root+json"
