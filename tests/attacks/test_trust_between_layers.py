"""Attacks 74 to 78, 81, 84 and 85: what one layer may make another believe. The pure parts."""

from __future__ import annotations

import ipaddress
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pointsman.errors import (
    ComponentForbidden,
    DestinationForbidden,
    DigestMismatch,
    FactoryForbidden,
    Malformed,
    ManifestError,
    Replayed,
    Rollback,
    SecretForbidden,
    UntrustedRoot,
    WrongEpoch,
)
from pointsman.manifests.admission import Gate, admit
from pointsman.manifests.canonical import encode
from pointsman.manifests.destinations import is_private_address
from pointsman.manifests.envelope import sign
from pointsman.manifests.release import Step, accept, effective, take
from pointsman.manifests.root import check_min_root, missing_roots, rotate
from pointsman.manifests.schema import (
    AdoptedRelease,
    Bad,
    CandidateEntry,
    Control,
    Good,
    PolicyEntry,
    TenantEntry,
    payload_type,
)
from pointsman.manifests.settings import TrustSettings
from pointsman.manifests.trust import establish_trust
from pointsman.manifests.verification import (
    Freshness,
    check_stamp,
    encode_head,
    verify_control,
    verify_head,
    verify_manifest,
    verify_release,
    wanted_root,
)
from pointsman.resolution.contribution import Layered
from pointsman.resolution.reference import GatedReference, load_reference
from pointsman.runtime.settings import Settings
from tests.forge import AUDIENCE, DAY, NOW, Forge, key

FORGE = Forge()
TRUST = FORGE.trust
REDIS = ("adapter", "cache", "redis")
BANK = ("service", "rates", "bank")


def entry(**fields: Any) -> CandidateEntry:
    given = {
        "domain": "adapter",
        "key": "cache",
        "provider": "own",
        "factory": "pointsman.adapters.cache.memory:memory_cache",
    }
    return CandidateEntry(**{**given, **fields})


def settle(settings: dict[str, Any], gate: Gate | None = None, image: Layered | None = None, **tenants: Any) -> None:
    """Admit a manifest with these provider settings."""
    manifest = FORGE.manifest(
        provider_settings=settings,
        tenants={tenant: TenantEntry(provider_settings=values) for tenant, values in tenants.items()},
    )
    admit(manifest, gate or Gate(), image or Layered())


# --- the head ---


def test_a74_an_old_head_put_back_is_recognised_by_its_write_time() -> None:
    signed = NOW - DAY
    check_stamp(signed, signed + timedelta(seconds=60), TRUST)
    check_stamp(signed, signed - timedelta(seconds=5), TRUST)
    with pytest.raises(Replayed) as refused:
        check_stamp(signed, signed + timedelta(seconds=61), TRUST)
    assert refused.value.code == "replayed-head"
    assert "head adopt" in refused.value.hint


def test_a74_a_genuine_head_eight_days_old_is_served_marked_aged() -> None:
    head = FORGE.head(signed_at=NOW - 8 * DAY, expires=NOW - DAY)
    verified = verify_head(head, TRUST, NOW)
    assert verified.control.freshness is Freshness.AGED
    assert verified.release.freshness is Freshness.FRESH


def test_a75_documents_that_were_not_signed_for_each_other_are_refused() -> None:
    old, new = FORGE.release(), FORGE.release(version=8)
    control = FORGE.sealed(FORGE.control(FORGE.believed_release(old)))
    with pytest.raises(DigestMismatch):
        verify_head(encode_head(FORGE.sealed(new), control), TRUST, NOW)
    with pytest.raises(DigestMismatch):
        verify_control(control, TRUST, NOW, FORGE.believed_release(new))
    digest = FORGE.believed_release(old).payload_digest
    adopted = AdoptedRelease(version=9, digest=digest, adopted_at=NOW)
    renumbered = FORGE.control(FORGE.believed_release(old), release=adopted)
    with pytest.raises(DigestMismatch):
        verify_control(FORGE.sealed(renumbered), TRUST, NOW, FORGE.believed_release(old))


def test_a75_a_control_document_below_what_the_release_demands_is_a_rollback() -> None:
    release = FORGE.believed_release(FORGE.release(min_control_seq=11))
    with pytest.raises(Rollback):
        verify_control(FORGE.sealed(FORGE.control(release, seq=10)), TRUST, NOW, release)
    assert verify_control(FORGE.sealed(FORGE.control(release, seq=11)), TRUST, NOW, release)


def test_a75_the_release_is_carried_verbatim() -> None:
    release = FORGE.release()
    loose = json.dumps(json.loads(FORGE.sealed(release)), indent=2).encode()
    head = encode_head(loose + b"\n", FORGE.sealed(FORGE.control(FORGE.believed_release(release))))
    assert loose in head
    assert verify_head(head, TRUST, NOW).release.payload_digest == FORGE.believed_release(release).payload_digest


def test_a76_the_control_key_cannot_say_a_floor() -> None:
    release = FORGE.believed_release()
    text = encode(FORGE.control(release))[:-1] + b',"floor":99}'
    with pytest.raises(Malformed, match="unknown field"):
        verify_control(sign(payload_type(Control), text, [FORGE.holders["control"][0]]), TRUST, NOW, release)
    with pytest.raises(ManifestError):
        verify_release(FORGE.sealed(FORGE.release(floor=5), *FORGE.holders["control"]), TRUST, NOW)


def test_a76_a_seq_at_the_end_of_all_numbers_is_forgotten_with_the_epoch() -> None:
    release = FORGE.believed_release()
    last = FORGE.control(release, seq=2**53 - 1)
    assert verify_control(FORGE.sealed(last), TRUST, NOW, release).document.seq == 2**53 - 1
    fresh = Forge(holders={**FORGE.holders, "control": (key("control new"), key("control newer"))})
    root_2 = fresh.sealed(fresh.root(version=2, epoch=2), FORGE.holders["root"][0])
    trust = establish_trust(rotate(FORGE.trust_root, root_2, NOW), AUDIENCE, {})
    renewed = verify_release(fresh.sealed(fresh.release(version=8, epoch=2)), trust, NOW)
    first = verify_control(fresh.sealed(fresh.control(renewed, seq=1, epoch=2)), trust, NOW, renewed)
    assert (first.document.epoch, first.document.seq) > (last.epoch, last.seq)
    with pytest.raises(ManifestError):
        verify_control(FORGE.sealed(FORGE.control(renewed, seq=2**53 - 1, epoch=2)), trust, NOW, renewed)
    with pytest.raises(WrongEpoch):
        verify_control(fresh.sealed(fresh.control(renewed, seq=1)), trust, NOW, renewed)


def test_a77_every_replica_of_a_revision_comes_to_the_same_approved_manifest() -> None:
    envelopes = [FORGE.sealed(FORGE.manifest(version=version)) for version in (5, 4, 3)]
    release = FORGE.believed_release(FORGE.release(*envelopes, floor=4))
    bad = Bad(digest=release.document.current, revision="r1", by=("a", "b"), rule="preflight-failed")
    control = FORGE.control(release, bad=(bad,))
    assert [one.version for one in effective(release.document, control, "r1")] == [4]


def test_a77_forged_reports_never_lead_below_the_floor() -> None:
    envelopes = [FORGE.sealed(FORGE.manifest(version=version)) for version in (5, 4, 3)]
    release = FORGE.believed_release(FORGE.release(*envelopes, floor=5))
    digests = [one.digest for one in release.document.approved]
    bad = (Bad(digest=digests[0], revision="r1", by=("a", "b"), rule="x"),)
    good = (Good(digest=digests[2], version=5), Good(digest=digests[1], version=9))
    assert effective(release.document, FORGE.control(release, bad=bad, good=good), "r1") == ()


# --- what a manifest may name ---


@pytest.mark.parametrize(
    "value",
    ["${env:AWS_SECRET_ACCESS_KEY}", "x${env:HOME}", "${secret:TOKEN}", "${secret:TOKEN}${secret:OTHER}",
     "Bearer ${secret:TOKEN}", "${secret:TOKEN} ", ["${secret:TOKEN}"], {"deep": {"er": "${env:HOME}"}}],
)  # fmt: skip
def test_a78_a_manifest_reads_neither_the_environment_nor_a_secret(value: object) -> None:
    with pytest.raises(SecretForbidden) as refused:
        settle({"adapter/cache/redis": {"key_prefix": value}})
    assert refused.value.code == "secret-forbidden"
    with pytest.raises(SecretForbidden):
        settle({}, acme={"adapter/cache/redis": {"key_prefix": value}})


@pytest.mark.parametrize("value", ["${envi:HOME}", "${", "${secret:}", "${Secret:TOKEN}", "${env :X}", "${secret:A B}"])
def test_a78_what_opens_no_blank_is_refused_rather_than_left_to_somebody_else(value: str) -> None:
    with pytest.raises((Malformed, SecretForbidden)):
        settle({"adapter/cache/redis": {"key_prefix": value}})


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"tasks": ({"payload": {"a": ["${env:HOME}"]}},)},
        {"workflows": ({"${secret:TOKEN}": 1},)},
        {"candidates": (entry(metadata={"note": "${ SECRET:TOKEN}"}),)},
        {"candidates": (entry(description="${env:HOME}"),)},
        {"tenants": {"acme": TenantEntry(labels={"plan": "${secret:TOKEN}"})}},
        {"provider_settings": {"adapter/cache/redis": {"${env:HOME}": 1}}},
        {"provider_settings": {"adapter/cache/redis": {"a": [{"${env:HOME}": 1}]}}},
    ],
)
def test_a78_no_blank_hides_outside_of_provider_settings_or_in_a_key(elsewhere: dict[str, Any]) -> None:
    with pytest.raises(SecretForbidden):
        admit(FORGE.manifest(**elsewhere), Gate())


def test_a78_a_granted_secret_is_handed_to_its_provider_and_to_no_other() -> None:
    gate = TrustSettings(secrets={"adapter/cache/redis": ("REDIS_PASSWORD", "token=REDIS_TOKEN")}).gate()
    settle({"adapter/cache/redis": {"password": "${secret:REDIS_PASSWORD}", "token": "${secret:REDIS_TOKEN}"}}, gate)
    for wrong in (
        {"adapter/cache/redis": {"password": "${secret:BANK_TOKEN}"}},
        {"adapter/cache/redis": {"key_prefix": "${secret:REDIS_TOKEN}"}},
        {"adapter/cache/memory": {"password": "${secret:REDIS_PASSWORD}"}},
        {"adapter/cache/redis": {"password": "a${secret:REDIS_PASSWORD}"}},
        {"adapter/cache/redis": {"password": "${env:REDIS_PASSWORD}"}},
    ):
        with pytest.raises(SecretForbidden):
            settle(wrong, gate)


GRANTED = TrustSettings(
    destinations=("https://*.example.com", "redis://cache.example.com:*", "/srv/data", "./state"),
).gate()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "https://api.example.com/v1"),
        ("base_url", "https://api.example.com:443"),
        ("base_url", "HTTPS://API.EXAMPLE.COM"),
        ("url", "redis://user:pass@cache.example.com:6380/0"),
        ("path", "/srv/data/notes.db"),
        ("path", "state/notes.db"),
        ("key_prefix", "notes:"),
        ("model", "claude-3.5-sonnet"),
        ("topic", "orders.created"),
        ("timeout_s", 3.5),
        ("name", "${tenant}"),
    ],
)
def test_a78_granted_destinations_and_what_is_none_pass(field: str, value: object) -> None:
    settle({"service/rates/bank": {field: value}}, GRANTED)


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example",
        "https://example.com",
        "https://api.example.com.evil.example",
        "https://evilexample.com",
        "http://api.example.com",
        "https://api.example.com:8443",
        "https://api.example.com@evil.example",
        "https://evil.example#@api.example.com",
        "https://evil.example?.example.com",
        "https://evil.example\\.example.com",
        "https://evil.example\\@api.example.com",
        "https://api.example.com,evil.example",
        "https:evil.example",
        "https:/evil.example",
        "//evil.example/x",
        "\\\\evil.example\\share",
        "https://api.example.com\t.evil.example",
        " https://evil.example",
        "https://api.exаmple.com",
        "https://ｅvil.example",
        "https://%65vil.example",
        "https://[::1]/",
        "https://${tenant}.example.com",
        "ftp://files.example.com",
        "file:///etc/passwd",
        "sqlite:////etc/passwd",
        "/etc/passwd",
        "/srv/data/../secrets",
        "/srv/data/%2e%2e/secrets",
        "/srv/database",
        "../notes.db",
        "state/../../notes.db",
        "~/.ssh/id_ed25519",
        "C:\\secrets",
        "localhost:6379",
        "evil.example:443",
        "a.example:9092,b.example:9092",
        "169.254.169.254",
        "redis://cache.example.com:6379?host=evil.example",
        "redis://cache.example.com:6379?unix_socket_path=/run/redis.sock",
        "postgresql://%2Fvar%2Frun/db",
        "host=evil.example port=5432",
        "data:text/plain,x",
        "jdbc:postgresql://evil.example/db",
    ],
)
@pytest.mark.parametrize("field", ["note", "base_url"])
def test_a78_a_destination_that_was_not_granted_is_refused(field: str, value: str) -> None:
    for settings in ({field: value}, {"pool": [{field: value}]}):
        with pytest.raises(DestinationForbidden) as refused:
            settle({"service/rates/bank": settings}, GRANTED)
        assert refused.value.code == "destination-forbidden"
    with pytest.raises(DestinationForbidden):
        settle({}, GRANTED, acme={"service/rates/bank": {field: value}})


@pytest.mark.parametrize(
    "field", ["host", "endpoint", "api_base", "bootstrap_servers", "baseUrl", "auth0_domain", "redis-host"]
)
def test_a78_a_bare_host_is_a_destination_where_the_field_says_so(field: str) -> None:
    with pytest.raises(DestinationForbidden):
        settle({"service/rates/bank": {field: "evil.example"}}, GRANTED)
    with pytest.raises(DestinationForbidden):
        settle({"service/rates/bank": {"https://evil.example": 1}}, GRANTED)


PRIVATE = (
    "http://localhost", "http://127.0.0.1", "http://127.0.0.1.", "http://[::1]", "http://[::ffff:127.0.0.1]",
    "http://0.0.0.0", "http://169.254.169.254/computeMetadata/v1/", "http://metadata.google.internal", "http://metadata",
    "http://10.0.0.7", "http://172.16.0.1", "http://192.168.1.1", "http://100.64.0.1", "http://[fe80::1]",
    "http://[fc00::1]", "http://[fd00:ec2::254]", "http://[2002:7f00:1::]", "http://[64:ff9b::7f00:1]",
    "http://printer.local", "http://api.localhost", "redis://redis", "http://224.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("value", PRIVATE)
def test_a78_private_addresses_need_a_grant_of_their_own(value: str) -> None:
    wide = TrustSettings(destinations=("*:*", "0.0.0.0/0", "::/0")).gate()
    settle({"service/rates/bank": {"url": "http://93.184.215.14:8080"}}, wide)
    with pytest.raises(DestinationForbidden, match="private_destinations"):
        settle({"service/rates/bank": {"url": value}}, wide)
    asked = TrustSettings(private_destinations=("*:*",)).gate()
    settle({"service/rates/bank": {"url": value}}, asked)


@pytest.mark.parametrize(
    "value", ["http://2130706433", "http://0x7f000001", "http://0x7f.1", "http://127.1", "http://0177.0.0.1", "http://1.2.3.256",
              "http://[::1%25eth0]", "http://[127.0.0.1]", "http://a..b.example.com", "http://.example.com"]
)  # fmt: skip
def test_a78_a_number_that_is_no_dotted_quad_is_refused_even_where_everything_is_granted(value: str) -> None:
    with pytest.raises(DestinationForbidden):
        settle(
            {"service/rates/bank": {"url": value}},
            TrustSettings(destinations=("*:*",), private_destinations=("*:*",)).gate(),
        )


def test_a78_a_network_of_ones_own_can_be_granted() -> None:
    gate = TrustSettings(private_destinations=("10.8.0.0/16", "redis.internal:6379")).gate()
    settle({"adapter/cache/redis": {"url": "redis://10.8.3.4:6379", "host": "redis.internal:6379"}}, gate)
    with pytest.raises(DestinationForbidden):
        settle({"adapter/cache/redis": {"url": "redis://10.9.3.4:6379"}}, gate)


@pytest.mark.parametrize(
    ("address", "private"),
    [("127.0.0.1", True), ("::ffff:10.0.0.1", True), ("::ffff:8.8.8.8", False), ("8.8.8.8", False),
     ("2606:4700::1111", False), ("64:ff9b::8.8.8.8", False), ("64:ff9b::a00:1", True),
     ("169.254.169.254", True), ("::", True), ("ff02::1", True)],
)  # fmt: skip
def test_a78_a_name_that_resolves_to_a_private_address_can_be_told_after_dns(address: str, private: bool) -> None:
    assert is_private_address(ipaddress.ip_address(address)) is private


IMAGE = Layered(
    everyone={
        BANK: {"url": "https://rates.example.com", "token": "${secret:RATES_TOKEN}"},
        REDIS: {"password": "${env:REDIS_PASSWORD}"},
    },
    tenants={"acme": {BANK: {"token": "${secret:ACME_TOKEN}"}}},
)
WIDE = TrustSettings(destinations=("*:*",), private_destinations=("*:*", "/")).gate()


@pytest.mark.parametrize(
    "taken",
    [
        {"url": "https://elsewhere.example.com"},
        {"proxy": "http://elsewhere.example.com"},
        {"options": {"endpoint": "elsewhere.example.com"}},
        {"note": "https://elsewhere.example.com"},
        {"port": 8443},
        {"verify": False},
        {"ssl_ca": "x"},
    ],
)
def test_a78_a_secret_of_the_image_never_travels_where_a_manifest_leads(taken: dict[str, Any]) -> None:
    settle({}, WIDE, Layered(), acme={"service/rates/bank": taken})
    for tenant in ("acme", "globex"):
        with pytest.raises(DestinationForbidden, match="secrets go"):
            settle({}, WIDE, IMAGE, **{tenant: {"service/rates/bank": taken}})
    with pytest.raises(DestinationForbidden, match="secrets go"):
        settle({"adapter/cache/redis": taken}, WIDE, IMAGE)


def test_a78_the_image_speaks_louder_than_a_manifest_for_everyone() -> None:
    settle({"service/rates/bank": {"url": "https://elsewhere.example.com"}}, WIDE, IMAGE)
    settle({}, WIDE, IMAGE, acme={"service/rates/bank": {"timeout_s": 3, "currency": "EUR"}})


def test_a78_a_manifests_own_credentials_may_go_where_it_leads() -> None:
    settle({}, WIDE, IMAGE, globex={"service/rates/bank": {"token": "its-own", "url": "https://elsewhere.example.com"}})
    with pytest.raises(DestinationForbidden):
        settle(
            {}, WIDE, IMAGE, acme={"service/rates/bank": {"token": "its-own", "url": "https://elsewhere.example.com"}}
        )


def test_a78_a_literal_secret_of_the_image_is_one_by_its_name() -> None:
    image = Layered(everyone={REDIS: {"password": "literal", "max_tokens": 100}})
    with pytest.raises(DestinationForbidden):
        settle({"adapter/cache/redis": {"url": "redis://elsewhere.example.com"}}, WIDE, image)
    image = Layered(everyone={REDIS: {"max_tokens": 100}})
    settle({"adapter/cache/redis": {"url": "redis://elsewhere.example.com"}}, WIDE, image)


def test_a78_a_granted_secret_does_not_travel_either_unless_the_place_is_granted_for_it() -> None:
    settings = {"adapter/cache/redis": {"password": "${secret:PASSWORD}", "url": "redis://cache.example.com"}}
    grants: dict[str, Any] = {"secrets": {"adapter/cache/redis": ("PASSWORD",)}, "destinations": ("*:*",)}
    with pytest.raises(DestinationForbidden, match="secrets go"):
        settle(settings, TrustSettings(**grants).gate())
    granted = TrustSettings(**grants, secret_destinations={"adapter/cache/redis": ("redis://cache.example.com",)})
    settle(settings, granted.gate())
    with pytest.raises(DestinationForbidden, match="secrets go"):
        settle(
            {"adapter/cache/redis": {**settings["adapter/cache/redis"], "url": "redis://evil.example"}}, granted.gate()
        )


@pytest.mark.parametrize("component", ["adapter/secrets", "adapter/identity"])
def test_a78_who_is_believed_comes_from_the_image_only(component: str) -> None:
    domain, name = component.split("/")
    for said in (
        {"candidates": (entry(domain=domain, key=name),)},
        {"selections": {component: "env"}},
        {"components": {component: PolicyEntry()}},
        {"provider_settings": {f"{component}/env": {}}},
        {"tenants": {"acme": TenantEntry(selections={component: "env"})}},
        {"tenants": {"acme": TenantEntry(provider_settings={f"{component}/env": {}})}},
    ):
        with pytest.raises(ComponentForbidden):
            admit(FORGE.manifest(**said), Gate())


# --- roots and envelopes ---


def test_a81_a_withheld_root_that_the_image_demands_refuses_the_start() -> None:
    root = FORGE.trust_root
    check_min_root(root, 1)
    with pytest.raises(UntrustedRoot, match="root 2"):
        check_min_root(root, 2)
    assert list(missing_roots(root, 3)) == [2, 3]
    assert list(missing_roots(root, 1)) == []
    assert len(missing_roots(root, 2**53 - 1)) == 64


@pytest.mark.parametrize(
    ("said", "demanded"), [({}, 2), ({"POINTSMAN_TRUST__MIN_ROOT": "1"}, 2), ({"POINTSMAN_TRUST__MIN_ROOT": "3"}, 3)]
)
def test_a81_the_environment_may_only_raise_what_the_image_demands(
    tmp_path: Path, said: dict[str, str], demanded: int
) -> None:
    (tmp_path / "trust.yml").write_text("min_root: 2")
    assert Settings.load(tmp_path, environ=said).section(TrustSettings).min_root == demanded


def test_a81_which_root_a_release_wants_is_read_unverified_and_is_a_hint() -> None:
    stranger = FORGE.sealed(FORGE.release(root=9), key("stranger"))
    assert wanted_root(stranger, TRUST) == 9
    with pytest.raises(ManifestError):
        wanted_root(b"{}", TRUST)
    with pytest.raises(ManifestError):
        wanted_root(encode(FORGE.release()), TRUST)
    development = establish_trust(None, type(AUDIENCE)("notebook", "development"), {})
    assert wanted_root(encode(FORGE.release()), development) == 1


def test_a81_a_release_is_judged_by_the_root_that_it_wants_or_not_at_all() -> None:
    with pytest.raises(UntrustedRoot, match="wants root 2"):
        FORGE.believed_release(FORGE.release(root=2))


def test_a84_another_envelope_of_one_payload_is_no_alarm() -> None:
    release = FORGE.release()
    plain = FORGE.sealed(release)
    payload = json.loads(plain)["payload"]
    envelope = json.loads(plain)
    junk = {**envelope, "signatures": [*envelope["signatures"], {"sig": "AAAA", "keyid": "junk"}]}
    variants = [json.dumps(junk).encode(), FORGE.sealed(release, *FORGE.holders["release"])]
    if payload.endswith("="):
        digits = payload.rstrip("=")
        variants.append(json.dumps({**envelope, "payload": digits[:-1] + chr(ord(digits[-1]) + 1)}).encode())
    seen = verify_release(plain, TRUST, NOW)
    for variant in variants:
        again = verify_release(variant, TRUST, NOW)
        assert again.envelope_digest != seen.envelope_digest
        assert accept(seen, again) is Step.UNCHANGED


@pytest.mark.parametrize("length", range(3))
def test_a84_free_bits_of_base64_change_the_envelope_and_not_the_manifest(length: int) -> None:
    manifest = FORGE.manifest(tasks=({"fill": "x" * length},))
    plain = FORGE.sealed(manifest)
    envelope = json.loads(plain)
    digits = envelope["payload"].rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    if len(digits) % 4:
        envelope["payload"] = digits[:-1] + alphabet[alphabet.index(digits[-1]) | 1]
    seen = verify_manifest(plain, TRUST, NOW)
    again = verify_manifest(json.dumps(envelope).encode(), TRUST, NOW)
    assert again.payload_digest == seen.payload_digest
    assert take(seen, again) is Step.UNCHANGED


# --- code ---

MODULE = """
import functools
import os
from json import JSONDecoder

CALLED = []

class Honest:
    pass

def honest():
    CALLED.append("honest")

async def stream():
    yield 1

class Outer:
    class Inner:
        pass

Renamed = Honest
partial = functools.partial(honest)
instance = Honest()
command = os.system
honest_lambda = lambda: CALLED.append("lambda")

class Calls:
    def __call__(self):
        CALLED.append("call")

calls = Calls()
method = calls.__call__

def __getattr__(name):
    CALLED.append(name)
    return honest
"""


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "offered.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield load_reference
    sys.modules.pop("offered", None)


@pytest.mark.parametrize("name", ["Honest", "honest", "stream"])
def test_a85_what_is_defined_under_its_name_is_loaded(offered: Any, name: str) -> None:
    assert load_reference(GatedReference(f"offered:{name}")) is vars(sys.modules["offered"])[name]


@pytest.mark.parametrize(
    "reference",
    ["offered:os.system", "offered:JSONDecoder", "offered:Renamed", "offered:partial", "offered:instance",
     "offered:command", "offered:os", "offered:honest_lambda", "offered:calls",
     "offered:method", "offered:absent", "offered:Outer.Inner",
     "offered:__getattr__", "offered:CALLED", "offered"],
)  # fmt: skip
def test_a85_a_re_export_a_partial_or_a_module_attribute_is_refused_and_nothing_is_called(
    offered: Any, reference: str
) -> None:
    with pytest.raises(FactoryForbidden):
        load_reference(GatedReference(reference))
    module = sys.modules.get("offered")
    assert module is None or module.CALLED == []


@pytest.mark.parametrize(
    "named",
    [
        {"candidates": (entry(settings_model="os:system"),)},
        {"candidates": (entry(dag={"nodes": [{"id": "a", "task": "os:system"}]}),)},
        {"candidates": (entry(dag={"nodes": [{"id": "a", "hooks": {"pre_run": ["os:system"]}}]}),)},
        {"candidates": (entry(metadata={"handler": "os:system"}),)},
        {"candidates": (entry(retry_policy={"callable": "os:system"}),)},
        {"workflows": ({"nodes": [{"factory": "subprocess:Popen"}]},)},
        {"events": ({"handler": "mod:os.system"},)},
        {"tasks": ({"function": "os:system"},)},
    ],
)
def test_a85_settings_models_nodes_and_hooks_pass_the_same_gate(named: dict[str, Any]) -> None:
    with pytest.raises(FactoryForbidden):
        admit(FORGE.manifest(**named), Gate())
