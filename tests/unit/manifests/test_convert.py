from __future__ import annotations

import json

import pytest

from pointsman.errors import ArtifactsDisabled, Malformed
from pointsman.manifests.admission import Gate, admit
from pointsman.manifests.canonical import decode_document, encode
from pointsman.manifests.contents import contribution_of
from pointsman.manifests.convert import convert_manifest
from pointsman.manifests.drafts import Heading
from pointsman.manifests.schema import CandidateEntry, Capability, Manifest
from tests.forge import AUDIENCE, DAY, NOW

HEADING = Heading(version=3, epoch=1, issued_at=NOW, expires=NOW + DAY, audience=AUDIENCE)
YAML = """
source: acme
signature: c2ln
signature_algorithm: ed25519
entries:
  - domain: adapter
    key: cache
    provider: acme
    factory: acme.cache:AcmeCache
    stack_level: 5
    priority: null
    version: 1.0
    capabilities: [kv, {name: ttl, description: expires, event_types: [a]}]
    owner: platform
    requires_secrets: true
    settings_model: acme.cache:Settings
    requires: ["redis>=5"]
    conflicts_with: [hiredis]
    python_version: 3.11
    os_platform: linux
    license: MIT
    documentation_url: https://docs.example
    metadata: {a: 1}
  - domain: event
    key: orders
    provider: handler
    factory: acme.events:handle
    side_effect_free: false
    timeout_seconds: 30
    retry_policy: {attempts: 3}
    event_topics: [orders.created]
    event_max_concurrency: 5
    event_filters: [{path: payload.region, equals: us}]
    event_priority: 10
    event_fanout_policy: exclusive
  - {domain: workflow, key: nightly, provider: dag, factory: acme.flows:Nightly, dag: {nodes: [{id: a, task: extract}]}}
"""


def test_every_field_of_the_predecessor_finds_its_place() -> None:
    manifest = convert_manifest(YAML, HEADING)
    assert (manifest.version, manifest.epoch, manifest.audience) == (3, 1, AUDIENCE)
    cache, event, workflow = manifest.candidates
    assert cache == CandidateEntry(
        domain="adapter", key="cache", provider="acme", factory="acme.cache:AcmeCache", stack_level=5, version="1.0",
        capabilities=("kv", Capability(name="ttl", description="expires", event_types=("a",))), owner="platform",
        requires_secrets=True, settings_model="acme.cache:Settings", requires=("redis>=5",),
        conflicts_with=("hiredis",), python_version=">=3.11", os_platform=("linux",), license="MIT", documentation_url="https://docs.example",
        metadata={"a": 1},
    )  # fmt: skip
    assert (event.event_topics, event.event_fanout_policy, event.timeout_seconds) == (
        ("orders.created",),
        "exclusive",
        30.0,
    )
    assert workflow.dag == {"nodes": [{"id": "a", "task": "extract"}]}
    assert len(contribution_of(manifest, {}).candidates) == 3


def test_what_was_converted_can_be_published() -> None:
    manifest = convert_manifest(YAML, HEADING)
    assert decode_document(Manifest, encode(manifest)) == manifest


def test_json_is_read_as_well() -> None:
    text = json.dumps(
        {"entries": [{"domain": "adapter", "key": "cache", "provider": "x", "factory": "a:B", "uri": "file:///x"}]}
    )
    manifest = convert_manifest(text, HEADING)
    with pytest.raises(ArtifactsDisabled):
        admit(manifest, Gate())
    assert convert_manifest("{}", HEADING).candidates == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "manifest"),
        ("[1, 2", "YAML or JSON"),
        ("- a", "manifest"),
        ("entry: []", "entry"),
        ("entries: [{domain: adapter}]", r"entries\[0\]"),
        ("entries: [{domain: a, key: b, provider: c, factory: d:E, colour: red}]", "colour"),
        ("entries: [{domain: a, key: b, provider: c, factory: d:E, stack_level: high}]", "stack_level"),
        ("[" * 3000, "YAML or JSON"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        convert_manifest(text, HEADING)
