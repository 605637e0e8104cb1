from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.errors import Malformed
from pointsman.manifests.canonical import decode_document, encode
from pointsman.manifests.schema import Control, Manifest, Release, Root, payload_type, tag_of
from tests.forge import Forge

FORGE = Forge()

CONTROL = {
    "type": "control",
    "spec_version": 1,
    "epoch": 1,
    "audience": {"service": "notebook", "environment": "production"},
    "seq": 12,
    "cseq": 7,
    "signed_at": "2026-01-15T12:00:00Z",
    "expires": "2026-01-22T12:00:00Z",
    "release": {"version": 7, "digest": "a" * 64, "adopted_at": "2026-01-15T12:00:00Z"},
    "good": [{"digest": "b" * 64, "version": 5}],
    "bad": [{"digest": "c" * 64, "revision": "r-00001", "by": ["one", "two"], "rule": "preflight-failed"}],
    "orders": {
        "adapter/cache": [
            {
                "op": "f" * 64, "kind": "use", "tenants": ["acme"], "cseq": 5, "value": "redis",
                "until": "2026-01-15T13:00:00Z",
            },
            {"op": "0e3c", "kind": "pause", "tenants": "*", "cseq": 6},
            {
                "op": "9", "kind": "split", "tenants": "*", "cseq": 7,
                "value": {"incumbent": "redis", "to": [["memory", 500]], "salt": "s"},
            },
        ]
    },
    "gone": {"adapter/cache|globex|use": 4},
    "gone_floor": 2,
    "rollouts": {
        "adapter/cache": {
            "id": "x", "to": "memory", "steps_bp": [100, 10_000], "step": 0, "state": "running", "interval_s": 60.0,
            "min_samples": 20, "max_error_bp": 50, "deadline": "2026-01-15T15:00:00Z",
        }
    },
    "ring": [["f" * 64, 5], ["0e3c", 6]],
}  # fmt: skip


def changed(document: dict[str, Any], path: str, value: object) -> bytes:
    copy = json.loads(json.dumps(document))
    *way, last = path.split(".")
    at = copy
    for step in way:
        at = at[int(step) if step.isdigit() else step]
    at[int(last) if last.isdigit() else last] = value
    return json.dumps(copy).encode()


def test_every_field_of_a_control_document_is_kept() -> None:
    control = decode_document(Control, json.dumps(CONTROL).encode())
    assert json.loads(encode(control)) == CONTROL


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seq", 0),
        ("cseq", -1),
        ("release.digest", "A" * 64),
        ("release.digest", "a" * 64 + "\n"),
        ("orders.adapter/cache.0.kind", "stop"),
        ("orders.adapter/cache.0.tenants", "acme"),
        ("orders.adapter/cache.0.tenants", []),
        ("orders.adapter/cache.0.op", ""),
        ("orders.adapter/cache.0.until", "2026-01-15T13:00:00"),
        ("orders.adapter/cache.2.value.to", []),
        ("orders.adapter/cache.2.value.to.0.1", 10_001),
        ("orders", {"adapter": []}),
        ("orders", {"adapter/cache/redis": []}),
        ("bad.0.by", ["one"]),
        ("good", [{"digest": "b" * 64, "version": 5}] * 3),
        ("gone", {str(number): 1 for number in range(257)}),
        ("ring", [["x", 1]] * 65),
        ("rollouts.adapter/cache.interval_s", 0),
        ("audience.region", "eu"),
    ],
)
def test_what_is_out_of_bounds_is_refused(path: str, value: object) -> None:
    with pytest.raises(Malformed):
        decode_document(Control, changed(CONTROL, path, value))


@pytest.mark.parametrize(
    "names", [{"adapter/cache/redis": "x"}, {"adapter": "x"}, {"adapter/ca che": "x"}, {"adapter/cache": ""}]
)
def test_selections_have_full_names(names: dict[str, str]) -> None:
    text = json.dumps({**json.loads(encode(FORGE.manifest())), "selections": names})
    with pytest.raises(Malformed):
        decode_document(Manifest, text.encode())


def test_a_release_approves_one_to_three() -> None:
    data = [FORGE.sealed(FORGE.manifest(version=version)) for version in range(1, 5)]
    for several in ((), tuple(FORGE.approved(one) for one in data)):
        text = encode(FORGE.release(approved=several))
        with pytest.raises(Malformed):
            decode_document(Release, text)


def test_each_kind_has_a_payload_type_of_its_own() -> None:
    assert [payload_type(kind) for kind in (Root, Manifest, Release, Control)] == [
        "application/vnd.pointsman.root+json",
        "application/vnd.pointsman.manifest+json",
        "application/vnd.pointsman.release+json",
        "application/vnd.pointsman.control+json",
    ]
    assert tag_of(Control) == "control"
