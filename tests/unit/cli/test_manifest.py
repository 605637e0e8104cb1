"""From a source to signed bytes: packed, judged, signed, verified, shown, compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Shell

SOURCE = """
version: 3
audience: {service: shop, environment: test}
selections: {service/rates: bank}
tenants: {globex: {labels: {plan: gold}}}
"""
OLD = """
source: somewhere
signature: bm9ib2R5
entries:
  - {domain: adapter, key: cache, provider: tidy, factory: "pointsman.adapters.cache.memory:MemoryCache", priority: 7}
"""


@pytest.fixture
def source(shell: Shell) -> Path:
    path = Path("manifest.yml")
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_a_first_source_packs_as_it_is(shell: Shell) -> None:
    assert shell("manifest", "init", "--service", "shop", "--environment", "test").code == 0
    packed = shell("manifest", "pack", "manifest.yml", "--json").json
    assert (packed["version"], packed["epoch"]) == (1, 1)
    assert shell("manifest", "init").code == 1  # it is there


def test_the_audience_is_the_settings_where_nobody_says_it(shop: Shell, shell: Shell) -> None:
    assert shell("manifest", "init", "--json").json["audience"] == {"service": "shop", "environment": "test"}


def test_without_an_audience_nothing_is_packed(shell: Shell) -> None:
    Path("bare.yml").write_text("version: 1\n", encoding="utf-8")
    said = shell("manifest", "pack", "bare.yml", "--json")
    assert said.code == 1
    assert said.json["detail"] == "Expected the audience of the manifest, found none."


def test_what_is_said_at_the_shell_comes_before_the_source(shell: Shell, source: Path) -> None:
    words = ("--version", "9", "--epoch", "2", "--environment", "live", "-o", "out.json")
    assert shell("manifest", "pack", source, *words).code == 0
    manifest = json.loads(Path("out.json").read_bytes())
    assert (manifest["version"], manifest["epoch"]) == (9, 2)
    assert manifest["audience"] == {"service": "shop", "environment": "live"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("versoin: 1", "versoin"),
        ("version: 1\ntenants: {acme: {selections: {cache: x}}}", "selections"),
        ("[]", "expected a mapping"),
        ("a: &a [*a]", "32 deep"),
        ("a: [", "YAML"),
    ],
)
def test_a_source_that_is_no_manifest_is_refused_by_its_field(shell: Shell, text: str, message: str) -> None:
    Path("m.yml").write_text(f"{text}\n", encoding="utf-8")
    said = shell("manifest", "pack", "m.yml", "--service", "s", "--environment", "e", "--version", "1")
    assert said.code == 1
    assert message in said.err


def test_a_deep_source_is_refused_before_anything_recurses(shell: Shell) -> None:
    Path("deep.yml").write_text("a: " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    assert shell("manifest", "pack", "deep.yml").code == 1
    Path("deep.json").write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", encoding="utf-8")
    assert shell("manifest", "pack", "deep.json").code == 1


def test_a_manifest_of_the_predecessor_is_said_in_our_words(shell: Shell) -> None:
    Path("old.yaml").write_text(OLD, encoding="utf-8")
    words = ("--version", "4", "--service", "shop", "--environment", "test", "-o", "new.json")
    assert shell("manifest", "convert", "old.yaml", *words).code == 0
    manifest = json.loads(Path("new.json").read_bytes())
    assert manifest["version"] == 4
    assert manifest["candidates"][0]["provider"] == "tidy"
    assert "signature" not in manifest


def test_signatures_are_added_and_verified_under_the_root(shell: Shell, source: Path, keys: Path) -> None:
    shell("manifest", "pack", source)
    assert shell("manifest", "sign", "manifest.json", "--key", "keys/release.key").code == 0
    refused = shell("manifest", "verify", "manifest.dsse.json", "--root", "root.dsse.json", "--json")
    assert (refused.code, refused.json["code"]) == (1, "bad-signature")
    assert (
        len(shell("manifest", "sign", "manifest.dsse.json", "--key", "keys/manifest.key", "--json").json["keyids"]) == 2
    )
    verified = shell("manifest", "verify", "manifest.dsse.json", "--root", "root.dsse.json", "--json").json
    assert (verified["type"], verified["version"], verified["freshness"]) == ("manifest", 3, "fresh")
    assert len(verified["signers"]) == 1
    assert shell("manifest", "verify", "root.dsse.json", "--root", "root.dsse.json").code == 0


def test_a_source_is_not_signed(shell: Shell, source: Path, keys: Path) -> None:
    said = shell("manifest", "sign", source, "--key", "keys/manifest.key")
    assert said.code == 1
    assert "pointsman manifest pack manifest.yml" in said.err


def test_a_document_is_shown_with_who_claims_to_have_signed_it(shell: Shell, source: Path, keys: Path) -> None:
    shell("manifest", "pack", source)
    shell("manifest", "sign", "manifest.json", "--key", "keys/manifest.key")
    keyid = shell("keys", "show", "keys/manifest.key", "--json").json["keyid"]
    shown = shell("manifest", "show", "manifest.dsse.json", "--json").json
    assert shown["keyids"] == [keyid]
    assert shown["content"]["version"] == 3
    assert keyid in shell("manifest", "show", "manifest.dsse.json").out
    assert '"version": 3' in shell("manifest", "show", "manifest.yml").out


def test_text_of_a_document_cannot_paint_the_terminal(shell: Shell) -> None:
    Path("m.yml").write_text('version: 1\ntenants: {acme: {labels: {x: "\\e[2J\\u202e[red]"}}}\n', encoding="utf-8")
    said = shell("manifest", "pack", "m.yml", "--service", "s", "--environment", "e")
    shown = shell("manifest", "show", "m.json").out
    assert said.code == 0
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]" in shown


def test_differences_go_by_the_name_of_a_candidate(shell: Shell, source: Path) -> None:
    entry = '{{domain: adapter, key: cache, provider: {}, factory: "pointsman.adapters.cache.memory:MemoryCache"}}'
    names = [entry.format(name) for name in ("one", "two")]
    Path("a.yml").write_text(f"{SOURCE}candidates: [{names[0]}, {names[1]}]\n", encoding="utf-8")
    Path("b.yml").write_text(
        f"{SOURCE.replace('rates: bank', 'rates: exchange')}candidates: [{names[1]}, {names[0]}]\n", encoding="utf-8"
    )
    shell("manifest", "pack", "a.yml")
    changed = shell("manifest", "diff", "a.yml", "b.yml", "--json").json
    assert changed == [{"path": "selections.service/rates", "before": "bank", "after": "exchange"}]
    assert shell("manifest", "diff", "a.yml", "a.yml").out == "No difference.\n"
    assert "- bank" in shell("manifest", "diff", "a.json", "b.yml").out


def test_a_manifest_is_judged_by_the_application_that_would_take_it(shop: Shell, source: Path) -> None:
    assert shop("manifest", "check", source, "--json").json["accepted"] is True


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("selections: {service/rates: nobody}", "dangling-selection"),
        ("selections: {adapter/secrets: file}", "component-forbidden"),
        ('candidates: [{domain: service, key: x, provider: y, factory: "os:system"}]', "factory-forbidden"),
        ("provider_settings: {adapter/cache/redis: {url: redis://evil}}", "destination-forbidden"),
        ("components: {service/rates: {fallbacks: [bank], prewarm: true}}", ""),
    ],
)
def test_a_manifest_that_reaches_too_far_is_refused_by_its_rule(shop: Shell, change: str, code: str) -> None:
    Path("m.yml").write_text(f"version: 1\n{change}\n", encoding="utf-8")
    said = shop("manifest", "check", "m.yml", "--json")
    assert said.code == bool(code), said.err
    assert not code or said.json["code"] == code
