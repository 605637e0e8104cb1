"""Turn what people write into a manifest's canonical payload, and judge it as an image would.

Blocks: it reads files and, for a judgement, imports the local application. No instance is made.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pointsman.cli.drafts import Life, manifest_of
from pointsman.cli.files import is_source, read_bytes, read_manifest, read_source, write_over
from pointsman.errors import ConfigurationError
from pointsman.manifests.canonical import decode_document, encode
from pointsman.manifests.envelope import digest_of
from pointsman.manifests.schema import Audience, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FIRST_SOURCE = """\
# A manifest's source: what may run, and for whom. `pointsman manifest pack` makes the bytes that are signed.
version: 1                 # grows with every manifest that is published
audience: {{service: {service}, environment: {environment}}}
candidates: []             # - {{domain: service, key: clock, provider: utc, factory: "clocks.utc:Utc"}}
selections: {{}}             # adapter/cache: memory
tenants: {{}}                # acme: {{selections: {{adapter/cache: redis}}, labels: {{plan: gold}}}}
provider_settings: {{}}      # adapter/cache/memory: {{max_entries: 1000}}
components: {{}}             # adapter/cache: {{on_stale: deny, prewarm: [acme]}}
"""


def first_source(audience: Mapping[str, str]) -> str:
    """Return a source to begin with."""
    return _FIRST_SOURCE.format(**{name: json.dumps(value) for name, value in audience.items()})


def audience_of(source: Mapping[str, Any], service: str, environment: str) -> dict[str, str]:
    """Return service and environment as said, else as the source says, else as the settings of this folder do.

    Raises:
        ConfigurationError: Nobody says them, or the settings are wrong.
    """
    written = source.get("audience")
    said = {**(written if isinstance(written, dict) else {}), **_unless_empty(service=service, environment=environment)}
    if {"service", "environment"} <= said.keys():
        return said
    from pointsman.runtime.settings import Settings

    settings = Settings.load()
    found = {**_unless_empty(service=settings.service, environment=settings.environment), **said}
    if not {"service", "environment"} <= found.keys():
        raise ConfigurationError(
            "Expected the audience of the manifest, found none.",
            hint="Say it: --service notebook --environment production",
        )
    return found


def packed(path: Path, heading: Mapping[str, Any], life: Life) -> Manifest:
    """Return the manifest of a source.

    Args:
        path: YAML or JSON.
        heading: ``version epoch service environment``, each said or not.
        life: From now on.

    Raises:
        ConfigurationError: The source cannot be read, or the audience is said nowhere.
        Malformed: It is no manifest.
    """
    source = read_source(path)
    audience = audience_of(source, heading["service"] or "", heading["environment"] or "")
    said = {"version": heading["version"], "epoch": heading["epoch"], "audience": audience}
    return manifest_of(source, said, life, str(path))


def converted(path: Path, heading: Mapping[str, Any], life: Life) -> Manifest:
    """Return the manifest that one of the predecessor's says; arguments and errors as `packed`."""
    from pointsman.manifests.convert import convert_manifest
    from pointsman.manifests.drafts import Heading

    audience = Audience(**audience_of({}, heading["service"] or "", heading["environment"] or ""))
    head = Heading(heading["version"] or 1, heading["epoch"] or 1, life.issued_at, life.expires, audience)
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: expected UTF-8, found another encoding.") from error
    return convert_manifest(text, head)


def written(manifest: Manifest, path: Path) -> dict[str, Any]:
    """Write the canonical payload of a manifest, and return what was written.

    Raises:
        ConfigurationError: The file cannot be written.
        Malformed: Nobody could read it back.
    """
    payload = encode(manifest)
    decode_document(Manifest, payload)
    write_over(path, payload)
    return {
        "path": str(path),
        "version": manifest.version,
        "epoch": manifest.epoch,
        "expires": manifest.expires.isoformat(),
        "length": len(payload),
        "payload_digest": digest_of(payload),
    }


def any_manifest(path: Path) -> Manifest:
    """Return the manifest of a source, a payload or an envelope; what a source leaves out is filled in anyhow.

    Raises:
        ConfigurationError: The file cannot be read.
        ManifestError: It is no manifest.
    """
    if not is_source(path):
        return read_manifest(path)
    from datetime import UTC, datetime

    unsaid = {"version": None, "epoch": None, "service": "", "environment": ""}
    return packed(path, unsaid, Life(datetime.now(UTC), 1))


def checked(path: Path, reference: str) -> dict[str, Any]:
    """Return what a manifest brings, if this application's image would take it.

    Raises:
        ConfigurationError: The file, the application or its settings are wrong.
        ManifestError: It would be refused; says by which rule.
        ResolutionError: Under it something required resolves for nobody.
    """
    from pointsman.cli.applications import runtime_of
    from pointsman.control.attachment import admission
    from pointsman.manifests.verification import Verified
    from pointsman.runtime.requirements import check_manifest_selections

    manifest, runtime = any_manifest(path), runtime_of(reference)
    data = encode(manifest)
    admitted = admission(runtime)(Verified(manifest, data, digest_of(data), len(data), ()))
    points = runtime.points
    catalog = points.made_of(replace(points.inputs, manifest=admitted), points.snapshot).catalog
    check_manifest_selections(catalog)
    runtime.requirements.check(catalog)
    return {
        "path": str(path),
        "version": manifest.version,
        "accepted": True,
        "audience": {name: getattr(manifest.audience, name) for name in ("service", "environment")},
        "candidates": len(manifest.candidates),
        "tenants": list(manifest.tenants),
    }


def _unless_empty(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}
